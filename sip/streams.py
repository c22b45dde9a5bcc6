"""SIP over TCP and TLS: connections with their limits (RFC 3261 §18, RFC 5626 §3.5.1)."""

import asyncio
import ssl
from collections.abc import Callable, Iterator

from sip.datagrams import plain_address
from sip.framing import PONG, Framer, FramingError, KeepAlive, Message
from sip.limits import Limits
from sip.rate import Rate
from sip.reception import Reception, Source
from sip.stages import TOGETHER, Stages, side_by_side
from sip.via import Via

_PAUSE_SECONDS = 0.05
"""How long a connection that sends too fast is not read, a stranger's when strangers do."""


class StreamConnection(asyncio.Protocol):
    """One connection: cuts its stream, and is the path back to its peer."""

    def __init__(
        self,
        reception: Reception,
        *,
        limits: Limits,
        on_close: Callable[["StreamConnection"], None],
    ) -> None:
        self._reception = reception
        self._limits = limits
        self._on_close = on_close
        self._framer = Framer()
        self._rate = Rate(limits.messages_per_second)
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._resume: asyncio.Handle | None = None
        # When the last message ended, or the one that is on its way began.
        self._since = self._loop.time()
        self._begun = self._since
        self._has_spoken = False
        self.source = Source("TCP", "", 0)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Learn who is there; over TLS the handshake is done."""
        self._transport = transport  # type: ignore[assignment]
        address, port = plain_address(transport.get_extra_info("peername") or ("", 0))
        tls = transport.get_extra_info("ssl_object")
        certificate = None
        if isinstance(tls, ssl.SSLObject):
            certificate = tls.getpeercert(binary_form=True)
        self.source = Source("TCP" if tls is None else "TLS", address, port, certificate)

    def data_received(self, data: bytes) -> None:
        """Take bytes of the stream."""
        if not self._framer.is_waiting:
            self._since = self._loop.time()
        self._framer.receive(data)
        if self._resume is None:
            self._read()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (its end is its end)
        """Forget the connection."""
        self._transport = None
        if self._resume is not None:
            self._resume.cancel()
        self._on_close(self)

    def answering(self, via: Via) -> "StreamConnection":  # noqa: ARG002 (the connection decides)
        """Answer over the connection itself (RFC 3261 §18.2.2)."""
        return self

    def send(self, data: bytes) -> None:
        """Send bytes, unless the connection is closed; cut off a peer that does not read."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        transport.write(data)
        if transport.get_write_buffer_size() > self._limits.unsent_bytes:
            transport.abort()

    def close_if_idle(self, now: float, *, is_known: bool) -> None:
        """Close the connection when its peer has been silent for too long."""
        limits = self._limits
        allowed = limits.partial_seconds if self._framer.is_waiting else limits.idle_seconds
        if not (is_known or self._has_spoken):  # a keep-alive says nothing of who it is
            is_over = now - self._begun > limits.partial_seconds
        else:
            is_over = self._resume is None and now - self._since > allowed
        if is_over:
            self.close()

    def close(self) -> None:
        """Close the connection when what was written has left."""
        if self._transport is not None:
            self._transport.close()

    def _read(self) -> None:
        """Take what is whole, as fast as it may come, and a part of it in one turn of the loop."""
        self._resume = None
        if self._transport is None or self._transport.is_closing():
            return
        came: list[Stages[None]] = []
        pings = 0
        wrong: FramingError | None = None
        try:
            for event in self._admitted():
                if isinstance(event, KeepAlive):
                    pings += 1
                    continue
                self._has_spoken = True
                work = self._reception.receive(event.data, self)
                if work is not None:
                    came.append(work)
        except FramingError as error:
            wrong = error
        side_by_side(came)
        if pings:
            self.send(PONG * pings)
        if wrong is not None:
            self._reception.refuse_head(
                wrong.head, status=wrong.status, sentence=str(wrong), path=self
            )
            self.close()

    def _admitted(self) -> Iterator[Message | KeepAlive]:
        """Yield what is whole and may be looked at now; pause when there may be more of it.

        Raises FramingError.
        """
        for _ in range(TOGETHER):
            event = self._framer.next_event()
            if event is None:
                return
            self._since = self._loop.time()
            if not self._reception.admits(self.source):
                self._pause(_PAUSE_SECONDS)
                return
            yield event
            if not self._rate.take(self._since):
                self._pause(_PAUSE_SECONDS)
                return
        self._pause(0)

    def _pause(self, seconds: float) -> None:
        """Read on later; 0: when others had their turn."""
        if self._transport is None:
            return
        self._transport.pause_reading()
        if seconds:
            self._resume = self._loop.call_later(seconds, self._go_on)
        else:
            self._resume = self._loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        self._read()
        transport = self._transport
        if self._resume is None and transport is not None and not transport.is_closing():
            transport.resume_reading()
