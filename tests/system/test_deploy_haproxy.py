"""`shaken deploy` beside a real HAProxy, with the settings and the script of examples/haproxy."""

import subprocess
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest

from tests.ports import free_port
from tests.system.caller import Caller
from tests.system.listener import (
    EXAMPLES,
    NAME,
    PIECE,
    PIECES,
    Backend,
    Clients,
    Regular,
    agent,
    child,
    connected,
    get,
    haproxy_example,
    owners_of_children,
    presented,
    repeating,
    two_certificates,
    upload,
    wait_until_presented,
    wait_until_up,
)
from tests.system.process import Service, read_demo
from trust.authority import Issued

SCRIPT = EXAMPLES / "haproxy/set_certificates.py"


@dataclass(frozen=True)
class HaProxy:
    """Settings of an HAProxy in a folder of its own."""

    folder: Path
    port: int

    @property
    def certificates(self) -> Path:
        return self.folder / "certs"

    @property
    def socket(self) -> Path:
        return self.folder / "s"

    @property
    def options(self) -> tuple[str, ...]:
        """What the agent is told."""
        out = f"{self.certificates}/{{name}}.pem"
        return "--out", out, "--reload", f"{SCRIPT} {self.socket} {self.certificates}"


@pytest.fixture
def backend() -> Iterator[Backend]:
    with Backend().running() as started:
        yield started


@pytest.fixture
def haproxy(tmp_path: Path, backend: Backend) -> HaProxy:
    made = HaProxy(tmp_path, free_port())
    made.certificates.mkdir()
    text = haproxy_example(
        "haproxy.cfg",
        places={
            "bind :443": f"bind 127.0.0.1:{made.port}",
            "/etc/haproxy/certs": made.certificates,
            "/run/haproxy/admin.sock": made.socket,
            "127.0.0.1:8081": f"127.0.0.1:{backend.port}",
        },
    )
    (made.folder / "haproxy.cfg").write_text(text)
    return made


@pytest.fixture
def issued(now: datetime) -> tuple[Issued, Issued]:
    return two_certificates(now)


def test_a_newer_certificate_is_presented_and_no_connection_is_touched(
    service: Service,
    admin: Caller,
    haproxy: HaProxy,
    backend: Backend,
    issued: tuple[Issued, Issued],
) -> None:
    first, second = issued
    secret = read_demo(service.data)["listener"]["secret"]
    upload(admin, first, kind="domain")

    with agent(service, secret, *haproxy.options, log=haproxy.folder / "agent") as watching:
        # The listener comes up after its certificate: the first reload finds none to tell.
        watching.wait_until_it_says("reloaded: ")
        settings = haproxy.folder / "haproxy.cfg"
        with child("haproxy", "-W", "-f", settings, log=haproxy.folder / "output"):
            wait_until_up(haproxy.port)
            with (
                closing(Regular(haproxy.port)) as regular,
                connected(haproxy.port) as under_way,
                repeating(regular.ask) as failures,
            ):
                download = get(under_way, "/long")
                with Clients(haproxy.port).asking() as clients:
                    upload(admin, second, kind="domain")
                    wait_until_presented(haproxy.port, second.certificate.fingerprint)
                    clients.go_on()
                backend.let_go.set()
                assert len(download.read()) == PIECES * len(PIECE)

            assert clients.failures == []
            assert set(clients.seen) == {one.certificate.fingerprint for one in (first, second)}
            assert (failures, regular.connections) == ([], 1)
            assert f"{NAME}: wrote {haproxy.certificates}/{NAME}.pem: domain" in watching.said()
            watching.end()
        # What HAProxy reads at its next start is what it was told.
        with child("haproxy", "-W", "-f", settings, log=haproxy.folder / "output"):
            wait_until_up(haproxy.port)
            assert presented(haproxy.port) == second.certificate.fingerprint


def test_none_who_reads_requests_is_root(haproxy: HaProxy, issued: tuple[Issued, Issued]) -> None:
    first, _ = issued
    (haproxy.certificates / f"{NAME}.pem").write_text(first.chain_pem + first.key_pem)
    settings = haproxy.folder / "haproxy.cfg"

    with child("haproxy", "-W", "-f", settings, log=haproxy.folder / "output") as process:
        wait_until_up(haproxy.port)

        assert 0 not in owners_of_children(process)


def test_the_script_fails_when_haproxy_does_not_take_a_certificate(
    haproxy: HaProxy, issued: tuple[Issued, Issued]
) -> None:
    first, second = issued
    file = haproxy.certificates / f"{NAME}.pem"
    file.write_text(first.chain_pem + first.key_pem)
    for name in (f".{NAME}.pem.reload-pending", f".{NAME}.pem.new"):
        (haproxy.certificates / name).write_text(
            "what an agent has beside its files is passed over"
        )
    with child("haproxy", "-W", "-f", haproxy.folder / "haproxy.cfg", log=haproxy.folder / "log"):
        wait_until_up(haproxy.port)
        file.write_text(first.chain_pem + second.key_pem)

        run = subprocess.run(
            [SCRIPT, haproxy.socket, haproxy.certificates],
            capture_output=True,
            text=True,
            check=False,
        )

        assert run.returncode == 1
        assert run.stderr.startswith(f"HAProxy did not take {file}: ")
        assert presented(haproxy.port) == first.certificate.fingerprint
