"""Rich call data: the caller's name, logo, card and reason, and their digests (RFC 9795).

They stand in a PASSporT of type `rcd`, or in a `shaken` one beside its own claims. Nothing that a
URL leads to is fetched: its digest is reported as not checked.
"""

import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256, sha384, sha512
from typing import Any

from shaken.passport import serialize

MAX_DIGESTS = 64
"""Digests of one PASSporT that are looked at; a card with a photo and two logos has four."""

CLAIMS = ("rcd", "rcdi", "crn")
"""The claims that are spoken of here."""

_TEXTS = ("nam", "apn", "icn", "jcl")
_ALGORITHMS = {"sha256": sha256, "sha384": sha384, "sha512": sha512}

# As in Subresource Integrity; senders leave the padding out or not.
_DIGEST = re.compile(r"(?P<algorithm>sha256|sha384|sha512)-(?P<digest>[A-Za-z0-9+/]+)={0,2}")

# Where a URL leads to content of its own, the digest is that content's (RFC 9795); names and
# numbers are texts whatever they look like.
_ELSEWHERE = re.compile(r"(?:https?|data|cid):", re.IGNORECASE)
_PLAIN = ("nam", "apn")

# RFC 6901 §3 and §4: steps with ~0 for ~ and ~1 for /; an index is written without a leading zero.
_POINTER = re.compile(r"(?:/(?:[^~/]|~[01])*)+")
_INDEX = re.compile(r"0|[1-9][0-9]{0,5}")

_SHOWN_LENGTH = 64


class DigestStatus(StrEnum):
    """What became of one digest."""

    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    UNCHECKED = "unchecked"
    """It is of something that a URL leads to."""


_UNCHECKED = (DigestStatus.UNCHECKED, "is of what a URL leads to")


@dataclass(frozen=True, slots=True)
class RichCallData:
    """The data of a PASSporT. `data` is its `rcd`, `reason` its `crn`.

    `digests` are by JSON pointer (RFC 6901) into `rcd`. `fault` says in words why the data is not
    to be shown to anybody, None: it may be.
    """

    data: Mapping[str, Any]
    reason: str | None
    digests: Mapping[str, DigestStatus]
    fault: str | None

    def __str__(self) -> str:
        """Return it in words that are safe to print."""
        if self.fault is not None:
            return f"the rich call data does not hold: {self.fault}"
        parts = [f"the caller is named {_shown(self.data['nam'])}"] if self.data else []
        if self.reason is not None:
            parts.append(f"the reason of the call is {_shown(self.reason)}")
        statuses = list(self.digests.values())
        for status, words in (
            (DigestStatus.PASS, "digests fit"),
            (DigestStatus.UNCHECKED, "digests of what a URL leads to were not checked"),
        ):
            if count := statuses.count(status):
                parts.append(f"{count} {words}")
        return ", ".join(parts)


def examine_rich_call_data(claims: Mapping[str, Any]) -> RichCallData | None:
    """Examine the rich call data in a PASSporT's claims; None: there is none."""
    data, reason = claims.get("rcd"), claims.get("crn")
    if data is None and reason is None:
        return None
    known = data if isinstance(data, dict) else {}
    digests, fault = _digests(known, claims.get("rcdi"))
    faults = (
        None if reason is None or isinstance(reason, str) else "crn is no text",
        None if data is None else _fault_of_data(data),
        fault,
    )
    return RichCallData(
        data=known,
        reason=reason if isinstance(reason, str) else None,
        digests=digests,
        fault=next((each for each in faults if each is not None), None),
    )


def _fault_of_data(data: object) -> str | None:
    """Say what is wrong with the members of `rcd` (RFC 9795)."""
    if not isinstance(data, dict):
        return "rcd is no JSON object"
    if "nam" not in data:
        return "rcd has no nam"
    for name in _TEXTS:
        if name in data and not isinstance(data[name], str):
            return f"{name} is no text"
    if "jcd" in data and not isinstance(data["jcd"], list):
        return "jcd is no jCard"
    return None


def _digests(data: dict[str, Any], rcdi: object) -> tuple[dict[str, DigestStatus], str | None]:
    """Check the digests that need no fetch; say of the first that does not hold why."""
    if rcdi is None:
        return {}, None
    if not isinstance(rcdi, dict) or len(rcdi) > MAX_DIGESTS:
        return {}, f"rcdi is no JSON object of up to {MAX_DIGESTS} digests"
    checked = {pointer: _check(data, pointer, digest) for pointer, digest in rcdi.items()}
    faults = [
        f"the digest of {_shown(pointer)} {words}"
        for pointer, (status, words) in checked.items()
        if status is DigestStatus.FAIL
    ]
    statuses = {pointer: status for pointer, (status, _) in checked.items()}
    return statuses, faults[0] if faults else None


def _check(data: dict[str, Any], pointer: str, digest: object) -> tuple[DigestStatus, str]:
    """Check one digest, and say what was found (RFC 9795)."""
    form = _DIGEST.fullmatch(digest) if isinstance(digest, str) else None
    if form is None:
        return DigestStatus.FAIL, "is none by SHA-256, SHA-384 or SHA-512"
    steps = _steps(pointer)
    if steps[:1] == ["jcl"] and "jcl" in data:
        return _UNCHECKED
    try:
        value = _find(data, steps)
    except LookupError:
        return DigestStatus.FAIL, "is of nothing that rcd has"
    if steps[0] not in _PLAIN and isinstance(value, str) and _ELSEWHERE.match(value):
        return _UNCHECKED
    computed = _ALGORITHMS[form["algorithm"]](serialize(value)).digest()
    if b64encode(computed).decode("ascii").rstrip("=") != form["digest"]:
        return DigestStatus.FAIL, "does not fit"
    return DigestStatus.PASS, "fits"


def _steps(pointer: str) -> list[str]:
    """Take a JSON pointer apart; the pointer to the whole, and what is none, has no steps."""
    if _POINTER.fullmatch(pointer) is None:
        return []
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]


def _find(data: dict[str, Any], steps: list[str]) -> object:
    """Find what a JSON pointer points at. Raises LookupError."""
    if not steps:
        raise LookupError
    value: Any = data
    for step in steps:
        if isinstance(value, dict):
            value = value[step]
        elif isinstance(value, list) and _INDEX.fullmatch(step):
            value = value[int(step)]
        else:
            raise LookupError
    return value


def _shown(text: str) -> str:
    return ascii(text)[1:-1][:_SHOWN_LENGTH]
