"""Leases: one holder at a time, a generation for each, and no way back for who was replaced."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from trust.store import leases
from trust.store.database import HISTORY, Database
from trust.store.leases import Lease, LeaseLost


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """An empty store."""
    opened = Database(f"sqlite:///{tmp_path}/store.sqlite")
    opened.migrate([HISTORY])
    yield opened
    opened.close()


def acquired(database: Database, holder: str, *, now: int) -> Lease | None:
    with database.recording() as connection:
        return leases.acquire(connection, "work", holder=holder, now=now, seconds=60)


def hold(database: Database, lease: Lease | None, *, now: int) -> None:
    assert lease is not None
    with database.recording() as connection:
        leases.hold(connection, lease, now=now, seconds=60)


def test_a_lease_has_one_holder_until_it_ends(database: Database) -> None:
    first = acquired(database, "a", now=100)

    assert first == Lease("work", "a", 1)
    assert acquired(database, "b", now=159) is None
    assert acquired(database, "a", now=159) is None
    assert acquired(database, "b", now=160) == Lease("work", "b", 2)


def test_who_was_replaced_cannot_hold_or_release(database: Database) -> None:
    first = acquired(database, "a", now=100)
    second = acquired(database, "b", now=160)

    with pytest.raises(LeaseLost):
        hold(database, first, now=161)
    assert first is not None
    with database.recording() as connection:
        leases.release(connection, first)

    assert acquired(database, "c", now=162) is None
    hold(database, second, now=162)


def test_what_was_given_back_is_not_held_again(database: Database) -> None:
    first = acquired(database, "a", now=100)
    assert first is not None
    with database.recording() as connection:
        leases.release(connection, first)

    with pytest.raises(LeaseLost):
        hold(database, first, now=101)
    assert acquired(database, "b", now=101) == Lease("work", "b", 2)


def test_a_lease_that_is_held_lasts_on(database: Database) -> None:
    first = acquired(database, "a", now=100)
    hold(database, first, now=150)

    assert acquired(database, "b", now=209) is None
    assert acquired(database, "b", now=210) is not None


def test_a_lease_that_ran_out_and_that_nobody_took_is_held_on(database: Database) -> None:
    first = acquired(database, "a", now=100)

    hold(database, first, now=500)

    assert acquired(database, "b", now=501) is None


def test_the_same_holder_of_an_earlier_generation_was_replaced_too(database: Database) -> None:
    first = acquired(database, "a", now=100)
    acquired(database, "a", now=160)

    with pytest.raises(LeaseLost):
        hold(database, first, now=161)


def test_a_released_lease_is_free(database: Database) -> None:
    first = acquired(database, "a", now=100)
    assert first is not None
    with database.recording() as connection:
        leases.release(connection, first)

    assert acquired(database, "b", now=100) == Lease("work", "b", 2)


def test_a_lease_that_a_clock_took_for_years_ahead_is_free(database: Database) -> None:
    ahead = acquired(database, "a", now=10**9)

    taken = acquired(database, "b", now=100)

    assert taken == Lease("work", "b", 2)
    with pytest.raises(LeaseLost):
        hold(database, ahead, now=10**9 + 1)


def test_a_lease_of_a_clock_that_is_minutes_ahead_is_taken(database: Database) -> None:
    acquired(database, "a", now=1000)

    assert acquired(database, "b", now=400) is None
