"""Which attestation a tenant may give a number."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shaken.attestation import (
    Attest,
    AttestPolicy,
    ForeignAttest,
    NumberRule,
    NumberRuleError,
    OwnNumbers,
    attest_for,
    parse_number_rule,
)

OWN, FOREIGN = "12155550100", "12155550200"
NUMBERS = OwnNumbers((parse_number_rule(f"+{OWN}"), parse_number_rule("+44*")))

A, B, C = Attest.A, Attest.B, Attest.C
REFUSE = ForeignAttest.REFUSE


@pytest.mark.parametrize(
    ("default", "foreign", "wanted", "own_number", "foreign_number"),
    [
        (A, ForeignAttest.A, None, A, A),
        (A, ForeignAttest.B, None, A, B),
        (A, ForeignAttest.C, None, A, C),
        (A, REFUSE, None, A, None),
        (B, ForeignAttest.A, None, B, B),
        (B, ForeignAttest.B, None, B, B),
        (B, ForeignAttest.C, None, B, C),
        (C, ForeignAttest.A, None, C, C),
        (C, ForeignAttest.B, None, C, C),
        (A, ForeignAttest.B, A, A, B),
        (A, ForeignAttest.B, B, B, B),
        (A, ForeignAttest.B, C, C, C),
        (B, ForeignAttest.C, A, A, C),
        (C, REFUSE, C, C, None),
        (B, REFUSE, A, A, None),
    ],
)
def test_a_call_is_attested(
    default: Attest,
    foreign: ForeignAttest,
    wanted: Attest | None,
    own_number: Attest | None,
    foreign_number: Attest | None,
) -> None:
    policy = AttestPolicy(default, foreign)

    def attest(number: str | None) -> Attest | None:
        return attest_for(number, wanted=wanted, policy=policy, numbers=NUMBERS)

    assert attest(OWN) is own_number
    assert attest("441632960100") is own_number
    assert attest(FOREIGN) is foreign_number
    assert attest(None) is foreign_number  # a URI, which no list of numbers covers


@pytest.mark.parametrize("number", [OWN, FOREIGN, None])
@pytest.mark.parametrize("wanted", [None, A, B, C])
@pytest.mark.parametrize("foreign", ForeignAttest)
def test_a_tenant_that_lists_no_numbers_is_trusted_with_all(
    number: str | None, wanted: Attest | None, foreign: ForeignAttest
) -> None:
    attest = attest_for(
        number, wanted=wanted, policy=AttestPolicy(B, foreign), numbers=OwnNumbers(())
    )

    assert attest is (wanted or B)


@given(
    st.sampled_from(Attest), st.sampled_from(["A", "B", "C"]), st.none() | st.sampled_from(Attest)
)
def test_no_request_lifts_a_foreign_number_above_its_level(
    default: Attest, foreign: str, wanted: Attest | None
) -> None:
    policy = AttestPolicy(default, ForeignAttest(foreign))

    attest = attest_for(FOREIGN, wanted=wanted, policy=policy, numbers=NUMBERS)

    assert attest is not None
    assert attest.value >= foreign


# Number rules


@pytest.mark.parametrize(
    ("text", "rule", "spelled"),
    [
        ("+12155550100", NumberRule(first=OWN, last=OWN), "+12155550100"),
        ("12155550100", NumberRule(first=OWN, last=OWN), "+12155550100"),
        ("+1", NumberRule(first="1", last="1"), "+1"),
        ("+12155550100-+12155550199", NumberRule(OWN, "12155550199"), "+12155550100-+12155550199"),
        ("12155550100-12155550199", NumberRule(OWN, "12155550199"), "+12155550100-+12155550199"),
        (
            "+12155550100 - +12155550199",
            NumberRule(OWN, "12155550199"),
            "+12155550100-+12155550199",
        ),
        ("+12155550100-+12155550100", NumberRule(OWN, OWN), "+12155550100"),
        ("+1215777*", NumberRule(prefix="1215777"), "+1215777*"),
        ("1*", NumberRule(prefix="1"), "+1*"),
    ],
)
def test_a_rule_is_read_and_spelled(text: str, rule: NumberRule, spelled: str) -> None:
    assert parse_number_rule(text) == rule
    assert str(rule) == spelled


@pytest.mark.parametrize(
    "text",
    [
        "",
        "+",
        "*",
        "+*",
        "++1",
        "+1 215 555 0100",
        "+1-215-555-0100",
        "+12155550100\n",
        "+12155550100-",
        "-+12155550100",
        "+1215*777",
        "+1215**",
        "+1215*-+1216*",
        "anonymous",
        "\N{ARABIC-INDIC DIGIT ONE}",
        "\ud800",
    ],
)
def test_what_is_no_rule_is_refused_with_an_example_of_each(text: str) -> None:
    with pytest.raises(NumberRuleError) as refused:
        parse_number_rule(text)

    for example in ("+12155550100", "+12155550200-+12155550299", "+1215777*"):
        assert example in str(refused.value)


@pytest.mark.parametrize("text", ["+2-+1", "+12155550199-+12155550100", "+9-+10", "+100-+99"])
def test_a_range_runs_upwards_between_numbers_of_one_length(text: str) -> None:
    with pytest.raises(NumberRuleError, match="upwards between two numbers of one length"):
        parse_number_rule(text)


def test_a_number_has_at_most_15_digits_and_a_prefix_one_less() -> None:
    assert parse_number_rule("1" * 15)
    assert parse_number_rule("1" * 15 + "-" + "2" * 15)
    assert parse_number_rule("1" * 14 + "*")
    for text in ("1" * 16, "1" * 16 + "-" + "2" * 16, "1" * 15 + "*"):
        with pytest.raises(NumberRuleError):
            parse_number_rule(text)


@pytest.mark.parametrize(
    ("text", "number", "covered"),
    [
        ("+12155550100", "12155550100", True),
        ("+12155550100", "12155550101", False),
        ("+12155550100", "1215555010", False),
        ("+12155550100", "121555501000", False),
        ("+12155550100-+12155550199", "12155550099", False),
        ("+12155550100-+12155550199", "12155550100", True),
        ("+12155550100-+12155550199", "12155550150", True),
        ("+12155550100-+12155550199", "12155550199", True),
        ("+12155550100-+12155550199", "12155550200", False),
        ("+12155550100-+12155550199", "121555501505", False),
        ("+12155550100-+12155550199", "1215555015", False),
        ("+1215777*", "1215777", True),
        ("+1215777*", "12157770000", True),
        ("+1215777*", "12157780000", False),
        ("+1215777*", "121577", False),
        ("+1215777*", "121577700000000", True),
        ("+1215777*", "121577799999999", True),
        ("+1215777*", "121577800000000", False),
        ("+1215777*", "1215777*21", False),
        ("+1215777*", "1215777000000000", False),
        ("+1*", "1²", False),
        ("+1*", "\N{ARABIC-INDIC DIGIT ONE}", False),
        ("+12150*", "1215", False),
        ("+10-+20", "1#", False),
        ("+12155550100", "*12155550100", False),
    ],
)
def test_a_rule_covers(text: str, number: str, *, covered: bool) -> None:
    assert OwnNumbers([parse_number_rule(text)]).covers(number) is covered


DIGITS = st.text("0123456789", min_size=1, max_size=14)


@given(DIGITS, DIGITS, DIGITS)
def test_a_range_covers_what_counting_from_its_first_to_its_last_number_meets(
    first: str, last: str, number: str
) -> None:
    with suppress(NumberRuleError):
        rule = parse_number_rule(f"+{first}-+{last}")

        assert OwnNumbers([rule]).covers(number) is (
            len(number) == len(first) and int(first) <= int(number) <= int(last)
        )


@given(
    st.from_regex(r"\+?[0-9]{1,15}|\+?[0-9]{1,14}\*|\+?[0-9]{1,4}-\+?[0-9]{1,4}", fullmatch=True)
)
def test_the_spelling_of_a_rule_reads_as_the_same_rule(text: str) -> None:
    with suppress(NumberRuleError):
        rule = parse_number_rule(text)

        assert parse_number_rule(str(rule)) == rule


RULES = st.from_regex(
    r"[0-3]{1,4}|[0-3]{1,3}\*|[0-3]{1,2}-[0-3]{1,2}|[0-3]{3}-[0-3]{3}", fullmatch=True
)


def means(rule: NumberRule, number: str) -> bool:
    """Say what a rule says, one by one."""
    if not number.isdigit():
        return False
    if rule.prefix:
        return number.startswith(rule.prefix)
    return len(number) == len(rule.first) and rule.first <= number <= rule.last


@given(
    st.lists(RULES | st.sampled_from(["119*", "12*", "120*", "11999999999999*"]), max_size=12),
    st.text("0123#", min_size=1, max_size=4) | st.from_regex(r"1[129][09]{0,13}", fullmatch=True),
)
def test_numbers_are_a_tenants_own_exactly_where_one_of_its_rules_covers_them(
    texts: list[str], number: str
) -> None:
    rules = []
    for text in texts:
        with suppress(NumberRuleError):
            rules.append(parse_number_rule(text))

    assert OwnNumbers(rules).covers(number) is any(means(rule, number) for rule in rules)
    assert bool(OwnNumbers(rules)) is bool(rules)


@given(st.text(st.characters(exclude_categories=())) | st.text("+-* 019", max_size=40))
def test_any_text_is_a_rule_or_refused(text: str) -> None:
    with suppress(NumberRuleError):
        rule = parse_number_rule(text)

        assert OwnNumbers([rule]).covers(rule.prefix or rule.first)
