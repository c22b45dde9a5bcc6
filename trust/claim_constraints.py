"""Which claims a certificate lets its holder sign: JWTClaimConstraints and its enhanced form.

RFC 8226 §8 (OID 1.3.6.1.5.5.7.1.27) lets a CA demand claims and list the values they may have;
RFC 9118 §3 (OID …1.33) adds claims that must be missing. This module turns the extensions' DER
into values and back, finds them in a certificate, and says why a PASSporT's claims break them.
Reading a PASSporT is left to others.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated

from cryptography import x509
from cryptography.hazmat import asn1

JWT_CLAIM_CONSTRAINTS_OID = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.27")
ENHANCED_JWT_CLAIM_CONSTRAINTS_OID = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.33")

MAX_ENTRIES = 1_000
"""Members of each list. Far above any certificate in use; keeps `check` bounded."""

MAX_SHOWN = 80
"""Characters of a name or value that a sentence quotes."""


class ClaimConstraintsError(ValueError):
    """The constraints, or the DER they are read from, break RFC 8226 §8 or RFC 9118 §3."""


@dataclass(frozen=True)
class PermittedValues:
    """`JWTClaimValues`: when `claim` is present, its value is one of `values`.

    A value of another type than string is written as the JSON of RFC 8225 §9: no white space,
    keys in lexicographic order. Raises ClaimConstraintsError when there is no value.
    """

    claim: str
    values: tuple[str, ...]

    def __post_init__(self) -> None:
        """Hold the values to `SEQUENCE SIZE (1..MAX)`, the name to an IA5String."""
        _check_names([self.claim])
        if not 1 <= len(self.values) <= MAX_ENTRIES:
            raise ClaimConstraintsError(f"a claim permits other than 1 to {MAX_ENTRIES} values")

    def permit(self, value: object) -> bool:
        """Whether a claim may have this JSON value."""
        return (value if isinstance(value, str) else _serialised(value)) in self.values


@dataclass(frozen=True)
class ClaimConstraints:
    """What a certificate demands of the claims; names are those of the PASSporT's payload.

    `iat`, `orig` and `dest` stand in every PASSporT and need no mention (RFC 8226 §8). Raises
    ClaimConstraintsError when nothing is demanded, or more than `MAX_ENTRIES` things of a kind.
    """

    must_include: tuple[str, ...] = ()
    permitted_values: tuple[PermittedValues, ...] = ()
    must_exclude: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Hold the lists to their bounds, the names to IA5Strings."""
        lists = (self.must_include, self.permitted_values, self.must_exclude)
        if not any(lists):
            raise ClaimConstraintsError("the constraints demand nothing")
        if max(map(len, lists)) > MAX_ENTRIES:
            raise ClaimConstraintsError(f"a list has more than {MAX_ENTRIES} entries")
        _check_names([*self.must_include, *self.must_exclude])

    @classmethod
    def decode(cls, der: bytes) -> ClaimConstraints:
        """Read an extension's value. Any bytes yield constraints or ClaimConstraintsError.

        RFC 9118's syntax has all of RFC 8226's, so this reads both.
        """
        try:
            decoded = asn1.decode_der(_EnhancedJWTClaimConstraints, der)
        except ValueError:
            raise ClaimConstraintsError("the extension is not JWTClaimConstraints in DER") from None
        if [] in (decoded.must_include, decoded.permitted_values, decoded.must_exclude):
            raise ClaimConstraintsError("a list is there but empty")
        return cls(
            must_include=_names(decoded.must_include),
            permitted_values=tuple(
                PermittedValues(one.claim.as_str(), tuple(one.values))
                for one in decoded.permitted_values or ()
            ),
            must_exclude=_names(decoded.must_exclude),
        )

    def encode(self) -> bytes:
        """Return the DER of the extension's value."""
        permitted = [
            _JWTClaimValues(claim=asn1.IA5String(one.claim), values=list(one.values))
            for one in self.permitted_values
        ]
        return asn1.encode_der(
            _EnhancedJWTClaimConstraints(
                must_include=_ia5_strings(self.must_include),
                permitted_values=permitted or None,
                must_exclude=_ia5_strings(self.must_exclude),
            )
        )

    @property
    def oid(self) -> x509.ObjectIdentifier:
        """The extension to carry them: the older one, which more verifiers know, if it can."""
        if self.must_exclude:
            return ENHANCED_JWT_CLAIM_CONSTRAINTS_OID
        return JWT_CLAIM_CONSTRAINTS_OID

    def check(self, claims: Mapping[str, object]) -> str | None:
        """Say in a sentence how a PASSporT's claims (JSON values) break them, None: not at all."""
        for name in self.must_include:
            if name not in claims:
                return f"the claim {_shown(name)} is missing, which the certificate demands"
        for name in self.must_exclude:
            if name in claims:
                return f"the claim {_shown(name)} is present, which the certificate forbids"
        for permitted in self.permitted_values:
            name = permitted.claim
            if name in claims and not permitted.permit(claims[name]):
                return (
                    f"the claim {_shown(name)} is {_shown(claims[name])}; the certificate permits "
                    f"{_shown(', '.join(permitted.values))}"
                )
        return None


def constraints_of(certificate: x509.Certificate) -> tuple[ClaimConstraints, ...]:
    """Return the constraints a certificate holds, of either form; both may stand in it.

    Raises ClaimConstraintsError for malformed ones, and what `certificate.extensions` raises
    (`trust.certificate.UNREADABLE`).
    """
    found = []
    for extension in certificate.extensions:
        if extension.oid not in {JWT_CLAIM_CONSTRAINTS_OID, ENHANCED_JWT_CLAIM_CONSTRAINTS_OID}:
            continue
        constraints = ClaimConstraints.decode(extension.value.public_bytes())
        if constraints.must_exclude and extension.oid == JWT_CLAIM_CONSTRAINTS_OID:
            raise ClaimConstraintsError("mustExclude stands in the extension that does not have it")
        found.append(constraints)
    return tuple(found)


@asn1.sequence
class _JWTClaimValues:
    claim: asn1.IA5String
    values: list[str]


@asn1.sequence
class _EnhancedJWTClaimConstraints:
    must_include: Annotated[list[asn1.IA5String] | None, asn1.Explicit(0)]
    permitted_values: Annotated[list[_JWTClaimValues] | None, asn1.Explicit(1)]
    must_exclude: Annotated[list[asn1.IA5String] | None, asn1.Explicit(2)]


def _check_names(names: Iterable[str]) -> None:
    if not all(name.isascii() for name in names):
        raise ClaimConstraintsError("a claim's name holds other than ASCII")


def _names(names: list[asn1.IA5String] | None) -> tuple[str, ...]:
    return tuple(name.as_str() for name in names or ())


def _ia5_strings(names: Iterable[str]) -> list[asn1.IA5String] | None:
    return [asn1.IA5String(name) for name in names] or None


def _serialised(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _shown(value: object) -> str:
    return ascii(value)[:MAX_SHOWN]
