"""What this service has itself: the chains that it publishes, and the intermediates in them.

Both are read from the store when they are first needed, by a thread: the event loop does not wait
for a database.
"""

import asyncio
import itertools
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from math import inf
from sys import intern
from time import monotonic

from cryptography import x509

from shaken.addresses import chain_id
from shaken.snapshot import Snapshot
from shaken.trouble import Trouble
from shaken.x5u.content import Chain
from shaken.x5u.repository import Fetched, fetched_chain
from trust.certificate import UNREADABLE, CertificateKind, above_leaf
from trust.store import certificates as stored
from trust.store.certificates import StoredCertificate
from trust.store.database import Database, StoreError

MAX_CHAINS = 10_000
"""Chains of our own that are kept read; with more, all are read again."""

MAX_ABOVE = 16
"""Intermediates that are added to one chain: who builds a path tries each."""

READ_SECONDS = 0.5
"""How long a call waits for the intermediates of the store."""

THREADS = 1
"""A chain is read in a fraction of a millisecond, and kept."""

_log = logging.getLogger(__name__)


class OwnChains:
    """Chains at our own URLs: they are read from the store, not fetched. `close` at the end."""

    def __init__(
        self,
        public_url: str,
        database: Database,
        snapshot: Callable[[], Snapshot],
        *,
        clock: Callable[[], float],
    ) -> None:
        """Take the base URL of the repository, the store, and what gives the snapshot."""
        self._public_url = public_url
        self._database = database
        self._snapshot = snapshot
        self._clock = clock
        self._reader = ThreadPoolExecutor(THREADS, thread_name_prefix="own-chains")
        self._read: dict[str, tuple[StoredCertificate, Fetched]] = {}
        self._read_of: Mapping[str, StoredCertificate] | None = None
        self._reading: dict[str, tuple[StoredCertificate, asyncio.Task[Fetched | None]]] = {}
        self._trouble = Trouble()

    def close(self) -> None:
        """Read no more."""
        self._reader.shutdown(wait=False, cancel_futures=True)

    def peek(self, url: str) -> Fetched | None:
        """Return a chain that was read."""
        rows = self._snapshot().certificates
        if rows is not self._read_of:
            self._read = {
                each: (row, fetched)
                for each, (row, fetched) in self._read.items()
                if rows.get(row.id) is row
            }
            self._read_of = rows
        read = self._read.get(url)
        return None if read is None else read[1]

    async def get(self, url: str) -> Fetched | None:
        """Return a chain; None: the URL is another's, or none of ours can be read there."""
        row = self._row(url)
        if row is None:
            return None
        known = self.peek(url)
        if known is not None:
            return known
        begun = self._reading.get(row.id)
        if begun is None or begun[0] is not row:
            begun = row, asyncio.get_running_loop().create_task(self._load(url, row))
            self._reading[row.id] = begun
        await asyncio.wait([begun[1]])
        return None if begun[1].cancelled() else begun[1].result()

    def _row(self, url: str) -> StoredCertificate | None:
        found = chain_id(self._public_url, url)
        row = None if found is None else self._snapshot().certificates.get(found)
        return row if row is not None and row.kind is CertificateKind.STI else None

    async def _load(self, url: str, row: StoredCertificate) -> Fetched | None:
        """Read a chain, and keep it for others unless it changed meanwhile."""
        try:
            loop = asyncio.get_running_loop()
            chain = await loop.run_in_executor(self._reader, self._read_chain, row.id)
        finally:
            begun = self._reading.get(row.id)
            if begun is not None and begun[0] is row:
                del self._reading[row.id]
        if chain is None:
            return None
        fetched = fetched_chain(url, chain, fetched_at=self._clock(), expires_at=inf)
        if self._snapshot().certificates.get(row.id) is row:
            if len(self._read) >= MAX_CHAINS:
                self._read.clear()
            self._read[url] = (row, fetched)
        return fetched

    def _read_chain(self, certificate_id: str) -> Chain | None:
        try:
            with self._database.reading() as connection:
                pem = stored.chain_pem(connection, certificate_id)
        except StoreError as error:
            if self._trouble.is_to_be_said(now=self._clock()):
                _log.error("cannot read a chain of our own: %s", error)
            return None
        return None if pem is None else tuple(x509.load_pem_x509_certificates(pem.encode("ascii")))


class OwnIntermediates:
    """The intermediates in the STI chains of the store. `close` at the end."""

    def __init__(self, database: Database, snapshot: Callable[[], Snapshot]) -> None:
        """Take the store, and what gives the snapshot."""
        self._database = database
        self._snapshot = snapshot
        self._reader = ThreadPoolExecutor(THREADS, thread_name_prefix="own-intermediates")
        self._known = _Known()
        self._reading: asyncio.Future[_Known] | None = None
        self._trouble = Trouble()

    def close(self) -> None:
        """Read no more."""
        self._reader.shutdown(wait=False, cancel_futures=True)

    async def above(self, chain: Chain) -> Sequence[x509.Certificate]:
        """Return those that may stand above a chain's certificates, and what may above them.

        While the store does not answer, those of before.
        """
        rows = self._snapshot().certificates
        if self._known.rows is not rows:
            if self._reading is None:
                loop = asyncio.get_running_loop()
                self._reading = loop.run_in_executor(self._reader, self._follow, rows)
                self._reading.add_done_callback(self._landed)
            await asyncio.wait([self._reading], timeout=READ_SECONDS)
        return self._known.above(chain)

    def _landed(self, reading: "asyncio.Future[_Known]") -> None:
        self._reading = None
        if reading.cancelled():
            return
        error = reading.exception()
        if error is None:
            self._known = reading.result()
        elif self._trouble.is_to_be_said(now=monotonic()):
            _log.error("cannot read the intermediates of the store: %s", error)

    def _follow(self, rows: Mapping[str, StoredCertificate]) -> "_Known":
        """Read the chains that are new. Raises StoreError."""
        sti = {row.id: row for row in rows.values() if row.kind is CertificateKind.STI}
        chains = {
            each: (row, rest)
            for each, (row, rest) in self._known.chains.items()
            if sti.get(each) is row
        }
        with self._database.reading() as connection:
            read = stored.chains_pem(connection, [each for each in sti if each not in chains])
        for each, pem in read.items():
            # Thousands of tenants have certificates of one CA: what is above them is kept once.
            chains[each] = (sti[each], intern(above_leaf(pem)))
        found: dict[x509.Name, list[x509.Certificate]] = {}
        texts = {rest for _, rest in chains.values() if rest}
        parsed = (x509.load_pem_x509_certificates(text.encode()) for text in texts)
        for certificate in dict.fromkeys(itertools.chain.from_iterable(parsed)):
            with suppress(*UNREADABLE):
                found.setdefault(certificate.subject, []).append(certificate)
        return _Known(rows, chains, found)


@dataclass(frozen=True)
class _Known:
    """What stands above the leaves: by row as text, and by subject."""

    rows: Mapping[str, StoredCertificate] | None = None
    chains: Mapping[str, tuple[StoredCertificate, str]] = field(default_factory=dict)
    by_subject: Mapping[x509.Name, Sequence[x509.Certificate]] = field(default_factory=dict)

    def above(self, chain: Chain) -> tuple[x509.Certificate, ...]:
        """Go up from a chain's certificates by name."""
        found: dict[x509.Certificate, None] = {}
        below = list(chain)
        while below and len(found) < MAX_ABOVE:
            with suppress(*UNREADABLE):
                issuers = self.by_subject.get(below.pop().issuer, ())
                new = [each for each in issuers if each not in found and each not in chain]
                found.update(dict.fromkeys(new))
                below += new
        return tuple(found)[:MAX_ABOVE]
