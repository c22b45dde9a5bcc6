"""The way into the database: transactions, revisions, migrations, and what SQLite is told."""

import re
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, delete, insert, inspect, select, text
from sqlalchemy.exc import IntegrityError

from trust.store import tables
from trust.store.database import HISTORY, Change, Database, History, StoreError
from trust.store.failure import Failure


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "store.sqlite"


@pytest.fixture
def database(file: Path) -> Iterator[Database]:
    opened = Database(f"sqlite:///{file}")
    opened.migrate([HISTORY])
    yield opened
    opened.close()


def write(change: Change) -> None:
    write_row(change.connection)


def write_row(connection: Connection) -> None:
    connection.execute(insert(tables.master_key_check), {"id": 1, "sealed": b"x"})


def is_written(database: Database) -> bool:
    with database.reading() as connection:
        return bool(connection.execute(select(tables.master_key_check)).all())


# Changes


def test_a_new_store_is_at_revision_0(database: Database) -> None:
    assert database.revision() == 0


def test_a_change_happens_together_with_a_new_revision(database: Database) -> None:
    with database.changing() as change:
        write(change)

    assert change.revision == database.revision() == 1
    assert is_written(database)


def test_each_change_has_the_next_revision(database: Database) -> None:
    revisions = []
    for _ in range(3):
        with database.changing() as change:
            revisions.append(change.revision)

    assert revisions == [1, 2, 3]


class Interrupted(Exception):  # noqa: N818 - what happens in the middle of a change
    pass


def test_a_change_that_fails_leaves_nothing_behind(database: Database) -> None:
    def fail() -> None:
        with database.changing() as change:
            write(change)
            raise Interrupted

    with pytest.raises(Interrupted):
        fail()

    assert database.revision() == 0
    assert not is_written(database)


def test_a_change_that_breaks_a_rule_of_the_database_leaves_nothing_behind(
    database: Database,
) -> None:
    def write_twice() -> None:
        with database.changing() as change:
            write(change)
            write(change)

    with pytest.raises(StoreError):
        write_twice()

    assert database.revision() == 0
    assert not is_written(database)


def test_a_change_may_catch_a_broken_rule_and_go_on(database: Database) -> None:
    with database.changing() as change:
        write(change)
        with suppress(IntegrityError):
            write(change)

    assert database.revision() == 1
    assert is_written(database)


def test_recording_is_written_without_a_new_revision(database: Database) -> None:
    with database.recording() as connection:
        write_row(connection)

    assert database.revision() == 0
    assert is_written(database)


def test_reading_raises_no_revision(database: Database) -> None:
    with database.reading() as connection:
        connection.execute(select(tables.certificates)).all()

    assert database.revision() == 0


def test_a_reader_sees_one_state_however_long_it_reads(database: Database) -> None:
    query = select(tables.revision.c.number)
    with database.reading() as connection:
        before = connection.execute(query).scalar_one()
        with database.changing():
            pass
        during = connection.execute(query).scalar_one()

    assert (before, during, database.revision()) == (0, 0, 1)


def test_what_is_not_finished_is_seen_by_nobody(database: Database) -> None:
    with database.changing() as change:
        write(change)

        assert database.revision() == 0
        assert not is_written(database)


def test_a_closed_database_opens_again_when_used(database: Database) -> None:
    database.close()

    assert database.revision() == 0


# Writing at once


def test_threads_that_write_at_once_all_succeed(database: Database) -> None:
    together = threading.Barrier(4)

    def change_often() -> list[int]:
        together.wait()
        revisions = []
        for _ in range(10):
            with database.changing() as change:
                revisions.append(change.revision)
        return revisions

    with ThreadPoolExecutor(4) as pool:
        found = [pool.submit(change_often) for _ in range(4)]

    assert sorted(number for each in found for number in each.result()) == [*range(1, 41)]
    assert database.revision() == 40


def test_a_writer_waits_for_the_one_before(database: Database) -> None:
    def change_once() -> int:
        with database.changing() as change:
            return change.revision

    with ThreadPoolExecutor(1) as pool, database.changing() as first:
        second = pool.submit(change_once)

        assert first.revision == 1
        assert not second.done()

    assert second.result() == 2


PROCESS = """
import sys
from trust.store.database import HISTORY, Database

database = Database(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
database.migrate([HISTORY])
for _ in range(20):
    with database.changing():
        pass
"""


def test_processes_that_migrate_and_write_at_once_all_succeed(file: Path) -> None:
    url = f"sqlite:///{file}"
    with ExitStack() as stack:
        processes = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", PROCESS, url],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
            for _ in range(3)
        ]
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        ends = [process.communicate(timeout=50) for process in processes]

    assert [errors for _, errors in ends] == ["", "", ""]
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert Database(url).revision() == 60


def test_a_writer_that_waits_too_long_is_told_that_the_database_is_locked(
    file: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trust.store.database.BUSY_TIMEOUT_SECONDS", 0.01)
    impatient = Database(f"sqlite:///{file}")

    with (
        database.changing(),
        pytest.raises(StoreError, match="database is locked"),
        impatient.changing(),
    ):
        pass

    impatient.close()


def test_a_disk_that_is_full_is_told_apart_from_a_database_that_is_busy(
    database: Database,
) -> None:
    def write_much() -> None:
        with database.changing() as change:
            change.connection.exec_driver_sql("PRAGMA max_page_count = 1")  # as many as there are
            change.connection.exec_driver_sql("CREATE TABLE much (content BLOB)")
            change.connection.exec_driver_sql("INSERT INTO much VALUES (zeroblob(1000000))")

    with pytest.raises(StoreError, match="full") as failed:
        write_much()
    assert failed.value.failure is Failure.FULL


# SQLite


@pytest.mark.parametrize(
    ("pragma", "value"),
    [
        ("journal_mode", "wal"),
        ("synchronous", 2),  # FULL: what is answered survives a power cut
        ("foreign_keys", 1),
        ("busy_timeout", 15_000),
    ],
)
def test_every_connection_is_set_up(database: Database, pragma: str, value: object) -> None:
    with database.reading() as first, database.reading() as second, database.reading() as third:
        for connection in (first, second, third):
            assert connection.execute(text(f"PRAGMA {pragma}")).scalar_one() == value


def test_the_files_are_for_their_owner_only(database: Database, file: Path) -> None:
    with database.changing():
        pass

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in file.parent.iterdir()}
    assert modes == dict.fromkeys(["store.sqlite", "store.sqlite-wal", "store.sqlite-shm"], 0o600)


def test_a_missing_folder_is_made_for_its_owner_only(tmp_path: Path) -> None:
    Database(f"sqlite:///{tmp_path}/new/store.sqlite")

    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700


def test_a_path_may_hold_what_urls_and_configuration_files_give_a_meaning(tmp_path: Path) -> None:
    opened = Database(f"sqlite:///{tmp_path}/50% of [all]/store.sqlite")

    opened.migrate([HISTORY])

    assert opened.revision() == 0
    opened.close()


# What cannot be used


@pytest.mark.parametrize(
    "url",
    [
        "",
        "store.sqlite",
        "unknown://host/name",
        "sqlite:////proc/nowhere/store.sqlite",
        "sqlite:////",
    ],
)
def test_a_database_that_cannot_be_opened_is_an_error_of_the_store(url: str) -> None:
    with pytest.raises(StoreError, match=r"^cannot open the database "):
        Database(url)


@pytest.mark.parametrize(
    "url", ["unknown://user:sesame@host/name", "unknown://user:sesame@host:port/name"]
)
def test_no_error_shows_the_password_of_a_database(url: str) -> None:
    with pytest.raises(StoreError) as refused:
        Database(url)

    assert "sesame" not in str(refused.value)


def test_a_file_that_is_no_database_is_named(file: Path) -> None:
    file.write_bytes(b"no database " * 1000)

    with pytest.raises(StoreError, match=f"{file} failed: file is not a database"):
        Database(f"sqlite:///{file}").revision()


def test_a_database_without_tables_is_named(file: Path) -> None:
    opened = Database(f"sqlite:///{file}")

    with pytest.raises(StoreError, match=f"{file} failed: no such table"):
        opened.revision()

    opened.close()


# Migrations


def test_the_migrated_tables_are_those_the_code_knows(database: Database) -> None:
    with database.reading() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "version_table": HISTORY.version_table,
                "compare_type": True,
                "compare_server_default": True,
            },
        )

        assert compare_metadata(context, tables.metadata) == []


def test_the_migrated_tables_have_the_same_checks_and_counters(
    database: Database, tmp_path: Path
) -> None:
    fresh = Database(f"sqlite:///{tmp_path}/fresh.sqlite")
    with fresh.recording() as connection:
        tables.metadata.create_all(connection)

    (progress,) = statements(database) - statements(fresh)
    assert progress.startswith("CREATE TABLE trust_version ")
    assert statements(fresh) <= statements(database)
    fresh.close()


def statements(database: Database) -> set[str]:
    """Return the statements that made the tables and indexes, with one kind of white space."""
    with database.reading() as connection:
        found = connection.execute(
            text("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite%'")
        )
        return {re.sub(r"\s+", " ", sql).strip() for sql in found.scalars()}


def test_migrating_again_changes_nothing(database: Database) -> None:
    with database.changing() as change:
        write(change)
    before = statements(database)

    database.migrate([HISTORY])

    assert statements(database) == before
    assert database.revision() == 1
    assert is_written(database)


def test_there_is_always_exactly_one_revision(database: Database) -> None:
    with pytest.raises(StoreError, match="CHECK"), database.recording() as connection:
        connection.execute(insert(tables.revision), {"id": 2, "number": 7})


def test_a_sequence_number_is_never_given_twice(database: Database) -> None:
    def stored() -> int:
        with database.changing() as change:
            row = {
                column.name: "x" if column.type.python_type is str else 1
                for column in tables.certificates.columns
                if not column.nullable and not column.primary_key
            }
            done = change.connection.execute(insert(tables.certificates), row)
            change.connection.execute(delete(tables.certificates))
            assert done.inserted_primary_key is not None
            return int(done.inserted_primary_key[0])

    assert [stored(), stored()] == [1, 2]


BROKEN = """
from alembic import op

revision = "0001"
down_revision = None

def upgrade() -> None:
    op.execute("CREATE TABLE half (id INTEGER)")
    op.execute("CREATE TABLE half (id INTEGER)")
"""


@pytest.fixture
def broken(tmp_path: Path) -> History:
    """A line of migrations whose first one breaks off in the middle."""
    (tmp_path / "broken/versions").mkdir(parents=True)
    (tmp_path / "broken/versions/v0001.py").write_text(BROKEN)
    environment = (HISTORY.folder / "env.py").read_text()
    (tmp_path / "broken/env.py").write_text(environment)
    return History(tmp_path / "broken", "broken_version")


def test_a_migration_that_fails_leaves_nothing_behind(database: Database, broken: History) -> None:
    before = statements(database)

    with pytest.raises(StoreError, match="table half already exists"):
        database.migrate([HISTORY, broken])

    assert statements(database) == before


def test_all_histories_come_to_pass_or_none(file: Path, broken: History) -> None:
    fresh = Database(f"sqlite:///{file}")

    with pytest.raises(StoreError):
        fresh.migrate([HISTORY, broken])

    assert statements(fresh) == set()
    fresh.close()


def test_a_database_of_a_newer_version_is_left_alone_and_said(database: Database) -> None:
    with database.recording() as connection:
        connection.execute(text("UPDATE trust_version SET version_num = '9999'"))

    with pytest.raises(StoreError, match="newer"):
        database.migrate([HISTORY])

    with database.reading() as connection:
        assert inspect(connection).has_table("certificates")


# Several processes


def test_opening_it_again_leaves_what_others_find_in_use(file: Path, database: Database) -> None:
    assert database.revision() == 0
    again = Database(f"sqlite:///{file}")

    # Whoever closes it last folds the log into it: not a process that sees it in use by another.
    other = (
        "import sqlite3, sys; other = sqlite3.connect(sys.argv[1]);"
        "other.execute('SELECT * FROM revision').fetchall(); other.close()"
    )
    subprocess.run([sys.executable, "-c", other, str(file)], check=True)

    assert file.with_name(f"{file.name}-wal").exists()
    with database.changing() as change:
        write(change)
    again.check_whole()
    assert is_written(again)
    again.close()


def test_a_link_to_a_database_that_is_not_there_yet_leads_to_a_private_one(tmp_path: Path) -> None:
    link, target = tmp_path / "link.sqlite", tmp_path / "target.sqlite"
    link.symlink_to(target)

    Database(f"sqlite:///{link}").close()

    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_a_link_to_itself_is_an_error_of_the_store(tmp_path: Path) -> None:
    link = tmp_path / "link.sqlite"
    link.symlink_to(link)

    with pytest.raises(StoreError, match=r"^cannot open the database "):
        Database(f"sqlite:///{link}")
