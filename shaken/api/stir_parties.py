"""Who calls and who is called, as the messages of both STIR routes have them.

Reading validates: what comes out are canonical numbers and URIs (RFC 8224 §8).
"""

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from shaken.api.stir_errors import StirError, StirFault
from shaken.passport import Party
from sip.number import NumberError, canonical_number
from sip.uri import UriError, canonical_uri, service_urn, telephone_number

MAX_DESTINATIONS = 64
"""Destinations of one call; a call list of a conference bridge has some dozen."""

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


def read_origin(member: str, orig: OrigMessage, country: str | None) -> Party:
    """Read the caller in a member; `country` reads national numbers. Raises StirError."""
    if (orig.tn is UNSET) == (orig.uri is UNSET):
        if orig.tn is UNSET:
            raise missing(member, f"{member} needs tn or uri")
        raise invalid(member, "one of tn and uri is expected, not both")
    if isinstance(orig.tn, str):
        return Party(tn=_number(member, orig.tn, country))
    return _party(member, str(orig.uri), country)


def read_destinations(member: str, dest: DestMessage, country: str | None) -> list[Party]:
    """Read the called in a member; `country` reads national numbers. Raises StirError.

    Emergency calls are to the URN of a service (RFC 5031).
    """
    numbers, uris = _each(dest.tn), _each(dest.uri)
    if not numbers and not uris:
        raise missing(member, f"{member} needs at least one tn or uri")
    if len(numbers) + len(uris) > MAX_DESTINATIONS:
        raise invalid(member, f"more than {MAX_DESTINATIONS} destinations")
    called = [Party(tn=_number(member, text, country)) for text in numbers]
    return called + [
        _party(member, text, country) if (urn := service_urn(text)) is None else Party(uri=urn)
        for text in uris
    ]


def missing(member: str, detail: str = "") -> StirError:
    """Return the error for a member that is not there."""
    return StirError(StirFault.MISSING, member, detail=detail)


def invalid(member: str, why: str) -> StirError:
    """Return the error for a member that is wrong."""
    return StirError(StirFault.INVALID, member, why)


def fault_of(error: msgspec.ValidationError, whole: str) -> StirError:
    """Turn msgspec's words (`Expected … - at `$.a.b``) into an error of the table.

    `whole` is the member that holds all others.
    """
    text, _, path = str(error).partition(" - at `$")
    members = [
        member.partition("[")[0]
        for member in path.rstrip("`").split(".")
        if member.partition("[")[0] not in {"", whole}
    ]
    if "missing required field" in text:
        return missing(text.split("`")[1])
    return invalid(members[0] if members else whole, text.replace("`", ""))


def _each(value: str | list[str] | UnsetType) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [] if value is UNSET else value


def _number(member: str, text: str, country: str | None) -> str:
    try:
        return canonical_number(text, country=country)
    except NumberError as error:
        raise invalid(member, str(error)) from error


def _party(member: str, text: str, country: str | None) -> Party:
    """Read a URI; one that holds a telephone number is that number (RFC 8224 §8.3)."""
    try:
        number = telephone_number(text)
        if number is None:
            return Party(uri=canonical_uri(text))
    except UriError as error:
        raise invalid(member, str(error)) from error
    return Party(tn=_number(member, number, country))
