"""Who signed: from the URL in a header to a certificate that was judged, or why there is none.

Certificates and revocation lists come from caches that fetch under guard (`shaken.x5u`); what was
judged is kept as long as file, roots and lists stay as they were, so that a call whose signer is
known is judged without waiting.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import Protocol

import msgspec
from cryptography import x509

from shaken.acceptance import RevocationCheck
from shaken.judgements import Judgement, Judgements
from shaken.trouble import Troubles
from shaken.verification import Signatory, Unfit
from shaken.x5u.crls import FetchedCrl
from shaken.x5u.exchange import FetchError
from shaken.x5u.repository import Fetched
from trust.crl import CrlError, CrlIndex, Point, distribution_points, find_revocation
from trust.crl_signers import find_signers
from trust.sti_path import JudgedPath, StiRefused, judge_path, refuse_revoked

RECHECK_SECONDS = 3600
"""How long a judgement is believed at most that no revocation list bounds."""

RETRY_SECONDS = 60
"""When a revocation list that could not be had is asked for again, and a refusal looked at."""

GRACE_SECONDS = 60
"""How long past its time a judgement serves while lists are asked anew, where they are passed over
if need be: a repository that hangs keeps no call waiting that comes within this time."""

WARNING_SECONDS = 3600
"""How long the log does not tell again of a revocation list that is not believed."""

MAX_WARNINGS = 100
"""Lists that the log tells of in that time: holders of many certificates cannot fill it."""

Roots = Sequence[x509.Certificate]

Intermediates = Callable[[tuple[x509.Certificate, ...]], Awaitable[Sequence[x509.Certificate]]]
"""Gives intermediates that may stand above a chain, leaf first."""

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


class FoundSigner(msgspec.Struct, frozen=True):
    """A signer, and whether its certificate is an old copy while its repository is down.

    `unchecked` says in words why nobody knows whether it is revoked, None: it is known, or not
    asked.
    """

    signer: Signatory
    stale: bool = False
    unchecked: str | None = None


class _Answer(msgspec.Struct, frozen=True):
    """What is known of a certificate by one of its points, but that it is revoked.

    It holds until `until` (Unix seconds). `why` says in words why the list could not be asked;
    `is_enough`: it tells of all reasons to revoke.
    """

    until: float
    why: str | None = None
    is_enough: bool = False


class Signatories:
    """Finds the signers of headers. One for all calls of a worker."""

    def __init__(
        self,
        certificates: CertificateSource,
        lists: CrlSource,
        *,
        intermediates: Intermediates | None,
        revocation: RevocationCheck,
        seconds: float,
        clock: Callable[[], float],
    ) -> None:
        """Take where certificates and lists come from, and how long (s) a call waits for them.

        `intermediates` gives what may stand above a chain that leads to no root by itself.
        """
        self._certificates = certificates
        self._lists = lists
        self._intermediates = intermediates
        self._revocation = revocation
        self._seconds = seconds
        self._clock = clock
        self._judgements = Judgements()
        self._renewing: dict[str, asyncio.Task[None]] = {}
        self._disbelieved = Troubles(seconds=WARNING_SECONDS, most=MAX_WARNINGS)

    def find(
        self, url: str, roots: Roots, *, at: int
    ) -> FoundSigner | Callable[[], Awaitable[FoundSigner]]:
        """Find who signs with the certificate at a URL, judged as of `at` (Unix seconds).

        Where something must be fetched, returns what waits for it.
        """
        now = self._clock()
        fetched = self._certificates.peek(url, now=now)
        if fetched is None:
            return partial(self._fetch, url, roots, at)
        return self._judge(fetched, roots, at, now)

    async def _fetch(self, url: str, roots: Roots, at: int) -> FoundSigner:
        try:
            async with asyncio.timeout(self._seconds):
                fetched = await self._certificates.get(url, now=self._clock())
        except TimeoutError:
            words = f"the certificate did not come within {self._seconds:g} s from {url}"
            return FoundSigner(Unfit(436, words))
        except FetchError as error:
            return FoundSigner(
                Unfit(436, f"the certificate at {url} cannot be had: {error.detail}")
            )
        found = self._judge(fetched, roots, at, self._clock())
        return found if isinstance(found, FoundSigner) else await found()

    def _judge(
        self, fetched: Fetched, roots: Roots, at: int, now: float
    ) -> FoundSigner | Callable[[], Awaitable[FoundSigner]]:
        """Judge a certificate that is at hand; where lists are to be asked, return what waits."""
        kept = self._judgements.find(fetched, roots, at=at)
        if kept is None or now >= kept.until + kept.grace:
            return self._judge_anew(fetched, roots, at)
        if now >= kept.until:
            self._renew(fetched, roots, at)
        return FoundSigner(kept.signer, fetched.stale, kept.unchecked)

    def _judge_anew(
        self, fetched: Fetched, roots: Roots, at: int
    ) -> FoundSigner | Callable[[], Awaitable[FoundSigner]]:
        try:
            judged = judge_path(
                fetched.certificate,
                roots=roots,
                at=datetime.fromtimestamp(at, UTC),
                intermediates=self._judgements.added(fetched, roots),
            )
            points, unchecked = self._points(judged, fetched.url)
        except StiRefused as refused:
            if refused.slug == "untrusted" and self._intermediates is not None:
                return partial(self._look_above, self._intermediates, fetched, roots, at, refused)
            return self._refuse(fetched, roots, at, refused)
        if points:
            return partial(self._ask_lists, fetched, roots, at, judged, points)
        until = self._clock() + RECHECK_SECONDS
        return self._keep(fetched, roots, at, judged, until, unchecked=unchecked)

    async def _look_above(
        self,
        intermediates: Intermediates,
        fetched: Fetched,
        roots: Roots,
        at: int,
        refused: StiRefused,
    ) -> FoundSigner:
        """Judge anew with what else may stand above a chain, if there is any."""
        added = tuple(await intermediates(fetched.chain))
        if not self._judgements.add(added, fetched, roots):
            return self._refuse(fetched, roots, at, refused)
        found = self._judge_anew(fetched, roots, at)
        return found if isinstance(found, FoundSigner) else await found()

    def _renew(self, fetched: Fetched, roots: Roots, at: int) -> None:
        """Judge anew behind the back of calls."""
        url = fetched.url
        if url in self._renewing:
            return

        async def renew() -> None:
            found = self._judge_anew(fetched, roots, at)
            if not isinstance(found, FoundSigner):
                await found()

        def done(task: asyncio.Task[None]) -> None:
            self._renewing.pop(url, None)
            if not task.cancelled() and (error := task.exception()) is not None:
                self._judgements.forget(url)
                _log.error("judging a certificate anew failed: %s", error, exc_info=error)

        task = self._renewing[url] = asyncio.get_running_loop().create_task(renew())
        task.add_done_callback(done)

    def _keep(
        self,
        fetched: Fetched,
        roots: Roots,
        at: int,
        signer: Signatory,
        until: float,
        *,
        grace: float = 0,
        unchecked: str | None = None,
    ) -> FoundSigner:
        judgement = Judgement(signer, until, grace, unchecked)
        self._judgements.keep(judgement, fetched, roots, at=at)
        return FoundSigner(signer, fetched.stale, unchecked)

    def _refuse(self, fetched: Fetched, roots: Roots, at: int, refused: StiRefused) -> FoundSigner:
        signer = Unfit(437, refused.detail)
        return self._keep(fetched, roots, at, signer, self._clock() + RETRY_SECONDS)

    def _points(self, judged: JudgedPath, url: str) -> tuple[tuple[Point, ...], str | None]:
        """Return whose lists are to be asked, or none and why. Raises StiRefused."""
        if self._revocation is RevocationCheck.OFF:
            return (), None
        try:
            return distribution_points(judged.path), None
        except CrlError as error:
            self._warn(f"where {url} has its revocation lists", error)
            return (), self._pass_over(error.detail)

    async def _ask_lists(
        self,
        fetched: Fetched,
        roots: Roots,
        at: int,
        judged: JudgedPath,
        points: Sequence[Point],
    ) -> FoundSigner:
        until = self._clock() + RECHECK_SECONDS
        # All lists together: a path may name many that do not answer.
        deadline = asyncio.get_running_loop().time() + self._seconds
        ask = partial(self._ask, judged=judged, roots=roots, chain=fetched.chain, deadline=deadline)
        unchecked = []
        try:
            for _, own in groupby(points, key=attrgetter("certificate")):
                answer = await self._ask_until_enough([ask(point) for point in own])
                until = min(until, answer.until)
                if answer.why is not None:
                    unchecked.append(self._pass_over(answer.why))
        except StiRefused as refused:
            return self._refuse(fetched, roots, at, refused)
        grace = GRACE_SECONDS if self._revocation is RevocationCheck.SOFT else 0
        words = "; ".join(unchecked) or None
        return self._keep(fetched, roots, at, judged, until, grace=grace, unchecked=words)

    async def _ask_until_enough(self, asking: Sequence[Coroutine[None, None, _Answer]]) -> _Answer:
        """Ask all points of one certificate at once, until one list tells all (RFC 5280 §6.3.3).

        What others say that are at hand counts, too; one that is not waited for is asked again
        soon. Raises StiRefused where a list revokes.
        """
        tasks = [asyncio.ensure_future(each) for each in asking]
        try:
            answers, pending = await _first_enough(tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        until = min(each.until for each in answers)
        if pending:
            until = min(until, self._clock() + RETRY_SECONDS)
        if any(each.is_enough for each in answers):
            return _Answer(until)
        whys = [each.why for each in answers if each.why is not None]
        return _Answer(until, "; ".join(whys) or None)

    async def _ask(
        self,
        point: Point,
        *,
        judged: JudgedPath,
        roots: Roots,
        chain: tuple[x509.Certificate, ...],
        deadline: float,
    ) -> _Answer:
        """Ask the list of a point. Raises StiRefused where it revokes."""
        why = "its distribution point has no URL that is fetched from"
        for url in point.urls:
            try:
                async with asyncio.timeout_at(deadline):
                    fetched = await self._lists.get(url, now=self._clock())
                    await self._check_list(point, fetched.index, judged, roots, chain)
            except TimeoutError:
                why = f"{url} did not answer in time"
            except FetchError as error:
                why = f"{url}: {error.detail}"
            except CrlError as error:
                why = f"{url}: {error.detail}"
                self._warn(f"the revocation list {url}", error)
            else:
                return _Answer(fetched.expires_at, is_enough=not point.only_some_reasons)
        return _Answer(self._clock() + RETRY_SECONDS, why.removesuffix("."))

    async def _check_list(
        self,
        point: Point,
        index: CrlIndex,
        judged: JudgedPath,
        roots: Roots,
        chain: tuple[x509.Certificate, ...],
    ) -> None:
        """Look into a list, signed by whom the path knows or else by who is at hand.

        Raises StiRefused where it revokes, CrlError where it cannot tell.
        """
        now = datetime.fromtimestamp(self._clock(), UTC)
        signers = (*judged.path[1:], *roots)
        try:
            revoked = find_revocation(point.certificate, index, crl_signers=signers, at=now)
        except CrlError as error:
            # An authority may have signed with another key than it certified with.
            if error.reason not in {"unknown-signer", "signature"}:
                raise
            above = () if self._intermediates is None else await self._intermediates(chain)
            signers += find_signers(index, (*above, *chain[1:]), roots=roots, at=now)
            revoked = find_revocation(point.certificate, index, crl_signers=signers, at=now)
        refuse_revoked(point.certificate, revoked)

    def _pass_over(self, why: str) -> str:
        """Return why a list is passed over. Raises StiRefused where one is needed."""
        words = why.removesuffix(".")
        if self._revocation is RevocationCheck.HARD:
            raise StiRefused("revoked", f"Whether it is revoked cannot be found out: {words}.")
        return words

    def _warn(self, what: str, error: CrlError) -> None:
        """Tell the log that a list was had and says nothing, of each now and then."""
        if not self._disbelieved.is_to_be_said(what, now=self._clock()):
            return
        is_stranger = error.reason == "unknown-signer"
        todo = "; add the certificate of its signer to the sti roots" if is_stranger else ""
        _log.warning("%s is not believed: %s%s", what, error.detail.removesuffix("."), todo)


async def _first_enough(tasks: Sequence[asyncio.Task[_Answer]]) -> tuple[list[_Answer], bool]:
    """Wait until an answer is enough, or there are no more; say whether some are still to come."""
    pending = set(tasks)
    answers: list[_Answer] = []
    while pending and not any(each.is_enough for each in answers):
        _, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        answers = [task.result() for task in tasks if task.done()]
    return answers, bool(pending)
