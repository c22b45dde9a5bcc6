"""Certificate revocation lists (RFC 5280 §5): fetched under the same guard, kept until the next.

A list is read once, when it comes. Whether it is signed by whom it should be, and what to do
without one, is for the caller.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

from cryptography.hazmat.primitives.serialization import Encoding

from shaken.addresses import UrlPolicy
from shaken.store.fetched import FetchedRow
from shaken.x5u.cache import Bounds, Cache, Kept
from shaken.x5u.content import MAX_CRL_BYTES, read_crl
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
from shaken.x5u.freshness import MAX_SECONDS, MIN_SECONDS, validators
from shaken.x5u.shelf import Shelf
from trust.crl import CrlIndex

ACCEPT = "application/pkix-crl, */*;q=0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedCrl(Kept):
    """What a distribution point holds."""

    index: CrlIndex


class CrlCache:
    """Revocation lists by URL. `start` in the event loop, `close` at the end."""

    def __init__(
        self,
        fetch: Fetch,
        *,
        policy: UrlPolicy,
        shelf: Shelf | None,
        bounds: Bounds,
        clock: Callable[[], float],
        random: Callable[[], float],
    ) -> None:
        """Take what fetches. Plain http is allowed beside `policy`: a list is signed.

        `shelf` None: nothing survives a restart.
        """
        self._fetch = fetch
        self._policy = replace(policy, allow_http=True)
        self._shelf = shelf
        self._clock = clock
        self._cache: Cache[FetchedCrl] = Cache(
            self._load, recall=self._recall, bounds=bounds, clock=clock, random=random
        )

    async def get(self, url: str, *, now: float) -> FetchedCrl:
        """Return a list, fetched if need be; stale ones say so. Raises FetchError."""
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

    async def _recall(self, url: str) -> FetchedCrl | None:
        row = None if self._shelf is None else await self._shelf.read(url)
        if row is None:
            return None
        pem = row.content.encode("utf-8")
        try:
            index = await asyncio.to_thread(read_crl, pem)
        except FetchError:
            return None
        return FetchedCrl(
            url=url,
            fetched_at=row.fetched_at,
            expires_at=row.expires_at,
            size=len(pem),
            known=Validators(row.etag, row.last_modified),
            index=index,
        )

    async def _load(self, url: str, before: FetchedCrl | None) -> FetchedCrl:
        known = NOTHING_KNOWN if before is None else before.known
        try:
            response = await self._fetch(Request(url, self._policy, MAX_CRL_BYTES, ACCEPT, known))
            fetched = await self._read(url, response, before)
        except FetchError as error:
            if not error.transient and self._shelf is not None:
                self._shelf.forget(url)
            raise
        if self._shelf is not None:
            self._shelf.put(await asyncio.to_thread(_row, fetched), response.headers)
        return fetched

    async def _read(self, url: str, response: Response, before: FetchedCrl | None) -> FetchedCrl:
        now = self._clock()
        if response.body is None:
            if before is None:
                raise FetchError(Reason.STATUS, "the answer refers to an earlier one", status=304)
            return replace(before, fetched_at=now, expires_at=_until(before.index, now))
        # A long list takes a while: calls go on meanwhile.
        index = await asyncio.to_thread(read_crl, response.body)
        return FetchedCrl(
            url=url,
            fetched_at=now,
            expires_at=_until(index, now),
            size=len(response.body),
            known=validators(response.headers),
            index=index,
        )


def _until(index: CrlIndex, now: float) -> float:
    """Return until when a list is kept: its next update, within bounds."""
    return now + min(max(index.next_update.timestamp() - now, MIN_SECONDS), MAX_SECONDS)


def _row(fetched: FetchedCrl) -> FetchedRow:
    return FetchedRow(
        url=fetched.url,
        content=fetched.index.crl.public_bytes(Encoding.PEM).decode("ascii"),
        fetched_at=fetched.fetched_at,
        expires_at=fetched.expires_at,
        etag=fetched.known.etag,
        last_modified=fetched.known.last_modified,
    )
