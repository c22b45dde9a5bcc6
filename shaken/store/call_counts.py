"""How many calls were signed and verified, by hour and verdict: counted as records are written.

So a count costs the same however many calls there were. Those of one tenant and those of all are
counted apart: ten thousand tenants need not be added up.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Protocol

from sqlalchemy import Connection, Dialect, delete, func, select, text

from shaken.store.tables import call_counts
from trust.store.database import Database

HOUR = 3600

KEPT_SECONDS = 31 * 24 * HOUR
"""How far back counts are kept: pages look back 30 days."""

ROWS = 200
"""Counts of one statement, for the reason that records of calls are written so."""

_ALL = ""
"""Stands for the tenant in counts of all calls."""

_COLUMNS = ("hour", "tenant", "kind", "verstat", "code", "number")

_Key = tuple[int, str, str, str, int]


class Counted(Protocol):
    """What is counted: a record of a call."""

    @property
    def at(self) -> int:
        """Unix seconds."""

    @property
    def tenant(self) -> str | None:
        """Whose call it is."""

    @property
    def kind(self) -> str:
        """Signed or verified."""

    @property
    def verstat(self) -> str | None:
        """The verdict."""

    @property
    def code(self) -> int | None:
        """The SIP code of what was found wrong."""


@dataclass(frozen=True, slots=True)
class CallCount:
    """Calls of one kind and verdict whose time lies in [`start`, `start` + step)."""

    start: int
    kind: str
    verstat: str | None
    code: int | None
    count: int


def add_counts(connection: Connection, records: Iterable[Counted]) -> None:
    """Count records, in the transaction that writes them."""
    counts: Counter[_Key] = Counter(
        (one.at - one.at % HOUR, one.tenant or _ALL, one.kind, one.verstat or "", one.code or 0)
        for one in records
    )
    of_all: Counter[_Key] = Counter()
    for (hour, _, kind, verstat, code), number in counts.items():
        of_all[hour, _ALL, kind, verstat, code] += number
    counts = Counter({key: number for key, number in counts.items() if key[1] != _ALL}) + of_all
    # In one order, so that no two writers wait for each other.
    rows = [(*key, number) for key, number in sorted(counts.items())]
    for start in range(0, len(rows), ROWS):
        some = rows[start : start + ROWS]
        values = tuple(chain.from_iterable(some))
        given: tuple[object, ...] | Mapping[str, object] = values
        if not connection.dialect.positional:
            given = dict(zip(_names(len(some)), values, strict=True))
        connection.exec_driver_sql(_statement(connection.dialect, len(some)), given)


def count_calls(
    connection: Connection, *, since: int, until: int, step: int, tenant: str | None
) -> Sequence[CallCount]:
    """Count calls (of one tenant, None: of all) from `since` to before `until`.

    Both are whole hours, and so is `step`, in seconds.
    """
    counts = call_counts.c
    start = (counts.hour - counts.hour % step).label("start")
    kinds = (counts.kind, counts.verstat, counts.code)
    # Each hour is named: the table is in the order of hours, and then of tenants.
    of_the_time = counts.hour.in_(range(since, until, HOUR))
    query = (
        select(start, *kinds, func.sum(counts.number).label("number"))
        .where(of_the_time, counts.tenant == (tenant or _ALL))
        .group_by(start, *kinds)
    )
    return [
        CallCount(row.start, row.kind, row.verstat or None, row.code or None, int(row.number))
        for row in connection.execute(query)
    ]


def forget_counts(database: Database, *, before: int) -> None:
    """Remove the counts of hours that ended before a time (Unix seconds)."""
    with database.recording() as connection:
        connection.execute(delete(call_counts).where(call_counts.c.hour <= before - HOUR))


@lru_cache(maxsize=ROWS)
def _statement(dialect: Dialect, rows: int) -> str:
    """Write how counts are raised, parameters row by row. SQLite and PostgreSQL say it alike."""
    names = iter(_names(rows))
    places = ", ".join(f"({', '.join(f':{next(names)}' for _ in _COLUMNS)})" for _ in range(rows))
    key = ", ".join(_COLUMNS[:-1])
    raised = text(
        f"INSERT INTO call_counts ({', '.join(_COLUMNS)}) VALUES {places}"  # noqa: S608 - constants
        f" ON CONFLICT ({key}) DO UPDATE SET number = call_counts.number + excluded.number"
    )
    return str(raised.compile(dialect=dialect))


def _names(rows: int) -> list[str]:
    return [f"{column}_{row}" for row in range(rows) for column in _COLUMNS]
