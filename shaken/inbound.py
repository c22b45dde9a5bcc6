"""What verifies the calls of a worker, put together: fetching, caches, judgements, memory.

`start` in the event loop, `close` at the end.
"""

import asyncio
import logging
import random
import re
import ssl
import time
from collections.abc import Callable, Sequence

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from shaken.config import Config
from shaken.replay import ReplayMemory
from shaken.signers import Signers
from shaken.snapshot import Snapshot
from shaken.verifier import Verifier, VerifierSettings
from shaken.x5u.cache import Bounds
from shaken.x5u.content import Chain
from shaken.x5u.crls import CrlCache
from shaken.x5u.fetch import Fetcher
from shaken.x5u.guard import SystemResolver
from shaken.x5u.repository import Repository
from shaken.x5u.shelf import Shelf
from trust.certificate import CertificateKind
from trust.roots import Purpose
from trust.store import certificates as stored
from trust.store.certificates import StoredCertificate
from trust.store.database import Database, StoreError

LISTS = 100
"""Revocation lists that a worker keeps: the STI-PA has one."""

MAX_OWN = 10_000
"""Chains of our own that are kept read."""

ALARM_SECONDS = 3600
"""How long the same alarm is not raised again."""

_log = logging.getLogger(__name__)


class Inbound:
    """A worker's verifier with all it stands on."""

    def __init__(
        self,
        config: Config,
        database: Database,
        snapshot: Callable[[], Snapshot],
        replay: ReplayMemory,
        *,
        agent: str,
    ) -> None:
        """Take the settings, the store, what gives the current snapshot, and what was seen."""
        settings, fetch = config.verification, config.fetch
        self._resolver = SystemResolver()
        self._fetcher = Fetcher(fetch, tls=TlsRoots(snapshot), resolve=self._resolver, agent=agent)
        self._shelf = Shelf(database, stale_seconds=fetch.stale_seconds, clock=time.time)
        policy = fetch.policy()
        self._repository = Repository(
            self._fetcher.fetch,
            policy=policy,
            shelf=self._shelf,
            local=OwnChains(config.public_url, database, snapshot),
            on_alarm=Alarm(time.monotonic),
            bounds=Bounds(files=fetch.certificates, stale_seconds=fetch.stale_seconds),
            clock=time.time,
            random=random.random,
        )
        self._lists = CrlCache(
            self._fetcher.fetch,
            policy=policy,
            bounds=Bounds(files=LISTS, stale_seconds=0),
            clock=time.time,
            random=random.random,
        )
        signers = Signers(
            self._repository,
            self._lists,
            revocation=settings.revocation,
            seconds=settings.seconds,
            clock=time.time,
        )
        usual = VerifierSettings(settings.freshness, settings.skew, settings.replays)
        self.verifier = Verifier(signers, replay, usual)

    async def start(self) -> None:
        """Begin to fetch ahead."""
        await self._fetcher.start()
        self._shelf.start()
        await self._repository.start()
        await self._lists.start()

    async def close(self) -> None:
        """End what is under way, and write what is still to be kept."""
        await self._repository.close()
        await self._lists.close()
        await self._fetcher.close()
        await asyncio.to_thread(self._shelf.close)
        self._resolver.close()


class TlsRoots:
    """The TLS settings of fetches: the trusted roots for `tls`, as they are now."""

    def __init__(self, snapshot: Callable[[], Snapshot]) -> None:
        """Take what gives the current snapshot."""
        self._snapshot = snapshot
        self._made: tuple[Sequence[x509.Certificate], ssl.SSLContext] | None = None

    def __call__(self) -> ssl.SSLContext:
        """Return the context, made anew when a root changed."""
        roots = self._snapshot().standing.certificates(Purpose.TLS)
        if self._made is None or self._made[0] is not roots:
            pems = "".join(root.public_bytes(Encoding.PEM).decode("ascii") for root in roots)
            self._made = (roots, context_trusting(pems))
        return self._made[1]


def context_trusting(pems: str) -> ssl.SSLContext:
    """Return the TLS settings of a client that trusts the roots of a text of PEM blocks only."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if pems:
        context.load_verify_locations(cadata=pems)
    return context


class OwnChains:
    """Chains that this service publishes itself: they are read from the store, not fetched."""

    def __init__(
        self, public_url: str, database: Database, snapshot: Callable[[], Snapshot]
    ) -> None:
        """Take the base URL of the repository, the store, and what gives the snapshot."""
        base = re.escape(public_url.rstrip("/"))
        self._url = re.compile(rf"{base}/certificates/([0-9a-f]{{64}})\.pem") if base else None
        self._database = database
        self._snapshot = snapshot
        self._read: dict[str, tuple[StoredCertificate, Chain]] = {}

    def __call__(self, url: str) -> Chain | None:
        """Return the chain at a URL of our own; None: it is another's, or none of ours is there."""
        found = self._url.fullmatch(url) if self._url else None
        row = self._snapshot().certificates.get(found[1]) if found else None
        if row is None or row.kind is not CertificateKind.STI:
            return None
        known = self._read.get(row.id)
        if known is not None and known[0] is row:
            return known[1]
        return self._load(row)

    def _load(self, row: StoredCertificate) -> Chain | None:
        try:
            with self._database.reading() as connection:
                pem = stored.chain_pem(connection, row.id)
        except StoreError as error:
            _log.error("cannot read a chain of our own: %s", error)
            return None
        if pem is None:
            return None
        chain = tuple(x509.load_pem_x509_certificates(pem.encode("ascii")))
        if len(self._read) >= MAX_OWN:
            self._read.clear()
        self._read[row.id] = (row, chain)
        return chain


class Alarm:
    """Says in the log that somebody publishes a private key, not again and again."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Take a clock in seconds."""
        self._clock = clock
        self._said: dict[str, float] = {}

    def __call__(self, url: str, words: str) -> None:
        """Raise the alarm about a URL."""
        now = self._clock()
        if now - self._said.get(url, -ALARM_SECONDS) < ALARM_SECONDS:
            return
        if len(self._said) >= MAX_OWN:
            self._said.clear()
        self._said[url] = now
        _log.error("ALARM: %s: %s", url, words)
