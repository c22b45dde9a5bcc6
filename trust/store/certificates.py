"""Certificates in the store: what a row holds, and how it is read, listed, written and removed.

Functions take the connection or the change they work in: the caller decides what belongs to one
transaction.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, Row, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from trust.certificate import Certificate, CertificateKind, Source
from trust.findings import NOT_PRESENTABLE, Finding
from trust.store.database import Change
from trust.store.mirror import CHUNK
from trust.store.tables import certificates


class AlreadyStored(Exception):  # noqa: N818 - an outcome the caller expects
    """The same leaf certificate is in the store; `id` is its fingerprint."""

    def __init__(self, certificate_id: str) -> None:
        super().__init__(f"certificate {certificate_id} is already stored")
        self.id = certificate_id


@dataclass(frozen=True, slots=True)
class StoredCertificate:
    """A certificate's row. `id` is the leaf's SHA-256 fingerprint; times are Unix seconds.

    `tn_auth_list` is the extension's DER, as is each of the leaf's `claim_constraints`.
    `sealed_key` opens under the master key for the record `id` only.
    """

    id: str
    kind: CertificateKind
    names: tuple[str, ...]
    subject: str
    issuer: str
    serial: str
    not_before: int
    not_after: int
    tenant: str | None
    tn_auth_list: bytes | None
    x5u: str | None
    source: Source
    sealed_key: bytes | None = field(repr=False)
    stored_at: int
    findings: tuple[Finding, ...] = ()
    claim_constraints: tuple[bytes, ...] = ()
    sequence: int = 0

    @property
    def presentable(self) -> bool:
        """Whether OpenSSL would present it, as far as was found when it came."""
        return all(found.slug != NOT_PRESENTABLE for found in self.findings)


@dataclass(frozen=True)
class Filter:
    """Which certificates a list shows; what is None does not restrict."""

    kind: CertificateKind | None = None
    tenant: str | None = None
    name: str | None = None
    expires_before: int | None = None


SUMMARY_COLUMNS = tuple(column for column in certificates.columns if column.name != "chain")
"""What `read_row` reads: all but the chain, which is large and seldom needed."""


def add(change: Change, certificate: StoredCertificate, *, chain: str) -> None:
    """Write a certificate, its chain (PEM, leaf first) and its key as one row.

    Raises AlreadyStored.
    """
    row = _values(change, certificate, chain=chain)
    try:
        change.connection.execute(insert(certificates), row)
    except IntegrityError as error:
        raise AlreadyStored(certificate.id) from error


def replace(change: Change, certificate: StoredCertificate, *, chain: str) -> None:
    """Write a stored certificate anew: a better chain, a key it did not have, other settings."""
    row = _values(change, certificate, chain=chain)
    change.connection.execute(update(certificates).where(certificates.c.id == certificate.id), row)


def remove(change: Change, certificate_id: str) -> bool:
    """Remove a certificate with its key; say whether it was there."""
    done = change.connection.execute(
        delete(certificates).where(certificates.c.id == certificate_id)
    )
    return done.rowcount == 1


def get(connection: Connection, certificate_id: str) -> StoredCertificate | None:
    """Read one certificate."""
    row = connection.execute(
        select(*SUMMARY_COLUMNS).where(certificates.c.id == certificate_id)
    ).one_or_none()
    return None if row is None else read_row(row)


def chain_pem(connection: Connection, certificate_id: str) -> str | None:
    """Read the chain of one certificate, leaf first, as PEM."""
    return connection.execute(
        select(certificates.c.chain).where(certificates.c.id == certificate_id)
    ).scalar_one_or_none()


def chains_pem(connection: Connection, ids: Sequence[str]) -> dict[str, str]:
    """Read the chains of several certificates by id, each as `chain_pem` gives it."""
    found: dict[str, str] = {}
    for start in range(0, len(ids), CHUNK):
        asked = certificates.c.id.in_(ids[start : start + CHUNK])
        rows = connection.execute(select(certificates.c.id, certificates.c.chain).where(asked))
        found.update((row.id, row.chain) for row in rows)
    return found


def find(
    connection: Connection, wanted: Filter, *, after: int = 0, limit: int | None = None
) -> Sequence[StoredCertificate]:
    """List certificates in the order of upload, beyond sequence `after`, at most `limit`."""
    query = select(*SUMMARY_COLUMNS).where(certificates.c.sequence > after)
    if wanted.kind is not None:
        query = query.where(certificates.c.kind == wanted.kind.value)
    if wanted.tenant is not None:
        query = query.where(certificates.c.tenant == wanted.tenant)
    if wanted.expires_before is not None:
        query = query.where(certificates.c.not_after < wanted.expires_before)
    found = []
    for row in connection.execute(query.order_by(certificates.c.sequence)):
        certificate = read_row(row)
        if wanted.name is None or wanted.name in certificate.names:
            found.append(certificate)
        if len(found) == limit:
            break
    return found


def with_key(
    connection: Connection, rows: Sequence[StoredCertificate], spki_sha256: str
) -> StoredCertificate | None:
    """Find the latest of some certificates that has this public key, and the private one with it.

    Each chain is read for that: what is asked for seldom is not kept in the row.
    """
    latest_first = [row for row in reversed(rows) if row.sealed_key is not None]
    for start in range(0, len(latest_first), CHUNK):
        some = latest_first[start : start + CHUNK]
        chains = chains_pem(connection, [row.id for row in some])
        for row in some:
            if Certificate.of_pem(chains[row.id]).spki_sha256 == spki_sha256:
                return row
    return None


def of_tenant(connection: Connection, tenant: str) -> Iterable[str]:
    """List the ids of the certificates assigned to a tenant."""
    return connection.execute(
        select(certificates.c.id).where(certificates.c.tenant == tenant)
    ).scalars()


def read_row(row: Row[tuple[object, ...]]) -> StoredCertificate:
    """Read a row of the certificates table (its chain left out or not)."""
    return StoredCertificate(
        id=row.id,
        kind=CertificateKind(row.kind),
        names=tuple(row.names),
        subject=row.subject,
        issuer=row.issuer,
        serial=row.serial,
        not_before=row.not_before,
        not_after=row.not_after,
        tenant=row.tenant,
        tn_auth_list=row.tn_auth_list,
        x5u=row.x5u,
        source=Source(row.source),
        sealed_key=row.sealed_key,
        stored_at=row.stored_at,
        findings=tuple(Finding(slug, detail) for slug, detail in row.findings),
        claim_constraints=tuple(map(bytes.fromhex, row.claim_constraints)),
        sequence=row.sequence,
    )


def _values(change: Change, certificate: StoredCertificate, *, chain: str) -> dict[str, object]:
    return {
        "id": certificate.id,
        "kind": certificate.kind.value,
        "names": list(certificate.names),
        "subject": certificate.subject,
        "issuer": certificate.issuer,
        "serial": certificate.serial,
        "not_before": certificate.not_before,
        "not_after": certificate.not_after,
        "tenant": certificate.tenant,
        "tn_auth_list": certificate.tn_auth_list,
        "x5u": certificate.x5u,
        "source": certificate.source.value,
        "chain": chain,
        "sealed_key": certificate.sealed_key,
        "stored_at": certificate.stored_at,
        "revision": change.revision,
        "findings": [[found.slug, found.detail] for found in certificate.findings],
        "claim_constraints": [der.hex() for der in certificate.claim_constraints],
    }
