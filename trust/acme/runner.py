"""One run over all that is due: collected first, then moved, some at a time, under the lease.

Whoever composes the service calls it at start and then again and again; of all workers and nodes
one at a time gets to work. It blocks: call it in a thread.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass

from trust.acme.events import Event, events_of
from trust.acme.fence import Fence
from trust.acme.means import Means
from trust.acme.order import Order
from trust.acme.ordering import Ordering
from trust.store import acme_orders, acme_tokens

PARALLEL = 8
"""Orders moved at a time: authorities answer slowly, and take some requests a second of one."""

BATCH = 200
"""Orders of one run; what is left is due in the next one, which comes at once."""


@dataclass(frozen=True)
class Run:
    """What a run did: how many orders it took up, and whether more are due."""

    orders: int
    is_more_due: bool


def run_due(
    fence: Fence,
    *,
    equip: Callable[[Fence], Means | None],
    report: Callable[[Event], None],
) -> Run:
    """Move every order that is due.

    `equip` gives what is needed, None while there are no settings. `report` is called from this
    thread, with each event once its order is in the store. Raises LeaseLost, MasterKeyError,
    StoreError; orders that these hit go on in a later run.
    """
    means = equip(fence)
    if means is None:
        return Run(0, is_more_due=False)
    with means.fence.recording() as connection:
        acme_tokens.sweep(connection, now=means.now)
    with means.fence.database.reading() as connection:
        found = acme_orders.due(connection, now=means.now, limit=BATCH + 1)
    batch = found[:BATCH]
    ordering = Ordering(means)
    with ThreadPoolExecutor(PARALLEL, thread_name_prefix="acme") as pool:
        before = {pool.submit(ordering.proceed, order): order for order in batch}
        try:
            _collect(before, ordering=ordering, report=report)
        finally:
            for future in before:
                future.cancel()
    return Run(len(batch), is_more_due=len(found) > len(batch))


def _collect(
    before: dict[Future[Order], Order], *, ordering: Ordering, report: Callable[[Event], None]
) -> None:
    """Report what comes out. Raises the first error at the end."""
    errors = []
    for future in as_completed(before):
        error = future.exception()
        if error is not None:
            errors.append(error)
            continue
        after = future.result()
        for event in events_of(before[future], after, left=ordering.left.get(after.id)):
            report(event)
    if errors:
        raise errors[0]
