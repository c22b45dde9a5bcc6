"""A pasted Identity header is verified as the service verifies calls, and each check is told.

The very verifier that answers PBXs, with its guarded fetches: so what waits for a certificate is
awaited in the event loop. Nothing is recorded, and no later call is held to be a replay of this.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import isfinite
from urllib.parse import urlencode

import msgspec

from shaken.acceptance import DEFAULT_POLICY, Replays
from shaken.api.dialplan import VERIFY_PATH, DialplanError, read_parameters
from shaken.api.stir_errors import StirError
from shaken.api.stir_verification import inbound_call
from shaken.api.verification_messages import read_verification
from shaken.credentials import Role
from shaken.explain import Fact, explain_certificate, explain_identity
from shaken.identities import read_headers
from shaken.passport import PassportError, decode, destinations
from shaken.strictjson import parse_object
from shaken.tenants import Trunk, Work
from shaken.verification import Step, foresee
from shaken.verifier import InboundCall, Judged, Outcome
from shaken.web.asking import lines
from shaken.web.certificate import Link, links_of
from shaken.web.routes import Answer, Later, Page, PageCall, View
from shaken.web.trying import VERIFY, find_trunk, trunk_options, typed_of
from shaken.web.verdict_words import paragraphs_of, told
from shaken.web.words import sentence
from shaken.x5u.repository import Fetched
from sip.identity import Identity, IdentityError, parse_each, pasted_values
from trust.certificate import Certificate, CertificateKind
from trust.roots import Purpose

MORE = ("time", "target", "at")
"""Fields that are folded away until they hold something."""

FIELDS = ("identity", "orig", "dest", "trunk", *MORE)

MAX_PASTED = 128 * 1024
"""Characters of what is pasted: a message with all its headers is far below."""

MAX_VALUES = 16
"""Identity values of one call."""

LATEST = 253402300799
"""The last second that a page can show: the end of the year 9999."""

_MEMBERS = {"from": "orig", "to": "dest", "dest": "target"}
"""What the fields are called in the message of the API."""

Section = tuple[str, Sequence[Fact]]
"""A heading, and facts."""


@dataclass(frozen=True)
class Asked:
    """What is to be verified: `taken` are the fields that were filled in from the claims."""

    typed: Mapping[str, str]
    values: Sequence[str]
    call: InboundCall
    trunk: Trunk | None
    taken: Sequence[str]


@dataclass(frozen=True)
class SignerView:
    """The certificate behind a URL: where it was had from, its chain, what it says of itself."""

    url: str
    whence: str
    links: Sequence[Link]
    is_trusted: bool
    facts: Sequence[Fact]


def ask(call: PageCall) -> Answer:
    """Show the form."""
    return _page(call, {**dict.fromkeys(FIELDS, ""), "trunk": call.query.get("trunk", "")}, {})


def judge(call: PageCall) -> Answer | Later:
    """Read what was pasted; what verifies it, or the form with what is wrong."""
    typed, errors = typed_of(call, FIELDS), dict[str, str]()
    asked = _read(call, typed, errors)
    if asked is None:
        return _page(call, typed, errors)

    async def verify() -> Answer:
        outcome, files = await _verify(call, asked)
        return await asyncio.to_thread(_show, call, asked, outcome, files)

    return verify


async def _verify(call: PageCall, asked: Asked) -> tuple[Outcome, Mapping[str, Fetched | None]]:
    """Verify the call, and return what its certificates' URLs hold, where that is at hand."""
    policy = DEFAULT_POLICY if asked.trunk is None else asked.trunk.verification
    found = call.desk.verifier.verify(
        asked.call,
        msgspec.structs.replace(policy, replays=Replays.OFF),
        roots=call.snapshot.standing.certificates(Purpose.STI),
    )
    outcome = found if isinstance(found, Outcome) else await found()
    urls = dict.fromkeys(
        each.identity.info
        for each in outcome.judged
        if each.identity is not None and each.verdict.passport is not None
    )
    return outcome, {url: call.desk.certificates.peek(url, now=call.now) for url in urls}


def _read(call: PageCall, typed: Mapping[str, str], errors: dict[str, str]) -> Asked | None:
    """Make a call of what was typed; None where `errors` say why that is not possible."""
    trunk = find_trunk(call, typed["trunk"], errors)
    moments = {name: _moment(typed[name], name, errors) for name in ("time", "at")}
    values = pasted_values(typed["identity"][:MAX_PASTED])
    why_not = _why_unreadable(typed["identity"], values)
    if why_not is not None:
        errors["identity"] = why_not
    if errors:
        return None
    parties = {name: lines(typed[name]) for name in ("orig", "dest", "target")}
    taken = [name for name in ("orig", "dest") if not parties[name]]
    try:
        claimed = _claimed(values) if taken else {}
        parties |= {name: claimed[name] for name in taken}
        given = [(name, each) for name in parties for each in parties[name]]
        given += [("identity", each) for each in values]
        if moments["time"] is not None:
            given.append(("time", str(moments["time"])))
        message = read_parameters(VERIFY_PATH, "GET", urlencode(given), b"", "")
        made = inbound_call(
            read_verification(parse_object(message.body)),
            name="a pasted header",
            country=None if trunk is None else trunk.country,
            now=call.now if moments["at"] is None else moments["at"],
            scope="",
        )
    except PassportError as error:
        errors["identity"] = sentence(f"orig and dest cannot be read out of it: {error}")
    except DialplanError as error:
        errors[error.parameter or ""] = sentence(str(error))
    except StirError as error:
        member = error.variables[0] if error.variables else ""
        named = _MEMBERS.get(member, member)
        errors[named if named in FIELDS else ""] = sentence(error.detail or error.variables[-1])
    else:
        return Asked(typed, values, made, trunk, taken)
    return None


def _why_unreadable(pasted: str, values: Sequence[str]) -> str | None:
    """Say why a pasted text is no Identity header, None: it is one."""
    if not pasted:
        return "Paste an Identity header: what stands behind “Identity:” in the INVITE."
    if len(pasted) > MAX_PASTED:
        return f"This is too much. Paste at most {MAX_PASTED // 1024} KiB: the headers of one call."
    if len(values) > MAX_VALUES:
        return f"These are {len(values)} headers. Paste those of one call, at most {MAX_VALUES}."
    found = [each for value in values for each in parse_each(value)]
    if any(isinstance(each, Identity) for each in found):
        return None
    why = str(found[0]) if found else "it is empty"
    only = " This is the token alone; in the INVITE ;info=<…> stands behind it."
    bare = len(values) == 1 and values[0].count(".") == 2 and ";" not in values[0]
    return f"This is no Identity header: {why}.{only if bare else ''}"


def _claimed(values: Sequence[str]) -> Mapping[str, list[str]]:
    """Take orig and dest from the first PASSporT, best a shaken one. Raises PassportError."""
    found, why = [], PassportError("there is no token")
    for each in (each for value in values for each in parse_each(value)):
        if isinstance(each, IdentityError):
            continue
        try:
            found.append(decode(each.token))
        except PassportError as error:
            why = error
    if not found:
        raise why
    shaken = [each for each in found if each.header.get("ppt") == "shaken"]
    claims = (shaken or found)[0].claims
    orig = claims.get("orig")
    caller = [*orig.values()] if isinstance(orig, dict) else []
    claimed = {"orig": caller[:1], "dest": destinations(claims.get("dest"))}
    for name, named in claimed.items():
        if not named or not all(isinstance(each, str) and each.strip() for each in named):
            raise PassportError(f"its claim {name} names nobody")
    return {name: [str(each) for each in named] for name, named in claimed.items()}


def _moment(text: str, name: str, errors: dict[str, str]) -> int | None:
    """Read Unix seconds, a Date as SIP has it, or an RFC 3339 time; None: nothing was typed."""
    if not text:
        return None
    found = -1
    if text.isascii() and text.isdecimal() and len(text) <= len(str(LATEST)):
        found = int(text)
    for read in () if found >= 0 else (parsedate_to_datetime, datetime.fromisoformat):
        with suppress(ValueError, OverflowError, TypeError):
            moment = read(text)
            found = int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
            break
    if 0 <= found <= LATEST:
        return found
    errors[name] = (
        "Write Unix seconds, as in 1767225600, a Date header, as in Thu, 01 Jan 2026 00:00:00 GMT,"
        " or 2026-01-01T00:00:00Z."
    )
    return None


def _show(
    call: PageCall, asked: Asked, outcome: Outcome, files: Mapping[str, Fetched | None]
) -> View:
    judged = outcome.judged
    total = len(judged)
    context = {
        "asked": asked,
        "told": told(outcome.decision, asked.trunk),
        "judged": [
            (_heading(each, number, total), paragraphs_of(each))
            for number, each in enumerate(judged, start=1)
        ],
        "signers": list(_signers(call, judged, files)),
        "sayings": list(_sayings(asked.values, call.now)),
        "stale_now": _stale_now(call, asked),
        "iat": _iat(outcome.best),
        "is_as_of": bool(asked.typed["at"]),
        "refuses": asked.trunk is not None and not asked.trunk.direction.allows(Work.VERIFY),
    }
    return _page(call, asked.typed, {}, result=context)


def _heading(judged: Judged, number: int, total: int) -> str:
    return f"Check by check: {judged.ppt}" + (f", {number} of {total}" if total > 1 else "")


def _iat(best: Judged | None) -> int | None:
    """Return when the header was signed, as it claims, None: it names no time that is one."""
    passport = None if best is None else best.verdict.passport
    iat = None if passport is None else passport.claims.get("iat")
    return iat if type(iat) is int and 0 <= iat <= LATEST else None


def _stale_now(call: PageCall, asked: Asked) -> Step | None:
    """Return the check by which the header fails for its age now, None: it is fresh."""
    usual = call.resources.config.verification
    policy = DEFAULT_POLICY if asked.trunk is None else asked.trunk.verification
    opened = next(iter(read_headers(asked.call.headers).originals), None)
    if opened is None:
        return None
    steps = foresee(
        opened,
        now=call.now,
        freshness=usual.freshness if policy.freshness is None else policy.freshness,
        skew=usual.skew if policy.skew is None else policy.skew,
    )
    return next((step for step in steps if step.code == 403), None)


def _signers(
    call: PageCall, judged: Sequence[Judged], files: Mapping[str, Fetched | None]
) -> Sequence[SignerView]:
    """Describe the certificate of each URL once."""
    found = []
    now = datetime.fromtimestamp(call.now, UTC)
    for url, fetched in files.items():
        paths = [
            each.verdict.signer.path
            for each in judged
            if each.verdict.signer is not None and each.identity and each.identity.info == url
        ]
        if fetched is None:
            continue
        shown = Certificate(paths[0]) if paths else fetched.certificate
        links, is_trusted = links_of(call, shown, CertificateKind.STI)
        named = [replace(link, role=link.role.replace("This", "The signer's")) for link in links]
        facts = [*explain_certificate(Certificate((shown.leaf,)), now=now)]
        found.append(SignerView(url, _whence(call, fetched), named, is_trusted, facts))
    return found


def _whence(call: PageCall, fetched: Fetched) -> str:
    if not isfinite(fetched.expires_at):
        return "This service publishes it itself, so it was read from the store."
    if fetched.stale:
        return "An old copy, since its repository does not answer now."
    seconds = max(0, call.now - int(fetched.fetched_at))
    when = "just now" if seconds < 5 else f"{seconds} seconds ago, and kept since"
    left = max(0, int(fetched.expires_at) - call.now)
    return f"Fetched {when}; it is kept for {left} seconds more."


def _sayings(values: Sequence[str], now: int) -> Sequence[Section]:
    """Say what the headers say, one section for each and for each PASSporT in it."""
    found: list[tuple[str, list[Fact]]] = []
    moment = datetime.fromtimestamp(now, UTC)
    headers = [each for value in values for each in parse_each(value)]
    for number, each in enumerate(headers, start=1):
        found.append(("Header" if len(headers) == 1 else f"Header {number}", []))
        if isinstance(each, IdentityError):
            found[-1][1].append(Fact("", f"It cannot be read: {each}"))
            continue
        for line in explain_identity(each, now=moment):
            if isinstance(line, Fact):
                found[-1][1].append(line)
            else:
                found.append((line.partition(" (")[0], []))
    return found


def _page(
    call: PageCall,
    typed: Mapping[str, str],
    errors: Mapping[str, str],
    *,
    result: Mapping[str, object] | None = None,
) -> View:
    context = {
        "typed": typed,
        "errors": errors,
        "trunks": trunk_options(call, "none: what holds where no trunk says otherwise"),
        "is_more": any(typed[name] or name in errors for name in MORE),
        "result": result,
    }
    return View("try-verify.html", context, 422 if errors else 200)


PAGES = (
    Page("GET", VERIFY, Role.VIEWER, ask),
    Page("POST", VERIFY, Role.VIEWER, judge),
)
