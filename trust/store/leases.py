"""Leases: at most one of all workers and nodes does something, and who was replaced stops.

A lease has a holder for a time, and a generation that rises with each new one. Whoever works under
a lease calls `hold` in each transaction that writes: it writes nothing once another has the lease,
however long it was asleep.
"""

from dataclasses import dataclass

from sqlalchemy import Connection, Update, insert, or_, select, update

from trust.store.tables import leases

GIVEN_BACK = 0
"""When a lease expires that was given back: before all others."""

MOST_AHEAD = 3600
"""Seconds beyond its time that a lease may seem to last, since clocks of nodes differ. One that
lasts longer was taken by a clock that has been set right since."""


class LeaseLost(Exception):  # noqa: N818 - an outcome the caller expects
    """Another holder has the lease: nothing more is to be done under it."""

    def __init__(self, name: str) -> None:
        super().__init__(f"another worker or node has taken over the lease {name}")


@dataclass(frozen=True)
class Lease:
    """A lease that was acquired."""

    name: str
    holder: str
    generation: int


def acquire(
    connection: Connection, name: str, *, holder: str, now: int, seconds: int
) -> Lease | None:
    """Take a lease that nobody has for `seconds`; None: somebody has it. Times are Unix seconds."""
    is_free = or_(leases.c.expires <= now, leases.c.expires > now + seconds + MOST_AHEAD)
    taken = connection.execute(
        update(leases)
        .where(leases.c.name == name, is_free)
        .values(holder=holder, generation=leases.c.generation + 1, expires=now + seconds)
        .returning(leases.c.generation)
    ).scalar_one_or_none()
    if taken is not None:
        return Lease(name, holder, taken)
    if connection.execute(select(leases.c.name).where(leases.c.name == name)).one_or_none():
        return None
    row = {"name": name, "holder": holder, "generation": 1, "expires": now + seconds}
    connection.execute(insert(leases), row)
    return Lease(name, holder, 1)


def hold(connection: Connection, lease: Lease, *, now: int, seconds: int) -> None:
    """Keep a lease for `seconds` more, also one that ran out and nobody took.

    Raises LeaseLost, also for one that was given back.
    """
    kept = connection.execute(
        _of(lease).where(leases.c.expires > GIVEN_BACK).values(expires=now + seconds)
    )
    if kept.rowcount != 1:
        raise LeaseLost(lease.name)


def release(connection: Connection, lease: Lease) -> None:
    """Give a lease back; one that is lost stays with whoever has it."""
    connection.execute(_of(lease).values(expires=GIVEN_BACK))


def _of(lease: Lease) -> Update:
    return update(leases).where(
        leases.c.name == lease.name,
        leases.c.holder == lease.holder,
        leases.c.generation == lease.generation,
    )
