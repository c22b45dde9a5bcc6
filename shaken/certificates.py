"""The certificates an administrator keeps: imported whole or not at all, shown, removed.

Joins what `trust` knows (PEM, STI rules, sealing, the store) with tenants. Takes the time as an
argument; an import is one transaction with its audit.
"""

import contextlib
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Protocol

from shaken.audit import Action, Actor, changing
from shaken.config import check_x5u
from shaken.store.tenants import owner_of
from trust.certificate import Certificate, CertificateKind, CertificateRefused, check_sti
from trust.keys import MasterKey, seal_private_key
from trust.names import DnsNameError, dns_name
from trust.pem import PrivateKey, assemble, read_pem
from trust.store import certificates as stored
from trust.store.certificates import StoredCertificate
from trust.store.database import Change, Database

EXPIRING_SECONDS = 30 * 86400
"""A certificate is said to expire soon this long before its end, or in its last third."""


class UnknownTenant(Exception):  # noqa: N818 - an outcome the caller expects
    """No tenant has this address."""


class Status(StrEnum):
    """Where in its life a certificate is."""

    NOT_YET_VALID = "not-yet-valid"
    VALID = "valid"
    EXPIRING = "expiring"
    EXPIRED = "expired"


class Dated(Protocol):
    """What is valid from a time to a time, in Unix seconds."""

    @property
    def not_before(self) -> int:
        """The first second."""

    @property
    def not_after(self) -> int:
        """The last second."""


class Source(StrEnum):
    """Where a certificate comes from."""

    UPLOADED = "uploaded"
    LAB = "lab"


@dataclass(frozen=True)
class Upload:
    """What an administrator hands in: PEM text of chain and key, in one text or two."""

    kind: CertificateKind
    certificate: str
    private_key: str | None
    passphrase: str | None
    tenant: str | None
    x5u: str | None
    source: Source = Source.UPLOADED


@dataclass(frozen=True)
class Imported:
    """A stored certificate, and what was put right on the way."""

    certificate: StoredCertificate
    notes: tuple[str, ...]


def import_certificate(
    database: Database, master: MasterKey, upload: Upload, *, actor: Actor, now: int, lab: bool
) -> Imported:
    """Check an upload of somebody and store it. `lab`: whether its x5u may be any URL.

    Raises CertificateRefused (nothing is stored), UnknownTenant,
    AlreadyStored, StoreError.
    """
    if upload.kind is not CertificateKind.STI:
        raise CertificateRefused(
            "kind-not-supported",
            "this version keeps STI certificates only: send kind 'sti'",
            field="kind",
        )
    contents = [read_pem(upload.certificate, passphrase=upload.passphrase, field="certificate")]
    if upload.private_key:
        contents.append(
            read_pem(upload.private_key, passphrase=upload.passphrase, field="private_key")
        )
    assembled = assemble(*contents)
    check_sti(assembled.certificate, now=datetime.fromtimestamp(now, UTC))
    if assembled.private_key is None:
        raise CertificateRefused(
            "no-key",
            "a certificate that signs needs its private key: paste it too, or send it as"
            " private_key",
            field="private_key",
        )
    _check_x5u(upload.x5u, lab=lab)
    with changing(database, actor, now=now) as change:
        row = _row(
            assembled.certificate,
            assembled.private_key,
            master,
            upload,
            tenant=_owner(change, upload.tenant),
            now=now,
        )
        stored.add(change, row, chain=assembled.certificate.pem())
        change.audit(Action.CERTIFICATE_IMPORT, row.id, tenant=row.tenant, after=facts_of(row))
    return Imported(row, assembled.notes)


def facts_of(row: StoredCertificate) -> dict[str, object]:
    """Return what the audit says of a certificate."""
    return {
        "kind": row.kind.value,
        "names": row.names,
        "subject": row.subject,
        "issuer": row.issuer,
        "serial": row.serial,
        "not_after": datetime.fromtimestamp(row.not_after, UTC),
        "tenant": row.tenant,
        "x5u": row.x5u,
        "has_private_key": row.sealed_key is not None,
        "source": row.source,
    }


def status_of(row: Dated, *, now: int) -> Status:
    """Say where in its life a certificate or a root is."""
    if now < row.not_before:
        return Status.NOT_YET_VALID
    if now > row.not_after:
        return Status.EXPIRED
    warning = min(EXPIRING_SECONDS, (row.not_after - row.not_before) // 3)
    return Status.EXPIRING if now > row.not_after - warning else Status.VALID


def _check_x5u(url: str | None, *, lab: bool) -> None:
    if url is None:
        return
    try:
        check_x5u(url, lab=lab)
    except ValueError as error:
        raise CertificateRefused("bad-x5u", str(error), field="x5u") from error


def _owner(change: Change, tenant: str | None) -> str | None:
    if tenant is None:
        return None
    owner = owner_of(change.connection, tenant)
    if owner is None:
        raise UnknownTenant(tenant)
    return owner


def _row(
    certificate: Certificate,
    key: PrivateKey,
    master: MasterKey,
    upload: Upload,
    *,
    tenant: str | None,
    now: int,
) -> StoredCertificate:
    identity = certificate.fingerprint
    authorised = certificate.tn_auth_list
    return StoredCertificate(
        id=identity,
        kind=upload.kind,
        names=_names(certificate),
        subject=certificate.subject,
        issuer=certificate.issuer,
        serial=certificate.serial,
        not_before=int(certificate.not_before.timestamp()),
        not_after=int(certificate.not_after.timestamp()),
        tenant=tenant,
        tn_auth_list=None if authorised is None else authorised.encode(),
        x5u=upload.x5u,
        source=upload.source.value,
        sealed_key=seal_private_key(master, key, record=identity),
        stored_at=now,
    )


def _names(certificate: Certificate) -> tuple[str, ...]:
    """List the host names of a certificate, as tenants' addresses are spelled; leave others out.

    The common name of an STI certificate, `SHAKEN 1234`, is no host name.
    """
    spelled = []
    for name in certificate.names:
        with contextlib.suppress(DnsNameError):
            spelled.append(dns_name(name))
    return tuple(dict.fromkeys(spelled))
