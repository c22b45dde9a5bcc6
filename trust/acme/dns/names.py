"""Names and texts of records: what is plain enough to be handed to providers and programs.

Names come from an order or, by an alias, out of the DNS, where they may hold any byte (RFC 2181
§11). Only those that look like host names, with underscores (RFC 8552), go on.
"""

import re

from trust.names import MAX_NAME

_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_VALUE = re.compile(r"[A-Za-z0-9_-]{1,255}")
_MAX_SHOWN = 64


class RecordNameError(ValueError):
    """A text is no name of a record; the message says why."""


class RecordValueError(ValueError):
    """A text is no value of a challenge; the message says why."""


def record_name(text: str) -> str:
    """Return the one spelling of a record's name: lower case, no trailing dot.

    Raises RecordNameError for what is no name of letters, digits, hyphens and underscores.
    """
    name = text.lower().removesuffix(".")
    plain = text.isascii() and all(_LABEL.fullmatch(label) for label in name.split("."))
    if not plain or len(name) > MAX_NAME:
        raise RecordNameError(
            f"not a name of letters, digits, hyphens and underscores: {text[:_MAX_SHOWN]!a}"
        )
    return name


def challenge_value(text: str) -> str:
    """Return a text that a challenge may have: base64url (RFC 8555 §8.4), one string of a TXT.

    Raises RecordValueError.
    """
    if not _VALUE.fullmatch(text):
        raise RecordValueError(f"not a challenge in base64url: {text[:_MAX_SHOWN]!a}")
    return text
