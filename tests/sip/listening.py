"""Servers on loopback, a handler and a plain client for their tests."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self

from sip.message import Request
from sip.response import respond
from sip.server import Answer, Handler, Limits, SipServer, Source

Endpoint = tuple[str, int]


def bound(kind: socket.SocketKind, host: str = "127.0.0.1") -> tuple[socket.socket, Endpoint]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, kind)
    sock.bind((host, 0))
    return sock, sock.getsockname()[:2]


class DatagramClient:
    """A UDP socket with what came to it."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._sock, self.address = bound(
            socket.SOCK_DGRAM, "::1" if ":" in endpoint[0] else "127.0.0.1"
        )
        self._sock.settimeout(0)

    async def ask(self, data: bytes) -> bytes:
        self.send(data)
        return await self.receive()

    def send(self, data: bytes) -> None:
        self._sock.sendto(data, self._endpoint)

    async def receive(self) -> bytes:
        async with asyncio.timeout(5):
            return await asyncio.get_running_loop().sock_recv(self._sock, 65536)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._sock.close()


class Redirect:
    """A handler that answers 302, with a different tag each time, and remembers what it saw."""

    def __init__(self) -> None:
        self.seen: list[tuple[Request, Source]] = []

    def __call__(self, message: Request, source: Source) -> Answer:
        self.seen.append((message, source))
        return respond(message, 302, to_tag=f"tag-{len(self.seen)}")


@asynccontextmanager
async def serving_udp(
    handler: Handler, *, host: str = "127.0.0.1", limits: Limits | None = None, **options: object
) -> AsyncIterator[Endpoint]:
    sock, endpoint = bound(socket.SOCK_DGRAM, host)
    async with SipServer(handler, udp=[sock], limits=limits, **options):  # type: ignore[arg-type]
        yield endpoint


@asynccontextmanager
async def serving_tcp(
    handler: Handler, *, limits: Limits | None = None, **options: object
) -> AsyncIterator[Endpoint]:
    sock, endpoint = bound(socket.SOCK_STREAM)
    async with SipServer(handler, tcp=[sock], limits=limits, **options):  # type: ignore[arg-type]
        yield endpoint
