"""The service's own HTTPS listener, as a real process with two workers."""

import http.client
import signal
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from tests.clients import ClientId, authority, client_id, tls_client
from tests.ports import free_port
from tests.system.caller import Answer, Caller
from tests.system.process import Given, Service, read_demo, run_program, running, until
from trust.authority import Authority, Issued

WORKERS = 2

REACH_SECONDS = 1.0
"""A change of the store reaches new handshakes of every worker within this time."""

TENANT = "pbx.example.com"


@dataclass(frozen=True)
class Https:
    """A service, and the port of its HTTPS listener."""

    service: Service
    port: int

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def connect(self, name: str | None, client: ssl.SSLContext | None = None) -> ssl.SSLSocket:
        """Open a connection that asks for a name."""
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        return (client or tls_client()).wrap_socket(plain, server_hostname=name)

    @contextmanager
    def connect_several(
        self, name: str | None, client: ssl.SSLContext | None = None
    ) -> Iterator[Iterator[ssl.SSLSocket]]:
        """Open connections at once, which the workers share; shake hands on one after the other.

        A handshake that fails gives none.
        """
        with ExitStack() as stack:
            address = ("127.0.0.1", self.port)
            plain = [
                stack.enter_context(socket.create_connection(address, timeout=30))
                for _ in range(2 * WORKERS)
            ]
            yield self._secured(plain, name, client or tls_client(), stack)

    @staticmethod
    def _secured(
        plain: list[socket.socket], name: str | None, client: ssl.SSLContext, stack: ExitStack
    ) -> Iterator[ssl.SSLSocket]:
        for connection in plain:
            with suppress(ssl.SSLError, ConnectionError):
                yield stack.enter_context(client.wrap_socket(connection, server_hostname=name))

    def fingerprint(self, name: str | None) -> str:
        """Return the SHA-256 of what is presented for a name."""
        with self.connect(name) as connection:
            return fingerprint_of(connection)

    def caller(self, secret: str | None, client: ClientId | None = None) -> Caller:
        """Return somebody who calls over HTTPS, perhaps with a certificate."""
        return Caller(self.url, secret, tls=client.context() if client else tls_client())


def fingerprint_of(connection: ssl.SSLSocket) -> str:
    der = connection.getpeercert(binary_form=True)
    assert der is not None
    return sha256(der).hexdigest()


@pytest.fixture(scope="module")
def https(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Https]:
    port = free_port()
    settings = {
        "SHAKEN_HTTPS__ADDRESS": f"127.0.0.1:{port}",
        "SHAKEN_HTTPS__CLIENT_CERTIFICATES": "optional",
    }
    folder = tmp_path_factory.mktemp("https")
    with running(folder, "--demo", "--workers", str(WORKERS), settings=settings) as service:
        yield Https(service, port)


@pytest.fixture(scope="module")
def admin(https: Https) -> Caller:
    return https.caller(read_demo(https.service.data)["admin"]["secret"])


@pytest.fixture(scope="module")
def signer(https: Https) -> Caller:
    return https.caller(read_demo(https.service.data)["signer"]["secret"])


@pytest.fixture(scope="module")
def server_ca() -> Authority:
    now = datetime.now(UTC)
    return Authority.create("Root", now=now).intermediate("Issuer", now=now)


def issue(ca: Authority, name: str, *, days: int = 90) -> Issued:
    return ca.issue_server([name], now=datetime.now(UTC), lifetime=timedelta(days=days))


def upload(admin: Caller, issued: Issued, **more: object) -> str:
    body = {"certificate": issued.chain_pem, "private_key": issued.key_pem, **more}
    answer = admin.post("/api/v1/certificates", body)
    assert answer.status == 201, answer
    return str(answer.json()["id"])


def shown_by_each_worker(https: Https, signer: Caller, name: str, expected: str) -> None:
    """Open connections until each worker has shown what is expected; none may be late."""
    given = Given()
    seen: set[str] = set()
    for _ in until("every worker is met"):
        began = given.seconds()
        with https.connect_several(name) as connections:
            for connection in connections:
                worker = sign_over(connection, signer).worker
                if fingerprint_of(connection) == expected:
                    seen.add(worker)
                else:
                    assert began <= REACH_SECONDS, f"{worker} is late"
                    seen.discard(worker)
        if len(seen) == WORKERS:
            return


def sign_over(connection: ssl.SSLSocket, caller: Caller) -> Answer:
    """Ask for a signature over an open connection."""
    over = http.client.HTTPConnection("127.0.0.1")
    over.sock = connection
    return caller.sign(over=over)


def test_a_certificate_is_presented_by_every_worker_within_a_second_until_it_is_deleted(
    https: Https, admin: Caller, signer: Caller, server_ca: Authority
) -> None:
    before = https.fingerprint(TENANT)

    own = upload(admin, issue(server_ca, TENANT), kind="domain")

    shown_by_each_worker(https, signer, TENANT, own)
    new = upload(admin, issue(server_ca, TENANT, days=180), kind="domain")
    shown_by_each_worker(https, signer, TENANT, new)
    body = {"ids": [own, new]}
    assert admin.post("/api/v1/certificates/delete?force=true", body).status in {200, 204}
    shown_by_each_worker(https, signer, TENANT, before)


def test_openssl_and_curl_see_the_same_chain(
    https: Https, admin: Caller, signer: Caller, server_ca: Authority, tmp_path: Path
) -> None:
    issued = issue(server_ca, "sip.example.com")
    shown = upload(admin, issued, kind="system")
    root = tmp_path / "root.pem"
    root.write_text(server_ca.root_pem)
    address = f"127.0.0.1:{https.port}"

    shown_by_each_worker(https, signer, "sip.example.com", shown)
    said = run_program(
        *("openssl", "s_client", "-connect", address, "-servername", "sip.example.com"),
        *("-alpn", "h2,http/1.1", "-CAfile", root, "-verify_return_error"),
    )
    ready = run_program(
        *("curl", "-sS", "--cacert", root, "--resolve", f"sip.example.com:{https.port}:127.0.0.1"),
        f"https://sip.example.com:{https.port}/healthz",
    )

    assert "Verify return code: 0 (ok)" in said
    assert "ALPN protocol: http/1.1" in said
    assert ready == '{"status":"ok"}'
    # Without a name, or with an unknown one, it is the default: the only one not built in.
    assert https.fingerprint(None) == https.fingerprint("nobody.example.net") == shown
    assert admin.delete(f"/api/v1/certificates/{shown}?force=true").status == 204


def test_calls_are_signed(signer: Caller) -> None:
    answer = signer.sign()

    assert (answer.status, "identity" in answer.json()["signingResponse"]) == (200, True)


def test_many_requests_go_over_one_connection(signer: Caller) -> None:
    with closing(signer.connect()) as connection:
        answers = [signer.sign(over=connection) for _ in range(20)]

    assert {answer.status for answer in answers} == {200}
    assert len({answer.worker for answer in answers}) == 1


@pytest.mark.parametrize(
    "hello",
    [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", bytes(99)],
)
def test_what_is_no_tls_is_turned_away_in_silence(https: Https, hello: bytes) -> None:
    before = https.service.stderr.read_text()

    with socket.create_connection(("127.0.0.1", https.port), timeout=30) as connection:
        connection.sendall(hello)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(4096):
            pass

    assert https.service.stderr.read_text() == before
    assert https.fingerprint(TENANT)


def test_a_server_name_that_is_not_ascii_is_turned_away_in_silence(https: Https) -> None:
    before = https.service.stderr.read_text()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = tls_client().wrap_bio(incoming, outgoing, server_hostname="name.example.com")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    hello = outgoing.read().replace(b"name.example.com", b"\xff\xfe\xfd\xfc.example.com")

    with socket.create_connection(("127.0.0.1", https.port), timeout=30) as connection:
        connection.sendall(hello)
        said = connection.recv(4096)

    assert said[:1] in {b"", b"\x15"}  # an alert (RFC 8446 §5.1), if anything
    assert https.service.stderr.read_text() == before


# Client certificates


@pytest.fixture(scope="module")
def pbx() -> ClientId:
    """A PBX with a certificate that it made itself."""
    return client_id("pbx")


@pytest.fixture(scope="module")
def bound(https: Https, admin: Caller, pbx: ClientId) -> str:
    """The secret of a signer that is bound to the PBX's certificate; every worker knows it."""
    body = {"name": "bound", "role": "signer", "trunk": "demo", "client_certificate": pbx.pem}
    made = admin.post("/api/v1/credentials", body)
    assert (made.status, made.json()["client_spki"]) == (201, pbx.spki)
    known_to_each_worker(https, pbx)
    return str(made.json()["secret"])


def known_to_each_worker(https: Https, client: ClientId) -> None:
    """Sign with nothing but the certificate until each worker has answered; none may be late."""
    given = Given()
    seen: set[str] = set()
    for _ in until("every worker is met"):
        began, known = given.seconds(), 0
        with https.connect_several(None, client.context()) as connections:
            for connection in connections:
                # In TLS 1.3 a client that is turned away learns it when it reads.
                with suppress(ssl.SSLError, ConnectionError):
                    answer = sign_over(connection, https.caller(None))
                    if answer.status == 200:
                        seen.add(answer.worker)
                        known += 1
        assert known == 2 * WORKERS or began <= REACH_SECONDS, "a worker is late"
        if len(seen) == WORKERS:
            return


@pytest.mark.usefixtures("bound")
def test_a_client_certificate_alone_says_who_signs(https: Https, pbx: ClientId) -> None:
    answer = https.caller(None, pbx).sign()

    assert answer.status == 200
    assert https.caller(None).sign().status == 401
    assert https.caller(None, pbx).get("/api/v1/tenants").status == 403


def test_a_bound_secret_works_with_its_certificate_only(
    https: Https, bound: str, pbx: ClientId, admin: Caller
) -> None:
    other = client_id("pbx")  # of the same name, which says nothing
    body = {"name": "other", "role": "verifier", "client_certificate": other.pem}
    assert admin.post("/api/v1/credentials", body).status == 201

    assert https.caller(bound, pbx).sign().status == 200
    assert https.caller(bound).sign().status == 401
    assert Caller(https.service.url, bound).sign().status == 401
    for _ in until("the other certificate is known"):
        try:
            answer = https.caller(bound, other).sign()
        except (ssl.SSLError, ConnectionError):
            continue
        break
    assert answer.status in {401, 429}


def test_a_client_with_a_certificate_that_nobody_registered_is_refused_in_the_handshake(
    https: Https, signer: Caller
) -> None:
    stranger = client_id("pbx")

    with pytest.raises((ssl.SSLError, ConnectionError)):
        https.caller(signer.secret, stranger).sign()


def test_a_revoked_credential_is_shut_out_within_an_open_connection(
    https: Https, admin: Caller
) -> None:
    ca = authority()
    gone = client_id("gone", issuer=ca)
    renewed = client_id("gone", issuer=ca, key=gone.key)
    text = gone.pem + ca.pem
    body = {"name": "gone", "role": "signer", "trunk": "demo", "client_certificate": text}
    assert admin.post("/api/v1/credentials", body).status == 201
    known_to_each_worker(https, renewed)
    caller = https.caller(None, gone)

    with closing(caller.connect()) as connection:
        assert caller.sign(over=connection).status == 200
        assert admin.delete("/api/v1/credentials/gone").status == 204
        given = Given()
        while True:
            sent = given.seconds()
            if caller.sign(over=connection).status == 401:
                break
            assert sent <= REACH_SECONDS


def test_registered_certificates_are_known_after_a_restart(tmp_path: Path) -> None:
    pbx, port = client_id(), free_port()
    settings = {"SHAKEN_HTTPS__ADDRESS": f"127.0.0.1:{port}"}
    with running(tmp_path, "--demo", settings=settings) as service:
        demo = read_demo(service.data)
        admin = Caller(service.url, demo["admin"]["secret"])
        body = {"name": "p", "role": "signer", "trunk": "demo", "client_certificate": pbx.pem}
        assert admin.post("/api/v1/credentials", body).status == 201
        # Nobody is asked for a certificate while the setting is off.
        assert Https(service, port).caller(None, pbx).sign().status == 401

    settings["SHAKEN_HTTPS__CLIENT_CERTIFICATES"] = "optional"
    with running(tmp_path, "--demo", settings=settings) as service:
        assert Https(service, port).caller(None, pbx).sign().status == 200


# The end


def test_a_request_that_is_half_sent_at_sigterm_is_answered(tmp_path: Path) -> None:
    port = free_port()
    settings = {"SHAKEN_HTTPS__ADDRESS": f"127.0.0.1:{port}"}
    with running(tmp_path, "--demo", "--workers", "2", settings=settings) as service:
        https = Https(service, port)
        secret = read_demo(service.data)["signer"]["secret"]
        body = b'{"signingRequest": {"orig": {"tn": "+12155550100"}, "dest": {"tn": ["1"]}}}'
        head = (
            "POST /stir/v1/signing HTTP/1.1\r\nHost: pbx.example.com\r\n"
            f"Authorization: Bearer {secret}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n"
        )
        with https.connect("pbx.example.com") as connection:
            connection.sendall(head.encode())
            assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
            connection.sendall(body[:20])
            service.tell(signal.SIGTERM)
            for _ in until("no new connection is taken"):
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) != 0:
                        break
            connection.sendall(body[20:])
            answer = connection.recv(4096)

        assert answer.startswith((b"HTTP/1.1 200", b"HTTP/1.1 400"))
        assert service.wait() == 0
        assert "Traceback" not in service.stderr.read_text()


def test_idle_connections_do_not_delay_the_end(tmp_path: Path) -> None:
    port = free_port()
    settings = {"SHAKEN_HTTPS__ADDRESS": f"127.0.0.1:{port}"}
    with running(tmp_path, "--demo", settings=settings) as service:
        caller = Https(service, port).caller(None)
        silent = socket.create_connection(("127.0.0.1", port))
        with closing(caller.connect()) as connection, closing(silent):
            assert caller.call("GET", "/healthz", over=connection).status == 200

            began = time.monotonic()
            service.end()

            assert time.monotonic() - began < 5
