"""The responses to INVITEs: what the PBX is to put into its own, or why there is nothing. Pure.

`Reason` says what was found wrong (RFC 9410 of verdicts, RFC 3326 of what is refused).
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from urllib.parse import quote as escape

from shaken.acceptance import REASONS, Action, Decision
from shaken.passport import is_origid
from shaken.redirect.invite import Invite
from shaken.redirection import HeaderForm, Redirection, VerstatForm
from shaken.verifier import Judged
from sip.address import Address
from sip.grammar import quote
from sip.message import HeaderFields, Request, Response
from sip.response import respond
from sip.uri import ANONYMOUS_URI, KEPT_URIS, MAX_URI_LENGTH, SipUri, TelUri, UriError, parse_uri

ALLOWED = "INVITE, ACK, CANCEL, OPTIONS"
"""The methods that are answered otherwise than with 405."""

KNOWN_METHODS = frozenset(
    {
        "BYE", "REGISTER", "PRACK", "SUBSCRIBE", "NOTIFY",
        "PUBLISH", "INFO", "REFER", "MESSAGE", "UPDATE",
    }
)  # fmt: skip
"""Methods of the RFCs that this server does not allow; others are not implemented."""

STIR_CODES = frozenset({403, 428, 436, 437, 438})
"""The codes of RFC 8224 §6.2.2, which a Reason of protocol STIR names (RFC 9410 §4)."""

ANONYMOUS = Address("Anonymous", ANONYMOUS_URI)
"""Who stands in P-Asserted-Identity for a caller without a name (RFC 3323 §4.1.1.3)."""

_AGENT = "shaken"
_NOT_PRINTABLE = re.compile(r"[^ -~]")
_URI_SAFE = "-_.!~*'()"  # RFC 3261 §25.1: mark
_USER_SAFE = f"{_URI_SAFE}&=+$,;?/#%"
"""Characters of a tel URI that a user part takes as they are (RFC 3261 §25.1), `%` of escapes."""
_WAY_TO_HOST = frozenset({"maddr", "transport", "ttl", "lr"})
"""Parameters of a SIP URI that say how its host is reached (RFC 3261 §19.1.1)."""
_MAX_REASON = 200
"""Characters of a sentence in a header field: some PBXs cut lines off, or drop them."""


def options(request: Request, *, to_tag: str) -> Response:
    """Answer an OPTIONS: PBXs ask so whether the trunk is alive."""
    headers = (("Allow", ALLOWED), ("Accept", "application/sdp"))
    return respond(request, 200, to_tag=to_tag, headers=headers)


def not_allowed(request: Request, *, to_tag: str) -> Response:
    """Answer what is neither INVITE nor OPTIONS."""
    status = 405 if request.method in KNOWN_METHODS else 501
    return respond(request, status, to_tag=to_tag, headers=(("Allow", ALLOWED),))


def refusal(request: Request, status: int, words: str, *, to_tag: str) -> Response:
    """Answer with a final response that says why there is nothing else."""
    reason = f"SIP;cause={status};text={quote(_short(words))}"
    return respond(request, status, to_tag=to_tag, headers=(("Reason", reason),))


def signed(
    request: Request,
    identities: Iterable[str],
    settings: Redirection,
    *,
    to_tag: str,
    warning: str | None = None,
) -> Response:
    """Redirect with Identity headers, and a `warning` for who reads a trace."""
    wanted = [("Identity", identity) for identity in identities]
    warnings = () if warning is None else _warning(warning)
    return _redirect(request, settings, wanted, warnings, to_tag=to_tag)


def verified(
    request: Request,
    invite: Invite,
    decision: Decision,
    claims: tuple[str, str] | None,
    settings: Redirection,
    *,
    to_tag: str,
    faults: Sequence[Judged] = (),
) -> Response:
    """Redirect with the verdict, or end the call where the policy says so.

    `claims` are attest and origid of a PASSporT that holds, None: none does. What was found wrong
    is a Reason for whoever the call goes on to, and in words a Warning for who reads a trace.
    `faults` are the PASSporTs of several that do not hold: each has a Reason.
    """
    reasons = _reasons(decision, faults)
    warnings: HeaderFields = ()
    if decision.code is not None:
        if decision.words is not None:
            warnings = _warning(decision.words)
        if decision.action is Action.REJECT:
            headers = (*reasons, *warnings)
            phrase = REASONS.get(decision.code, "")
            return respond(request, decision.code, to_tag=to_tag, reason=phrase, headers=headers)
    verstat = decision.verstat.value
    if settings.verstat_suffix and claims is not None:
        verstat = f"{verstat}-{claims[0]}"
    caller = ANONYMOUS if invite.origin is None else invite.caller
    uri = with_verstat(caller.uri, verstat, settings.verstat)
    name = caller.display_name
    # A name is the caller's own words, and an origid the signer's.
    shown = name if name is not None and name.isprintable() else None
    wanted = [("P-Asserted-Identity", str(Address(shown, uri)))]
    if claims is not None:
        attest, origid = claims
        wanted.append(("P-Attestation-Indicator", attest))
        if is_origid(origid):
            wanted.append(("P-Origination-ID", origid))
    return _redirect(request, settings, [*wanted, *reasons], warnings, to_tag=to_tag)


def _warning(words: str) -> HeaderFields:
    return (("Warning", f"399 {_AGENT} {quote(_short(words))}"),)


def _reasons(decision: Decision, faults: Sequence[Judged]) -> HeaderFields:
    """Say what was found wrong, that which decides first.

    `ppi` tells which of several PASSporTs it is (RFC 9410 §5): by its signature alone, the compact
    form, since the full one would tell who calls whom to whoever gets the response.
    """
    found: list[tuple[int, str]] = []
    for each in faults:
        if each.verdict.code is not None:
            ppi = each.identity and f"..{each.identity.token.rpartition('.')[2]}"
            found.append((each.verdict.code, f";ppi={quote(ppi)}" if ppi else ""))
    decisive = decision.code
    if decisive is not None and decisive not in {code for code, _ in found}:
        found.append((decisive, ""))
    found.sort(key=lambda each: each[0] != decisive)
    return tuple(("Reason", _cause(code) + ppi) for code, ppi in dict.fromkeys(found))


def _cause(code: int) -> str:
    protocol = "STIR" if code in STIR_CODES else "SIP"
    return f"{protocol};cause={code};text={quote(REASONS.get(code, ''))}"


def with_verstat(uri: str, verstat: str, form: VerstatForm) -> str:
    """Put a verstat into a URI (3GPP TS 24.229 §7.2A.20), in place of one that is there.

    It is a parameter of the telephone number, which in a SIP URI is the user part. A URI that leads
    to no telephone, such as a service's, has no place for it and stays as it is.
    """
    try:
        parsed = parse_uri(uri)
    except UriError:
        return uri
    others = tuple(each for each in parsed.parameters if each[0] != "verstat")
    if isinstance(parsed, TelUri):
        return str(replace(parsed, parameters=(*others, ("verstat", verstat))))
    user, *parameters = (parsed.user or "").split(";")
    kept = [each for each in parameters if each.partition("=")[0].lower() != "verstat"]
    if form is VerstatForm.NUMBER:
        kept.append(f"verstat={verstat}")
    else:
        others = (*others, ("verstat", verstat))
    return str(replace(parsed, user=";".join((user, *kept)), parameters=others, headers=()))


def _redirect(
    request: Request,
    settings: Redirection,
    wanted: Iterable[tuple[str, str]],
    others: HeaderFields,
    *,
    to_tag: str,
) -> Response:
    """Build the redirect; `wanted` is for the PBX's own INVITE."""
    headers: HeaderFields
    if settings.form is HeaderForm.CONTACT and isinstance(
        uri := _contact(request.uri, settings.contact), SipUri
    ):
        escaped = tuple((name, escape(value, safe=_URI_SAFE)) for name, value in wanted)
        headers = (("Contact", f"<{replace(uri, headers=escaped)}>"), *others)
    else:
        headers = (("Contact", _contact_value(request.uri, settings.contact)), *wanted, *others)
    return respond(request, settings.status, to_tag=to_tag, headers=headers)


def _contact_value(called: str, contact: str) -> str:
    return _kept(called, contact) if len(called) <= MAX_URI_LENGTH else f"<{called}>"


@lru_cache(maxsize=KEPT_URIS)
def _kept(called: str, contact: str) -> str:
    return f"<{_contact(called, contact)}>"


def _contact(called: str, contact: str) -> SipUri | TelUri | str:
    """Return where the PBX is to send the call: where it was going, or to the trunk's host."""
    try:
        uri = parse_uri(called)
    except UriError:
        return called
    if isinstance(uri, SipUri):
        uri = replace(uri, headers=())  # which no Request-URI has (RFC 3261 §19.1.1)
    if not contact:
        return uri
    host = parse_uri(f"sip:{contact}")
    if not isinstance(host, SipUri):
        raise TypeError("a sip URI is parsed as one")
    if isinstance(uri, TelUri):
        # RFC 3261 §19.1.6: the user part has all of it, also where a ported number is routed.
        user = escape(str(uri).removeprefix("tel:"), safe=_USER_SAFE)
        return replace(host, user=user, parameters=(("user", "phone"),))
    kept = tuple(each for each in uri.parameters if each[0] not in _WAY_TO_HOST)
    return replace(uri, host=host.host, port=host.port, parameters=kept)


def _short(words: str) -> str:
    plain = _NOT_PRINTABLE.sub("?", words)
    return plain if len(plain) <= _MAX_REASON else f"{plain[: _MAX_REASON - 3]}..."
