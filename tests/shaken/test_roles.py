"""Who may do what: every route with every role, bound to a tenant or not, from near and far."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
import pytest

from shaken.credentials import Role
from shaken.throttle import FAILURES
from tests.shaken.world import EVERYBODY, INSIDE, OUTSIDE, Estate, Reply, Template, World

TABLE = """
route                                   admin        viewer       signer       verifier  listener
GET    /api/v1/certificates             200 200 own  200 200 own  -            -         -
POST   /api/v1/certificates             201 201 404  -            -            -         -
GET    /api/v1/certificates/{id}        200 200 404  200 200 404  -            -         -
DELETE /api/v1/certificates/{id}        204 204 404  -            -            -         -
POST   /api/v1/certificates/delete      204 204 404  -            -            -         -
GET    /api/v1/listeners/certificate    -            -            -            -         404 404 404
GET    /api/v1/certificates/{id}/pem    200 200 404  200 200 404  -            -         -
GET    /api/v1/certificates/requests    200 200 own  200 200 own  -            -         -
POST   /api/v1/certificates/requests    201 201 404  -            -            -         -
GET    /api/v1/certificates/requests/{id}  200 200 404  200 200 404  -         -         -
DELETE /api/v1/certificates/requests/{id}  204 204 404  -            -         -         -
GET    /api/v1/certificates/requests/{id}/csr  200 200 404  200 200 404  -     -         -
POST   /api/v1/certificates/{id}/renew  200 200 404  -            -            -         -
GET    /api/v1/acme/settings            200 403 403  -            -            -         -
PUT    /api/v1/acme/settings            200 403 403  -            -            -         -
GET    /api/v1/acme/account             200 403 403  -            -            -         -
POST   /api/v1/acme/account/rollover    202 403 403  -            -            -         -
POST   /api/v1/acme/account/deactivate  202 403 403  -            -            -         -
POST   /api/v1/acme/account/start-over  202 403 403  -            -            -         -
GET    /api/v1/acme/orders              200 200 own  200 200 own  -            -         -
POST   /api/v1/acme/orders              201 201 404  -            -            -         -
GET    /api/v1/acme/orders/{id}         200 200 404  200 200 404  -            -         -
DELETE /api/v1/acme/orders/{id}         204 204 404  -            -            -         -
GET    /api/v1/certificates/{id}/der    200 200 404  200 200 404  -            -         -
GET    /api/v1/tenants                  200 200 own  200 200 own  -            -         -
POST   /api/v1/tenants                  201 403 403  -            -            -         -
GET    /api/v1/tenants/{address}        200 200 404  200 200 404  -            -         -
PUT    /api/v1/tenants/{address}        200 403 403  -            -            -         -
DELETE /api/v1/tenants/{address}        409 403 403  -            -            -         -
GET    /api/v1/trunks                   200 200 own  200 200 own  -            -         -
POST   /api/v1/trunks                   201 201 400  -            -            -         -
GET    /api/v1/trunks/{name}            200 200 404  200 200 404  -            -         -
PUT    /api/v1/trunks/{name}            200 200 404  -            -            -         -
DELETE /api/v1/trunks/{name}            204 204 404  -            -            -         -
GET    /api/v1/credentials              200 200 own  200 200 own  -            -         -
POST   /api/v1/credentials              201 201 400  -            -            -         -
DELETE /api/v1/credentials/{name}       204 204 404  -            -            -         -
GET    /api/v1/roots                    200 200 200  200 200 200  -            -         -
POST   /api/v1/roots                    201 403 403  -            -            -         -
POST   /api/v1/roots/reset              200 403 403  -            -            -         -
GET    /api/v1/roots/{id}               200 200 200  200 200 200  -            -         -
PUT    /api/v1/roots/{id}               200 403 403  -            -            -         -
DELETE /api/v1/roots/{id}               204 403 403  -            -            -         -
GET    /api/v1/roots.pem                200 200 200  200 200 200  -            -         -
GET    /api/v1/audit                    200 200 own  200 200 own  -            -         -
GET    /api/v1/calls                    200 200 own  200 200 own  -            -         -
GET    /metrics                         200 403 403  200 403 403  -            -         -
POST   /stir/v1/signing                 -            -            200 200 400  -         -
POST   /stir/v1/verification            -            -            -            200 200 200  -
GET    /dialplan/v1/sign                -            -            200 200 400  -         -
POST   /dialplan/v1/sign                -            -            200 200 400  -         -
GET    /dialplan/v1/verify              -            -            -            200 200 200  -
POST   /dialplan/v1/verify              -            -            -            200 200 200  -
GET    /certificates/{fingerprint}.pem  anybody 200
GET    /.well-known/acme-challenge/{token}  anybody 200
GET    /healthz                         anybody 200
GET    /readyz                          anybody 200
GET    /openapi.json                    anybody 200
"""
"""Statuses for three credentials of each role: one for all tenants; one bound to a tenant that
asks for this tenant's things; the same asking for another tenant's. `own`: 200, but only with what
is its own. `-`: 403 for all three. A tenant cannot be deleted (409) while things belong to it.
No TLS certificate is there for listeners (404).
Roots are everybody's.

Whoever is not known, and whoever is known but calls from outside of the credential's networks, gets
401 from all but the routes for anybody.
"""

BINDINGS = ("for all", "bound, its own", "bound, another's")


@dataclass(frozen=True)
class Case:
    """One cell of the table."""

    route: str
    role: Role
    binding: str
    expected: str

    def __str__(self) -> str:
        return f"{self.route}, {self.role}, {self.binding}"

    def secret(self, template: Template) -> str:
        """Return the secret of the credential that asks."""
        bound_to = EVERYBODY if self.binding == "for all" else template.own.address
        return template.secrets[self.role, bound_to]

    def estate(self, template: Template) -> Estate:
        """Return the tenant whose things are asked for."""
        return template.other if self.binding == "bound, another's" else template.own


def rows() -> Iterator[tuple[str, list[str]]]:
    """Read the table: each route and its cells."""
    for line in TABLE.strip().splitlines()[1:]:
        method, path, cells = line.split(maxsplit=2)
        yield f"{method} {path}", re.split(r"\s{2,}", cells)


ANYBODYS = [route for route, cells in rows() if cells == ["anybody 200"]]
GUARDED = [route for route, _ in rows() if route not in ANYBODYS]
CASES = [
    Case(route, role, binding, expected)
    for route, cells in rows()
    if route not in ANYBODYS
    for role, cell in zip(Role, cells, strict=True)
    for binding, expected in zip(
        BINDINGS, ["403"] * 3 if cell == "-" else cell.split(), strict=True
    )
]


MISSING = Estate(
    "missing.example.com", "0" * 64, "missing-trunk", "missing-credential", "0" * 64, "0" * 32
)
"""A tenant that is not there, nor any of its things."""


async def request(
    world: World,
    route: str,
    estate: Estate,
    *,
    secret: str | None,
    peer: str = INSIDE,
    proto: str | None = "https",
) -> Reply:
    """Send a good request to a route, about the things of a tenant."""
    method, path = route.split()
    words = {
        "/api/v1/certificates": "?tenant={address}",
        "/api/v1/certificates/requests": "?tenant={address}",
        "/api/v1/acme/orders": "?tenant={address}",
        "/api/v1/roots.pem": "?purpose=sti",
        "/api/v1/audit": "?subject={address}",
        "/api/v1/calls": "?tenant={address}",
        "/stir/v1/signing": "?tenant={address}",
        "/dialplan/v1/sign": "?orig=12155550100&dest=12155550199&attest=A&tenant={address}"
        "&origid=de305d54-75b4-431b-adb2-eb6b9e546014",
        "/dialplan/v1/verify": "?orig=12155550100&dest=12155550199",
        "DELETE /api/v1/certificates/{id}": "?force=true",
        "POST /api/v1/certificates/delete": "?force=true",
    }
    names = {"address": estate.address, "fingerprint": estate.certificate, "id": estate.certificate}
    names["name"] = estate.trunk if "trunks" in path else estate.credential
    names["token"] = world.template.token
    if "requests" in path:
        names["id"] = estate.request
    if "orders" in path:
        names["id"] = estate.order
    if "roots" in path and estate is not MISSING:
        names["id"] = world.template.root
    target = (path + words.get(route, words.get(path, ""))).format_map(names)
    body = bodies(world.template, estate).get(route)
    return await world.ask(method, target, body, secret=secret, peer=peer, proto=proto)


def bodies(template: Template, estate: Estate) -> dict[str, object]:
    """Write the bodies of good requests about a tenant."""
    return {
        "POST /api/v1/certificates": {
            "kind": "sti",
            "certificate": template.spare.chain_pem,
            "private_key": template.spare.key_pem,
            "tenant": estate.address,
        },
        "POST /api/v1/certificates/delete": {"ids": [estate.certificate]},
        "POST /api/v1/certificates/requests": {
            "kind": "sti",
            "spc": "1234",
            "tenant": estate.address,
        },
        "POST /api/v1/certificates/{id}/renew": {"revoke": "superseded"},
        "PUT /api/v1/acme/settings": {"directory_url": "letsencrypt", "terms_agreed": True},
        "POST /api/v1/acme/account/start-over": {"lost": True},
        "POST /api/v1/acme/orders": {"names": [estate.address], "tenant": estate.address},
        "POST /api/v1/tenants": {"address": "new.example.com"},
        "PUT /api/v1/tenants/{address}": {"numbers": ["+12155550100"]},
        "POST /api/v1/trunks": {"name": "new-trunk", "tenant": estate.address},
        "PUT /api/v1/trunks/{name}": {"country": "US"},
        "POST /api/v1/credentials": {
            "name": "new-credential",
            "role": "signer",
            "tenant": estate.address,
        },
        "POST /api/v1/roots": {"purpose": "tls", "certificate": template.spare_root},
        "POST /api/v1/roots/reset": {"purpose": "sti"},
        "PUT /api/v1/roots/{id}": {"disabled": True},
        "POST /stir/v1/verification": {
            "verificationRequest": {
                "from": {"tn": "12155550100"},
                "to": {"tn": ["12155550199"]},
            }
        },
        "POST /stir/v1/signing": {
            "signingRequest": {
                "orig": {"tn": "12155550100"},
                "dest": {"tn": ["12155550199"]},
                "attest": "A",
                "origid": "de305d54-75b4-431b-adb2-eb6b9e546014",
            }
        },
    }


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_a_route_is_for_its_roles_and_their_tenants_from_their_networks(
    world: World, case: Case
) -> None:
    secret, estate = case.secret(world.template), case.estate(world.template)

    from_outside = await request(world, case.route, estate, secret=secret, peer=OUTSIDE)
    from_inside = await request(world, case.route, estate, secret=secret)

    assert from_outside.status == 401
    assert str(from_inside.status) == case.expected.replace("own", "200")
    if case.binding != "for all":
        other = world.template.other
        told = from_inside.body.decode("latin-1") if from_inside.status < 300 else ""
        assert not [thing for thing in (other.address, other.trunk) if thing in told]
        assert other.certificate not in told
        assert other.request not in told
        assert other.order not in told


@pytest.mark.parametrize(
    "path",
    [
        path
        for method, path in map(str.split, GUARDED)
        if method == "GET" and not re.search("listeners|acme/settings|acme/account|dialplan", path)
    ],
)
async def test_whoever_may_read_may_ask_for_the_head_alone(world: World, path: str) -> None:
    secret = world.template.secrets[Role.VIEWER, EVERYBODY]
    own = world.template.own

    head = await request(world, f"HEAD {path}", own, secret=secret)
    stranger = await request(world, f"HEAD {path}", own, secret=None)

    assert (head.status, head.body, stranger.status) == (200, b"", 401)


@pytest.mark.parametrize("route", ANYBODYS)
@pytest.mark.parametrize("secret", [None, "shk_wrong"])
async def test_a_route_for_anybody_asks_for_nothing(
    world: World, route: str, secret: str | None
) -> None:
    for _ in range(FAILURES + 1):
        answer = await request(world, route, world.template.own, secret=secret, peer=OUTSIDE)

        assert answer.status == 200


async def test_the_table_has_every_route(world: World) -> None:
    document = (await world.ask("GET", "/openapi.json", secret=None)).json()
    described = {
        f"{method.upper()} {path}"
        for path, methods in document["paths"].items()
        for method in methods
    }

    assert {route for route, _ in rows()} == world.registered() | described


async def test_a_tenant_sees_of_lists_what_is_its_own(world: World) -> None:
    secret = world.template.secrets[Role.VIEWER, world.template.own.address]

    async def listed(resource: str, member: str) -> set[str]:
        answer = await world.ask("GET", f"/api/v1/{resource}", secret=secret)
        return {item[member] for item in answer.json()["items"]}

    own = world.template.own
    assert await listed("certificates", "id") == {own.certificate}
    assert await listed("certificates/requests", "id") == {own.request}
    assert await listed("acme/orders", "id") == {own.order}
    assert await listed("tenants", "address") == {own.address}
    assert await listed("trunks", "name") == {own.trunk}
    assert await listed("credentials", "tenant") == {own.address}
    assert await listed("audit", "tenant") == {own.address}
    assert await listed("calls", "tenant") == {own.address}


# What is not one's own looks like what is not there, and to strangers all looks alike


def looks(answer: Reply) -> tuple[object, ...]:
    """Return all that can be told from an answer but its time."""
    headers = {name: text for name, text in answer.headers.items() if name != "date"}
    return answer.status, answer.body, tuple(sorted(headers.items()))


TENANTS_THINGS = [route for route in GUARDED if "{" in route and "roots" not in route]


@pytest.mark.parametrize("route", TENANTS_THINGS)
@pytest.mark.parametrize("role", [Role.ADMIN, Role.VIEWER])
async def test_to_those_bound_to_a_tenant_anothers_things_look_as_if_they_were_not_there(
    world: World, route: str, role: Role
) -> None:
    secret = world.template.secrets[role, world.template.own.address]

    anothers = await request(world, route, world.template.other, secret=secret)
    missing = await request(world, route, MISSING, secret=secret)

    assert looks(anothers) == looks(missing)


STRANGERS = ("no credential", "a wrong secret", "a right secret from outside")


@pytest.mark.parametrize("stranger", STRANGERS)
async def test_to_strangers_existing_and_missing_things_look_alike(
    world: World, stranger: str
) -> None:
    secret = {
        "no credential": None,
        "a wrong secret": "shk_wrong",
        "a right secret from outside": world.template.secrets[Role.ADMIN, EVERYBODY],
    }[stranger]
    asked = [
        (route, estate)
        for route in (*GUARDED, "GET /api/v1/nothing", "PATCH /api/v1/tenants", "GET /api/")
        if route.split()[1].startswith("/api/")
        for estate in (world.template.own, MISSING)
    ]

    answers = [
        await request(world, route, estate, secret=secret, peer=f"203.0.113.{number}")
        for number, (route, estate) in enumerate(asked)
    ]

    assert {answer.status for answer in answers} == {401}
    assert len({looks(answer) for answer in answers}) == 1


async def test_strangers_who_failed_too_often_learn_no_more(world: World) -> None:
    for _ in range(FAILURES):
        await request(world, "GET /api/v1/tenants", MISSING, secret="shk_wrong", peer=OUTSIDE)

    answers = [
        await request(world, route, estate, secret="shk_wrong", peer=OUTSIDE)
        for route in ("GET /api/v1/tenants/{address}", "GET /api/v1/nothing")
        for estate in (world.template.own, MISSING)
    ]

    assert {answer.status for answer in answers} == {429}
    assert {answer.json()["type"] for answer in answers} == {"too-many-failures"}


# Keys and secrets over plain HTTP

WAYS: dict[str, tuple[str, str | None, bool]] = {
    "https": (INSIDE, "https", True),
    "http": (INSIDE, "http", False),
    "a proxy that does not say": (INSIDE, None, False),
    "loopback": ("127.0.0.1", None, True),
    "loopback, said to be http": ("127.0.0.1", "http", False),
}
"""Where the client is, what the trusted proxy says it spoke, and whether nobody can read along."""

SECRET_MEMBERS = {"private_key", "passphrase", "secret"}
TAKEN_SECRETS = {*SECRET_MEMBERS, "eab", "dns"}
"""What is sent to the service also in these; it shows them without what is secret."""


@pytest.mark.parametrize("way", WAYS)
async def test_keys_and_secrets_travel_only_where_nobody_reads_along(
    world: World, way: str
) -> None:
    peer, proto, confidential = WAYS[way]
    guarded = {f"{route.method} {route.path}": route for route in world.routes if route.secret}
    assert guarded

    for name, route in guarded.items():
        assert route.role is not None
        secret = world.template.secrets[route.role, EVERYBODY]
        answer = await request(
            world, name, world.template.own, secret=secret, peer=peer, proto=proto
        )

        refusal = answer.json().get("type") if answer.status == 403 else None
        assert refusal == (None if confidential else "insecure-transport"), name


async def test_every_route_that_a_key_or_secret_passes_through_is_marked(world: World) -> None:
    for route in world.routes:
        taken, given = (
            set() if kind is None else {field.name for field in msgspec.structs.fields(kind)}
            for kind in (route.takes, route.gives)
        )

        assert route.secret is bool(taken & TAKEN_SECRETS or given & SECRET_MEMBERS), route.path
