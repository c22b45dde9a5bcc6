"""Which host may be asked now: no web server takes more than its share, hanging or not.

A fetch holds a place at its host from the look-up of the name to the last byte. A host has few
places, and an owner of many hosts not many more. Where none is free, one is waited for only if the
host is known to answer, and not for long. A host that hangs is left alone for a while, and then
asked by one fetch at a time until it answers. So calls that need it learn at once that they get
nothing, and calls that need another do not notice.
"""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from math import ceil, inf

from shaken.addresses import site_of
from shaken.x5u.exchange import FetchError, Reason

SITE_HOSTS = 2
"""All hosts of one owner have the places of so many: names below one's own domain cost nothing."""

WAIT_SECONDS = 1.0
"""How long is waited for a place at a host; one that answers has one free long before."""

HEARD_SECONDS = 60.0
"""How long a host that answered is known to answer."""

SILENCES = 2
"""Fetches in vain, one after the other, that make a host hang: one may be due to a single file."""

SILENT_SECONDS = 10.0
"""How long a host that hangs is left alone."""

MAX_HOSTS = 10_000
"""Hosts that are remembered."""


@dataclass(slots=True)
class Place:
    """What a fetch holds at a host; `answered` is set when the host begins to answer."""

    answered: bool = False


@dataclass(slots=True)
class _Host:
    free: asyncio.Semaphore
    held: int = 0
    waiting: int = 0
    heard_at: float = -inf
    silences: int = 0
    ask_at: float = 0.0


class Hosts:
    """The hosts that are asked, and those that were lately."""

    def __init__(self, *, places: int, patience: float, clock: Callable[[], float]) -> None:
        """Give each host so many places; one held for `patience` without an answer was in vain.

        `patience` and the times of `clock` are in seconds.
        """
        self._places = places
        self._patience = patience
        self._clock = clock
        self._hosts: OrderedDict[str, _Host] = OrderedDict()
        self._sites: Counter[str] = Counter()

    @asynccontextmanager
    async def place(self, name: str) -> AsyncIterator[Place]:
        """Hold a place at a host. Raises FetchError: `slow`.

        A FetchError that the block raises soon is an answer, too: a host that refuses reacts.
        """
        host, site = self._host(name), site_of(name)
        self._refuse_hanging(name, host)
        await self._take(name, host)
        try:
            # While it was waited for, it may have shown that it hangs.
            self._refuse_hanging(name, host)
            if self._sites[site] >= SITE_HOSTS * self._places:
                raise _slow(f"as much as is good is being fetched from hosts of {site}")
            place, began = Place(), self._clock()
            host.held += 1
            self._sites[site] += 1
            try:
                yield place
            except FetchError:
                place.answered |= self._clock() - began < self._patience
                raise
            finally:
                self._leave(host, site, answered=place.answered, began=began)
        finally:
            host.free.release()

    def _host(self, name: str) -> _Host:
        host = self._hosts.pop(name, None) or _Host(asyncio.Semaphore(self._places))
        self._hosts[name] = host
        while len(self._hosts) > MAX_HOSTS:
            oldest, idle = self._hosts.popitem(last=False)
            if idle.held or idle.waiting:
                self._hosts[oldest] = idle
        return host

    def _refuse_hanging(self, name: str, host: _Host) -> None:
        """Raise FetchError for a host that hangs, unless it is time to ask it again."""
        now = self._clock()
        if host.silences >= SILENCES and (host.held or now < host.ask_at):
            raise _slow(
                f"{name} is slow: {host.silences} fetches in a row got no answer in time; it is"
                f" asked again in {max(1, ceil(host.ask_at - now))} s"
            )

    async def _take(self, name: str, host: _Host) -> None:
        """Take a free place, or wait for one at a host that answers."""
        if host.free.locked():
            known = self._clock() - host.heard_at < HEARD_SECONDS
            if not known or host.waiting >= self._places:
                raise _slow(f"{name} is slow: {host.held} fetches from it are under way")
        host.waiting += 1
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await host.free.acquire()
        except TimeoutError:
            raise _slow(
                f"{name} is slow: no fetch from it ended within {WAIT_SECONDS:g} s"
            ) from None
        finally:
            host.waiting -= 1

    def _leave(self, host: _Host, site: str, *, answered: bool, began: float) -> None:
        host.held -= 1
        self._sites[site] -= 1
        if not self._sites[site]:
            del self._sites[site]
        now = self._clock()
        if answered:
            host.heard_at, host.silences = now, 0
        elif now - began >= self._patience:
            host.silences += 1
            host.ask_at = now + SILENT_SECONDS


def _slow(detail: str) -> FetchError:
    return FetchError(Reason.SLOW, detail)
