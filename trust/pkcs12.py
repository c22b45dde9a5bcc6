"""PKCS#12 files (RFC 7292) -> certificates and key, as `trust.pem` gives them for pasted text."""

from base64 import b64encode

from cryptography import x509

from trust.certificate import CertificateRefused
from trust.kdf import UnknownCostError, check_cost, pkcs12_cost
from trust.opening import BROKEN, Failure, NotOpenedError, Sealed, open_apart
from trust.pem import MAX_BLOCKS, MAX_LENGTH, MAX_RSA_BITS, PemContents, PrivateKey, read_pem

_CONVERSION = "`openssl pkcs12 -legacy -in file.p12 -nodes -out file.pem` and import file.pem."


def read_pkcs12(data: bytes, *, passphrase: str | None) -> PemContents:
    """Read the certificates and the key of a PKCS#12 file.

    Raises CertificateRefused: `too-large`, `costly-key`, `wrong-passphrase`, `bad-pkcs12`,
    `unsupported-key`, `too-many-blocks`.
    """
    if len(data) > MAX_LENGTH:
        detail = f"The file has more than {MAX_LENGTH // 1024} KiB."
        raise CertificateRefused("too-large", detail, field="pkcs12")
    try:
        cost = pkcs12_cost(data)
    except UnknownCostError:
        raise _unreadable() from None
    check_cost(cost, called="The file", remedy=f"Decrypt it with {_CONVERSION}")
    try:
        opened = open_apart(Sealed("pkcs12", data, _secret(passphrase)))
    except NotOpenedError as error:
        match error.failure:
            case Failure.SECRET:
                raise _not_opened(passphrase) from None
            case Failure.UNUSED:
                raise _unsupported_key() from None
            case Failure.BROKEN:
                detail = f"The file {BROKEN}"
                raise CertificateRefused("not-opened", detail, field="pkcs12") from None
            case Failure.COSTLY:
                detail = f"The file takes too long to open. Decrypt it with {_CONVERSION}"
                raise CertificateRefused("costly-key", detail, field="private_key") from None
        raise _unreadable() from None
    if len(opened.certificates) > MAX_BLOCKS:
        detail = (
            f"The file holds more than {MAX_BLOCKS} certificates. Export only the certificate, its"
            " intermediates and the key."
        )
        raise CertificateRefused("too-many-blocks", detail, field="pkcs12")
    keys = (_key(der) for der in opened.keys)
    certificates = tuple(map(x509.load_der_x509_certificate, opened.certificates))
    return PemContents(certificates, tuple(keys))


def _key(der: bytes) -> PrivateKey:
    """Load a key as `trust.pem` does. Raises CertificateRefused."""
    body = b64encode(der).decode()
    block = f"-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n"
    try:
        (key,) = read_pem(block, field="pkcs12").private_keys
    except CertificateRefused as error:
        raise (_unsupported_key() if error.slug == "unsupported-key" else _bad_key()) from None
    return key


def _secret(passphrase: str | None) -> bytes:
    """Encode the passphrase; none is an empty one.

    The parser behind aborts, past every `except ValueError`, over what is no UTF-8 or holds NUL.
    """
    try:
        secret = (passphrase or "").encode()
    except UnicodeEncodeError:
        raise _not_opened(passphrase) from None
    if b"\0" in secret:
        raise _not_opened(passphrase)
    return secret


def _not_opened(passphrase: str | None) -> CertificateRefused:
    how = "with this passphrase" if passphrase else "without a passphrase"
    return CertificateRefused(
        "wrong-passphrase",
        f"The file does not open {how}. `openssl pkcs12 -in file.p12 -info -noout` tells"
        " whether it is the right one.",
        field="passphrase",
    )


def _unsupported_key() -> CertificateRefused:
    return CertificateRefused(
        "unsupported-key",
        "The file holds a key of a kind not used here: use P-256, RSA or Ed25519.",
        field="private_key",
    )


def _bad_key() -> CertificateRefused:
    return CertificateRefused(
        "bad-pkcs12",
        f"The file holds a key whose numbers do not fit, or RSA with more than {MAX_RSA_BITS} bits."
        f" Convert it with {_CONVERSION}",
        field="pkcs12",
    )


def _unreadable() -> CertificateRefused:
    return CertificateRefused(
        "bad-pkcs12",
        f"This is no PKCS#12 file in DER that can be read. Convert it with {_CONVERSION}",
        field="pkcs12",
    )
