"""The pages of calls and of the audit: filters, pages, files, and who sees whose."""

import csv
import io
import re
from contextlib import closing
from html import unescape

import pytest

from shaken.audit import Action, AuditedChange
from shaken.store.calls import CallRecord, add_calls
from shaken.web import exports
from shaken.web.exports import safe_cell
from tests.web.scenery import ACME, ALICE, BOUND, GLOBEX, MACHINE, Service
from tests.web.visitor import signed_in


def record(service: Service, *, tenant: str, orig: str, dest: str = "12155550199") -> None:
    """Write a call of now."""
    at = int(service.clock())
    call = CallRecord(at, MACHINE, tenant, None, orig, dest, "A", "o", "c", "r")
    with closing(service.prepared.open_database()) as database:
        add_calls(database, [call])


def rows(body: bytes) -> list[dict[str, str]]:
    """Read a file."""
    return list(csv.DictReader(io.StringIO(body.decode(), newline="")))


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@a", "'@a"),
        ("\t=1", "'\t=1"),
        ("a=1", "a=1"),
        ("", ""),
    ],
)
def test_a_spreadsheet_runs_no_cell(cell: str, written: str) -> None:
    assert safe_cell(cell) == written


async def test_calls_are_found_by_their_number(service: Service) -> None:
    record(service, tenant=GLOBEX, orig="13125550123")
    visitor = await signed_in(service, ALICE)

    seen = await visitor.get("/admin/calls?number=%2B13125550123&kind=&verstat=&since=&until=")
    none = await visitor.get("/admin/calls?number=%2B19995550100")

    assert seen.text.count('data-label="From"') == 1
    assert "13125550123" in seen.text
    assert "Nothing fits" in none.text


async def test_calls_are_found_by_verdict_and_time(service: Service) -> None:
    visitor = await signed_in(service, ALICE)

    failed = rows((await visitor.get("/admin/calls.csv?verstat=TN-Validation-Failed")).body)
    signed = rows((await visitor.get("/admin/calls.csv?kind=signed")).body)
    later = await visitor.get("/admin/calls?since=2099-01-01T00:00")

    assert {row["verstat"] for row in failed} == {"TN-Validation-Failed"}
    assert {row["kind"] for row in signed} == {"signed"}
    assert "Nothing fits" in later.text


@pytest.mark.parametrize(
    "path", ["calls?number=x", "calls?since=noon", "calls?kind=x", "audit?action=x"]
)
async def test_a_wrong_filter_is_explained_on_the_page(service: Service, path: str) -> None:
    visitor = await signed_in(service, ALICE)

    seen = await visitor.get(f"/admin/{path}")

    assert seen.status == 400
    assert 'aria-invalid="true"' in seen.text
    (error,) = re.findall(r'<p class="error"[^>]*>.*?</svg>(.*?)</p>', seen.text)
    assert error[0].isupper()
    assert "certificate.import" not in error
    assert "TN-Validation" not in error


async def test_pages_lead_on_to_the_oldest(service: Service) -> None:
    visitor = await signed_in(service, ALICE)
    total = len(rows((await visitor.get("/admin/calls.csv")).body))
    found, path = 0, "/admin/calls"

    while path:
        text = (await visitor.get(path)).text
        found += text.count('data-label="Time"')
        more = re.search(r'rel="next" href="([^"]+)"', text)
        path = unescape(more[1]) if more else ""

    assert found == total > 100


async def test_a_file_that_is_cut_off_says_so_and_where_the_rest_is(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    visitor = await signed_in(service, ALICE)
    whole = (await visitor.get("/admin/calls.csv?kind=verified")).body
    monkeypatch.setattr(exports, "MAX_ROWS", 100)
    found, path, files = [], "/admin/calls.csv?kind=verified", 0

    while path:
        file = rows((await visitor.get(path)).body)
        last = file[-1]["at"]
        path = last.partition("this address: ")[2]
        if path:
            assert last.startswith("CUT OFF after 100 rows")
            assert path.startswith("/admin/calls.csv?kind=verified&after=")
        found += file[:-1] if path else file
        files += 1

    assert files > 1
    assert found == rows(whole)


async def test_a_file_that_is_whole_says_nothing(service: Service) -> None:
    visitor = await signed_in(service, ALICE)

    for name in ("calls", "audit"):
        assert "CUT OFF" not in (await visitor.get(f"/admin/{name}.csv")).text


async def test_pages_say_what_a_file_holds(service: Service) -> None:
    visitor = await signed_in(service, ALICE)

    for name in ("calls", "audit"):
        text = (await visitor.get(f"/admin/{name}")).text
        assert "10\u202f000" in text
        assert "its last line" in text


async def test_the_audit_tells_who_changed_what(service: Service) -> None:
    def change(change: AuditedChange) -> None:
        change.audit(Action.TENANT_UPDATE, "=cmd", tenant=None)

    await service.change(change)
    visitor = await signed_in(service, ALICE)

    text = (await visitor.get("/admin/audit?actor=test")).text
    file = await visitor.get("/admin/audit.csv?action=tenant.update")

    assert text.count('data-label="What"') == 1
    assert "<details>" in (await visitor.get("/admin/audit")).text
    assert [row["subject"] for row in rows(file.body)] == ["'=cmd"]
    assert file.headers["Content-Disposition"] == 'attachment; filename="audit.csv"'


async def test_who_is_of_a_tenant_sees_no_other(service: Service) -> None:
    record(service, tenant=GLOBEX, orig="13125550123")
    visitor = await signed_in(service, BOUND)

    for name in ("calls", "audit"):
        file = rows((await visitor.get(f"/admin/{name}.csv?tenant={GLOBEX}")).body)
        assert {row["tenant"] for row in file} == {ACME}
        assert GLOBEX not in (await visitor.get(f"/admin/{name}")).text
