"""A certificate is asked for on the command line, certified by a lab CA, imported, and signs."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from tests.system.caller import Caller
from tests.system.process import Service, read_demo, run_program, run_shaken, running
from trust.authority import Authority

REQUEST = ("certificates", "request")
REQUESTS = ("certificates", "requests")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("requests"), "--demo") as started:
        yield started


class Administrator:
    """Runs commands in a folder against a service."""

    def __init__(self, service: Service, folder: Path) -> None:
        secret = read_demo(service.data)["admin"]["secret"]
        self.folder = folder
        self.caller = Caller(service.url, secret)
        self.settings = {"SHAKEN_URL": service.url, "SHAKEN_TOKEN": secret}

    def run(self, *arguments: str | Path, code: int = 0) -> str:
        """Run a command that must end with this code; return what it prints or complains."""
        run = run_shaken(*arguments, folder=self.folder, **self.settings)
        assert run.returncode == code, run
        assert "Traceback" not in run.stderr
        return run.stdout if code == 0 else run.stderr.splitlines()[-1]

    def record(self, *arguments: str | Path) -> dict[str, Any]:
        """Run a command that prints a record, as JSON."""
        found: dict[str, Any] = json.loads(self.run(*arguments, "--json"))
        return found


@pytest.fixture
def administrator(service: Service, tmp_path: Path) -> Administrator:
    return Administrator(service, tmp_path)


def certify(csr: Path, chain: Path) -> None:
    """Do what a CA does."""
    now = datetime.now(UTC)
    request = x509.load_pem_x509_csr(csr.read_bytes())
    authority = Authority.create("Lab root", now=now).intermediate("Lab STI-CA", now=now)
    chain.write_text(authority.certify(request, now=now).pem())


def test_a_certificate_is_asked_for_certified_imported_and_signs(
    administrator: Administrator, tmp_path: Path
) -> None:
    administrator.run("tenants", "create", "asks.example.com", "--fallback", "none")
    csr, chain = tmp_path / "asks.csr", tmp_path / "signed.pem"

    said = administrator.run(
        *REQUEST, "--spc", "77AB", "--tenant", "asks.example.com", "--out", csr
    )
    certify(csr, chain)
    imported = administrator.record("certificates", "import", chain)

    assert "subject       CN=SHAKEN 77AB\n" in said
    assert "BEGIN" not in said
    assert "1.3.6.1.5.5.7.1.26" in run_program("openssl", "req", "-verify", "-text", "-in", csr)
    assert (imported["tenant"], imported["has_private_key"]) == ("asks.example.com", True)
    assert administrator.run(*REQUESTS, "list", "--tenant", "asks.example.com").count("\n") == 1
    body = {"name": "asks", "role": "signer", "tenant": "asks.example.com"}
    secret = administrator.caller.post("/api/v1/credentials", body).json()["secret"]
    origid = "de305d54-75b4-431b-adb2-eb6b9e546014"
    signed = administrator.caller.having(secret).sign(attest="A", origid=origid)
    assert signed.headers["x-certificate"].startswith(imported["id"])


def test_without_a_file_the_request_is_printed_below_its_record(
    administrator: Administrator,
) -> None:
    names = ("--name", "*.example.org", "--name", "example.org")

    said = administrator.run(*REQUEST, "--kind", "system", *names, "--key-type", "p-384")

    record, marker, csr = said.partition("-----BEGIN CERTIFICATE REQUEST-----\n")
    assert "names         *.example.org, example.org\n" in record
    read = run_program("openssl", "req", "-noout", "-text", stdin=f"{marker}{csr}".encode())
    assert "DNS:*.example.org, DNS:example.org" in read
    assert "P-384" in read


def test_requests_are_listed_shown_and_deleted(administrator: Administrator) -> None:
    made = administrator.record(
        *REQUEST, "--tn", "+12155550100", "--tn", "+12155550200-+12155550299"
    )
    identity = made["id"]

    listed = json.loads(administrator.run(*REQUESTS, "list", "--kind", "sti", "--json"))
    table = administrator.run(*REQUESTS, "list")
    shown = administrator.record(*REQUESTS, "show", identity)
    csr = administrator.run(*REQUESTS, "show", identity, "--csr")
    deleted = administrator.run(*REQUESTS, "delete", identity)
    gone = administrator.run(*REQUESTS, "show", identity, code=1)

    assert identity in [item["id"] for item in listed]
    assert table.splitlines()[0].split() == [
        *("id", "kind", "subject", "names", "tenant", "key_type", "created_at")
    ]
    assert shown == made
    assert csr == made["csr"]
    assert deleted == f"deleted {identity}; its private key is destroyed\n"
    assert gone.endswith("(404 not-found)")


def test_a_file_that_is_there_is_not_overwritten_and_nothing_asked_for(
    administrator: Administrator, tmp_path: Path
) -> None:
    csr = tmp_path / "precious.csr"
    csr.write_text("precious")
    before = administrator.run(*REQUESTS, "list")

    said = administrator.run(*REQUEST, "--spc", "1234", "--out", csr, code=2)

    assert said.endswith("precious.csr exists and is not overwritten")
    assert csr.read_text() == "precious"
    assert administrator.run(*REQUESTS, "list") == before


def test_a_request_that_cannot_be_written_can_still_be_printed(
    administrator: Administrator, tmp_path: Path
) -> None:
    nowhere = tmp_path / "nowhere" / "my.csr"

    said = administrator.run(*REQUEST, "--spc", "1234", "--out", nowhere, code=1)

    identity = said.partition("the request ")[2].partition(" ")[0]
    assert "`shaken certificates requests show ID --csr` prints it" in said
    assert administrator.run(*REQUESTS, "show", identity, "--csr").startswith("-----BEGIN")


def test_what_makes_no_sense_is_said_in_one_line(administrator: Administrator) -> None:
    said = administrator.run(*REQUEST, "--kind", "domain", "--name", "*.example.com", code=1)

    assert said.endswith("choose kind system. (400 wildcard)")
