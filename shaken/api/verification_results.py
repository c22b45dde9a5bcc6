"""From what verification found to the answer of the route, in the forms of ATIS and of 3GPP."""

from typing import Any

from msgspec import UNSET, UnsetType

from shaken.acceptance import REASONS, Verstat
from shaken.api.verification_messages import (
    DecisionMessage,
    DiversionMessage,
    DivResult,
    HeaderResult,
    PriorityMessage,
    RichCallDataMessage,
    SignerMessage,
    VerificationResult,
    VerifyResult,
)
from shaken.diversion import read_link
from shaken.passport import Parties, Party
from shaken.rich_call_data import CLAIMS, examine_rich_call_data
from shaken.tenants import AnswerForm
from shaken.verification import DIV, DIV_O, RCD, RPH, SHAKEN
from shaken.verifier import Judged, Outcome

PRIORITY_PASSED, PRIORITY_FAILED = "RPH-Validation-Passed", "RPH-Validation-Failed"
"""The verdict on a call's priority in the words of 3GPP TS 24.229 Annex V."""


def result_of(
    outcome: Outcome, form: AnswerForm, *, reference: str | UnsetType
) -> VerificationResult:
    """Write an outcome in a trunk's form; `reference` is the client's `requestId`."""
    decision, best = outcome.decision, outcome.best
    members: dict[str, Any] = {} if best is None else _facts(best)
    if form is not AnswerForm.THREE_GPP:
        members["verstat"] = decision.verstat
        if decision.code is not None:
            members["reasoncode"] = decision.code
            members["reasontext"] = REASONS[decision.code]
            members["reasondesc"] = decision.words
    if form is not AnswerForm.ATIS:
        members["verstat_value"] = decision.verstat
        if outcome.judged:
            members["verify_results"] = tuple(map(_verify_result, outcome.judged))
    if best is None or len(outcome.judged) != 1 or _has_rich_call_data(best):
        members |= _beside(outcome, form)
    return VerificationResult(
        decision=DecisionMessage(decision.action, decision.code or UNSET),
        replayed=outcome.replayed or UNSET,
        stale=_is_stale(outcome) or UNSET,
        reference=reference,
        **members,
    )


def _is_stale(outcome: Outcome) -> bool:
    """Say whether an old copy of a certificate decided."""
    if outcome.best is not None and outcome.best.stale:
        return True
    return bool(outcome.diversions) and any(judged.stale for judged in outcome.diversions)


def _facts(best: Judged) -> dict[str, Any]:
    """Return whose certificate the header names, and what it says only where it holds."""
    passport = best.verdict.passport
    if passport is None:
        return {}
    facts = _signer(best)
    facts["ppt"] = SHAKEN.ppt
    if best.verdict.code is None:
        facts["attest"] = passport.claims["attest"]
        facts["origid"] = passport.claims["origid"]
    return facts


def _signer(judged: Judged) -> dict[str, Any]:
    """Return what was found of who signed, whether it is to be believed or not."""
    found: dict[str, Any] = {}
    verdict = judged.verdict
    if verdict.passport is not None and judged.identity is not None:
        found["x5u"] = judged.identity.info
    signer = verdict.signer
    if signer is not None:
        found["signer"] = SignerMessage(signer.subject, signer.issuer, signer.providers)
    return found


def _verify_result(judged: Judged) -> VerifyResult:
    verdict = judged.verdict
    code = verdict.code
    if code is None and verdict.passport is not None:
        claims = _valid_claims(verdict.passport.claims)
        return VerifyResult(HeaderResult(ppt=judged.ppt, status="pass", valid_claims=claims))
    code = code or 438
    return VerifyResult(
        HeaderResult(
            ppt=judged.ppt,
            status="fail",
            reason_code=code,
            reason_text=REASONS[code],
            reason_description=verdict.words,
            passport=judged.identity.token if judged.identity else UNSET,
        )
    )


def _has_rich_call_data(judged: Judged) -> bool:
    passport = judged.verdict.passport
    return passport is not None and examine_rich_call_data(passport.claims) is not None


def _valid_claims(claims: dict[str, Any]) -> dict[str, Any]:
    """Return the claims of a PASSporT that holds, without a name that nobody is to see."""
    rich = examine_rich_call_data(claims)
    if rich is None or rich.fault is None:
        return claims
    return {name: value for name, value in claims.items() if name not in CLAIMS}


def _beside(outcome: Outcome, form: AnswerForm) -> dict[str, Any]:
    """Return what was found of diversions, of priority and of rich call data."""
    members: dict[str, Any] = {}
    rich = [found for judged in outcome.judged if (found := _rich_call_data(judged)) is not None]
    if rich:
        members["rich_call_data"] = tuple(rich)
    if outcome.diversions:
        members["diversions"] = tuple(map(_diversion, outcome.diversions))
    granting = [judged for judged in outcome.judged if judged.ppt == RPH.ppt]
    if granting:
        members["priority"] = tuple(map(_priority, granting))
    if form is AnswerForm.ATIS:
        return members
    diverting = [judged for judged in outcome.judged if judged.ppt in {DIV.ppt, DIV_O.ppt}]
    results = [made for judged in diverting if (made := _div_result(judged)) is not None]
    if results:
        members["div_result"] = tuple(results)
    if granting:
        passed = any(judged.verdict.code is None for judged in granting)
        members["verstat_priority"] = PRIORITY_PASSED if passed else PRIORITY_FAILED
    return members


def _finding(judged: Judged) -> dict[str, Any]:
    code = judged.verdict.code
    if code is None:
        return {"status": "pass", **_signer(judged)}
    words = judged.verdict.words
    return {"status": "fail", "reasoncode": code, "reasondesc": words, **_signer(judged)}


def _diversion(judged: Judged) -> DiversionMessage:
    parties = _parties(judged)
    if parties is None:
        return DiversionMessage(**_finding(judged))
    return DiversionMessage(div=parties[0], dest=parties[1], **_finding(judged))


def _div_result(judged: Judged) -> DivResult | None:
    parties = _parties(judged)
    if parties is None:
        return None
    verstat = Verstat.PASSED if judged.verdict.code is None else Verstat.FAILED
    return DivResult(parties[0], verstat.value)


def _parties(judged: Judged) -> tuple[Party, Parties] | None:
    """Return from whom to whom a diversion leads, None: that cannot be read."""
    passport = judged.verdict.passport
    if passport is None or read_link(passport.claims) is None:
        return None
    div, dest = passport.claims["div"], passport.claims["dest"]
    return (
        Party(tn=div.get("tn", UNSET), uri=div.get("uri", UNSET)),
        Parties(tn=_each(dest.get("tn")), uri=_each(dest.get("uri"))),
    )


def _each(several: object) -> tuple[str, ...] | UnsetType:
    return tuple(several) if isinstance(several, list) and several else UNSET


def _priority(judged: Judged) -> PriorityMessage:
    passport = judged.verdict.passport
    if passport is None or judged.verdict.code is not None:
        return PriorityMessage(**_finding(judged))
    claims = passport.claims
    return PriorityMessage(
        auth=tuple(claims["rph"]["auth"]), sph=claims.get("sph") or UNSET, **_finding(judged)
    )


def _rich_call_data(judged: Judged) -> RichCallDataMessage | None:
    """Return the rich call data of a PASSporT, None: it has none, or none that is believed."""
    ppt, verdict = judged.ppt, judged.verdict
    if ppt == RCD.ppt and verdict.code is not None:
        return RichCallDataMessage(ppt=ppt, **_finding(judged))
    if ppt not in (SHAKEN.ppt, RCD.ppt) or verdict.code is not None or verdict.passport is None:
        return None
    rich = examine_rich_call_data(verdict.passport.claims)
    if rich is None:
        return None
    finding = _finding(judged)
    digests = {pointer: status.value for pointer, status in rich.digests.items()} or UNSET
    if rich.fault is not None:
        finding |= {"status": "fail", "reasoncode": 438, "reasondesc": str(rich)}
        return RichCallDataMessage(ppt=ppt, digests=digests, **finding)
    reason = UNSET if rich.reason is None else rich.reason
    data = dict(rich.data) or UNSET
    return RichCallDataMessage(ppt=ppt, rcd=data, crn=reason, digests=digests, **finding)
