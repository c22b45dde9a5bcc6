"""UDP, TCP and TLS listeners that hand each request to one handler.

`SipServer` serves sockets that are bound already, in the running event loop, until it is closed.
The parts stand in modules of their own: `sip.datagrams` and `sip.streams` move bytes,
`sip.reception` decides what becomes of a message.
"""

import asyncio
import logging
import secrets
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from sip.datagrams import DatagramListener, plain_address
from sip.limits import Limits, place_of_stranger
from sip.reception import Answer, Handler, Reception, Source, Stateless
from sip.streams import StreamConnection
from sip.transaction import Timers

__all__ = ["Answer", "Handler", "Limits", "SipServer", "Source", "Stateless", "Timers"]

_SWEEP_SECONDS = 1.0
"""How often connections are looked at for silence."""

_ACCEPT_PAUSE_SECONDS = 0.1
"""How long none is accepted after that failed: the process has no file descriptors left."""

_BACKLOG = 1024

_log = logging.getLogger(__name__)


def _everybody(source: Source) -> bool:  # noqa: ARG001 (the signature of a rule)
    return True


class SipServer:
    """A SIP server (RFC 3261 §18.2), as an async context manager.

    `handler(request, source)` answers each new request at once, in stages or by an awaitable: with
    a final `Response`, a `Stateless` one, or None for silence. Retransmissions, ACK and CANCEL
    never reach it, nor does what is malformed. A failure of its is logged and answered with 500.

    `udp`, `tcp` and `tls` are bound sockets, those of the latter two listening or not; the server
    closes them. `tls_context` is for `tls`. `is_known` says cheaply whether a source is anyone's:
    of all others' messages only `Limits.strangers_per_second` are read, and they have
    `Limits.stranger_connections` in all. Over TLS it is asked before the handshake, and again when
    the client's certificate is there. `is_sure` says whether it is that one's beyond doubt: unasked
    no others get more over UDP than `MAX_AMPLIFICATION`.

    Responses go to the address a request came from, over the connection it came by; over UDP to
    the port of RFC 3581 or of the topmost Via. `maddr` and `received` of others are not followed.

    Several processes may serve the same address. A retransmission over UDP, an ACK and a CANCEL
    must reach the process that got the INVITE, or they are answered anew: whoever binds the
    sockets must see to that. SO_REUSEPORT, a socket for each process, does so while the sockets
    stay the same ones, since the kernel chooses by the peer's address and port; one UDP socket
    that several processes inherit does not. TCP and TLS sockets may be inherited.
    """

    def __init__(
        self,
        handler: Handler,
        *,
        udp: Sequence[socket.socket] = (),
        tcp: Sequence[socket.socket] = (),
        tls: Sequence[socket.socket] = (),
        tls_context: ssl.SSLContext | None = None,
        limits: Limits | None = None,
        timers: Timers | None = None,
        is_known: Callable[[Source], bool] = _everybody,
        is_sure: Callable[[Source], bool] = _everybody,
    ) -> None:
        if tls and tls_context is None:
            raise ValueError("TLS sockets need a TLS context")
        self._handler = handler
        self._udp = tuple(udp)
        self._streams = (*((sock, None) for sock in tcp), *((sock, tls_context) for sock in tls))
        self._limits = limits or Limits()
        self._timers = timers or Timers()
        self._is_known = is_known
        self._is_sure = is_sure
        self._reception: Reception | None = None
        self._datagrams: list[DatagramListener] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._connections: dict[StreamConnection, str] = {}  # what each is counted by
        self._strangers: set[StreamConnection] = set()  # those of them of no known source
        self._open: Counter[str] = Counter()  # how many are counted by the same

    async def start(self) -> None:
        """Begin to serve. Raises OSError when a socket cannot listen."""
        self._reception = Reception(
            self._handler,
            limits=self._limits,
            timers=self._timers,
            secret=secrets.token_bytes(32),
            is_known=self._is_known,
            is_sure=self._is_sure,
        )
        reception = self._reception
        for sock in self._udp:
            self._datagrams.append(DatagramListener(sock, reception))
        for sock, context in self._streams:
            sock.settimeout(0)
            sock.listen(_BACKLOG)
            self._spawn(self._accept(sock, context, reception))
        self._spawn(self._sweep())

    async def close(self) -> None:
        """Stop to serve, and give the answers that are under way. May be called twice.

        What is not answered within `Limits.closing_seconds` gets 503. No connection is accepted
        meanwhile.
        """
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._reception is not None:
            await self._reception.close()
        for listener in self._datagrams:
            listener.close()
        for sock in self._udp:
            sock.close()
        for connection in tuple(self._connections):
            connection.close()
        for sock, _ in self._streams:
            sock.close()
        await asyncio.sleep(0)  # transports close their sockets in the loop's next turn

    async def __aenter__(self) -> Self:
        """Begin to serve."""
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop to serve."""
        await self.close()

    async def _accept(
        self, sock: socket.socket, context: ssl.SSLContext | None, reception: Reception
    ) -> None:
        """Accept connections, and refuse those past a limit before they cost a handshake."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                peer, address = await loop.sock_accept(sock)
            except OSError as error:
                _log.warning("no SIP connection can be accepted: %s", error)
                await asyncio.sleep(_ACCEPT_PAUSE_SECONDS)
                continue
            host, port = plain_address(address)
            is_known = self._is_known(Source("TCP" if context is None else "TLS", host, port))
            place = host if is_known else place_of_stranger(host)
            if not self._has_room(place, is_known=is_known):
                peer.close()
                continue
            connection = StreamConnection(reception, limits=self._limits, on_close=self._forget)
            self._connections[connection] = place
            self._open[place] += 1
            if not is_known:
                self._strangers.add(connection)
            self._spawn(self._connect(peer, connection, context))

    def _has_room(self, place: str, *, is_known: bool) -> bool:
        limits = self._limits
        return (
            self._open.total() < limits.connections
            and self._open[place] < limits.connections_per_address
            and (is_known or len(self._strangers) < limits.stranger_connections)
        )

    async def _connect(
        self, peer: socket.socket, connection: StreamConnection, context: ssl.SSLContext | None
    ) -> None:
        """Connect an accepted socket, after its handshake where there is one."""
        loop = asyncio.get_running_loop()
        try:
            await loop.connect_accepted_socket(
                lambda: connection,
                peer,
                ssl=context,
                ssl_handshake_timeout=None if context is None else self._limits.handshake_seconds,
            )
        except (OSError, ssl.SSLError) as error:
            _log.debug("a TLS handshake for SIP failed: %s", error)
            self._forget(connection)
        except asyncio.CancelledError:
            peer.close()
            raise
        else:
            if self._is_known(connection.source):
                self._strangers.discard(connection)

    def _forget(self, connection: StreamConnection) -> None:
        self._strangers.discard(connection)
        place = self._connections.pop(connection, None)
        if place is not None:
            self._open[place] -= 1
            if not self._open[place]:
                del self._open[place]

    async def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            for connection in tuple(self._connections):
                is_known = connection not in self._strangers
                connection.close_if_idle(loop.time(), is_known=is_known)

    def _spawn(self, work: "asyncio._CoroutineLike[None]") -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
