"""What it would cost to open an encrypted key or a PKCS#12 file, read before it is opened.

Whoever encrypts a key chooses how often its passphrase is hashed, up to billions of times, and
nothing else in the process runs until that is done. `key_cost` reads the choice from an
EncryptedPrivateKeyInfo (RFC 5958 §3; PBES1, PBES2 and PBKDF2 of RFC 8018, scrypt of RFC 7914),
`pkcs12_cost` from a PKCS#12 file (RFC 7292; PBMAC1 of RFC 9579), and `check_cost` refuses what is
above the bounds. Keys with `Proc-Type: 4,ENCRYPTED` hash their passphrase once: nothing to read.

Both readers raise UnknownCostError for what they cannot read, and what they cannot read is not to
be opened: the decrypting library may be more patient with damage and with BER than they are, and
would then do work of unknown size. A key inside an encrypted part of a PKCS#12 file is out of
their reach and not counted. The tools people export with put keys outside, each under an
encryption of its own; a file made to harm can hide one there, and what it costs then is bounded by
the process that opens it (`trust.opening`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

from cryptography import x509
from cryptography.hazmat import asn1

from trust.certificate import CertificateRefused
from trust.der import elements, in_octets

MAX_STEPS = 1_000_000
"""Steps of all that is opened of one upload together, some 0.1 to 1 second of a core.

OpenSSL, LibreSSL and Windows write some 2,000 per encryption, Java 10,000 to 100,000, the most
careful tools 600,000.
"""

MAX_MEMORY = 64 * 1024 * 1024
"""Bytes scrypt may fill for one key. OpenSSL writes keys that fill 16 MiB."""

MAX_NESTING = 4
"""SafeContents inside SafeContents. The tools people export with nest none."""

_SCRYPT = x509.ObjectIdentifier("1.3.6.1.4.1.11591.4.11")
_PBKDF2 = x509.ObjectIdentifier("1.2.840.113549.1.5.12")
_PBES2 = x509.ObjectIdentifier("1.2.840.113549.1.5.13")
_PBMAC1 = x509.ObjectIdentifier("1.2.840.113549.1.5.14")
_PBES1 = {
    *(x509.ObjectIdentifier(f"1.2.840.113549.1.5.{number}") for number in (1, 3, 4, 6, 10, 11)),
    *(x509.ObjectIdentifier(f"1.2.840.113549.1.12.1.{number}") for number in range(1, 7)),
}
"""The schemes of RFC 8018 A.3 and RFC 7292 C: a salt, a count, and a cipher each."""

_DATA = x509.ObjectIdentifier("1.2.840.113549.1.7.1")
_ENCRYPTED_DATA = x509.ObjectIdentifier("1.2.840.113549.1.7.6")
_SHROUDED_KEY_BAG = x509.ObjectIdentifier("1.2.840.113549.1.12.10.1.2")
_SAFE_CONTENTS_BAG = x509.ObjectIdentifier("1.2.840.113549.1.12.10.1.6")


class UnknownCostError(ValueError):
    """What was to be counted is damaged, or written in a way not known here."""


@dataclass(frozen=True)
class Cost:
    """The work of opening something.

    A step is one iteration of PBKDF2 or PBES1, or the mixing of one block of scrypt, N * r * p
    in all: these take about as long. `memory` is what scrypt fills, 128 * N * r bytes.
    """

    steps: int = 0
    memory: int = 0

    def __add__(self, other: Cost) -> Cost:
        """Return the cost of one after the other: memory is given back in between."""
        return Cost(self.steps + other.steps, max(self.memory, other.memory))


def check_cost(cost: Cost, *, called: str, remedy: str) -> None:
    """Raise CertificateRefused `costly-key` for a cost above `MAX_STEPS` or `MAX_MEMORY`.

    `called` says what was to be opened and `remedy` what to do instead, for a person.
    """
    if cost.steps > MAX_STEPS:
        excess = f"{MAX_STEPS:,} iterations"
    elif cost.memory > MAX_MEMORY:
        excess = f"{MAX_MEMORY // 1024**2} MiB of memory"
    else:
        return
    raise CertificateRefused(
        "costly-key",
        f"{called} brings the work of decrypting to more than {excess}. {remedy}",
        field="private_key",
    )


def key_cost(der: bytes) -> Cost:
    """Return what opening an EncryptedPrivateKeyInfo costs. Raises UnknownCostError."""
    try:
        return _encryption_cost(asn1.decode_der(_EncryptedPrivateKeyInfo, der).algorithm)
    except ValueError as error:
        raise UnknownCostError("no encrypted key of a known scheme") from error


def pkcs12_cost(der: bytes) -> Cost:
    """Return what opening a PKCS#12 file costs: its MAC, its encrypted parts and its keys.

    Raises UnknownCostError, also for a file in BER.
    """
    try:
        return _file_cost(asn1.decode_der(_Pfx, der))
    except ValueError as error:
        raise UnknownCostError("no PKCS#12 file in DER, encrypted by known schemes") from error


@asn1.sequence
class _AlgorithmIdentifier:
    """Of the algorithms here that derive a key: RFC 8018 and RFC 7914 give all parameters."""

    oid: x509.ObjectIdentifier
    parameters: asn1.TLV


@asn1.sequence
class _EncryptedPrivateKeyInfo:
    algorithm: _AlgorithmIdentifier
    data: bytes


@asn1.sequence
class _Pbes1Parameters:
    salt: bytes
    iterations: int


@asn1.sequence
class _Pbes2Parameters:
    """And `PBMAC1-params`, which name a MAC where these name a cipher."""

    derivation: _AlgorithmIdentifier
    scheme: asn1.TLV


@asn1.sequence
class _Prf:
    oid: x509.ObjectIdentifier
    parameters: asn1.Null | None


@asn1.sequence
class _Pbkdf2Parameters:
    salt: bytes
    iterations: int
    key_length: int | None
    prf: _Prf | None


@asn1.sequence
class _ScryptParameters:
    salt: bytes
    cost: int
    block_size: int
    parallelization: int
    key_length: int | None


@asn1.sequence
class _ContentInfo:
    oid: x509.ObjectIdentifier
    content: Annotated[asn1.TLV, asn1.Explicit(0)]


@asn1.sequence
class _EncryptedContentInfo:
    oid: x509.ObjectIdentifier
    algorithm: _AlgorithmIdentifier
    data: Annotated[bytes | None, asn1.Implicit(0)]


@asn1.sequence
class _EncryptedData:
    version: int
    contents: _EncryptedContentInfo


@asn1.sequence
class _DigestInfo:
    algorithm: asn1.TLV
    digest: bytes


@asn1.sequence
class _MacData:
    mac: _DigestInfo
    salt: bytes
    iterations: int | None


@asn1.sequence
class _Pfx:
    version: int
    safe: _ContentInfo
    mac: _MacData | None


def _encryption_cost(algorithm: _AlgorithmIdentifier) -> Cost:
    if algorithm.oid == _PBES2:
        return _derivation_cost(algorithm.parameters.parse(_Pbes2Parameters).derivation)
    if algorithm.oid in _PBES1:
        return _iterated(algorithm.parameters.parse(_Pbes1Parameters).iterations)
    raise ValueError("unknown encryption scheme")


def _derivation_cost(function: _AlgorithmIdentifier) -> Cost:
    if function.oid == _PBKDF2:
        return _iterated(function.parameters.parse(_Pbkdf2Parameters).iterations)
    if function.oid == _SCRYPT:
        scrypt = function.parameters.parse(_ScryptParameters)
        filled = abs(scrypt.cost * scrypt.block_size)
        return Cost(steps=filled * abs(scrypt.parallelization), memory=128 * filled)
    raise ValueError("unknown key derivation function")


def _iterated(iterations: int) -> Cost:
    # OpenSSL keeps the lower half of a long: some negative counts become large ones there.
    return Cost(steps=abs(iterations))


def _file_cost(pfx: _Pfx) -> Cost:
    if pfx.safe.oid != _DATA:
        raise ValueError("an authenticated safe of another type")
    contents = elements(in_octets(pfx.safe.content))
    cost = _total(_content_cost(each.parse(_ContentInfo)) for each in contents)
    return cost if pfx.mac is None else cost + _mac_cost(pfx.mac)


def _mac_cost(mac: _MacData) -> Cost:
    oid, *parameters = elements(mac.mac.algorithm)
    if oid.parse(x509.ObjectIdentifier) == _PBMAC1 and parameters:
        return _derivation_cost(parameters[0].parse(_Pbes2Parameters).derivation)
    return _iterated(1 if mac.iterations is None else mac.iterations)


def _content_cost(info: _ContentInfo) -> Cost:
    """Add up an element of the AuthenticatedSafe; others than these two are never opened."""
    if info.oid == _ENCRYPTED_DATA:
        return _encryption_cost(info.content.parse(_EncryptedData).contents.algorithm)
    if info.oid == _DATA:
        return _bags_cost(in_octets(info.content), MAX_NESTING)
    return Cost()


def _bags_cost(contents: asn1.TLV, nesting: int) -> Cost:
    if not nesting:
        raise ValueError("SafeContents nested too deeply")
    return _total(_bag_cost(bag, nesting) for bag in elements(contents))


def _bag_cost(bag: asn1.TLV, nesting: int) -> Cost:
    # The attributes behind the value are left unread: not everyone sorts them as DER has it.
    oid, value, *_attributes = elements(bag)
    match oid.parse(x509.ObjectIdentifier):
        case kind if kind == _SHROUDED_KEY_BAG:
            return key_cost(bytes(value.data))
        case kind if kind == _SAFE_CONTENTS_BAG:
            return _bags_cost(asn1.decode_der(asn1.TLV, bytes(value.data)), nesting - 1)
    return Cost()


def _total(costs: Iterable[Cost]) -> Cost:
    return sum(costs, start=Cost())
