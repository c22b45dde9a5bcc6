"""Certificates go in and out as files, as a person does it: with curl and the command line."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding
from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_key_and_certificates

from shaken.credentials import Role
from tests.system.process import (
    Service,
    run_program,
    run_shaken,
    running,
    seed_credential,
)
from trust.authority import Authority, Issued

CA = Authority.create("Lab root", now=datetime.now(UTC)).intermediate(
    "Lab STI-CA", now=datetime.now(UTC)
)


@dataclass(frozen=True)
class Desk:
    """A service, its administrator's secret, and a folder of files."""

    service: Service
    secret: str
    folder: Path

    def curl(self, path: str, *options: str | Path) -> tuple[int, Any]:
        """Call the service with curl; return status and JSON."""
        answer = self.folder / "answer.json"
        status = run_program(
            *("curl", "-sS", "-H", f"Authorization: Bearer {self.secret}"),
            *("-o", answer, "-w", "%{http_code}", *options, f"{self.service.url}{path}"),
        )
        return int(status), json.loads(answer.read_bytes())

    def send(self, *fields: str) -> tuple[int, Any]:
        """Import a certificate with a form."""
        options = [word for field in fields for word in ("-F", field)]
        return self.curl("/api/v1/certificates", *options)

    def file(self, name: str, content: str | bytes) -> Path:
        """Write a file."""
        file = self.folder / name
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return file


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, str]]:
    folder = tmp_path_factory.mktemp("files")
    secret = seed_credential(folder / "data", role=Role.ADMIN)
    with running(folder) as service:
        yield service, secret


@pytest.fixture
def desk(service: tuple[Service, str], tmp_path: Path) -> Desk:
    return Desk(*service, tmp_path)


@pytest.fixture
def issued() -> Issued:
    """An STI certificate that the service has not seen."""
    return CA.issue_sti(spc="1234", now=datetime.now(UTC))


def test_a_form_of_files_imports_a_certificate(desk: Desk, issued: Issued) -> None:
    chain, key = desk.file("chain.pem", issued.chain_pem), desk.file("key.pem", issued.key_pem)

    status, record = desk.send(f"certificate=@{chain}", f"private_key=@{key}", "kind=sti")

    assert (status, record["id"]) == (201, issued.certificate.fingerprint)
    assert (record["kind"], record["has_private_key"]) == ("sti", True)
    assert desk.curl(f"/api/v1/certificates/{record['id']}") == (200, record)


def test_fields_of_a_form_may_be_texts_and_empty_ones_are_left_out(
    desk: Desk, issued: Issued
) -> None:
    both = desk.file("both.pem", "\ufeff" + issued.key_pem + issued.chain_pem)

    status, record = desk.send(
        "kind=sti",
        f"certificate=<{both}",
        "private_key=",
        "tenant=",
        "x5u=https://certs.example.com/1.pem",
    )

    assert (status, record["x5u"]) == (201, "https://certs.example.com/1.pem")


def test_the_text_around_a_certificate_may_be_in_any_coding(desk: Desk, issued: Issued) -> None:
    text = f"Subject: O = Téléphonie Zürich\n{issued.chain_pem}{issued.key_pem}"
    both = desk.file("both.pem", text.encode("latin-1"))

    status, record = desk.send("kind=sti", f"certificate=@{both}")

    assert (status, record["id"]) == (201, issued.certificate.fingerprint)


def test_a_pkcs12_file_is_sent_as_it_is(desk: Desk, issued: Issued) -> None:
    leaf, *others = issued.certificate.chain
    content = serialize_key_and_certificates(
        b"sti", issued.private_key, leaf, others, BestAvailableEncryption(b"sesame")
    )
    file = desk.file("sti.p12", content)

    refused = desk.send("kind=sti", f"pkcs12=@{file}", "passphrase=other")
    status, record = desk.send("kind=sti", f"pkcs12=@{file}", "passphrase=sesame")

    assert (refused[0], refused[1]["type"]) == (400, "wrong-passphrase")
    assert (status, record["id"]) == (201, issued.certificate.fingerprint)


def test_a_file_in_der_is_told_the_command_that_converts_it(desk: Desk, issued: Issued) -> None:
    leaf = desk.file("leaf.der", issued.certificate.leaf.public_bytes(Encoding.DER))
    key = desk.file("key.pem", issued.key_pem)

    status, problem = desk.send("kind=sti", f"certificate=@{leaf}", f"private_key=@{key}")

    assert (status, problem["type"]) == (400, "not-text")
    assert problem["errors"][0]["field"] == "certificate"
    command = "openssl x509 -inform der -in cert.der -out cert.pem"
    assert command in problem["detail"]
    pem = desk.folder / "leaf.pem"
    run_program(*command.replace("cert.der", str(leaf)).replace("cert.pem", str(pem)).split())
    assert desk.send("kind=sti", f"certificate=@{pem}", f"private_key=@{key}")[0] == 201


def test_a_form_with_a_field_twice_or_an_unknown_one_stores_nothing(
    desk: Desk, issued: Issued
) -> None:
    both = desk.file("both.pem", issued.key_pem + issued.chain_pem)

    twice = desk.send("kind=sti", f"certificate=@{both}", "kind=system")
    unknown = desk.send("kind=sti", f"certificate=@{both}", "comment=mine")

    assert [answer[1]["errors"][0]["field"] for answer in (twice, unknown)] == ["kind", "comment"]
    assert (twice[0], unknown[0]) == (400, 400)
    assert desk.curl(f"/api/v1/certificates/{issued.certificate.fingerprint}")[0] == 404


def test_a_file_of_5_megabytes_is_refused_at_once(desk: Desk) -> None:
    large = desk.file("large.pem", b"x" * 5_000_000)

    assert desk.send("kind=sti", f"certificate=@{large}")[0] == 413


def test_a_certificate_comes_back_in_each_format(desk: Desk, issued: Issued) -> None:
    desk.send("kind=sti", f"certificate=@{desk.file('all.pem', issued.chain_pem + issued.key_pem)}")
    identity = issued.certificate.fingerprint
    environment = {"SHAKEN_URL": desk.service.url, "SHAKEN_TOKEN": desk.secret}

    def download(*options: str) -> bytes:
        file = desk.folder / "download"
        command = ("certificates", "download", identity, "--out", str(file), *options)
        run = run_shaken(*command, folder=desk.folder, **environment)
        assert (run.returncode, run.stdout) == (0, f"wrote {file}\n"), run.stderr
        return file.read_bytes()

    assert download() == issued.chain_pem.encode()
    assert x509.load_der_x509_certificate(download("--format", "der")) == issued.certificate.leaf
    download("--format", "pkcs7")
    listed = run_program(
        *("openssl", "pkcs7", "-inform", "der", "-in", desk.folder / "download", "-print_certs")
    )
    assert listed.count("BEGIN CERTIFICATE") == len(issued.certificate.chain)
    assert "PRIVATE" not in listed
    missing = run_shaken("certificates", "download", "0" * 64, folder=desk.folder, **environment)
    assert (missing.returncode, missing.stdout) == (1, "")


@pytest.mark.parametrize(
    ("path", "name", "kind"),
    [
        ("pem", "sti-{}.pem", "application/pem-certificate-chain"),
        ("der", "sti-{}.cer", "application/pkix-cert"),
        ("der?chain=true", "sti-{}.p7b", "application/pkcs7-mime"),
    ],
)
def test_curl_saves_a_download_under_a_sensible_name(
    desk: Desk, issued: Issued, path: str, name: str, kind: str
) -> None:
    desk.send("kind=sti", f"certificate=@{desk.file('all.pem', issued.chain_pem + issued.key_pem)}")
    identity = issued.certificate.fingerprint

    said = run_program(
        *("curl", "-sS", "--fail", "-OJ", "--output-dir", desk.folder),
        *("-H", f"Authorization: Bearer {desk.secret}"),
        *("-w", "%{content_type} %{filename_effective}"),
        f"{desk.service.url}/api/v1/certificates/{identity}/{path}",
    )

    # Newer versions of curl say the folder, too.
    assert said.replace(f"{desk.folder}/", "") == f"{kind} {name.format(identity[:8])}"
    assert (desk.folder / name.format(identity[:8])).stat().st_size
