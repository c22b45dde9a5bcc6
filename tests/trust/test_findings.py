"""What is found about TLS certificates made by the openssl command line."""

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from trust.authority import Authority
from trust.certificate import Certificate
from trust.findings import findings, is_published, published_keys, root_findings
from trust.pem import read_pem

P256 = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
WITH_SAN = ["-addext", "subjectAltName=DNS:pbx.example.com"]


def self_signed(folder: Path, *options: str) -> Certificate:
    """Have openssl make a certificate that signs itself."""
    key, file = str(folder / "key.pem"), folder / "cert.pem"
    command = ["openssl", "req", "-x509", "-nodes", "-keyout", key, "-out", str(file)]
    command += ["-days", "30"]
    subprocess.run(
        [*command, "-subj", "/CN=pbx.example.com", *options], check=True, capture_output=True
    )
    return Certificate(read_pem(file.read_text()).certificates)


@pytest.mark.parametrize(
    ("options", "slugs"),
    [
        ([*P256, *WITH_SAN], set()),
        (["-newkey", "rsa:2048", *WITH_SAN], set()),
        (["-newkey", "rsa:1024", *WITH_SAN], {"weak-key"}),
        ([*P256], {"no-san", "cn-only"}),
        ([*P256, "-sha1", *WITH_SAN], {"weak-hash"}),
    ],
    ids=["good", "good RSA", "short RSA", "name in CN only", "SHA-1"],
)
def test_finds_what_is_unwise(tmp_path: Path, options: list[str], slugs: set[str]) -> None:
    found = findings(self_signed(tmp_path, *options), published=frozenset())

    assert {each.slug for each in found} == slugs


def test_finds_version_1(tmp_path: Path) -> None:
    self_signed(tmp_path, *P256)
    key = str(tmp_path / "key.pem")
    request = ["openssl", "req", "-new", "-key", key, "-subj", "/CN=a.example"]
    csr = subprocess.run(request, check=True, capture_output=True).stdout
    sign = ["openssl", "x509", "-req", "-key", key, "-days", "30"]
    v1 = subprocess.run(sign, input=csr, check=True, capture_output=True).stdout
    certificate = Certificate(read_pem(v1.decode("ascii")).certificates)

    slugs = {each.slug for each in findings(certificate, published=frozenset())}

    assert slugs == {"v1", "no-san", "cn-only"}


def test_finds_a_key_that_everybody_knows(tmp_path: Path) -> None:
    certificate = self_signed(tmp_path, *P256, *WITH_SAN)
    published = frozenset({certificate.spki_sha256})

    assert is_published(certificate, published=published)
    assert [each.slug for each in findings(certificate, published=published)] == ["public-key"]


def test_the_list_holds_the_key_that_a_vendor_printed() -> None:
    assert "bfa7e929f035b2709811cbf49eb0246f776693cfbfa6c01550fe44ed3b1306b4" in published_keys()
    assert all(len(each) == 64 and int(each, 16) for each in published_keys())


CA = ["-addext", "keyUsage=critical,keyCertSign"]


@pytest.mark.parametrize(
    ("options", "slugs"),
    [
        ([*P256, *CA], []),
        ([*P256, "-sha1", *CA], []),
        (["-newkey", "rsa:1024", *CA], ["weak-key"]),
        ([*P256, "-addext", "keyUsage=digitalSignature"], ["no-cert-sign"]),
    ],
    ids=["good", "its own SHA-1 is no matter", "short RSA", "may not sign certificates"],
)
def test_finds_what_is_unwise_about_a_root(
    tmp_path: Path, options: list[str], slugs: list[str]
) -> None:
    root = self_signed(tmp_path, *options).leaf

    assert [found.slug for found in root_findings(root, published=frozenset())] == slugs


def test_finds_that_everybody_can_issue_certificates_for_a_root(tmp_path: Path) -> None:
    root = self_signed(tmp_path, *P256, *CA)

    (found,) = root_findings(root.leaf, published={root.spki_sha256})

    assert found.slug == "public-key"


def test_finds_that_a_root_was_issued_by_another() -> None:
    moment = datetime.now(UTC)
    intermediate = Authority.create("Lab root", now=moment).intermediate("Lab CA", now=moment)

    (found,) = root_findings(intermediate.certificate, published=frozenset())

    assert found.slug == "not-self-signed"
    assert "CN=Lab root" in found.detail
