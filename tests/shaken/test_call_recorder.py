"""The record of every call, on its way to the store."""

import itertools
import logging
import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection, select, text

from shaken.call_recorder import ADDING_UP_SECONDS, BATCH, CallRecorder
from shaken.concealment import NumberHash
from shaken.steadiness import SteadyTime
from shaken.store import HISTORY as SERVICE_HISTORY
from shaken.store.call_counts import add_up, count_calls
from shaken.store.calls import CallRecord, add_calls, forget_calls
from shaken.store.tables import call_counts_reach, calls
from shaken.tally import Count, Tally
from shaken.trouble import SAYING_SECONDS
from trust.store.database import HISTORY as TRUST_HISTORY
from trust.store.database import Database, StoreError

DAY = 86_400
PATIENCE_SECONDS = 20


class WatchedDatabase(Database):
    """A store that tells when something is recorded, and can be told to fail."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.recorded = threading.Event()
        self.before_recording: Callable[[], None] = lambda: None

    @contextmanager
    def recording(self) -> Iterator[Connection]:
        self.before_recording()
        with super().recording() as connection:
            yield connection
        self.recorded.set()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[WatchedDatabase]:
    opened = WatchedDatabase(f"sqlite:///{tmp_path}/shaken.sqlite")
    opened.migrate([TRUST_HISTORY, SERVICE_HISTORY])
    yield opened
    opened.close()


def call(request_id: str, *, at: int = 1_780_000_000) -> CallRecord:
    return CallRecord(
        at=at,
        credential="pbx",
        tenant="pbx.example.com",
        trunk=None,
        orig="12155550100",
        dest="12155559999,sip:bob@example.com",
        attest="A",
        origid="de305d54-75b4-431b-adb2-eb6b9e546014",
        certificate="f" * 64,
        request_id=request_id,
    )


def stored(database: Database) -> list[CallRecord]:
    columns = [calls.c[name] for name in CallRecord._fields]
    with database.reading() as connection:
        rows = connection.execute(select(*columns).order_by(calls.c.sequence))
        return [CallRecord(*row) for row in rows]


def stored_ids(database: Database) -> list[str]:
    return [each.request_id for each in stored(database)]


def recorder_for(
    database: Database, *, capacity: int = 1000, now: float = 1_780_000_000.0
) -> CallRecorder:
    return CallRecorder(database, capacity=capacity, keep_seconds=30 * DAY, clock=lambda: now)


def test_records_reach_the_store_without_anybody_waiting_for_it(database: WatchedDatabase) -> None:
    recorder = recorder_for(database)
    recorder.add(call("1"))
    recorder.start()

    assert database.recorded.wait(PATIENCE_SECONDS)

    assert stored(database) == [call("1")]
    recorder.close()


def test_closing_writes_what_waits(database: WatchedDatabase) -> None:
    recorder = recorder_for(database)
    for number in range(5):
        recorder.add(call(str(number)))
    recorder.start()

    recorder.close()

    assert stored_ids(database) == ["0", "1", "2", "3", "4"]
    assert recorder.dropped == 0


def test_closing_with_nothing_to_write_just_ends(database: WatchedDatabase) -> None:
    recorder = recorder_for(database)
    recorder.start()

    recorder.close()

    assert stored(database) == []


@pytest.mark.parametrize("count", [BATCH, BATCH + 1])
def test_any_number_of_records_is_written_in_their_order(
    database: WatchedDatabase, count: int
) -> None:
    recorder = recorder_for(database, capacity=count)
    for number in range(count):
        recorder.add(call(str(number)))
    recorder.start()

    recorder.close()

    assert stored_ids(database) == [str(number) for number in range(count)]


def test_what_does_not_fit_into_memory_is_dropped_counted_and_said(
    database: WatchedDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = recorder_for(database, capacity=3)
    for number in range(5):
        recorder.add(call(str(number)))
    recorder.start()

    recorder.close()

    assert recorder.dropped == 2
    assert stored_ids(database) == ["0", "1", "2"]
    assert "records of calls dropped since start: 2" in caplog.text


def test_there_is_room_again_when_records_were_written(database: WatchedDatabase) -> None:
    recorder = recorder_for(database, capacity=1)
    recorder.add(call("1"))
    recorder.start()
    assert database.recorded.wait(PATIENCE_SECONDS)

    recorder.add(call("2"))

    recorder.close()
    assert recorder.dropped == 0
    assert stored_ids(database) == ["1", "2"]


class FirstError(logging.Handler):
    """Tells when the first error is logged."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.seen = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        assert record.levelno == logging.ERROR
        self.seen.set()


@pytest.fixture
def first_error() -> Iterator[threading.Event]:
    """An event that is set when the recorder logs an error."""
    handler = FirstError()
    logging.getLogger("shaken.call_recorder").addHandler(handler)
    yield handler.seen
    logging.getLogger("shaken.call_recorder").removeHandler(handler)


def rename(database: Database, before: str, after: str) -> None:
    with database.recording() as connection:
        connection.execute(text(f"ALTER TABLE {before} RENAME TO {after}"))


def test_a_store_that_fails_gets_the_records_when_it_works_again(
    database: WatchedDatabase, first_error: threading.Event, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = recorder_for(database)
    rename(database, "calls", "not_there")
    recorder.start()
    recorder.add(call("1"))
    recorder.add(call("2"))
    assert first_error.wait(PATIENCE_SECONDS)
    recorder.add(call("3"))
    rename(database, "not_there", "calls")

    recorder.close()

    assert stored_ids(database) == ["1", "2", "3"]
    assert recorder.dropped == 0
    assert "no such table: calls" in caplog.text


def test_a_store_that_fails_for_long_costs_the_oldest_records(database: WatchedDatabase) -> None:
    recorder = recorder_for(database, capacity=3)
    for number in range(3):
        recorder.add(call(str(number)))
    database.before_recording = fail_once_while(lambda: recorder.add(call("new")))
    recorder.start()

    recorder.close()

    assert stored_ids(database) == ["1", "2", "new"]
    assert recorder.dropped == 1


def test_a_store_that_fails_for_long_is_said_once_a_minute_and_that_it_works_again(
    database: WatchedDatabase, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = [1_780_000_000.0]
    recorder = CallRecorder(database, capacity=2, keep_seconds=DAY, clock=lambda: now[0])
    tries = 0
    written = threading.Event()

    def refuse_for_long(store: Database, batch: list[CallRecord]) -> None:
        nonlocal tries
        tries += 1
        if tries == 4:
            now[0] += SAYING_SECONDS
        if tries < 7:
            for number in range(2):  # one of which does not fit
                recorder.add(call(f"{tries} {number}"))
            raise StoreError("the store is full")
        add_calls(store, batch)
        written.set()

    monkeypatch.setattr("shaken.call_recorder.add_calls", refuse_for_long)
    monkeypatch.setattr("shaken.call_recorder.INTERVAL_SECONDS", 0.001)
    recorder.add(call("1"))
    recorder.start()
    assert written.wait(PATIENCE_SECONDS)

    recorder.close()

    assert caplog.text.count("cannot write the records of") == 2
    assert caplog.text.count("records of calls are written again") == 1
    said = [line for line in caplog.messages if "dropped since start" in line]
    assert len(said) == 3
    assert said[-1].endswith(f": {recorder.dropped}")


def test_calls_are_counted_by_their_verdict_and_records_that_found_no_room(
    database: WatchedDatabase,
) -> None:
    tally = Tally()
    recorder = CallRecorder(database, capacity=2, keep_seconds=DAY, tally=tally.row(1))
    for verstat in (None, "TN-Validation-Passed", "TN-Validation-Failed", "No-TN-Validation"):
        recorder.add(call("1")._replace(verstat=verstat))

    told = {count.name: tally.total(count) for count in Count}

    assert told == {
        "SIGNED": 1, "PASSED": 1, "FAILED": 1, "NOT_VALIDATED": 1, "WAITING": 0, "DROPPED": 2,
    }  # fmt: skip


def fail_once_while(act: Callable[[], None]) -> Callable[[], None]:
    """Return what makes a store fail the first time, after something else has happened."""
    remaining = [act]

    def fail() -> None:
        if remaining:
            remaining.pop()()
            raise StoreError("the store is full")

    return fail


def test_closing_ends_although_the_store_fails(
    database: WatchedDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = recorder_for(database)
    recorder.add(call("1"))
    rename(database, "calls", "not_there")
    recorder.start()

    recorder.close()

    assert "cannot write the records of 1 calls" in caplog.text


def test_numbers_are_concealed_on_their_way_also_when_the_store_fails_meanwhile(
    database: WatchedDatabase,
) -> None:
    numbers = NumberHash(b"k" * 32)
    recorder = CallRecorder(database, capacity=9, keep_seconds=DAY, conceal=numbers.conceal)
    recorder.add(call("1"))
    database.before_recording = fail_once_while(lambda: recorder.add(call("2")))
    recorder.start()

    recorder.close()

    assert stored(database) == [numbers.conceal(call("1")), numbers.conceal(call("2"))]


def test_records_past_their_time_are_removed(database: WatchedDatabase) -> None:
    now = 1_780_000_000
    oldest_kept = call("kept", at=now - 30 * DAY)
    add_calls(database, [call("old", at=now - 30 * DAY - 1), oldest_kept])
    recorder = recorder_for(database, now=now)
    recorder.start()
    recorder.add(call("new", at=now))

    recorder.close()

    assert stored_ids(database) == ["kept", "new"]


def test_records_past_their_time_are_removed_after_a_clock_that_was_ahead_is_put_right(
    database: WatchedDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    cleaned = threading.Event()

    def forget_and_tell(store: Database, *, before: int, limit: int) -> int:
        removed = forget_calls(store, before=before, limit=limit)
        cleaned.set()
        return removed

    monkeypatch.setattr("shaken.call_recorder.forget_calls", forget_and_tell)
    right = 1_780_000_000
    now = [right + 5.0 * 365 * DAY]
    recorder = CallRecorder(database, capacity=10, keep_seconds=DAY, clock=lambda: now[0])
    recorder.start()
    assert cleaned.wait(PATIENCE_SECONDS)
    now[0] = right
    add_calls(database, [call("old", at=right - DAY - 1)])

    recorder.close()

    assert stored_ids(database) == []


def test_records_are_kept_when_the_clock_is_ahead_for_a_few_seconds(
    database: WatchedDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shaken.call_recorder.INTERVAL_SECONDS", 0.001)
    monkeypatch.setattr("shaken.call_recorder.CLEANING_SECONDS", 0)
    right = 1_780_000_000.0
    looks = iter([0, 1, 31 * DAY + 2, 31 * DAY + 3, 4])
    looked = threading.Event()
    now = [right]
    watched = SteadyTime(wall=right, monotonic=0)
    passed = itertools.count()

    def is_steady(at: float) -> bool:
        believed = watched.is_steady(at, monotonic=next(passed))
        ahead = next(looks, None)
        if ahead is None:
            looked.set()
        else:
            now[0] = right + ahead
        return believed

    add_calls(database, [call("kept", at=int(right) - DAY)])
    recorder = CallRecorder(
        database, capacity=9, keep_seconds=30 * DAY, clock=lambda: now[0], is_steady=is_steady
    )
    recorder.start()
    assert looked.wait(PATIENCE_SECONDS)

    recorder.close()

    assert stored_ids(database) == ["kept"]


@pytest.fixture
def added_up(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Tell when records were added up."""
    told = threading.Event()

    def add_up_and_tell(store: Database) -> None:
        add_up(store)
        told.set()

    monkeypatch.setattr("shaken.call_recorder.add_up", add_up_and_tell)
    return told


def reach(database: Database) -> int:
    with database.reading() as connection:
        reached: int = connection.execute(select(call_counts_reach.c.sequence)).scalar_one()
    return reached


@pytest.mark.parametrize(
    ("waited", "reached"), [(ADDING_UP_SECONDS - 1, 1), (ADDING_UP_SECONDS, 2), (-1, 2)]
)
def test_records_are_added_up_now_and_then(
    database: WatchedDatabase, added_up: threading.Event, waited: int, reached: int
) -> None:
    now = [1_780_000_000.0]
    recorder = CallRecorder(database, capacity=10, keep_seconds=DAY, clock=lambda: now[0])
    recorder.add(call("1"))
    recorder.start()
    assert added_up.wait(PATIENCE_SECONDS)
    now[0] += waited
    recorder.add(call("2"))

    recorder.close()

    assert stored_ids(database) == ["1", "2"]
    assert reach(database) == reached


def test_records_are_added_up_at_once_when_they_are_many(
    database: WatchedDatabase, added_up: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shaken.call_recorder.AT_ONCE", 3)
    monkeypatch.setattr("shaken.call_recorder.ADDING_UP_SECONDS", math.inf)
    recorder = recorder_for(database)
    recorder.add(call("1"))
    recorder.start()
    assert added_up.wait(PATIENCE_SECONDS)
    for number in range(3):
        recorder.add(call(str(number)))

    recorder.close()

    assert reach(database) == 4


@pytest.mark.parametrize("broken", ["DROP TABLE call_counts", "DELETE FROM call_counts_reach"])
def test_records_that_cannot_be_added_up_are_written(
    database: WatchedDatabase, caplog: pytest.LogCaptureFixture, broken: str
) -> None:
    with database.recording() as connection:
        connection.execute(text(broken))
    recorder = recorder_for(database)
    recorder.start()
    recorder.add(call("1"))

    recorder.close()

    assert stored_ids(database) == ["1"]
    assert caplog.text.count("cannot add up the records of calls") == 1


def test_counts_past_their_time_are_removed(database: WatchedDatabase) -> None:
    now = 1_780_000_000
    hour = now - now % 3600
    add_calls(database, [call("old", at=hour - 30 * DAY - 3600), call("kept", at=hour - DAY)])
    recorder = recorder_for(database, now=now)
    recorder.start()
    recorder.add(call("new", at=now))

    recorder.close()

    with database.reading() as connection:
        time = {"since": hour - 40 * DAY, "until": hour + 3600, "step": 3600}
        found = count_calls(connection, **time, tenant=None)
    assert [each.start for each in found] == [hour - DAY, hour]


def test_records_that_cannot_be_removed_are_no_reason_to_stop(
    database: WatchedDatabase, first_error: threading.Event
) -> None:
    recorder = recorder_for(database)
    rename(database, "calls", "not_there")
    recorder.start()
    assert first_error.wait(PATIENCE_SECONDS)
    rename(database, "not_there", "calls")
    recorder.add(call("1"))

    recorder.close()

    assert stored_ids(database) == ["1"]
