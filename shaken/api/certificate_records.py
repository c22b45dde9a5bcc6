"""Certificates as the API shows them: records, their warnings, pages of them."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import msgspec
from sqlalchemy import Connection

from shaken.api.routes import ApiCall
from shaken.certificates import Status, status_of
from trust.certificate import CertificateKind, Source
from trust.roots import Purpose
from trust.store.certificates import StoredCertificate, chains_pem
from trust.tnauthlist import Spc, Tn, TnAuthList, TnRange

MAX_NAMED = 10
"""Names that one warning lists."""


class TnRangeRecord(msgspec.Struct, frozen=True):
    """Consecutive numbers from `start` on."""

    start: str
    count: int


class TnAuthListRecord(msgspec.Struct, frozen=True):
    """For which provider codes and numbers a certificate speaks (RFC 8226)."""

    spc: tuple[str, ...]
    tn: tuple[str, ...]
    range: tuple[TnRangeRecord, ...]


class CertificateWarning(msgspec.Struct, frozen=True):
    """Something an administrator should know; `slug` is stable."""

    slug: str
    detail: str


class CertificateRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate as the API shows it. `id` is the leaf's SHA-256; times are RFC 3339 UTC."""

    id: str
    kind: CertificateKind
    names: tuple[str, ...]
    subject: str
    issuer: str
    serial: str
    fingerprint: str
    not_before: datetime
    not_after: datetime
    tenant: str | None
    tn_auth_list: TnAuthListRecord | None
    x5u: str | None
    has_private_key: bool
    source: Source
    status: Status
    warnings: tuple[CertificateWarning, ...]


class CertificateList(msgspec.Struct, frozen=True):
    """A page of certificates; `next` is what to send as `after`."""

    items: tuple[CertificateRecord, ...]
    next: str | None


def record(call: ApiCall, row: StoredCertificate, *, chain: str) -> CertificateRecord:
    """Show a stored certificate; `chain` is its PEM, leaf first."""
    is_sti = row.kind is CertificateKind.STI
    return CertificateRecord(
        id=row.id,
        kind=row.kind,
        names=row.names,
        subject=row.subject,
        issuer=row.issuer,
        serial=row.serial,
        fingerprint=row.id,
        not_before=datetime.fromtimestamp(row.not_before, UTC),
        not_after=datetime.fromtimestamp(row.not_after, UTC),
        tenant=row.tenant,
        tn_auth_list=None if row.tn_auth_list is None else authorised(row.tn_auth_list),
        x5u=call.resources.pens.x5u_of(row) if is_sti else None,
        has_private_key=row.sealed_key is not None,
        source=row.source,
        status=status_of(row, now=call.now),
        warnings=tuple(_warnings(call, row, chain)),
    )


def records(
    call: ApiCall, connection: Connection, rows: Sequence[StoredCertificate]
) -> tuple[CertificateRecord, ...]:
    """Show stored certificates, their chains read together."""
    chains = chains_pem(connection, [row.id for row in rows])
    # One that is gone since the rows were read is shown no more.
    return tuple(record(call, row, chain=chains[row.id]) for row in rows if row.id in chains)


def _warnings(call: ApiCall, row: StoredCertificate, chain: str) -> Iterator[CertificateWarning]:
    match status_of(row, now=call.now):
        case Status.EXPIRING:
            yield CertificateWarning("expires-soon", "it expires soon: replace it")
        case Status.EXPIRED:
            yield CertificateWarning("expired", "it has expired: replace it")
        case _:
            pass
    for finding in row.findings:
        yield CertificateWarning(finding.slug, finding.detail)
    # Nobody expects the built-in one to be trusted: it is there until there is another.
    if row.source is not Source.BUILT_IN:
        purpose = Purpose.of(row.kind)
        for finding in call.snapshot.standing.findings(chain, purpose, now=call.now):
            yield CertificateWarning(finding.slug, finding.detail)
    if row.kind is CertificateKind.DOMAIN and (strangers := _strangers(call, row)):
        shown = ", ".join(strangers[:MAX_NAMED])
        more = f" and {len(strangers) - MAX_NAMED} more" if len(strangers) > MAX_NAMED else ""
        detail = f"{shown}{more}: no address of {row.tenant}; for it this is never presented"
        yield CertificateWarning("name-of-no-tenant", detail)


def _strangers(call: ApiCall, row: StoredCertificate) -> list[str]:
    """List the names of a domain certificate that are no addresses of its tenant."""
    owners = ((name, call.snapshot.tenants.get(name)) for name in row.names)
    return [name for name, owner in owners if owner is None or owner.address != row.tenant]


def authorised(der: bytes) -> TnAuthListRecord:
    """Show a TNAuthList, read from its DER."""
    entries = TnAuthList.decode(der).entries
    return TnAuthListRecord(
        spc=tuple(entry.code for entry in entries if isinstance(entry, Spc)),
        tn=tuple(entry.number for entry in entries if isinstance(entry, Tn)),
        range=tuple(
            TnRangeRecord(entry.start, entry.count)
            for entry in entries
            if isinstance(entry, TnRange)
        ),
    )
