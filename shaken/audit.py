"""Who did what: the audit of administrative changes and events, and the record of every call.

A change is opened here, with who makes it; it names each thing it changes, and its audit is written
in the same transaction. A change that names nothing is undone, so that none can be forgotten. What
a thing looks like is the caller's to say, without secrets and keys. What an admin should know of
though nobody changed anything is an event: the service reports it, as an entry like the others.

Records of calls do not delay an answer: a recorder takes them at once into bounded memory; a
thread writes them to the store in batches. What does not fit is dropped, counted and said.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import msgspec

from shaken.store.audit import AuditEntry, add_entries, has_entry
from shaken.store.calls import CallRecord, add_calls, forget_calls
from trust.store.database import Change, Database, StoreError

MAX_PEER = 64
"""Characters kept of a peer's address; the longest IPv6 address with a zone has fewer."""

BATCH = 5_000
"""Records of one transaction: large enough to be cheap, small enough not to lock others out."""

INTERVAL_SECONDS = 0.5
"""How long a record waits in memory at most, while the store can be written."""

CLEANING_SECONDS = 3600
"""How often records past their time are removed."""

_log = logging.getLogger(__name__)


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
    ORDER_CREATE = "order.create"
    ORDER_RENEW = "order.renew"
    ORDER_STOP = "order.stop"
    ORDER_FAIL = "order.fail"
    MASTER_KEY_BIND = "master-key.bind"
    RECORD_KEY_CREATE = "record-key.create"
    PRIVATE_KEY_PUBLISHED = "private-key.published"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who makes a change: a credential's name and the address it calls from."""

    name: str
    peer: str | None


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
        peer = None if self.actor.peer is None else ascii(self.actor.peer)[1:-1][:MAX_PEER]
        detail = difference(before, after)
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
    known = {"event": dict(detail)}
    entry = AuditEntry(now, SYSTEM.name, SYSTEM.peer, action.value, subject, tenant, known)
    # No snapshot holds the audit, so nobody need be told of a new revision.
    with database.recording() as connection:
        since = now - quiet_seconds + 1
        if has_entry(connection, action=action.value, subject=subject, since=since):
            return False
        add_entries(connection, [entry])
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


class CallRecorder:
    """Records of calls on their way to the store. `start`, then `close`."""

    def __init__(
        self,
        database: Database,
        *,
        capacity: int,
        keep_seconds: int,
        conceal: Callable[[CallRecord], CallRecord] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Hold at most `capacity` records in memory; forget stored ones after `keep_seconds`.

        `conceal` is what is done with each before it is stored.
        """
        self._database = database
        self._capacity = capacity
        self._keep_seconds = keep_seconds
        self._conceal = conceal
        self._clock = clock
        self._waiting: deque[CallRecord] = deque()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="call-recorder", daemon=True)
        self.dropped = 0

    def add(self, call: CallRecord) -> None:
        """Take a record; never waits."""
        if len(self._waiting) >= self._capacity:
            self.dropped += 1
            return
        self._waiting.append(call)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def close(self) -> None:
        """Write what waits, then end."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        said = 0
        cleaned = 0.0
        while True:
            stopping = self._stopping.wait(INTERVAL_SECONDS)
            self._write_waiting()
            if self.dropped != said:
                said = self.dropped
                _log.error("records of calls dropped since start: %d", said)
            if self._clock() - cleaned >= CLEANING_SECONDS:
                more = self._forget(int(self._clock()) - self._keep_seconds)
                cleaned = cleaned if more else self._clock()
            if stopping:
                self._write_waiting()
                if self._waiting:
                    _log.error("records of %d calls are lost", len(self._waiting))
                return

    def _write_waiting(self) -> None:
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
            try:
                add_calls(self._database, self._concealed(batch))
            except Exception as error:
                # The store may be busy or full for a while: keep what fits and try again. And
                # whatever else goes wrong, without this thread no record is written any more.
                _log.error("cannot write the records of %d calls: %s", len(batch), error)
                self._waiting.extendleft(reversed(batch))
                while len(self._waiting) > self._capacity:
                    self._waiting.popleft()
                    self.dropped += 1
                return

    def _concealed(self, batch: list[CallRecord]) -> list[CallRecord]:
        return batch if self._conceal is None else [self._conceal(call) for call in batch]

    def _forget(self, before: int) -> bool:
        """Remove some old records; say whether there may be more. New ones are not kept waiting."""
        try:
            return forget_calls(self._database, before=before, limit=BATCH) == BATCH
        except StoreError as error:
            _log.error("cannot remove old records of calls: %s", error)
            return False
