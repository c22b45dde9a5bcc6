"""Whether the wall clock is believed by what removes for good."""

import pytest

from shaken.steadiness import LEAP_SECONDS, STANDING_SECONDS, SteadyTime, steady_from_start

NOW = 1_780_000_000.0
DAY = 86_400


@pytest.fixture
def steady() -> SteadyTime:
    return SteadyTime(wall=NOW, monotonic=0)


def test_a_clock_that_goes_as_the_monotonic_one_is_believed(steady: SteadyTime) -> None:
    assert steady.is_steady(NOW + 400 * DAY, monotonic=400 * DAY)


def test_a_clock_that_leaps_ahead_is_not_believed_before_it_has_stood_for_a_day(
    steady: SteadyTime, caplog: pytest.LogCaptureFixture
) -> None:
    ahead = NOW + 31 * DAY

    believed = [
        steady.is_steady(ahead + passed, monotonic=passed)
        for passed in (0, 1, STANDING_SECONDS - 1, STANDING_SECONDS, STANDING_SECONDS + 1)
    ]

    assert believed == [False, False, False, True, True]
    (said,) = caplog.messages
    assert "the clock was set by +2678400 s" in said


def test_a_clock_that_is_put_right_again_is_believed_at_once(steady: SteadyTime) -> None:
    assert not steady.is_steady(NOW + 31 * DAY, monotonic=1)

    assert steady.is_steady(NOW + 3, monotonic=3)


def test_a_clock_that_is_wrong_again_and_again_is_never_believed(steady: SteadyTime) -> None:
    for day in range(5):
        assert not steady.is_steady(NOW + (day + 31) * DAY, monotonic=day * DAY)
        assert steady.is_steady(NOW + day * DAY + 1, monotonic=day * DAY + 1)


@pytest.mark.parametrize("change", [LEAP_SECONDS, -LEAP_SECONDS, -400 * DAY])
def test_a_clock_that_is_set_by_an_hour_or_put_back_is_believed(
    steady: SteadyTime, change: int
) -> None:
    assert steady.is_steady(NOW + change, monotonic=0)


@pytest.mark.parametrize(
    ("silence", "keep", "believed"),
    [(6 * DAY, 30 * DAY, True), (8 * DAY, 30 * DAY, False), (2 * DAY, DAY, False)],
)
def test_a_clock_is_doubted_at_start_when_the_last_call_is_long_ago(
    silence: int, keep: int, *, believed: bool
) -> None:
    steady = steady_from_start(NOW - silence, keep_seconds=keep, wall=NOW, monotonic=0)

    assert steady.is_steady(NOW + 1, monotonic=1) == believed
    assert steady.is_steady(NOW + STANDING_SECONDS, monotonic=STANDING_SECONDS)


def test_a_clock_is_believed_at_start_when_there_was_no_call_yet() -> None:
    steady = steady_from_start(None, keep_seconds=DAY, wall=NOW, monotonic=0)

    assert steady.is_steady(NOW, monotonic=0)
