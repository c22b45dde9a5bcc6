"""Certificates of kinds `system` and `domain`, as a script meets them."""

import base64
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from itertools import product
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption
from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_key_and_certificates
from cryptography.x509.oid import NameOID

from tests.shaken.api_admin.arranging import (
    new_certificate,
    new_credential,
    new_tenant,
    problem,
    unused,
    upload,
)
from tests.system.caller import Caller
from trust.authority import Authority, Issued, self_signed
from trust.certificate import Certificate

BASE = "/api/v1/certificates"


def issue_over(
    ca: Authority,
    key: CertificateIssuerPrivateKeyTypes,
    name: str,
    *,
    now: datetime,
    alternative: bool = True,
) -> Issued:
    """Issue a server certificate over a key of any kind; `alternative`: with subjectAltName."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(ca.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=90))
    )
    if alternative:
        names = x509.SubjectAlternativeName([x509.DNSName(name)])
        builder = builder.add_extension(names, critical=False)
    leaf = builder.sign(ca.private_key, hashes.SHA256())
    return Issued(Certificate((leaf, ca.certificate)), key)


def slugs(record: dict[str, Any]) -> list[str]:
    return [warning["slug"] for warning in record["warnings"]]


def is_stored(admin: Caller, issued: Issued) -> bool:
    return admin.get(f"{BASE}/{issued.certificate.fingerprint}").status == 200


def test_a_domain_certificate_goes_to_the_tenant_it_names(
    admin: Caller, sti_ca: Authority, moment: datetime
) -> None:
    address = new_tenant(admin)
    issued = sti_ca.issue_server([address], now=moment)

    record = new_certificate(admin, issued, kind="domain")

    assert record["kind"] == "domain"
    assert record["tenant"] == address
    assert record["names"] == [address]
    assert (record["x5u"], record["tn_auth_list"]) == (None, None)
    assert (record["has_private_key"], slugs(record)) == (True, [])
    assert admin.get(f"{BASE}?kind=domain&tenant={address}").json()["items"] == [record]


def test_a_domain_certificate_goes_to_the_tenant_whose_alias_it_names(
    admin: Caller, sti_ca: Authority, moment: datetime
) -> None:
    alias = f"{unused('alias')}.example.net"
    address = new_tenant(admin, aliases=[alias])

    record = new_certificate(
        admin, sti_ca.issue_server([alias.upper()], now=moment), kind="domain", tenant=alias
    )

    assert (record["tenant"], record["names"]) == (address, [alias])


def test_a_name_of_a_domain_certificate_that_is_no_address_is_warned_of(
    admin: Caller, sti_ca: Authority, moment: datetime
) -> None:
    address, other = new_tenant(admin), f"{unused('nobody')}.example.net"

    record = new_certificate(
        admin, sti_ca.issue_server([address, other], now=moment), kind="domain"
    )

    assert (record["tenant"], slugs(record)) == (address, ["name-of-no-tenant"])
    assert other in record["warnings"][0]["detail"]


def test_a_domain_certificate_holds_no_wildcard(
    admin: Caller, sti_ca: Authority, moment: datetime
) -> None:
    address = new_tenant(admin)
    issued = sti_ca.issue_server([address, f"*.{address}"], now=moment)

    problem(admin.post(BASE, upload(issued, kind="domain")), 400, "wildcard", "certificate")
    assert not is_stored(admin, issued)


def test_a_domain_certificate_names_an_address_of_a_tenant(
    admin: Caller, sti_ca: Authority, moment: datetime
) -> None:
    name = f"{unused('nobody')}.example.net"
    issued = sti_ca.issue_server([name], now=moment)

    answer = admin.post(BASE, upload(issued, kind="domain"))

    assert name in problem(answer, 400, "no-tenant", "certificate")
    assert not is_stored(admin, issued)


def test_a_domain_certificate_is_for_one_tenant(
    admin: Caller, sti_ca: Authority, moment: datetime
) -> None:
    one, other = new_tenant(admin), new_tenant(admin)
    issued = sti_ca.issue_server([one, other], now=moment)

    answer = admin.post(BASE, upload(issued, kind="domain"))

    detail = problem(answer, 400, "several-tenants", "certificate")
    assert "2 tenants" in detail
    assert other not in detail
    assert not is_stored(admin, issued)


def test_a_domain_certificate_is_not_given_to_another_tenant(
    admin: Caller, sti_ca: Authority, moment: datetime
) -> None:
    one, other = new_tenant(admin), new_tenant(admin)
    issued = sti_ca.issue_server([one], now=moment)

    answer = admin.post(BASE, upload(issued, kind="domain", tenant=other))

    problem(answer, 400, "other-tenant", "tenant")
    assert not is_stored(admin, issued)


def test_a_system_certificate_has_no_tenant(
    admin: Caller, sti_ca: Authority, moment: datetime
) -> None:
    address = new_tenant(admin)
    issued = sti_ca.issue_server([address], now=moment)

    answer = admin.post(BASE, upload(issued, kind="system", tenant=address))

    problem(answer, 400, "system-has-no-tenant", "tenant")
    assert not is_stored(admin, issued)
    assert new_certificate(admin, issued, kind="system")["tenant"] is None


@pytest.mark.parametrize("kind", ["system", "domain"])
def test_a_certificate_needs_its_key(
    admin: Caller, sti_ca: Authority, moment: datetime, kind: str
) -> None:
    issued = sti_ca.issue_server([new_tenant(admin)], now=moment)

    answer = admin.post(BASE, {"kind": kind, "certificate": issued.chain_pem})

    problem(answer, 400, "no-key", "private_key")
    assert not is_stored(admin, issued)


@pytest.mark.parametrize("kind", ["system", "domain"])
def test_only_sti_certificates_have_an_x5u(
    admin: Caller, sti_ca: Authority, moment: datetime, kind: str
) -> None:
    issued = sti_ca.issue_server([new_tenant(admin)], now=moment)

    answer = admin.post(BASE, upload(issued, kind=kind, x5u="https://certs.example.com/1.pem"))

    problem(answer, 400, "bad-x5u", "x5u")


def test_a_system_certificate_may_hold_wildcards_and_several_names(
    admin: Caller, sti_ca: Authority, moment: datetime
) -> None:
    label = unused("system")
    names = [f"{label}.example.org", f"*.{label}.example.org", new_tenant(admin), "192.0.2.1"]

    record = new_certificate(admin, sti_ca.issue_server(names, now=moment), kind="system")

    assert (record["kind"], record["tenant"], slugs(record)) == ("system", None, [])
    assert set(names[:3]) <= set(record["names"])
    listed = admin.get(f"{BASE}?kind=system&name={label}.example.org").json()["items"]
    assert listed == [record]


def test_a_self_signed_certificate_is_taken(admin: Caller, moment: datetime) -> None:
    name = f"{unused('self')}.example.org"

    record = new_certificate(
        admin, self_signed([name], now=moment, lifetime=timedelta(days=90)), kind="system"
    )

    assert (record["names"], record["subject"]) == ([name], record["issuer"])


KEYS: dict[str, Callable[[], CertificateIssuerPrivateKeyTypes]] = {
    "rsa-2048": lambda: rsa.generate_private_key(65537, 2048),
    "p-384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
}


@pytest.mark.parametrize("kind_of_key", KEYS)
def test_keys_that_tls_clients_know_are_taken(
    admin: Caller, sti_ca: Authority, moment: datetime, kind_of_key: str
) -> None:
    name = f"{unused('key')}.example.org"
    issued = issue_over(sti_ca, KEYS[kind_of_key](), name, now=moment)

    record = new_certificate(admin, issued, kind="system")

    assert (record["names"], record["has_private_key"], slugs(record)) == ([name], True, [])


def test_a_key_that_is_not_the_certificates_is_refused(
    admin: Caller, sti_ca: Authority, moment: datetime
) -> None:
    name = f"{unused('key')}.example.org"
    issued = sti_ca.issue_server([name], now=moment)
    other = issue_over(sti_ca, KEYS["ed25519"](), name, now=moment)

    answer = admin.post(BASE, upload(issued, kind="system", private_key=other.key_pem))

    assert answer.status == 400
    assert not is_stored(admin, issued)


def test_a_name_in_the_common_name_only_is_taken_with_warnings(
    admin: Caller, sti_ca: Authority, moment: datetime
) -> None:
    name = f"{unused('common')}.example.org"
    key = ec.generate_private_key(ec.SECP256R1())
    issued = issue_over(sti_ca, key, name, now=moment, alternative=False)

    record = new_certificate(admin, issued, kind="system")

    assert (record["names"], slugs(record)) == ([name], ["no-san", "cn-only"])
    assert admin.get(f"{BASE}/{record['id']}").json() == record


def test_the_built_in_certificate_is_listed(admin: Caller) -> None:
    listed = admin.get(f"{BASE}?kind=system&name=localhost&limit=1000").json()["items"]

    [record] = [record for record in listed if record["source"] == "built-in"]
    assert (record["kind"], record["tenant"], record["status"]) == ("system", None, "valid")
    assert record["names"] == ["localhost", "127.0.0.1", "::1"]
    assert (record["has_private_key"], record["warnings"]) == (True, [])
    assert admin.get(f"{BASE}/{record['id']}").json() == record


def pkcs12(issued: Issued, passphrase: str) -> str:
    """Write a PKCS#12 file of leaf, chain and key in base64."""
    leaf, *others = issued.certificate.chain
    encryption = BestAvailableEncryption(passphrase.encode())
    data = serialize_key_and_certificates(b"host", issued.private_key, leaf, others, encryption)
    return base64.b64encode(data).decode()


def test_a_pkcs12_file_is_taken(admin: Caller, sti_ca: Authority, moment: datetime) -> None:
    address = new_tenant(admin)
    issued = sti_ca.issue_server([address], now=moment)
    body = {"kind": "domain", "pkcs12": pkcs12(issued, "open sesame")}

    problem(admin.post(BASE, {**body, "passphrase": "shut"}), 400, "wrong-passphrase", "passphrase")
    answer = admin.post(BASE, {**body, "passphrase": "open sesame"})

    assert (answer.status, answer.json()["tenant"]) == (201, address)
    assert answer.json()["id"] == issued.certificate.fingerprint
    assert answer.json()["has_private_key"] is True
    pem = admin.get(f"{BASE}/{issued.certificate.fingerprint}/pem")
    assert pem.body.decode() == issued.chain_pem


def test_base64_of_a_pkcs12_file_may_have_line_breaks(
    admin: Caller, sti_ca: Authority, moment: datetime
) -> None:
    issued = sti_ca.issue_server([new_tenant(admin)], now=moment)
    wrapped = base64.encodebytes(base64.b64decode(pkcs12(issued, "open sesame"))).decode()
    assert wrapped.count("\n") > 10
    body = {"kind": "domain", "pkcs12": wrapped.replace("\n", "\r\n"), "passphrase": "open sesame"}

    answer = admin.post(BASE, body)

    assert (answer.status, answer.json()["id"]) == (201, issued.certificate.fingerprint)


def test_a_pkcs12_file_that_is_no_base64_is_named(admin: Caller) -> None:
    answer = admin.post(BASE, {"kind": "system", "pkcs12": "*"})

    problem(answer, 400, "invalid-request", "pkcs12")


def test_the_same_leaf_takes_over_a_longer_chain_only_when_asked(
    admin: Caller, sti_ca: Authority, moment: datetime
) -> None:
    issued = sti_ca.issue_server([new_tenant(admin)], now=moment)
    leaf = Certificate(issued.certificate.chain[:1]).pem()
    record = new_certificate(admin, issued, kind="domain", certificate=leaf)
    path = f"{BASE}/{record['id']}"

    again = admin.post(BASE, upload(issued, kind="domain"))

    problem(again, 409, "already-stored")
    assert again.json()["id"] == record["id"]
    assert admin.get(f"{path}/pem").body.decode() == leaf

    # The key is there already.
    body = {"kind": "domain", "certificate": issued.chain_pem}
    replaced = admin.post(f"{BASE}?replace=true", body)

    whole = {**record, "warnings": []}
    assert slugs(record) == ["chain-incomplete", "untrusted"]
    assert (replaced.status, replaced.json()) == (201, whole)
    assert admin.get(path).json() == whole
    assert admin.get(f"{path}/pem").body.decode() == issued.chain_pem

    kept = admin.post(f"{BASE}?replace=true", upload(issued, kind="domain", certificate=leaf))

    assert (kept.status, slugs(kept.json())) == (201, ["put-right"])
    assert admin.get(f"{path}/pem").body.decode() == issued.chain_pem


def test_the_only_certificate_a_tenant_signs_with_is_not_deleted_by_mistake(
    admin: Caller, sti_ca: Authority, moment: datetime
) -> None:
    tenant = new_tenant(admin)
    only = new_certificate(admin, sti_ca.issue_sti(spc="1234", now=moment), tenant=tenant)["id"]

    refused = admin.delete(f"{BASE}/{only}")

    assert tenant in problem(refused, 409, "in-use")
    assert refused.json()["id"] == only
    problem(admin.post(f"{BASE}/delete", {"ids": [only]}), 409, "in-use")
    assert admin.get(f"{BASE}/{only}").status == 200
    assert admin.delete(f"{BASE}/{only}?force=true").status == 204
    problem(admin.get(f"{BASE}/{only}"), 404, "not-found")


def test_of_two_certificates_a_tenant_signs_with_one_is_deleted_but_not_both(
    admin: Caller, sti_ca: Authority, moment: datetime
) -> None:
    tenant = new_tenant(admin)
    both = [
        new_certificate(admin, sti_ca.issue_sti(spc="1234", now=moment), tenant=tenant)["id"]
        for _ in range(2)
    ]

    problem(admin.post(f"{BASE}/delete", {"ids": both}), 409, "in-use")
    assert [admin.get(f"{BASE}/{one}").status for one in both] == [200, 200]
    assert admin.delete(f"{BASE}/{both[0]}").status == 204
    problem(admin.delete(f"{BASE}/{both[1]}"), 409, "in-use")


def test_one_that_is_named_twice_is_deleted_and_told_of_once(
    admin: Caller, sti_ca: Authority, moment: datetime
) -> None:
    identity = new_certificate(admin, sti_ca.issue_sti(spc="1234", now=moment))["id"]

    deleted = admin.post(f"{BASE}/delete", {"ids": [identity.upper(), identity]})

    assert deleted.status == 204
    query = f"action=certificate.delete&subject={identity}"
    assert len(admin.get(f"/api/v1/audit?{query}").json()["items"]) == 1


def test_several_are_deleted_together_or_none_of_them(
    admin: Caller, sti_ca: Authority, moment: datetime
) -> None:
    ids = [new_certificate(admin, sti_ca.issue_sti(spc="1234", now=moment))["id"] for _ in range(3)]

    for one_more, status in (("0" * 64, 404), ("x", 400)):
        answer = admin.post(f"{BASE}/delete", {"ids": [*ids, one_more]})
        assert answer.status == status
        assert [admin.get(f"{BASE}/{one}").status for one in ids] == [200] * 3

    deleted = admin.post(f"{BASE}/delete", {"ids": [*ids, ids[0]]})

    assert (deleted.status, deleted.body) == (204, b"")
    assert [admin.get(f"{BASE}/{one}").status for one in ids] == [404] * 3


def test_an_administrator_of_a_tenant_deletes_none_of_others(
    admin: Caller, sti_ca: Authority, moment: datetime
) -> None:
    mine, theirs = new_tenant(admin), new_tenant(admin)
    _, bound = new_credential(admin, "admin", tenant=mine)
    ids = [
        new_certificate(admin, sti_ca.issue_server([name], now=moment), kind="domain")["id"]
        for name in (mine, theirs)
    ]

    answer = bound.post(f"{BASE}/delete", {"ids": ids})

    problem(answer, 404, "not-found")
    assert [admin.get(f"{BASE}/{one}").status for one in ids] == [200, 200]
    assert bound.post(f"{BASE}/delete", {"ids": ids[:1]}).status == 204


def test_an_administrator_of_a_tenant_imports_domain_certificates_of_that_tenant_only(
    admin: Caller, sti_ca: Authority, moment: datetime
) -> None:
    mine, theirs = new_tenant(admin), new_tenant(admin)
    _, bound = new_credential(admin, "admin", tenant=mine)
    foreign = sti_ca.issue_server([theirs], now=moment)
    own = sti_ca.issue_server([mine], now=moment)

    problem(bound.post(BASE, upload(foreign, kind="domain")), 400, "no-tenant", "certificate")
    named = bound.post(BASE, upload(foreign, kind="domain", tenant=theirs))
    system = bound.post(BASE, upload(foreign, kind="system"))

    problem(named, 404, "not-found")
    told = problem(system, 400, "system-has-no-tenant", "tenant")
    assert "choose kind domain, or use a credential that is for all tenants" in told
    assert not is_stored(admin, foreign)
    assert new_certificate(bound, own, kind="domain")["tenant"] == mine


@pytest.mark.parametrize("count", [1, 2])
def test_an_administrator_of_a_tenant_cannot_tell_others_addresses_from_free_names(
    admin: Caller, sti_ca: Authority, moment: datetime, count: int
) -> None:
    _, bound = new_credential(admin, "admin", tenant=new_tenant(admin))
    theirs = [new_tenant(admin) for _ in range(count)]
    free = [f"{unused('nobody')}.example.net" for _ in theirs]

    told = []
    for names in (theirs, free):
        issued = sti_ca.issue_server(names, now=moment)
        detail = problem(
            bound.post(BASE, upload(issued, kind="domain")), 400, "no-tenant", "certificate"
        )
        told.append(detail.replace(", ".join(names), "NAMES"))
        assert not is_stored(admin, issued)

    assert told[0] == told[1]


def test_anothers_address_beside_its_own_is_to_an_administrator_of_a_tenant_a_free_name(
    admin: Caller, sti_ca: Authority, moment: datetime
) -> None:
    mine, theirs = new_tenant(admin), new_tenant(admin)
    _, bound = new_credential(admin, "admin", tenant=mine)

    record = new_certificate(bound, sti_ca.issue_server([mine, theirs], now=moment), kind="domain")

    assert (record["tenant"], slugs(record)) == (mine, ["name-of-no-tenant"])
    detail = record["warnings"][0]["detail"]
    assert detail == f"{theirs}: no address of {mine}; for it this is never presented"


@pytest.mark.parametrize("whose", ["another tenant's", "nobody's"])
def test_an_administrator_of_a_tenant_takes_over_no_certificate_that_is_not_its_own(
    admin: Caller, sti_ca: Authority, moment: datetime, whose: str
) -> None:
    issued = sti_ca.issue_sti(spc="1234", now=moment)
    owner = {} if whose == "nobody's" else {"tenant": new_tenant(admin)}
    record = new_certificate(admin, issued, **owner)
    _, bound = new_credential(admin, "admin", tenant=new_tenant(admin))
    published = {"kind": "sti", "certificate": issued.chain_pem}

    for body, query in product((published, upload(issued)), ("", "?replace=true")):
        told = problem(bound.post(f"{BASE}{query}", body), 409, "already-stored")
        assert record["id"] in told
        assert "replace=true" not in told

    assert admin.get(f"{BASE}/{record['id']}").json() == record


def test_a_certificate_stays_of_the_kind_it_is(
    admin: Caller, sti_ca: Authority, moment: datetime
) -> None:
    address = new_tenant(admin)
    issued = sti_ca.issue_server([address], now=moment)
    record = new_certificate(admin, issued, kind="domain")

    answer = admin.post(f"{BASE}?replace=true", upload(issued, kind="system"))

    problem(answer, 400, "other-kind", "kind")
    assert admin.get(f"{BASE}/{record['id']}").json() == record


def test_of_two_requests_at_once_one_leaves_the_tenant_its_last_certificate(
    admin: Caller, sti_ca: Authority, moment: datetime
) -> None:
    tenant = new_tenant(admin)
    ids = [
        new_certificate(admin, sti_ca.issue_sti(spc="1234", now=moment), tenant=tenant)["id"]
        for _ in range(2)
    ]

    with ThreadPoolExecutor(2) as both:
        answers = list(both.map(lambda identity: admin.delete(f"{BASE}/{identity}"), ids))

    assert sorted(answer.status for answer in answers) == [204, 409]
