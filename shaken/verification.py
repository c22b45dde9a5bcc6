"""Whether a PASSporT holds for a call, by a certificate at hand (RFC 8224 §6.2, RFC 8588 §6).

Pure: certificate, roots and time are given. Every check made is part of the verdict, in the order
of RFC 8224, so that a person sees how far a header came and why it failed there.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from shaken.attestation import Attest
from shaken.passport import Passport, PassportError, decode, signature_fits
from sip.identity import Identity
from trust.certificate import Certificate, CertificateRefused, check_sti, subject_of
from trust.path import PathError, validate_path

REASONS = {
    403: "Stale Date",
    436: "Bad Identity Info",
    437: "Unsupported Credential",
    438: "Invalid Identity Header",
}
"""Reason phrases of RFC 8224 §6.2.2."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """The call as it arrived: canonical numbers or URIs, the time, and how old `iat` may be (s)."""

    orig: str
    dest: str
    now: int
    freshness: int
    skew: int


@dataclass(frozen=True, slots=True)
class Step:
    """One check, in words; `code` is the SIP response of RFC 8224 when it failed."""

    words: str
    code: int | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """All checks made; the last one failed unless the header passed."""

    steps: tuple[Step, ...]

    @property
    def code(self) -> int | None:
        """The SIP response code of the failure, None: the header holds."""
        return self.steps[-1].code


def verify(
    identity: Identity,
    expectation: Expectation,
    *,
    certificate: Certificate,
    roots: Sequence[x509.Certificate] | None,
) -> Verdict:
    """Check a header against a call with the signer's certificate.

    `roots` None: the certificate itself is what the caller trusts.
    """
    steps = []
    for step in _steps(identity, expectation, certificate, roots):
        steps.append(step)
        if step.code is not None:
            break
    return Verdict(tuple(steps))


def _steps(
    identity: Identity,
    expectation: Expectation,
    certificate: Certificate,
    roots: Sequence[x509.Certificate] | None,
) -> Iterator[Step]:
    try:
        passport = decode(identity.token)
    except PassportError as error:
        yield Step(f"the token cannot be read: {error}", 438)
        return
    yield Step("the token is a PASSporT")
    yield from _header(identity, passport)
    moment = datetime.fromtimestamp(expectation.now, UTC)
    yield from _certificate(certificate, roots, moment)
    yield _freshness(passport.claims, expectation)
    key = certificate.leaf.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or not signature_fits(passport, key):
        yield Step("the signature was not made with this certificate's key, or was altered", 438)
    yield Step("the signature fits the certificate's key")
    yield from _claims(passport.claims, expectation)
    yield _authority(certificate, expectation.orig)


def _header(identity: Identity, passport: Passport) -> Iterator[Step]:
    if passport.header.get("ppt") != "shaken" or identity.ppt not in {None, "shaken"}:
        yield Step("ppt is not shaken", 438)
    if passport.x5u != identity.info:
        x5u = _shown(passport.x5u)
        yield Step(f"info <{identity.info}> is not the PASSporT's x5u, which is {x5u}", 438)
    yield Step(f"info and x5u both name {identity.info}")


def _certificate(
    certificate: Certificate, roots: Sequence[x509.Certificate] | None, moment: datetime
) -> Iterator[Step]:
    try:
        check_sti(certificate, now=moment)
    except CertificateRefused as error:
        yield Step(f"the certificate is not fit: {error.detail}", 437)
    if roots is None:
        yield Step("the certificate is the one you gave; no root was asked for")
        return
    try:
        path = validate_path(certificate, roots=roots, at=moment)
    except PathError as error:
        yield Step(f"no trusted path from the certificate: {error.detail}", 437)
        return
    yield Step(f"the certificate leads to the root {subject_of(path[-1])}")


def _freshness(claims: dict[str, Any], expectation: Expectation) -> Step:
    iat = claims.get("iat")
    if not isinstance(iat, int) or isinstance(iat, bool):
        return Step("iat is missing or no integer", 438)
    age = expectation.now - iat
    if not -expectation.skew <= age <= expectation.freshness:
        return Step(
            f"iat is {_ago(age)}; at most {expectation.freshness} s ago is fresh"
            " (--at TIME verifies as of another time)",
            403,
        )
    return Step(f"iat is {_ago(age)}")


def _claims(claims: dict[str, Any], expectation: Expectation) -> Iterator[Step]:
    orig, dest = claims.get("orig"), claims.get("dest")
    # RFC 8225 §5.2.1: orig names one identity, by one member.
    if orig not in ({"tn": expectation.orig}, {"uri": expectation.orig}):
        yield Step(f"orig is {_shown(orig)}, the call comes from {expectation.orig}", 438)
    if not isinstance(dest, dict) or not any(
        isinstance(each, list) and expectation.dest in each
        for each in (dest.get("tn"), dest.get("uri"))
    ):
        yield Step(f"dest is {_shown(dest)}, the call goes to {expectation.dest}", 438)
    yield Step(f"orig and dest are those of the call: {expectation.orig} to {expectation.dest}")
    attest = claims.get("attest")
    if attest not in list(Attest):
        yield Step("attest is none of A, B, C", 438)
    if not isinstance(claims.get("origid"), str):
        yield Step("origid is missing", 438)
    yield Step(f"attest is {attest}")


def _authority(certificate: Certificate, orig: str) -> Step:
    authorised = certificate.tn_auth_list
    if authorised is not None and authorised.spcs:
        return Step(f"the signer is provider {', '.join(authorised.spcs)}")
    if authorised is None or not authorised.covers(orig):
        return Step(f"the certificate's TNAuthList does not cover {orig}", 437)
    return Step(f"the certificate's TNAuthList covers {orig}")


def _ago(seconds: int) -> str:
    return f"{seconds} s ago" if seconds >= 0 else f"{-seconds} s in the future"


def _shown(value: object) -> str:
    return ascii(value)[:100]
