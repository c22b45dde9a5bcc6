"""Who may do what: every route with every role, strangers, and those bound to one tenant."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.shaken.api_admin.arranging import (
    from_elsewhere,
    new_certificate,
    new_credential,
    new_tenant,
    new_trunk,
    problem,
    state,
    unused,
    upload,
)
from tests.system.caller import Answer, Caller
from tests.system.process import Service
from trust.authority import Authority

ID = "0" * 64

ADMINS = {"admin"}
READERS = {"admin", "viewer"}
ANYBODY = {"admin", "viewer", "signer", "verifier", "listener", "no credential", "a wrong secret"}

ROUTES: dict[str, tuple[set[str], int]] = {
    # What is not there is asked for, so that nothing changes on the way.
    "GET /api/v1/certificates": (READERS, 200),
    "POST /api/v1/certificates": (ADMINS, 400),
    f"GET /api/v1/certificates/{ID}": (READERS, 404),
    f"DELETE /api/v1/certificates/{ID}": (ADMINS, 404),
    f"GET /api/v1/certificates/{ID}/pem": (READERS, 404),
    f"GET /api/v1/certificates/{ID}/der": (READERS, 404),
    "POST /api/v1/certificates/delete": (ADMINS, 400),
    "GET /api/v1/certificates/requests": (READERS, 200),
    "POST /api/v1/certificates/requests": (ADMINS, 400),
    f"GET /api/v1/certificates/requests/{ID}": (READERS, 404),
    f"DELETE /api/v1/certificates/requests/{ID}": (ADMINS, 404),
    f"GET /api/v1/certificates/requests/{ID}/csr": (READERS, 404),
    f"POST /api/v1/certificates/{ID}/renew": (ADMINS, 404),
    "GET /api/v1/acme/settings": (ADMINS, 404),
    "PUT /api/v1/acme/settings": (ADMINS, 400),
    "GET /api/v1/acme/account": (ADMINS, 404),
    "POST /api/v1/acme/account/rollover": (ADMINS, 404),
    "POST /api/v1/acme/account/deactivate": (ADMINS, 404),
    "POST /api/v1/acme/account/start-over": (ADMINS, 404),
    "GET /api/v1/acme/orders": (READERS, 200),
    "POST /api/v1/acme/orders": (ADMINS, 400),
    f"GET /api/v1/acme/orders/{ID}": (READERS, 404),
    f"DELETE /api/v1/acme/orders/{ID}": (ADMINS, 404),
    f"GET /.well-known/acme-challenge/{ID}": (ANYBODY, 404),
    "GET /api/v1/listeners/certificate": ({"listener"}, 200),
    "GET /api/v1/tenants": (READERS, 200),
    "POST /api/v1/tenants": (ADMINS, 400),
    "GET /api/v1/tenants/nobody": (READERS, 404),
    "PUT /api/v1/tenants/nobody": (ADMINS, 404),
    "DELETE /api/v1/tenants/nobody": (ADMINS, 404),
    "GET /api/v1/trunks": (READERS, 200),
    "POST /api/v1/trunks": (ADMINS, 400),
    "GET /api/v1/trunks/nobody": (READERS, 404),
    "PUT /api/v1/trunks/nobody": (ADMINS, 404),
    "DELETE /api/v1/trunks/nobody": (ADMINS, 404),
    "GET /api/v1/credentials": (READERS, 200),
    "POST /api/v1/credentials": (ADMINS, 400),
    "DELETE /api/v1/credentials/nobody": (ADMINS, 404),
    "GET /api/v1/roots": (READERS, 200),
    "POST /api/v1/roots": (ADMINS, 400),
    "POST /api/v1/roots/reset": (ADMINS, 400),
    f"GET /api/v1/roots/{ID}": (READERS, 404),
    f"PUT /api/v1/roots/{ID}": (ADMINS, 400),
    f"DELETE /api/v1/roots/{ID}": (ADMINS, 404),
    "GET /api/v1/roots.pem": (READERS, 400),
    "GET /api/v1/audit": (READERS, 200),
    "GET /api/v1/calls": (READERS, 200),
    "POST /stir/v1/signing": ({"signer"}, 400),
    "POST /stir/v1/verification": ({"verifier"}, 400),
    # One who sends a good request has other rows in tests/shaken/test_roles.py.
    "GET /dialplan/v1/sign": (ANYBODY, 400),
    "POST /dialplan/v1/sign": (ANYBODY, 415),
    "GET /dialplan/v1/verify": (ANYBODY, 400),
    "POST /dialplan/v1/verify": (ANYBODY, 415),
    f"GET /certificates/{ID}.pem": (ANYBODY, 404),
    # Whoever calls from the machine itself, without a proxy, need not be a viewer.
    "GET /metrics": (ANYBODY - {"no credential", "a wrong secret"}, 200),
    "GET /healthz": (ANYBODY, 200),
    "GET /readyz": (ANYBODY, 503),
}


@pytest.fixture(scope="module")
def callers(admin: Caller) -> Mapping[str, Caller]:
    """One for each role, and two strangers."""
    known = {
        role: new_credential(admin, role)[1]
        for role in ("admin", "viewer", "signer", "verifier", "listener")
    }
    return {
        **known,
        "no credential": admin.having(None),
        "a wrong secret": admin.having("shk_" + "A" * 43),
    }


def send(caller: Caller, route: str) -> Answer:
    method, path = route.split()
    return caller.call(method, path, {} if method in {"POST", "PUT"} else None)


@pytest.mark.parametrize("route", ROUTES)
def test_a_route_is_for_its_roles_only(callers: Mapping[str, Caller], route: str) -> None:
    permitted, status = ROUTES[route]

    strangers = {"no credential", "a wrong secret"}
    found = {
        name: send(from_elsewhere(caller) if name in strangers else caller, route).status
        for name, caller in callers.items()
    }

    assert found == {
        name: status if name in permitted else 401 if name in strangers else 403 for name in callers
    }


def test_metrics_ask_a_program_of_the_same_machine_for_nothing(admin: Caller) -> None:
    answer = admin.having(None).get("/metrics")

    assert (answer.status, answer.headers["content-type"]) == (200, "text/plain; version=0.0.4")
    assert b"\nshaken_ready " in answer.body


def test_the_table_has_every_route_of_the_description(admin: Caller) -> None:
    document = admin.get("/openapi.json").json()
    parameters = {"id": ID, "fingerprint": ID, "token": ID, "address": "nobody", "name": "nobody"}

    described = {
        f"{method.upper()} {path.format_map(parameters)}"
        for path, methods in document["paths"].items()
        for method in methods
    }

    assert described == set(ROUTES)


def test_a_refusal_is_a_problem_that_says_what_to_do(callers: Mapping[str, Caller]) -> None:
    stranger = callers["no credential"].get("/api/v1/tenants")

    assert "Authorization: Bearer" in problem(stranger, 401, "unauthorized")
    assert stranger.headers["www-authenticate"] == 'Bearer, Basic realm="shaken", charset="UTF-8"'
    problem(callers["signer"].get("/api/v1/tenants"), 403, "forbidden")
    problem(callers["viewer"].post("/api/v1/tenants", {}), 403, "forbidden")


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic",
        "Basic !!!",
        "Basic Og==",
        "Basic /w==",
        "Digest username=root",
        "Bearer " + "A" * 5000,
        "Bearer \u00ff",
        "shk_" + "A" * 43,
    ],
)
def test_a_header_that_presents_nobody_is_unauthorized(admin: Caller, authorization: str) -> None:
    stranger = from_elsewhere(admin).having(None).saying(Authorization=authorization)

    assert "is not known" in problem(stranger.get("/api/v1/tenants"), 401, "unauthorized")


@pytest.mark.parametrize("stranger", ["no credential", "a wrong secret"])
def test_to_strangers_everything_below_api_looks_the_same(
    admin: Caller,
    callers: Mapping[str, Caller],
    issued_record: dict[str, Any],
    stranger: str,
) -> None:
    tenant = issued_record["tenant"]
    paths = [
        "/api/",
        "/api/v1",
        "/api/v1/",
        "/api/v2/certificates",
        "/api/v1/nothing",
        "/api/v1/certificates",
        "/api/v1/certificates/",
        f"/api/v1/certificates/{issued_record['id']}",
        f"/api/v1/certificates/{issued_record['id']}/pem",
        f"/api/v1/certificates/{ID}",
        "/api/v1/certificates?limit=nonsense",
        f"/api/v1/tenants/{tenant}",
        "/api/v1/tenants/nobody.example",
        "/api/v1/tenants/no%20body",
        "/api/v1/credentials/root",
        "/api/v1/credentials/nobody",
    ]
    answers = {
        (method, path): from_elsewhere(callers[stranger]).call(
            method, path, b"{" if method != "GET" else None
        )
        for path in paths
        for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE")
    }

    volatile = {"date"}
    looks = {
        (
            answer.status,
            answer.body,
            tuple(sorted(item for item in answer.headers.items() if item[0] not in volatile)),
        )
        for answer in answers.values()
    }
    assert len(looks) == 1
    problem(answers["GET", "/api/v1/nothing"], 401, "unauthorized")
    assert admin.get("/api/v1/nothing").status == 404
    assert admin.call("PATCH", "/api/v1/tenants").status == 405


def test_those_who_are_known_learn_which_methods_a_resource_has(
    callers: Mapping[str, Caller],
) -> None:
    answer = callers["signer"].call("PATCH", "/api/v1/tenants")

    problem(answer, 405, "method-not-allowed")
    assert answer.headers["allow"] == "GET, HEAD, POST"
    problem(callers["signer"].get("/api/v1/nothing"), 404, "not-found")


@pytest.fixture(scope="module")
def issued_record(admin: Caller, sti_ca: Authority, moment: datetime) -> dict[str, Any]:
    """A certificate of some tenant; it is not valid yet, so that nothing is ready."""
    issued = sti_ca.issue_sti(
        spc="1234",
        now=moment,
        not_before=moment + timedelta(days=1),
        lifetime=timedelta(days=9),
    )
    return new_certificate(admin, issued, tenant=new_tenant(admin))


class Estate:
    """A tenant with one thing of each kind, and those who are bound to it."""

    def __init__(self, admin: Caller, authority: Authority, now: datetime) -> None:
        self.address = new_tenant(admin, aliases=[f"{unused('alias')}.example.com"])
        issued = authority.issue_sti(spc="1234", now=now)
        self.certificate = new_certificate(admin, issued, tenant=self.address)["id"]
        self.trunk = new_trunk(admin, self.address)["name"]
        self.signer, _ = new_credential(admin, "signer", trunk=self.trunk)
        self.admin_name, self.admin = new_credential(admin, "admin", tenant=self.address)
        self.viewer_name, self.viewer = new_credential(admin, "viewer", tenant=self.address)

    def things(self) -> list[str]:
        """Return the paths of all that belongs to it."""
        return [
            f"/api/v1/certificates/{self.certificate}",
            f"/api/v1/tenants/{self.address}",
            f"/api/v1/trunks/{self.trunk}",
            f"/api/v1/credentials/{self.signer}",
        ]


@pytest.fixture(scope="module")
def own(admin: Caller, sti_ca: Authority, moment: datetime) -> Estate:
    return Estate(admin, sti_ca, moment)


@pytest.fixture(scope="module")
def others(admin: Caller, sti_ca: Authority, moment: datetime) -> Estate:
    new_certificate(admin, sti_ca.issue_sti(spc="1234", now=moment))  # that of nobody
    return Estate(admin, sti_ca, moment)


@pytest.fixture(params=["admin", "viewer"])
def bound(own: Estate, request: pytest.FixtureRequest) -> Caller:
    """An administrator and a viewer of one tenant."""
    caller: Caller = getattr(own, request.param)
    return caller


def test_those_bound_to_a_tenant_see_what_is_its(
    bound: Caller, own: Estate, others: Estate
) -> None:
    assert others.address != own.address
    assert [entry["id"] for entry in bound.items("/api/v1/certificates")] == [own.certificate]
    assert [entry["address"] for entry in bound.items("/api/v1/tenants")] == [own.address]
    assert [entry["name"] for entry in bound.items("/api/v1/trunks")] == [own.trunk]
    assert {entry["name"] for entry in bound.items("/api/v1/credentials")} == {
        own.signer,
        own.admin_name,
        own.viewer_name,
    }
    for path in own.things()[:3]:
        assert bound.get(path).status == 200
    assert bound.get(f"/api/v1/certificates/{own.certificate}/pem").status == 200


def test_those_bound_to_a_tenant_cannot_ask_for_the_certificates_of_another(
    bound: Caller, own: Estate, others: Estate
) -> None:
    found = bound.get(f"/api/v1/certificates?tenant={others.address}").json()["items"]

    assert [entry["id"] for entry in found] in ([], [own.certificate])


def test_to_those_bound_to_a_tenant_the_rest_is_not_there(bound: Caller, others: Estate) -> None:
    for path in others.things()[:3]:
        problem(bound.get(path), 404, "not-found")
    problem(bound.get(f"/api/v1/certificates/{others.certificate}/pem"), 404, "not-found")


def test_an_administrator_of_a_tenant_changes_nothing_of_the_rest(
    service: Service, own: Estate, others: Estate
) -> None:
    before = state(service.data)

    certificate, tenant, trunk, credential = others.things()
    for path in (certificate, trunk, credential, "/api/v1/credentials/root"):
        problem(own.admin.delete(path), 404, "not-found")
    problem(own.admin.delete(tenant), 403, "forbidden")
    problem(own.admin.put(tenant, {}), 403, "forbidden")
    problem(own.admin.put(trunk, {}), 404, "not-found")

    assert state(service.data) == before


def test_an_administrator_of_a_tenant_neither_widens_it_nor_gives_to_another(
    service: Service, own: Estate, others: Estate, sti_ca: Authority, moment: datetime
) -> None:
    issued = sti_ca.issue_sti(spc="1234", now=moment)
    before = state(service.data)

    refused = [
        own.admin.post("/api/v1/certificates", upload(issued, tenant=others.address)),
        own.admin.post("/api/v1/tenants", {"address": f"{unused('new')}.example.com"}),
        own.admin.put(f"/api/v1/tenants/{own.address}", {"numbers": ["+1*"]}),
        own.admin.delete(f"/api/v1/tenants/{own.address}"),
        own.admin.post("/api/v1/trunks", {"name": unused("trunk"), "tenant": others.address}),
        own.admin.put(f"/api/v1/trunks/{own.trunk}", {"tenant": others.address}),
        *(
            own.admin.post(
                "/api/v1/credentials", {"name": unused("x"), "role": "signer", **binding}
            )
            for binding in ({"tenant": others.address}, {"trunk": others.trunk})
        ),
    ]

    assert [answer.status for answer in refused] == [404, 403, 403, 403, 400, 400, 400, 400]
    assert state(service.data) == before


def test_what_an_administrator_of_a_tenant_makes_belongs_to_it(
    own: Estate, sti_ca: Authority, moment: datetime
) -> None:
    certificate = new_certificate(own.admin, sti_ca.issue_sti(spc="1234", now=moment))
    made = own.admin.post("/api/v1/credentials", {"name": unused("made"), "role": "admin"}).json()
    trunk = new_trunk(own.admin, own.address)

    assert certificate["tenant"] == made["tenant"] == trunk["tenant"] == own.address
    for path in (
        f"/api/v1/certificates/{certificate['id']}",
        f"/api/v1/credentials/{made['name']}",
        f"/api/v1/trunks/{trunk['name']}",
    ):
        assert own.admin.delete(path).status == 204


def test_a_viewer_of_a_tenant_changes_nothing(service: Service, own: Estate) -> None:
    before = state(service.data)

    for path in own.things():
        problem(own.viewer.delete(path), 403, "forbidden")
    for path in own.things()[1:3]:
        problem(own.viewer.put(path, {}), 403, "forbidden")
    for resource in ("certificates", "tenants", "trunks", "credentials"):
        problem(own.viewer.post(f"/api/v1/{resource}", {}), 403, "forbidden")

    assert state(service.data) == before


def test_a_signer_bound_to_a_tenant_does_not_sign_for_another(
    admin: Caller, own: Estate, others: Estate
) -> None:
    _, signer = new_credential(admin, "signer", tenant=own.address)
    origid = "de305d54-75b4-431b-adb2-eb6b9e546014"

    mine = signer.sign(tenant=own.address, attest="A", origid=origid)
    theirs = signer.sign(tenant=others.address, attest="A", origid=origid)

    assert mine.headers["x-certificate"] == f"{own.certificate}; chosen=tenant"
    assert theirs.status == 400
