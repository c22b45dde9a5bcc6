"""Forms (multipart/form-data, RFC 7578): their parts -> the same members that JSON would have.

How a body is cut into parts is the HTTP adapter's business.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from shaken.api.problems import MAX_REPEATED, Problem, invalid
from shaken.api.routes import Form
from trust.pem import PEM_BEGINS

FORM_TYPE = "multipart/form-data"

MAX_PARTS = 16
"""Parts of one form: twice the members of the largest type that comes as one."""

_AS_IT_IS = frozenset({"binary", "8bit", "7bit"})


@dataclass(frozen=True)
class Part:
    """One part as it came: its name, None without one; its transfer coding; its bytes."""

    name: str | None
    coding: str
    content: bytes


def document_of(parts: Sequence[Part], form: Form) -> dict[str, object]:
    """Return the members that the same form sent as JSON would have.

    Text is UTF-8, but for what is around PEM blocks. An empty part is left out: browsers send
    every field. Raises Problem.
    """
    document: dict[str, object] = {}
    seen = set()
    for part in parts:
        if not part.name or not part.name.isascii() or not part.name.isprintable():
            raise not_a_form(
                'each part needs its name: Content-Disposition: form-data; name="kind"'
            )
        if part.name in seen:
            raise invalid(part.name[:MAX_REPEATED], "this is in the form more than once")
        seen.add(part.name)
        if part.coding.lower() not in _AS_IT_IS:
            raise not_a_form("send parts as they are, without Content-Transfer-Encoding")
        if part.content:
            is_binary = part.name in form.binary
            document[part.name] = _base64(part) if is_binary else _text(part, part.name)
    return document


def not_a_form(detail: str) -> Problem:
    """Make the problem of a form that cannot be read."""
    return Problem(400, "not-a-form", f"the body is no form that is read here: {detail}")


def _base64(part: Part) -> str:
    return base64.b64encode(part.content).decode("ascii")


def _text(part: Part, name: str) -> str:
    # RFC 7468 §2: what stands around PEM blocks is of no concern, nor is its coding.
    errors = "replace" if PEM_BEGINS in part.content else "strict"
    try:
        # Editors of Windows begin a file with a byte order mark.
        return part.content.decode("utf-8-sig", errors)
    except UnicodeDecodeError:
        detail = (
            "this is a binary file, no text in UTF-8. A certificate in DER is converted with "
            "`openssl x509 -inform der -in cert.der -out cert.pem`, a key with `openssl pkey "
            "-inform der -in key.der -out key.pem`; a PKCS#12 file is sent as pkcs12"
        )
        raise Problem(400, "not-text", detail, name[:MAX_REPEATED]) from None
