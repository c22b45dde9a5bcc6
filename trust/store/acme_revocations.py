"""Certificates that are to be revoked at their authority once another has taken their place."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, insert, select, update

from trust.store.tables import acme_orders, acme_revocations


@dataclass(frozen=True)
class Pending:
    """A certificate (its id, its chain in PEM) that an order led to, and where it came from."""

    certificate: str
    order: str
    directory: str
    chain: str
    reason: int


def add(connection: Connection, pending: Pending, *, now: int) -> None:
    """Have a certificate revoked; once is enough."""
    remove(connection, pending.certificate)
    row = {
        "certificate": pending.certificate,
        "of_order": pending.order,
        "directory": pending.directory,
        "chain": pending.chain,
        "reason": pending.reason,
        "next_try": now,
    }
    connection.execute(insert(acme_revocations), row)


def is_pending(connection: Connection, certificate: str) -> bool:
    """Say whether a certificate is to be revoked."""
    which = acme_revocations.c.certificate == certificate
    query = select(acme_revocations.c.certificate).where(which)
    return connection.execute(query).first() is not None


def counted(connection: Connection, directory: str) -> int:
    """Count the certificates of a directory's account that are to be revoked."""
    query = select(func.count()).where(acme_revocations.c.directory == directory)
    return connection.execute(query.select_from(acme_revocations)).scalar_one()


def remove_of(connection: Connection, order: str) -> None:
    """Forget what was to be revoked of an order."""
    connection.execute(delete(acme_revocations).where(acme_revocations.c.of_order == order))


def ready(connection: Connection, *, now: int, limit: int) -> Sequence[Pending]:
    """List certificates whose order has led to another one by now."""
    query = (
        select(acme_revocations)
        .join(acme_orders, acme_orders.c.id == acme_revocations.c.of_order)
        .where(
            acme_revocations.c.next_try <= now,
            acme_orders.c.certificate != acme_revocations.c.certificate,
        )
        .order_by(acme_revocations.c.next_try)
        .limit(limit)
    )
    return [
        Pending(row.certificate, row.of_order, row.directory, row.chain, row.reason)
        for row in connection.execute(query)
    ]


def postpone(connection: Connection, certificate: str, *, until: int) -> None:
    """Try again later."""
    which = acme_revocations.c.certificate == certificate
    connection.execute(update(acme_revocations).where(which).values(next_try=until))


def remove(connection: Connection, certificate: str) -> None:
    """Forget a certificate that is revoked."""
    which = acme_revocations.c.certificate == certificate
    connection.execute(delete(acme_revocations).where(which))
