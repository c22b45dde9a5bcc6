"""What the service reports by itself: in the audit, once for all workers, and never too much."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from shaken.audit import SYSTEM, Action, changing, record_event
from shaken.inbound import ALARM_SECONDS, MAX_ALARMS, Alarm
from shaken.store.audit import AuditEntry, AuditFilter, find_entries
from shaken.x5u.exchange import FetchError
from tests.shaken.world import World
from tests.shaken.x5u.sites import Sites, file
from trust.authority import Authority
from trust.store.database import Database, StoreError

URL = "https://sti.example.com/leak.pem"
WORDS = "whoever fetches it can sign"
HOUR = 3600


def entries(database: Database) -> list[AuditEntry]:
    """List the newest first."""
    with database.reading() as connection:
        return list(find_entries(connection, AuditFilter(), before=None, limit=1000))


def report(database: Database, *, now: int, subject: str = URL) -> bool:
    return record_event(
        database,
        Action.PRIVATE_KEY_PUBLISHED,
        subject,
        detail={"words": WORDS},
        now=now,
        quiet_seconds=HOUR,
    )


# Events


def test_an_event_is_an_entry_of_the_services_own(database: Database, now: int) -> None:
    assert report(database, now=now)

    assert entries(database) == [
        AuditEntry(
            at=now,
            actor="system",
            peer=None,
            action="private-key.published",
            subject=URL,
            tenant=None,
            detail={"event": {"words": WORDS}},
            sequence=1,
        )
    ]


def test_an_event_may_be_a_tenants_matter(database: Database, now: int) -> None:
    record_event(
        database,
        Action.PRIVATE_KEY_PUBLISHED,
        URL,
        detail={},
        now=now,
        quiet_seconds=HOUR,
        tenant="a.example.com",
    )

    assert entries(database)[0].tenant == "a.example.com"


def test_the_same_event_is_written_once_within_its_time(database: Database, now: int) -> None:
    told = [report(database, now=at) for at in (now, now, now + HOUR - 1, now + HOUR)]

    assert told == [True, False, False, True]
    assert [entry.at for entry in entries(database)] == [now + HOUR, now]


def test_what_happens_to_another_or_is_done_to_it_is_no_such_event(
    database: Database, now: int
) -> None:
    with changing(database, SYSTEM, now=now) as change:
        change.audit(Action.TRUNK_CREATE, URL, tenant=None, after={})

    assert report(database, now=now)
    assert report(database, now=now, subject=f"{URL}?")
    assert len(entries(database)) == 3


def test_an_event_changes_nothing_that_workers_hold(database: Database, now: int) -> None:
    before = database.revision()

    report(database, now=now)

    assert database.revision() == before


def test_an_event_stays_as_it_was_written(database: Database, now: int) -> None:
    report(database, now=now)

    for statement in ("DELETE FROM audit", "UPDATE audit SET subject = ''"):
        with pytest.raises(StoreError, match="audit rows are never"), database.recording() as link:
            link.execute(text(statement))


def test_workers_that_report_at_once_write_one_entry(
    database: Database, tmp_path: Path, now: int
) -> None:
    others = [Database(f"sqlite:///{tmp_path}/shaken.sqlite") for _ in range(4)]
    gate = threading.Barrier(len(others))

    def work(other: Database) -> None:
        gate.wait(10)
        report(other, now=now)

    threads = [threading.Thread(target=work, args=(other,)) for other in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    for other in others:
        other.close()

    assert len(entries(database)) == 1


async def test_an_admin_sees_an_event(world: World) -> None:
    now = int(datetime.now(UTC).timestamp())
    report(world.database, now=now)

    (item,) = await world.audit("?action=private-key.published")

    assert (item["actor"], item["peer"], item["subject"]) == ("system", None, URL)
    assert item["detail"] == {"event": {"words": WORDS}}


# The alarm


class Clock:
    def __init__(self, now: int) -> None:
        self.now = float(now)

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(now: int) -> Clock:
    return Clock(now)


@pytest.fixture
def alarm(database: Database, clock: Clock) -> Iterator[Alarm]:
    made = Alarm(database, clock=clock)
    yield made
    made.close()


def test_an_alarm_is_in_the_log_and_in_the_audit(
    database: Database, alarm: Alarm, now: int, caplog: pytest.LogCaptureFixture
) -> None:
    alarm(URL, WORDS)
    alarm.close()

    assert f"ALARM: {URL}: {WORDS}" in caplog.text
    (entry,) = entries(database)
    assert (entry.actor, entry.action, entry.subject) == ("system", "private-key.published", URL)
    assert (entry.at, entry.detail) == (now, {"event": {"words": WORDS}})


def test_the_same_alarm_is_raised_once_an_hour(
    database: Database, alarm: Alarm, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        alarm(URL, WORDS)
        clock.now += ALARM_SECONDS - 1
        alarm(URL, WORDS)
        clock.now += 1
    alarm.close()

    assert caplog.text.count("ALARM: ") == 3
    assert len(entries(database)) == 3


def test_an_alarm_of_another_worker_is_in_the_audit_once(database: Database, clock: Clock) -> None:
    for _ in range(3):
        worker = Alarm(database, clock=clock)
        worker(URL, WORDS)
        worker.close()

    assert len(entries(database)) == 1


def test_strangers_fill_neither_log_nor_audit(
    database: Database,
    alarm: Alarm,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    urls = [f"{URL}/{number}" for number in range(MAX_ALARMS + 7)]
    for url in urls:
        alarm(url, WORDS)
    assert caplog.text.count("ALARM: ") == MAX_ALARMS + 1
    assert f"ALARM: {MAX_ALARMS} private keys in an hour; more are not told of" in caplog.text
    clock.now += ALARM_SECONDS
    alarm(urls[-1], WORDS)
    alarm.close()

    assert {entry.subject for entry in entries(database)} == {*urls[:MAX_ALARMS], urls[-1]}


def test_an_alarm_that_the_store_does_not_take_is_in_the_log(
    database: Database, alarm: Alarm, caplog: pytest.LogCaptureFixture
) -> None:
    with database.recording() as connection:
        connection.execute(text("ALTER TABLE audit RENAME TO lost"))

    alarm(URL, WORDS)
    alarm.close()

    assert f"ALARM: {URL}" in caplog.text
    assert "an alarm is not in the audit: the database" in caplog.text


async def test_a_private_key_at_a_url_leaves_no_trace_of_itself(
    database: Database, alarm: Alarm, lab_ca: Authority, now: int
) -> None:
    issued = lab_ca.issue_sti(spc="1234", now=datetime.fromtimestamp(now, UTC))
    sites = Sites(file(issued.chain_pem + issued.key_pem), now=float(now))
    with pytest.raises(FetchError):
        await sites.repository(on_alarm=alarm).get(URL, now=now)
    alarm.close()

    (entry,) = entries(database)
    assert entry.subject == URL
    assert not any(line in str(entry) for line in issued.key_pem.splitlines()[1:-1])
