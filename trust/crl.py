"""Revocation lists: where a path's are found, and whether one revokes a certificate (RFC 5280 §5).

The STI-PA signs one list for the certificates of all STI-CAs, an indirect one (ATIS-1000080):
distribution points name it as `cRLIssuer`, entries name the issuer of what they revoke. Direct
lists, by the certificate's own issuer, work as well. `CrlIndex` reads a list once, however long;
fetching, keeping it until `next_update`, and what to do without one are for others.

What is on a list is revoked, for calls of any time: a revocation that dates after the `iat` of a
call is as good a reason to refuse it (the key may have leaked before anybody noticed).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import CRLEntryExtensionOID, ExtensionOID

from trust.certificate import UNREADABLE, is_ca, name_shown, subject_of
from trust.key_kinds import public_key_of

MAX_URLS = 8
"""URLs of one certificate's distribution points; more is nobody's practice and many fetches."""

Reason: TypeAlias = Literal[
    "malformed",
    "issuer",
    "unknown-signer",
    "signature",
    "expired",
    "not-yet",
    "unknown-critical",
    "scope",
    "delta",
]
"""Why a list says nothing about a certificate, stable and for programs.

`issuer`: nobody trusted signed it for this certificate; `scope`: it leaves this certificate, or
some reasons to revoke it, to another list.
"""

_KNOWN_CRITICAL = {
    ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
    ExtensionOID.ISSUER_ALTERNATIVE_NAME,
    ExtensionOID.CRL_NUMBER,
    ExtensionOID.ISSUING_DISTRIBUTION_POINT,
}
_KNOWN_CRITICAL_OF_ENTRIES = {
    CRLEntryExtensionOID.CRL_REASON,
    CRLEntryExtensionOID.INVALIDITY_DATE,
    CRLEntryExtensionOID.CERTIFICATE_ISSUER,
}

_NameKey: TypeAlias = tuple[frozenset[tuple[str, str | bytes]], ...]
_SEQUENCE = b"\x30"
"""What every list in DER begins with (X.690 §8.9)."""


class CrlError(Exception):
    """A list cannot tell whether a certificate is revoked; `reason` is for programs."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason: Reason = reason
        self.detail = detail


@dataclass(frozen=True)
class Point:
    """A distribution point: the http and https URLs of one list that tells of `certificate`.

    Without URLs the list cannot be fetched. `crl_issuer` is who signs the list when that is not the
    certificate's issuer. `only_some_reasons`: the list tells of some reasons to revoke only.
    """

    certificate: x509.Certificate
    urls: tuple[str, ...]
    crl_issuer: x509.Name | None
    only_some_reasons: bool = False


@dataclass(frozen=True)
class Revocation:
    """A certificate is revoked: since when (aware, UTC), and the reason as RFC 5280 spells it."""

    date: datetime
    reason: str


@dataclass(frozen=True)
class CrlIndex:
    """A list, read once; `entries` has the revoked serial numbers of each issuer.

    Times are aware, UTC. Nothing is verified yet: `find_revocation` does that.
    """

    crl: x509.CertificateRevocationList = field(repr=False)
    this_update: datetime
    next_update: datetime
    point: x509.IssuingDistributionPoint | None
    entries: Mapping[_NameKey, Mapping[int, Revocation]] = field(repr=False)
    _signed_by: dict[bytes, bool] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def read(cls, data: bytes) -> CrlIndex:
        """Read a list in DER or PEM. Any bytes yield an index or CrlError.

        Reasons: `malformed`, `unknown-critical`, `delta`.
        """
        try:
            # RFC 7468 §2: any text may stand before a block.
            is_der = data.startswith(_SEQUENCE)
            load = x509.load_der_x509_crl if is_der else x509.load_pem_x509_crl
            crl = load(data)
            _check_critical(crl.extensions, _KNOWN_CRITICAL)
            point = _issuing_distribution_point(crl)
            entries = _entries(crl, indirect=point is not None and point.indirect_crl)
            next_update = crl.next_update_utc
        except UNREADABLE:
            raise CrlError("malformed", "This is no certificate revocation list.") from None
        if next_update is None:
            raise CrlError("malformed", "The list does not say when the next one comes.")
        return cls(crl, crl.last_update_utc, next_update, point, entries)

    def may_be_signed_by(self, signer: x509.Certificate, *, at: datetime) -> bool:
        """Say whether the certificate has the list's name, and may sign lists then.

        Whether anybody trusts it is not asked. `at` is aware.
        """
        try:
            usage = signer.extensions.get_extension_for_class(x509.KeyUsage).value
            named = _name_key(signer.subject) == _name_key(self.crl.issuer)
        except (x509.ExtensionNotFound, *UNREADABLE):
            return False
        valid = signer.not_valid_before_utc <= at <= signer.not_valid_after_utc
        return named and valid and usage.crl_sign

    def signed_by(self, signer: x509.Certificate) -> bool:
        """Whether the list bears a good signature by the certificate's key; asked anew for free."""
        try:
            key = public_key_of(signer)
            spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            if spki not in self._signed_by:
                # A key of a kind that signs no list is refused with TypeError.
                self._signed_by[spki] = self.crl.is_signature_valid(key)  # type: ignore[arg-type]
        except UNREADABLE:
            return False
        return self._signed_by[spki]


def distribution_points(path: Sequence[x509.Certificate]) -> tuple[Point, ...]:
    """Return where to find the lists for a validated path, leaf first, but for its root.

    A certificate may have several points or none; at most `MAX_URLS` URLs are given of them all.
    Those without a URL are left out beside others, since one whole list tells all (RFC 5280
    §6.3.3); where no point has one, a point without URLs says that a list is beyond reach.
    Raises CrlError (`malformed`) when a certificate's points cannot be read.
    """
    return tuple(point for certificate in path[:-1] for point in _points(certificate))


def find_revocation(
    certificate: x509.Certificate,
    index: CrlIndex,
    *,
    crl_signers: Sequence[x509.Certificate],
    at: datetime,
) -> Revocation | None:
    """Return how the list revokes `certificate`, None: it does not.

    `crl_signers` are the certificates that the caller trusts to sign lists: the rest of the
    validated path, the trusted roots, and what `trust.crl_signers` finds. `at` (aware) is the
    moment the question is asked, not the `iat` of a call.

    Raises CrlError when the list cannot tell (RFC 5280 §6.3.3).
    """
    issuer = _issuer_of(certificate)
    _check_issuer(certificate, issuer, index)
    _check_signature(index, crl_signers, at)
    if at < index.this_update:
        raise CrlError("not-yet", f"The list is of {_shown(index.this_update)} only.")
    if at > index.next_update:
        raise CrlError("expired", f"A newer list was due on {_shown(index.next_update)}.")
    _check_scope(certificate, index)
    revocation = index.entries.get(issuer, {}).get(certificate.serial_number)
    if revocation is None and index.point is not None and index.point.only_some_reasons:
        raise CrlError("scope", "The list tells of some reasons to revoke only.")
    return revocation


def _check_issuer(certificate: x509.Certificate, issuer: _NameKey, index: CrlIndex) -> None:
    """RFC 5280 §6.3.3 (b) 1: the list is the certificate issuer's, or the named `cRLIssuer`'s."""
    signer = _name_key(index.crl.issuer)
    direct = signer == issuer
    indirect = (
        index.point is not None
        and index.point.indirect_crl
        and any(signer == _name_key(name) for name in _crl_issuers(certificate))
    )
    if not (direct or indirect):
        raise CrlError(
            "issuer",
            f'The list is by "{name_shown(index.crl.issuer)}", which is neither the issuer '
            f'of "{subject_of(certificate)}" nor named in it as the issuer of an indirect list.',
        )


def _check_signature(index: CrlIndex, signers: Sequence[x509.Certificate], at: datetime) -> None:
    """RFC 5280 §6.3.3 (f) and (g): a trusted certificate of that name signed the list."""
    named = [one for one in signers if index.may_be_signed_by(one, at=at)]
    if not named:
        raise CrlError(
            "unknown-signer",
            "There is no trusted and valid certificate with keyUsage cRLSign for "
            f'"{name_shown(index.crl.issuer)}", who signed the list.',
        )
    algorithm = index.crl.signature_hash_algorithm
    if isinstance(algorithm, hashes.MD5 | hashes.SHA1):
        raise CrlError("signature", f"The list is signed with {algorithm.name.upper()}.")
    if not any(index.signed_by(one) for one in named):
        raise CrlError("signature", "The signature of the list is not good.")


def _check_scope(certificate: x509.Certificate, index: CrlIndex) -> None:
    """RFC 5280 §6.3.3 (b) 2: the list's own restrictions leave this certificate in."""
    point = index.point
    if point is None:
        return
    left_out = (
        (point.only_contains_user_certs and is_ca(certificate), "of certificates of no authority"),
        (point.only_contains_ca_certs and not is_ca(certificate), "of authorities"),
        (point.only_contains_attribute_certs, "of attribute certificates"),
    )
    for is_out, only in left_out:
        if is_out:
            raise CrlError("scope", f"The list tells {only} only.")
    own = _full_names(point.full_name, point.relative_name, index.crl.issuer)
    named = {name for one in _raw_points(certificate) for name in _names_of(one, certificate)}
    if own and not own & named:
        raise CrlError(
            "scope",
            f'The list is for other distribution points than "{subject_of(certificate)}"\'s.',
        )


def _names_of(
    point: x509.DistributionPoint, certificate: x509.Certificate
) -> frozenset[x509.GeneralName]:
    issuers = _directory_names(point)
    base = issuers[0] if issuers else certificate.issuer
    names = _full_names(point.full_name, point.relative_name, base)
    return names or frozenset(point.crl_issuer or ())


def _full_names(
    full: Sequence[x509.GeneralName] | None,
    relative: x509.RelativeDistinguishedName | None,
    base: x509.Name,
) -> frozenset[x509.GeneralName]:
    if relative is not None:
        return frozenset({x509.DirectoryName(x509.Name([*base.rdns, relative]))})
    return frozenset(full or ())


def _points(certificate: x509.Certificate) -> Iterator[Point]:
    raw = _raw_points(certificate)
    left = MAX_URLS
    for point in raw:
        urls = tuple(
            name.value
            for name in point.full_name or ()
            if isinstance(name, x509.UniformResourceIdentifier)
            and name.value.lower().startswith(("http://", "https://"))
        )[:left]
        left -= len(urls)
        if urls:
            issuer = next(iter(_directory_names(point)), None)
            yield Point(certificate, urls, issuer, only_some_reasons=point.reasons is not None)
    if raw and left == MAX_URLS:
        yield Point(certificate, (), next(iter(_directory_names(raw[0])), None))


def _raw_points(certificate: x509.Certificate) -> tuple[x509.DistributionPoint, ...]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints)
    except x509.ExtensionNotFound:
        return ()
    except UNREADABLE:
        raise CrlError(
            "malformed", f'An extension of "{subject_of(certificate)}" cannot be read.'
        ) from None
    return tuple(extension.value)


def _crl_issuers(certificate: x509.Certificate) -> tuple[x509.Name, ...]:
    return tuple(name for one in _raw_points(certificate) for name in _directory_names(one))


def _directory_names(point: x509.DistributionPoint) -> tuple[x509.Name, ...]:
    return tuple(
        name.value for name in point.crl_issuer or () if isinstance(name, x509.DirectoryName)
    )


def _issuing_distribution_point(
    crl: x509.CertificateRevocationList,
) -> x509.IssuingDistributionPoint | None:
    try:
        extension = crl.extensions.get_extension_for_class(x509.IssuingDistributionPoint)
    except x509.ExtensionNotFound:
        return None
    return extension.value


def _check_critical(extensions: x509.Extensions, known: set[x509.ObjectIdentifier]) -> None:
    """RFC 5280 §5.2, §5.3: a list with something critical that is not understood says nothing."""
    for extension in extensions:
        if extension.oid == ExtensionOID.DELTA_CRL_INDICATOR:
            raise CrlError("delta", "This is a delta list, which only adds to a complete one.")
        if extension.critical and extension.oid not in known:
            raise CrlError(
                "unknown-critical",
                f"The list has the critical extension {extension.oid.dotted_string}, unknown here.",
            )


def _entries(
    crl: x509.CertificateRevocationList, *, indirect: bool
) -> dict[_NameKey, dict[int, Revocation]]:
    """Arrange the entries by issuer and serial number.

    RFC 5280 §5.3.3: an entry without certificateIssuer has that of the entry before it, the
    first one the list's own.
    """
    revoked: dict[int, Revocation] = {}
    entries = {_name_key(crl.issuer): revoked}
    for entry in crl:
        reason = x509.ReasonFlags.unspecified
        if extensions := entry.extensions:
            _check_critical(extensions, _KNOWN_CRITICAL_OF_ENTRIES)
        for extension in extensions:
            match extension.value:
                case x509.CRLReason(reason=given):
                    reason = given
                case x509.CertificateIssuer() as issuer:
                    if not indirect:
                        raise CrlError(
                            "malformed", "An entry names an issuer, but the list is not indirect."
                        )
                    revoked = entries.setdefault(_issuer_key(issuer), {})
        # It stands in delta lists to take an entry back (RFC 5280 §5.3.1); here it revokes nothing.
        if reason is x509.ReasonFlags.remove_from_crl:
            revoked.pop(entry.serial_number, None)
        else:
            revoked[entry.serial_number] = Revocation(entry.revocation_date_utc, reason.value)
    return entries


def _issuer_of(certificate: x509.Certificate) -> _NameKey:
    try:
        return _name_key(certificate.issuer)
    except UNREADABLE:
        raise CrlError(
            "malformed", f'The issuer of "{subject_of(certificate)}" cannot be read.'
        ) from None


def _issuer_key(issuer: x509.CertificateIssuer) -> _NameKey:
    for name in issuer.get_values_for_type(x509.DirectoryName):
        return _name_key(name)
    raise CrlError("malformed", "An entry names its certificate's issuer by no directory name.")


def _name_key(name: x509.Name) -> _NameKey:
    """Return what is equal for names that are (RFC 5280 §7.1): case and white space folded."""
    return tuple(
        frozenset((one.oid.dotted_string, _folded(one.value)) for one in rdn) for rdn in name.rdns
    )


def _folded(value: str | bytes) -> str | bytes:
    return " ".join(value.split()).casefold() if isinstance(value, str) else value


def _shown(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
