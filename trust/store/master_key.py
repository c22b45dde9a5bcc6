"""Whether a master key is the one this store's keys are sealed with."""

from sqlalchemy import insert, select

from trust.keys import MasterKey, MasterKeyError, SealError
from trust.store.database import Change, Database
from trust.store.tables import master_key_check

_RECORD = "master-key-check"
_KNOWN = b"this master key fits"


def is_bound(database: Database) -> bool:
    """Say whether the store already belongs to some master key; a store without tables does not."""
    if not database.has_table(master_key_check.name):
        return False
    with database.reading() as connection:
        return connection.execute(select(master_key_check.c.id)).one_or_none() is not None


def bind(change: Change, master: MasterKey) -> None:
    """Bind a new store to its master key."""
    sealed = master.seal(_KNOWN, record=_RECORD)
    change.connection.execute(insert(master_key_check), {"id": 1, "sealed": sealed})


def check(database: Database, master: MasterKey) -> None:
    """Raise MasterKeyError unless the store is bound to this master key."""
    with database.reading() as connection:
        sealed = connection.execute(select(master_key_check.c.sealed)).scalar_one()
    try:
        master.unseal(sealed, record=_RECORD)
    except SealError as error:
        raise MasterKeyError(
            f"this is not the master key that the keys in {database.name} are sealed with:"
            " put the right one back (a copy of the master key file, or the variable"
            " SHAKEN_KEYS__MASTER_KEY)"
        ) from error
