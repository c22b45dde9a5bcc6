"""Who did what: the audit of administrative changes and events.

A change is opened here, with who makes it; it names each thing it changes, and its audit is written
in the same transaction. A change that names nothing is undone, so that none can be forgotten. What
a thing looks like is the caller's to say, without secrets and keys. What an admin should know of
though nobody changed anything is an event: the service reports it, as an entry like the others.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import msgspec
from sqlalchemy import Connection

from shaken.store.audit import AuditEntry, add_entries, has_entry
from trust.store.database import Change, Database

MAX_PEER = 64
"""Characters kept of a peer's address; the longest IPv6 address with a zone has fewer."""


class Action(StrEnum):
    """What was done. The slugs are stable: scripts look for them."""

    CERTIFICATE_IMPORT = "certificate.import"
    CERTIFICATE_DELETE = "certificate.delete"
    REQUEST_CREATE = "request.create"
    REQUEST_DELETE = "request.delete"
    REQUEST_USE = "request.use"
    TENANT_CREATE = "tenant.create"
    TENANT_UPDATE = "tenant.update"
    TENANT_DELETE = "tenant.delete"
    TRUNK_CREATE = "trunk.create"
    TRUNK_UPDATE = "trunk.update"
    TRUNK_DELETE = "trunk.delete"
    CREDENTIAL_CREATE = "credential.create"
    CREDENTIAL_REVOKE = "credential.revoke"
    ROOT_ADD = "root.add"
    ROOT_UPDATE = "root.update"
    ROOT_DELETE = "root.delete"
    ROOTS_RESET = "roots.reset"
    ROOTS_FOLLOW = "roots.follow"
    ACME_SETTINGS = "acme.settings"
    ACME_ACCOUNT = "acme.account"
    ORDER_CREATE = "order.create"
    ORDER_RENEW = "order.renew"
    ORDER_STOP = "order.stop"
    ORDER_FAIL = "order.fail"
    MASTER_KEY_BIND = "master-key.bind"
    RECORD_KEY_CREATE = "record-key.create"
    CALL_TEST = "call.test"
    PRIVATE_KEY_PUBLISHED = "private-key.published"
    SESSION_BEGIN = "session.begin"
    SESSION_END = "session.end"
    SESSION_REFUSE = "session.refuse"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who makes a change: a credential's name and the address it calls from."""

    name: str
    peer: str | None

    @property
    def shown_peer(self) -> str | None:
        """The address as entries hold it."""
        return None if self.peer is None else ascii(self.peer)[1:-1][:MAX_PEER]


SYSTEM = Actor("system", None)
"""The service itself: its start, the first admin, the demo, events. No credential may have its
name."""

Facts = msgspec.Struct | Mapping[str, object]
"""What there is to see of a thing: never a secret, a digest of one, or a key."""


class UntoldChange(RuntimeError):  # noqa: N818 - like RuntimeError, it names a mistake in the code
    """A change was about to be made without a word on what it changes. It was undone."""


class Unchanged(Exception):  # noqa: N818 - an outcome, not an error
    """Raised where something was to be changed and need not be: nothing is, and nobody told."""


@dataclass(frozen=True)
class AuditedChange(Change):
    """A transaction that says who changes what."""

    actor: Actor
    at: int
    entries: list[AuditEntry] = field(default_factory=list)

    def audit(
        self,
        action: Action,
        subject: str,
        *,
        tenant: str | None,
        before: Facts | None = None,
        after: Facts | None = None,
    ) -> None:
        """Tell of one thing that is changed: `before` None: it is new, `after` None: it goes.

        `tenant` is whose it is: credentials bound to this tenant see the entry.
        """
        detail = difference(before, after)
        peer = self.actor.shown_peer
        entry = AuditEntry(self.at, self.actor.name, peer, action.value, subject, tenant, detail)
        self.entries.append(entry)


@contextmanager
def changing(database: Database, actor: Actor, *, now: int) -> Iterator[AuditedChange]:
    """Give a transaction that changes what workers hold, and its audit; all of it or nothing.

    Raises StoreError, UntoldChange, and whatever the block raises but Unchanged, after undoing
    everything.
    """
    with suppress(Unchanged), database.changing() as change:
        audited = AuditedChange(change.connection, change.revision, actor, now)
        yield audited
        if not audited.entries:
            raise UntoldChange
        add_entries(audited.connection, audited.entries)


def record_deed(
    connection: Connection,
    actor: Actor,
    action: Action,
    subject: str,
    *,
    tenant: str | None,
    now: int,
    detail: Mapping[str, object] | None = None,
) -> None:
    """Write down what somebody did that no worker need know of, in the transaction that does it.

    `detail` is what there is to know, without secrets and keys; `tenant` is whose matter it is.
    """
    known = {} if detail is None else {"event": dict(detail)}
    peer = actor.shown_peer
    add_entries(
        connection, [AuditEntry(now, actor.name, peer, action.value, subject, tenant, known)]
    )


def record_event(
    database: Database,
    action: Action,
    subject: str,
    *,
    detail: Mapping[str, object],
    now: int,
    quiet_seconds: int,
    tenant: str | None = None,
) -> bool:
    """Write down that something happened, as the service's own doing; say whether it was.

    It is not when the same happened to the same subject within `quiet_seconds`, whichever worker
    reported it. `detail` is what there is to know, without secrets and keys; `tenant` is whose
    matter it is. For use from a thread that may wait. Raises StoreError.
    """
    # No snapshot holds the audit, so nobody need be told of a new revision.
    with database.recording() as connection:
        since = now - quiet_seconds + 1
        if has_entry(connection, action=action.value, subject=subject, since=since):
            return False
        record_deed(connection, SYSTEM, action, subject, tenant=tenant, now=now, detail=detail)
    return True


def difference(before: Facts | None, after: Facts | None) -> dict[str, dict[str, Any]]:
    """Return what a change did: all of what is new or goes; else the members that differ.

    Of a list that differs, only what left it and what came: a tenant has thousands of numbers. Of
    members that have members, those that differ.
    """
    old, new = msgspec.to_builtins(before), msgspec.to_builtins(after)
    if before is None or after is None:
        both = {"before": old, "after": new}
        return {side: members for side, members in both.items() if members is not None}
    detail: dict[str, dict[str, Any]] = {"before": {}, "after": {}}
    for name in dict.fromkeys([*old, *new]):
        left, came = _without_common(old.get(name), new.get(name))
        if left != came:
            detail["before"][name], detail["after"][name] = left, came
    return detail


def _without_common(old: object, new: object) -> tuple[object, object]:
    if isinstance(old, dict) and isinstance(new, dict):
        differing = [name for name in [*old, *new] if old.get(name) != new.get(name)]
        return _only(old, differing), _only(new, differing)
    if not isinstance(old, list | tuple) or not isinstance(new, list | tuple):
        return old, new
    before = {msgspec.json.encode(each): each for each in old}
    after = {msgspec.json.encode(each): each for each in new}
    left = [each for key, each in before.items() if key not in after]
    return left, [each for key, each in after.items() if key not in before]


def _only(members: Mapping[str, object], names: Sequence[str]) -> dict[str, object]:
    return {name: members[name] for name in names if name in members}
