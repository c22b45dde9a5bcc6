"""The lists of certificates, deleting, downloading, and the page of one."""

from contextlib import closing
from dataclasses import replace
from html import unescape

import pytest

from shaken.audit import Action, AuditedChange
from shaken.store.tenants import add_tenant
from shaken.tenants import Tenant
from shaken.web.certificate_words import common_name, grouped, told
from shaken.web.certificates import ROWS, Wanted, pages_of
from tests.web.scenery import ACME, ALICE, BOUND, GLOBEX, INITECH, RENEWED, Service
from tests.web.visitor import Visitor, signed_in
from trust.acme.order import Certified, State
from trust.certificate import CertificateKind
from trust.selection import Fallback
from trust.store import acme_orders
from trust.store import certificates as stored

MANY = 10_000


async def names(visitor: Visitor, query: str) -> list[str]:
    """List what a page of the list shows, by its download links."""
    text = (await visitor.get(f"/admin/certificates?{query}")).text
    parts = text.split('<span class="hidden">Download ')[1:]
    return [unescape(part.partition("<")[0]) for part in parts]


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("", ["SHAKEN 4321", "SHAKEN 5678", "SHAKEN 1234"]),
        ("tab=sti", ["SHAKEN 4321", "SHAKEN 5678", "SHAKEN 1234"]),
        ("tab=nonsense&order=nonsense&page=x", ["SHAKEN 4321", "SHAKEN 5678", "SHAKEN 1234"]),
        ("tab=domain", [ACME]),
        ("tab=system", ["sti.example.com", "localhost"]),
        ("tab=system&order=newest", ["sti.example.com", "localhost"]),
        ("order=name", ["SHAKEN 1234", "SHAKEN 4321", "SHAKEN 5678"]),
        ("order=tenant", ["SHAKEN 1234", "SHAKEN 5678", "SHAKEN 4321"]),
        ("order=newest", ["SHAKEN 4321", "SHAKEN 5678", "SHAKEN 1234"]),
        ("status=valid", ["SHAKEN 1234"]),
        ("status=expired", ["SHAKEN 4321"]),
        ("status=expiring", ["SHAKEN 5678"]),
        ("search=globex", ["SHAKEN 5678"]),
        ("search=EXAMPLE+sti-ca+GLOBEX", ["SHAKEN 5678"]),
        ("search=globex&status=valid", []),
        ("search=nowhere", []),
        ("page=7", ["SHAKEN 4321", "SHAKEN 5678", "SHAKEN 1234"]),
    ],
)
async def test_certificates_are_found(service: Service, query: str, shown: list[str]) -> None:
    visitor = await signed_in(service, ALICE)

    assert await names(visitor, query) == shown


async def test_a_search_looks_at_fingerprint_and_serial_number(service: Service) -> None:
    visitor = await signed_in(service, ALICE)
    row = service.snapshots.current.certificates[service.scenery.certificates[GLOBEX]]

    assert await names(visitor, f"search={row.id[:12]}") == ["SHAKEN 5678"]
    assert await names(visitor, f"search={row.serial}") == ["SHAKEN 5678"]


async def test_what_is_typed_is_kept_and_harms_nothing(service: Service) -> None:
    visitor = await signed_in(service, ALICE)

    text = (await visitor.get("/admin/certificates?search=%22%3E%3Cscript%3Ealert(1)")).text

    assert "<script>alert" not in text
    assert "&gt;&lt;script&gt;alert(1)" in text


@pytest.mark.parametrize(("total", "pages"), [(0, 1), (1, 1), (ROWS, 1), (ROWS + 1, 2)])
def test_a_page_holds_so_many_rows(total: int, pages: int) -> None:
    assert pages_of(total) == pages


def test_the_address_of_a_list_says_what_it_shows() -> None:
    wanted = Wanted.of({"search": "a b", "status": "valid", "page": "3"})

    assert wanted.page(4) == "/admin/certificates?tab=sti&search=a+b&status=valid&page=4"
    assert wanted.path(status="") == "/admin/certificates?tab=sti&search=a+b"


async def test_ten_thousand_certificates_are_shown_page_by_page(service: Service) -> None:
    model = service.snapshots.current.certificates[service.scenery.certificates[ACME]]
    with (
        closing(service.prepared.open_database()) as database,
        database.reading() as connection,
    ):
        chain = stored.chain_pem(connection, model.id)
    assert chain is not None

    def add(change: AuditedChange) -> None:
        for number in range(MANY):
            tenant = f"pbx{number}.example.com"
            add_tenant(change, Tenant(tenant, (), (), Fallback.FIRST))
            subject = f"CN=SHAKEN {number:05}"
            row = replace(model, id=f"{number:064x}", subject=subject, tenant=tenant)
            # No two chains are alike, so that nothing is remembered of another.
            stored.add(change, row, chain=f"{chain}{number}\n")
        change.audit(Action.CERTIFICATE_IMPORT, "many", tenant=None)

    await service.change(add)
    visitor = await signed_in(service, ALICE)

    last = await visitor.get("/admin/certificates?order=newest&page=999")
    assert f"page {-(-(MANY + 3) // ROWS)} of" in last.text
    for path in ("/admin", "/admin/certificates?search=pbx77&order=tenant"):
        assert (await visitor.get(path)).status == 200


async def test_deleting_asks_first(service: Service) -> None:
    visitor = await signed_in(service, ALICE)
    old = service.scenery.certificates["old"]

    asked = await visitor.post("/admin/certificates/delete", {"id": old})

    assert asked.status == 200
    assert "Nothing depends on this" in asked.text
    assert "Another one is ordered" not in asked.text
    assert old in service.snapshots.current.certificates


async def test_deleting_what_is_renewed_says_that_another_one_is_ordered(service: Service) -> None:
    old = service.scenery.certificates["old"]

    def issue(change: AuditedChange) -> None:
        certified = Certified(old, "directory", 0, 2**32)
        issued = replace(RENEWED, state=State.ISSUED, certified=certified)
        acme_orders.settle(change.connection, issued)
        change.audit(Action.ORDER_RENEW, RENEWED.id, tenant=GLOBEX)

    await service.change(issue)
    visitor = await signed_in(service, ALICE)

    asked = await visitor.post("/admin/certificates/delete", {"id": old})

    assert "Another one is ordered" in asked.text
    assert f"/admin/renewals/{RENEWED.id}" in asked.text


async def test_what_was_confirmed_is_deleted_told_and_on_record(service: Service) -> None:
    visitor = await signed_in(service, ALICE)
    old = service.scenery.certificates["old"]

    done = await visitor.post("/admin/certificates/delete", {"id": old, "sure": "yes"})

    assert done.status == 303
    assert old not in service.snapshots.current.certificates
    shown = await visitor.get(done.location)
    assert "1 certificate deleted." in shown.text
    assert "1 certificate deleted." not in (await visitor.get(done.location)).text
    seen = await visitor.ask(
        "GET",
        f"/api/v1/audit?subject={old}",
        headers={"Authorization": f"Bearer {service.scenery.secrets[ALICE]}"},
    )
    assert '"actor":"alice"' in seen.text
    assert '"certificate.delete"' in seen.text


async def test_what_depends_on_certificates_is_said_and_must_be_accepted(
    service: Service,
) -> None:
    visitor = await signed_in(service, ALICE)
    both = [("id", service.scenery.certificates[name]) for name in (ACME, GLOBEX)]

    asked = await visitor.post("/admin/certificates/delete", both)
    refused = await visitor.post("/admin/certificates/delete", [*both, ("sure", "yes")])

    assert f"it is the only certificate that {ACME} signs with" in asked.text
    assert f"it is the only certificate that {GLOBEX} signs with" in asked.text
    assert refused.status == 409
    assert "Say that you know what will stop working" in refused.text
    assert both[0][1] in service.snapshots.current.certificates

    sure = [*both, ("sure", "yes"), ("force", "yes")]
    assert (await visitor.post("/admin/certificates/delete", sure)).status == 303
    assert both[0][1] not in service.snapshots.current.certificates


async def test_the_built_in_certificate_is_made_anew_where_the_last_of_the_system_is_deleted(
    service: Service,
) -> None:
    visitor = await signed_in(service, ALICE)
    ids = [
        ("id", row.id)
        for row in service.snapshots.current.certificates.values()
        if row.kind is CertificateKind.SYSTEM
    ]

    sure = [*ids, ("sure", "yes")]
    assert (await visitor.post("/admin/certificates/delete", sure)).status == 409
    sure = [*sure, ("force", "yes")]
    assert (await visitor.post("/admin/certificates/delete", sure)).status == 303

    left = service.snapshots.current.tls.default(now=int(service.clock()))
    assert left is not None
    assert left.built_in
    assert left.id not in dict(ids).values()


async def test_of_several_all_are_deleted_or_none(service: Service) -> None:
    visitor = await signed_in(service, BOUND)
    ids = [("id", service.scenery.certificates[name]) for name in ("domain", GLOBEX)]

    seen = await visitor.post("/admin/certificates/delete", [*ids, ("sure", "yes")])

    assert seen.status == 404
    assert ids[0][1] in service.snapshots.current.certificates


async def test_deleting_nothing_is_said(service: Service) -> None:
    visitor = await signed_in(service, ALICE)

    done = await visitor.post("/admin/certificates/delete", {})

    assert "Nothing was selected" in (await visitor.get(done.location)).text


@pytest.mark.parametrize(
    ("path", "begins", "name"),
    [
        ("pem", b"-----BEGIN CERTIFICATE-----", "sti-"),
        ("der", b"0\x82", "sti-"),
        ("der?chain=true", b"0\x82", "sti-"),
    ],
)
async def test_certificates_are_downloaded(
    service: Service, path: str, begins: bytes, name: str
) -> None:
    visitor = await signed_in(service, ALICE)

    seen = await visitor.get(f"/admin/certificates/{service.scenery.certificates[ACME]}/{path}")

    assert seen.body.startswith(begins)
    assert f'attachment; filename="{name}' in seen.headers["Content-Disposition"]


async def test_a_tenants_admin_downloads_no_others(service: Service) -> None:
    visitor = await signed_in(service, BOUND)

    seen = await visitor.get(f"/admin/certificates/{service.scenery.certificates[GLOBEX]}/pem")

    assert seen.status == 404


async def test_a_page_says_what_a_certificate_is_and_who_uses_it(service: Service) -> None:
    visitor = await signed_in(service, ALICE)

    text = (await visitor.get(f"/admin/certificates/{service.scenery.certificates[ACME]}")).text

    for words in (
        "provider code (SPC) <b>1234</b>",
        "number <b>12155550100</b>",
        "100 numbers from <b>12155550200</b>",
        "Signs the calls of",
        f"<li>{ACME}</li>",
        "Signs for 1 tenant without a certificate of their own",
        "STI-PA Root 2025",
        "Trusted root",
        "Elliptic curve P-256",
        "<b>Imported</b> by system",
        "is here",
    ):
        assert words in text


async def test_a_page_says_for_which_names_tls_presents_a_certificate(service: Service) -> None:
    visitor = await signed_in(service, ALICE)

    text = (await visitor.get(f"/admin/certificates/{service.scenery.certificates['system']}")).text

    assert "<li>sti.example.com</li>" in text
    assert "<li>*.example.com</li>" in text
    assert "Presented to clients that name no host" in text
    assert "is not among the trusted roots" in text
    assert "add its root to the trusted roots" in text
    assert "?replace=true" not in text


async def test_a_warning_says_what_to_do(service: Service) -> None:
    visitor = await signed_in(service, ALICE)

    text = (await visitor.get(f"/admin/certificates/{service.scenery.certificates['old']}")).text

    assert "It has expired: replace it." in text
    assert "Import a new one, then delete this." in text
    assert "Not in use" in text


@pytest.mark.parametrize(
    ("subject", "name"),
    [
        ("CN=SHAKEN 1234,O=Lab", "SHAKEN 1234"),
        ("O=Lab,CN=a", "a"),
        (r"CN=Lab\, Inc.,O=x", "Lab, Inc."),
        ("O=Lab", "O=Lab"),
        ("O=xCN=1", "O=xCN=1"),
        ("", ""),
    ],
)
def test_a_subject_is_called_by_its_common_name(subject: str, name: str) -> None:
    assert common_name(subject) == name


def test_fingerprints_are_written_as_others_write_them() -> None:
    assert grouped("00ff1a") == "00:FF:1A"


async def test_an_empty_list_teaches_what_to_do(service: Service) -> None:
    visitor = await signed_in(service, ALICE)

    def remove(change: AuditedChange) -> None:
        for row in service.snapshots.current.certificates.values():
            if row.kind is CertificateKind.STI:
                stored.remove(change, row.id)
        change.audit(Action.CERTIFICATE_DELETE, "all", tenant=None)

    await service.change(remove)

    assert "shaken lab-ca --spc 1234" in (await visitor.get("/admin/certificates")).text
    overview = (await visitor.get("/admin")).text
    assert "No call can be signed" in overview
    assert INITECH in overview


@pytest.mark.parametrize(
    ("slug", "title", "tone"),
    [
        ("expired", "It has expired", "bad"),
        ("weak-key", "Its key is weak", "warn"),
        ("not-presentable", "It cannot be presented", "bad"),
        ("of-tomorrow", "Look at this", "warn"),
    ],
)
def test_a_warning_has_a_title_and_a_tone(slug: str, title: str, tone: str) -> None:
    said = told(slug, "it is so")

    assert (said.title, said.detail, said.tone) == (title, "It is so.", tone)
