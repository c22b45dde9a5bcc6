"""What an `rph` PASSporT grants, and whether the message asks for more (RFC 8443, RFC 9027)."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shaken.priority import CALLBACK, Priority, examine_priority


def granted_to(*auth: str, callback: bool = False, asked: bool = False) -> Priority:
    return Priority(auth, is_callback=callback, is_asked=asked)


ETS = {"rph": {"auth": ["ets.0", "wps.1"]}}
CALLED_BACK = {"rph": {"auth": ["esnet.0"]}, "sph": CALLBACK}


@pytest.mark.parametrize(
    ("claims", "lines", "granted"),
    [
        (ETS, [], granted_to("ets.0", "wps.1")),
        (ETS, ["Resource-Priority: ets.0"], granted_to("ets.0", "wps.1", asked=True)),
        (ETS, ["resource-priority :WPS.1 , ets.0"], granted_to("ets.0", "wps.1", asked=True)),
        (ETS, ["Resource-Priority:ets.0", "nonsense"], granted_to("ets.0", "wps.1", asked=True)),
        (ETS, ["Diversion: <sip:a@b>", "nonsense", ""], granted_to("ets.0", "wps.1")),
        (ETS, ["Priority: normal"], granted_to("ets.0", "wps.1")),
        (CALLED_BACK, [], granted_to("esnet.0", callback=True)),
        (CALLED_BACK, ["Priority: psap-callback"], granted_to("esnet.0", callback=True)),
        ({**ETS, "sph": None}, [], granted_to("ets.0", "wps.1")),
    ],
    ids=str,
)
def test_what_is_granted_is_told(
    claims: dict[str, Any], lines: list[str], granted: Priority
) -> None:
    assert examine_priority(claims, lines) == granted


@pytest.mark.parametrize(
    ("claims", "lines", "words"),
    [
        (ETS, ["Resource-Priority: ets.1"], "Resource-Priority is 'ets.1'; rph grants 'ets.0, wps"),
        (ETS, ["Resource-Priority: ets.0, wps.0"], "Resource-Priority is 'wps.0'"),
        (ETS, ["Priority: psap-callback"], "Priority is psap-callback, which no sph vouches for"),
        ({}, [], "rph grants nothing"),
        ({"rph": None}, [], "rph grants nothing"),
        ({"rph": "ets.0"}, [], "rph grants nothing"),
        ({"rph": {}}, [], "rph grants nothing"),
        ({"rph": {"auth": []}}, [], "rph grants nothing"),
        ({"rph": {"auth": "ets.0"}}, [], "rph grants nothing"),
        ({"rph": {"auth": ["ets.0", 1]}}, [], "rph grants nothing"),
        ({**ETS, "sph": "urgent"}, [], "sph is 'urgent', not psap-callback"),
        ({**ETS, "sph": [CALLBACK]}, [], "sph is ['psap-callback'], not psap-callback"),
    ],
    ids=str,
)
def test_what_is_asked_for_and_not_granted_is_told(
    claims: dict[str, Any], lines: list[str], words: str
) -> None:
    found = examine_priority(claims, lines)

    assert isinstance(found, str)
    assert words in found


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=5,
)


@given(
    st.dictionaries(st.sampled_from(["rph", "sph"]), JSON | st.just(ETS["rph"])),
    st.lists(st.text()),
)
def test_any_claims_are_granted_or_say_why_not(claims: dict[str, Any], lines: list[str]) -> None:
    assert str(examine_priority(claims, lines)).isprintable()
