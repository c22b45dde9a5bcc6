"""Somebody's certificate repository: real HTTPS on loopback, in a thread, behaving as it is told.

with publishing(authority, folder) as repository:
    url = repository.holds("/a.pem", chain)
    ...
    repository.stop()
"""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import web

from tests.shaken.x5u.web import Web, serving
from tests.system.process import until
from trust.authority import Authority

MAX_FILE = 64 * 1024
"""Bytes of a file of certificates that the service takes."""


class Published:
    """A repository in a thread. What it answers is set from any thread."""

    def __init__(self, authority: Authority, folder: Path) -> None:
        """Take whose TLS certificate it shows, and a folder for that."""
        self._authority = authority
        self._folder = folder
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._web: Web
        self._loop: asyncio.AbstractEventLoop
        self._over: asyncio.Event
        self.root_pem = authority.root_pem

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()
        assert self._ready.wait(10)

    def stop(self) -> None:
        """Be down: nobody listens any more."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._over.set)
            self._thread.join(10)

    def release(self) -> None:
        """Let go of all that hangs."""
        self._loop.call_soon_threadsafe(self._web.released.set)

    @property
    def url(self) -> str:
        """The base URL, with an address in the place of a name."""
        return f"https://127.0.0.1:{self.port}"

    @property
    def port(self) -> int:
        """Its https port."""
        return urlsplit(self._web.https).port or 0

    @property
    def asked(self) -> list[str]:
        """The paths that were asked for."""
        return list(self._web.asked)

    def wait_for(self, path: str) -> None:
        """Wait until somebody asked for a path."""
        for _ in until(f"{path} is asked for"):
            if path in self._web.asked:
                return

    def holds(self, path: str, body: bytes | str, **headers: str) -> str:
        """Have a path answered with a file; return its URL."""
        self._web.holds(path, body, **headers)
        return self.url + path

    def leads(self, path: str, location: str) -> str:
        """Have a path redirected; return its URL."""
        self._web.leads(path, location)
        return self.url + path

    def fails(self, path: str) -> str:
        """Have a path answered with 503; return its URL."""
        self._web.says(path, b"HTTP/1.1 503 Down\r\nContent-Length: 0\r\n\r\n")
        return self.url + path

    def hangs(self, path: str, body: str = "") -> str:
        """Have a path answered with a file only when all that hangs is released."""

        async def answer(_: web.Request) -> web.Response:
            await self._web.released.wait()
            return web.Response(text=body)

        self._web.at(path, answer)
        return self.url + path

    def drips(self, path: str) -> str:
        """Have a path answered a byte at a time, without end."""

        async def answer(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse()
            await response.prepare(request)
            while not self._web.released.is_set():
                await response.write(b"-")
                await asyncio.sleep(0.05)
            return response

        self._web.at(path, answer)
        return self.url + path

    def floods(self, path: str) -> str:
        """Have a path answered with chunks that never end and do not say how many come."""

        async def answer(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse()
            await response.prepare(request)
            while not self._web.released.is_set():
                await response.write(bytes(MAX_FILE))
                await asyncio.sleep(0)  # nothing else tells this loop that nobody reads any more
            return response

        self._web.at(path, answer)
        return self.url + path

    async def _run(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        async with serving(self._authority, self._folder) as self._web:
            self._ready.set()
            await self._over.wait()


@contextmanager
def publishing(authority: Authority, folder: Path) -> Iterator[Published]:
    """Run a repository for a while."""
    repository = Published(authority, folder)
    repository.start()
    try:
        yield repository
    finally:
        repository.stop()
