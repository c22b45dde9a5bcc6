"""A call's Identity headers become an outcome: each header judged, the best one decides.

`Verifier` joins the rules (`verification`, `acceptance`) with who signed (`signers`) and what was
seen before (`replay`). It answers at once where the signers are known, else it waits for them.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from shaken.acceptance import (
    Decision,
    Replays,
    VerificationPolicy,
    decide_failed,
    decide_missing,
    decide_passed,
)
from shaken.passport import PassportError, decode
from shaken.replay import ReplayMemory
from shaken.signers import Known, Roots, Signers
from shaken.verification import Expectation, Step, Verdict, judge, open_header, signed_at
from sip.identity import Identity, IdentityError, InfoError, parse_identities

MAX_HEADERS = 4
"""Headers for `shaken` of one call that are looked at: a call has one, and each may be a fetch."""


@dataclass(frozen=True, slots=True)
class InboundCall:
    """A call to be verified. `orig` None: the caller is anonymous. Times are Unix seconds.

    `headers` are values of Identity fields; `name` tells calls apart for replays.
    """

    headers: Sequence[str]
    orig: str | None
    dest: tuple[str, ...]
    now: int
    time: int | None
    name: str


@dataclass(frozen=True, slots=True)
class Judged:
    """A header and its verdict. `stale`: by an old copy of the certificate."""

    verdict: Verdict
    identity: Identity | None = None
    stale: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was found and what is done. `best` None: there was no header to verify."""

    decision: Decision
    best: Judged | None = None
    judged: tuple[Judged, ...] = ()
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class VerifierSettings:
    """What holds for all trunks that say nothing else; `freshness` and `skew` in seconds."""

    freshness: int
    skew: int
    replays: Replays


class Verifier:
    """Verifies calls. One for a worker."""

    def __init__(self, signers: Signers, replay: ReplayMemory, settings: VerifierSettings) -> None:
        """Take who finds signers, the memory of what was seen, and the service's settings."""
        self._signers = signers
        self._replay = replay
        self._settings = settings

    def verify(
        self, call: InboundCall, policy: VerificationPolicy, *, roots: Roots
    ) -> Outcome | Callable[[], Awaitable[Outcome]]:
        """Verify a call against trusted STI roots; where a fetch is needed, what waits for it."""
        headers = _read(call.headers)
        if not headers or call.orig is None:
            return Outcome(decide_missing(policy, anonymous=call.orig is None))
        usual = self._settings
        expectation = Expectation(
            orig=call.orig,
            dest=call.dest,
            now=call.now,
            freshness=usual.freshness if policy.freshness is None else policy.freshness,
            skew=usual.skew if policy.skew is None else policy.skew,
            time=call.time,
        )
        judged = [
            header if isinstance(header, Judged) else self._judge(header, expectation, roots)
            for header in headers
        ]
        known = [each for each in judged if isinstance(each, Judged)]
        if len(known) == len(judged):
            return self._conclude(known, call, expectation, policy)
        return partial(self._wait, judged, call, expectation, policy)

    async def _wait(
        self,
        judged: Sequence[Judged | Callable[[], Awaitable[Judged]]],
        call: InboundCall,
        expectation: Expectation,
        policy: VerificationPolicy,
    ) -> Outcome:
        waited = iter(await asyncio.gather(*(e() for e in judged if not isinstance(e, Judged))))
        known = [each if isinstance(each, Judged) else next(waited) for each in judged]
        return self._conclude(known, call, expectation, policy)

    def _judge(
        self, identity: Identity, expectation: Expectation, roots: Roots
    ) -> Judged | Callable[[], Awaitable[Judged]]:
        opened = open_header(identity)
        if opened.passport is None:
            return Judged(Verdict(opened.steps), identity)
        at = signed_at(opened.passport, now=expectation.now)
        found = self._signers.find(identity.info, roots, at=at)

        def conclude(known: Known) -> Judged:
            return Judged(judge(opened, known.signer, expectation), identity, known.stale)

        if isinstance(found, Known):
            return conclude(found)

        async def wait() -> Judged:
            return conclude(await found())

        return wait

    def _conclude(
        self,
        judged: Sequence[Judged],
        call: InboundCall,
        expectation: Expectation,
        policy: VerificationPolicy,
    ) -> Outcome:
        place = min(range(len(judged)), key=lambda place: _rank(judged[place]))
        best = judged[place]
        replays = self._settings.replays if policy.replays is None else policy.replays
        replayed = best.verdict.code is None and self._is_replay(best, call, expectation, replays)
        if replayed and replays is Replays.FAIL:
            failed = Step("this PASSporT was seen before, for another call", 438)
            best = replace(best, verdict=replace(best.verdict, steps=(*best.verdict.steps, failed)))
        code = best.verdict.code
        if code is not None:
            decision = decide_failed(policy, code, best.verdict.words)
        else:
            decision = decide_passed(policy, _claim(best, "attest"))
        return Outcome(decision, best, (*judged[:place], best, *judged[place + 1 :]), replayed)

    def _is_replay(
        self, best: Judged, call: InboundCall, expectation: Expectation, replays: Replays
    ) -> bool:
        passport = best.verdict.passport
        if replays is Replays.OFF or passport is None:
            return False
        until = int(passport.claims["iat"]) + expectation.freshness
        return self._replay.seen(passport.token, call.name, now=call.now, until=until)


def _read(values: Sequence[str]) -> list[Identity | Judged]:
    """Read the `shaken` headers of a call; those of other types are for others."""
    found: list[Identity | Judged] = []
    for value in values:
        try:
            identities = parse_identities(value)
        except IdentityError as error:
            code = 436 if isinstance(error, InfoError) else 438
            found.append(Judged(Verdict((Step(f"the header cannot be read: {error}", code),))))
            continue
        found += [identity for identity in identities if _is_shaken(identity)]
    return found[:MAX_HEADERS]


def _is_shaken(identity: Identity) -> bool:
    """Say whether a header is for a `shaken` PASSporT, or for one that cannot be told."""
    if identity.ppt is not None:
        return identity.ppt == "shaken"
    try:
        ppt = decode(identity.token).header.get("ppt")
    except PassportError:
        return True
    return not isinstance(ppt, str) or ppt == "shaken"


def _rank(judged: Judged) -> tuple[bool, str]:
    """Order headers: those that hold first, by attestation."""
    return judged.verdict.code is not None, _claim(judged, "attest")


def _claim(judged: Judged, name: str) -> str:
    passport = judged.verdict.passport
    return str(passport.claims.get(name)) if passport is not None else "~"
