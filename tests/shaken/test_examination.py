"""All orders are held against the plan, at first and again in time."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from shaken.examination import Examination
from shaken.renewing import plan_of
from shaken.store import HISTORY as SERVICE_HISTORY
from trust.acme.fence import alone
from trust.acme.order import Certified, Failures, Order, State, new_order
from trust.acme.problems import Problem
from trust.certificate import CertificateKind
from trust.store import acme_orders
from trust.store.database import HISTORY as TRUST_HISTORY
from trust.store.database import Database

NOW = datetime(2026, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)


class Clock:
    """A clock that a test sets."""

    now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(f"sqlite:///{tmp_path}/shaken.sqlite")
    made.migrate([TRUST_HISTORY, SERVICE_HISTORY])
    yield made
    made.close()


def issued(database: Database, *, days: int, next_try: datetime) -> Order:
    """Store an order whose certificate lasts so many days from now."""
    begin = int(NOW.timestamp())
    order = replace(
        new_order(CertificateKind.SYSTEM, (f"of{days}.example.com",), tenant=None, now=begin),
        state=State.ISSUED,
        certified=Certified("c", "https://ca.example.net", begin, begin + days * 86400),
        next_try=int(next_try.timestamp()),
    )
    with database.recording() as connection:
        acme_orders.add(connection, order)
    return order


def run(examination: Examination, database: Database) -> None:
    """Examine as the only worker."""
    with alone(database, holder="test", clock=Clock()) as fence:
        examination.run(fence)


def next_try(database: Database, order: Order) -> int | None:
    with database.reading() as connection:
        found = acme_orders.get(connection, order.id)
    assert found is not None
    return found.next_try


def test_an_order_that_an_older_rule_put_off_is_due_when_the_plan_says(database: Database) -> None:
    order = issued(database, days=90, next_try=NOW + 89 * DAY)
    examination = Examination(database, interval=DAY, clock=Clock())

    run(examination, database)

    assert next_try(database, order) == int(plan_of(order, now=NOW).next_try.timestamp())
    assert next_try(database, order) != order.next_try


@pytest.mark.parametrize(("days", "again"), [(90, DAY), (6, 6 * DAY / 24)])
def test_it_comes_again_each_day_and_sooner_for_a_short_life(
    database: Database, days: int, again: timedelta
) -> None:
    issued(database, days=days, next_try=NOW + 80 * DAY)
    clock = Clock()
    examination = Examination(database, interval=DAY, clock=clock)
    assert examination.is_due()

    run(examination, database)

    clock.now = NOW + again - timedelta(seconds=1)
    assert not examination.is_due()
    clock.now = NOW + again
    assert examination.is_due()


@pytest.mark.parametrize("state", [State.WAITING, State.AUTHORIZING, State.FAILED])
def test_an_order_that_a_clock_put_off_for_years_is_tried_again(
    state: State, database: Database
) -> None:
    order = issued(database, days=90, next_try=NOW + 3650 * DAY)
    problem = Problem("unreachable", "it is down")
    last = int((NOW + 3649 * DAY).timestamp())
    put_off = replace(order, state=state, certified=None, failures=Failures(7, last, problem))
    save(database, put_off)

    run(Examination(database, interval=DAY, clock=Clock()), database)

    assert next_try(database, order) == int(NOW.timestamp())


def test_an_order_under_way_that_is_to_be_tried_at_once_is_not_put_off(database: Database) -> None:
    order = issued(database, days=90, next_try=NOW)
    problem = Problem("self-check", "port 80 is closed")
    failures = Failures(7, int(NOW.timestamp()), problem)
    save(database, replace(order, state=State.AUTHORIZING, certified=None, failures=failures))

    run(Examination(database, interval=DAY, clock=Clock()), database)

    assert next_try(database, order) == int(NOW.timestamp())


def test_since_when_an_order_is_due_stays_as_it_was(database: Database) -> None:
    order = issued(database, days=90, next_try=NOW + 60 * DAY)
    clock = Clock()
    clock.now = NOW + 70 * DAY

    run(Examination(database, interval=DAY, clock=clock), database)

    assert next_try(database, order) == order.next_try


def test_it_comes_again_after_a_clock_that_was_ahead(database: Database) -> None:
    clock = Clock()
    clock.now = NOW + 3650 * DAY
    examination = Examination(database, interval=DAY, clock=clock)
    run(examination, database)
    assert not examination.is_due()

    clock.now = NOW

    assert examination.is_due()


def test_orders_that_fail_do_not_make_it_come_sooner(database: Database) -> None:
    order = issued(database, days=90, next_try=NOW + 600 * timedelta(seconds=1))
    failures = Failures(1, int(NOW.timestamp()), Problem("unreachable", "it is down"))
    save(database, replace(order, state=State.FAILED, certified=None, failures=failures))
    clock = Clock()
    examination = Examination(database, interval=DAY, clock=clock)

    run(examination, database)

    clock.now = NOW + DAY / 2
    assert not examination.is_due()


def save(database: Database, order: Order) -> None:
    with database.recording() as connection:
        acme_orders.save(connection, order)
