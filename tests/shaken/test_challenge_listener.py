"""The listener that the whole world reaches: nobody holds its connections."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from aiohttp import web

from shaken.api.challenge_listener import ChallengeListener

ASKED = b"GET / HTTP/1.1\r\nHost: pbx.example.com\r\n\r\n"

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def listening(*, body: bytes = b"here", **bounds: float) -> AsyncIterator[tuple[str, int]]:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(body=body)

    application = web.Application()
    application.router.add_get("/", answer)
    sock = socket.create_server(("127.0.0.1", 0))
    listener = ChallengeListener(application, sock, backlog=16, **bounds)  # type: ignore[arg-type]
    await listener.start()
    try:
        yield sock.getsockname()
    finally:
        await listener.close()


async def is_answered(connection: Connection) -> bool:
    reader, writer = connection
    async with asyncio.timeout(5):
        try:
            writer.write(ASKED)
            return b" 200 OK" in await reader.readuntil(b"\r\n\r\nhere")
        except (ConnectionError, asyncio.IncompleteReadError):
            return False


async def end(connection: Connection) -> bytes:
    """Return what comes until the connection is closed."""
    async with asyncio.timeout(10):
        with suppress(ConnectionError):
            return await connection[0].read()
        return b""


@pytest.mark.parametrize("begun", [b"", b"GET / HTTP/1.1\r\nHost: "])
async def test_who_asks_nothing_is_closed(begun: bytes) -> None:
    async with listening(idle_seconds=0.01) as address:
        connection = await asyncio.open_connection(*address)
        connection[1].write(begun)

        assert b"200" not in await end(connection)

        connection[1].close()


async def test_who_asks_no_more_is_closed() -> None:
    async with listening(idle_seconds=1) as address:
        connection = await asyncio.open_connection(*address)

        assert await is_answered(connection)
        assert await end(connection) == b""

        connection[1].close()


async def test_connections_past_the_limit_are_closed_at_once() -> None:
    async with listening(connections=2) as address:
        connections = [await asyncio.open_connection(*address) for _ in range(2)]
        assert [await is_answered(each) for each in connections] == [True, True]

        refused = await asyncio.open_connection(*address)

        assert await end(refused) == b""
        assert await is_answered(connections[0])
        for _, writer in (*connections, refused):
            writer.close()


async def test_who_reads_no_answers_is_cut_off() -> None:
    async with listening(body=b"x" * 20_000_000, longest_seconds=0.01) as address:
        sock = socket.create_connection(address)
        sock.settimeout(0)
        loop = asyncio.get_running_loop()

        async def ask_for_ever() -> None:
            while True:
                await loop.sock_sendall(sock, ASKED)

        with pytest.raises(ConnectionError):
            await asyncio.wait_for(ask_for_ever(), timeout=10)

        sock.close()
