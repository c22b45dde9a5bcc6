"""What does not work for a while is said now and then."""

from shaken.trouble import SAYING_SECONDS, Trouble


def test_it_is_said_at_once_and_once_a_minute_while_it_lasts() -> None:
    trouble = Trouble()

    said = [now for now in range(2 * SAYING_SECONDS + 1) if trouble.is_to_be_said(now=now)]

    assert said == [0, SAYING_SECONDS, 2 * SAYING_SECONDS]


def test_that_it_is_over_is_said_once_and_only_of_what_was_said() -> None:
    trouble = Trouble()

    assert not trouble.is_over()
    trouble.is_to_be_said(now=0)
    assert trouble.is_over()
    assert not trouble.is_over()


def test_a_clock_that_was_put_back_keeps_nothing_unsaid() -> None:
    trouble = Trouble()
    trouble.is_to_be_said(now=1_000_000)

    assert trouble.is_to_be_said(now=0)
