"""Whether a PASSporT holds for a call, by its signer's certificate (RFC 8224 §6.2, RFC 8588 §6).

Pure: certificate, roots and time are given. Every check made is part of the verdict, in the order
of RFC 8224, so that a person sees how far a header came and why it failed there. All types of
PASSporTs go the same way; what each adds stands in its `Rules`. Getting hold of the certificate is
`shaken.verifier`'s, what is done with a call `shaken.acceptance`'s.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from shaken.attestation import Attest
from shaken.diversion import Chain, read_link
from shaken.passport import Passport, PassportError, decode, destinations, signature_fits
from shaken.priority import Priority, examine_priority
from shaken.rich_call_data import examine_rich_call_data
from sip.identity import Identity
from trust.sti_path import JudgedPath, StiRefused, check_call


@dataclass(frozen=True, slots=True)
class Expectation:
    """The call as it arrived: canonical numbers or URIs, and when.

    `now` and `time` are Unix seconds; `time` is that of the message's Date header, where it has
    one. `freshness` and `skew` (s) are how far `iat` may lie before and after either.

    `orig` None: there is no call yet to hold claims to. `course` of a call that was diverted: the
    chain, from whom its PASSporTs are to, or in words why there is none; then no PASSporT is for
    this call. `protected` are lines of the message that PASSporTs vouch for.
    """

    orig: str | None
    dest: tuple[str, ...]
    now: int
    freshness: int
    skew: int
    time: int | None = None
    course: Chain | str | None = None
    protected: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """One check, in words; `code` is the SIP response of RFC 8224 when it failed."""

    words: str
    code: int | None = None


@dataclass(frozen=True, slots=True)
class Unfit:
    """A signer's certificate that cannot be had (436) or must not be believed (437)."""

    code: int
    detail: str


Signer = JudgedPath | Unfit
"""What is known of who signed."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What a type of PASSporT adds to the checks of all.

    `speaks_for` is the claim that names the number which the certificate must cover. `check` holds
    the other claims to the call.
    """

    ppt: str
    speaks_for: str
    check: Callable[[Mapping[str, Any], Expectation], Iterator[Step]]


@dataclass(frozen=True, slots=True)
class Opened:
    """A header that was read: its PASSporT, unless a check failed before.

    `identity` is None where there is no telling the parts of the header.
    """

    rules: Rules
    identity: Identity | None
    steps: tuple[Step, ...]
    passport: Passport | None

    def fail(self, words: str) -> "Opened":
        """Return it as one that fails with 438."""
        return replace(self, steps=(*self.steps, Step(words, 438)), passport=None)


@dataclass(frozen=True, slots=True)
class Verdict:
    """All checks made; the last one failed unless the header passed.

    `passport` and `signer` are what was found on the way, not what is to be believed.
    """

    steps: tuple[Step, ...]
    passport: Passport | None = None
    signer: JudgedPath | None = None

    @property
    def code(self) -> int | None:
        """The SIP response code of the failure, None: the header holds."""
        return self.steps[-1].code

    @property
    def words(self) -> str:
        """The last check in words: of a header that failed, why."""
        return self.steps[-1].words


def rules_of(identity: Identity) -> Rules | None:
    """Return the rules of a header's type, None: the type is none that is verified here.

    A header that does not say its type is of that of its PASSporT, and `shaken` in doubt.
    """
    ppt: object = identity.ppt
    if ppt is None:
        try:
            ppt = decode(identity.token).header.get("ppt")
        except PassportError:
            return SHAKEN
    return RULES.get(ppt) if isinstance(ppt, str) else SHAKEN


def open_header(identity: Identity, rules: Rules) -> Opened:
    """Read a header's PASSporT and hold the header to what it says, and to its type."""
    try:
        passport = decode(identity.token)
    except PassportError as error:
        return Opened(rules, identity, (Step(f"the token cannot be read: {error}", 438),), None)
    steps = _until_failure(_header(identity, passport, rules))
    failed = steps[-1].code is not None
    return Opened(rules, identity, steps, None if failed else passport)


def signed_at(passport: Passport, *, now: int) -> datetime:
    """Return the moment of which a certificate is judged: `iat`, or now where it says none."""
    iat = passport.claims.get("iat")
    usable = type(iat) is int and 0 <= iat < _LATEST
    return datetime.fromtimestamp(iat if usable and iat is not None else now, UTC)


def judge(opened: Opened, signer: Signer, expectation: Expectation) -> Verdict:
    """Check an opened header against a call and its signer's certificate."""
    passport = opened.passport
    if passport is None:
        return Verdict(opened.steps)
    checks = _claims_hold(passport, opened.rules, signer, expectation)
    steps = (*opened.steps, *_until_failure(checks))
    return Verdict(steps, passport, signer if isinstance(signer, JudgedPath) else None)


def foresee(opened: Opened, *, now: int, freshness: int, skew: int) -> tuple[Step, ...]:
    """Check of a header what needs neither its call nor its certificate; all times in seconds."""
    if opened.passport is None:
        return opened.steps
    claims = opened.passport.claims
    own = Expectation(orig=None, dest=(), now=now, freshness=freshness, skew=skew)
    steps = _until_failure(iter((_freshness(claims, own),)))
    if steps[-1].code is None:
        steps += _until_failure(opened.rules.check(claims, own))
    return (*opened.steps, *steps)


_LATEST = 253402300800  # the year 10000, which no datetime has
_LEVELS = tuple(Attest)
_SHOWN_LENGTH = 100  # of what a stranger wrote, in a sentence


def _until_failure(checks: Iterator[Step]) -> tuple[Step, ...]:
    steps = []
    for step in checks:
        steps.append(step)
        if step.code is not None:
            break
    return tuple(steps)


def _header(identity: Identity, passport: Passport, rules: Rules) -> Iterator[Step]:
    yield Step("the token is a PASSporT")
    if identity.alg not in {None, "ES256"}:
        yield Step(f"alg is {identity.alg}, only ES256 is believed", 438)
    if passport.header.get("ppt") != rules.ppt or identity.ppt not in (None, rules.ppt):
        yield Step(f"ppt is not {rules.ppt}", 438)
    if passport.x5u != identity.info:
        x5u = _shown(passport.x5u)
        yield Step(f"info <{identity.info}> is not the PASSporT's x5u, which is {x5u}", 438)
    yield Step(f"info and x5u both name {identity.info}")


def _claims_hold(
    passport: Passport, rules: Rules, signer: Signer, expectation: Expectation
) -> Iterator[Step]:
    if isinstance(signer, Unfit):
        yield Step(signer.detail, signer.code)
        return
    yield Step(f"the certificate leads to the root {signer.names.root}")
    yield _authority(passport.claims, rules, signer)
    yield _freshness(passport.claims, expectation)
    if not signature_fits(passport, signer.key):
        yield Step("the signature was not made with this certificate's key, or was altered", 438)
    yield Step("the signature fits the certificate's key")
    yield from rules.check(passport.claims, expectation)


def _authority(claims: Mapping[str, Any], rules: Rules, signer: JudgedPath) -> Step:
    party = claims.get(rules.speaks_for)
    number = party.get("tn") if isinstance(party, dict) else None
    try:
        ground = check_call(
            signer, number=number if isinstance(number, str) else None, claims=claims
        )
    except StiRefused as refused:
        return Step(refused.detail, 437)
    if ground == "provider":
        return Step(f"the signer is provider {', '.join(sorted(signer.scope.spcs))}")
    return Step(f"the certificate's TNAuthList covers {number}")


def _freshness(claims: Mapping[str, Any], expectation: Expectation) -> Step:
    iat = claims.get("iat")
    if type(iat) is not int:
        return Step("iat is missing or no integer", 438)
    for moment, name in ((expectation.now, "now"), (expectation.time, "the message's time")):
        if moment is None or -expectation.skew <= moment - iat <= expectation.freshness:
            continue
        return Step(
            f"iat is {_apart(moment - iat)} {name}; at most {expectation.freshness} s before"
            f" and {expectation.skew} s after is fresh",
            403,
        )
    return Step(f"iat is {_apart(expectation.now - iat)} now")


def _parties(claims: Mapping[str, Any], expectation: Expectation) -> Step:
    """Hold `orig` and `dest` to the call, or see whether they could be."""
    if expectation.orig is not None:
        return _parties_of_call(claims, expectation)
    dest = claims.get("dest")
    if not destinations(dest):
        return Step(f"dest is {_shown(dest)}, which names nobody", 438)
    passed = Step("orig and dest name who calls whom; there is no call to hold them to")
    return _stranger(claims, expectation) or passed


def _parties_of_call(claims: Mapping[str, Any], expectation: Expectation) -> Step:
    if (failed := _stranger(claims, expectation)) is not None:
        return failed
    orig, dest, course = expectation.orig, claims.get("dest"), expectation.course
    if isinstance(course, str):
        return Step(course, 438)
    named = destinations(dest)
    if course is not None:
        start = ascii(course.start)[1:-1][:_SHOWN_LENGTH]
        if course.start not in named:
            return Step(f"dest is {_shown(dest)}, the first diversion is from {start}", 438)
        return Step(f"orig is that of the call: {orig}; dest is {start}, who was called first")
    called = ", ".join(expectation.dest)
    if not expectation.dest or not all(each in named for each in expectation.dest):
        return Step(f"dest is {_shown(dest)}, the call goes to {called}", 438)
    return Step(f"orig and dest are those of the call: {orig} to {called}")


def _stranger(claims: Mapping[str, Any], expectation: Expectation) -> Step | None:
    """Say what is wrong with `orig`, None: it is the caller."""
    orig = claims.get("orig")
    if expectation.orig is None:
        named = next(iter(orig.values()), None) if isinstance(orig, dict) else None
        if isinstance(named, str) and orig in ({"tn": named}, {"uri": named}):
            return None
        return Step(f"orig is {_shown(orig)}, which names nobody", 438)
    # RFC 8225 §5.2.1: orig names one identity, by one member.
    if orig in ({"tn": expectation.orig}, {"uri": expectation.orig}):
        return None
    return Step(f"orig is {_shown(orig)}, the call comes from {expectation.orig}", 438)


def _check_shaken(claims: Mapping[str, Any], expectation: Expectation) -> Iterator[Step]:
    yield _parties(claims, expectation)
    attest = claims.get("attest")
    if attest not in _LEVELS:
        yield Step("attest is none of A, B, C", 438)
    if not isinstance(claims.get("origid"), str):
        yield Step("origid is missing", 438)
    yield Step(f"attest is {attest}")
    # What is wrong with a name says nothing about the number: it is told, and the call passes.
    if (rich := examine_rich_call_data(claims)) is not None:
        yield Step(str(rich))


def _check_diversion(claims: Mapping[str, Any], expectation: Expectation) -> Iterator[Step]:
    if (failed := _stranger(claims, expectation)) is not None:
        yield failed
    link = read_link(claims)
    if link is None:
        div, dest = _shown(claims.get("div")), _shown(claims.get("dest"))
        yield Step(f"div and dest are no diversion from one to others: {div}, {dest}", 438)
    if isinstance(expectation.course, str):
        yield Step(expectation.course, 438)
    whose = "the call" if expectation.orig is None else f"the call of {expectation.orig}"
    yield Step(f"{whose} was diverted {link}")


def _check_priority(claims: Mapping[str, Any], expectation: Expectation) -> Iterator[Step]:
    yield _parties(claims, expectation)
    granted = examine_priority(claims, expectation.protected)
    if isinstance(granted, Priority):
        asked = "which covers" if granted.is_asked else "nobody told"
        yield Step(f"rph grants {granted}, {asked} Resource-Priority")
    else:
        yield Step(granted, 438)


def _check_rich_call_data(claims: Mapping[str, Any], expectation: Expectation) -> Iterator[Step]:
    yield _parties(claims, expectation)
    rich = examine_rich_call_data(claims)
    if rich is None:
        yield Step("there is neither rcd nor crn", 438)
    else:
        yield Step(str(rich), None if rich.fault is None else 438)


SHAKEN = Rules("shaken", "orig", _check_shaken)
DIV = Rules("div", "div", _check_diversion)
DIV_O = Rules("div-o", "div", _check_diversion)
RPH = Rules("rph", "orig", _check_priority)
RCD = Rules("rcd", "orig", _check_rich_call_data)

RULES = {rules.ppt: rules for rules in (SHAKEN, DIV, DIV_O, RPH, RCD)}
"""The types that are verified here, by what `ppt` calls them; others are passed over."""


def _apart(seconds: int) -> str:
    return f"{seconds} s before" if seconds >= 0 else f"{-seconds} s after"


def _shown(value: object) -> str:
    return ascii(value)[:_SHOWN_LENGTH]
