"""The first page: is all well, or what is to be done; who signs with what; how many calls."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

from shaken.acceptance import REASONS, Verstat
from shaken.certificates import Status, status_of
from shaken.credentials import Role
from shaken.store.call_counts import CallCount, count_calls
from shaken.store.calls import CallKind
from shaken.tenants import Tenant
from shaken.web.certificate_words import KINDS, title_of
from shaken.web.charts import Chart, stacked
from shaken.web.routes import BASE, Answer, Page, PageCall, View
from shaken.web.words import DAY, HOUR, plural
from trust.acme.order import Order
from trust.certificate import CertificateKind, Source
from trust.roots import Purpose
from trust.selection import Chosen
from trust.store import acme_orders
from trust.store.certificates import StoredCertificate

MAX_TENANTS = 12
"""Tenants that the page lists, those that cannot sign first; the rest are counted."""

MAX_NAMED = 3
"""Things that one sentence names."""

MAX_FAILING = 20
"""Renewals that failed which are looked at."""

MAX_REASONS = 5
"""Reasons of failed verifications that are listed."""


@dataclass(frozen=True)
class Period:
    """How far back calls are counted, and in which steps, in seconds."""

    name: str
    words: str
    length: int
    step: int


PERIODS = (
    Period("day", "24 hours", DAY, HOUR),
    Period("week", "7 days", 7 * DAY, 6 * HOUR),
    Period("month", "30 days", 30 * DAY, DAY),
)
VERDICTS = {
    Verstat.PASSED: ("Passed", "good", "The signature holds: the number is the caller's own."),
    Verstat.FAILED: ("Failed", "bad", "There was a signature, and it does not hold."),
    Verstat.NONE: ("Not validated", "idle", "There was no signature, or none to decide by."),
}
"""How a verdict is called, how it is coloured, and what it means."""


class Severity(StrEnum):
    """How much a thing to do matters, the worst first; the words are those of the style."""

    BAD = "bad"
    WARN = "warn"


@dataclass(frozen=True)
class Task:
    """Something to be done: what is wrong, what to do about it, and where."""

    severity: Severity
    title: str
    detail: str
    path: str | None = None
    action: str = "Show"


@dataclass(frozen=True)
class Signing:
    """A tenant with what it signs with; `row` None: it cannot."""

    tenant: Tenant
    row: StoredCertificate | None
    own: bool
    status: Status | None


@dataclass(frozen=True)
class Calls:
    """Calls of a period: a chart, how verification ended, and why it failed most often."""

    period: Period
    chart: Chart
    verdicts: Sequence[tuple[Verstat, int]]
    reasons: Sequence[tuple[int, str, int]]

    @property
    def verified(self) -> int:
        """How many calls were verified."""
        return sum(count for _, count in self.verdicts)


def overview(call: PageCall) -> Answer:
    """Show the first page."""
    with call.resources.database.reading() as connection:
        failing = acme_orders.failing(connection, limit=MAX_FAILING, tenant=call.scope)
        period = next((p for p in PERIODS if p.name == call.query.get("period")), PERIODS[0])
        start = call.now - call.now % period.step - period.length + period.step
        counts = count_calls(
            connection,
            since=start,
            until=start + period.length,
            step=period.step,
            tenant=call.scope,
        )
    signings = [_signing(call, tenant) for tenant in _tenants(call)]
    tasks = list(_tasks(call, signings, [one for one in failing if _visible(call, one.tenant)]))
    signings.sort(key=_worst_first)
    context = {
        "tasks": tasks,
        "worst": worst_of(tasks),
        "signings": signings[:MAX_TENANTS],
        "more": max(0, len(signings) - MAX_TENANTS),
        "calls": calls_of(counts, period, now=call.now),
        "periods": PERIODS,
        "verdicts": VERDICTS,
        "title_of": title_of,
        "is_visible": partial(_visible, call),
    }
    return View("overview.html", context)


def worst_of(tasks: Sequence[Task]) -> Severity | None:
    """Return how much the things to do matter at most; None: there are none."""
    found = {task.severity for task in tasks}
    return next((severity for severity in Severity if severity in found), None)


def calls_of(counts: Sequence[CallCount], period: Period, *, now: int) -> Calls:
    """Arrange what was counted. `now` is Unix seconds."""
    last = now - now % period.step
    starts = range(last - period.length + period.step, last + 1, period.step)
    by_kind: Counter[tuple[int, str]] = Counter()
    verdicts: Counter[str] = Counter()
    codes: Counter[int] = Counter()
    for one in counts:
        by_kind[one.start, one.kind] += one.count
        if one.kind == CallKind.VERIFIED:
            verdicts[one.verstat or Verstat.NONE] += one.count
            if one.code is not None:
                codes[one.code] += one.count
    chart = stacked(by_kind, series=[kind.value for kind in CallKind], starts=starts)
    reasons = [
        (code, REASONS.get(code, "No reason is known"), count)
        for code, count in codes.most_common(MAX_REASONS)
    ]
    return Calls(period, chart, [(each, verdicts[each]) for each in Verstat], reasons)


def _tenants(call: PageCall) -> list[Tenant]:
    rows = call.snapshot.tenant_rows.rows
    return [tenant for tenant in rows.values() if _visible(call, tenant.address)]


def _visible(call: PageCall, tenant: str | None) -> bool:
    return call.scope in {None, tenant}


def _signing(call: PageCall, tenant: Tenant) -> Signing:
    choice = call.resources.pens.choice_for(call.snapshot, tenant, now=call.now)
    if choice is None:
        return Signing(tenant, None, own=False, status=None)
    row = call.snapshot.certificates[choice.candidate.id]
    own = choice.chosen is Chosen.TENANT
    return Signing(tenant, row, own=own, status=status_of(row, now=call.now))


def _worst_first(signing: Signing) -> tuple[int, str]:
    return (0 if signing.row is None else signing.row.not_after), signing.tenant.address


def _tasks(call: PageCall, signings: Sequence[Signing], failing: Sequence[Order]) -> Iterator[Task]:
    why_not = call.resources.pens.why_not_ready(call.snapshot, now=call.now)
    if why_not is not None:
        detail = f"{why_not[0].upper()}{why_not[1:]}."
        yield Task(
            Severity.BAD,
            "No call can be signed",
            detail,
            f"{BASE}/certificates?tab=sti",
            "Certificates",
        )
    elif unable := [signing.tenant.address for signing in signings if signing.row is None]:
        yield Task(
            Severity.BAD,
            f"{plural(len(unable), 'tenant')} cannot sign calls",
            f"No STI certificate with a key is valid now for {_named(unable)}. Import one.",
            f"{BASE}/certificates?tab=sti",
            "Certificates",
        )
    for order in failing:
        words = order.failures.problem.detail if order.failures else ""
        title = f"The certificate for {_named(order.names)} was not renewed"
        yield Task(Severity.WARN, title, words, f"{BASE}/renewals/{order.id}", "What to do")
    yield from _expiring(call)
    sti = (root for root in call.snapshot.root_rows.rows.values() if root.purpose is Purpose.STI)
    if not any(not root.deleted and not root.disabled for root in sti):
        yield Task(
            Severity.WARN,
            "No call can be verified",
            "No root of STI signers is trusted yet. Add those of your country's policy"
            " administrator.",
            f"{BASE}/roots?purpose=sti",
            "Trusted roots",
        )


def _expiring(call: PageCall) -> Iterator[Task]:
    """Tell of certificates that somebody has to renew by hand, and has not yet."""
    found: dict[tuple[Status, CertificateKind], list[StoredCertificate]] = {}
    rows = [row for row in call.snapshot.certificates.values() if _visible(call, row.tenant)]
    for row in rows:
        status = status_of(row, now=call.now)
        if status in _ENDING and row.source not in {Source.ACME, Source.BUILT_IN}:
            found.setdefault((status, row.kind), []).append(row)
    lasting = {
        _purpose(row) for row in rows if found and status_of(row, now=call.now) is Status.VALID
    }
    for status, one, several, detail in (
        (Status.EXPIRED, "has expired", "have expired", "Replace what is needed, delete the rest"),
        (Status.EXPIRING, "expires soon", "expire soon", "Have it issued anew, and import it"),
    ):
        for kind in CertificateKind:
            if old := [
                row for row in found.get((status, kind), ()) if _purpose(row) not in lasting
            ]:
                yield Task(
                    Severity.WARN,
                    f"{plural(len(old), f'{KINDS[kind][0]} certificate')}"
                    f" {one if len(old) == 1 else several}",
                    f"{detail}: {_named([title_of(row) for row in old])}.",
                    f"{BASE}/certificates?tab={kind.value}&status={status.value}",
                )


_ENDING = frozenset({Status.EXPIRED, Status.EXPIRING})


def _purpose(row: StoredCertificate) -> object:
    """Say what a certificate is for: where another is valid for the same, nothing is to be done."""
    return row.kind, row.tenant, row.names, row.tn_auth_list


def _named(names: Sequence[str]) -> str:
    shown = ", ".join(names[:MAX_NAMED])
    return f"{shown} and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else shown


PAGES = (Page("GET", BASE, Role.VIEWER, overview),)
