"""An embedded database is copied while it is used, looked through, and put in another's place."""

import sqlite3
import stat
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert, select, text

from trust.store import database as module
from trust.store import tables
from trust.store.database import (
    HISTORY,
    Database,
    StoreError,
    embedded_file,
    embedded_url,
    is_missing,
    resting,
    take_place,
)

FILL = """
INSERT INTO pairs
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
SELECT i, i, zeroblob(2000) FROM n
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "store.sqlite"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return tmp_path / "copy.sqlite"


@pytest.fixture
def database(file: Path) -> Iterator[Database]:
    """A store with some rows in it."""
    opened = Database(f"sqlite:///{file}")
    opened.migrate([HISTORY])
    with opened.recording() as connection:
        connection.execute(text("CREATE TABLE pairs (one INTEGER, two INTEGER, filling BLOB)"))
        connection.execute(text(FILL))
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Copy in several steps though there is not much to copy."""
    monkeypatch.setattr(module, "_COPY_PAGES", 100)


def silent(*_: int) -> None:
    pass


def rows(file: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute(query).fetchall()


# Copying


def test_a_copy_is_one_private_file_that_holds_everything(database: Database, copy: Path) -> None:
    database.copy_to(copy, tell=silent)

    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert rows(copy, "SELECT count(*), sum(one) FROM pairs") == [(1000, 1000 * 1001 // 2)]
    assert rows(copy, "PRAGMA journal_mode") == [("delete",)]
    assert {path.name for path in copy.parent.glob("copy*")} == {"copy.sqlite"}


def test_a_copy_is_one_state_however_much_is_written_meanwhile(
    database: Database, copy: Path
) -> None:
    over = threading.Event()

    def change_often() -> None:
        while not over.is_set():
            with database.recording() as connection:
                connection.execute(text("UPDATE pairs SET one = one + 1 WHERE rowid = 1"))
                connection.execute(text("UPDATE pairs SET two = two + 1 WHERE rowid = 1000"))

    writing = threading.Thread(target=change_often)
    writing.start()
    steps: list[tuple[int, int]] = []

    database.copy_to(copy, tell=lambda *step: steps.append(step))

    over.set()
    writing.join()
    ((first,),) = rows(copy, "SELECT one FROM pairs WHERE rowid = 1")
    ((last,),) = rows(copy, "SELECT two FROM pairs WHERE rowid = 1000")
    assert first == last - 999
    # It went straight through, and began anew for nobody.
    assert steps == sorted(steps)
    assert len(steps) == -(-steps[-1][1] // module._COPY_PAGES)


def test_a_writer_does_not_wait_for_the_copy(database: Database, copy: Path) -> None:
    written = []

    def write(done: int, pages: int) -> None:
        if done < pages:
            with database.changing() as change:
                written.append(change.revision)

    database.copy_to(copy, tell=write)

    assert len(written) > 1
    assert rows(copy, "SELECT number FROM revision") == [(0,)]
    assert database.revision() == len(written)


def test_it_tells_how_far_it_is(database: Database, copy: Path) -> None:
    steps: list[tuple[int, int]] = []

    database.copy_to(copy, tell=lambda *step: steps.append(step))

    assert steps[0][0] == module._COPY_PAGES
    assert steps[-1] == (copy.stat().st_size // 4096,) * 2


def test_a_copy_never_takes_the_place_of_a_file(database: Database, copy: Path) -> None:
    copy.write_text("what was there")

    with pytest.raises(FileExistsError):
        database.copy_to(copy, tell=silent)

    assert copy.read_text() == "what was there"


def test_a_copy_that_does_not_fit_on_the_disk_is_said(
    database: Database, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = sqlite3.connect

    def small(path: Path) -> sqlite3.Connection:
        connection = connect(path)
        connection.execute("PRAGMA max_page_count = 100")
        return connection

    monkeypatch.setattr("trust.store.database.sqlite3.connect", small)

    with pytest.raises(StoreError, match=f"cannot copy .* to {copy}: database or disk is full"):
        database.copy_to(copy, tell=silent)


@pytest.mark.parametrize(
    ("url", "tool"),
    [
        ("postgresql://me:sesame@host/shaken", "pg_dump"),
        ("postgresql+psycopg://me:sesame@host/shaken", "pg_dump"),
        ("mysql+pymysql://me:sesame@host/shaken", "mysqldump"),
        ("mariadb://me:sesame@host/shaken", "mariadb-dump"),
        ("oracle://me:sesame@host/shaken", "the database's own tool"),
        ("sqlite://", "the database's own tool"),
    ],
)
def test_another_dialect_is_told_its_own_tool(url: str, tool: str) -> None:
    with pytest.raises(StoreError, match=f"copy it and put it back with {tool}") as refused:
        embedded_file(url)

    assert "sesame" not in str(refused.value)


def test_the_file_of_an_embedded_database_is_found(file: Path) -> None:
    assert embedded_file(f"sqlite:///{file}") == file


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=40))
def test_a_url_names_its_file_whatever_the_file_is_called(name: str) -> None:
    file = Path("/var/lib") / name

    assert embedded_file(embedded_url(file)) == file


def test_only_an_embedded_database_can_be_missing(file: Path) -> None:
    assert is_missing(f"sqlite:///{file}")
    assert not is_missing("postgresql://me:sesame@host/shaken")
    file.touch()
    assert not is_missing(f"sqlite:///{file}")


def test_only_an_embedded_database_belongs_to_one_machine(database: Database) -> None:
    assert not database.shared
    database._embedded = False
    assert database.shared


# At rest


@pytest.mark.parametrize("name", ["copy.sqlite", "50% of [all]? #1.sqlite", "é è.sqlite"])
def test_a_file_at_rest_is_read_and_nothing_is_made_beside_it(
    database: Database, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / "read-only"
    folder.mkdir()
    database.copy_to(folder / name, tell=silent)
    before = (folder / name).read_bytes()

    with closing(Database(resting(folder / name))) as copied:
        assert copied.revision() == 0
        copied.check_whole()
        copied.check_known([HISTORY])

    assert [path.name for path in folder.iterdir()] == [name]
    assert (folder / name).read_bytes() == before


def test_a_file_at_rest_cannot_be_changed(database: Database, copy: Path) -> None:
    database.copy_to(copy, tell=silent)

    with (
        closing(Database(resting(copy))) as copied,
        pytest.raises(StoreError, match="readonly"),
        copied.changing(),
    ):
        pass


def test_a_file_at_rest_that_is_in_the_mode_of_a_running_service_is_read_too(
    database: Database, copy: Path
) -> None:
    database.copy_to(copy, tell=silent)
    assert rows(copy, "PRAGMA journal_mode=WAL") == [("wal",)]

    with closing(Database(resting(copy))) as copied:
        assert copied.revision() == 0


def test_errors_call_a_database_by_the_name_it_was_given(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/empty.sqlite"
    said = r"^the database the backup failed: no such table"
    with closing(Database(url, name="the backup")) as opened, pytest.raises(StoreError, match=said):
        opened.revision()


# Looking through

DAMAGED = "^(it is damaged|the database it failed)"


def test_a_whole_database_is_found_whole(database: Database) -> None:
    database.check_whole()


def test_a_damaged_page_is_found(database: Database, copy: Path) -> None:
    database.copy_to(copy, tell=silent)
    content = bytearray(copy.read_bytes())
    content[4096 * 100 : 4096 * 101] = b"\xff" * 4096
    copy.write_bytes(content)

    with (
        closing(Database(resting(copy), name="it")) as it,
        pytest.raises(StoreError, match=DAMAGED),
    ):
        it.check_whole()


def test_a_database_that_was_cut_off_is_found(database: Database, copy: Path) -> None:
    database.copy_to(copy, tell=silent)
    content = copy.read_bytes()
    copy.write_bytes(content[: len(content) // 2])

    with (
        closing(Database(resting(copy), name="it")) as it,
        pytest.raises(StoreError, match=DAMAGED),
    ):
        it.check_whole()


def test_a_row_that_refers_to_nothing_is_found(database: Database) -> None:
    with closing(sqlite3.connect(embedded_file(str(database._engine.url)))) as connection:
        connection.execute("CREATE TABLE child (parent INTEGER REFERENCES revision (id))")
        connection.execute("INSERT INTO child VALUES (7)")
        connection.commit()

    with pytest.raises(StoreError, match="is damaged: foreign_key_check"):
        database.check_whole()


def test_migrations_of_this_version_are_known(database: Database) -> None:
    database.check_known([HISTORY])


def test_migrations_of_a_newer_version_are_not(database: Database) -> None:
    with database.recording() as connection:
        connection.execute(text("UPDATE trust_version SET version_num = '9999'"))

    with pytest.raises(StoreError, match="not known to this version of the program; a newer one"):
        database.check_known([HISTORY])


def test_a_database_of_something_else_is_none_of_this_service(tmp_path: Path) -> None:
    with closing(Database(f"sqlite:///{tmp_path}/other.sqlite", name="it")) as other:
        with other.recording() as connection:
            connection.execute(text("CREATE TABLE songs (title TEXT)"))

        with pytest.raises(StoreError, match="it holds no tables of this service"):
            other.check_known([HISTORY])


# Taking another's place


@pytest.fixture
def finished(database: Database, tmp_path: Path) -> Path:
    """A copy that is ready to take the database's place; the database has changed since."""
    database.copy_to(tmp_path / "finished", tell=silent)
    with database.changing():
        pass
    return tmp_path / "finished"


def test_a_copy_takes_the_place_of_the_database_which_is_kept_whole(
    database: Database, finished: Path, file: Path, tmp_path: Path
) -> None:
    database.close()
    kept = tmp_path / "kept"

    take_place(finished, file, kept=kept)

    assert rows(file, "SELECT number FROM revision") == [(0,)]
    assert rows(kept, "SELECT number FROM revision") == [(1,)]
    assert rows(kept, "PRAGMA integrity_check") == [("ok",)]
    assert not finished.exists()


def test_changes_that_were_only_in_the_log_are_kept_too(
    finished: Path, file: Path, tmp_path: Path, database: Database
) -> None:
    # As a killed service leaves it: its latest changes are in the log only.
    left = tmp_path / "left"
    left.mkdir()
    for path in file.parent.glob("store.sqlite*"):
        (left / path.name).write_bytes(path.read_bytes())
    assert (left / "store.sqlite-wal").stat().st_size

    take_place(finished, left / "store.sqlite", kept=left / "kept")

    assert rows(left / "kept", "SELECT number FROM revision") == [(1,)]
    assert rows(left / "store.sqlite", "SELECT number FROM revision") == [(0,)]
    assert database.revision() == 1


def test_a_database_that_somebody_has_open_is_left_alone(
    database: Database, finished: Path, file: Path, tmp_path: Path
) -> None:
    assert database.revision() == 1  # and keeps the connection

    with pytest.raises(StoreError, match="is in use: stop the service first"):
        take_place(finished, file, kept=tmp_path / "kept")

    assert not (tmp_path / "kept").exists()
    assert database.revision() == 1


def test_a_damaged_database_is_kept_with_its_log_and_the_new_one_does_not_meet_it(
    finished: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "damaged"
    folder.mkdir()
    file = folder / "store.sqlite"
    file.write_bytes(b"no database" * 1000)
    (folder / "store.sqlite-wal").write_bytes(b"its log")
    (folder / "store.sqlite-shm").write_bytes(b"its index")

    take_place(finished, file, kept=folder / "kept")

    assert rows(file, "SELECT number FROM revision") == [(0,)]
    assert (folder / "kept").read_bytes() == b"no database" * 1000
    assert (folder / "kept-wal").read_bytes() == b"its log"


def test_a_log_without_its_database_does_not_meet_the_new_one(
    database: Database, finished: Path, file: Path, tmp_path: Path
) -> None:
    with database.changing() as change:
        change.connection.execute(insert(tables.master_key_check), {"id": 1, "sealed": b"x"})
    folder = tmp_path / "half"
    folder.mkdir()
    (folder / "store.sqlite-wal").write_bytes(file.with_name("store.sqlite-wal").read_bytes())

    take_place(finished, folder / "store.sqlite", kept=folder / "kept")

    with closing(Database(f"sqlite:///{folder}/store.sqlite")) as placed:
        placed.check_whole()
        assert placed.revision() == 0
        with placed.reading() as connection:
            assert connection.execute(select(tables.master_key_check)).all() == []


def test_a_copy_takes_a_free_place(finished: Path, tmp_path: Path) -> None:
    take_place(finished, tmp_path / "free", kept=tmp_path / "kept")

    assert rows(tmp_path / "free", "SELECT number FROM revision") == [(0,)]
    assert not (tmp_path / "kept").exists()
