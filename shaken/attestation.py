"""Which attestation a tenant may give a number (ATIS-1000074 §5.2.3). Pure.

A provider attests A only where it knows that the customer may use the number. A tenant that lists
its numbers says exactly that; one that lists none is trusted with its trunk's level.
"""

import re
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum

from sip.number import MAX_NUMBER_LENGTH


class Attest(StrEnum):
    """Full, partial, gateway (RFC 8588 §4)."""

    A = "A"
    B = "B"
    C = "C"


class ForeignAttest(StrEnum):
    """The most a trunk attests for numbers its tenant does not list; `refuse`: does not sign."""

    A = "A"
    B = "B"
    C = "C"
    REFUSE = "refuse"


class NumberRuleError(ValueError):
    """A text is no number, range or prefix; the message says what one looks like."""


@dataclass(frozen=True, slots=True)
class NumberRule:
    """Numbers from `first` to `last`, all of one length, or all that begin with `prefix`."""

    first: str = ""
    last: str = ""
    prefix: str = ""

    def __str__(self) -> str:
        if self.prefix:
            return f"+{self.prefix}*"
        return f"+{self.first}" if self.first == self.last else f"+{self.first}-+{self.last}"


_NUMBER = re.compile(r"\+?([0-9]{1,15})")
_RANGE = re.compile(r"\+?([0-9]{1,15})\s*-\s*\+?([0-9]{1,15})")
_PREFIX = re.compile(r"\+?([0-9]{1,14})\*")


def parse_number_rule(text: str) -> NumberRule:
    """Read `+12155550100`, `+12155550200-+12155550299` or `+1215777*`. Raises NumberRuleError."""
    if match := _NUMBER.fullmatch(text):
        return NumberRule(first=match[1], last=match[1])
    if match := _PREFIX.fullmatch(text):
        return NumberRule(prefix=match[1])
    if match := _RANGE.fullmatch(text):
        first, last = match.groups()
        if len(first) == len(last) and first <= last:
            return NumberRule(first=first, last=last)
        raise NumberRuleError("a range runs upwards between two numbers of one length")
    raise NumberRuleError(
        "write a number as +12155550100, a range as +12155550200-+12155550299,"
        " a prefix as +1215777*"
    )


class OwnNumbers:
    """The numbers a tenant lists, ready to be looked up: as quick for thousands as for one.

    They lie in one piece of memory. A call of one tenant among thousands finds none of its objects
    in the processor's caches, and waits for each that it touches.
    """

    __slots__ = ("_edges",)

    def __init__(self, rules: Sequence[NumberRule]) -> None:
        edges: list[int] = []
        for first, after in sorted(map(_span, rules)):
            if edges and first <= edges[-1]:
                edges[-1] = max(edges[-1], after)
            else:
                edges += first, after
        self._edges = array("Q", edges)
        """Between which places the tenant's numbers are: where they begin, where they cease."""

    def __bool__(self) -> bool:
        return bool(self._edges)

    def covers(self, number: str) -> bool:
        """Say whether a rule means this canonical number (no `+`); none means a service code."""
        if not (number.isascii() and number.isdigit() and len(number) <= MAX_NUMBER_LENGTH):
            return False
        return self._holds(_place(number)) or self._holds(_place_by_beginning(number))

    def _holds(self, place: int) -> bool:
        return bisect_right(self._edges, place) % 2 == 1


def _span(rule: NumberRule) -> tuple[int, int]:
    """Return the place of the first number that is meant, and that behind the last one."""
    if not rule.prefix:
        return _place(rule.first), _place(rule.last) + 1
    first = _place_by_beginning(rule.prefix)
    return first, first + 11 ** (MAX_NUMBER_LENGTH - len(rule.prefix))


def _place(number: str) -> int:
    """Place a number among those of its length; the shorter ones come before."""
    return int(f"1{number}")


_BEHIND_ALL = 10**17
"""A place behind those of all numbers of up to 15 digits."""

_DIGITS_OR_END = str.maketrans("0123456789", "123456789a")
"""Digits to base 11, which leaves 0 for the end of a number."""


def _place_by_beginning(digits: str) -> int:
    """Place a number, or the beginning of some, as a dictionary has words; behind all of `_place`.

    So those that begin alike stand side by side, whatever their length.
    """
    return _BEHIND_ALL + int(digits.translate(_DIGITS_OR_END).ljust(MAX_NUMBER_LENGTH, "0"), 11)


NO_NUMBERS = OwnNumbers(())
"""Of who lists none."""


@dataclass(frozen=True, slots=True)
class AttestPolicy:
    """What a trunk says: the level it gives, and the most it gives to foreign numbers."""

    default: Attest
    foreign: ForeignAttest

    def lowered(self, wanted: Attest | None) -> Attest:
        """Return the level for an INVITE, which may ask for less than the trunk gives, not more."""
        return self.default if wanted is None else max(self.default, wanted)


class Standing(Enum):
    """Whose number a caller has, as far as the tenant says."""

    UNLISTED = "unlisted"
    """The tenant lists no numbers, so nothing tells its own from others."""
    OWN = "own"
    FOREIGN = "foreign"


def standing_of(number: str | None, numbers: OwnNumbers) -> Standing:
    """Say whose a caller's canonical number is (None: a URI, which no list covers)."""
    if not numbers:
        return Standing.UNLISTED
    own = number is not None and numbers.covers(number)
    return Standing.OWN if own else Standing.FOREIGN


def attest_for(
    number: str | None,
    *,
    wanted: Attest | None,
    policy: AttestPolicy,
    numbers: OwnNumbers,
) -> Attest | None:
    """Return the attestation to sign with, or None: do not sign.

    `number` is the caller's canonical number (None: a URI, which no list covers); `wanted` is what
    the request asks for. A foreign number gets at most the policy's level for foreign numbers.
    """
    level = policy.default if wanted is None else wanted
    if standing_of(number, numbers) is not Standing.FOREIGN:
        return level
    if policy.foreign is ForeignAttest.REFUSE:
        return None
    return max(level, Attest(policy.foreign.value))
