"""Verdicts in words for people: what one means, what a trunk does about it, what to do. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shaken.acceptance import REASONS, Action, Decision, Verstat
from shaken.tenants import Trunk
from shaken.verifier import Judged
from shaken.web.signing_words import Paragraph
from shaken.web.words import sentence

ADVICE: Mapping[int, str] = {
    403: (
        "A header is good for a minute. If the call is new, compare the clocks of both sides (NTP);"
        " if it is not, judge the header as of its iat."
    ),
    436: (
        "Open the URL in a browser. A repository that was slow may answer at the next try. In a"
        " lab, see the settings [fetch] and public_url."
    ),
    437: (
        "If you trust the authority, add its root to the trusted roots for sti. Otherwise this is"
        " for the signer to mend: the certificate does not allow the call."
    ),
    438: (
        "The header was altered, or is not for this call. Compare orig and dest with those of the"
        " call, in canonical form, and have the signer look at theirs."
    ),
}
"""What a person can do about a failure, by its SIP code."""

_SETTINGS: Mapping[int, str] = {
    403: "stale",
    436: "unreachable",
    437: "unfit",
    438: "invalid",
    428: "identity_required",
    433: "anonymous",
    608: "minimum_attest",
}
"""The setting of a trunk that decides about a code."""

_TONES = {Verstat.PASSED: "good", Verstat.FAILED: "bad", Verstat.NONE: "warn"}

_MEANINGS = {
    Verstat.PASSED: "The header holds for this call.",
    Verstat.NONE: "There is nothing to go by: no header for a shaken PASSporT that counts.",
}


@dataclass(frozen=True)
class Told:
    """A verdict: its verstat, the code and reason of a failure, and what follows from it."""

    tone: str
    verstat: str
    reason: str
    words: str
    policy: str


def told(decision: Decision, trunk: Trunk | None) -> Told:
    """Say an outcome to a person."""
    code = decision.code
    reason = "" if code is None else f"{code} {REASONS[code]}"
    said = decision.words or _MEANINGS.get(decision.verstat, "")
    words = sentence(said)
    tone = "bad" if decision.action is Action.REJECT else _TONES[decision.verstat]
    return Told(tone, decision.verstat.value, reason, words, _policy(decision, trunk))


def _policy(decision: Decision, trunk: Trunk | None) -> str:
    """Say what is done with the call, and by which setting."""
    whose = "Without a trunk's own settings" if trunk is None else f"By the policy of {trunk.name}"
    code = decision.code
    setting = "" if code is None or trunk is None else f" ({_SETTINGS.get(code, 'invalid')})"
    if decision.action is Action.REJECT and code is not None:
        return f"{whose} the call is to be rejected with {code} {REASONS[code]}{setting}."
    if decision.verstat is Verstat.FAILED:
        return f"{whose} the call goes on, marked as failed{setting}."
    if decision.verstat is Verstat.NONE:
        return f"{whose} the call goes on, as one that was not validated{setting}."
    return f"{whose} the call goes on, marked as passed."


def paragraphs_of(judged: Judged) -> Sequence[Paragraph]:
    """Show each check that was made of a PASSporT; the first that fails is the last."""
    paragraphs = []
    for step in judged.verdict.steps:
        if step.code is None:
            paragraphs.append(Paragraph("", (step.words,)))
            continue
        reason = f"{step.code} {REASONS[step.code]}. What comes after this was not looked at."
        paragraphs.append(Paragraph("", (step.words, reason), "bad", ADVICE.get(step.code, "")))
    return paragraphs
