"""A store changes over to another master key, step by step."""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import LargeBinary, select, update

from shaken.store import tables as service_tables
from trust.certificate import CertificateKind, Source
from trust.keyring import KeyRing
from trust.keys import MASTER_KEY_BYTES, MasterKey, MasterKeyError, SealError
from trust.store import certificates, master_key, rotation, tables
from trust.store.certificates import StoredCertificate
from trust.store.database import HISTORY, Database
from trust.store.rotation import check_done, reseal
from trust.store.sealed import SAMPLES, SEALED, named_keys, not_at_hand

OLD, NEW, LOST = (MasterKey(bytes([number]) * MASTER_KEY_BYTES) for number in (1, 2, 3))
BOTH = KeyRing(lambda: [NEW, OLD])
SECRET = b"what is sealed"

ROW = StoredCertificate(
    id="",
    kind=CertificateKind.STI,
    names=(),
    subject="CN=SHAKEN 1234",
    issuer="CN=Lab STI-CA",
    serial="1f",
    not_before=1_000,
    not_after=2_000,
    tenant=None,
    tn_auth_list=None,
    x5u=None,
    source=Source.UPLOADED,
    sealed_key=None,
    stored_at=1_500,
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "store.sqlite"


@pytest.fixture
def database(file: Path) -> Iterator[Database]:
    """A store that is bound to the old key."""
    opened = Database(f"sqlite:///{file}")
    opened.migrate([HISTORY])
    with opened.changing() as change:
        master_key.bind(change, OLD)
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the pauses between batches."""
    monkeypatch.setattr(rotation, "PAUSE_SECONDS", 0)


def put(database: Database, name: str, sealed: bytes | None) -> None:
    with database.changing() as change:
        row = replace(ROW, id=name, sealed_key=sealed)
        certificates.add(change, row, chain=f"chain of {name}")


def put_sealed(database: Database, count: int, master: MasterKey = OLD) -> list[str]:
    """Store certificates whose keys are sealed with a master key."""
    names = [f"{master.id}-{number:04}" for number in range(count)]
    with database.changing() as change:
        for name in names:
            row = replace(ROW, id=name, sealed_key=master.seal(SECRET, record=name))
            certificates.add(change, row, chain=f"chain of {name}")
    return names


def sealed(database: Database) -> dict[str, bytes | None]:
    with database.reading() as connection:
        return dict(connection.execute(select(tables.certificates.c.id, SEALED[0].value)).all())


def counts(database: Database) -> dict[str | None, int]:
    with database.reading() as connection:
        return dict(named_keys(connection))


def silent(*_: int) -> None:
    pass


# Every sealed column takes part


def test_every_column_that_holds_something_sealed_is_listed() -> None:
    # A column that is not would stay under the former key, which is then thrown away.
    metadatas = (tables.metadata, service_tables.metadata)
    found = {
        column
        for metadata in metadatas
        for table in metadata.tables.values()
        for column in table.columns
        if isinstance(column.type, LargeBinary) and "sealed" in column.name
    }

    assert found == {column.value for column in SEALED} | {tables.master_key_check.c.sealed}


def test_every_table_with_something_sealed_is_read_anew_when_it_changes() -> None:
    assert all("revision" in column.value.table.columns for column in SEALED)
    assert all(column.value.table is column.record.table for column in SEALED)


# The store says which key is current


def test_what_is_sealed_for_a_store_is_sealed_with_the_key_it_is_bound_to(
    database: Database,
) -> None:
    with database.changing() as change:
        assert master_key.bound_to(change.connection, BOTH) == OLD
        master_key.rebind(change, BOTH)
        assert master_key.bound_to(change.connection, BOTH) == NEW


def test_a_worker_that_has_not_got_the_current_key_seals_nothing(database: Database) -> None:
    with database.changing() as change:
        master_key.rebind(change, BOTH)

    with database.changing() as change, pytest.raises(MasterKeyError, match=NEW.id):
        master_key.bound_to(change.connection, OLD)


def test_a_store_that_is_bound_to_nothing_takes_the_current_key(tmp_path: Path) -> None:
    with closing(Database(f"sqlite:///{tmp_path}/new.sqlite")) as fresh:
        fresh.migrate([HISTORY])

        with fresh.changing() as change:
            assert master_key.bound_to(change.connection, BOTH) == NEW


def test_a_store_changes_over_only_with_its_present_key_at_hand(database: Database) -> None:
    with database.changing() as change, pytest.raises(MasterKeyError, match=OLD.id):
        master_key.rebind(change, NEW)

    master_key.check(database, OLD)


def test_the_key_that_a_store_needs_is_named(database: Database) -> None:
    with pytest.raises(MasterKeyError, match=rf"sealed with \({OLD.id}\): put the right one back"):
        master_key.check(database, NEW)


def test_a_damaged_check_is_refused_like_a_wrong_key(database: Database) -> None:
    with database.recording() as connection:
        connection.execute(update(tables.master_key_check).values(sealed=b"\xff"))

    with pytest.raises(MasterKeyError, match="sealed with: put the right one back"):
        master_key.check(database, OLD)


def in_version_1(record: str, plaintext: bytes) -> bytes:
    """Seal with the old key as the first version did, which named no key."""
    box = AESGCM(OLD.secret).encrypt(bytes(12), plaintext, b"shaken sealed key\0" + record.encode())
    return b"\x01" + bytes(12) + box


@pytest.fixture
def of_version_1(database: Database) -> Database:
    """A store as the first version left it: nothing names its master key."""
    check = in_version_1("master-key-check", b"this master key fits")
    with database.recording() as connection:
        connection.execute(update(tables.master_key_check).values(sealed=check))
    put(database, "a", in_version_1("a", SECRET))
    return database


def test_a_store_of_version_1_is_used_as_it_is(of_version_1: Database) -> None:
    master_key.check(of_version_1, BOTH)

    with of_version_1.changing() as change:
        assert master_key.bound_to(change.connection, BOTH) == OLD
        assert master_key.named_by_store(change.connection) is None
    assert counts(of_version_1) == {None: 1}
    with pytest.raises(MasterKeyError, match="sealed with: put the right one back"):
        master_key.check(of_version_1, NEW)


def test_a_store_of_version_1_changes_over(of_version_1: Database) -> None:
    assert reseal(of_version_1, BOTH, tell=silent).count == 1

    check_done(of_version_1, NEW)
    master_key.check(of_version_1, NEW)
    assert NEW.unseal(sealed(of_version_1)["a"] or b"", record="a") == SECRET


def test_a_value_that_names_no_key_keeps_the_former_one_needed(of_version_1: Database) -> None:
    with of_version_1.changing() as change:
        master_key.rebind(change, BOTH)

    with pytest.raises(MasterKeyError, match="an unnamed one"):
        check_done(of_version_1, NEW)


# Sealing anew


@pytest.mark.parametrize("number", [0, 1, rotation.BATCH - 1, rotation.BATCH, rotation.BATCH + 1])
def test_everything_is_sealed_anew(database: Database, number: int) -> None:
    names = put_sealed(database, number)

    done = reseal(database, BOTH, tell=silent)

    assert (done.count, done.unopened) == (number, ())
    found = sealed(database)
    assert [NEW.unseal(found[name] or b"", record=name) for name in names] == [SECRET] * number
    master_key.check(database, NEW)
    check_done(database, NEW)


def test_the_former_key_opens_nothing_afterwards(database: Database) -> None:
    put_sealed(database, 3)

    reseal(database, BOTH, tell=silent)

    for name, value in sealed(database).items():
        with pytest.raises(SealError):
            OLD.unseal(value or b"", record=name)
    with pytest.raises(MasterKeyError):
        master_key.check(database, OLD)


def test_nothing_that_the_former_key_opened_is_left_in_the_files(
    database: Database, file: Path
) -> None:
    put_sealed(database, rotation.BATCH)
    name = bytes.fromhex(OLD.id)
    assert name in contents(file)

    reseal(database, BOTH, tell=silent)
    database.settle()

    # Whoever finds the former key and the files later finds nothing to open.
    assert name not in contents(file)
    assert bytes.fromhex(NEW.id) in contents(file)


def contents(file: Path) -> bytes:
    return b"".join(path.read_bytes() for path in file.parent.iterdir())


def test_rows_without_a_key_are_left_alone(database: Database) -> None:
    put(database, "bare", None)
    put_sealed(database, 1)

    assert reseal(database, BOTH, tell=silent).count == 1

    assert sealed(database)["bare"] is None


def test_rows_that_change_carry_a_new_revision_and_others_do_not(database: Database) -> None:
    (old,), (new,) = put_sealed(database, 1), put_sealed(database, 1, NEW)
    before = revisions(database)

    reseal(database, BOTH, tell=silent)

    after = revisions(database)
    assert after[new] == before[new]
    assert after[old] > max(before.values())
    assert database.revision() >= after[old]


def revisions(database: Database) -> dict[str, int]:
    with database.reading() as connection:
        columns = (tables.certificates.c.id, tables.certificates.c.revision)
        return dict(connection.execute(select(*columns)).all())


def test_each_batch_has_its_own_transaction(database: Database) -> None:
    put_sealed(database, 2 * rotation.BATCH)

    reseal(database, BOTH, tell=silent)

    assert len(set(revisions(database).values())) == 2


def test_sealing_anew_again_changes_nothing(database: Database) -> None:
    put_sealed(database, 3)
    reseal(database, BOTH, tell=silent)
    before = sealed(database)

    assert reseal(database, BOTH, tell=silent).count == 0

    assert sealed(database) == before


def test_it_tells_how_far_it_is(database: Database) -> None:
    put_sealed(database, rotation.BATCH + 1)
    told = []

    reseal(database, BOTH, tell=lambda *numbers: told.append(numbers))

    assert told == [(rotation.BATCH, rotation.BATCH + 1), (rotation.BATCH + 1, rotation.BATCH + 1)]


def test_it_stops_at_any_batch_and_goes_on_from_there(database: Database) -> None:
    names = put_sealed(database, 3 * rotation.BATCH)

    class Killed(Exception):  # noqa: N818 - what happens in the middle
        pass

    def kill(seen: int, _: int) -> None:
        if seen == 2 * rotation.BATCH:
            raise Killed

    with pytest.raises(Killed):
        reseal(database, BOTH, tell=kill)

    assert counts(database) == {NEW.id: 2 * rotation.BATCH, OLD.id: rotation.BATCH}
    assert [BOTH.unseal(value or b"", record=name) for name, value in sealed(database).items()] == [
        SECRET
    ] * len(names)
    with pytest.raises(MasterKeyError, match=f"sealed with {OLD.id}"):
        check_done(database, NEW)
    assert reseal(database, BOTH, tell=silent).count == rotation.BATCH
    check_done(database, NEW)


def test_what_is_stored_meanwhile_is_sealed_with_the_new_key(database: Database) -> None:
    put_sealed(database, 3 * rotation.BATCH)
    content = [[OLD]]
    worker = KeyRing(lambda: content[0])
    over = threading.Event()

    def store_until_it_is_over() -> None:
        for number in count():
            name = f"{number % 16:x}-{number}"  # somewhere among the others
            with database.changing() as change:
                current = master_key.bound_to(change.connection, worker)
                row = replace(ROW, id=name, sealed_key=current.seal(SECRET, record=name))
                certificates.add(change, row, chain="")
            # SQLite's lock is not fair: without a pause the others would hardly get it.
            if over.wait(0.005):
                return

    with ThreadPoolExecutor(1) as pool:
        stored = pool.submit(store_until_it_is_over)
        for _ in wait_until(lambda: len(sealed(database)) > 3 * rotation.BATCH + 10):
            pass
        content[0] = [NEW, OLD]
        done = reseal(database, BOTH, tell=lambda *_: time.sleep(0.02))
        over.set()
        stored.result()

    assert done.count > 3 * rotation.BATCH + 10
    assert counts(database).keys() == {NEW.id}
    check_done(database, NEW)


def wait_until(happened: Callable[[], bool]) -> Iterator[None]:
    while not happened():
        yield
        time.sleep(0.005)


def test_another_rotation_that_overtakes_ends_this_one(database: Database) -> None:
    put_sealed(database, 2 * rotation.BATCH)
    third = MasterKey(bytes([4]) * MASTER_KEY_BYTES)
    all_three = KeyRing(lambda: [third, NEW, OLD])
    keys = KeyRing(lambda: [NEW, OLD, third])

    def overtake(*_: int) -> None:
        with database.changing() as change:
            master_key.rebind(change, all_three)

    with pytest.raises(MasterKeyError, match=f"another key, {third.id}: another rotation runs"):
        reseal(database, keys, tell=overtake)

    master_key.check(database, third)


# What opens under no key at hand


def test_what_opens_under_no_key_is_named_and_left_as_it_is(database: Database) -> None:
    put_sealed(database, 1)
    (lost,) = put_sealed(database, 1, LOST)
    put(database, "broken", b"\xff")
    before = sealed(database)

    done = reseal(database, BOTH, tell=silent)

    assert (done.count, set(done.unopened)) == (1, {lost, "broken"})
    after = sealed(database)
    assert (after[lost], after["broken"]) == (before[lost], before["broken"])
    with pytest.raises(MasterKeyError, match=LOST.id):
        check_done(database, NEW)


def test_values_whose_key_is_not_at_hand_are_counted_by_its_name(database: Database) -> None:
    put_sealed(database, 2)
    put_sealed(database, 3, LOST)
    put(database, "unnamed", in_version_1("unnamed", SECRET))

    with database.reading() as connection:
        assert not_at_hand(connection, KeyRing(lambda: [OLD, LOST])) == {}
        assert not_at_hand(connection, OLD) == {LOST.id: 3}
        assert not_at_hand(connection, NEW) == {OLD.id: 2, LOST.id: 3, None: 1}


def test_a_damaged_value_says_nothing_of_its_key(database: Database) -> None:
    names = put_sealed(database, SAMPLES)
    put(database, "broken", b"\xff")
    damage(database, names[: SAMPLES - 1])

    with database.reading() as connection:
        assert not_at_hand(connection, OLD) == {}


def damage(database: Database, names: list[str]) -> None:
    with database.recording() as connection:
        for name in names:
            value = OLD.seal(SECRET, record="another")
            where = tables.certificates.c.id == name
            connection.execute(update(tables.certificates).where(where).values(sealed_key=value))


def test_the_files_of_a_store_are_emptied_of_what_is_removed(
    database: Database, file: Path
) -> None:
    names = put_sealed(database, 50)
    assert bytes.fromhex(OLD.id) in contents(file)

    for name in names:
        with database.changing() as change:
            certificates.remove(change, name)
    with database.changing() as change:
        master_key.rebind(change, BOTH)
    database.settle()

    assert file.with_name(f"{file.name}-wal").stat().st_size == 0
    assert bytes.fromhex(OLD.id) not in contents(file)
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
