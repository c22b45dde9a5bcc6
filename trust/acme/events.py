"""What a run tells of: one event for each thing that a person or a metric wants to know."""

from dataclasses import dataclass

from trust.acme.order import Order, State
from trust.acme.problems import Problem


@dataclass(frozen=True)
class Issued:
    """A first certificate is in the store."""

    order: Order
    certificate: str


@dataclass(frozen=True)
class Renewed:
    """Another certificate has taken the place of `former`."""

    order: Order
    certificate: str
    former: str


@dataclass(frozen=True)
class Failed:
    """An order did not get further."""

    order: Order
    problem: Problem


@dataclass(frozen=True)
class Stopped:
    """An order is managed no more; its certificate stays."""

    order: Order


@dataclass(frozen=True)
class LeftBehind:
    """DNS records of an order could not be withdrawn, and why; it is tried again."""

    order: Order
    why: str


Event = Issued | Renewed | Failed | Stopped | LeftBehind


def events_of(before: Order, after: Order, *, left: str | None) -> tuple[Event, ...]:
    """Return what happened to an order in a run. `left`: why DNS records are not withdrawn."""
    events: list[Event] = []
    if after.certified is not None and after.certified != before.certified:
        new = after.certified.certificate
        former = before.certified
        events.append(
            Issued(after, new) if former is None else Renewed(after, new, former.certificate)
        )
    failures = after.failures
    if failures is not None and failures != before.failures:
        events.append(Failed(after, failures.problem))
    if after.state is State.STOPPED and before.state is not State.STOPPED:
        events.append(Stopped(after))
    if left is not None:
        events.append(LeftBehind(after, left))
    return tuple(events)
