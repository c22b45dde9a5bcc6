"""Keeps a worker's snapshot at the store's latest state.

Changes made through this worker are taken over before their answer is sent; those of other workers
and nodes are found by asking for the store's revision a few times a second.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from time import monotonic

from shaken.snapshot import Snapshot, take_snapshot
from shaken.trouble import Trouble
from trust.store.database import Database, StoreError

POLL_SECONDS = 0.25
"""How often the revision is asked for; a change must reach every worker within one second."""

_log = logging.getLogger(__name__)


class SnapshotFollower:
    """Holds the current snapshot and replaces it when the store changes. `run` until cancelled."""

    def __init__(
        self,
        database: Database,
        first: Snapshot,
        *,
        on_change: Callable[[Snapshot], Awaitable[None]],
    ) -> None:
        """Begin with a snapshot; `on_change` is told of it, and of each one that takes its place.

        Where it fails it is told again, until it does not.
        """
        self._database = database
        self.current = first
        """The latest snapshot."""
        self._told: Snapshot | None = None
        self._telling, self._following = Trouble(), Trouble()
        self._on_change = on_change
        self._refreshing = asyncio.Lock()
        self._news = asyncio.Event()
        self._ending = False
        # A thread of its own: handlers that wait for the store must not keep news from arriving.
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="snapshot")

    async def refresh(self) -> None:
        """Take a new snapshot if the store has changed. Raises StoreError."""
        async with self._refreshing:
            loop = asyncio.get_running_loop()
            revision = await loop.run_in_executor(self._executor, self._database.revision)
            is_new = revision != self.current.revision
            if is_new:
                self.current = await loop.run_in_executor(
                    self._executor, take_snapshot, self._database, self.current
                )
            if self._told is not self.current:
                await self._tell()
            if is_new:
                news, self._news = self._news, asyncio.Event()
                news.set()

    async def take_over(self) -> None:
        """Take a change into the snapshot before its answer is sent.

        The change is made: a store that fails now is no reason to tell the client otherwise.
        """
        try:
            await self.refresh()
        except StoreError as error:
            _log.error("a change was made but is not yet in use here: %s", error)

    async def _tell(self) -> None:
        try:
            await self._on_change(self.current)
        except Exception as error:
            if self._telling.is_to_be_said(now=monotonic()):
                _log.error("a change is not in use everywhere yet: %s", error, exc_info=error)
        else:
            self._told = self.current

    async def changed(self, seen: Snapshot, *, seconds: float) -> None:
        """Wait until there is another snapshot than the one seen, at most so long."""
        if self.current is not seen or self._ending:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()

    def release(self) -> None:
        """Let all that wait for a change go on: the worker ends."""
        self._ending = True
        self._news.set()

    async def run(self) -> None:
        """Follow the store until cancelled. Where it fails it is asked again, and that is said."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            try:
                await self.refresh()
            except Exception as error:
                if self._following.is_to_be_said(now=monotonic()):
                    _log.error("the snapshot grows old: %s", error, exc_info=error)
            else:
                if self._following.is_over():
                    _log.warning("the snapshot follows the store again")
