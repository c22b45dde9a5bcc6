"""Parameters of dial plans become one message of the STIR routes, or one line that says why not."""

import json
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shaken.api.dialplan import (
    FORM_TYPE,
    MAX_PARAMETERS,
    PARAMETERS,
    SIGN_PATH,
    VERIFY_PATH,
    DialplanError,
    StirMessage,
    error_line,
    line_of,
    read_parameters,
)
from shaken.api.stir import StirAnswer

PATHS = st.sampled_from(sorted(PARAMETERS))
CALL = "orig=12155550100&dest=12155550199"


def wrong(path: str, query: str, body: bytes = b"", kind: str = FORM_TYPE) -> DialplanError:
    with pytest.raises(DialplanError) as caught:
        read_parameters(path, "POST", query, body, kind)
    return caught.value


def answer_to(path: str, query: str, body: bytes) -> StirMessage | DialplanError:
    try:
        return read_parameters(path, "POST", query, body, FORM_TYPE)
    except DialplanError as error:
        return error


@given(path=PATHS, query=st.text(), body=st.binary())
def test_whatever_is_sent_is_a_message_or_an_error_of_one_line(
    path: str, query: str, body: bytes
) -> None:
    said = answer_to(path, query, body)

    if isinstance(said, DialplanError):
        assert 400 <= said.status < 500
        assert error_line(str(said)).startswith("error: ")
        assert len(error_line(str(said)).splitlines()) == 1
    else:
        assert isinstance(json.loads(said.body), dict)


@given(identity=st.text(min_size=1).filter(str.strip), orig=st.from_regex(r"\A[0-9]{1,15}\Z"))
def test_a_value_arrives_as_it_is_by_url_and_by_form(identity: str, orig: str) -> None:
    sent = urlencode({"orig": orig, "dest": "12155550199", "identity": identity}, errors="replace")

    by_url = read_parameters(VERIFY_PATH, "GET", sent, b"", "")
    by_form = read_parameters(VERIFY_PATH, "POST", "", sent.encode(), f"{FORM_TYPE}; charset=utf-8")

    asked = json.loads(by_url.body)["verificationRequest"]
    assert by_form == by_url
    assert asked["from"] == {"tn": orig}
    assert asked["identity"] == [identity.encode(errors="replace").decode().strip()]


@pytest.mark.parametrize(
    ("query", "body"),
    [("orig=+12155550100&dest=+4722551234", b""), ("orig=1", b"dest=+4722551234")],
)
def test_a_plus_that_was_not_escaped_is_still_one(query: str, body: bytes) -> None:
    asked = json.loads(read_parameters(SIGN_PATH, "POST", query, body, FORM_TYPE).body)

    assert asked["signingRequest"]["dest"] == {"tn": ["+4722551234"]}


def test_the_plus_of_each_party_of_a_call_that_comes_in_is_kept() -> None:
    query = "orig=+12155550100&dest=+1 215 5550199&dest=2&target=+4722551234&call_id=+1"

    asked = json.loads(read_parameters(VERIFY_PATH, "GET", query, b"", "").body)

    assert asked["verificationRequest"] == {
        "from": {"tn": "+12155550100"},
        "to": {"tn": ["+1 215 5550199", "2"]},
        "dest": {"tn": "+4722551234"},
        "identity": [],
        "callId": "1",
    }


@given(words=st.text())
def test_no_words_make_an_error_of_two_lines(words: str) -> None:
    assert len(error_line(words).splitlines()) == 1


@pytest.mark.parametrize(
    ("path", "name"),
    [(path, name) for path in PARAMETERS for name in PARAMETERS[path]],
)
def test_only_destinations_and_identities_may_stand_twice(path: str, name: str) -> None:
    twice = f"{CALL}&{name}=12155550101&{name}=12155550102"

    if name in {"dest", "identity"}:
        read_parameters(path, "GET", twice, b"", "")
    else:
        assert str(wrong(path, twice)) == f"{name} is there twice"


def test_a_parameter_counts_once_wherever_it_stands() -> None:
    assert str(wrong(SIGN_PATH, CALL, b"orig=12155550101")) == "orig is there twice"


@pytest.mark.parametrize("path", PARAMETERS)
def test_an_unknown_parameter_is_answered_with_those_there_are(path: str) -> None:
    error = wrong(path, f"{CALL}&attestation=A")

    assert error.status == 400
    assert str(error).startswith("there is no parameter attestation; there are orig, dest, ")
    assert all(name in str(error) for name in PARAMETERS[path])


def test_as_many_parameters_as_allowed_are_read_and_no_more() -> None:
    most = "&".join(["orig=1", *["dest=12155550199"] * (MAX_PARAMETERS - 1)])

    read_parameters(SIGN_PATH, "GET", most, b"", "")
    assert "more than 32 parameters" in str(wrong(SIGN_PATH, f"{most}&dest=12155550199"))


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [(b"{}", "application/json", 415), (b"\xff", FORM_TYPE, 400), (b"orig=1", "", 415)],
)
def test_a_body_is_a_form_in_utf_8(body: bytes, kind: str, status: int) -> None:
    assert wrong(SIGN_PATH, CALL, body, kind).status == status


@pytest.mark.parametrize(
    "member", [{"identity": "eyJ"}, {"identityHeader": "eyJ"}], ids=lambda each: next(iter(each))
)
def test_an_identity_is_read_in_the_form_of_either_standard(member: dict[str, str]) -> None:
    answer = StirAnswer(200, {}, json.dumps({"signingResponse": member}).encode())

    assert line_of(SIGN_PATH, answer) == (200, "eyJ")
