"""Certificates that renew themselves beside other programs: a web server, listeners' files."""

import json
import re
import socket
from contextlib import suppress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from tests.ports import free_port
from tests.system.acme_site import a_site
from tests.system.listener import NAME, agent, child
from tests.system.process import until
from tests.trust.acme import nameservers
from tests.trust.acme.pebble import running_pebble

DOCUMENT = Path(__file__).parents[2] / "docs/acme.md"

MAIN = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {server}
}}
"""


ZONE = """
@ SOA ns1.example.test. hostmaster.example.test. 1 3600 600 86400 60
@ NS ns1
ns1 A 127.0.0.1
"""


def server_of_the_document(*, port: int, service: int) -> str:
    """Return the server block for nginx in docs/acme.md, at our ports."""
    found = re.search(r"```nginx\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert found is not None
    text = found[1].replace("    listen [::]:80;\n", "")
    for theirs, ours in (
        ("listen 80;", f"listen 127.0.0.1:{port};"),
        ("127.0.0.1:8080", f"127.0.0.1:{service}"),
    ):
        assert theirs in text, theirs
        text = text.replace(theirs, ours)
    return text


def test_a_web_server_that_has_port_80_forwards_challenges(tmp_path: Path) -> None:
    port, folder = free_port(), tmp_path / "nginx"
    folder.mkdir()
    with (
        running_pebble(tmp_path, http_port=port) as pebble,
        a_site(tmp_path, pebble, port, tmp_path / "hook", http_address="") as site,
    ):
        server = server_of_the_document(port=port, service=site.service.port)
        (folder / "nginx.conf").write_text(MAIN.format(folder=folder, server=server))
        command = ("nginx", "-p", str(folder), "-c", f"{folder}/nginx.conf")
        with child(*command, log=folder / "output"):
            for _ in until("nginx is up"):
                with suppress(OSError):
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
            site.set_up()
            done = site.command(
                *("acme", "order", "pbx.example.com", "--kind", "system", "--force", "--wait")
            )

    assert done.returncode == 0, done.stderr + done.stdout


def test_the_files_of_a_listener_follow_a_renewal(tmp_path: Path) -> None:
    port, file = free_port(), tmp_path / "listener.pem"
    options = ("--out", file, "--key", tmp_path / "listener.key")

    def deployed() -> str | None:
        if not file.exists():
            return None
        leaf = x509.load_pem_x509_certificates(file.read_bytes())[0]
        return leaf.fingerprint(SHA256()).hex()

    with (
        running_pebble(tmp_path, http_port=port) as pebble,
        a_site(tmp_path, pebble, port, tmp_path / "hook") as site,
    ):
        site.set_up()
        tenant = {"address": NAME, "managed": True}
        assert site.admin.post("/api/v1/tenants", tenant).status == 201
        first = site.issued(NAME)["certificate"]
        wanted = {"name": "listener", "role": "listener"}
        secret = site.admin.post("/api/v1/credentials", wanted).json()["secret"]
        with agent(site.service, secret, *options, log=tmp_path / "agent") as watching:
            for _ in until("the first certificate is in its file"):
                if deployed() == first:
                    break
            done = site.command("certificates", "renew", first, "--wait")
            assert done.returncode == 0, done.stderr
            second = site.issued(NAME, after=first)["certificate"]
            for _ in until("the renewed certificate is in its file"):
                if deployed() == second:
                    break
            watching.end()


def test_a_wildcard_is_proven_by_dynamic_updates_at_a_name_server(tmp_path: Path) -> None:
    port, name_port = free_port(), free_port("127.0.0.1")
    names = ["*.pbx.example.test", "pbx.example.test"]  # two values at one name
    with (
        nameservers.knot("127.0.0.1", name_port, {"example.test": ZONE}) as server,
        running_pebble(tmp_path, http_port=port, name_server=name_port) as pebble,
        a_site(tmp_path, pebble, port, tmp_path / "hook") as site,
    ):
        site.set_up()
        settings = {
            "type": "rfc2136",
            "server": server.address,
            "port": server.port,
            "key_name": nameservers.KEY_NAME,
            "key_secret": nameservers.KEY_SECRET,
            "resolvers": [str(server)],
            "nameservers": [str(server)],
        }
        (tmp_path / "dns.json").write_text(json.dumps(settings))
        told = site.command(
            *("acme", "settings", "set", "--dns-name", "*"),
            *("--dns-file", str(tmp_path / "dns.json")),
        )
        done = site.command("acme", "order", *names, "--kind", "system", "--force", "--wait")
        left = server.texts("_acme-challenge.pbx.example.test")

    assert told.returncode == 0, told.stderr
    assert nameservers.KEY_SECRET not in told.stdout
    assert done.returncode == 0, done.stderr + done.stdout
    assert left == set()
