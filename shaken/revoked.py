"""Which of our certificates their authority has revoked: then each is to be replaced at once.

The revocation lists that the certificates name (RFC 5280 §4.2.1.13) are looked at as often as all
certificates are examined. It goes in small steps, of which none holds up a renewal: some
certificates are read, or one list is fetched. A list that cannot be had, or cannot tell, says
nothing; OCSP is not asked.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from cryptography import x509

from shaken.addresses import FetchSettings
from shaken.audit import SYSTEM, Action, Unchanged, changing
from shaken.managing import facts_of
from shaken.periods import Every
from shaken.x5u.content import MAX_CRL_BYTES, read_crl
from shaken.x5u.crls import ACCEPT
from shaken.x5u.exchange import FetchError, Reason, Request, check_fetchable
from shaken.x5u.fetch import Fetcher, context_trusting
from shaken.x5u.names import SystemResolver
from trust.acme.order import Order
from trust.acme.renewal import Demand
from trust.crl import CrlError, CrlIndex, distribution_points, find_revocation
from trust.store import acme_orders, certificates
from trust.store.acme_orders import Filter
from trust.store.database import Database

PAGE = 200
"""Certificates that are read in one step."""

MAX_LISTS = 1_000
"""Lists that are fetched in one examination: an authority has some hundred at most."""

_log = logging.getLogger(__name__)

FetchList = Callable[[str], CrlIndex]
"""Fetches a revocation list. Raises FetchError."""


class Revoked:
    """Finds certificates that were revoked, step by step, at first and again in time."""

    def __init__(
        self,
        database: Database,
        *,
        fetch: FetchList,
        roots: Callable[[], str],
        interval: timedelta,
        clock: Callable[[], datetime],
    ) -> None:
        """Take the store, and what fetches. `roots` (PEM) may have issued a certificate directly.

        `interval` is from the begin of one examination to that of the next.
        """
        self._database = database
        self._fetch_list = fetch
        self._roots = roots
        self._clock = clock
        self._every = Every(interval.total_seconds())
        self._after: str | None = None
        self._lists: dict[str, list[str]] = {}

    def is_due(self) -> bool:
        """Say whether there is a step to make."""
        if self._after is not None or self._lists:
            return True
        return self._every.is_due(now=self._clock().timestamp())

    def step(self) -> None:
        """Read some certificates, or fetch one list. Raises StoreError."""
        if self._after is not None:
            self._read_page(self._after)
        elif self._lists:
            url = next(reversed(self._lists))
            self._look(url, self._lists[url])
            del self._lists[url]
        else:
            begun = self._clock()
            self._read_page("")
            self._every.done(now=begun.timestamp())

    def _read_page(self, after: str) -> None:
        with self._database.reading() as connection:
            managed = Filter(managed=True)
            page = acme_orders.find(connection, managed, after=after, limit=PAGE)
        named = [
            (url, order.id)
            for order in page
            if order.demand is None
            for url in _list_urls(self._chain(order))
        ]
        # From here on nothing fails: a page that could not be read whole is read again.
        self._after = page[-1].id if len(page) == PAGE else None
        for url, identity in named:
            if url in self._lists or len(self._lists) < MAX_LISTS:
                self._lists.setdefault(url, []).append(identity)

    def _chain(self, order: Order) -> list[x509.Certificate]:
        if order.certified is None:
            return []
        with self._database.reading() as connection:
            pem = certificates.chain_pem(connection, order.certified.certificate)
        return [] if pem is None else x509.load_pem_x509_certificates(pem.encode())

    def _look(self, url: str, orders: list[str]) -> None:
        try:
            index = self._fetch_list(url)
        except FetchError as error:
            _log.info("the revocation list %s cannot be had: %s", url, error)
            return
        roots = self._roots()
        trusted = x509.load_pem_x509_certificates(roots.encode()) if roots else []
        for identity in orders:
            with self._database.reading() as connection:
                order = acme_orders.get(connection, identity)
            chain = [] if order is None else self._chain(order)
            if order is None or not chain:
                continue
            try:
                found = find_revocation(
                    chain[0], index, crl_signers=(*chain[1:], *trusted), at=self._clock()
                )
            except CrlError as error:
                _log.info(
                    "the revocation list %s cannot tell of order %s: %s",
                    url,
                    identity,
                    error.detail,
                )
                continue
            if found is not None:
                self._demand(order, f"{found.date:%Y-%m-%d %H:%M} UTC, {found.reason}")

    def _demand(self, revoked: Order, words: str) -> None:
        """Have a certificate replaced, unless somebody has asked for that by now."""
        now = int(self._clock().timestamp())
        with changing(self._database, SYSTEM, now=now) as change:
            order = acme_orders.get(change.connection, revoked.id)
            if order is None or not order.managed or order.demand is not None:
                raise Unchanged
            if order.certified != revoked.certified:
                raise Unchanged
            acme_orders.demand(change.connection, order.id, Demand.REVOKED, now=now)
            change.audit(
                Action.ORDER_RENEW,
                order.id,
                tenant=order.tenant,
                before=facts_of(order),
                after=facts_of(replace(order, demand=Demand.REVOKED)),
            )
            names = ", ".join(order.names)
            _log.error("the certificate for %s was revoked (%s): it is replaced", names, words)


def _list_urls(chain: list[x509.Certificate]) -> tuple[str, ...]:
    """Return where the lists are that tell of a chain's first certificate, one URL of each."""
    if not chain:
        return ()
    try:
        points = distribution_points((chain[0], chain[-1]))
    except CrlError as error:
        _log.info("the certificate's revocation lists cannot be read: %s", error.detail)
        return ()
    return tuple(point.urls[0] for point in points if point.urls)


def list_fetcher(settings: FetchSettings, *, roots: Callable[[], str], agent: str) -> FetchList:
    """Return what fetches lists under the rules of `[fetch]`.

    Plain http is allowed, since lists are signed. It blocks: call it in a thread without a loop.
    """
    policy = replace(settings.policy(), allow_http=True)

    async def fetched(url: str) -> bytes:
        fetcher = Fetcher(
            settings,
            tls=lambda: context_trusting(roots()),
            resolve=SystemResolver(seconds=settings.seconds / 2),
            agent=agent,
        )
        await fetcher.start()
        try:
            answer = await fetcher.fetch(Request(url, policy, MAX_CRL_BYTES, ACCEPT))
        finally:
            await fetcher.close()
        if answer.body is None:
            raise FetchError(Reason.STATUS, "the answer refers to an earlier one", status=304)
        return answer.body

    def fetch(url: str) -> CrlIndex:
        check_fetchable(url, policy)
        return read_crl(asyncio.run(fetched(url)))

    return fetch
