"""The record of signed calls in the store."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import BindParameter, bindparam, delete, insert

from shaken.store.tables import signed_calls
from trust.store.database import Database


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


_PLACES: dict[str, BindParameter[object]] = {name: bindparam(name) for name in SignedCall._fields}


def add_calls(database: Database, calls: Sequence[SignedCall]) -> None:
    """Write records in one transaction. Raises StoreError."""
    with database.recording() as connection:
        dialect = connection.engine.dialect
        statement = insert(signed_calls).values(_PLACES).compile(dialect=dialect)
        # The compiled text takes the rows as they are; going through `execute` for thousands of
        # them a second costs more than the database does.
        rows = calls if statement.positional else [call._asdict() for call in calls]
        connection.exec_driver_sql(str(statement), rows)


def forget_calls(database: Database, *, before: int) -> int:
    """Remove records older than a time; say how many."""
    with database.recording() as connection:
        return connection.execute(delete(signed_calls).where(signed_calls.c.at < before)).rowcount
