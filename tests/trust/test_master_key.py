"""Whether a master key is the one that a store's keys are sealed with."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from trust.keys import MasterKey, MasterKeyError
from trust.store import master_key
from trust.store.database import HISTORY, Database, StoreError


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(f"sqlite:///{tmp_path}/store.sqlite")
    opened.migrate([HISTORY])
    yield opened
    opened.close()


@pytest.fixture
def master(database: Database) -> MasterKey:
    """The key that the store is bound to."""
    key = MasterKey.generate()
    with database.changing() as change:
        master_key.bind(change, key)
    return key


def test_a_new_store_belongs_to_no_key(database: Database) -> None:
    assert not master_key.is_bound(database)


def test_the_key_that_a_store_is_bound_to_fits(database: Database, master: MasterKey) -> None:
    assert master_key.is_bound(database)

    master_key.check(database, master)


def test_another_key_is_refused_with_the_way_out(database: Database, master: MasterKey) -> None:
    with pytest.raises(MasterKeyError, match="put the right one back") as refused:
        master_key.check(database, MasterKey.generate())

    assert database.name in str(refused.value)
    assert master.to_text() not in str(refused.value)


def test_a_store_is_bound_once(database: Database, master: MasterKey) -> None:
    with pytest.raises(StoreError), database.changing() as change:
        master_key.bind(change, MasterKey.generate())

    master_key.check(database, master)


def test_the_store_holds_nothing_of_the_key(
    database: Database, master: MasterKey, tmp_path: Path
) -> None:
    database.close()

    stored = b"".join(file.read_bytes() for file in tmp_path.iterdir())

    assert stored
    assert master.secret not in stored
    assert master.to_text().encode() not in stored
