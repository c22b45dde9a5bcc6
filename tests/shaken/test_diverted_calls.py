"""Calls that were diverted: `div` and `div-o` PASSporTs with the caller's (RFC 8946)."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shaken.acceptance import REASONS, Action, Reaction, VerificationPolicy, Verstat
from shaken.diversion import MAX_LINKS
from shaken.identities import MAX_OTHERS
from shaken.verifier import Outcome
from shaken.x5u.exchange import FetchError, Reason
from tests.diversions import CALLED, DIVERTER, HOPS, Calls, header_of, signed
from tests.verification import ORIG, X5U, Desk, at, fetched
from trust.authority import Authority, Issued
from trust.tnauthlist import TnRange

B, C, D = HOPS[:3]


@pytest.fixture(scope="module")
def caller(lab_ca: Authority, now: int) -> Issued:
    """The certificate of the caller's provider."""
    return lab_ca.issue_sti(spc="1234", now=at(now))


@pytest.fixture(scope="module")
def diverter(lab_ca: Authority, now: int) -> Issued:
    """The certificate of the provider whose customers divert calls."""
    return lab_ca.issue_sti(spc="5678", now=at(now))


@pytest.fixture
def desk(lab_ca: Authority, caller: Issued, diverter: Issued, now: int) -> Desk:
    """A verifier that has both certificates at hand."""
    made = Desk(now, [lab_ca.root])
    made.publish(caller)
    made.publish(diverter, DIVERTER)
    return made


@pytest.fixture(scope="module")
def calls(caller: Issued, diverter: Issued, now: int) -> Calls:
    """Writes the headers of calls."""
    return Calls(caller, diverter, now)


def code_of(outcome: Outcome) -> int | None:
    """Take the code of a call that has a PASSporT of its own."""
    assert outcome.best is not None
    assert outcome.decision.code == outcome.best.verdict.code
    return outcome.decision.code


def found(outcome: Outcome) -> list[tuple[str, int | None]]:
    return [(judged.ppt, judged.verdict.code) for judged in outcome.judged]


# Chains that hold


@pytest.mark.parametrize("step", [1, -1, 5])
@pytest.mark.parametrize("length", range(1, MAX_LINKS + 1))
def test_a_call_passes_where_its_diversions_lead(
    desk: Desk, calls: Calls, length: int, step: int
) -> None:
    made = calls.chain(length)
    headers = sorted(made, key=lambda header: made.index(header) * step % 7)

    outcome = desk.at_once(*headers, target=(HOPS[length - 1],))

    assert code_of(outcome) is None
    assert outcome.decision.verstat is Verstat.PASSED
    assert found(outcome) == [("shaken", None), *[("div", None)] * length]
    sources = [
        judged.verdict.passport.claims["div"]["tn"]
        for judged in outcome.diversions
        if judged.verdict.passport is not None
    ]
    assert sources == [CALLED, *HOPS[: length - 1]]


@pytest.mark.parametrize(
    ("to", "target"),
    [((CALLED,), (B,)), ((B,), (B,)), ((B,), ()), ((CALLED,), ()), ((ORIG,), (B,))],
)
def test_the_to_header_counts_only_where_the_request_uri_is_not_told(
    desk: Desk, calls: Calls, to: tuple[str, ...], target: tuple[str, ...]
) -> None:
    assert code_of(desk.at_once(*calls.chain(1), dest=to, target=target)) is None


def test_where_a_call_was_diverted_is_told_step_by_step(desk: Desk, calls: Calls) -> None:
    outcome = desk.at_once(*calls.chain(2), target=(C,))

    assert outcome.best is not None
    assert [step.words for step in outcome.best.verdict.steps[-3:]] == [
        f"orig is that of the call: {ORIG}; dest is {CALLED}, who was called first",
        "attest is A",
        f"the call was diverted from {CALLED} to {B}, then from {B} to {C}, where the call goes",
    ]
    assert [step.words for step in outcome.diversions[1].verdict.steps[-4:]] == [
        "the signer is provider 5678",
        "iat is 0 s before now",
        "the signature fits the certificate's key",
        f"the call of {ORIG} was diverted from {B} to {C}",
    ]


def test_without_diversions_the_request_uri_is_not_looked_at(desk: Desk, calls: Calls) -> None:
    assert code_of(desk.at_once(calls.shaken(), target=(B,))) is None
    assert code_of(desk.at_once(calls.shaken(), dest=(B,), target=(CALLED,))) == 438


def test_a_diversion_may_stand_in_the_same_field(desk: Desk, calls: Calls) -> None:
    assert code_of(desk.at_once(", ".join(calls.chain(2)), target=(C,))) is None


def test_a_header_may_leave_its_type_to_the_passport(desk: Desk, calls: Calls) -> None:
    headers = [header.replace(";ppt=div", "") for header in calls.chain(1)]

    outcome = desk.at_once(*headers, target=(B,))

    assert found(outcome) == [("shaken", None), ("div", None)]
    assert code_of(outcome) is None


async def test_diversions_wait_for_certificates_together(desk: Desk, calls: Calls) -> None:
    desk.files.elsewhere = {url: desk.files.at_hand.pop(url) for url in (X5U, DIVERTER)}

    outcome = await desk.verify(*calls.chain(2), target=(C,))

    assert code_of(outcome) is None
    assert set(desk.files.asked) == {X5U, DIVERTER}


# Chains that do not

Made = Callable[[Calls], list[str]]

BROKEN: dict[str, tuple[Made, str]] = {
    "it ends elsewhere": (
        lambda calls: calls.chain(1),
        f"the last diversion, from {CALLED} to {B}, does not lead to {C}, where the call goes",
    ),
    "a link is missing at the end": (
        lambda calls: calls.chain(3)[:2],
        f"the last diversion, from {CALLED} to {B}, does not lead to {C}",
    ),
    "a link is missing in between": (
        lambda calls: [calls.shaken(), calls.div(CALLED, D), calls.div(B, C)],
        f"the diversion from {B} to {C} does not join: none before it leads to {B}",
    ),
    "the first link is missing": (
        lambda calls: [calls.shaken(), calls.div(B, C)],
        f"dest is {{'tn': ['{CALLED}']}}, the first diversion is from {B}",
    ),
    "a link is there twice": (
        lambda calls: [*calls.chain(2), calls.div(B, C)],
        f"two PASSporTs divert the call from the same party: from {B} to {C} and from {B} to {C}",
    ),
    "it forks": (
        lambda calls: [*calls.chain(2), calls.div(CALLED, D)],
        f"from {CALLED} to {B} and from {CALLED} to {D}",
    ),
    "it runs in a circle": (
        lambda calls: [calls.shaken(), calls.div(CALLED, B), calls.div(B, CALLED)],
        f"the diversions run in a circle: from {CALLED} to {B}, from {B} to {CALLED}",
    ),
    "it is too long": (lambda calls: calls.chain(6), "there are more than 5 diversions"),
    "it is much too long": (lambda calls: calls.chain(7), "there are more than 5 diversions"),
    "a link cannot be read": (
        lambda calls: [calls.shaken(), f"a.b.c;info=<{DIVERTER}>;ppt=div"],
        "a div PASSporT does not hold: the token cannot be read",
    ),
    "a link is in compact form": (
        lambda calls: [calls.shaken(), ".." + calls.div(CALLED, C).split(".", 2)[2]],
        "a div PASSporT does not hold: the token cannot be read: this is the compact form",
    ),
    "a link is of another type inside": (
        lambda calls: [calls.shaken(), calls.div(CALLED, C).replace("ppt=div", "ppt=div-o")],
        "a div-o PASSporT does not hold: ppt is not div-o",
    ),
    "a link names another certificate": (
        lambda calls: [calls.shaken(), calls.div(CALLED, C).replace(DIVERTER, X5U)],
        "a div PASSporT does not hold: info",
    ),
    "a link leads from nobody": (
        lambda calls: [calls.shaken(), calls.div(CALLED, C, div=None)],
        "a div PASSporT says of no diversion from whom to whom it leads",
    ),
    "a link leads to nobody": (
        lambda calls: [calls.shaken(), calls.div(CALLED, C, dest={"tn": []})],
        "a div PASSporT says of no diversion from whom to whom it leads",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_chain_that_is_broken_is_438_and_says_where(desk: Desk, calls: Calls, case: str) -> None:
    make, words = BROKEN[case]

    outcome = desk.at_once(*make(calls), target=(C,))

    assert code_of(outcome) == 438
    assert outcome.decision.words is not None
    assert words in outcome.decision.words
    assert outcome.decision.words.isprintable()
    assert outcome.decision.verstat is Verstat.FAILED
    assert len(outcome.judged) <= 1 + MAX_LINKS + 1


LINKS_THAT_FAIL: dict[str, tuple[dict[str, Any], int, str]] = {
    "another caller": ({"orig": {"tn": "12155550101"}}, 438, "orig is {'tn': '12155550101'}, the"),
    "no caller": ({"orig": None}, 438, "orig is None, the call comes from"),
    "too early": ({"iat": -61}, 403, "iat is 61 s before now"),
    "too late": ({"iat": 16}, 403, "iat is 16 s after now"),
    "no time": ({"iat": None}, 438, "iat is missing or no integer"),
}


@pytest.mark.parametrize("place", [1, 2, 3])
@pytest.mark.parametrize("case", LINKS_THAT_FAIL)
def test_each_link_is_judged_like_the_callers_passport(
    desk: Desk, calls: Calls, case: str, place: int
) -> None:
    claims, code, words = LINKS_THAT_FAIL[case]
    if isinstance(claims.get("iat"), int):
        claims = {"iat": desk.now + claims["iat"]}
    headers, parties = calls.chain(3), (CALLED, *HOPS)
    headers[place] = calls.div(parties[place - 1], parties[place], **claims)

    outcome = desk.at_once(*headers, target=(D,))

    assert code_of(outcome) == code
    link = f"diversion {place} of 3, from {parties[place - 1]} to {parties[place]}, does not hold: "
    assert outcome.decision.words is not None
    assert outcome.decision.words.startswith(link + words)
    codes = [judged.verdict.code for judged in outcome.diversions]
    assert codes == [code if number == place else None for number in (1, 2, 3)]


def test_an_altered_link_does_not_hold(desk: Desk, calls: Calls) -> None:
    good, other = calls.div(CALLED, B), calls.div(CALLED, B, x=1)
    head, _, rest = good.partition(".")
    altered = ".".join([head, other.split(".")[1], rest.partition(".")[2]])

    outcome = desk.at_once(calls.shaken(), altered, target=(B,))

    assert code_of(outcome) == 438
    assert "diversion 1 of 1" in (outcome.decision.words or "")
    assert "or was altered" in (outcome.decision.words or "")


@pytest.mark.parametrize(
    ("authorised", "code"),
    [
        ({"numbers": [CALLED]}, None),
        ({"ranges": [TnRange(CALLED, 2)]}, None),
        ({"numbers": [ORIG]}, 437),
        ({"numbers": [B]}, 437),
        ({"spc": "5678"}, None),
    ],
    ids=str,
)
def test_who_signs_a_diversion_must_speak_for_who_diverts(
    desk: Desk, lab_ca: Authority, calls: Calls, *, authorised: dict[str, Any], code: int | None
) -> None:
    issued = lab_ca.issue_sti(now=at(desk.now), **authorised)
    desk.publish(issued, DIVERTER)
    theirs = Calls(issued, issued, desk.now)

    outcome = desk.at_once(calls.shaken(), theirs.div(CALLED, B), target=(B,))

    assert code_of(outcome) == code
    assert code is None or f"does not cover {CALLED}" in (outcome.decision.words or "")


async def test_a_link_whose_certificate_cannot_be_had_is_436(desk: Desk, calls: Calls) -> None:
    desk.files.at_hand.pop(DIVERTER)
    desk.files.elsewhere[DIVERTER] = FetchError(Reason.TIMEOUT, "it is slow")

    outcome = await desk.verify(*calls.chain(1), target=(B,))

    assert code_of(outcome) == 436
    assert f"the certificate at {DIVERTER} cannot be had" in (outcome.decision.words or "")


def test_the_callers_own_failure_comes_before_that_of_diversions(desk: Desk, calls: Calls) -> None:
    stale = calls.shaken(iat=desk.now - 61)

    outcome = desk.at_once(stale, calls.div(B, C), target=(D,))

    assert code_of(outcome) == 403
    assert found(outcome) == [("shaken", 403), ("div", 438)]


def test_of_several_passports_the_one_that_was_diverted_decides(desk: Desk, calls: Calls) -> None:
    elsewhere = calls.shaken(dest={"tn": [D]})

    outcome = desk.at_once(elsewhere, calls.shaken(attest="C"), calls.div(CALLED, B), target=(B,))

    assert code_of(outcome) is None
    assert found(outcome) == [("shaken", 438), ("shaken", None), ("div", None)]


def test_a_diversion_without_the_callers_passport_is_438(desk: Desk, calls: Calls) -> None:
    required = VerificationPolicy(identity_required=True)

    alone = desk.at_once(calls.div(CALLED, B), target=(B,))
    missing = desk.at_once(calls.div(CALLED, B), target=(B,), policy=required)

    assert (alone.best, alone.decision.code, alone.decision.verstat) == (None, 438, Verstat.FAILED)
    assert alone.decision.words == (
        "the call was diverted, but there is no shaken PASSporT of who made it"
    )
    assert found(alone) == [("div", None)]
    assert (missing.decision.code, missing.decision.action) == (428, Action.REJECT)


@pytest.mark.parametrize(
    ("reaction", "action", "verstat"),
    [
        (Reaction.FLAG, Action.ACCEPT, Verstat.FAILED),
        (Reaction.IGNORE, Action.ACCEPT, Verstat.NONE),
        (Reaction.REJECT, Action.REJECT, Verstat.FAILED),
    ],
)
def test_policy_decides_of_broken_chains_as_of_all_that_is_invalid(
    desk: Desk, calls: Calls, *, reaction: Reaction, action: Action, verstat: Verstat
) -> None:
    policy = VerificationPolicy(invalid=reaction)

    for headers in (calls.chain(1), calls.chain(1)[1:]):
        decision = desk.at_once(*headers, target=(C,), policy=policy).decision
        assert (decision.action, decision.verstat, decision.code) == (action, verstat, 438)


def test_an_old_copy_of_a_diverters_certificate_is_said_to_be_one(
    desk: Desk, calls: Calls, diverter: Issued
) -> None:
    desk.files.at_hand[DIVERTER] = fetched(diverter.certificate, url=DIVERTER, stale=True)

    outcome = desk.at_once(*calls.chain(1), target=(B,))

    assert [judged.stale for judged in outcome.judged] == [False, True]


# PASSporTs in one another


@pytest.mark.parametrize("length", range(1, MAX_LINKS + 1))
def test_a_passport_may_hold_the_one_that_the_call_had_before(
    desk: Desk, calls: Calls, length: int
) -> None:
    outcome = desk.at_once(calls.nested(length), target=(HOPS[length - 1],))

    assert code_of(outcome) is None
    assert found(outcome) == [("shaken", None), *[("div-o", None)] * length]


def test_what_is_held_and_has_a_header_too_counts_once(desk: Desk, calls: Calls) -> None:
    inner = calls.shaken_token()
    first = calls.div_token(CALLED, B, "div-o", opt=inner)
    second = calls.div_token(B, C, "div-o", opt=first)
    headers = [
        header_of(inner, "shaken"),
        header_of(first, "div-o", x5u=DIVERTER),
        header_of(second, "div-o", x5u=DIVERTER),
    ]

    outcome = desk.at_once(*headers, target=(C,))

    assert code_of(outcome) is None
    assert found(outcome) == [("shaken", None), ("div-o", None), ("div-o", None)]


def test_a_chain_may_mix_both_ways(desk: Desk, calls: Calls) -> None:
    outcome = desk.at_once(calls.nested(1), calls.div(B, C), target=(C,))

    assert code_of(outcome) is None
    assert found(outcome) == [("shaken", None), ("div-o", None), ("div", None)]


def held(calls: Calls, opt: object) -> list[str]:
    made = calls.div_token(CALLED, C, "div-o", opt=opt)
    return [header_of(made, "div-o", x5u=DIVERTER)]


HELD: dict[str, tuple[Made, str]] = {
    "missing": (lambda calls: held(calls, None), "opt, which holds the original PASSporT, is miss"),
    "no text": (lambda calls: held(calls, {"a": 1}), "is missing or no text"),
    "no token": (lambda calls: held(calls, "a.b"), "the original PASSporT in opt cannot be read"),
    "compact": (
        lambda calls: held(calls, ".." + calls.shaken_token().split(".")[2]),
        "cannot be read: this is the compact form",
    ),
    "without x5u": (
        lambda calls: held(calls, calls.shaken_token().partition(".")[2]),
        "cannot be read",
    ),
}


@pytest.mark.parametrize("case", HELD)
def test_a_div_o_that_holds_no_passport_does_not_hold(desk: Desk, calls: Calls, case: str) -> None:
    make, words = HELD[case]

    outcome = desk.at_once(*make(calls), target=(C,))

    assert found(outcome) == [("div-o", 438)]
    assert outcome.decision.code == 438
    assert words in outcome.judged[0].verdict.words


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"attest": "D"}, 438),
        ({"origid": None}, 438),
        ({"orig": {"tn": B}}, 438),
        ({"dest": {"tn": [D]}}, 438),
        ({"iat": 1}, 437),
    ],
    ids=str,
)
def test_what_is_held_is_judged_like_any_other(
    desk: Desk, calls: Calls, changes: dict[str, Any], code: int
) -> None:
    outcome = desk.at_once(calls.nested(1, calls.shaken_token(**changes)), target=(B,))

    assert code_of(outcome) == code
    assert found(outcome)[1] == ("div-o", None)


def test_what_is_held_has_a_certificate_and_a_signature_of_its_own(
    desk: Desk, calls: Calls, diverter: Issued
) -> None:
    forged = Calls(diverter, diverter, desk.now).shaken_token()

    outcome = desk.at_once(calls.nested(1, forged), target=(B,))

    assert code_of(outcome) == 438
    assert "or was altered" in (outcome.decision.words or "")


def test_passports_in_one_another_are_followed_so_far_and_no_further(
    desk: Desk, calls: Calls
) -> None:
    for length in (6, 7):
        outcome = desk.at_once(calls.nested(length), target=(HOPS[length - 1],))

        assert (outcome.best, outcome.decision.code) == (None, 438)
        assert outcome.decision.words is not None
        assert "opt holds more than 5 PASSporTs in one another" in outcome.decision.words
        assert found(outcome) == [("div-o", 438)] * (MAX_LINKS + 1)


def test_a_passport_of_another_type_may_be_held(desk: Desk, calls: Calls, caller: Issued) -> None:
    rcd = calls.beside("rcd", rcd={"nam": "x"}).partition(";")[0]
    unknown = signed(caller, "msgi", {"iat": desk.now})

    both = desk.at_once(calls.nested(1, rcd), calls.shaken(), target=(B,))
    neither = desk.at_once(calls.nested(1, unknown), calls.shaken(), target=(B,))

    assert found(both) == [("shaken", None), ("div-o", None), ("rcd", None)]
    assert found(neither) == [("shaken", 438), ("div-o", 438)]
    assert "opt holds a PASSporT of an unknown type" in (neither.decision.words or "")


# Priority and rich call data of a call


@pytest.mark.parametrize("length", [0, 1, 2])
def test_priority_and_rich_call_data_are_for_whom_was_called_first(
    desk: Desk, calls: Calls, length: int
) -> None:
    beside = [
        calls.beside("rph", rph={"auth": ["ets.0"]}),
        calls.beside("rcd", rcd={"nam": "Büro"}, crn="an order"),
    ]
    target = (HOPS[length - 1],) if length else ()

    outcome = desk.at_once(*beside, *calls.chain(length), target=target)

    assert code_of(outcome) is None
    assert found(outcome) == [
        ("shaken", None),
        *[("div", None)] * length,
        ("rph", None),
        ("rcd", None),
    ]


@pytest.mark.parametrize(
    ("ppt", "claims", "words"),
    [
        ("rph", {"rph": {"auth": ["wps.0"]}}, "Resource-Priority is 'ets.0'; rph grants 'wps.0'"),
        ("rph", {}, "rph grants nothing"),
        ("rph", {"rph": {"auth": ["ets.0"]}, "orig": {"tn": B}}, "the call comes from"),
        ("rph", {"rph": {"auth": ["ets.0"]}, "dest": {"tn": [B]}}, "the call goes to"),
        ("rcd", {}, "there is neither rcd nor crn"),
        ("rcd", {"rcd": {}}, "the rich call data does not hold: rcd has no nam"),
        ("rcd", {"rcd": {"nam": "x"}, "rcdi": {"/nam": "sha256-x"}}, "the digest of /nam does not"),
        ("rcd", {"rcd": {"nam": "x"}, "dest": {"tn": [B]}}, "the call goes to"),
    ],
    ids=str,
)
def test_what_does_not_hold_of_them_says_nothing_of_the_number(
    desk: Desk, calls: Calls, *, ppt: str, claims: dict[str, Any], words: str
) -> None:
    protected = ("Resource-Priority: ets.0",)

    outcome = desk.at_once(calls.shaken(), calls.beside(ppt, **claims), protected=protected)

    assert code_of(outcome) is None
    assert found(outcome) == [("shaken", None), (ppt, 438)]
    assert words in outcome.judged[1].verdict.words


def test_of_a_call_that_went_astray_nothing_holds(desk: Desk, calls: Calls) -> None:
    beside = calls.beside("rph", rph={"auth": ["ets.0"]})

    astray = desk.at_once(*calls.chain(1), beside, target=(C,))
    stale = calls.div(CALLED, B, iat=desk.now - 61)
    broken = desk.at_once(calls.shaken(), stale, beside, target=(B,))

    assert found(astray) == [("shaken", 438), ("div", 438), ("rph", 438)]
    assert found(broken) == [("shaken", 403), ("div", 403), ("rph", 403)]


def test_alone_they_do_not_make_a_call_verified(desk: Desk, calls: Calls) -> None:
    outcome = desk.at_once(calls.beside("rph", rph={"auth": ["ets.0"]}))

    assert (outcome.best, outcome.decision.code) == (None, None)
    assert outcome.decision.verstat is Verstat.NONE
    assert found(outcome) == [("rph", None)]


def test_no_more_of_them_are_looked_at_than_is_sensible(desk: Desk, calls: Calls) -> None:
    many = [calls.beside("rph", rph={"auth": [f"ets.{number}"]}) for number in range(9)]

    assert len(desk.at_once(calls.shaken(), *many).judged) == 1 + MAX_OTHERS


def test_rich_call_data_in_the_callers_passport_is_told_and_fails_nothing(
    desk: Desk, calls: Calls
) -> None:
    for rcdi, words in (
        ({}, "the caller is named x"),
        ({"/y": "z"}, "the rich call data does not"),
    ):
        outcome = desk.at_once(calls.shaken(rcd={"nam": "x"}, rcdi=rcdi))
        assert code_of(outcome) is None
        assert outcome.best is not None
        assert outcome.best.verdict.words.startswith(words)


# Whatever is presented

PARTIES = st.sampled_from([CALLED, B, C, D, ORIG])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5) | PARTIES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["tn", "uri", "auth", "nam", "hi"]), inner)
    ),
    max_leaves=5,
)
PASSPORTS = st.tuples(
    st.sampled_from(["shaken", "div", "div-o", "rph", "rcd"]),
    PARTIES,
    PARTIES,
    st.dictionaries(
        st.sampled_from(["div", "dest", "orig", "iat", "opt", "rph", "sph", "rcd", "rcdi", "crn"]),
        JSON,
        max_size=2,
    ),
)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150
)
@given(st.lists(PASSPORTS, min_size=1, max_size=7), st.data())
def test_any_passports_get_a_verdict_of_the_table(
    desk: Desk, calls: Calls, made: list[tuple[str, str, str, dict[str, Any]]], data: st.DataObject
) -> None:
    tokens, headers = [calls.shaken_token()], []
    for ppt, one, other, claims in made:
        if ppt == "shaken":
            token = calls.shaken_token(dest={"tn": [one]}, **{"orig": None} if not claims else {})
        elif ppt == "div-o":
            opt = data.draw(st.sampled_from(tokens))
            token = calls.div_token(one, other, ppt, **{"opt": opt, **claims})
        elif ppt == "div":
            token = calls.div_token(one, other, ppt, **claims)
        else:
            token = calls.beside(ppt, **claims).partition(";")[0]
        tokens.append(token)
        x5u = DIVERTER if ppt in {"div", "div-o"} else X5U
        headers.append(header_of(token, ppt, x5u=x5u))

    target = tuple(data.draw(st.lists(PARTIES, max_size=2)))
    outcome = desk.at_once(*headers, target=target, dest=(data.draw(PARTIES),))

    assert outcome.decision.code in {None, *REASONS}
    assert (outcome.decision.code is None) == (outcome.decision.verstat is not Verstat.FAILED)
    for judged in outcome.judged:
        assert judged.verdict.code in {None, 403, 436, 437, 438}
        assert all(step.words.isprintable() for step in judged.verdict.steps)
    if outcome.decision.verstat is Verstat.PASSED and outcome.diversions:
        assert all(judged.verdict.code is None for judged in outcome.diversions)


def test_a_call_that_is_diverted_is_no_replay_of_itself_but_its_diversion_may_be_replayed(
    desk: Desk, calls: Calls
) -> None:
    original, diversion = calls.chain(1)

    def replayed(*headers: str, name: str, **changes: Any) -> bool:
        return desk.at_once(*headers, name=name, **changes).replayed

    assert not replayed(original, name="leg 1", dest=(CALLED,))
    assert not replayed(original, diversion, name="leg 2", target=(B,))
    assert replayed(diversion, original, name="leg 3", target=(B,))
    assert replayed(original, name="leg 4", dest=(CALLED,))
