"""How the corpus makes certificates: with cryptography where it can, else by hand or openssl."""

from __future__ import annotations

import base64
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
PASSPHRASE = "open sesame"
TN_AUTH_LIST = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.26")
SPC_1234 = bytes.fromhex("3008a006160431323334")
CRITICAL_NOBODY_KNOWS = x509.UnrecognizedExtension(
    x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00"
)


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@dataclass(frozen=True)
class Made:
    """A certificate, its key, and whoever issued it."""

    certificate: x509.Certificate
    key: Any
    issuer: Made | None = None

    @property
    def pem(self) -> str:
        return pem(self.certificate)

    @property
    def key_pem(self) -> str:
        return key_pem(self.key)

    @property
    def chain(self) -> str:
        """Itself and its intermediates."""
        above = self.issuer
        text = self.pem
        while above is not None and above.issuer is not None:
            text += above.pem
            above = above.issuer
        return text


def pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()


def key_pem(
    key: Any, form: PrivateFormat = PrivateFormat.PKCS8, *, passphrase: str | None = None
) -> str:
    protection = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    return str(key.private_bytes(Encoding.PEM, form, protection).decode())


def name(common_name: str | None) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Corpus")]
    if common_name is not None:
        attributes.append(x509.NameAttribute(NameOID.COMMON_NAME, common_name))
    return x509.Name(attributes)


def alternative(*names: str) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([_general(each) for each in names])


def _general(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(text))
    except ValueError:
        return x509.RFC822Name(text) if "@" in text else x509.DNSName(text)


def issue(
    issuer: Made | None,
    common_name: str | None,
    extensions: Sequence[tuple[x509.ExtensionType, bool]] = (),
    *,
    key: Any = None,
    start: datetime = NOW - 30 * DAY,
    end: datetime = NOW + 300 * DAY,
    serial: int | None = None,
) -> Made:
    """Issue a certificate; without an issuer it signs itself."""
    key = key or new_key()
    signer = key if issuer is None else issuer.key
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(common_name))
        .issuer_name(name(common_name) if issuer is None else issuer.certificate.subject)
        .public_key(key.public_key())
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    bare = isinstance(signer, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey)
    return Made(builder.sign(signer, None if bare else hashes.SHA256()), key, issuer)


def authority(issuer: Made | None, common_name: str, **more: Any) -> Made:
    ca = (x509.BasicConstraints(ca=True, path_length=None), True)
    more.setdefault("end", NOW + 3650 * DAY)
    return issue(issuer, common_name, [ca, (usage(certificates=True), True)], **more)


def usage(*, signature: bool = False, certificates: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=signature,
        content_commitment=False,
        key_encipherment=not signature and not certificates,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certificates,
        crl_sign=certificates,
        encipher_only=False,
        decipher_only=False,
    )


def server(issuer: Made | None, *names: str, **more: Any) -> Made:
    """Issue a certificate for TLS."""
    return issue(issuer, names[0], [(alternative(*names), False)], **more)


def sti(issuer: Made | None, **more: Any) -> Made:
    """Issue a certificate for calls; `listed` replaces its TNAuthList, None: there is none."""
    listed = more.pop("listed", SPC_1234)
    can_sign = more.pop("can_sign", True)
    extensions: list[tuple[x509.ExtensionType, bool]] = [(usage(signature=can_sign), True)]
    if listed is not None:
        extensions.append((x509.UnrecognizedExtension(TN_AUTH_LIST, listed), False))
    return issue(issuer, "SHAKEN 1234", extensions, **more)


def published_at(url: str) -> x509.AuthorityInformationAccess:
    place = x509.UniformResourceIdentifier(url)
    described = x509.AccessDescription(AuthorityInformationAccessOID.CA_ISSUERS, place)
    return x509.AuthorityInformationAccess([described])


# DER by hand


def tlv(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes([tag, 0x80 | len(octets)]) + octets + content


def members(der: bytes) -> list[bytes]:
    """Cut the content of one constructed value into its members."""
    found, content = [], _content(der)
    while content:
        size = len(content) - len(_rest(content))
        found.append(content[:size])
        content = content[size:]
    return found


def _header(der: bytes) -> tuple[int, int]:
    if der[1] < 0x80:
        return 2, der[1]
    octets = der[1] & 0x7F
    return 2 + octets, int.from_bytes(der[2 : 2 + octets])


def _content(der: bytes) -> bytes:
    head, size = _header(der)
    return der[head : head + size]


def _rest(der: bytes) -> bytes:
    head, size = _header(der)
    return der[head + size :]


def rebuilt(
    made: Made,
    *,
    serial: bytes | None = None,
    validity: bytes | None = None,
    subject: bytes | None = None,
    doubled: bool = False,
    version_1: bool = False,
) -> str:
    """Write a certificate anew with what no builder makes, signed by its issuer; return PEM."""
    version, old_serial, algorithm, issuer, old_validity, old_subject, spki, *rest = members(
        made.certificate.tbs_certificate_bytes
    )
    if doubled:
        (extensions,) = members(rest[-1])
        first, *others = members(extensions)
        rest = [tlv(0xA3, tlv(0x30, b"".join([first, first, *others])))]
    middle = [serial or old_serial, algorithm, issuer, validity or old_validity]
    middle += [subject or old_subject, spki]
    parts = middle if version_1 else [version, *middle, *rest]
    tbs = tlv(0x30, b"".join(parts))
    signer = made.key if made.issuer is None else made.issuer.key
    signature = signer.sign(tbs, ec.ECDSA(hashes.SHA256()))
    return armoured("CERTIFICATE", tlv(0x30, tbs + algorithm + tlv(0x03, b"\0" + signature)))


def validity(start: bytes, end: bytes, *, tag: int = 0x18) -> bytes:
    """Write a validity with times of one type, GeneralizedTime unless another tag is given."""
    return tlv(0x30, tlv(tag, start) + tlv(tag, end))


def armoured(label: str, der: bytes) -> str:
    """Write PEM with any label."""

    body = base64.encodebytes(der).decode().replace("\n", "")
    lines = [body[start : start + 64] for start in range(0, len(body), 64)]
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""])


def nested(depth: int) -> bytes:
    """Write SEQUENCEs within each other."""
    der = b"\x05\x00"
    for _ in range(depth):
        der = tlv(0x30, der)
    return der


def openssl(*arguments: str, stdin: str | bytes = "", files: dict[str, str] | None = None) -> bytes:
    """Run openssl in an empty folder with some files in it; return what it prints."""
    with tempfile.TemporaryDirectory() as folder:
        for file, text in (files or {}).items():
            (Path(folder) / file).write_text(text)
        given = stdin.encode() if isinstance(stdin, str) else stdin
        command = ["openssl", *arguments]
        return subprocess.run(
            command, cwd=folder, input=given, capture_output=True, check=True
        ).stdout
