"""Which master key this store's keys are sealed with: the row that tells, and what follows.

The store says which key is the current one. Whatever is sealed for the store is sealed with it, in
the transaction that writes it: so nothing comes under a former key once the store has changed over.
"""

from contextlib import suppress

from sqlalchemy import Connection, insert, select, update

from trust.keys import MasterKey, MasterKeyError, MasterKeys, SealError, key_id_of
from trust.store.database import Change, Database
from trust.store.tables import master_key_check

_RECORD = "master-key-check"
_KNOWN = b"this master key fits"


def is_bound(database: Database) -> bool:
    """Say whether the store already belongs to some master key; a store without tables does not."""
    if not database.has_table(master_key_check.name):
        return False
    with database.reading() as connection:
        return _sealed_check(connection) is not None


def is_bound_in(connection: Connection) -> bool:
    """Say, within a transaction, whether the store belongs to some master key."""
    return _sealed_check(connection) is not None


def bind(change: Change, master: MasterKey) -> None:
    """Bind a new store to its master key."""
    sealed = master.seal(_KNOWN, record=_RECORD)
    change.connection.execute(insert(master_key_check), {"id": 1, "sealed": sealed})


def rebind(change: Change, keys: MasterKeys) -> None:
    """Change the store over to the current key of a ring. Raises MasterKeyError.

    From then on new values are sealed with it.
    """
    bound_to(change.connection, keys)
    sealed = keys.current.seal(_KNOWN, record=_RECORD)
    change.connection.execute(update(master_key_check).values(sealed=sealed))


def bound_to(connection: Connection, keys: MasterKeys) -> MasterKey:
    """Return the key that the store is bound to, so that something can be sealed for it.

    A store that is not bound yet takes the ring's current key. Raises MasterKeyError when the
    store's key is not on the ring.
    """
    sealed = _sealed_check(connection)
    if sealed is None:
        return keys.current
    try:
        return keys.opening(sealed, record=_RECORD)
    except SealError as error:
        raise MasterKeyError(f"the store's master key is not at hand: {error}") from error


def named_by_store(connection: Connection) -> str | None:
    """Return the id of the key that the store is bound to; None: it does not name it."""
    sealed = _sealed_check(connection)
    with suppress(SealError):  # it is damaged
        return None if sealed is None else key_id_of(sealed, record=_RECORD)
    return None


def check(database: Database, keys: MasterKeys) -> None:
    """Raise MasterKeyError unless the store is bound to one of these keys."""
    with database.reading() as connection:
        try:
            bound_to(connection, keys)
        except MasterKeyError as error:
            name = named_by_store(connection)
            which = "" if name is None else f" ({name})"
            raise MasterKeyError(
                f"this is not the master key that the keys in {database.name} are sealed"
                f" with{which}: put the right one back (a copy of the master key file, or the"
                " variable SHAKEN_KEYS__MASTER_KEY)"
            ) from error


def _sealed_check(connection: Connection) -> bytes | None:
    return connection.execute(select(master_key_check.c.sealed)).scalar_one_or_none()
