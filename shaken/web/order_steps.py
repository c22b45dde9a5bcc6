"""How far an order of a certificate is, step by step, in words. Pure.

The states are those of `trust.acme.order`; what is shown of them, and how often, is the page's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from trust.acme.order import UNDER_WAY, Order, State


class Standing(StrEnum):
    """How a step stands: over, being made, to come."""

    DONE = "done"
    NOW = "now"
    TO_COME = "to come"


@dataclass(frozen=True)
class Step:
    """One step: what it is called, what happens in it, what of that is shown for each name."""

    title: str
    detail: str
    standing: Standing
    names: Sequence[str] = ()


TITLES = (
    (
        "Its turn comes",
        "A key is made and kept here, encrypted, with the request for its certificate.",
    ),
    ("The authority is asked", "It takes the order, and says which names it wants to see proven."),
    ("The names are proven", "The authority looks whether they belong to who asks:"),
    ("The certificate is issued", "The authority gets the request, and signs the certificate."),
)
"""The steps, each with what happens in it."""

_NOW: Mapping[State, tuple[int, str]] = {
    State.PREPARED: (1, "The authority is being asked for a certificate."),
    State.ORDERED: (2, "The authority has the order. It is told how the names are proven."),
    State.AUTHORIZING: (2, "The authority looks at the names. By DNS this can take minutes."),
    State.FINALIZING: (3, "The names are proven. The authority issues the certificate."),
}
"""Which step an order is in by its state, and what happens now."""

_SHOWN_BY = {
    "http-01": "{name}: it fetches http://{name}/.well-known/acme-challenge/… on port 80",
    "dns-01": "{name}: it asks the DNS for the TXT record of _acme-challenge.{bare}",
}
"""How a name is proven, by its challenge (RFC 8555 §8)."""


@dataclass(frozen=True)
class Progress:
    """How far an order is: what happens now, and all steps.

    `since` is when it began to move, in Unix seconds; None: it waits for the time of its next try.
    """

    now: str
    steps: Sequence[Step]
    since: int | None


def progress_of(order: Order, challenges: Mapping[str, str], *, now: int) -> Progress | None:
    """Tell how far an order is; None: nothing is under way, nor about to be.

    `challenges` says for each name how it is proven. `now` is Unix seconds.
    """
    since = _moving_since(order, now)
    if not order.managed or (order.state not in UNDER_WAY and since is None):
        return None
    here, words = _NOW.get(order.state, (0, "This service takes it up when its turn comes."))
    if since is None:
        words = "The last try stopped at this step. The next one goes on from here."
    proofs = [
        _SHOWN_BY[how].format(name=name, bare=name.removeprefix("*."))
        for name, how in challenges.items()
        if how in _SHOWN_BY
    ]
    steps = [
        Step(title, detail, _standing(at, here), proofs if at == 2 else ())
        for at, (title, detail) in enumerate(TITLES)
    ]
    return Progress(words, steps, since)


def _moving_since(order: Order, now: int) -> int | None:
    if order.next_try is None or order.next_try > now:
        return None
    return max(order.next_try, 0 if order.attempt is None else order.attempt.started_at)


def _standing(at: int, here: int) -> Standing:
    if at == here:
        return Standing.NOW
    return Standing.DONE if at < here else Standing.TO_COME
