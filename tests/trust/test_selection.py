"""Which certificate signs for a tenant."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trust.names import dns_name
from trust.selection import Choice, Chosen, Fallback, StiCandidate, StiIndex, Why

NOW = 1_780_000_000
DAY = 86_400


def sti(
    name: str,
    *,
    upload: int,
    tenant: str | None = None,
    names: tuple[str, ...] = (),
    begins: int = NOW - 10 * DAY,
    ends: int = NOW + 10 * DAY,
    has_key: bool = True,
) -> StiCandidate:
    return StiCandidate(name, names, tenant, begins, ends, has_key, upload)


ALICE = ("alice.example",)
OWN = sti("own", upload=2, tenant="alice.example")
EXPIRED = sti("expired", upload=2, tenant="alice.example", ends=NOW - 1)
FUTURE = sti("future", upload=3, tenant="alice.example", begins=NOW + 1)
KEYLESS = sti("keyless", upload=2, tenant="alice.example", has_key=False)
COMMON = sti("common", upload=5)
LATER_COMMON = sti("later common", upload=6)
BOBS = sti("bob's", upload=1, tenant="bob.example")
CAROLS = sti("carol's", upload=4, tenant="carol.example")


@dataclass(frozen=True)
class Case:
    story: str
    certificates: Sequence[StiCandidate]
    expected: tuple[str, Chosen] | None
    addresses: tuple[str, ...] = ALICE
    fallback: Fallback = Fallback.FIRST


TENANT, FIRST = Chosen.TENANT, Chosen.FIRST
CASES = [
    Case("its own, though others were uploaded first", [BOBS, COMMON, OWN], ("own", TENANT)),
    Case("its own, with the fallback off", [OWN], ("own", TENANT), fallback=Fallback.NONE),
    Case(
        "of several the one that is valid since the latest",
        [
            sti("renewed", upload=1, tenant="alice.example", begins=NOW - DAY),
            sti("old", upload=2, tenant="alice.example", begins=NOW - 2 * DAY),
        ],
        ("renewed", TENANT),
    ),
    Case(
        "of several the next one when the newest is not valid yet",
        [OWN, FUTURE],
        ("own", TENANT),
    ),
    Case(
        "of two that are valid since the same moment the one uploaded last",
        [
            sti("again", upload=9, tenant="alice.example"),
            sti("before", upload=8, tenant="alice.example"),
        ],
        ("again", TENANT),
    ),
    Case(
        "one assigned to its alias",
        [COMMON, sti("alias", upload=9, tenant="sip.alice.example")],
        ("alias", TENANT),
        addresses=("alice.example", "sip.alice.example"),
    ),
    Case(
        "the newest over all of its addresses",
        [
            sti("by name", upload=1, tenant="alice.example", begins=NOW - 2 * DAY),
            sti("by alias", upload=2, names=("sip.alice.example",), begins=NOW - DAY),
        ],
        ("by alias", TENANT),
        addresses=("alice.example", "sip.alice.example"),
    ),
    Case(
        "one that names it exactly and is assigned to nobody",
        [COMMON, sti("named", upload=9, names=("other.example", "alice.example"))],
        ("named", TENANT),
    ),
    Case(
        "not one that names it and is assigned to somebody else",
        [COMMON, sti("theirs", upload=9, names=("alice.example",), tenant="bob.example")],
        ("common", FIRST),
    ),
    Case(
        "not one that names its parent domain or a wildcard over it",
        [COMMON, sti("near", upload=9, names=("example", "*.example", "sub.alice.example"))],
        ("common", FIRST),
    ),
    Case(
        "one that names it in another spelling of the same international name",
        [COMMON, sti("umlaut", upload=9, names=(dns_name("BÜCHER.Example."),))],
        ("umlaut", TENANT),
        addresses=(dns_name("xn--bcher-kva.example"),),
    ),
    Case("the first one, when its own has expired", [EXPIRED, COMMON], ("common", FIRST)),
    Case("the first one, when its own is not valid yet", [FUTURE, COMMON], ("common", FIRST)),
    Case("the first one, when its own has no key", [KEYLESS, COMMON], ("common", FIRST)),
    Case("the first one, when it has none", [COMMON], ("common", FIRST)),
    Case("of the unassigned the first uploaded", [LATER_COMMON, COMMON], ("common", FIRST)),
    Case(
        "an unassigned one before others' that were uploaded earlier",
        [BOBS, CAROLS, COMMON],
        ("common", FIRST),
    ),
    Case("another tenant's as the last resort", [CAROLS, BOBS], ("bob's", FIRST)),
    Case(
        "another tenant's when no unassigned one is usable",
        [sti("gone", upload=1, ends=NOW - 1), sti("no key", upload=2, has_key=False), CAROLS],
        ("carol's", FIRST),
    ),
    Case("the first one, for nobody's call", [BOBS, COMMON], ("common", FIRST), addresses=()),
    Case("none, when there is none", [], None),
    Case("none, when none is usable", [EXPIRED, FUTURE, KEYLESS], None),
    Case("none, with the fallback off", [COMMON, BOBS], None, fallback=Fallback.NONE),
    Case(
        "none, with the fallback off and its own expired",
        [EXPIRED, COMMON],
        None,
        fallback=Fallback.NONE,
    ),
    Case(
        "none, for nobody's call with the fallback off",
        [COMMON],
        None,
        addresses=(),
        fallback=Fallback.NONE,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.story)
def test_a_tenant_signs_with(case: Case) -> None:
    index = StiIndex(case.certificates)

    choice = index.for_tenant(case.addresses, now=NOW, fallback=case.fallback)

    assert outcome(choice) == case.expected


def outcome(choice: Choice | None) -> tuple[str, Chosen] | None:
    return None if choice is None else (choice.candidate.id, choice.chosen)


@pytest.mark.parametrize(
    ("now", "usable"),
    [(99, False), (100, True), (200, True), (201, False)],
)
def test_a_certificate_is_usable_from_its_first_to_its_last_second(
    now: int, *, usable: bool
) -> None:
    candidate = sti("edge", upload=1, begins=100, ends=200)

    choice = StiIndex([candidate]).for_tenant((), now=now, fallback=Fallback.FIRST)

    assert candidate.usable(now) is usable
    assert (choice is not None) is usable


def test_the_same_index_answers_for_any_time() -> None:
    index = StiIndex([OWN, sti("renewed", upload=3, tenant="alice.example", begins=NOW + DAY)])

    def chosen(now: int) -> tuple[str, Chosen] | None:
        return outcome(index.for_tenant(ALICE, now=now, fallback=Fallback.NONE))

    assert chosen(NOW) == ("own", TENANT)
    assert chosen(NOW + DAY) == ("renewed", TENANT)


def test_an_index_knows_how_many_certificates_it_holds() -> None:
    assert len(StiIndex([])) == 0
    assert len(StiIndex([OWN, COMMON, EXPIRED])) == 3


ADDRESSES = st.sampled_from(["a.example", "b.example", "c.example"])
CANDIDATES = st.builds(
    StiCandidate,
    id=st.uuids().map(str),
    names=st.lists(ADDRESSES, max_size=2).map(tuple),
    tenant=st.none() | ADDRESSES,
    not_before=st.integers(0, 6),
    not_after=st.integers(0, 6),
    has_key=st.booleans(),
    sequence=st.integers(1, 1_000_000),
)


@given(
    st.lists(CANDIDATES, max_size=8, unique_by=lambda candidate: candidate.sequence),
    st.lists(ADDRESSES, max_size=3, unique=True).map(tuple),
    st.integers(0, 6),
    st.sampled_from(Fallback),
)
def test_the_choice_is_what_the_rules_say_word_for_word(
    candidates: list[StiCandidate], addresses: tuple[str, ...], now: int, fallback: Fallback
) -> None:
    choice = StiIndex(candidates).for_tenant(addresses, now=now, fallback=fallback)

    assert outcome(choice) == by_the_rules(candidates, addresses, now, fallback)


@given(
    st.lists(CANDIDATES, max_size=8, unique_by=lambda candidate: candidate.sequence),
    ADDRESSES,
    st.integers(0, 7),
    st.integers(0, 7),
)
def test_a_choice_stays_what_it_is_within_its_period(
    candidates: list[StiCandidate], address: str, now: int, later: int
) -> None:
    index = StiIndex(candidates)
    begin, end = index.period(now)
    same = int(min(max(later, begin), end - 1))

    assert begin <= now < end
    assert outcome(index.for_tenant([address], now=same, fallback=Fallback.FIRST)) == outcome(
        index.for_tenant([address], now=now, fallback=Fallback.FIRST)
    )


def by_the_rules(
    candidates: list[StiCandidate], addresses: tuple[str, ...], now: int, fallback: Fallback
) -> tuple[str, Chosen] | None:
    usable = [each for each in candidates if each.usable(now)]
    own = [
        each
        for each in usable
        if each.tenant in addresses or (each.tenant is None and {*each.names} & {*addresses})
    ]
    if own:
        best = max(own, key=lambda each: (each.not_before, each.sequence))
        return best.id, Chosen.TENANT
    if fallback is Fallback.NONE or not usable:
        return None
    first = min(usable, key=lambda each: (each.tenant is not None, each.sequence))
    return first.id, Chosen.FIRST


WHYS = [
    (
        "another of its own is newer",
        [OWN, sti("new", upload=9, tenant="alice.example", begins=NOW)],
        {"new": Why.CHOSEN, "own": Why.OLDER},
    ),
    (
        "others' are not needed",
        [OWN, COMMON, BOBS],
        {"own": Why.CHOSEN, "common": Why.NOT_OWN, "bob's": Why.NOT_OWN},
    ),
    (
        "its own cannot be used",
        [EXPIRED, FUTURE, KEYLESS, COMMON],
        {
            "common": Why.CHOSEN,
            "future": Why.NOT_YET_VALID,
            "expired": Why.EXPIRED,
            "keyless": Why.NO_KEY,
        },
    ),
    (
        "the first one signs",
        [LATER_COMMON, COMMON, BOBS],
        {"common": Why.CHOSEN, "later common": Why.LATER, "bob's": Why.ASSIGNED},
    ),
    (
        "of those of others the first one signs",
        [CAROLS, BOBS],
        {"bob's": Why.CHOSEN, "carol's": Why.LATER},
    ),
]


@pytest.mark.parametrize(("story", "certificates", "expected"), WHYS, ids=[w[0] for w in WHYS])
def test_of_each_certificate_it_is_said_what_became_of_it(
    story: str, certificates: Sequence[StiCandidate], expected: dict[str, Why]
) -> None:
    found = StiIndex(certificates).appraise(ALICE, now=NOW, fallback=Fallback.FIRST)

    assert {each.candidate.id: each.why for each in found} == expected, story
    assert found[0].why is Why.CHOSEN


def test_with_the_fallback_off_others_certificates_are_passed_over() -> None:
    found = StiIndex([COMMON, BOBS]).appraise(ALICE, now=NOW, fallback=Fallback.NONE)

    assert {each.why for each in found} == {Why.FALLBACK_OFF}


@given(
    st.lists(
        st.builds(
            StiCandidate,
            id=st.uuids().map(str),
            names=st.lists(st.sampled_from(["alice.example", "bob.example"]), max_size=2).map(
                tuple
            ),
            tenant=st.sampled_from([None, "alice.example", "bob.example"]),
            not_before=st.integers(NOW - 2, NOW + 2),
            not_after=st.integers(NOW - 2, NOW + 2),
            has_key=st.booleans(),
            sequence=st.integers(1, 9),
        ),
        max_size=6,
    ),
    st.sampled_from(Fallback),
)
def test_what_is_said_agrees_with_what_is_chosen(
    certificates: list[StiCandidate], fallback: Fallback
) -> None:
    index = StiIndex(certificates)

    found = index.appraise(ALICE, now=NOW, fallback=fallback)
    choice = index.for_tenant(ALICE, now=NOW, fallback=fallback)

    assert sorted(each.candidate.id for each in found) == sorted(one.id for one in certificates)
    chosen = [each for each in found if each.why is Why.CHOSEN]
    if choice is None:
        assert not chosen
    else:
        assert [each.candidate for each in chosen] == [choice.candidate]
        assert chosen[0].own is (choice.chosen is Chosen.TENANT)
    unusable = {Why.NO_KEY, Why.EXPIRED, Why.NOT_YET_VALID}
    assert all((each.why in unusable) is not each.candidate.usable(NOW) for each in found)
