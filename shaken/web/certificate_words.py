"""Certificates in words for people: what to call one, what its kinds are, what a warning asks for.

Pure: pages show what is said here.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from trust.certificate import UNREADABLE, CertificateKind, Source
from trust.key_kinds import public_key_of
from trust.store.certificates import StoredCertificate

SHOWN_ID = 16
"""Characters of an id that stand for it where it has no other name."""

KINDS: Mapping[CertificateKind, tuple[str, str]] = {
    CertificateKind.STI: (
        "STI",
        "Signs calls. It says for which provider code or numbers its holder speaks.",
    ),
    CertificateKind.DOMAIN: (
        "Domain",
        "Presented by TLS for the address of one tenant, exactly as the certificate names it.",
    ),
    CertificateKind.SYSTEM: (
        "System",
        "Presented by TLS for every other name, and to clients that name none.",
    ),
}
"""What a kind is called, and what it is for."""

SOURCES: Mapping[Source, str] = {
    Source.UPLOADED: "Imported by an administrator",
    Source.ACME: "Obtained by ACME; it renews itself",
    Source.BUILT_IN: "Made by this service itself, until there is another",
    Source.LAB: "Made by the lab authority of the demo; no carrier trusts it",
}


@dataclass(frozen=True)
class Told:
    """A warning as a person reads it: `tone` is `warn`, or `bad` where it cannot wait."""

    title: str
    detail: str
    advice: str
    tone: str


_TOLD: Mapping[str, tuple[str, str]] = {
    "expires-soon": (
        "It expires soon",
        "Have a new one issued, and import it: of two side by side the newest valid one is used.",
    ),
    "expired": ("It has expired", "Import a new one, then delete this."),
    "chain-incomplete": (
        "Its chain is incomplete",
        "Import it again with the intermediates, and tick that it may take over a better chain.",
    ),
    "untrusted": (
        "Its authority is not trusted here",
        "If you trust the authority, add its root to the trusted roots. Others have their own.",
    ),
    "public-key": (
        "Everybody knows its private key",
        "Make a new key now, have a certificate issued for it, and delete this one.",
    ),
    "not-presentable": (
        "It cannot be presented",
        "Have it issued anew; each key and signature in its chain must be strong.",
    ),
    "weak-key": ("Its key is weak", "Make a larger key, and have a certificate issued for it."),
    "weak-hash": (
        "Its signature is weak",
        "Have it issued anew; every authority signs with SHA-256 today.",
    ),
    "v1": ("It is of an old format", "Have it issued anew as version 3."),
    "no-san": ("It names no host", "Have it issued anew with its names in subjectAltName."),
    "cn-only": (
        "It names its host in an old way",
        "Have it issued anew with its names in subjectAltName.",
    ),
    "bad-name": ("It has a name that is none", "Have it issued anew with names of hosts only."),
    "name-of-no-tenant": (
        "It names hosts that are nobody's",
        "Add the name to the tenant as an alias, or have it issued without it.",
    ),
}
"""What a warning is called, and what to do about it, by its slug."""

_SERIOUS = frozenset({"expired", "not-presentable", "public-key"})
"""Warnings that cannot wait."""

_FOR_PROGRAMS = " and ?replace=true"
"""What details say to users of the API; a page has a box to tick instead."""

ACTIONS: Mapping[str, str] = {
    "certificate.import": "Imported",
    "certificate.delete": "Deleted",
    "request.use": "Fulfilled a request",
}
"""What the audit calls what was done with a certificate, in words."""

_COMMON_NAME = re.compile(r"(?:^|,|\+)CN=((?:[^,+\\]|\\.)+)")


def told(slug: str, detail: str) -> Told:
    """Say a warning, known by its slug, to a person."""
    title, advice = _TOLD.get(slug, ("Look at this", ""))
    words = detail.replace(_FOR_PROGRAMS, "")
    tone = "bad" if slug in _SERIOUS else "warn"
    return Told(title, f"{words[:1].upper()}{words[1:]}.", advice, tone)


def common_name(subject: str) -> str:
    """Return the common name of an RFC 4514 name; without one all of it."""
    found = _COMMON_NAME.search(subject)
    return re.sub(r"\\(.)", r"\1", found[1]) if found else subject


def title_of(row: StoredCertificate) -> str:
    """Say what a person calls a certificate: its first host name, or its subject's name."""
    if row.names:
        return row.names[0]
    return common_name(row.subject) or f"{row.id[:SHOWN_ID]}…"


def key_words(certificate: x509.Certificate) -> str:
    """Say of what kind the key of a certificate is."""
    try:
        key = public_key_of(certificate)
    except UNREADABLE:
        return "of a kind that is not known here"
    if isinstance(key, ec.EllipticCurvePublicKey):
        name = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}
        return f"Elliptic curve {name.get(key.curve.name, key.curve.name)}"
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA, {key.key_size} bits"
    return type(key).__name__.removesuffix("PublicKey").lstrip("_")


def signature_words(certificate: x509.Certificate) -> str:
    """Say how the authority signed a certificate."""
    try:
        algorithm = certificate.signature_hash_algorithm
    except UNREADABLE:
        algorithm = None
    name = certificate.signature_algorithm_oid.dotted_string
    return name if algorithm is None else algorithm.name.upper().replace("SHA", "SHA-")


def grouped(fingerprint: str) -> str:
    """Write a fingerprint as other programs show it: pairs with colons, in capitals."""
    return ":".join(fingerprint[at : at + 2] for at in range(0, len(fingerprint), 2)).upper()
