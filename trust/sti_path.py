"""Whether a certificate may sign a call: the whole path by the rules of STI, then the call itself.

`judge_path` is what holds for all calls of a certificate (ATIS-1000080 §6.4, RFC 5280, RFC 8226,
RFC 9060) and may be kept while it is valid; `check_call` is what one call adds: its number and
its claims. `Mandate` says the same to who signs. Revocation is `trust.crl`'s, freshness and
signature are those of who reads PASSporTs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from sys import intern
from typing import Literal, TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from trust.certificate import (
    UNREADABLE,
    Certificate,
    CertificateRefused,
    issuer_of,
    subject_of,
)
from trust.claim_constraints import ClaimConstraints, ClaimConstraintsError, constraints_of
from trust.crl import Revocation
from trust.delegation import Ground, Scope, find_excess, may_speak_for
from trust.key_kinds import public_key_of
from trust.path import PathError, validate_path
from trust.profiles import check_sti
from trust.tnauthlist import TnAuthList, TnAuthListError

Slug: TypeAlias = Literal[
    "untrusted",
    "expired",
    "not-yet-valid",
    "bad-chain",
    "bad-extensions",
    "not-version-3",
    "not-p256",
    "not-ecdsa-sha256",
    "is-a-ca",
    "key-usage",
    "tnauthlist-missing",
    "tnauthlist-malformed",
    "tnauthlist-not-encompassed",
    "tnauthlist-not-covering",
    "constraints-malformed",
    "constraints",
    "revoked",
]
"""Why a certificate may not sign a call, stable and for programs; all are 437 in SIP."""

_SLUGS: dict[str, Slug] = {
    "not-version-3": "not-version-3",
    "not-p256": "not-p256",
    "weak-hash": "not-ecdsa-sha256",
    "not-ecdsa-sha256": "not-ecdsa-sha256",
    "bad-extensions": "bad-extensions",
    "is-a-ca": "is-a-ca",
    "key-usage": "key-usage",
    "no-tn-auth-list": "tnauthlist-missing",
    "bad-tn-auth-list": "tnauthlist-malformed",
    "bad-constraints": "constraints-malformed",
    "expired": "expired",
}
"""The slugs of `check_sti`, which speaks to who uploads a certificate, as verifiers say them."""


class StiRefused(Exception):  # noqa: N818 - the name says what happened, as faces show it
    """A certificate may not sign, at all or this call; `slug` is for programs, `detail` says why.

    `certificate` is the one of the path that is at fault, where that is known.
    """

    def __init__(
        self, slug: Slug, detail: str, *, certificate: x509.Certificate | None = None
    ) -> None:
        super().__init__(detail)
        self.slug: Slug = slug
        self.detail = detail
        self.certificate = certificate


@dataclass(frozen=True, slots=True)
class JudgedPath:
    """A path that was found good, leaf first, and what each call is held against.

    The judgement is the same for every moment at which all of the path is valid, while the trusted
    roots stay as they were. `key` is the leaf's; `subject` and `issuer` are its names, `root` is
    that of the root, as RFC 4514 has them. `constraints` has each certificate that constrains
    claims, with what it demands.
    """

    path: tuple[x509.Certificate, ...]
    key: ec.EllipticCurvePublicKey
    subject: str
    issuer: str
    root: str
    providers: tuple[str, ...]
    """The leaf's service provider codes, in order."""
    scope: Scope
    constraints: tuple[tuple[x509.Certificate, ClaimConstraints], ...]


def judge_path(
    certificate: Certificate,
    *,
    roots: Sequence[x509.Certificate],
    at: datetime,
    intermediates: Sequence[x509.Certificate] = (),
) -> JudgedPath:
    """Judge a certificate that signed something at the moment `at` (aware; the `iat`).

    Its own chain and `intermediates` (those at hand from elsewhere) lead to one of `roots`.
    Raises StiRefused: of several faults the path's is named first, then the leaf's.
    """
    try:
        path = validate_path(Certificate((*certificate.chain, *intermediates)), roots=roots, at=at)
    except PathError as error:
        raise StiRefused(error.reason, error.detail) from None
    _check_leaf(path[0], at)
    # The root is trusted for what it is (RFC 5280 §6.1.1 d), so its own extensions prove nothing.
    for authority in path[1:-1]:
        _check_authority(authority)
    _check_delegation(path)
    leaf, root = path[0], path[-1]
    key = public_key_of(leaf)
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise TypeError("a leaf that was found good has a key on P-256")
    scope = Scope.of(Certificate((leaf,)).tn_auth_list)
    return JudgedPath(
        path=path,
        key=key,
        subject=subject_of(leaf),
        # Of the certificates of one authority all have these in common: one text for all.
        issuer=intern(issuer_of(leaf)),
        root=intern(subject_of(root)),
        providers=tuple(sorted(scope.spcs)),
        scope=scope,
        constraints=tuple(_constraints(path)),
    )


def check_call(judged: JudgedPath, *, number: str | None, claims: Mapping[str, object]) -> Ground:
    """Say by which right the certificate signed a call with these `claims` (JSON values).

    `number` is `orig.tn`, canonical, None when `orig` is a URI. Raises StiRefused:
    `tnauthlist-not-covering`, `constraints`.
    """
    leaf = judged.path[0]
    ground = may_speak_for(judged.scope, number)
    if ground is None:
        words = _not_covering(subject_of(leaf), number)
        raise StiRefused("tnauthlist-not-covering", words, certificate=leaf)
    for certificate, constraints in judged.constraints:
        if violation := constraints.check(claims):
            words = _constraining(subject_of(certificate), violation)
            raise StiRefused("constraints", words, certificate=certificate)
    return ground


@dataclass(frozen=True)
class Mandate:
    """What a leaf lets its holder sign; `subject` is the leaf's.

    Authorities above it may demand more: that is for `judge_path` and `check_call` to say.
    """

    subject: str
    scope: Scope
    constraints: tuple[ClaimConstraints, ...]

    @classmethod
    def read(
        cls, subject: str, *, tn_auth_list: bytes | None, constraints: Iterable[bytes]
    ) -> Mandate:
        """Read it from the DER of the leaf's extensions.

        Raises TnAuthListError, ClaimConstraintsError.
        """
        entries = None if tn_auth_list is None else TnAuthList.decode(tn_auth_list)
        return cls(subject, Scope.of(entries), tuple(map(ClaimConstraints.decode, constraints)))

    @property
    def is_general(self) -> bool:
        """Whether all calls may be signed."""
        return bool(self.scope.spcs) and not self.constraints

    def objection(self, *, number: str | None, claims: Mapping[str, object]) -> str | None:
        """Say in a sentence why a call is not to be signed, as `check_call` would; None: it is."""
        if may_speak_for(self.scope, number) is None:
            return _not_covering(self.subject, number)
        for constraints in self.constraints:
            if violation := constraints.check(claims):
                return _constraining(self.subject, violation)
        return None


def _not_covering(subject: str, number: str | None) -> str:
    told = "a URI, for which only a provider may speak" if number is None else number
    return f'The TNAuthList of "{subject}" does not cover {told}.'


def _constraining(subject: str, violation: str) -> str:
    return f'"{subject}" constrains what is signed: {violation}.'


def refuse_revoked(certificate: x509.Certificate, revocation: Revocation | None) -> None:
    """Raise StiRefused (`revoked`) when `trust.crl` found a certificate of the path revoked."""
    if revocation is not None:
        raise StiRefused(
            "revoked",
            f'"{subject_of(certificate)}" was revoked on {revocation.date:%Y-%m-%d %H:%M} UTC '
            f"({revocation.reason}).",
            certificate=certificate,
        )


def _check_leaf(leaf: x509.Certificate, at: datetime) -> None:
    """Hold the leaf to the profile of ATIS-1000080 §6.4.1."""
    try:
        check_sti(Certificate((leaf,)), now=at)
    except CertificateRefused as error:
        raise StiRefused(_SLUGS[error.slug], error.detail, certificate=leaf) from None


def _check_authority(authority: x509.Certificate) -> None:
    """Add to OpenSSL's checks of an intermediate (cA, pathLen) that its keyUsage is there."""
    try:
        usage = _key_usage(authority)
    except UNREADABLE:
        raise StiRefused(
            "bad-extensions",
            f'An extension of "{subject_of(authority)}" cannot be read.',
            certificate=authority,
        ) from None
    if usage is None or not usage.key_cert_sign:
        raise StiRefused(
            "key-usage",
            f'"{subject_of(authority)}" issues certificates, but its keyUsage does not say '
            "keyCertSign.",
            certificate=authority,
        )


def _check_delegation(path: Sequence[x509.Certificate]) -> None:
    try:
        excess = find_excess(path)
    except TnAuthListError as error:
        raise StiRefused(
            "tnauthlist-malformed", f"A TNAuthList above the certificate cannot be used: {error}."
        ) from None
    except UNREADABLE:
        raise StiRefused(
            "bad-extensions", f'An extension of the root "{subject_of(path[-1])}" cannot be read.'
        ) from None
    if excess is not None:
        raise StiRefused(
            "tnauthlist-not-encompassed", f"{excess.detail}.", certificate=excess.certificate
        )


def _constraints(
    path: Sequence[x509.Certificate],
) -> list[tuple[x509.Certificate, ClaimConstraints]]:
    found = []
    for certificate in path:
        try:
            found += [(certificate, one) for one in constraints_of(certificate)]
        except ClaimConstraintsError as error:
            raise StiRefused(
                "constraints-malformed",
                f'The claim constraints of "{subject_of(certificate)}" cannot be used: {error}.',
                certificate=certificate,
            ) from None
    return found


def _key_usage(certificate: x509.Certificate) -> x509.KeyUsage | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return None
