"""Counts of calls: a store of an earlier version gets those of the calls it has."""

import shutil
from pathlib import Path

from sqlalchemy import text

from shaken.store import HISTORY
from shaken.store.call_counts import HOUR, KEPT_SECONDS, CallCount, count_calls
from shaken.store.calls import CallRecord, add_calls
from trust.store.database import HISTORY as TRUST_HISTORY
from trust.store.database import Database, History

NOON = 1_780_315_200
VERIFIED = ("verified", "TN-Validation-Failed", "flag", "why", 438)


def record(at: int, tenant: str | None, *verdict: object) -> CallRecord:
    """Make a record of a call."""
    return CallRecord(at, "pbx", tenant, None, "1", "2", "A", "o", "c", "r", *verdict)  # type: ignore[arg-type]


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
    with database.reading() as connection:
        again = count_calls(connection, **time, tenant=None)
    assert CallCount(NOON, "signed", None, None, 2) in again
    database.close()
