"""The way into the database: transactions, the revision that tells of changes, migrations.

Every change an administrator makes goes through `changing()`, which raises the revision in the
same transaction: a worker or node that sees a new revision knows that its snapshot is old. Rows
carry the revision that last wrote them, so that only what changed is read again.

Dialects differ here and nowhere else: callers speak SQLAlchemy Core.
"""

import errno
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, create_engine, event, inspect, make_url, select, update
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import ConnectionPoolEntry

from trust.store.failure import Failure, failure_of
from trust.store.tables import revision as revision_table

BUSY_TIMEOUT_SECONDS = 15
"""How long a writer waits for another process's transaction before it gives up."""

_WAL_RETRY_SECONDS = 0.01
"""How long to wait before a new file is asked again to become WAL."""

_COPY_PAGES = 1024
"""Pages copied between two reports of progress: 4 MiB."""

_MAGIC = b"SQLite format 3\0"
"""What the file of an embedded database begins with."""

_OTHER_TOOLS = {"postgresql": "pg_dump", "mysql": "mysqldump", "mariadb": "mariadb-dump"}
"""What copies a database of another dialect."""


class StoreError(Exception):
    """The database cannot be opened, read or written; the message names the database and why.

    `failure` tells the kind where it is known.
    """

    def __init__(self, message: str, *, failure: Failure | None = None) -> None:
        super().__init__(message)
        self.failure = failure


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

    def __init__(self, url: str, *, name: str | None = None) -> None:
        """Open the database that an SQLAlchemy URL names. Raises StoreError.

        `name` is what errors call it, by default the URL.
        """
        parsed = _parse(url)
        self.name = name or parsed.render_as_string(hide_password=True)
        self._embedded = parsed.get_backend_name() == "sqlite"
        try:
            self._engine = _sqlite_engine(parsed) if self._embedded else create_engine(parsed)
        except (OSError, RuntimeError, SQLAlchemyError, ImportError) as error:
            raise StoreError(
                f"cannot open the database {self.name}: {error}", failure=failure_of(error)
            ) from error
        self._writing = self._engine.execution_options(writing=True)

    @property
    def shared(self) -> bool:
        """Whether other machines can have it open, too."""
        return not self._embedded

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
                config = _alembic(history)
                config.attributes["connection"] = connection
                config.attributes["version_table"] = history.version_table
                try:
                    command.upgrade(config, "head")
                except CommandError as error:
                    raise self._unknown(error) from error

    def check_known(self, histories: Sequence[History]) -> None:
        """Raise StoreError unless `migrate` could bring these tables up to date."""
        with self.reading() as connection:
            for history in histories:
                options = {"version_table": history.version_table}
                context = MigrationContext.configure(connection, opts=options)
                heads = context.get_current_heads()
                if not heads:
                    raise StoreError(f"{self.name} holds no tables of this service")
                try:
                    for head in heads:
                        ScriptDirectory.from_config(_alembic(history)).get_revision(head)
                except CommandError as error:
                    raise self._unknown(error) from error

    def check_whole(self) -> None:
        """Raise StoreError when an embedded database is damaged."""
        for question in ("integrity_check", "foreign_key_check"):
            with self.reading() as connection:
                found = connection.exec_driver_sql(f"PRAGMA {question}").all()
            if found not in ([], [("ok",)]):
                raise StoreError(
                    f"{self.name} is damaged: {question} says {found[0]}", failure=Failure.DAMAGED
                )

    def copy_to(self, file: Path, *, tell: Callable[[int, int], None]) -> None:
        """Write one state of an embedded database to a new file, while others change it.

        The file has mode 0600 and needs no other beside it. `tell` hears how many pages of how
        many are copied. Raises StoreError, OSError.
        """
        os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        with self.reading() as connection, closing(sqlite3.connect(file)) as copy:
            # The first question fixes the state that is copied, whoever writes meanwhile.
            connection.exec_driver_sql("SELECT count(*) FROM sqlite_master")
            driver: Any = connection.connection.driver_connection
            try:
                driver.backup(
                    copy,
                    pages=_COPY_PAGES,
                    progress=lambda _, left, pages: tell(pages - left, pages),
                )
                copy.execute("PRAGMA journal_mode=DELETE")
            except sqlite3.Error as error:
                raise StoreError(
                    f"cannot copy {self.name} to {file}: {error}", failure=failure_of(error)
                ) from error

    def settle(self) -> None:
        """Empty the log beside an embedded database: nothing overwritten is left in it."""
        if self._embedded:
            with self._translated(), closing(self._engine.raw_connection()) as connection:
                connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _unknown(self, error: CommandError) -> StoreError:
        return StoreError(
            f"the tables in {self.name} are not known to this version of the program;"
            f" a newer one has migrated them ({error})"
        )

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (DBAPIError, sqlite3.Error) as error:
            reason = error.orig if isinstance(error, DBAPIError) else error
            raise StoreError(
                f"the database {self.name} failed: {reason}", failure=failure_of(reason)
            ) from error
        except PoolTimeout as error:
            raise StoreError(
                f"the database {self.name} has no connection free", failure=Failure.BUSY
            ) from error


def embedded_url(file: Path) -> str:
    """Return the URL of an embedded database."""
    return str(URL.create("sqlite", database=str(file)))


def embedded_file(url: str) -> Path:
    """Return the file of an embedded database. Raises StoreError, which names another's tool."""
    parsed = _parse(url)
    backend = parsed.get_backend_name()
    if backend == "sqlite" and parsed.database:
        return Path(parsed.database)
    tool = _OTHER_TOOLS.get(backend, "the database's own tool")
    raise StoreError(
        f"the database {parsed.render_as_string(hide_password=True)} is no SQLite file:"
        f" copy it and put it back with {tool}"
    )


def is_embedded(file: Path) -> bool:
    """Say whether a file begins as that of an embedded database does. Raises OSError."""
    with file.open("rb") as stream:
        return stream.read(len(_MAGIC)) == _MAGIC


def is_missing(url: str) -> bool:
    """Say whether the file of an embedded database does not exist yet. Raises StoreError."""
    parsed = _parse(url)
    embedded = parsed.get_backend_name() == "sqlite" and parsed.database
    return bool(embedded) and not Path(str(parsed.database)).exists()


def resting(file: Path) -> str:
    """Return the URL of a file that nobody writes to: it is only read, and nothing made beside."""
    query = {"mode": "ro", "immutable": "1", "uri": "true"}
    return str(URL.create("sqlite", database=f"file:{quote(str(file.absolute()))}", query=query))


def take_place(new: Path, file: Path, *, kept: Path) -> None:
    """Give a finished copy the name of an embedded database; an old one is kept as `kept`.

    A kill leaves the old or the new one under the name. Raises StoreError when somebody uses the
    old one, OSError.
    """
    if file.exists():
        _leave_wal(file)
        os.link(file, kept)
    # Only a damaged database still has a log beside it, and the new one must not meet it.
    for suffix in ("-wal", "-shm"):
        log = file.with_name(file.name + suffix)
        if log.exists():
            log.replace(kept.with_name(kept.name + suffix))
    new.replace(file)


def _leave_wal(file: Path) -> None:
    """Fold the log beside a database into it, which only works when nobody has it open."""
    if not is_embedded(file):
        return
    try:
        with closing(sqlite3.connect(file, timeout=0)) as connection:
            connection.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY:
            raise StoreError(f"{file} is in use: stop the service first") from error
    except sqlite3.DatabaseError:
        pass  # it is damaged, which may be why another takes its place


def _parse(url: str) -> URL:
    try:
        return make_url(url)
    except (ArgumentError, ValueError):
        # The text is not repeated: it may hold a password.
        raise StoreError(
            "cannot open the database its URL names: it is no URL, which looks like"
            " sqlite:////var/lib/shaken/shaken.sqlite"
        ) from None


def _alembic(history: History) -> Config:
    config = Config()
    config.set_main_option("script_location", str(history.folder).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _sqlite_engine(url: URL) -> Engine:
    at_rest = "immutable" in url.query
    if url.database and not at_rest:
        _create_private_file(Path(url.database))
    engine = create_engine(
        url,
        connect_args={"timeout": BUSY_TIMEOUT_SECONDS},
        json_deserializer=msgspec.json.decode,
    )
    event.listen(engine, "connect", _prepare_resting if at_rest else _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _create_private_file(path: Path) -> None:
    """Make the file before SQLite does, since SQLite would leave its mode to the umask."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        os.close(os.open(path.resolve(), os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        # It is not opened: to close it again would take from this process the locks by which
        # others see that it has the database in use (sqlite.org/howtocorrupt.html, 2.2).
        wrong = 0 if path.is_file() else errno.EISDIR
        if not os.access(path, os.R_OK | os.W_OK):
            wrong = errno.EACCES
        if wrong:
            raise OSError(wrong, os.strerror(wrong), str(path)) from None


def _prepare_resting(connection: object, _: ConnectionPoolEntry) -> None:
    # The driver's own transaction control begins late and never "immediate": it is turned off,
    # and `_begin_sqlite` says when a transaction begins and of which kind.
    connection.isolation_level = None  # type: ignore[attr-defined]


def _prepare_sqlite(connection: object, entry: ConnectionPoolEntry) -> None:
    _prepare_resting(connection, entry)
    _enter_wal(connection)
    # What is removed or sealed anew is overwritten, not just marked as free.
    for pragma in ("synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"):
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
