"""What a monitoring system reads."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from shaken.metrics import Renewals, exposition
from shaken.snapshot import Snapshot, take_snapshot
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
        found = samples(exposition(snapshot, Renewals(), ready=True, now=at))

        counts = {labels: value for (name, labels), value in found.items() if name.endswith("ates")}
        assert {labels for labels, value in counts.items() if value} == {("sti", status)}
        assert found.get(expiry) == (None if status == "expired" else end)
        assert found["shaken_ready", ()] == 1


def test_renewals_that_fail_are_counted_by_urgency(snapshot: Snapshot, now: int) -> None:
    renewals = Renewals(
        {State.ISSUED: 3, State.FAILED: 2}, [Urgency.RETRYING, Urgency.URGENT], 7, 1
    )

    found = samples(exposition(snapshot, renewals, ready=False, now=now))

    assert found["shaken_acme_orders", ("issued",)] == 3
    assert found["shaken_acme_orders", ("stopped",)] == 0
    assert found["shaken_acme_orders_failing", ("urgent",)] == 1
    assert found["shaken_acme_orders_failing", ("expired",)] == 0
    assert found["shaken_acme_failures", ()] == 7
    assert found["shaken_acme_orders_overdue", ()] == 1
    assert found["shaken_ready", ()] == 0
