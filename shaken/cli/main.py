"""The `shaken` command: its groups, and how errors end it."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

_OFFLINE, _ADMINISTRATION = "shaken.cli.offline", "shaken.cli.administration"

_COMMANDS: Mapping[str, tuple[str, str]] = {
    "serve": ("shaken.cli.serve", "serve"),
    "backup": ("shaken.cli.backup", "backup"),
    "restore": ("shaken.cli.backup", "restore"),
    "keys": ("shaken.cli.keys", "keys"),
    "sign": (_OFFLINE, "sign"),
    "verify": (_OFFLINE, "verify"),
    "inspect": (_OFFLINE, "inspect"),
    "lab-ca": (_OFFLINE, "lab_ca"),
    "certificates": (_ADMINISTRATION, "certificates"),
    "roots": ("shaken.cli.roots", "roots"),
    "tenants": (_ADMINISTRATION, "tenants"),
    "trunks": (_ADMINISTRATION, "trunks"),
    "credentials": (_ADMINISTRATION, "credentials"),
    "audit": ("shaken.cli.audit", "audit"),
    "deploy": ("shaken.cli.deploy", "deploy"),
}


class _Commands(click.Group):
    """Loads a command when it is named: only `serve` needs the service with all its libraries."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's way
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's way
        if cmd_name not in _COMMANDS:
            return None
        module, name = _COMMANDS[cmd_name]
        command: Any = getattr(import_module(module), name)
        return command if isinstance(command, click.Command) else None


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="shaken")
def main() -> None:
    """STIR/SHAKEN signing and trust service for PBXs and SBCs.

    Run it with `shaken serve`; `backup`, `restore` and `keys` work on its data folder. Debug
    signatures with `sign`, `verify` and `inspect`, without a service. `deploy` runs where TLS is
    spoken. Administer a running service with the other commands.
    """
