"""Canonical telephone numbers (RFC 8224 §8.3).

Two parties can only compare numbers, or sign and verify one, when both spell it alike: digits,
`*` and `#`, with the country code and without `+` or visual separators. `canonical_number` is that
spelling for whatever a PBX or a person writes. Which part of a URI is a number is left to callers,
the numbers of each country to `sip.numbering_plan`.
"""

import re

MAX_TEXT_LENGTH = 64
"""Longest text looked at: 15 digits with generous separators fit into it."""

MAX_NUMBER_LENGTH = 15
"""Longest canonical number: ITU-T E.164 §6.1, and `TelephoneNumber` of RFC 8226 §9."""

# RFC 8224 §8.3:
#   tn-spec = 1*tn-char
#   tn-char = "#" / "*" / DIGIT
_NOT_TN_CHAR = re.compile(r"[^0-9*#]")

# RFC 3966 §3, and the space that people write:
#   visual-separator = "-" / "." / "(" / ")"
_WITHOUT_SEPARATORS = str.maketrans("", "", "-.() ")

# What nearly every caller sends, recognised at one glance: canonical but for the plus.
_PLAIN = re.compile(r"\+?([0-9]{1,15})")


class NumberError(ValueError):
    """A text is no telephone number; the message is a short sentence that says why."""


def canonical_number(text: str, *, country: str | None, context: str | None = None) -> str:
    """Spell a telephone number canonically (RFC 8224 §8.3).

    `text` is a number as SIP, an API or a person writes it. `country` is the region (ISO 3166
    alpha-2, upper case) whose national numbers a text without `+` may be; with None the digits are
    taken as they stand, as are those no rule of the country turns into an international number.
    `context` is the start of the global numbers among which a text without `+` is local, as in
    `+44` (`sip.uri.phone_context`); where there is one, it says the country, whatever `country`
    is. Numbers that hold `*` or `#` are service codes and never get a country code.

    Returns 1 to 15 characters out of digits, `*` and `#`.

    Raises NumberError when the text is empty, too long, holds anything that is neither digit, `*`,
    `#` nor separator (a `+` may only stand first), or when a national number meets a country that
    `is_country` does not know.
    """
    plain = _PLAIN.fullmatch(text)
    may_be_national = country is not None or context is not None
    if plain is not None and (not may_be_national or text[0] == "+"):
        return plain[1]
    number = _strip(text)
    if may_be_national and text[0] != "+" and number.isdigit():
        number = _international(number, country, context)
    # Not before: the prefix of an international call is no part of its number.
    if len(number) > MAX_NUMBER_LENGTH:
        raise NumberError(f"a telephone number has at most {MAX_NUMBER_LENGTH} digits")
    return number


def is_country(code: str) -> bool:
    """Say whether `canonical_number` knows a country, given as ISO 3166 alpha-2 in upper case."""
    from sip import numbering_plan  # noqa: PLC0415 (slow to import, rarely needed)

    return numbering_plan.is_country(code)


def _strip(text: str) -> str:
    """Drop the leading `+` and the separators, or raise NumberError when more than digits stay."""
    if len(text) > MAX_TEXT_LENGTH:
        raise NumberError(f"a telephone number is written in at most {MAX_TEXT_LENGTH} characters")
    number = text.removeprefix("+").translate(_WITHOUT_SEPARATORS)
    if not number:
        raise NumberError("a telephone number needs at least one digit")
    stranger = _NOT_TN_CHAR.search(number)
    if stranger is not None and stranger[0] == "+":
        raise NumberError("a '+' may only stand at the start of a telephone number")
    if stranger is not None:
        raise NumberError(f"a telephone number may not hold {stranger[0]!a}")
    return number


def _international(digits: str, country: str | None, context: str | None) -> str:
    """Turn a national or local number into an international one where a plan knows how."""
    from sip import numbering_plan  # noqa: PLC0415 (slow to import, rarely needed)

    if context is not None:
        number = numbering_plan.in_context(digits, _strip(context))
    elif country is None:
        number = digits
    elif numbering_plan.is_country(country):
        number = numbering_plan.with_country_code(digits, country)
    else:
        raise NumberError(f"the country {country[:8]!a} of national telephone numbers is not known")
    # Some plans admit digits that leave no room for the country code, as Germany's does.
    return number if len(number) <= MAX_NUMBER_LENGTH else digits
