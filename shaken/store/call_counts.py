"""How many calls were signed and verified, by time and verdict: counted from their records.

A count is bounded like any search of calls: it looks at the newest records only, and says from
when on it counts.
"""

from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from shaken.store.calls import CallKind
from shaken.store.tables import calls

MAX_COUNTED = 50_000
"""Records that one count looks at: some 50 ms."""


@dataclass(frozen=True, slots=True)
class CallCount:
    """Calls of one kind and verdict whose time lies in [`start`, `start` + step)."""

    start: int
    kind: CallKind
    verstat: str | None
    code: int | None
    count: int


@dataclass(frozen=True, slots=True)
class CallCounts:
    """Counts, and since when calls are in them: later than asked for where there are too many."""

    since: int
    counts: tuple[CallCount, ...]


def count_calls(connection: Connection, *, since: int, step: int, tenant: str | None) -> CallCounts:
    """Count the calls (of one tenant, None: of all) since a time, in steps of so many seconds."""
    newest = connection.execute(select(func.max(calls.c.sequence))).scalar_one()
    if newest is None:
        return CallCounts(since, ())
    bottom = newest - MAX_COUNTED
    start = (calls.c.at - calls.c.at % step).label("start")
    kinds = (calls.c.kind, calls.c.verstat, calls.c.code)
    wanted = [calls.c.sequence > bottom, calls.c.at >= since]
    if tenant is not None:
        wanted.append(calls.c.tenant == tenant)
    query = (
        select(start, *kinds, func.count().label("number")).where(*wanted).group_by(start, *kinds)
    )
    counts = tuple(
        CallCount(row.start, CallKind(row.kind), row.verstat, row.code, row.number)
        for row in connection.execute(query)
    )
    return CallCounts(max(since, _left_out(connection, bottom)), counts)


def _left_out(connection: Connection, bottom: int) -> int:
    """Return the time of the newest record that is not looked at, 0: all are."""
    query = select(calls.c.at).where(calls.c.sequence <= bottom).order_by(calls.c.sequence.desc())
    return connection.execute(query.limit(1)).scalar_one_or_none() or 0
