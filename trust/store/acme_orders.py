"""Standing orders in the store (`trust.acme.order`).

Two sides write a row: administrators say what they want (`add`, `stop`, `demand`), a runner under
the lease says how far it is (`save`). Neither writes the other's columns, but for the time of the
next try.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, TypeVar

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    and_,
    case,
    func,
    insert,
    or_,
    select,
    update,
)

from trust.acme.challenges import TxtRecord
from trust.acme.order import (
    Attempt,
    Certified,
    Failures,
    Order,
    State,
    Window,
    without_certificate,
)
from trust.acme.renewal import Demand
from trust.certificate import CertificateKind, Source
from trust.store import requests
from trust.store.database import Change
from trust.store.tables import acme_orders as orders
from trust.store.tables import certificates

T = TypeVar("T")


@dataclass(frozen=True)
class Filter:
    """Which orders a list shows; what is None does not restrict."""

    tenant: str | None = None
    state: State | None = None
    managed: bool | None = None


class Concern(StrEnum):
    """Which managed orders somebody should look at."""

    FAILING = "failing"
    """Those whose last try failed."""
    OVERDUE = "overdue"
    """Those that nobody has tried, though it was time."""


@dataclass(frozen=True)
class Upcoming:
    """Which managed orders are wanted, by when they are tried next; None does not restrict.

    `since` (included) and `until` (excluded) are Unix seconds; what should have been tried before
    `late` is overdue.
    """

    late: int
    tenant: str | None = None
    concern: Concern | None = None
    since: int | None = None
    until: int | None = None


def add(connection: Connection, order: Order) -> bool:
    """Keep an order; one that is there already is managed again. Say whether it is new.

    A certificate that is deleted, or of another tenant, is none of the order's any more.
    """
    known = get(connection, order.id)
    if known is None:
        fixed = {
            "id": order.id,
            "kind": order.kind.value,
            "names": list(order.names),
            "tenant": order.tenant,
            "created_at": order.created_at,
            "managed": order.managed,
        }
        connection.execute(insert(orders), {**fixed, **_progress(order)})
        return True
    again: dict[str, Any] = {}
    if known.certified is not None and not _serves(connection, known.certified, order.tenant):
        known = without_certificate(known, next_try=order.next_try)
        again = _progress(known)
    again |= {"managed": True, "next_try": order.next_try, "tenant": order.tenant}
    if known.state is State.STOPPED:
        again |= _resumed(known, now=order.created_at)
    connection.execute(update(orders).where(orders.c.id == order.id).values(again))
    return False


def _serves(connection: Connection, certified: Certified, tenant: str | None) -> bool:
    """Say whether a certificate is kept, and for this tenant."""
    query = select(certificates.c.tenant).where(certificates.c.id == certified.certificate)
    row = connection.execute(query).one_or_none()
    return row is not None and row.tenant == tenant


def get(connection: Connection, identity: str) -> Order | None:
    """Read one order."""
    row = connection.execute(select(orders).where(orders.c.id == identity)).one_or_none()
    return None if row is None else _read(row)


def for_certificate(connection: Connection, certificate: str) -> Order | None:
    """Read the order that a certificate in service came from."""
    query = select(orders).where(orders.c.certificate == certificate)
    row = connection.execute(query).first()
    return None if row is None else _read(row)


def find(connection: Connection, wanted: Filter, *, after: str, limit: int) -> Sequence[Order]:
    """List at most `limit` orders by id, beyond the id `after`."""
    query = select(orders).where(orders.c.id > after)
    if wanted.tenant is not None:
        query = query.where(orders.c.tenant == wanted.tenant)
    if wanted.state is not None:
        query = query.where(orders.c.state == wanted.state.value)
    if wanted.managed is not None:
        query = query.where(orders.c.managed.is_(wanted.managed))
    return [_read(row) for row in connection.execute(query.order_by(orders.c.id).limit(limit))]


def counted(connection: Connection) -> dict[State, int]:
    """Count the orders in each state."""
    query = select(orders.c.state, func.count()).group_by(orders.c.state)
    return {State(state): count for state, count in connection.execute(query)}


def failing(connection: Connection, *, limit: int, tenant: str | None = None) -> Sequence[Order]:
    """List at most `limit` managed orders whose last try failed, the longest waiting first.

    Those of one tenant, None: of all.
    """
    query = select(orders).where(orders.c.failures.is_not(None), orders.c.managed)
    if tenant is not None:
        query = query.where(orders.c.tenant == tenant)
    return [
        _read(row) for row in connection.execute(query.order_by(orders.c.next_try).limit(limit))
    ]


def overdue(connection: Connection, *, before: int) -> int:
    """Count the managed orders that should have been tried before a time."""
    late = and_(orders.c.managed, orders.c.next_try < before)
    return connection.execute(select(func.count()).select_from(orders).where(late)).scalar_one()


def upcoming(
    connection: Connection, wanted: Upcoming, *, limit: int, offset: int
) -> Sequence[Order]:
    """List some managed orders: those that fail first, by when their certificate expires."""
    fails = orders.c.failures.is_not(None)
    expiry = case((fails, func.coalesce(certificates.c.not_after, 0)))
    query = (
        select(orders)
        .outerjoin(certificates, certificates.c.id == orders.c.certificate)
        .where(*_upcoming(wanted))
        .order_by(fails.desc(), expiry, orders.c.next_try, orders.c.id)
    )
    return [_read(row) for row in connection.execute(query.limit(limit).offset(offset))]


def counted_upcoming(connection: Connection, wanted: Upcoming) -> int:
    """Count what `upcoming` lists in all."""
    query = select(func.count()).select_from(orders).where(*_upcoming(wanted))
    return connection.execute(query).scalar_one()


@dataclass(frozen=True)
class Tally:
    """How many managed orders there are; how many of them fail, are overdue, come after a time."""

    managed: int
    failing: int
    overdue: int
    later: int


def tally(connection: Connection, wanted: Upcoming, *, after: int) -> Tally:
    """Count managed orders in one pass, those that are tried next from `after` on as later."""
    late = and_(orders.c.failures.is_(None), orders.c.next_try < wanted.late)
    conditions = (orders.c.failures.is_not(None), late, orders.c.next_try >= after)
    counts = [func.coalesce(func.sum(case((each, 1), else_=0)), 0) for each in conditions]
    row = connection.execute(select(func.count(), *counts).where(*_upcoming(wanted))).one()
    return Tally(*(int(count) for count in row))


def counted_by_step(
    connection: Connection, wanted: Upcoming, *, step: int
) -> Sequence[tuple[int, bool, int]]:
    """Count managed orders by when they are tried next: step, whether the last try failed, count.

    Steps of `step` seconds are counted from `wanted.since` on; what is due before is of step 0.
    """
    since = wanted.since or 0
    place = case((orders.c.next_try < since, 0), else_=(orders.c.next_try - since) // step)
    fails = orders.c.failures.is_not(None)
    query = (
        select(place, fails, func.count())
        .where(*_upcoming(replace(wanted, since=None)))
        .group_by(place, fails)
    )
    return [(found, bool(failing), count) for found, failing, count in connection.execute(query)]


def _upcoming(wanted: Upcoming) -> Iterator[ColumnElement[bool]]:
    yield orders.c.managed
    yield orders.c.next_try.is_not(None)
    if wanted.tenant is not None:
        yield orders.c.tenant == wanted.tenant
    if wanted.concern is Concern.FAILING:
        yield orders.c.failures.is_not(None)
    if wanted.concern is Concern.OVERDUE:
        yield orders.c.failures.is_(None)
        yield orders.c.next_try < wanted.late
    if wanted.since is not None:
        yield orders.c.next_try >= wanted.since
    if wanted.until is not None:
        yield orders.c.next_try < wanted.until


def due(connection: Connection, *, now: int, limit: int) -> Sequence[Order]:
    """List at most `limit` orders for which something is to be done, the longest due first."""
    # Only what was issued is asked about; records of what is being proven stay.
    issued = orders.c.state == State.ISSUED.value
    left = and_(orders.c.records.is_not(None), orders.c.state != State.AUTHORIZING.value)
    asked = and_(orders.c.next_inquiry <= now, or_(issued, left))
    query = select(orders).where(or_(orders.c.next_try <= now, asked))
    rows = connection.execute(query.order_by(orders.c.next_try).limit(limit))
    return [_read(row) for row in rows]


def replaced(connection: Connection, *, expired_by: int, limit: int) -> Sequence[str]:
    """List certificates of orders that have expired by a time, and are no order's latest one."""
    latest = select(orders.c.certificate).where(orders.c.certificate == certificates.c.id)
    query = select(certificates.c.id).where(
        certificates.c.source == Source.ACME.value,
        certificates.c.not_after < expired_by,
        ~latest.exists(),
    )
    return list(connection.execute(query.limit(limit)).scalars())


def demand(connection: Connection, identity: str, why: Demand, *, now: int) -> bool:
    """Have a certificate replaced at once; say whether the order is there and managed."""
    managed = and_(orders.c.id == identity, orders.c.managed)
    values = {"demand": why.value, "next_try": now}
    return connection.execute(update(orders).where(managed).values(values)).rowcount == 1


def lose(connection: Connection, certificate: str, *, now: int) -> None:
    """Let the order of a certificate that is deleted have none; managed, it gets another."""
    order = for_certificate(connection, certificate)
    if order is not None:
        next_try = now if order.managed else order.next_try
        _write(connection, order, _progress(without_certificate(order, next_try=next_try)))


def abandon(change: Change, order: Order) -> None:
    """End an attempt whose key is to be used no more; without that, a worker ends it, too."""
    if order.attempt is not None:
        requests.remove(change, order.attempt.request)
        _write(change.connection, order, {"state": State.WAITING.value, "attempt": None})


def stop(connection: Connection, identity: str) -> bool:
    """Have an order no longer renewed; say whether it is there. Its certificate stays."""
    which = orders.c.id == identity
    wanted = {"managed": False, "next_try": 0}  # to be ended at once
    return connection.execute(update(orders).where(which).values(wanted)).rowcount == 1


def save(connection: Connection, order: Order) -> Order:
    """Write how far an order is; return it as it is then, with what is wanted of it by now.

    What was demanded since it was read keeps its own next try; a certificate that was lost since
    stays lost.
    """
    asked = get(connection, order.id)
    progress = _progress(_as_kept(order, asked))
    if asked is not None and asked.demand not in {None, order.demand}:
        progress["next_try"] = asked.next_try
    return _write(connection, order, progress)


def end(connection: Connection, order: Order, *, now: int) -> Order:
    """Write that an order is stopped; one that is managed again by now goes on instead."""
    order = _as_kept(order, get(connection, order.id))
    values = {**_progress(order), "state": State.STOPPED.value}
    values |= {"next_try": None, "next_inquiry": None}
    unwanted = and_(orders.c.id == order.id, orders.c.managed.is_(False))
    if connection.execute(update(orders).where(unwanted).values(values)).rowcount == 1:
        return get(connection, order.id) or order
    return _write(connection, order, {**values, **_resumed(order, now=now)})


def _as_kept(order: Order, kept: Order | None) -> Order:
    """Return an order as it was read, but for a certificate that it has lost since."""
    if kept is None or kept.certified is not None:
        return order
    return without_certificate(order, next_try=kept.next_try)


def _resumed(order: Order, *, now: int) -> dict[str, Any]:
    """Return what a stopped order is when it is managed again."""
    if order.certified is None:
        return {"state": State.WAITING.value, "next_try": now}
    # It has what it is for: whether that is to be renewed is seen when it is looked at.
    return {"state": State.ISSUED.value, "next_try": now, "next_inquiry": now}


def settle(connection: Connection, order: Order) -> Order:
    """Write an order whose certificate has come: whatever was demanded is met."""
    return _write(connection, order, {**_progress(order), "demand": None})


def _write(connection: Connection, order: Order, values: dict[str, Any]) -> Order:
    connection.execute(update(orders).where(orders.c.id == order.id).values(values))
    return get(connection, order.id) or order


def _progress(order: Order) -> dict[str, Any]:
    """Return the columns that a runner writes."""
    return {
        "state": order.state.value,
        "attempt": _optional(order.attempt),
        "records": _optional(order.records or None),
        "certified": _optional(order.certified),
        "certificate": None if order.certified is None else order.certified.certificate,
        "renewal_window": _optional(order.window),
        "failures": _optional(order.failures),
        "next_try": order.next_try,
        "next_inquiry": order.next_inquiry,
    }


def _optional(value: object) -> Any:  # noqa: ANN401 - JSON
    return None if value is None else msgspec.to_builtins(value)


def _read(row: Row[tuple[object, ...]]) -> Order:
    return Order(
        id=row.id,
        kind=CertificateKind(row.kind),
        names=tuple(row.names),
        tenant=row.tenant,
        created_at=row.created_at,
        state=State(row.state),
        managed=row.managed,
        demand=None if row.demand is None else Demand(row.demand),
        attempt=_maybe(row.attempt, Attempt),
        records=msgspec.convert(row.records or [], tuple[TxtRecord, ...]),
        certified=_maybe(row.certified, Certified),
        window=_maybe(row.renewal_window, Window),
        failures=_maybe(row.failures, Failures),
        next_try=row.next_try,
        next_inquiry=row.next_inquiry,
    )


def _maybe(value: object, kind: type[T]) -> T | None:
    return None if value is None else msgspec.convert(value, kind)
