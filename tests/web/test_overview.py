"""The first page: whether all is well, what is to be done, who signs with what, how many calls."""

from contextlib import closing
from html import unescape

import pytest

from shaken.audit import Action, AuditedChange
from shaken.credentials import Credential, Role, digest_of
from shaken.store.call_counts import (
    KEPT_SECONDS,
    CallCount,
    add_up,
    count_calls,
    forget_counts,
)
from shaken.store.calls import CallKind, CallRecord, add_calls
from shaken.store.credentials import add_credential
from shaken.web.charts import HEIGHT, round_up, stacked
from shaken.web.overview import PERIODS, calls_of
from shaken.web.words import DAY, HOUR, distance, number, plural, shown_time, utc
from tests.web.scenery import ACME, ALICE, GLOBEX, INITECH, UMBRELLA, Service
from tests.web.visitor import Visitor, signed_in
from trust.roots import Purpose
from trust.store import certificates as stored
from trust.store import roots

NOW = 1_780_315_200
"""Noon of 1 June 2026."""


async def test_what_is_to_be_done_is_said_first(service: Service) -> None:
    visitor = await signed_in(service, ALICE)

    text = (await visitor.get("/admin")).text

    assert "Something is wrong" in text
    assert "1 tenant cannot sign calls" in text
    assert f"No STI certificate with a key is valid now for {UMBRELLA}" in text
    assert "1 STI certificate has expired" in text
    assert "1 STI certificate expires soon" in text


async def test_all_is_well_when_nothing_is_to_be_done(service: Service) -> None:
    visitor = await signed_in(service, ALICE)

    def mend(change: AuditedChange) -> None:
        for name in (GLOBEX, "old"):
            stored.remove(change, service.scenery.certificates[name])
        change.connection.exec_driver_sql("update tenants set fallback = 'first', revision = 9999")
        change.audit(Action.TENANT_UPDATE, UMBRELLA, tenant=UMBRELLA)

    await service.change(mend)

    assert "All is well" in (await visitor.get("/admin")).text


async def test_without_roots_of_signers_no_call_can_be_verified(service: Service) -> None:
    visitor = await signed_in(service, ALICE)

    def forget(change: AuditedChange) -> None:
        for root in service.snapshots.current.root_rows.rows.values():
            if root.purpose is Purpose.STI:
                roots.remove(change, root)
        change.audit(Action.ROOT_DELETE, "root", tenant=None)

    await service.change(forget)

    assert "No call can be verified" in (await visitor.get("/admin")).text


async def test_each_tenant_is_shown_with_what_it_signs_with(service: Service) -> None:
    visitor = await signed_in(service, ALICE)

    text = (await visitor.get("/admin")).text.partition("Who signs with what")[2]

    order = [text.index(tenant) for tenant in (UMBRELLA, GLOBEX, ACME, INITECH)]
    assert order == sorted(order), "what ends first comes first"
    assert "not its own: the first one available" in text
    assert "Cannot sign" in text


async def test_a_tenants_people_see_no_certificate_of_others(service: Service) -> None:
    def have(change: AuditedChange) -> None:
        who = Credential("ina", Role.VIEWER, digest_of("shk_ina"), INITECH, None, ())
        add_credential(change, who, now=0)
        change.audit(Action.CREDENTIAL_CREATE, "ina", tenant=INITECH)

    await service.change(have)
    visitor = Visitor(service)
    await visitor.sign_in("ina", "shk_ina")

    text = (await visitor.get("/admin")).text

    assert "a certificate of the service" in text
    assert "SHAKEN 1234" not in text


@pytest.mark.parametrize("period", ["", "day", "week", "month", "nonsense"])
async def test_calls_are_counted_by_period(service: Service, period: str) -> None:
    visitor = await signed_in(service, ALICE)

    text = (await visitor.get(f"/admin?period={period}")).text

    words = {"week": "7 days", "month": "30 days"}.get(period, "24 hours")
    assert f"Calls of the last {words}" in text
    assert "<td" in text, "what is drawn stands in a table too"
    assert "438" in text
    assert "Invalid Identity Header" in text


async def test_calls_are_counted_by_time_kind_and_verdict(service: Service) -> None:
    parties = ("pbx", ACME, "main", "12155550100", "12155550101", "A", "o", "c", "r")
    failed = ("verified", "TN-Validation-Failed", "flag", "why", 438)
    with closing(service.prepared.open_database()) as database:
        calls = [CallRecord(NOW, *parties), CallRecord(NOW + 2 * HOUR, *parties, *failed)]
        add_calls(database, [*calls, calls[0]])
        with database.reading() as connection:
            time = {"since": NOW, "until": NOW + DAY, "step": HOUR}
            found = count_calls(connection, **time, tenant=ACME)
            of_all = count_calls(connection, **time, tenant=None)
            of_others = count_calls(connection, **time, tenant="other.example.com")
            later = count_calls(connection, **{**time, "since": NOW + HOUR}, tenant=ACME)

    assert (
        set(found)
        == set(of_all)
        == {
            CallCount(NOW, CallKind.SIGNED, None, None, 2),
            CallCount(NOW + 2 * HOUR, CallKind.VERIFIED, "TN-Validation-Failed", 438, 1),
        }
    )
    assert of_others == []
    assert [each.count for each in later] == [1]


async def test_all_calls_are_counted_however_many(service: Service) -> None:
    parties = ("12155550100", "12155550101", "A", "o", "c", "r")
    older = CallRecord(NOW + 1, "pbx", ACME, "main", *parties)
    newer = CallRecord(NOW + HOUR, "pbx", None, None, *parties)
    with closing(service.prepared.open_database()) as database:
        for _ in range(12):
            add_calls(database, [older] * 5_000)
        add_up(database)
        add_calls(database, [newer])
        with database.reading() as connection:
            time = {"since": NOW - DAY, "until": NOW + DAY, "step": DAY}
            found = count_calls(connection, **time, tenant=None)
            of_tenant = count_calls(connection, **time, tenant=ACME)

    assert sum(each.count for each in found) == 60_001
    assert sum(each.count for each in of_tenant) == 60_000


async def test_counts_of_many_tenants_are_kept_apart(service: Service) -> None:
    parties = ("12155550100", "12155550101", "A", "o", "c", "r")
    calls = [
        CallRecord(NOW, "pbx", f"t{each}.example.com", None, *parties) for each in range(1_000)
    ]
    with closing(service.prepared.open_database()) as database:
        add_calls(database, calls)
        add_calls(database, calls[:1])
        with database.reading() as connection:
            time = {"since": NOW, "until": NOW + HOUR, "step": HOUR}
            (first,) = count_calls(connection, **time, tenant="t0.example.com")
            (last,) = count_calls(connection, **time, tenant="t999.example.com")
            (of_all,) = count_calls(connection, **time, tenant=None)

    assert (first.count, last.count, of_all.count) == (2, 1, 1_001)


async def test_old_counts_are_forgotten(service: Service) -> None:
    parties = ("12155550100", "12155550101", "A", "o", "c", "r")
    calls = [CallRecord(at, "pbx", ACME, None, *parties) for at in (NOW, NOW + HOUR)]
    with closing(service.prepared.open_database()) as database:
        add_calls(database, calls)
        add_up(database)
        forget_counts(database, before=NOW + HOUR)
        with database.reading() as connection:
            time = {"since": NOW, "until": NOW + DAY, "step": DAY}
            (found,) = count_calls(connection, **time, tenant=ACME)

    assert found.count == 1
    assert max(period.length for period in PERIODS) < KEPT_SECONDS


def test_what_was_counted_is_arranged() -> None:
    day = PERIODS[0]
    passed = ("TN-Validation-Passed", None)
    counts = [
        CallCount(NOW, CallKind.SIGNED, None, None, 5),
        CallCount(NOW, CallKind.VERIFIED, *passed, 3),
        CallCount(NOW - HOUR, CallKind.VERIFIED, "TN-Validation-Failed", 438, 2),
        CallCount(NOW - HOUR, CallKind.VERIFIED, None, 428, 1),
    ]

    calls = calls_of(counts, day, now=NOW + 5)

    assert calls.verified == 6
    assert [count for _, count in calls.verdicts] == [3, 2, 1]
    assert calls.reasons == [
        (438, "Invalid Identity Header", 2),
        (428, "Use Identity Header", 1),
    ]
    assert len(calls.chart.steps) == 24
    assert calls.chart.steps[-1].start == NOW
    assert calls.chart.total("signed") == 5


def test_bars_stand_on_each_other_and_fill_the_height() -> None:
    chart = stacked({(0, "a"): 6, (0, "b"): 4, (1, "a"): 5}, series=("a", "b"), starts=(0, 1))

    first, second = chart.steps
    assert chart.top == 10
    assert first.bars[1].y == 0
    assert first.bars[0].y + first.bars[0].height == HEIGHT
    assert first.bars[1].y + first.bars[1].height == first.bars[0].y
    assert second.bars[0].height == HEIGHT / 2
    assert (first.total, second.total) == (10, 5)
    assert first.bars[0].x + first.bars[0].width < second.bars[0].x
    assert chart.lines == ((0, HEIGHT), (5, HEIGHT / 2), (10, 0))


def test_a_chart_of_nothing_can_be_drawn() -> None:
    assert stacked({}, series=("a",), starts=()).steps == ()
    assert stacked({}, series=("a",), starts=(0,)).lines == ((0, HEIGHT), (1, 0))


@pytest.mark.parametrize(
    ("count", "top"), [(0, 1), (1, 1), (2, 2), (3, 4), (9, 10), (11, 20), (61, 80), (1000, 1000)]
)
def test_the_scale_ends_at_a_round_number(count: int, top: int) -> None:
    assert round_up(count) == top


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "now"),
        (59, "now"),
        (60, "in 1 minute"),
        (-3600, "1 hour ago"),
        (2 * DAY + 5, "in 2 days"),
        (-1000 * DAY, "1\u202f000 days ago"),
    ],
)
def test_distances_are_said_in_words(seconds: int, words: str) -> None:
    assert distance(NOW + seconds, NOW) == words


def test_times_and_counts_are_written_for_people() -> None:
    assert utc(NOW) == "2026-06-01 12:00:00 UTC"
    assert shown_time(NOW) == "1 Jun 2026, 12:00 UTC"
    assert number(1234567) == "1\u202f234\u202f567"
    assert (plural(1, "call"), plural(0, "call")) == ("1 call", "0 calls")


async def test_times_say_utc_in_the_title(service: Service) -> None:
    visitor = await signed_in(service, ALICE)

    text = unescape((await visitor.get("/admin")).text)

    assert '" title="' in text.partition("<time datetime=")[2][:60]
    assert " UTC" in text
