"""A standing order: names that are to have a certificate, always. Values only.

It is set going, ends with a certificate or fails, and is set going again when that certificate is
to be renewed. What moves it from state to state is `trust.acme.ordering`; the picture is in
docs/architecture.md.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum

from trust.acme.challenges import TxtRecord
from trust.acme.problems import Problem
from trust.acme.renewal import Demand
from trust.certificate import CertificateKind


class State(StrEnum):
    """How far an order is. Each is in the store before the next thing is done."""

    WAITING = "waiting"
    """Nothing is under way; it is tried at `next_try`."""
    PREPARED = "prepared"
    """Its new key is kept, with the request; the authority knows nothing yet."""
    ORDERED = "ordered"
    """The authority has an order."""
    AUTHORIZING = "authorizing"
    """Names are being proven; what answers for them may be public."""
    FINALIZING = "finalizing"
    """The request was, or is about to be, handed in: a certificate may exist."""
    ISSUED = "issued"
    """The certificate is in the store."""
    FAILED = "failed"
    """The attempt is over; another is made at `next_try`."""
    STOPPED = "stopped"
    """Nobody wants it renewed."""


UNDER_WAY = frozenset({State.PREPARED, State.ORDERED, State.AUTHORIZING, State.FINALIZING})
"""States with an attempt that can go on."""


@dataclass(frozen=True)
class Attempt:
    """What is under way. `request` is the id of the request whose key waits in the store.

    `url` is the authority's order, None: not placed yet.
    """

    directory: str
    account: str
    request: str
    started_at: int
    url: str | None = None


@dataclass(frozen=True)
class Certified:
    """The certificate that the order led to last, and under which directory.

    `obtained_at` is when it came, by our own clock; None: by a version that did not keep that.
    """

    certificate: str
    directory: str
    not_before: int
    not_after: int
    obtained_at: int | None = None


@dataclass(frozen=True)
class Window:
    """When the authority suggests to renew (RFC 9773 §4.2)."""

    start: int
    end: int
    explanation: str | None = None


@dataclass(frozen=True)
class Failures:
    """Tries that failed one after another, and why the last one did."""

    count: int
    last: int
    problem: Problem


@dataclass(frozen=True)
class Order:
    """A standing order. Times are Unix seconds; `id` follows from kind and names.

    `records` are in the DNS, or may be, and are to be withdrawn. `next_inquiry` is when the
    authority is asked for renewal information. `managed` is False when it is to be stopped.
    """

    id: str
    kind: CertificateKind
    names: tuple[str, ...]
    tenant: str | None
    created_at: int
    state: State = State.WAITING
    managed: bool = True
    demand: Demand | None = None
    attempt: Attempt | None = None
    records: tuple[TxtRecord, ...] = ()
    certified: Certified | None = None
    window: Window | None = None
    failures: Failures | None = None
    next_try: int | None = None
    next_inquiry: int | None = None


def order_id(kind: CertificateKind, names: Iterable[str]) -> str:
    """Name an order: the same names of one kind are one order, in whatever sequence."""
    text = "\n".join([kind.value, *sorted(set(names))])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def new_order(
    kind: CertificateKind, names: Iterable[str], *, tenant: str | None, now: int
) -> Order:
    """Make an order that is tried at once. `names` are as `trust.request.host_names` spells them.

    Raises ValueError without names, or for a kind that has none.
    """
    listed = tuple(dict.fromkeys(names))
    if not listed or kind is CertificateKind.STI:
        raise ValueError("an order is for host names of a domain or system certificate")
    return Order(order_id(kind, listed), kind, listed, tenant, now, next_try=now)


def without_certificate(order: Order, *, next_try: int | None) -> Order:
    """Return an order whose certificate is no more its own: another is obtained at `next_try`.

    What is under way, failed or stopped stays so.
    """
    order = replace(order, certified=None, window=None)
    if order.state is not State.ISSUED:
        return order
    return replace(order, state=State.WAITING, next_try=next_try, next_inquiry=None)


def moment(seconds: int) -> datetime:
    """Return a stored time as a value."""
    return datetime.fromtimestamp(seconds, UTC)
