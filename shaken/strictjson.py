"""JSON objects from strangers: UTF-8, no duplicate keys, bounded depth, finite numbers only.

RFC 8259 §4 leaves duplicate keys open, so two programs may read two things in one text; where a
signature or a permission hangs on it, the text is refused. So it is where an escape stands for half
a character (RFC 7493 §2.1), which nothing behind could write again.
"""

import json
from collections import Counter
from typing import Annotated, Any, NoReturn

import msgspec

MAX_DEPTH = 16
"""Levels of nesting; the deepest message of the STIR APIs has six."""

MAX_DIGITS = 20
"""Digits of a number; a Unix time has ten, and longer ones cost quadratic time to read."""

_USUAL_LEVELS = 6

_TOO_DEEP = f"nested deeper than {MAX_DEPTH} levels"


class JsonError(ValueError):
    """A text is not the JSON that is read here; the message says why."""


def parse_object(text: bytes) -> dict[str, Any]:
    """Read one JSON object. Raises JsonError, nothing else."""
    try:
        value: dict[str, Any] = _USUAL.decode(text)
        written = msgspec.json.encode(value)
        # Where the value makes the same text again, white space aside, that has no second meaning:
        # a key that is there twice would be missing, an escape would be spelled out.
        if written == text or written == msgspec.json.format(text, indent=-1):
            return value
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        pass
    return _any_object(text)


def _any_object(text: bytes) -> dict[str, Any]:
    """Read an object however it is written, or say what is wrong and where. Raises JsonError."""
    try:
        decoded = text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise JsonError(f"not UTF-8 at byte {error.start}") from error
    try:
        value = _DECODER.decode(decoded)
    except json.JSONDecodeError as error:
        raise JsonError(f"{error.msg} at character {error.pos}") from error
    except RecursionError as error:
        raise JsonError(_TOO_DEEP) from error
    if not isinstance(value, dict):
        raise JsonError("a JSON object is expected")
    # Every level opens with a bracket: only a text with many needs its depth measured.
    if decoded.count("{") + decoded.count("[") > MAX_DEPTH:
        _check_depth(value)
    if "\\u" in decoded:
        _check_characters(value)
    return value


def _check_depth(value: object) -> None:
    level: list[object] = [value]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
    if any(isinstance(outer, dict | list) for outer in level):
        raise JsonError(_TOO_DEEP)


def _check_characters(value: object) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as error:
        raise JsonError("an escape stands for half a character (a lone surrogate)") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        count = Counter(name for name, _ in pairs)
        twice = next(name for name in found if count[name] > 1)
        raise JsonError(f"duplicate key {ascii(twice)[:64]}")
    return found


def _integer(digits: str) -> int:
    if len(digits.removeprefix("-")) > MAX_DIGITS:
        raise JsonError(f"a number has more than {MAX_DIGITS} digits")
    return int(digits)


def _constant(name: str) -> NoReturn:
    raise JsonError(f"{name} is not JSON")


def _real(digits: str) -> float:
    value = float(digits)
    if value in {float("inf"), float("-inf")}:
        raise JsonError("a number is out of range")
    return value


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique, parse_int=_integer, parse_float=_real, parse_constant=_constant
)


def _usual_type() -> Any:  # noqa: ANN401 - a type that is made here
    """Return the type of objects of few levels, of texts, truth values and whole numbers."""
    whole = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
    value: Any = whole | str | bool | None
    for _ in range(_USUAL_LEVELS - 1):
        value = whole | str | bool | None | list[value] | dict[str, value]
    return dict[str, value]


_USUAL: msgspec.json.Decoder[Any] = msgspec.json.Decoder(_usual_type())
