"""Of which kind a key is, told before the library loads it.

To load a key of Diffie-Hellman or DSA the library computes with its numbers, as long as whoever
made it chose them: a certificate of one kilobyte, or a key of six, holds up all else in the process
for minutes. So of strangers' keys only those are loaded whose kind is used here, which takes no
longer than to read them. Pure.
"""

from enum import Enum

from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives.asymmetric import types
from cryptography.x509.oid import PublicKeyAlgorithmOID

from trust.der import elements

_USED = frozenset(
    {
        PublicKeyAlgorithmOID.EC_PUBLIC_KEY,
        PublicKeyAlgorithmOID.RSAES_PKCS1_v1_5,
        PublicKeyAlgorithmOID.RSASSA_PSS,
        PublicKeyAlgorithmOID.ED25519,
        PublicKeyAlgorithmOID.ED448,
    }
)
"""Algorithms of keys of which loading costs nothing to speak of."""

_INTEGER, _OCTETS, _SEQUENCE = b"\x02", b"\x04", b"\x30"

_RSA_NUMBERS, _DSA_NUMBERS = 9, 6
"""Integers of an RSAPrivateKey (RFC 8017 A.1.2), and of OpenSSL's own form for DSA."""


class UnusedKeyError(ValueError):
    """A key is of a kind that is not used here."""


class PrivateKind(Enum):
    """What a DER value is, as far as private keys go."""

    USED = "used"
    """A private key that may be loaded."""
    UNUSED = "unused"
    """One of another kind."""
    ENCRYPTED = "encrypted"
    """One whose kind is told when it is decrypted."""


def public_key_of(certificate: x509.Certificate) -> types.CertificatePublicKeyTypes:
    """Return the key that a certificate is for.

    Raises UnusedKeyError for a kind that is not used here, and what else is in
    `trust.certificate.UNREADABLE`.
    """
    algorithm = certificate.public_key_algorithm_oid
    if algorithm not in _USED:
        raise UnusedKeyError(f"a key of the algorithm {algorithm.dotted_string} is not used here")
    return certificate.public_key()


def private_kind_of(der: bytes) -> PrivateKind | None:
    """Say of which kind the private key in a DER value is; None: it holds none.

    PKCS#8 and its encrypted form (RFC 5958), SEC1 (RFC 5915), PKCS#1 (RFC 8017), OpenSSL's DSA.
    """
    try:
        parts = elements(asn1.decode_der(asn1.TLV, der))
        tags = [each.tag_bytes for each in parts]
        if tags[:3] == [_INTEGER, _SEQUENCE, _OCTETS]:
            used = elements(parts[1])[0].parse(x509.ObjectIdentifier) in _USED
        elif tags == [_SEQUENCE, _OCTETS]:
            return PrivateKind.ENCRYPTED
        elif tags == [_INTEGER] * _DSA_NUMBERS:
            used = False
        elif tags[:2] == [_INTEGER, _OCTETS] or tags[:_RSA_NUMBERS] == [_INTEGER] * _RSA_NUMBERS:
            used = True
        else:
            return None
    except (ValueError, IndexError):
        return None
    return PrivateKind.USED if used else PrivateKind.UNUSED
