"""How long is waited after a failure."""

from datetime import UTC, datetime, timedelta

from trust.acme.backoff import backoff, bounded

NOW = datetime(2026, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def test_it_doubles_from_ten_minutes_to_a_day_however_many_failures() -> None:
    minutes = [backoff(count) // timedelta(minutes=1) for count in (1, 2, 3, 8, 9, 1_000_000)]

    assert minutes == [10, 20, 40, 1280, 1440, 1440]


def test_what_an_authority_asks_for_is_waited_a_week_at_most() -> None:
    assert bounded(NOW + 6 * DAY, since=NOW) == NOW + 6 * DAY
    assert bounded(NOW + 8 * DAY, since=NOW) == NOW + 7 * DAY
