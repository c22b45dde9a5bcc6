"""National numbering plans: which digits are a national number, and its country code.

Stands apart from `sip.number`, which needs it for national numbers only, because importing the
metadata of all countries takes longer than most processes ever spend on telephone numbers.
"""

from functools import lru_cache

import phonenumbers
from phonenumbers import PhoneNumber, PhoneNumberFormat, ValidationResult

CACHE_SIZE = 8192
"""Numbers remembered: reading one costs about as much as signing it, and callers repeat."""

MAX_COUNTRY_CODE_LENGTH = 3
"""Digits of a country code (ITU-T E.164 §6.2.1); none is the beginning of another."""


def is_country(code: str) -> bool:
    """Say whether a region (ISO 3166 alpha-2, upper case) has a known numbering plan."""
    return code in phonenumbers.SUPPORTED_REGIONS


@lru_cache(maxsize=CACHE_SIZE)
def with_country_code(digits: str, country: str) -> str:
    """Add the country code to digits that are a national number, or return them as they stand.

    `digits` are ASCII digits only and `country` is one `is_country` knows. Prefixes dialled inside
    the country (the trunk prefix 0, the international 00 or 011) are dropped. Never raises.
    """
    try:
        number = phonenumbers.parse(digits, country)
    except phonenumbers.NumberParseException:
        return digits
    if not _is_national(number, digits, country):
        return digits
    return _international(number)


@lru_cache(maxsize=CACHE_SIZE)
def in_context(digits: str, prefix: str) -> str:
    """Read digits that are local to the global numbers with a prefix, or return them as they stand.

    Both are ASCII digits only. A prefix need not make a number by standing before the digits (RFC
    3966 §5.1.5: 911 is local to +1): where it makes none that is in use, the digits are read as
    those of its country. Never raises.
    """
    number = _in_use(prefix + digits)
    if number is not None:
        return _international(number)
    for length in range(1, MAX_COUNTRY_CODE_LENGTH + 1):
        country = phonenumbers.region_code_for_country_code(int(prefix[:length]))
        if is_country(country):
            return with_country_code(digits, country)
    return digits


def _international(number: PhoneNumber) -> str:
    return phonenumbers.format_number(number, PhoneNumberFormat.E164).removeprefix("+")


def _is_national(number: PhoneNumber, digits: str, country: str) -> bool:
    """Decide whether digits mean `number`, their reading inside the country.

    The same digits may also be an international number that lost its plus. The country's own code
    in front of a number in use says so; otherwise the national reading wins when it is in use, or
    when all numbers of the country are equally long and this one is as long; elsewhere an
    international number in use wins over a national one that is not.
    """
    international = _in_use(digits)
    if international is not None and international.country_code == number.country_code:
        return False
    if phonenumbers.is_valid_number(number):
        return True
    if phonenumbers.is_valid_short_number_for_region(number, country):
        return False
    # `is_possible_number` is not asked: it also likes numbers that lack their area code.
    if phonenumbers.is_possible_number_with_reason(number) != ValidationResult.IS_POSSIBLE:
        return False
    return international is None or _has_one_length(country)


def _in_use(digits: str) -> PhoneNumber | None:
    """Read digits as an international number; None when no country has such a number."""
    try:
        number = phonenumbers.parse("+" + digits)
    except phonenumbers.NumberParseException:
        return None
    return number if phonenumbers.is_valid_number(number) else None


def _has_one_length(country: str) -> bool:
    """Say whether all numbers of a country are equally long, as in North America."""
    metadata = phonenumbers.PhoneMetadata.metadata_for_region(country)
    plan = metadata.general_desc if metadata is not None else None
    return plan is not None and len(plan.possible_length) == 1
