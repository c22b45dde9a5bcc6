"""The messages of the STIR verification route (ATIS-1000082 §7, TS 24.229 Annex V.2).

Decoding validates: what comes out are canonical numbers and URIs. One request may have the members
of both forms; clients that know one form ignore the other's in the answer.
"""

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from shaken.api.stir_parties import (
    DestMessage,
    OrigMessage,
    Reference,
    Text,
    fault_of,
    invalid,
    read_destinations,
    read_origin,
)
from shaken.identities import MAX_IDENTITIES
from shaken.passport import Parties, Party
from shaken.priority import lines_of
from sip.uri import is_anonymous

MAX_PROTECTED = 64
"""Lines of the message that one request may tell."""

Header = Annotated[str, Meta(max_length=16 * 1024)]
HeaderList = Annotated[list[Header], Meta(max_length=MAX_IDENTITIES)]
LineList = Annotated[list[Text], Meta(max_length=MAX_PROTECTED)]


class VerificationMessage(msgspec.Struct, frozen=True, rename="camel"):
    """A call that came in.

    Its Identity headers are in `identity` (ATIS: one value or a list), `identityHeader` and
    `identityHeaders` (3GPP). `time` is that of its Date header (Unix seconds). `to` is of its To
    header, `dest` of its Request-URI, where the call goes after diversions. `protectedHeaders` are
    lines of its header that PASSporTs vouch for, one or several in a text. `requestId` is the
    client's own, for its answer. `callId`, of our own, tells calls apart for the detection of
    replays; where it is not there, `requestId` does.
    """

    from_: OrigMessage = msgspec.field(name="from")
    to: DestMessage
    time: int | UnsetType = UNSET
    identity: Header | HeaderList | UnsetType = UNSET
    identity_header: Header | UnsetType = UNSET
    identity_headers: HeaderList | UnsetType = UNSET
    dest: DestMessage | UnsetType = UNSET
    protected_headers: Text | LineList | UnsetType = UNSET
    reference: Reference | UnsetType = msgspec.field(default=UNSET, name="requestId")
    call_id: Text | UnsetType = UNSET


class VerificationRequest(msgspec.Struct, frozen=True, rename="camel"):
    """The body of `POST /stir/v1/verification`."""

    verification_request: VerificationMessage


class SignerMessage(msgspec.Struct, frozen=True):
    """Who signed: the certificate's subject and issuer (RFC 4514), its provider codes."""

    subject: str
    issuer: str
    spc: tuple[str, ...]


class DecisionMessage(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the trunk's policy makes of it: `accept`, or `reject` with a SIP code."""

    action: str
    code: int | UnsetType = UNSET


class HeaderResult(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """The verdict on one PASSporT (3GPP)."""

    ppt: str
    status: str
    valid_claims: dict[str, Any] | UnsetType = UNSET
    reason_code: int | UnsetType = UNSET
    reason_text: str | UnsetType = UNSET
    reason_description: str | UnsetType = UNSET
    passport: str | UnsetType = UNSET


class VerifyResult(msgspec.Struct, frozen=True, rename="camel"):
    """An element of `verifyResults` (3GPP)."""

    verify_result: HeaderResult


class DivResult(msgspec.Struct, frozen=True, rename="camel"):
    """An element of `divResult` (3GPP): who diverted the call, and the verdict on that."""

    div: Party
    verstat_value: str


class Finding(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What was found of a PASSporT beside the call's own: `status` is `pass` or `fail`.

    `reasoncode` and `reasondesc` are of a failure. `signer` and `x5u`, as in the verdict, are what
    was found on the way.
    """

    status: str
    reasoncode: int | UnsetType = UNSET
    reasondesc: str | UnsetType = UNSET
    signer: SignerMessage | UnsetType = UNSET
    x5u: str | UnsetType = UNSET


class DiversionMessage(Finding, frozen=True, omit_defaults=True, kw_only=True):
    """A diversion of the call, from whom (`div`) to whom (`dest`), where it can be read."""

    div: Party | UnsetType = UNSET
    dest: Parties | UnsetType = UNSET


class PriorityMessage(Finding, frozen=True, omit_defaults=True, kw_only=True):
    """What an `rph` PASSporT grants (`auth`, `sph`), where it holds."""

    auth: tuple[str, ...] | UnsetType = UNSET
    sph: str | UnsetType = UNSET


class RichCallDataMessage(Finding, frozen=True, omit_defaults=True, kw_only=True):
    """Rich call data (RFC 9795), with the type of the PASSporT that has it.

    `rcd` and `crn` are there where they hold. `digests` says of each pointer of `rcdi` whether its
    digest fits (`pass`, `fail`), or is of what a URL leads to and was not checked (`unchecked`).
    """

    ppt: str
    rcd: dict[str, Any] | UnsetType = UNSET
    crn: str | UnsetType = UNSET
    digests: dict[str, str] | UnsetType = UNSET


class VerificationResult(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """The verdict: `verstat` and `reason…` as ATIS names it, `verstatValue` as 3GPP does.

    `replayed`: the PASSporT was seen before for another call. `stale`: judged by an old copy of
    the certificate, whose repository is down. `diversions` begin with the first one.
    """

    verstat: str | UnsetType = UNSET
    reasoncode: int | UnsetType = UNSET
    reasontext: str | UnsetType = UNSET
    reasondesc: str | UnsetType | None = UNSET
    verstat_value: str | UnsetType = UNSET
    verstat_priority: str | UnsetType = UNSET
    verify_results: tuple[VerifyResult, ...] | UnsetType = UNSET
    div_result: tuple[DivResult, ...] | UnsetType = UNSET
    attest: str | UnsetType = UNSET
    origid: str | UnsetType = UNSET
    ppt: str | UnsetType = UNSET
    signer: SignerMessage | UnsetType = UNSET
    x5u: str | UnsetType = UNSET
    diversions: tuple[DiversionMessage, ...] | UnsetType = UNSET
    priority: tuple[PriorityMessage, ...] | UnsetType = UNSET
    rich_call_data: tuple[RichCallDataMessage, ...] | UnsetType = UNSET
    decision: DecisionMessage | UnsetType = UNSET
    replayed: bool | UnsetType = UNSET
    stale: bool | UnsetType = UNSET
    reference: str | UnsetType = msgspec.field(default=UNSET, name="requestId")


class VerificationResponse(msgspec.Struct, frozen=True, rename="camel"):
    """The answer of `POST /stir/v1/verification`."""

    verification_response: VerificationResult


def read_verification(document: dict[str, object]) -> VerificationMessage:
    """Read a request's JSON. Raises StirError naming the member that is wrong."""
    try:
        return msgspec.convert(document, VerificationRequest).verification_request
    except msgspec.ValidationError as error:
        raise fault_of(error, "verificationRequest") from error


def headers_of(message: VerificationMessage) -> tuple[str, ...]:
    """List the Identity headers of a request, each once; empty ones are none."""
    found: dict[str, None] = {}
    for member in (message.identity_header, message.identity, message.identity_headers):
        for value in (member,) if isinstance(member, str) else member or ():
            if value.strip():
                found[value] = None
    return tuple(found)[:MAX_IDENTITIES]


def caller(message: VerificationMessage, *, country: str | None) -> str | None:
    """Return who calls, canonical; None: nobody is named. Raises StirError."""
    sender = message.from_
    for text in (sender.tn, sender.uri):
        if text is not UNSET and is_anonymous(text.strip()):
            return None
    return str(read_origin("from", sender, country))


def called(message: VerificationMessage, *, country: str | None) -> tuple[str, ...]:
    """Return whom the call is to, canonical. Raises StirError."""
    return tuple([str(each) for each in read_destinations("to", message.to, country)])


def target(dest: DestMessage, *, country: str | None) -> tuple[str, ...]:
    """Return where the call goes now, canonical. Raises StirError."""
    return tuple([str(each) for each in read_destinations("dest", dest, country)])


def protected(message: VerificationMessage) -> tuple[str, ...]:
    """List the lines of the message that PASSporTs vouch for. Raises StirError."""
    texts = message.protected_headers
    if texts is UNSET:
        return ()
    lines = lines_of((texts,) if isinstance(texts, str) else texts)
    if len(lines) > MAX_PROTECTED:
        raise invalid("protectedHeaders", f"more than {MAX_PROTECTED} lines")
    return lines
