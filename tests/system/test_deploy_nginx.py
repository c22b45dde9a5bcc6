"""`shaken deploy` beside a real nginx, with the site of examples/nginx."""

import signal
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest

from tests.ports import free_port
from tests.system.caller import Caller
from tests.system.listener import (
    NAME,
    NGINX_MAIN,
    PIECE,
    PIECES,
    Backend,
    Clients,
    Regular,
    agent,
    child,
    connected,
    example,
    fingerprint,
    get,
    repeating,
    two_certificates,
    upload,
    wait_until_presented,
    wait_until_up,
)
from tests.system.process import Service, read_demo, run_shaken, running, until
from trust.authority import Issued


@dataclass(frozen=True)
class Nginx:
    """Settings of an nginx in a folder of its own."""

    folder: Path
    port: int

    @property
    def command(self) -> tuple[str, ...]:
        return "nginx", "-p", str(self.folder), "-c", f"{self.folder}/nginx.conf"

    @property
    def options(self) -> tuple[str, ...]:
        """What the agent is told."""
        files = ("--out", f"{self.folder}/{NAME}.pem", "--key", f"{self.folder}/{NAME}.key")
        nginx = " ".join(self.command)
        return *files, "--check", f"{nginx} -t", "--reload", f"{nginx} -s reload"


@pytest.fixture
def backend() -> Iterator[Backend]:
    with Backend().running() as started:
        yield started


@pytest.fixture
def nginx(tmp_path: Path, backend: Backend) -> Nginx:
    made = Nginx(tmp_path / "nginx", free_port())
    made.folder.mkdir()
    site = example(
        "nginx/pbx.conf",
        places={
            "listen 443": f"listen 127.0.0.1:{made.port}",
            "/etc/nginx/tls/": f"{made.folder}/",
            "127.0.0.1:8081": f"127.0.0.1:{backend.port}",
        },
    )
    (made.folder / "pbx.conf").write_text(site)
    (made.folder / "nginx.conf").write_text(NGINX_MAIN.format(folder=made.folder, site="pbx.conf"))
    return made


@pytest.fixture
def issued(now: datetime) -> tuple[Issued, Issued]:
    return two_certificates(now)


def test_a_newer_certificate_is_presented_and_no_connection_is_lost(
    service: Service, admin: Caller, nginx: Nginx, backend: Backend, issued: tuple[Issued, Issued]
) -> None:
    first, second = issued
    secret = read_demo(service.data)["listener"]["secret"]
    upload(admin, first, kind="system")
    deployed = run_shaken(
        *("deploy", "--server-name", NAME, *nginx.options[:4]),
        folder=nginx.folder,
        SHAKEN_URL=service.url,
        SHAKEN_TOKEN=secret,
    )
    assert deployed.returncode == 0, deployed

    with (
        child(*nginx.command, log=nginx.folder / "output"),
        agent(service, secret, *nginx.options, log=nginx.folder / "agent") as watching,
    ):
        wait_until_up(nginx.port)
        watching.wait_until_it_says(f"following {NAME}")
        with (
            closing(Regular(nginx.port)) as regular,
            connected(nginx.port) as under_way,
            repeating(regular.ask) as failures,
        ):
            download = get(under_way, "/long")
            with Clients(nginx.port).asking() as clients:
                upload(admin, second, kind="system")
                wait_until_presented(nginx.port, second.certificate.fingerprint)
                clients.go_on()
            assert fingerprint(under_way) == first.certificate.fingerprint
            backend.let_go.set()
            assert len(download.read()) == PIECES * len(PIECE)

        assert clients.failures == []
        assert set(clients.seen) == {one.certificate.fingerprint for one in issued}
        assert failures == []
        # nginx's old workers end the connections of regular clients between two answers.
        assert regular.connections <= 3
        assert watching.said().count("reloaded: ") == 1
        watching.end()


def test_what_nginx_does_not_take_is_put_back(
    service: Service, admin: Caller, nginx: Nginx, issued: tuple[Issued, Issued]
) -> None:
    first, second = issued
    secret = read_demo(service.data)["listener"]["secret"]
    options = ("deploy", "--server-name", NAME, *nginx.options[:-2])
    settings = {"SHAKEN_URL": service.url, "SHAKEN_TOKEN": secret}
    upload(admin, first, kind="system")
    run = run_shaken(*options, folder=nginx.folder, **settings)
    assert run.returncode == 0, run
    with (nginx.folder / "nginx.conf").open("a") as settings_file:
        settings_file.write("nonsense;\n")
    upload(admin, second, kind="system")

    run = run_shaken(*options, folder=nginx.folder, **settings)

    assert run.returncode == 1
    assert 'unknown directive "nonsense"' in run.stderr
    assert run.stderr.rstrip().endswith("(the old files are in place)")
    assert (nginx.folder / f"{NAME}.pem").read_text() == first.chain_pem
    assert (nginx.folder / f"{NAME}.key").read_text() == first.key_pem


def test_a_service_that_was_restarted_is_found_again(
    tmp_path: Path, nginx: Nginx, issued: tuple[Issued, Issued]
) -> None:
    first, second = issued
    out = nginx.folder / "both.pem"
    home = tmp_path / "service"
    home.mkdir()
    with running(home, "--demo") as service:
        demo = read_demo(service.data)
        upload(Caller(service.url, demo["admin"]["secret"]), first, kind="system")
        secret = demo["listener"]["secret"]
        with agent(service, secret, "--out", out, log=nginx.folder / "agent") as watching:
            watching.wait_until_it_says(f"wrote {out}: system certificate")
            service.end(signal.SIGTERM)
            watching.wait_until_it_says("next try in")
            with running(home, "--demo", port=service.port):
                upload(Caller(service.url, demo["admin"]["secret"]), second, kind="system")
                for _ in until("the newer certificate is written"):
                    if out.read_text() == second.chain_pem + second.key_pem:
                        break
            watching.end()
