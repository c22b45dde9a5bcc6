"""How many failed authentications a source may have: the count, with the clock passed in.

Only failures are counted, and only their answers change: whoever presents a right secret passes,
so that nobody can lock out a PBX by failing from the same address. What a source that has failed
too often is told, and what counts as a failure, is the faces' business.
"""

from collections import OrderedDict
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network, ip_address

FAILURES = 10
"""Failures of one source in a window that are answered as such: people mistype a few times."""

WINDOW_SECONDS = 60
"""How long failures count, from the first one on."""

MAX_SOURCES = 10_000
"""Sources remembered, about 2 MB; beyond them, the one that failed longest ago is forgotten."""

IPV6_PREFIX = 64
"""Leading bits of an IPv6 address that name a source: the rest is its holder's to choose."""


@dataclass(frozen=True, slots=True)
class Slowed:
    """A source has failed too often. `begins`: with this failure, and not before."""

    source: str
    seconds: int
    begins: bool


@dataclass(slots=True)
class _Window:
    ends: int
    failures: int = 0


class FailureThrottle:
    """Failures by source, in bounded memory; each takes the same time. Use from one thread."""

    def __init__(
        self,
        *,
        failures: int = FAILURES,
        seconds: int = WINDOW_SECONDS,
        sources: int = MAX_SOURCES,
    ) -> None:
        """Bear so many failures of one source in so many seconds; remember so many sources."""
        self._failures = failures
        self._seconds = seconds
        self._sources = sources
        self._windows: OrderedDict[str, _Window] = OrderedDict()

    def failed(self, peer: str, *, now: int) -> Slowed | None:
        """Count a failure at a time in seconds; say for how long its source is slowed, or None."""
        source = source_of(peer)
        window = self._windows.get(source)
        # A clock that was set back must not leave a source slowed for longer than a window.
        if window is None or not 0 < window.ends - now <= self._seconds:
            window = self._windows[source] = _Window(now + self._seconds)
        self._windows.move_to_end(source)
        if len(self._windows) > self._sources:
            self._windows.popitem(last=False)
        window.failures += 1
        if window.failures <= self._failures:
            return None
        begins = window.failures == self._failures + 1
        return Slowed(source, window.ends - now, begins)


def source_of(peer: str) -> str:
    """Name the source an address belongs to; what is no address has one source in common."""
    try:
        address = ip_address(peer)
    except ValueError:
        return "no address"
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(IPv6Network((int(address), IPV6_PREFIX), strict=False))
    return str(address)
