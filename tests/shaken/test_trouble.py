"""What does not work for a while is said now and then."""

from shaken.trouble import SAYING_SECONDS, Trouble, Troubles


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


def test_each_of_several_is_said_once_in_its_time() -> None:
    troubles = Troubles(seconds=60, most=9)

    said = [
        (each, now)
        for now in range(0, 121, 30)
        for each in "ab"
        if troubles.is_to_be_said(each, now=now)
    ]

    assert said == [(each, now) for now in (0, 60, 120) for each in "ab"]


def test_those_that_are_too_many_are_said_when_others_are_over() -> None:
    troubles = Troubles(seconds=60, most=2)

    assert [troubles.is_to_be_said(each, now=0) for each in "abc"] == [True, True, False]
    assert troubles.are_too_many
    assert troubles.is_to_be_said("c", now=60)
    assert not troubles.are_too_many


def test_of_several_a_clock_that_was_put_back_keeps_none_unsaid() -> None:
    troubles = Troubles(seconds=60, most=1)
    troubles.is_to_be_said("a", now=1_000_000)

    assert troubles.is_to_be_said("a", now=0)
