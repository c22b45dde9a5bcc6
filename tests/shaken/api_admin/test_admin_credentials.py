"""`/api/v1/credentials`: made with a secret that is shown once, bound, fenced in, revoked."""

import base64
import sqlite3
from typing import Any

import pytest

from tests.clients import DAY, SERVER, client_id
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

BASE = "/api/v1/credentials"
ROLES = ("admin", "viewer", "signer", "verifier", "listener")


@pytest.fixture(scope="module")
def tenant(admin: Caller) -> str:
    return new_tenant(admin, aliases=["b\u00fccher.example"])


@pytest.mark.parametrize("role", ROLES)
def test_a_secret_is_shown_once_and_never_again(admin: Caller, role: str) -> None:
    name = unused(role)

    made = admin.post(BASE, {"name": name, "role": role, "networks": ["127.0.0.0/8"]})

    secret = made.json().pop("secret")
    shown = {
        "name": name,
        "role": role,
        "tenant": None,
        "trunk": None,
        "networks": ["127.0.0.0/8"],
        "client_spki": None,
    }
    assert (made.status, made.headers["location"]) == (201, f"{BASE}/{name}")
    assert made.headers["cache-control"] == "no-store"
    assert made.json() == {**shown, "secret": secret}
    assert secret.startswith("shk_")
    assert len(base64.urlsafe_b64decode(secret.removeprefix("shk_") + "=")) == 32
    assert [entry for entry in admin.items(BASE) if entry["name"] == name] == [shown]
    assert secret not in admin.get(f"{BASE}?limit=1000").body.decode()


def test_no_two_secrets_are_alike(admin: Caller) -> None:
    secrets = {new_credential(admin, "viewer")[1].secret for _ in range(10)}

    assert len(secrets) == 10


def test_the_store_does_not_hold_a_secret(service: Service, admin: Caller) -> None:
    _, viewer = new_credential(admin, "viewer")
    assert viewer.secret is not None

    assert viewer.secret not in state(service.data)
    assert viewer.secret.encode().hex() not in state(service.data).lower()


def test_a_secret_may_come_as_bearer_or_as_basic_with_the_name(
    service: Service, admin: Caller
) -> None:
    name, viewer = new_credential(admin, "viewer")
    anybody = Caller(service.url)

    def basic(user: str, secret: str | None) -> int:
        text = base64.b64encode(f"{user}:{secret}".encode()).decode()
        return anybody.saying(Authorization=f"Basic {text}").get(BASE).status

    assert viewer.get(BASE).status == 200
    assert anybody.saying(Authorization=f"bearer  {viewer.secret}").get(BASE).status == 200
    assert basic(name, viewer.secret) == 200
    assert basic(name, "shk_wrong") == 401
    assert basic("root", viewer.secret) == 401
    assert basic("", viewer.secret) == 401


def test_a_revoked_credential_is_shut_out_and_its_name_is_free(admin: Caller) -> None:
    name, viewer = new_credential(admin, "viewer")

    revoked = admin.delete(f"{BASE}/{name}")

    assert (revoked.status, revoked.body) == (204, b"")
    problem(viewer.get(BASE), 401, "unauthorized")
    problem(admin.delete(f"{BASE}/{name}"), 404, "not-found")
    again = admin.post(BASE, {"name": name, "role": "viewer"})
    assert again.status == 201
    problem(viewer.get(BASE), 401, "unauthorized")


def test_a_name_means_one_credential_only(service: Service, admin: Caller) -> None:
    name, viewer = new_credential(admin, "viewer")
    before = state(service.data)

    problem(admin.post(BASE, {"name": name, "role": "admin"}), 409, "name-taken")

    assert state(service.data) == before
    assert viewer.get(BASE).status == 200


def test_a_credential_of_a_trunk_is_bound_to_its_tenant(admin: Caller, tenant: str) -> None:
    trunk = new_trunk(admin, tenant)["name"]
    body = {"role": "signer", "trunk": trunk}

    alone = admin.post(BASE, {"name": unused("signer"), **body}).json()
    with_tenant = admin.post(
        BASE, {"name": unused("signer"), "tenant": "B\u00dcCHER.example", **body}
    )

    assert (alone["tenant"], alone["trunk"]) == (tenant, trunk)
    assert (with_tenant.status, with_tenant.json()["tenant"]) == (201, tenant)


@pytest.mark.parametrize("role", ROLES)
def test_a_credential_may_be_bound_to_a_tenant(admin: Caller, tenant: str, role: str) -> None:
    body = {"name": unused(role), "role": role, "tenant": "b\u00fccher.example"}

    assert admin.post(BASE, body).json()["tenant"] == tenant


WRONG: dict[str, tuple[str, dict[str, object]]] = {
    "an unknown role": ("role", {"role": "root"}),
    "an unknown tenant": ("tenant", {"tenant": "nobody.example.com"}),
    "a tenant that is no address": ("tenant", {"tenant": "no body"}),
    "an unknown trunk": ("trunk", {"trunk": "nothing"}),
    "a network that is none": ("networks", {"networks": ["192.0.2.1/24"]}),
    "a name with a colon": ("name", {"name": "a:b"}),
    "a name with a line break": ("name", {"name": "name\n"}),
    "a name that is too long": ("name", {"name": "a" * 65}),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_setting_is_named_and_nothing_is_stored(
    service: Service, admin: Caller, case: str
) -> None:
    field, settings = WRONG[case]
    before = state(service.data)

    answer = admin.post(BASE, {"name": unused("signer"), "role": "signer", **settings})

    problem(answer, 400, "invalid-request", field)
    assert state(service.data) == before


@pytest.mark.parametrize("role", ["admin", "viewer", "listener"])
def test_only_signers_and_verifiers_belong_to_a_trunk(
    admin: Caller, tenant: str, role: str
) -> None:
    trunk = new_trunk(admin, tenant)["name"]

    answer = admin.post(BASE, {"name": unused(role), "role": role, "trunk": trunk})

    problem(answer, 400, "invalid-request", "trunk")


def test_a_client_certificate_is_shown_by_its_key(admin: Caller) -> None:
    one, name = client_id(), unused("signer")
    body = {"name": name, "role": "signer", "client_certificate": one.pem}

    made = admin.post(BASE, body)

    assert (made.status, made.json()["client_spki"]) == (201, one.spki)
    (shown,) = [entry for entry in admin.items(BASE) if entry["name"] == name]
    assert shown["client_spki"] == one.spki
    assert "client_certificate" not in shown


def test_a_secret_that_is_bound_to_a_client_certificate_is_worth_nothing_without_it(
    admin: Caller,
) -> None:
    _, viewer = new_credential(admin, "viewer", client_certificate=client_id().pem)

    problem(viewer.get(BASE), 401, "unauthorized")


@pytest.mark.parametrize(
    ("slug", "text"),
    [
        ("not-pem", "no certificate"),
        ("private-key", client_id().pem + client_id().key_pem),
        ("key-usage", client_id(usages=[SERVER]).pem),
        ("expired", client_id(ends=-DAY).pem),
    ],
)
def test_a_client_certificate_that_could_not_be_used_is_refused(
    service: Service, admin: Caller, slug: str, text: str
) -> None:
    before = state(service.data)
    body = {"name": unused("signer"), "role": "signer", "client_certificate": text}

    problem(admin.post(BASE, body), 400, slug, "client_certificate")

    assert state(service.data) == before


def test_an_admin_of_a_tenant_cannot_bind_the_key_of_somebody_else(
    service: Service, admin: Caller, tenant: str
) -> None:
    theirs, own = client_id(), client_id()
    new_credential(admin, "signer", tenant=new_tenant(admin), client_certificate=theirs.pem)
    _, admin_of_tenant = new_credential(admin, "admin", tenant=tenant)
    before = state(service.data)
    body = {"name": unused("signer"), "role": "signer", "client_certificate": theirs.pem}

    problem(admin_of_tenant.post(BASE, body), 409, "certificate-taken")

    assert state(service.data) == before
    for role in ("signer", "verifier"):
        new_credential(admin_of_tenant, role, client_certificate=own.pem)
    new_credential(admin, "signer", client_certificate=own.pem)


def test_trunk_and_tenant_must_belong_together(admin: Caller, tenant: str) -> None:
    trunk, other = new_trunk(admin, tenant)["name"], new_tenant(admin)
    body = {"name": unused("signer"), "role": "signer", "trunk": trunk, "tenant": other}

    problem(admin.post(BASE, body), 400, "invalid-request", "tenant")


@pytest.mark.parametrize(
    ("networks", "status"),
    [
        ([], 200),
        (["127.0.0.1/32"], 200),
        (["192.0.2.0/24", "127.0.0.0/8"], 200),
        (["192.0.2.0/24"], 401),
        (["::1/128", "2001:db8::/32"], 401),
        (["0.0.0.0/0"], 200),
    ],
)
def test_a_credential_works_from_its_networks_only(
    admin: Caller, networks: list[str], status: int
) -> None:
    _, viewer = new_credential(admin, "viewer", networks=networks)

    assert viewer.get(BASE).status == status


def test_a_trunk_is_called_from_its_networks_only(admin: Caller, tenant: str) -> None:
    trunk = new_trunk(admin, tenant, networks=["192.0.2.0/24"])["name"]
    _, signer = new_credential(admin, "signer", trunk=trunk)

    assert signer.sign().status == 403


def test_pages_hold_each_credential_once_by_name(admin: Caller) -> None:
    made = {new_credential(admin, "viewer")[0] for _ in range(5)}
    found: list[dict[str, Any]] = []
    after = ""
    while True:
        page = admin.get(f"{BASE}?limit=2{after}").json()
        found += page["items"]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"

    names = [entry["name"] for entry in found]
    assert names == sorted(set(names))
    assert made <= set(names)


def test_what_is_stored_of_a_secret_has_the_length_of_a_digest(
    service: Service, admin: Caller
) -> None:
    new_credential(admin, "viewer")
    connection = sqlite3.connect(f"file:{service.data / 'shaken.sqlite'}?mode=ro", uri=True)
    digests = connection.execute("SELECT digest FROM credentials").fetchall()
    connection.close()

    assert {len(digest) for (digest,) in digests} == {32}
    assert len(set(digests)) == len(digests)
