"""The short way between a connection and the STIR routes.

HTTP is the dearest part of a signature. So a connection begins here: a request that arrives whole,
in one piece and in the usual form is read by llhttp and answered, mostly at once, side by side with
those that came together with it; where a verdict takes a while, no more is read before it is sent.
At the first piece that is anything else (another route, a part of a request, several at once,
chunks, an old version, what is no HTTP) the connection goes to the HTTP library, untouched, and
stays there. Nothing is refused here: what a request means is `shaken.api.stir`'s business for both.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import Protocol, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from shaken.api.stir import HEADERS, SIGNING_PATH, VERIFICATION_PATH, StirAnswer, StirRequest
from sip.stages import Stages, side_by_side
from trust.tls import client_spki

MAX_PIECE = 8 * 1024
"""Bytes of a request that are looked at here; a signing request has under 2 KiB, and the HTTP
library takes lines of this length."""

SWEEP_SECONDS = 5
"""How often idle connections are looked for."""

_BEGINNING = b"POST /stir/v1/"
_PATHS = {path.encode(): path for path in (SIGNING_PATH, VERIFICATION_PATH)}
_SPELLINGS = {name.lower().encode(): name for name in HEADERS} | {
    name.encode(): name for name in HEADERS
}
_PHRASES = {status.value: status.phrase for status in HTTPStatus}
_LEFT_TO_THE_LIBRARY = frozenset({b"transfer-encoding", b"expect", b"upgrade"})


class Door(Protocol):
    """What leads to the STIR routes, as `shaken.api.stir_door` does."""

    def answer(
        self, request: StirRequest, *, remote: str, client_spki: str | None
    ) -> Stages[StirAnswer | Awaitable[StirAnswer]]:
        """Answer a request of the other end of a connection. Raises nothing."""


class StirWires:
    """Makes the protocol of each new connection, and knows those that are still here."""

    def __init__(
        self,
        door: Door,
        library: Callable[[], asyncio.Protocol],
        *,
        loop: asyncio.AbstractEventLoop,
        keep_alive_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the door, what makes the HTTP library's protocols, and how long to idle."""
        self.door = door
        self.library = library
        self.clock = clock
        self._keep_alive_seconds = keep_alive_seconds
        self._loop = loop
        self._wires: set[StirWire] = set()
        self._asked: list[Stages[None]] = []
        self._ready: list[tuple[asyncio.Transport, bytes]] = []
        self._waiting: set[asyncio.Future[StirAnswer]] = set()
        self._sweep = loop.call_later(SWEEP_SECONDS, self.close_idle)

    def __call__(self) -> "StirWire":
        """Make the protocol of a new connection."""
        return StirWire(self)

    def ask(self, answering: Stages[None]) -> None:
        """Answer a request once all that came together is read, side by side with them."""
        if not self._asked:
            self._loop.call_soon(self.flush)
        self._asked.append(answering)

    def send(self, transport: asyncio.Transport, answer: bytes) -> None:
        """Send an answer, which is made in `flush`, when those of all that came together are made.

        The kernel wakes a client once, not for each answer.
        """
        self._ready.append((transport, answer))

    def wait(self, wire: "StirWire", answer: Awaitable[StirAnswer]) -> None:
        """Send an answer when it is there."""

        def done(task: asyncio.Future[StirAnswer]) -> None:
            self._waiting.discard(task)
            if task.cancelled():
                wire.close()
            else:
                wire.proceed(task.result())

        task = asyncio.ensure_future(answer, loop=self._loop)
        self._waiting.add(task)
        task.add_done_callback(done)

    async def over(self, *, seconds: float) -> None:
        """Wait until all that was asked is answered, at most so long."""
        self.flush()
        if self._waiting:
            await asyncio.wait(self._waiting, timeout=seconds)

    def flush(self) -> None:
        """Answer what was asked, and send the answers that are ready."""
        asked, self._asked = self._asked, []
        try:
            side_by_side(asked)
        finally:
            ready, self._ready = self._ready, []
            for transport, answer in ready:
                transport.write(answer)

    def opened(self, wire: "StirWire") -> None:
        """Count a connection that is here."""
        self._wires.add(wire)

    def left(self, wire: "StirWire") -> None:
        """Forget a connection that is closed or went to the library."""
        self._wires.discard(wire)

    def close(self) -> None:
        """Answer what was asked, and close the connections: none is in mid-request."""
        self.flush()
        self._sweep.cancel()
        for wire in tuple(self._wires):
            wire.close()

    def close_idle(self) -> None:
        """Close the connections that were silent for too long, now and every few seconds.

        One that is closed is here until its client has read what was written, or the next time.
        """
        self._sweep.cancel()
        self._sweep = self._loop.call_later(SWEEP_SECONDS, self.close_idle)
        oldest = self.clock() - self._keep_alive_seconds
        for wire in [wire for wire in self._wires if wire.heard_at < oldest and not wire.busy]:
            wire.end()


class StirWire(asyncio.Protocol):
    """One connection, until something comes that is not for here."""

    def __init__(self, wires: StirWires) -> None:
        """Take what all connections share."""
        self.heard_at = wires.clock()
        self._wires = wires
        self.busy = False
        self._paused = False
        self._parser = HttpRequestParser(self)
        self._url = b""
        self._headers: dict[str, str] = {}
        self._body = b""
        self._begun = 0
        self._complete = 0
        self._usual = False
        self._is_asked = False
        self._early = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        address = transport.get_extra_info("peername")
        self._remote = str(address[0]) if address else ""
        secured = transport.get_extra_info("ssl_object")
        self._client_spki = None if secured is None else client_spki(secured)
        self._wires.opened(self)

    def connection_lost(self, _: Exception | None) -> None:
        """End."""
        self._wires.left(self)

    def data_received(self, data: bytes) -> None:
        """Answer a whole request, or let the library do with the piece what it does."""
        self.heard_at = self._wires.clock()
        if self._is_asked:  # by a piece before, which is answered first
            self._wires.flush()
        if self.busy:
            self._early += data
            return
        request = self._read(data)
        if request is None:
            self._hand_over(data)
        else:
            self._is_asked = True
            self._wires.ask(self._answering(request))

    def _answering(self, request: StirRequest) -> Stages[None]:
        try:
            answer = yield from self._wires.door.answer(
                request, remote=self._remote, client_spki=self._client_spki
            )
        except Exception:
            self.close()
            raise
        self._is_asked = False
        if isinstance(answer, StirAnswer):
            self._wires.send(self._transport, response(answer, now=int(time.time())))
        else:
            self.busy = True
            self._transport.pause_reading()
            self._wires.wait(self, answer)

    def proceed(self, answer: StirAnswer) -> None:
        """Send an answer that took a while, and read on."""
        self.busy = False
        self.heard_at = self._wires.clock()
        if self._transport.is_closing():
            return
        self._transport.write(response(answer, now=int(time.time())))
        early, self._early = self._early, b""
        if early:
            self.data_received(early)
        if not self._paused:
            self._transport.resume_reading()

    def pause_writing(self) -> None:
        """Hear no more of a client that does not read its answers."""
        self._paused = True
        if not self.busy:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Hear it again."""
        self._paused = False
        if not self.busy:
            self._transport.resume_reading()

    def close(self) -> None:
        """Close the connection after what was written."""
        self._transport.close()

    def end(self) -> None:
        """Close the connection, or cut off a client that did not read what was written before."""
        if self._transport.is_closing():
            self._transport.abort()
        else:
            self.close()

    def _hand_over(self, data: bytes) -> None:
        self._wires.flush()
        self._wires.left(self)
        protocol = self._wires.library()
        self._transport.set_protocol(protocol)
        protocol.connection_made(self._transport)
        protocol.data_received(data)

    def _read(self, data: bytes) -> StirRequest | None:
        """Read a piece as one whole request; None: it is not."""
        if len(data) > MAX_PIECE or not data.startswith(_BEGINNING):
            return None
        self._headers = {}
        self._body = b""
        self._begun = self._complete = 0
        self._usual = True
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            return None
        if not self._begun == self._complete == 1:
            return None
        return self._request()

    def _request(self) -> StirRequest | None:
        """Make the request of what was read; None: there is something unusual about it."""
        target, _, query = self._url.partition(b"?")
        path = _PATHS.get(target)
        if path is None or not self._usual:
            return None
        return StirRequest(
            method="POST",
            path=path,
            query=query.decode("latin-1"),
            headers=self._headers,
            body=self._body,
        )

    # What the parser calls while it reads.

    def on_message_begin(self) -> None:
        """Count a request that begins."""
        self._begun += 1

    def on_url(self, url: bytes) -> None:
        """Take the request's target."""
        self._url = url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; one that is there twice, or changes how it is read, is the library's."""
        spelling = _SPELLINGS.get(name)
        if spelling is None:
            name = name.lower()
            spelling = _SPELLINGS.get(name) or name.decode("latin-1")
        if spelling in self._headers or name in _LEFT_TO_THE_LIBRARY:
            self._usual = False
        # The parser leaves the white space behind a value, which is no part of it (RFC 9110 §5.5).
        self._headers[spelling] = value.rstrip(b" \t").decode("utf-8", "surrogateescape")

    def on_body(self, body: bytes) -> None:
        """Take the body, which is whole where the piece is."""
        self._body += body

    def on_message_complete(self) -> None:
        """Count a request that is complete; the parser forgets the rest with the next one."""
        self._complete += 1
        parser = self._parser
        if not parser.should_keep_alive() or parser.get_http_version() != "1.1":
            self._usual = False


def response(answer: StirAnswer, *, now: int) -> bytes:
    """Return an answer as it is sent at a time (RFC 9112 §4, RFC 9110 §6.6.1), Unix seconds."""
    head = f"HTTP/1.1 {answer.status} {_PHRASES[answer.status]}\r\n"
    for name, text in answer.headers.items():
        head += f"{name}: {text}\r\n"
    head += f"Content-Length: {len(answer.body)}\r\nDate: {_date(now)}\r\n\r\n"
    return head.encode("latin-1") + answer.body


@lru_cache(maxsize=1)
def _date(now: int) -> str:
    return formatdate(now, usegmt=True)
