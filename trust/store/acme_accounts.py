"""Accounts at authorities in the store, by directory: each with its key, sealed (RFC 8555 §7.3).

A key is here before the authority hears of it. While an account changes over to another key both
are here, until it is known which one the authority took.

Two sides write a row: administrators say what is to be done with the account (`ask`), whoever has
the lease of `trust.acme` does it, and writes the rest.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import ColumnElement, Connection, Row, delete, insert, select, update

from trust.acme.order import Failures
from trust.keys import MasterKeyError, MasterKeys, SealError, seal_private_key, unseal_private_key
from trust.store import master_key
from trust.store.database import Change
from trust.store.sealed import ACME_KEYS, ACME_NEXT_KEYS, SealedColumn
from trust.store.tables import acme_accounts


class AccountState(StrEnum):
    """How an account stands."""

    NEW = "new"
    """Its key is made; the authority may not know it yet."""
    VALID = "valid"
    DEACTIVATING = "deactivating"
    """The authority is, or was, asked to deactivate it."""
    DEACTIVATED = "deactivated"


class Wish(StrEnum):
    """What is to be done with an account."""

    ROLLOVER = "rollover"
    """It gets another key (RFC 8555 §7.3.5)."""
    DEACTIVATE = "deactivate"
    """It is given up for ever (RFC 8555 §7.3.6)."""
    START_OVER = "start-over"
    """It is forgotten here, so that another is made, unless it is in use."""
    START_OVER_LOST = "start-over-lost"
    """The same though it is in use: it is of no use any more, whatever is known of it."""


@dataclass(frozen=True)
class Asked:
    """What was asked of an account. `wish` None: nothing, or it is done, or was refused for good.

    `failures` says why the last wish was not met; `next_try` is Unix seconds.
    """

    directory: str
    wish: Wish | None
    failures: Failures | None
    next_try: int | None


@dataclass(frozen=True)
class StoredAccount:
    """An account's row with its keys open. `contact` is what the authority was told last."""

    directory: str
    state: AccountState
    created_at: int
    key: ec.EllipticCurvePrivateKey = field(repr=False)
    next_key: ec.EllipticCurvePrivateKey | None = field(default=None, repr=False)
    url: str | None = None
    contact: tuple[str, ...] = ()

    @property
    def is_in_use(self) -> bool:
        """Whether the authority has it, and has not been told that it is given up."""
        return self.url is not None and self.state is not AccountState.DEACTIVATED


def get(connection: Connection, keys: MasterKeys, directory: str) -> StoredAccount | None:
    """Read an account. Raises MasterKeyError."""
    query = select(acme_accounts).where(acme_accounts.c.directory == directory)
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    sealed_next = row.sealed_next_key
    return StoredAccount(
        directory=row.directory,
        state=AccountState(row.state),
        created_at=row.created_at,
        key=_open(keys, ACME_KEYS, directory, row.sealed_key),
        next_key=None
        if sealed_next is None
        else _open(keys, ACME_NEXT_KEYS, directory, sealed_next),
        url=row.url,
        contact=tuple(row.contact),
    )


def save(change: Change, keys: MasterKeys, account: StoredAccount) -> None:
    """Write an account, in place of the one its directory had. Raises MasterKeyError."""
    master = master_key.bound_to(change.connection, keys)
    name = account.directory
    after = account.next_key
    row = {
        "directory": name,
        "url": account.url,
        "state": account.state.value,
        "contact": list(account.contact),
        "sealed_key": seal_private_key(master, account.key, record=ACME_KEYS.name_of(name)),
        "sealed_next_key": None
        if after is None
        else seal_private_key(master, after, record=ACME_NEXT_KEYS.name_of(name)),
        "created_at": account.created_at,
        "revision": change.revision,
    }
    where = acme_accounts.c.directory == name
    if change.connection.execute(update(acme_accounts).where(where).values(row)).rowcount == 0:
        change.connection.execute(insert(acme_accounts), row)


def ask(change: Change, directory: str, wish: Wish, *, now: int) -> bool:
    """Have something done with an account at once; say whether it is there."""
    return _say(change.connection, Asked(directory, wish, None, now))


def asked(connection: Connection, directory: str) -> Asked | None:
    """Read what was asked of an account; None: there is no such account."""
    query = select(*_ASKED).where(acme_accounts.c.directory == directory)
    row = connection.execute(query).one_or_none()
    return None if row is None else _read_asked(row)


def wanted(connection: Connection, *, now: int) -> Sequence[Asked]:
    """List what is to be done with accounts by now."""
    query = select(*_ASKED).where(acme_accounts.c.wish.is_not(None))
    rows = connection.execute(query.where(acme_accounts.c.next_try <= now))
    return [_read_asked(row) for row in rows]


def meet(connection: Connection, directory: str, wish: Wish) -> None:
    """Write that what was asked of an account is done.

    What was asked instead meanwhile stays.
    """
    _say(connection, Asked(directory, None, None, None), acme_accounts.c.wish == wish.value)


def put_off(connection: Connection, wish: Wish, after: Asked) -> None:
    """Write why a wish was not met, and whether and when it is tried again.

    What was asked instead meanwhile stays.
    """
    _say(connection, after, acme_accounts.c.wish == wish.value)


def _say(connection: Connection, said: Asked, *conditions: ColumnElement[bool]) -> bool:
    values = {
        "wish": None if said.wish is None else said.wish.value,
        "failures": None if said.failures is None else msgspec.to_builtins(said.failures),
        "next_try": said.next_try,
    }
    which = update(acme_accounts).where(acme_accounts.c.directory == said.directory, *conditions)
    return connection.execute(which.values(values)).rowcount == 1


def _read_asked(row: Row[Any, Any, Any, Any]) -> Asked:
    return Asked(
        directory=row.directory,
        wish=None if row.wish is None else Wish(row.wish),
        failures=None if row.failures is None else msgspec.convert(row.failures, Failures),
        next_try=row.next_try,
    )


_ASKED = (
    acme_accounts.c.directory,
    acme_accounts.c.wish,
    acme_accounts.c.failures,
    acme_accounts.c.next_try,
)


def remove(change: Change, directory: str) -> bool:
    """Remove an account with its key; say whether it was there."""
    where = acme_accounts.c.directory == directory
    return change.connection.execute(delete(acme_accounts).where(where)).rowcount == 1


def _open(
    keys: MasterKeys, column: SealedColumn, directory: str, sealed: bytes
) -> ec.EllipticCurvePrivateKey:
    try:
        key = unseal_private_key(keys, sealed, record=column.name_of(directory))
    except SealError as error:
        raise MasterKeyError(f"the key of the account at {directory} does not open") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise MasterKeyError(f"the account at {directory} has a key of another kind")
    return key
