"""Holds every connection to public addresses, at the moment it is made.

A name is resolved once, and connected to are those of its addresses that are public: what a name
server answers next is not asked for, so DNS rebinding gets nowhere. Then the socket's address is
looked at as it is opened, for a host that is written as an address has no name to resolve, and the
peer's once more before anything of what it says is read.
"""

import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from aiohttp import AddrInfoType, ClientResponse
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.connector import Connection

from shaken.addresses import Address, AddressRefused, address_of, is_public
from shaken.x5u.exchange import FetchError, Reason

Resolve: TypeAlias = Callable[[str], Awaitable[Sequence[Address]]]
"""Returns the addresses of a name, the preferred first. Raises OSError, TimeoutError of these when
no name server answers."""

MAX_ADDRESSES = 16
"""Of one name; who has more is as well reached by these."""


class SocketRefused(OSError):  # noqa: N818 - what happened; an OSError, as the library expects
    """A socket was about to be opened to an address that is not connected to."""


@dataclass(frozen=True)
class Guard:
    """Says to which addresses is connected."""

    allow_private: bool

    def allows(self, address: Address | None) -> bool:
        """Say whether to connect to an address."""
        return address is not None and (self.allow_private or is_public(address))

    def open_socket(self, info: AddrInfoType) -> socket.socket:
        """Make the socket that is about to be connected. Raises SocketRefused."""
        family, kind, protocol, _, peer = info
        if not self.allows(address_of(str(peer[0]))):
            raise SocketRefused(str(AddressRefused(str(peer[0]))))
        return socket.socket(family, kind, protocol)

    def check_peer(self, peername: object) -> None:
        """Raise FetchError unless a connection's peer, as its socket names it, is allowed."""
        host = str(peername[0]) if isinstance(peername, tuple) and peername else ""
        if not self.allows(address_of(host)):
            raise _refused(host or "an unknown peer")


class GuardedResolver(AbstractResolver):
    """Gives the library those addresses of a name that are connected to."""

    def __init__(self, resolve: Resolve, guard: Guard) -> None:
        """Take what resolves, and what judges the answers."""
        self._resolve = resolve
        self._guard = guard

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_INET,  # noqa: ARG002 - the library's signature
    ) -> list[ResolveResult]:
        """Return addresses. Raises FetchError: `dns`, `timeout`, `refused-address`."""
        try:
            found = await self._resolve(host)
        except TimeoutError as error:
            raise FetchError(
                Reason.TIMEOUT, f"no name server told in time where {host} is"
            ) from error
        except OSError as error:
            raise FetchError(
                Reason.DNS, f"the name {host} cannot be resolved: {error.strerror or error}"
            ) from error
        if not found:
            raise FetchError(Reason.DNS, f"the name {host} has no address")
        allowed = list(dict.fromkeys(each for each in found if self._guard.allows(each)))
        if not allowed:
            raise _refused(host)
        return [_result(host, port, each) for each in allowed[:MAX_ADDRESSES]]

    async def close(self) -> None:
        """Do nothing: what resolves belongs to who made it."""


def response_class(guard: Guard) -> type[ClientResponse]:
    """Return a response that looks at its connection's peer before it reads from it."""

    class GuardedResponse(ClientResponse):
        async def start(self, connection: Connection) -> ClientResponse:
            transport = connection.transport
            if transport is None:
                raise FetchError(Reason.CONNECTION, "the connection broke")
            guard.check_peer(transport.get_extra_info("peername"))
            return await super().start(connection)

    return GuardedResponse


def _result(host: str, port: int, address: Address) -> ResolveResult:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    return ResolveResult(
        hostname=host, host=str(address), port=port, family=family, proto=0, flags=0
    )


def _refused(host: str) -> FetchError:
    return FetchError(Reason.REFUSED_ADDRESS, str(AddressRefused(host)))
