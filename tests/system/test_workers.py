"""Several workers: a change reaches each within a second, and no death takes the service down."""

import http.client
import json
import os
import re
import resource
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from shaken.open_files import FEW, MOST
from tests.system.caller import CALL, Answer, Caller
from tests.system.process import Given, Service, is_alive, read_demo, running, start, until
from trust.authority import Authority

WORKERS = 3

REACH_SECONDS = 1.0
"""A change of the store reaches every worker within this time."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("workers")
    with running(folder, "--demo", "--workers", str(WORKERS)) as started:
        yield started


@pytest.fixture(scope="module")
def admin(service: Service) -> Caller:
    return Caller(service.url, read_demo(service.data)["admin"]["secret"])


@pytest.fixture(scope="module")
def signer(service: Service) -> Caller:
    return Caller(service.url, read_demo(service.data)["signer"]["secret"])


@pytest.fixture(scope="module")
def lab_ca() -> Authority:
    return Authority.create("Lab root", now=datetime.now(UTC))


@dataclass
class Workers:
    """One open connection to each worker, by the prefix of the request ids that it makes."""

    signer: Caller
    connections: dict[str, http.client.HTTPConnection]

    def ask_each(self, caller: Caller) -> dict[str, Answer]:
        """Send a signing request to each worker."""
        answers = {}
        for prefix, connection in self.connections.items():
            answers[prefix] = caller.sign(over=connection)
            assert answers[prefix].worker == prefix
        return answers

    def all_within_a_second(self, caller: Caller, expected: Callable[[Answer], bool]) -> None:
        """Ask until each worker's answer is as expected; each must be so after one second."""
        given = Given()
        while True:
            sent = given.seconds()
            late = {
                prefix: (answer.status, answer.headers.get("x-certificate"))
                for prefix, answer in self.ask_each(caller).items()
                if not expected(answer)
            }
            if not late:
                return
            assert sent <= REACH_SECONDS, late
            time.sleep(0.01)


@pytest.fixture
def workers(signer: Caller) -> Iterator[Workers]:
    """Connections that stay open until each worker has one."""
    opened = []
    found: dict[str, http.client.HTTPConnection] = {}
    for _ in until("a connection to each worker"):
        batch = [signer.connect() for _ in range(2 * WORKERS)]
        opened += batch
        for connection in batch:
            connection.connect()
        for connection in batch:
            found.setdefault(signer.sign(over=connection).worker, connection)
        if len(found) == WORKERS:
            break
    assert len(found) == WORKERS
    yield Workers(signer, found)
    for connection in opened:
        connection.close()


def test_each_worker_tells_how_many_calls_all_of_them_have_signed(
    workers: Workers, admin: Caller, signer: Caller
) -> None:
    before = _signed(admin)

    workers.ask_each(signer)

    told = {_signed(admin) for _ in range(4 * WORKERS)}
    assert told == {before + WORKERS}


def _signed(admin: Caller) -> int:
    text = admin.get("/metrics").body.decode()
    found = re.search(
        r'^shaken_calls_total\{kind="signed",verstat=""\} ([0-9.]+)$', text, re.MULTILINE
    )
    assert found is not None
    return int(float(found[1]))


def signed_with(certificate: str) -> Callable[[Answer], bool]:
    return lambda answer: answer.headers.get("x-certificate") == f"{certificate}; chosen=tenant"


def test_a_new_certificate_signs_in_every_worker_within_a_second_until_it_is_deleted(
    workers: Workers, admin: Caller, signer: Caller, lab_ca: Authority
) -> None:
    issued = lab_ca.issue_sti(spc="4321", now=datetime.now(UTC))
    upload = {
        "kind": "sti",
        "certificate": issued.chain_pem,
        "private_key": issued.key_pem,
        "tenant": "pbx.example.com",
    }
    before = signer.sign().headers["x-certificate"].partition(";")[0]

    stored = admin.post("/api/v1/certificates", upload)

    assert stored.status == 201
    certificate = stored.json()["id"]
    workers.all_within_a_second(signer, signed_with(certificate))

    assert admin.delete(f"/api/v1/certificates/{certificate}").status == 204
    workers.all_within_a_second(signer, signed_with(before))


def test_a_new_credential_works_in_every_worker_within_a_second_until_it_is_revoked(
    workers: Workers, admin: Caller, signer: Caller
) -> None:
    body = {"name": "second", "role": "signer", "trunk": "demo"}

    made = admin.post("/api/v1/credentials", body)

    newcomer = signer.having(made.json()["secret"])
    workers.all_within_a_second(newcomer, lambda answer: answer.status == 200)

    assert admin.delete("/api/v1/credentials/second").status == 204
    # A worker that did not know the newcomer yet may have counted failures of this address.
    workers.all_within_a_second(newcomer, lambda answer: answer.status in {401, 429})


def test_a_changed_trunk_counts_in_every_worker_within_a_second(
    workers: Workers, admin: Caller, signer: Caller
) -> None:
    changed = admin.put("/api/v1/trunks/demo", {"direction": "verify"})

    assert changed.status == 200
    workers.all_within_a_second(signer, lambda answer: answer.status == 403)

    assert admin.put("/api/v1/trunks/demo", {"direction": "auto"}).status == 200
    workers.all_within_a_second(signer, lambda answer: answer.status == 200)


def test_the_worker_that_made_a_change_uses_it_in_its_next_answer(
    workers: Workers, admin: Caller, signer: Caller
) -> None:
    for number, connection in enumerate(workers.connections.values()):
        body = {"name": f"own-{number}", "role": "signer", "trunk": "demo"}

        made = admin.call("POST", "/api/v1/credentials", body, over=connection)

        answer = signer.having(made.json()["secret"]).sign(over=connection)
        assert answer.status == 200
        assert admin.delete(f"/api/v1/credentials/own-{number}").status == 204


def test_a_killed_worker_is_replaced_and_the_service_goes_on(
    service: Service, admin: Caller
) -> None:
    before = service.workers()
    victim = min(before)

    os.kill(victim, signal.SIGKILL)

    for _ in until("another worker"):
        assert admin.get("/healthz").status == 200
        now = service.workers()
        if len(now) == WORKERS and victim not in now:
            break
    assert before - {victim} < now
    assert f"worker {victim} ended (SIGKILL)" in service.stderr.read_text()


def test_workers_of_a_killed_supervisor_end_and_free_the_port(tmp_path: Path) -> None:
    service = start(tmp_path, "--demo", "--workers", "2")
    service.wait_until_ready()
    workers = service.workers()
    assert len(workers) == 2

    service.tell(signal.SIGKILL)
    service.wait()

    try:
        for _ in until("the workers' end"):
            if not any(map(is_alive, workers)):
                break
        with socket.create_server(("127.0.0.1", service.port)):
            pass
    finally:
        with suppress(ProcessLookupError):
            service.tell_group(signal.SIGKILL)


@pytest.fixture
def half_sent(tmp_path: Path) -> Iterator[tuple[Service, socket.socket, bytes]]:
    """A service, a connection on which half of a signing request was sent, and the other half."""
    service = start(tmp_path, "--demo", "--workers", "2")
    service.wait_until_ready()
    secret = read_demo(service.data)["signer"]["secret"]
    body = json.dumps({"signingRequest": CALL}).encode()
    head = (
        "POST /stir/v1/signing HTTP/1.1\r\nHost: pbx.example.com\r\n"
        f"Authorization: Bearer {secret}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
        connection.sendall(head.encode())
        # The worker has the headers once it says so.
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body[: len(body) // 2])
        yield service, connection, body[len(body) // 2 :]
    if service.process.poll() is None:
        service.kill()


def test_a_request_that_is_half_sent_at_sigterm_is_answered(
    half_sent: tuple[Service, socket.socket, bytes],
) -> None:
    service, connection, rest = half_sent
    service.tell(signal.SIGTERM)
    for _ in until("no new connection is taken"):
        if not service.listens():
            break
    assert service.process.poll() is None

    connection.sendall(rest)

    answer = http.client.HTTPResponse(connection)
    answer.begin()
    assert answer.status == 200
    assert "identity" in json.loads(answer.read())["signingResponse"]
    answer.close()
    assert service.wait() == 0
    assert "Traceback" not in service.stderr.read_text()


def test_a_service_may_open_as_many_files_as_its_hard_limit_allows(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
    try:
        with running(tmp_path) as service:
            (worker,) = service.workers()

            assert resource.prlimit(worker, resource.RLIMIT_NOFILE) == (min(hard, MOST), hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_worker_that_can_open_few_more_files_says_so(tmp_path: Path) -> None:
    with running(tmp_path) as service:
        (worker,) = service.workers()
        _, hard = before = resource.prlimit(worker, resource.RLIMIT_NOFILE)
        opened = len(list(Path(f"/proc/{worker}/fd").iterdir()))

        resource.prlimit(worker, resource.RLIMIT_NOFILE, (opened + FEW // 2, hard))

        for _ in until("the worker says so"):
            if "files may be open, and nearly all are" in service.stderr.read_text():
                break
        resource.prlimit(worker, resource.RLIMIT_NOFILE, before)


def test_idle_connections_do_not_delay_the_end(tmp_path: Path) -> None:
    service = start(tmp_path, "--demo")
    service.wait_until_ready()
    caller = Caller(service.url)
    connection = caller.connect()
    assert caller.call("GET", "/healthz", over=connection).status == 200

    began = time.monotonic()
    service.end()

    # Of what is under way it would wait for 10 seconds.
    assert time.monotonic() - began < 9
    connection.close()
