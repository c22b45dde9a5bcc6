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
from trust.acme.order import Certified, Order, State, new_order
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


def next_try(database: Database, order: Order) -> int | None:
    with database.reading() as connection:
        found = acme_orders.get(connection, order.id)
    assert found is not None
    return found.next_try


def test_an_order_that_an_older_rule_put_off_is_due_when_the_plan_says(database: Database) -> None:
    order = issued(database, days=90, next_try=NOW + 89 * DAY)
    examination = Examination(database, interval=DAY, clock=Clock())

    examination.run(holder="test")

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

    examination.run(holder="test")

    clock.now = NOW + again - timedelta(seconds=1)
    assert not examination.is_due()
    clock.now = NOW + again
    assert examination.is_due()


def test_while_another_worker_is_at_work_it_is_put_off(database: Database) -> None:
    order = issued(database, days=90, next_try=NOW + 89 * DAY)
    examination = Examination(database, interval=DAY, clock=Clock())

    with alone(database, holder="another", clock=Clock()):
        examination.run(holder="test")

    assert examination.is_due()
    assert next_try(database, order) == order.next_try
