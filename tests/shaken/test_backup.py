"""A backup is one whole file without the master key; a restore happens whole or not at all."""

import os
import random
import resource
import shutil
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import text, update

from shaken import backup, rotation, whole_files
from shaken.backup import Backup, BackupError, Restored, back_up, restore
from shaken.home import Home, HomeError
from shaken.service import prepare
from shaken.store import HISTORY as SERVICE_HISTORY
from tests.lines import killed_before
from tests.stores import (
    BUILT_IN,
    REVISION,
    Store,
    add_request,
    fulfil,
    home_of,
    make_store,
    sign_with_all,
)
from trust.keyring import read_master_keys
from trust.keys import MasterKey
from trust.store import database as module
from trust.store import master_key
from trust.store.database import HISTORY as TRUST_HISTORY
from trust.store.database import StoreError
from trust.store.tables import certificate_requests

TENANTS = 3
NOW = 1_795_557_822  # 2026-11-24T22:03:42Z


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return make_store(tmp_path / "data", tenants=TENANTS)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the backup goes."""
    return tmp_path / "backup.sqlite"


def silent(*_: int) -> None:
    pass


def backed_up(store: Store, file: Path, *, overwrite: bool = False) -> Backup:
    return back_up(store.home, file, overwrite=overwrite, tell=silent)


def restored(home: Home, file: Path, *, force: bool = False) -> Restored:
    return restore(home, file, force=force, now=NOW, tell=silent)


def change(home: Home) -> None:
    with closing(home.open_database()) as database, database.changing():
        pass


# Backing up


def test_a_backup_is_one_private_file_and_what_it_holds_is_told(store: Store, file: Path) -> None:
    made = backed_up(store, file)

    (key,) = read_master_keys(store.home.key_file)
    contents = made.contents
    assert made.opens
    assert (contents.certificates, contents.revision, contents.keys) == (
        TENANTS + BUILT_IN,
        REVISION,
        [key.id],
    )
    assert contents.size == file.stat().st_size
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert {path.name for path in file.parent.iterdir()} == {"data", "backup.sqlite"}


def test_the_master_key_is_not_in_a_backup(store: Store, file: Path) -> None:
    backed_up(store, file)

    (key,) = read_master_keys(store.home.key_file)
    content = file.read_bytes()
    assert key.secret not in content
    assert key.to_text().encode() not in content
    assert key.secret.hex().encode() not in content.lower()


def test_what_is_there_is_not_overwritten_unless_forced(store: Store, file: Path) -> None:
    backed_up(store, file)
    before = file.read_bytes()
    change(store.home)

    with pytest.raises(BackupError, match=f"{file} exists; --force overwrites it"):
        backed_up(store, file)
    assert file.read_bytes() == before

    backed_up(store, file, overwrite=True)
    assert file.read_bytes() != before
    assert {path.name for path in file.parent.iterdir()} == {"data", "backup.sqlite"}


def test_a_file_that_appears_meanwhile_is_not_overwritten(store: Store, file: Path) -> None:
    def interfere(*_: int) -> None:
        file.write_text("another")

    with pytest.raises(BackupError, match="exists; --force"):
        back_up(store.home, file, overwrite=False, tell=interfere)

    assert file.read_text() == "another"
    assert {path.name for path in file.parent.iterdir()} == {"data", "backup.sqlite"}


def test_only_a_backup_is_overwritten_however_it_is_forced(store: Store, tmp_path: Path) -> None:
    letter = tmp_path / "letter.txt"
    letter.write_text("to my grandmother")
    wrong = [store.home.key_file, letter, store.data / "shaken.sqlite", store.data]
    before = [path.read_bytes() for path in wrong[:3]]

    for path in wrong:
        with pytest.raises(BackupError, match="name another file"):
            backed_up(store, path, overwrite=True)

    assert [path.read_bytes() for path in wrong[:3]] == before


def test_a_backup_goes_to_a_file_system_without_links(
    store: Store, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("shaken.whole_files.os.link", refuse)

    backed_up(store, file)

    assert [path.name for path in file.parent.glob("backup*")] == ["backup.sqlite"]


def test_a_folder_that_is_not_there_is_named(store: Store, tmp_path: Path) -> None:
    with pytest.raises(BackupError, match=f"no folder {tmp_path}/nowhere"):
        backed_up(store, tmp_path / "nowhere" / "backup.sqlite")


def test_without_a_database_nothing_is_made(tmp_path: Path, file: Path) -> None:
    with pytest.raises(StoreError, match="there is no database at"):
        back_up(home_of(tmp_path / "data"), file, overwrite=False, tell=silent)

    assert [*tmp_path.iterdir()] == []


def test_another_database_is_told_its_own_tool(tmp_path: Path, file: Path) -> None:
    home = home_of(tmp_path, SHAKEN_DATABASE__URL="postgresql://me:sesame@host/shaken")

    with pytest.raises(StoreError, match="pg_dump"):
        back_up(home, file, overwrite=False, tell=silent)


def test_a_copy_that_turns_out_damaged_is_not_kept(
    store: Store, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: object) -> None:
        raise StoreError("it is damaged")

    monkeypatch.setattr("shaken.backup.Database.check_whole", refuse)

    with pytest.raises(StoreError, match="damaged"):
        backed_up(store, file)

    assert {path.name for path in file.parent.iterdir()} == {"data"}


def test_a_backup_that_does_not_fit_on_the_disk_leaves_nothing(store: Store, file: Path) -> None:
    # So much that SQLite begins to write the file, and its journal, before it has all.
    with closing(sqlite3.connect(store.data / "shaken.sqlite")) as connection:
        connection.execute("CREATE TABLE much (content BLOB)")
        connection.execute("INSERT INTO much VALUES (zeroblob(20000000))")
        connection.commit()
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8_000_000, limit[1]))
    try:
        with pytest.raises(StoreError, match="cannot copy"):
            backed_up(store, file)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)

    assert {path.name for path in file.parent.iterdir()} == {"data"}


def test_a_backup_that_the_master_key_at_hand_does_not_open_is_made_all_the_same_and_said(
    store: Store, file: Path
) -> None:
    store.home.key_file.write_text(MasterKey.generate().to_text())
    assert not backed_up(store, file).opens

    store.home.key_file.unlink()
    assert not backed_up(store, file, overwrite=True).opens


def test_a_backup_of_a_half_done_rotation_tells_both_keys(store: Store, file: Path) -> None:
    made = backed_up_in_the_middle(store, file)

    keys = read_master_keys(store.home.key_file)
    assert made.contents.keys == sorted(key.id for key in keys)
    assert len(made.contents.keys) == 2


def backed_up_in_the_middle(store: Store, file: Path) -> Backup:
    """Back up a store that has changed over, and has sealed nothing anew yet."""
    rotation.begin(store.home)
    with closing(store.home.open_database()) as database, database.changing() as changing:
        master_key.rebind(changing, store.home.keys())
    return backed_up(store, file)


MODULES = [backup, whole_files, module]

STRIDE = 5
"""Every so many lines a backup or a restore is killed, from a random one on."""


def test_a_backup_that_is_killed_before_any_of_its_lines_leaves_a_whole_file_or_none(
    store: Store, file: Path
) -> None:
    for line in count(random.randrange(STRIDE), STRIDE):  # noqa: S311 - no secret
        if not killed_before(line, partial(backed_up, store, file), MODULES):
            break

        if file.exists():
            assert revision(file) == REVISION
            file.unlink()
    assert line > 5 * STRIDE
    assert revision(file) == REVISION


# Restoring


def test_a_restore_that_is_killed_before_any_of_its_lines_leaves_one_whole_database(
    store: Store, file: Path
) -> None:
    backed_up(store, file)
    for line in count(random.randrange(STRIDE), STRIDE):  # noqa: S311 - no secret
        change(store.home)
        with closing(store.home.open_database()) as database:
            before = database.revision()
        done = partial(restored, store.home, file, force=True)
        if not killed_before(line, done, MODULES):
            break

        assert revision(store.data / "shaken.sqlite") in {REVISION, before}
        sign_with_all(store, prepare(store.home.config, store.data))
        for kept in store.data.glob("*.before-restore-*"):
            kept.unlink()
    assert line > 5 * STRIDE
    assert revision(store.data / "shaken.sqlite") == REVISION


@pytest.fixture
def fresh(tmp_path: Path, store: Store) -> Home:
    """An empty folder but for the master key, for a service on another machine."""
    home = home_of(tmp_path / "fresh")
    home.folder.mkdir()
    shutil.copy(store.home.key_file, home.key_file)
    return home


def test_what_is_restored_signs_with_every_certificate(
    store: Store, file: Path, fresh: Home
) -> None:
    made = backed_up(store, file)
    change(store.home)

    done = restored(fresh, file)

    assert (done.contents, done.kept) == (made.contents, None)
    sign_with_all(store, prepare(fresh.config, fresh.folder))
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in fresh.folder.iterdir()}
    assert {modes["shaken.sqlite"], modes["master.key"]} == {0o600}
    assert stat.S_IMODE(fresh.folder.stat().st_mode) == 0o700


def test_keys_that_wait_for_certificates_are_restored_sealed_as_they_were(
    store: Store, file: Path, fresh: Home
) -> None:
    request = add_request(store)
    backed_up(store, file)
    fulfil(request, store.home)

    restored(fresh, file)

    assert fulfil(request, fresh).sealed_key is not None


def test_a_backup_whose_waiting_keys_need_a_lost_master_key_is_refused(
    store: Store, file: Path, fresh: Home
) -> None:
    request = add_request(store)
    rotation.rotate(store.home, keep_old=False, tell=silent)
    lost = MasterKey.generate()
    seal_with(lost, request.id, store.home)
    assert not backed_up(store, file).opens
    shutil.copy(store.home.key_file, fresh.key_file)

    with pytest.raises(BackupError, match=lost.id):
        restored(fresh, file)


def seal_with(lost: MasterKey, request_id: str, home: Home) -> None:
    """Seal the key of a request with a master key that is nowhere."""
    with closing(home.open_database()) as database, database.changing() as change:
        sealed = lost.seal(b"", record=f"request:{request_id}")
        change.connection.execute(update(certificate_requests).values(sealed_key=sealed))


def test_a_backup_from_before_there_were_requests_is_restored(
    store: Store, file: Path, fresh: Home
) -> None:
    backed_up(store, file)
    with closing(sqlite3.connect(file)) as connection:
        names = ("settings", "accounts", "orders", "tokens", "revocations")
        for table in (*(f"acme_{name}" for name in names), "leases"):
            connection.execute(f"DROP TABLE {table}")
        connection.execute("DROP TABLE service_keys")
        connection.execute("DROP TABLE certificate_requests")
        connection.execute("ALTER TABLE certificates DROP COLUMN claim_constraints")
        connection.execute("UPDATE trust_version SET version_num = '0003'")
        connection.commit()

    restored(fresh, file)
    sign_with_all(store, prepare(fresh.config, fresh.folder))

    fulfil(add_request(replace(store, data=fresh.folder)), fresh)


def test_a_missing_folder_is_made_when_the_key_is_in_the_settings(
    store: Store, file: Path, tmp_path: Path
) -> None:
    backed_up(store, file)
    (key,) = read_master_keys(store.home.key_file)
    home = home_of(tmp_path / "a/b", SHAKEN_KEYS__MASTER_KEY=key.to_text())

    restored(home, file)

    sign_with_all(store, prepare(home.config, home.folder))


def test_a_folder_that_holds_a_database_is_left_alone_unless_forced(
    store: Store, file: Path
) -> None:
    backed_up(store, file)
    change(store.home)

    with pytest.raises(BackupError, match=r"there is a database at .*; --force puts"):
        restored(store.home, file)
    done = restored(store.home, file, force=True)

    kept = store.data / "shaken.sqlite.before-restore-20261124T220342Z"
    assert done.kept == kept
    assert revision(kept) == done.contents.revision + 1
    assert revision(store.data / "shaken.sqlite") == done.contents.revision
    sign_with_all(store, prepare(store.home.config, store.data))


def test_no_database_that_is_kept_takes_the_place_of_another(store: Store, file: Path) -> None:
    backed_up(store, file)

    kept = [restored(store.home, file, force=True).kept for _ in range(3)]

    assert len(set(kept)) == 3
    assert [path.exists() for path in kept if path is not None] == [True] * 3


def revision(database: Path) -> int:
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return int(connection.execute("SELECT number FROM revision").fetchone()[0])


def test_a_folder_that_holds_anything_is_left_alone_unless_forced(
    store: Store, file: Path, fresh: Home
) -> None:
    backed_up(store, file)
    (fresh.folder / "letter.txt").write_text("to my grandmother")

    with pytest.raises(BackupError, match=r"is not empty: it holds letter\.txt; choose"):
        restored(fresh, file)

    assert restored(fresh, file, force=True).kept is None


@pytest.mark.parametrize("name", ["lost+found", "shaken.sqlite.restoring"])
def test_what_is_in_any_folder_or_was_left_by_a_kill_is_not_in_the_way(
    store: Store, file: Path, fresh: Home, name: str
) -> None:
    backed_up(store, file)
    (fresh.folder / name).write_text("")

    restored(fresh, file)

    assert not (fresh.folder / "shaken.sqlite.restoring").exists()


def test_a_folder_that_a_service_uses_is_left_alone_however_it_is_forced(
    store: Store, file: Path
) -> None:
    backed_up(store, file)

    with store.home.in_use(), pytest.raises(HomeError, match="a service runs on"):
        restored(store.home, file, force=True)


def test_a_database_that_is_used_from_another_folder_is_left_alone(
    store: Store, file: Path, fresh: Home
) -> None:
    backed_up(store, file)
    home = home_of(fresh.folder, SHAKEN_DATABASE__URL=store.home.database_url)
    with closing(store.home.open_database()) as database:
        assert database.revision() == REVISION  # and keeps the connection

        with pytest.raises(StoreError, match="is in use: stop the service first"):
            restored(home, file, force=True)

    assert not [*store.data.glob("*before-restore*")]


@pytest.mark.parametrize("force", [False, True])
def test_a_backup_whose_master_key_is_not_at_hand_is_refused_and_the_key_named(
    store: Store, file: Path, fresh: Home, *, force: bool
) -> None:
    backed_up(store, file)
    (needed,) = read_master_keys(store.home.key_file)
    other = MasterKey.generate()
    fresh.key_file.write_text(other.to_text())

    with pytest.raises(BackupError) as refused:
        restored(fresh, file, force=force)

    assert str(refused.value) == (
        f"{file} needs the master key {needed.id}; at hand is {other.id}."
        f" Put it into {fresh.key_file}, then restore"
    )
    assert [path.name for path in fresh.folder.iterdir()] == ["master.key"]


def test_a_missing_master_key_is_asked_for(store: Store, file: Path, fresh: Home) -> None:
    backed_up(store, file)
    fresh.key_file.unlink()

    with pytest.raises(BackupError, match=r"none is at hand\. Put it into"):
        restored(fresh, file)

    fresh.key_file.write_text("half a key")
    with pytest.raises(BackupError, match="the master key is not base64"):
        restored(fresh, file)


def test_a_backup_of_a_half_done_rotation_needs_both_keys(
    store: Store, file: Path, fresh: Home
) -> None:
    backed_up_in_the_middle(store, file)
    new, old = read_master_keys(store.home.key_file)

    for alone, force in ((new, False), (old, False), (old, True)):
        fresh.key_file.write_text(alone.to_text())
        with pytest.raises(BackupError, match="one key a line"):
            restored(fresh, file, force=force)
    fresh.key_file.write_text(f"{new.to_text()}\n{old.to_text()}\n")
    restored(fresh, file)

    sign_with_all(store, prepare(fresh.config, fresh.folder))
    rotation.rotate(fresh, keep_old=False, tell=silent)
    sign_with_all(store, prepare(fresh.config, fresh.folder))


def test_a_backup_with_some_private_keys_that_nothing_opens_is_restored_when_forced(
    store: Store, file: Path, fresh: Home
) -> None:
    backed_up_in_the_middle(store, file)
    new, _ = read_master_keys(store.home.key_file)
    fresh.key_file.write_text(new.to_text())

    restored(fresh, file, force=True)

    prepare(fresh.config, fresh.folder)


def cut_off(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])


def damaged(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[4096 * 3 : 4096 * 6] = b"\xff" * (4096 * 3)
    file.write_bytes(content)


def of_a_newer_version(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("UPDATE shaken_version SET version_num = '9999'")
        connection.commit()


def of_something_else(file: Path) -> None:
    file.unlink()
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE songs (title TEXT)")


def no_database(file: Path) -> None:
    file.write_text("to my grandmother")


def missing(file: Path) -> None:
    file.unlink()


def with_a_log(file: Path) -> None:
    file.with_name(f"{file.name}-wal").write_text("the latest changes")


MALFORMED = "^the database [^ :]*backup.sqlite failed: .* malformed|^[^ ]*backup.sqlite is damaged"

DAMAGES: dict[Callable[[Path], None], str] = {
    cut_off: f"({MALFORMED}).*; this backup is not whole: restore an older one, or take another",
    damaged: f"({MALFORMED}).*; this backup is not whole: restore an older one, or take another",
    of_a_newer_version: "not known to this version of the program",
    of_something_else: "holds no tables of this service",
    no_database: "is no backup: it does not begin as an SQLite file does",
    missing: "cannot read .*: No such file or directory",
    with_a_log: "is a database in use or a plain copy of one",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_file_that_is_no_good_backup_is_refused_and_the_folder_left_as_it_was(
    store: Store, file: Path, damage: Callable[[Path], None]
) -> None:
    backed_up(store, file)
    damage(file)
    before = {path.name: path.read_bytes() for path in store.data.iterdir()}

    with pytest.raises((BackupError, StoreError), match=DAMAGES[damage]) as refused:
        restored(store.home, file, force=True)

    assert str(file) in str(refused.value)
    assert {path.name: path.read_bytes() for path in store.data.iterdir()} == before


NEXT_MIGRATION = """
from alembic import op

revision = "9999"
down_revision = "0008"

def upgrade() -> None:
    op.execute("CREATE TABLE of_the_next_version (id INTEGER)")
"""


def test_a_backup_of_an_older_version_is_restored_and_migrated_at_the_next_start(
    store: Store, file: Path, fresh: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backed_up(store, file)
    shutil.copytree(TRUST_HISTORY.folder, tmp_path / "migrations")
    (tmp_path / "migrations/versions/v9999.py").write_text(NEXT_MIGRATION)
    histories = (replace(TRUST_HISTORY, folder=tmp_path / "migrations"), SERVICE_HISTORY)
    for user in ("shaken.backup", "shaken.service"):
        monkeypatch.setattr(f"{user}.HISTORIES", histories)

    restored(fresh, file)
    sign_with_all(store, prepare(fresh.config, fresh.folder))

    with closing(fresh.open_database()) as database, database.reading() as connection:
        assert connection.execute(text("SELECT * FROM of_the_next_version")).all() == []


def test_a_backup_made_with_another_tool_is_restored_too(
    store: Store, file: Path, fresh: Home
) -> None:
    with (
        closing(sqlite3.connect(store.data / "shaken.sqlite")) as source,
        closing(sqlite3.connect(file)) as copy,
    ):
        source.backup(copy)
    file.chmod(0o400)

    restored(fresh, file)

    assert revision(fresh.folder / "shaken.sqlite") == REVISION
    assert stat.S_IMODE((fresh.folder / "shaken.sqlite").stat().st_mode) == 0o600


def test_what_is_restored_belongs_to_the_owner_of_the_folder(
    store: Store, file: Path, fresh: Home
) -> None:
    # Only root may give files away; anybody else's stay its own.
    owner = (10001, 10002) if os.geteuid() == 0 else (os.geteuid(), os.getegid())
    backed_up(store, file)
    os.chown(fresh.folder, *owner)

    restored(fresh, file)

    placed = (fresh.folder / "shaken.sqlite").stat()
    assert (placed.st_uid, placed.st_gid) == owner
