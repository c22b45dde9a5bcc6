"""Fetches a file over HTTP: in bounded time, bounded size, from public addresses only.

The client keeps nothing between two fetches (no cookies, credentials, connections) and takes
nothing from the environment (no proxy, no .netrc). Redirections are followed here, not by the
library, so that each goes through the same checks as the URL that was asked for.
"""

import asyncio
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

from aiohttp import (
    ClientConnectorError,
    ClientError,
    ClientResponse,
    ClientSession,
    ClientSSLError,
    ClientTimeout,
    DummyCookieJar,
    TCPConnector,
)
from multidict import CIMultiDictProxy

from shaken.addresses import FetchSettings
from shaken.x5u.exchange import (
    FRESHNESS_HEADERS,
    NOTHING_KNOWN,
    FetchError,
    Reason,
    Request,
    Response,
    check_fetchable,
)
from shaken.x5u.guard import Guard, GuardedResolver, Resolve, SocketRefused, response_class
from shaken.x5u.hosts import Hosts

MAX_REDIRECTS = 2
"""Redirections of one fetch; who publishes certificates has no need of more."""

GIVE_WAY_SECONDS = 1.0
"""How long a fetch has its connection to itself. When all connections are taken, the oldest fetch
that took longer makes room for a new one: they cannot all be held by hosts that hang."""

PATIENCE_SHARE = 0.25
"""Part of the time after which a host that has said nothing was asked in vain; never more than the
second after which a fetch may have to give way, so that this counts as well."""

CONNECT_SHARE = 0.5
"""Part of the time that connecting to one address may take: a second one gets its chance."""

SILENCE_SHARE = 0.75
"""Part of the time that may pass without a byte."""

_REDIRECTS = frozenset({301, 302, 303, 307, 308})


@dataclass(slots=True, eq=False)
class _Flight:
    """A fetch under way; `limit` ends it."""

    began: float
    limit: asyncio.Timeout
    gave_way: bool = False


class Fetcher:
    """Fetches files. `start` in the event loop, `close` at the end."""

    def __init__(
        self,
        settings: FetchSettings,
        *,
        tls: Callable[[], ssl.SSLContext],
        resolve: Resolve,
        agent: str,
    ) -> None:
        """Take limits and rules. `tls` is asked for each connection: roots may change.

        `agent` is what the service calls itself to repositories.
        """
        self._settings = settings
        self._tls = tls
        self._guard = Guard(settings.allow_private)
        self._resolver = GuardedResolver(resolve, self._guard)
        self._agent = agent
        self._session: ClientSession | None = None
        self._hosts = Hosts(
            places=settings.connections_per_host,
            patience=min(GIVE_WAY_SECONDS, settings.seconds * PATIENCE_SHARE),
            clock=time.monotonic,
        )
        self._flights: dict[_Flight, None] = {}

    async def start(self) -> None:
        """Make the client."""
        connector = TCPConnector(
            resolver=self._resolver,
            use_dns_cache=False,
            socket_factory=self._guard.open_socket,
            force_close=True,
            # Who may connect is decided before: here nobody waits for a connection.
            limit=0,
        )
        self._session = ClientSession(
            connector=connector,
            cookie_jar=DummyCookieJar(),
            # `Accept-Encoding` asks for none, and what comes compressed all the same is refused.
            auto_decompress=False,
            trust_env=False,
            response_class=response_class(self._guard),
            timeout=ClientTimeout(
                sock_connect=self._settings.seconds * CONNECT_SHARE,
                sock_read=self._settings.seconds * SILENCE_SHARE,
            ),
            headers={"User-Agent": self._agent, "Accept-Encoding": "identity"},
        )

    async def close(self) -> None:
        """End all connections."""
        if self._session is not None:
            await self._session.close()

    async def fetch(self, request: Request) -> Response:
        """Fetch a file. Raises FetchError."""
        self._make_room()
        flight = _Flight(time.monotonic(), asyncio.timeout(self._settings.seconds))
        self._flights[flight] = None
        try:
            async with flight.limit:
                return await self._follow(request)
        except TimeoutError:
            if flight.gave_way:
                raise _busy() from None
            raise FetchError(
                Reason.TIMEOUT, f"there was no whole answer within {self._settings.seconds:g} s"
            ) from None
        finally:
            del self._flights[flight]

    def _make_room(self) -> None:
        """See to it that one more fetch may begin. Raises FetchError: `busy`."""
        if len(self._flights) < self._settings.connections:
            return
        going = (each for each in self._flights if not (each.gave_way or each.limit.expired()))
        oldest = next(going, None)
        if oldest is None or time.monotonic() - oldest.began < GIVE_WAY_SECONDS:
            raise _busy()
        oldest.gave_way = True
        oldest.limit.reschedule(asyncio.get_running_loop().time())

    async def _follow(self, request: Request) -> Response:
        """Ask the URL, and where it leads to."""
        check_fetchable(request.url, request.policy)
        url = request.url
        for _ in range(MAX_REDIRECTS + 1):
            answer = await self._ask(url, request)
            if isinstance(answer, Response):
                return answer
            url = answer
            try:
                check_fetchable(url, request.policy)
            except FetchError as error:
                if error.reason is Reason.URL:
                    raise FetchError(
                        Reason.REDIRECT, f"a redirection leads astray: {error.detail}"
                    ) from error
                raise
        raise FetchError(Reason.REDIRECT, f"there are more than {MAX_REDIRECTS} redirections")

    async def _ask(self, url: str, request: Request) -> Response | str:
        """Return what one URL answers, or where it leads to."""
        if self._session is None:
            raise RuntimeError("the fetcher was not started")
        parts = urlsplit(url)
        async with self._hosts.place(parts.hostname or "") as place:
            try:
                async with self._session.get(
                    url,
                    headers=_headers(request),
                    allow_redirects=False,
                    ssl=self._tls() if parts.scheme == "https" else True,
                ) as response:
                    place.answered = True
                    return await _read(response, url, request)
            except TimeoutError:
                raise
            except (ClientSSLError, ssl.SSLError) as error:
                raise FetchError(
                    Reason.TLS, f"TLS with the host fails: {_reason(error)}"
                ) from error
            except (ClientError, OSError) as error:
                raise _unreachable(error) from error


def _busy() -> FetchError:
    return FetchError(Reason.BUSY, "too much is being fetched; try again")


def _unreachable(error: ClientError | OSError) -> FetchError:
    if isinstance(error, ClientConnectorError) and isinstance(error.os_error, SocketRefused):
        return FetchError(Reason.REFUSED_ADDRESS, str(error.os_error))
    if isinstance(error, ClientConnectorError):
        said = error.os_error.strerror or "no connection"
        return FetchError(Reason.CONNECTION, f"the host cannot be reached: {said}")
    return FetchError(
        Reason.CONNECTION, f"the answer broke off, or is no HTTP ({type(error).__name__})"
    )


def _headers(request: Request) -> dict[str, str]:
    known = request.known
    headers = {"Accept": request.accept}
    if known.etag is not None:
        headers["If-None-Match"] = known.etag
    if known.last_modified is not None:
        headers["If-Modified-Since"] = known.last_modified
    return headers


async def _read(response: ClientResponse, url: str, request: Request) -> Response | str:
    if response.status in _REDIRECTS:
        return _location(response, url)
    if response.status == 304 and request.known != NOTHING_KNOWN:
        return Response(None, _kept(response.headers))
    if response.status != 200:
        raise FetchError(
            Reason.STATUS, f"the answer's status is {response.status}", status=response.status
        )
    if response.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        raise FetchError(Reason.ENCODED, "the answer is compressed, which was not asked for")
    return Response(await _body(response, request.limit), _kept(response.headers))


async def _body(response: ClientResponse, limit: int) -> bytes:
    too_large = FetchError(Reason.TOO_LARGE, f"the answer has more than {limit} bytes")
    if (response.content_length or 0) > limit:
        raise too_large
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > limit:
            raise too_large
    return bytes(body)


def _location(response: ClientResponse, url: str) -> str:
    location = response.headers.get("Location")
    if location is None:
        raise FetchError(Reason.REDIRECT, "a redirection does not say where to")
    try:
        return urljoin(url, location)
    except ValueError as error:
        raise FetchError(Reason.REDIRECT, "a redirection leads to what is no URL") from error


def _kept(headers: CIMultiDictProxy[str]) -> dict[str, str]:
    return {name: ", ".join(headers.getall(name)) for name in FRESHNESS_HEADERS if name in headers}


def _reason(error: ClientSSLError | ssl.SSLError) -> str:
    """Say in OpenSSL's words what failed."""
    cause = error.os_error if isinstance(error, ClientConnectorError) else error
    said = getattr(cause, "verify_message", "") or getattr(cause, "reason", "")
    return str(said or "it is not spoken there")


def context_trusting(pems: str) -> ssl.SSLContext:
    """Return the TLS settings of a client that trusts the roots of a text of PEM blocks only."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if pems:
        context.load_verify_locations(cadata=pems)
    return context
