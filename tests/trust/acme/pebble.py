"""Pebble, an ACME authority for tests, with a DNS server of its own, on loopback.

Names resolve to 127.0.0.1, where a `Responder` answers http-01. TXT records are set through the
DNS server's management.
"""

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO, cast

import dns.message
import dns.query
import requests

from tests.ports import free_port
from trust.acme.challenges import TxtRecord
from trust.authority import Authority

ROOT = Path(__file__).parents[3]
"""Where modules of the tests are found."""

START_SECONDS = 20.0
WELL_KNOWN = "/.well-known/acme-challenge/"

EAB_KID = "kid-1"
EAB_KEY = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"


@dataclass
class Responder:
    """Answers http-01 as the service does: from a look-up, or as a test says."""

    port: int
    look_up: Callable[[str], str | None] = field(default=lambda _: None)
    asked: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Pebble:
    """A running Pebble: its directory, what its TLS leads to, and ways to look inside."""

    directory: str
    management: str
    roots: str
    responder: Responder
    dns: str
    resolver_port: int

    def texts(self, name: str) -> set[str]:
        """Ask its DNS server for the TXT records of a name."""
        question = dns.message.make_query(name, "TXT")
        answer = dns.query.udp(question, "127.0.0.1", port=self.resolver_port, timeout=5)
        return {b"".join(each.strings).decode() for rrset in answer.answer for each in rrset}

    def resolve(self, name: str, address: str) -> None:
        """Let a name lead to another address than the usual one."""
        body = {"host": name, "addresses": [address]}
        requests.post(f"{self.dns}/add-a", json=body, timeout=10).raise_for_status()

    def status(self, serial: int) -> str:
        """Return what Pebble says of a certificate it issued: Valid or Revoked."""
        answer = self.get(f"cert-status-by-serial/{serial:x}")
        return str(json.loads(answer)["Status"])

    def root(self, number: int = 0) -> str:
        """Return one of the roots that it issues under, in PEM."""
        return self.get(f"roots/{number}")

    def get(self, path: str) -> str:
        url = f"{self.management}/{path}"
        answer = requests.get(url, verify=str(self.roots_file), timeout=10)
        answer.raise_for_status()
        return answer.text

    @property
    def roots_file(self) -> Path:
        return Path(self.roots)


@dataclass(frozen=True)
class ChallengeDns:
    """The publisher of the test's DNS server; it remembers what is published."""

    url: str
    published: set[TxtRecord] = field(default_factory=set)

    def publish(self, records: Sequence[TxtRecord]) -> None:
        for record in records:
            self.published.add(record)
            self._ask("set-txt", {"host": f"{record.name}.", "value": record.value})

    def withdraw(self, records: Sequence[TxtRecord]) -> None:
        for record in records:
            self.published.discard(record)
            self._ask("clear-txt", {"host": f"{record.name}."})

    def await_propagation(self, records: Sequence[TxtRecord]) -> None:
        assert set(records) <= self.published

    def _ask(self, what: str, body: Mapping[str, str]) -> None:
        requests.post(f"{self.url}/{what}", json=body, timeout=10).raise_for_status()


def program(name: str) -> str:
    """Find a program of the Debian package pebble."""
    found = shutil.which(name)
    assert found, f"{name} is missing: apt-get install pebble"
    return found


@contextmanager
def running_pebble(
    folder: Path,
    *,
    eab: bool = False,
    http_port: int | None = None,
    name_server: int | None = None,
    **environment: str,
) -> Iterator[Pebble]:
    """Start Pebble in strict mode; names resolve to loopback. Nonces are refused at random.

    With `http_port` somebody else answers challenges there, and no responder is started; with
    `name_server` somebody else knows all names.
    """
    acme, management, http, resolver_port, dns_management, tls = (free_port() for _ in range(6))
    http = http_port or http
    authority = Authority.create("Test root", now=datetime.now(UTC))
    server = authority.issue_server(["localhost"], now=datetime.now(UTC))
    (folder / "chain.pem").write_text(server.chain_pem)
    (folder / "key.pem").write_text(server.key_pem)
    roots = folder / "roots.pem"
    roots.write_text(authority.root_pem)
    configuration: dict[str, object] = {
        "listenAddress": f"127.0.0.1:{acme}",
        "managementListenAddress": f"127.0.0.1:{management}",
        "certificate": str(folder / "chain.pem"),
        "privateKey": str(folder / "key.pem"),
        "httpPort": http,
        "tlsPort": tls,
        "ocspResponderURL": "",
        "externalAccountBindingRequired": eab,
        "externalAccountMACKeys": {EAB_KID: EAB_KEY},
    }
    (folder / "pebble.json").write_text(json.dumps({"pebble": configuration}))
    resolver = [program("pebble-challtestsrv"), "-http01", "", "-https01", "", "-tlsalpn01", ""]
    resolver += [
        "-dns01",
        f"127.0.0.1:{resolver_port}",
        "-management",
        f"127.0.0.1:{dns_management}",
    ]
    resolver += ["-defaultIPv6", ""]
    pebble = [program("pebble"), "-strict", "-config", str(folder / "pebble.json")]
    pebble += ["-dnsserver", f"127.0.0.1:{name_server or resolver_port}"]
    settings = {
        "PEBBLE_VA_NOSLEEP": "1",
        "PEBBLE_WFE_NONCEREJECT": "20",
        "PEBBLE_AUTHZREUSE": "0",
        "PEBBLE_WFE_ORDERS_PER_PAGE": "1000",
    }
    with ExitStack() as stack:
        stack.enter_context(process(resolver, {}, until="management server"))
        stack.enter_context(
            process(pebble, {**settings, **environment}, until="ACME directory available")
        )
        responder = Responder(http)
        if http_port is None:
            responder = stack.enter_context(running_responder(http))
        yield Pebble(
            directory=f"https://localhost:{acme}/dir",
            management=f"https://localhost:{management}",
            roots=str(roots),
            responder=responder,
            dns=f"http://127.0.0.1:{dns_management}",
            resolver_port=resolver_port,
        )


@contextmanager
def running_responder(port: int) -> Iterator[Responder]:
    """Answer http-01 on a port of loopback."""
    responder = Responder(port)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            token = self.path.removeprefix(WELL_KNOWN)
            responder.asked.append(self.path)
            value = responder.look_up(token)
            body = (value or "").encode()
            self.send_response(404 if value is None else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield responder
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def process(
    command: Sequence[str], environment: Mapping[str, str], *, until: str
) -> Iterator[None]:
    """Run a program until the block ends; the block begins when it has said something."""
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        said = threading.Event()
        lines: list[str] = []

        def read() -> None:
            for line in cast("IO[str]", process.stdout):
                lines.append(line)
                if until in line:
                    said.set()

        reader = threading.Thread(target=read)
        reader.start()
        try:
            assert said.wait(START_SECONDS), f"{command[0]} does not start: {''.join(lines)}"
            yield
        finally:
            process.kill()
            process.wait()
            reader.join()
