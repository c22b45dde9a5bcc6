"""Who works on orders and accounts: one worker of all, under a lease; each write checks it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from trust.store import leases
from trust.store.database import Change, Database
from trust.store.leases import Lease

LEASE = "acme"

LEASE_SECONDS = 120
"""How long a worker that was killed keeps others waiting; a live one renews it far sooner."""


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
    """Be the only one at work. `holder` names this process. Raises Busy, StoreError."""
    with database.recording() as connection:
        lease = leases.acquire(
            connection,
            LEASE,
            holder=holder,
            now=int(clock().timestamp()),
            seconds=LEASE_SECONDS,
        )
    if lease is None:
        raise Busy("another worker or node is at work on certificates; try again in a minute")
    try:
        yield Fence(database, lease, clock)
    finally:
        with database.recording() as connection:
            leases.release(connection, lease)
