"""Counts of calls: exact, whatever was added up, also in a store of an earlier version."""

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from shaken.store import HISTORY
from shaken.store.call_counts import (
    HOUR,
    KEPT_SECONDS,
    CallCount,
    add_up,
    count_calls,
    not_added_up,
)
from shaken.store.calls import CallRecord, add_calls, forget_calls
from trust.store.database import HISTORY as TRUST_HISTORY
from trust.store.database import Database, History

NOON = 1_780_315_200
VERIFIED = ("verified", "TN-Validation-Failed", "flag", "why", 438)


def record(at: int, tenant: str | None, *verdict: object) -> CallRecord:
    """Make a record of a call."""
    return CallRecord(at, "pbx", tenant, None, "1", "2", "A", "o", "c", "r", *verdict)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a store without calls."""
    file = tmp_path_factory.mktemp("made") / "shaken.sqlite"
    with closing(Database(f"sqlite:///{file}")) as database:
        database.migrate([TRUST_HISTORY, HISTORY])
    return file


@contextmanager
def copy_of(made: Path) -> Iterator[Database]:
    """Open a copy of a store that is not open."""
    with tempfile.TemporaryDirectory() as folder:
        file = shutil.copy(made, folder)
        with closing(Database(f"sqlite:///{file}")) as database:
            yield database


def test_calls_on_record_are_counted_when_a_store_is_brought_up_to_date(tmp_path: Path) -> None:
    earlier = tmp_path / "migrations"
    shutil.copytree(HISTORY.folder, earlier)
    for version in (earlier / "versions").glob("v*"):
        if version.name >= "v0011":
            version.unlink()
    calls = [
        record(NOON, "a.example.com"),
        record(NOON + HOUR, "a.example.com", *VERIFIED),
        record(NOON + HOUR + 1, None, *VERIFIED),
        record(NOON - KEPT_SECONDS, "a.example.com"),
    ]
    database = Database(f"sqlite:///{tmp_path}/shaken.sqlite")
    database.migrate([TRUST_HISTORY, History(earlier, HISTORY.version_table)])
    columns = ", ".join(CallRecord._fields)
    places = ", ".join(f":{name}" for name in CallRecord._fields)
    with database.recording() as connection:
        insert = text(f"INSERT INTO calls ({columns}) VALUES ({places})")  # noqa: S608 - constants
        connection.execute(insert, [call._asdict() for call in calls])

    database.migrate([TRUST_HISTORY, HISTORY])

    time = {"since": NOON - 2 * KEPT_SECONDS, "until": NOON + 2 * HOUR, "step": HOUR}
    failed = ("verified", "TN-Validation-Failed", 438)
    with database.reading() as connection:
        of_all = count_calls(connection, **time, tenant=None)
        of_tenant = count_calls(connection, **time, tenant="a.example.com")
    assert set(of_all) == {
        CallCount(NOON, "signed", None, None, 1),
        CallCount(NOON + HOUR, *failed, 2),
    }
    assert set(of_tenant) == {
        CallCount(NOON, "signed", None, None, 1),
        CallCount(NOON + HOUR, *failed, 1),
    }
    add_calls(database, calls[:1])
    add_up(database)
    with database.reading() as connection:
        again = count_calls(connection, **time, tenant=None)
    assert CallCount(NOON, "signed", None, None, 2) in again
    database.close()


@given(
    batches=st.lists(
        st.lists(
            st.builds(
                record,
                st.integers(NOON - HOUR, NOON + 2 * HOUR),
                st.sampled_from(["a.example.com", "b.example.com", "", None]),
                st.just("verified"),
                st.sampled_from(["TN-Validation-Passed", "TN-Validation-Failed", None]),
                st.just("flag"),
                st.just("why"),
                st.sampled_from([438, 436, None]),
            ),
            max_size=5,
        ),
        max_size=4,
    ),
    limits=st.lists(st.integers(1, 7), max_size=6),
    step=st.sampled_from([HOUR, 2 * HOUR]),
)
def test_counts_are_exact_however_much_is_added_up(
    made: Path, batches: list[list[CallRecord]], limits: list[int], step: int
) -> None:
    begun = NOON - HOUR
    begun -= begun % step
    with copy_of(made) as database:
        for batch in batches:
            add_calls(database, batch)
            for limit in limits[:2]:
                add_up(database, limit=limit)
            limits = limits[2:]
        with database.reading() as connection:
            time = {"since": begun, "until": begun + 2 * step, "step": step}
            found = {
                tenant: Counter(
                    {
                        (each.start, each.verstat, each.code): each.count
                        for each in count_calls(connection, **time, tenant=tenant)
                    }
                )
                for tenant in (None, "a.example.com", "b.example.com", "c.example.com")
            }

    calls = [call for batch in batches for call in batch if begun <= call.at < begun + 2 * step]
    assert found == {
        tenant: Counter(
            (call.at - call.at % step, call.verstat, call.code)
            for call in calls
            if tenant in (None, call.tenant)
        )
        for tenant in found
    }


def test_calls_are_added_up_some_at_a_time_and_each_once(made: Path) -> None:
    with copy_of(made) as database:
        add_calls(database, [record(NOON, "a.example.com") for _ in range(5)])

        left = []
        for _ in range(4):
            left.append(not_added_up(database))
            add_up(database, limit=2)
        assert left == [5, 3, 1, 0]

        forget_calls(database, before=NOON + 1, limit=10)
        with database.reading() as connection:
            time = {"since": NOON, "until": NOON + HOUR, "step": HOUR}
            (found,) = count_calls(connection, **time, tenant="a.example.com")
    assert found.count == 5
