"""PKCS#12 files (RFC 7292) -> certificates and key, as `trust.pem` gives them for pasted text."""

from cryptography.hazmat.primitives.serialization import pkcs12

from trust.certificate import UNREADABLE, CertificateRefused
from trust.kdf import UnknownCostError, check_cost, pkcs12_cost
from trust.pem import MAX_BLOCKS, MAX_LENGTH, PemContents, PrivateKey

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
        bundle = pkcs12.load_pkcs12(data, _secret(passphrase))
    except ValueError as error:
        if "password" in str(error).lower():
            raise _not_opened(passphrase) from None
        raise _unreadable() from None
    except TypeError:  # a key that takes part in no signature, such as X25519
        raise _unsupported_key() from None
    except UNREADABLE:
        raise _unreadable() from None
    held = (bundle.cert, *bundle.additional_certs)
    certificates = tuple(one.certificate for one in held if one is not None)
    if len(certificates) > MAX_BLOCKS:
        detail = (
            f"The file holds more than {MAX_BLOCKS} certificates. Export only the certificate, its"
            " intermediates and the key."
        )
        raise CertificateRefused("too-many-blocks", detail, field="pkcs12")
    if bundle.key is not None and not isinstance(bundle.key, PrivateKey):
        raise _unsupported_key()
    return PemContents(certificates, () if bundle.key is None else (bundle.key,))


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


def _unreadable() -> CertificateRefused:
    return CertificateRefused(
        "bad-pkcs12",
        f"This is no PKCS#12 file in DER that can be read. Convert it with {_CONVERSION}",
        field="pkcs12",
    )
