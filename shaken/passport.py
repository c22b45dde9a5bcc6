"""PASSporTs: signed statements of who calls whom (RFC 8225); those of RFC 8588 and 8946 are made.

Encoding is byte-exact as RFC 8225 §9 asks: UTF-8 JSON, keys in lexicographic order, no white
space. Decoding is strict about what could be misread (duplicate keys, foreign algorithms) and
lenient about order and white space, since a signature is over the bytes received.
"""

import binascii
import json
import re
from dataclasses import replace
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from jwt.algorithms import ECAlgorithm
from jwt.utils import base64url_encode, der_to_raw_signature

from shaken.strictjson import JsonError, parse_object
from sip.number import MAX_NUMBER_LENGTH, canonical_number
from sip.stages import Stages, at_once
from sip.uri import TelUri, canonical_uri, parse_uri, phone_context, service_urn, telephone_number

MAX_TOKEN = 16 * 1024
"""Characters of a token that `decode` reads; with rich call data one has under 4 KiB."""

MAX_KEPT_HEADER = 512
"""Characters of a header segment that is kept once it was read; strangers write them."""

_TELEPHONE_TEXT = re.compile(r"[+0-9*#().-]+")
_GLOBAL_NUMBER = re.compile(rf"\+[().-]*(?:[0-9][().-]*){{1,{MAX_NUMBER_LENGTH}}}")
_UUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_SEGMENT = re.compile(rb"[A-Za-z0-9_-]+")
_NO_TOKEN = "a token is three base64url segments joined by dots"  # noqa: S105 - words
_REFUSED_HEADERS = ("b64", "crit", "jwk", "jku")
_ECDSA = ec.ECDSA(hashes.SHA256())

_INTEGER = 32
"""Octets of r and of s (RFC 7518 §3.4)."""

_R = slice(-86, -44)
"""Characters of a token in which r stands, but its last 4 bits: the next one has bits of s, too."""

_TO_BASE64 = bytes.maketrans(b"-_+/=", b"+/...")

_PADDING = (b"", b"===", b"==", b"=")
_LAST = (b"", b"", b"AQgw", b"AEIMQUYcgkosw048")
"""With which characters a segment may end, by how many there are beyond its fours: those whose
unused bits are zero (RFC 4648 §3.5). Else a token could be altered and still verify."""


class _Es256(ECAlgorithm):
    """PyJWT's ES256, which describes the algorithm anew for each signature: a tenth of its time."""

    def sign(self, msg: bytes, key: ec.EllipticCurvePrivateKey) -> bytes:
        return der_to_raw_signature(key.sign(msg, _ECDSA), key.curve)


_ES256 = _Es256(ECAlgorithm.SHA256)


class PassportError(ValueError):
    """A text is no PASSporT, or one that must not be believed; the message says why."""


class Party(msgspec.Struct, frozen=True, omit_defaults=True):
    """One end of a call: a canonical number (no `+`) or a canonical URI, exactly one of them."""

    tn: str | msgspec.UnsetType = msgspec.UNSET
    uri: str | msgspec.UnsetType = msgspec.UNSET

    def __str__(self) -> str:
        return str(self.uri if self.tn is msgspec.UNSET else self.tn)

    @property
    def number(self) -> str | None:
        """The number, None: it is a URI."""
        return self.tn if isinstance(self.tn, str) else None


def party_of_uri(uri: str, *, country: str | None) -> Party:
    """Read whom a SIP or tel URI, or the URN of a service, names (RFC 8224 §8.3, §8.5).

    `country` reads national numbers. A telephone number is what a tel URI holds, and the user part
    of a SIP URI with `user=phone`, or with `+` and no more digits than numbers have; its characters
    may be escaped. Raises NumberError and UriError.
    """
    urn = service_urn(uri)
    if urn is not None:
        return Party(uri=urn)
    number = _number_in(uri)
    if number is not None:
        return Party(tn=canonical_number(number, country=country, context=phone_context(uri)))
    return Party(uri=canonical_uri(uri))


def _number_in(uri: str) -> str | None:
    parsed = parse_uri(uri)
    if isinstance(parsed, TelUri) or parsed.user is None:
        return telephone_number(uri)
    escaped, semicolon, parameters = parsed.user.partition(";")
    user = unquote(escaped)
    if _GLOBAL_NUMBER.fullmatch(user) is not None:
        return user
    if user == escaped:
        return telephone_number(uri)
    if _TELEPHONE_TEXT.fullmatch(user) is None:
        return None
    return telephone_number(str(replace(parsed, user=f"{user}{semicolon}{parameters}")))


class Parties(msgspec.Struct, frozen=True, omit_defaults=True):
    """The destinations of a call: canonical numbers, canonical URIs, at least one in all."""

    tn: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    uri: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET

    def all(self) -> tuple[str, ...]:
        """List numbers, then URIs."""
        return (*(self.tn or ()), *(self.uri or ()))


class ShakenClaims(msgspec.Struct, frozen=True):
    """The claims of a `shaken` PASSporT, in the order they are serialized (RFC 8588 §3)."""

    attest: str
    dest: Parties
    iat: int
    orig: Party
    origid: str


class DivClaims(msgspec.Struct, frozen=True):
    """The claims of a `div` PASSporT, in the order they are serialized (RFC 8946 §3)."""

    dest: Parties
    div: Party
    iat: int
    orig: Party


class Passport(msgspec.Struct, frozen=True):
    """A decoded, not verified PASSporT. `header` and `claims` hold what JSON held.

    `signature` is over `signed`, the token up to its second dot: r and s of 32 octets each
    (RFC 7518 §3.4), if it is one.
    """

    header: dict[str, Any]
    claims: dict[str, Any]
    token: str
    signed: bytes
    signature: bytes

    @property
    def once(self) -> str:
        """What a PASSporT whose signature fits has in common with no other, however written.

        It is r, and where the key is: who signs something else with the same r gives the key away,
        and nobody else can with this key. Not s: whoever has (r, s) has (r, n - s) too, which fits
        as well.
        """
        return f"{self.x5u} {self.token[_R]}"

    @property
    def x5u(self) -> str | None:
        """The URL of the signer's certificate, when the header names one."""
        value = self.header.get("x5u")
        return value if isinstance(value, str) else None


def is_origid(text: str) -> bool:
    """Say whether a text is a UUID as `origid` claims hold (RFC 8588 §5, RFC 4122 §3)."""
    return _UUID.fullmatch(text) is not None


def header_segment(*, x5u: str, ppt: str) -> str:
    """Return the first segment of a token, base64url without padding (RFC 8588 §5)."""
    header = {"alg": "ES256", "ppt": ppt, "typ": "passport", "x5u": x5u}
    return base64url_encode(serialize(header)).decode("ascii")


def serialize(claims: object) -> bytes:
    """Return claims, or the value of one, as the bytes that are signed (RFC 8225 §9)."""
    return msgspec.json.encode(claims, order="sorted")


def sign(header: str, claims: msgspec.Struct, key: ec.EllipticCurvePrivateKey) -> str:
    """Return the token: `header` (from `header_segment`), claims, and the ES256 signature."""
    return at_once(token_in_stages(header, claims, key))


def token_in_stages(
    header: str, claims: msgspec.Struct, key: ec.EllipticCurvePrivateKey
) -> Stages[str]:
    """Return the token as `sign` does; the signature is a stage of its own."""
    signed = header.encode("ascii") + b"." + base64url_encode(serialize(claims))
    yield  # what is to be signed is written
    signature = _ES256.sign(signed, key)
    yield  # it is signed
    return (signed + b"." + base64url_encode(signature)).decode("ascii")


def decode(token: str) -> Passport:
    """Read a full-form token without verifying its signature. Raises PassportError."""
    if len(token) > MAX_TOKEN:
        raise PassportError(f"the token is longer than {MAX_TOKEN} characters")
    if token.startswith(".."):
        raise PassportError("this is the compact form; SHAKEN needs the full form (RFC 8588 §5)")
    signed, _, signature = token.encode("ascii", "replace").rpartition(b".")
    header, _, claims = signed.partition(b".")
    if not claims or not signature or b"." in claims:
        raise PassportError(_NO_TOKEN)
    read = _header_at_hand if len(header) <= MAX_KEPT_HEADER else _header_of
    return Passport(
        read(header),
        _json_segment(claims, "payload"),
        token,
        signed,
        _bytes_segment(signature, "signature"),
    )


def signature_fits(passport: Passport, key: ec.EllipticCurvePublicKey) -> bool:
    """Say whether the signature over the received bytes was made with this P-256 key."""
    both = passport.signature
    if len(both) != 2 * _INTEGER:
        return False
    r, s = int.from_bytes(both[:_INTEGER], "big"), int.from_bytes(both[_INTEGER:], "big")
    try:
        key.verify(utils.encode_dss_signature(r, s), passport.signed, _ECDSA)
    except InvalidSignature:
        return False
    return True


def destinations(dest: object) -> list[object]:
    """List whom a `dest` claim names, numbers before URIs; what is no such claim names nobody."""
    if not isinstance(dest, dict):
        return []
    numbers, uris = dest.get("tn"), dest.get("uri")
    return (numbers if isinstance(numbers, list) else []) + (uris if isinstance(uris, list) else [])


def _header_of(segment: bytes) -> dict[str, Any]:
    """Read a header that must be believed."""
    header = _json_segment(segment, "header")
    _check_header(header)
    return header


_header_at_hand = lru_cache(maxsize=10_000)(_header_of)
"""The same, kept: a signer's header is the same in each of its tokens."""


def _check_header(header: dict[str, Any]) -> None:
    if header.get("alg") != "ES256":
        raise PassportError(f"alg is {_shown(header.get('alg'))}, only ES256 is believed")
    if header.get("typ") != "passport":
        raise PassportError(f"typ is {_shown(header.get('typ'))}, a PASSporT says passport")
    for name in _REFUSED_HEADERS:
        if name in header:
            raise PassportError(f"the header holds {name!r}, which a PASSporT must not")


def _json_segment(segment: bytes, what: str) -> dict[str, Any]:
    try:
        return parse_object(_bytes_segment(segment, what))
    except JsonError as error:
        raise PassportError(f"the {what} is not a JSON object: {error}") from error


def _bytes_segment(segment: bytes, what: str) -> bytes:
    over = len(segment) & 3
    padded = segment.translate(_TO_BASE64) + _PADDING[over]
    try:
        decoded = binascii.a2b_base64(padded, strict_mode=True)
    except binascii.Error as error:
        words = f"the {what} is not base64url" if _SEGMENT.fullmatch(segment) else _NO_TOKEN
        raise PassportError(words) from error
    if over and segment[-1] not in _LAST[over]:
        raise PassportError(f"the {what} is not base64url as it is written")
    return decoded


def _shown(value: object) -> str:
    return json.dumps(value)[:40] if value is not None else "missing"
