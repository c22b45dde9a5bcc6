"""How many calls were signed and verified, by hour and verdict.

So a count costs the same however many calls there were. Those of one tenant and those of all are
counted apart: ten thousand tenants need not be added up.

Calls are added up many at a time, since each tenant's count is written once for all its calls.
Those that are on record and not added up yet are counted where counts are read: a count is always
exact.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import (
    ColumnElement,
    Connection,
    Label,
    delete,
    func,
    literal,
    select,
    text,
    true,
    union_all,
    update,
)

from shaken.store.tables import call_counts, call_counts_reach, calls
from trust.store.database import Database

HOUR = 3600

KEPT_SECONDS = 31 * 24 * HOUR
"""How far back counts are kept: pages look back 30 days."""

AT_ONCE = 50_000
"""Calls that are added up in one transaction at most, which takes a tenth of a second or two."""

_ALL = ""
"""Stands for the tenant in counts of all calls."""

_ADD_UP = text(
    """
    INSERT INTO call_counts (hour, tenant, kind, verstat, code, number)
    WITH fresh (hour, tenant, kind, verstat, code, number) AS MATERIALIZED (
        SELECT at - at % 3600, coalesce(tenant, ''), kind, coalesce(verstat, ''),
            coalesce(code, 0), count(*)
        FROM calls WHERE sequence > :reached AND sequence <= :reaching GROUP BY 1, 2, 3, 4, 5
    )
    SELECT hour, tenant, kind, verstat, code, number FROM fresh WHERE tenant <> ''
    UNION ALL
    SELECT hour, '', kind, verstat, code, sum(number) FROM fresh
    GROUP BY hour, kind, verstat, code
    ON CONFLICT (hour, tenant, kind, verstat, code)
    DO UPDATE SET number = call_counts.number + excluded.number
    """
)
"""SQLite and PostgreSQL say it alike."""


@dataclass(frozen=True, slots=True)
class CallCount:
    """Calls of one kind and verdict whose time lies in [`start`, `start` + step)."""

    start: int
    kind: str
    verstat: str | None
    code: int | None
    count: int


def not_added_up(database: Database) -> int:
    """Return how many calls may be on record and not added up yet. Raises StoreError."""
    with database.reading() as connection:
        reached, newest = _reached(connection), _newest(connection)
    return max(newest - reached, 0)


def add_up(database: Database, *, limit: int = AT_ONCE) -> None:
    """Add up calls that are on record and not added up yet, at most `limit`, the oldest first.

    Raises StoreError.
    """
    with database.recording() as connection:
        # SQLite has one writer at a time: what others write now comes behind what is there.
        reached = _reached(connection)
        reaching = min(_newest(connection), reached + limit)
        if reaching > reached:
            connection.execute(_ADD_UP, {"reached": reached, "reaching": reaching})
            connection.execute(update(call_counts_reach).values(sequence=reaching))


def count_calls(
    connection: Connection, *, since: int, until: int, step: int, tenant: str | None
) -> Sequence[CallCount]:
    """Count calls (of one tenant, None: of all) from `since` to before `until`.

    Both are whole hours, and so is `step`, in seconds.
    """
    counts = call_counts.c
    # Each hour is named: the table is in the order of hours, and then of tenants.
    added_up = select(
        _beginning(counts.hour, step), counts.kind, counts.verstat, counts.code, counts.number
    ).where(counts.hour.in_(range(since, until, HOUR)), counts.tenant == (tenant or _ALL))
    rest = select(
        _beginning(calls.c.at, step),
        calls.c.kind,
        func.coalesce(calls.c.verstat, "").label("verstat"),
        func.coalesce(calls.c.code, 0).label("code"),
        literal(1).label("number"),
    ).where(
        calls.c.sequence > select(call_counts_reach.c.sequence).scalar_subquery(),
        # By the sequence, not by an index of times: those are few, and calls of a month are not.
        calls.c.at + 0 >= since,
        calls.c.at + 0 < until,
        calls.c.tenant == tenant if tenant else true(),
    )
    found = union_all(added_up, rest).subquery().c
    kinds = (found.start, found.kind, found.verstat, found.code)
    query = select(*kinds, func.sum(found.number).label("number")).group_by(*kinds)
    return [
        CallCount(row.start, row.kind, row.verstat or None, row.code or None, int(row.number))
        for row in connection.execute(query)
    ]


def _reached(connection: Connection) -> int:
    return int(connection.execute(select(call_counts_reach.c.sequence)).scalar_one())


def _newest(connection: Connection) -> int:
    return connection.execute(select(func.max(calls.c.sequence))).scalar_one() or 0


def _beginning(at: ColumnElement[int], step: int) -> Label[int]:
    return (at - at % step).label("start")


def forget_counts(database: Database, *, before: int) -> None:
    """Remove the counts of hours that ended before a time (Unix seconds)."""
    with database.recording() as connection:
        connection.execute(delete(call_counts).where(call_counts.c.hour <= before - HOUR))
