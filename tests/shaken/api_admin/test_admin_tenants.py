"""`/api/v1/tenants`: customers by their addresses, each of which means one tenant only."""

from datetime import datetime
from typing import Any

import pytest

from tests.shaken.api_admin.arranging import (
    new_certificate,
    new_credential,
    new_tenant,
    new_trunk,
    problem,
    state,
    unused,
)
from tests.system.caller import Caller
from tests.system.process import Service
from trust.authority import Authority

BASE = "/api/v1/tenants"


def test_a_tenant_is_made_shown_changed_and_removed(admin: Caller) -> None:
    address = f"{unused('pbx')}.example.com"
    alias = f"{unused('sip')}.example.com"
    settings = {
        "aliases": [alias],
        "numbers": ["+12155550100", "+12155550200-+12155550299", "+1215777*"],
        "fallback": "none",
        "managed": False,
    }

    made = admin.post(BASE, {"address": address, **settings})
    shown = admin.get(f"{BASE}/{address}")
    changed = admin.put(f"{BASE}/{address}", {"numbers": ["+12155550100"]})
    removed = admin.delete(f"{BASE}/{address}")

    assert (made.status, made.headers["location"]) == (201, f"{BASE}/{address}")
    assert made.json() == shown.json() == {"address": address, **settings}
    assert changed.json() == {
        "address": address,
        "aliases": [],
        "numbers": ["+12155550100"],
        "fallback": "first",
        "managed": False,
    }
    assert (removed.status, removed.body) == (204, b"")
    problem(admin.get(f"{BASE}/{address}"), 404, "not-found")
    problem(admin.delete(f"{BASE}/{address}"), 404, "not-found")
    problem(admin.put(f"{BASE}/{address}", {}), 404, "not-found")


def test_an_address_alone_makes_a_tenant_with_defaults(admin: Caller) -> None:
    address = new_tenant(admin)

    assert admin.get(f"{BASE}/{address}").json() == {
        "address": address,
        "aliases": [],
        "numbers": [],
        "fallback": "first",
        "managed": False,
    }


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("B\u00dcCHER.example", "xn--bcher-kva.example"),
        ("Stra\u00dfe.example", "xn--strae-oqa.example"),
        ("\u4f8b\u3048.example", "xn--r8jz45g.example"),
        ("PBX-Upper.Example.COM.", "pbx-upper.example.com"),
        ("full\u3002stop.example", "full.stop.example"),
        ("localhost", "localhost"),
    ],
)
def test_an_address_has_one_spelling_however_it_is_written(
    admin: Caller, written: str, kept: str
) -> None:
    made = admin.post(BASE, {"address": written})

    assert (made.status, made.json()["address"]) == (201, kept)
    problem(admin.post(BASE, {"address": kept.upper()}), 409, "address-taken")
    assert admin.get(f"{BASE}/{kept.upper()}").json()["address"] == kept
    assert admin.delete(f"{BASE}/{kept}").status == 204


def test_a_path_may_name_any_address_of_a_tenant_in_any_spelling(admin: Caller) -> None:
    address = new_tenant(admin, aliases=["xn--mnchen-3ya.example"])

    for spelled in (address.upper(), "m%C3%BCnchen.example", "XN--MNCHEN-3YA.example."):
        assert admin.get(f"{BASE}/{spelled}").json()["address"] == address


def test_doubled_aliases_and_its_own_address_are_left_out(admin: Caller) -> None:
    address, alias = f"{unused('pbx')}.example.com", f"{unused('sip')}.example.com"

    made = admin.post(BASE, {"address": address, "aliases": [alias, alias.upper(), address]})

    assert made.json()["aliases"] == [alias]


COLLISIONS: dict[str, tuple[str, str]] = {
    "its address is a tenant's": ("address", "address"),
    "its address is a tenant's alias": ("address", "alias"),
    "its alias is a tenant's address": ("alias", "address"),
    "its alias is a tenant's alias": ("alias", "alias"),
}


@pytest.mark.parametrize("case", COLLISIONS)
def test_an_address_means_one_tenant_only(service: Service, admin: Caller, case: str) -> None:
    newcomer, taken = COLLISIONS[case]
    alias = f"{unused('alias')}.example.com"
    there = {"address": new_tenant(admin, aliases=[alias]), "alias": alias}
    body = {"address": f"{unused('new')}.example.com", "aliases": [f"{unused('new')}.example.com"]}
    if newcomer == "address":
        body["address"] = there[taken]
    else:
        body["aliases"] = [there[taken]]
    before = state(service.data)

    problem(admin.post(BASE, body), 409, "address-taken")

    assert state(service.data) == before


def test_an_alias_cannot_be_taken_over_by_a_change(service: Service, admin: Caller) -> None:
    alias = f"{unused('alias')}.example.com"
    new_tenant(admin, aliases=[alias])
    other = new_tenant(admin, aliases=[f"{unused('alias')}.example.com"])
    before = state(service.data)

    problem(admin.put(f"{BASE}/{other}", {"aliases": [alias]}), 409, "address-taken")

    assert state(service.data) == before


def test_an_alias_that_was_given_up_is_free(admin: Caller) -> None:
    alias = f"{unused('alias')}.example.com"
    first, second = new_tenant(admin, aliases=[alias]), new_tenant(admin)

    assert admin.put(f"{BASE}/{first}", {"aliases": []}).status == 200
    assert admin.put(f"{BASE}/{second}", {"aliases": [alias]}).status == 200

    assert admin.get(f"{BASE}/{alias}").json()["address"] == second


@pytest.mark.parametrize("what", ["certificate", "trunk", "credential"])
def test_a_tenant_that_something_belongs_to_stays(
    service: Service, admin: Caller, sti_ca: Authority, moment: datetime, what: str
) -> None:
    address = new_tenant(admin)
    if what == "certificate":
        issued = sti_ca.issue_sti(spc="1234", now=moment)
        made = new_certificate(admin, issued, tenant=address)
        thing = f"/api/v1/certificates/{made['id']}?force=true"
    elif what == "trunk":
        thing = f"/api/v1/trunks/{new_trunk(admin, address)['name']}"
    else:
        thing = f"/api/v1/credentials/{new_credential(admin, 'viewer', tenant=address)[0]}"
    before = state(service.data)

    problem(admin.delete(f"{BASE}/{address}"), 409, "in-use")

    assert state(service.data) == before
    assert admin.delete(thing).status == 204
    assert admin.delete(f"{BASE}/{address}").status == 204


@pytest.mark.parametrize(
    "rule",
    [
        "Alice",
        "+1215*5",
        "*",
        "+12155550299-+12155550200",
        "+1215-+12155550299",
        "+1" * 16,
        "+1215555\n0100",
        "\u0661\u0662\u0663",
    ],
)
def test_a_number_rule_that_says_nothing_is_refused(admin: Caller, rule: str) -> None:
    body = {"address": f"{unused('pbx')}.example.com", "numbers": ["+12155550100", rule]}

    problem(admin.post(BASE, body), 400, "invalid-request", "numbers")


def test_a_managed_tenant_waits_for_its_certificates_until_an_authority_is_set(
    admin: Caller,
) -> None:
    address = f"{unused('pbx')}.example.com"

    assert admin.post(BASE, {"address": address, "managed": True}).json()["managed"]

    (order,) = admin.get(f"/api/v1/acme/orders?tenant={address}").json()["items"]
    assert (order["names"], order["state"], order["managed"]) == ([address], "waiting", True)
    assert "no authority is set" in order["words"]


def test_the_orders_of_a_managed_tenant_follow_its_addresses(admin: Caller) -> None:
    address, alias = f"{unused('pbx')}.example.com", f"{unused('alias')}.example.com"

    def managed(**settings: object) -> set[str]:
        assert admin.call("PUT", f"{BASE}/{address}", settings).status == 200
        listed = admin.get(f"/api/v1/acme/orders?tenant={address}").json()["items"]
        return {name for each in listed if each["managed"] for name in each["names"]}

    admin.post(BASE, {"address": address})
    assert managed(aliases=[alias]) == set()
    assert managed(aliases=[alias], managed=True) == {address, alias}
    assert managed(managed=True) == {address}
    assert managed(aliases=[alias], managed=True) == {address, alias}
    assert managed(aliases=[alias]) == set()


def test_pages_hold_each_tenant_once_by_address(admin: Caller) -> None:
    made = {new_tenant(admin) for _ in range(5)}
    found: list[dict[str, Any]] = []
    after = ""
    while True:
        page = admin.get(f"{BASE}?limit=2{after}").json()
        found += page["items"]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"

    addresses = [tenant["address"] for tenant in found]
    assert addresses == sorted(set(addresses))
    assert made <= set(addresses)


@pytest.mark.parametrize(
    "address", ["nobody.example", "no%20body", "%00", "-", "%ED%A0%80", "a" * 300]
)
def test_a_path_that_names_no_tenant_is_refused(admin: Caller, address: str) -> None:
    for method in ("GET", "DELETE"):
        answer = admin.call(method, f"{BASE}/{address}")
        assert answer.status in {400, 404}
        assert answer.headers["content-type"] == "application/problem+json"
