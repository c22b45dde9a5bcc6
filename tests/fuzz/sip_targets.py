"""Fuzzed: what stands in SIP messages."""

import json
import re

from sip.identity import Identity, IdentityError, InfoError, parse_identities, strip_header_name
from sip.number import NumberError, canonical_number
from sip.numbering_plan import is_country
from sip.uri import (
    SipUri,
    TelUri,
    UriError,
    canonical_uri,
    parse_uri,
    phone_context,
    telephone_number,
)
from tests.fuzz.target import VECTORS, Target, Targets, text_of

COUNTRIES = (None, "US", "DE", "GB", "IT", "BR", "AR", "MX")
"""Plans whose national numbers are written in different ways."""

_CANONICAL = re.compile(r"[0-9*#]{1,15}")


def _identity(data: bytes) -> tuple[Identity, ...]:
    return parse_identities(strip_header_name(text_of(data)))


def _identity_holds(_: bytes, identities: tuple[Identity, ...]) -> None:
    assert identities
    for each in identities:
        assert parse_identities(str(each)) == (each,)
    assert parse_identities(",".join(map(str, identities))) == identities


def _identities() -> list[bytes]:
    example = json.loads((VECTORS / "shaken/rfc8225.json").read_text())
    token = f"{example['signing_input']}.c2lnbmF0dXJl"
    info = f"info=<{example['header']['x5u']}>"
    return [
        f"{token};{info};alg=ES256;ppt=shaken".encode(),
        f'Identity: {token} ; {info} ;\r\n alg=ES256;ppt="shaken"'.encode(),
        f'y:..c2ln;{info},{token};{info};ppt=div;note="a, \\"b\\"";canon=[::1];lone'.encode(),
        b"a.b.c;alg=ES256",
        b"a.b.c;info=<>",
    ]


def _uri(data: bytes) -> SipUri | TelUri:
    return parse_uri(text_of(data))


def _uri_holds(data: bytes, uri: SipUri | TelUri) -> None:
    text = text_of(data)
    assert parse_uri(str(uri)) == uri
    canonical = canonical_uri(text)
    assert canonical_uri(canonical) == canonical == canonical_uri(str(uri))
    number = telephone_number(text)
    assert number == telephone_number(str(uri))
    assert number is None or number in text
    assert phone_context(text) == phone_context(str(uri))


def _number(data: bytes) -> tuple[str | None, str]:
    country = COUNTRIES[data[0] % len(COUNTRIES)] if data else None
    return country, canonical_number(text_of(data[1:]), country=country)


def _number_holds(_: bytes, read: tuple[str | None, str]) -> None:
    country, number = read
    assert country is None or is_country(country)
    assert _CANONICAL.fullmatch(number)
    assert canonical_number(number, country=None) == number
    assert canonical_number(f"+{number}", country=country) == number


SIP_TARGETS: Targets = {
    "identity": Target(
        read=_identity,
        refusals=(IdentityError, InfoError),
        holds=_identity_holds,
        seeds=_identities,
    ),
    "uri": Target(
        read=_uri,
        refusals=(UriError,),
        holds=_uri_holds,
        seeds=lambda: (
            b"sip:alice@example.com",
            b"sips:+1-215-555-0100;phone-context=a:secret@[2001:db8::1]:5061;user=phone;lr?a=b&c=",
            b"SIP:*31%23@192.0.2.1;user=phone;transport=tcp",
            b"sip:+12155550100@3f25:0;;transport=;x=a==;x;?a=b&Reason=SIP;cause=302",
            b"tel:+1(215)555-0100;ext=12",
            b"tel:7042;phone-context=example.com",
            b"tel:863-1234;phone-context=+1-914-555",
        ),
    ),
    "number": Target(
        read=_number,
        refusals=(NumberError,),
        holds=_number_holds,
        seeds=lambda: (
            b"\x00+1 (215) 555-0100",
            b"\x012155550100",
            b"\x0112155550100",
            b"\x01911",
            b"\x02030 123456",
            b"\x0200491711234567",
            b"\x03*31#",
            b"\x0402 1234 5678",
            b"\x05(11) 96123-4567",
            b"\x060111523456789",
            b"\x07015512345678",
        ),
    ),
}
