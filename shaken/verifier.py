"""A call's Identity headers become an outcome: each header judged, the best one decides.

`Verifier` joins the rules (`verification`, `acceptance`) with who signed (`signatories`) and what
was seen before (`replay`). It answers at once where the signers are known, else it waits for them.

Where a call was diverted, a `shaken` PASSporT holds for it when its diversions, each judged by
itself, lead from whom it is to to where the call goes (RFC 8946).
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import msgspec

from shaken.acceptance import (
    MAX_FRESHNESS,
    Decision,
    Replays,
    VerificationPolicy,
    decide_failed,
    decide_missing,
    decide_passed,
)
from shaken.diversion import Course, read_link, trace
from shaken.identities import CallIdentities, read_headers
from shaken.passport import destinations
from shaken.replay import ReplayMemory
from shaken.signatories import FoundSigner, Roots, Signatories
from shaken.verification import (
    Expectation,
    Opened,
    Step,
    Unfit,
    Verdict,
    judge_in_stages,
    signed_at,
)
from sip.identity import Identity
from sip.stages import Stages, at_once


class InboundCall(msgspec.Struct, frozen=True):
    """A call to be verified. `orig` None: the caller is anonymous. Times are Unix seconds.

    `headers` are values of Identity fields; `name` tells calls apart for replays, within `scope`.
    `dest` is of the To header, `target` of the Request-URI, empty where it is not told. `protected`
    are lines of the message that PASSporTs vouch for, as they came.
    """

    headers: Sequence[str]
    orig: str | None
    dest: tuple[str, ...]
    now: int
    time: int | None
    name: str
    scope: str = ""
    target: tuple[str, ...] = ()
    protected: tuple[str, ...] = ()


class Judged(msgspec.Struct, frozen=True):
    """A PASSporT of a type and its verdict. `stale`: by an old copy of the certificate."""

    ppt: str
    verdict: Verdict
    identity: Identity | None
    stale: bool = False


class Outcome(msgspec.Struct, frozen=True):
    """What was found and what is done. `best` None: there was no `shaken` header to verify.

    `judged` are all PASSporTs: `shaken` ones, then diversions, then others. `diversions` are those
    of the call, the first one first, or as they came where they are no chain. `faults` are, of
    several, those that do not hold in themselves.
    """

    decision: Decision
    best: Judged | None = None
    judged: tuple[Judged, ...] = ()
    replayed: bool = False
    diversions: tuple[Judged, ...] = ()
    faults: tuple[Judged, ...] = ()

    @property
    def attested(self) -> tuple[str, str] | None:
        """Attestation and origination identifier, None unless a `shaken` PASSporT holds."""
        if self.best is None or self.best.verdict.code is not None:
            return None
        passport = self.best.verdict.passport
        if passport is None:
            return None
        return str(passport.claims.get("attest")), str(passport.claims.get("origid"))


class VerifierSettings(msgspec.Struct, frozen=True):
    """What holds for all trunks that say nothing else; `freshness` and `skew` in seconds."""

    freshness: int
    skew: int
    replays: Replays


class Verifier:
    """Verifies calls. One for a worker."""

    def __init__(
        self, signers: Signatories, replay: ReplayMemory, settings: VerifierSettings
    ) -> None:
        """Take who finds signers, the memory of what was seen, and the service's settings."""
        self._signers = signers
        self._replay = replay
        self._settings = settings

    def verify(
        self, call: InboundCall, policy: VerificationPolicy, *, roots: Roots
    ) -> Outcome | Callable[[], Awaitable[Outcome]]:
        """Verify a call against trusted STI roots; where a fetch is needed, what waits for it."""
        return at_once(self.verify_in_stages(call, policy, roots=roots))

    def verify_in_stages(
        self, call: InboundCall, policy: VerificationPolicy, *, roots: Roots
    ) -> Stages[Outcome | Callable[[], Awaitable[Outcome]]]:
        """Verify a call as `verify` does; each signature is a stage of its own.

        The first stage is empty: the caller's reading of the call was one.
        """
        yield  # the caller has read the call
        presented = read_headers(call.headers)
        yield  # its headers are read
        opened = presented.all()
        if not opened or call.orig is None:
            return Outcome(decide_missing(policy, anonymous=call.orig is None))
        usual = self._settings
        expectation = Expectation(
            orig=call.orig,
            dest=call.dest,
            now=call.now,
            freshness=usual.freshness if policy.freshness is None else policy.freshness,
            skew=usual.skew if policy.skew is None else policy.skew,
            time=call.time,
            course=_course(presented, call) if presented.diversions else None,
            protected=call.protected,
        )
        found = [self._find(each, expectation, roots) for each in opened]
        known = [each for each in found if isinstance(each, FoundSigner)]
        if len(known) < len(found):
            return partial(self._wait, found, presented, call, expectation, policy)
        judged = []
        for each, signer in zip(opened, known, strict=True):
            judged.append((yield from _judge(each, signer, expectation)))
        yield  # each header is judged
        return self._conclude(judged, presented, call, expectation, policy)

    async def _wait(
        self,
        found: Sequence[FoundSigner | Callable[[], Awaitable[FoundSigner]]],
        presented: CallIdentities,
        call: InboundCall,
        expectation: Expectation,
        policy: VerificationPolicy,
    ) -> Outcome:
        waited = iter(await asyncio.gather(*(e() for e in found if not isinstance(e, FoundSigner))))
        known = [each if isinstance(each, FoundSigner) else next(waited) for each in found]
        judged = [
            at_once(_judge(each, signer, expectation))
            for each, signer in zip(presented.all(), known, strict=True)
        ]
        return self._conclude(judged, presented, call, expectation, policy)

    def _find(
        self, opened: Opened, expectation: Expectation, roots: Roots
    ) -> FoundSigner | Callable[[], Awaitable[FoundSigner]]:
        """Find who signed; of a header that failed already nobody is looked for."""
        identity = opened.identity
        if opened.passport is None or identity is None:
            return _NOBODY
        at = signed_at(opened.passport, now=expectation.now)
        return self._signers.find(identity.info, roots, at=at)

    def _conclude(
        self,
        judged: Sequence[Judged],
        presented: CallIdentities,
        call: InboundCall,
        expectation: Expectation,
        policy: VerificationPolicy,
    ) -> Outcome:
        faults: tuple[Judged, ...] = ()
        if len(judged) > 1:
            faults = tuple(each for each in judged if each.verdict.code is not None)
        diversions: Sequence[Judged] = ()
        if presented.diversions:
            judged, diversions = _follow(judged, presented, expectation.course)
        originals = judged[: len(presented.originals)]
        if not originals:
            decision = _decide_without(policy, expectation.course)
            return Outcome(
                decision, None, tuple(judged), diversions=tuple(diversions), faults=faults
            )
        best = min(originals, key=_rank) if len(originals) > 1 else originals[0]
        code = best.verdict.code
        replays = self._settings.replays if policy.replays is None else policy.replays
        replayed = code is None and self._is_replay((best, *diversions), call, replays)
        if replayed and replays is Replays.FAIL:
            failed = _with(best, Step("this PASSporT was seen before, for another call", 438))
            judged = [failed if each is best else each for each in judged]
            best, code = failed, failed.verdict.code
        if code is not None:
            decision = decide_failed(policy, code, best.verdict.words)
        else:
            decision = decide_passed(policy, _claim(best, "attest"))
        return Outcome(decision, best, tuple(judged), replayed, tuple(diversions), faults)

    def _is_replay(self, presented: Sequence[Judged], call: InboundCall, replays: Replays) -> bool:
        """Say whether another call had the caller's PASSporT, with the same diversions behind it.

        A call that is diverted presents the caller's again, and its own diversion (RFC 8946 §4.1).
        """
        first = presented[0].verdict.passport
        if replays is Replays.OFF or first is None:
            return False
        once = first.once
        for diversion in presented[1:]:
            if diversion.verdict.passport is not None:
                once += f"|{diversion.verdict.passport.once}"
        # Another trunk may believe it for longer than this one.
        until = int(first.claims["iat"]) + MAX_FRESHNESS
        return self._replay.seen(once, call.name, now=call.now, until=until, scope=call.scope)


_NOBODY = FoundSigner(Unfit(438, "the header cannot be read"))


def _judge(opened: Opened, known: FoundSigner, expectation: Expectation) -> Stages[Judged]:
    verdict = yield from judge_in_stages(
        opened, known.signer, expectation, unchecked=known.unchecked
    )
    return Judged(opened.rules.ppt, verdict, opened.identity, known.stale)


def _course(presented: CallIdentities, call: InboundCall) -> Course | str:
    """Say how the call was diverted, by what its PASSporTs claim; in words why that is unclear."""
    links = []
    for opened in presented.diversions:
        if opened.passport is None:
            return f"a {opened.rules.ppt} PASSporT does not hold: {opened.steps[-1].words}"
        link = read_link(opened.passport.claims)
        if link is None:
            return f"a {opened.rules.ppt} PASSporT says of no diversion from whom to whom it leads"
        links.append(link)
    origins = [
        each
        for opened in presented.originals
        if opened.passport is not None
        for each in destinations(opened.passport.claims.get("dest"))
    ]
    return trace(links, origins=origins, to=call.dest, target=call.target)


def _follow(
    judged: Sequence[Judged], presented: CallIdentities, course: Course | str | None
) -> tuple[Sequence[Judged], Sequence[Judged]]:
    """Tell all other PASSporTs whether the diversions hold; return them, and those in order."""
    first = len(presented.originals)
    behind = first + len(presented.diversions)
    links = judged[first:behind]
    if not isinstance(course, Course):
        return judged, links
    chain = [links[place] for place in course.order]
    arrival = _arrival(chain, course)
    originals = (_with(each, arrival) for each in judged[:first])
    return (*originals, *links, *(_with(each, arrival) for each in judged[behind:])), chain


def _arrival(chain: Sequence[Judged], course: Course) -> Step:
    """Say whether diversions that join hold, each by itself, and so lead to where the call goes."""
    for number, (judged, link) in enumerate(zip(chain, course.links, strict=True), start=1):
        verdict = judged.verdict
        if verdict.code is not None:
            place = f"diversion {number} of {len(chain)}, {link}"
            return Step(f"{place}, does not hold: {verdict.words}", verdict.code)
    links = ", then ".join(map(str, course.links))
    end = "where the call goes" if course.is_end_told else "and where the call goes is not told"
    return Step(f"the call was diverted {links}, {end}")


def _with(judged: Judged, step: Step) -> Judged:
    """Add a last check to what holds so far."""
    verdict = judged.verdict
    if verdict.code is not None:
        return judged
    more = Verdict((*verdict.steps, step), verdict.passport, verdict.signer)
    return Judged(judged.ppt, more, judged.identity, judged.stale)


def _decide_without(policy: VerificationPolicy, course: Course | str | None) -> Decision:
    """Decide of a call that presents no `shaken` PASSporT, but perhaps diversions."""
    if course is None or policy.identity_required:
        return decide_missing(policy, anonymous=False)
    words = "the call was diverted, but there is no shaken PASSporT of who made it"
    why = f": {course}" if isinstance(course, str) else ""
    return decide_failed(policy, 438, words + why)


def _rank(judged: Judged) -> tuple[bool, str]:
    """Order headers: those that hold first, by attestation."""
    return judged.verdict.code is not None, _claim(judged, "attest")


def _claim(judged: Judged, name: str) -> str:
    passport = judged.verdict.passport
    return str(passport.claims.get(name)) if passport is not None else "~"
