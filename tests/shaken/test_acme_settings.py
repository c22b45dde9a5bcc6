"""Which authority certificates come from, over the API: what is kept, what is shown, by whom."""

from typing import Any

import pytest

from shaken.api.acme import MAX_DNS_BYTES
from shaken.credentials import Role
from tests.shaken.world import EVERYBODY, World
from trust.acme.settings import MAX_CONTACTS, MAX_DNS_NAMES, AcmeSettings, Binding
from trust.store import acme_settings

SETTINGS = "/api/v1/acme/settings"
URL = "https://ca.example.net/directory"
MAC_KEY = "bWFjLWtleS10aGF0LW5vYm9keS1zZWVz"
PASSWORD = "dGhlIHBhc3N3b3JkIG9mIHRoZSB6b25l"
SECRETS = {
    "eab": {"kid": "kid-1", "hmac_key": MAC_KEY},
    "dns": {
        "type": "rfc2136",
        "server": "192.0.2.1",
        "key_name": "acme",
        "key_secret": PASSWORD,
    },
}


def stored(world: World) -> AcmeSettings:
    """Read the settings as the renewer does, secrets included."""
    with world.database.reading() as connection:
        settings = acme_settings.load(connection, world.template.master)
    assert settings is not None
    return settings


async def put(world: World, **body: object) -> Any:
    """Replace the settings, which must succeed; return what is shown."""
    answer = await world.admin("PUT", SETTINGS, {"directory_url": URL, **body})
    assert answer.status == 200, answer
    return answer.json()


async def test_an_authority_is_named_or_given_by_its_url(world: World) -> None:
    for given, kept in (
        ("letsencrypt", "https://acme-v02.api.letsencrypt.org/directory"),
        ("letsencrypt-staging", "https://acme-staging-v02.api.letsencrypt.org/directory"),
        (URL, URL),
    ):
        shown = await put(world, directory_url=given)

        assert shown["directory_url"] == kept
        assert (await world.admin("GET", SETTINGS)).json() == shown


async def test_secrets_are_kept_and_never_shown_not_in_the_audit_either(world: World) -> None:
    shown = await put(world, **SECRETS)

    assert (shown["eab_kid"], shown["dns"]["type"]) == ("kid-1", "rfc2136")
    assert stored(world).binding == Binding("kid-1", MAC_KEY)
    assert stored(world).dns["key_secret"] == PASSWORD
    for said in (shown, (await world.admin("GET", SETTINGS)).json(), await world.audit()):
        assert MAC_KEY not in str(said)
        assert PASSWORD not in str(said)


async def test_secrets_that_are_left_out_stay_and_null_removes_them(world: World) -> None:
    await put(world, **SECRETS)

    await put(world, contact=["admin@example.com"])
    assert stored(world).binding == Binding("kid-1", MAC_KEY)
    assert stored(world).dns["key_secret"] == PASSWORD

    shown = await put(world, eab=None, dns=None)
    assert (shown["eab_kid"], shown["dns"]) == (None, None)
    assert stored(world).binding is None
    assert stored(world).dns == {}


async def test_what_is_no_secret_returns_to_its_default_when_left_out(world: World) -> None:
    await put(world, contact=["a@example.com"], terms_agreed=True, profile="shortlived")

    shown = await put(world)

    assert (shown["contact"], shown["terms_agreed"], shown["profile"]) == ([], False, None)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"directory_url": "http://ca.example.net/directory"}, "directory_url"),
        ({"directory_url": "https://user:word@ca.example.net/directory"}, "directory_url"),
        ({"directory_url": "x" * 501}, "directory_url"),
        ({"contact": ["nobody"]}, "contact"),
        ({"contact": ["a@example.com"] * (MAX_CONTACTS + 1)}, "contact"),
        ({"eab": {"kid": "kid", "hmac_key": "no base64"}}, "eab.hmac_key"),
        ({"eab": {"kid": "kid", "hmac_key": "c2Vj", "more": 1}}, "eab"),
        ({"eab": {"kid": "kid"}}, "eab"),
        ({"eab": {"kid": "a\0b", "hmac_key": "c2Vj"}}, "eab"),
        ({"key_type": "rsa-3072"}, "key_type"),
        ({"profile": "a\nb"}, "profile"),
        ({"preferred_chain": ""}, "preferred_chain"),
        ({"dns_names": ["*.*.example.com"]}, "dns_names"),
        ({"dns_names": ["Example.com"]}, "dns_names"),
        ({"dns_names": ["example.com"] * (MAX_DNS_NAMES + 1)}, "dns_names"),
        ({"dns": {"type": "x" * MAX_DNS_BYTES}}, "dns"),
        ({"dns": "exec"}, "dns"),
    ],
)
async def test_settings_that_cannot_be_meant_are_refused_by_name(
    world: World, body: dict[str, object], field: str
) -> None:
    before = stored(world)

    answer = await world.admin("PUT", SETTINGS, {"directory_url": URL, **body})

    assert answer.status == 400, answer
    (error,) = answer.json()["errors"]
    assert error["field"].startswith(field)
    assert stored(world) == before


@pytest.mark.parametrize("role", Role)
async def test_nobody_but_an_administrator_of_all_tenants_sees_or_sets_them(
    world: World, role: Role
) -> None:
    for binding in (EVERYBODY, world.template.own.address):
        secret = world.template.secrets[role, binding]
        shown = await world.ask("GET", SETTINGS, secret=secret)
        replaced = await world.ask("PUT", SETTINGS, {"directory_url": URL}, secret=secret)

        allowed = role is Role.ADMIN and binding is EVERYBODY
        assert [shown.status, replaced.status] == ([200, 200] if allowed else [403, 403])


async def test_without_settings_it_is_said_what_is_missing(world: World) -> None:
    with world.database.changing() as change:
        acme_settings.remove(change)

    shown = await world.admin("GET", SETTINGS)
    orders = (await world.admin("GET", "/api/v1/acme/orders")).json()["items"]

    assert (shown.status, shown.json()["type"]) == (404, "not-found")
    assert all(each["words"].startswith("no authority is set") for each in orders)
    assert [each["challenges"] for each in orders] == [{}, {}]
