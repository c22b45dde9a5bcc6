"""SIP over UDP: one datagram, one message.

The sockets are read and written here, without a transport of the loop's: under load one turn of
the loop takes many datagrams, then answers them side by side, then sends all answers. The kernel
wakes a peer once, not for each answer.
"""

import asyncio
import logging
import socket
from typing import Any

from sip.parsing import MAX_MESSAGE_LENGTH
from sip.reception import Reception, Source
from sip.stages import TOGETHER, side_by_side
from sip.via import Via, response_port

_log = logging.getLogger(__name__)

# The address of a peer as a socket has it: host and port, of IPv6 flow label and zone, too.
SocketAddress = tuple[Any, ...]


def plain_address(address: SocketAddress) -> tuple[str, int]:
    """Spell the address of a peer without zone, and that of an IPv4 peer as IPv4 does."""
    host, port = address[:2]
    if ":" in host:
        host = host.partition("%")[0]
        if host.startswith("::ffff:") and "." in host:
            host = host[len("::ffff:") :]
    return host, port


class DatagramPath:
    """The way back to who sent a datagram: always the host it came from."""

    __slots__ = ("_address", "_listener", "source")

    def __init__(
        self, listener: "DatagramListener", address: SocketAddress, source: Source
    ) -> None:
        self._listener = listener
        self._address = address
        self.source = source

    def answering(self, via: Via) -> "DatagramPath":
        """Choose the port of the response."""
        port = response_port(via, source_port=self.source.port)
        if port == self.source.port:
            return self
        address = (self._address[0], port, *self._address[2:])
        return DatagramPath(self._listener, address, self.source)

    def send(self, data: bytes) -> None:
        """Send one message in one datagram, or none if the socket is closed, or cannot now."""
        self._listener.send(data, self._address)


class DatagramListener:
    """Receives the datagrams of one socket, and sends from it; closes it at the end."""

    def __init__(self, sock: socket.socket, reception: Reception) -> None:
        self._sock = sock
        self._reception = reception
        self._loop = asyncio.get_running_loop()
        self._is_answering = False
        self._answers: list[tuple[bytes, SocketAddress]] = []
        sock.settimeout(0)
        self._loop.add_reader(sock, self._read)

    def close(self) -> None:
        """Receive no more. May be called twice."""
        if self._sock.fileno() >= 0:
            self._loop.remove_reader(self._sock)
            self._sock.close()

    def send(self, data: bytes, address: SocketAddress) -> None:
        """Send a datagram, at once or with the answers to all that came with what it answers.

        What gets lost here or later is asked for again (RFC 3261 §17).
        """
        if self._is_answering:
            self._answers.append((data, address))
            return
        try:
            self._sock.sendto(data, address)
        except OSError as error:
            _log.debug("a SIP response over UDP was not sent: %s", error)

    def _read(self) -> None:
        """Take what has come, answer it, and send the answers."""
        came = self._take()
        reception, works = self._reception, []
        for data, address in came:
            path = self._path_to(address)
            if reception.admits(path.source) and (work := reception.receive(data, path)):
                works.append(work)
        self._is_answering = True
        try:
            side_by_side(works)
        finally:
            self._is_answering = False
            answers, self._answers = self._answers, []
            for data, address in answers:
                self.send(data, address)

    def _take(self) -> list[tuple[bytes, SocketAddress]]:
        """Read the datagrams that are there, so many at most."""
        take = self._sock.recvfrom
        came: list[tuple[bytes, SocketAddress]] = []
        for _ in range(TOGETHER):
            try:
                came.append(take(MAX_MESSAGE_LENGTH))
            except BlockingIOError:
                break
            except OSError as error:  # an earlier answer did not arrive: its sender has gone
                _log.debug("a SIP response over UDP was not delivered: %s", error)
        return came

    def _path_to(self, address: SocketAddress) -> DatagramPath:
        return DatagramPath(self, address, Source("UDP", *plain_address(address)))
