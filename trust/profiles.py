"""What a certificate may be used for: to sign SHAKEN (ATIS-1000080), to be presented by TLS.

`check_sti` is what an import and a verification alike demand of a leaf, so that nothing is kept for
signing that a verifier of our own would refuse. Of the path above it speaks `trust.sti_path`, of
what is unwise in TLS `trust.findings`.
"""

from __future__ import annotations

from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import SignatureAlgorithmOID

from trust.certificate import (
    UNREADABLE,
    Certificate,
    CertificateRefused,
    is_ca,
    issued,
    read_tn_auth_list,
    weak_signature,
)
from trust.claim_constraints import ClaimConstraintsError, constraints_of
from trust.key_kinds import public_key_of
from trust.tnauthlist import TnAuthListError


def check_tls(certificate: Certificate) -> None:
    """Raise CertificateRefused unless the leaf may be presented by a TLS server.

    What is merely unwise passes, see `trust.findings`. Slugs: `unsupported-key`, `is-a-ca`,
    `bad-extensions` (one of them twice: TLS libraries refuse that, whatever else they forgive).
    """
    leaf = certificate.leaf
    try:
        key = public_key_of(leaf)
    except UNREADABLE:
        key = None
    good = isinstance(key, rsa.RSAPublicKey | ed25519.Ed25519PublicKey) or (
        isinstance(key, ec.EllipticCurvePublicKey)
        and isinstance(key.curve, ec.SECP256R1 | ec.SECP384R1)
    )
    if not good:
        raise CertificateRefused(
            "unsupported-key",
            f"The certificate's key is {_key_description(leaf)}; TLS clients know RSA, P-256, "
            "P-384 and Ed25519. Make a P-256 key and have a certificate issued for it.",
        )
    try:
        _ = leaf.extensions
    except x509.DuplicateExtension:
        raise _unreadable_extensions() from None
    except UNREADABLE:
        pass
    if is_ca(leaf) and not issued(leaf, leaf):
        raise CertificateRefused(
            "is-a-ca",
            "The certificate is that of a certification authority. Import the certificate it "
            "issued for your host; an authority's own goes to the trusted roots.",
        )


def check_sti(certificate: Certificate, *, now: datetime) -> None:
    """Raise CertificateRefused unless the leaf may sign SHAKEN PASSporTs (ATIS-1000080 §6.4).

    `now` is aware UTC. A certificate that is not valid yet passes: it is uploaded ahead of its
    time and chosen when that comes. Slugs: `not-version-3`, `not-p256`, `weak-hash`,
    `bad-extensions`, `is-a-ca`, `key-usage`, `no-tn-auth-list`, `bad-tn-auth-list`,
    `bad-constraints`, `not-ecdsa-sha256`, `expired`.
    """
    _check_version(certificate.leaf)
    _check_key(certificate.leaf)
    if algorithm := weak_signature(certificate.leaf):
        raise CertificateRefused(
            "weak-hash",
            f"The certificate is signed with {algorithm}, which no verifier should accept. "
            "Have the CA issue it anew, signed with ecdsa-with-SHA256.",
        )
    try:
        extensions = certificate.leaf.extensions
    except UNREADABLE:
        raise _unreadable_extensions() from None
    if is_ca(certificate.leaf):
        raise CertificateRefused(
            "is-a-ca",
            "The certificate is that of a certification authority; calls are signed with the "
            "certificate the authority issued. Put that one first.",
        )
    # What a certificate for TLS lacks most is said first: its other faults are none for TLS.
    _check_tn_auth_list(certificate.leaf)
    _check_key_usage(extensions)
    _check_constraints(certificate.leaf)
    _check_signature(certificate.leaf)
    if certificate.not_after < now:
        raise CertificateRefused(
            "expired",
            f"The certificate expired on {certificate.not_after:%Y-%m-%d %H:%M} UTC. Have it "
            "renewed and upload the new one.",
        )


def _unreadable_extensions() -> CertificateRefused:
    return CertificateRefused(
        "bad-extensions",
        "An extension of the certificate cannot be read, so no verifier will accept it. Look "
        "with `openssl x509 -in cert.pem -noout -text` and have the CA issue it anew.",
    )


def _check_version(leaf: x509.Certificate) -> None:
    if leaf.version is not x509.Version.v3:
        raise CertificateRefused(
            "not-version-3",
            "The certificate is one of X.509 version 1, which can say neither for whom it speaks "
            "nor what for. Ask an STI-CA for an STI certificate.",
        )


def _check_key(leaf: x509.Certificate) -> None:
    found = _key_description(leaf)
    if found != "P-256":
        raise CertificateRefused(
            "not-p256",
            f"The certificate's key is {found}, but SHAKEN signs with ES256, which needs an "
            "elliptic curve key on P-256. Make one with `openssl ecparam -name prime256v1 "
            "-genkey -noout -out key.pem` and have a certificate issued for it.",
        )


def _key_description(leaf: x509.Certificate) -> str:
    """Name the kind of the key as a person would."""
    try:
        key = public_key_of(leaf)
    except UNREADABLE:
        return f"of an unknown kind ({leaf.public_key_algorithm_oid.dotted_string})"
    match key:
        case ec.EllipticCurvePublicKey(curve=ec.SECP256R1()):
            return "P-256"
        case ec.EllipticCurvePublicKey():
            return f"on the curve {key.curve.name}"
        case rsa.RSAPublicKey():
            return f"RSA with {key.key_size} bits"
        case _:
            return type(key).__name__.removesuffix("PublicKey")


def _check_key_usage(extensions: x509.Extensions) -> None:
    try:
        usage = extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        told = "The certificate has no keyUsage, which must say digitalSignature"
    else:
        if usage.digital_signature:
            return
        told = "The certificate's keyUsage does not include digitalSignature"
    raise CertificateRefused(
        "key-usage", f"{told}, so verifiers refuse its signatures. Have the CA issue it anew."
    )


def _check_constraints(leaf: x509.Certificate) -> None:
    try:
        constraints_of(leaf)
    except ClaimConstraintsError as error:
        raise CertificateRefused(
            "bad-constraints",
            f"The certificate's claim constraints cannot be used: {error}. Have the CA issue it "
            "anew.",
        ) from None


def _check_signature(leaf: x509.Certificate) -> None:
    oid = leaf.signature_algorithm_oid
    if oid != SignatureAlgorithmOID.ECDSA_WITH_SHA256:
        raise CertificateRefused(
            "not-ecdsa-sha256",
            f"The certificate is signed with {oid.dotted_string}, but verifiers take STI "
            "certificates signed with ecdsa-with-SHA256 only. Have the CA issue it anew.",
        )


def _check_tn_auth_list(leaf: x509.Certificate) -> None:
    try:
        tn_auth_list = read_tn_auth_list(leaf)
    except TnAuthListError as error:
        raise CertificateRefused(
            "bad-tn-auth-list",
            f"The certificate's TNAuthList cannot be used: {error}. Have the CA issue it anew.",
        ) from None
    if tn_auth_list is None:
        raise CertificateRefused(
            "no-tn-auth-list",
            "The certificate has no TNAuthList (extension 1.3.6.1.5.5.7.1.26), so it says for no "
            "provider and no number; a TLS certificate cannot sign calls. Ask an STI-CA for an "
            "STI certificate.",
        )
