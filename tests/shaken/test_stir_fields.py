"""Every member of a signing request, in every way it can be wrong."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shaken.api.stir import SIGNING_PATH, StirAnswer, StirRequest
from shaken.api.stir_parties import MAX_DESTINATIONS
from shaken.credentials import Credential, Role, digest_of
from shaken.signing import Signer
from shaken.snapshot import take_snapshot
from shaken.store.credentials import add_credential
from shaken.strictjson import MAX_DEPTH, MAX_DIGITS
from shaken.tenants import Trunk
from sip.number import MAX_NUMBER_LENGTH
from sip.uri import MAX_URI_LENGTH
from tests.signing import answered, signing_api
from trust.store.certificates import StoredCertificate
from trust.store.database import Database

Send = Callable[[bytes], StirAnswer]
Message = dict[str, Any]


@pytest.fixture
def send(
    database: Database, signer: Signer, trunk: Trunk, certificate: StoredCertificate, now: int
) -> Send:
    """Send a body to the signing route with the credential of a trunk, which fills in claims."""
    assert certificate
    credential = Credential("pbx", Role.SIGNER, digest_of("secret"), None, trunk.name, ())
    with database.changing() as change:
        add_credential(change, credential, now=now)
    snapshot = take_snapshot(database)
    api = signing_api(signer)

    def send_body(body: bytes) -> StirAnswer:
        headers = {
            "Authorization": "Bearer secret",
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
        }
        request = StirRequest("POST", SIGNING_PATH, "", headers, body)
        return answered(api.answer(request, peer="192.0.2.7", snapshot=snapshot, now=now))

    return send_body


def good(now: int) -> Message:
    """A request that says everything it may."""
    return {
        "signingRequest": {
            "attest": "A",
            "dest": {"tn": ["12155559999"]},
            "iat": now,
            "orig": {"tn": "12155550100"},
            "origid": "de305d54-75b4-431b-adb2-eb6b9e546014",
            "ppt": "shaken",
            "requestId": "1",
        }
    }


MISSING = object()


def put(message: Message, path: str, value: object) -> Message:
    """Set the member at a path such as `dest.tn[0]`, whose siblings must not hide it."""
    inner, name = message["signingRequest"], path
    if path == "dest.tn[0]":
        inner["dest"] = {"tn": [] if value is MISSING else [value]}
        return message
    if path == "signingRequest":
        inner = message
    elif "." in path:
        parent, _, name = path.partition(".")
        inner[parent] = {}
        inner = inner[parent]
    if value is MISSING:
        inner.pop(name, None)
    else:
        inner[name] = value
    return message


def outcome(answer: StirAnswer) -> str:
    """Summarize an answer: `200`, or the messageId and the member it is about."""
    if answer.status == 200:
        return "200"
    assert answer.status == 400, answer
    body = json.loads(answer.body)
    exception = body["requestError"]["serviceException"]
    assert body["detail"]
    if exception["messageId"] == "SVC4006":
        return "SVC4006"
    return f"{exception['messageId']} {exception['variables'][0]}"


WAYS: dict[str, object] = {
    "missing": MISSING,
    "null": None,
    "a number": 7,
    "a fraction": 7.5,
    "an object": {"a": 1},
    "a list": [1],
    "a truth value": True,
    "an empty text": "",
    "an empty object": {},
    "an empty list": [],
    "a long text": "1" * 2049,
    "a control character": "1\n",
    "a null character": "A\0",
    "a lone surrogate": "\ud800",
    "a lone surrogate inside": [{"a": "\udfff"}],
    "a lone surrogate as a name": {"\ud800": 1},
}

# What each member answers when it is wrong; all ways that are not named get the answer of `else`.
ANSWERS: dict[str, dict[str, str]] = {
    "signingRequest": {
        "else": "SVC4005 signingRequest",
        "missing": "SVC4001 signingRequest",
        "an object": "SVC4001 dest",
        "an empty object": "SVC4001 dest",
    },
    "attest": {"else": "SVC4005 attest", "missing": "200"},
    "dest": {
        "else": "SVC4005 dest",
        "missing": "SVC4001 dest",
        "an object": "SVC4001 dest",
        "an empty object": "SVC4001 dest",
    },
    "dest.tn": {
        "else": "SVC4005 dest",
        "missing": "SVC4001 dest",
        "an empty list": "SVC4001 dest",
    },
    "dest.tn[0]": {"else": "SVC4005 dest", "missing": "SVC4001 dest"},
    "dest.uri": {
        "else": "SVC4005 dest",
        "missing": "SVC4001 dest",
        "an empty list": "SVC4001 dest",
    },
    "iat": {"else": "SVC4005 iat", "missing": "200"},
    "orig": {
        "else": "SVC4005 orig",
        "missing": "SVC4001 orig",
        "an object": "SVC4001 orig",
        "an empty object": "SVC4001 orig",
    },
    "orig.tn": {"else": "SVC4005 orig", "missing": "SVC4001 orig"},
    "orig.uri": {"else": "SVC4005 orig", "missing": "SVC4001 orig"},
    "origid": {"else": "SVC4005 origid", "missing": "200"},
    "ppt": {"else": "SVC4005 ppt", "missing": "200"},
    "requestId": {"else": "SVC4005 requestId", "missing": "200", "an empty text": "200"},
}


@pytest.mark.parametrize("path", ANSWERS)
def test_a_member_that_is_wrong_is_named(send: Send, now: int, path: str) -> None:
    answers = ANSWERS[path]
    expected = {
        way: "SVC4006" if "surrogate" in way else answers.get(way, answers["else"]) for way in WAYS
    }

    found = {
        way: outcome(send(json.dumps(put(good(now), path, value)).encode()))
        for way, value in WAYS.items()
    }

    assert found == expected


def test_a_complete_request_is_signed(send: Send, now: int) -> None:
    assert outcome(send(json.dumps(good(now)).encode())) == "200"


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("attest", "a", "SVC4005 attest"),
        ("attest", "AB", "SVC4005 attest"),
        ("attest", " A", "SVC4005 attest"),
        ("orig", {"tn": "1", "uri": "sip:a@b.example"}, "SVC4005 orig"),
        ("orig.tn", "+", "SVC4005 orig"),
        ("orig.tn", "1+2", "SVC4005 orig"),
        ("orig.tn", "anonymous", "SVC4005 orig"),
        ("orig.tn", "\N{ARABIC-INDIC DIGIT ONE}", "SVC4005 orig"),
        ("orig.tn", ["12155550100"], "SVC4005 orig"),
        ("orig.tn", "1" * MAX_NUMBER_LENGTH, "200"),
        ("orig.tn", "1" * (MAX_NUMBER_LENGTH + 1), "SVC4005 orig"),
        ("orig.uri", "sip:" + "a" * (MAX_URI_LENGTH - 6) + "@b", "200"),
        ("orig.uri", "sip:" + "a" * (MAX_URI_LENGTH - 5) + "@b", "SVC4005 orig"),
        ("orig.uri", "mailto:a@b.example", "SVC4005 orig"),
        ("orig.uri", "sip:a@b.example\r\nX: y", "SVC4005 orig"),
        ("orig.uri", "sip:a@bücher.example", "SVC4005 orig"),
        ("dest.tn", ["1"] * MAX_DESTINATIONS, "200"),
        ("dest.tn", ["1"] * (MAX_DESTINATIONS + 1), "SVC4005 dest"),
        ("dest.uri", ["sip:a@b"] * (MAX_DESTINATIONS + 1), "SVC4005 dest"),
        ("dest.tn", ["1", 2], "SVC4005 dest"),
        ("dest.tn", ["1", ""], "SVC4005 dest"),
        ("dest.uri", ["sip:a@b", "x"], "SVC4005 dest"),
        ("iat", 0, "SVC4005 iat"),
        ("iat", -1, "SVC4005 iat"),
        ("iat", 10**19, "SVC4005 iat"),
        ("origid", "de305d54-75b4-431b-adb2-eb6b9e54601", "SVC4005 origid"),
        ("requestId", "x" * 128, "200"),
        ("requestId", "x" * 129, "SVC4005 requestId"),
        ("requestId", " ~", "200"),
        ("requestId", "é", "SVC4005 requestId"),
    ],
)
def test_a_member_has_bounds(send: Send, now: int, path: str, value: object, expected: str) -> None:
    assert outcome(send(json.dumps(put(good(now), path, value)).encode())) == expected


@pytest.mark.parametrize(
    "uri",
    [
        "sip:anonymous@anonymous.invalid",
        "sip:unavailable@unknown.invalid",
        "sip:unknown@unknown.invalid",
        "sip:restricted@pbx.example.com",
        "sip:10.0.0.1",
    ],
)
def test_a_caller_who_is_not_named_is_not_signed(send: Send, now: int, uri: str) -> None:
    answer = send(json.dumps(put(good(now), "orig.uri", uri)).encode())

    assert outcome(answer) == "SVC4005 orig"
    assert "names nobody; send the number" in json.loads(answer.body)["detail"]


def test_a_caller_with_a_name_is_signed(send: Send, now: int) -> None:
    message = put(good(now), "orig.uri", "sip:alice@pbx.example.com")

    assert outcome(send(json.dumps(message).encode())) == "200"


def test_an_iat_in_the_spelling_of_a_fraction_is_no_whole_number(send: Send, now: int) -> None:
    body = json.dumps(good(now)).replace(str(now), f"{now}.0").encode()

    assert outcome(send(body)) == "SVC4005 iat"


def test_the_words_about_a_member_are_ascii_and_short(send: Send, now: int) -> None:
    for path in ("orig.tn", "orig.uri", "ppt", "requestId", "attest"):
        message = put(good(now), path, "\x1b[31mü" * 300)

        body = send(json.dumps(message).encode()).body

        assert body.isascii()
        assert b"\x1b" not in body
        assert len(body) < 1000


# The text itself


def json_of(now: int) -> str:
    return json.dumps(good(now))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda text: b"\xef\xbb\xbf" + text.encode(), "Expecting value at character 0"),
        (lambda text: text.encode("utf-16"), "not UTF-8 at byte 0"),
        (lambda text: text.encode("utf-16-be"), "Expecting value at character 0"),
        (lambda text: text.replace('"1"', '"\xe9"').encode("latin-1"), "not UTF-8"),
        (lambda text: f"[{text}]".encode(), "a JSON object is expected"),
        (lambda text: f'"{len(text)}"'.encode(), "a JSON object is expected"),
        (lambda text: f"{text}{text}".encode(), "Extra data"),
        (lambda text: text[:-1].encode(), "at character"),
        (lambda text: (text + "\0").encode(), "Extra data"),
        (lambda text: text.replace('"ppt"', '"iat"').encode(), "duplicate key 'iat'"),
        (lambda text: text.replace('{"signing', '{"signingRequest": 1, "signing').encode(), "dup"),
        (lambda text: text.replace('{"tn": "', '{"tn": 1, "tn": "').encode(), "duplicate key 'tn'"),
        (lambda text: text.replace('{"tn": [', '{"tn": 1, "tn": [').encode(), "duplicate key 'tn'"),
        (lambda text: text.replace('"shaken"', "NaN").encode(), "NaN is not JSON"),
        (lambda text: text.replace('"shaken"', "-Infinity").encode(), "-Infinity is not JSON"),
        (lambda text: text.replace('"shaken"', "1e999").encode(), "out of range"),
        (lambda text: text.replace('"shaken"', "1" * (MAX_DIGITS + 1)).encode(), "20 digits"),
        (lambda text: text.replace('"shaken"', "1" * 60_000).encode(), "20 digits"),
        (lambda text: text.replace('"shaken"', "[" * 60_000).encode(), "nested deeper"),
        (lambda text: text.replace('"1"', nested(MAX_DEPTH)).encode(), "nested deeper"),
    ],
)
def test_a_text_that_is_no_strict_json_is_refused_with_the_reason(
    send: Send, now: int, spoil: Callable[[str], bytes], said: str
) -> None:
    answer = send(spoil(json_of(now)))

    exception = json.loads(answer.body)["requestError"]["serviceException"]
    assert (answer.status, exception["messageId"]) == (400, "SVC4006")
    assert said in exception["variables"][0]


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


def test_a_member_nobody_knows_may_be_as_deep_as_json_may_be_here(send: Send, now: int) -> None:
    text = json_of(now).replace('"ppt"', f'"x": {nested(MAX_DEPTH - 2)}, "ppt"')

    assert outcome(send(text.encode())) == "200"


def test_any_white_space_order_and_escapes_will_do(send: Send, now: int) -> None:
    inner = dict(reversed(good(now)["signingRequest"].items()))
    text = json.dumps({"x": None, "signingRequest": inner}, indent=4).replace("\n", "\r\n\t")

    assert outcome(send(text.replace('"orig"', r'"\u006frig"').encode())) == "200"


# Whatever comes

TEXTS = st.text(st.characters(exclude_categories=()), max_size=30)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS
VALUES = st.recursive(
    SCALARS | st.sampled_from(["A", "1", "+12155550100", "sip:a@b.example", "shaken"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(TEXTS | st.sampled_from(["tn", "uri"]), inner, max_size=4)
    ),
    max_leaves=8,
)
anything = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@anything
@given(st.binary(max_size=200) | VALUES.map(lambda value: json.dumps(value).encode()))
def test_any_body_is_answered_with_an_error_of_the_client(send: Send, body: bytes) -> None:
    assert send(body).status == 400


@anything
@given(st.dictionaries(st.sampled_from([*ANSWERS]), VALUES | st.just(MISSING), max_size=3))
def test_a_request_with_any_members_is_signed_or_refused(
    send: Send, now: int, changes: dict[str, Any]
) -> None:
    message = good(now)
    for path, value in changes.items():
        if isinstance(message.get("signingRequest"), dict):
            put(message, path, value)

    answer = send(json.dumps(message).encode())

    assert answer.status in {200, 400}
    assert json.loads(answer.body)


@anything
@given(st.data())
def test_a_damaged_request_is_signed_or_refused(send: Send, now: int, data: st.DataObject) -> None:
    body = json_of(now).encode()
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(body)))
        end = data.draw(st.integers(start, min(start + 20, len(body))))
        body = body[:start] + data.draw(st.binary(max_size=4)) + body[end:]

    assert send(body).status in {200, 400}
