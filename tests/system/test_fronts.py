"""nginx and HAProxy in front of the service, with the settings of `examples`."""

import http.client
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.ports import free_port
from tests.system.caller import TIMEOUT_SECONDS, Answer, Caller
from tests.system.listener import (
    NGINX_MAIN,
    child,
    example,
    haproxy_example,
    owners_of_children,
    wait_until_up,
)
from tests.system.process import Service, read_demo, running
from trust.authority import Authority

NAME = "sti.example.com"

PBX, ADMINISTRATOR, STRANGER = "127.0.0.2", "127.0.0.3", "127.0.0.4"
"""Who calls from where."""

CHALLENGE = "/.well-known/acme-challenge/some-token"


@dataclass(frozen=True)
class Visitor(Caller):
    """A client at an address of its own, which asks a front for the service."""

    source: str = STRANGER
    port: int = 0

    def connect(self) -> http.client.HTTPConnection:
        """Connect from there."""
        if self.tls is None:
            return http.client.HTTPConnection(
                "127.0.0.1", self.port, timeout=TIMEOUT_SECONDS, source_address=(self.source, 0)
            )
        context = self.tls
        return http.client.HTTPSConnection(
            *("127.0.0.1", self.port),
            timeout=TIMEOUT_SECONDS,
            source_address=(self.source, 0),
            context=context,
        )


@dataclass(frozen=True)
class Front:
    """A proxy with TLS, and the service behind it."""

    service: Service
    https: int
    http: int
    process: "subprocess.Popen[bytes]"

    def visitor(self, source: str, secret: str | None = None) -> Visitor:
        """Come over TLS; the certificate does not matter here."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        host = {"Host": NAME}
        return Visitor("", secret, host, context, source=source, port=self.https)

    def plain(self, source: str) -> Visitor:
        """Come over plain HTTP."""
        return Visitor("", None, {"Host": NAME}, source=source, port=self.http)

    @property
    def admin(self) -> Visitor:
        """The demo's administrator, at the administrators' address."""
        return self.visitor(ADMINISTRATOR, read_demo(self.service.data)["admin"]["secret"])


Start = Callable[[Path, dict[str, object]], tuple[str, ...]]


def nginx(folder: Path, places: dict[str, object]) -> tuple[str, ...]:
    """Write the settings of nginx; tell how it is started."""
    listens = {"listen 443": "listen 127.0.0.1:{https}", "listen 80": "listen 127.0.0.1:{http}"}
    certificate = {
        f"/etc/nginx/tls/{NAME}.pem": folder / "both.pem",
        f"/etc/nginx/tls/{NAME}.key": folder / "both.pem",
    }
    site = example("nginx/shaken.conf", places=filled(listens, places) | certificate)
    (folder / "shaken.conf").write_text(site)
    (folder / "nginx.conf").write_text(NGINX_MAIN.format(folder=folder, site="shaken.conf"))
    return "nginx", "-p", str(folder), "-c", f"{folder}/nginx.conf"


def haproxy(folder: Path, places: dict[str, object]) -> tuple[str, ...]:
    """Write the settings of HAProxy; tell how it is started."""
    binds = {"bind :443": "bind 127.0.0.1:{https}", "bind :80": "bind 127.0.0.1:{http}"}
    certificate = {f"/etc/haproxy/certs/{NAME}.pem": folder / "both.pem"}
    text = haproxy_example("shaken.cfg", places=filled(binds, places) | certificate)
    (folder / "haproxy.cfg").write_text(text)
    return "haproxy", "-W", "-f", f"{folder}/haproxy.cfg"


def filled(listens: dict[str, str], places: dict[str, object]) -> dict[str, object]:
    """Put ports into what listens; take over the other places, the ports not among them."""
    ports = {"https": places["https"], "http": places["http"]}
    ours = {theirs: text.format(**ports) for theirs, text in listens.items()}
    return ours | {theirs: place for theirs, place in places.items() if theirs not in ports}


@contextmanager
def in_front(start: Start, folder: Path) -> Iterator[Front]:
    """Run the service, and a proxy in front of it."""
    home, own = folder / "service", folder / "front"
    home.mkdir()
    own.mkdir()
    issued = Authority.create("Root", now=datetime.now(UTC)).issue_server(
        [NAME], now=datetime.now(UTC)
    )
    (own / "both.pem").write_text(issued.chain_pem + issued.key_pem)
    settings = {"SHAKEN_HTTP__TRUSTED_PROXIES": "127.0.0.1"}
    with running(home, "--demo", settings=settings) as service:
        https, http_ = free_port(), free_port()
        command = start(
            own,
            {
                "https": https,
                "http": http_,
                # The service's address stands in a comment, too.
                "127.0.0.1:8080": f"127.0.0.1:{service.port}",
                "192.0.2.0/24": f"{PBX}/32",
                "198.51.100.7/32": f"{ADMINISTRATOR}/32",
            },
        )
        with child(*command, log=own / "log") as process:
            wait_until_up(https)
            yield Front(service, https, http_, process)


@pytest.fixture(
    scope="module", params=[pytest.param(each, id=each.__name__) for each in (nginx, haproxy)]
)
def front(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Front]:
    with in_front(request.param, tmp_path_factory.mktemp("front")) as made:
        yield made


def test_none_who_reads_requests_is_root(front: Front) -> None:
    assert 0 not in owners_of_children(front.process)


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/certificates/{id}.pem", {PBX, ADMINISTRATOR, STRANGER}),
        ("/stir/v1/signing", {PBX, ADMINISTRATOR}),
        ("/stir/v1/verification", {PBX, ADMINISTRATOR}),
        ("/api/v1/tenants", {ADMINISTRATOR}),
        ("/admin", {ADMINISTRATOR}),
        ("/healthz", {ADMINISTRATOR}),
        ("/metrics", {ADMINISTRATOR}),
        ("/openapi.json", {ADMINISTRATOR}),
        ("/", {ADMINISTRATOR}),
    ],
)
def test_each_may_reach_what_is_for_them(front: Front, path: str, allowed: set[str]) -> None:
    (certificate,) = front.admin.items("/api/v1/certificates?kind=sti")

    statuses = {
        source: front.visitor(source).get(path.format(id=certificate["id"])).status
        for source in (PBX, ADMINISTRATOR, STRANGER)
    }

    assert {source for source, status in statuses.items() if status != 403} == allowed
    if path.startswith("/certificates/"):
        assert set(statuses.values()) == {200}


@pytest.mark.parametrize(
    "path",
    [
        "/certificates/../api/v1/tenants",
        "/certificates/%2e%2e/api/v1/tenants",
        "/certificates/..%2Fapi/v1/tenants",
        "//api/v1/tenants",
        "/./api/v1/tenants",
        "/API/v1/tenants",
    ],
)
def test_no_other_spelling_of_a_path_gets_through(front: Front, path: str) -> None:
    secret = read_demo(front.service.data)["admin"]["secret"]

    assert front.visitor(STRANGER, secret).get(path).status in {400, 403}


def test_the_service_sees_who_really_calls(front: Front) -> None:
    body = {"name": "here", "role": "signer", "trunk": "demo", "networks": [f"{PBX}/32"]}
    created = front.admin.post("/api/v1/credentials", body)
    assert created.status == 201, created.body
    secret = created.json()["secret"]
    pretending = {"X_Forwarded_For": PBX, "X_Forwarded_Proto": "https"}

    signed = front.visitor(PBX, secret).sign()
    elsewhere = front.visitor(ADMINISTRATOR, secret).saying(**pretending).sign()

    assert signed.status == 200, signed.body
    assert elsewhere.status == 401
    assert front.admin.delete("/api/v1/credentials/here").status == 204


def test_challenges_are_answered_to_anybody_over_plain_http_and_nothing_else_is(
    front: Front,
) -> None:
    challenge: Answer = front.plain(STRANGER).get(CHALLENGE)
    other = front.plain(ADMINISTRATOR).get("/api/v1/tenants")

    # The service's own answer for a token that it has not given out.
    assert challenge.status == 404
    assert challenge.body == Caller(front.service.url).get(CHALLENGE).body
    assert other.status == 301
    assert other.headers["location"] == f"https://{NAME}/api/v1/tenants"
