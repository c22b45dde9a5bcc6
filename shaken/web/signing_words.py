"""Why a call is signed as it is: the steps of signing in words, each by the rule that decided it.

Pure, and no rule of its own: what is said is what the functions of the signing path give.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from shaken.addresses import check_x5u
from shaken.attestation import (
    NO_NUMBERS,
    Attest,
    AttestPolicy,
    ForeignAttest,
    Standing,
    standing_of,
)
from shaken.explain import ATTEST_WORDS
from shaken.signing import OutboundCall, Signed, policy_of
from shaken.tenants import Direction, Tenant, Trunk
from shaken.web.certificate_words import title_of
from shaken.web.words import sentence, shown_time
from trust.selection import Appraisal, Why
from trust.store.certificates import StoredCertificate

MAX_CANDIDATES = 20
"""Certificates that are shown."""

WHY: Mapping[Why, str] = {
    Why.CHOSEN: "Chosen",
    Why.NO_KEY: "Its private key is not here.",
    Why.NOT_YET_VALID: "It is not valid yet.",
    Why.EXPIRED: "It has expired.",
    Why.OLDER: "The tenant's own too, but the chosen one is valid since later.",
    Why.NOT_OWN: "Not the tenant's own, and the tenant has one.",
    Why.FALLBACK_OFF: "Not the tenant's own, and no other may sign (fallback is none).",
    Why.ASSIGNED: "Assigned to another tenant: those of nobody come first.",
    Why.LATER: "Uploaded after the chosen one, and the first one available signs.",
}
"""What became of a certificate."""


@dataclass(frozen=True)
class Paragraph:
    """What a page says of a step: what it is about, what was found; `tone` is good, warn or bad."""

    title: str
    lines: Sequence[str]
    tone: str = "good"
    advice: str = ""


@dataclass(frozen=True)
class Candidate:
    """A certificate that could sign: `row` and what became of it."""

    row: StoredCertificate
    title: str
    is_chosen: bool
    words: str


def parties_paragraph(trunk: Trunk | None, tenant: Tenant | None) -> Paragraph:
    """Say whose call it is."""
    whose = "It is no tenant's in particular: none is named." if tenant is None else ""
    if trunk is None:
        named = f"The tenant is {tenant.address}." if tenant is not None else whose
        return Paragraph(
            "Trunk and tenant",
            ("As with a signer's credential that is bound to no trunk.", named),
        )
    lines = [f"Trunk {trunk.name} is a line of the tenant {trunk.tenant}."]
    if trunk.direction is Direction.AUTO:
        lines.append("Its calls are signed when they bring no Identity header (auto).")
    if trunk.networks:
        networks = ", ".join(map(str, trunk.networks))
        lines.append(f"Its PBX must ask from {networks}; who tries it here need not.")
    return Paragraph("Trunk and tenant", lines)


def numbers_paragraph(parties: Sequence[tuple[str, str, str]], country: str | None) -> Paragraph:
    """Say how each party was made canonical: its claim, what was typed, what became of it."""
    lines = [
        f"{claim}: {typed} is {canonical}, {_how(typed, canonical, country)}."
        for claim, typed, canonical in parties
    ]
    return Paragraph("Numbers (RFC 8224 §8.3)", lines)


def _how(typed: str, canonical: str, country: str | None) -> str:
    if typed == canonical:
        return "canonical as it is written"
    if ":" in typed:
        is_number = ":" not in canonical
        return "the telephone number in the URI" if is_number else "the URI in canonical form"
    digits = "".join(each for each in typed if each not in "+-.() ")
    if digits == canonical:
        return "without plus and separators"
    return f"read as a national number of {country}"


def attestation_paragraph(
    call: OutboundCall, trunk: Trunk | None, tenant: Tenant | None
) -> Paragraph:
    """Say which attestation, and why; what is not allowed is left to who signs to refuse."""
    policy = policy_of(trunk)
    numbers = NO_NUMBERS if tenant is None else tenant.own_numbers
    orig = call.orig.number
    wanted = policy.default if call.attest is None else call.attest
    if call.attest is not None:
        lines = [f"The request asks for {wanted}."]
    elif trunk is not None:
        lines = [f"The request names none, so the trunk's own counts: {wanted}."]
    else:
        return Paragraph(
            "Attestation", ("The request names none, and there is no trunk to do so.",)
        )
    standing = standing_of(orig, numbers)
    if standing is Standing.UNLISTED:
        lines.append("The tenant lists no numbers, so nothing lowers it.")
    elif standing is Standing.OWN:
        lines.append(f"{orig} is one of the numbers that the tenant lists, so it has this level.")
    else:
        lines.append(_foreign(str(call.orig), policy, trunk))
    return Paragraph("Attestation", lines)


def _foreign(orig: str, policy: AttestPolicy, trunk: Trunk | None) -> str:
    whose = f"{orig} is none of the numbers that the tenant lists"
    who = "without a trunk such a caller" if trunk is None else "the trunk"
    if policy.foreign is ForeignAttest.REFUSE:
        return f"{whose}, and {who} does not sign for others (foreign_attest is refuse)."
    gets = "gets" if trunk is None else "gives others"
    return f"{whose}, and {who} {gets} {policy.foreign.value} at most (foreign_attest)."


def attested(paragraph: Paragraph, attest: str) -> Paragraph:
    """Add the level that was signed with."""
    level = f"So the call is attested {attest}, {ATTEST_WORDS[Attest(attest).value]}."
    return Paragraph(paragraph.title, (*paragraph.lines, level))


def claims_paragraph(call: OutboundCall, trunk: Trunk | None, now: int) -> Paragraph:
    """Say what else is claimed: when, and from where."""
    when = f"iat is {now}, now." if call.iat is None else f"iat is {call.iat}, as typed."
    if call.origid is not None:
        whence = f"origid is {call.origid}, as typed."
    elif trunk is not None:
        whence = f"origid is {trunk.origid}, which stands for the trunk."
    else:
        whence = "origid is neither typed, nor is there a trunk that has one."
    return Paragraph("Time and origin", (when, whence))


def certificate_paragraph(appraisals: Sequence[Appraisal], tenant: Tenant | None) -> Paragraph:
    """Say by which rule the certificate was chosen, nothing where none is."""
    chosen = next((each for each in appraisals if each.why is Why.CHOSEN), None)
    if chosen is None:
        return Paragraph("Certificate", ())
    several = "" if len(appraisals) == 1 else f"Of {len(appraisals)} STI certificates "
    if chosen.own:
        usable = sum(each.own and each.why in {Why.CHOSEN, Why.OLDER} for each in appraisals)
        latest = " Of its own it is the one that is valid since the latest." if usable > 1 else ""
        return Paragraph("Certificate", (sentence(f"{several}the tenant's own.") + latest,))
    nobodys, none = "the call is no tenant's in particular", "the tenant has none that is valid now"
    since = nobodys if tenant is None else none
    return Paragraph("Certificate", (sentence(f"{several}the first one available, since {since}"),))


def candidates(
    appraisals: Sequence[Appraisal],
    rows: Mapping[str, StoredCertificate],
    visible: Callable[[StoredCertificate], bool],
) -> tuple[Sequence[Candidate], int]:
    """List the candidates that a person may see, the chosen one first, and count the others."""
    found: list[Candidate] = []
    for each in appraisals:
        row = rows[each.candidate.id]
        if len(found) < MAX_CANDIDATES and visible(row):
            is_chosen = each.why is Why.CHOSEN
            words = f"{WHY[each.why]}{_when(each)}"
            found.append(Candidate(row, title_of(row), is_chosen, words))
    return found, len(appraisals) - len(found)


def _when(appraisal: Appraisal) -> str:
    if appraisal.why is Why.EXPIRED:
        return f" On {shown_time(appraisal.candidate.not_after)}."
    if appraisal.why is Why.NOT_YET_VALID:
        return f" From {shown_time(appraisal.candidate.not_before)} on."
    return ""


def x5u_paragraph(row: StoredCertificate | None, x5u: str | None) -> Paragraph:
    """Say where verifiers fetch the certificate, nothing where there is no URL."""
    title = "Where verifiers fetch it (x5u)"
    if row is None or x5u is None:
        return Paragraph(title, ())
    whose = "named at its import" if row.x5u is not None else "published by this service"
    try:
        check_x5u(x5u, lab=False)
    except ValueError as error:
        lines = (f"{x5u}, {whose}.", f"Carriers would not fetch it: {error}.")
        return Paragraph(title, lines, "warn")
    return Paragraph(title, (f"{x5u}, {whose}.",))


def signature_paragraph(signed: Signed) -> Paragraph:
    """Say what was signed with."""
    return Paragraph(
        "Signature",
        (f"Signed with the key of certificate {signed.certificate[:16]}… (ES256).",),
    )
