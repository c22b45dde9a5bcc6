"""SIP over UDP: one datagram, one message."""

import asyncio
import logging
from typing import Any

from sip.reception import Reception, Source
from sip.via import Via, response_port

_log = logging.getLogger(__name__)

# The address of a peer as a socket has it: host and port, of IPv6 flow label and zone, too.
SocketAddress = tuple[Any, ...]


def plain_address(address: SocketAddress) -> tuple[str, int]:
    """Spell the address of a peer without zone, and that of an IPv4 peer as IPv4 does."""
    host = str(address[0]).partition("%")[0]
    if host.startswith("::ffff:") and "." in host:
        host = host[len("::ffff:") :]
    return host, int(address[1])


class DatagramPath:
    """The way back to who sent a datagram: always the address it came from."""

    __slots__ = ("_address", "_transport", "source")

    def __init__(
        self, transport: asyncio.DatagramTransport, address: SocketAddress, source: Source
    ) -> None:
        self._transport = transport
        self._address = address
        self.source = source

    def answering(self, via: Via) -> "DatagramPath":
        """Choose the port of the response."""
        port = response_port(via, source_port=self.source.port)
        if port == self.source.port:
            return self
        address = (self._address[0], port, *self._address[2:])
        return DatagramPath(self._transport, address, self.source)

    def send(self, data: bytes) -> None:
        """Send one message in one datagram."""
        if not self._transport.is_closing():
            self._transport.sendto(data, self._address)


class DatagramListener(asyncio.DatagramProtocol):
    """Receives the datagrams of one socket."""

    def __init__(self, reception: Reception) -> None:
        self._reception = reception
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; uvloop's is none of asyncio's classes."""
        self._transport = transport  # type: ignore[assignment]

    def datagram_received(self, data: bytes, addr: SocketAddress) -> None:
        """Hand a message on."""
        if self._transport is not None:
            source = Source("UDP", *plain_address(addr))
            self._reception.receive(data, DatagramPath(self._transport, addr, source))

    def error_received(self, exc: Exception) -> None:
        """Note that an earlier answer did not arrive: its sender has gone, which is no matter."""
        _log.debug("a SIP response over UDP was not delivered: %s", exc)
