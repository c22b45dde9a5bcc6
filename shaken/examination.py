"""The examination of all certificates in service: is what the store says of renewal still so.

When an order is due is kept with it, and found by an index. Rules change with a new version, and
clocks are set; so each start, and each day, what is kept is held against the plan.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from shaken.periods import Every
from shaken.renewing import plan_of
from trust.acme.fence import Fence
from trust.acme.order import UNDER_WAY, Order, State
from trust.acme.renewal import MIN_LOOK, Plan, next_look
from trust.store import acme_orders
from trust.store.acme_orders import Filter
from trust.store.database import Database

PAGE = 500
"""Orders that are read at a time."""


class Examination:
    """Examines orders at first, and again in time."""

    def __init__(
        self, database: Database, *, interval: timedelta, clock: Callable[[], datetime]
    ) -> None:
        """Take the store, and how long an examination is good for at most."""
        self._database = database
        self._interval = interval
        self._clock = clock
        self._every = Every(interval.total_seconds())

    def is_due(self) -> bool:
        """Say whether it is time."""
        return self._every.is_due(now=self._clock().timestamp())

    def run(self, fence: Fence) -> None:
        """Bring each order's next try up to date.

        Short-lived certificates bring the next examination nearer. Raises LeaseLost, StoreError.
        """
        now = self._clock()
        after, again = "", now + self._interval
        while page := self._page(after):
            changed = []
            for order in page:
                plan = plan_of(order, now=now)
                if order.state is State.ISSUED:  # others are found by their next try
                    again = min(again, next_look(plan, interval=self._interval))
                if _is_other(order, plan):
                    due = int(plan.next_try.timestamp())
                    changed.append(replace(order, next_try=due))
            _save(changed, fence)
            after = page[-1].id
        again = max(again, now + MIN_LOOK)
        self._every.done(now=now.timestamp(), sooner=again.timestamp())

    def _page(self, after: str) -> list[Order]:
        with self._database.reading() as connection:
            return list(acme_orders.find(connection, Filter(managed=True), after=after, limit=PAGE))


def _is_other(order: Order, plan: Plan) -> bool:
    """Say whether the plan has another time than the order; what is due stays due since then."""
    due = int(plan.next_try.timestamp())
    if order.next_try is None or due < order.next_try:
        return True
    # What is under way an administrator may have asked to be looked at at once.
    return due > order.next_try and not plan.is_due and order.state not in UNDER_WAY


def _save(changed: Sequence[Order], fence: Fence) -> None:
    """Write orders in one transaction: after a new version they may be all."""
    if not changed:
        return
    with fence.recording() as connection:
        for order in changed:
            acme_orders.save(connection, order)
