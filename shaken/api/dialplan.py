"""`/dialplan/v1/`: the STIR routes for dial plans, whose HTTP client is a one-liner.

Parameters in, one line of text out. A request becomes the very message of `/stir/v1/`, so that a
call is signed and verified, recorded and refused as there. Pure.

A line that begins with `error:` is one; nothing else does, so that it can be told from an Identity
where the client does not show the status.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, urlencode

import msgspec

from shaken.api.stir import SIGNING_PATH, VERIFICATION_PATH, StirAnswer
from shaken.api.stir_errors import ascii_only
from sip.uri import ANONYMOUS_URI

SIGN_PATH = "/dialplan/v1/sign"
VERIFY_PATH = "/dialplan/v1/verify"

FORM_TYPE = "application/x-www-form-urlencoded"

MAX_PARAMETERS = 32
"""Parameters of a request: one call has several destinations and Identity headers at most."""

PARAMETERS: Mapping[str, Sequence[str]] = {
    SIGN_PATH: ("orig", "dest", "attest", "origid", "iat", "tenant"),
    VERIFY_PATH: ("orig", "dest", "identity", "target", "time", "call_id"),
}
"""What each of the routes takes."""

_SEVERAL = frozenset({"dest", "identity"})
_PARTIES = frozenset({"orig", "dest", "target"})
_LOST_PLUS = re.compile(r" (?=[0-9])")
"""What a `+` in front of a number becomes where a dial plan does not escape it."""
_NUMBERS = {"iat", "time"}
_NAMES_HERE = {"'from'": "'orig'", "'to'": "'dest'", "'callId'": "'call_id'"}
_MAX_LINE = 2000


class DialplanError(Exception):
    """A request is wrong before it reaches the STIR route; the message says how.

    `parameter` names the one that is at fault, where it is one.
    """

    def __init__(self, status: int, words: str, parameter: str | None = None) -> None:
        super().__init__(words)
        self.status = status
        self.parameter = parameter


class StirMessage(msgspec.Struct, frozen=True):
    """A request as the STIR route takes it: its path, its query and its JSON."""

    path: str
    query: str
    body: bytes


def read_parameters(path: str, method: str, query: str, body: bytes, kind: str) -> StirMessage:
    """Make the STIR request of a request here.

    `kind` is its Content-Type. Parameters may stand in the query, in a form, or in both. Raises
    DialplanError.
    """
    if method not in {"GET", "POST"}:
        raise DialplanError(405, "send GET, or POST with a form")
    if body and kind.partition(";")[0].strip().lower() != FORM_TYPE:
        raise DialplanError(415, f"send the parameters as {FORM_TYPE}, or in the URL")
    given = _gathered(path, [*_pairs(query, "URL"), *_pairs(_text(body), "form")])
    if path == SIGN_PATH:
        return _signing(given)
    return _verification(given)


def line_of(path: str, answer: StirAnswer) -> tuple[int, str]:
    """Write what the STIR route answered as one line; return the status with it."""
    document: dict[str, Any] = msgspec.json.decode(answer.body)
    if answer.status != 200:
        return answer.status, error_line(str(document.get("detail", document)))
    if path == SIGN_PATH:
        signed = document["signingResponse"]
        return 200, str(signed.get("identity") or signed["identityHeader"])
    return 200, _verdict(document["verificationResponse"])


def error_line(words: str) -> str:
    """Write an error as one line."""
    for name, here in _NAMES_HERE.items():
        words = words.replace(name, here)
    return f"error: {' '.join(words.split())}"[:_MAX_LINE]


def _pairs(text: str, place: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_PARAMETERS)
    except ValueError as error:
        words = f"the {place} has more than {MAX_PARAMETERS} parameters"
        raise DialplanError(400, words) from error


def _text(body: bytes) -> str:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DialplanError(400, "the form is not UTF-8") from error


def _gathered(path: str, pairs: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    """Gather the values of each parameter; an empty one is as if it were not there.

    But an empty caller of a call that came in is one who withholds the number.
    """
    given: dict[str, list[str]] = {}
    for name, value in pairs:
        if name not in PARAMETERS[path]:
            known = ", ".join(PARAMETERS[path])
            raise DialplanError(400, f"there is no parameter {ascii_only(name)}; there are {known}")
        withheld = ANONYMOUS_URI if (path, name) == (VERIFY_PATH, "orig") else ""
        plus = "+" if name in _PARTIES and _LOST_PLUS.match(value) else ""
        if used := plus + value.strip() or withheld:
            given.setdefault(name, []).append(used)
    for name, values in given.items():
        if len(values) > 1 and name not in _SEVERAL:
            raise DialplanError(400, f"{name} is there twice")
    for name in ("orig", "dest"):
        if name not in given:
            raise DialplanError(400, f"send {name}: a telephone number, or a URI", name)
    return given


def _signing(given: Mapping[str, Sequence[str]]) -> StirMessage:
    message: dict[str, Any] = {
        "orig": _party(given["orig"]),
        "dest": _parties(given["dest"]),
        **{name: _value(name, given) for name in ("attest", "origid", "iat") if name in given},
    }
    query = urlencode({"tenant": given["tenant"][0]}) if "tenant" in given else ""
    return StirMessage(SIGNING_PATH, query, msgspec.json.encode({"signingRequest": message}))


def _verification(given: Mapping[str, Sequence[str]]) -> StirMessage:
    message: dict[str, Any] = {
        "from": _party(given["orig"]),
        "to": _parties(given["dest"]),
        "identity": list(given.get("identity", ())),
    }
    if "target" in given:
        message["dest"] = _party(given["target"])
    if "time" in given:
        message["time"] = _value("time", given)
    if "call_id" in given:
        message["callId"] = given["call_id"][0]
    body = msgspec.json.encode({"verificationRequest": message})
    return StirMessage(VERIFICATION_PATH, "", body)


def _value(name: str, given: Mapping[str, Sequence[str]]) -> str | int:
    value = given[name][0].strip()
    if name not in _NUMBERS:
        return value
    if not value.isascii() or not value.isdecimal() or len(value) > 12:
        raise DialplanError(400, f"{name} is a number of Unix seconds", name)
    return int(value)


def _party(values: Sequence[str]) -> dict[str, str]:
    return {_kind(values[0]): values[0].strip()}


def _parties(values: Sequence[str]) -> dict[str, list[str]]:
    parties: dict[str, list[str]] = {}
    for value in values:
        parties.setdefault(_kind(value), []).append(value.strip())
    return parties


def _kind(value: str) -> str:
    return "uri" if ":" in value else "tn"


def _verdict(verdict: Mapping[str, Any]) -> str:
    """Write verstat, attestation, what the policy says, and a reason where there is one."""
    found = verdict.get("verstat") or verdict["verstatValue"]
    words = [found, verdict.get("attest", "-"), verdict["decision"]["action"]]
    if "reasoncode" in verdict:
        why = verdict.get("reasondesc")
        reason = f"{verdict['reasoncode']} {verdict['reasontext']}"
        words.append(f"{reason}: {why}" if why else reason)
    elif "code" in verdict["decision"]:
        words.append(str(verdict["decision"]["code"]))
    return " ".join(" ".join(words).split())[:_MAX_LINE]
