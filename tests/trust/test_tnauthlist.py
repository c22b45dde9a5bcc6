"""The TNAuthList extension: RFC 8226 §9."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trust.tnauthlist import (
    MAX_ENTRIES,
    MAX_SPC_LENGTH,
    Entry,
    Spc,
    Tn,
    TnAuthList,
    TnAuthListError,
    TnRange,
)

VECTORS = json.loads((Path(__file__).parents[1] / "vectors/trust/tnauthlist.json").read_text())

KINDS = {"spc": Spc, "range": TnRange, "one": Tn}


def by_name(vectors: list[dict[str, Any]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("vector", vectors, ids=[one["name"] for one in vectors])


def expected(vector: dict[str, Any]) -> tuple[Entry, ...]:
    return tuple(KINDS[kind](*values) for kind, *values in vector["entries"])


@by_name(VECTORS["valid"])
def test_der_is_read_and_written_as_openssl_writes_it(vector: dict[str, Any]) -> None:
    der = bytes.fromhex(vector["der"])

    assert TnAuthList.decode(der).entries == expected(vector)
    assert TnAuthList(expected(vector)).encode() == der


@by_name(VECTORS["invalid"])
def test_what_the_rfc_forbids_is_refused_with_a_reason(vector: dict[str, Any]) -> None:
    with pytest.raises(TnAuthListError, match=vector["why"]):
        TnAuthList.decode(bytes.fromhex(vector["der"]))


def test_a_list_is_built_from_codes_ranges_and_numbers() -> None:
    span = TnRange("12155550200", 100)

    built = TnAuthList.of(spcs=["1234"], numbers=["12155550100", "*69"], ranges=[span])

    assert built.spcs == ("1234",)
    assert built.ranges == (span,)
    assert built.numbers == ("12155550100", "*69")


@pytest.mark.parametrize(
    ("start", "count", "last"),
    [("12155550200", 100, "12155550299"), ("00", 100, "99"), ("007", 2, "008")],
)
def test_a_range_names_its_last_number(start: str, count: int, last: str) -> None:
    assert TnRange(start, count).last == last


def test_provider_codes_are_bounded() -> None:
    longest = "9" * MAX_SPC_LENGTH

    assert TnAuthList.decode(TnAuthList.of(spcs=[longest]).encode()).spcs == (longest,)
    with pytest.raises(TnAuthListError, match=str(MAX_SPC_LENGTH)):
        TnAuthList.of(spcs=[longest + "9"])


def test_entries_are_bounded() -> None:
    most = (Tn("12155550100"),) * MAX_ENTRIES

    der = TnAuthList(most).encode()

    assert TnAuthList.decode(der).entries == most
    with pytest.raises(TnAuthListError, match=str(MAX_ENTRIES)):
        TnAuthList((*most, Spc("1234")))


CODES = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=64)
DIGITS = st.text("0123456789", min_size=1, max_size=15)


@st.composite
def tn_ranges(draw: st.DrawFn) -> TnRange:
    start = draw(DIGITS.filter(lambda digits: digits != "9" * len(digits)))
    return TnRange(start, draw(st.integers(2, 10 ** len(start) - int(start))))


ENTRIES = st.one_of(
    CODES.map(Spc), tn_ranges(), st.from_regex(re.compile("[0-9#*]{1,15}"), fullmatch=True).map(Tn)
)
LISTS = st.lists(ENTRIES, min_size=1, max_size=20).map(lambda entries: TnAuthList(tuple(entries)))


@given(LISTS)
def test_every_list_survives_its_der(tn_auth_list: TnAuthList) -> None:
    assert TnAuthList.decode(tn_auth_list.encode()) == tn_auth_list


@given(st.binary(max_size=200))
def test_any_bytes_are_a_list_or_an_error(der: bytes) -> None:
    decodes_or_complains(der)


@given(LISTS, st.data())
def test_damaged_der_is_a_list_or_an_error(tn_auth_list: TnAuthList, data: st.DataObject) -> None:
    der = bytearray(tn_auth_list.encode())
    for position in data.draw(st.lists(st.integers(0, len(der) - 1), min_size=1, max_size=3)):
        der[position] = data.draw(st.integers(0, 255))

    decodes_or_complains(bytes(der))


def decodes_or_complains(der: bytes) -> None:
    try:
        decoded = TnAuthList.decode(der)
    except TnAuthListError:
        return
    assert decoded.encode() == der
