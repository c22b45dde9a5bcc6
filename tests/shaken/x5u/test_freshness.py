"""How long a fetched file is kept, by what its repository says and within bounds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shaken.x5u.exchange import Validators
from shaken.x5u.freshness import (
    DEFAULT_SECONDS,
    MAX_SECONDS,
    MAX_VALIDATOR,
    MIN_SECONDS,
    lifetime,
    may_be_stored,
    validators,
)

NOW = 1_780_315_200.0  # Mon, 01 Jun 2026 12:00:00 GMT


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, DEFAULT_SECONDS),
        ({"cache-control": "public"}, DEFAULT_SECONDS),
        ({"cache-control": "max-age=7200"}, 7200),
        ({"cache-control": "Public, Max-Age=7200"}, 7200),
        ({"cache-control": 'max-age="7200"'}, 7200),
        ({"cache-control": "max-age=7200, s-maxage=600"}, 600),
        ({"cache-control": "s-maxage=600,max-age=7200"}, 600),
        ({"cache-control": "max-age=7200", "age": "200"}, 7000),
        ({"cache-control": "max-age=7200", "age": "soon"}, 7200),
        ({"cache-control": "max-age=7200", "expires": "0"}, 7200),
        ({"cache-control": "max-age=60"}, 60),
        ({"cache-control": "max-age=59"}, MIN_SECONDS),
        ({"cache-control": "max-age=0"}, MIN_SECONDS),
        ({"cache-control": "max-age=-1"}, MIN_SECONDS),
        ({"cache-control": "max-age=soon"}, MIN_SECONDS),
        ({"cache-control": "max-age"}, MIN_SECONDS),
        ({"cache-control": "max-age=86400"}, MAX_SECONDS),
        ({"cache-control": "max-age=86401"}, MAX_SECONDS),
        ({"cache-control": "max-age=" + "9" * 50}, MAX_SECONDS),
        ({"cache-control": "max-age=7200", "age": "9" * 5000}, MIN_SECONDS),
        ({"cache-control": "max-age=31536000, immutable"}, MAX_SECONDS),
        ({"cache-control": "no-cache, max-age=7200"}, MIN_SECONDS),
        ({"cache-control": "no-store"}, MIN_SECONDS),
        ({"expires": "Mon, 01 Jun 2026 14:00:00 GMT"}, 7200),
        (
            {
                "expires": "Mon, 01 Jun 2026 14:00:00 GMT",
                "date": "Mon, 01 Jun 2026 13:00:00 GMT",
            },
            3600,
        ),
        ({"expires": "Mon, 01 Jun 2026 11:00:00 GMT"}, MIN_SECONDS),
        ({"expires": "0"}, MIN_SECONDS),
        ({"expires": "Mon, 01 Jun 99999 11:00:00 GMT"}, MIN_SECONDS),
    ],
)
def test_a_file_is_fresh_for_as_long_as_is_said(headers: dict[str, str], seconds: float) -> None:
    assert lifetime(headers, now=NOW) == seconds


@given(st.dictionaries(st.sampled_from(["age", "cache-control", "date", "expires"]), st.text()))
def test_whatever_is_said_the_bounds_hold(headers: dict[str, str]) -> None:
    assert MIN_SECONDS <= lifetime(headers, now=NOW) <= MAX_SECONDS


def test_only_no_store_keeps_a_file_from_being_written_down() -> None:
    assert may_be_stored({"cache-control": "no-cache, max-age=0, private"})
    assert not may_be_stored({"cache-control": "private, No-Store"})


@pytest.mark.parametrize(
    ("etag", "kept"),
    [
        ('"1"', '"1"'),
        ('W/"1"', 'W/"1"'),
        ("", None),
        ('"a\r\nX: y"', None),
        ('"ü"', None),
        ("x" * MAX_VALIDATOR, "x" * MAX_VALIDATOR),
        ("x" * (MAX_VALIDATOR + 1), None),
    ],
)
def test_validators_are_kept_if_they_can_be_sent_back(etag: str, kept: str | None) -> None:
    assert validators({"etag": etag, "last-modified": etag}) == Validators(kept, kept)


def test_a_hostile_cache_control_is_read_as_far_as_servers_write() -> None:
    hostile = "a" * 2700 + "=" + " " * 5400 + ";"

    assert lifetime({"cache-control": hostile}, now=NOW) == DEFAULT_SECONDS
    assert lifetime({"cache-control": f"{hostile},max-age=300"}, now=NOW) == DEFAULT_SECONDS
