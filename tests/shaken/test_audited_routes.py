"""Every route that changes something leaves its audit, and a refused change leaves none."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from unittest.mock import ANY

import pytest

from shaken.credentials import Role, digest_of
from tests.clients import client_id
from tests.shaken.world import EVERYBODY, INSIDE, World, name_of
from trust.certificate import Certificate
from trust.pem import read_pem

ADMIN = name_of(Role.ADMIN, EVERYBODY)
CLIENT = client_id()
OWN, OTHER = "own.example.com", "other.example.com"


def import_of(world: World, **more: object) -> dict[str, object]:
    """Write the body that imports the spare certificate."""
    spare = world.template.spare
    return {
        "kind": "sti",
        "certificate": spare.chain_pem,
        "private_key": spare.key_pem,
        **more,
    }


@dataclass(frozen=True)
class Change:
    """A route that changes something: a request that does, its audit, and requests that fail."""

    path: str
    body: object
    told: Sequence[tuple[str, str, str | None]]
    """Action, subject and tenant of each thing that is changed."""
    failing: Sequence[tuple[str, object, int]]
    """Path, body and status of each."""
    detail: Any = None


def changes(world: World) -> dict[str, Change]:
    """List all routes that change something, as `METHOD /path`."""
    own, spare = world.template.own, world.template.spare.certificate.fingerprint
    certificate, credential = own.certificate, own.credential
    root, spare_root = world.template.root, world.template.spare_root
    (spare_root_certificate,) = read_pem(spare_root).certificates
    spare_root_id = Certificate((spare_root_certificate,)).fingerprint
    return {
        "POST /api/v1/certificates": Change(
            "/api/v1/certificates",
            import_of(world, tenant=OWN),
            [("certificate.import", spare, OWN)],
            [
                ("/api/v1/certificates", import_of(world, tenant="no.example.com"), 400),
                ("/api/v1/certificates", import_of(world, private_key="no PEM"), 400),
            ],
        ),
        "POST /api/v1/certificates/delete": Change(
            "/api/v1/certificates/delete?force=true",
            {"ids": [certificate]},
            [("certificate.delete", certificate, OWN)],
            [
                ("/api/v1/certificates/delete", {"ids": [certificate]}, 409),
                ("/api/v1/certificates/delete?force=true", {"ids": [certificate, spare]}, 404),
            ],
        ),
        "DELETE /api/v1/certificates/{id}": Change(
            f"/api/v1/certificates/{certificate}?force=true",
            None,
            [("certificate.delete", certificate, OWN)],
            [(f"/api/v1/certificates/{spare}", None, 404)],
        ),
        "POST /api/v1/certificates/{id}/renew": Change(
            f"/api/v1/certificates/{certificate}/renew",
            {"revoke": "superseded"},
            [("order.renew", own.order, OWN)],
            [(f"/api/v1/certificates/{spare}/renew", {}, 404)],
            {
                "before": {"demand": None, "revoke": None},
                "after": {"demand": "revoked", "revoke": "superseded"},
            },
        ),
        "PUT /api/v1/acme/settings": Change(
            "/api/v1/acme/settings",
            {
                "directory_url": "letsencrypt",
                "terms_agreed": True,
                "eab": {"kid": "kid", "hmac_key": "c2VjcmV0"},
            },
            [("acme.settings", "acme", None)],
            [("/api/v1/acme/settings", {"directory_url": "http://ca.example.net"}, 400)],
            {
                "before": {
                    "directory_url": "https://ca.example.net/directory",
                    "eab_kid": None,
                },
                "after": {
                    "directory_url": "https://acme-v02.api.letsencrypt.org/directory",
                    "eab_kid": "kid",
                },
            },
        ),
        "POST /api/v1/acme/account/rollover": Change(
            "/api/v1/acme/account/rollover",
            None,
            [("acme.account", "https://ca.example.net/directory", None)],
            [],
            {"before": {"wish": None}, "after": {"wish": "rollover"}},
        ),
        "POST /api/v1/acme/account/deactivate": Change(
            "/api/v1/acme/account/deactivate",
            None,
            [("acme.account", "https://ca.example.net/directory", None)],
            [],
            {"before": {"wish": None}, "after": {"wish": "deactivate"}},
        ),
        "POST /api/v1/acme/account/start-over": Change(
            "/api/v1/acme/account/start-over",
            {"lost": True},
            [("acme.account", "https://ca.example.net/directory", None)],
            [("/api/v1/acme/account/start-over", {}, 409)],
            {"before": {"wish": None}, "after": {"wish": "start-over-lost"}},
        ),
        "POST /api/v1/acme/orders": Change(
            "/api/v1/acme/orders",
            {"names": [OTHER]},
            [("order.create", world.template.other.order, OTHER)],
            [
                ("/api/v1/acme/orders", {"names": ["x.test"]}, 400),
                ("/api/v1/acme/orders", {"names": ["x.test"], "kind": "system"}, 400),
            ],
            {
                "after": {
                    "kind": "domain",
                    "names": [OTHER],
                    "tenant": OTHER,
                    "managed": True,
                    "demand": None,
                }
            },
        ),
        "DELETE /api/v1/acme/orders/{id}": Change(
            f"/api/v1/acme/orders/{own.order}",
            None,
            [("order.stop", own.order, OWN)],
            [(f"/api/v1/acme/orders/{'0' * 32}", None, 404)],
            {"before": {"managed": True}, "after": {"managed": False}},
        ),
        "POST /api/v1/certificates/requests": Change(
            "/api/v1/certificates/requests",
            {"kind": "domain", "names": [OWN]},
            [("request.create", ANY, OWN)],
            [
                ("/api/v1/certificates/requests", {"kind": "domain", "names": ["x.test"]}, 400),
                ("/api/v1/certificates/requests", {"kind": "sti", "names": [OWN]}, 400),
            ],
            {
                "after": {
                    "kind": "domain",
                    "names": [OWN],
                    "subject": f"CN={OWN}",
                    "tenant": OWN,
                    "key_type": "p-256",
                }
            },
        ),
        "DELETE /api/v1/certificates/requests/{id}": Change(
            f"/api/v1/certificates/requests/{own.request}",
            None,
            [("request.delete", own.request, OWN)],
            [(f"/api/v1/certificates/requests/{spare}", None, 404)],
        ),
        "POST /api/v1/tenants": Change(
            "/api/v1/tenants",
            {"address": "new.example.com", "numbers": ["+1215*"]},
            [("tenant.create", "new.example.com", "new.example.com")],
            [
                ("/api/v1/tenants", {"address": OWN}, 409),
                ("/api/v1/tenants", {"address": "x.example.com", "numbers": ["x"]}, 400),
            ],
            {
                "after": {
                    "address": "new.example.com",
                    "aliases": [],
                    "numbers": ["+1215*"],
                    "fallback": "first",
                    "managed": False,
                }
            },
        ),
        "PUT /api/v1/tenants/{address}": Change(
            f"/api/v1/tenants/{OWN}",
            {"aliases": ["alias.example.com"], "fallback": "none"},
            [("tenant.update", OWN, OWN)],
            [
                ("/api/v1/tenants/no.example.com", {}, 404),
                (f"/api/v1/tenants/{OWN}", {"aliases": [OTHER]}, 409),
            ],
            {
                "before": {"aliases": [], "fallback": "first"},
                "after": {"aliases": ["alias.example.com"], "fallback": "none"},
            },
        ),
        "DELETE /api/v1/tenants/{address}": Change(
            "/api/v1/tenants/empty.example.com",
            None,
            [("tenant.delete", "empty.example.com", "empty.example.com")],
            [
                ("/api/v1/tenants/no.example.com", None, 404),
                (f"/api/v1/tenants/{OWN}", None, 409),
            ],
        ),
        "POST /api/v1/trunks": Change(
            "/api/v1/trunks",
            {"name": "new", "tenant": OWN},
            [("trunk.create", "new", OWN)],
            [
                ("/api/v1/trunks", {"name": own.trunk, "tenant": OWN}, 409),
                ("/api/v1/trunks", {"name": "x", "tenant": "no.example.com"}, 400),
            ],
        ),
        "PUT /api/v1/trunks/{name}": Change(
            f"/api/v1/trunks/{own.trunk}",
            {"country": "US", "networks": ["192.0.2.0/24"]},
            [("trunk.update", own.trunk, OWN)],
            [
                ("/api/v1/trunks/no", {}, 404),
                (f"/api/v1/trunks/{own.trunk}", {"tenant": OTHER}, 400),
            ],
            {
                "before": {"country": None, "networks": []},
                "after": {"country": "US", "networks": ["192.0.2.0/24"]},
            },
        ),
        "DELETE /api/v1/trunks/{name}": Change(
            f"/api/v1/trunks/{own.trunk}",
            None,
            [("trunk.delete", own.trunk, OWN)],
            [("/api/v1/trunks/no", None, 404), ("/api/v1/trunks/busy", None, 409)],
        ),
        "POST /api/v1/credentials": Change(
            "/api/v1/credentials",
            {
                "name": "new",
                "role": "signer",
                "trunk": own.trunk,
                "client_certificate": CLIENT.pem,
            },
            [("credential.create", "new", OWN)],
            [
                ("/api/v1/credentials", {"name": credential, "role": "viewer"}, 409),
                (
                    "/api/v1/credentials",
                    {"name": "x", "role": "signer", "client_certificate": "no PEM"},
                    400,
                ),
                ("/api/v1/credentials", {"name": "x", "role": "signer", "trunk": "no"}, 400),
            ],
            {
                "after": {
                    "name": "new",
                    "role": "signer",
                    "tenant": OWN,
                    "trunk": own.trunk,
                    "networks": [],
                    "client_spki": CLIENT.spki,
                }
            },
        ),
        "DELETE /api/v1/credentials/{name}": Change(
            f"/api/v1/credentials/{credential}",
            None,
            [("credential.revoke", credential, OWN)],
            [("/api/v1/credentials/no", None, 404)],
        ),
        "POST /api/v1/roots": Change(
            "/api/v1/roots",
            {"purpose": "sti", "certificate": spare_root},
            [("root.add", spare_root_id, None)],
            [("/api/v1/roots", {"purpose": "sti", "certificate": "no PEM"}, 400)],
        ),
        "PUT /api/v1/roots/{id}": Change(
            f"/api/v1/roots/{root}",
            {"disabled": True},
            [("root.update", root, None)],
            [(f"/api/v1/roots/{spare}", {"disabled": True}, 404)],
            {"before": {"disabled": False}, "after": {"disabled": True}},
        ),
        "DELETE /api/v1/roots/{id}": Change(
            f"/api/v1/roots/{root}",
            None,
            [("root.delete", root, None)],
            [(f"/api/v1/roots/{spare}", None, 404)],
        ),
        "POST /api/v1/roots/reset": Change(
            "/api/v1/roots/reset",
            {"purpose": "sti", "keep_added": False},
            [("roots.reset", "sti", None)],
            [("/api/v1/roots/reset", {"purpose": "other"}, 400)],
            {"after": {"added": [], "removed": [root], "enabled": []}},
        ),
    }


CHANGING = [  # what `changes` lists, for pytest to know before there is a world
    f"{method} /api/v1/{path}"
    for method, path in [
        ("POST", "certificates"),
        ("POST", "certificates/delete"),
        ("DELETE", "certificates/{id}"),
        ("POST", "certificates/requests"),
        ("DELETE", "certificates/requests/{id}"),
        ("POST", "tenants"),
        ("PUT", "tenants/{address}"),
        ("DELETE", "tenants/{address}"),
        ("POST", "trunks"),
        ("PUT", "trunks/{name}"),
        ("DELETE", "trunks/{name}"),
        ("POST", "credentials"),
        ("DELETE", "credentials/{name}"),
        ("POST", "roots"),
        ("PUT", "roots/{id}"),
        ("DELETE", "roots/{id}"),
        ("POST", "roots/reset"),
        ("POST", "certificates/{id}/renew"),
        ("PUT", "acme/settings"),
        ("POST", "acme/account/rollover"),
        ("POST", "acme/account/deactivate"),
        ("POST", "acme/account/start-over"),
        ("POST", "acme/orders"),
        ("DELETE", "acme/orders/{id}"),
    ]
]


@pytest.fixture
async def furnished(world: World) -> World:
    """The world with a tenant that has nothing, and a trunk that a credential is for."""
    for path, body in (
        ("tenants", {"address": "empty.example.com"}),
        ("trunks", {"name": "busy", "tenant": OTHER}),
        ("credentials", {"name": "busy", "role": "signer", "trunk": "busy"}),
    ):
        assert (await world.admin("POST", f"/api/v1/{path}", body)).status == 201
    return world


async def test_every_route_that_changes_something_is_walked(world: World) -> None:
    served = {f"{route.method} {route.path}" for route in world.routes if route.changes}

    assert set(changes(world)) == served == set(CHANGING)


@pytest.mark.parametrize("route", CHANGING)
async def test_a_change_leaves_one_entry_for_each_thing_that_is_changed(
    furnished: World, route: str
) -> None:
    change = changes(furnished)[route]
    before = await furnished.audit()
    begin = datetime.now(UTC).replace(microsecond=0)

    answer = await furnished.admin(route.split(maxsplit=1)[0], change.path, change.body)

    assert answer.status in {200, 201, 202, 204}, answer.body
    after = await furnished.audit()
    assert after[len(change.told) :] == before
    new = after[: len(change.told)]
    assert [(entry["action"], entry["subject"], entry["tenant"]) for entry in new] == change.told
    for entry in new:
        assert (entry["actor"], entry["peer"]) == (ADMIN, INSIDE)
        assert begin <= datetime.fromisoformat(entry["at"]) <= datetime.now(UTC)
        assert set(entry["detail"]) == sides(entry["action"])
        assert change.detail in (None, entry["detail"])


def sides(action: str) -> set[str]:
    """Return what the detail of an action has: what was, what is, or both."""
    made, gone = {"create", "import", "add", "reset"}, {"delete", "revoke"}
    verb = action.partition(".")[2]
    return {"after"} if verb in made else {"before"} if verb in gone else {"before", "after"}


@pytest.mark.parametrize("route", CHANGING)
async def test_a_change_that_is_refused_leaves_no_entry(furnished: World, route: str) -> None:
    change = changes(furnished)[route]
    before = await furnished.audit()
    revision = furnished.database.revision()

    for path, body, status in change.failing:
        answer = await furnished.admin(route.split(maxsplit=1)[0], path, body)

        assert answer.status == status, answer.body
    assert await furnished.audit() == before
    assert furnished.database.revision() == revision


@pytest.mark.parametrize("route", CHANGING)
async def test_those_who_may_not_leave_no_entry(furnished: World, route: str) -> None:
    change = changes(furnished)[route]
    before = await furnished.audit()

    for role in set(Role) - {Role.ADMIN}:
        secret = furnished.template.secrets[role, EVERYBODY]
        method = route.split(maxsplit=1)[0]
        answer = await furnished.ask(method, change.path, change.body, secret=secret)
        assert answer.status == 403

    assert await furnished.audit() == before


async def test_the_audit_holds_no_secret_no_digest_and_no_key(furnished: World) -> None:
    secrets = set(furnished.template.secrets.values())
    for route in ("POST /api/v1/credentials", "POST /api/v1/certificates"):
        change = changes(furnished)[route]
        answer = await furnished.admin("POST", change.path, change.body)
        secrets.add(answer.json().get("secret", "PRIVATE KEY"))

    with furnished.database.reading() as connection:
        rows = str(connection.exec_driver_sql("SELECT * FROM audit").all())
    assert "new" in rows
    for secret in secrets:
        assert secret not in rows
        assert digest_of(secret).hex() not in rows
    key_lines = furnished.template.spare.key_pem.splitlines()[1:-1]
    assert not [line for line in key_lines if line in rows]


async def test_nobody_can_be_called_as_the_service_itself(world: World) -> None:
    for name in ("system", "System"):
        body = {"name": name, "role": "admin"}
        answer = await world.admin("POST", "/api/v1/credentials", body)

        assert answer.status == 400
        assert answer.json()["errors"][0]["field"] == "name"
