"""What is done with a call by what verification found: the policy of a trunk, as a pure function.

What was found stays what it was; the decision stands beside it.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

import msgspec

from shaken.attestation import Attest

REASONS = {
    403: "Stale Date",
    428: "Use Identity Header",
    433: "Anonymity Disallowed",
    436: "Bad Identity Info",
    437: "Unsupported Credential",
    438: "Invalid Identity Header",
    608: "Rejected",
}
"""Reason phrases of RFC 8224 §6.2.2, RFC 5079 and RFC 8688."""


class Verstat(StrEnum):
    """The verdict in the words of 3GPP TS 24.229 §7.2A.20."""

    PASSED = "TN-Validation-Passed"
    FAILED = "TN-Validation-Failed"
    NONE = "No-TN-Validation"


class Reaction(StrEnum):
    """What is done with a call whose header does not hold."""

    FLAG = "flag"
    """It goes on, as failed."""
    IGNORE = "ignore"
    """It goes on, as not validated."""
    REJECT = "reject"
    """It is to be answered with the code of the failure (RFC 8224 §6.2.2)."""


class Anonymity(StrEnum):
    """What is done with a call without a number to verify."""

    ACCEPT = "accept"
    REJECT = "reject"


class Replays(StrEnum):
    """What is done with a PASSporT that another call had before."""

    OFF = "off"
    REPORT = "report"
    FAIL = "fail"


class RevocationCheck(StrEnum):
    """What is done about revocation lists."""

    OFF = "off"
    SOFT = "soft"
    """A list that cannot be had is passed over."""
    HARD = "hard"
    """Without the list that it names no certificate is believed; one that names none is."""


MAX_FRESHNESS = 86_400

Freshness = Annotated[int, msgspec.Meta(ge=1, le=MAX_FRESHNESS)]
"""Seconds that an `iat` may lie in the past."""

Skew = Annotated[int, msgspec.Meta(ge=0, le=3600)]
"""Seconds that an `iat` may lie in the future, for clocks that disagree."""


class VerificationPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The settings of a trunk for calls that come in.

    `stale`, `unreachable`, `unfit`, `invalid` are the reactions to 403, 436, 437 and 438;
    `freshness`, `skew` and `replays` null are as the service has them.
    """

    identity_required: bool = False
    anonymous: Anonymity = Anonymity.ACCEPT
    minimum_attest: Attest | None = None
    stale: Reaction = Reaction.FLAG
    unreachable: Reaction = Reaction.FLAG
    unfit: Reaction = Reaction.FLAG
    invalid: Reaction = Reaction.FLAG
    freshness: Freshness | None = None
    skew: Skew | None = None
    replays: Replays | None = None

    def reaction(self, code: int) -> Reaction:
        """Return what is done about a failure, by its SIP code."""
        reactions: Mapping[int, Reaction] = {
            403: self.stale,
            436: self.unreachable,
            437: self.unfit,
            438: self.invalid,
        }
        return reactions.get(code, self.invalid)


DEFAULT_POLICY = VerificationPolicy()
"""What holds where no trunk says otherwise."""


class Action(StrEnum):
    """Whether a call goes on."""

    ACCEPT = "accept"
    REJECT = "reject"


class Decision(msgspec.Struct, frozen=True):
    """What is done with a call, which verstat it carries on, and why.

    `code` is the SIP response (RFC 8224 §6.2.2) that says what was found wrong, whether the call is
    rejected with it or goes on with it as a Reason (RFC 9410).
    """

    action: Action
    verstat: Verstat
    code: int | None = None
    words: str | None = None


_PASSED = Decision(Action.ACCEPT, Verstat.PASSED)


def decide_missing(policy: VerificationPolicy, *, anonymous: bool) -> Decision:
    """Decide of a call without any Identity that could be verified."""
    if anonymous and policy.anonymous is Anonymity.REJECT:
        words = "the caller is anonymous, which this trunk does not take"
        return Decision(Action.REJECT, Verstat.NONE, 433, words)
    if policy.identity_required:
        words = "there is no Identity header for a shaken PASSporT, which this trunk requires"
        if anonymous:
            words = "the caller is anonymous, and this trunk requires a caller that is verified"
        return Decision(Action.REJECT, Verstat.NONE, 428, words)
    return Decision(Action.ACCEPT, Verstat.NONE)


def decide_failed(policy: VerificationPolicy, code: int, words: str) -> Decision:
    """Decide of a call whose header failed with a SIP code."""
    match policy.reaction(code):
        case Reaction.IGNORE:
            return Decision(Action.ACCEPT, Verstat.NONE, code, words)
        case Reaction.REJECT:
            return Decision(Action.REJECT, Verstat.FAILED, code, words)
        case Reaction.FLAG:
            return Decision(Action.ACCEPT, Verstat.FAILED, code, words)


def decide_passed(policy: VerificationPolicy, attest: str) -> Decision:
    """Decide of a call whose header holds, by its attestation."""
    least = policy.minimum_attest
    if least is not None and attest > least.value:
        words = f"attest is {attest}; this trunk takes calls with {least.value} at least"
        return Decision(Action.REJECT, Verstat.PASSED, 608, words)
    return _PASSED
