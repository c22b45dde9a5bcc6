"""Certificates that the service obtains and renews by itself, from a real authority."""

import json
import socket
import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from shaken.credentials import Role
from tests.system.caller import Caller
from tests.system.process import Service, free_port, run_shaken, running, seed_credential, until
from tests.trust.acme.pebble import Pebble, running_pebble

NAME, ALIAS = "pbx.example.com", "sip.example.com"
ORDERS = "/api/v1/acme/orders"

HOOK = """#!{python}
import json, sys, urllib.request
verb, name, value = sys.argv[1:]
body = {{"host": name + ".", "value": value}} if verb == "publish" else {{"host": name + "."}}
path = {{"publish": "set-txt", "withdraw": "clear-txt"}}[verb]
urllib.request.urlopen("{dns}/" + path, json.dumps(body).encode()).close()
"""
"""A program that sets TXT records at the authority's own DNS server."""


@dataclass(frozen=True)
class Site:
    """A service with two workers, and the authority that it uses."""

    service: Service
    pebble: Pebble
    admin: Caller
    https_port: int
    hook: Path
    """The one program that the settings may name."""

    def presented(self, name: str) -> str:
        """Return the fingerprint of what the HTTPS listener presents for a name."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with (
            socket.create_connection(("127.0.0.1", self.https_port), timeout=5) as connection,
            context.wrap_socket(connection, server_hostname=name) as secured,
        ):
            return sha256(secured.getpeercert(binary_form=True) or b"").hexdigest()

    def await_presented(self, name: str, certificate: str) -> None:
        """Wait until a certificate is in use: a second, and what a busy machine adds."""
        for _ in until(f"{certificate} is presented", seconds=3):
            if self.presented(name) == certificate:
                return

    def orders(self) -> dict[str, dict[str, Any]]:
        """List the orders by their first name."""
        return {each["names"][0]: each for each in self.admin.get(ORDERS).json()["items"]}

    def issued(self, name: str, *, after: str | None = None) -> dict[str, Any]:
        """Wait until there is another certificate for a name than `after`; return its order."""
        for _ in until(f"a certificate for {name}"):
            found = self.orders().get(name)
            if found and found["state"] == "issued" and found["certificate"] != after:
                return found
            assert not (found and found["failures"]), found
        raise AssertionError

    def command(self, *arguments: str) -> Any:
        """Run a command against the service."""
        return run_shaken(
            *arguments,
            folder=self.service.data,
            SHAKEN_URL=self.service.url,
            SHAKEN_TOKEN=self.admin.secret or "",
        )


@contextmanager
def a_site(folder: Path, pebble: Pebble, http_port: int, hook: Path) -> Iterator[Site]:
    """Run a service whose listener for challenges is where the authority looks."""
    secret = seed_credential(folder / "data", role=Role.ADMIN)
    https_port = free_port()
    settings = {
        "SHAKEN_HTTPS__ADDRESS": f"127.0.0.1:{https_port}",
        "SHAKEN_ACME__HTTP_ADDRESS": f"127.0.0.1:{http_port}",
        "SHAKEN_ACME__AUTHORITY_PORT": str(http_port),
        "SHAKEN_ACME__RESOLVERS": f"127.0.0.1:{pebble.resolver_port}",
        "SHAKEN_ACME__HOOKS": str(hook),
    }
    with running(folder, "--workers", "2", settings=settings) as service:
        yield Site(service, pebble, Caller(service.url, secret), https_port, hook)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A service that is set up for Pebble, with nothing ordered yet."""
    http_port, folder = free_port(), tmp_path_factory.mktemp("site")
    with (
        running_pebble(folder, http_port=http_port) as pebble,
        a_site(folder, pebble, http_port, folder / "dns-hook") as made,
    ):
        root = {"purpose": "tls", "certificate": pebble.roots_file.read_text()}
        assert made.admin.post("/api/v1/roots", root).status == 201
        done = made.command(
            "acme", "settings", "set", "--directory", pebble.directory, "--agree-terms"
        )
        assert done.returncode == 0, done.stderr
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
