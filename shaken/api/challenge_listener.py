"""The listener for authorities: open to the world, so its connections are few and end soon."""

import asyncio
import socket

from aiohttp import web

IDLE_SECONDS = 10.0
"""How long a connection may take to its first request, or the next: authorities ask at once."""

LONGEST_SECONDS = 30.0
"""After so long to twice as long a connection is cut off, whatever it does: one that reads no
answers ends no other way."""

CONNECTIONS = 1000
"""Connections open at once in a worker; an authority needs a handful."""


class ChallengeListener:
    """Serves an application on a listening socket, which it closes at the end."""

    def __init__(
        self,
        application: web.Application,
        sock: socket.socket,
        *,
        backlog: int,
        idle_seconds: float = IDLE_SECONDS,
        longest_seconds: float = LONGEST_SECONDS,
        connections: int = CONNECTIONS,
    ) -> None:
        """Take what is served, where, and what a connection may cost."""
        self._runner = web.AppRunner(
            application, access_log=None, auto_decompress=False, keepalive_timeout=idle_seconds
        )
        self._sock = sock
        self._backlog = backlog
        self._longest_seconds = longest_seconds
        self._connections = connections
        self._loop = asyncio.get_running_loop()

    async def start(self) -> None:
        """Begin to serve."""
        await self._runner.setup()
        if self._runner.server is None:
            raise RuntimeError("the runner is set up before connections come")
        self._library = self._runner.server
        self._server = await self._loop.create_server(
            self._accept, sock=self._sock, backlog=self._backlog
        )
        self._seen = frozenset[web.RequestHandler]()
        self._sweep = self._loop.call_later(self._longest_seconds, self._cut_off)

    async def close(self) -> None:
        """Accept no more, and answer what was asked."""
        self._sweep.cancel()
        self._server.close()
        await self._runner.cleanup()

    def _accept(self) -> asyncio.Protocol:
        if len(self._library.connections) >= self._connections:
            return _Refusal()
        return self._library()

    def _cut_off(self) -> None:
        """Cut off the connections that were here the last time."""
        self._sweep = self._loop.call_later(self._longest_seconds, self._cut_off)
        here = frozenset(self._library.connections)
        for each in here & self._seen:
            if each.transport is not None:
                each.transport.abort()
        self._seen = here


class _Refusal(asyncio.Protocol):
    """A connection too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """End it."""
        transport.close()
