"""Whether it is time for what is done again and again."""

import pytest

from shaken.periods import Every

HOUR = 3600.0


def test_it_is_time_at_first_and_again_when_so_long_has_passed() -> None:
    every = Every(HOUR)
    assert every.is_due(now=0)

    every.done(now=0)

    assert not every.is_due(now=0)
    assert not every.is_due(now=HOUR - 1)
    assert every.is_due(now=HOUR)


@pytest.mark.parametrize(("sooner", "again"), [(HOUR / 2, HOUR / 2), (2 * HOUR, HOUR)])
def test_it_may_be_time_sooner_and_never_later(sooner: float, again: float) -> None:
    every = Every(HOUR)

    every.done(now=0, sooner=sooner)

    assert not every.is_due(now=again - 1)
    assert every.is_due(now=again)


def test_sooner_is_once() -> None:
    every = Every(HOUR)
    every.done(now=0, sooner=60)

    every.done(now=60)

    assert not every.is_due(now=HOUR)


def test_it_is_time_after_a_clock_that_was_ahead() -> None:
    every = Every(HOUR)
    every.done(now=365 * 24 * HOUR)

    assert every.is_due(now=0)
