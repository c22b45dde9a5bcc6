"""Fetched files on their way to and from the store.

A cache beside a cache: what the store does not answer in time is fetched, what it does not take is
let go. Writing has a thread of its own, so that no answer waits for it.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from sqlalchemy import Table

from shaken.store.fetched import FetchedRow, get_fetched, put_fetched, trim_fetched
from shaken.store.tables import fetched_certificates, fetched_lists
from shaken.trouble import Trouble
from shaken.x5u.freshness import MAX_SECONDS, may_be_stored
from trust.store.database import Database, StoreError

READ_SECONDS = 0.5
"""How long is waited for the store, before the file is fetched."""

READ_THREADS = 2
"""A row is read in a fraction of a millisecond; two threads let one wait."""

WRITE_SECONDS = 0.5
"""How long a file waits in memory, so that several are written in one transaction."""

CLOCKS_APART = 60.0
"""Seconds that the clocks of two nodes on one store may differ by."""

TRIMS = 20
"""Looks at how many files there are, and how old, while as many are written as may stay."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Kind:
    """A kind of files: their table, and how many stay in it.

    Half as many wait for a store that cannot be written; beyond it they are let go.
    """

    table: Table
    rows: int


CERTIFICATES = Kind(fetched_certificates, 20_000)
"""Twice of what a worker keeps in memory by default."""

CRLS = Kind(fetched_lists, 100)
"""As many as a worker keeps in memory: one may have megabytes."""


class Shelf:
    """What was fetched, beyond a restart. `start`, then `close`."""

    def __init__(
        self, database: Database, kind: Kind, *, stale_seconds: float, clock: Callable[[], float]
    ) -> None:
        """Take the store, what kind of files, and how long one is of use past its time."""
        self._database = database
        self._kind = kind
        self._stale_seconds = stale_seconds
        self._clock = clock
        self._readers = ThreadPoolExecutor(READ_THREADS, thread_name_prefix="fetched-reader")
        self._writer = threading.Thread(target=self._run, name="fetched-writer", daemon=True)
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._waiting: dict[str, FetchedRow | None] = {}
        self._trim_after = max(1, kind.rows // TRIMS)
        self._written = self._trim_after
        self._writing, self._reading = Trouble(), Trouble()

    def start(self) -> None:
        """Begin to write."""
        self._writer.start()

    def close(self) -> None:
        """Write what waits, then end. To be called from a thread that may wait."""
        self._stopping.set()
        self._writer.join()
        self._readers.shutdown(wait=False, cancel_futures=True)

    async def read(self, url: str) -> FetchedRow | None:
        """Return what was fetched from a URL, if the store says so in time."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(READ_SECONDS):
                row = await loop.run_in_executor(self._readers, self._read, url)
        except (TimeoutError, StoreError) as error:
            if self._reading.is_to_be_said(now=self._clock()):
                said = str(error) or f"no answer within {READ_SECONDS:g} s"
                _log.error("cannot read %s from the store: %s", self._name, said)
            return None
        if row is None or row.fetched_at > self._clock() + CLOCKS_APART:
            return None
        return replace(row, expires_at=min(row.expires_at, row.fetched_at + MAX_SECONDS))

    def put(self, row: FetchedRow, headers: Mapping[str, str]) -> None:
        """Have a file written, if the headers that came with it let it be; never waits."""
        self._add({row.url: row if may_be_stored(headers) else None})

    def forget(self, url: str) -> None:
        """Have a file removed; never waits."""
        self._add({url: None})

    @property
    def _name(self) -> str:
        return self._kind.table.name.replace("_", " ")

    def _add(self, changes: dict[str, FetchedRow | None]) -> None:
        with self._lock:
            self._waiting.update(changes)
            while len(self._waiting) > self._kind.rows // 2:
                self._waiting.pop(next(iter(self._waiting)))

    def _read(self, url: str) -> FetchedRow | None:
        with self._database.reading() as connection:
            return get_fetched(connection, self._kind.table, url)

    def _run(self) -> None:
        while not self._stopping.wait(WRITE_SECONDS):
            self._write_waiting()
        self._write_waiting()

    def _write_waiting(self) -> None:
        with self._lock:
            changes, self._waiting = self._waiting, {}
        if not changes:
            return
        table = self._kind.table
        rows = [row for row in changes.values() if row is not None]
        gone = [url for url, row in changes.items() if row is None]
        try:
            put_fetched(self._database, table, rows, forgotten=gone)
            self._written += len(rows)
            if self._written >= self._trim_after:
                expired = self._clock() - self._stale_seconds
                trim_fetched(self._database, table, expired_before=expired, keep=self._kind.rows)
                self._written = 0
        except Exception as error:
            # Without this thread nothing is kept any more, so it outlives whatever goes wrong.
            if self._writing.is_to_be_said(now=self._clock()):
                _log.error("cannot write %s to the store: %s", self._name, error)
            with self._lock:
                newer, self._waiting = self._waiting, changes
            self._add(newer)
