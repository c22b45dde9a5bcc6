"""When a certificate is ordered anew, when a failed order is tried again, and how loud that is.

Pure: the time is an argument, and so is the jitter, a number in [0, 1) that stays the same for one
order and so keeps ten thousand orders apart. Asking the authority, the orders themselves and their
lease are left to the rest of `trust.acme`.

The rule in one picture, for a certificate of 90 days::

    issued ............................ 39 to 30 days left: due ... 15 days left: urgent ... expired
                                        (or as the authority says,
                                        but not after the 15 days)
"""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from trust.acme.backoff import MAX_DELAY, backoff, bounded

SHORT_LIVED = timedelta(days=10)
"""Certificates of a shorter lifetime are short-lived: those that a CA need not be able to revoke
(CA/Browser Forum Baseline Requirements §1.6.1, in its first years; 7 days today)."""

LEFT_WHEN_DUE = 1 / 3
LEFT_WHEN_DUE_SHORT_LIVED = 1 / 2
"""Part of the lifetime that is left when a certificate is due, at the latest."""

SPREAD = 1 / 10
"""Part of the lifetime, before that, over which certificates of one day become due. Ten thousand of
45 days come to 93 an hour so; Let's Encrypt takes 100 orders an hour from one account, and does not
count those that follow its renewal information."""

PARTS_OF_TIME_LEFT = 24
"""No backoff is longer than one of these parts of the time to expiry. The time since expiry
counts alike, so that what has just expired is tried often, and what nobody misses once a day."""

MIN_LONGEST_DELAY = timedelta(minutes=30)
"""What that bound does not go below: a name that fails all the time fails four times an hour."""

RETRY_SPREAD = timedelta(hours=1)
"""Time after a Retry-After over which the orders that were told the same one come back."""

LOOKS = 24
"""How often a certificate is looked at in its life, at least."""

MIN_LOOK = timedelta(minutes=1)
"""Between two looks, however short a certificate's life is."""

MIN_APART = timedelta(hours=1)
MAX_APART = timedelta(days=1)
PARTS_APART = 24
LONGEST_PART_APART = 1 / 4
"""A certificate that is due as it comes, since the clock is ahead or the suggested window is past,
is kept for one of twenty-four parts of its life, within these bounds: authorities count orders for
the same names. No longer than a day, so that windows moved before a mass revocation are followed;
and never for more than a quarter of its life."""

RENEWAL_INFO_DEFAULT = timedelta(hours=6)
RENEWAL_INFO_MIN = timedelta(minutes=1)
RENEWAL_INFO_MAX = timedelta(days=1)
"""When renewal information is asked for again: without a Retry-After or after an error (RFC 9773
§4.3.3), and the bounds of a Retry-After (§4.3.2)."""

_GOLDEN = (5**0.5 - 1) / 2  # its multiples, taken modulo 1, spread evenly


class WindowError(ValueError):
    """A suggested window ends before it starts; it counts as no answer (RFC 9773 §4.2)."""


class Demand(StrEnum):
    """Why a certificate is to be replaced at once."""

    REVOKED = "revoked"
    REQUESTED = "requested"


class Cause(StrEnum):
    """What says when a certificate is due."""

    MISSING = "missing"
    """There is none yet."""
    REVOKED = "revoked"
    REQUESTED = "requested"
    """An administrator said: now."""
    RENEWAL_INFORMATION = "renewal-information"
    """The authority says when (RFC 9773)."""
    LIFETIME = "lifetime"


class Urgency(StrEnum):
    """How much a person should care, the least first."""

    OK = "ok"
    RETRYING = "retrying"
    URGENT = "urgent"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Validity:
    """The time a certificate holds; both ends are aware of their time zone."""

    not_before: datetime
    not_after: datetime

    @property
    def lifetime(self) -> timedelta:
        """Its length; zero for a certificate that ends before it begins."""
        return max(self.not_after - self.not_before, timedelta(0))

    @property
    def left_when_due(self) -> timedelta:
        """What of the lifetime is left when the certificate is due, at the latest."""
        short = self.lifetime < SHORT_LIVED
        return self.lifetime * (LEFT_WHEN_DUE_SHORT_LIVED if short else LEFT_WHEN_DUE)

    @property
    def safe_until(self) -> datetime:
        """Until when the first try may be put off, whatever the authority suggests.

        From here on a certificate that is not renewed is urgent.
        """
        return self.not_after - self.left_when_due / 2


@dataclass(frozen=True, slots=True)
class Window:
    """The suggested window of ACME Renewal Information (RFC 9773 §4.2). Raises WindowError."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        """Refuse a window that the RFC calls invalid."""
        if self.end <= self.start:
            raise WindowError("the suggested renewal window does not end after its start")


@dataclass(frozen=True, slots=True)
class Failures:
    """Tries of one order that failed one after another.

    `retry_after` is what the authority said last, in a Retry-After or a rate limit (RFC 8555 §6.6).
    """

    count: int
    last: datetime
    retry_after: datetime | None = None

    def __post_init__(self) -> None:
        """Hold the count to what it counts."""
        if self.count < 1:
            raise ValueError("failures are counted from one")


@dataclass(frozen=True, slots=True)
class Plan:
    """When the certificate is due, when it is tried next, and how that stands at `now`.

    `next_try` is not before `now`; a try is to be made when it is `now`.
    """

    now: datetime
    validity: Validity | None
    failures: Failures | None
    due: datetime
    cause: Cause
    next_try: datetime
    urgency: Urgency
    is_premature: bool
    """Whether it would be due so soon after it came that it is kept for a while all the same."""

    @property
    def is_due(self) -> bool:
        """Whether a try is to be made now."""
        return self.next_try <= self.now

    @property
    def words(self) -> str:
        """The same for a person, in one line."""
        said = [self._validity_words(), self._failure_words(), self._next_words()]
        return "; ".join(each for each in said if each)

    def _validity_words(self) -> str:
        if self.validity is None:
            return "there is no certificate yet"
        left = self.validity.not_after - self.now
        if self.urgency is Urgency.EXPIRED:
            return f"the certificate expired {_span(-left)} ago and is not renewed"
        if self.cause is Cause.REVOKED:
            return "the certificate is revoked, or is to be, and is not replaced yet"
        if self.urgency is Urgency.URGENT:
            return f"the certificate expires in {_span(left)} and is not renewed"
        return f"the certificate lasts {_span(left)} more"

    def _failure_words(self) -> str:
        if self.failures is None:
            return ""
        times = "once" if self.failures.count == 1 else f"{self.failures.count} times in a row"
        return f"its order failed {times}, last at {_moment(self.failures.last)}"

    def _next_words(self) -> str:
        when = "now" if self.is_due else f"at {_moment(self.next_try)}"
        if self.failures is None:
            why = _PREMATURE if self.is_premature else ""
            return f"{_ORDERED[self.cause]} {when}{why}"
        asked = self.failures.retry_after
        by_authority = asked is not None and self.now < asked <= self.next_try
        told = ": the authority allows none before" if by_authority else ""
        too_late = self.validity is not None and self.now < self.validity.not_after < self.next_try
        return f"the next try is {when}{', after it expires' if too_late else ''}{told}"


_ORDERED = {
    Cause.MISSING: "one is ordered",
    Cause.REVOKED: "another is ordered",
    Cause.REQUESTED: "as an administrator asked, another is ordered",
    Cause.RENEWAL_INFORMATION: "as the authority suggests, another is ordered",
    Cause.LIFETIME: "another is ordered",
}

_PREMATURE = (
    ", since it was due soon after it came: check the clock, or the authority's renewal information"
)


def plan(
    validity: Validity | None,
    *,
    now: datetime,
    jitter: float,
    window: Window | None = None,
    failures: Failures | None = None,
    demand: Demand | None = None,
    obtained: datetime | None = None,
) -> Plan:
    """Return when a certificate is ordered (again), given what is known of it at `now`.

    `validity` is that of the certificate in service, None while there is none; `window` what the
    authority suggested last, None when it suggests nothing or its answer cannot be used. A window
    that changed moves the time with it. `obtained` is when the certificate came, by the clock that
    `now` is of. The same arguments give the same plan. Raises ValueError for a jitter outside
    [0, 1).
    """
    if not 0 <= jitter < 1:
        raise ValueError("a jitter lies in [0, 1)")
    due, cause = _due(validity, window=window, demand=demand, now=now, jitter=jitter)
    kept_until = _kept_until(validity, obtained, cause=cause, now=now)
    is_premature = kept_until is not None and due < kept_until
    if kept_until is not None and is_premature:
        due = kept_until
    next_try = max(due, now)
    if failures is not None:
        next_try = max(next_try, _retry(failures, validity, now=now, jitter=jitter))
    return Plan(
        now=now,
        validity=validity,
        failures=failures,
        due=due,
        cause=cause,
        next_try=next_try,
        urgency=_urgency(validity, failures=failures, cause=cause, now=now),
        is_premature=is_premature,
    )


def next_look(planned: Plan, *, interval: timedelta) -> datetime:
    """Return when to plan again: at the next try, or after `interval` if that is sooner.

    A certificate is looked at twenty-four times in its life at least: one of six days, every six
    hours.
    """
    if planned.validity is not None:
        interval = min(interval, planned.validity.lifetime / LOOKS)
    return min(planned.next_try, planned.now + max(interval, MIN_LOOK))


def next_inquiry(
    validity: Validity, *, now: datetime, retry_after: timedelta | None
) -> datetime | None:
    """Return when to ask for renewal information again, None: no more (RFC 9773 §4.3).

    `retry_after` is what came with the answer at `now`; None when it had none, or when there was no
    answer that can be used.
    """
    if now >= validity.not_after:
        return None
    if retry_after is None:
        return now + RENEWAL_INFO_DEFAULT
    return now + min(max(retry_after, RENEWAL_INFO_MIN), RENEWAL_INFO_MAX)


def jitter_of(order: str) -> float:
    """Return the jitter of an order: a number in [0, 1) that its identifier alone decides."""
    digest = hashlib.sha256(order.encode()).digest()
    return (int.from_bytes(digest[:8]) >> 11) / 2**53


def _due(
    validity: Validity | None,
    *,
    window: Window | None,
    demand: Demand | None,
    now: datetime,
    jitter: float,
) -> tuple[datetime, Cause]:
    if validity is None:
        return now, Cause.MISSING
    if demand is not None:
        return now, Cause(demand)
    if window is not None:
        chosen = window.start + (window.end - window.start) * jitter
        if chosen <= validity.safe_until:
            return chosen, Cause.RENEWAL_INFORMATION
        return validity.safe_until, Cause.LIFETIME
    latest = validity.not_after - validity.left_when_due
    return latest - validity.lifetime * SPREAD * jitter, Cause.LIFETIME


def _kept_until(
    validity: Validity | None, obtained: datetime | None, *, cause: Cause, now: datetime
) -> datetime | None:
    """Return until when a certificate is kept though it seems due; None: nothing keeps it."""
    if validity is None or cause not in {Cause.RENEWAL_INFORMATION, Cause.LIFETIME}:
        return None
    if obtained is None or obtained > now:  # the clock was set back: nobody knows when it came
        return None
    apart = min(max(validity.lifetime / PARTS_APART, MIN_APART), MAX_APART)
    return obtained + min(apart, validity.lifetime * LONGEST_PART_APART)


def _retry(
    failures: Failures, validity: Validity | None, *, now: datetime, jitter: float
) -> datetime:
    """Return when a failed order is tried next, though that may be past.

    The jitter takes another value with each failure, so that the same orders do not stay close.
    """
    if failures.last > now + MAX_DELAY:  # by a clock that was ahead: nobody knows how long it waits
        return now
    since = min(failures.last, now)  # clocks of nodes differ
    share = (jitter + failures.count * _GOLDEN) % 1
    delay = min(backoff(failures.count), _longest_delay(validity, since))
    at = since + delay * (1 + share) / 2
    if failures.retry_after is not None:
        told = bounded(failures.retry_after, since=since)
        at = max(at, told + min(delay, RETRY_SPREAD) * share)
    return at


def _longest_delay(validity: Validity | None, since: datetime) -> timedelta:
    if validity is None:
        return MAX_DELAY
    part = abs(validity.not_after - since) / PARTS_OF_TIME_LEFT
    return min(max(part, MIN_LONGEST_DELAY), MAX_DELAY)


def _urgency(
    validity: Validity | None, *, failures: Failures | None, cause: Cause, now: datetime
) -> Urgency:
    if validity is not None and now >= validity.not_after:
        return Urgency.EXPIRED
    late = validity is not None and now >= validity.safe_until
    if late or (failures is not None and cause is Cause.REVOKED):
        return Urgency.URGENT
    return Urgency.OK if failures is None else Urgency.RETRYING


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _span(length: timedelta) -> str:
    """Return a length in its largest unit that is there twice at least, rounded down."""
    minutes = int(length.total_seconds() // 60)
    for unit, size in (("days", 24 * 60), ("hours", 60)):
        if minutes >= 2 * size:
            return f"{minutes // size} {unit}"
    return "1 minute" if minutes == 1 else f"{minutes} minutes"
