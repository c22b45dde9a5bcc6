"""Certificates that are kept: where in their lives they are, and what would miss them. Pure."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from shaken.snapshot import Snapshot
from trust.certificate import CertificateKind

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


def status_of(row: Dated, *, now: int) -> Status:
    """Say where in its life a certificate or a root is."""
    if now < row.not_before:
        return Status.NOT_YET_VALID
    if now > row.not_after:
        return Status.EXPIRED
    warning = min(EXPIRING_SECONDS, (row.not_after - row.not_before) // 3)
    return Status.EXPIRING if now > row.not_after - warning else Status.VALID


def dependents(removed: AbstractSet[str], snapshot: Snapshot, *, now: int) -> tuple[Dependent, ...]:
    """List what would be left without when these certificates were removed together."""
    found = []
    for identity in removed:
        row = snapshot.certificates.get(identity)
        if row is None:
            continue
        if row.kind is CertificateKind.STI and row.tenant is not None:
            rest = _usable(snapshot, row.tenant, now) - removed
            if identity in _usable(snapshot, row.tenant, now) and not rest:
                detail = f"it is the only certificate that {row.tenant} signs with"
                found.append(Dependent(identity, detail))
        default = snapshot.tls.default(now=now)
        if default is not None and default.id == identity and not default.built_in:
            detail = "it is presented to all clients that ask for no other name"
            found.append(Dependent(identity, detail))
    return tuple(found)


def _usable(snapshot: Snapshot, tenant: str, now: int) -> AbstractSet[str]:
    """Return the STI certificates assigned to a tenant that can sign now."""
    return {
        row.id
        for row in snapshot.certificates.values()
        if row.kind is CertificateKind.STI
        and row.tenant == tenant
        and row.sealed_key is not None
        and row.not_before <= now <= row.not_after
    }
