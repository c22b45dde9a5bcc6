"""The TN Authorization List certificate extension (RFC 8226 §9, OID 1.3.6.1.5.5.7.1.26).

It says for which service provider codes and telephone numbers the holder of a certificate may
speak. This module turns the extension's DER into values and back. Whether a number is named in it,
and what a service provider code permits, is the business of `trust.delegation`; finding the
extension in a certificate that of `trust.certificate`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

from cryptography import x509
from cryptography.hazmat import asn1

TN_AUTH_LIST_OID = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.26")

MAX_ENTRIES = 10_000
"""Entries of one list. Far above any certificate in use; keeps time and memory bounded."""

MAX_SPC_LENGTH = 64
"""Characters of a service provider code. The RFC sets no bound; an OCN has four."""

MIN_RANGE_COUNT = 2
"""`count INTEGER (2..MAX)`: a range of one number is written as a single number."""

_TELEPHONE_NUMBER = re.compile(r"[0-9#*]{1,15}")
_DIGITS = re.compile(r"[0-9]{1,15}")


class TnAuthListError(ValueError):
    """The list, or the DER it is read from, breaks RFC 8226 §9; the message says where."""


@dataclass(frozen=True)
class Spc:
    """`spc [0] ServiceProviderCode`: an OCN or other provider identifier, such as `1234`."""

    code: str

    def __post_init__(self) -> None:
        """Refuse what an IA5String a person may read cannot hold, with TnAuthListError."""
        if not self.code:
            raise TnAuthListError("a service provider code is empty")
        if len(self.code) > MAX_SPC_LENGTH:
            raise TnAuthListError(
                f"a service provider code is longer than {MAX_SPC_LENGTH} characters"
            )
        if not (self.code.isascii() and self.code.isprintable()):
            raise TnAuthListError("a service provider code holds other than printable ASCII")


@dataclass(frozen=True)
class TnRange:
    """`range [1] TelephoneNumberRange`: `count` consecutive numbers from `start` on."""

    start: str
    count: int

    def __post_init__(self) -> None:
        """Refuse a range RFC 8226 §9 calls invalid, with TnAuthListError."""
        if not _DIGITS.fullmatch(self.start):
            raise TnAuthListError("a range starts with other than 1 to 15 digits")
        if self.count < MIN_RANGE_COUNT:
            raise TnAuthListError(f"a range counts fewer than {MIN_RANGE_COUNT} numbers")
        # The RFC lets no range grow a digit: 10 with a count of 91 would reach 100.
        if int(self.start) + self.count > 10 ** len(self.start):
            raise TnAuthListError("a range runs past the last number of its length")

    @property
    def last(self) -> str:
        """The last number of the range, as many digits long as `start`."""
        return str(int(self.start) + self.count - 1).zfill(len(self.start))


@dataclass(frozen=True)
class Tn:
    """`one [2] TelephoneNumber`: one canonical number, without `+`."""

    number: str

    def __post_init__(self) -> None:
        """Refuse what `TelephoneNumber` does not allow, with TnAuthListError."""
        if not _TELEPHONE_NUMBER.fullmatch(self.number):
            raise TnAuthListError("a telephone number is other than 1 to 15 of 0-9, # and *")


Entry: TypeAlias = Spc | TnRange | Tn


@dataclass(frozen=True)
class TnAuthList:
    """A TN Authorization List, entries in the order of the certificate.

    Raises TnAuthListError when there is no entry or more than `MAX_ENTRIES`.
    """

    entries: tuple[Entry, ...]

    def __post_init__(self) -> None:
        """Hold the list to `SEQUENCE SIZE (1..MAX)`."""
        if not self.entries:
            raise TnAuthListError("the list has no entry")
        if len(self.entries) > MAX_ENTRIES:
            raise TnAuthListError(f"the list has more than {MAX_ENTRIES} entries")

    @classmethod
    def of(
        cls,
        *,
        spcs: Iterable[str] = (),
        numbers: Iterable[str] = (),
        ranges: Iterable[TnRange] = (),
    ) -> TnAuthList:
        """Build a list of provider codes, then ranges, then single canonical numbers."""
        return cls(
            (*(Spc(code) for code in spcs), *ranges, *(Tn(number) for number in numbers)),
        )

    @classmethod
    def decode(cls, der: bytes) -> TnAuthList:
        """Read the extension's value. Any bytes at all yield a list or TnAuthListError."""
        try:
            # The codec reads classes only, so the bare SEQUENCE OF is read as a field of one.
            wrapped = asn1.encode_der(_Opaque(entries=asn1.decode_der(asn1.TLV, der)))
            decoded = asn1.decode_der(_TNAuthorizationList, wrapped).entries
        except ValueError:
            raise TnAuthListError("the extension is not a TNAuthorizationList in DER") from None
        return cls(tuple(_entry(entry) for entry in decoded))

    def encode(self) -> bytes:
        """Return the DER of the extension's value: a SEQUENCE OF TNEntry."""
        wrapped = asn1.encode_der(
            _TNAuthorizationList(entries=[_tn_entry(entry) for entry in self.entries])
        )
        return bytes(asn1.decode_der(asn1.TLV, wrapped).data)

    @property
    def spcs(self) -> tuple[str, ...]:
        """The service provider codes."""
        return tuple(entry.code for entry in self.entries if isinstance(entry, Spc))

    @property
    def ranges(self) -> tuple[TnRange, ...]:
        """The number ranges."""
        return tuple(entry for entry in self.entries if isinstance(entry, TnRange))

    @property
    def numbers(self) -> tuple[str, ...]:
        """The single numbers."""
        return tuple(entry.number for entry in self.entries if isinstance(entry, Tn))


@asn1.sequence
class _TelephoneNumberRange:
    start: asn1.IA5String
    count: int


_SpcVariant: TypeAlias = asn1.Variant[asn1.IA5String, Literal["spc"]]
_RangeVariant: TypeAlias = asn1.Variant[_TelephoneNumberRange, Literal["range"]]
_OneVariant: TypeAlias = asn1.Variant[asn1.IA5String, Literal["one"]]
_TNEntry: TypeAlias = (
    Annotated[_SpcVariant, asn1.Explicit(0)]
    | Annotated[_RangeVariant, asn1.Explicit(1)]
    | Annotated[_OneVariant, asn1.Explicit(2)]
)


@asn1.sequence
class _TNAuthorizationList:
    entries: list[_TNEntry]


@asn1.sequence
class _Opaque:
    entries: asn1.TLV


def _tn_entry(entry: Entry) -> _TNEntry:
    match entry:
        case Spc(code):
            return asn1.Variant(asn1.IA5String(code), "spc")
        case TnRange(start, count):
            span = _TelephoneNumberRange(start=asn1.IA5String(start), count=count)
            return asn1.Variant(span, "range")
        case Tn(number):
            return asn1.Variant(asn1.IA5String(number), "one")


def _entry(entry: _TNEntry) -> Entry:
    value = entry.value
    if isinstance(value, _TelephoneNumberRange):
        return TnRange(value.start.as_str(), value.count)
    return Spc(value.as_str()) if entry.tag == "spc" else Tn(value.as_str())
