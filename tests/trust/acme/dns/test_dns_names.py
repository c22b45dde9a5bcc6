"""Names and values of records that providers and programs may be given."""

import dns.name
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trust.acme.dns.names import (
    RecordNameError,
    RecordValueError,
    challenge_value,
    record_name,
)

LABEL = "a" * 63


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("_acme-challenge.example.com", "_acme-challenge.example.com"),
        ("_ACME-Challenge.Example.COM.", "_acme-challenge.example.com"),
        ("xn--mnchen-3ya.de", "xn--mnchen-3ya.de"),
        ("a_", "a_"),
        (LABEL, LABEL),
        (f"{LABEL}.{LABEL}.{LABEL}.{'a' * 61}", f"{LABEL}.{LABEL}.{LABEL}.{'a' * 61}"),
    ],
)
def test_a_name_has_one_spelling(text: str, name: str) -> None:
    assert record_name(text) == name


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "a..b",
        ".a",
        "a..",
        "-a",
        "a-",
        "*.example.com",
        "a b",
        "a\\032b",
        "a;b",
        "a\n",
        "münchen.de",
        "$(reboot)",
        "\u212a.example",
        "a" * 64,
        f"{LABEL}.{LABEL}.{LABEL}.{'a' * 62}",
    ],
)
def test_what_is_no_plain_name_is_refused(text: str) -> None:
    with pytest.raises(RecordNameError, match="not a name of letters"):
        record_name(text)


@given(st.text(st.sampled_from("abcZ09-_.\\\"';$ ü"), max_size=20))
def test_a_name_that_is_taken_is_the_same_name_to_the_dns(text: str) -> None:
    try:
        name = record_name(text)
    except RecordNameError:
        return

    assert record_name(name) == name
    assert dns.name.from_text(name) == dns.name.from_text(text)


@given(st.binary(min_size=1, max_size=100))
def test_a_name_with_any_bytes_is_taken_only_if_it_is_plain(label: bytes) -> None:
    text = dns.name.Name([label[:63], b"example", b""]).to_text()

    try:
        name = record_name(text)
    except RecordNameError:
        return

    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-_.")


@pytest.mark.parametrize("text", ["x", "-_aZ09", "A" * 255])
def test_a_challenge_is_base64url(text: str) -> None:
    assert challenge_value(text) == text


@pytest.mark.parametrize("text", ["", "A" * 256, 'a"', "a b", "a=", "a\n", "ü"])
def test_what_is_no_challenge_is_refused(text: str) -> None:
    with pytest.raises(RecordValueError, match="not a challenge in base64url"):
        challenge_value(text)
