"""Certificate revocation lists (RFC 5280 §5): fetched under the same guard, kept until the next.

Whether a list is signed by whom it should be, and what to do without one, is for the caller.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from cryptography import x509

from shaken.addresses import UrlPolicy
from shaken.x5u.cache import Bounds, Cache, Kept
from shaken.x5u.content import MAX_CRL_BYTES, read_crl
from shaken.x5u.exchange import (
    NOTHING_KNOWN,
    Fetch,
    FetchError,
    Reason,
    Request,
    Response,
    check_fetchable,
)
from shaken.x5u.freshness import MAX_SECONDS, MIN_SECONDS, lifetime, validators

ACCEPT = "application/pkix-crl, */*;q=0.1"


@dataclass(frozen=True, kw_only=True)
class FetchedCrl(Kept):
    """What a distribution point holds."""

    crl: x509.CertificateRevocationList


class CrlCache:
    """Revocation lists by URL. `start` in the event loop, `close` at the end."""

    def __init__(
        self,
        fetch: Fetch,
        *,
        policy: UrlPolicy,
        bounds: Bounds,
        clock: Callable[[], float],
        random: Callable[[], float],
    ) -> None:
        """Take what fetches. Plain http is allowed beside `policy`: a list is signed."""
        self._fetch = fetch
        self._policy = replace(policy, allow_http=True)
        self._clock = clock
        self._cache: Cache[FetchedCrl] = Cache(
            self._load, recall=_recall_nothing, bounds=bounds, clock=clock, random=random
        )

    def peek(self, url: str, *, now: float) -> FetchedCrl | None:
        """Return a list that is at hand, without waiting; stale ones say so."""
        return self._cache.peek(url, now=now)

    async def get(self, url: str, *, now: float) -> FetchedCrl:
        """Return a list, fetched if need be. Raises FetchError."""
        kept = self._cache.peek(url, now=now)
        if kept is not None:
            return kept
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

    async def _load(self, url: str, before: FetchedCrl | None) -> FetchedCrl:
        known = NOTHING_KNOWN if before is None else before.known
        response = await self._fetch(Request(url, self._policy, MAX_CRL_BYTES, ACCEPT, known))
        now = self._clock()
        if response.body is None:
            if before is None:
                raise FetchError(Reason.STATUS, "the answer refers to an earlier one", status=304)
            return replace(before, fetched_at=now, expires_at=_until(before.crl, response, now))
        crl = read_crl(response.body)
        return FetchedCrl(
            url=url,
            fetched_at=now,
            expires_at=_until(crl, response, now),
            size=len(response.body),
            known=validators(response.headers),
            crl=crl,
        )


def _until(crl: x509.CertificateRevocationList, response: Response, now: float) -> float:
    """Return until when a list is kept: its next update, or what the answer says, within bounds."""
    if crl.next_update_utc is None:
        return now + lifetime(response.headers, now=now)
    left = crl.next_update_utc.timestamp() - now
    return now + min(max(left, MIN_SECONDS), MAX_SECONDS)


async def _recall_nothing(_url: str) -> None:
    """Recall nothing: lists are not stored, there are few and a new one is better."""
