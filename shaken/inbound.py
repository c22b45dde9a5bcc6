"""What verifies the calls of a worker, put together: fetching, caches, judgements, memory.

`start` in the event loop, `close` at the end.
"""

import asyncio
import logging
import random
import ssl
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from shaken.audit import Action, record_event
from shaken.config import Config
from shaken.replay import ReplayMemory
from shaken.signatories import Signatories
from shaken.snapshot import Snapshot
from shaken.trouble import Troubles
from shaken.verifier import Verifier, VerifierSettings
from shaken.x5u.cache import Bounds
from shaken.x5u.crls import CrlCache
from shaken.x5u.fetch import Fetcher, context_trusting
from shaken.x5u.names import SystemResolver
from shaken.x5u.own import OwnChains, OwnIntermediates
from shaken.x5u.repository import Repository
from shaken.x5u.shelf import CERTIFICATES, CRLS, Shelf
from trust.roots import Purpose
from trust.store.database import Database

LISTS = 100
"""Revocation lists that a worker keeps: the STI-PA has one."""

ALARM_SECONDS = 3600
"""How long the same alarm is not raised again."""

MAX_ALARMS = 100
"""Alarms of a worker in that time: a stranger can publish keys at any number of URLs, and have each
asked for, but neither fill the log nor the audit, from which nothing is ever removed."""

NAME_SHARE = 0.5
"""Part of a fetch's time that its host's name may take."""

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
        resolver = SystemResolver(seconds=fetch.seconds * NAME_SHARE)
        self._fetcher = Fetcher(fetch, tls=TlsRoots(snapshot), resolve=resolver, agent=agent)
        stale = fetch.stale_seconds
        self._chain_shelf = Shelf(database, CERTIFICATES, stale_seconds=stale, clock=time.time)
        self._crl_shelf = Shelf(database, CRLS, stale_seconds=0, clock=time.time)
        self._own = OwnChains(config.public_url, database, snapshot, clock=time.time)
        self._intermediates = OwnIntermediates(database, snapshot)
        self._alarm = Alarm(database, clock=time.time)
        policy = fetch.policy()
        self.certificates = Repository(
            self._fetcher.fetch,
            policy=policy,
            shelf=self._chain_shelf,
            local=self._own,
            on_alarm=self._alarm,
            bounds=Bounds(files=fetch.certificates, stale_seconds=stale),
            clock=time.time,
            random=random.random,
        )
        self._lists = CrlCache(
            self._fetcher.fetch,
            policy=policy,
            shelf=self._crl_shelf,
            bounds=Bounds(files=LISTS, stale_seconds=0),
            clock=time.time,
            random=random.random,
        )
        signers = Signatories(
            self.certificates,
            self._lists,
            intermediates=self._intermediates.above,
            revocation=settings.revocation,
            seconds=settings.seconds,
            clock=time.time,
        )
        usual = VerifierSettings(settings.freshness, settings.skew, settings.replays)
        self.verifier = Verifier(signers, replay, usual)

    async def start(self) -> None:
        """Begin to fetch ahead."""
        await self._fetcher.start()
        self._chain_shelf.start()
        self._crl_shelf.start()
        await self.certificates.start()
        await self._lists.start()

    async def close(self) -> None:
        """End what is under way, and write what is still to be kept."""
        await self.certificates.close()
        await self._lists.close()
        await self._fetcher.close()
        self._own.close()
        self._intermediates.close()
        for each in (self._chain_shelf, self._crl_shelf, self._alarm):
            await asyncio.to_thread(each.close)


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


class Alarm:
    """Says that somebody publishes a private key, in log and audit, but not again and again.

    `close` at the end.
    """

    def __init__(self, database: Database, *, clock: Callable[[], float]) -> None:
        """Take the store of the audit, and a clock in Unix seconds."""
        self._database = database
        self._clock = clock
        self._said = Troubles(seconds=ALARM_SECONDS, most=MAX_ALARMS)
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="alarm")

    def __call__(self, url: str, words: str) -> None:
        """Raise the alarm about a URL; never waits."""
        now = self._clock()
        if not self._said.is_to_be_said(url, now=now):
            return
        _log.error("ALARM: %s: %s", url, words)
        if self._said.are_too_many:
            _log.error("ALARM: %d private keys in an hour; more are not told of", MAX_ALARMS)
        written = self._writer.submit(self._record, url, words, now=int(now))
        written.add_done_callback(_tell_failure)

    def close(self) -> None:
        """Write what waits. To be called from a thread that may wait."""
        self._writer.shutdown()

    def _record(self, url: str, words: str, *, now: int) -> None:
        record_event(
            self._database,
            Action.PRIVATE_KEY_PUBLISHED,
            url,
            detail={"words": words},
            now=now,
            quiet_seconds=ALARM_SECONDS,
        )


def _tell_failure(written: "Future[None]") -> None:
    if (error := written.exception()) is not None:
        _log.error("an alarm is not in the audit: %s", error)
