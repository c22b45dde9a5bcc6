"""How diversions join into a chain (RFC 8946): in any order, each once, from whom to whom."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shaken.diversion import MAX_LINKS, Course, Link, read_link, trace

A, B, C, D, E, F, G = (f"1215555990{number}" for number in range(7))


def links(*ways: str) -> list[Link]:
    """Write `A>B,C` as the diversion from A to B and C."""
    names = dict(zip("ABCDEFG", (A, B, C, D, E, F, G), strict=True))
    pairs = (way.split(">") for way in ways)
    return [Link(names[one], tuple(names[each] for each in to.split(","))) for one, to in pairs]


# What a PASSporT says of a diversion


@pytest.mark.parametrize(
    ("claims", "link"),
    [
        ({"div": {"tn": A}, "dest": {"tn": [B]}}, Link(A, (B,))),
        ({"div": {"tn": A, "hi": "1.1"}, "dest": {"tn": [B]}}, Link(A, (B,))),
        ({"div": {"uri": "sip:a@b"}, "dest": {"uri": ["sip:c@d"]}}, Link("sip:a@b", ("sip:c@d",))),
        ({"div": {"tn": A}, "dest": {"uri": ["sip:c@d"], "tn": [B]}}, Link(A, (B, "sip:c@d"))),
        ({"div": {"tn": A}, "dest": {"tn": [B, C]}}, Link(A, (B, C))),
        ({"dest": {"tn": [B]}}, None),
        ({"div": None, "dest": {"tn": [B]}}, None),
        ({"div": A, "dest": {"tn": [B]}}, None),
        ({"div": {}, "dest": {"tn": [B]}}, None),
        ({"div": {"hi": "1"}, "dest": {"tn": [B]}}, None),
        ({"div": {"tn": [A]}, "dest": {"tn": [B]}}, None),
        ({"div": {"tn": 7}, "dest": {"tn": [B]}}, None),
        ({"div": {"tn": A, "uri": "sip:a@b"}, "dest": {"tn": [B]}}, None),
        ({"div": {"tn": A}}, None),
        ({"div": {"tn": A}, "dest": {}}, None),
        ({"div": {"tn": A}, "dest": {"tn": []}}, None),
        ({"div": {"tn": A}, "dest": {"tn": B}}, None),
        ({"div": {"tn": A}, "dest": {"tn": [B, 7]}}, None),
        ({"div": {"tn": A}, "dest": [B]}, None),
    ],
    ids=str,
)
def test_a_diversion_is_from_one_to_at_least_one(claims: dict[str, Any], link: Link | None) -> None:
    assert read_link(claims) == link


# Chains


@given(st.integers(1, MAX_LINKS).flatmap(lambda length: st.permutations(range(length))))
def test_up_to_five_diversions_join_in_whatever_order_they_came(order: list[int]) -> None:
    chain = links("A>B", "B>C", "C>D", "D>E", "E>F")[: len(order)]
    came = [chain[place] for place in order]

    found = trace(came, origins=[A], to=(A,), target=chain[-1].targets)

    assert isinstance(found, Course)
    assert found.links == tuple(chain)
    assert [came[place] for place in found.order] == chain
    assert (found.start, found.is_end_told) == (A, True)


@pytest.mark.parametrize(
    ("ways", "to", "target", "is_end_told"),
    [
        (["A>B"], (A,), (B,), True),
        (["A>B"], (B,), (B,), True),
        (["A>B"], (G,), (B,), True),
        (["A>B"], (B,), (), True),
        (["A>B"], (A,), (), False),
        (["A>B,C"], (A,), (C,), True),
        (["A>B,C"], (B, C), (), True),
        (["A>B,C", "C>D"], (A,), (D,), True),
        (["B>C", "A>B"], (A,), (), False),
    ],
    ids=str,
)
def test_a_chain_ends_where_the_call_goes_if_that_is_told(
    ways: list[str], to: tuple[str, ...], target: tuple[str, ...], *, is_end_told: bool
) -> None:
    """The To header may keep whom the call was for at first; the Request-URI may not."""
    found = trace(links(*ways), origins=[A], to=to, target=target)

    assert isinstance(found, Course)
    assert found.is_end_told == is_end_told


@pytest.mark.parametrize(
    ("ways", "target", "words"),
    [
        (["A>B"], C, f"the last diversion, from {A} to {B}, does not lead to {C}, where the call"),
        (["A>B"], A, f"the last diversion, from {A} to {B}, does not lead to {A}"),
        (["A>B", "B>C"], B, f"the last diversion, from {B} to {C}, does not lead to {B}"),
        (["A>B", "C>D"], D, f"the diversion from {C} to {D} does not join: none before it leads"),
        (["C>D", "A>B"], D, f"from {C} to {D} does not join: none before it leads to {C}"),
        (["A>B", "B>C", "D>E", "E>F"], F, f"the diversion from {D} to {E} does not join"),
        (["A>B", "A>B"], B, f"divert the call from the same party: from {A} to {B} and from {A}"),
        (["A>B", "A>C"], B, f"the same party: from {A} to {B} and from {A} to {C}"),
        (["A>B", "B>A", "A>C"], C, "two PASSporTs divert the call from the same party"),
        (["A>A"], A, f"the diversions run in a circle: from {A} to {A}"),
        (["A>B", "B>A"], A, f"the diversions run in a circle: from {A} to {B}, from {B} to {A}"),
        (["A>B", "B>C", "C>B"], B, "the diversions run in a circle"),
        (["A>B", "C>D", "D>C"], B, f"the diversion from {C} to {D} does not join"),
        (["A>B,C", "B>D", "C>D"], D, f"from {A} to {B}, {C} goes on in two ways: from {B}"),
        (["A>B", "B>C", "C>D", "D>E", "E>F", "F>G"], G, "there are more than 5 diversions"),
    ],
    ids=str,
)
def test_what_is_no_chain_says_which_diversion_is_wrong(
    ways: list[str], target: str, words: str
) -> None:
    found = trace(links(*ways), origins=[A], to=(target,), target=(target,))

    assert isinstance(found, str)
    assert words in found


def test_of_two_beginnings_the_one_that_the_call_was_for_is_right() -> None:
    came = links("C>D", "A>B")

    for origin, lost in ((A, C), (C, A)):
        found = trace(came, origins=[origin], to=(D,), target=())
        assert isinstance(found, str)
        assert f"none before it leads to {lost}" in found


PARTIES = st.sampled_from("ABCDEFG") | st.text(max_size=3)
LINKS = st.lists(
    st.builds(Link, PARTIES, st.lists(PARTIES, min_size=1, max_size=4).map(tuple)),
    min_size=1,
    max_size=8,
)


@given(LINKS, st.lists(PARTIES), st.lists(PARTIES, min_size=1), st.lists(PARTIES))
def test_any_diversions_are_a_chain_or_say_why_not(
    came: list[Link], origins: list[str], to: list[str], target: list[str]
) -> None:
    found = trace(came, origins=origins, to=to, target=target)

    if isinstance(found, str):
        assert found.isprintable() or not "".join([*to, *target]).isprintable()
        assert len(found) < 3000
        return
    assert sorted(found.order) == list(range(len(came)))
    assert found.links == tuple(came[place] for place in found.order)
    for before, behind in zip(found.links, found.links[1:], strict=False):
        assert behind.source in before.targets
    assert found.is_end_told or tuple(to) == (found.start,)
