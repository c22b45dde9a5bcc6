"""A worker's snapshot follows the store, and whatever hangs on it follows the snapshot."""

import asyncio
import logging
from collections.abc import Callable

import pytest

from shaken.attestation import parse_number_rule
from shaken.snapshot import Snapshot, take_snapshot
from shaken.snapshots import SnapshotFollower
from shaken.store.tenants import add_tenant
from shaken.tenants import Tenant
from trust.selection import Fallback
from trust.store.database import Database


@pytest.fixture
def change(database: Database) -> Callable[[str], None]:
    def add(address: str) -> None:
        numbers = (parse_number_rule("+12155550100"),)
        with database.changing() as change:
            add_tenant(change, Tenant(address, (), numbers, Fallback.FIRST))

    return add


class Follows:
    """What hangs on the snapshot; it fails as often as it is told to."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.told: list[Snapshot] = []
        self.done = asyncio.Event()

    async def __call__(self, snapshot: Snapshot) -> None:
        self.told.append(snapshot)
        if len(self.told) <= self.failures:
            raise OSError(28, "No space left on device")
        self.done.set()


async def test_each_change_is_told_once(database: Database, change: Callable[[str], None]) -> None:
    follows = Follows()
    follower = SnapshotFollower(database, take_snapshot(database), on_change=follows)
    await follower.refresh()
    follows.told.clear()

    change("a.example.com")
    await follower.refresh()
    await follower.refresh()

    assert follows.told == [follower.current]
    assert "a.example.com" in follower.current.tenants


async def test_what_could_not_follow_is_told_again_until_it_does_and_it_is_said_once(
    database: Database, change: Callable[[str], None], caplog: pytest.LogCaptureFixture
) -> None:
    follows = Follows(failures=3)
    follower = SnapshotFollower(database, take_snapshot(database), on_change=follows)
    change("a.example.com")

    with caplog.at_level(logging.ERROR):
        running = asyncio.create_task(follower.run())
        await asyncio.wait_for(follows.done.wait(), 20)
        running.cancel()

    assert follows.told == 4 * [follower.current]
    (record,) = caplog.records
    assert "No space left on device" in record.getMessage()
    await follower.refresh()
    assert len(follows.told) == 4


async def test_the_first_snapshot_is_told_of_too(database: Database) -> None:
    follows = Follows()
    first = take_snapshot(database)
    follower = SnapshotFollower(database, first, on_change=follows)

    await follower.refresh()
    await follower.refresh()

    assert follows.told == [first]


async def test_whoever_waits_for_a_change_need_not_wait_for_what_cannot_follow(
    database: Database, change: Callable[[str], None]
) -> None:
    first = take_snapshot(database)
    follower = SnapshotFollower(database, first, on_change=Follows(failures=1))
    waiting = asyncio.create_task(follower.changed(first, seconds=20))
    await asyncio.sleep(0)
    change("a.example.com")

    await follower.refresh()
    await asyncio.wait_for(waiting, 10)

    assert follower.current is not first
