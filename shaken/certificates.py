"""Certificates that are kept: where in their lives they are, and what would miss them. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from shaken.snapshot import sti_candidate, tls_candidate
from trust.certificate import CertificateKind
from trust.selection import TlsIndex
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


def status_of(row: Dated, *, now: int) -> Status:
    """Say where in its life a certificate or a root is."""
    if now < row.not_before:
        return Status.NOT_YET_VALID
    if now > row.not_after:
        return Status.EXPIRED
    warning = min(EXPIRING_SECONDS, (row.not_after - row.not_before) // 3)
    return Status.EXPIRING if now > row.not_after - warning else Status.VALID


def dependents(
    removed: Sequence[StoredCertificate], others: Sequence[StoredCertificate], *, now: int
) -> tuple[Dependent, ...]:
    """List what would be left without when these certificates were removed together.

    `others` are those that stay and could take a place: STI certificates of the same tenants, and
    all system certificates.
    """
    provided = {row.tenant for row in others if _signs(row, now)}
    found = [
        Dependent(row.id, f"it is the only certificate that {row.tenant} signs with")
        for row in removed
        if row.tenant is not None and _signs(row, now) and row.tenant not in provided
    ]
    system = [
        tls_candidate(row)
        for row in (*removed, *others)
        if row.kind is CertificateKind.SYSTEM and row.sealed_key is not None
    ]
    default = TlsIndex(system, {}).default(now=now)
    if default is not None and not default.built_in and default.id in {row.id for row in removed}:
        detail = "it is presented to all clients that ask for no other name"
        found.append(Dependent(default.id, detail))
    return tuple(found)


def _signs(row: StoredCertificate, now: int) -> bool:
    return row.kind is CertificateKind.STI and sti_candidate(row).usable(now)
