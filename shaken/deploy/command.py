"""The commands of a host that check its settings and make its listener read new files."""

import os
import shlex
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

MAX_OUTPUT = 1000
"""Characters of a command's output that are shown: its end, where the reason mostly stands."""


class CommandFailed(Exception):  # noqa: N818 - the name says what happened
    """A command did not do it; the message is one line with the end of what it printed."""


@dataclass(frozen=True)
class Command:
    """Words of a command line, and how many seconds it may take."""

    words: tuple[str, ...]
    seconds: float

    @classmethod
    def parse(cls, text: str, *, seconds: float) -> "Command":
        """Split a line as a shell does (quotes, backslashes), and nothing else that a shell does.

        Raises ValueError when it is empty or a quote is open.
        """
        words = shlex.split(text)
        if not words:
            raise ValueError("the command is empty")
        return cls(tuple(words), seconds)

    def __str__(self) -> str:
        return shlex.join(self.words)

    def run(self, environment: Mapping[str, str]) -> None:
        """Run it to its end, in a process group that is killed when it is late.

        Raises CommandFailed when it cannot be started, is late or ends with another code than 0.
        """
        # Into a file: whoever inherits a pipe and stays, as a daemon does, would keep it open.
        with tempfile.TemporaryFile() as output:
            try:
                process = subprocess.Popen(  # noqa: S603 - the command of this host's administrator
                    self.words,
                    env=_without_secrets(environment),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            except OSError as error:
                raise CommandFailed(f"`{self}` does not start: {error.strerror}") from error
            try:
                code = process.wait(self.seconds)
            except subprocess.TimeoutExpired:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                raise CommandFailed(
                    f"`{self}` was ended after {self.seconds:g} s; --timeout allows more"
                ) from None
            if code != 0:
                end = max(0, output.seek(0, os.SEEK_END) - 4 * MAX_OUTPUT)
                output.seek(end)
                raise CommandFailed(f"`{self}` ended with {code}{_shown(output.read())}")


def _without_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, text in environment.items() if not name.startswith("SHAKEN_")}


def _shown(output: bytes) -> str:
    """Return the end of an output as part of one line."""
    lines = (line.strip() for line in output.decode("utf-8", "replace").splitlines())
    text = " | ".join(line for line in lines if line)
    text = "".join(each if each.isprintable() else "?" for each in text)
    return f": {text[-MAX_OUTPUT:]}" if text else ""
