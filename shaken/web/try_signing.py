"""A test call is signed as a trunk's calls are, and each step is told.

The signature is a real one, made where `POST /stir/v1/signing` has it made: it is recorded with the
calls, and who made it is in the audit before the header is shown. Admins only; they could make a
signer's credential as well.
"""

import asyncio
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode
from uuid import uuid4

import msgspec

from shaken.api.dialplan import SIGN_PATH, DialplanError, read_parameters
from shaken.api.signing_messages import call_of, read_signing
from shaken.api.stir import StirAsked, StirRequest
from shaken.api.stir_errors import StirError
from shaken.api.stir_parties import DestMessage, OrigMessage, read_destinations, read_origin
from shaken.api.stir_signing import refusal_of, tenant_of
from shaken.audit import Action
from shaken.call_records import TEST_REQUEST
from shaken.credentials import Credential, Role
from shaken.passport import decode
from shaken.signing import Signed
from shaken.signing_errors import (
    BeyondCertificate,
    InvalidClaim,
    MissingClaim,
    NotAllowed,
    NotConfigured,
    SigningError,
)
from shaken.strictjson import parse_object
from shaken.tenants import Tenant, Trunk
from shaken.web import signing_words as words
from shaken.web.asking import lines
from shaken.web.routes import Answer, Later, Page, PageCall, View
from shaken.web.signing_words import Candidate, Paragraph
from shaken.web.trying import SIGN, find_trunk, trunk_options, typed_of
from shaken.web.words import sentence
from sip.identity import parse_identities
from sip.stages import at_once
from trust.selection import Why

MORE = ("tenant", "host", "origid", "iat")
"""Fields that are folded away until they hold something."""

MAX_CALLED = 20
"""Destinations of a test call."""

FIELDS = ("trunk", "orig", "dest", "attest", *MORE)

ATTEST_OPTIONS = (
    ("", "as the trunk has it"),
    ("A", "A, full"),
    ("B", "B, partial"),
    ("C", "C, gateway"),
)

PLACEHOLDER = "SECRET_OF_A_SIGNER"
"""What stands in a command where a secret belongs."""


@dataclass(frozen=True)
class Made:
    """A signed test call, as a page shows it."""

    identity: str
    header: str
    claims: str
    curl: str
    orig: str
    dest: str


@dataclass(frozen=True)
class Trial:
    """A test call on its way: as it was asked for, and what the steps before signing give."""

    asked: StirAsked
    tenant: Tenant | None
    paragraphs: Sequence[Paragraph]
    candidates: Sequence[Candidate]
    others: int
    """Candidates that are not shown."""
    is_chosen: bool
    x5u: str | None


def ask(call: PageCall) -> Answer:
    """Show the form."""
    typed = {**dict.fromkeys(FIELDS, ""), "trunk": call.query.get("trunk", "")}
    return _page(call, typed, {})


def sign(call: PageCall) -> Answer | Later:
    """Read the test call of the form; what signs it, or the form with what is wrong."""
    typed, errors = typed_of(call, FIELDS), dict[str, str]()
    trunk = find_trunk(call, typed["trunk"], errors)
    if errors:
        return _page(call, typed, errors)
    try:
        asked = _asked(call, typed, trunk)
        trial = _trial(call, asked, typed)
    except DialplanError as error:
        return _page(call, typed, {error.parameter or "": sentence(str(error))})
    except StirError as error:
        return _page(call, typed, _errors(error))

    async def signing() -> Answer:
        try:
            _, signed = at_once(call.desk.signing.sign_and_record_in_stages(asked))
        except (SigningError, StirError) as error:
            refusal = refusal_of(error) if isinstance(error, SigningError) else error
            paragraphs = _failed(trial, _said(refusal), *_place(trial, error))
            return _page(call, typed, _errors(refusal), trial=trial, paragraphs=paragraphs)
        return await asyncio.to_thread(_show, call, typed, trial, signed)

    return signing


def _show(call: PageCall, typed: Mapping[str, str], trial: Trial, signed: Signed) -> Answer:
    """Write the audit, then show the signature. Raises StoreError, and shows nothing."""
    _tell(call, trial, signed)
    paragraphs = [
        words.attested(paragraph, signed.claims.attest)
        if paragraph.title == "Attestation"
        else paragraph
        for paragraph in trial.paragraphs
    ]
    return _page(
        call,
        typed,
        {},
        trial=trial,
        paragraphs=[*paragraphs, words.signature_paragraph(signed)],
        made=_made(call, trial.asked, signed),
    )


def _page(
    call: PageCall,
    typed: Mapping[str, str],
    errors: Mapping[str, str],
    *,
    trial: Trial | None = None,
    paragraphs: Sequence[Paragraph] = (),
    made: Made | None = None,
) -> View:
    context = {
        "typed": typed,
        "errors": {name: text for name, text in errors.items() if name in FIELDS or not name},
        "trunks": trunk_options(call, "none: a signer's credential of no trunk"),
        "attest": ATTEST_OPTIONS,
        "paragraphs": paragraphs,
        "trial": trial,
        "made": made,
        "is_more": any(typed[name] or name in errors for name in MORE),
        "placeholder": PLACEHOLDER,
    }
    return View("try-sign.html", context, 422 if errors or (trial and not made) else 200)


def _asked(call: PageCall, typed: Mapping[str, str], trunk: Trunk | None) -> StirAsked:
    """Make the request that a PBX would send. Raises DialplanError, StirError."""
    given = [(name, typed[name]) for name in ("orig", "attest", "origid", "iat")]
    called = lines(typed["dest"])
    if len(called) > MAX_CALLED:
        raise DialplanError(400, f"write at most {MAX_CALLED} here", parameter="dest")
    given += [("dest", each) for each in called]
    headers = {}
    if trunk is None:
        given.append(("tenant", typed["tenant"]))
        headers = {"Host": typed["host"]}
    message = read_parameters(SIGN_PATH, "GET", urlencode(given), b"", "")
    bound = None if trunk is None else trunk.name
    return StirAsked(
        StirRequest("POST", message.path, message.query, headers, message.body),
        f"{TEST_REQUEST}{uuid4().hex}",
        Credential(call.user.name, Role.SIGNER, b"", call.scope, bound, ()),
        trunk,
        parse_object(message.body),
        call.snapshot,
        call.now,
    )


def _trial(call: PageCall, asked: StirAsked, typed: Mapping[str, str]) -> Trial:
    """Go through the steps before the signature, as who signs does. Raises StirError."""
    trunk, pens = asked.trunk, call.resources.pens
    address = tenant_of(asked)
    tenant = None if address is None else call.snapshot.tenants[address]
    country = None if trunk is None else trunk.country
    wanted = call_of(read_signing(asked.document), country=country)
    appraisals = pens.appraise(call.snapshot, tenant, now=call.now)
    chosen = next((each.candidate.id for each in appraisals if each.why is Why.CHOSEN), None)
    row = None if chosen is None else call.snapshot.certificates[chosen]
    shown, others = words.candidates(
        appraisals,
        call.snapshot.certificates,
        lambda one: call.scope in {None, one.tenant},
    )
    x5u = None if row is None else pens.x5u_of(row)
    paragraphs = (
        words.parties_paragraph(trunk, tenant),
        words.numbers_paragraph(_parties(typed, country), country),
        words.attestation_paragraph(wanted, trunk, tenant),
        words.claims_paragraph(wanted, trunk, call.now),
        words.certificate_paragraph(appraisals, tenant),
        words.x5u_paragraph(row, x5u),
    )
    return Trial(asked, tenant, paragraphs, shown, others, row is not None, x5u)


def _parties(typed: Mapping[str, str], country: str | None) -> list[tuple[str, str, str]]:
    """List claim, what was typed, and what it is in canonical form. Raises StirError."""
    kind = "uri" if ":" in typed["orig"] else "tn"
    orig = read_origin("orig", OrigMessage(**{kind: typed["orig"]}), country)
    found = [("orig", typed["orig"], str(orig))]
    for each in lines(typed["dest"]):
        kind = "uri" if ":" in each else "tn"
        (dest,) = read_destinations("dest", DestMessage(**{kind: each}), country)
        found.append(("dest", each, str(dest)))
    return found


def _tell(call: PageCall, trial: Trial, signed: Signed) -> None:
    """Write who made this signature into the audit; numbers are in the record of the call."""
    trunk, tenant = trial.asked.trunk, trial.tenant
    address = None if tenant is None else tenant.address
    with call.changing() as change:
        change.audit(
            Action.CALL_TEST,
            trial.asked.request_id,
            tenant=address,
            after={
                "trunk": None if trunk is None else trunk.name,
                "tenant": address,
                "attest": signed.claims.attest,
                "origid": signed.claims.origid,
                "certificate": signed.certificate,
            },
        )


def _made(call: PageCall, asked: StirAsked, signed: Signed) -> Made:
    (identity,) = parse_identities(signed.identity)
    passport = decode(identity.token)
    return Made(
        identity=signed.identity,
        header=_pretty(passport.header),
        claims=_pretty(passport.claims),
        curl=_curl(call, asked),
        orig=str(signed.claims.orig),
        dest="\n".join(signed.claims.dest.all()),
    )


def _pretty(value: object) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def _curl(call: PageCall, asked: StirAsked) -> str:
    """Write the command that sends the same request as a PBX does."""
    config = call.resources.config
    root = config.public_url.rstrip("/") or f"http://{config.http.address}"
    request = asked.request
    query = f"?{request.query}" if request.query else ""
    host = request.headers.get("Host")
    parts = [
        f"curl -sS {shlex.quote(f'{root}{request.path}{query}')}",
        *([f"-H {shlex.quote(f'Host: {host}')}"] if host else []),
        f"-H 'Authorization: Bearer {PLACEHOLDER}'",
        "-H 'Content-Type: application/json'",
        f"-d {shlex.quote((request.body or b'').decode())}",
    ]
    return " \\\n  ".join(parts)


def _errors(error: StirError) -> dict[str, str]:
    """Name the field that a refusal is about, none where it is about no field."""
    named = next((each for each in error.variables[:1] if each in FIELDS), "")
    return {named: _said(error)}


def _said(error: StirError) -> str:
    return sentence(error.detail or error.variables[-1])


def _failed(trial: Trial, why: str, title: str, advice: str) -> list[Paragraph]:
    """Show how far the call came: what comes after the step that failed was not done."""
    found: list[Paragraph] = []
    for paragraph in trial.paragraphs:
        if paragraph.title != title:
            found.append(paragraph)
            continue
        found.append(Paragraph(title, (*paragraph.lines, why), "bad", advice))
        break
    return found


def _place(trial: Trial, error: SigningError | StirError) -> tuple[str, str]:
    """Say at which step a call was refused, and what to do."""
    who, _, attestation, claims, *_ = (paragraph.title for paragraph in trial.paragraphs)
    match error:
        case NotConfigured():
            return _place_unconfigured(trial)
        case BeyondCertificate():
            certificate = trial.paragraphs[-2].title
            return certificate, "Sign another call, or import a certificate that covers this one."
        case NotAllowed():
            return attestation, (
                "Add the number to the numbers of the tenant, or let the trunk attest others at"
                " most B or C in place of refuse."
            )
        case MissingClaim(claim="attest"):
            return attestation, "Choose one in the form, or a trunk, which has one."
        case MissingClaim() | InvalidClaim():
            return claims, "Correct the field, or leave it empty where there is a trunk."
        case _:
            return who, "Choose another trunk, or change what this one's calls are (sign or auto)."


def _place_unconfigured(trial: Trial) -> tuple[str, str]:
    *_, certificate, x5u = (paragraph.title for paragraph in trial.paragraphs)
    if not trial.is_chosen:
        return certificate, "Import an STI certificate and its key, assigned to the tenant."
    if trial.x5u is None:
        return x5u, "Set public_url, or import the certificate with its own x5u."
    return certificate, "Look into the log of the service: its master key may be another one."


PAGES = (
    Page("GET", SIGN, Role.ADMIN, ask),
    Page("POST", SIGN, Role.ADMIN, sign),
)
