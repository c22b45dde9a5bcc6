"""Whether a PASSporT holds for a call, by its signer's certificate (RFC 8224 §6.2, RFC 8588 §6).

Pure: certificate, roots and time are given. Every check made is part of the verdict, in the order
of RFC 8224, so that a person sees how far a header came and why it failed there. Getting hold of
the certificate is `shaken.verifier`'s, what is done with a call `shaken.acceptance`'s.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from shaken.attestation import Attest
from shaken.passport import Passport, PassportError, decode, signature_fits
from sip.identity import Identity
from trust.sti_path import JudgedPath, StiRefused, check_call


@dataclass(frozen=True, slots=True)
class Expectation:
    """The call as it arrived: canonical numbers or URIs, and when.

    `now` and `time` are Unix seconds; `time` is that of the message's Date header, where it has
    one. `freshness` and `skew` (s) are how far `iat` may lie before and after either.
    """

    orig: str
    dest: tuple[str, ...]
    now: int
    freshness: int
    skew: int
    time: int | None = None


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
class Opened:
    """A header that was read: its PASSporT, unless a check failed before."""

    identity: Identity
    steps: tuple[Step, ...]
    passport: Passport | None


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


def open_header(identity: Identity) -> Opened:
    """Read a `shaken` header's PASSporT and hold the header to what it says."""
    try:
        passport = decode(identity.token)
    except PassportError as error:
        return Opened(identity, (Step(f"the token cannot be read: {error}", 438),), None)
    steps = _until_failure(_header(identity, passport))
    failed = steps[-1].code is not None
    return Opened(identity, steps, None if failed else passport)


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
    steps = (*opened.steps, *_until_failure(_claims_hold(passport, signer, expectation)))
    return Verdict(steps, passport, signer if isinstance(signer, JudgedPath) else None)


def foresee(identity: Identity, *, now: int, freshness: int, skew: int) -> tuple[Step, ...]:
    """Check of a header what needs neither its call nor its certificate; all times in seconds."""
    opened = open_header(identity)
    if opened.passport is None:
        return opened.steps
    claims = opened.passport.claims
    orig, dest = claims.get("orig"), _destinations(claims.get("dest"))
    named = next(iter(orig.values()), None) if isinstance(orig, dict) else None
    own = Expectation(
        orig=str(named),
        dest=tuple(map(str, dest)),
        now=now,
        freshness=freshness,
        skew=skew,
    )
    steps = _until_failure(iter((_freshness(claims, own),)))
    if steps[-1].code is None:
        steps += _until_failure(_claims(claims, own))
    return (*opened.steps, *steps)


_LATEST = 253402300800  # the year 10000, which no datetime has


def _until_failure(checks: Iterator[Step]) -> tuple[Step, ...]:
    steps = []
    for step in checks:
        steps.append(step)
        if step.code is not None:
            break
    return tuple(steps)


def _header(identity: Identity, passport: Passport) -> Iterator[Step]:
    yield Step("the token is a PASSporT")
    if identity.alg not in {None, "ES256"}:
        yield Step(f"alg is {identity.alg}, only ES256 is believed", 438)
    if passport.header.get("ppt") != "shaken" or identity.ppt not in {None, "shaken"}:
        yield Step("ppt is not shaken", 438)
    if passport.x5u != identity.info:
        x5u = _shown(passport.x5u)
        yield Step(f"info <{identity.info}> is not the PASSporT's x5u, which is {x5u}", 438)
    yield Step(f"info and x5u both name {identity.info}")


def _claims_hold(passport: Passport, signer: Signer, expectation: Expectation) -> Iterator[Step]:
    if isinstance(signer, Unfit):
        yield Step(signer.detail, signer.code)
        return
    yield Step(f"the certificate leads to the root {signer.names.root}")
    yield _authority(passport.claims, signer)
    yield _freshness(passport.claims, expectation)
    if not signature_fits(passport, signer.key):
        yield Step("the signature was not made with this certificate's key, or was altered", 438)
    yield Step("the signature fits the certificate's key")
    yield from _claims(passport.claims, expectation)


def _authority(claims: Mapping[str, Any], signer: JudgedPath) -> Step:
    orig = claims.get("orig")
    number = orig.get("tn") if isinstance(orig, dict) else None
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


def _claims(claims: Mapping[str, Any], expectation: Expectation) -> Iterator[Step]:
    orig, dest = claims.get("orig"), claims.get("dest")
    # RFC 8225 §5.2.1: orig names one identity, by one member.
    if orig not in ({"tn": expectation.orig}, {"uri": expectation.orig}):
        yield Step(f"orig is {_shown(orig)}, the call comes from {expectation.orig}", 438)
    named = _destinations(dest)
    if not expectation.dest or not all(each in named for each in expectation.dest):
        called = ", ".join(expectation.dest)
        yield Step(f"dest is {_shown(dest)}, the call goes to {called}", 438)
    yield Step(
        f"orig and dest are those of the call: {expectation.orig} to {', '.join(expectation.dest)}"
    )
    attest = claims.get("attest")
    if attest not in list(Attest):
        yield Step("attest is none of A, B, C", 438)
    if not isinstance(claims.get("origid"), str):
        yield Step("origid is missing", 438)
    yield Step(f"attest is {attest}")


def _destinations(dest: object) -> list[object]:
    if not isinstance(dest, dict):
        return []
    lists = (dest.get("tn"), dest.get("uri"))
    return [each for several in lists if isinstance(several, list) for each in several]


def _apart(seconds: int) -> str:
    return f"{seconds} s before" if seconds >= 0 else f"{-seconds} s after"


def _shown(value: object) -> str:
    return ascii(value)[:100]
