"""Fuzzed: PASSporTs, JSON, and the verdict on a call whose header anything may stand in."""

import base64
import json
from datetime import UTC, datetime
from functools import cache
from types import SimpleNamespace
from typing import Any, cast

import msgspec

from shaken.acceptance import REASONS
from shaken.api.stir import VERIFICATION_PATH, StirAnswer, StirAsked, StirRequest
from shaken.api.stir_errors import StirError
from shaken.api.stir_verification import Verification
from shaken.credentials import Credential, Role
from shaken.explain import NotExplained, explain
from shaken.passport import Passport, PassportError, decode, serialize
from shaken.rich_call_data import CLAIMS
from shaken.snapshot import Snapshot
from shaken.strictjson import MAX_DEPTH, JsonError, parse_object
from sip.identity import IdentityError, parse_each
from sip.stages import at_once
from tests.fuzz.target import VECTORS, Target, Targets, fields, text_of
from tests.verification import DEST, ORIG, ORIGID, X5U, Desk, token_of_json
from trust.authority import Authority, Issued
from trust.roots import Purpose, root_of
from trust.standing import Standing

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
SECONDS = int(NOW.timestamp())

_HEADER = {"alg": "ES256", "ppt": "shaken", "typ": "passport", "x5u": X5U}
_CLAIMS = {
    "attest": "A",
    "dest": {"tn": [DEST]},
    "iat": SECONDS,
    "orig": {"tn": ORIG},
    "origid": ORIGID,
}
_THREE_GPP = {
    "from": {"uri": "sip:anonymous@anonymous.invalid"},
    "to": {"tn": "+1 215 555 9999", "uri": ["sip:a@b;user=phone"]},
    "time": 1,
    "identityHeader": "a.b.c;info=<a:b>",
    "identityHeaders": ["x"],
    "requestId": "7",
    "callId": "1",
    "dest": {"tn": "1"},
}


def as_json(value: object) -> bytes:
    """Write JSON without white space."""
    return json.dumps(value, separators=(",", ":")).encode()


# JSON


def _json_holds(text: bytes, value: dict[str, Any]) -> None:
    assert value == json.loads(text)
    # Another parser reads the same, but that it knows no limit on what is a number.
    assert msgspec.json.decode(text) == value
    written = as_json(value)
    assert parse_object(written) == value
    assert depth_of(value) <= MAX_DEPTH
    assert msgspec.json.decode(serialize(value)) == value


def depth_of(value: object) -> int:
    """Count the levels of objects and lists."""
    if not isinstance(value, dict | list):
        return 0
    inner = value.values() if isinstance(value, dict) else value
    return 1 + max(map(depth_of, inner), default=0)


# PASSporTs


def _of_segments(data: bytes) -> str:
    """Make a token of a header and claims, in JSON, and a signature."""
    return ".".join(map(_base64url, fields(data, 3)))


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _passport_holds(_: bytes, passport: Passport) -> None:
    assert decode(passport.token) == passport
    segments = (serialize(passport.header), serialize(passport.claims), passport.signature)
    again = decode(".".join(map(_base64url, segments)))
    assert (again.header, again.claims) == (passport.header, passport.claims)
    # No other text is the same token.
    assert passport.token.split(".")[2] == _base64url(passport.signature)


# Verdicts


@cache
def lab() -> tuple[Issued, Standing, Desk]:
    """Make a signer, the roots that are trusted, and a verifier with its certificate at hand."""
    authority = Authority.create("Lab root", now=NOW).intermediate("Lab STI-CA", now=NOW)
    issued = authority.issue_sti(spc="1234", now=NOW)
    desk = Desk(SECONDS, ())
    desk.publish(issued)
    return issued, Standing([root_of(authority.root, Purpose.STI, shipped=None)]), desk


def verification_of(body: dict[str, Any]) -> dict[str, Any] | None:
    """Have the route answer a body, None: it would fetch something. Raises StirError."""
    _, standing, desk = lab()
    asked = StirAsked(
        request=StirRequest("POST", VERIFICATION_PATH, "", {}, b""),
        request_id="1",
        credential=Credential("sbc", Role.VERIFIER, b"", None, None, ()),
        trunk=None,
        document=body,
        # The roots are all that the route looks up for a credential without a trunk.
        snapshot=cast("Snapshot", SimpleNamespace(standing=standing)),
        now=SECONDS,
    )
    answer = at_once(Verification(desk.verifier, _recorded).handle(asked))
    return verdict_of(answer) if isinstance(answer, StirAnswer) else None


def _recorded(record: object) -> None:
    assert msgspec.json.encode(record)


def verdict_of(answer: StirAnswer) -> dict[str, Any]:
    """Return the verdict of an answer, held to the table of RFC 8224."""
    assert answer.status == 200
    verdict: dict[str, Any] = json.loads(answer.body)["verificationResponse"]
    code = verdict.get("reasoncode")
    assert code is None or verdict["reasontext"] == REASONS[code]
    passed = verdict["verstat"] == "TN-Validation-Passed"
    results = [each["verifyResult"] for each in verdict.get("verifyResults", ())]
    proven = [each for each in results if each["ppt"] == "shaken" and each["status"] == "pass"]
    assert passed == (code is None and bool(proven))
    assert passed or not verdict.keys() & {"attest", "origid"}
    return verdict


def _asked(*headers: str) -> dict[str, Any]:
    message = {"from": {"tn": ORIG}, "to": {"tn": [DEST]}, "identity": list(headers)}
    return {"verificationRequest": message}


def _signed(data: bytes) -> dict[str, Any] | None:
    """Sign a header and claims as they are; parameters follow `info`."""
    header, claims, parameters = map(_json_text, fields(data, 3))
    token = token_of_json(lab()[0].private_key, header, claims)
    return verification_of(_asked(f"{token};info=<{X5U}>{parameters}"))


def _signed_holds(data: bytes, verdict: dict[str, Any] | None) -> None:
    if verdict is None or verdict["verstat"] != "TN-Validation-Passed":
        return
    header, claims, _ = fields(data, 3)
    said = parse_object(_json_text(claims).encode())
    assert parse_object(_json_text(header).encode())["x5u"] == X5U
    assert said["orig"] == {"tn": ORIG}
    assert DEST in said["dest"]["tn"]
    assert -15 <= SECONDS - said["iat"] <= 60
    assert verdict["attest"] == said["attest"] in {"A", "B", "C"}
    held = verdict["verifyResults"][0]["verifyResult"]["validClaims"]
    # Rich call data that does not hold is told, but is no valid claim.
    assert {**said, **held} == said
    assert said.keys() - held.keys() <= set(CLAIMS)


def _json_text(data: bytes) -> str:
    """Read bytes as text that JSON can hold: no lone surrogates."""
    return data.decode("utf-8", "replace")


def _header(data: bytes) -> dict[str, Any] | None:
    return verification_of(_asked(_json_text(data)))


def _header_holds(data: bytes, verdict: dict[str, Any] | None) -> None:
    code = None if verdict is None else verdict.get("reasoncode")
    text = _json_text(data)
    if not text.strip():
        assert code is None
        return
    # Each PASSporT of a field is judged alone; where none can be read, the verdict says why.
    if all(isinstance(each, IdentityError) for each in parse_each(text)):
        assert code in {436, 438}


def _message(data: bytes) -> dict[str, Any] | None:
    return verification_of(parse_object(data))


def _headers() -> list[bytes]:
    token = ".".join(_base64url(as_json(each)) for each in (_HEADER, _CLAIMS)) + "." + "A" * 86
    info = f"info=<{X5U}>"
    return [
        f"{token};{info};alg=ES256;ppt=shaken".encode(),
        f"{token};{info};ppt=div,{token};{info}".encode(),
        f"{token};info=<https://other.example.com/b.pem>".encode(),
        f"..{'A' * 86};{info};ppt=shaken".encode(),
        f"{token};alg=ES256".encode(),
    ]


def _explained(data: bytes) -> list[str]:
    return list(explain(text_of(data), now=NOW))


def _explained_holds(_: bytes, lines: list[str]) -> None:
    assert lines
    assert all(line.isprintable() for line in lines)


def _explainable() -> list[bytes]:
    leaf = (VECTORS / "trust/sti/leaf.pem").read_bytes()
    return [leaf, *_headers(), *(header.partition(b";")[0] for header in _headers())]


def _joined(*parts: object) -> bytes:
    return b"\0".join(part if isinstance(part, bytes) else as_json(part) for part in parts)


CALL_TARGETS: Targets = {
    "strictjson": Target(
        read=parse_object,
        refusals=(JsonError,),
        holds=_json_holds,
        seeds=lambda: (
            as_json(_CLAIMS),
            rb'{"a": [1, -2.5e3, true, null, "\u00fc\ud83d\ude00"], "b": {"c": {}}}',
            b'{"a": 1, "a": 1}',
            b'{"a": [[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]}',
            '{"ü": 99999999999999999999, "x": NaN}'.encode(),
        ),
    ),
    "passport": Target(
        read=lambda data: decode(text_of(data)),
        refusals=(PassportError,),
        holds=_passport_holds,
        seeds=lambda: [header.partition(b";")[0] for header in _headers()],
    ),
    "passport_segments": Target(
        read=lambda data: decode(_of_segments(data)),
        refusals=(PassportError,),
        holds=_passport_holds,
        seeds=lambda: (
            _joined(_HEADER, _CLAIMS, b"signature"),
            _joined({**_HEADER, "crit": ["b64"]}, _CLAIMS, b"\0" * 64),
            _joined({**_HEADER, "typ": "JWT"}, {}, b"x"),
        ),
    ),
    "verdict": Target(
        read=_signed,
        holds=_signed_holds,
        seeds=lambda: (
            _joined(_HEADER, _CLAIMS, b";alg=ES256;ppt=shaken"),
            _joined(_HEADER, {**_CLAIMS, "iat": SECONDS - 61}, b""),
            _joined(_HEADER, {**_CLAIMS, "orig": {"uri": "sip:a@b"}}, b""),
            _joined(_HEADER, {**_CLAIMS, "dest": {"uri": ["sip:a@b"], "tn": [DEST, "1"]}}, b""),
            _joined(_HEADER, {**_CLAIMS, "attest": "D", "rcd": {"nam": "A"}}, b""),
            _joined({**_HEADER, "ppt": "div"}, {**_CLAIMS, "div": {"tn": DEST}}, b";ppt=div"),
            _joined({**_HEADER, "x5u": "https://a.example/b"}, _CLAIMS, b""),
        ),
    ),
    "identity_error": Target(
        read=_header,
        holds=_header_holds,
        refusals=(StirError,),
        seeds=_headers,
    ),
    "verification_message": Target(
        read=_message,
        refusals=(JsonError, StirError),
        seeds=lambda: (
            as_json(_asked(*(header.decode() for header in _headers()[3:]))),
            as_json(_asked()),
            as_json({"verificationRequest": _THREE_GPP}),
        ),
    ),
    "explain": Target(
        read=_explained,
        refusals=(NotExplained,),
        holds=_explained_holds,
        seeds=_explainable,
    ),
}
