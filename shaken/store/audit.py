"""The audit in the store: rows are added and read; the database lets nobody change them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, insert, select

from shaken.store.tables import audit


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One thing that was changed or happened: by whom, from where, when (Unix seconds), and how.

    `peer` None: the service itself. `tenant`: whose thing it was, None: nobody's in particular.
    """

    at: int
    actor: str
    peer: str | None
    action: str
    subject: str
    tenant: str | None
    detail: Mapping[str, Any]
    sequence: int = 0


@dataclass(frozen=True)
class AuditFilter:
    """Which entries a list shows; what is None does not restrict. `until` is excluded."""

    actor: str | None = None
    action: str | None = None
    subject: str | None = None
    tenant: str | None = None
    since: int | None = None
    until: int | None = None


def add_entries(connection: Connection, entries: Sequence[AuditEntry]) -> None:
    """Write entries, in the transaction of what they tell of."""
    rows = [
        {
            "at": entry.at,
            "actor": entry.actor,
            "peer": entry.peer,
            "action": entry.action,
            "subject": entry.subject,
            "tenant": entry.tenant,
            "detail": dict(entry.detail),
        }
        for entry in entries
    ]
    connection.execute(insert(audit), rows)


def has_entry(connection: Connection, *, action: str, subject: str, since: int) -> bool:
    """Say whether there is an entry of an action on a subject since a time (Unix seconds)."""
    query = select(audit.c.sequence).where(
        audit.c.subject == subject, audit.c.action == action, audit.c.at >= since
    )
    return connection.execute(query.limit(1)).first() is not None


def find_entries(
    connection: Connection, wanted: AuditFilter, *, before: int | None, limit: int
) -> Sequence[AuditEntry]:
    """List at most `limit` entries, the newest first, from below sequence `before`."""
    query = audit.select().order_by(audit.c.sequence.desc()).limit(limit)
    for name in ("actor", "action", "subject", "tenant"):
        value = getattr(wanted, name)
        if value is not None:
            query = query.where(audit.c[name] == value)
    if wanted.since is not None:
        query = query.where(audit.c.at >= wanted.since)
    if wanted.until is not None:
        query = query.where(audit.c.at < wanted.until)
    if before is not None:
        query = query.where(audit.c.sequence < before)
    return [_read_entry(row) for row in connection.execute(query)]


def _read_entry(row: Row[tuple[object, ...]]) -> AuditEntry:
    return AuditEntry(
        at=row.at,
        actor=row.actor,
        peer=row.peer,
        action=row.action,
        subject=row.subject,
        tenant=row.tenant,
        detail=row.detail,
        sequence=row.sequence,
    )
