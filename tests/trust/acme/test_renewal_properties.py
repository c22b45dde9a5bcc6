"""When certificates are renewed, and failed orders tried again: what holds for all of them."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from trust.acme.backoff import FIRST_DELAY, MAX_DELAY, MAX_RETRY_AFTER
from trust.acme.renewal import (
    MIN_LONGEST_DELAY,
    Demand,
    Failures,
    Plan,
    Urgency,
    Validity,
    Window,
    next_look,
    plan,
)

ISSUED = datetime(2026, 6, 1, 12, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)

jitters = st.floats(0, 1, exclude_max=True)
moments = st.timedeltas(timedelta(0), 800 * DAY).map(ISSUED.__add__)
validities = st.builds(
    lambda start, lifetime: Validity(start, start + lifetime),
    moments,
    st.timedeltas(HOUR, 400 * DAY),
)
windows = st.none() | st.builds(
    lambda start, length: Window(start, start + length),
    moments,
    st.timedeltas(timedelta(seconds=1), 400 * DAY),
)
failures_by = st.builds(
    lambda count, last, wait: Failures(count, last, None if wait is None else last + wait),
    st.integers(1, 10**9),
    moments,
    st.none() | st.timedeltas(-DAY, 4000 * DAY),
)


@given(validities, windows, moments, jitters)
def test_a_renewal_is_never_planned_after_the_safe_point_unless_that_is_past(
    validity: Validity, window: Window | None, now: datetime, jitter: float
) -> None:
    planned = plan(validity, window=window, now=now, jitter=jitter)

    assert now <= planned.next_try <= max(validity.safe_until, now)


@given(validities, windows, moments, jitters)
def test_a_certificate_whose_last_part_has_begun_is_due(
    validity: Validity, window: Window | None, now: datetime, jitter: float
) -> None:
    late_enough = max(now, validity.safe_until)

    assert plan(validity, window=window, now=late_enough, jitter=jitter).is_due
    at = validity.not_after - validity.left_when_due
    assert plan(validity, now=at, jitter=jitter).is_due


@given(st.none() | validities, failures_by, jitters)
def test_no_backoff_is_longer_than_a_day_and_none_shorter_than_minutes(
    validity: Validity | None, failures: Failures, jitter: float
) -> None:
    own = Failures(failures.count, failures.last)

    planned = plan(validity, now=own.last, jitter=jitter, failures=own, demand=Demand.REQUESTED)

    assert FIRST_DELAY / 2 <= planned.next_try - own.last <= MAX_DELAY


@given(validities, failures_by, jitters)
def test_no_backoff_goes_past_the_expiry_that_comes_near(
    validity: Validity, failures: Failures, jitter: float
) -> None:
    own = Failures(failures.count, failures.last)
    left = validity.not_after - own.last

    planned = plan(validity, now=own.last, jitter=jitter, failures=own, demand=Demand.REQUESTED)

    assert planned.next_try - own.last <= max(abs(left) / 24, MIN_LONGEST_DELAY)


@given(st.none() | validities, windows, failures_by, st.none() | st.sampled_from(Demand), jitters)
def test_a_retry_after_within_a_week_is_never_broken(
    validity: Validity | None,
    window: Window | None,
    failures: Failures,
    demand: Demand | None,
    jitter: float,
) -> None:
    planned = plan(
        validity, window=window, failures=failures, demand=demand, now=failures.last, jitter=jitter
    )

    if failures.retry_after is not None:
        assert planned.next_try >= min(failures.retry_after, failures.last + MAX_RETRY_AFTER)


@given(
    validity=st.none() | validities,
    window=windows,
    failures=st.none() | failures_by,
    now=moments,
    passed=st.timedeltas(timedelta(0), 300 * DAY),
    obtained=st.none() | moments,
    jitter=jitters,
)
def test_as_time_goes_by_tries_come_no_sooner_and_urgency_does_not_fall(
    *,
    validity: Validity | None,
    window: Window | None,
    failures: Failures | None,
    now: datetime,
    passed: timedelta,
    obtained: datetime | None,
    jitter: float,
) -> None:
    def planned(at: datetime) -> Plan:
        return plan(
            validity, window=window, failures=failures, now=at, obtained=obtained, jitter=jitter
        )

    before, after = planned(now), planned(now + passed)

    assert after.next_try >= before.next_try
    assert [*Urgency].index(after.urgency) >= [*Urgency].index(before.urgency)
    assert after.words


@given(validities, windows, moments, jitters)
def test_a_certificate_that_has_just_come_is_never_due(
    validity: Validity, window: Window | None, now: datetime, jitter: float
) -> None:
    planned = plan(validity, window=window, now=now, obtained=now, jitter=jitter)

    assert planned.next_try - now >= min(HOUR, validity.lifetime / 4)


@given(validities, moments, jitters, st.timedeltas(MINUTE, 30 * DAY))
def test_a_look_is_not_after_the_next_try_nor_after_the_interval(
    validity: Validity, now: datetime, jitter: float, interval: timedelta
) -> None:
    planned = plan(validity, now=now, jitter=jitter)

    assert now <= next_look(planned, interval=interval) <= min(planned.next_try, now + interval)
