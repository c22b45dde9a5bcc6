"""The certificates behind x5u URLs: parsed, kept, and at hand when a call is verified.

`peek` is for the way of a call: it waits for nothing. What it does not find, `get` fetches. A
chain is what its repository says it is; nothing here trusts it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from cryptography.hazmat.primitives.serialization import Encoding

from shaken.addresses import UrlPolicy
from shaken.store.fetched import FetchedRow
from shaken.x5u.cache import Bounds, Cache, Kept
from shaken.x5u.content import MAX_CERTIFICATE_BYTES, Chain, read_certificates
from shaken.x5u.exchange import (
    NOTHING_KNOWN,
    Fetch,
    FetchError,
    Reason,
    Request,
    Response,
    Validators,
    check_fetchable,
)
from shaken.x5u.freshness import lifetime, validators
from shaken.x5u.shelf import Shelf
from trust.certificate import Certificate

ACCEPT = "application/pem-certificate-chain, application/pkix-cert, */*;q=0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched(Kept):
    """What a URL holds: the whole chain, leaf first, as the file has it.

    The same objects answer until the file changes, so that what was read of them is read once:
    `certificate` keeps its names and TNAuthList.
    """

    certificate: Certificate

    @property
    def chain(self) -> Chain:
        """The certificates, leaf first."""
        return self.certificate.chain


class LocalSource(Protocol):
    """Where chains of our own URLs are: `shaken.x5u.own.OwnChains`."""

    def peek(self, url: str) -> Fetched | None:
        """Return a chain that is at hand."""

    async def get(self, url: str) -> Fetched | None:
        """Return a chain; None: the URL is another's, or nothing of ours is there."""


class Repository:
    """Certificates by URL. `start` in the event loop, `close` at the end."""

    def __init__(
        self,
        fetch: Fetch,
        *,
        policy: UrlPolicy,
        shelf: Shelf | None,
        local: LocalSource | None,
        on_alarm: Callable[[str, str], None],
        bounds: Bounds,
        clock: Callable[[], float],
        random: Callable[[], float],
    ) -> None:
        """Take what fetches, and what is asked before: `local` for chains of our own URLs.

        `shelf` None: nothing survives a restart. `on_alarm` is told of a URL that publishes a
        private key, and in words what that means.
        """
        self._fetch = fetch
        self._policy = policy
        self._shelf = shelf
        self._local = local
        self._on_alarm = on_alarm
        self._clock = clock
        self._cache: Cache[Fetched] = Cache(
            self._load, recall=self._recall, bounds=bounds, clock=clock, random=random
        )

    def peek(self, url: str, *, now: float) -> Fetched | None:
        """Return a chain that is at hand, without waiting; stale ones say so."""
        if self._local is not None and (own := self._local.peek(url)) is not None:
            return own
        return self._cache.peek(url, now=now)

    async def get(self, url: str, *, now: float) -> Fetched:
        """Return a chain, fetched if need be. Raises FetchError.

        The fetch ends in bounded time and is shared with others who want the same; who wants to
        wait less is cancelled, as by `asyncio.timeout`, which leaves it to them.
        """
        kept = self.peek(url, now=now)
        if kept is not None:
            return kept
        if self._local is not None and (own := await self._local.get(url)) is not None:
            return own
        check_fetchable(url, self._policy)
        return await self._cache.get(url, now=now)

    async def start(self) -> None:
        """Begin to refresh what is used."""
        await self._cache.start()

    async def close(self) -> None:
        """End what is under way."""
        await self._cache.close()

    async def refresh_due(self, *, now: float) -> None:
        """Fetch what was used and whose time is nearly over; `start` has this done regularly."""
        await self._cache.refresh_due(now=now)

    async def _recall(self, url: str) -> Fetched | None:
        row = None if self._shelf is None else await self._shelf.read(url)
        if row is None:
            return None
        try:
            chain = read_certificates(row.content.encode("utf-8"))
        except FetchError:
            return None
        return fetched_chain(
            url,
            chain,
            fetched_at=row.fetched_at,
            expires_at=row.expires_at,
            known=Validators(row.etag, row.last_modified),
        )

    async def _load(self, url: str, before: Fetched | None) -> Fetched:
        known = NOTHING_KNOWN if before is None else before.known
        request = Request(url, self._policy, MAX_CERTIFICATE_BYTES, ACCEPT, known)
        try:
            response = await self._fetch(request)
            fetched = self._read(url, response, before)
        except FetchError as error:
            if error.reason is Reason.PRIVATE_KEY:
                self._on_alarm(
                    url,
                    "the private key of a certificate is published there: whoever fetches it can"
                    " sign calls in its owner's name",
                )
            if not error.transient and self._shelf is not None:
                self._shelf.forget(url)
            raise
        if self._shelf is not None:
            self._shelf.put(_row(fetched), response.headers)
        return fetched

    def _read(self, url: str, response: Response, before: Fetched | None) -> Fetched:
        now = self._clock()
        expires_at = now + lifetime(response.headers, now=now)
        known = validators(response.headers)
        if response.body is None:
            if before is None:
                raise FetchError(Reason.STATUS, "the answer refers to an earlier one", status=304)
            chain = before.chain
            known = known if known != NOTHING_KNOWN else before.known
        else:
            chain = read_certificates(response.body)
        if before is not None and chain == before.chain:
            return Fetched(
                url=url,
                fetched_at=now,
                expires_at=expires_at,
                size=before.size,
                known=known,
                certificate=before.certificate,
            )
        return fetched_chain(url, chain, fetched_at=now, expires_at=expires_at, known=known)


def fetched_chain(
    url: str,
    chain: Chain,
    *,
    fetched_at: float,
    expires_at: float,
    known: Validators = NOTHING_KNOWN,
) -> Fetched:
    """Return a chain as what a URL holds; times are Unix seconds."""
    return Fetched(
        url=url,
        fetched_at=fetched_at,
        expires_at=expires_at,
        size=sum(len(each.public_bytes(Encoding.DER)) for each in chain),
        known=known,
        certificate=Certificate(chain),
    )


def _row(fetched: Fetched) -> FetchedRow:
    return FetchedRow(
        url=fetched.url,
        content=fetched.certificate.pem(),
        fetched_at=fetched.fetched_at,
        expires_at=fetched.expires_at,
        etag=fetched.known.etag,
        last_modified=fetched.known.last_modified,
    )
