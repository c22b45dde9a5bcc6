"""Which certificate a TLS listener presents: a table of cases."""

from dataclasses import dataclass

import pytest

from trust.selection import Presented, TlsCandidate, TlsIndex

NOW = 1_800_000_000
DAY = 86_400
OWNERS = {"a.example": "a.example", "alias.example": "a.example", "b.example": "b.example"}


def certificate(
    name: str,
    *names: str,
    tenant: str | None = None,
    starts: int = -DAY,
    ends: int = 90 * DAY,
    built_in: bool = False,
    presentable: bool = True,
) -> TlsCandidate:
    return TlsCandidate(name, names, tenant, NOW + starts, NOW + ends, built_in, presentable)


BUILT_IN = certificate("built-in", "localhost", "127.0.0.1", built_in=True)


@dataclass(frozen=True)
class Case:
    asks: str | None
    presented: str
    chosen: Presented
    certificates: tuple[TlsCandidate, ...]


CASES = {
    "nothing but the built-in": Case("x.example", "built-in", Presented.SYSTEM, ()),
    "the exact domain certificate": Case(
        "a.example",
        "own",
        Presented.DOMAIN,
        (certificate("system", "a.example"), certificate("own", "a.example", tenant="a.example")),
    ),
    "an alias of the tenant": Case(
        "alias.example",
        "own",
        Presented.DOMAIN,
        (certificate("own", "alias.example", tenant="a.example"),),
    ),
    "a domain certificate of somebody else": Case(
        "b.example",
        "built-in",
        Presented.SYSTEM,
        (certificate("foreign", "b.example", tenant="a.example"),),
    ),
    "a name that is no tenant's any more": Case(
        "gone.example",
        "built-in",
        Presented.SYSTEM,
        (certificate("own", "gone.example", tenant="a.example"),),
    ),
    "an exact system certificate before a wildcard": Case(
        "sip.example.com",
        "exact",
        Presented.SYSTEM,
        (certificate("wild", "*.example.com"), certificate("exact", "sip.example.com")),
    ),
    "a wildcard of one label": Case(
        "sip.example.com", "wild", Presented.WILDCARD, (certificate("wild", "*.example.com"),)
    ),
    "no wildcard over two labels": Case(
        "a.sip.example.com",
        "other",
        Presented.SYSTEM,
        (
            certificate("wild", "*.example.com", ends=DAY),
            certificate("other", "other.example", ends=2 * DAY),
        ),
    ),
    "no wildcard for the bare domain": Case(
        "example.com",
        "wild",  # as the default, for it is the only one that was not built in
        Presented.SYSTEM,
        (certificate("wild", "*.example.com"),),
    ),
    "of several the one that is valid now": Case(
        "a.example",
        "valid",
        Presented.DOMAIN,
        (
            certificate("expired", "a.example", tenant="a.example", ends=-1),
            certificate("valid", "a.example", tenant="a.example", ends=DAY),
            certificate("early", "a.example", tenant="a.example", starts=DAY, ends=400 * DAY),
        ),
    ),
    "of several valid ones the latest end": Case(
        "a.example",
        "long",
        Presented.DOMAIN,
        (
            certificate("short", "a.example", tenant="a.example", ends=DAY),
            certificate("long", "a.example", tenant="a.example", ends=2 * DAY),
        ),
    ),
    "no name: the default": Case(
        None, "uploaded", Presented.SYSTEM, (certificate("uploaded", "pbx.example.com", ends=DAY),)
    ),
    "the built-in stands in nobody's way": Case(
        "localhost",
        "uploaded",
        Presented.SYSTEM,
        (certificate("uploaded", "localhost", ends=DAY),),
    ),
    "one that OpenSSL presents, though another ends later": Case(
        None,
        "good",
        Presented.SYSTEM,
        (
            certificate("good", "x.example", ends=DAY),
            certificate("bad", "y.example", presentable=False),
        ),
    ),
    "the built-in where all others have expired": Case(
        None, "built-in", Presented.SYSTEM, (certificate("expired", "x.example", ends=-1),)
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_presents_by_the_rules(case: Case) -> None:
    index = TlsIndex((BUILT_IN, *case.certificates), OWNERS)

    choice = index.for_server_name(case.asks, now=NOW)

    assert choice is not None
    assert (choice.candidate.id, choice.chosen) == (case.presented, case.chosen)


def test_names_what_is_presented_next_where_the_best_cannot_be() -> None:
    index = TlsIndex(
        (
            BUILT_IN,
            certificate("wild", "*.a.example", ends=DAY),
            certificate("exact", "sip.a.example", ends=2 * DAY),
            certificate("expired", "sip.a.example", tenant="a.example", ends=-1),
            certificate("own", "sip.a.example", tenant="a.example"),
        ),
        {"sip.a.example": "a.example"},
    )

    turns = [choice.candidate.id for choice in index.in_turn("sip.a.example", now=NOW)]

    assert [*dict.fromkeys(turns)] == ["own", "expired", "exact", "wild", "built-in"]


def test_presents_nothing_where_there_is_nothing() -> None:
    assert TlsIndex((), {}).for_server_name("a.example", now=NOW) is None
