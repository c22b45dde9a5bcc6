"""`/api/v1/trunks`: a PBX's lines into the service, and what they fill in."""

from typing import Any
from uuid import UUID

import pytest

from tests.shaken.api_admin.arranging import (
    new_credential,
    new_tenant,
    new_trunk,
    problem,
    state,
    unused,
)
from tests.system.caller import Caller
from tests.system.process import Service

BASE = "/api/v1/trunks"
POLICY = {
    "identity_required": False,
    "anonymous": "accept",
    "minimum_attest": None,
    "stale": "flag",
    "unreachable": "flag",
    "unfit": "flag",
    "invalid": "flag",
    "freshness": None,
    "skew": None,
    "replays": None,
}
"""What a trunk does with calls that come in, unless it is told otherwise."""
REDIRECTION = {
    "sources": [],
    "by_host": False,
    "status": 302,
    "form": "headers",
    "origin": "asserted",
    "destination": "to",
    "contact": "",
    "divert": False,
    "verstat": "number",
    "verstat_suffix": False,
}
"""How a trunk is answered by SIP, unless it is told otherwise."""
ORIGID = "de305d54-75b4-431b-adb2-eb6b9e546014"


@pytest.fixture(scope="module")
def tenant(admin: Caller) -> str:
    return new_tenant(admin, aliases=["b\u00fccher.example"])


def test_a_trunk_is_made_shown_changed_and_removed(admin: Caller, tenant: str) -> None:
    name = unused("trunk")
    settings = {
        "attest": "B",
        "foreign_attest": "refuse",
        "origid": ORIGID,
        "direction": "sign",
        "networks": ["192.0.2.0/24", "2001:db8::/32", "198.51.100.7/32"],
        "country": "US",
        "answer": "3gpp",
        "verification": {
            "identity_required": True,
            "anonymous": "reject",
            "minimum_attest": "B",
            "stale": "reject",
            "unreachable": "ignore",
            "unfit": "reject",
            "invalid": "reject",
            "freshness": 86_400,
            "skew": 0,
            "replays": "fail",
        },
        "sip": {
            "sources": ["192.0.2.7", "2001:db8::/64"],
            "by_host": True,
            "status": 300,
            "form": "contact",
            "origin": "from",
            "destination": "request-uri",
            "contact": "carrier.example.com:5080",
            "divert": True,
            "verstat": "uri",
            "verstat_suffix": True,
        },
    }

    made = admin.post(BASE, {"name": name, "tenant": "B\u00dcCHER.example", **settings})
    shown = admin.get(f"{BASE}/{name}")
    changed = admin.put(f"{BASE}/{name}", {"attest": "C"})
    removed = admin.delete(f"{BASE}/{name}")

    assert (made.status, made.headers["location"]) == (201, f"{BASE}/{name}")
    assert made.json() == shown.json() == {"name": name, "tenant": tenant, **settings}
    assert changed.json() == {
        "name": name,
        "tenant": tenant,
        "attest": "C",
        "foreign_attest": "B",
        "origid": ORIGID,
        "direction": "auto",
        "networks": [],
        "country": None,
        "answer": "both",
        "verification": POLICY,
        "sip": REDIRECTION,
    }
    assert (removed.status, removed.body) == (204, b"")
    problem(admin.get(f"{BASE}/{name}"), 404, "not-found")
    problem(admin.delete(f"{BASE}/{name}"), 404, "not-found")
    problem(admin.put(f"{BASE}/{name}", {}), 404, "not-found")


def test_a_policy_is_replaced_as_a_whole_and_its_audit_names_what_differs(
    admin: Caller, tenant: str
) -> None:
    name = new_trunk(admin, tenant, verification={"stale": "reject", "freshness": 5})["name"]

    changed = admin.put(f"{BASE}/{name}", {"verification": {"stale": "ignore", "skew": 3600}})

    assert changed.json()["verification"] == {**POLICY, "stale": "ignore", "skew": 3600}
    (entry, *_) = admin.get(f"/api/v1/audit?subject={name}").json()["items"]
    assert entry["detail"] == {
        "before": {"verification": {"stale": "reject", "freshness": 5, "skew": None}},
        "after": {"verification": {"stale": "ignore", "freshness": None, "skew": 3600}},
    }


def test_who_is_bound_to_a_tenant_claims_no_address_for_it(
    service: Service, admin: Caller, tenant: str
) -> None:
    had, other = "192.0.2.7", "198.51.100.7"
    _, bound = new_credential(admin, "admin", tenant=tenant)
    name = new_trunk(admin, tenant, sip={"sources": [had]})["name"]
    before = state(service.data)

    body = {"name": unused("trunk"), "tenant": tenant, "sip": {"sources": [other]}}
    problem(bound.post(BASE, body), 403, "forbidden")
    problem(bound.put(f"{BASE}/{name}", {"sip": {"sources": [had, other]}}), 403, "forbidden")

    assert state(service.data) == before
    kept = bound.put(f"{BASE}/{name}", {"sip": {"sources": [had], "status": 300}})
    assert (kept.status, kept.json()["sip"]["status"]) == (200, 300)
    assert bound.put(f"{BASE}/{name}", {}).json()["sip"] == REDIRECTION


def test_a_trunk_has_an_origid_of_its_own_that_a_change_keeps(admin: Caller, tenant: str) -> None:
    first, second = new_trunk(admin, tenant), new_trunk(admin, tenant)

    kept = admin.put(f"{BASE}/{first['name']}", {"attest": "B"}).json()["origid"]
    sent = admin.put(f"{BASE}/{first['name']}", {"origid": ORIGID.upper()}).json()["origid"]
    still = admin.put(f"{BASE}/{first['name']}", {"origid": None}).json()["origid"]

    assert UUID(first["origid"]).version == 4
    assert first["origid"] != second["origid"]
    assert kept == first["origid"]
    assert sent == still == ORIGID


def test_a_name_means_one_trunk_only(service: Service, admin: Caller, tenant: str) -> None:
    name = new_trunk(admin, tenant)["name"]
    before = state(service.data)

    problem(admin.post(BASE, {"name": name, "tenant": tenant}), 409, "name-taken")

    assert state(service.data) == before


def test_a_trunk_stays_with_its_tenant(service: Service, admin: Caller, tenant: str) -> None:
    name = new_trunk(admin, tenant)["name"]
    other = new_tenant(admin)
    before = state(service.data)

    problem(admin.put(f"{BASE}/{name}", {"tenant": other}), 400, "invalid-request", "tenant")

    assert state(service.data) == before
    assert admin.put(f"{BASE}/{name}", {"tenant": "b\u00fccher.example"}).status == 200


def test_a_trunk_that_a_credential_is_for_stays(
    service: Service, admin: Caller, tenant: str
) -> None:
    name = new_trunk(admin, tenant)["name"]
    credential, _ = new_credential(admin, "signer", trunk=name)
    before = state(service.data)

    problem(admin.delete(f"{BASE}/{name}"), 409, "in-use")

    assert state(service.data) == before
    assert admin.delete(f"/api/v1/credentials/{credential}").status == 204
    assert admin.delete(f"{BASE}/{name}").status == 204


WRONG: dict[str, tuple[str, object]] = {
    "a network with host bits": ("networks", ["192.0.2.1/24"]),
    "a network that is none": ("networks", ["192.0.2.0/24", "lan"]),
    "an address of too many parts": ("networks", ["1.2.3.4.5"]),
    "a network of no address": ("networks", [""]),
    "a network of IPv4 in IPv6's spelling": ("networks", ["::ffff:192.0.2.0/120"]),
    "a country that is none": ("country", "XX"),
    "a country in words": ("country", "USA"),
    "an origid that is no UUID": ("origid", "1234"),
    "a tenant that is none": ("tenant", "nobody.example.com"),
    "a tenant that is no address": ("tenant", "no body"),
    "a name with a slash": ("name", "a/b"),
    "a name with a line break": ("name", "trunk\n"),
    "a name of dots": ("name", ".."),
    "a name that is too long": ("name", "a" * 65),
    "a level in lower case": ("attest", "a"),
    "a level that only foreigners have": ("attest", "refuse"),
    "an unknown direction": ("direction", "both"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_setting_is_named_and_nothing_is_stored(
    service: Service, admin: Caller, tenant: str, case: str
) -> None:
    field, value = WRONG[case]
    before = state(service.data)

    answer = admin.post(BASE, {"name": unused("trunk"), "tenant": tenant, field: value})

    problem(answer, 400, "invalid-request", field)
    assert state(service.data) == before


def test_a_name_of_the_greatest_length_is_taken(admin: Caller, tenant: str) -> None:
    name = "a" * 64

    assert admin.post(BASE, {"name": name, "tenant": tenant}).status == 201
    assert admin.delete(f"{BASE}/{name}").status == 204


def test_pages_hold_each_trunk_once_by_name(admin: Caller, tenant: str) -> None:
    made = {new_trunk(admin, tenant)["name"] for _ in range(5)}
    found: list[dict[str, Any]] = []
    after = ""
    while True:
        page = admin.get(f"{BASE}?limit=2{after}").json()
        found += page["items"]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"

    names = [trunk["name"] for trunk in found]
    assert names == sorted(set(names))
    assert made <= set(names)


def test_a_trunk_known_by_its_host_needs_networks_since_anybody_can_write_a_host(
    admin: Caller, tenant: str
) -> None:
    body = {"name": unused("trunk"), "tenant": tenant, "sip": {"by_host": True}}

    refused = admin.post(BASE, body)
    made = admin.post(BASE, {**body, "networks": ["192.0.2.0/24"]})

    problem(refused, 400, "invalid-request", "sip")
    assert made.status == 201
