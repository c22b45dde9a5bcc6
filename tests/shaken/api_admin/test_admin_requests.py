"""Certificate requests as a script meets them: asked for here, certified by a CA, used here."""

import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import pytest
from cryptography import x509

from tests.shaken.api_admin.arranging import (
    new_certificate,
    new_credential,
    new_tenant,
    problem,
    state,
    unused,
)
from tests.system.caller import Answer, Caller
from tests.system.process import Service
from trust.authority import Authority
from trust.certificate import Certificate
from trust.store.requests import MAX_PENDING_OF_TENANT
from trust.tnauthlist import TN_AUTH_LIST_OID, TnAuthList

BASE = "/api/v1/certificates"
REQUESTS = f"{BASE}/requests"
ORIGID = "de305d54-75b4-431b-adb2-eb6b9e546014"


def new_request(caller: Caller, kind: str = "sti", **more: object) -> dict[str, Any]:
    """Ask for a certificate; return the request's record."""
    body = {"kind": kind, **({"spc": "1234"} if kind == "sti" else {}), **more}
    answer = caller.post(REQUESTS, body)
    assert answer.status == 201, answer
    record: dict[str, Any] = answer.json()
    return record


def csr_of(record: dict[str, Any]) -> x509.CertificateSigningRequest:
    return x509.load_pem_x509_csr(record["csr"].encode())


def certified(
    ca: Authority, record: dict[str, Any], now: datetime, *instead: x509.ExtensionType
) -> Certificate:
    """Return what a CA makes of a request; `instead` of what it asks for."""
    return ca.certify(csr_of(record), now=now, instead=instead or None)


def hosts(names: Sequence[str]) -> x509.ExtensionType:
    return x509.SubjectAlternativeName([x509.DNSName(name) for name in names])


def authority_of(*spcs: str) -> x509.ExtensionType:
    return x509.UnrecognizedExtension(TN_AUTH_LIST_OID, TnAuthList.of(spcs=spcs).encode())


def imported(caller: Caller, kind: str, certificate: Certificate, **more: object) -> Answer:
    """Import a chain without a key."""
    return caller.post(BASE, {"kind": kind, "certificate": certificate.pem(), **more})


def is_pending(caller: Caller, record: dict[str, Any]) -> bool:
    return caller.get(f"{REQUESTS}/{record['id']}").status == 200


def notes(answer: Answer) -> list[str]:
    assert answer.status == 201, answer
    return [
        warning["detail"] for warning in answer.json()["warnings"] if warning["slug"] == "put-right"
    ]


# From the request to the signed call


def test_a_certificate_that_is_asked_for_here_signs_calls_here(
    admin: Caller, sti_ca: Authority, moment: datetime
) -> None:
    tenant = new_tenant(admin, fallback="none")
    record = new_request(admin, tenant=tenant, spc="77AB", organization="Acme", country="US")
    certificate = certified(sti_ca, record, moment)

    answer = imported(admin, "sti", certificate)

    (note,) = notes(answer)
    assert note.startswith("Its private key is that of the request of ")
    stored = answer.json()
    assert stored["tenant"] == tenant
    assert stored["has_private_key"] is True
    assert stored["subject"] == "CN=SHAKEN 77AB,O=Acme,C=US"
    assert stored["tn_auth_list"] == {"spc": ["77AB"], "tn": [], "range": []}
    _, signer = new_credential(admin, "signer", tenant=tenant)
    signed = signer.sign(tenant=tenant, attest="A", origid=ORIGID)
    assert signed.status == 200, signed
    assert signed.headers["x-certificate"] == f"{certificate.fingerprint}; chosen=tenant"
    problem(admin.get(f"{REQUESTS}/{record['id']}"), 404, "not-found")


def test_a_domain_certificate_that_is_asked_for_is_presented_with_its_key(
    admin: Caller, sti_ca: Authority, moment: datetime
) -> None:
    tenant = new_tenant(admin)
    record = new_request(admin, "domain", names=[tenant.upper()], key_type="rsa-2048")
    certificate = certified(sti_ca, record, moment)
    assert record["tenant"] == tenant

    answer = imported(admin, "domain", certificate)

    assert answer.json()["tenant"] == tenant
    _, listener = new_credential(admin, "listener")
    shown = listener.get(f"/api/v1/listeners/certificate?server_name={tenant}").json()
    assert shown["fingerprint"] == certificate.fingerprint
    public = subprocess.run(
        ["openssl", "pkey", "-pubout"],
        input=shown["private_key"].encode(),
        capture_output=True,
        check=True,
    ).stdout
    of_certificate = subprocess.run(
        ["openssl", "x509", "-pubkey", "-noout"],
        input=certificate.pem().encode(),
        capture_output=True,
        check=True,
    ).stdout
    assert public == of_certificate


def test_a_wildcard_is_asked_for_as_a_system_certificate(
    admin: Caller, sti_ca: Authority, moment: datetime
) -> None:
    name = f"{unused('system')}.example.org"
    record = new_request(admin, "system", names=[f"*.{name}", name], key_type="p-384")
    assert (record["names"], record["tenant"]) == ([f"*.{name}", name], None)

    answer = imported(admin, "system", certified(sti_ca, record, moment))

    assert len(notes(answer)) == 1
    assert answer.json()["names"] == [f"*.{name}", name]


def test_a_request_shows_what_it_asks_for_and_its_text_for_the_ca(admin: Caller) -> None:
    tenant = new_tenant(admin)
    answer = admin.post(
        REQUESTS,
        {
            "kind": "sti",
            "spc": "1234",
            "tns": ["+12155550100", "+12155550200-+12155550299", "+12155550100"],
            "tenant": tenant,
        },
    )

    record = answer.json()
    assert answer.headers["location"] == f"{REQUESTS}/{record['id']}"
    assert {name: record[name] for name in ("kind", "names", "subject", "tenant", "key_type")} == {
        "kind": "sti",
        "names": [],
        "subject": "CN=SHAKEN 1234",
        "tenant": tenant,
        "key_type": "p-256",
    }
    assert record["tn_auth_list"] == {
        "spc": ["1234"],
        "tn": ["12155550100"],
        "range": [{"start": "12155550200", "count": 100}],
    }
    assert admin.get(f"{REQUESTS}/{record['id'].upper()}").json() == record
    listed = admin.get(f"{REQUESTS}?tenant={tenant}").json()["items"]
    assert listed == [{name: record[name] for name in record if name != "csr"}]
    text = admin.get(f"{REQUESTS}/{record['id']}/csr")
    assert text.headers["content-type"] == "application/pkcs10"
    assert text.headers["content-disposition"] == (
        f'attachment; filename="sti-{record["id"][:8]}.csr"'
    )
    assert text.body.decode() == record["csr"]
    run = subprocess.run(
        ["openssl", "req", "-verify", "-noout", "-text"],
        input=text.body,
        capture_output=True,
        check=True,
    )
    assert b"verify OK" in run.stdout + run.stderr
    assert b"1.3.6.1.5.5.7.1.26" in run.stdout


def test_a_download_is_named_after_the_first_host(admin: Caller) -> None:
    name = f"{unused('file')}.example.org"
    record = new_request(admin, "system", names=[f"*.{name}"])

    answer = admin.get(f"{REQUESTS}/{record['id']}/csr")

    assert answer.headers["content-disposition"] == (
        f'attachment; filename="wildcard.{name}-{record["id"][:8]}.csr"'
    )


def test_the_same_again_is_another_request_with_another_key(
    admin: Caller, sti_ca: Authority, moment: datetime
) -> None:
    tenant = new_tenant(admin)
    one, other = (new_request(admin, tenant=tenant) for _ in range(2))
    assert one["id"] != other["id"]

    assert imported(admin, "sti", certified(sti_ca, one, moment)).status == 201

    assert not is_pending(admin, one)
    assert is_pending(admin, other)


def test_lists_are_filtered_and_paged_in_the_order_they_were_made(admin: Caller) -> None:
    tenant = new_tenant(admin)
    made = [new_request(admin, tenant=tenant)["id"] for _ in range(3)]
    domain = new_request(admin, "domain", names=[tenant])["id"]

    pages, after = [], ""
    while True:
        page = admin.get(f"{REQUESTS}?tenant={tenant}&limit=2{after}").json()
        pages.append([item["id"] for item in page["items"]])
        if page["next"] is None:
            break
        after = f"&after={page['next']}"

    assert pages == [made[:2], [made[2], domain]]
    found = admin.get(f"{REQUESTS}?tenant={tenant}&kind=domain").json()["items"]
    assert [item["id"] for item in found] == [domain]
    for query, field in (("kind=x", "kind"), ("after=x", "after"), ("limit=0", "limit")):
        problem(admin.get(f"{REQUESTS}?{query}"), 400, "invalid-request", field)


# What is asked for must make sense


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"kind": "sti"}, "spc"),
        ({"kind": "sti", "spc": "1234", "names": ["pbx.example.com"]}, "names"),
        ({"kind": "sti", "spc": "1234", "key_type": "p-384"}, "key_type"),
        ({"kind": "sti", "spc": "1234", "key_type": "rsa-2048"}, "key_type"),
        ({"kind": "sti", "spc": "9" * 58}, "spc"),
        ({"kind": "sti", "spc": "12\n34"}, "spc"),
        ({"kind": "sti", "tns": ["+1215*"]}, "tns"),
        ({"kind": "sti", "tns": ["+12155550299-+12155550200"]}, "tns"),
        ({"kind": "sti", "tns": ["Alice"]}, "tns"),
        ({"kind": "sti", "spc": "1234", "tenant": "nobody.example"}, "tenant"),
        ({"kind": "system"}, "names"),
        ({"kind": "system", "names": []}, "names"),
        ({"kind": "system", "names": ["192.0.2.1"]}, "names"),
        ({"kind": "system", "names": ["a b"]}, "names"),
        ({"kind": "system", "names": ["a.example"] * 101}, "names"),
        ({"kind": "system", "names": ["a.example"], "spc": "1234"}, "spc"),
        ({"kind": "system", "names": ["a.example"], "tns": ["+12155550100"]}, "tns"),
        ({"kind": "system", "names": ["a.example"], "country": "usa"}, "country"),
        ({"kind": "system", "names": ["a.example"], "organization": "a\nb"}, "organization"),
        ({"kind": "system", "names": ["a.example"], "key_type": "rsa-1024"}, "key_type"),
    ],
)
def test_what_makes_no_sense_is_refused_by_its_field(
    service: Service, admin: Caller, body: dict[str, object], field: str
) -> None:
    before = state(service.data)

    problem(admin.post(REQUESTS, body), 400, "invalid-request", field)

    assert state(service.data) == before


def test_the_rules_of_each_kind_hold_for_requests_as_for_certificates(
    service: Service, admin: Caller
) -> None:
    one, other = new_tenant(admin), new_tenant(admin)
    refused: list[tuple[str, list[str], str | None, str, str]] = [
        ("domain", [one, f"*.{one}"], None, "wildcard", "names"),
        ("domain", [f"{unused('nobody')}.example"], None, "no-tenant", "names"),
        ("domain", [one, other], None, "several-tenants", "names"),
        ("domain", [one], other, "other-tenant", "tenant"),
        ("system", [one], one, "system-has-no-tenant", "tenant"),
    ]
    before = state(service.data)

    details = {}
    for kind, names, tenant, slug, field in refused:
        answer = admin.post(REQUESTS, {"kind": kind, "names": names, "tenant": tenant})
        details[slug] = problem(answer, 400, slug, field)

    assert "choose kind system" in details["wildcard"]
    assert state(service.data) == before


def test_an_administrator_of_a_tenant_asks_for_others_addresses_as_for_free_names(
    admin: Caller,
) -> None:
    _, bound = new_credential(admin, "admin", tenant=new_tenant(admin))
    theirs = [new_tenant(admin), new_tenant(admin)]
    free = [f"{unused('nobody')}.example" for _ in theirs]

    told = []
    for names in (theirs[:1], theirs, free[:1], free):
        answer = bound.post(REQUESTS, {"kind": "domain", "names": names})
        detail = problem(answer, 400, "no-tenant", "names")
        told.append(detail.replace(", ".join(names), "NAMES"))

    assert len(set(told)) == 1


def test_a_tenant_has_room_for_so_many_requests(service: Service, admin: Caller) -> None:
    tenant = new_tenant(admin)
    made = [new_request(admin, tenant=tenant)["id"] for _ in range(MAX_PENDING_OF_TENANT)]
    before = state(service.data)

    full = admin.post(REQUESTS, {"kind": "sti", "spc": "1234", "tenant": tenant})

    assert "delete what is needed no more" in problem(full, 409, "too-many-requests")
    assert state(service.data) == before
    assert admin.delete(f"{REQUESTS}/{made[0]}").status == 204
    new_request(admin, tenant=tenant)
    for request in admin.items(f"{REQUESTS}?tenant={tenant}"):
        assert admin.delete(f"{REQUESTS}/{request['id']}").status == 204


# Certificates that are not quite what was asked for


def test_a_certificate_with_other_names_is_taken_and_the_difference_said(
    admin: Caller, sti_ca: Authority, moment: datetime
) -> None:
    alias = f"{unused('alias')}.example.net"
    tenant = new_tenant(admin, aliases=[alias])
    record = new_request(admin, "domain", names=[tenant])

    answer = imported(admin, "domain", certified(sti_ca, record, moment, hosts([alias])))

    assert notes(answer)[1:] == [
        f"The request asked for more, which the certificate lacks: {tenant}.",
        f"The certificate has what the request did not ask for: {alias}.",
    ]
    assert answer.json()["names"] == [alias]


def test_a_certificate_for_another_provider_is_taken_and_the_difference_said(
    admin: Caller, sti_ca: Authority, moment: datetime
) -> None:
    record = new_request(admin, tns=["+12155550200", "+12155550100"])

    answer = imported(admin, "sti", certified(sti_ca, record, moment, authority_of("1234", "99")))

    assert notes(answer)[1:] == [
        "The request asked for more, which the certificate lacks: +12155550100, +12155550200.",
        "The certificate has what the request did not ask for: SPC 99.",
    ]


def test_what_is_refused_leaves_the_request_and_its_key(
    service: Service, admin: Caller, sti_ca: Authority, moment: datetime
) -> None:
    tenant, other = new_tenant(admin), new_tenant(admin)
    domain = new_request(admin, "domain", names=[tenant])
    good = certified(sti_ca, domain, moment)
    elsewhere = certified(sti_ca, domain, moment, hosts(["nobody.example"]))
    sti = new_request(admin, tenant=tenant)
    before = state(service.data)

    kind = imported(admin, "system", good)
    refused = [
        imported(admin, "sti", good),
        imported(admin, "domain", elsewhere),
        imported(admin, "domain", good, tenant=other),
        imported(admin, "domain", good, x5u="https://sti.example.com/1.pem"),
        imported(admin, "system", certified(sti_ca, sti, moment)),
        imported(admin, "sti", certified(sti_ca, sti, moment), x5u="http://sti.example.com/1.pem"),
        imported(admin, "sti", certified(sti_ca, sti, moment), tenant="nobody.example"),
    ]

    assert "made for kind domain" in problem(kind, 400, "other-kind", "kind")
    assert [answer.status for answer in refused] == [400] * len(refused)
    assert state(service.data) == before
    assert imported(admin, "domain", good).status == 201
    assert imported(admin, "sti", certified(sti_ca, sti, moment)).status == 201


def test_without_key_and_without_request_the_error_tells_of_requests(
    admin: Caller, sti_ca: Authority, moment: datetime
) -> None:
    record = new_request(admin)
    certificate = certified(sti_ca, record, moment)
    assert admin.delete(f"{REQUESTS}/{record['id']}").status == 204

    detail = problem(imported(admin, "sti", certificate), 400, "no-key", "private_key")

    assert "`shaken certificates request`" in detail
    problem(admin.delete(f"{REQUESTS}/{record['id']}"), 404, "not-found")


def test_a_key_that_is_given_is_taken_as_ever_and_requests_stay(
    admin: Caller, sti_ca: Authority, moment: datetime
) -> None:
    record = new_request(admin)

    stored = new_certificate(admin, sti_ca.issue_sti(spc="1234", now=moment))

    assert stored["warnings"] == []
    assert is_pending(admin, record)


def test_of_imports_at_the_same_time_one_gets_the_key_and_the_others_a_conflict(
    admin: Caller, sti_ca: Authority, moment: datetime
) -> None:
    for _ in range(5):
        certificate = certified(sti_ca, new_request(admin), moment)

        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda _: imported(admin, "sti", certificate), range(4)))  # noqa: B023 - at once

        assert sorted(answer.status for answer in answers) == [201, 409, 409, 409]
        for answer in answers:
            if answer.status == 409:
                problem(answer, 409, "already-stored")
        used = admin.get("/api/v1/audit?action=request.use&limit=1").json()["items"]
        assert used[0]["detail"]["after"] == {"certificate": certificate.fingerprint}


def test_a_second_certificate_for_the_same_request_has_the_key_of_the_first(
    admin: Caller, sti_ca: Authority, moment: datetime
) -> None:
    tenant = new_tenant(admin, fallback="none")
    record = new_request(admin, tenant=tenant)
    first = certified(sti_ca, record, moment)
    corrected = certified(sti_ca, record, moment, authority_of("5678"))
    assert imported(admin, "sti", first).status == 201

    answer = imported(admin, "sti", corrected)

    assert (answer.json()["has_private_key"], answer.json()["tenant"]) == (True, tenant)
    told = "Its private key is that of certificate"
    assert notes(answer) == [f"{told} {first.fingerprint}, which is stored here."]
    assert admin.delete(f"{BASE}/{first.fingerprint}").status == 204
    _, signer = new_credential(admin, "signer", tenant=tenant)
    signed = signer.sign(tenant=tenant, attest="A", origid=ORIGID)
    assert signed.headers["x-certificate"] == f"{corrected.fingerprint}; chosen=tenant"


def test_of_certificates_for_the_same_request_at_the_same_time_each_has_the_key(
    admin: Caller, sti_ca: Authority, moment: datetime
) -> None:
    record = new_request(admin)
    twins = [certified(sti_ca, record, moment) for _ in range(4)]

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda twin: imported(admin, "sti", twin), twins))

    assert [answer.status for answer in answers] == [201] * 4
    assert all(answer.json()["has_private_key"] for answer in answers)


def test_the_key_of_a_certificate_is_for_its_tenant_only(
    admin: Caller, sti_ca: Authority, moment: datetime
) -> None:
    own, other = new_tenant(admin), new_tenant(admin)
    _, bound = new_credential(admin, "admin", tenant=own)
    for whose in (other, None):
        record = new_request(admin, **({} if whose is None else {"tenant": whose}))
        assert imported(admin, "sti", certified(sti_ca, record, moment)).status == 201
        again = certified(sti_ca, record, moment)

        problem(imported(bound, "sti", again), 400, "no-key", "private_key")

        assert imported(admin, "sti", again, tenant=own).status == (201 if whose is None else 400)


def test_the_key_of_a_certificate_is_for_its_kind_only(
    admin: Caller, sti_ca: Authority, moment: datetime
) -> None:
    tenant = new_tenant(admin)
    record = new_request(admin, "domain", names=[tenant])
    assert imported(admin, "domain", certified(sti_ca, record, moment)).status == 201
    again = certified(sti_ca, record, moment)

    problem(imported(admin, "system", again), 400, "no-key", "private_key")

    assert imported(admin, "domain", again).json()["tenant"] == tenant


def test_the_same_leaf_again_keeps_its_key_when_it_is_replaced(
    admin: Caller, sti_ca: Authority, moment: datetime
) -> None:
    certificate = certified(sti_ca, new_request(admin), moment)
    assert imported(admin, "sti", certificate).status == 201

    body = {"kind": "sti", "certificate": certificate.pem()}
    again = admin.post(f"{BASE}?replace=true", body)

    assert again.status == 201, again
    assert again.json()["has_private_key"] is True


# Tenants and their administrators


def test_an_administrator_of_a_tenant_asks_and_imports_for_it_alone(
    admin: Caller, sti_ca: Authority, moment: datetime
) -> None:
    own, other = new_tenant(admin), new_tenant(admin)
    _, bound = new_credential(admin, "admin", tenant=own)
    anothers, nobodys = new_request(admin, tenant=other), new_request(admin)

    mine = new_request(bound)

    assert mine["tenant"] == own
    assert [item["id"] for item in bound.items(REQUESTS)] == [mine["id"]]
    for foreign in (anothers, nobodys):
        path = f"{REQUESTS}/{foreign['id']}"
        for answer in (bound.get(path), bound.get(f"{path}/csr"), bound.delete(path)):
            problem(answer, 404, "not-found")
        stolen = imported(bound, "sti", certified(sti_ca, foreign, moment))
        problem(stolen, 400, "no-key", "private_key")
        wrong_kind = imported(bound, "system", certified(sti_ca, foreign, moment))
        assert "other-kind" not in wrong_kind.json()["type"]
        assert is_pending(admin, foreign)
    for tenant in (other, "nobody.example"):
        asked = bound.post(REQUESTS, {"kind": "sti", "spc": "1234", "tenant": tenant})
        problem(asked, 404, "not-found")
    asked = bound.post(REQUESTS, {"kind": "system", "names": ["a.example"]})
    problem(asked, 400, "system-has-no-tenant", "tenant")
    assert imported(bound, "sti", certified(sti_ca, mine, moment)).json()["tenant"] == own


def test_a_tenant_is_not_deleted_while_requests_belong_to_it(admin: Caller) -> None:
    tenant = new_tenant(admin)
    record = new_request(admin, tenant=tenant)

    problem(admin.delete(f"/api/v1/tenants/{tenant}"), 409, "in-use")

    assert admin.delete(f"{REQUESTS}/{record['id']}").status == 204
    assert admin.delete(f"/api/v1/tenants/{tenant}").status == 204


def test_the_life_of_a_request_is_audited(
    admin: Caller, sti_ca: Authority, moment: datetime
) -> None:
    tenant = new_tenant(admin)
    record, dropped = (new_request(admin, tenant=tenant) for _ in range(2))
    certificate = certified(sti_ca, record, moment)

    imported(admin, "sti", certificate)
    admin.delete(f"{REQUESTS}/{dropped['id']}")

    def told(subject: str) -> list[str]:
        entries = admin.get(f"/api/v1/audit?subject={subject}").json()["items"]
        assert {entry["tenant"] for entry in entries} == {tenant}
        return [entry["action"] for entry in reversed(entries)]

    assert told(record["id"]) == ["request.create", "request.use"]
    assert told(dropped["id"]) == ["request.create", "request.delete"]
    assert told(certificate.fingerprint) == ["certificate.import"]
