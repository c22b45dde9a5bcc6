"""From a certificate up to a root that is trusted: path validation by RFC 5280 §6.

OpenSSL does the work, since STI certificates have neither a subjectAltName nor an extended key
usage and the validators made for TLS insist on both. Which roots are trusted, and whether the
validated certificate may speak for a number, is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Literal, TypeAlias

from cryptography import x509
from cryptography.x509.oid import ExtensionOID
from OpenSSL import crypto

from trust.certificate import UNREADABLE, Certificate, subject_of, weak_signature
from trust.claim_constraints import ENHANCED_JWT_CLAIM_CONSTRAINTS_OID, JWT_CLAIM_CONSTRAINTS_OID
from trust.tnauthlist import TN_AUTH_LIST_OID

Reason: TypeAlias = Literal["untrusted", "expired", "not-yet-valid", "bad-chain"]
"""Why a path is refused, stable and for programs.

`bad-chain` is a chain that reaches a root but breaks a rule on its way: a wrong signature, an
issuer that is no CA, a critical extension nobody knows, a weak signature algorithm.
"""

_REASONS: dict[int, Reason] = {
    9: "not-yet-valid",
    10: "expired",
    18: "untrusted",  # self-signed certificate
    19: "untrusted",  # self-signed certificate in certificate chain
    20: "untrusted",  # unable to get local issuer certificate
}
"""The X509_V_ERR numbers of OpenSSL (x509_vfy.h) that are not `bad-chain`."""

_UNHANDLED_CRITICAL = 34

_PROCESSED = {
    # By OpenSSL.
    ExtensionOID.BASIC_CONSTRAINTS,
    ExtensionOID.KEY_USAGE,
    ExtensionOID.EXTENDED_KEY_USAGE,
    ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
    ExtensionOID.NAME_CONSTRAINTS,
    ExtensionOID.CERTIFICATE_POLICIES,
    ExtensionOID.POLICY_MAPPINGS,
    ExtensionOID.POLICY_CONSTRAINTS,
    ExtensionOID.INHIBIT_ANY_POLICY,
    ExtensionOID.CRL_DISTRIBUTION_POINTS,
    # By `trust.delegation` and `trust.claim_constraints`, for each call.
    TN_AUTH_LIST_OID,
    JWT_CLAIM_CONSTRAINTS_OID,
    ENHANCED_JWT_CLAIM_CONSTRAINTS_OID,
}
"""Extensions that may be critical."""


class PathError(Exception):
    """No valid path leads from the certificate to a trusted root; `detail` says where it ends."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason: Reason = reason
        self.detail = detail


class Anchors:
    """Roots that are trusted, made ready once for many paths. For use from any thread."""

    def __init__(self, roots: Iterable[x509.Certificate]) -> None:
        """Trust these roots; those that OpenSSL cannot read support no path."""
        self._roots = tuple(_readable(roots))

    def path(self, certificate: Certificate, *, at: datetime) -> tuple[x509.Certificate, ...]:
        """Return the path from the leaf to one of the roots, validated as of `at` (aware).

        The rest of the certificate's chain serves as untrusted intermediates, in any order and
        with strangers among them. Raises PathError. Revocation is not looked at.
        """
        try:
            leaf = crypto.X509.from_cryptography(certificate.leaf)
        except crypto.Error:
            raise PathError("bad-chain", "OpenSSL cannot read the certificate") from None
        rest = [*_readable(certificate.chain[1:])]
        try:
            path = self._verified(leaf, rest, at)
        except crypto.X509StoreContextError as error:
            code, _, message = error.errors
            culprit = subject_of(_culprit(error) or certificate.leaf)
            raise PathError(_REASONS.get(code, "bad-chain"), f'"{culprit}": {message}') from None
        # The root is trusted for what it is, not for the signature it put on itself.
        for one in path[:-1]:
            if algorithm := weak_signature(one):
                raise PathError("bad-chain", f'"{subject_of(one)}": signed with {algorithm}')
        return path

    def _verified(
        self, leaf: crypto.X509, rest: Sequence[crypto.X509], at: datetime
    ) -> tuple[x509.Certificate, ...]:
        """Have OpenSSL find the path, and look ourselves at critical extensions it does not know.

        Raises X509StoreContextError, PathError.
        """
        try:
            return _found(self._store(at), leaf, rest)
        except crypto.X509StoreContextError as error:
            if error.errors[0] != _UNHANDLED_CRITICAL:
                raise
        path = _found(self._store(at, crypto.X509StoreFlags.IGNORE_CRITICAL), leaf, rest)
        for one in path:
            _check_critical(one)
        return path

    def _store(self, at: datetime, flags: int = 0) -> crypto.X509Store:
        """Make the store for one path: OpenSSL lets the time of a store be set only once."""
        store = crypto.X509Store()
        # Whatever the operator trusts is an anchor (RFC 5280 §6.1.1 d), an intermediate CA as well.
        store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN | flags)
        store.set_time(at.astimezone(UTC))
        for root in self._roots:
            store.add_cert(root)
        return store


def validate_path(
    certificate: Certificate, *, roots: Sequence[x509.Certificate], at: datetime
) -> tuple[x509.Certificate, ...]:
    """Return the path from the leaf to one of `roots`, as `Anchors.path` does."""
    return Anchors(roots).path(certificate, at=at)


def _found(
    store: crypto.X509Store, leaf: crypto.X509, rest: Sequence[crypto.X509]
) -> tuple[x509.Certificate, ...]:
    chain = crypto.X509StoreContext(store, leaf, rest).get_verified_chain()
    return tuple(one.to_cryptography() for one in chain)


def _check_critical(certificate: x509.Certificate) -> None:
    """RFC 5280 §4.2: what is critical and not processed is a reason to refuse the certificate."""
    try:
        unknown = [
            one.oid.dotted_string
            for one in certificate.extensions
            if one.critical and one.oid not in _PROCESSED
        ]
    except UNREADABLE:
        unknown = ["that cannot be read"]
    if unknown:
        words = f"unhandled critical extension {unknown[0]}"
        raise PathError("bad-chain", f'"{subject_of(certificate)}": {words}')


def _readable(certificates: Iterable[x509.Certificate]) -> Iterator[crypto.X509]:
    """Leave out what OpenSSL cannot read: it supports no path, and must not break the others."""
    for certificate in certificates:
        with suppress(crypto.Error):
            yield crypto.X509.from_cryptography(certificate)


def _culprit(error: crypto.X509StoreContextError) -> x509.Certificate | None:
    """Return the certificate OpenSSL stopped at; None when it stopped before any."""
    try:
        return error.certificate.to_cryptography()
    except crypto.Error:
        return None
