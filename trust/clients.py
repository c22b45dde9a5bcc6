"""Client certificates of TLS: which may be registered, and where OpenSSL looks for them.

Whoever shows a client certificate is known by its key (the SHA-256 of the SubjectPublicKeyInfo).
Python's ssl gives up a handshake whose client certificate leads to nothing it trusts. So what is
registered becomes a trust anchor, in a folder in which OpenSSL looks up subjects when it has need
of one: ten thousand clients cost a context no more than one.
"""

import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from OpenSSL import crypto

from trust.certificate import UNREADABLE, Certificate, CertificateRefused, weak_signature
from trust.chain import assemble
from trust.findings import MIN_RSA_BITS, is_published, published_keys
from trust.key_kinds import public_key_of
from trust.pem import read_pem
from trust.profiles import check_tls

MAX_CERTIFICATES = 8
"""Of one client: its own, and authorities above it."""

MAKE_ONE = (
    "`openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj"
    " /CN=NAME -addext extendedKeyUsage=clientAuth -keyout client.key -out client.pem` makes one"
)


@dataclass(frozen=True)
class ClientCertificate:
    """A client's certificate, and the authorities above it that were handed in with it."""

    certificate: Certificate
    authorities: tuple[x509.Certificate, ...]

    @property
    def spki(self) -> str:
        """The SHA-256 of the client's key, 64 lower-case hex digits."""
        return self.certificate.spki_sha256

    @property
    def pem(self) -> str:
        """All of it in PEM, the client's own first."""
        return Certificate((self.certificate.leaf, *self.authorities)).pem()


def read_client_certificate(text: str, *, now: datetime) -> ClientCertificate:
    """Read what a client is registered with. `now` is aware UTC.

    Raises CertificateRefused: what `trust.pem`, `trust.chain` and `check_tls` refuse, and
    `private-key`, `too-many-certificates`, `expired`, `weak-key`, `weak-hash`, `public-key`,
    `bad-extensions`, `key-usage`.
    """
    contents = read_pem(text)
    if contents.private_keys:
        raise CertificateRefused(
            "private-key",
            "There is a private key in the text; it stays with the client. Send the certificate"
            " only.",
        )
    if len(contents.certificates) > MAX_CERTIFICATES:
        raise CertificateRefused(
            "too-many-certificates",
            f"Send the client's certificate and at most {MAX_CERTIFICATES - 1} authorities.",
        )
    certificate = assemble(contents, now=now).certificate
    check_tls(certificate)
    _check_strength(certificate)
    _check_purpose(certificate.leaf)
    if certificate.not_after < now:
        raise CertificateRefused(
            "expired",
            f"The certificate expired on {certificate.not_after:%Y-%m-%d %H:%M} UTC; {MAKE_ONE}.",
        )
    others = dict.fromkeys(one for one in contents.certificates if one != certificate.leaf)
    return ClientCertificate(certificate, tuple(others))


def _check_strength(certificate: Certificate) -> None:
    if is_published(certificate, published=published_keys()):
        raise CertificateRefused(
            "public-key", f"The key of the certificate is known to everybody; {MAKE_ONE}."
        )
    key = public_key_of(certificate.leaf)
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < MIN_RSA_BITS:
        raise CertificateRefused(
            "weak-key", f"An RSA key needs {MIN_RSA_BITS} bits or more; {MAKE_ONE}."
        )
    if algorithm := weak_signature(certificate.leaf):
        raise CertificateRefused(
            "weak-hash", f"The certificate is signed with {algorithm}; {MAKE_ONE}."
        )


def _check_purpose(leaf: x509.Certificate) -> None:
    """Refuse what OpenSSL would refuse of a client, now instead of within its handshakes."""
    try:
        extensions = [extension.value for extension in leaf.extensions]
    except UNREADABLE:
        raise CertificateRefused(
            "bad-extensions", f"An extension of the certificate cannot be read; {MAKE_ONE}."
        ) from None
    for extension in extensions:
        if isinstance(extension, x509.ExtendedKeyUsage) and (
            ExtendedKeyUsageOID.CLIENT_AUTH not in extension
        ):
            raise CertificateRefused(
                "key-usage",
                "The certificate's extendedKeyUsage does not include clientAuth: it is for servers"
                f" only, as those of public authorities are. {MAKE_ONE}.",
            )
        if isinstance(extension, x509.KeyUsage) and not extension.digital_signature:
            raise CertificateRefused(
                "key-usage",
                f"The certificate's keyUsage does not include digitalSignature; {MAKE_ONE}.",
            )


class ClientRoots:
    """A folder of trust anchors, named as OpenSSL's `capath` has it: `SUBJECTHASH.NUMBER`.

    Processes may share one. Files only come: OpenSSL stops at the first number that is missing,
    and an anchor that nobody needs any more admits nobody by itself.
    """

    def __init__(self, folder: Path) -> None:
        """Take the folder; it is made if missing. Raises OSError."""
        folder.mkdir(mode=0o700, exist_ok=True)
        self.folder = folder
        self._seen: dict[str, list[bytes]] = {}

    def hold(self, text: str) -> None:
        """Put the certificates of a PEM text there, if they are not. Raises OSError."""
        for certificate in x509.load_pem_x509_certificates(text.encode("ascii")):
            self._hold_one(certificate)

    def _hold_one(self, certificate: x509.Certificate) -> None:
        pem = certificate.public_bytes(Encoding.PEM)
        stem = f"{int(crypto.X509.from_cryptography(certificate).subject_name_hash()):08x}"
        seen = self._seen.setdefault(stem, [])
        while pem not in seen:
            place = self.folder / f"{stem}.{len(seen)}"
            if not place.exists():
                _place(place, pem)
            # Another process may have been first, with another certificate.
            seen.append(place.read_bytes())


def _place(place: Path, content: bytes) -> None:
    """Write a file that is there whole or not at all, and never over another."""
    draft = place.with_name(f".{place.name}.{os.getpid()}")
    draft.write_bytes(content)
    try:
        with suppress(FileExistsError):
            os.link(draft, place)
    finally:
        draft.unlink()
