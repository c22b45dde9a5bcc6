"""Records by a program of the machine, for what no library knows.

It is called once for each record, as `command publish NAME VALUE` or `command withdraw NAME VALUE`,
and ends with 0 when that is so, also if it was so before. Name and value hold only letters,
digits, `-`, `_` and, in the name, dots; a value may begin with `-`.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from trust.acme.challenges import PublicationError, TxtRecord
from trust.acme.dns.program import ProgramFailed, environment, run
from trust.acme.dns.reading import DnsSettingsError
from trust.acme.dns.settings import HookSettings

HOOK_SECONDS = 120.0
"""How long one call may take: some providers take a minute for a change."""


def check_hook(settings: HookSettings) -> None:
    """Look whether the program can be run. Raises DnsSettingsError."""
    program = Path(settings.command[0])
    if not program.is_file():
        raise DnsSettingsError("command", f"there is no program {program} on this machine")
    if not os.access(program, os.X_OK):
        raise DnsSettingsError("command", f"{program} cannot be run by this service: chmod +x")


class HookWriter:
    """Changes records by calling a program."""

    def __init__(self, settings: HookSettings, *, seconds: float = HOOK_SECONDS) -> None:
        """Take what to call, and how long it may take."""
        self._command = settings.command
        self._seconds = seconds

    def add(self, _: str, records: Sequence[TxtRecord], /) -> None:
        """Add records, each by a call. Raises PublicationError."""
        self._call("publish", records)

    def remove(self, _: str, records: Sequence[TxtRecord], /) -> None:
        """Remove records, each by a call. Raises PublicationError."""
        self._call("withdraw", records)

    def _call(self, verb: str, records: Sequence[TxtRecord]) -> None:
        for record in records:
            try:
                run(
                    (*self._command, verb, record.name, record.value),
                    environment=environment(),
                    seconds=self._seconds,
                )
            except ProgramFailed as error:
                called = f"{self._command[0]} {verb} {record.name}"
                raise PublicationError(f"{called}: {error}") from error
