"""Connections that begin with the STIR routes, over stand-ins for transport and library."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass, field

from shaken.api.stir import StirAnswer, StirRequest
from shaken.api.stir_wire import StirWire, StirWires
from sip.stages import Stages

PEER = "192.0.2.7"


class Line(asyncio.Transport):
    """The other end of a connection."""

    def __init__(self) -> None:
        super().__init__({"peername": (PEER, 40000)})
        self.written: list[bytes] = []
        self.protocol: asyncio.BaseProtocol | None = None
        self.reading = True
        self.closed = False
        self.aborted = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.closed
        self.written.append(bytes(data))

    def is_closing(self) -> bool:
        return self.closed

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = self.aborted = True


@dataclass
class Library(asyncio.Protocol):
    """What the HTTP library is given."""

    transport: asyncio.BaseTransport | None = None
    received: list[bytes] = field(default_factory=list)
    sent_before: int = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, Line)
        self.transport = transport
        self.sent_before = len(transport.written)

    def data_received(self, data: bytes) -> None:
        self.received.append(data)


class Bench:
    """Connections of a listener whose clock stands still until it is set."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.failed: list[dict[str, object]] = []
        self.loop.set_exception_handler(lambda _, context: self.failed.append(context))
        self.now = 1000.0
        self.asked: list[StirRequest] = []
        self.remotes: list[str] = []
        self.stages: list[str] = []
        self.libraries: list[Library] = []
        self.slow = False
        self.coming: list[asyncio.Future[StirAnswer]] = []
        self.wires = StirWires(
            self,
            self._library,
            loop=self.loop,
            clock=lambda: self.now,
            keep_alive_seconds=75,
        )

    def answer(
        self, request: StirRequest, *, remote: str, client_spki: str | None
    ) -> Stages[StirAnswer | Awaitable[StirAnswer]]:
        """Be the door: remember what comes, and answer it in two stages."""
        assert client_spki is None
        name = request.headers.get("X-RequestID")
        self.asked.append(request)
        self.remotes.append(remote)
        self.stages.append(f"{name} begins")
        yield
        self.stages.append(f"{name} ends")
        if name == "fails":
            raise RuntimeError("as asked")
        if not self.slow:
            return self.made()
        self.coming.append(self.loop.create_future())
        return self.coming[-1]

    def made(self) -> StirAnswer:
        """Make the answer to what was asked last."""
        return StirAnswer(200, {"X-Number": str(len(self.asked))}, b"{}")

    def _library(self) -> Library:
        self.libraries.append(Library())
        return self.libraries[-1]

    def connect(self) -> tuple[StirWire, Line]:
        wire, line = self.wires(), Line()
        wire.connection_made(line)
        return wire, line

    def turn(self) -> None:
        """Let the loop run what waits."""
        self.loop.call_soon(self.loop.stop)
        self.loop.run_forever()

    def close(self) -> None:
        self.wires.close()
        self.loop.close()
        assert self.failed == []
