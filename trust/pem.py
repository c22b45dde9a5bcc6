"""Text a person pasted -> the certificates and keys in it, or an error that says what to fix.

`read_pem` finds the certificates and keys in text (RFC 7468, and RFC 1421 headers of older
encrypted keys) and forgives what pasting does to it: other text around the blocks, indentation,
CRLF, line breaks lost or written as backslash-n. `trust.chain` makes a chain of them, leaf first.

Every complaint is a CertificateRefused; none holds any of the text between the markers.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa, types
from cryptography.hazmat.primitives.serialization import load_der_private_key

from trust.certificate import (
    UNREADABLE,
    CertificateRefused,
    Field,
)
from trust.kdf import Cost, UnknownCostError, check_cost, key_cost
from trust.key_kinds import PrivateKind, private_kind_of
from trust.opening import BROKEN, Failure, NotOpenedError, Sealed, open_apart

PrivateKey: TypeAlias = (
    ec.EllipticCurvePrivateKey
    | rsa.RSAPrivateKey
    | ed25519.Ed25519PrivateKey
    | ed448.Ed448PrivateKey
)
"""The kinds of keys certificates are issued for and TLS or PASSporTs are signed with."""

MAX_LENGTH = 256 * 1024
"""Characters of one text, bytes of one file. A long chain with its key has some 20 KiB."""

MAX_BLOCKS = 32
"""PEM blocks of one text, certificates of one file or import.

Ordering a chain tries every certificate's signature on every other. With the largest keys
that fit into the text that takes about a second.
"""

PEM_BEGINS = b"-----BEGIN"
"""What each block begins with. A file that has it is text, whatever the coding of what is around
its blocks: bytes that are no UTF-8 are replaced for `read_pem`, and spoil what is in a block."""

_MARKER = re.compile(r"-----(BEGIN|END) ([A-Z0-9][A-Z0-9 .]{0,39})-----")
_DEK_INFO = re.compile(r"AES-(128|192|256)-CBC,[0-9A-Fa-f]{32}|DES-EDE3-CBC,[0-9A-Fa-f]{16}")
_HEADER = re.compile(r"^[ \t]*([A-Za-z][A-Za-z0-9-]*):(.*)$", re.MULTILINE)

_CERTIFICATE_LABELS = {"CERTIFICATE", "X509 CERTIFICATE", "X.509 CERTIFICATE"}
_KEY_LABELS = {
    "PRIVATE KEY": "pkey",
    "ENCRYPTED PRIVATE KEY": "pkey",
    "EC PRIVATE KEY": "ec",
    "RSA PRIVATE KEY": "rsa",
    "DSA PRIVATE KEY": "dsa",
}
"""The labels of private keys, each with the openssl command that decrypts it."""

_PKCS8_LABEL = "ENCRYPTED PRIVATE KEY"
"""A key encrypted by RFC 5958; the others are so by header lines, at a small fixed cost."""

_LEFT_OUT_LABELS = {"DH PARAMETERS", "PUBLIC KEY", "RSA PUBLIC KEY", "X509 CRL"}

USED_KEYS = "Use an elliptic curve key (P-256 for signing calls), RSA or Ed25519."

MAX_RSA_BITS = 8192
"""Of a key that is imported: one of this size signs in some 40 ms."""

_CONVERSIONS = {
    "TRUSTED CERTIFICATE": "is in OpenSSL's own format, with trust settings in it. Convert it with "
    "`openssl x509 -in cert.pem -out plain.pem` and paste plain.pem.",
    "CERTIFICATE REQUEST": "is a request for a certificate, not a certificate. Send it to the CA "
    "and paste what the CA returns.",
    "PKCS7": "is a PKCS#7 bundle. Convert it with "
    "`openssl pkcs7 -in chain.p7b -print_certs -out chain.pem` and paste chain.pem.",
    "OPENSSH PRIVATE KEY": "is in OpenSSH's format. Convert it with "
    "`ssh-keygen -p -m PKCS8 -f key` and paste the file.",
}


@dataclass(frozen=True)
class PemContents:
    """The certificates and private keys of a text, in its order; `notes` say what was left out."""

    certificates: tuple[x509.Certificate, ...]
    private_keys: tuple[PrivateKey, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Block:
    number: int
    label: str
    body: str

    @property
    def field(self) -> Field:
        return "private_key" if self.label.endswith("PRIVATE KEY") else "certificate"

    def refused(
        self, slug: str, complaint: str, *, field: Field | None = None
    ) -> CertificateRefused:
        """Name the block in front of what is wrong with it."""
        detail = f"Block {self.number} ({self.label}) {complaint}"
        return CertificateRefused(slug, detail, field=field or self.field)


def split_blocks(text: str) -> tuple[str, ...]:
    """Cut a text into pieces that `read_pem` reads one by one, each with one block, sound or not.

    What stands before the first block is left out; a text without any is one piece.
    """
    begins = [marker.start() for marker in _MARKER.finditer(text) if marker[1] == "BEGIN"]
    if not begins:
        return (text,)
    return tuple(text[begin:end] for begin, end in pairwise([*begins, len(text)]))


def read_pem(
    text: str, *, passphrase: str | None = None, field: Field = "certificate", first: int = 1
) -> PemContents:
    """Read every certificate and private key in `text`.

    `passphrase` opens encrypted keys and is not used otherwise; an empty one is none. `field`
    says where the text was pasted, for complaints about the text as a whole. `first` is what
    complaints call the first block, where the text is a piece of another.

    Raises CertificateRefused: `too-large`, `too-many-blocks`, `not-pem`, `bad-pem`,
    `unsupported-pem`, `unsupported-key`, `encrypted-key`, `costly-key`, `wrong-passphrase`.
    """
    if len(text) > MAX_LENGTH:
        raise CertificateRefused(
            "too-large",
            f"The text has more than {MAX_LENGTH // 1024} KiB. Paste only the certificate, "
            "its intermediates and the key.",
            field=field,
        )
    certificates: list[x509.Certificate] = []
    private_keys: list[PrivateKey] = []
    notes: list[str] = []
    spent = Cost()
    for block in _blocks(text, field, first):
        if block.label in _CERTIFICATE_LABELS:
            certificates.append(_certificate(block))
        elif block.label in _KEY_LABELS:
            if passphrase:
                spent = _spend(block, spent)
            private_keys.append(_private_key(block, passphrase or None))
        elif block.label in _LEFT_OUT_LABELS:
            notes.append(f"Block {block.number} ({block.label}) was left out: it is not needed.")
        elif block.label != "EC PARAMETERS":  # beside every key of `openssl ecparam -genkey`
            complaint = _CONVERSIONS.get(
                block.label.removeprefix("NEW "),
                "is neither a certificate nor a private key. Remove it.",
            )
            raise block.refused("unsupported-pem", complaint)
    return PemContents(tuple(certificates), tuple(private_keys), tuple(notes))


def _blocks(text: str, field: Field, first: int) -> Iterator[_Block]:
    """Cut `text` at its markers, RFC 7468 §2 and §3."""
    markers = list(_MARKER.finditer(text))
    if not markers:
        raise CertificateRefused(
            "not-pem",
            "The text holds no PEM block. Paste all of it, from the line -----BEGIN …----- to the "
            "line -----END …-----. A binary file is converted with `openssl x509 -inform DER -in "
            "cert.der -out cert.pem`, or `openssl pkcs12 -in file.p12 -nodes -out all.pem`.",
            field=field,
        )
    if sum(marker[1] == "BEGIN" for marker in markers) > MAX_BLOCKS:
        raise CertificateRefused(
            "too-many-blocks",
            f"The text holds more than {MAX_BLOCKS} blocks. Paste only the certificate, its "
            "intermediates and the key.",
            field=field,
        )
    pairs = iter(markers)
    for number, begin in enumerate(pairs, start=first):
        block = _Block(number, begin[2], "")
        if begin[1] == "END":
            raise block.refused("bad-pem", "has no line -----BEGIN …----- before its END.")
        end = next(pairs, None)
        if end is None or end.groups() != ("END", begin[2]):
            raise block.refused(
                "bad-pem", f"is cut off: no line -----END {begin[2]}----- follows its BEGIN."
            )
        body = text[begin.end() : end.start()]
        # Keys that went through JSON or an environment variable have escapes for line breaks.
        yield _Block(number, begin[2], body.replace("\\r", "").replace("\\n", "\n"))


def _payload(block: _Block) -> bytes:
    """Decode the base64 of a block."""
    try:
        payload = base64.b64decode("".join(_HEADER.sub("", block.body).split()), validate=True)
    except ValueError:
        raise block.refused(
            "bad-pem",
            "is damaged: what stands between BEGIN and END is not base64. Copy it again.",
        ) from None
    if not payload:
        raise block.refused("bad-pem", "is empty. Copy it again.")
    return payload


def _der(block: _Block) -> bytes:
    """Decode the base64 of a block that holds one DER value, all of it."""
    payload = _payload(block)
    try:
        asn1.decode_der(asn1.TLV, payload)
    except ValueError:
        raise block.refused(
            "bad-pem",
            "is damaged: some of its lines are missing or doubled. Copy it again.",
        ) from None
    return payload


def _certificate(block: _Block) -> x509.Certificate:
    der = _der(block)
    try:
        return x509.load_der_x509_certificate(der)
    except UNREADABLE:
        raise block.refused(
            "bad-pem",
            "holds no X.509 certificate that can be read. Check it with "
            "`openssl x509 -in cert.pem -noout -text`.",
        ) from None


def _private_key(block: _Block, passphrase: str | None) -> PrivateKey:
    headers = {header[1]: header[2].strip() for header in _HEADER.finditer(block.body)}
    if block.label == _PKCS8_LABEL or "ENCRYPTED" in headers.get("Proc-Type", ""):
        key = _encrypted_key(block, headers, passphrase)
    else:
        key = _load(block, _der(block))
    if not isinstance(key, PrivateKey):
        raise block.refused("unsupported-key", f"holds a key of a kind not used here. {USED_KEYS}")
    return key


def _load(block: _Block, der: bytes) -> types.PrivateKeyTypes | None:
    """Load a key that is not encrypted, or no longer; None: its kind is not used here."""
    kind = private_kind_of(der)
    if kind is PrivateKind.UNUSED:
        return None
    if kind is not PrivateKind.USED:
        raise _unreadable_key(block)
    try:
        # Whether RSA's numbers are prime takes as long as whoever made them wants; whether they
        # belong together is seen by a signature.
        key = load_der_private_key(der, None, unsafe_skip_rsa_key_validation=True)
    except UNREADABLE:
        raise _unreadable_key(block) from None
    if isinstance(key, rsa.RSAPrivateKey) and not _signs(key):
        raise _unreadable_key(block)
    return key


def _signs(key: rsa.RSAPrivateKey) -> bool:
    """Say whether what the key signs fits its public half.

    All its numbers are smaller than its modulus; larger ones would make a signature take long.
    """
    numbers = key.private_numbers()
    most = max(numbers.d, numbers.p, numbers.q, numbers.dmp1, numbers.dmq1, numbers.iqmp)
    if key.key_size > MAX_RSA_BITS or most >= numbers.public_numbers.n:
        return False
    try:
        signature = key.sign(b"", padding.PKCS1v15(), hashes.SHA256())
        key.public_key().verify(signature, b"", padding.PKCS1v15(), hashes.SHA256())
    except (InvalidSignature, *UNREADABLE):
        return False
    return True


def _unreadable_key(block: _Block) -> CertificateRefused:
    return block.refused(
        "bad-pem",
        f"holds no private key that can be read, or RSA with more than {MAX_RSA_BITS} bits. Check "
        "it with `openssl pkey -in key.pem -noout -check`.",
    )


def _spend(block: _Block, spent: Cost) -> Cost:
    """Add to `spent` what decrypting the key of `block` costs, and refuse what is too much.

    The keys of a text are counted together: a text may hold many.
    """
    if block.label != _PKCS8_LABEL:
        return spent
    try:
        spent += key_cost(_der(block))
    except UnknownCostError:
        raise _not_opened(block) from None
    check_cost(
        spent,
        called=f"Block {block.number} ({block.label})",
        remedy="Encrypt the key at a lower cost with `openssl pkcs8 -topk8 -iter 100000 -in "
        f"key.pem -out cheaper.pem`, or decrypt it with {_decrypting(block)}, and paste that.",
    )
    return spent


def _encrypted_key(
    block: _Block, headers: dict[str, str], passphrase: str | None
) -> types.PrivateKeyTypes | None:
    if passphrase is None:
        raise block.refused(
            "encrypted-key",
            f"is encrypted. Give its passphrase, or decrypt it with {_decrypting(block)} and "
            "paste decrypted.pem.",
            field="passphrase",
        )
    secret = passphrase.encode("utf-8", "surrogatepass")
    # A key of this label with header lines too would be decrypted twice, once uncounted.
    try:
        if block.label == _PKCS8_LABEL:
            sealed = Sealed("der", _der(block), secret)
        else:
            sealed = Sealed("pem", _encapsulated(block, headers), secret)
    except ValueError:
        raise _not_opened(block) from None
    try:
        (der,) = open_apart(sealed).keys
    except NotOpenedError as error:
        if error.failure is Failure.BROKEN:
            raise block.refused("not-opened", BROKEN) from None
        if error.failure is Failure.COSTLY:
            raise block.refused(
                "costly-key",
                f"takes too long to open. Decrypt it with {_decrypting(block)} and paste"
                " decrypted.pem.",
            ) from None
        raise _not_opened(block) from None
    return _load(block, der)


def _not_opened(block: _Block) -> CertificateRefused:
    return block.refused(
        "wrong-passphrase",
        "does not open with this passphrase. If it is the right one, decrypt the key with "
        f"{_decrypting(block)} and paste decrypted.pem.",
        field="passphrase",
    )


def _decrypting(block: _Block) -> str:
    return f"`openssl {_KEY_LABELS[block.label]} -in key.pem -out decrypted.pem`"


def _encapsulated(block: _Block, headers: dict[str, str]) -> bytes:
    """Write the block as RFC 1421 has it: these keys are decrypted by their header lines.

    Raises ValueError for a DEK-Info of another cipher, or damaged.
    """
    dek_info = headers.get("DEK-Info", "")
    # The parser behind aborts, past every `except ValueError`, over a vector too short.
    if not _DEK_INFO.fullmatch(dek_info):
        raise ValueError("unknown DEK-Info")
    body = base64.encodebytes(_payload(block)).decode("ascii")
    head = f"-----BEGIN {block.label}-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: {dek_info}\n\n"
    return f"{head}{body}-----END {block.label}-----\n".encode("ascii")
