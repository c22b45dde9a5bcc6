"""The `shaken` command: its groups, and how errors end it."""

import os
import sys
import warnings
from collections.abc import Mapping
from contextlib import suppress
from traceback import walk_tb
from typing import Any

import click

from shaken.cli.lazy import LazyGroup

_OFFLINE, _ADMINISTRATION = "shaken.cli.offline", "shaken.cli.administration"

_COMMANDS: Mapping[str, tuple[str, str]] = {
    "serve": ("shaken.cli.serve", "serve"),
    "backup": ("shaken.cli.backup", "backup"),
    "restore": ("shaken.cli.backup", "restore"),
    "keys": ("shaken.cli.keys", "keys"),
    "sign": (_OFFLINE, "sign"),
    "verify": ("shaken.cli.verify", "verify"),
    "inspect": (_OFFLINE, "inspect"),
    "lab-ca": (_OFFLINE, "lab_ca"),
    "certificates": (_ADMINISTRATION, "certificates"),
    "acme": ("shaken.cli.acme", "acme"),
    "roots": ("shaken.cli.roots", "roots"),
    "tenants": (_ADMINISTRATION, "tenants"),
    "trunks": ("shaken.cli.trunks", "trunks"),
    "credentials": (_ADMINISTRATION, "credentials"),
    "audit": ("shaken.cli.audit", "audit"),
    "calls": ("shaken.cli.calls", "calls"),
    "deploy": ("shaken.cli.deploy", "deploy"),
}

_TOLERATED = (
    "Parsed a serial number",  # old roots, and certificates of old tools, have 0
    "Attribute's length must be",  # countries of other than two letters: shown as they stand
    "PKCS#12 bundle could not be parsed as DER",  # it is read all the same
)
"""What is wrong in certificates and files of others, and nothing to tell operators on stderr."""


class _Shaken(LazyGroup):
    """The command itself: all that is printed passes here when it fails."""

    def main(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - click's way
        """Run a command; end with one line where its output cannot be written.

        A pipe that nobody reads any more is no failure to tell of: click ends quietly there.
        """
        try:
            return super().main(*args, **kwargs)
        except OSError as error:
            if not _is_of_output(error):
                raise
            with suppress(OSError):  # standard error may be what cannot be written
                click.echo(f"Error: cannot write the output: {error.strerror}", err=True)
            _drop_output()
            sys.exit(1)


def _is_of_output(error: OSError) -> bool:
    """Whether it was printing that failed: any other error is ours, and keeps its traceback."""
    *_, (innermost, _) = walk_tb(error.__traceback__)
    return innermost.f_code is click.echo.__code__


def _drop_output() -> None:
    """Leave what is not written yet: Python would try once more at its end, and complain."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(nowhere, descriptor)


@click.group(
    cls=_Shaken,
    lazy=_COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="shaken")
def main() -> None:
    """STIR/SHAKEN signing and trust service for PBXs and SBCs.

    Run it with `shaken serve`; `backup`, `restore` and `keys` work on its data folder. Debug
    signatures with `sign`, `verify` and `inspect`, without a service. `deploy` runs where TLS is
    spoken. Administer a running service with the other commands.
    """
    for told in _TOLERATED:
        warnings.filterwarnings("ignore", message=told)
