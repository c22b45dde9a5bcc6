"""JSON objects from strangers."""

import json
import time
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shaken.strictjson import MAX_DEPTH, MAX_DIGITS, JsonError, parse_object


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"{}", {}),
        (
            b' {"a" :\t[1, "b", null, true, {"c": -2.5e3}]}\r\n',
            {"a": [1, "b", None, True, {"c": -2500.0}]},
        ),
        ('{"ü": "例"}'.encode(), {"ü": "例"}),
        (rb'{"a": "\u00fc\ud83d\ude00"}', {"a": "ü\N{GRINNING FACE}"}),
        (rb'{"a": "\\ud800"}', {"a": r"\ud800"}),
        (b'{"a": {"a": {"a": 1}}}', {"a": {"a": {"a": 1}}}),
    ],
)
def test_an_object_is_read(text: bytes, value: dict[str, Any]) -> None:
    assert parse_object(text) == value


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (b"", "Expecting value at character 0"),
        (b"null", "a JSON object is expected"),
        (b"[]", "a JSON object is expected"),
        (b'"a"', "a JSON object is expected"),
        (b"1", "a JSON object is expected"),
        (b"{", "at character 1"),
        (b'{"a": 1,}', "at character "),  # of the comma or behind it: Python's versions differ
        (b"{'a': 1}", "at character 1"),
        (b'{"a": 1} {}', "Extra data at character 9"),
        (b'{"a": 01}', "at character 7"),
        (b'{"a": "\n"}', "at character 7"),
        (b'{"a": "\0"}', "at character 7"),
        (b'{"a": NaN}', "NaN is not JSON"),
        (b'{"a": [Infinity]}', "Infinity is not JSON"),
        (b'{"a": -Infinity}', "-Infinity is not JSON"),
        (b'{"a": 1e400}', "a number is out of range"),
        (b'{"a": -1e400}', "a number is out of range"),
        (b"\xef\xbb\xbf{}", "Expecting value at character 0"),
        ("{}".encode("utf-16"), "not UTF-8 at byte 0"),
        ("{}".encode("utf-16-le"), "at character 1"),
        (b'{"a": "\xe9"}', "not UTF-8 at byte 7"),
        (b'{"a": "\xed\xa0\x80"}', "not UTF-8 at byte 7"),
        (rb'{"a": "\ud800"}', "half a character"),
        (rb'{"a": ["\udfff x"]}', "half a character"),
        (rb'{"\ud83d": 1}', "half a character"),
        (rb'{"a": {"b": [{"\ude00\ud83d": 1}]}}', "half a character"),
    ],
)
def test_what_is_no_json_object_is_refused_with_its_place(text: bytes, complaint: str) -> None:
    with pytest.raises(JsonError) as refused:
        parse_object(text)

    assert complaint in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        b'{"a": 1, "a": 1}',
        b'{"x": {"a": 1, "b": 2, "a": 3}}',
        b'{"x": [[{"a": 1, "a": 2}]]}',
        rb'{"a": 1, "\u0061": 2}',
    ],
)
def test_a_key_that_is_there_twice_is_refused_at_every_level(text: bytes) -> None:
    with pytest.raises(JsonError, match=r"^duplicate key 'a'$"):
        parse_object(text)


def test_the_same_key_in_two_objects_is_no_duplicate() -> None:
    assert parse_object(b'{"a": {"a": 1}, "b": [{"a": 2}, {"a": 3}]}')


def test_a_duplicate_key_is_shown_short_and_safe_to_print() -> None:
    key = "\x1b[31m" + "ü" * 500
    text = f"{{{json.dumps(key)}: 1, {json.dumps(key)}: 2}}".encode()

    with pytest.raises(JsonError) as refused:
        parse_object(text)

    assert str(refused.value).isascii()
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 100


def test_a_duplicate_among_many_keys_is_found_in_a_moment() -> None:
    keys = ", ".join(f'"{number}": 0' for number in range(60_000))
    text = f'{{{keys}, "59999": 0}}'.encode()
    begin = time.thread_time()

    with pytest.raises(JsonError, match=r"^duplicate key '59999'$"):
        parse_object(text)

    # Comparing each key with each other takes more than a minute.
    assert time.thread_time() - begin < 3


def nested(depth: int, *, opening: str, closing: str) -> bytes:
    inner = depth - 1
    return f'{{"a": {opening * inner}1{closing * inner}}}'.encode()


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a": ', "}")])
def test_the_depth_is_bounded(opening: str, closing: str) -> None:
    assert parse_object(nested(MAX_DEPTH, opening=opening, closing=closing))
    with pytest.raises(JsonError, match=f"nested deeper than {MAX_DEPTH} levels"):
        parse_object(nested(MAX_DEPTH + 1, opening=opening, closing=closing))


def test_an_abyss_is_refused_like_any_other_depth() -> None:
    with pytest.raises(JsonError, match="nested deeper"):
        parse_object(nested(1_000_000, opening="[", closing="]"))


def test_many_values_side_by_side_are_not_deep() -> None:
    text = b'{"a": [' + b",".join([b"[]", b"{}"] * 100) + b'], "b": "[[[[[[[[[[[[[[[[[[[["}'

    assert len(parse_object(text)["a"]) == 200


@pytest.mark.parametrize("sign", ["", "-"])
def test_the_digits_of_a_whole_number_are_bounded(sign: str) -> None:
    longest = sign + "9" * MAX_DIGITS

    assert parse_object(f'{{"a": {longest}}}'.encode()) == {"a": int(longest)}
    with pytest.raises(JsonError, match=f"more than {MAX_DIGITS} digits"):
        parse_object(f'{{"a": {longest}9}}'.encode())


def test_a_million_digits_cost_no_time() -> None:
    with pytest.raises(JsonError, match="more than 20 digits"):
        parse_object(b'{"a": ' + b"9" * 1_000_000 + b"}")


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**19), 10**19)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"))
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=10,
)
OBJECTS = st.dictionaries(st.text(st.characters(codec="utf-8")), VALUES)


def depth(value: object) -> int:
    inner: list[object] = []
    if isinstance(value, dict):
        inner = [*value.values()]
    if isinstance(value, list):
        inner = value
    return 1 + max(map(depth, inner), default=0) if isinstance(value, dict | list) else 0


@given(value=OBJECTS, ascii_only=st.booleans())
def test_every_object_that_is_not_too_deep_comes_through_unchanged(
    value: dict[str, Any], *, ascii_only: bool
) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only).encode()

    if depth(value) <= MAX_DEPTH:
        assert parse_object(text) == value


@given(value=OBJECTS, other=VALUES, separators=st.sampled_from([(",", ":"), (", ", ": ")]))
def test_a_key_that_is_there_twice_is_refused_however_it_is_written(
    value: dict[str, Any], other: object, separators: tuple[str, str]
) -> None:
    text = json.dumps({"a": value}, separators=separators, ensure_ascii=False)
    again = json.dumps({"a": other}, separators=separators, ensure_ascii=False)
    doubled = f"{text[:-1]}{separators[0]}{again[1:]}"

    with pytest.raises(JsonError, match=r"duplicate key|nested deeper"):
        parse_object(doubled.encode())


@given(value=OBJECTS, indent=st.sampled_from([None, 0, 1, "\t"]))
def test_white_space_changes_nothing(value: dict[str, Any], indent: int | str | None) -> None:
    compact = json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
    wide = json.dumps(value, indent=indent, ensure_ascii=False).encode()

    if depth(value) <= MAX_DEPTH:
        assert parse_object(wide) == parse_object(compact) == value


JSON_LIKE = st.lists(
    st.sampled_from([b"{", b"}", b"[", b"]", b",", b":", b'"', b'"a"', b"1", b"-", b"e9", b"null"])
    | st.sampled_from([rb"\u", rb"\ud800", b"\\", b" ", b"NaN", b"\xff", b"\xef\xbb\xbf"]),
    max_size=40,
).map(b"".join)


@given(st.binary() | JSON_LIKE | JSON_LIKE.map(lambda inner: b'{"a":' + inner + b"}"))
def test_any_bytes_are_an_object_or_refused(text: bytes) -> None:
    with suppress(JsonError):
        parsed = parse_object(text)

        assert json.dumps(parsed, ensure_ascii=False).encode("utf-8")
