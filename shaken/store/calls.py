"""The record of signed calls in the store."""

from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from typing import NamedTuple

from sqlalchemy import BindParameter, Connection, Dialect, bindparam, delete, insert, select
from sqlalchemy.engine.interfaces import Compiled

from shaken.store.tables import signed_calls
from trust.store.database import Database

ROWS = 200
"""Records of one statement. One statement for each record would let go of the interpreter's lock
and take it again for each, which costs the thread that signs more than the record is worth."""


class SignedCall(NamedTuple):
    """A signed call: who asked, what was said, with which certificate. `at` is Unix seconds."""

    at: int
    credential: str
    tenant: str | None
    trunk: str | None
    orig: str
    dest: str
    attest: str
    origid: str
    certificate: str
    request_id: str


def add_calls(database: Database, calls: Sequence[SignedCall]) -> None:
    """Write records in one transaction. Raises StoreError."""
    whole = len(calls) - len(calls) % ROWS
    with database.recording() as connection:
        for start in range(0, whole, ROWS):
            _insert(connection, calls[start : start + ROWS])
        for call in calls[whole:]:
            _insert(connection, [call])


def forget_calls(database: Database, *, before: int, limit: int) -> int:
    """Remove at most `limit` records older than a time, the oldest first; say how many.

    Records are written in the order of time, so that only their beginning is looked at.
    """
    oldest = select(signed_calls.c.sequence).order_by(signed_calls.c.sequence).limit(limit)
    old = signed_calls.c.sequence.in_(oldest) & (signed_calls.c.at < before)
    with database.recording() as connection:
        return connection.execute(delete(signed_calls).where(old)).rowcount


def _insert(connection: Connection, calls: Sequence[SignedCall]) -> None:
    statement = _statement(connection.dialect, len(calls))
    values = chain.from_iterable(calls)
    if connection.dialect.positional:
        connection.exec_driver_sql(str(statement), tuple(values))
    else:
        connection.exec_driver_sql(
            str(statement), dict(zip(_names(len(calls)), values, strict=True))
        )


@lru_cache(maxsize=8)
def _statement(dialect: Dialect, rows: int) -> Compiled:
    """Compile the insertion of some rows; its parameters stand row by row."""
    names = iter(_names(rows))
    places: list[dict[str, BindParameter[object]]] = [
        {field: bindparam(next(names)) for field in SignedCall._fields} for _ in range(rows)
    ]
    return insert(signed_calls).values(places).compile(dialect=dialect)


def _names(rows: int) -> list[str]:
    return [f"{field}_{row}" for row in range(rows) for field in SignedCall._fields]
