"""The way into the database: transactions, the revision that tells of changes, migrations.

Every change an administrator makes goes through `changing()`, which raises the revision in the
same transaction: a worker or node that sees a new revision knows that its snapshot is old. Rows
carry the revision that last wrote them, so that only what changed is read again.

Dialects differ here and nowhere else: callers speak SQLAlchemy Core.
"""

import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, create_engine, event, inspect, make_url, select, update
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import ConnectionPoolEntry

from trust.store.tables import revision as revision_table

BUSY_TIMEOUT_SECONDS = 15
"""How long a writer waits for another process's transaction before it gives up."""

_WAL_RETRY_SECONDS = 0.01
"""How long to wait before a new file is asked again to become WAL."""


class StoreError(Exception):
    """The database cannot be opened, read or written; the message names the database and why."""


@dataclass(frozen=True)
class Change:
    """A transaction that changes what workers hold; rows it writes carry its revision."""

    connection: Connection
    revision: int


@dataclass(frozen=True)
class History:
    """A line of migrations: the package folder they lie in, and the table that marks progress."""

    folder: Path
    version_table: str


HISTORY = History(Path(__file__).parent / "migrations", "trust_version")
"""The migrations of this package's own tables."""


class Database:
    """An open database. Use from any thread; close before a fork and at the end."""

    def __init__(self, url: str) -> None:
        """Open the database that an SQLAlchemy URL names. Raises StoreError."""
        try:
            parsed = make_url(url)
        except (ArgumentError, ValueError):
            # The text is not repeated: it may hold a password.
            raise StoreError(
                "cannot open the database its URL names: it is no URL, which looks like"
                " sqlite:////var/lib/shaken/shaken.sqlite"
            ) from None
        self.name = parsed.render_as_string(hide_password=True)
        try:
            if parsed.get_backend_name() == "sqlite":
                self._engine = _sqlite_engine(parsed)
            else:
                self._engine = create_engine(parsed)
        except (OSError, SQLAlchemyError, ImportError) as error:
            raise StoreError(f"cannot open the database {self.name}: {error}") from error
        self._writing = self._engine.execution_options(writing=True)

    def close(self) -> None:
        """Close all connections; the next use opens new ones."""
        self._engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection that sees one consistent state. Raises StoreError."""
        with self._translated(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def recording(self) -> Iterator[Connection]:
        """Give a transaction for rows that no snapshot holds. Raises StoreError."""
        with self._translated(), self._writing.begin() as connection:
            yield connection

    @contextmanager
    def changing(self) -> Iterator[Change]:
        """Give a transaction that raises the revision; all of it happens or nothing.

        Raises StoreError, and whatever the block raises, after undoing everything.
        """
        with self.recording() as connection:
            raised = connection.execute(
                update(revision_table)
                .values(number=revision_table.c.number + 1)
                .returning(revision_table.c.number)
            ).scalar_one()
            yield Change(connection, raised)

    def revision(self) -> int:
        """Return the number of the latest change. Raises StoreError."""
        with self.reading() as connection:
            return int(connection.execute(select(revision_table.c.number)).scalar_one())

    def has_table(self, name: str) -> bool:
        """Say whether a table is there. Raises StoreError."""
        with self.reading() as connection:
            return inspect(connection).has_table(name)

    def migrate(self, histories: Sequence[History]) -> None:
        """Bring the tables up to date, or leave them as they are. Raises StoreError."""
        with self._translated(), self._writing.begin() as connection:
            for history in histories:
                config = Config()
                config.set_main_option("script_location", str(history.folder).replace("%", "%%"))
                config.set_main_option("path_separator", "os")
                config.attributes["connection"] = connection
                config.attributes["version_table"] = history.version_table
                try:
                    command.upgrade(config, "head")
                except CommandError as error:
                    raise StoreError(
                        f"the tables in {self.name} are not known to this version of the program;"
                        f" a newer one has migrated them ({error})"
                    ) from error

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            raise StoreError(f"the database {self.name} failed: {error.orig}") from error
        except PoolTimeout as error:
            raise StoreError(f"the database {self.name} has no connection free") from error


def _sqlite_engine(url: URL) -> Engine:
    if url.database:
        _create_private_file(Path(url.database))
    engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_SECONDS})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _create_private_file(path: Path) -> None:
    """Make the file before SQLite does, since SQLite would leave its mode to the umask."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))


def _prepare_sqlite(connection: object, _: ConnectionPoolEntry) -> None:
    # The driver's own transaction control begins late and never "immediate": it is turned off,
    # and `_begin_sqlite` says when a transaction begins and of which kind.
    connection.isolation_level = None  # type: ignore[attr-defined]
    _enter_wal(connection)
    for pragma in ("synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")  # type: ignore[attr-defined]


def _enter_wal(connection: object) -> None:
    """Turn the file to WAL: of all statements this one does not wait while others have it open."""
    deadline = time.monotonic() + BUSY_TIMEOUT_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")  # type: ignore[attr-defined]
        except sqlite3.OperationalError as error:
            busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY  # whatever it extends
            if not busy or time.monotonic() >= deadline:
                raise
            time.sleep(_WAL_RETRY_SECONDS)
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    # A writer takes its lock at once: a reader that turns writer later can fail with "busy"
    # however long it would wait.
    writing = connection.get_execution_options().get("writing", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")
