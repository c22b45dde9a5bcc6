"""Why a database fails that did not fail before: the kinds of trouble, by codes of errors."""

import errno
import sqlite3
from enum import Enum


class Failure(Enum):
    """Why a database fails that did not fail before."""

    BUSY = "busy"
    FULL = "full"
    """There is no space for what is written: to try again is of no use."""
    INPUT_OUTPUT = "input-output"
    DAMAGED = "damaged"
    """It is not whole."""


_FAILURES = {
    sqlite3.SQLITE_BUSY: Failure.BUSY,
    sqlite3.SQLITE_LOCKED: Failure.BUSY,
    sqlite3.SQLITE_FULL: Failure.FULL,
    sqlite3.SQLITE_IOERR: Failure.INPUT_OUTPUT,
    sqlite3.SQLITE_CORRUPT: Failure.DAMAGED,
    sqlite3.SQLITE_NOTADB: Failure.DAMAGED,
}
"""By the primary code of SQLite's errors."""

_FAILURES_OF_SYSTEM = {
    errno.ENOSPC: Failure.FULL,
    errno.EDQUOT: Failure.FULL,
    errno.EIO: Failure.INPUT_OUTPUT,
}


def failure_of(error: BaseException | None) -> Failure | None:
    """Tell the kind of an error of SQLite or of the system."""
    if isinstance(error, OSError):
        return _FAILURES_OF_SYSTEM.get(error.errno or 0)
    code: int = getattr(error, "sqlite_errorcode", 0)
    return _FAILURES.get(code & 0xFF)  # whatever it extends
