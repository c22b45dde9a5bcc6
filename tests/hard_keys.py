"""Keys that take hours to load: whoever computes with their numbers does not come to an end."""

import base64

from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
from cryptography.hazmat.primitives.serialization import Encoding

from trust import der, kdf
from trust.der import elements

PRIME = (1 << 110_503) - 1
"""A Mersenne prime: each round of a test says that it may be one, and there is a next round."""

LONG = PRIME // 5

DSA = x509.ObjectIdentifier("1.2.840.10040.4.1")
DH = x509.ObjectIdentifier("1.2.840.113549.1.3.1")
RSA = x509.ObjectIdentifier("1.2.840.113549.1.1.1")


@asn1.sequence
class Field:
    p: int
    g: int


@asn1.sequence
class DsaField:
    p: int
    q: int
    g: int


@asn1.sequence
class Algorithm:
    oid: x509.ObjectIdentifier
    parameters: asn1.TLV


@asn1.sequence
class Pkcs8:
    version: int
    algorithm: Algorithm
    key: bytes


@asn1.sequence
class Spki:
    algorithm: Algorithm
    key: asn1.BitString


@asn1.sequence
class RsaNumbers:
    version: int
    n: int
    e: int
    d: int
    p: int
    q: int
    dp: int
    dq: int
    qi: int


@asn1.sequence
class DsaNumbers:
    version: int
    p: int
    q: int
    g: int
    y: int
    x: int


def tlv(value: object) -> asn1.TLV:
    return asn1.decode_der(asn1.TLV, asn1.encode_der(value))


def algorithm(oid: x509.ObjectIdentifier, parameters: object) -> Algorithm:
    return Algorithm(oid=oid, parameters=tlv(parameters))


def pkcs8(oid: x509.ObjectIdentifier, parameters: object, key: object) -> bytes:
    inner = asn1.encode_der(key)
    whole = Pkcs8(version=0, algorithm=algorithm(oid, parameters), key=inner)
    return asn1.encode_der(whole)


def rsa_numbers(**changes: int) -> RsaNumbers:
    """The numbers of an RSA key, some of them others."""
    key = rsa.generate_private_key(65537, 2048).private_numbers()
    numbers = {
        "version": 0,
        "n": key.public_numbers.n,
        "e": 65537,
        "d": key.d,
        "p": key.p,
        "q": key.q,
        "dp": key.dmp1,
        "dq": key.dmq1,
        "qi": key.iqmp,
    }
    return RsaNumbers(**{**numbers, **changes})


def pem(der_: bytes, label: str = "PRIVATE KEY") -> str:
    text = base64.encodebytes(der_).decode()
    return f"-----BEGIN {label}-----\n{text}-----END {label}-----\n"


def sequence(*items: asn1.TLV) -> bytes:
    """A SEQUENCE of any items, out of what the codec puts around a list."""
    wrapped = asn1.encode_der(der._Items(value=list(items)))
    return bytes(asn1.decode_der(asn1.TLV, wrapped).data)


def with_key(certificate: x509.Certificate, key: bytes) -> x509.Certificate:
    """A certificate over another key; its signature no longer fits."""
    whole = elements(asn1.decode_der(asn1.TLV, certificate.public_bytes(Encoding.DER)))
    told = elements(whole[0])
    told[6] = asn1.decode_der(asn1.TLV, key)
    changed = asn1.decode_der(asn1.TLV, sequence(*told))
    return x509.load_der_x509_certificate(sequence(changed, *whole[1:]))


HARD_PUBLIC_KEY = asn1.encode_der(
    Spki(
        algorithm=algorithm(DH, Field(p=PRIME, g=2)),
        key=asn1.BitString(asn1.encode_der(PRIME // 3), 0),
    )
)
"""Of Diffie-Hellman: a SubjectPublicKeyInfo."""

HARD_KEYS = {
    "dsa": pkcs8(DSA, DsaField(p=PRIME, q=LONG, g=3), LONG),
    "dh": pkcs8(DH, Field(p=PRIME, g=2), LONG),
    "dsa by openssl": asn1.encode_der(DsaNumbers(version=0, p=PRIME, q=LONG, g=3, y=5, x=LONG)),
}
"""Private keys in DER."""

AES_128_CBC = x509.ObjectIdentifier("2.16.840.1.101.3.4.1.2")


def encrypted(key: bytes, secret: bytes) -> bytes:
    """Encrypt a PKCS#8 key by PBES2 (RFC 8018), at no cost to speak of."""
    salt, vector = b"salt", bytes(16)
    derivation = kdf._Pbkdf2Parameters(salt=salt, iterations=1, key_length=None, prf=None)
    scheme = kdf._Pbes2Parameters(
        derivation=kdf._AlgorithmIdentifier(oid=kdf._PBKDF2, parameters=tlv(derivation)),
        scheme=tlv(algorithm(AES_128_CBC, vector)),
    )
    padding = 16 - len(key) % 16
    encryptor = Cipher(
        algorithms.AES(PBKDF2HMAC(hashes.SHA1(), 16, salt, 1).derive(secret)),  # noqa: S303
        modes.CBC(vector),
    ).encryptor()
    data = encryptor.update(key + bytes([padding] * padding)) + encryptor.finalize()
    whole = kdf._AlgorithmIdentifier(oid=kdf._PBES2, parameters=tlv(scheme))
    return asn1.encode_der(kdf._EncryptedPrivateKeyInfo(algorithm=whole, data=data))
