"""`/openapi.json` describes what the service does; `/healthz` and `/readyz` tell how it is."""

import json
from collections.abc import Iterator
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

import shaken.api
from shaken.api import dialplan
from shaken.api.routes import Route
from tests.system.caller import Caller
from tests.system.process import Service, read_demo, running, until
from trust.authority import Authority

ID = "0" * 64
PARAMETERS = {
    "id": ID,
    "fingerprint": ID,
    "address": "nobody.example",
    "name": "nothing",
    "token": "a-token-that-nobody-waits-for",
}
OPEN = ("/healthz", "/readyz", "/certificates/", "/.well-known/acme-challenge/")
"""Beginnings of paths for anybody."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("described"), "--demo") as started:
        yield started


@pytest.fixture(scope="module")
def admin(service: Service) -> Caller:
    return Caller(service.url, read_demo(service.data)["admin"]["secret"])


@pytest.fixture(scope="module")
def document(service: Service) -> dict[str, Any]:
    answer = Caller(service.url).get("/openapi.json")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    found: dict[str, Any] = answer.json()
    return found


def operations(document: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (method.upper(), path): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def registered() -> list[Route]:
    modules = (
        import_module(f"shaken.api.{found.name}") for found in iter_modules(shaken.api.__path__)
    )
    return [route for module in modules for route in getattr(module, "ROUTES", ())]


def test_the_document_is_valid(document: dict[str, Any]) -> None:
    OpenAPIV31SpecValidator(document).validate()


def test_every_registered_route_is_described(document: dict[str, Any]) -> None:
    routes = {(route.method, route.path) for route in registered()}

    assert len(routes) > 20
    assert set(operations(document)) == {
        *routes,
        ("POST", "/stir/v1/signing"),
        ("POST", "/stir/v1/verification"),
        *((method, path) for path in dialplan.PARAMETERS for method in ("GET", "POST")),
    }


def test_every_described_route_is_there(document: dict[str, Any], admin: Caller) -> None:
    for method, path in operations(document):
        answer = admin.call(method, path.format_map(PARAMETERS))

        assert answer.status != 405, (method, path)
        assert b"see /openapi.json" not in answer.body, (method, path)


def test_every_operation_has_a_name_of_its_own_and_says_its_role(document: dict[str, Any]) -> None:
    described = operations(document)
    names = [operation["operationId"] for operation in described.values()]

    assert len(set(names)) == len(names)
    for (method, path), operation in described.items():
        is_open = path.startswith(OPEN)
        assert ("security" in operation) != is_open, (method, path)
        assert is_open or operation["description"].startswith("Role: ")


def test_answers_are_as_described(document: dict[str, Any], admin: Caller) -> None:
    certificate = admin.items("/api/v1/certificates?kind=sti")[0]["id"]
    root = admin.items("/api/v1/roots")[0]["id"]
    asked = {"kind": "sti", "spc": "1234", "tns": ["+12155550100"]}
    request = admin.post("/api/v1/certificates/requests", asked).json()["id"]
    acme = {"directory_url": "https://127.0.0.1:1/directory", "terms_agreed": True}
    assert admin.put("/api/v1/acme/settings", acme).status == 200
    ordered = {"names": ["x.test"], "kind": "system", "force": True}
    order = admin.post("/api/v1/acme/orders", ordered).json()["id"]
    for _ in until("the order has made a key for an account"):
        if admin.get("/api/v1/acme/account").status == 200:
            break
    made = admin.post("/api/v1/credentials", {"name": "presenter", "role": "listener"})
    listener = admin.having(made.json()["secret"])
    existing = {"address": "pbx.example.com", "name": "demo"}
    others = {"/roots/": root, "/requests/": request, "/orders/": order}
    for (method, path), operation in operations(document).items():
        content = operation["responses"].get("200", {}).get("content", {})
        if method != "GET" or "application/json" not in content:
            continue
        identity = next((others[part] for part in others if part in path), certificate)
        who = listener if "listeners" in path else admin
        answer = who.get(path.format_map({**existing, "id": identity}))

        schema = {**content["application/json"]["schema"], "components": document["components"]}
        OAS31Validator(schema).validate(answer.json())
        assert answer.status == 200


def test_the_answers_of_the_stir_routes_are_as_described(
    service: Service, document: dict[str, Any]
) -> None:
    demo = read_demo(service.data)
    signed = Caller(service.url, demo["signer"]["secret"]).sign().json()
    call = {
        "from": {"tn": "+12155550100"},
        "to": {"tn": ["+12155550199"]},
        "identity": signed["signingResponse"]["identity"],
    }
    verifier = Caller(service.url, demo["verifier"]["secret"])
    passed = verifier.post("/stir/v1/verification", {"verificationRequest": call}).json()
    wrong = {**call, "from": {"tn": "+12155550101"}}
    failed = verifier.post("/stir/v1/verification", {"verificationRequest": wrong}).json()

    answers = [("signing", signed), ("verification", passed), ("verification", failed)]
    for route, answer in answers:
        described = document["paths"][f"/stir/v1/{route}"]["post"]["responses"]["200"]["content"]
        schema = described["application/json"]["schema"]
        OAS31Validator({**schema, "components": document["components"]}).validate(answer)
    assert passed["verificationResponse"]["verstat"] == "TN-Validation-Passed"
    assert failed["verificationResponse"]["reasoncode"] == 438


def test_problems_are_as_described(document: dict[str, Any], admin: Caller) -> None:
    schema = document["paths"]["/api/v1/tenants"]["post"]["responses"]["default"]["content"]
    problem = {**schema["application/problem+json"]["schema"], "components": document["components"]}

    answer = admin.post("/api/v1/tenants", {"address": ""})

    assert answer.headers["content-type"] == "application/problem+json"
    OAS31Validator(problem).validate(answer.json())
    assert answer.status == 400


def test_a_worker_that_lives_says_so_to_anybody(service: Service) -> None:
    answer = Caller(service.url).get("/healthz")

    assert (answer.status, answer.json()) == (200, {"status": "ok"})


def test_a_service_without_a_certificate_is_not_ready_until_one_is_uploaded(
    service: Service, admin: Caller, sti_upload: dict[str, str]
) -> None:
    anybody = Caller(service.url)
    assert anybody.get("/readyz").json() == {"status": "ready"}
    (only,) = admin.items("/api/v1/certificates?kind=sti")

    assert admin.delete(f"/api/v1/certificates/{only['id']}?force=true").status == 204

    not_ready = anybody.get("/readyz")
    assert not_ready.status == 503
    assert not_ready.json() == {
        "status": "not-ready",
        "detail": "no STI certificate with a key is valid now; import one",
    }
    assert anybody.get("/healthz").status == 200

    assert admin.post("/api/v1/certificates", sti_upload).status == 201
    for _ in until("the service is ready"):
        if anybody.get("/readyz").status == 200:
            break


@pytest.fixture
def sti_upload(now: Any) -> dict[str, str]:
    issued = Authority.create("Lab root", now=now).issue_sti(spc="1234", now=now)
    return {"kind": "sti", "certificate": issued.chain_pem, "private_key": issued.key_pem}


def test_the_document_is_the_same_for_everybody_and_holds_no_secret(
    service: Service, document: dict[str, Any], admin: Caller
) -> None:
    text = json.dumps(document)

    assert admin.get("/openapi.json").json() == document
    assert "shk_" not in text
    assert str(service.data) not in text
