"""The messages of the STIR signing route, and how they are read (ATIS-1000082 §6, TS 24.229 V.2).

Decoding validates: what comes out is a `Call` with canonical numbers and URIs.
"""

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from shaken.api.stir_errors import StirError, StirFault
from shaken.attestation import Attest
from shaken.passport import Parties, Party
from shaken.signing import Call
from sip.number import NumberError, canonical_number
from sip.uri import UriError, canonical_uri, telephone_number

MAX_DESTINATIONS = 64
"""Destinations of one call; a call list of a conference bridge has some dozen."""

OTHER_CLAIMS = ("div", "rph", "sph")
"""Members of the 3GPP form that ask for PASSporTs of other types (TS 24.229 Annex V)."""

Text = Annotated[str, Meta(max_length=2048)]
RequestId = Annotated[str, Meta(max_length=128, pattern=r"^[\x20-\x7e]*$(?!\n)")]


class OrigMessage(msgspec.Struct, frozen=True):
    """The caller: a telephone number or a URI."""

    tn: Text | UnsetType = UNSET
    uri: Text | UnsetType = UNSET


class DestMessage(msgspec.Struct, frozen=True):
    """The called: telephone numbers, URIs, or both."""

    tn: Text | list[Text] | UnsetType = UNSET
    uri: Text | list[Text] | UnsetType = UNSET


class SigningMessage(msgspec.Struct, frozen=True, rename="camel"):
    """What to sign. Left out, `attest` and `origid` are filled in by the trunk, `iat` by now."""

    dest: DestMessage
    orig: OrigMessage
    attest: Attest | UnsetType = UNSET
    iat: int | UnsetType = UNSET
    origid: Text | UnsetType = UNSET
    ppt: Text | UnsetType = UNSET
    request_id: RequestId | UnsetType = UNSET


class SigningRequest(msgspec.Struct, frozen=True, rename="camel"):
    """The body of `POST /stir/v1/signing`."""

    signing_request: SigningMessage


class SigningResult(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """The Identity header's value, as ATIS (`identity`) and 3GPP (`identityHeader`) name it."""

    identity: str | UnsetType = UNSET
    identity_header: str | UnsetType = UNSET
    request_id: str | UnsetType = UNSET


class SigningResponse(msgspec.Struct, frozen=True, rename="camel"):
    """The answer of `POST /stir/v1/signing`."""

    signing_response: SigningResult


def read_signing(document: dict[str, Any]) -> SigningMessage:
    """Read a request's JSON. Raises StirError naming the member that is wrong."""
    try:
        message = msgspec.convert(document, SigningRequest).signing_request
    except msgspec.ValidationError as error:
        raise _fault(error) from error
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


def call_of(message: SigningMessage, *, country: str | None) -> Call:
    """Make the call of a message; `country` reads national numbers. Raises StirError."""
    orig, dest = message.orig, message.dest
    if (orig.tn is UNSET) == (orig.uri is UNSET):
        if orig.tn is UNSET:
            raise _missing("orig", "orig needs tn or uri")
        raise _invalid("orig", "one of tn and uri is expected, not both")
    numbers, uris = _each(dest.tn), _each(dest.uri)
    if not numbers and not uris:
        raise _missing("dest", "dest needs at least one tn or uri")
    if len(numbers) + len(uris) > MAX_DESTINATIONS:
        raise _invalid("dest", f"more than {MAX_DESTINATIONS} destinations")
    called = [Party(tn=_number("dest", text, country)) for text in numbers]
    called += [_party("dest", text, country) for text in uris]
    return Call(
        orig=Party(tn=_number("orig", orig.tn, country))
        if isinstance(orig.tn, str)
        else _party("orig", str(orig.uri), country),
        dest=Parties(
            tn=tuple(one.tn for one in called if isinstance(one.tn, str)) or UNSET,
            uri=tuple(one.uri for one in called if isinstance(one.uri, str)) or UNSET,
        ),
        iat=None if message.iat is UNSET else message.iat,
        attest=None if message.attest is UNSET else message.attest,
        origid=None if message.origid is UNSET else message.origid,
    )


def _each(value: str | list[str] | UnsetType) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [] if value is UNSET else value


def _number(member: str, text: str, country: str | None) -> str:
    try:
        return canonical_number(text, country=country)
    except NumberError as error:
        raise _invalid(member, str(error)) from error


def _party(member: str, text: str, country: str | None) -> Party:
    """Read a URI; one that holds a telephone number is that number (RFC 8224 §8.3)."""
    try:
        number = telephone_number(text)
        if number is None:
            return Party(uri=canonical_uri(text))
    except UriError as error:
        raise _invalid(member, str(error)) from error
    return Party(tn=_number(member, number, country))


def _missing(member: str, detail: str = "") -> StirError:
    return StirError(StirFault.MISSING, member, detail=detail)


def _invalid(member: str, why: str) -> StirError:
    return StirError(StirFault.INVALID, member, why)


def _fault(error: msgspec.ValidationError) -> StirError:
    """Turn msgspec's words (`Expected … - at `$.a.b``) into an error of the table."""
    text, _, path = str(error).partition(" - at `$")
    members = [
        member.partition("[")[0]
        for member in path.rstrip("`").split(".")
        if member.partition("[")[0] not in {"", "signingRequest"}
    ]
    if "missing required field" in text:
        return _missing(text.split("`")[1])
    return _invalid(members[0] if members else "signingRequest", text.replace("`", ""))
