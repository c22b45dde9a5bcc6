"""Names -> addresses: as the machine's settings say, in bounded time, without threads.

The system's own call, getaddrinfo, cannot be ended: a name server that does not answer would hold a
thread for as long as it likes. Asked here are the name servers of `resolv.conf`; names in the
`hosts` file need none. Other sources of names that a machine may have (mDNS, directories) are not
asked: no repository is found there.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from dns.asyncresolver import Resolver
from dns.exception import DNSException, Timeout
from dns.rdatatype import AAAA, A, RdataType
from dns.resolver import NXDOMAIN, NoResolverConfiguration

from shaken.addresses import Address, address_of

RESOLV_CONF = Path("/etc/resolv.conf")
HOSTS = Path("/etc/hosts")
PORT = 53

TRIES = 3
"""How often name servers are asked within the time: one that is down, or a packet that is lost,
leaves time for the next."""

RESOLUTION_DELAY = 0.05
"""How long (s) is waited for IPv6 addresses of a name that has others (RFC 8305 §3)."""

T = TypeVar("T")


class SystemResolver:
    """Resolves names by the machine's settings, which are read anew when they change."""

    def __init__(
        self,
        *,
        seconds: float,
        resolv_conf: Path = RESOLV_CONF,
        hosts: Path = HOSTS,
        port: int = PORT,
    ) -> None:
        """Take how long a name may take, where the settings are, and the name servers' port."""
        self._seconds = seconds
        self._port = port
        self._resolver = _Followed(resolv_conf, self._configured)
        self._hosts = _Followed(hosts, _read_hosts)

    async def __call__(self, host: str) -> Sequence[Address]:
        """Return the addresses of a name. Raises OSError; TimeoutError: no name server answers."""
        name = host.lower().removesuffix(".")
        written = self._hosts.current() or {}
        return written.get(name) or await self._ask(name)

    async def _ask(self, name: str) -> Sequence[Address]:
        resolver = self._resolver.current()
        if resolver is None:
            raise OSError("no name server is set in resolv.conf")
        v4, v6 = (
            asyncio.create_task(self._records(resolver, name, kind), name=f"resolve {name}")
            for kind in (A, AAAA)
        )
        try:
            await asyncio.wait([v4])
            enough = isinstance(v4.result(), list) and v4.result()
            await asyncio.wait([v6], timeout=RESOLUTION_DELAY if enough else None)
            return _together([each.result() for each in (v4, v6) if each.done()])
        finally:
            v4.cancel()
            v6.cancel()

    async def _records(
        self, resolver: Resolver, name: str, kind: RdataType
    ) -> list[Address] | OSError:
        """Ask for the records of one kind; return also why there are none."""
        try:
            # Its pauses between two rounds are not counted in the library's own limit.
            async with asyncio.timeout(self._seconds):
                answer = await resolver.resolve(
                    name,
                    kind,
                    raise_on_no_answer=False,
                    lifetime=self._seconds,
                    # As getaddrinfo has it: only a name without a dot may be one of a local domain.
                    search="." not in name,
                )
        except (Timeout, TimeoutError):
            return TimeoutError("no name server answers")
        except NXDOMAIN:
            return OSError("there is no such name")
        except DNSException as error:
            return OSError(f"the name servers fail ({type(error).__name__})")
        found = (address_of(record.address) for record in answer.rrset or ())
        return [each for each in found if each is not None]

    def _configured(self, file: Path) -> Resolver | None:
        resolver = Resolver(configure=False)
        try:
            resolver.read_resolv_conf(file)
        except (NoResolverConfiguration, ValueError):
            return None
        resolver.port = self._port
        resolver.timeout = min(resolver.timeout, self._seconds / TRIES)
        return resolver


class _Followed(Generic[T]):
    """What a file says, read anew when it changed."""

    def __init__(self, file: Path, read: Callable[[Path], T]) -> None:
        self._file = file
        self._read = read
        self._state: tuple[int, int, int] | None = None
        self._said: T | None = None

    def current(self) -> T | None:
        """Return what the file says; None: there is none."""
        try:
            found = self._file.stat()
        except OSError:
            return None
        state = (found.st_mtime_ns, found.st_ino, found.st_size)
        if state != self._state:
            self._said, self._state = self._read(self._file), state
        return self._said


def _together(answers: Sequence[list[Address] | OSError]) -> Sequence[Address]:
    """Return all addresses; without any, raise why there are none, silence before all."""
    found = [each for answer in answers if isinstance(answer, list) for each in answer]
    errors = [answer for answer in answers if isinstance(answer, OSError)]
    if not found and errors:
        raise next((each for each in errors if isinstance(each, TimeoutError)), errors[0])
    return found


def _read_hosts(file: Path) -> Mapping[str, Sequence[Address]]:
    """Read `address name...` lines; what is none is passed over."""
    found: dict[str, list[Address]] = {}
    for line in file.read_text("utf-8", "replace").splitlines():
        written, *names = line.partition("#")[0].split() or [""]
        if (address := address_of(written)) is not None:
            for name in names:
                found.setdefault(name.lower(), []).append(address)
    return found
