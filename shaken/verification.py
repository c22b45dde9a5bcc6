"""Whether a PASSporT holds for a call, by its signer's certificate (RFC 8224 §6.2, RFC 8588 §6).

Pure: certificate, roots and time are given. Every check made is part of the verdict, in the order
of RFC 8224, so that a person sees how far a header came and why it failed there. All types of
PASSporTs go the same way; what each adds stands in its `Rules`. Getting hold of the certificate is
`shaken.signatories`'s, what is done with a call `shaken.acceptance`'s.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from shaken.attestation import Attest
from shaken.diversion import Course, read_link
from shaken.passport import Passport, PassportError, decode, destinations, signature_fits
from shaken.priority import Priority, examine_priority
from shaken.rich_call_data import examine_rich_call_data
from sip.identity import Identity
from sip.stages import Stages
from trust.sti_path import JudgedPath, StiRefused, check_call


class Expectation(msgspec.Struct, frozen=True):
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
    course: Course | str | None = None
    protected: tuple[str, ...] = ()


class Step(msgspec.Struct, frozen=True):
    """One check, in words; `code` is the SIP response of RFC 8224 when it failed."""

    words: str
    code: int | None = None


class Unfit(msgspec.Struct, frozen=True):
    """A signer's certificate that cannot be had (436) or must not be believed (437)."""

    code: int
    detail: str


Signatory = JudgedPath | Unfit
"""What is known of who signed."""


Check = Callable[[Mapping[str, Any], Expectation], Step | None]
"""Holds claims to the call; None: they say nothing that is to be checked."""


class Rules(msgspec.Struct, frozen=True, eq=False):
    """What a type of PASSporT adds to the checks of all.

    `speaks_for` is the claim that names the number which the certificate must cover. `checks` hold
    the other claims to the call.
    """

    ppt: str
    speaks_for: str
    checks: tuple[Check, ...]


class Opened(msgspec.Struct, frozen=True):
    """A header that was read: its PASSporT, unless a check failed before.

    `identity` is None where there is no telling the parts of the header.
    """

    rules: Rules
    identity: Identity | None
    steps: tuple[Step, ...]
    passport: Passport | None

    def fail(self, words: str) -> "Opened":
        """Return it as one that fails with 438."""
        return Opened(self.rules, self.identity, (*self.steps, Step(words, 438)), None)


class Verdict(msgspec.Struct, frozen=True):
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
    if identity.ppt is not None:
        return RULES.get(identity.ppt.lower())
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
    failed = _header(identity, passport, rules)
    if failed is not None:
        return Opened(rules, identity, (_READ, failed), None)
    steps = (_READ, Step(f"info and x5u both name {identity.info}"))
    return Opened(rules, identity, steps, passport)


def signed_at(passport: Passport, *, now: int) -> int:
    """Return of which moment (Unix seconds) a certificate is judged: `iat`, or now without one."""
    iat = passport.claims.get("iat")
    return iat if type(iat) is int and 0 <= iat < _LATEST else now


def judge_in_stages(
    opened: Opened, signer: Signatory, expectation: Expectation, *, unchecked: str | None = None
) -> Stages[Verdict]:
    """Check an opened header against a call and its signer's certificate.

    `unchecked` says why nobody knows whether that is revoked. The signature is a stage of its own.
    """
    passport = opened.passport
    if passport is None:
        return Verdict(opened.steps)
    if isinstance(signer, Unfit):
        return Verdict((*opened.steps, Step(signer.detail, signer.code)), passport)
    claims = passport.claims
    steps = [*opened.steps, Step(f"the certificate leads to the root {signer.root}")]
    if unchecked is not None:
        steps.append(Step(f"whether it is revoked is not known, and passed over: {unchecked}"))
    steps.append(_authority(claims, opened.rules, signer))
    if steps[-1].code is None:
        steps.append(_freshness(claims, expectation))
    if steps[-1].code is None:
        yield  # all that comes before the signature holds
        fits = signature_fits(passport, signer.key)
        yield  # the signature is verified
        steps.append(_FITS if fits else _DOES_NOT_FIT)
    if steps[-1].code is None:
        _add_checks(steps, opened.rules, claims, expectation)
    return Verdict(tuple(steps), passport, signer)


def foresee(opened: Opened, *, now: int, freshness: int, skew: int) -> tuple[Step, ...]:
    """Check of a header what needs neither its call nor its certificate; all times in seconds."""
    if opened.passport is None:
        return opened.steps
    claims = opened.passport.claims
    own = Expectation(orig=None, dest=(), now=now, freshness=freshness, skew=skew)
    steps = [*opened.steps, _freshness(claims, own)]
    if steps[-1].code is None:
        _add_checks(steps, opened.rules, claims, own)
    return tuple(steps)


_LATEST = 253402300800  # the year 10000, which no datetime has
_LEVELS = {each.value: Step(f"attest is {each.value}") for each in Attest}
_READ = Step("the token is a PASSporT")
_FITS = Step("the signature fits the certificate's key")
_DOES_NOT_FIT = Step("the signature was not made with this certificate's key, or was altered", 438)
_SHOWN_LENGTH = 100  # of what a stranger wrote, in a sentence


def _add_checks(
    steps: list[Step], rules: Rules, claims: Mapping[str, Any], expectation: Expectation
) -> None:
    """Make the checks of a type up to the first that fails, and add them."""
    for check in rules.checks:
        step = check(claims, expectation)
        if step is not None:
            steps.append(step)
            if step.code is not None:
                return


def _header(identity: Identity, passport: Passport, rules: Rules) -> Step | None:
    """Say how `info`, `alg` or `ppt` of a header differ from its PASSporT or its type."""
    if _is_other(identity.alg, "ES256"):
        return Step(f"alg is {identity.alg}, only ES256 is believed", 438)
    if passport.header.get("ppt") != rules.ppt or _is_other(identity.ppt, rules.ppt):
        return Step(f"ppt is not {rules.ppt}", 438)
    if passport.x5u != identity.info:
        x5u = _shown(passport.x5u)
        return Step(f"info <{identity.info}> is not the PASSporT's x5u, which is {x5u}", 438)
    return None


def _is_other(parameter: str | None, value: str) -> bool:
    """Say whether a header's parameter has another value, in any case (RFC 3261 §7.3.1)."""
    return parameter not in (None, value) and str(parameter).lower() != value.lower()


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
        return Step(f"the signer is provider {', '.join(signer.providers)}")
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
    if expectation.orig is None:
        return _parties_alone(claims, expectation)
    if (failed := _stranger(claims, expectation)) is not None:
        return failed
    orig, dest = expectation.orig, claims.get("dest")
    named = destinations(dest)
    if expectation.course is not None:
        return _first_called(dest, named, expectation.course, orig)
    called = ", ".join(expectation.dest)
    if not expectation.dest or not all(map(named.__contains__, expectation.dest)):
        return Step(f"dest is {_shown(dest)}, the call goes to {called}", 438)
    return Step(f"orig and dest are those of the call: {orig} to {called}")


def _first_called(dest: object, named: Sequence[object], course: Course | str, orig: str) -> Step:
    """Hold `dest` of a call that was diverted to whom the first diversion is from."""
    if isinstance(course, str):
        return Step(course, 438)
    start = ascii(course.start)[1:-1][:_SHOWN_LENGTH]
    if course.start not in named:
        return Step(f"dest is {_shown(dest)}, the first diversion is from {start}", 438)
    return Step(f"orig is that of the call: {orig}; dest is {start}, who was called first")


def _parties_alone(claims: Mapping[str, Any], expectation: Expectation) -> Step:
    """See whether `orig` and `dest` could be those of a call."""
    dest = claims.get("dest")
    if not destinations(dest):
        return Step(f"dest is {_shown(dest)}, which names nobody", 438)
    passed = Step("orig and dest name who calls whom; there is no call to hold them to")
    return _stranger(claims, expectation) or passed


def _stranger(claims: Mapping[str, Any], expectation: Expectation) -> Step | None:
    """Say what is wrong with `orig`, None: it is the caller."""
    orig = claims.get("orig")
    if expectation.orig is None:
        named = next(iter(orig.values()), None) if isinstance(orig, dict) else None
        if isinstance(named, str) and orig in ({"tn": named}, {"uri": named}):
            return None
        return Step(f"orig is {_shown(orig)}, which names nobody", 438)
    # RFC 8225 §5.2.1: orig names one identity, by one member.
    if orig == {"tn": expectation.orig} or orig == {"uri": expectation.orig}:  # noqa: PLR1714
        return None
    return Step(f"orig is {_shown(orig)}, the call comes from {expectation.orig}", 438)


def _attestation(claims: Mapping[str, Any], _: Expectation) -> Step:
    attest = claims.get("attest")
    level = _LEVELS.get(attest) if isinstance(attest, str) else None
    if level is None:
        return Step("attest is none of A, B, C", 438)
    if not isinstance(claims.get("origid"), str):
        return Step("origid is missing", 438)
    return level


def _rich_call_data_beside(claims: Mapping[str, Any], _: Expectation) -> Step | None:
    """Tell what is wrong with a name: it says nothing about the number, and the call passes."""
    rich = examine_rich_call_data(claims)
    return None if rich is None else Step(str(rich))


def _diversion(claims: Mapping[str, Any], expectation: Expectation) -> Step:
    link = read_link(claims)
    if link is None:
        div, dest = _shown(claims.get("div")), _shown(claims.get("dest"))
        return Step(f"div and dest are no diversion from one to others: {div}, {dest}", 438)
    if isinstance(expectation.course, str):
        return Step(expectation.course, 438)
    whose = "the call" if expectation.orig is None else f"the call of {expectation.orig}"
    return Step(f"{whose} was diverted {link}")


def _priority(claims: Mapping[str, Any], expectation: Expectation) -> Step:
    granted = examine_priority(claims, expectation.protected)
    if isinstance(granted, Priority):
        asked = "which covers" if granted.is_asked else "nobody told"
        return Step(f"rph grants {granted}, {asked} Resource-Priority")
    return Step(granted, 438)


def _rich_call_data(claims: Mapping[str, Any], _: Expectation) -> Step:
    rich = examine_rich_call_data(claims)
    if rich is None:
        return Step("there is neither rcd nor crn", 438)
    return Step(str(rich), None if rich.fault is None else 438)


SHAKEN = Rules("shaken", "orig", (_parties, _attestation, _rich_call_data_beside))
DIV = Rules("div", "div", (_stranger, _diversion))
DIV_O = Rules("div-o", "div", (_stranger, _diversion))
RPH = Rules("rph", "orig", (_parties, _priority))
RCD = Rules("rcd", "orig", (_parties, _rich_call_data))

RULES = {rules.ppt: rules for rules in (SHAKEN, DIV, DIV_O, RPH, RCD)}
"""The types that are verified here, by what `ppt` calls them; others are passed over."""


def _apart(seconds: int) -> str:
    return f"{seconds} s before" if seconds >= 0 else f"{-seconds} s after"


def _shown(value: object) -> str:
    return ascii(value)[:_SHOWN_LENGTH]
