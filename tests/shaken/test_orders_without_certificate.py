"""Orders that lose their certificate: deleted, or of another tenant; tenants that go."""

from dataclasses import replace

import pytest
from sqlalchemy import update

from shaken.credentials import Role
from tests.shaken.world import World
from trust.acme.order import Certified, State, order_id
from trust.certificate import CertificateKind
from trust.store import acme_orders, certificates
from trust.store.tables import acme_orders as orders

ORDERS = "/api/v1/acme/orders"
OWN, OTHER, ALIAS = "own.example.com", "other.example.com", "alias.example.com"


async def deleted(world: World, certificate: str) -> None:
    """Delete a certificate, though its tenant signs with no other."""
    path = f"/api/v1/certificates/{certificate}?force=true"
    assert (await world.admin("DELETE", path)).status == 204


async def test_a_managed_certificate_that_is_deleted_is_ordered_anew(world: World) -> None:
    own = world.template.own

    await deleted(world, own.certificate)

    record = (await world.admin("GET", f"{ORDERS}/{own.order}")).json()
    assert (record["state"], record["certificate"], record["managed"]) == ("waiting", None, True)
    assert record["words"] == "there is no certificate yet; one is ordered now"
    with world.database.reading() as connection:
        assert own.order in {each.id for each in acme_orders.due(connection, now=2**32, limit=9)}


async def test_a_certificate_whose_order_was_stopped_comes_again_when_it_is_placed_again(
    world: World,
) -> None:
    own = world.template.own
    await world.admin("DELETE", f"{ORDERS}/{own.order}")
    with world.database.recording() as connection:
        stopped = acme_orders.get(connection, own.order)
        assert stopped is not None
        acme_orders.end(connection, stopped, now=0)

    await deleted(world, own.certificate)
    left = (await world.admin("GET", f"{ORDERS}/{own.order}")).json()
    again = (await world.admin("POST", ORDERS, {"names": [OWN]})).json()

    assert (left["state"], left["certificate"], left["next_try"]) == ("stopped", None, None)
    assert (again["state"], again["certificate"], again["managed"]) == ("waiting", None, True)


@pytest.mark.parametrize("is_stopped", [False, True])
async def test_an_order_whose_certificate_an_earlier_version_deleted_begins_anew_when_placed(
    world: World, *, is_stopped: bool
) -> None:
    own = world.template.own
    with world.database.changing() as change:
        certificates.remove(change, own.certificate)
        stored = acme_orders.get(change.connection, own.order)
        assert stored is not None
        if is_stopped:
            acme_orders.stop(change.connection, own.order)
            acme_orders.end(change.connection, stored, now=0)

    again = (await world.admin("POST", ORDERS, {"names": [OWN]})).json()

    assert (again["state"], again["certificate"]) == ("waiting", None)


async def an_alias_of_own_with_a_certificate(world: World) -> str:
    """Give an alias to the managed tenant own.example.com; return its order, which is issued."""
    body = {"aliases": [ALIAS], "managed": True}
    assert (await world.admin("PUT", f"/api/v1/tenants/{OWN}", body)).status == 200
    identity = order_id(CertificateKind.DOMAIN, [ALIAS])
    with world.database.recording() as connection:
        placed = acme_orders.get(connection, identity)
        assert placed is not None
        certified = Certified(world.template.own.certificate, "", 0, 2**32)
        issued = replace(placed, state=State.ISSUED, certified=certified, next_try=2**32)
        acme_orders.settle(connection, issued)
    return identity


async def test_an_alias_that_moves_to_another_managed_tenant_is_ordered_anew_for_it(
    world: World,
) -> None:
    identity = await an_alias_of_own_with_a_certificate(world)

    left, taken = {"managed": True}, {"aliases": [ALIAS], "managed": True}
    assert (await world.admin("PUT", f"/api/v1/tenants/{OWN}", left)).status == 200
    assert (await world.admin("PUT", f"/api/v1/tenants/{OTHER}", taken)).status == 200

    record = (await world.admin("GET", f"{ORDERS}/{identity}")).json()
    assert (record["tenant"], record["state"], record["certificate"]) == (OTHER, "waiting", None)
    assert record["words"] == "there is no certificate yet; one is ordered now"


async def test_an_alias_that_comes_back_to_its_tenant_keeps_its_certificate(world: World) -> None:
    identity = await an_alias_of_own_with_a_certificate(world)

    for aliases in ([], [ALIAS]):
        body = {"aliases": aliases, "managed": True}
        assert (await world.admin("PUT", f"/api/v1/tenants/{OWN}", body)).status == 200

    record = (await world.admin("GET", f"{ORDERS}/{identity}")).json()
    assert (record["state"], record["managed"]) == ("issued", True)
    assert record["certificate"] == world.template.own.certificate


async def test_an_order_of_another_tenant_is_not_renewed_by_whom_its_certificate_belongs_to(
    world: World,
) -> None:
    own = world.template.own
    with world.database.recording() as connection:
        # As an alias that moved was left by an earlier version.
        of_other = update(orders).where(orders.c.id == own.order).values(tenant=OTHER)
        connection.execute(of_other)
    secret = world.template.secrets[Role.ADMIN, OWN]

    answer = await world.ask(
        "POST", f"/api/v1/certificates/{own.certificate}/renew", {}, secret=secret
    )

    assert answer.status == 404
    with world.database.reading() as connection:
        stored = acme_orders.get(connection, own.order)
    assert stored is not None
    assert stored.demand is None


async def refusal_to_delete_own(world: World) -> str:
    """Try to delete the tenant own.example.com; return what is said."""
    answer = await world.admin("DELETE", f"/api/v1/tenants/{OWN}")
    assert (answer.status, answer.json()["type"]) == (409, "in-use")
    detail: str = answer.json()["detail"]
    return detail


async def test_a_tenant_whose_certificates_are_renewed_is_deleted_after_its_orders_are_stopped(
    world: World,
) -> None:
    own = world.template.own
    kinds = "certificates, requests, trunks, credentials belong to own.example.com"

    assert await refusal_to_delete_own(world) == (
        f"{kinds}, and certificates are ordered for it: `shaken acme stop {own.order}` first, which"
        " ends what is under way; then remove what is left"
    )
    assert (await world.admin("PUT", f"/api/v1/tenants/{OWN}", {"managed": True})).status == 200
    managed = await refusal_to_delete_own(world)
    assert f"`shaken tenants update {OWN} --not-managed` first" in managed
    assert (await world.admin("PUT", f"/api/v1/tenants/{OWN}", {})).status == 200
    assert await refusal_to_delete_own(world) == f"{kinds}; remove them first"


async def test_what_holds_a_tenant_is_named(world: World) -> None:
    own = world.template.own
    await world.admin("DELETE", f"{ORDERS}/{own.order}")
    await deleted(world, own.certificate)
    await world.admin("DELETE", f"/api/v1/certificates/requests/{own.request}")
    for credential in (own.credential, *(f"{role.value}-of-{OWN}" for role in Role)):
        await world.admin("DELETE", f"/api/v1/credentials/{credential}")

    assert await refusal_to_delete_own(world) == f"trunks belong to {OWN}; remove them first"


async def test_the_orders_of_a_tenant_that_is_deleted_are_stopped(world: World) -> None:
    address = "gone.example.com"
    assert (await world.admin("POST", "/api/v1/tenants", {"address": address})).status == 201
    placed = (await world.admin("POST", ORDERS, {"names": [address]})).json()

    done = await world.admin("DELETE", f"/api/v1/tenants/{address}")

    assert (placed["managed"], done.status) == (True, 204)
    assert not (await world.admin("GET", f"{ORDERS}/{placed['id']}")).json()["managed"]
