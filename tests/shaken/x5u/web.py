"""An HTTPS repository of certificates that behaves as it is told, and a fetcher that reaches it."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.test_utils import unused_port

from shaken.addresses import Address, FetchSettings
from shaken.x5u.exchange import FetchError, Request, Response
from shaken.x5u.fetch import Fetcher
from trust.authority import Authority

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

LOOPBACK = ip_address("127.0.0.1")
LAB = FetchSettings(allow_private=True, allow_any_port=True)


class Web:
    """A repository: what each path answers, and what was asked. `released` ends what hangs."""

    def __init__(self) -> None:
        self.answers: dict[str, Handler] = {}
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.arrived = asyncio.Event()
        self.released = asyncio.Event()
        self.https = self.http = ""

    def at(self, path: str, handler: Handler) -> str:
        """Have a path answered; return its https URL."""
        self.answers[path] = handler
        return self.https + path

    def holds(self, path: str, body: bytes | str, **headers: str) -> str:
        """Have a path answered with a file; return its https URL."""
        content = body.encode() if isinstance(body, str) else body

        async def answer(_: web.Request) -> web.Response:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            return web.Response(body=content, headers=named)

        return self.at(path, answer)

    def leads(self, path: str, location: str, status: int = 302) -> str:
        """Have a path redirected; return its https URL."""

        async def answer(_: web.Request) -> web.Response:
            return web.Response(status=status, headers={"Location": location})

        return self.at(path, answer)

    def says(self, path: str, raw: bytes) -> str:
        """Have a path answered with bytes as they are, and the connection closed."""

        async def answer(request: web.Request) -> web.Response:
            assert request.transport is not None
            request.transport.write(raw)
            request.transport.close()
            return web.Response()

        return self.at(path, answer)

    def hangs(self, path: str) -> str:
        """Have a path never answered, until all that hangs is released."""

        async def answer(_: web.Request) -> web.Response:
            await self.released.wait()
            return web.Response(status=503)

        return self.at(path, answer)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.path)
        self.headers.append(dict(request.headers))
        self.arrived.set()
        handler = self.answers.get(request.path)
        return web.Response(status=404) if handler is None else await handler(request)


@asynccontextmanager
async def serving(authority: Authority, folder: Path) -> AsyncIterator[Web]:
    """Run a repository on loopback, with a certificate for sti.example.com and 127.0.0.1."""
    issued = authority.issue_server(["sti.example.com", "127.0.0.1"], now=datetime.now(UTC))
    file = folder / "server.pem"
    file.write_text(issued.chain_pem + issued.key_pem)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(file)
    made = Web()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", made.answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
    await runner.setup()
    https, http = unused_port(), unused_port()
    await web.TCPSite(runner, "127.0.0.1", https, ssl_context=context).start()
    await web.TCPSite(runner, "127.0.0.1", http).start()
    made.https, made.http = f"https://sti.example.com:{https}", f"http://sti.example.com:{http}"
    try:
        yield made
    finally:
        made.released.set()
        await runner.cleanup()


async def to_loopback(_: str) -> Sequence[Address]:
    """Resolve every name to where the repository is."""
    return [LOOPBACK]


def trusting(authority: Authority) -> Callable[[], ssl.SSLContext]:
    """Return what gives contexts that trust an authority alone."""
    context = ssl.create_default_context(cadata=authority.root_pem)
    return lambda: context


@asynccontextmanager
async def fetching(
    authority: Authority, settings: FetchSettings = LAB, **changed: Any
) -> AsyncIterator[Fetcher]:
    """Run a fetcher that trusts an authority, and finds every name on loopback."""
    parts = {"tls": trusting(authority), "resolve": to_loopback, "agent": "shaken-test", **changed}
    fetcher = Fetcher(settings, **parts)
    await fetcher.start()
    try:
        yield fetcher
    finally:
        await fetcher.close()


def wanted(url: str, settings: FetchSettings = LAB, *, limit: int = 1000) -> Request:
    """Ask for a file."""
    return Request(url, settings.policy(), limit, "*/*")


async def refused(fetcher: Fetcher, request: Request) -> FetchError:
    """Fetch what must not come; return the error."""
    try:
        response: Response = await fetcher.fetch(request)
    except FetchError as error:
        return error
    raise AssertionError(f"there came {response}")
