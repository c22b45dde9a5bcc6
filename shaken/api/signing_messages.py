"""The messages of the STIR signing route, and how they are read (ATIS-1000082 §6, TS 24.229 V.2).

Decoding validates: what comes out is an `OutboundCall` with canonical numbers and URIs.
"""

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from shaken.api.stir_errors import StirError, StirFault
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
from shaken.attestation import Attest
from shaken.passport import Parties
from shaken.signing import OutboundCall
from sip.uri import is_anonymous

OTHER_CLAIMS = ("div", "rph", "sph")
"""Members of the 3GPP form that ask for PASSporTs of other types (TS 24.229 Annex V)."""

_NOBODY = (
    "it names nobody; send the number of who calls, as P-Asserted-Identity has it where From is"
    " anonymous, or a URI such as sip:alice@pbx.example.com"
)


class SigningMessage(msgspec.Struct, frozen=True, rename="camel"):
    """What to sign. Left out, `attest` and `origid` are filled in by the trunk, `iat` by now.

    `requestId` is the client's own, for its answer.
    """

    dest: DestMessage
    orig: OrigMessage
    attest: Attest | UnsetType = UNSET
    iat: int | UnsetType = UNSET
    origid: Text | UnsetType = UNSET
    ppt: Text | UnsetType = UNSET
    reference: Reference | UnsetType = msgspec.field(default=UNSET, name="requestId")


class SigningRequest(msgspec.Struct, frozen=True, rename="camel"):
    """The body of `POST /stir/v1/signing`."""

    signing_request: SigningMessage


class SigningResult(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """The Identity header's value, as ATIS (`identity`) and 3GPP (`identityHeader`) name it."""

    identity: str | UnsetType = UNSET
    identity_header: str | UnsetType = UNSET
    reference: str | UnsetType = msgspec.field(default=UNSET, name="requestId")


class SigningResponse(msgspec.Struct, frozen=True, rename="camel"):
    """The answer of `POST /stir/v1/signing`."""

    signing_response: SigningResult


def read_signing(document: dict[str, Any]) -> SigningMessage:
    """Read a request's JSON. Raises StirError naming the member that is wrong."""
    try:
        message = msgspec.convert(document, SigningRequest).signing_request
    except msgspec.ValidationError as error:
        raise fault_of(error, "signingRequest") from error
    if message.ppt is UNSET:
        _refuse_others(document["signingRequest"])
    if message.ppt not in {UNSET, "shaken"}:
        raise StirError(
            StirFault.INVALID,
            "ppt",
            f"{message.ppt} is not signed here",
            detail="only ppt 'shaken' is signed here; leave ppt out or send 'shaken'",
        )
    return message


def _refuse_others(members: dict[str, Any]) -> None:
    """Refuse what asks for a PASSporT of another type without naming it in `ppt`."""
    for other in OTHER_CLAIMS:
        if other in members:
            raise StirError(
                StirFault.INVALID,
                other,
                "it is not signed here",
                detail=f"{other} belongs to another ppt, and only 'shaken' is signed here; leave"
                f" {other} out, or send ppt 'shaken', to have the call itself signed",
            )


def call_of(message: SigningMessage, *, country: str | None) -> OutboundCall:
    """Make the call of a message; `country` reads national numbers. Raises StirError."""
    called = read_destinations("dest", message.dest, country)
    orig = read_origin("orig", message.orig, country)
    if isinstance(message.orig.uri, str) and is_anonymous(message.orig.uri):
        raise invalid("orig", _NOBODY)
    return OutboundCall(
        orig=orig,
        dest=Parties(
            tn=tuple(one.tn for one in called if isinstance(one.tn, str)) or UNSET,
            uri=tuple(one.uri for one in called if isinstance(one.uri, str)) or UNSET,
        ),
        iat=None if message.iat is UNSET else message.iat,
        attest=None if message.attest is UNSET else message.attest,
        origid=None if message.origid is UNSET else message.origid,
    )
