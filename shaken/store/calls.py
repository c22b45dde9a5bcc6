"""The record of signed and verified calls in the store: written in batches, found by number.

Whatever is looked for, a search is bounded: it goes back span by span, as far as one answer may
cost, and says where to go on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from itertools import chain
from typing import NamedTuple

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Dialect,
    Row,
    bindparam,
    delete,
    func,
    insert,
    select,
    union,
)
from sqlalchemy.engine.interfaces import Compiled

from shaken.store.tables import BLOCK_ROWS, SPAN_ROWS, call_destinations, calls
from trust.store.database import Database

MAX_RECORDED = 2048
"""Characters of the destinations, of a URL, of a reason that are kept: memory waits for the store
with them."""

ROWS = (200, 40, 8, 1)
"""Records of one statement: as many as fit. One statement for each record would let go of the
interpreter's lock and take it again for each, which costs the thread that signs more than the
record is worth."""

SCANNED_SPANS = 4
"""Spans that one search reads through: two million calls, half a second."""

PROBED_SPANS = 1000
"""Spans in whose indexes one search for a number looks: 500 million calls, a second."""

_SEPARATOR = ","


class CallKind(StrEnum):
    """What was done with a call."""

    SIGNED = "signed"
    VERIFIED = "verified"


class CallRecord(NamedTuple):
    """A signed or verified call: who asked, what was said, by which certificate.

    `at` is Unix seconds; `dest` what `destinations_text` makes. `certificate` is the id of our own
    or the URL of another's. `verstat` to `code` are those of a verdict. The fields stand in the
    order of the table's columns, since statements with many rows name no parameter.
    """

    at: int
    credential: str
    tenant: str | None
    trunk: str | None
    orig: str
    dest: str
    attest: str
    origid: str
    certificate: str
    request_id: str
    kind: str = CallKind.SIGNED.value
    verstat: str | None = None
    action: str | None = None
    reason: str | None = None
    code: int | None = None


@dataclass(frozen=True, slots=True)
class CallFilter:
    """Which calls a list shows; what is None does not restrict. `until` is excluded.

    `number` holds the spellings of one number: as it is and as it is hashed.
    """

    number: tuple[str, ...] | None = None
    kind: str | None = None
    tenant: str | None = None
    certificate: str | None = None
    verstat: str | None = None
    code: int | None = None
    since: int | None = None
    until: int | None = None


@dataclass(frozen=True, slots=True)
class CallPage:
    """Calls, the newest first, and the sequence before which to go on; None: there are no more."""

    records: tuple[CallRecord, ...]
    next: int | None


def destinations_text(called: Sequence[str]) -> str:
    """Write destinations for a record: with commas between, whole ones, bounded."""
    text = _SEPARATOR.join(called)
    if text.count(_SEPARATOR) >= len(called):  # the user part of a SIP URI may hold commas
        text = _SEPARATOR.join(each.replace(_SEPARATOR, "%2C") for each in called)
    if len(text) > MAX_RECORDED:
        text = text[: MAX_RECORDED + 1]
        text = (text.rpartition(_SEPARATOR)[0] or text)[:MAX_RECORDED]
    return text


def destinations_of(text: str) -> tuple[str, ...]:
    """Read what `destinations_text` wrote."""
    return tuple(text.split(_SEPARATOR))


def add_calls(database: Database, calls: Sequence[CallRecord]) -> None:
    """Write records, in one transaction. Raises StoreError."""
    begun = 0
    with database.recording() as connection:
        for rows in ROWS:
            while begun + rows <= len(calls):
                _insert(connection, calls[begun : begun + rows])
                begun += rows


def forget_calls(database: Database, *, before: int, limit: int) -> int:
    """Remove at most `limit` records older than a time, the oldest first; say how many.

    Records are written in the order of time, so that only their beginning is looked at.
    """
    oldest = select(calls.c.sequence).order_by(calls.c.sequence).limit(limit)
    old = calls.c.sequence.in_(oldest) & (calls.c.at < before)
    with database.recording() as connection:
        return connection.execute(delete(calls).where(old)).rowcount


def newest_call(connection: Connection) -> int | None:
    """Return the time of the record that was written last; None: there is none."""
    last = select(func.max(calls.c.sequence)).scalar_subquery()
    at: int | None = connection.execute(
        select(calls.c.at).where(calls.c.sequence == last)
    ).scalar_one_or_none()
    return at


def find_calls(
    connection: Connection, wanted: CallFilter, *, before: int | None, limit: int
) -> CallPage:
    """List at most `limit` calls, the newest first, from below sequence `before`.

    Fewer, even none, where a search goes too far back for one answer: `next` says where to go on.
    """
    newest = connection.execute(select(func.max(calls.c.sequence))).scalar_one()
    if newest is None:
        return CallPage((), None)
    oldest = connection.execute(select(func.min(calls.c.sequence))).scalar_one()
    top = newest + 1 if before is None else min(before, newest + 1)
    left = SCANNED_SPANS if wanted.number is None else PROBED_SPANS
    found: list[Row[tuple[object, ...]]] = []
    for span in range((top - 1) // SPAN_ROWS, oldest // SPAN_ROWS - 1, -1):
        if not _is_of_the_time(connection, span, wanted):
            continue
        if left == 0:
            return CallPage(_records(found), (span + 1) * SPAN_ROWS)
        left -= 1
        query = (
            select(calls)
            .where(*_conditions(span * SPAN_ROWS, min(top, (span + 1) * SPAN_ROWS), wanted))
            .order_by(calls.c.sequence.desc())
            .limit(limit + 1 - len(found))
        )
        found += connection.execute(query).all()
        if len(found) > limit:
            return CallPage(_records(found[:limit]), found[limit - 1].sequence)
    return CallPage(_records(found), None)


def _is_of_the_time(connection: Connection, span: int, wanted: CallFilter) -> bool:
    """Say whether a span may hold calls of the time that is asked for."""
    if wanted.since is None and wanted.until is None:
        return True
    of_span = calls.c.span == span
    first = select(func.min(calls.c.at)).where(of_span).scalar_subquery()
    last = select(func.max(calls.c.at)).where(of_span).scalar_subquery()
    earliest, latest = connection.execute(select(first, last)).one()
    if earliest is None:
        return False
    began = wanted.since is None or latest >= wanted.since
    return bool(began and (wanted.until is None or earliest < wanted.until))


def _conditions(bottom: int, top: int, wanted: CallFilter) -> list[ColumnElement[bool]]:
    """Say what holds for the wanted calls of a span, from `bottom` to below `top`."""
    conditions = [calls.c.sequence >= bottom, calls.c.sequence < top]
    for name in ("kind", "tenant", "certificate", "verstat", "code"):
        value = getattr(wanted, name)
        if value is not None:
            conditions.append(calls.c[name] == value)
    if wanted.since is not None:
        conditions.append(calls.c.at >= wanted.since)
    if wanted.until is not None:
        conditions.append(calls.c.at < wanted.until)
    if wanted.number is not None:
        blocks = calls.c.block.in_(range(bottom // BLOCK_ROWS, (top - 1) // BLOCK_ROWS + 1))
        several = call_destinations.c
        of_number = union(
            select(calls.c.sequence).where(blocks, calls.c.orig.in_(wanted.number)),
            select(calls.c.sequence).where(blocks, calls.c.dest.in_(wanted.number)),
            select(several.call).where(
                several.number.in_(wanted.number), several.call >= bottom, several.call < top
            ),
        )
        conditions.append(calls.c.sequence.in_(of_number))
    return conditions


def _records(rows: Sequence[Row[tuple[object, ...]]]) -> tuple[CallRecord, ...]:
    return tuple(CallRecord(*(getattr(row, name) for name in CallRecord._fields)) for row in rows)


def _insert(connection: Connection, calls: Sequence[CallRecord]) -> None:
    several = any(_SEPARATOR in call.dest for call in calls)
    statement = _statement(connection.dialect, len(calls), returning=several)
    values = tuple(chain.from_iterable(calls))
    given: tuple[object, ...] | Mapping[str, object] = values
    if not connection.dialect.positional:
        given = dict(zip(_names(len(calls)), values, strict=True))
    written = connection.exec_driver_sql(str(statement), given)
    if several:
        connection.execute(
            insert(call_destinations),
            [
                {"number": number, "call": sequence}
                for sequence, dest in written.all()
                if _SEPARATOR in dest
                for number in dict.fromkeys(destinations_of(dest))
            ],
        )


@lru_cache(maxsize=8)
def _statement(dialect: Dialect, rows: int, *, returning: bool) -> Compiled:
    """Compile the insertion of some rows; its parameters stand row by row.

    `returning` gives the sequence and the destinations of each.
    """
    names = iter(_names(rows))
    places: list[dict[str, BindParameter[object]]] = [
        {field: bindparam(next(names)) for field in CallRecord._fields} for _ in range(rows)
    ]
    statement = insert(calls).values(places)
    if returning:
        return statement.returning(calls.c.sequence, calls.c.dest).compile(dialect=dialect)
    return statement.compile(dialect=dialect)


def _names(rows: int) -> list[str]:
    return [f"{field}_{row}" for row in range(rows) for field in CallRecord._fields]
