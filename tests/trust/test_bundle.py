"""The roots that certifi ships."""

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import certifi
import pytest

from trust.authority import Authority
from trust.bundle import Bundle, BundleError, installed_bundle
from trust.roots import Purpose, Shipper

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
ROOT = Authority.create("Lab root", now=NOW)
OTHER = Authority.create("Other root", now=NOW)
SERVER = ROOT.issue_server(["sbc.example"], now=NOW)


def bundle(*texts: str) -> Bundle:
    return Bundle("2026.6.1", "\n".join(texts).encode())


def test_all_roots_of_the_installed_certifi_are_read() -> None:
    text = Path(certifi.where()).read_text("utf-8")

    roots = installed_bundle().roots()

    assert len(roots) == text.count("-----BEGIN CERTIFICATE-----") > 100
    assert len({root.id for root in roots}) == len(roots)
    assert {(root.purpose, root.shipped, root.added) for root in roots} == {
        (Purpose.TLS, Shipper.CERTIFI, False)
    }


def test_openssl_reads_the_same_fingerprint() -> None:
    root = installed_bundle().roots()[0]

    run = subprocess.run(
        ["openssl", "x509", "-noout", "-fingerprint", "-sha256"],
        input=root.pem,
        capture_output=True,
        text=True,
        check=True,
    )

    assert run.stdout.strip().partition("=")[2].replace(":", "").lower() == root.id


def test_roots_come_in_the_order_of_the_text() -> None:
    found = bundle("# Label: Lab", ROOT.root_pem, "# Label: Other", OTHER.root_pem).roots()

    assert [root.pem for root in found] == [ROOT.root_pem, OTHER.root_pem]


def test_what_is_no_root_is_left_out() -> None:
    damaged = ROOT.root_pem[:200] + ROOT.root_pem[264:]

    found = bundle(damaged, SERVER.chain_pem, OTHER.root_pem, SERVER.key_pem).roots()

    assert [root.pem for root in found] == [OTHER.root_pem]


@pytest.mark.parametrize("text", ["", "no PEM", SERVER.chain_pem])
def test_a_bundle_without_any_root_is_not_taken_for_a_list(text: str) -> None:
    with pytest.raises(BundleError, match=r"certifi 2026\.6\.1 holds no root; install it anew"):
        bundle(text).roots()


def test_a_bundle_that_is_not_there_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(certifi, "where", lambda: str(tmp_path / "cacert.pem"))

    with pytest.raises(BundleError, match=r"cannot read .*cacert\.pem.*install certifi anew"):
        installed_bundle()


def test_an_edition_is_known_by_version_and_text() -> None:
    one = bundle(ROOT.root_pem).edition

    assert one == bundle(ROOT.root_pem).edition
    assert one != bundle(OTHER.root_pem).edition
    assert one != Bundle("2026.6.2", ROOT.root_pem.encode()).edition
