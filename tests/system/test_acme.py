"""Certificates that the service obtains and renews by itself, from a real authority."""

import json
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.ports import free_port
from tests.system.acme_site import ORDERS, Site, a_site
from tests.system.process import run_shaken, until
from tests.trust.acme.pebble import running_pebble

NAME, ALIAS = "pbx.example.com", "sip.example.com"
SETTINGS = "/api/v1/acme/settings"

HOOK = """#!{python}
import json, sys, urllib.request
verb, name, value = sys.argv[1:]
body = {{"host": name + ".", "value": value}} if verb == "publish" else {{"host": name + "."}}
path = {{"publish": "set-txt", "withdraw": "clear-txt"}}[verb]
urllib.request.urlopen("{dns}/" + path, json.dumps(body).encode()).close()
"""
"""A program that sets TXT records at the authority's own DNS server."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A service that is set up for Pebble, with nothing ordered yet."""
    http_port, folder = free_port(), tmp_path_factory.mktemp("site")
    with (
        running_pebble(folder, http_port=http_port) as pebble,
        a_site(folder, pebble, http_port, folder / "dns-hook") as made,
    ):
        made.set_up()
        yield made


def test_a_managed_tenant_has_a_certificate_for_each_address_by_itself(site: Site) -> None:
    body = {"address": NAME, "aliases": [ALIAS], "managed": True}

    assert site.admin.post("/api/v1/tenants", body).status == 201

    for name in (NAME, ALIAS):
        order = site.issued(name)
        assert (order["kind"], order["tenant"], order["managed"]) == ("domain", NAME, True)
        site.await_presented(name, order["certificate"])
        record = site.admin.get(f"/api/v1/certificates/{order['certificate']}").json()
        assert (record["source"], record["names"], record["tenant"]) == ("acme", [name], NAME)


def test_a_certificate_is_replaced_at_once_on_demand(site: Site) -> None:
    site.admin.post("/api/v1/tenants", {"address": "renewed.example.com", "managed": True})
    former = site.issued("renewed.example.com")["certificate"]

    done = site.command("certificates", "renew", former, "--wait")

    assert done.returncode == 0, done.stderr
    order = site.issued("renewed.example.com", after=former)
    site.await_presented("renewed.example.com", order["certificate"])


def test_a_certificate_is_revoked_once_it_is_replaced(site: Site) -> None:
    site.admin.post("/api/v1/tenants", {"address": "leaked.example.com", "managed": True})
    former = site.issued("leaked.example.com")["certificate"]
    serial = int(site.admin.get(f"/api/v1/certificates/{former}").json()["serial"], 16)

    done = site.command("certificates", "renew", former, "--revoke", "key-compromise", "--wait")

    assert done.returncode == 0, done.stderr
    for _ in until("the former certificate is revoked and removed"):
        if site.pebble.status(serial) == "Revoked":
            break
    for _ in until("the former certificate is removed"):
        if site.admin.get(f"/api/v1/certificates/{former}").status == 404:
            break


def test_an_order_for_several_names_is_waited_for_on_the_command_line(site: Site) -> None:
    names = ["one.example.net", "two.example.net"]

    done = site.command("acme", "order", *names, "--kind", "system", "--force", "--wait")

    assert done.returncode == 0, done.stderr
    assert "issued" in done.stdout
    order = site.orders()[names[0]]
    assert order["names"] == names
    for name in names:
        site.await_presented(name, order["certificate"])


def test_a_name_that_does_not_lead_here_is_said_before_the_authority_is_asked(site: Site) -> None:
    name = "elsewhere.example.net"
    site.pebble.resolve(name, "127.0.0.9")

    done = site.command("acme", "order", name, "--kind", "system", "--force", "--wait")

    assert done.returncode == 1
    assert "127.0.0.9" in done.stdout
    order = site.orders()[name]
    assert order["failures"]["type"] == "self-check"
    assert [each["name"] for each in order["failures"]["names"]] == [name]
    assert (order["certificate"], order["urgency"]) == (None, "retrying")
    assert order["next_try"]
    (event,) = site.admin.get("/api/v1/audit?action=order.fail").json()["items"]
    assert (event["actor"], event["subject"]) == ("system", order["id"])
    assert event["detail"]["event"]["names"] == [name]


def test_a_wildcard_is_proven_by_dns_with_a_program_of_the_site(site: Site, tmp_path: Path) -> None:
    site.hook.write_text(HOOK.format(python=sys.executable, dns=site.pebble.dns))
    site.hook.chmod(0o700)
    server = f"127.0.0.1:{site.pebble.resolver_port}"
    settings = {"type": "hook", "command": [str(site.hook)], "nameservers": [server]}
    (tmp_path / "dns.json").write_text(json.dumps({**settings, "resolvers": [server]}))

    refused = site.command("acme", "order", "*.example.net", "--kind", "system", "--force")
    told = site.command("acme", "settings", "set", "--dns-file", str(tmp_path / "dns.json"))
    done = site.command("acme", "order", "*.example.net", "--kind", "system", "--force", "--wait")

    assert (refused.returncode, "dns-needed" in refused.stderr) == (1, True)
    assert told.returncode == 0, told.stderr
    assert done.returncode == 0, done.stderr + done.stdout
    site.await_presented("any.example.net", site.orders()["*.example.net"]["certificate"])
    assert site.pebble.texts("_acme-challenge.example.net") == set()


def test_settings_are_taken_back_and_do_not_follow_to_another_authority(
    site: Site, tmp_path: Path
) -> None:
    def told(*options: str) -> dict[str, Any]:
        done = site.command("acme", "settings", "set", *options, "--json")
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    (tmp_path / "key").write_text("c2VjcmV0")
    own = ("--directory", site.pebble.directory, "--agree-terms")
    account = ("--eab-kid", "kid", "--eab-key-file", str(tmp_path / "key"))
    given = told(*own, *account, "--profile", "short", "--contact", "a@example.com")
    moved = told("--directory", "letsencrypt-staging")
    back = told(*own, "--unset", "contact", "--unset", "dns")

    assert (given["eab_kid"], given["profile"], given["terms_agreed"]) == ("kid", "short", True)
    assert (moved["eab_kid"], moved["profile"], moved["terms_agreed"]) == (None, None, False)
    assert moved["contact"] == ["a@example.com"]
    assert (back["contact"], back["dns"], back["terms_agreed"]) == ([], None, True)


def test_only_programs_that_the_machine_allows_publish_dns_records(
    site: Site, tmp_path: Path
) -> None:
    (tmp_path / "dns.json").write_text(json.dumps({"type": "hook", "command": ["/bin/sh"]}))

    told = site.command("acme", "settings", "set", "--dns-file", str(tmp_path / "dns.json"))

    assert told.returncode == 1
    assert "/bin/sh is none of the programs that [acme] hooks" in told.stderr


def test_an_address_that_a_tenant_gives_up_is_renewed_no_more(site: Site) -> None:
    tenant = {"address": "left.example.com", "aliases": ["alias.example.com"], "managed": True}
    site.admin.post("/api/v1/tenants", tenant)
    kept = site.issued("alias.example.com")["certificate"]

    site.admin.call("PUT", "/api/v1/tenants/left.example.com", {"managed": True})

    for _ in until("the order is stopped"):
        if site.orders()["alias.example.com"]["state"] == "stopped":
            break
    assert site.admin.get(f"/api/v1/certificates/{kept}").status == 200
    assert site.orders()["left.example.com"]["managed"]


def test_a_managed_certificate_that_is_deleted_comes_again(site: Site) -> None:
    name = "deleted.example.com"
    site.admin.post("/api/v1/tenants", {"address": name, "managed": True})
    former = site.issued(name)["certificate"]

    done = site.command("certificates", "delete", former, "--force")

    assert done.stdout == f"deleted {former}; what the service keeps renewed is ordered anew\n"
    site.await_presented(name, site.issued(name, after=former)["certificate"])


def test_an_alias_that_moves_to_another_managed_tenant_gets_a_certificate_of_it(site: Site) -> None:
    alias, old, new = "moved.example.com", "from.example.com", "to.example.com"
    site.admin.post("/api/v1/tenants", {"address": old, "aliases": [alias], "managed": True})
    former = site.issued(alias)["certificate"]

    site.admin.call("PUT", f"/api/v1/tenants/{old}", {"managed": True})
    site.admin.post("/api/v1/tenants", {"address": new, "aliases": [alias], "managed": True})

    order = site.issued(alias, after=former)
    assert order["tenant"] == new
    site.await_presented(alias, order["certificate"])


def test_settings_that_are_not_given_stay_as_they_are(site: Site, tmp_path: Path) -> None:
    key = tmp_path / "eab.key"
    key.write_text("c2VjcmV0LW9mLXRoZS1hY2NvdW50\n")
    begin = site.admin.get(SETTINGS).json()

    done = site.command("acme", "settings", "set", "--eab-kid", "kid", "--eab-key-file", str(key))
    changed = site.command("acme", "settings", "set", "--contact", "a@example.com", "--json")

    assert (done.returncode, changed.returncode) == (0, 0)
    assert "c2VjcmV0" not in done.stdout + changed.stdout
    after = site.admin.get(SETTINGS).json()
    assert after == {**begin, "contact": ["a@example.com"], "eab_kid": "kid"}
    site.admin.call("PUT", SETTINGS, {**without_shown(begin), "eab": None})


def account(site: Site, *arguments: str) -> dict[str, Any]:
    """Run `shaken acme account …`; return what it shows."""
    done = site.command("acme", "account", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_account_gets_a_new_key_ends_and_is_followed_by_another(site: Site) -> None:
    site.admin.post("/api/v1/tenants", {"address": "first.example.com", "managed": True})
    site.issued("first.example.com")

    before = account(site, "show")
    rolled = account(site, "rollover")
    ended = account(site, "deactivate", "--yes")
    refused = site.command("acme", "account", "rollover")
    begun = site.command("acme", "account", "start-over")
    for _ in until("the account is forgotten"):
        if site.admin.get("/api/v1/acme/account").status == 404:
            break
    site.admin.post("/api/v1/tenants", {"address": "second.example.com", "managed": True})
    site.issued("second.example.com")
    another = account(site, "show")

    assert (before["state"], before["wish"], before["failure"]) == ("valid", None, None)
    assert rolled["url"] == before["url"]
    assert rolled["key_thumbprint"] != before["key_thumbprint"]
    assert (ended["state"], ended["url"]) == ("deactivated", before["url"])
    assert "account-deactivated" in refused.stderr
    assert begun.returncode == 0, begun.stderr
    assert (another["state"], another["url"] != before["url"]) == ("valid", True)
    events = site.admin.get("/api/v1/audit?action=acme.account").json()["items"]
    assert [each["detail"]["after"]["wish"] for each in events] == [
        "start-over",
        "deactivate",
        "rollover",
    ]


def without_shown(record: dict[str, Any]) -> dict[str, Any]:
    """Return the settings as they are written: what stands for secrets is left out."""
    return {name: value for name, value in record.items() if name not in {"eab_kid", "dns_type"}}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("settings", "set", "--eab-kid", "kid"), "go together"),
        (("settings", "set", "--key-type", "p-521"), "p-521"),
        (("settings", "set", "--dns-file", "{not_json}"), "--dns-file"),
        (("order",), "NAME"),
        (("order", "x.test", "--kind", "sti"), "sti"),
    ],
)
def test_a_wrong_command_line_ends_with_2(
    site: Site, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    (tmp_path / "dns.json").write_text("no JSON")
    filled = [each.replace("{not_json}", str(tmp_path / "dns.json")) for each in arguments]

    done = site.command("acme", *filled)

    assert done.returncode == 2
    assert said in done.stderr


def test_what_the_service_refuses_is_one_line_and_1(site: Site) -> None:
    done = site.command("acme", "order", "nobodys.example.net", "--kind", "system", "--wait")

    assert done.returncode == 1
    assert done.stderr.startswith("Error: names: nobodys.example.net is neither a tenant's address")


def test_settings_that_cannot_be_read_are_not_replaced(site: Site) -> None:
    stranger = run_shaken(
        *("acme", "settings", "set", "--contact", "a@example.com"),
        folder=site.service.data,
        SHAKEN_URL=site.service.url,
        SHAKEN_TOKEN="nobodys",
    )

    assert stranger.returncode == 1
    assert "401" in stranger.stderr


def test_an_order_that_stands_already_is_not_waited_for(site: Site) -> None:
    order = ("acme", "order", "twice.example.net", "--kind", "system", "--force", "--wait")
    assert site.command(*order).returncode == 0
    certificate = site.orders()["twice.example.net"]["certificate"]

    assert site.command(*order).returncode == 0

    assert site.orders()["twice.example.net"]["certificate"] == certificate


def test_what_was_mended_is_looked_at_once_the_same_is_ordered_again(site: Site) -> None:
    name = "mended.example.net"
    order = ("acme", "order", name, "--kind", "system", "--force", "--wait")
    site.pebble.resolve(name, "127.0.0.9")
    assert site.command(*order).returncode == 1
    requests.post(f"{site.pebble.dns}/clear-a", json={"host": name}, timeout=10).raise_for_status()

    assert site.command(*order).returncode == 0


def test_where_challenges_are_answered_nothing_else_is(site: Site) -> None:
    base = f"http://127.0.0.1:{site.http_port}"
    paths = [
        "/",
        "/api/v1/acme/orders",
        "/api/v1/tenants",
        "/stir/v1/signing",
        "/healthz",
        "/openapi.json",
        "/.well-known/acme-challenge/",
        "/.well-known/acme-challenge/a-token-that-nobody-waits-for",
    ]
    secret = {"Authorization": f"Bearer {site.admin.secret}"}

    for path in paths:
        for headers in ({}, secret):
            answer = requests.get(base + path, headers=headers, timeout=10)
            assert answer.status_code == 404, path
            assert "WWW-Authenticate" not in answer.headers
    assert requests.post(f"{base}/stir/v1/signing", json={}, timeout=10).status_code == 404


def test_a_service_that_is_killed_amid_orders_ends_with_certificates(tmp_path: Path) -> None:
    port, names = free_port(), [f"name{number}.example.net" for number in range(12)]
    with running_pebble(tmp_path, http_port=port) as pebble:
        with a_site(tmp_path, pebble, port, tmp_path / "dns-hook") as site:
            site.set_up()
            for name in names:
                body = {"names": [name], "kind": "system", "force": True}
                assert site.admin.post(ORDERS, body).status == 201
            for _ in until("an order is on its way"):
                states = {each["state"] for each in site.orders().values()}
                if states & {"ordered", "authorizing", "finalizing"}:
                    break
            site.service.kill()
        give_up_leases(tmp_path / "data" / "shaken.sqlite")
        with a_site(tmp_path, pebble, port, site.hook, secret=site.admin.secret) as again:
            for name in names:
                order = again.issued(name)
                assert again.admin.get(f"/api/v1/certificates/{order['certificate']}").status == 200
            assert again.admin.get("/api/v1/certificates/requests").json()["items"] == []


def give_up_leases(file: Path) -> None:
    """Let the time pass that a killed worker keeps others waiting."""
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE leases SET expires = 0")
