"""Who signed: from the URL in a header to a certificate that was judged, or why there is none.

Certificates and revocation lists come from caches that fetch under guard (`shaken.x5u`); what was
judged is kept as long as file, roots and lists stay as they were, so that a call whose signer is
known is judged without waiting.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Protocol

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from shaken.acceptance import Revocation
from shaken.verification import Signer, Unfit
from shaken.x5u.crls import FetchedCrl
from shaken.x5u.exchange import FetchError
from shaken.x5u.repository import Fetched
from trust.crl import CrlError, CrlIndex, Point, distribution_points, find_revocation
from trust.sti_path import JudgedPath, StiRefused, judge_path, refuse_revoked

MAX_KEPT = 10_000
"""Signers that are kept judged; with more, all are judged anew."""

MAX_LISTS = 100
"""Revocation lists that are kept read: one may have megabytes, and the STI-PA has one."""

RECHECK_SECONDS = 3600
"""How long a judgement is believed at most that no revocation list bounds."""

RETRY_SECONDS = 60
"""When a revocation list that could not be had is asked for again, and a refusal looked at."""

GRACE_SECONDS = 60
"""How long past its time a judgement serves while lists are asked anew, where they are passed over
if need be: a repository that hangs keeps no call waiting that comes within this time."""

Roots = Sequence[x509.Certificate]

_log = logging.getLogger(__name__)


class CertificateSource(Protocol):
    """Where certificates come from: `shaken.x5u.repository.Repository`."""

    def peek(self, url: str, *, now: float) -> Fetched | None:
        """Return what is at hand."""

    async def get(self, url: str, *, now: float) -> Fetched:
        """Return what is at hand or fetched. Raises FetchError."""


class CrlSource(Protocol):
    """Where revocation lists come from: `shaken.x5u.crls.CrlCache`."""

    async def get(self, url: str, *, now: float) -> FetchedCrl:
        """Return a list. Raises FetchError."""


@dataclass(frozen=True, slots=True)
class Known:
    """A signer, and whether its certificate is an old copy while its repository is down."""

    signer: Signer
    stale: bool = False


@dataclass(frozen=True, slots=True)
class _Judgement:
    certificate: object
    roots: Roots
    signer: Signer
    until: float
    grace: float = 0


class Signers:
    """Finds the signers of headers. One for all calls of a worker."""

    def __init__(
        self,
        certificates: CertificateSource,
        lists: CrlSource,
        *,
        revocation: Revocation,
        seconds: float,
        clock: Callable[[], float],
    ) -> None:
        """Take where certificates and lists come from, and how long (s) a call waits for them."""
        self._certificates = certificates
        self._lists = lists
        self._revocation = revocation
        self._seconds = seconds
        self._clock = clock
        self._judged: dict[str, _Judgement] = {}
        self._renewing: dict[str, asyncio.Task[None]] = {}
        self._indexes: dict[str, tuple[x509.CertificateRevocationList, CrlIndex]] = {}

    def find(
        self, url: str, roots: Roots, *, at: datetime
    ) -> Known | Callable[[], Awaitable[Known]]:
        """Find who signs with the certificate at a URL, judged as of `at` (aware).

        Where something must be fetched, returns what waits for it.
        """
        fetched = self._certificates.peek(url, now=self._clock())
        if fetched is None:
            return partial(self._fetch, url, roots, at)
        return self._judge(fetched, roots, at)

    async def _fetch(self, url: str, roots: Roots, at: datetime) -> Known:
        try:
            async with asyncio.timeout(self._seconds):
                fetched = await self._certificates.get(url, now=self._clock())
        except TimeoutError:
            words = f"the certificate did not come within {self._seconds:g} s from {url}"
            return Known(Unfit(436, words))
        except FetchError as error:
            return Known(Unfit(436, f"the certificate at {url} cannot be had: {error.detail}"))
        found = self._judge(fetched, roots, at)
        return found if isinstance(found, Known) else await found()

    def _judge(
        self, fetched: Fetched, roots: Roots, at: datetime
    ) -> Known | Callable[[], Awaitable[Known]]:
        """Judge a certificate that is at hand; where lists are to be asked, return what waits."""
        kept = self._kept(fetched, roots, at)
        if kept is None:
            return self._judge_anew(fetched, roots, at)
        if self._clock() >= kept.until:
            self._renew(fetched, roots, at)
        return Known(kept.signer, fetched.stale)

    def _judge_anew(
        self, fetched: Fetched, roots: Roots, at: datetime
    ) -> Known | Callable[[], Awaitable[Known]]:
        try:
            judged = judge_path(fetched.certificate, roots=roots, at=at)
            points = self._points(judged)
        except StiRefused as refused:
            return self._refuse(fetched, roots, at, refused)
        if points:
            return partial(self._ask_lists, fetched, roots, at, judged, points)
        return self._keep(fetched, roots, judged, self._clock() + RECHECK_SECONDS)

    def _kept(self, fetched: Fetched, roots: Roots, at: datetime) -> _Judgement | None:
        found = self._judged.get(fetched.url)
        if (
            found is None
            or found.certificate is not fetched.certificate
            or found.roots is not roots
            or self._clock() >= found.until + found.grace
        ):
            return None
        if isinstance(found.signer, JudgedPath) and not found.signer.holds_at(at):
            return None
        return found

    def _renew(self, fetched: Fetched, roots: Roots, at: datetime) -> None:
        """Judge anew behind the back of calls."""
        url = fetched.url
        if url in self._renewing:
            return

        async def renew() -> None:
            found = self._judge_anew(fetched, roots, at)
            if not isinstance(found, Known):
                await found()

        def done(task: asyncio.Task[None]) -> None:
            self._renewing.pop(url, None)
            if not task.cancelled() and (error := task.exception()) is not None:
                self._judged.pop(url, None)
                _log.error("judging a certificate anew failed: %s", error, exc_info=error)

        task = self._renewing[url] = asyncio.get_running_loop().create_task(renew())
        task.add_done_callback(done)

    def _keep(
        self, fetched: Fetched, roots: Roots, signer: Signer, until: float, *, grace: float = 0
    ) -> Known:
        if len(self._judged) >= MAX_KEPT:
            self._judged.clear()
        self._judged[fetched.url] = _Judgement(fetched.certificate, roots, signer, until, grace)
        return Known(signer, fetched.stale)

    def _refuse(self, fetched: Fetched, roots: Roots, at: datetime, refused: StiRefused) -> Known:
        """Make a refusal of what was found; keep it where calls of about now would meet it too."""
        signer, now = Unfit(437, refused.detail), self._clock()
        timely = refused.slug in {"expired", "not-yet-valid"}
        if timely or abs(at.timestamp() - now) > RETRY_SECONDS:
            # Who sends an `iat` of another time must not decide about the calls of others.
            return Known(signer, fetched.stale)
        return self._keep(fetched, roots, signer, now + RETRY_SECONDS)

    def _points(self, judged: JudgedPath) -> tuple[Point, ...]:
        """Return whose lists are to be asked. Raises StiRefused."""
        if self._revocation is Revocation.OFF:
            return ()
        try:
            return distribution_points(judged.path)
        except CrlError as error:
            self._without_list(error.detail)
            return ()

    async def _ask_lists(
        self,
        fetched: Fetched,
        roots: Roots,
        at: datetime,
        judged: JudgedPath,
        points: Sequence[Point],
    ) -> Known:
        until = self._clock() + RECHECK_SECONDS
        # All lists together: a path may name many that do not answer.
        deadline = asyncio.get_running_loop().time() + self._seconds
        try:
            for point in points:
                until = min(until, await self._ask(point, judged, roots, deadline))
        except StiRefused as refused:
            return self._refuse(fetched, roots, at, refused)
        grace = GRACE_SECONDS if self._revocation is Revocation.SOFT else 0
        return self._keep(fetched, roots, judged, until, grace=grace)

    async def _ask(self, point: Point, judged: JudgedPath, roots: Roots, deadline: float) -> float:
        """Ask the list of a point; return until when that holds. Raises StiRefused."""
        why = "its distribution point has no URL that is fetched from"
        for url in point.urls:
            try:
                async with asyncio.timeout_at(deadline):
                    fetched = await self._lists.get(url, now=self._clock())
                index = await self._index(url, fetched.crl)
                revocation = find_revocation(
                    point.certificate,
                    index,
                    crl_signers=(*judged.path[1:], *roots),
                    at=datetime.fromtimestamp(self._clock(), UTC),
                )
            except TimeoutError:
                why = f"{url} did not answer in time"
            except (FetchError, CrlError) as error:
                why = f"{url}: {error.detail}"
            else:
                refuse_revoked(point.certificate, revocation)
                return fetched.expires_at
        return self._without_list(why)

    def _without_list(self, why: str) -> float:
        if self._revocation is Revocation.HARD:
            raise StiRefused("revoked", f"Whether it is revoked cannot be found out: {why}.")
        return self._clock() + RETRY_SECONDS

    async def _index(self, url: str, crl: x509.CertificateRevocationList) -> CrlIndex:
        """Read a list once. Raises CrlError."""
        known = self._indexes.get(url)
        if known is None or known[0] is not crl:
            if len(self._indexes) >= MAX_LISTS:
                self._indexes.clear()
            # A long list takes a while: other calls go on meanwhile.
            index = await asyncio.to_thread(CrlIndex.read, crl.public_bytes(Encoding.DER))
            known = self._indexes[url] = (crl, index)
        return known[1]
