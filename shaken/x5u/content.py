"""The bytes of a fetched file -> certificates, or a revocation list. Pure.

RFC 8226 and ATIS-1000074 have PEM, the leaf first; RFC 8224 §7.1 also knows one certificate in
DER. A private key beside them is what is looked for first: it must go no further.
"""

import re
from collections.abc import Sequence
from typing import TypeAlias

from cryptography import x509

from shaken.x5u.exchange import FetchError, Reason
from trust.certificate import UNREADABLE, CertificateRefused, is_ca
from trust.crl import CrlError, CrlIndex
from trust.key_kinds import private_kind_of
from trust.pem import PEM_BEGINS, read_pem

MAX_CERTIFICATE_BYTES = 64 * 1024
"""Of a file of certificates; a chain of four has some 5 KiB."""

MAX_CRL_BYTES = 4 * 1024 * 1024
"""Of a revocation list; one entry takes some 40 bytes, so that 100,000 fit."""

MAX_CERTIFICATES = 16
"""In one file: who builds a path tries each as the issuer of each."""

Chain: TypeAlias = tuple[x509.Certificate, ...]

_KEY = re.compile(rb"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY")
_SEQUENCE = b"\x30"
"""What every DER certificate, key and list begins with (X.690 §8.9); no text does so: "0"."""


def read_certificates(body: bytes) -> Chain:
    """Return the certificates of a file, the leaf first, each once, the rest in the file's order.

    Raises FetchError: `private-key`, `not-certificates`.
    """
    if holds_private_key(body):
        raise FetchError(Reason.PRIVATE_KEY, "the file has a private key in it")
    certificates = _read_der(body) if body.startswith(_SEQUENCE) else _read_text(body)
    if not certificates:
        raise FetchError(Reason.NOT_CERTIFICATES, "the file has no certificate in it")
    if len(certificates) > MAX_CERTIFICATES:
        raise FetchError(
            Reason.NOT_CERTIFICATES,
            f"the file has more than {MAX_CERTIFICATES} certificates in it",
        )
    leaf = next((each for each in certificates if not is_ca(each)), certificates[0])
    return tuple(dict.fromkeys((leaf, *certificates)))


def holds_private_key(body: bytes) -> bool:
    """Say whether there is a private key in a file, encrypted or not, in PEM or DER."""
    # Without its zeros, UTF-16 is text, too.
    if _KEY.search(body.replace(b"\0", b"")):
        return True
    return private_kind_of(body) is not None


def read_crl(body: bytes) -> CrlIndex:
    """Return the revocation list of a file, in DER (RFC 5280 §4.2.1.13) or PEM.

    A long one takes a while. Raises FetchError: `not-a-crl`.
    """
    try:
        return CrlIndex.read(body)
    except CrlError as error:
        detail = f"the file is no list of use: {error.detail}"
        raise FetchError(Reason.NOT_A_CRL, detail) from None


def _read_der(body: bytes) -> Sequence[x509.Certificate]:
    try:
        return (x509.load_der_x509_certificate(body),)
    except UNREADABLE:
        raise FetchError(
            Reason.NOT_CERTIFICATES, "the file is neither PEM nor one certificate in DER"
        ) from None


def _read_text(body: bytes) -> Sequence[x509.Certificate]:
    # RFC 7468 §2: what stands around the blocks is of no concern, nor is its coding.
    errors = "replace" if PEM_BEGINS in body else "strict"
    try:
        return read_pem(body.decode("utf-8", errors)).certificates
    except UnicodeDecodeError:
        raise FetchError(
            Reason.NOT_CERTIFICATES, "the file is neither PEM nor one certificate in DER"
        ) from None
    except CertificateRefused as error:
        # The first sentence says what is wrong, the others what who pasted it should do.
        wrong = error.detail.partition(". ")[0].removesuffix(".")
        raise FetchError(
            Reason.NOT_CERTIFICATES, f"the file cannot be used: {wrong[0].lower()}{wrong[1:]}"
        ) from None
