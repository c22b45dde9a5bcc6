"""Who may have which certificate obtained and kept renewed, over the API."""

from dataclasses import replace
from typing import Any

import pytest

from shaken.audit import SYSTEM, changing
from shaken.config import Config
from shaken.credentials import Role
from shaken.managing import OrderRefused, OrderWish, place
from tests.shaken.world import Reply, World
from trust.acme.order import Attempt, Failures, State
from trust.acme.problems import NameProblem, Problem
from trust.acme.revocation import Reason
from trust.acme.settings import AcmeSettings
from trust.certificate import Certificate, CertificateKind
from trust.store import acme_orders, acme_revocations, acme_settings, certificates

ORDERS = "/api/v1/acme/orders"
SETTINGS = "/api/v1/acme/settings"
OWN, OTHER = "own.example.com", "other.example.com"
URL = "https://ca.example.net/directory"
AGREED = AcmeSettings(URL, terms_agreed=True)


async def order(world: World, *names: str, **more: object) -> Reply:
    """Order a certificate as an administrator of all tenants."""
    return await world.admin("POST", ORDERS, {"names": names, **more})


async def order_as_tenant(world: World, *names: str, **more: object) -> Reply:
    """Order a certificate as an administrator of the tenant own.example.com."""
    secret = world.template.secrets[Role.ADMIN, OWN]
    return await world.ask("POST", ORDERS, {"names": names, **more}, secret=secret)


def refusal(answer: Reply) -> tuple[int, str, list[str]]:
    """Return status, type and the fields that are named."""
    document = answer.json()
    return answer.status, document["type"], [each["field"] for each in document.get("errors", [])]


async def listed(world: World, query: str = "") -> list[dict[str, Any]]:
    """List orders."""
    items: list[dict[str, Any]] = (await world.admin("GET", f"{ORDERS}{query}")).json()["items"]
    return items


async def test_a_tenants_address_belongs_to_the_tenant_whoever_orders(world: World) -> None:
    answer = await order(world, OTHER)

    assert answer.status == 201
    record = answer.json()
    assert (record["kind"], record["tenant"], record["managed"]) == ("domain", OTHER, True)
    assert answer.headers["location"] == f"{ORDERS}/{record['id']}"


@pytest.mark.parametrize(
    ("body", "refused"),
    [
        ({"names": ["x.test"], "kind": "system"}, (400, "not-ours", ["names"])),
        ({"names": ["x.test"]}, (400, "no-tenant", ["names"])),
        ({"names": [OWN, "x.test"]}, (400, "not-ours", ["names"])),
        ({"names": [OWN, OTHER]}, (400, "several-tenants", ["names"])),
        ({"names": [OTHER], "tenant": OWN}, (400, "other-tenant", ["tenant"])),
        ({"names": [OWN], "tenant": "missing.test"}, (400, "invalid-request", ["tenant"])),
        (
            {"names": [OWN], "kind": "system", "tenant": OWN},
            (400, "system-has-no-tenant", ["tenant"]),
        ),
        ({"names": ["*.x.test"], "kind": "system"}, (400, "dns-needed", ["names"])),
        ({"names": ["192.0.2.1"], "force": True}, (400, "invalid-request", ["names"])),
        ({"names": ["2001:db8::1"], "force": True}, (400, "invalid-request", ["names"])),
        ({"names": ["a b"], "force": True}, (400, "invalid-request", ["names"])),
        ({"names": []}, (400, "invalid-request", ["names"])),
        ({"names": ["x.test"] * 101}, (400, "invalid-request", ["names"])),
        ({"names": [OWN], "kind": "sti"}, (400, "invalid-request", ["kind"])),
    ],
)
async def test_an_order_that_cannot_be_meant_is_refused(
    world: World, body: dict[str, object], refused: tuple[int, str, list[str]]
) -> None:
    before = await listed(world)

    answer = await world.admin("POST", ORDERS, body)

    assert refusal(answer) == refused
    assert await listed(world) == before


@pytest.mark.parametrize("more", [[], [OWN], ["y.test"]])
async def test_an_administrator_of_a_tenant_cannot_tell_others_addresses_from_free_names(
    world: World, more: list[str]
) -> None:
    taken = await order_as_tenant(world, OTHER, *more)
    free = await order_as_tenant(world, "other.test", *more)

    assert refusal(taken) == (400, "not-ours" if OWN in more else "no-tenant", ["names"])
    assert taken.body.replace(OTHER.encode(), b"other.test") == free.body


async def test_other_names_are_ordered_when_it_is_forced(world: World) -> None:
    answer = await order(world, "x.test", kind="system", force=True)

    assert (answer.status, answer.json()["tenant"]) == (201, None)


async def test_an_address_among_other_names_is_forced_into_one_certificate(world: World) -> None:
    answer = await order(world, OWN, "x.test", force=True)

    assert (answer.status, answer.json()["tenant"]) == (201, OWN)


DNS = {"type": "rfc2136", "server": "192.0.2.1", "key_name": "acme", "key_secret": "c2VjcmV0"}


async def test_a_wildcard_below_a_tenants_address_needs_no_force(world: World) -> None:
    body = {"directory_url": URL, "terms_agreed": True, "dns": DNS}
    assert (await world.admin("PUT", "/api/v1/acme/settings", body)).status == 200

    below = await order(world, f"*.{OWN}", kind="system")
    beside = await order(world, "*.elsewhere.test", kind="system")

    assert (below.status, beside.status) == (201, 400)
    assert beside.json()["type"] == "not-ours"


async def test_a_name_is_spelled_as_the_dns_has_it_and_asked_for_once(world: World) -> None:
    answer = await order(world, "BÜRO.test", "büro.test", "x.TEST", kind="system", force=True)

    assert answer.status == 201, answer
    assert answer.json()["names"] == ["xn--bro-hoa.test", "x.test"]


async def test_a_wildcard_is_ordered_once_records_can_be_published(world: World) -> None:
    body = {"directory_url": URL, "terms_agreed": True, "dns": DNS}
    assert (await world.admin("PUT", SETTINGS, body)).status == 200

    answer = await order(world, "*.x.test", "x.test", kind="system", force=True)

    assert answer.json()["challenges"] == {"*.x.test": "dns-01", "x.test": "http-01"}


async def test_nothing_is_ordered_without_an_authority_or_agreement_to_its_terms(
    world: World,
) -> None:
    assert (await world.admin("PUT", SETTINGS, {"directory_url": URL})).status == 200
    not_agreed = await order(world, OWN)
    with world.database.changing() as change:
        acme_settings.remove(change)
    without = await order(world, OWN)

    assert refusal(not_agreed) == refusal(without) == (409, "acme-not-set-up", [])
    assert "terms" in not_agreed.json()["detail"]
    assert "no authority" in without.json()["detail"]


async def test_an_administrator_of_a_tenant_orders_for_its_addresses_only(world: World) -> None:
    own = await order_as_tenant(world, OWN)
    named = await order_as_tenant(world, OWN, tenant=OWN)
    for answer in (own, named):
        assert (answer.status, answer.json()["tenant"]) == (201, OWN)

    assert (await order_as_tenant(world, OTHER)).status == 400
    assert (await order_as_tenant(world, OTHER, tenant=OTHER)).status in {403, 404}
    assert (await order_as_tenant(world, "x.test", force=True)).status == 403
    assert (await order_as_tenant(world, OWN, kind="system")).status == 403


async def test_an_administrator_of_a_tenant_sees_and_stops_its_orders_only(world: World) -> None:
    secret, template = world.template.secrets[Role.ADMIN, OWN], world.template

    page = (await world.ask("GET", ORDERS, secret=secret)).json()
    assert [each["tenant"] for each in page["items"]] == [OWN]
    for method in ("GET", "DELETE"):
        answer = await world.ask(method, f"{ORDERS}/{template.other.order}", secret=secret)
        assert answer.status == 404
    renewal = f"/api/v1/certificates/{template.other.certificate}/renew"
    assert (await world.ask("POST", renewal, {}, secret=secret)).status == 404
    other = (await world.admin("GET", f"{ORDERS}/{template.other.order}")).json()
    assert other["managed"]


async def test_orders_are_found_by_tenant_and_state_page_by_page(world: World) -> None:
    for number in range(5):
        await order(world, f"{number}.test", kind="system", force=True)

    issued = await listed(world, "?state=issued")
    assert {each["tenant"] for each in issued} == {OWN, OTHER}
    assert [each["tenant"] for each in await listed(world, f"?tenant={OWN}")] == [OWN]
    assert len(await listed(world, "?state=waiting")) == 5
    assert refusal(await world.admin("GET", f"{ORDERS}?state=lost")) == (
        400,
        "invalid-request",
        ["state"],
    )
    found: list[str] = []
    after: str | None = ""
    for _ in range(4):
        page = (await world.admin("GET", f"{ORDERS}?limit=2&after={after}")).json()
        found += [each["id"] for each in page["items"]]
        after = page["next"]
    assert after is None
    assert found == sorted({each["id"] for each in await listed(world)})


async def test_a_failure_is_shown_in_the_authoritys_words_name_by_name(world: World) -> None:
    own = world.template.own.order
    problem = Problem("rateLimited", "too many", names=(NameProblem(OWN, "denied", "not now"),))
    with world.database.recording() as connection:
        stored = acme_orders.get(connection, own)
        assert stored is not None
        failed = replace(stored, state=State.FAILED, failures=Failures(3, 1_700_000_000, problem))
        acme_orders.save(connection, failed)

    record = (await world.admin("GET", f"{ORDERS}/{own}")).json()

    assert record["failures"] == {
        "count": 3,
        "last": "2023-11-14T22:13:20Z",
        "type": "rateLimited",
        "detail": "too many",
        "names": [{"name": OWN, "type": "denied", "detail": "not now"}],
    }
    assert record["urgency"] == "retrying"
    assert "failed 3 times in a row" in record["words"]


async def test_an_order_that_was_stopped_is_taken_up_when_it_is_placed_again(world: World) -> None:
    own = world.template.own.order

    assert (await world.admin("DELETE", f"{ORDERS}/{own}")).status == 204
    stopped = (await world.admin("GET", f"{ORDERS}/{own}")).json()
    again = await order(world, OWN)

    assert not stopped["managed"]
    assert stopped["words"].startswith("managed no more")
    assert (again.json()["id"], again.json()["managed"]) == (own, True)


async def test_a_certificate_that_no_order_stands_behind_is_not_renewed(world: World) -> None:
    own = world.template.own
    await world.admin("DELETE", f"{ORDERS}/{own.order}")

    answer = await world.admin("POST", f"/api/v1/certificates/{own.certificate}/renew", {})

    assert refusal(answer) == (409, "not-managed", [])


async def test_a_revocation_waits_until_another_certificate_is_there(world: World) -> None:
    own = world.template.own
    path = f"/api/v1/certificates/{own.certificate}/renew"

    assert (await world.admin("POST", path, {"revoke": "key-compromise"})).status == 200

    with world.database.recording() as connection:
        assert acme_revocations.ready(connection, now=2**32, limit=9) == []
        stored = acme_orders.get(connection, own.order)
        assert stored is not None
        assert stored.certified is not None
        other = replace(stored.certified, certificate="0" * 64)
        acme_orders.save(connection, replace(stored, certified=other))
        (pending,) = acme_revocations.ready(connection, now=2**32, limit=9)
        chain = certificates.chain_pem(connection, own.certificate)
    assert (pending.certificate, pending.chain) == (own.certificate, chain)
    assert pending.reason == Reason.KEY_COMPROMISE


async def test_an_attempt_with_the_key_of_a_certificate_that_is_to_be_revoked_is_ended(
    world: World,
) -> None:
    own = world.template.own
    with world.database.recording() as connection:
        stored = acme_orders.get(connection, own.order)
        chain = certificates.chain_pem(connection, own.certificate)
        assert stored is not None
        assert chain is not None
        same_key = Certificate.of_pem(chain).spki_sha256
        attempt = Attempt(URL, f"{URL}/account", same_key, started_at=0)
        acme_orders.save(connection, replace(stored, state=State.AUTHORIZING, attempt=attempt))
    path = f"/api/v1/certificates/{own.certificate}/renew"

    assert (await world.admin("POST", path, {})).json()["state"] == "authorizing"
    revoked = await world.admin("POST", path, {"revoke": "key-compromise"})

    assert revoked.json()["state"] == "waiting"
    with world.database.reading() as connection:
        left = acme_orders.get(connection, own.order)
    assert left is not None
    assert left.attempt is None


async def test_an_unknown_reason_is_refused(world: World) -> None:
    path = f"/api/v1/certificates/{world.template.own.certificate}/renew"

    assert refusal(await world.admin("POST", path, {"revoke": "whim"}))[:2] == (
        400,
        "invalid-request",
    )


def test_the_services_own_name_is_ordered_whatever_its_port(world: World) -> None:
    config = Config(public_url="https://STI.example.com:8443")
    wish = OrderWish(CertificateKind.SYSTEM, ["sti.example.com"], None, forced=False)

    with changing(world.database, SYSTEM, now=0) as change:
        placed = place(change, wish, scope=None, settings=AGREED, config=config)

    assert (placed.names, placed.tenant) == (("sti.example.com",), None)


def test_the_services_own_name_is_not_put_into_a_tenants_certificate(world: World) -> None:
    config = Config(public_url="https://sti.example.com")
    wish = OrderWish(CertificateKind.DOMAIN, [OWN, "sti.example.com"], None, forced=False)

    with (
        pytest.raises(OrderRefused) as raised,
        changing(world.database, SYSTEM, now=0) as change,
    ):
        place(change, wish, scope=None, settings=AGREED, config=config)

    assert raised.value.slug == "other-tenant"
