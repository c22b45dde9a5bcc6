"""Revocation lists of the lab: what a CA or the STI-PA publishes.

    data = issue_crl(authority, [issued.certificate.leaf], now=now)
    data = issue_indirect_crl(policy_administrator, [one.leaf, another.leaf], now=now)

Both return DER, as it is published (RFC 5280 §4.2.1.13). A list that is late is one of an earlier
`now`, one by an impostor that of another authority with the same name. `trust.crl` reads them.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from trust.authority import Authority

LIFETIME = timedelta(days=1)
"""How long after `now` the next list is due."""


def issue_crl(
    authority: Authority,
    revoked: Iterable[x509.Certificate],
    *,
    now: datetime,
    reason: x509.ReasonFlags | None = None,
    extensions: Iterable[tuple[x509.ExtensionType, bool]] = (),
) -> bytes:
    """Issue the list of what an authority itself issued and revoked at `now` (aware, UTC).

    `extensions` are put into the list, each with its criticality.
    """
    entries = [_entry(one, now, reason) for one in revoked]
    return _sign(authority, [one.build() for one in entries], now, extensions)


def issue_indirect_crl(
    authority: Authority,
    revoked: Iterable[x509.Certificate],
    *,
    now: datetime,
    reason: x509.ReasonFlags | None = None,
) -> bytes:
    """Issue a list for certificates of any issuer, revoked at `now`, as the STI-PA does.

    An entry names its certificate's issuer when it is not that of the entry before it
    (RFC 5280 §5.3.3).
    """
    entries, issuer = [], authority.certificate.subject
    for one in revoked:
        entry = _entry(one, now, reason)
        if one.issuer != issuer:
            issuer = one.issuer
            named = x509.CertificateIssuer([x509.DirectoryName(issuer)])
            entry = entry.add_extension(named, critical=True)
        entries.append(entry.build())
    point = x509.IssuingDistributionPoint(
        full_name=None,
        relative_name=None,
        only_contains_user_certs=False,
        only_contains_ca_certs=False,
        only_some_reasons=None,
        indirect_crl=True,
        only_contains_attribute_certs=False,
    )
    return _sign(authority, entries, now, [(point, True)])


def _entry(
    certificate: x509.Certificate, now: datetime, reason: x509.ReasonFlags | None
) -> x509.RevokedCertificateBuilder:
    entry = (
        x509.RevokedCertificateBuilder()
        .serial_number(certificate.serial_number)
        .revocation_date(now)
    )
    return entry if reason is None else entry.add_extension(x509.CRLReason(reason), critical=False)


def _sign(
    authority: Authority,
    entries: Iterable[x509.RevokedCertificate],
    now: datetime,
    extensions: Iterable[tuple[x509.ExtensionType, bool]],
) -> bytes:
    key = authority.private_key
    key_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.certificate.subject)
        .last_update(now)
        .next_update(now + LIFETIME)
        .add_extension(x509.CRLNumber(int(now.timestamp())), critical=False)
        .add_extension(key_id, critical=False)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    for entry in entries:
        builder = builder.add_revoked_certificate(entry)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)
