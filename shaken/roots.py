"""Trusted roots of a running service: what there is to see of one, and changes with their audit.

Which lists there are and how they change is `trust.roots`' business; what would miss a root that
goes is `shaken.reliance`'s.
"""

from datetime import UTC, datetime

import msgspec

from shaken.audit import Action, AuditedChange
from shaken.certificates import Status, status_of
from shaken.facts import plan_facts
from trust.roots import Plan, Purpose, Root, Shipper
from trust.store import roots as stored


class RootRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A root as the API and the audit show it. `id` is its SHA-256; times are RFC 3339 UTC.

    `shipped` says with what it is shipped, `added` whether an admin added it.
    """

    id: str
    purpose: Purpose
    subject: str
    not_before: datetime
    not_after: datetime
    status: Status
    shipped: Shipper | None
    added: bool
    disabled: bool


def record(root: Root, *, now: int) -> RootRecord:
    """Show a root."""
    return RootRecord(
        id=root.id,
        purpose=root.purpose,
        subject=root.subject,
        not_before=datetime.fromtimestamp(root.not_before, UTC),
        not_after=datetime.fromtimestamp(root.not_after, UTC),
        status=status_of(root, now=now),
        shipped=root.shipped,
        added=root.added,
        disabled=root.disabled,
    )


def add(change: AuditedChange, root: Root) -> Root:
    """Trust a root, and return it as it is stored. Raises AlreadyAdded."""
    added = stored.add(change, root)
    _tell_of_new(change, added)
    return added


def restore(change: AuditedChange, root: Root) -> Root:
    """Put a deleted root back, and return it as it is stored."""
    restored = stored.restore(change, root)
    _tell_of_new(change, restored)
    return restored


def remove(change: AuditedChange, root: Root) -> None:
    """Remove a root; if it is shipped, until it is put back."""
    stored.remove(change, root)
    before = record(root, now=change.at)
    change.audit(Action.ROOT_DELETE, root.id, tenant=None, before=before)


def set_disabled(change: AuditedChange, root: Root, *, disabled: bool) -> Root:
    """Turn a root off or on, and return it as it is stored."""
    turned = stored.set_disabled(change, root, disabled=disabled)
    before, after = record(root, now=change.at), record(turned, now=change.at)
    change.audit(Action.ROOT_UPDATE, root.id, tenant=None, before=before, after=after)
    return turned


def reset(change: AuditedChange, purpose: Purpose, *, keep_added: bool) -> Plan:
    """Restore what is shipped for a purpose, and return what that changed."""
    plan = stored.reset(change, purpose, keep_added=keep_added)
    change.audit(Action.ROOTS_RESET, purpose.value, tenant=None, after=plan_facts(plan))
    return plan


def _tell_of_new(change: AuditedChange, root: Root) -> None:
    change.audit(Action.ROOT_ADD, root.id, tenant=None, after=record(root, now=change.at))
