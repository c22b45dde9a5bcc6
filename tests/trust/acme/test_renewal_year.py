"""A year of renewals in a simulation: the plans are real, the authority and the clock are not.

The authority is down for a week, limits orders as Let's Encrypt does, fails at random, and once
moves the suggested windows of a tenth of its certificates into the past, as before a mass
revocation.
"""

import heapq
import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from trust.acme.renewal import (
    Failures,
    Plan,
    Urgency,
    Validity,
    Window,
    jitter_of,
    next_look,
    plan,
)

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
START = datetime(2027, 1, 1, tzinfo=UTC)
END = START + 365 * DAY
OUTAGE = (START + 58 * DAY, START + 65 * DAY)
"""The week in which most of the certificates of the first day are due."""
MASS_REVOCATION = START + 200 * DAY
SETTLED = START + 5 * DAY
"""The first orders, all made in one moment, are done, with all that limits and failures cost."""

CERTIFICATES = 1000
BURST, REFILL = 300, timedelta(seconds=36)  # 300 orders in three hours (Let's Encrypt)
FAILURE_RATE = 0.1


@dataclass
class Authority:
    """Answers orders: a certificate, a failure, or a failure with the time of the next try."""

    chance: random.Random = field(default_factory=lambda: random.Random(8555))  # noqa: S311 - the same each time
    tokens: float = BURST
    counted: datetime = START
    refused: int = 0

    def order(self, lifetime: timedelta, now: datetime) -> Validity | datetime | None:
        """Issue, or say when to come back, or fail."""
        if OUTAGE[0] <= now < OUTAGE[1]:
            return None
        self.tokens = min(BURST, self.tokens + (now - self.counted) / REFILL)
        self.counted = now
        if self.tokens < 1:
            self.refused += 1
            return now + (1 - self.tokens) * REFILL
        self.tokens -= 1
        if self.chance.random() < FAILURE_RATE:
            return None
        return Validity(now - HOUR, now - HOUR + lifetime)


@dataclass
class Managed:
    """A certificate that is kept in service, as the store has it."""

    number: int
    lifetime: timedelta
    follows_renewal_information: bool
    issued: int = 0
    validity: Validity | None = None
    failures: Failures | None = None
    jitter: float = field(init=False)
    """The present order's own."""

    def __post_init__(self) -> None:
        self.jitter = jitter_of(f"{self.number}/{self.issued}")

    def plan(self, now: datetime) -> Plan:
        """Plan with what is known."""
        return plan(
            self.validity,
            window=self.window(now),
            failures=self.failures,
            now=now,
            jitter=self.jitter,
        )

    def put_in_service(self, issued: Validity) -> None:
        """Replace what there was; the next order is another."""
        self.validity, self.failures = issued, None
        self.issued += 1
        self.jitter = jitter_of(f"{self.number}/{self.issued}")

    def window(self, now: datetime) -> Window | None:
        """Two days at two thirds of the lifetime, or what a mass revocation makes of it."""
        if self.validity is None or not self.follows_renewal_information:
            return None
        middle = self.validity.not_before + self.lifetime * 2 / 3
        if self.number % 10 == 0 and self.validity.not_before < MASS_REVOCATION <= now:
            middle = MASS_REVOCATION - 10 * DAY
        return Window(middle - self.lifetime / 90, middle + self.lifetime / 90)


@dataclass
class Year:
    """What happened in a year."""

    certificates: list[Managed]
    authority: Authority = field(default_factory=Authority)
    tries: Counter[int] = field(default_factory=Counter)
    """By hour since the start."""
    tries_while_down: Counter[int] = field(default_factory=Counter)
    """By certificate."""
    gaps: list[tuple[Managed, datetime, datetime]] = field(default_factory=list)
    """Who was without a valid certificate, from when until when."""
    recovered: dict[int, datetime] = field(default_factory=dict)
    """When each certificate whose order failed in the outage was renewed after it."""
    least_left: timedelta = 90 * DAY
    """What was left of a 90-day certificate when it was replaced, at the least."""
    loudest: Urgency = Urgency.OK

    def run(self) -> "Year":
        """Let the year go by, from one look to the next."""
        looks = [(START, index) for index in range(len(self.certificates))]
        while looks:
            now, index = heapq.heappop(looks)
            if now >= END:
                continue
            managed = self.certificates[index]
            planned = managed.plan(now)
            if planned.is_due:
                self.order(managed, now)
                planned = managed.plan(now)
            if managed.failures is not None and managed.lifetime == 90 * DAY:
                self.loudest = max(self.loudest, planned.urgency, key=[*Urgency].index)
            heapq.heappush(looks, (next_look(planned, interval=DAY), index))
        for managed in self.certificates:
            assert managed.validity is not None
            self.note_gap(managed, managed.validity, END)
        return self

    def order(self, managed: Managed, now: datetime) -> None:
        """Make a try, and keep what comes of it."""
        self.tries[(now - START) // HOUR] += 1
        if OUTAGE[0] <= now < OUTAGE[1]:
            self.tries_while_down[managed.number] += 1
        answer = self.authority.order(managed.lifetime, now)
        if not isinstance(answer, Validity):
            count = managed.failures.count + 1 if managed.failures else 1
            managed.failures = Failures(count, now, answer)
            return
        if managed.validity is not None:
            self.note_gap(managed, managed.validity, now)
            if managed.lifetime == 90 * DAY:
                self.least_left = min(self.least_left, managed.validity.not_after - now)
        if managed.number in self.tries_while_down and now >= OUTAGE[1]:
            self.recovered.setdefault(managed.number, now)
        managed.put_in_service(answer)

    def note_gap(self, managed: Managed, held: Validity, until: datetime) -> None:
        """Keep who was without a valid certificate."""
        if held.not_after <= until:
            self.gaps.append((managed, held.not_after, until))


def managed(number: int, lifetime: timedelta) -> Managed:
    return Managed(number, lifetime, follows_renewal_information=number % 2 == 0)


@pytest.fixture(scope="module")
def year() -> Year:
    """A thousand certificates of 90 days, all ordered in one moment."""
    return Year([managed(number, 90 * DAY) for number in range(CERTIFICATES)]).run()


@pytest.fixture(scope="module")
def mixed_year() -> Year:
    """The same, with each tenth certificate one of six days."""
    lifetimes = (6 * DAY if number % 10 == 1 else 90 * DAY for number in range(CERTIFICATES))
    return Year([managed(number, lifetime) for number, lifetime in enumerate(lifetimes)]).run()


def after(year: Year, *, since: datetime, until: datetime) -> list[int]:
    """Return how many tries were made in each hour of a time."""
    return [year.tries[hour] for hour in range((since - START) // HOUR, (until - START) // HOUR)]


def test_no_certificate_of_90_days_ever_expires(year: Year) -> None:
    assert year.gaps == []
    assert year.least_left > 20 * DAY  # a week of outage costs a week, and a day of backoff
    assert year.loudest is Urgency.RETRYING
    assert sum(year.tries_while_down.values()) > 500
    assert len(year.tries_while_down) > 400


def test_a_year_of_renewals_costs_little_more_orders_than_it_takes(year: Year) -> None:
    issued = sum(managed.issued for managed in year.certificates)
    answered = sum(year.tries.values()) - sum(year.tries_while_down.values())

    assert 6 * CERTIFICATES <= issued <= 7 * CERTIFICATES
    assert answered <= issued / (1 - FAILURE_RATE) * 1.05 + year.authority.refused


def test_renewals_are_spread(year: Year) -> None:
    quiet = after(year, since=SETTLED, until=OUTAGE[0])
    rest = after(year, since=OUTAGE[1] + 2 * DAY, until=MASS_REVOCATION)

    assert 0 < max(quiet) <= 30
    assert 0 < max(rest) <= 40
    assert max(after(year, since=OUTAGE[1], until=OUTAGE[1] + 2 * DAY)) <= 100


def test_the_first_orders_keep_to_the_limits_they_are_told(year: Year) -> None:
    first_day = after(year, since=START, until=START + DAY)

    assert first_day[0] >= CERTIFICATES
    assert max(first_day[6:]) <= 200
    assert all(managed.issued for managed in year.certificates)
    assert sum(after(year, since=SETTLED, until=START + 40 * DAY)) == 0


def test_an_authority_that_is_down_is_not_hammered(year: Year) -> None:
    in_the_outage = after(year, since=OUTAGE[0], until=OUTAGE[1])

    # 10, 20, 40 … minutes: nine tries on the first day, and one or two on each day after it.
    assert max(year.tries_while_down.values()) <= 9 + 2 * 7
    assert max(in_the_outage) <= 160  # while the windows of half of them begin, nine tries of each
    assert sum(in_the_outage) <= 2 * 7 * len(year.tries_while_down)


def test_all_are_renewed_within_a_day_of_the_authoritys_return(year: Year) -> None:
    assert set(year.recovered) == set(year.tries_while_down)
    assert sum(at - OUTAGE[1] <= DAY for at in year.recovered.values()) > 0.85 * len(year.recovered)
    assert max(year.recovered.values()) - OUTAGE[1] <= 3 * DAY  # one in ten fails then, too


def test_windows_that_move_into_the_past_are_followed_within_a_look(year: Year) -> None:
    affected = [each for each in year.certificates if each.number % 10 == 0]

    assert sum(after(year, since=MASS_REVOCATION, until=MASS_REVOCATION + DAY)) >= len(affected)


def test_short_lived_ones_outlive_all_but_the_outage_and_are_first_to_recover(
    mixed_year: Year,
) -> None:
    expired = {managed.number for managed, _, _ in mixed_year.gaps}
    short: list[datetime] = []
    long: list[datetime] = []
    for number, at in mixed_year.recovered.items():
        (short if mixed_year.certificates[number].lifetime == 6 * DAY else long).append(at)

    assert all(mixed_year.certificates[number].lifetime == 6 * DAY for number in expired)
    assert all(OUTAGE[0] < since < OUTAGE[1] for _, since, _ in mixed_year.gaps)
    assert len(mixed_year.gaps) == len(expired) > 0
    assert max(until for _, _, until in mixed_year.gaps) - OUTAGE[1] <= 12 * HOUR
    assert sorted(short)[len(short) // 2] < sorted(long)[len(long) // 2]
    assert max(short) - OUTAGE[1] <= 12 * HOUR
    assert mixed_year.loudest is Urgency.RETRYING


def test_short_lived_ones_do_not_hammer_an_authority_that_is_down(mixed_year: Year) -> None:
    # Hourly as a rule, and each 15 to 30 minutes in the half days before and after expiry.
    assert max(mixed_year.tries_while_down.values()) <= 7 * 24 + 24 * 2
    assert max(after(mixed_year, since=OUTAGE[0], until=OUTAGE[1])) <= 400
