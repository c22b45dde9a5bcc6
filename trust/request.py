"""Certificate requests (PKCS#10, RFC 2986): what a CA is asked to certify, over a key given in.

A request for a TLS certificate names hosts in its subjectAltName; one for an STI certificate holds
the TNAuthList (RFC 8226 §9) and the common name that ATIS-1000080 §6.4.1 asks for. Both stand in
the attribute extensionRequest (RFC 2985 §5.4.2). Where the key is kept is for `trust.store`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Literal, assert_never

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from trust.names import MAX_NAME, DnsNameError, host_name, is_ip
from trust.tnauthlist import TN_AUTH_LIST_OID, TnAuthList

MAX_NAME_ATTRIBUTE = 64
"""Characters of a common name or an organization (ub-common-name and others, RFC 5280 App. A.1)."""

RSA_EXPONENT = 65537

Part = Literal["names", "spc", "organization", "country"]
"""What of a request an error is about."""


class RequestError(ValueError):
    """A request cannot say what it is meant to; the message says why."""

    def __init__(self, part: Part, why: str) -> None:
        super().__init__(why)
        self.part: Part = part


class KeyType(StrEnum):
    """The keys that requests are made over. SHAKEN signs with P-256 only (ES256)."""

    P256 = "p-256"
    P384 = "p-384"
    RSA_2048 = "rsa-2048"
    RSA_3072 = "rsa-3072"
    RSA_4096 = "rsa-4096"


RequestKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True)
class Subject:
    """Who asks: parts of the subject that a CA checks or replaces. `country` is ISO 3166 alpha-2.

    Raises RequestError for what X.509 does not hold.
    """

    organization: str | None = None
    country: str | None = None

    def __post_init__(self) -> None:
        """Hold both to the bounds of RFC 5280."""
        if self.organization is not None and not (
            0 < len(self.organization) <= MAX_NAME_ATTRIBUTE and self.organization.isprintable()
        ):
            why = f"an organization has 1 to {MAX_NAME_ATTRIBUTE} printable characters"
            raise RequestError("organization", why)
        country = self.country
        if country is not None and not (
            len(country) == 2 and country.isascii() and country.isalpha() and country.isupper()
        ):
            raise RequestError("country", "a country is two capital letters, as in US")


@dataclass(frozen=True)
class CertificateRequest:
    """A signed request."""

    csr: x509.CertificateSigningRequest

    @property
    def der(self) -> bytes:
        """The request in DER."""
        return self.csr.public_bytes(Encoding.DER)

    @property
    def pem(self) -> str:
        """The request in PEM (RFC 7468 §7)."""
        return self.csr.public_bytes(Encoding.PEM).decode("ascii")

    @property
    def id(self) -> str:
        """SHA-256 of its SubjectPublicKeyInfo, 64 lower-case hex digits."""
        info = self.csr.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return sha256(info).hexdigest()

    @property
    def subject(self) -> str:
        """The subject as an RFC 4514 string."""
        return self.csr.subject.rfc4514_string()


def new_key(key_type: KeyType) -> RequestKey:
    """Make a private key. RSA takes up to a second or two, without holding up other threads."""
    match key_type:
        case KeyType.P256:
            return ec.generate_private_key(ec.SECP256R1())
        case KeyType.P384:
            return ec.generate_private_key(ec.SECP384R1())
        case KeyType.RSA_2048:
            return rsa.generate_private_key(RSA_EXPONENT, 2048)
        case KeyType.RSA_3072:
            return rsa.generate_private_key(RSA_EXPONENT, 3072)
        case KeyType.RSA_4096:
            return rsa.generate_private_key(RSA_EXPONENT, 4096)
    assert_never(key_type)


def host_names(texts: Iterable[str]) -> tuple[str, ...]:
    """Read the names of a TLS certificate: DNS names, spelled as `host_name` does, or wildcards.

    Duplicates are left out. Raises RequestError.
    """
    return tuple(dict.fromkeys(_host_name(text.strip()) for text in texts))


def _host_name(text: str) -> str:
    try:
        name = host_name(text)
    except DnsNameError as error:
        raise RequestError("names", str(error)) from error
    if len(name) > MAX_NAME:
        raise RequestError("names", f"a DNS name has 1 to {MAX_NAME} characters")
    if is_ip(name.removeprefix("*.")):
        raise RequestError("names", f"{name} is an IP address; requests are for DNS names")
    return name


def tls_request(key: RequestKey, names: Sequence[str], subject: Subject) -> CertificateRequest:
    """Ask for a TLS certificate for DNS names (A-labels, wildcards too), at least one of them.

    The first name is the common name too, where it is short enough for one.
    """
    common_name = names[0] if len(names[0]) <= MAX_NAME_ATTRIBUTE else None
    alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
    return _sign(key, _name(common_name, subject), alternatives)


def sti_request(
    key: ec.EllipticCurvePrivateKey, authorised: TnAuthList, subject: Subject
) -> CertificateRequest:
    """Ask for an STI certificate over a P-256 key.

    The common name is `SHAKEN` and the provider codes, where there are any. Raises RequestError
    when they are too long for one.
    """
    common_name = " ".join(["SHAKEN", *authorised.spcs])
    if len(common_name) > MAX_NAME_ATTRIBUTE:
        longest = MAX_NAME_ATTRIBUTE - len("SHAKEN ")
        why = f"a provider code has at most {longest} characters, to fit into the common name"
        raise RequestError("spc", why)
    extension = x509.UnrecognizedExtension(TN_AUTH_LIST_OID, authorised.encode())
    return _sign(key, _name(common_name, subject), extension)


def _sign(key: RequestKey, name: x509.Name, extension: x509.ExtensionType) -> CertificateRequest:
    builder = x509.CertificateSigningRequestBuilder().subject_name(name)
    # CAs refuse extensions they did not ask for; keyUsage and the like are theirs to set.
    return CertificateRequest(
        builder.add_extension(extension, critical=False).sign(key, hashes.SHA256())
    )


def _name(common_name: str | None, subject: Subject) -> x509.Name:
    attributes = {
        NameOID.COUNTRY_NAME: subject.country,
        NameOID.ORGANIZATION_NAME: subject.organization,
        NameOID.COMMON_NAME: common_name,
    }
    return x509.Name(
        [x509.NameAttribute(oid, text) for oid, text in attributes.items() if text is not None]
    )
