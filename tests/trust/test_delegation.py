"""Delegation of telephone numbers: RFC 9060 §4."""

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from trust.authority import Authority
from trust.delegation import Scope, find_excess, may_speak_for
from trust.tnauthlist import MAX_ENTRIES, TN_AUTH_LIST_OID, TnAuthList, TnAuthListError, TnRange

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
ROOT = Authority.create("Lab root", now=NOW)
PLAIN = ROOT.intermediate("Lab STI-CA", now=NOW)


def listed(*entries: str) -> TnAuthList:
    """Write a list down: `spc:1234`, `12155550100`, `12155550100+100` (a range)."""
    return TnAuthList.of(
        spcs=[one.removeprefix("spc:") for one in entries if one.startswith("spc:")],
        ranges=[TnRange(start, int(count)) for start, _, count in map(partition, entries) if count],
        numbers=[one for one in entries if "+" not in one and not one.startswith("spc:")],
    )


def partition(entry: str) -> tuple[str, str, str]:
    return entry.partition("+")


HUNDRED = "12155550100+100"


@pytest.mark.parametrize(
    ("parent", "child"),
    [
        ([HUNDRED], [HUNDRED]),
        ([HUNDRED], ["12155550100+2", "12155550199", "12155550150+50"]),
        (["12155550100+50", "12155550150+50"], [HUNDRED]),
        (["12155550160+40", "12155550100+70"], [HUNDRED]),
        (["12155550100", "12155550101", "12155550102"], ["12155550100+3"]),
        (["*69", "12155550100"], ["*69"]),
        (["spc:1234", "spc:5678"], ["spc:5678"]),
        (["spc:1234"], ["12155550100", HUNDRED, "*69"]),
        (["spc:1234", "12155550100"], ["12155559999"]),
        (["00+100"], ["07"]),
    ],
    ids=[
        "the same",
        "parts",
        "two ranges that touch",
        "two ranges that overlap, in any order",
        "single numbers in a row",
        "a service number",
        "one of two codes",
        "numbers under a code",
        "numbers under a code beside numbers",
        "leading zeros",
    ],
)
def test_what_the_issuer_has_may_be_delegated(parent: list[str], child: list[str]) -> None:
    assert Scope.of(listed(*parent)).excess_of(Scope.of(listed(*child))) is None


@pytest.mark.parametrize(
    ("parent", "child", "what"),
    [
        ([HUNDRED], ["12155550200"], "12155550200"),
        ([HUNDRED], ["12155550099"], "12155550099"),
        ([HUNDRED], ["12155550150+51"], "12155550200"),
        ([HUNDRED], ["12155550099+10"], "12155550099"),
        (["12155550100+50", "12155550151+49"], [HUNDRED], "12155550150"),
        (["12155550100"], ["2155550100"], "2155550100"),
        (["00+100"], ["7"], "7"),
        (["0+10"], ["07"], "07"),
        ([HUNDRED], ["*69"], "*69"),
        ([HUNDRED], ["spc:1234"], "the provider code 1234"),
        (["spc:1234"], ["spc:5678"], "the provider code 5678"),
        (["spc:1234"], ["spc:1234", "spc:5678", "12155550100"], "the provider code 5678"),
    ],
    ids=[
        "one after the range",
        "one before the range",
        "a range that ends too late",
        "a range that begins too early",
        "a gap",
        "another length",
        "fewer digits than the issuer's",
        "more digits than the issuer's",
        "a service number",
        "a code under numbers",
        "another code",
        "one code too many",
    ],
)
def test_what_the_issuer_has_not_may_not_be_delegated(
    parent: list[str], child: list[str], what: str
) -> None:
    assert Scope.of(listed(*parent)).excess_of(Scope.of(listed(*child))) == what


def path_of(*lists: TnAuthList | None) -> tuple[x509.Certificate, ...]:
    """Issue a path whose certificates, from the one under the root down, have these lists."""
    authority = ROOT
    for number, one in enumerate(lists):
        authority = authority.intermediate(f"CA {number}", tn_auth_list=one, now=NOW)
    return (authority.certificate, *authority.superiors)


@pytest.mark.parametrize(
    "lists",
    [
        (None, listed("spc:1234")),
        (listed("spc:1234"), listed(HUNDRED), listed("12155550100")),
        (listed("spc:1234"), None, listed(HUNDRED)),
        (None, None, None),
    ],
    ids=["no list above", "two steps", "an authority without one between", "none at all"],
)
def test_a_path_that_delegates_what_it_has_is_sound(lists: tuple[TnAuthList | None, ...]) -> None:
    assert find_excess(path_of(*lists)) is None


@pytest.mark.parametrize(
    ("lists", "named", "by"),
    [
        ((listed(HUNDRED), listed("12155550200")), "CA 1", "CA 0"),
        ((listed("spc:1"), listed(HUNDRED), listed("spc:1")), "CA 2", "CA 1"),
        ((listed(HUNDRED), listed("spc:1"), listed("spc:1")), "CA 1", "CA 0"),
        ((listed(HUNDRED), None, listed("spc:1")), "CA 2", "CA 0"),
    ],
    ids=["at the leaf", "back to what was above", "at an intermediate", "around a list"],
)
def test_a_path_that_delegates_more_is_told(
    lists: tuple[TnAuthList | None, ...], named: str, by: str
) -> None:
    path = path_of(*lists)

    excess = find_excess(path)

    assert excess is not None
    assert named in excess.certificate.subject.rfc4514_string()
    assert by in excess.issuer.subject.rfc4514_string()
    assert excess.detail == (
        f'"CN={named},O=SHAKEN lab" names {excess.what}, which the TNAuthList of '
        f'"CN={by},O=SHAKEN lab" above it does not encompass'
    )


def test_the_path_openssl_made_is_sound() -> None:
    folder = Path(__file__).parents[1] / "vectors/trust/sti"
    leaf, sub, root, peer = (
        x509.load_pem_x509_certificate((folder / f"{name}.pem").read_bytes())
        for name in ("leaf", "sub", "root", "peer")
    )

    assert find_excess((leaf, sub, root)) is None
    assert find_excess((peer, root)) is None


def test_a_malformed_list_is_an_error() -> None:
    broken = x509.UnrecognizedExtension(TN_AUTH_LIST_OID, b"\x30\x00")
    certificate = ROOT._issue(
        ROOT.certificate.subject, ROOT.private_key.public_key(), (NOW, NOW), [(broken, False)]
    )

    with pytest.raises(TnAuthListError, match="no entry"):
        find_excess((certificate, ROOT.certificate))


@pytest.mark.parametrize(
    ("entries", "number", "ground"),
    [
        (["spc:1234"], "12155550100", "provider"),
        (["spc:1234"], None, "provider"),
        (["spc:1234", "12155550100"], "12155559999", "provider"),
        (["12155550100"], "12155550100", "number"),
        ([HUNDRED], "12155550199", "number"),
        (["*69"], "*69", "number"),
        ([HUNDRED], "12155550200", None),
        ([HUNDRED], "+12155550100", None),
        ([HUNDRED], "2155550100", None),
        ([HUNDRED], "١٢١٥٥٥٥٠١٠٠", None),
        ([HUNDRED], "", None),
        ([HUNDRED], None, None),
    ],
)
def test_who_may_speak_for_a_number(
    entries: list[str], number: str | None, ground: str | None
) -> None:
    assert may_speak_for(Scope.of(listed(*entries)), number) == ground


LIST = TnAuthList.of(
    spcs=["1234"], numbers=["12155550100", "*69"], ranges=[TnRange("12155550200", 100)]
)


@pytest.mark.parametrize("number", ["12155550100", "*69", "12155550200", "12155550299"])
def test_single_numbers_and_ranges_cover_the_numbers_they_name(number: str) -> None:
    assert Scope.of(LIST).covers(number)


@pytest.mark.parametrize(
    "number",
    [
        "12155550101",
        "12155550199",
        "12155550300",
        "2155550250",  # the same digits without the country code are another number
        "012155550250",
        "1215555025*",
        "1234",  # a provider code is not a number
        "+12155550100",
        "١٢١٥٥٥٥٠٢٥٠",  # digits, but not those of a telephone network
        "",
    ],
)
def test_nothing_else_is_covered(number: str) -> None:
    assert not Scope.of(LIST).covers(number)


def test_without_a_list_nobody_is_spoken_for() -> None:
    assert may_speak_for(Scope.of(None), "12155550100") is None


def test_the_longest_lists_are_compared_at_once() -> None:
    spread = [f"1215{number * 2:07}" for number in range(MAX_ENTRIES)]
    parent, child = TnAuthList.of(numbers=spread), TnAuthList.of(numbers=reversed(spread))

    began = time.process_time()
    assert Scope.of(parent).excess_of(Scope.of(child)) is None
    # All pairs would take ten thousand times as long as one pass.
    assert time.process_time() - began < 1


@st.composite
def lists(draw: st.DrawFn) -> TnAuthList:
    starts = st.text("01", min_size=1, max_size=3)
    numbers = draw(st.lists(starts | st.just("*1"), min_size=1, max_size=6))
    spans = []
    for start in draw(st.lists(starts, max_size=4)):
        room = 10 ** len(start) - int(start)
        spans.append(TnRange(start, draw(st.integers(2, min(room, 9)))))
    return TnAuthList.of(numbers=numbers, ranges=spans)


def names(tn_auth_list: TnAuthList, number: str) -> bool:
    """Look a number up entry by entry, as RFC 8226 §9 reads."""
    return number in tn_auth_list.numbers or any(
        len(number) == len(span.start) and span.start <= number <= span.last
        for span in tn_auth_list.ranges
    )


EVERY_NUMBER = [f"{n:0{length}}" for length in (1, 2, 3) for n in range(10**length)] + ["*1", "#"]


@given(lists(), lists())
def test_a_scope_encompasses_another_exactly_when_it_covers_its_numbers(
    parent: TnAuthList, child: TnAuthList
) -> None:
    named = {number for number in EVERY_NUMBER if names(parent, number)}
    wanted = {number for number in EVERY_NUMBER if names(child, number)}

    excess = Scope.of(parent).excess_of(Scope.of(child))

    assert (excess is None) == (wanted <= named)
    assert excess is None or excess in wanted - named
    assert {number for number in EVERY_NUMBER if Scope.of(parent).covers(number)} == named


@st.composite
def spans(draw: st.DrawFn) -> TnRange:
    start = draw(st.from_regex("[0-9]{1,15}", fullmatch=True).filter(lambda text: text.strip("9")))
    return TnRange(start, draw(st.integers(2, 10 ** len(start) - int(start))))


@given(spans(), st.data())
def test_a_range_covers_exactly_its_numbers(span: TnRange, data: st.DataObject) -> None:
    number = data.draw(st.integers(0, 10 ** len(span.start) - 1))

    covered = Scope.of(TnAuthList((span,))).covers(f"{number:0{len(span.start)}}")

    assert covered == (int(span.start) <= number <= int(span.last))


def test_a_number_of_any_length_is_answered() -> None:
    scope = Scope.of(TnAuthList.of(numbers=["12155550100"]))

    assert scope.covers("12155550100")
    assert not scope.covers("1" * 5000)
