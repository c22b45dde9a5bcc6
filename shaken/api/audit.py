"""`/api/v1/audit`: who did what, when, from where. It can be read, and nothing else."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from shaken.api.problems import invalid
from shaken.api.routes import ApiCall, Reply, Route, read_position, read_time
from shaken.audit import Action
from shaken.credentials import Role
from shaken.store.audit import AuditEntry, AuditFilter, find_entries


class AuditRecord(msgspec.Struct, frozen=True):
    """One thing that was done. `peer` null: the service did it; `subject` is an id or a name.

    `detail` has the members of the thing that differ, as they were `before` and are `after`.
    """

    id: int
    at: datetime
    actor: str
    peer: str | None
    action: str
    subject: str
    tenant: str | None
    detail: dict[str, dict[str, Any]]


class AuditList(msgspec.Struct, frozen=True):
    """A page of the audit; `next` is what to send as `after`."""

    items: tuple[AuditRecord, ...]
    next: str | None


def listing(call: ApiCall) -> Reply:
    """List what was done, the newest first. A tenant's own credentials see the tenant's."""
    wanted = AuditFilter(
        actor=call.query.get("actor"),
        action=_action(call.query.get("action")),
        subject=call.query.get("subject"),
        tenant=call.scope,
        since=read_time(call.query.get("since"), "since"),
        until=read_time(call.query.get("until"), "until"),
    )
    before = read_position(call.query.get("after"))
    limit = call.limit()
    with call.resources.database.reading() as connection:
        found = find_entries(connection, wanted, before=before, limit=limit + 1)
    more = str(found[limit - 1].sequence) if len(found) > limit else None
    return Reply(AuditList(tuple(_record(entry) for entry in found[:limit]), more))


def _action(text: str | None) -> str | None:
    """Refuse what nobody does, so that a typing mistake is not an empty list."""
    try:
        return None if text is None else Action(text).value
    except ValueError as error:
        raise invalid("action", f"one of {', '.join(Action)} is expected") from error


def _record(entry: AuditEntry) -> AuditRecord:
    return AuditRecord(
        id=entry.sequence,
        at=datetime.fromtimestamp(entry.at, UTC),
        actor=entry.actor,
        peer=entry.peer,
        action=entry.action,
        subject=entry.subject,
        tenant=entry.tenant,
        detail=dict(entry.detail),
    )


ROUTES = (
    Route(
        "GET",
        "/api/v1/audit",
        Role.VIEWER,
        listing,
        "List who did what",
        gives=AuditList,
        query=("actor", "action", "subject", "since", "until", "limit", "after"),
    ),
)
