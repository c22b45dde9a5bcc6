"""Who works on orders and accounts: one worker of all, under a lease; each write checks it."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from threading import Event, Thread

from sqlalchemy import Connection

from trust.store import leases
from trust.store.database import Change, Database, StoreError
from trust.store.leases import Lease, LeaseLost

LEASE = "acme"

LEASE_SECONDS = 30
"""How long a worker that was killed keeps others waiting. It is what clocks of nodes may differ by,
and what the store or a stopped process may hang, before a live worker is taken for a dead one; then
nothing is written twice, but what was under way is made again."""

HEARTBEAT_SECONDS = LEASE_SECONDS / 6
"""How often a live worker renews the lease, whatever else it waits for. Each time is a write, which
a store that is busy may miss several of."""


_log = logging.getLogger(__name__)


class Busy(Exception):  # noqa: N818 - an outcome the caller expects
    """Another worker or node is at work on orders and accounts."""


@dataclass(frozen=True)
class Fence:
    """Transactions that write only while the lease is held. Raises LeaseLost, StoreError."""

    database: Database
    lease: Lease
    clock: Callable[[], datetime]

    @contextmanager
    def recording(self) -> Iterator[Connection]:
        """Give a transaction for rows that no snapshot holds."""
        with self.database.recording() as connection:
            self.check(connection)
            yield connection

    @contextmanager
    def changing(self) -> Iterator[Change]:
        """Give a transaction that raises the revision."""
        with self.database.changing() as change:
            self.check(change.connection)
            yield change

    def check(self, connection: Connection) -> None:
        """Keep the lease in a transaction that somebody else began."""
        now = int(self.clock().timestamp())
        leases.hold(connection, self.lease, now=now, seconds=LEASE_SECONDS)

    def keep(self) -> None:
        """Renew the lease, while something takes long."""
        with self.recording():
            pass


@contextmanager
def alone(database: Database, *, holder: str, clock: Callable[[], datetime]) -> Iterator[Fence]:
    """Be the only one at work. `holder` names this process. Raises Busy, StoreError.

    The lease is kept meanwhile, however long a step takes; each step has an end of its own.
    """
    with database.recording() as connection:
        lease = leases.acquire(
            connection,
            LEASE,
            holder=holder,
            now=int(clock().timestamp()),
            seconds=LEASE_SECONDS,
        )
    if lease is None:
        raise Busy("another worker or node is at work on certificates; try again in half a minute")
    fence, ended = Fence(database, lease, clock), Event()
    heart = Thread(target=_beat, args=(fence, ended), name="acme-lease", daemon=True)
    heart.start()
    try:
        yield fence
    finally:
        ended.set()
        heart.join()
        with database.recording() as connection:
            leases.release(connection, lease)


def _beat(fence: Fence, ended: Event) -> None:
    """Keep the lease until the work has ended, or another has it: the next write says so."""
    while not ended.wait(HEARTBEAT_SECONDS):
        try:
            fence.keep()
        except LeaseLost:
            return
        except StoreError as error:
            _log.warning("the lease on certificates is not kept this time: %s", error)
