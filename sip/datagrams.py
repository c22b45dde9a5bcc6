"""SIP over UDP: one datagram, one message.

The sockets are read and written here, without a transport of the loop's: under load one turn of
the loop takes many datagrams, and each costs a system call and nothing else.
"""

import asyncio
import logging
import socket
from functools import lru_cache
from typing import Any

from sip.parsing import MAX_MESSAGE_LENGTH
from sip.reception import Reception, Source
from sip.via import Via, response_port

_AT_ONCE = 64
"""Datagrams that are read before others have their turn: some milliseconds of work."""

_KEPT_PEERS = 10_000
"""Senders whose addresses are not read again."""

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

    __slots__ = ("_address", "_sock", "source")

    def __init__(self, sock: socket.socket, address: SocketAddress, source: Source) -> None:
        self._sock = sock
        self._address = address
        self.source = source

    def answering(self, via: Via) -> "DatagramPath":
        """Choose the port of the response."""
        port = response_port(via, source_port=self.source.port)
        if port == self.source.port:
            return self
        address = (self._address[0], port, *self._address[2:])
        return DatagramPath(self._sock, address, self.source)

    def send(self, data: bytes) -> None:
        """Send one message in one datagram, or none if the socket is closed, or cannot now.

        What gets lost here or later is asked for again (RFC 3261 §17).
        """
        try:
            self._sock.sendto(data, self._address)
        except OSError as error:
            _log.debug("a SIP response over UDP was not sent: %s", error)


class DatagramListener:
    """Receives the datagrams of one socket, which it closes at the end."""

    def __init__(self, sock: socket.socket, reception: Reception) -> None:
        self._sock = sock
        self._reception = reception
        self._loop = asyncio.get_running_loop()
        self._path_to = lru_cache(maxsize=_KEPT_PEERS)(self._make_path)
        sock.settimeout(0)
        self._loop.add_reader(sock, self._read)

    def close(self) -> None:
        """Receive no more. May be called twice."""
        if self._sock.fileno() >= 0:
            self._loop.remove_reader(self._sock)
            self._sock.close()

    def _read(self) -> None:
        """Hand on what has come."""
        receive, sock = self._reception.receive, self._sock
        for _ in range(_AT_ONCE):
            try:
                data, address = sock.recvfrom(MAX_MESSAGE_LENGTH)
            except BlockingIOError:
                return
            except OSError as error:  # an earlier answer did not arrive: its sender has gone
                _log.debug("a SIP response over UDP was not delivered: %s", error)
                continue
            receive(data, self._path_to(address))

    def _make_path(self, address: SocketAddress) -> DatagramPath:
        return DatagramPath(self._sock, address, Source("UDP", *plain_address(address)))
