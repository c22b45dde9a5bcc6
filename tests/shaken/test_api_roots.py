"""`/api/v1/roots` over HTTP, and the commands that speak to it."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient, TestServer
from click.testing import CliRunner
from cryptography.hazmat.primitives import hashes

from shaken import service
from shaken.api.authenticator import Authenticator
from shaken.api.http import HttpApi
from shaken.api.openapi import openapi_document
from shaken.api.routes import Resources
from shaken.api.stir_door import StirDoor
from shaken.api.table import TABLE
from shaken.cli import main
from shaken.config import load_config
from shaken.credentials import Credential, Role, digest_of, new_secret
from shaken.service import pens_for, prepare, signer_for
from shaken.snapshot import take_snapshot
from shaken.snapshots import SnapshotFollower
from shaken.store.credentials import add_credential
from shaken.store.tenants import add_tenant
from shaken.tenants import Tenant
from shaken.throttle import FailureThrottle
from tests.signing import signing_api
from trust.authority import Authority
from trust.bundle import Bundle
from trust.selection import Fallback
from trust.store.database import Database

NOW = datetime.now(UTC).replace(microsecond=0)
YEAR = timedelta(days=365)
A, B, OURS = (Authority.create(name, now=NOW) for name in ("Root A", "Root B", "Ours"))
EXPIRED = Authority.create("Expired", now=NOW - 2 * YEAR, lifetime=YEAR)

CREDENTIALS = {
    "admin": (Role.ADMIN, None),
    "viewer": (Role.VIEWER, None),
    "signer": (Role.SIGNER, None),
    "tenant's admin": (Role.ADMIN, "pbx.example.com"),
    "tenant's viewer": (Role.VIEWER, "pbx.example.com"),
}


def id_of(authority: Authority) -> str:
    return authority.certificate.fingerprint(hashes.SHA256()).hex()


def path_of(authority: Authority) -> str:
    return f"/api/v1/roots/{id_of(authority)}"


def addition(authority: Authority, purpose: str = "tls") -> dict[str, str]:
    return {"purpose": purpose, "certificate": authority.root_pem}


def common_names(records: list[dict[str, Any]]) -> list[str]:
    return [record["subject"].partition(",")[0].removeprefix("CN=") for record in records]


@dataclass(frozen=True)
class Api:
    """The application on a port of the loopback, and the secrets of some credentials."""

    client: "TestClient[Any, Any]"
    secrets: dict[str, str]

    async def send(
        self, method: str, path: str, body: object = None, *, who: str = "admin", **headers: str
    ) -> ClientResponse:
        sent = {"Authorization": f"Bearer {self.secrets[who]}"}
        sent |= {name.replace("_", "-"): text for name, text in headers.items()}
        return await self.client.request(method, path, json=body, headers=sent)

    async def call(self, method: str, path: str, body: object = None, *, expect: int = 200) -> Any:
        answer = await self.send(method, path, body)
        assert answer.status == expect, await answer.text()
        return await answer.json() if expect != 204 else None

    async def names(self, query: str = "") -> list[str]:
        return common_names((await self.call("GET", f"/api/v1/roots{query}"))["items"])

    async def bundle(self, purpose: str = "tls") -> str:
        return await (await self.send("GET", f"/api/v1/roots.pem?purpose={purpose}")).text()


@pytest.fixture
async def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Api]:
    """A service whose certifi ships Root A and Root B."""
    shipped = Bundle("2026.6.1", f"{A.root_pem}{B.root_pem}".encode())
    monkeypatch.setattr(service, "installed_bundle", lambda: shipped)
    prepared = prepare(load_config(None, {}), tmp_path)
    database = prepared.open_database()
    secrets = add_credentials(database)
    pens = pens_for(prepared)
    signer = signer_for(prepared, pens)
    authenticator = Authenticator(FailureThrottle())
    snapshots = SnapshotFollower(
        database, take_snapshot(database), on_change=lambda _: asyncio.sleep(0)
    )
    application = HttpApi(
        resources=Resources(prepared.config, database, prepared.master, pens, None),
        authenticator=authenticator,
        door=StirDoor(signing_api(signer, authenticator=authenticator), snapshots, ()),
        snapshots=snapshots,
        trusted_proxies=(),
        document=openapi_document(TABLE, version="0"),
    ).application()
    async with TestClient(TestServer(application)) as client:
        yield Api(client, secrets)
    database.close()


def add_credentials(database: Database) -> dict[str, str]:
    secrets = {who: new_secret() for who in CREDENTIALS}
    with database.changing() as change:
        add_tenant(change, Tenant("pbx.example.com", (), (), Fallback.FIRST))
        for who, (role, tenant) in CREDENTIALS.items():
            credential = Credential(who, role, digest_of(secrets[who]), tenant, None, ())
            add_credential(change, credential, now=0)
    return secrets


# Lists and records


async def test_a_new_service_lists_what_is_shipped(api: Api) -> None:
    assert await api.names("?purpose=tls") == ["Root A", "Root B"]
    assert await api.names("?purpose=sti") == []
    assert await api.names() == ["Root A", "Root B"]


async def test_a_list_comes_in_pages(api: Api) -> None:
    first = await api.call("GET", "/api/v1/roots?limit=1")
    second = await api.call("GET", f"/api/v1/roots?limit=1&after={first['next']}")

    assert common_names(first["items"] + second["items"]) == ["Root A", "Root B"]
    assert second["next"] is None


async def test_a_record_says_all_of_a_root(api: Api) -> None:
    assert await api.call("GET", path_of(A)) == {
        "id": id_of(A),
        "purpose": "tls",
        "subject": "CN=Root A,O=SHAKEN lab",
        "not_before": f"{NOW - timedelta(minutes=5):%Y-%m-%dT%H:%M:%SZ}",
        "not_after": f"{NOW + 10 * YEAR:%Y-%m-%dT%H:%M:%SZ}",
        "status": "valid",
        "shipped": "certifi",
        "added": False,
        "disabled": False,
    }


# Adding


async def test_an_added_root_is_listed_and_trusted(api: Api) -> None:
    answer = await api.send("POST", "/api/v1/roots", addition(OURS, "sti"))

    record = await answer.json()
    assert answer.status == 201
    assert answer.headers["Location"] == path_of(OURS)
    assert (record["purpose"], record["shipped"], record["added"]) == ("sti", None, True)
    assert await api.call("GET", path_of(OURS)) == record
    assert await api.names("?purpose=sti") == ["Ours"]
    assert await api.bundle("sti") == OURS.root_pem


async def test_an_expired_root_is_flagged(api: Api) -> None:
    record = await api.call("POST", "/api/v1/roots", addition(EXPIRED), expect=201)

    assert record["status"] == "expired"


async def test_a_root_is_added_once(api: Api) -> None:
    await api.call("POST", "/api/v1/roots", addition(OURS), expect=201)

    problem = await api.call("POST", "/api/v1/roots", addition(OURS), expect=409)

    assert (problem["type"], problem["id"]) == ("already-stored", id_of(OURS))


SERVER = OURS.issue_server(["sbc.example"], now=NOW)
REFUSED = {
    "no authority": ({"purpose": "tls", "certificate": SERVER.chain_pem}, "not-a-ca"),
    "no PEM": ({"purpose": "tls", "certificate": "x"}, "not-pem"),
    "a private key": (
        {"purpose": "tls", "certificate": OURS.root_pem + OURS.key_pem},
        "private-key",
    ),
    "several": (
        {"purpose": "tls", "certificate": A.root_pem + B.root_pem},
        "several-certificates",
    ),
    "no purpose": ({"certificate": OURS.root_pem}, "invalid-request"),
    "another purpose": ({"purpose": "mail", "certificate": OURS.root_pem}, "invalid-request"),
    "more": ({**addition(OURS), "private_key": ""}, "invalid-request"),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_what_is_no_root_is_refused(api: Api, case: str) -> None:
    body, slug = REFUSED[case]

    problem = await api.call("POST", "/api/v1/roots", body, expect=400)

    assert problem["type"] == slug
    assert await api.names() == ["Root A", "Root B"]


# Disabling, deleting, resetting


async def test_a_disabled_root_is_listed_but_not_trusted(api: Api) -> None:
    record = await api.call("PUT", path_of(A), {"disabled": True})

    assert record["disabled"] is True
    assert await api.names() == ["Root A", "Root B"]
    assert await api.bundle() == B.root_pem

    await api.call("PUT", path_of(A), {"disabled": False})

    assert await api.bundle() == A.root_pem + B.root_pem


async def test_a_deleted_root_is_gone(api: Api) -> None:
    await api.call("DELETE", path_of(A), expect=204)

    assert await api.names() == ["Root B"]
    assert await api.bundle() == B.root_pem
    for method, body in (("GET", None), ("DELETE", None), ("PUT", {"disabled": False})):
        problem = await api.call(method, path_of(A), body, expect=404)
        assert problem["detail"] == "there is no such root"


async def test_a_reset_says_what_it_changed_and_keeps_what_was_added(api: Api) -> None:
    await api.call("DELETE", path_of(A), expect=204)
    await api.call("PUT", path_of(B), {"disabled": True})
    await api.call("POST", "/api/v1/roots", addition(OURS), expect=201)

    changed = await api.call("POST", "/api/v1/roots/reset", {"purpose": "tls"})

    names = {what: common_names(records) for what, records in changed.items()}
    assert names == {"added": ["Root A"], "removed": [], "enabled": ["Root B"]}
    assert await api.names() == ["Root A", "Root B", "Ours"]


async def test_a_reset_can_remove_what_was_added(api: Api) -> None:
    await api.call("POST", "/api/v1/roots", addition(OURS), expect=201)
    await api.call("POST", "/api/v1/roots", addition(OURS, "sti"), expect=201)

    body = {"purpose": "tls", "keep_added": False}
    changed = await api.call("POST", "/api/v1/roots/reset", body)

    assert common_names(changed["removed"]) == ["Ours"]
    assert await api.names("?purpose=tls") == ["Root A", "Root B"]
    assert await api.names("?purpose=sti") == ["Ours"]


async def test_a_root_for_both_purposes_is_named_with_one(api: Api) -> None:
    await api.call("POST", "/api/v1/roots", addition(A, "sti"), expect=201)

    problem = await api.call("DELETE", path_of(A), expect=400)
    assert problem["errors"][0]["field"] == "purpose"
    await api.call("DELETE", f"{path_of(A)}?purpose=tls", expect=204)

    assert await api.names("?purpose=tls") == ["Root B"]
    assert await api.names("?purpose=sti") == ["Root A"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/v1/roots?purpose=mail", 400),
        ("/api/v1/roots?purpose=", 400),
        ("/api/v1/roots?after=x", 400),
        ("/api/v1/roots?limit=0", 400),
        ("/api/v1/roots.pem", 400),
        ("/api/v1/roots.pem?purpose=mail", 400),
        (f"{path_of(A)}?purpose=mail", 400),
        (f"{path_of(A)}?purpose=sti", 404),
        ("/api/v1/roots/x", 404),
        ("/api/v1/roots/reset", 405),
    ],
)
async def test_what_cannot_be_read_is_a_problem(api: Api, path: str, status: int) -> None:
    answer = await api.send("GET", path)

    assert (answer.status, answer.content_type) == (status, "application/problem+json")


async def test_an_id_may_be_written_in_capitals(api: Api) -> None:
    assert (await api.call("GET", f"/api/v1/roots/{id_of(A).upper()}"))["id"] == id_of(A)


# Who may


READS = [("GET", "/api/v1/roots"), ("GET", path_of(A)), ("GET", "/api/v1/roots.pem?purpose=tls")]
CHANGES: list[tuple[str, str, object]] = [
    ("POST", "/api/v1/roots", addition(OURS)),
    ("PUT", path_of(A), {"disabled": True}),
    ("DELETE", path_of(A), None),
    ("POST", "/api/v1/roots/reset", {"purpose": "tls"}),
]


@pytest.mark.parametrize("who", ["admin", "viewer", "tenant's admin", "tenant's viewer"])
@pytest.mark.parametrize(("method", "path"), READS)
async def test_viewers_and_admins_read_roots(api: Api, who: str, method: str, path: str) -> None:
    assert (await api.send(method, path, who=who)).status == 200


@pytest.mark.parametrize(("method", "path"), READS)
async def test_others_read_none(api: Api, method: str, path: str) -> None:
    assert (await api.send(method, path, who="signer")).status == 403
    assert (await api.client.request(method, path)).status == 401


@pytest.mark.parametrize("who", ["viewer", "tenant's admin", "tenant's viewer", "signer"])
@pytest.mark.parametrize(("method", "path", "body"), CHANGES)
async def test_only_an_admin_of_everything_changes_roots(
    api: Api, who: str, method: str, path: str, body: object
) -> None:
    answer = await api.send(method, path, body, who=who)

    assert (answer.status, (await answer.json())["type"]) == (403, "forbidden")
    assert await api.names() == ["Root A", "Root B"]
    assert await api.bundle() == A.root_pem + B.root_pem


# The bundle


async def test_openssl_reads_the_bundle(api: Api) -> None:
    trusting = ssl.create_default_context(cadata=await api.bundle())

    der = trusting.get_ca_certs(binary_form=True)
    assert {sha256(one).hexdigest() for one in der} == {id_of(A), id_of(B)}


async def test_the_bundle_is_asked_for_again_each_time_and_sent_when_it_has_changed(
    api: Api,
) -> None:
    path = "/api/v1/roots.pem?purpose=tls"
    first = await api.send("GET", path)
    etag = first.headers["ETag"]
    assert first.headers["Cache-Control"] == "no-cache"
    assert first.content_type == "application/x-pem-file"

    same = await api.send("GET", path, If_None_Match=etag)
    assert (same.status, await same.read()) == (304, b"")
    assert same.headers["ETag"] == etag
    assert same.headers["Cache-Control"] == "no-cache"

    await api.call("DELETE", path_of(A), expect=204)
    changed = await api.send("GET", path, If_None_Match=etag)
    assert changed.status == 200
    assert changed.headers["ETag"] != etag
    assert await changed.text() == B.root_pem


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ("{etag}", 304),
        ("W/{etag}", 304),
        ('"other", {etag}', 304),
        ("*", 304),
        ('"other"', 200),
        ("no etag", 200),
        ("", 200),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_etags_are_compared_as_http_says(
    api: Api, method: str, sent: str, status: int
) -> None:
    path = "/api/v1/roots.pem?purpose=tls"
    etag = (await api.send("GET", path)).headers["ETag"]

    answer = await api.send(method, path, If_None_Match=sent.format(etag=etag))

    assert (answer.status, answer.headers["ETag"]) == (status, etag)


async def test_the_bundle_of_no_roots_is_empty(api: Api) -> None:
    answer = await api.send("GET", "/api/v1/roots.pem?purpose=sti")

    assert (answer.status, await answer.read()) == (200, b"")


async def test_the_api_describes_the_etag(api: Api) -> None:
    document = await api.call("GET", "/openapi.json")

    described = document["paths"]["/api/v1/roots.pem"]["get"]
    assert set(described["responses"]) == {"200", "304", "default"}
    assert "ETag" in described["responses"]["200"]["headers"]
    assert {"name": "If-None-Match", "in": "header", "required": False} in [
        {key: parameter[key] for key in ("name", "in", "required")}
        for parameter in described["parameters"]
    ]


# The command line


Shaken = Callable[..., Awaitable[str]]


@pytest.fixture
def shaken(api: Api) -> Shaken:
    """Run `shaken roots` as an admin; it must end with a code."""
    environment = {
        "SHAKEN_URL": str(api.client.make_url("/")),
        "SHAKEN_TOKEN": api.secrets["admin"],
    }

    async def run(*words: str | Path, code: int = 0) -> str:
        arguments = ["roots", *map(str, words)]
        result = await asyncio.to_thread(CliRunner().invoke, main, arguments, env=environment)
        assert result.exit_code == code, result.output
        return result.output

    return run


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    """The file of a root that is not shipped."""
    file = tmp_path / "ours.pem"
    file.write_text(OURS.root_pem)
    return file


async def test_the_list_shows_what_matters(shaken: Shaken) -> None:
    heading, first, second = (await shaken("list", "--purpose", "tls")).splitlines()

    assert heading.split() == (
        ["id", "purpose", "subject", "not_after", "status", "shipped", "added", "disabled"]
    )
    assert first.startswith(f"{id_of(A)}  tls      CN=Root A,O=SHAKEN lab  ")
    assert first.split()[-4:] == ["valid", "certifi", "no", "no"]
    assert id_of(B) in second


async def test_a_file_is_added_shown_disabled_enabled_and_deleted(
    shaken: Shaken, api: Api, ours: Path
) -> None:
    added = json.loads(await shaken("add", ours, "--purpose", "sti", "--json"))

    assert json.loads(await shaken("show", added["id"], "--json")) == added
    assert json.loads(await shaken("disable", added["id"], "--json"))["disabled"] is True
    assert await api.bundle("sti") == ""
    assert json.loads(await shaken("enable", added["id"], "--json")) == added
    assert await shaken("delete", added["id"]) == f"deleted {added['id']}\n"
    assert await shaken("show", added["id"], code=1) == (
        "Error: there is no such root (404 not-found)\n"
    )


async def test_a_root_for_both_purposes_is_named_with_an_option(
    shaken: Shaken, api: Api, ours: Path
) -> None:
    for purpose in ("tls", "sti"):
        await shaken("add", ours, "--purpose", purpose)

    assert "say which with purpose" in await shaken("delete", id_of(OURS), code=1)
    await shaken("delete", id_of(OURS), "--purpose", "tls")

    assert await api.names() == ["Root A", "Root B", "Ours"]


async def test_a_reset_prints_what_it_changed(shaken: Shaken, ours: Path) -> None:
    await shaken("delete", id_of(A))
    await shaken("add", ours, "--purpose", "tls")

    heading, added, removed = (
        await shaken("reset", "--purpose", "tls", "--remove-added")
    ).splitlines()

    assert heading.split() == ["change", "id", "subject"]
    assert added.split(maxsplit=2) == ["added", id_of(A), "CN=Root A,O=SHAKEN lab"]
    assert removed.split(maxsplit=2) == ["removed", id_of(OURS), "CN=Ours,O=SHAKEN lab"]


async def test_a_reset_keeps_what_was_added(shaken: Shaken, api: Api, ours: Path) -> None:
    await shaken("add", ours, "--purpose", "tls")

    assert json.loads(await shaken("reset", "--purpose", "tls", "--json")) == []

    assert await api.names() == ["Root A", "Root B", "Ours"]
