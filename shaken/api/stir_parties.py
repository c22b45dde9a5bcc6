"""Who calls and who is called, as the messages of both STIR routes have them.

Reading validates: what comes out are canonical numbers and URIs (RFC 8224 §8).
"""

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from shaken.api.stir_errors import StirError, StirFault
from shaken.call_records import MAX_REQUEST_ID
from shaken.passport import Party, party_of_uri
from sip.number import NumberError, canonical_number
from sip.uri import UriError

MAX_DESTINATIONS = 64
"""Destinations of one call; a call list of a conference bridge has some dozen."""

Text = Annotated[str, Meta(max_length=2048)]
Reference = Annotated[str, Meta(max_length=MAX_REQUEST_ID, pattern=r"^[\x20-\x7e]*$(?!\n)")]


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
    try:
        if isinstance(orig.tn, str):
            return Party(tn=canonical_number(orig.tn, country=country))
        return party_of_uri(str(orig.uri), country=country)
    except (NumberError, UriError) as error:
        raise invalid(member, str(error)) from error


def read_destinations(member: str, dest: DestMessage, country: str | None) -> list[Party]:
    """Read the called in a member; `country` reads national numbers. Raises StirError."""
    numbers = (dest.tn,) if isinstance(dest.tn, str) else dest.tn or ()
    uris = (dest.uri,) if isinstance(dest.uri, str) else dest.uri or ()
    if not numbers and not uris:
        raise missing(member, f"{member} needs at least one tn or uri")
    if len(numbers) + len(uris) > MAX_DESTINATIONS:
        raise invalid(member, f"more than {MAX_DESTINATIONS} destinations")
    try:
        called = [Party(tn=canonical_number(text, country=country)) for text in numbers]
        return called + [party_of_uri(text, country=country) for text in uris]
    except (NumberError, UriError) as error:
        raise invalid(member, str(error)) from error


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
