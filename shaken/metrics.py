"""What a monitoring system watches: certificates, their renewal, and calls, in numbers. Pure.

All of it is read from the store, the snapshot and what the workers share, so that whichever worker
is asked says the same. prometheus_client writes the text.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from shaken.certificates import Status, status_of
from shaken.snapshot import Snapshot
from shaken.store.calls import CallKind
from shaken.tally import OF_VERDICT, Count, Tally
from trust.acme.order import State
from trust.acme.renewal import Urgency
from trust.certificate import CertificateKind
from trust.store.certificates import StoredCertificate

MEDIA_TYPE = "text/plain; version=0.0.4"
"""Of the text format of Prometheus."""


@dataclass(frozen=True)
class Renewals:
    """How orders stand: in each state, those that fail by urgency, tries that failed in a row."""

    states: dict[State, int] = field(default_factory=dict)
    failing: Sequence[Urgency] = ()
    failures: int = 0
    overdue: int = 0


def exposition(
    snapshot: Snapshot, renewals: Renewals, tally: Tally, *, ready: bool, now: int
) -> bytes:
    """Return all metrics in Prometheus' text format. `now` is Unix seconds."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Metrics(snapshot, renewals, tally, ready, now))
    return generate_latest(registry)


@dataclass(frozen=True, eq=False)
class _Metrics(Collector):
    snapshot: Snapshot
    renewals: Renewals
    tally: Tally
    ready: bool
    now: int

    def collect(self) -> Iterator[Metric]:
        """Give the families, each whole: what is zero is said too."""
        yield GaugeMetricFamily(
            "shaken_ready", "Whether a call could be signed now.", value=float(self.ready)
        )
        yield from self._certificates()
        yield from self._renewals()
        yield GaugeMetricFamily(
            "shaken_tenants", "Tenants.", value=len(self.snapshot.tenant_rows.rows)
        )
        yield GaugeMetricFamily("shaken_trunks", "Trunks.", value=len(self.snapshot.trunks))
        yield from self._calls()

    def _calls(self) -> Iterator[Metric]:
        total = self.tally.total
        calls = CounterMetricFamily(
            "shaken_calls",
            "Calls since the service started: signed, or verified with a verdict.",
            labels=["kind", "verstat"],
        )
        for verstat, count in OF_VERDICT.items():
            kind = CallKind.SIGNED if verstat is None else CallKind.VERIFIED
            calls.add_metric([kind.value, verstat or ""], total(count))
        yield calls
        yield GaugeMetricFamily(
            "shaken_call_records_waiting",
            "Records of calls in memory that could not be stored yet.",
            value=total(Count.WAITING),
        )
        yield CounterMetricFamily(
            "shaken_call_records_dropped",
            "Records of calls that found no room in memory, since the service started.",
            value=total(Count.DROPPED),
        )

    def _certificates(self) -> Iterator[Metric]:
        rows = self.snapshot.certificates.values()
        statuses = Counter((row.kind, status_of(row, now=self.now)) for row in rows)
        counts = GaugeMetricFamily(
            "shaken_certificates", "Certificates that are kept.", labels=["kind", "status"]
        )
        first = GaugeMetricFamily(
            "shaken_certificate_first_expiry_timestamp_seconds",
            "When the first name, or tenant without one, has no valid certificate with a key left;"
            " in the past where that is so.",
            labels=["kind"],
        )
        for kind in CertificateKind:
            for status in Status:
                counts.add_metric([kind.value, status.value], statuses[kind, status])
            end = first_end(row for row in rows if row.kind is kind)
            if end is not None:
                first.add_metric([kind.value], end)
        yield counts
        yield first

    def _renewals(self) -> Iterator[Metric]:
        states = GaugeMetricFamily(
            "shaken_acme_orders", "Certificates that are renewed here, by state.", labels=["state"]
        )
        for state in State:
            states.add_metric([state.value], self.renewals.states.get(state, 0))
        yield states
        failing = GaugeMetricFamily(
            "shaken_acme_orders_failing",
            "Of those the ones whose last try failed, by urgency.",
            labels=["urgency"],
        )
        urgencies = Counter(self.renewals.failing)
        for urgency in Urgency:
            failing.add_metric([urgency.value], urgencies[urgency])
        yield failing
        yield GaugeMetricFamily(
            "shaken_acme_failures",
            "Tries that failed in a row, of all of them together.",
            value=self.renewals.failures,
        )
        yield GaugeMetricFamily(
            "shaken_acme_orders_overdue",
            "Orders that nobody has tried for an hour past their time: no worker renews.",
            value=self.renewals.overdue,
        )


def first_end(rows: Iterable[StoredCertificate]) -> int | None:
    """Return when the first name of a tenant is without certificate; None: there are none.

    Only those with a key count. The last that a name has keeps its end when that is past.
    """
    ends: dict[tuple[str | None, str], int] = {}
    for row in rows:
        if row.sealed_key is not None:
            for name in row.names or ("",):
                of_name = row.tenant, name
                ends[of_name] = max(row.not_after, ends.get(of_name, row.not_after))
    return min(ends.values(), default=None)
