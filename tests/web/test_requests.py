"""Certificate requests by the pages: made, handed on, answered by an import, deleted."""

from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from html import unescape

import pytest
from cryptography import x509

from shaken import requesting
from shaken.api.requests import MAX_NAMES, MAX_TNS
from shaken.audit import Action, AuditedChange
from shaken.requesting import Wish
from shaken.web.certificates import MAX_SEARCH
from tests.web.scenery import ACME, ALICE, BOUND, GLOBEX, RENEWED, VICTOR, Service
from tests.web.test_importing import fields_of, send
from tests.web.visitor import Seen, Visitor, signed_in
from trust.acme.order import Attempt, State
from trust.certificate import Certificate, CertificateKind
from trust.store import acme_orders
from trust.store import requests as stored
from trust.store.requests import MAX_PENDING_OF_TENANT

LIST = "/admin/certificates/requests"
NEW = f"{LIST}/new"


def waiting(service: Service) -> set[str]:
    """List the ids of the requests that wait."""
    with (
        closing(service.prepared.open_database()) as database,
        database.reading() as connection,
    ):
        found = stored.find(connection, stored.Filter(), after=0, limit=1000)
    return {row.id for row in found}


async def asked(visitor: Visitor, **form: str) -> str:
    """Make a request; return its id."""
    sent = await visitor.post(NEW, form)
    assert sent.status == 303, sent.text
    return sent.location.rpartition("/")[2]


async def csr_of(visitor: Visitor, identity: str) -> x509.CertificateSigningRequest:
    """Read what a download gives."""
    return x509.load_pem_x509_csr((await visitor.get(f"{LIST}/{identity}/csr")).body)


async def certified(service: Service, visitor: Visitor, identity: str) -> Certificate:
    """Have the authority certify a request."""
    return service.scenery.authority.certify(await csr_of(visitor, identity), now=moment(service))


def moment(service: Service) -> datetime:
    return datetime.fromtimestamp(service.clock(), UTC)


async def test_the_list_says_what_each_is_for_and_what_to_do_next(service: Service) -> None:
    visitor = await signed_in(service, ALICE)

    seen = await visitor.get(LIST)

    for words in (
        "SHAKEN 1234",
        "provider code 1234 and 101 numbers",
        "sti.example.com, *.example.com",
        ACME,
        "2 hours ago",
        "Send it to the authority",
        f"/admin/certificates/import?kind=sti&request={service.scenery.requests[ACME]}",
    ):
        assert words in unescape(seen.text)
    assert "Requests <small>2</small>" in (await visitor.get("/admin/certificates")).text


@pytest.mark.parametrize(
    ("search", "finds"),
    [("shaken", ["SHAKEN"]), ("system STI.example", ["sti."]), ("nowhere", []), ("x" * 999, [])],
)
async def test_requests_are_searched(service: Service, search: str, finds: list[str]) -> None:
    visitor = await signed_in(service, VICTOR)

    seen = await visitor.get(f"{LIST}?search={search}")

    assert seen.text.count("<tr>") == (len(finds) + 1 if finds else 0)
    assert all(f">{name}" in seen.text for name in finds)
    assert ("Nothing fits" in seen.text) is not bool(finds)
    assert "x" * (MAX_SEARCH + 1) not in seen.text


async def test_without_any_the_list_says_what_a_request_is_good_for(service: Service) -> None:
    visitor = await signed_in(service, ALICE)
    for identity in service.scenery.requests.values():
        await visitor.post(f"{LIST}/{identity}/delete", {})

    seen = await visitor.get(LIST)

    assert "No request waits" in seen.text
    assert "obtain them by ACME" in seen.text
    assert NEW in seen.text


@pytest.mark.parametrize(
    ("form", "shown", "extension"),
    [
        (
            {"kind": "sti", "spc": "77AB", "tenant": GLOBEX, "organization": "Acme & Co"},
            ["SHAKEN 77AB", GLOBEX, "O=Acme & Co", "P-256"],
            "1.3.6.1.5.5.7.1.26",
        ),
        (
            {"kind": "sti", "tns": "+12155550100\r\n+12155550200-+12155550299\r\n"},
            ["12155550100", "100 numbers from", "none"],
            "1.3.6.1.5.5.7.1.26",
        ),
        (
            {"kind": "domain", "names": f"{ACME.upper()}", "key_type": "rsa-2048", "country": "us"},
            [ACME, "RSA, 2048 bits", "C=US"],
            "2.5.29.17",
        ),
        (
            {"kind": "system", "names": "a.example.org, *.example.org", "key_type": "p-384"},
            ["a.example.org, *.example.org", "P-384", "none"],
            "2.5.29.17",
        ),
    ],
)
async def test_a_request_of_each_kind_is_made_and_told_in_words(
    service: Service, form: dict[str, str], shown: list[str], extension: str
) -> None:
    visitor = await signed_in(service, ALICE)

    identity = await asked(visitor, **form)
    page = await visitor.get(f"{LIST}/{identity}")
    file = await visitor.get(f"{LIST}/{identity}/csr")

    assert "The request is made, and its key is kept here" in page.text
    for words in (*shown, "by alice", identity, "BEGIN CERTIFICATE REQUEST"):
        assert words in unescape(page.text)
    csr = x509.load_pem_x509_csr(file.body)
    assert [each.oid.dotted_string for each in csr.extensions] == [extension]
    assert file.headers["Content-Type"] == "application/pkcs10"
    assert file.headers["Content-Disposition"].endswith('.csr"')


async def test_what_another_kind_has_does_not_count(service: Service) -> None:
    visitor = await signed_in(service, ALICE)
    everything = {"spc": "1", "tns": "+1", "names": "a.example.org", "tenant": ACME}

    sti = await asked(visitor, kind="sti", **everything)
    system = await asked(visitor, kind="system", **everything)

    assert "a.example.org" not in (await visitor.get(f"{LIST}/{sti}")).text
    assert "provider code" not in (await visitor.get(f"{LIST}/{system}")).text


@pytest.mark.parametrize(
    ("form", "field", "words"),
    [
        ({"kind": "sti"}, "spc", "for a provider code"),
        ({"kind": "sti", "spc": "é"}, "spc", "printable ASCII"),
        ({"kind": "sti", "spc": "1" * 65}, "spc", "1 to 64 characters"),
        ({"kind": "sti", "tns": "hello"}, "tns", "hello"),
        ({"kind": "sti", "tns": "+1215*"}, "tns", "no prefixes"),
        ({"kind": "sti", "tns": "+1\n" * (MAX_TNS + 1)}, "tns", f"at most {MAX_TNS} numbers"),
        ({"kind": "sti", "spc": "1", "tenant": "a b"}, "tenant", ""),
        ({"kind": "sti", "spc": "1", "tenant": "no.example.com"}, "tenant", "No tenant has this"),
        ({"kind": "domain", "names": ""}, "names", "at least one host"),
        ({"kind": "domain", "names": "elsewhere.example.org"}, "names", "no tenant's address"),
        ({"kind": "domain", "names": "*.example.com"}, "names", "wildcard"),
        ({"kind": "domain", "names": ACME, "tenant": GLOBEX}, "tenant", "another tenant"),
        ({"kind": "system", "names": "a.example " * (MAX_NAMES + 1)}, "names", "at most 100 host"),
        ({"kind": "system", "names": "192.0.2.1"}, "names", "IP address"),
        ({"kind": "system", "names": "a.example", "key_type": "dsa"}, "key_type", "offered"),
        ({"kind": "sti", "spc": "1", "country": "USA"}, "country", "two capital letters"),
        ({"kind": "sti", "spc": "1", "organization": "x" * 65}, "organization", "1 to 64"),
        ({"kind": "nothing"}, "kind", "offered"),
    ],
)
async def test_an_error_stands_at_its_field_and_keeps_what_was_typed(
    service: Service, form: dict[str, str], field: str, words: str
) -> None:
    visitor, before = await signed_in(service, ALICE), waiting(service)

    seen = await visitor.post(NEW, {"organization": "Acme", **form})

    assert seen.status == 422
    assert f'id="{field}-error"' in seen.text
    assert words in unescape(seen.text)
    assert f'value="{form.get("organization", "Acme")}"' in seen.text
    assert f">\n{form.get('names', '').strip()}</textarea>" in unescape(seen.text)
    assert waiting(service) == before


async def test_no_more_are_made_than_there_is_room_for(service: Service) -> None:
    def fill(change: AuditedChange) -> None:
        wish = Wish(CertificateKind.STI, spc="1", tenant=ACME)
        for _ in range(MAX_PENDING_OF_TENANT - 1):
            requesting.keep(change, service.prepared.master, requesting.draft(wish), scope=None)

    await service.change(fill)
    visitor = await signed_in(service, BOUND)

    seen = await visitor.post(NEW, {"kind": "sti", "spc": "77"})

    assert seen.status == 422
    assert "import the certificates that were issued" in seen.text
    assert 'value="77"' in seen.text
    assert "page 1 of 2" in (await visitor.get(LIST)).text


async def test_the_issued_certificate_finds_its_request(service: Service) -> None:
    visitor = await signed_in(service, ALICE)
    identity = await asked(visitor, kind="sti", spc="77", tenant=ACME)
    certificate = await certified(service, visitor, identity)

    form = await visitor.get(f"/admin/certificates/import?kind=sti&request={identity}")
    preview = await send(
        visitor, {"kind": "sti", "request": identity, "material": certificate.pem()}
    )

    assert "The answer to your request for SHAKEN 77" in form.text
    assert f"It will be for {ACME}" in form.text
    assert "It answers your request for SHAKEN 77" in preview.text
    assert "Its key is here" in preview.text
    assert "Put right" not in preview.text
    assert "It differs" not in preview.text
    assert identity in waiting(service)

    mend = await send(visitor, {**fields_of(preview), "step": "mend"})
    done = await send(visitor, {**fields_of(preview), "step": "store"})

    assert "The answer to your request for SHAKEN 77" in mend.text
    assert "Its request is fulfilled." in (await visitor.get(done.location)).text
    row = service.snapshots.current.certificates[certificate.fingerprint]
    assert (row.tenant, row.sealed_key is not None) == (ACME, True)
    assert identity not in waiting(service)
    gone = await visitor.get(f"{LIST}/{identity}")
    assert gone.status == 404
    assert "its certificate was imported" in gone.text


async def test_the_preview_says_where_a_certificate_differs_from_its_request(
    service: Service,
) -> None:
    visitor = await signed_in(service, ALICE)
    identity = await asked(visitor, kind="system", names="a.example.org b.example.org")
    csr = await csr_of(visitor, identity)
    name = x509.SubjectAlternativeName([x509.DNSName("a.example.org")])
    other = service.scenery.authority.certify(csr, now=moment(service), instead=[name])

    preview = await send(visitor, {"kind": "system", "material": other.pem()})

    assert "It answers your request for a.example.org" in preview.text
    assert "It differs from what was asked for" in preview.text
    assert "which the certificate lacks: b.example.org" in preview.text


async def test_a_certificate_of_another_kind_leaves_its_request(service: Service) -> None:
    visitor = await signed_in(service, ALICE)
    identity = service.scenery.requests["system"]
    certificate = await certified(service, visitor, identity)

    seen = await send(visitor, {"kind": "domain", "material": certificate.pem(), "tenant": ACME})

    assert seen.status == 422
    assert identity in waiting(service)


async def test_deleting_asks_first_and_says_that_the_key_is_lost(service: Service) -> None:
    visitor, identity = await signed_in(service, ALICE), service.scenery.requests[ACME]

    question = await visitor.get(f"{LIST}/{identity}/delete")
    assert identity in waiting(service)
    sent = await visitor.post(f"{LIST}/{identity}/delete", {})
    listed = await visitor.get(LIST)
    again = await visitor.post(f"{LIST}/{identity}/delete", {})

    assert "Its private key is destroyed with it" in question.text
    assert "provider code 1234 and 101 numbers" in question.text
    assert sent.location == LIST
    assert "The request for SHAKEN 1234 is deleted" in listed.text
    assert identity not in waiting(service)
    assert again.status == 404


async def test_the_request_of_a_renewal_says_so(service: Service) -> None:
    made: list[str] = []

    def attempt(change: AuditedChange) -> None:
        wish = Wish(CertificateKind.DOMAIN, names=(GLOBEX,), tenant=GLOBEX)
        drafted = requesting.draft(wish)
        made.append(requesting.keep(change, service.prepared.master, drafted, scope=None).id)
        under_way = Attempt("directory", "account", made[0], started_at=0)
        acme_orders.save(
            change.connection, replace(RENEWED, state=State.PREPARED, attempt=under_way)
        )
        change.audit(Action.ORDER_FAIL, RENEWED.id, tenant=GLOBEX)

    await service.change(attempt)
    visitor = await signed_in(service, ALICE)

    pages = [await visitor.get(path) for path in (LIST, f"{LIST}/{made[0]}")]
    question = await visitor.get(f"{LIST}/{made[0]}/delete")

    for page in (*pages, question):
        assert f"/admin/renewals/{RENEWED.id}" in page.text
    assert "hands it in by itself" in pages[1].text
    assert "this try fails" in question.text

    by_hand = await asked(visitor, kind="domain", names=GLOBEX)
    assert "hands it in by itself" not in (await visitor.get(f"{LIST}/{by_hand}")).text


async def told(visitor: Visitor, service: Service) -> dict[str, Seen]:
    """Look at both requests of the scenery."""
    ids = service.scenery.requests
    return {name: await visitor.get(f"{LIST}/{identity}") for name, identity in ids.items()}


async def test_who_is_of_one_tenant_sees_and_changes_its_own_only(service: Service) -> None:
    visitor, ids = await signed_in(service, BOUND), service.scenery.requests
    other = ids["system"]

    listed, seen = await visitor.get(LIST), await told(visitor, service)
    form = await visitor.get(NEW)

    assert "SHAKEN 1234" in listed.text
    assert "sti.example.com" not in listed.text
    assert "Requests <small>1</small>" in listed.text
    assert (seen[ACME].status, seen["system"].status) == (200, 404)
    for path in (f"{LIST}/{other}/csr", f"{LIST}/{other}/delete"):
        assert (await visitor.get(path)).status == 404
    assert (await visitor.post(f"{LIST}/{other}/delete", {})).status == 404
    assert f'value="{ACME}"' in form.text
    assert 'value="system"' not in form.text
    refused = await visitor.post(NEW, {"kind": "sti", "spc": "5", "tenant": GLOBEX})
    assert (refused.status, 'id="tenant-error"' in refused.text) == (422, True)
    assert waiting(service) == set(ids.values())


async def test_the_certificate_of_anothers_request_brings_its_key_to_nobody(
    service: Service,
) -> None:
    alice, bound = await signed_in(service, ALICE), await signed_in(service, BOUND)
    identity = await asked(alice, kind="sti", spc="88", tenant=GLOBEX)
    certificate = await certified(service, alice, identity)

    seen = await send(bound, {"kind": "sti", "request": identity, "material": certificate.pem()})

    assert seen.status == 422
    assert "no request waits for this one" in seen.text
    assert "The answer to your request" not in seen.text
    assert identity in waiting(service)


async def test_a_viewer_sees_requests_and_changes_none(service: Service) -> None:
    visitor, identity = await signed_in(service, VICTOR), service.scenery.requests[ACME]

    shown = await visitor.get(f"{LIST}/{identity}")

    assert "BEGIN CERTIFICATE REQUEST" in shown.text
    assert "/admin/certificates/import" not in shown.text + (await visitor.get(LIST)).text
    assert (await visitor.get(NEW)).status == 403
    assert (await visitor.post(NEW, {"kind": "sti", "spc": "1"})).status == 403
    assert (await visitor.post(f"{LIST}/{identity}/delete", {})).status == 403
    assert identity in waiting(service)


@pytest.mark.parametrize("identity", ["0" * 64, "x", "%F0%9F", "0" * 65])
async def test_what_does_not_wait_has_a_page_too(service: Service, identity: str) -> None:
    visitor = await signed_in(service, ALICE)

    for path in (f"{LIST}/{identity}", f"{LIST}/{identity}/csr", f"{LIST}/{identity}/delete"):
        seen = await visitor.get(path)
        assert seen.status == 404
        assert "No such request waits" in seen.text
    assert (await visitor.get(f"/admin/certificates/import?request={identity}")).status == 200
