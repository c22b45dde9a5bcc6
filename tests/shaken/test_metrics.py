"""What a monitoring system reads."""

import multiprocessing
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from shaken.metrics import Renewals, exposition, first_end
from shaken.snapshot import Snapshot, take_snapshot
from shaken.tally import Count, Tally
from trust.acme.order import State
from trust.acme.renewal import Urgency
from trust.store.certificates import StoredCertificate
from trust.store.database import Database

Samples = dict[tuple[str, tuple[str, ...]], float]


def samples(text: bytes) -> Samples:
    """Read an exposition as another program does."""
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


@pytest.fixture
def snapshot(database: Database, certificate: StoredCertificate) -> Snapshot:
    """One certificate that can sign."""
    del certificate
    return take_snapshot(database)


def test_certificates_are_counted_by_kind_and_status(
    snapshot: Snapshot, certificate: StoredCertificate, now: int
) -> None:
    end = certificate.not_after
    expiry = ("shaken_certificate_first_expiry_timestamp_seconds", ("sti",))
    for at, status in ((now, "valid"), (end - 86400, "expiring"), (end + 1, "expired")):
        found = samples(exposition(snapshot, Renewals(), Tally(), ready=True, now=at))

        counts = {labels: value for (name, labels), value in found.items() if name.endswith("ates")}
        assert {labels for labels, value in counts.items() if value} == {("sti", status)}
        assert found[expiry] == end
        assert found["shaken_ready", ()] == 1


@pytest.mark.parametrize(
    ("others", "first"),
    [
        ([], 100),
        ([{"not_after": 300}], 300),
        ([{"not_after": 50}], 100),
        ([{"not_after": 300, "sealed_key": None}], 100),
        ([{"not_after": 300, "tenant": "b.example"}], 100),
        ([{"not_after": 80, "names": ("b.example",)}], 80),
        ([{"not_after": 300}, {"not_after": 200, "names": ("b.example",)}], 200),
    ],
)
def test_the_first_expiry_is_that_of_the_last_certificate_of_a_name(
    certificate: StoredCertificate, others: list[dict[str, Any]], first: int
) -> None:
    row = replace(certificate, not_after=100)

    assert first_end([row, *(replace(row, **other) for other in others)]) == first


def test_renewals_that_fail_are_counted_by_urgency(snapshot: Snapshot, now: int) -> None:
    renewals = Renewals(
        {State.ISSUED: 3, State.FAILED: 2}, [Urgency.RETRYING, Urgency.URGENT], 7, 1
    )

    found = samples(exposition(snapshot, renewals, Tally(), ready=False, now=now))

    assert found["shaken_acme_orders", ("issued",)] == 3
    assert found["shaken_acme_orders", ("stopped",)] == 0
    assert found["shaken_acme_orders_failing", ("urgent",)] == 1
    assert found["shaken_acme_orders_failing", ("expired",)] == 0
    assert found["shaken_acme_failures", ()] == 7
    assert found["shaken_acme_orders_overdue", ()] == 1
    assert found["shaken_ready", ()] == 0


def test_calls_of_all_workers_are_counted_together(snapshot: Snapshot, now: int) -> None:
    tally = Tally()
    for slot in (0, 3):
        tally.row(slot)[Count.SIGNED] += 2
        tally.row(slot)[Count.FAILED] += 1
    tally.row(1)[Count.WAITING] = 5
    tally.row(1)[Count.DROPPED] = 7

    found = samples(exposition(snapshot, Renewals(), tally, ready=True, now=now))

    assert found["shaken_calls_total", ("signed", "")] == 4
    assert found["shaken_calls_total", ("verified", "TN-Validation-Failed")] == 2
    assert found["shaken_calls_total", ("verified", "TN-Validation-Passed")] == 0
    assert found["shaken_call_records_waiting", ()] == 5
    assert found["shaken_call_records_dropped_total", ()] == 7


def test_what_a_forked_worker_counts_is_seen_by_the_others() -> None:
    tally = Tally()
    worker = multiprocessing.get_context("fork").Process(target=_count, args=(tally,))

    worker.start()
    worker.join()

    assert tally.total(Count.SIGNED) == 1


def _count(tally: Tally) -> None:
    tally.row(1)[Count.SIGNED] += 1
