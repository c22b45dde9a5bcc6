"""The caller's name, logo, card and reason, and their digests (RFC 9795)."""

import hashlib
import json
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shaken.rich_call_data import (
    MAX_DIGESTS,
    DigestStatus,
    RichCallData,
    examine_rich_call_data,
)

LOGO = "https://example.com/logo.png"
CARD = ["vcard", [["fn", {}, "text", "Büro"], ["logo", {}, "uri", LOGO]]]
DATA = {"nam": "Büro", "apn": "12155550100", "icn": LOGO, "jcd": CARD, "a/b": {"~": [1, 2]}}


def digest(value: object, algorithm: str = "sha256", *, padded: bool = False) -> str:
    """Compute a digest as RFC 9795 has it, over JSON as RFC 8225 §9 has it."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    made = b64encode(hashlib.new(algorithm, text.encode()).digest()).decode()
    return f"{algorithm}-{made if padded else made.rstrip('=')}"


def examined(rcd: object, **claims: object) -> RichCallData:
    found = examine_rich_call_data({"rcd": rcd, **claims})
    assert found is not None
    return found


def test_a_digest_is_over_the_text_as_json_has_it_with_its_quotes() -> None:
    rcdi = {"/nam": "sha256-sM275lTgzCte+LHOKHtU4SxG8shlOo6OS4ot8IJQImY"}

    found = examined({"nam": "Q Branch Spy Gadgets"}, rcdi=rcdi)

    assert found.fault is None
    assert found.digests == {"/nam": DigestStatus.PASS}


@pytest.mark.parametrize("algorithm", ["sha256", "sha384", "sha512"])
@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize(
    ("pointer", "value"),
    [
        ("/nam", "Büro"),
        ("/apn", "12155550100"),
        ("/jcd", CARD),
        ("/jcd/1/0", CARD[1][0]),
        ("/jcd/1/0/3", "Büro"),
        ("/a~1b", {"~": [1, 2]}),
        ("/a~1b/~0/1", 2),
    ],
)
def test_digests_of_what_stands_in_the_data_are_checked(
    pointer: str, value: object, algorithm: str, *, padded: bool
) -> None:
    good = digest(value, algorithm, padded=padded)
    bad = digest([value], algorithm, padded=padded)

    fits, does_not = (examined(DATA, rcdi={pointer: each}) for each in (good, bad))

    assert (fits.digests, fits.fault) == ({pointer: DigestStatus.PASS}, None)
    assert does_not.digests == {pointer: DigestStatus.FAIL}
    assert does_not.fault == f"the digest of {pointer} does not fit"


@pytest.mark.parametrize(
    ("data", "pointer"),
    [
        (DATA, "/icn"),
        (DATA, "/jcd/1/1/3"),
        ({**DATA, "icn": "HTTP://example.com/a"}, "/icn"),
        ({**DATA, "icn": "data:image/png;base64,AA=="}, "/icn"),
        ({**DATA, "jcl": "https://example.com/card"}, "/jcl"),
        ({**DATA, "jcl": "https://example.com/card"}, "/jcl/1/2/3"),
    ],
    ids=str,
)
def test_digests_of_what_a_url_leads_to_are_not_checked(data: dict[str, Any], pointer: str) -> None:
    found = examined(data, rcdi={pointer: digest("anything"), "/nam": digest("Büro")})

    assert found.fault is None
    assert found.digests == {pointer: DigestStatus.UNCHECKED, "/nam": DigestStatus.PASS}


def test_a_name_is_a_text_whatever_it_looks_like() -> None:
    assert examined({"nam": LOGO}, rcdi={"/nam": digest("x")}).fault is not None
    assert examined({"nam": LOGO}, rcdi={"/nam": digest(LOGO)}).fault is None


@pytest.mark.parametrize(
    ("rcdi", "words"),
    [
        ({"/x": digest(1)}, "the digest of /x is of nothing that rcd has"),
        ({"": digest(DATA)}, "the digest of  is of nothing that rcd has"),
        ({"nam": digest("Büro")}, "is of nothing"),
        ({"/nam/0": digest("B")}, "is of nothing"),
        ({"/jcd/9": digest(1)}, "is of nothing"),
        ({"/jcd/-1": digest(CARD[-1])}, "is of nothing"),
        ({"/jcd/01": digest(CARD[1])}, "is of nothing"),
        ({"/jcd/1e0": digest(CARD[1])}, "is of nothing"),
        ({"/jcd/9999999999": digest(1)}, "is of nothing"),
        ({"/a~2b": digest(1)}, "is of nothing"),
        ({"/jcl": digest(1)}, "is of nothing"),
        ({"/nam": "sha1-qvTGHdzF6KLavt4PO0gs2a6pQ00"}, "is none by SHA-256, SHA-384 or SHA-512"),
        ({"/nam": digest("Büro").upper()}, "is none by SHA-256"),
        ({"/nam": "sha256-"}, "is none by SHA-256"),
        ({"/nam": 7}, "is none by SHA-256"),
        ({"/nam": None}, "is none by SHA-256"),
        ({"/nam": digest("Büro"), "/icn": "x", "/y": "z"}, "the digest of /icn is none by"),
        ({"/nam\x1b[2J": digest("")}, r"the digest of /nam\x1b[2J is of nothing"),
        ([digest("Büro")], "rcdi is no JSON object of up to 64 digests"),
        (digest("Büro"), "rcdi is no JSON object"),
        ({f"/{place}": digest(1) for place in range(MAX_DIGESTS + 1)}, "rcdi is no JSON object"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_digests_that_are_none_are_faults(rcdi: object, words: str) -> None:
    fault = examined(DATA, rcdi=rcdi).fault

    assert fault is not None
    assert words in fault


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({"rcd": []}, "rcd is no JSON object"),
        ({"rcd": "Büro"}, "rcd is no JSON object"),
        ({"rcd": {}}, "rcd has no nam"),
        ({"rcd": {"nam": None}}, "nam is no text"),
        ({"rcd": {"nam": "", "apn": 7}}, "apn is no text"),
        ({"rcd": {"nam": "", "icn": [LOGO]}}, "icn is no text"),
        ({"rcd": {"nam": "", "jcl": {}}}, "jcl is no text"),
        ({"rcd": {"nam": "", "jcd": "x"}}, "jcd is no jCard"),
        ({"crn": ["x"]}, "crn is no text"),
    ],
    ids=str,
)
def test_data_that_is_none_is_a_fault(claims: dict[str, Any], words: str) -> None:
    found = examine_rich_call_data(claims)

    assert found is not None
    assert found.fault == words


def test_what_is_told_may_be_a_name_a_reason_or_nothing() -> None:
    assert examine_rich_call_data({}) is None
    assert examine_rich_call_data({"rcdi": {}}) is None
    assert str(examined({"nam": ""})) == "the caller is named "
    assert str(examine_rich_call_data({"crn": "an order"})) == "the reason of the call is an order"
    assert str(examined(DATA, crn="x", rcdi={"/nam": digest("Büro"), "/icn": digest("")})) == (
        r"the caller is named B\xfcro, the reason of the call is x, 1 digests fit,"
        " 1 digests of what a URL leads to were not checked"
    )


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**19), 10**19)
    | st.floats(allow_nan=False)
    | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)
POINTERS = st.lists(st.sampled_from(["nam", "jcd", "icn", "jcl", "0", "1", "~0", "~", "x"])).map(
    lambda steps: "".join(f"/{step}" for step in steps)
)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "rcd": JSON | st.dictionaries(st.sampled_from([*DATA, "jcl"]), JSON),
            "rcdi": JSON | st.dictionaries(POINTERS | st.text(), JSON | st.just(digest(""))),
            "crn": JSON,
        },
    )
)
def test_any_claims_are_examined(claims: dict[str, Any]) -> None:
    found = examine_rich_call_data(claims)

    assert found is None or str(found).isprintable()
