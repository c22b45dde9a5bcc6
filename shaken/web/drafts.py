"""What a person handed in to be imported, between one form and the next.

Certificates go back into the form, to be read and mended. Keys, PKCS#12 files and passphrases never
do: what is secret is sealed under the master key, for this session only, and the browser carries
the sealed box from form to form. So any worker goes on, and the store holds nothing unfinished.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from shaken.importing import Upload
from shaken.web import sealed_boxes
from shaken.web.forms import Submitted
from shaken.web.sessions import IDLE_SECONDS, Session
from trust.certificate import CertificateKind, CertificateRefused
from trust.keys import MasterKeys
from trust.pem import MAX_LENGTH, PEM_BEGINS

MAX_FIELD = 2048
"""Characters of a field that is one line: the longest URL that is taken."""

_PURPOSE = "draft"
"""What the box of a draft is for."""

PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z0-9 .]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 .]*PRIVATE KEY-----|\Z)",
    re.DOTALL,
)
"""A private key in a text, also one whose end is missing."""


class Secrets(msgspec.Struct, frozen=True):
    """What of a draft is never shown. `at` is when it was handed in, in Unix seconds."""

    at: int = 0
    keys: str = ""
    pkcs12: bytes = b""
    passphrase: str = ""

    def __repr__(self) -> str:
        """Say nothing of what is in it."""
        return f"Secrets(at={self.at})"


@dataclass(frozen=True)
class Draft:
    """What is to be imported, as far as it was written."""

    kind: str = CertificateKind.STI.value
    material: str = ""
    tenant: str = ""
    x5u: str = ""
    replace: bool = False
    secrets: Secrets = field(default_factory=Secrets, repr=False)

    @property
    def held(self) -> Sequence[str]:
        """What is held back of it, in words."""
        secrets = self.secrets
        named = (
            ("the private key", secrets.keys),
            ("the PKCS#12 file", secrets.pkcs12),
            ("the passphrase", secrets.passphrase),
        )
        return [words for words, value in named if value]

    def upload(self) -> Upload:
        """Return what the importer takes. Raises CertificateRefused."""
        if not self.material and not self.secrets.pkcs12:
            raise CertificateRefused(
                "nothing",
                "Paste the certificate, or choose its file.",
            )
        return Upload(
            kind=CertificateKind(self.kind),
            certificate=self.material,
            private_key=self.secrets.keys or None,
            pkcs12=self.secrets.pkcs12 or None,
            passphrase=self.secrets.passphrase or None,
            tenant=self.tenant or None,
            x5u=self.x5u or None,
            replace=self.replace,
        )


def read_draft(form: Submitted, kept: Secrets, *, now: int) -> Draft:
    """Read a form with what was kept of the one before; what is handed in anew counts.

    Raises CertificateRefused for a file that cannot be read.
    """
    kinds = {kind.value for kind in CertificateKind}
    kind = form.text("kind")
    texts = [form.text("material").replace("\r\n", "\n")]
    boxes: list[bytes] = []
    for content in form.contents("files"):
        text = _text_of(content)
        if text is None:
            boxes.append(content)
        else:
            texts.append(text)
    material = "\n".join(text.strip() for text in texts if text.strip())
    keys = "\n".join(PRIVATE_KEY.findall(material))
    secrets = Secrets(
        at=now,
        keys=keys or kept.keys,
        pkcs12=boxes[-1] if boxes else kept.pkcs12,
        passphrase=form.secret("passphrase") or kept.passphrase,
    )
    return Draft(
        kind=kind if kind in kinds else CertificateKind.STI.value,
        material=PRIVATE_KEY.sub("", material).strip(),
        tenant=form.text("tenant")[:MAX_FIELD],
        x5u=form.text("x5u")[:MAX_FIELD],
        replace=form.text("replace") == "yes",
        secrets=secrets,
    )


def seal(secrets: Secrets, session: Session, master: MasterKeys) -> str:
    """Close secrets in a box that this session's next form brings back; empty: there are none.

    Raises MasterKeyError.
    """
    if secrets == Secrets(at=secrets.at):
        return ""
    return sealed_boxes.seal(msgspec.json.encode(secrets), _PURPOSE, session, master)


def unseal(text: str, session: Session, master: MasterKeys, *, now: int) -> Secrets:
    """Open the box of a form. One that does not open, or is old, holds nothing."""
    content = sealed_boxes.unseal(text, _PURPOSE, session, master)
    secrets = Secrets() if content is None else msgspec.json.decode(content, type=Secrets)
    return secrets if 0 <= now - secrets.at < IDLE_SECONDS else Secrets()


def _text_of(content: bytes) -> str | None:
    """Return a file as PEM text, also a certificate in DER; None: it may be PKCS#12.

    Raises CertificateRefused.
    """
    if len(content) > MAX_LENGTH:
        raise CertificateRefused(
            "too-large", f"A file has more than {MAX_LENGTH // 1024} KiB: it is no certificate."
        )
    if PEM_BEGINS in content:
        # Editors of Windows begin a file with a byte order mark.
        return content.decode("utf-8-sig", "replace")
    try:
        certificate = x509.load_der_x509_certificate(content)
    except ValueError:
        return None
    return certificate.public_bytes(Encoding.PEM).decode("ascii")
