"""Keeps a worker's snapshot at the store's latest state.

Changes made through this worker are taken over before their answer is sent; those of other workers
and nodes are found by asking for the store's revision a few times a second.
"""

import asyncio
import logging
from collections.abc import Callable

from shaken.snapshot import Snapshot, take_snapshot
from trust.store.database import Database, StoreError

POLL_SECONDS = 0.25
"""How often the revision is asked for; a change must reach every worker within one second."""

_log = logging.getLogger(__name__)


class SnapshotFollower:
    """Holds the current snapshot and replaces it when the store changes. `run` until cancelled."""

    def __init__(
        self, database: Database, first: Snapshot, *, on_change: Callable[[Snapshot], None]
    ) -> None:
        """Begin with a snapshot; `on_change` is told of each one that takes its place."""
        self._database = database
        self._current = first
        self._on_change = on_change
        self._refreshing = asyncio.Lock()

    @property
    def current(self) -> Snapshot:
        """The latest snapshot."""
        return self._current

    async def refresh(self) -> None:
        """Take a new snapshot if the store has changed. Raises StoreError."""
        async with self._refreshing:
            revision = await asyncio.to_thread(self._database.revision)
            if revision == self._current.revision:
                return
            self._current = await asyncio.to_thread(take_snapshot, self._database, self._current)
            self._on_change(self._current)

    async def run(self) -> None:
        """Follow the store. A store that fails is said once, and asked again."""
        failing = False
        while True:
            await asyncio.sleep(POLL_SECONDS)
            try:
                await self.refresh()
                failing = False
            except StoreError as error:
                if not failing:
                    _log.error("the snapshot grows old: %s", error)
                failing = True
