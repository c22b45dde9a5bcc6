"""`/api/v1/certificates` and the public repository, as a script meets them."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)
from cryptography.hazmat.primitives.serialization.pkcs7 import load_der_pkcs7_certificates

from tests.shaken.api_admin.arranging import (
    PUBLIC_URL,
    new_certificate,
    new_credential,
    new_tenant,
    problem,
    upload,
)
from tests.system.caller import Caller
from tests.system.process import Service
from trust.authority import Authority, Issued
from trust.certificate import Certificate
from trust.tnauthlist import TnRange

BASE = "/api/v1/certificates"


@pytest.fixture
def issued(sti_ca: Authority, moment: datetime) -> Issued:
    """A certificate that no test has uploaded."""
    return sti_ca.issue_sti(spc="1234", now=moment)


def rfc3339(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def test_an_upload_answers_with_the_record_that_is_shown_from_then_on(
    admin: Caller, issued: Issued
) -> None:
    answer = admin.post(BASE, upload(issued))

    certificate, identity = issued.certificate, issued.certificate.fingerprint
    assert answer.status == 201
    assert answer.headers["location"] == f"{BASE}/{identity}"
    assert answer.json() == {
        "id": identity,
        "kind": "sti",
        "names": [],
        "subject": "CN=SHAKEN 1234,O=SHAKEN lab",
        "issuer": "CN=Lab STI Intermediate,O=SHAKEN lab",
        "serial": f"{certificate.leaf.serial_number:x}",
        "fingerprint": identity,
        "not_before": rfc3339(certificate.not_before),
        "not_after": rfc3339(certificate.not_after),
        "tenant": None,
        "tn_auth_list": {"spc": ["1234"], "tn": [], "range": []},
        "x5u": f"{PUBLIC_URL}/certificates/{identity}.pem",
        "has_private_key": True,
        "source": "uploaded",
        "status": "valid",
        "warnings": [],
    }
    assert admin.get(answer.headers["location"]).json() == answer.json()
    assert admin.get(f"{BASE}/{identity.upper()}").json() == answer.json()


def test_numbers_and_ranges_of_a_certificate_are_shown(
    admin: Caller, sti_ca: Authority, moment: datetime
) -> None:
    issued = sti_ca.issue_sti(
        numbers=["12155550100"], ranges=[TnRange("12155550200", 100)], now=moment
    )

    assert new_certificate(admin, issued)["tn_auth_list"] == {
        "spc": [],
        "tn": ["12155550100"],
        "range": [{"start": "12155550200", "count": 100}],
    }


def test_a_certificate_is_assigned_to_a_tenant_by_any_of_its_addresses(
    admin: Caller, issued: Issued
) -> None:
    address = new_tenant(admin, aliases=["b\u00fccher.example"])

    assert new_certificate(admin, issued, tenant="B\u00dcCHER.example")["tenant"] == address


def test_a_certificate_may_have_a_url_of_its_own(admin: Caller, issued: Issued) -> None:
    x5u = "https://certs.example.com:8443/1234.pem"

    assert new_certificate(admin, issued, x5u=x5u)["x5u"] == x5u


def test_chain_and_key_may_come_in_one_text_in_any_order(
    admin: Caller, sti_ca: Authority, issued: Issued
) -> None:
    leaf, intermediate = (Certificate((one,)).pem() for one in issued.certificate.chain)
    text = sti_ca.root_pem + intermediate + issued.key_pem + leaf

    answer = admin.post(BASE, {"kind": "sti", "certificate": text})

    assert answer.status == 201
    assert {warning["slug"] for warning in answer.json()["warnings"]} == {"put-right"}
    assert admin.get(f"{BASE}/{answer.json()['id']}/pem").body.decode() == issued.chain_pem


def test_an_encrypted_key_is_opened_with_its_passphrase(admin: Caller, issued: Issued) -> None:
    encrypted = issued.private_key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"open sesame")
    ).decode()

    answer = admin.post(BASE, upload(issued, private_key=encrypted, passphrase="open sesame"))

    assert answer.status == 201


def test_an_imported_certificate_signs_at_once(admin: Caller, issued: Issued) -> None:
    tenant = new_tenant(admin)
    _, signer = new_credential(admin, "signer", tenant=tenant)
    identity = new_certificate(admin, issued, tenant=tenant)["id"]

    answer = signer.sign(attest="A", origid="de305d54-75b4-431b-adb2-eb6b9e546014")

    assert answer.headers["x-certificate"] == f"{identity}; chosen=tenant"


LIVES = {
    "valid": (10, 365, []),
    "expiring": (80, 10, ["expires-soon"]),
    "not-yet-valid": (-2, 365, []),
}
"""Status, days since its start, days to its end, warnings."""


@pytest.mark.parametrize("status", LIVES)
def test_a_record_says_where_in_its_life_a_certificate_is(
    admin: Caller, sti_ca: Authority, moment: datetime, status: str
) -> None:
    age, left, warned = LIVES[status]
    issued = sti_ca.issue_sti(
        spc="1234",
        now=moment,
        not_before=moment - timedelta(days=age),
        lifetime=timedelta(days=left),
    )

    record = new_certificate(admin, issued)

    assert record["status"] == status
    assert [warning["slug"] for warning in record["warnings"]] == warned


def test_a_certificate_that_is_there_already_is_not_stored_again(
    admin: Caller, issued: Issued
) -> None:
    record = new_certificate(admin, issued)

    again = admin.post(BASE, upload(issued, x5u="https://certs.example.com/other.pem"))

    problem(again, 409, "already-stored")
    assert again.json()["id"] == record["id"]
    assert admin.get(f"{BASE}/{record['id']}").json() == record


def test_a_deleted_certificate_is_gone_and_may_come_back(admin: Caller, issued: Issued) -> None:
    identity = new_certificate(admin, issued)["id"]

    deleted = admin.delete(f"{BASE}/{identity}")

    assert (deleted.status, deleted.body) == (204, b"")
    problem(admin.get(f"{BASE}/{identity}"), 404, "not-found")
    problem(admin.get(f"{BASE}/{identity}/pem"), 404, "not-found")
    problem(admin.delete(f"{BASE}/{identity}"), 404, "not-found")
    assert admin.get(f"/certificates/{identity}.pem").status == 404
    assert identity not in {record["id"] for record in admin.items(BASE)}
    assert new_certificate(admin, issued)["id"] == identity


@pytest.mark.parametrize("identity", ["0" * 64, "0" * 63, "x", "%00", "%ED%A0%80", "g" * 64])
def test_what_is_no_certificate_of_this_store_is_not_found(admin: Caller, identity: str) -> None:
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/pem")):
        problem(admin.call(method, f"{BASE}/{identity}{path}"), 404, "not-found")


def test_the_download_is_the_chain_leaf_first_for_a_file(admin: Caller, issued: Issued) -> None:
    identity = new_certificate(admin, issued)["id"]

    answer = admin.get(f"{BASE}/{identity}/pem")

    assert answer.status == 200
    assert answer.headers["content-type"] == "application/pem-certificate-chain"
    assert answer.headers["content-disposition"] == f'attachment; filename="sti-{identity[:8]}.pem"'
    assert answer.body.decode() == issued.chain_pem


def test_the_published_chain_is_for_anybody_and_may_be_cached(
    service: Service, admin: Caller, issued: Issued
) -> None:
    identity = new_certificate(admin, issued)["id"]
    anybody = Caller(service.url)

    answer = anybody.get(f"/certificates/{identity}.pem")
    headed = anybody.call("HEAD", f"/certificates/{identity}.pem")

    assert answer.status == 200
    assert answer.body.decode() == issued.chain_pem
    assert answer.headers["content-type"] == "application/pem-certificate-chain"
    assert answer.headers["cache-control"] == "public, max-age=3600"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert (headed.status, headed.body) == (200, b"")
    assert headed.headers["content-length"] == str(len(answer.body))


@pytest.mark.parametrize("name", ["0" * 64 + ".pem", "x.pem", "..%2Fmaster.key", "%00.pem", "x"])
def test_nothing_else_is_published(service: Service, name: str) -> None:
    assert Caller(service.url).get(f"/certificates/{name}").status == 404


@pytest.fixture(scope="module")
def five(admin: Caller, sti_ca: Authority, moment: datetime) -> list[dict[str, Any]]:
    """Five certificates, in the order of upload; two belong to `five.example.com`."""
    admin.post("/api/v1/tenants", {"address": "five.example.com", "aliases": ["5.example.com"]})
    return [
        new_certificate(
            admin,
            sti_ca.issue_sti(
                spc="1234",
                common_name=f"cn{number}.example.com",
                now=moment,
                lifetime=timedelta(days=100 + number),
            ),
            **({"tenant": "five.example.com"} if number < 2 else {}),
        )
        for number in range(5)
    ]


def ids(records: list[dict[str, Any]]) -> list[str]:
    return [record["id"] for record in records]


@pytest.mark.parametrize("limit", [1, 2, 3, 1000])
def test_pages_hold_each_certificate_once_in_the_order_of_upload(
    admin: Caller, five: list[dict[str, Any]], limit: int
) -> None:
    found: list[dict[str, Any]] = []
    after = ""
    while True:
        page = admin.get(f"{BASE}?limit={limit}{after}").json()
        assert len(page["items"]) <= limit
        found += page["items"]
        if page["next"] is None:
            break
        assert len(page["items"]) == limit
        after = f"&after={page['next']}"

    assert len(set(ids(found))) == len(found)
    assert [record for record in found if record in five] == five


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("tenant=five.example.com", [0, 1]),
        ("tenant=5.EXAMPLE.com", [0, 1]),
        ("name=cn3.example.com", [3]),
        ("name=CN3.example.com.&kind=sti", [3]),
        ("tenant=five.example.com&name=cn3.example.com", []),
        ("tenant=nobody.example.com", []),
        ("kind=domain", []),
    ],
)
def test_a_list_is_narrowed_by_its_filters(
    admin: Caller, five: list[dict[str, Any]], query: str, expected: list[int]
) -> None:
    answer = admin.get(f"{BASE}?{query}")

    assert answer.json() == {"items": [five[number] for number in expected], "next": None}


def test_a_list_is_narrowed_to_what_expires_before_a_time(
    admin: Caller, five: list[dict[str, Any]]
) -> None:
    third = five[2]["not_after"]

    before = admin.get(f"{BASE}?expires_before={third}").json()["items"]
    offset = third.replace("Z", "%2B00:00")

    assert [record for record in before if record in five] == five[:2]
    assert admin.get(f"{BASE}?expires_before={offset}").json()["items"] == before


def test_a_filtered_list_has_pages_too(admin: Caller, five: list[dict[str, Any]]) -> None:
    first = admin.get(f"{BASE}?tenant=five.example.com&limit=1").json()
    second = admin.get(f"{BASE}?tenant=five.example.com&limit=1&after={first['next']}").json()

    assert first["items"] + second["items"] == five[:2]
    assert second["next"] is None


def test_pages_go_on_where_they_were_whatever_is_deleted_meanwhile(
    admin: Caller, sti_ca: Authority, moment: datetime
) -> None:
    name = "paged.example.org"
    made = [
        new_certificate(admin, sti_ca.issue_server([name, "*." + name], now=moment), kind="system")
        for _ in range(4)
    ]

    first = admin.get(f"{BASE}?name={name}&limit=2").json()
    for record in made[1:3]:
        assert admin.delete(f"{BASE}/{record['id']}?force=true").status == 204
    rest = admin.get(f"{BASE}?name={name}&limit=2&after={first['next']}").json()

    assert (first["items"], rest) == (made[:2], {"items": made[3:], "next": None})


@pytest.mark.parametrize(
    "name", ["*.star.example.org", "*.STAR.example.org.", "192.0.2.77", "2001:DB8::77"]
)
def test_a_list_is_narrowed_by_any_name_that_a_certificate_holds(
    admin: Caller, sti_ca: Authority, moment: datetime, name: str
) -> None:
    names = ["*.star.example.org", "192.0.2.77", "2001:db8::77"]
    record = new_certificate(admin, sti_ca.issue_server(names, now=moment), kind="system")

    assert admin.get(f"{BASE}?name={name}&limit=1000").json()["items"][-1] == record


def test_trust_in_an_issuer_follows_the_trusted_roots_at_once(
    admin: Caller, moment: datetime
) -> None:
    authority = Authority.create("A root that comes and goes", now=moment)
    issued = authority.intermediate("Its CA", now=moment).issue_sti(spc="1234", now=moment)
    path = f"{BASE}/{new_certificate(admin, issued)['id']}"

    def warned() -> list[str]:
        shown, listed = admin.get(path).json(), admin.items(BASE)
        assert shown in listed
        return [warning["slug"] for warning in shown["warnings"]]

    assert warned() == ["chain-incomplete", "untrusted"]
    root = {"purpose": "sti", "certificate": authority.root_pem}
    identity = admin.post("/api/v1/roots", root).json()["id"]
    assert warned() == []
    admin.put(f"/api/v1/roots/{identity}", {"disabled": True})
    assert warned() == ["chain-incomplete", "untrusted"]
    admin.put(f"/api/v1/roots/{identity}", {"disabled": False})
    assert warned() == []
    admin.delete(f"/api/v1/roots/{identity}")
    assert warned() == ["chain-incomplete", "untrusted"]


def test_a_download_in_der_is_the_leaf_or_the_whole_chain(admin: Caller, issued: Issued) -> None:
    identity = new_certificate(admin, issued)["id"]

    leaf = admin.get(f"{BASE}/{identity}/der")
    chain = admin.get(f"{BASE}/{identity}/der?chain=true")

    assert x509.load_der_x509_certificate(leaf.body) == issued.certificate.leaf
    assert {*load_der_pkcs7_certificates(chain.body)} == {*issued.certificate.chain}
    kinds = [answer.headers["content-type"] for answer in (leaf, chain)]
    assert kinds == ["application/pkix-cert", "application/pkcs7-mime"]
    named = [answer.headers["content-disposition"] for answer in (leaf, chain)]
    name = f'attachment; filename="sti-{identity[:8]}'
    assert named == [f'{name}.cer"', f'{name}.p7b"']
    problem(admin.get(f"{BASE}/{identity}/der?chain=1"), 400, "invalid-request", "chain")


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (["*.file.example.org"], "wildcard.file.example.org"),
        (["2001:db8::5"], "2001-db8--5"),
        (["a" * 60 + "." + "b" * 60 + ".example.org"], "a" * 60 + "." + "b" * 39),
    ],
)
def test_a_file_is_named_after_the_first_name(
    admin: Caller, sti_ca: Authority, moment: datetime, *, names: list[str], shown: str
) -> None:
    identity = new_certificate(admin, sti_ca.issue_server(names, now=moment), kind="system")["id"]

    for path, ending in (("pem", "pem"), ("der", "cer")):
        named = admin.get(f"{BASE}/{identity}/{path}").headers["content-disposition"]
        assert named == f'attachment; filename="{shown}-{identity[:8]}.{ending}"'


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=-1", "limit"),
        ("limit=", "limit"),
        ("limit=ten", "limit"),
        ("limit=%D9%A1", "limit"),
        ("limit=0000000019999", "limit"),
        ("limit=0000000019" + "9" * 5000, "limit"),
        ("after=x", "after"),
        ("after=-1", "after"),
        ("after=" + "9" * 30, "after"),
        ("kind=root", "kind"),
        ("name=-", "name"),
        ("name=", "name"),
        ("tenant=a%00b", "tenant"),
        ("tenant=%ED%A0%80", "tenant"),
        ("expires_before=tomorrow", "expires_before"),
        ("expires_before=2030-01-01T00:00:00", "expires_before"),
        ("expires_before=2030-13-01T00:00:00Z", "expires_before"),
        ("expires_before=", "expires_before"),
    ],
)
def test_a_wrong_filter_is_named(admin: Caller, query: str, field: str) -> None:
    problem(admin.get(f"{BASE}?{query}"), 400, "invalid-request", field)


@pytest.mark.parametrize(
    "time", ["0001-01-01T00:00:00%2B23:59", "9999-12-31T23:59:59-23:59", "2030-W01-1T00:00Z"]
)
def test_a_time_at_the_edge_of_the_calendar_is_answered(admin: Caller, time: str) -> None:
    assert admin.get(f"{BASE}?expires_before={time}").status in {200, 400}
