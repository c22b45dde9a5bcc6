"""When an authority suggests to renew a certificate (ACME Renewal Information, RFC 9773)."""

import base64
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from acme import messages
from cryptography import x509

from trust.acme.problems import clean


@dataclass(frozen=True)
class RenewalInformation:
    """The suggested window; `explanation` is a page for people, `retry_after` when to ask again."""

    start: datetime
    end: datetime
    explanation: str | None
    retry_after: datetime | None


def read_information(
    answer: dict[str, Any], *, retry_after: datetime | None
) -> RenewalInformation | None:
    """Read an answer (RFC 9773 §4.2); None: its window ends before it begins.

    Raises josepy.Error for what is no renewal information.
    """
    window = messages.RenewalInfo.from_json(answer).suggested_window
    start, end = window.start, window.end
    if start is None or end is None or end <= start:
        return None
    page = answer.get("explanationURL")
    explanation = clean(page) if isinstance(page, str) else None
    return RenewalInformation(start, end, explanation, retry_after)


def certificate_id(certificate: x509.Certificate) -> str | None:
    """Name a certificate as RFC 9773 §4.1 does; None: it has no authority key identifier."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)
    except (x509.ExtensionNotFound, ValueError):
        return None
    identifier = extension.value.key_identifier
    if identifier is None:
        return None
    serial = certificate.serial_number
    number = serial.to_bytes(serial.bit_length() // 8 + 1, signed=True)  # as DER has it
    return f"{_base64url(identifier)}.{_base64url(number)}"


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode("ascii").rstrip("=")
