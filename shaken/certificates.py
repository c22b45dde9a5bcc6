"""Certificates that are kept: where in their lives they are, what would miss them, their removal.

Of several that are removed together, all are or none; how they come in is for `importing`.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Protocol

from shaken.audit import Action, AuditedChange
from shaken.snapshot import Snapshot, sti_candidate
from shaken.tenants import Tenant
from trust.certificate import CertificateKind
from trust.selection import Fallback, StiIndex
from trust.store import acme_orders
from trust.store import certificates as stored
from trust.store.certificates import StoredCertificate

EXPIRING_SECONDS = 30 * 86400
"""A certificate is said to expire soon this long before its end, or in its last third."""


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


@dataclass(frozen=True, slots=True)
class Dependent:
    """What would miss a certificate: a sentence about a tenant or the system."""

    certificate: str
    detail: str


class NoSuchCertificate(Exception):  # noqa: N818 - an outcome the caller expects
    """No certificate has this id, or it is not for the caller to remove."""


class Missed(Exception):  # noqa: N818 - an outcome the caller expects
    """Something would be left without a certificate; `dependent` says what."""

    def __init__(self, dependent: Dependent) -> None:
        super().__init__(dependent.detail)
        self.dependent = dependent


def status_of(row: Dated, *, now: int) -> Status:
    """Say where in its life a certificate or a root is."""
    if now < row.not_before:
        return Status.NOT_YET_VALID
    if now > row.not_after:
        return Status.EXPIRED
    warning = min(EXPIRING_SECONDS, (row.not_after - row.not_before) // 3)
    return Status.EXPIRING if now > row.not_after - warning else Status.VALID


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
        "source": row.source.value,
    }


def remove(
    change: AuditedChange,
    ids: Iterable[str],
    *,
    known: Snapshot,
    scope: str | None,
    fallback: Fallback,
    force: bool,
) -> Collection[StoredCertificate]:
    """Remove certificates and their keys, with their audit, and return them.

    Those that are managed come anew. `known` is any earlier state of the store: what changed since
    is read under the lock of this change. `scope` is the one tenant whose certificates there are,
    None: those of all. `fallback` is the service's. `force` removes also what is missed.

    Raises NoSuchCertificate, Missed; then nothing is removed.
    """
    state = _as_of(change, known)
    rows = {}
    for identity in ids:
        row = state.certificates.get(identity.lower())
        if row is None or scope not in {None, row.tenant}:
            raise NoSuchCertificate(identity)
        rows[row.id] = row
    missing = next(dependents(rows.values(), state, fallback=fallback, now=change.at), None)
    if missing is not None and not force:
        raise Missed(missing)
    for row in rows.values():
        stored.remove(change, row.id)
        acme_orders.lose(change.connection, row.id, now=change.at)
        change.audit(Action.CERTIFICATE_DELETE, row.id, tenant=row.tenant, before=facts_of(row))
    return rows.values()


def can_be_presented(rows: Iterable[StoredCertificate]) -> bool:
    """Say whether one of these is a system certificate that listeners can present."""
    return any(
        row.kind is CertificateKind.SYSTEM and row.sealed_key is not None and row.presentable
        for row in rows
    )


def hold_in_place(
    change: AuditedChange, row: StoredCertificate, *, known: Snapshot, tenant: str
) -> None:
    """Refuse to give a stored certificate to another tenant while somebody would miss it.

    `known` is as for `remove`. Raises Missed.
    """
    removed, instead = [row], [replace(row, tenant=tenant)]
    state = _as_of(change, known)
    # Whoever has none of their own may use it all the same, whosever it is.
    missed = dependents(removed, state, fallback=Fallback.NONE, now=change.at, instead=instead)
    missing = next(missed, None)
    if missing is not None:
        raise Missed(missing)


def _as_of(change: AuditedChange, known: Snapshot) -> Snapshot:
    """Return the tenants and certificates that there are under the lock of a change."""
    return replace(
        known,
        tenant_rows=known.tenant_rows.follow(change.connection),
        certificate_rows=known.certificate_rows.follow(change.connection),
    )


def dependents(
    removed: Collection[StoredCertificate],
    state: Snapshot,
    *,
    fallback: Fallback,
    now: int,
    instead: Collection[StoredCertificate] = (),
) -> Iterator[Dependent]:
    """List what would be left without when these certificates were removed together.

    `instead` are what comes in their place: the same ones for another tenant.

    That is each tenant that signs with one of them as its own and has no other; calls that the
    fallback signs, once nothing is left to sign them; clients of the default TLS certificate, and
    of any, once nothing is left to present to them.
    """
    before = {row.id for row in removed}
    gone = before - {row.id for row in instead}
    stay = (row for row in state.certificates.values() if row.id not in before)
    left = StiIndex(
        sti_candidate(row) for row in (*stay, *instead) if row.kind is CertificateKind.STI
    )
    for tenant in _owners(removed, state):
        own = state.sti.for_tenant(tenant.addresses, now=now, fallback=Fallback.NONE)
        other = left.for_tenant(tenant.addresses, now=now, fallback=Fallback.NONE)
        if own is not None and other is None:
            detail = f"it is the only certificate that {tenant.address} signs with"
            yield Dependent(own.candidate.id, detail)
    # For all that fall back it is the same one. They are not named: who asks may not know them.
    first = state.sti.for_tenant((), now=now, fallback=fallback)
    if first is not None and left.for_tenant((), now=now, fallback=fallback) is None:
        detail = "it is the last one that signs for whoever has no certificate of their own"
        yield Dependent(first.candidate.id, detail)
    default = state.tls.default(now=now)
    if default is not None and not default.built_in and default.id in gone:
        detail = "it is presented to all clients that ask for no other name"
        yield Dependent(default.id, detail)
    elif not can_be_presented(row for row in state.certificates.values() if row.id not in gone):
        for row in removed:
            if can_be_presented((row,)):
                yield Dependent(row.id, "it is the last one that can be presented to TLS clients")


def _owners(removed: Iterable[StoredCertificate], state: Snapshot) -> Iterable[Tenant]:
    """List the tenants that may have one of these as their own, by assignment or by name."""
    names = (
        name
        for row in removed
        if row.kind is CertificateKind.STI
        for name in (row.names if row.tenant is None else (row.tenant,))
    )
    owners = (state.tenants.get(name) for name in names)
    return {owner.address: owner for owner in owners if owner is not None}.values()
