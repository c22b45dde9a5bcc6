"""Trusted roots in the store: read, listed, changed by the plans of `trust.roots`.

Functions take the connection or the change they work in: the caller decides what belongs to one
transaction. Lists leave out what was deleted; only `kept` shows it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from sqlalchemy import Connection, Row, bindparam, delete, insert, select, update

from trust.roots import (
    Edition,
    Plan,
    Purpose,
    Root,
    Shipper,
    plan_reset,
    plan_upgrade,
    when_added,
    when_deleted,
    when_restored,
)
from trust.store.database import Change
from trust.store.tables import roots, shipped_roots


def find(
    connection: Connection, purpose: Purpose | None, *, after: int, limit: int
) -> Sequence[Root]:
    """List at most `limit` roots (None: of both purposes) beyond sequence `after`."""
    query = select(roots).where(roots.c.sequence > after, ~roots.c.deleted)
    if purpose is not None:
        query = query.where(roots.c.purpose == purpose.value)
    rows = connection.execute(query.order_by(roots.c.sequence).limit(limit))
    return [read_row(row) for row in rows]


def get(connection: Connection, root_id: str) -> Sequence[Root]:
    """Read one root: once for each purpose that it is listed for."""
    query = select(roots).where(roots.c.id == root_id, ~roots.c.deleted)
    return [read_row(row) for row in connection.execute(query)]


def kept(connection: Connection, purpose: Purpose) -> Sequence[Root]:
    """Read all that is kept of a purpose's list, deleted roots too: what plans begin with."""
    query = select(roots).where(roots.c.purpose == purpose.value).order_by(roots.c.sequence)
    return [read_row(row) for row in connection.execute(query)]


def trusted_pem(connection: Connection, purpose: Purpose) -> str:
    """Read the roots that are trusted for a purpose as one PEM text."""
    query = (
        select(roots.c.pem)
        .where(roots.c.purpose == purpose.value, ~roots.c.disabled, ~roots.c.deleted)
        .order_by(roots.c.sequence)
    )
    return "".join(connection.execute(query).scalars())


def add(change: Change, root: Root) -> Root:
    """Write a root that an administrator adds, and return it. Raises AlreadyAdded."""
    query = select(roots).where(roots.c.purpose == root.purpose.value, roots.c.id == root.id)
    row = change.connection.execute(query).one_or_none()
    added = when_added(root, None if row is None else read_row(row))
    _write(change, [added])
    return added


def remove(change: Change, root: Root) -> None:
    """Remove a stored root, or keep no more than the memory that it is not wanted."""
    kept = when_deleted(root)
    if kept is None:
        _forget(change, [root])
    else:
        _write(change, [kept])


def restore(change: Change, root: Root) -> Root:
    """Put a deleted root back, and return it."""
    restored = when_restored(root)
    _write(change, [restored])
    return restored


def set_disabled(change: Change, root: Root, *, disabled: bool) -> Root:
    """Turn a stored root off or on, and return it."""
    turned = replace(root, disabled=disabled)
    _write(change, [turned])
    return turned


def reset(change: Change, purpose: Purpose, *, keep_added: bool) -> Plan:
    """Restore what is shipped, and return what that changed."""
    return _carry_out(change, plan_reset(kept(change.connection, purpose), keep_added=keep_added))


def follow(change: Change, purpose: Purpose, shipped: Iterable[Root]) -> Plan:
    """Let a purpose's list follow what is shipped now, and return what that changed."""
    return _carry_out(change, plan_upgrade(shipped, kept(change.connection, purpose)))


def applied_edition(connection: Connection, purpose: Purpose) -> Edition | None:
    """Return the edition of the shipped list that a purpose's list follows; None: none yet."""
    query = select(shipped_roots).where(shipped_roots.c.purpose == purpose.value)
    row = connection.execute(query).one_or_none()
    return None if row is None else Edition(row.version, row.digest)


def remember_edition(change: Change, purpose: Purpose, edition: Edition) -> None:
    """Write down which edition of the shipped list a purpose's list follows from now on."""
    change.connection.execute(delete(shipped_roots).where(shipped_roots.c.purpose == purpose.value))
    row = {
        "purpose": purpose.value,
        "version": edition.version,
        "digest": edition.digest,
        "revision": change.revision,
    }
    change.connection.execute(insert(shipped_roots), row)


def read_row(row: Row[tuple[object, ...]]) -> Root:
    """Read a row of the roots table."""
    return Root(
        id=row.id,
        purpose=Purpose(row.purpose),
        subject=row.subject,
        not_before=row.not_before,
        not_after=row.not_after,
        pem=row.pem,
        shipped=None if row.shipped is None else Shipper(row.shipped),
        added=row.added,
        disabled=row.disabled,
        deleted=row.deleted,
        sequence=row.sequence,
    )


def _carry_out(change: Change, plan: Plan) -> Plan:
    _forget(change, plan.forgotten)
    _write(change, plan.written)
    return plan


def _forget(change: Change, gone: Sequence[Root]) -> None:
    if gone:
        change.connection.execute(
            delete(roots).where(roots.c.sequence == bindparam("gone")),
            [{"gone": root.sequence} for root in gone],
        )


def _write(change: Change, written: Sequence[Root]) -> None:
    """Write roots: those that were read from the store into their rows, others into new ones."""
    new = [_columns(change, root) for root in written if not root.sequence]
    old = [{**_columns(change, root), "row": root.sequence} for root in written if root.sequence]
    if new:
        change.connection.execute(insert(roots), new)
    if old:
        change.connection.execute(update(roots).where(roots.c.sequence == bindparam("row")), old)


def _columns(change: Change, root: Root) -> dict[str, object]:
    return {
        "purpose": root.purpose.value,
        "id": root.id,
        "subject": root.subject,
        "not_before": root.not_before,
        "not_after": root.not_after,
        "pem": root.pem,
        "shipped": None if root.shipped is None else root.shipped.value,
        "added": root.added,
        "disabled": root.disabled,
        "deleted": root.deleted,
        "revision": change.revision,
    }
