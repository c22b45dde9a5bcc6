"""A new master key takes the place of another, while workers go on signing and storing.

At every moment each sealed value opens under a key of the ring, so it can be killed and run again:
first the store changes over, so that nothing more is sealed with the former key, then what is left
is sealed anew, batch by batch. Until nothing names the former key, whoever holds it must keep it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, func, select, update

from trust.keys import MasterKey, MasterKeyError, MasterKeys, SealError, key_id_of
from trust.store import master_key
from trust.store.database import Database
from trust.store.sealed import SealedColumn, named_keys, sealed_columns

BATCH = 100
"""Values sealed anew in one transaction: other writers wait some milliseconds."""

PAUSE_SECONDS = 0.02
"""Between two batches, so that others get their turn."""


@dataclass(frozen=True)
class Resealed:
    """What was sealed anew, and the records that open under no key at hand."""

    count: int
    unopened: tuple[str, ...]


def reseal(database: Database, keys: MasterKeys, *, tell: Callable[[int, int], None]) -> Resealed:
    """Seal all that the store holds with the ring's current key.

    `tell` hears how many values of how many have been looked at. Raises MasterKeyError, StoreError.
    """
    with database.changing() as change:
        master_key.rebind(change, keys)
    with database.reading() as connection:
        columns = sealed_columns(connection)
        total = sum(_count(connection, column) for column in columns)
    count, seen = 0, 0
    unopened: list[str] = []
    for column in columns:
        after = ""
        while batch := _reseal_batch(database, keys, column, after):
            count += batch.resealed
            unopened += batch.unopened
            seen += batch.seen
            after = batch.last
            tell(seen, max(total, seen))
            time.sleep(PAUSE_SECONDS)
    return Resealed(count, tuple(unopened))


def check_done(database: Database, current: MasterKey) -> None:
    """Raise MasterKeyError while anything in the store needs another key than this one."""
    with database.reading() as connection:
        master_key.bound_to(connection, current)
        others = named_keys(connection).keys() - {current.id}
    if others:
        names = ", ".join(sorted(name or "an unnamed one" for name in others))
        raise MasterKeyError(f"the store still holds keys that are sealed with {names}")


@dataclass(frozen=True)
class _Batch:
    seen: int
    resealed: int
    unopened: tuple[str, ...]
    last: str


def _reseal_batch(
    database: Database, keys: MasterKeys, column: SealedColumn, after: str
) -> _Batch | None:
    """Seal anew what comes next; None: there is nothing more."""
    with database.changing() as change:
        target = master_key.bound_to(change.connection, keys)
        if target != keys.current:
            raise MasterKeyError(
                f"the store has changed over to another key, {target.id}: another rotation runs"
            )
        rows = change.connection.execute(
            select(column.record, column.value)
            .where(column.value.is_not(None), column.record > after)
            .order_by(column.record)
            .limit(BATCH)
        ).all()
        if not rows:
            return None
        renewed, unopened = [], []
        for record, sealed in rows:
            name = column.name_of(record)
            try:
                if key_id_of(sealed, record=name) != target.id:
                    plaintext = keys.unseal(sealed, record=name)
                    renewed.append((record, target.seal(plaintext, record=name)))
            except SealError:
                unopened.append(name)
        if renewed:
            change.connection.execute(
                update(column.record.table)
                .where(column.record == bindparam("of"))
                .values({column.value: bindparam("sealed"), "revision": change.revision}),
                [{"of": record, "sealed": sealed} for record, sealed in renewed],
            )
        return _Batch(len(rows), len(renewed), tuple(unopened), rows[-1][0])


def _count(connection: Connection, column: SealedColumn) -> int:
    query = select(func.count()).where(column.value.is_not(None))
    return int(connection.execute(query).scalar_one())
