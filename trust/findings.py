"""What an administrator should know about a certificate that is taken all the same.

Each finding has a slug that stays and a sentence that says what it means. Findings of the
certificate itself are here; those that come with time, tenants or trusted roots are the caller's.
"""

from collections.abc import Container
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from trust.certificate import UNREADABLE, Certificate, issued, issuer_of, weak_signature
from trust.key_kinds import public_key_of
from trust.names import DnsNameError, dns_name

MIN_RSA_BITS = 2048
"""Shorter RSA keys can be broken, and no authority certifies them (CA/Browser Forum BR §6.1.5)."""

NOT_PRESENTABLE = "not-presentable"
"""The slug of a certificate that no listener of this service could present."""

MAX_SHOWN = 80
"""Characters of a name that a finding shows."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to know: `slug` for programs, `detail` for a person."""

    slug: str
    detail: str


@cache
def published_keys() -> frozenset[str]:
    """Read the list of keys whose private half is known to everybody, as SHA-256 of the SPKI."""
    text = files("trust").joinpath("public_keys.txt").read_text("ascii")
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return frozenset(line for line in lines if line)


def findings(certificate: Certificate, *, published: Container[str]) -> tuple[Finding, ...]:
    """Look a TLS certificate over; `published` holds the keys that `published_keys` lists."""
    found = [*_key_findings(certificate, published), *_name_findings(certificate)]
    if algorithm := weak_signature(certificate.leaf):
        detail = f"it is signed with {algorithm}, which clients refuse; have it issued anew"
        found.append(Finding("weak-hash", detail))
    if certificate.leaf.version is x509.Version.v1:
        detail = "it is an X.509 version 1 certificate, which many clients refuse"
        found.append(Finding("v1", detail))
    return tuple(found)


def not_presentable(reason: str) -> Finding:
    """Say that OpenSSL refuses chain or key, and why (`trust.tls.check_presentable`)."""
    detail = f"it cannot be presented ({reason}), so that clients get another one, if any"
    return Finding(NOT_PRESENTABLE, f"{detail}; have it issued anew, or import a better chain")


def root_findings(root: x509.Certificate, *, published: Container[str]) -> tuple[Finding, ...]:
    """Look over the certificate of an authority that is to be trusted.

    `published` is as in `findings`. What it has signed itself with is no matter: a root is trusted
    for what it is.
    """
    found = []
    if is_published(Certificate((root,)), published=published):
        detail = "its private key is printed in public: anybody can issue certificates with it"
        found.append(Finding("public-key", detail))
    try:
        key = public_key_of(root)
    except UNREADABLE:
        detail = "its key is of a kind that is not known here: no chain can lead to it"
        found.append(Finding("unknown-key", detail))
    else:
        if weakness := _weakness(key):
            found.append(Finding("weak-key", weakness))
    if not issued(root, root):
        issuer = issuer_of(root)[:MAX_SHOWN] or "somebody without a name"
        found.append(Finding("not-self-signed", f"it is issued by {issuer}, not by itself"))
    if not _may_issue(root):
        detail = "its keyUsage does not let it sign certificates: no chain can lead to it"
        found.append(Finding("no-cert-sign", detail))
    return tuple(found)


def _may_issue(root: x509.Certificate) -> bool:
    """Whether keyUsage, where there is one, has keyCertSign (RFC 5280 §4.2.1.3)."""
    try:
        usage = root.extensions.get_extension_for_class(x509.KeyUsage).value
    except (x509.ExtensionNotFound, *UNREADABLE):
        return True
    return usage.key_cert_sign


def is_published(certificate: Certificate, *, published: Container[str]) -> bool:
    """Say whether the private key of this certificate is known to everybody."""
    try:
        return certificate.spki_sha256 in published
    except UNREADABLE:
        return False


def _key_findings(certificate: Certificate, published: Container[str]) -> list[Finding]:
    found = []
    if is_published(certificate, published=published):
        detail = "its private key is printed in public: anybody can pose as this host; replace it"
        found.append(Finding("public-key", detail))
    if weakness := _weakness(public_key_of(certificate.leaf)):
        found.append(Finding("weak-key", weakness))
    return found


def _weakness(key: object) -> str | None:
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < MIN_RSA_BITS:
        return f"its RSA key has {key.key_size} bits; at least {MIN_RSA_BITS} are needed"
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.key_size < ec.SECP256R1.key_size:
        return f"its key is on the small curve {key.curve.name}; use P-256"
    return None


def _name_findings(certificate: Certificate) -> list[Finding]:
    try:
        names = certificate.leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, *UNREADABLE):
        found = [Finding("no-san", "it has no subjectAltName, which browsers and phones ask for")]
        if certificate.names:
            detail = "its name stands in the common name only; have it issued with a subjectAltName"
            found.append(Finding("cn-only", detail))
        return found
    bad = [name for name in names.value.get_values_for_type(x509.DNSName) if not _is_host(name)]
    if not bad:
        return []
    shown = ascii(bad[0])[1:-1][:MAX_SHOWN]
    more = f" and {len(bad) - 1} more" if len(bad) > 1 else ""
    detail = f"{shown}{more} in its subjectAltName: no host name; for it this is never presented"
    return [Finding("bad-name", detail)]


def _is_host(name: str) -> bool:
    try:
        dns_name(name.removeprefix("*."))
    except DnsNameError:
        return False
    return True
