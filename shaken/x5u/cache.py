"""Keeps fetched files, and decides when there is to be fetched.

Answers come from memory at once while a file is fresh. It is fetched anew before that ends, when
it was used, so that no call waits; and when its repository is down, the file at hand is used for a
while longer. Of any file there is one fetch at a time, and everybody who wants it waits for that.
A failure is remembered briefly, too: a repository that is down is not asked for each call.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from shaken.x5u.exchange import NOTHING_KNOWN, FetchError, Reason, Validators

REFRESH_SHARE = 0.8
"""Part of a file's lifetime after which it is fetched anew when it was used."""

REFRESH_SPREAD = 0.05
"""Part of the lifetime by which that comes earlier at random: workers do not all go at once."""

RETRY_SECONDS = 10.0
"""How long a failure is remembered; after each in a row that much longer, up to the next one."""

MAX_RETRY_SECONDS = 30.0
"""A repository that is back is noticed within this time."""

MAX_BYTES = 64 * 1024 * 1024
"""Of all files of a cache together, as they came."""

MAX_FAILURES = 10_000
"""Failures remembered. They have room of their own: URLs that lead nowhere cost a stranger nothing,
and must not drive out what is used."""

MAX_FLIGHTS = 2_048
"""Files on their way at a time."""

REFRESHES = 32
"""Files that are fetched ahead at a time: calls that wait for theirs come first."""

LOOK_SECONDS = 5.0
"""How often is looked for what is due; a small part of the shortest lifetime's last fifth."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A file that was fetched. Times are Unix seconds, `size` is in bytes.

    `stale`: it is past its time, and its repository is down.
    """

    url: str
    fetched_at: float
    expires_at: float
    size: int
    stale: bool = False
    known: Validators = NOTHING_KNOWN


K = TypeVar("K", bound=Kept)


@dataclass(frozen=True)
class Bounds:
    """How many files are kept, and for how long past their time (s) while a repository is down."""

    files: int
    stale_seconds: float


@dataclass(slots=True)
class _Entry(Generic[K]):
    kept: K
    refresh_at: float
    used: bool = False
    aged: K | None = None


@dataclass(slots=True)
class _Failure:
    error: FetchError
    count: int
    retry_at: float


class Cache(Generic[K]):
    """Files by URL. `start` in the event loop, `close` at the end."""

    def __init__(
        self,
        load: Callable[[str, K | None], Awaitable[K]],
        *,
        recall: Callable[[str], Awaitable[K | None]],
        bounds: Bounds,
        clock: Callable[[], float],
        random: Callable[[], float],
    ) -> None:
        """Take what fetches a file, given its last state, and raises FetchError when it cannot.

        `recall` returns the file as another worker or an earlier start left it, if any did;
        `random` a number from 0 up to 1.
        """
        self._load = load
        self._recall = recall
        self._bounds = bounds
        self._clock = clock
        self._random = random
        self._entries: OrderedDict[str, _Entry[K]] = OrderedDict()
        self._failures: OrderedDict[str, _Failure] = OrderedDict()
        self._flights: dict[str, asyncio.Task[K | FetchError]] = {}
        self._runner: asyncio.Task[None] | None = None
        self._bytes = 0

    def peek(self, url: str, *, now: float) -> K | None:
        """Return a file that is at hand, without waiting: fresh, or stale and known to be down."""
        entry = self._entries.get(url)
        if entry is None:
            return None
        if now < entry.kept.expires_at:
            entry.used = True
            self._entries.move_to_end(url)
            return entry.kept
        failure = self._failures.get(url)
        return None if failure is None else self._stale(url, entry, failure.error, now)

    async def get(self, url: str, *, now: float) -> K:
        """Return a file, fetched if need be. Raises FetchError.

        Who is cancelled while it waits leaves the fetch to the others.
        """
        kept = self.peek(url, now=now)
        if kept is not None:
            return kept
        failure = self._failures.get(url)
        if failure is not None and now < failure.retry_at:
            raise failure.error.again()
        if len(self._flights) >= MAX_FLIGHTS and url not in self._flights:
            raise FetchError(Reason.BUSY, "too much is being fetched; try again")
        outcome = await asyncio.shield(self._flight(url))
        if isinstance(outcome, FetchError):
            raise outcome.again()
        entry = self._entries.get(url)
        if entry is not None:
            entry.used = True
        return outcome

    async def start(self) -> None:
        """Begin to fetch files ahead of their time."""
        self._runner = asyncio.create_task(self._run())

    async def close(self) -> None:
        """End what is under way; who waits for it is cancelled."""
        tasks = [*self._flights.values(), *([self._runner] if self._runner else [])]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def refresh_due(self, *, now: float) -> None:
        """Fetch the files that were used and whose time is nearly over; return when it is done."""
        due = [url for url, entry in self._entries.items() if self._is_due(url, entry, now)]
        shared = iter(due)
        await asyncio.gather(*(self._refresh_each(shared) for _ in due[:REFRESHES]))

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self.refresh_due(now=self._clock())

    def _is_due(self, url: str, entry: _Entry[K], now: float) -> bool:
        if not entry.used or now < entry.refresh_at:
            return False
        failure = self._failures.get(url)
        retry = failure is None or now >= failure.retry_at
        return retry and now < entry.kept.expires_at + self._bounds.stale_seconds

    async def _refresh_each(self, due: Iterator[str]) -> None:
        for url in due:
            entry = self._entries.get(url)
            if entry is not None:
                entry.used = False
                await asyncio.wait([self._flight(url)])

    def _flight(self, url: str) -> "asyncio.Task[K | FetchError]":
        """Return the fetch of a file that is under way, or begin one."""
        task = self._flights.get(url)
        if task is None:
            task = asyncio.create_task(self._fly(url))
            self._flights[url] = task
            task.add_done_callback(lambda done: self._landed(url, done))
        return task

    def _landed(self, url: str, task: "asyncio.Task[K | FetchError]") -> None:
        self._flights.pop(url, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("fetching a file failed: %s", error, exc_info=error)

    async def _fly(self, url: str) -> K | FetchError:
        try:
            if (kept := await self._recalled(url)) is None:
                entry = self._entries.get(url)
                kept = await self._load(url, None if entry is None else entry.kept)
                self._keep(kept)
        except FetchError as error:
            return self._failed(url, error)
        self._failures.pop(url, None)
        return kept

    async def _recalled(self, url: str) -> K | None:
        """Take over a later state of a file from another worker; return it if it will do."""
        recalled = await self._recall(url)
        entry = self._entries.get(url)
        if recalled is None or (entry and recalled.fetched_at <= entry.kept.fetched_at):
            return None
        now = self._clock()
        ahead = entry is not None and now < entry.kept.expires_at
        entry = self._keep(recalled)
        return recalled if now < (entry.refresh_at if ahead else recalled.expires_at) else None

    def _failed(self, url: str, error: FetchError) -> K | FetchError:
        """Remember a failure; return the file at hand if it may still be used."""
        now = self._clock()
        entry = self._entries.get(url)
        usable = entry is not None and now < entry.kept.expires_at + self._bounds.stale_seconds
        # What was not tried says nothing of the file: who has none to use tries at once again.
        if error.tried or usable:
            self._remember(url, error, now)
        if entry is None:
            return error
        if not error.transient:
            self._drop(url)
            return error
        if now < entry.kept.expires_at:
            return entry.kept
        return self._stale(url, entry, error, now) or error

    def _remember(self, url: str, error: FetchError, now: float) -> None:
        before = self._failures.pop(url, None)
        count = (0 if before is None else before.count) + error.tried
        wait = min(RETRY_SECONDS * max(count, 1), MAX_RETRY_SECONDS)
        self._failures[url] = _Failure(error, count, now + wait)
        while len(self._failures) > MAX_FAILURES:
            self._failures.popitem(last=False)

    def _stale(self, url: str, entry: _Entry[K], error: FetchError, now: float) -> K | None:
        """Return a file past its time if it may still be used."""
        if not error.transient or now >= entry.kept.expires_at + self._bounds.stale_seconds:
            return None
        entry.used = True
        self._entries.move_to_end(url)
        if entry.aged is None:
            entry.aged = replace(entry.kept, stale=True)
        return entry.aged

    def _keep(self, kept: K) -> _Entry[K]:
        self._drop(kept.url)
        share = REFRESH_SHARE - REFRESH_SPREAD * self._random()
        refresh_at = kept.fetched_at + share * (kept.expires_at - kept.fetched_at)
        entry = self._entries[kept.url] = _Entry(kept, refresh_at)
        self._bytes += kept.size
        # The newest stays however large: who fetched it waits for it.
        while len(self._entries) > 1 and (
            len(self._entries) > self._bounds.files or self._bytes > MAX_BYTES
        ):
            self._drop(next(iter(self._entries)))
        return entry

    def _drop(self, url: str) -> None:
        entry = self._entries.pop(url, None)
        if entry is not None:
            self._bytes -= entry.kept.size
