"""A certificate chain as the rest of the service sees it.

`Certificate` reads a chain's names, validity and TNAuthList (RFC 5280, RFC 8226) and stays calm
whatever a CA put in. What a leaf may be used for is the business of `trust.profiles`, reading
pasted text that of `trust.pem`, trust in the issuer that of `trust.path`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from hashlib import sha256
from typing import Literal, TypeAlias

from cryptography import x509
from cryptography.exceptions import InternalError, InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.hazmat.primitives.serialization.pkcs7 import serialize_certificates
from cryptography.x509.oid import NameOID

from trust.key_kinds import public_key_of
from trust.tnauthlist import TN_AUTH_LIST_OID, TnAuthList

Field: TypeAlias = Literal[
    "kind", "certificate", "private_key", "pkcs12", "passphrase", "tenant", "x5u"
]
"""Which of the things an administrator handed in an error is about."""

UNREADABLE = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    InternalError,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
"""What cryptography raises when asked for a certificate, key or list, or a part, it cannot read.

InternalError is how it passes on an error of OpenSSL it did not expect, TypeError how it refuses
what is well encoded but of a type that cannot stand there.
"""


_END = "-----END CERTIFICATE-----"


class CertificateKind(StrEnum):
    """What a certificate is for."""

    SYSTEM = "system"
    """TLS of the service itself and of every name no domain certificate is for."""
    DOMAIN = "domain"
    """TLS of one tenant's domain, exact names only."""
    STI = "sti"
    """Signing of PASSporTs."""


class Source(StrEnum):
    """Where a certificate comes from."""

    UPLOADED = "uploaded"
    BUILT_IN = "built-in"
    """Made by the service itself, for want of another."""
    LAB = "lab"
    ACME = "acme"
    """Obtained, and renewed, by a standing order."""


class CertificateRefused(Exception):  # noqa: N818 - the name says what happened, as faces show it
    """A certificate or key that cannot be taken, and what to do about it.

    `slug` is stable and for programs, `detail` a sentence for a person that never holds key
    material, `field` what it is about.
    """

    def __init__(self, slug: str, detail: str, *, field: Field = "certificate") -> None:
        super().__init__(detail)
        self.slug = slug
        self.detail = detail
        self.field: Field = field


@dataclass(frozen=True)
class Certificate:
    """A certificate and the intermediates presented with it, leaf first, root usually left out.

    Raises ValueError for an empty chain. Every property answers for the leaf.
    """

    chain: tuple[x509.Certificate, ...]

    def __post_init__(self) -> None:
        """Refuse a chain without a leaf."""
        if not self.chain:
            raise ValueError("a certificate chain needs at least its leaf")

    @property
    def leaf(self) -> x509.Certificate:
        """The certificate the private key belongs to."""
        return self.chain[0]

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the leaf's DER, 64 lower-case hex digits."""
        return self.leaf.fingerprint(hashes.SHA256()).hex()

    @cached_property
    def spki_sha256(self) -> str:
        """SHA-256 of the leaf's SubjectPublicKeyInfo, 64 lower-case hex digits.

        Raises one of UNREADABLE for a key that this service cannot read, or does not use.
        """
        info = public_key_of(self.leaf).public_bytes(
            Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        )
        return sha256(info).hexdigest()

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The DNS names and IP addresses it is for, lower-case, in the order of the certificate.

        Without a subjectAltName (RFC 5280 §4.2.1.6), or with one that cannot be read, the
        common names of the subject.
        """
        try:
            extension = self.leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        except (x509.ExtensionNotFound, *UNREADABLE):
            return _common_names(self.leaf)
        return tuple(
            str(name.value).lower()
            for name in extension.value
            if isinstance(name, x509.DNSName | x509.IPAddress)
        )

    @property
    def subject(self) -> str:
        """The subject as an RFC 4514 string, empty when it is empty or cannot be read."""
        return subject_of(self.leaf)

    @property
    def issuer(self) -> str:
        """The issuer as an RFC 4514 string, empty when it is empty or cannot be read."""
        return issuer_of(self.leaf)

    @property
    def serial(self) -> str:
        """The serial number in lower-case hex, without leading zeros."""
        return f"{self.leaf.serial_number:x}"

    @property
    def not_before(self) -> datetime:
        """The first moment of its validity, aware, UTC."""
        return self.leaf.not_valid_before_utc

    @property
    def not_after(self) -> datetime:
        """The last moment of its validity, aware, UTC."""
        return self.leaf.not_valid_after_utc

    @cached_property
    def tn_auth_list(self) -> TnAuthList | None:
        """The TNAuthList (RFC 8226 §9); None when there is none or it cannot be read.

        `trust.profiles.check_sti` tells these two apart.
        """
        try:
            return read_tn_auth_list(self.leaf)
        except UNREADABLE:
            return None

    def pem(self) -> str:
        """Return the whole chain in PEM, leaf first (RFC 7468 §5)."""
        return "".join(one.public_bytes(Encoding.PEM).decode("ascii") for one in self.chain)

    def pkcs7(self) -> bytes:
        """Return the whole chain as a certificates-only PKCS#7 bundle in DER (RFC 5652 §5).

        The bundle is a set: whoever reads it finds the order himself.
        """
        return serialize_certificates(list(self.chain), Encoding.DER)

    @classmethod
    def of_pem(cls, text: str) -> Certificate:
        """Read what `pem` gave. Raises ValueError for anything else."""
        return cls(tuple(x509.load_pem_x509_certificates(text.encode("ascii"))))


def leaf_of(pem: str) -> x509.Certificate:
    """Return the first certificate of a chain in PEM. Raises ValueError where there is none."""
    return x509.load_pem_x509_certificate(pem.encode())


def above_leaf(pem: str) -> str:
    """Return what stands above the leaf of a chain in PEM, empty when nothing does."""
    return pem.partition(_END)[2].strip()


def length_of(pem: str) -> int:
    """Return how many certificates a chain in PEM has, without reading them."""
    return pem.count(_END)


def subject_of(certificate: x509.Certificate) -> str:
    """Return the subject as an RFC 4514 string, empty when it is empty or cannot be read."""
    try:
        return name_shown(certificate.subject)
    except UNREADABLE:
        return ""


def issuer_of(certificate: x509.Certificate) -> str:
    """Return the issuer as an RFC 4514 string, empty when it is empty or cannot be read."""
    try:
        return name_shown(certificate.issuer)
    except UNREADABLE:
        return ""


def name_shown(name: x509.Name) -> str:
    """Return a name as RFC 4514 has it; what does not print is written as octets (§2.4)."""
    return "".join(
        each if each.isprintable() else "".join(f"\\{octet:02X}" for octet in each.encode())
        for each in name.rfc4514_string()
    )


def weak_signature(certificate: x509.Certificate) -> str | None:
    """Name the algorithm `certificate` is signed with when it proves nothing any more.

    That is MD5, SHA-1, or one this service does not know (its OID is named); None for the rest.
    """
    try:
        algorithm = certificate.signature_hash_algorithm
    except UNREADABLE:
        return certificate.signature_algorithm_oid.dotted_string
    if isinstance(algorithm, hashes.MD5 | hashes.SHA1):
        return algorithm.name.upper()
    return None


def is_ca(certificate: x509.Certificate) -> bool:
    """Whether basicConstraints says cA (RFC 5280 §4.2.1.9)."""
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, *UNREADABLE):
        return False


def read_tn_auth_list(certificate: x509.Certificate) -> TnAuthList | None:
    """Read the TNAuthList (RFC 8226 §9), None when there is none.

    Raises TnAuthListError when it is malformed, one of UNREADABLE when the extensions are.
    """
    try:
        extension = certificate.extensions.get_extension_for_oid(TN_AUTH_LIST_OID)
    except x509.ExtensionNotFound:
        return None
    return TnAuthList.decode(extension.value.public_bytes())


def issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    """Whether `issuer` issued `certificate`, by name and signature; a root issued itself."""
    try:
        public_key_of(issuer)  # which the other one loads whatever its kind
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, *UNREADABLE):
        return _issued_weakly(issuer, certificate)
    return True


def _issued_weakly(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    """Say the same of signatures with MD5 and SHA-1, at which the library does not look.

    They prove nothing any more, yet say which of the certificates in the field belong together.
    """
    try:
        algorithm = certificate.signature_hash_algorithm
        weak = isinstance(algorithm, hashes.MD5 | hashes.SHA1)
        if not weak or algorithm is None or certificate.issuer != issuer.subject:
            return False
        signed = (certificate.signature, certificate.tbs_certificate_bytes)
        match public_key_of(issuer):
            case rsa.RSAPublicKey() as key:
                key.verify(*signed, padding.PKCS1v15(), algorithm)
            case ec.EllipticCurvePublicKey() as key:
                key.verify(*signed, ec.ECDSA(algorithm))
            case _:
                return False
    except (InvalidSignature, *UNREADABLE):
        return False
    return True


def _common_names(leaf: x509.Certificate) -> tuple[str, ...]:
    try:
        attributes = leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    except UNREADABLE:
        return ()
    return tuple(str(attribute.value).lower() for attribute in attributes)
