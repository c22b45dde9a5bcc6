"""SIP over TCP and TLS: connections with their limits (RFC 3261 §18, RFC 5626 §3.5.1)."""

import asyncio
import ssl
from collections.abc import Callable

from sip.datagrams import plain_address
from sip.framing import PONG, Framer, FramingError, KeepAlive
from sip.limits import Limits
from sip.rate import Rate
from sip.reception import Reception, Source
from sip.stages import Stages, side_by_side
from sip.via import Via

_PAUSE_SECONDS = 0.05
"""How long a connection that sends too fast is not read."""


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
        self._resume: asyncio.TimerHandle | None = None
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
        since, allowed = self._since, limits.idle_seconds
        if self._framer.is_waiting:
            allowed = limits.partial_seconds
        if not (is_known or self._has_spoken):  # a keep-alive says nothing of who it is
            since, allowed = self._begun, limits.partial_seconds
        if self._resume is None and now - since > allowed:
            self.close()

    def close(self) -> None:
        """Close the connection when what was written has left."""
        if self._transport is not None:
            self._transport.close()

    def _read(self) -> None:
        """Take what is whole, as fast as it may come."""
        self._resume = None
        came: list[Stages[None]] = []
        wrong: FramingError | None = None
        try:
            while self._transport is not None and not self._transport.is_closing():
                event = self._framer.next_event()
                if event is None:
                    break
                self._since = self._loop.time()
                if isinstance(event, KeepAlive):
                    side_by_side(came)
                    came.clear()
                    self.send(PONG)
                else:
                    self._has_spoken = True
                    work = self._reception.receive(event.data, self)
                    if work is not None:
                        came.append(work)
                if not self._rate.take(self._since):
                    self._pause()
                    break
        except FramingError as error:
            wrong = error
        side_by_side(came)
        if wrong is not None:
            self._reception.refuse_head(
                wrong.head, status=wrong.status, sentence=str(wrong), path=self
            )
            self.close()

    def _pause(self) -> None:
        if self._transport is not None:
            self._transport.pause_reading()
            self._resume = self._loop.call_later(_PAUSE_SECONDS, self._go_on)

    def _go_on(self) -> None:
        self._read()
        if self._resume is None and self._transport is not None:
            self._transport.resume_reading()
