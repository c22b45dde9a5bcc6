"""Real DNS servers on loopback: Knot DNS takes dynamic updates, PowerDNS has an HTTP API."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dns.exception
import dns.message
import dns.query
import dns.rcode
import requests
from dns.rdtypes.ANY.TXT import TXT

from tests.ports import free_port
from tests.system.process import until

KEY_NAME = "acme-key"
KEY_SECRET = "c2hha2VuIHRlc3Qga2V5IG9mIDMyIG9jdGV0cyAtLS0="
OTHER_KEY_NAME = "key-without-rights"

POWERDNS_PROGRAM = "pdns_server"
POWERDNS_PACKAGES = "pdns-server pdns-backend-lmdb"

KNOT = """
server:
  rundir: {folder}
  listen: {listen}
  udp-workers: 1
  tcp-workers: 1
  background-workers: 1
database:
  storage: {folder}
key:
  - id: {key}
    algorithm: hmac-sha256
    secret: {secret}
  - id: {other}
    algorithm: hmac-sha256
    secret: {secret}
acl:
  - id: updates
    key: {key}
    action: update
zone:
"""

KNOT_ZONE = """
  - domain: {domain}
    file: {folder}/{domain}
    zonefile-sync: -1
    journal-content: changes
    acl: updates
"""

POWERDNS = """
launch=lmdb
lmdb-filename={folder}/zones
lmdb-shards=1
socket-dir={folder}
local-address=127.0.0.1
local-port={port}
webserver=yes
webserver-address=127.0.0.1
webserver-port={http}
webserver-loglevel=none
api=yes
api-key={key}
daemon=no
guardian=no
disable-syslog=yes
write-pid=no
security-poll-suffix=
cache-ttl=0
query-cache-ttl=0
negquery-cache-ttl=0
zone-cache-refresh-interval=0
receiver-threads=1
distributor-threads=1
"""


@dataclass(frozen=True)
class Server:
    """An address where a DNS server answers."""

    address: str
    port: int

    def __str__(self) -> str:
        """Return it as settings have it."""
        return f"{self.address}:{self.port}"

    def texts(self, name: str) -> set[str]:
        """Return the TXT records of a name."""
        query = dns.message.make_query(name, "TXT")
        answer = dns.query.tcp(query, self.address, timeout=10, port=self.port).answer
        return {
            b"".join(each.strings).decode()
            for rrset in answer
            for each in rrset
            if isinstance(each, TXT)
        }


@dataclass(frozen=True)
class PowerDns:
    """A PowerDNS server, with the key of its HTTP API."""

    dns: Server
    api: str
    key: str

    def make_zone(self, name: str, texts: Mapping[str, str]) -> None:
        """Make a zone with some TXT records."""
        rrsets: list[dict[str, Any]] = [
            {
                "name": f"{owner}.",
                "type": "TXT",
                "ttl": 60,
                "records": [{"content": f'"{text}"', "disabled": False}],
            }
            for owner, text in texts.items()
        ]
        response = requests.post(
            f"{self.api}/api/v1/servers/localhost/zones",
            headers={"X-API-Key": self.key},
            json={
                "name": f"{name}.",
                "kind": "Native",
                "nameservers": [f"ns1.{name}."],
                "rrsets": rrsets,
            },
            timeout=10,
        )
        assert response.status_code == 201, response.text


@contextmanager
def knot(address: str, port: int, zones: Mapping[str, str]) -> Iterator[Server]:
    """Serve zones by Knot DNS; whoever has the key may change them."""
    server = Server(address, port)
    with tempfile.TemporaryDirectory() as name:  # its control socket wants a short path
        folder = Path(name)
        text = KNOT.format(
            folder=folder,
            listen=f"{address}@{port}",
            key=KEY_NAME,
            other=OTHER_KEY_NAME,
            secret=KEY_SECRET,
        )
        for domain, records in zones.items():
            (folder / domain).write_text(f"$ORIGIN {domain}.\n$TTL 60\n{records}")
            text += KNOT_ZONE.format(domain=domain, folder=folder)
        (folder / "knot.conf").write_text(text)
        command = ("knotd", "-c", str(folder / "knot.conf"))
        with _running(command, "knot", folder / "log", lambda: _serves(server, next(iter(zones)))):
            yield server


@contextmanager
def powerdns() -> Iterator[PowerDns]:
    """Run PowerDNS without zones."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        port, http = free_port("127.0.0.1"), free_port("127.0.0.1")
        key = "a-key-that-nobody-may-see"
        settings = POWERDNS.format(folder=folder, port=port, http=http, key=key)
        (folder / "pdns.conf").write_text(settings)
        server = PowerDns(Server("127.0.0.1", port), f"http://127.0.0.1:{http}", key)
        command = (POWERDNS_PROGRAM, f"--config-dir={folder}")
        with _running(command, POWERDNS_PACKAGES, folder / "log", lambda: _listens(http)):
            yield server


def _program(name: str, package: str) -> str:
    """Find a program of Debian packages, which must be there."""
    path = os.pathsep.join((os.environ["PATH"], "/usr/sbin", "/usr/local/sbin"))
    found = shutil.which(name, path=path)
    assert found is not None, f"{name} is missing: apt-get install {package}"
    return found


@contextmanager
def _running(
    command: Sequence[str], package: str, log: Path, is_up: Callable[[], bool]
) -> Iterator[None]:
    found = [_program(command[0], package), *command[1:]]
    with (
        log.open("wb") as output,
        subprocess.Popen(found, stdout=output, stderr=subprocess.STDOUT) as process,
    ):
        try:
            for _ in until(f"{command[0]} is up"):
                assert process.poll() is None, f"{package}: {log.read_text()}"
                if is_up():
                    break
            yield
        finally:
            process.terminate()
            process.wait(60)


def _serves(server: Server, zone: str) -> bool:
    query = dns.message.make_query(zone, "SOA")
    try:
        response = dns.query.udp(query, server.address, timeout=0.5, port=server.port)
    except (dns.exception.Timeout, OSError):
        return False
    return response.rcode() == dns.rcode.NOERROR


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
