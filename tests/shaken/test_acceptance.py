"""What a trunk's policy makes of what was found: every reaction to every code."""

import msgspec
import pytest

from shaken.acceptance import (
    DEFAULT_POLICY,
    REASONS,
    Action,
    Anonymity,
    Decision,
    Reaction,
    VerificationPolicy,
    Verstat,
    decide_failed,
    decide_missing,
    decide_passed,
)
from shaken.attestation import Attest

ACCEPT, REJECT = Action.ACCEPT, Action.REJECT
PASSED, FAILED, NONE = Verstat.PASSED, Verstat.FAILED, Verstat.NONE
MEMBERS = {403: "stale", 436: "unreachable", 437: "unfit", 438: "invalid"}


def policy_with(member: str, reaction: Reaction) -> VerificationPolicy:
    return msgspec.structs.replace(DEFAULT_POLICY, **{member: reaction})


@pytest.mark.parametrize("code", MEMBERS)
@pytest.mark.parametrize(
    ("reaction", "action", "verstat"),
    [
        (Reaction.FLAG, ACCEPT, FAILED),
        (Reaction.IGNORE, ACCEPT, NONE),
        (Reaction.REJECT, REJECT, FAILED),
    ],
)
def test_each_failure_has_a_reaction_of_its_own(
    *, code: int, reaction: Reaction, action: Action, verstat: Verstat
) -> None:
    policy = policy_with(MEMBERS[code], reaction)

    assert decide_failed(policy, code, "why") == Decision(action, verstat, code, "why")
    for other in MEMBERS.keys() - {code}:
        assert decide_failed(policy, other, "why") == Decision(ACCEPT, FAILED, other, "why")


def test_a_failure_that_no_setting_names_is_treated_as_an_invalid_header() -> None:
    assert decide_failed(policy_with("invalid", Reaction.REJECT), 499, "?").action is REJECT


@pytest.mark.parametrize(
    ("required", "anonymous", "policy", "action", "code"),
    [
        (False, False, Anonymity.ACCEPT, ACCEPT, None),
        (False, False, Anonymity.REJECT, ACCEPT, None),
        (False, True, Anonymity.ACCEPT, ACCEPT, None),
        (False, True, Anonymity.REJECT, REJECT, 433),
        (True, False, Anonymity.ACCEPT, REJECT, 428),
        (True, False, Anonymity.REJECT, REJECT, 428),
        (True, True, Anonymity.ACCEPT, REJECT, 428),
        (True, True, Anonymity.REJECT, REJECT, 433),
    ],
)
def test_a_call_without_what_could_be_verified(
    *, required: bool, anonymous: bool, policy: Anonymity, action: Action, code: int | None
) -> None:
    settings = VerificationPolicy(identity_required=required, anonymous=policy)

    decision = decide_missing(settings, anonymous=anonymous)

    assert (decision.action, decision.verstat, decision.code) == (action, NONE, code)
    assert (decision.words is None) == (code is None)
    if code is not None:
        assert ("anonymous" in str(decision.words)) == anonymous


@pytest.mark.parametrize(
    ("least", "attest", "action", "code"),
    [
        (None, "A", ACCEPT, None),
        (None, "C", ACCEPT, None),
        (Attest.A, "A", ACCEPT, None),
        (Attest.A, "B", REJECT, 608),
        (Attest.A, "C", REJECT, 608),
        (Attest.B, "A", ACCEPT, None),
        (Attest.B, "B", ACCEPT, None),
        (Attest.B, "C", REJECT, 608),
        (Attest.C, "C", ACCEPT, None),
    ],
)
def test_the_least_attestation_that_a_trunk_takes(
    *, least: Attest | None, attest: str, action: Action, code: int | None
) -> None:
    decision = decide_passed(VerificationPolicy(minimum_attest=least), attest)

    assert (decision.action, decision.verstat, decision.code) == (action, PASSED, code)


def test_where_no_trunk_says_otherwise_every_call_goes_on_as_what_it_is() -> None:
    assert decide_passed(DEFAULT_POLICY, "C") == Decision(ACCEPT, PASSED)
    assert decide_missing(DEFAULT_POLICY, anonymous=True) == Decision(ACCEPT, NONE)
    assert decide_failed(DEFAULT_POLICY, 438, "why") == Decision(ACCEPT, FAILED, 438, "why")


def test_every_code_that_is_decided_with_has_a_reason_phrase() -> None:
    assert set(REASONS) == {*MEMBERS, 428, 433, 608}
