import re
import subprocess
import sys

import phonenumbers
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sip.number import (
    MAX_NUMBER_LENGTH,
    MAX_TEXT_LENGTH,
    NumberError,
    canonical_number,
    is_country,
)

ANY_TEXT = st.text(alphabet=st.characters(exclude_categories=()), max_size=80)
NUMBER_LIKE = st.text(alphabet="0123456789+-.() *#a\r\u0661", max_size=70)
COUNTRIES = st.sampled_from([None, "US", "GB", "DE", "FR", "IT", "IN", "AU"])
SEPARATORS = st.text(alphabet="-.() ", max_size=2)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("12155551212", "12155551212"),
        ("+12155551212", "12155551212"),
        ("+1-215-555-1212", "12155551212"),
        ("+1 (215) 555.1212", "12155551212"),
        ("(215) 555-1212", "2155551212"),
        (" 215 ", "215"),
        ("911", "911"),
        ("0", "0"),
    ],
)
def test_drops_plus_and_visual_separators(text: str, canonical: str) -> None:
    assert canonical_number(text, country=None) == canonical


@pytest.mark.parametrize("country", [None, "US", "DE"])
@pytest.mark.parametrize("text", ["*67", "#31#", "*31#2155551212", "*", "1*1#"])
def test_keeps_service_codes_as_they_are(text: str, country: str | None) -> None:
    assert canonical_number(text, country=country) == text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "at least one digit"),
        ("+", "at least one digit"),
        ("- ( )", "at least one digit"),
        ("1-800-FLOWERS", "may not hold 'F'"),
        ("215\r\n5551212", r"may not hold '\r'"),
        ("215\x00", r"may not hold '\x00'"),
        ("215\t555", r"may not hold '\t'"),
        ("12155551212\n", r"may not hold '\n'"),
        ("215\ud800", r"may not hold '\ud800'"),
        ("215\u0661", r"may not hold '\u0661'"),
        ("\uff12\uff11\uff15", r"may not hold '\uff12'"),
        ("215\u00b2", r"may not hold '\xb2'"),
        ("215\u00a0555", r"may not hold '\xa0'"),
        ("215;ext=1", "may not hold ';'"),
        ("1+2155551212", "'+' may only stand at the start"),
        ("++12155551212", "'+' may only stand at the start"),
        (" +12155551212", "'+' may only stand at the start"),
    ],
)
def test_refuses_what_is_no_number(text: str, reason: str) -> None:
    with pytest.raises(NumberError, match=re.escape(reason)):
        canonical_number(text, country=None)


@pytest.mark.parametrize("country", [None, "US", "DE"])
@pytest.mark.parametrize("prefix", ["", "+", "-"])
def test_allows_15_digits_and_not_16(prefix: str, country: str | None) -> None:
    digits = "999999999999999"
    assert len(digits) == MAX_NUMBER_LENGTH

    assert canonical_number(prefix + digits, country=country) == digits
    with pytest.raises(NumberError, match="at most 15 digits"):
        canonical_number(prefix + digits + "9", country=country)


def test_allows_64_characters_of_text_and_not_65() -> None:
    text = "+1" + "-" * (MAX_TEXT_LENGTH - 3) + "2"

    assert canonical_number(text, country=None) == "12"
    with pytest.raises(NumberError, match="at most 64 characters"):
        canonical_number(text + "-", country=None)


@pytest.mark.parametrize(
    ("text", "country", "canonical"),
    [
        ("2155551212", "US", "12155551212"),
        ("(215) 555-1212", "US", "12155551212"),
        ("12155551212", "US", "12155551212"),
        ("020 7946 0018", "GB", "442079460018"),
        ("2079460018", "GB", "442079460018"),
        ("030 901820", "DE", "4930901820"),
        ("01 42 34 56 78", "FR", "33142345678"),
        ("06 1234 5678", "IT", "390612345678"),
        ("98765 43210", "IN", "919876543210"),
        ("33142345678", "DE", "4933142345678"),  # with +33 it were a number in Paris
        ("0999 999 9999", "GB", "449999999999"),  # not in use, but as long as others
    ],
)
def test_adds_the_country_code_to_a_national_number(
    text: str, country: str, canonical: str
) -> None:
    assert canonical_number(text, country=country) == canonical


@pytest.mark.parametrize(
    ("text", "country", "canonical"),
    [
        ("011 44 20 7946 0018", "US", "442079460018"),
        ("00 1 215 555 1212", "GB", "12155551212"),
        ("011 86 138 0013 8000", "US", "8613800138000"),
        ("00 55 11 98765 4321", "GB", "5511987654321"),
        ("0011 49 1511 1234567", "AU", "4915111234567"),
    ],
)
def test_drops_the_international_prefix_of_the_country(
    text: str, country: str, canonical: str
) -> None:
    assert canonical_number(text, country=country) == canonical


@pytest.mark.parametrize(
    ("text", "context", "canonical"),
    [
        ("2079460018", "+44", "442079460018"),
        ("020 7946 0018", "+44", "442079460018"),
        ("7946-0018", "+44-20", "442079460018"),
        ("2079460018", "+4420", "442079460018"),  # whose area code is in both
        ("5551212", "+1215", "12155551212"),
        ("011 44 20 7946 0018", "+1", "442079460018"),
        ("+12155551212", "+44", "12155551212"),
        ("911", "+1", "911"),
        ("110", "+49", "110"),
        ("8631234", "+1-914-555", "8631234"),  # RFC 3966 §6
        ("*31#", "+49", "*31#"),
        ("800", "+999", "800"),
        ("2155551212", "+999", "2155551212"),
        ("2155551212", "+800", "2155551212"),
    ],
)
@pytest.mark.parametrize("country", ["US", "DE", None])
def test_reads_a_local_number_where_its_context_says(
    text: str, context: str, canonical: str, country: str | None
) -> None:
    assert canonical_number(text, country=country, context=context) == canonical


@pytest.mark.parametrize("country", ["US", "DE", "GB", None])
def test_takes_a_number_with_plus_as_international_in_every_country(country: str | None) -> None:
    assert canonical_number("+2155551212", country=country) == "2155551212"
    assert canonical_number("+49 (30) 901820", country=country) == "4930901820"


@pytest.mark.parametrize(
    ("text", "country"),
    [
        ("442079460018", "US"),
        ("442079460018", "GB"),
        ("12155551212", "GB"),
        ("12025550143", "DE"),
        ("4930901820", "DE"),
        # Also a number of the town whose area code is 0491, were it so long.
        ("4915112345678", "DE"),
        ("919876543210", "IN"),
    ],
)
def test_keeps_an_international_number_that_lacks_its_plus(text: str, country: str) -> None:
    assert canonical_number(text, country=country) == text


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("2025550143", "12025550143"),  # +20 is Egypt
        ("3225551212", "13225551212"),  # +32 is Belgium, and 322 no area code in use
        ("9999999999", "19999999999"),  # what heartbeats send
    ],
)
def test_reads_ten_digits_in_north_america_as_national_whatever_else_they_may_be(
    text: str, canonical: str
) -> None:
    assert canonical_number(text, country="US") == canonical


@pytest.mark.parametrize(
    ("text", "country"),
    [
        ("911", "US"),
        ("110", "DE"),
        ("116117", "DE"),
        ("100", "US"),
        ("0", "DE"),
        ("5551212", "US"),  # lacks its area code
        ("123456789012345", "DE"),  # leaves no room for a country code
    ],
)
def test_keeps_digits_that_are_no_full_national_number(text: str, country: str) -> None:
    assert canonical_number(text, country=country) == text


@pytest.mark.parametrize("country", ["us", "XX", "", "USA", "\ud800\n" * 50])
def test_refuses_an_unknown_country_for_a_national_number(country: str) -> None:
    with pytest.raises(NumberError, match="country") as caught:
        canonical_number("2155551212", country=country)

    assert len(str(caught.value)) < 200
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("code", ["US", "DE", "GB", "IN", "CA", "FR"])
def test_knows_countries_by_their_upper_case_code(code: str) -> None:
    assert is_country(code)


@pytest.mark.parametrize("code", ["", "us", "UK", "ZZ", "USA", "1", "001", "U\u017f", "\ud800"])
def test_knows_no_other_text_as_a_country(code: str) -> None:
    assert not is_country(code)


@given(ANY_TEXT | NUMBER_LIKE, COUNTRIES)
@example("\ud800", None)
@example("9" * 15, "DE")
def test_answers_a_canonical_number_or_a_printable_reason(text: str, country: str | None) -> None:
    try:
        answer = canonical_number(text, country=country)
    except NumberError as error:
        answer = f"refused: {error}"

    assert re.fullmatch("[0-9*#]{1,15}|refused: [ -~]{1,100}", answer)


@given(st.from_regex("[0-9]{1,15}", fullmatch=True), COUNTRIES)
def test_the_answer_is_canonical_itself(digits: str, country: str | None) -> None:
    number = canonical_number(digits, country=country)

    assert canonical_number(number, country=None) == number
    assert canonical_number("+" + number, country=country) == number


@given(st.lists(st.tuples(st.sampled_from("0123456789*#"), SEPARATORS), min_size=1, max_size=15))
def test_separators_never_change_the_number(parts: list[tuple[str, str]]) -> None:
    number = "".join(digit for digit, _ in parts)
    text = "".join(digit + separators for digit, separators in parts)

    assert canonical_number(text, country=None) == number
    assert canonical_number("+" + text, country=None) == number


@pytest.mark.parametrize("country", sorted(phonenumbers.SUPPORTED_REGIONS))
def test_reads_the_example_number_of_every_country(country: str) -> None:
    example_number = phonenumbers.example_number(country)
    assert example_number is not None
    written = phonenumbers.format_number(example_number, phonenumbers.PhoneNumberFormat.NATIONAL)
    e164 = phonenumbers.format_number(example_number, phonenumbers.PhoneNumberFormat.E164)

    assert canonical_number(e164, country=country) == e164[1:]
    assert canonical_number(e164[1:], country=country) == e164[1:]
    assert canonical_number(re.sub("[^0-9]", "", written), country=country) == e164[1:]


def test_needs_no_country_metadata_for_plain_numbers() -> None:
    program = (
        "import sys\n"
        "from sip.number import canonical_number\n"
        "assert canonical_number('12155551212', country=None) == '12155551212'\n"
        "assert canonical_number('+1 215 555 1212', country='US') == '12155551212'\n"
        "assert 'phonenumbers' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
