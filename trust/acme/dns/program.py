"""Runs a program: without a shell, with little environment, for a bounded time.

What it prints is read as far as its last line, which says why it failed. It gets a session of its
own, so that whatever it started ends with it.
"""

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

from trust.acme.problems import clean

MAX_TAIL = 4096
"""Bytes of what it said last that are kept for its last line."""

_SEARCHED = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PASSED = ("HOME", "LANG", "LC_ALL", "TZ")


class ProgramFailed(Exception):  # noqa: N818 - what happened
    """A program did not do its work: how it ended, and what it said last.

    `code` is what it ended with; None: it did not begin, or not end by itself.
    """

    def __init__(self, how: str, *, said: str = "", code: int | None = None) -> None:
        super().__init__(f"{how}: {said}" if said else how)
        self.how = how
        self.said = said
        self.code = code


def environment(passed: Iterable[str] = ()) -> dict[str, str]:
    """Return a program's environment: hardly anything of ours, and those variables by name."""
    names = (*_PASSED, *passed)
    kept = {name: os.environ[name] for name in names if name in os.environ}
    return {"PATH": _SEARCHED, **kept}


def run(
    command: Sequence[str], *, stdin: bytes = b"", environment: Mapping[str, str], seconds: float
) -> None:
    """Run a program until it ends. Raises ProgramFailed when it does not, or not with 0."""
    reading, writing = os.pipe()
    try:
        try:
            process = _start(command, stdin=stdin, stderr=writing, environment=environment)
        finally:
            os.close(writing)
        with process:
            try:
                said = _last_words(process.pid, reading, seconds=seconds)
            finally:
                # It was not waited for yet, so the number is still its own.
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
    finally:
        os.close(reading)
    code = process.returncode
    if code > 0:
        raise ProgramFailed(f"it ended with code {code}", said=said, code=code)
    if code < 0:
        raise ProgramFailed(f"it was ended by signal {-code}", said=said)


def _start(
    command: Sequence[str], *, stdin: bytes, stderr: int, environment: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    # A file in memory: a program that does not read keeps nobody waiting.
    with os.fdopen(os.memfd_create("stdin"), "w+b") as file:
        file.write(stdin)
        file.seek(0)
        try:
            return subprocess.Popen(  # noqa: S603 - an administrator's program, or our own
                command,
                stdin=file,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                env=environment,
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            raise ProgramFailed(f"it cannot be started: {error.strerror}") from error


def _last_words(pid: int, stderr: int, *, seconds: float) -> str:
    """Read what it says until it has ended; return the last line."""
    deadline = time.monotonic() + seconds
    ended = os.pidfd_open(pid)
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(stderr, selectors.EVENT_READ)
            selector.register(ended, selectors.EVENT_READ)
            tail = b""
            while (left := deadline - time.monotonic()) > 0:
                ready = {key.fd for key, _ in selector.select(left)}
                if stderr in ready:
                    piece = os.read(stderr, MAX_TAIL)
                    tail = (tail + piece)[-MAX_TAIL:]
                    if not piece:
                        selector.unregister(stderr)
                elif ended in ready:
                    return _last_line(tail)
            raise ProgramFailed(f"it did not end within {seconds:g} s", said=_last_line(tail))
    finally:
        os.close(ended)


def _last_line(text: bytes) -> str:
    lines = text.decode("utf-8", "replace").rstrip().splitlines()
    return clean(lines[-1]) if lines else ""
