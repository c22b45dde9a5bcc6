"""Every field of every request, wrong in every way: a problem that names it, and nothing stored."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.shaken.api_admin.arranging import new_tenant, new_trunk, state, unused, upload
from tests.system.caller import Answer, Caller
from tests.system.process import Service
from trust.acme.order import Certified, State, new_order
from trust.authority import Authority
from trust.certificate import CertificateKind
from trust.store import acme_orders
from trust.store.database import Database

LONE_SURROGATE = "\ud800"

TEXT = {
    "a number": 5,
    "a fraction": 1.5,
    "a truth": True,
    "a list": ["text"],
    "an object": {"text": "text"},
    "empty": "",
    "too long": "x" * 300_000,
    "a control character": "a\x07b",
    "a line break": "a\nb",
    "NUL": "a\x00b",
    "a lone surrogate": f"a{LONE_SURROGATE}b",
}

LIST = {
    "a number": 5,
    "a truth": True,
    "a text": "text",
    "an object": {"text": "text"},
    "nothing": None,
    "a number in it": [5],
    "nothing in it": [None],
    "a list in it": [["text"]],
    "an object in it": [{LONE_SURROGATE: LONE_SURROGATE}],
    "an empty text in it": [""],
    "a text in it that is too long": ["1" * 70_000],
    "too many": ["+12155550100"] * 20_000,
    "a control character in it": ["a\x07b"],
    "NUL in it": ["a\x00b"],
    "a lone surrogate in it": [LONE_SURROGATE],
}

POLICY = {
    "a number": 5,
    "a text": "text",
    "a list": [],
    "nothing": None,
    "an unknown member": {"nonsense": True},
    "an unknown reaction": {"stale": "drop"},
    "a reaction that is no text": {"unfit": 5},
    "a lone surrogate": {"invalid": LONE_SURROGATE},
    "an unknown anonymity": {"anonymous": "flag"},
    "a level that is none": {"minimum_attest": "D"},
    "a text for a truth": {"identity_required": "yes"},
    "no freshness at all": {"freshness": 0},
    "too much freshness": {"freshness": 86_401},
    "a fraction of freshness": {"freshness": 0.5},
    "negative skew": {"skew": -1},
    "too much skew": {"skew": 3601},
    "an unknown way with replays": {"replays": "flag"},
}

REDIRECTION = {
    "a number": 5,
    "a truth": True,
    "a text": "text",
    "a list": [],
    "nothing": None,
    "an unknown member": {"nonsense": True},
    "sources that are no list": {"sources": "192.0.2.1"},
    "a source that is no network": {"sources": ["pbx.example.com"]},
    "a source with host bits": {"sources": ["192.0.2.1/24"]},
    "a source that is everybody's": {"sources": ["0.0.0.0/0"]},
    "a lone surrogate": {"sources": [LONE_SURROGATE]},
    "more sources than are taken": {"sources": ["192.0.2.1"] * 101},
    "a status that redirects for ever": {"status": 301},
    "a status that does not redirect": {"status": 200},
    "an unknown form": {"form": "body"},
    "an unknown origin": {"origin": "to"},
    "an unknown destination": {"destination": "from"},
    "a contact that is no host": {"contact": "a host"},
    "a contact with a user": {"contact": "user@host"},
    "a contact with parameters": {"contact": "host;lr"},
    "a text for a truth": {"divert": "yes"},
    "a number for a truth": {"by_host": 1},
    "an unknown place of the verdict": {"verstat": "from"},
    "nothing for a truth": {"verstat_suffix": None},
}

TRUTH = {"a number": 1, "a text": "true", "nothing": None, "a list": [], "an object": {}}


@dataclass(frozen=True)
class Field:
    """What a field takes: defects of its type, and which of them it bears."""

    defects: Mapping[str, object]
    required: bool = False
    nullable: bool = False
    bears: frozenset[str] = frozenset()


NAME = Field(TEXT, required=True)
OPTIONAL = Field(TEXT, nullable=True)
WORD = Field(TEXT)
WORDS = Field(LIST)

TRUNK = {
    "attest": WORD,
    "foreign_attest": WORD,
    "origid": OPTIONAL,
    "direction": WORD,
    "networks": WORDS,
    "country": OPTIONAL,
    "answer": WORD,
    "verification": Field(POLICY),
    "sip": Field(REDIRECTION),
}
OBJECT = {
    "a number": 5,
    "a truth": True,
    "a text": "text",
    "a list": [],
    "a lone surrogate": {"type": LONE_SURROGATE},
}
ACCOUNT = {**OBJECT, "an empty object": {}, "an unknown member": {"nonsense": "x"}}

TENANT = {"aliases": WORDS, "numbers": WORDS, "fallback": WORD, "managed": Field(TRUTH)}

REQUESTS: dict[str, dict[str, Field]] = {
    "POST /api/v1/certificates": {
        "kind": NAME,
        "certificate": NAME,
        "pkcs12": OPTIONAL,
        "private_key": Field(TEXT, nullable=True),
        # A passphrase that no key needs may hold what it will.
        "passphrase": Field(
            TEXT,
            nullable=True,
            bears=frozenset({"empty", "a control character", "a line break"}),
        ),
        "tenant": OPTIONAL,
        "x5u": OPTIONAL,
    },
    "POST /api/v1/certificates/delete": {"ids": Field(LIST, required=True)},
    "POST /api/v1/certificates/requests": {
        "kind": NAME,
        "names": WORDS,
        "spc": OPTIONAL,
        "tns": WORDS,
        "tenant": OPTIONAL,
        "key_type": WORD,
        "organization": OPTIONAL,
        "country": OPTIONAL,
    },
    "POST /api/v1/certificates/{managed}/renew": {"revoke": OPTIONAL},
    "PUT /api/v1/acme/settings": {
        "directory_url": NAME,
        "contact": WORDS,
        "terms_agreed": Field(TRUTH),
        "eab": Field(ACCOUNT, nullable=True),
        "key_type": WORD,
        "preferred_chain": OPTIONAL,
        "profile": OPTIONAL,
        "key_reuse": Field(TRUTH),
        "self_check": Field(TRUTH),
        "dns_names": WORDS,
        "dns": Field(OBJECT, nullable=True),
    },
    "POST /api/v1/acme/account/start-over": {"lost": Field(TRUTH)},
    "POST /api/v1/acme/orders": {
        "names": Field(LIST, required=True),
        "kind": WORD,
        "tenant": OPTIONAL,
        "force": Field(TRUTH),
    },
    "POST /api/v1/tenants": {"address": NAME, **TENANT},
    "PUT /api/v1/tenants/{tenant}": TENANT,
    "POST /api/v1/trunks": {"name": NAME, "tenant": NAME, **TRUNK},
    "PUT /api/v1/trunks/{trunk}": {"tenant": OPTIONAL, **TRUNK},
    "POST /api/v1/credentials": {
        "name": NAME,
        "role": NAME,
        "tenant": OPTIONAL,
        "trunk": OPTIONAL,
        "networks": WORDS,
        "client_certificate": OPTIONAL,
    },
    "POST /api/v1/roots": {"purpose": NAME, "certificate": NAME},
    "PUT /api/v1/roots/{id}": {"disabled": Field(TRUTH, required=True)},
    "POST /api/v1/roots/reset": {"purpose": NAME, "keep_added": Field(TRUTH)},
}


class Desk:
    """Sends requests that are whole but for one field."""

    def __init__(
        self, service: Service, admin: Caller, authority: Authority, now: datetime
    ) -> None:
        self.admin = admin
        self.tenant = new_tenant(admin)
        self.trunk = new_trunk(admin, self.tenant)["name"]
        self.root = admin.get("/api/v1/roots?limit=1").json()["items"][0]["id"]
        spare = upload(authority.issue_sti(spc="1234", now=now))
        stored = admin.post("/api/v1/certificates", spare).json()
        renewed = upload(authority.issue_sti(spc="1234", now=now))
        self.managed = admin.post("/api/v1/certificates", renewed).json()["id"]
        have_managed(service.data, self.managed)
        settings = {"directory_url": "https://ca.invalid/directory", "terms_agreed": True}
        assert admin.call("PUT", "/api/v1/acme/settings", settings).status == 200
        self._valid: dict[str, Callable[[], dict[str, object]]] = {
            "POST /api/v1/certificates": lambda: upload(
                authority.issue_sti(spc="1234", now=now), tenant=self.tenant
            ),
            "POST /api/v1/certificates/delete": lambda: {"ids": [stored["id"]]},
            "POST /api/v1/certificates/requests": lambda: {
                "kind": "sti",
                "spc": "1234",
                "tns": ["+12155550100"],
            },
            "PUT /api/v1/acme/settings": lambda: {
                "directory_url": "https://ca.invalid/directory",
                "terms_agreed": True,
            },
            "POST /api/v1/acme/orders": lambda: {"names": [self.tenant]},
            "POST /api/v1/tenants": lambda: {"address": f"{unused('field')}.example.com"},
            "POST /api/v1/trunks": lambda: {"name": unused("trunk"), "tenant": self.tenant},
            "POST /api/v1/credentials": lambda: {"name": unused("viewer"), "role": "viewer"},
            "POST /api/v1/roots": lambda: {
                "purpose": "tls",
                "certificate": Authority.create(unused("Root "), now=now).root_pem,
            },
            "PUT /api/v1/roots/{id}": lambda: {"disabled": True},
            "POST /api/v1/roots/reset": lambda: {"purpose": "tls"},
        }

    def valid(self, request: str) -> dict[str, object]:
        """Return a body that is taken."""
        return self._valid[request]() if request in self._valid else {}

    def send(self, request: str, body: object) -> Answer:
        """Send it."""
        method, path = request.split()
        there = path.format(
            tenant=self.tenant, trunk=self.trunk, id=self.root, managed=self.managed
        )
        return self.admin.call(method, there, body)


def have_managed(data: Path, certificate: str) -> None:
    """Let a stored certificate be one that an order has led to."""
    order = replace(
        new_order(CertificateKind.DOMAIN, ("managed.example.com",), tenant=None, now=0),
        state=State.ISSUED,
        certified=Certified(certificate, "https://ca.invalid/directory", 0, 2**32),
        next_try=None,
    )
    database = Database(f"sqlite:///{data / 'shaken.sqlite'}")
    with database.recording() as connection:
        acme_orders.add(connection, order)
    database.close()


@pytest.fixture(scope="module")
def desk(service: Service, admin: Caller, sti_ca: Authority, moment: datetime) -> Desk:
    return Desk(service, admin, sti_ca, moment)


def named(answer: Answer) -> list[str]:
    assert answer.headers["content-type"] == "application/problem+json", answer
    document = answer.json()
    assert document["status"] == answer.status
    assert document["type"]
    assert document["detail"]
    return [error["field"] for error in document.get("errors", [])]


def as_text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


FIELDS = [(request, field) for request, fields in REQUESTS.items() for field in fields]


def defects(field: Field) -> Iterator[tuple[str, object]]:
    yield from field.defects.items()
    if not field.nullable and None not in field.defects.values():
        yield "nothing", None


@pytest.mark.parametrize("request_line", REQUESTS)
def test_a_request_without_fault_is_taken(desk: Desk, request_line: str) -> None:
    assert desk.send(request_line, desk.valid(request_line)).status in {200, 201, 202, 204}


@pytest.mark.parametrize(("request_line", "name"), FIELDS)
def test_a_field_that_is_wrong_is_named(
    service: Service, desk: Desk, request_line: str, name: str
) -> None:
    field = REQUESTS[request_line][name]
    before = state(service.data)
    for defect, value in defects(field):
        if defect in field.bears:
            continue
        answer = desk.send(request_line, {**desk.valid(request_line), name: value})

        assert answer.status == 400, (defect, answer)
        if LONE_SURROGATE in as_text(value):
            assert answer.json()["type"] == "not-json"
        else:
            (place,) = named(answer)
            assert re.fullmatch(rf"{name}(\[\d+\]|\.\w+)?", place), (defect, answer)
        assert len(answer.body) < 2_000, defect
    assert state(service.data) == before


@pytest.mark.parametrize(("request_line", "name"), FIELDS)
def test_a_field_that_is_missing_is_named_unless_it_may_be(
    desk: Desk, request_line: str, name: str
) -> None:
    field = REQUESTS[request_line][name]
    body = {key: value for key, value in desk.valid(request_line).items() if key != name}

    answer = desk.send(request_line, body)

    if field.required:
        assert (answer.status, named(answer)) == (400, [name])
    elif name == "private_key":
        assert (answer.status, named(answer)) == (400, ["private_key"])
    else:
        assert answer.status in {200, 201, 202}


@pytest.mark.parametrize(("request_line", "name"), FIELDS)
def test_a_field_that_may_be_null_is_as_if_left_out(
    desk: Desk, request_line: str, name: str
) -> None:
    if not REQUESTS[request_line][name].nullable:
        return

    answer = desk.send(request_line, {**desk.valid(request_line), name: None})

    assert answer.status == (
        400
        if name == "private_key"
        else 200
        if request_line.startswith("PUT") or request_line.endswith("/renew")
        else 201
    )


@pytest.mark.parametrize(
    "name",
    [
        "nonsense",
        "Address",
        "id",
        "a.b",
        "it's",
        "back`tick",
        "",
        "b\u00fccher",
        "a\x00b",
        f"a{LONE_SURROGATE}b",
        "x" * 100_000,
    ],
)
@pytest.mark.parametrize("request_line", REQUESTS)
def test_a_field_that_is_not_known_is_named(
    service: Service, desk: Desk, request_line: str, name: str
) -> None:
    before = state(service.data)

    for value in ("text", LONE_SURROGATE, None, 5):
        answer = desk.send(request_line, {**desk.valid(request_line), name: value})

        assert answer.status == 400, answer
        if LONE_SURROGATE in f"{name}{value}":
            assert answer.json()["type"] == "not-json"
        else:
            assert named(answer) == [name if len(name) <= 40 else f"{name[:40]}…"]
        assert len(answer.body) < 2_000
    assert state(service.data) == before


@pytest.mark.parametrize("request_line", [line for line in REQUESTS if line.startswith("PUT")])
def test_a_name_stands_in_the_path_and_not_in_the_body(desk: Desk, request_line: str) -> None:
    for name in ("address", "name"):
        answer = desk.send(request_line, {name: "other.example.com"})

        assert (answer.status, named(answer)) == (400, [name])


@pytest.mark.parametrize("request_line", REQUESTS)
@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'"text"', b"\xff", b'{"a":1,"a":2}', b"{}\x00"]
)
def test_what_is_no_json_object_is_said(
    service: Service, desk: Desk, request_line: str, body: bytes
) -> None:
    before = state(service.data)

    answer = desk.send(request_line, body)

    assert (answer.status, answer.json()["type"]) == (400, "not-json")
    assert state(service.data) == before


HOSTILE = [
    "%00",
    "%0A",
    "%ED%A0%80",
    "%FF",
    "%2e%2e",
    "..%2F..",
    "a" * 4000,
    "%25",
    "'--",
    "\u0661",
]


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize(
    "resource",
    ["certificates", "certificates/requests", "tenants", "trunks", "credentials", "roots"],
)
def test_no_path_and_no_query_makes_the_service_fail(
    admin: Caller, resource: str, text: str
) -> None:
    quoted = text.encode().decode("latin-1") if text.isascii() else "%D9%A1"
    base = f"/api/v1/{resource}"
    queries = ("after", "limit", "tenant", "name", "kind", "expires_before", "purpose", quoted)
    answers: list[tuple[str, Answer]] = [
        (query, admin.get(f"{base}?{query}={quoted}")) for query in queries
    ]
    for method, body in (("GET", None), ("PUT", {}), ("DELETE", None)):
        answers.append((method, admin.call(method, f"{base}/{quoted}", body)))

    for what, answer in answers:
        assert answer.status in {200, 400, 404, 405}, (what, answer)


def test_the_service_logged_no_failure(service: Service, desk: Desk) -> None:
    desk.send("POST /api/v1/tenants", {})

    logged: list[str] = service.stderr.read_text().splitlines()
    assert [line for line in logged if " ERROR " in line or "Traceback" in line] == []


def test_the_table_names_every_field_of_the_description(admin: Caller) -> None:
    document: dict[str, Any] = admin.get("/openapi.json").json()
    described = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if path.startswith("/api/") and "requestBody" in operation:
                schema = operation["requestBody"]["content"]["application/json"]["schema"]
                name = schema["$ref"].rpartition("/")[2]
                fields = document["components"]["schemas"][name]["properties"]
                line = path.replace("{address}", "{tenant}").replace("{name}", "{trunk}")
                line = line.replace("{id}/renew", "{managed}/renew")
                described[f"{method.upper()} {line}"] = set(fields)

    assert described == {line: set(fields) for line, fields in REQUESTS.items()}, json.dumps(
        sorted(described)
    )


@pytest.mark.parametrize(
    "route", ["certificates", "tenants", "trunks", "credentials", "roots", "audit", "calls"]
)
def test_nul_in_an_address_is_refused(admin: Caller, route: str) -> None:
    for name in ("after", "number", "tenant", "name", "subject"):
        answer = admin.get(f"/api/v1/{route}?{name}=a%00b")
        assert (answer.status, answer.json()["type"]) == (400, "invalid-request"), name
        assert answer.json()["errors"][0]["field"] == name
    if route not in {"audit", "calls"}:
        for method in ("GET", "DELETE"):
            assert admin.call(method, f"/api/v1/{route}/a%00b").status in {404, 405}
