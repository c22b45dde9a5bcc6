"""Numbers on record as hashes."""

import hashlib
import hmac
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shaken.concealment import NumberHash, is_hashed
from shaken.store.calls import CallRecord

KEY = b"k" * 32
NUMBERS = NumberHash(KEY)


def call(**more: Any) -> CallRecord:
    record = CallRecord(
        1, "pbx", None, None, "12155550100", "12155550199", "A", "origid", "https://x", "id"
    )
    return record._replace(**more)


def test_a_number_becomes_the_hmac_of_its_digits() -> None:
    digest = hmac.new(KEY, b"12155550100", hashlib.sha256).hexdigest()

    assert NUMBERS.hashed("12155550100") == f"hmac:{digest[:32]}"
    assert is_hashed(NUMBERS.hashed("12155550100"))
    assert NumberHash(b"j" * 32).hashed("12155550100") != NUMBERS.hashed("12155550100")


@pytest.mark.parametrize("text", ["", "12155550100", "hmac:", f"hmac:{'g' * 32}", "hmac:0\n"])
def test_what_is_no_hash_is_known(text: str) -> None:
    assert not is_hashed(text)


def test_the_key_is_not_shown() -> None:
    assert "kkk" not in repr(NUMBERS)


def test_a_record_hides_who_called_whom_and_nothing_else() -> None:
    hidden = NUMBERS.conceal(call(dest="12155550199,sip:bob@example.com"))

    assert hidden == call(
        orig=NUMBERS.hashed("12155550100"),
        dest=f"{NUMBERS.hashed('12155550199')},{NUMBERS.hashed('sip:bob@example.com')}",
    )
    assert NUMBERS.conceal(call(orig="anonymous")).orig == "anonymous"


@pytest.mark.parametrize(
    ("reason", "party"),
    [
        ("orig is {'tn': '#'}, the call comes from x", "442079460000"),
        ("dest is {'tn': ['1', '#']}, the call goes to x", "12155550199"),
        ("the certificate's TNAuthList does not cover #", "12155550100"),
        ("orig is {'uri': '#'}, the call comes from x", "sip:bob@example.com"),
        ("the call comes from #, not y", "tel:+12155550100"),
    ],
)
def test_the_words_of_a_verdict_hide_numbers_too(reason: str, party: str) -> None:
    hidden = NUMBERS.conceal(call(reason=reason.replace("#", party)))

    assert hidden.reason == reason.replace("#", NUMBERS.hashed(party))


@pytest.mark.parametrize(
    "reason",
    [
        "iat is 300 s before now; at most 60 s before and 15 s after is fresh",
        "info <https://sti.example.com/12155550100.pem> is not the PASSporT's x5u",
        "the signer is provider 1234",
        "the certificate ended on 2026-11-24T22:04:39Z",
    ],
)
def test_other_words_of_a_verdict_stay(reason: str) -> None:
    assert NUMBERS.conceal(call(reason=reason)).reason == reason


@given(st.text(alphabet="0123456789*#", min_size=5, max_size=15))
def test_no_number_is_left_in_a_record(number: str) -> None:
    hidden = NUMBERS.conceal(call(orig=number, dest=f"1,{number}", reason=f"not {number}, but 1"))

    assert number not in " ".join(str(member) for member in hidden)


@pytest.mark.parametrize("spelled", ["1-215-555-0100", "+1 (215) 555-0100", "SIP:bob@x.example"])
def test_a_number_in_the_words_of_a_verdict_is_hashed_however_it_is_spelled(spelled: str) -> None:
    reason = NUMBERS.conceal(call(reason=f"orig is {{'tn': '{spelled}'}}, no more")).reason

    assert reason is not None
    assert spelled not in reason
    assert "hmac:" in reason
