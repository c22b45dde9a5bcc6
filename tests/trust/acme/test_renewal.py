"""When certificates are renewed, and failed orders tried again: tables of cases."""

from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise

import pytest

from trust.acme.backoff import FIRST_DELAY, MAX_RETRY_AFTER
from trust.acme.renewal import (
    RETRY_SPREAD,
    Cause,
    Demand,
    Failures,
    Plan,
    Urgency,
    Validity,
    Window,
    WindowError,
    jitter_of,
    next_inquiry,
    next_look,
    plan,
)

ISSUED = datetime(2026, 6, 1, 12, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
NINETY = Validity(ISSUED, ISSUED + 90 * DAY)
SIX = Validity(ISSUED, ISSUED + 6 * DAY)


def days(count: float) -> datetime:
    """Return a time by the days since the certificates were issued."""
    return ISSUED + count * DAY


@pytest.mark.parametrize(
    ("lifetime", "jitter", "expected"),
    [
        pytest.param(90 * DAY, 0.0, 60 * DAY, id="90 days: at one third left, at the latest"),
        pytest.param(90 * DAY, 0.5, 55.5 * DAY, id="90 days: or up to a tenth sooner"),
        pytest.param(45 * DAY, 0.0, 30 * DAY, id="45 days"),
        pytest.param(10 * DAY, 0.0, timedelta(days=20) / 3, id="10 days are not short-lived"),
        pytest.param(6 * DAY, 0.0, 3 * DAY, id="6 days: at one half left"),
        pytest.param(6 * DAY, 0.5, 2.7 * DAY, id="6 days: or sooner"),
        pytest.param(DAY, 0.0, 12 * HOUR, id="1 day, of an internal authority"),
        pytest.param(-DAY, 0.5, -DAY, id="ends before it begins: at its end"),
    ],
)
def test_a_certificate_is_due_by_its_lifetime(
    lifetime: timedelta, jitter: float, expected: timedelta
) -> None:
    planned = plan(Validity(ISSUED, ISSUED + lifetime), now=ISSUED - 9 * DAY, jitter=jitter)

    assert abs(planned.due - (ISSUED + expected)) < timedelta(seconds=1)
    assert (planned.next_try, planned.cause) == (planned.due, Cause.LIFETIME)
    assert (planned.urgency, planned.is_due) == (Urgency.OK, False)


@pytest.mark.parametrize(
    ("start", "end", "jitter", "expected"),
    [
        pytest.param(50, 52, 0.0, 50, id="at the start of the window"),
        pytest.param(50, 52, 0.75, 51.5, id="within it"),
        pytest.param(65, 67, 0.5, 66, id="later than the lifetime alone says"),
        pytest.param(-3, -1, 0.5, 20, id="in the past: now"),
        pytest.param(19, 23, 0.125, 20, id="a moment in it that is past: now"),
    ],
)
def test_renewal_information_says_when(
    start: float, end: float, jitter: float, expected: float
) -> None:
    window = Window(days(start), days(end))

    planned = plan(NINETY, window=window, now=days(20), jitter=jitter)

    assert planned.next_try == days(expected)
    assert planned.cause is Cause.RENEWAL_INFORMATION
    assert planned.is_due is (expected == 20)


def test_a_window_past_the_safe_point_does_not_put_a_renewal_off() -> None:
    planned = plan(NINETY, window=Window(days(80), days(200)), now=ISSUED, jitter=0.5)

    assert (planned.next_try, planned.cause) == (NINETY.safe_until, Cause.LIFETIME)
    assert NINETY.safe_until == days(75)


def test_a_window_that_changed_is_chosen_in_anew() -> None:
    before = plan(NINETY, window=Window(days(60), days(62)), now=days(30), jitter=0.3)
    after = plan(NINETY, window=Window(days(29), days(31)), now=days(30), jitter=0.3)

    assert (before.is_due, after.is_due) == (False, True)


def test_without_a_window_the_lifetime_decides_again() -> None:
    assert plan(NINETY, window=None, now=ISSUED, jitter=0).next_try == days(60)


@pytest.mark.parametrize("end", [days(5), days(5) - HOUR], ids=["empty", "backwards"])
def test_a_window_that_does_not_end_after_its_start_is_none(end: datetime) -> None:
    with pytest.raises(WindowError):
        Window(days(5), end)


@pytest.mark.parametrize("demand", Demand)
def test_what_was_revoked_or_asked_for_is_ordered_at_once(demand: Demand) -> None:
    window = Window(days(60), days(62))

    planned = plan(NINETY, window=window, demand=demand, now=days(1), jitter=0.9)

    assert (planned.next_try, planned.cause) == (days(1), Cause(demand))


def test_a_first_certificate_is_ordered_at_once_and_again_after_a_failure() -> None:
    first = plan(None, now=ISSUED, jitter=0.9)
    again = plan(None, now=ISSUED, jitter=0.9, failures=Failures(1, ISSUED))

    assert (first.next_try, first.cause, first.urgency) == (ISSUED, Cause.MISSING, Urgency.OK)
    assert FIRST_DELAY / 2 <= again.next_try - ISSUED <= FIRST_DELAY
    assert again.urgency is Urgency.RETRYING


@pytest.mark.parametrize(
    ("count", "left", "longest"),
    [
        pytest.param(1, 30 * DAY, 10 * MINUTE, id="minutes after the first failure"),
        pytest.param(2, 30 * DAY, 20 * MINUTE, id="twice as long after the second"),
        pytest.param(5, 30 * DAY, 160 * MINUTE, id="and so on"),
        pytest.param(8, 30 * DAY, 1280 * MINUTE, id="nearly a day after the eighth"),
        pytest.param(9, 30 * DAY, DAY, id="a day, no more"),
        pytest.param(10**6, 30 * DAY, DAY, id="ever"),
        pytest.param(9, 12 * DAY, 12 * HOUR, id="less than a day as expiry comes near"),
        pytest.param(9, 24 * HOUR, HOUR, id="hourly on the last day"),
        pytest.param(9, 6 * HOUR, 30 * MINUTE, id="but not all the time"),
        pytest.param(9, 0 * HOUR, 30 * MINUTE, id="at expiry"),
        pytest.param(1, 6 * HOUR, 10 * MINUTE, id="a first failure near expiry"),
        pytest.param(9, -4 * DAY, 4 * HOUR, id="less often again after it"),
        pytest.param(9, -60 * DAY, DAY, id="daily for what nobody misses"),
    ],
)
def test_a_failed_order_backs_off(count: int, left: timedelta, longest: timedelta) -> None:
    failed = NINETY.not_after - left

    for jitter in (0, 0.25, 0.5, 0.75, 0.999):
        planned = plan(NINETY, now=failed, jitter=jitter, failures=Failures(count, failed))
        assert longest / 2 <= planned.next_try - failed <= longest


def test_the_same_orders_do_not_stay_close() -> None:
    def delay(jitter: float, count: int) -> timedelta:
        failures = Failures(count, ISSUED)
        return plan(None, now=ISSUED, jitter=jitter, failures=failures).next_try - ISSUED

    shares = [delay(0.4, count) / min(FIRST_DELAY * 2 ** (count - 1), DAY) for count in range(1, 9)]

    assert all(abs(one - other) > 0.05 for one, other in pairwise(shares))


@pytest.mark.parametrize("left", [30 * DAY, 2 * DAY, -DAY])
def test_a_retry_after_is_kept_whatever_it_costs(left: timedelta) -> None:
    failed = NINETY.not_after - left
    failures = Failures(1, failed, retry_after=failed + 5 * DAY)

    planned = plan(NINETY, now=failed, jitter=0.6, failures=failures)

    assert 5 * DAY <= planned.next_try - failed <= 5 * DAY + RETRY_SPREAD


def test_a_retry_after_holds_for_what_was_revoked_too() -> None:
    failures = Failures(1, days(2), retry_after=days(2) + 6 * HOUR)

    planned = plan(NINETY, now=days(2), jitter=0, failures=failures, demand=Demand.REVOKED)

    assert planned.next_try >= days(2) + 6 * HOUR


def test_a_retry_after_of_years_is_cut_to_a_week() -> None:
    failures = Failures(1, ISSUED, retry_after=ISSUED + 900 * DAY)

    planned = plan(None, now=ISSUED, jitter=0.6, failures=failures)

    assert MAX_RETRY_AFTER <= planned.next_try - ISSUED <= MAX_RETRY_AFTER + RETRY_SPREAD


def test_a_retry_after_that_is_sooner_than_the_backoff_does_not_shorten_it() -> None:
    without = Failures(4, days(65))
    with_it = Failures(4, days(65), retry_after=days(65) + MINUTE)

    assert (
        plan(NINETY, now=days(65), jitter=0.5, failures=with_it).next_try
        == plan(NINETY, now=days(65), jitter=0.5, failures=without).next_try
    )


def test_a_failure_does_not_bring_a_renewal_forward() -> None:
    failures = Failures(3, days(20))

    assert plan(NINETY, now=days(20), jitter=0, failures=failures).next_try == days(60)


def test_a_clock_that_was_set_back_does_not_put_a_try_off() -> None:
    planned = plan(None, now=ISSUED, jitter=0.5, failures=Failures(1, ISSUED + 900 * DAY))

    assert planned.next_try <= ISSUED + FIRST_DELAY


def test_a_failure_of_a_clock_that_was_years_ahead_is_tried_again_at_once() -> None:
    last = ISSUED + 900 * DAY
    failures = Failures(7, last, retry_after=last + 5 * DAY)

    assert plan(None, now=ISSUED, jitter=0.5, failures=failures).is_due


@pytest.mark.parametrize(
    ("now", "failures", "demand", "expected"),
    [
        pytest.param(days(59), None, None, Urgency.OK, id="not due"),
        pytest.param(days(61), None, None, Urgency.OK, id="due"),
        pytest.param(days(61), Failures(1, days(61)), None, Urgency.RETRYING, id="failed"),
        pytest.param(days(75), Failures(9, days(75)), None, Urgency.URGENT, id="half of it gone"),
        pytest.param(days(75), None, None, Urgency.URGENT, id="never tried so late"),
        pytest.param(days(5), None, Demand.REVOKED, Urgency.OK, id="revoked"),
        pytest.param(days(5), Failures(1, days(5)), Demand.REVOKED, Urgency.URGENT, id="and fails"),
        pytest.param(days(90), Failures(9, days(89)), None, Urgency.EXPIRED, id="at its end"),
        pytest.param(days(99), None, None, Urgency.EXPIRED, id="after it"),
    ],
)
def test_urgency_grows_as_the_time_left_shrinks(
    now: datetime, failures: Failures | None, demand: Demand | None, expected: Urgency
) -> None:
    planned = plan(NINETY, now=now, jitter=0, failures=failures, demand=demand)

    assert planned.urgency is expected


IN_NEW_YORK = days(61).astimezone(timezone(-4 * HOUR))


@pytest.mark.parametrize(
    ("planned", "expected"),
    [
        (
            plan(NINETY, now=days(10), jitter=0),
            "the certificate lasts 80 days more; another is ordered at 2026-07-31 12:00 UTC",
        ),
        (
            plan(NINETY, now=days(10), jitter=0, window=Window(days(9), days(12))),
            "the certificate lasts 80 days more; as the authority suggests, another is ordered now",
        ),
        (
            plan(NINETY, now=days(10), jitter=0, demand=Demand.REQUESTED),
            "the certificate lasts 80 days more; as an administrator asked, another is ordered now",
        ),
        (
            plan(NINETY, now=days(10), jitter=0, demand=Demand.REVOKED),
            (
                "the certificate is revoked, or is to be, and is not replaced yet;"
                " another is ordered now"
            ),
        ),
        (
            plan(NINETY, now=days(65), jitter=0, obtained=days(64.5)),
            (
                "the certificate lasts 25 days more; another is ordered at 2026-08-06 00:00 UTC,"
                " since it was due soon after it came: check the clock, or the authority's renewal"
                " information"
            ),
        ),
        (
            plan(None, now=days(10), jitter=0),
            "there is no certificate yet; one is ordered now",
        ),
        (
            plan(NINETY, now=IN_NEW_YORK, jitter=0, failures=Failures(1, IN_NEW_YORK)),
            (
                "the certificate lasts 29 days more; its order failed once, last at 2026-08-01"
                " 12:00 UTC; the next try is at 2026-08-01 12:08 UTC"
            ),
        ),
        (
            plan(
                NINETY,
                now=days(89),
                jitter=0,
                failures=Failures(12, days(89), retry_after=days(92)),
            ),
            (
                "the certificate expires in 24 hours and is not renewed; its order failed 12 times"
                " in a row, last at 2026-08-29 12:00 UTC; the next try is at 2026-09-01 12:24 UTC,"
                " after it expires: the authority allows none before"
            ),
        ),
        (
            plan(NINETY, now=days(90) + 61 * MINUTE, jitter=0, failures=Failures(9, days(90))),
            (
                "the certificate expired 61 minutes ago and is not renewed; its order failed 9"
                " times in a row, last at 2026-08-30 12:00 UTC; the next try is now"
            ),
        ),
        (
            plan(NINETY, now=days(90) - MINUTE, jitter=0),
            "the certificate expires in 1 minute and is not renewed; another is ordered now",
        ),
    ],
)
def test_a_plan_says_itself_in_words(planned: Plan, expected: str) -> None:
    assert planned.words == expected


@pytest.mark.parametrize(
    ("validity", "now", "expected"),
    [
        pytest.param(NINETY, days(1), DAY, id="every 24 hours"),
        pytest.param(SIX, days(1), 6 * HOUR, id="a short-lived one more often"),
        pytest.param(Validity(ISSUED, ISSUED + DAY), ISSUED, HOUR, id="one of a day hourly"),
        pytest.param(
            Validity(ISSUED, ISSUED + MINUTE), ISSUED, 30 * timedelta(seconds=1), id="try"
        ),
        pytest.param(NINETY, days(59.75), 6 * HOUR, id="not later than the next try"),
        pytest.param(NINETY, days(61), 0 * DAY, id="which may be now"),
        pytest.param(None, ISSUED, 0 * DAY, id="or that of a first certificate"),
    ],
)
def test_it_is_looked_again(validity: Validity | None, now: datetime, expected: timedelta) -> None:
    planned = plan(validity, now=now, jitter=0)

    assert next_look(planned, interval=DAY) == now + expected


def test_the_interval_is_a_setting() -> None:
    planned = plan(NINETY, now=ISSUED, jitter=0)

    assert next_look(planned, interval=2 * HOUR) == ISSUED + 2 * HOUR
    assert next_look(planned, interval=0 * HOUR) == ISSUED + MINUTE


@pytest.mark.parametrize(
    ("retry_after", "expected"),
    [
        pytest.param(6 * HOUR, 6 * HOUR, id="as the authority says"),
        pytest.param(timedelta(seconds=1), MINUTE, id="not more than once a minute"),
        pytest.param(-HOUR, MINUTE, id="a date that is past"),
        pytest.param(9 * DAY, DAY, id="once a day at least"),
        pytest.param(None, 6 * HOUR, id="six hours after an error"),
    ],
)
def test_renewal_information_is_asked_for_again(
    retry_after: timedelta | None, expected: timedelta
) -> None:
    assert next_inquiry(NINETY, now=days(5), retry_after=retry_after) == days(5) + expected


def test_renewal_information_of_an_expired_certificate_is_not_asked_for() -> None:
    assert next_inquiry(NINETY, now=days(90), retry_after=HOUR) is None


def test_a_jitter_is_the_orders_own_and_spread_evenly() -> None:
    jitters = [jitter_of(f"order-{number}") for number in range(1000)]

    assert jitters == [jitter_of(f"order-{number}") for number in range(1000)]
    assert all(0 <= jitter < 1 for jitter in jitters)
    assert all(
        70 < sum(tenth <= 10 * each < tenth + 1 for each in jitters) < 130 for tenth in range(10)
    )


@pytest.mark.parametrize("jitter", [-0.1, 1.0, float("nan")])
def test_a_jitter_lies_in_zero_to_one(jitter: float) -> None:
    with pytest.raises(ValueError, match="jitter"):
        plan(NINETY, now=ISSUED, jitter=jitter)


def test_failures_are_counted_from_one() -> None:
    with pytest.raises(ValueError, match="from one"):
        Failures(0, ISSUED)


@pytest.mark.parametrize(
    ("lifetime", "expected"),
    [
        pytest.param(90 * DAY, DAY, id="a day"),
        pytest.param(6 * DAY, 6 * HOUR, id="less for a short life"),
        pytest.param(12 * HOUR, HOUR, id="an hour at the least"),
        pytest.param(2 * HOUR, 30 * MINUTE, id="but no large part of the life"),
    ],
)
@pytest.mark.parametrize("window", [None, Window(days(-9), days(-8))], ids=["clock", "window"])
def test_a_certificate_that_is_due_as_it_comes_is_kept_for_a_while(
    lifetime: timedelta, expected: timedelta, window: Window | None
) -> None:
    """The clock is ahead, or the authority suggests what is past."""
    validity = Validity(ISSUED, ISSUED + lifetime)
    came = ISSUED + 3 * lifetime / 4

    held = plan(validity, now=came, jitter=0, window=window, obtained=came)
    over = plan(validity, now=came + expected, jitter=0, window=window, obtained=came)

    assert (held.next_try, held.is_due, held.is_premature) == (came + expected, False, True)
    assert (over.is_due, over.is_premature) == (True, True)


def test_a_certificate_that_is_due_in_its_time_is_not_kept_longer() -> None:
    with_it = plan(NINETY, now=days(60), jitter=0, obtained=ISSUED + HOUR)

    assert with_it == plan(NINETY, now=days(60), jitter=0)
    assert not with_it.is_premature


@pytest.mark.parametrize("demand", Demand)
def test_what_is_demanded_of_a_new_certificate_is_done_at_once(demand: Demand) -> None:
    assert plan(NINETY, now=days(70), jitter=0, obtained=days(70), demand=demand).is_due


def test_a_certificate_that_came_by_a_clock_that_was_set_back_is_renewed_in_time() -> None:
    planned = plan(NINETY, now=days(60), jitter=0, obtained=days(3650))

    assert planned.is_due
