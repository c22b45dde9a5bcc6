"""The messages of the STIR verification route (ATIS-1000082 §7, TS 24.229 Annex V.2).

Decoding validates: what comes out are canonical numbers and URIs. One request may have the members
of both forms; clients that know one form ignore the other's in the answer.
"""

import re
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from shaken.api.stir_parties import (
    DestMessage,
    OrigMessage,
    RequestId,
    Text,
    fault_of,
    read_destinations,
    read_origin,
)

MAX_IDENTITIES = 16
"""Identity headers of one request."""

Header = Annotated[str, Meta(max_length=16 * 1024)]
HeaderList = Annotated[list[Header], Meta(max_length=MAX_IDENTITIES)]

_ANONYMOUS = re.compile(
    r"(?:sips?:)?(?:anonymous|restricted|unavailable)?(?:@anonymous\.invalid.*)?", re.IGNORECASE
)
"""What stands for a caller who is not named (RFC 3323 §4.1.1.3, RFC 3325)."""


class VerificationMessage(msgspec.Struct, frozen=True, rename="camel"):
    """A call that came in.

    Its Identity headers are in `identity` (ATIS: one value or a list), `identityHeader` and
    `identityHeaders` (3GPP). `time` is that of its Date header (Unix seconds). `callId`, of our
    own, tells calls apart for the detection of replays.
    """

    from_: OrigMessage = msgspec.field(name="from")
    to: DestMessage
    time: int | UnsetType = UNSET
    identity: Header | HeaderList | UnsetType = UNSET
    identity_header: Header | UnsetType = UNSET
    identity_headers: HeaderList | UnsetType = UNSET
    request_id: RequestId | UnsetType = UNSET
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
    """The verdict on one header (3GPP)."""

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


class VerificationResult(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """The verdict: `verstat` and `reason…` as ATIS names it, `verstatValue` as 3GPP does.

    `replayed`: the PASSporT was seen before for another call. `stale`: judged by an old copy of
    the certificate, whose repository is down.
    """

    verstat: str | UnsetType = UNSET
    reasoncode: int | UnsetType = UNSET
    reasontext: str | UnsetType = UNSET
    reasondesc: str | UnsetType | None = UNSET
    verstat_value: str | UnsetType = UNSET
    verify_results: tuple[VerifyResult, ...] | UnsetType = UNSET
    attest: str | UnsetType = UNSET
    origid: str | UnsetType = UNSET
    ppt: str | UnsetType = UNSET
    signer: SignerMessage | UnsetType = UNSET
    x5u: str | UnsetType = UNSET
    decision: DecisionMessage | UnsetType = UNSET
    replayed: bool | UnsetType = UNSET
    stale: bool | UnsetType = UNSET
    request_id: str | UnsetType = UNSET


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
    values: list[str] = []
    for member in (message.identity_header, message.identity, message.identity_headers):
        if member is not UNSET:
            values += [member] if isinstance(member, str) else member
    return tuple(dict.fromkeys(value for value in values if value.strip()))[:MAX_IDENTITIES]


def caller(message: VerificationMessage, *, country: str | None) -> str | None:
    """Return who calls, canonical; None: nobody is named. Raises StirError."""
    sender = message.from_
    if any(
        isinstance(text, str) and _ANONYMOUS.fullmatch(text.strip())
        for text in (sender.tn, sender.uri)
    ):
        return None
    return str(read_origin("from", sender, country))


def called(message: VerificationMessage, *, country: str | None) -> tuple[str, ...]:
    """Return whom the call is to, canonical. Raises StirError."""
    return tuple(str(each) for each in read_destinations("to", message.to, country))
