"""PKCS#12 files that people upload, and what they are told about them."""

import subprocess
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from tempfile import NamedTemporaryFile

import pytest
from cryptography.hazmat.primitives.serialization import NoEncryption, pkcs12
from hypothesis import given, settings
from hypothesis import strategies as st

from trust.authority import Authority
from trust.certificate import CertificateRefused
from trust.chain import assemble
from trust.kdf import MAX_STEPS
from trust.pem import MAX_BLOCKS, MAX_LENGTH, read_pem
from trust.pkcs12 import read_pkcs12

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
LAB = (
    Authority.create("Lab root", now=NOW)
    .intermediate("Lab CA", now=NOW)
    .issue_sti(spc="1234", now=NOW)
)


def openssl(*arguments: str, pem: str = "") -> bytes:
    run = subprocess.run(
        ["openssl", *arguments], input=pem.encode(), capture_output=True, check=True
    )
    return run.stdout


def exported(*arguments: str, pem: str = LAB.chain_pem + LAB.key_pem) -> bytes:
    with NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(pem)
        file.flush()
        words = ("pkcs12", "-export", "-in", file.name, "-passout", "pass:sésame")
        return openssl(*words, *arguments)


PLAIN = ("-keypbe", "NONE", "-certpbe", "NONE", "-nomac")


def refusal(act: Callable[[], object]) -> CertificateRefused:
    with pytest.raises(CertificateRefused) as refused:
        act()
    return refused.value


@pytest.mark.parametrize(
    ("file", "passphrase"),
    [
        (exported(), "sésame"),
        (exported("-legacy"), "sésame"),
        (exported("-keypbe", "PBE-SHA1-3DES", "-certpbe", "PBE-SHA1-3DES"), "sésame"),
        (exported("-iter", "300000"), "sésame"),
        (exported("-passout", "pass:"), None),
        (exported("-passout", "pass:"), ""),
        (exported("-passout", "pass:", "-legacy"), None),
        (exported(*PLAIN), None),
        (exported(*PLAIN), "not needed"),
    ],
    ids=[
        "default",
        "legacy",
        "3DES",
        "careful",
        "no passphrase",
        "an empty passphrase",
        "legacy without passphrase",
        "nothing encrypted",
        "a passphrase not needed",
    ],
)
def test_the_certificates_and_the_key_are_read(file: bytes, passphrase: str | None) -> None:
    contents = read_pkcs12(file, passphrase=passphrase)

    assert set(contents.certificates) == set(LAB.certificate.chain)
    assert assemble(contents).certificate == LAB.certificate
    assert [key.public_key() for key in contents.private_keys] == [LAB.private_key.public_key()]
    assert contents.notes == ()


@pytest.mark.parametrize("kind", ["rsa", "ed25519"])
def test_keys_of_other_kinds_in_use_are_read(kind: str) -> None:
    key = openssl("genpkey", "-algorithm", kind).decode()

    (found,) = read_pkcs12(exported("-nocerts", pem=key), passphrase="sésame").private_keys

    assert found.public_key() == read_pem(key).private_keys[0].public_key()


def test_a_file_without_key_holds_certificates() -> None:
    contents = read_pkcs12(exported("-nokeys"), passphrase="sésame")

    assert set(contents.certificates) == set(LAB.certificate.chain)
    assert contents.private_keys == ()


def test_a_file_without_certificates_holds_a_key() -> None:
    contents = read_pkcs12(exported("-nocerts"), passphrase="sésame")

    assert contents.certificates == ()
    assert len(contents.private_keys) == 1


@pytest.mark.parametrize("passphrase", ["wrong", "\ud800", "\0", "sésame\0", "x" * 5000])
@pytest.mark.parametrize("how", [(), ("-legacy",)], ids=["default", "legacy"])
def test_a_wrong_passphrase_is_said_to_be_wrong(how: tuple[str, ...], passphrase: str) -> None:
    refused = refusal(lambda: read_pkcs12(exported(*how), passphrase=passphrase))

    assert (refused.slug, refused.field) == ("wrong-passphrase", "passphrase")
    assert "does not open with this passphrase" in refused.detail
    assert passphrase not in refused.detail


@pytest.mark.parametrize("passphrase", [None, ""])
def test_a_missing_passphrase_is_said_to_be_missing(passphrase: str | None) -> None:
    refused = refusal(lambda: read_pkcs12(exported(), passphrase=passphrase))

    assert (refused.slug, refused.field) == ("wrong-passphrase", "passphrase")
    assert "does not open without a passphrase" in refused.detail


@pytest.mark.parametrize(
    "key",
    [openssl("genpkey", "-algorithm", "X25519"), openssl("dsaparam", "-genkey", "-noout", "1024")],
    ids=["X25519", "DSA"],
)
def test_keys_of_kinds_not_used_are_refused(key: bytes) -> None:
    file = exported("-nocerts", pem=key.decode())

    refused = refusal(lambda: read_pkcs12(file, passphrase="sésame"))

    assert (refused.slug, refused.field) == ("unsupported-key", "private_key")


@pytest.mark.parametrize(
    "file",
    [
        b"",
        b"hello",
        LAB.chain_pem.encode(),
        LAB.certificate.pem().encode(),
        exported()[:-1],
        b"\x30\x80" + exported()[4:] + b"\0\0",
    ],
    ids=["nothing", "garbage", "PEM", "a certificate", "cut off", "BER"],
)
def test_what_is_no_file_to_read_is_refused_with_the_way_out(file: bytes) -> None:
    refused = refusal(lambda: read_pkcs12(file, passphrase="sésame"))

    assert (refused.slug, refused.field) == ("bad-pkcs12", "pkcs12")
    assert "openssl pkcs12 -legacy -in file.p12 -nodes -out file.pem" in refused.detail


def test_a_file_that_costs_too_much_is_refused_before_it_is_opened(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # The MAC, the certificates and the key each take a third.
    file = exported("-iter", str(MAX_STEPS // 3 + 1))
    monkeypatch.setattr("trust.pkcs12.open_apart", lambda *_: pytest.fail("opened"))

    refused = refusal(lambda: read_pkcs12(file, passphrase="sésame"))

    assert (refused.slug, refused.field) == ("costly-key", "private_key")
    assert "more than 1,000,000 iterations" in refused.detail
    # The words shown to the person do what they promise.
    (tmp_path / "file.p12").write_bytes(file)
    words = [*refused.detail.split("`")[1].split(), "-passin", "pass:sésame"]
    subprocess.run(words, cwd=tmp_path, check=True, capture_output=True)
    assembled = assemble(read_pem((tmp_path / "file.pem").read_text()))
    assert assembled.certificate == LAB.certificate
    assert assembled.private_key is not None


def test_a_file_may_cost_as_much_as_is_allowed() -> None:
    file = exported("-iter", str(MAX_STEPS // 3))

    assert read_pkcs12(file, passphrase="sésame").private_keys


def test_the_length_of_a_file_is_bounded() -> None:
    assert refusal(lambda: read_pkcs12(bytes(MAX_LENGTH), passphrase=None)).slug == "bad-pkcs12"
    assert refusal(lambda: read_pkcs12(bytes(MAX_LENGTH + 1), passphrase=None)).slug == "too-large"


def holding(count: int) -> bytes:
    """Write a file with so many certificates."""
    others = [Authority.create("Another", now=NOW).certificate for _ in range(count - 1)]
    leaf, key = LAB.certificate.leaf, LAB.private_key
    return pkcs12.serialize_key_and_certificates(b"x", key, leaf, others, NoEncryption())


def test_the_number_of_certificates_in_a_file_is_bounded() -> None:
    assert len(read_pkcs12(holding(MAX_BLOCKS), passphrase=None).certificates) == MAX_BLOCKS

    refused = refusal(lambda: read_pkcs12(holding(MAX_BLOCKS + 1), passphrase=None))

    assert (refused.slug, refused.field) == ("too-many-blocks", "pkcs12")
    assert refused.detail.startswith("The file holds more than 32 certificates.")


# Whatever is uploaded

FILES = [exported(), exported("-legacy"), exported(*PLAIN)]


@given(st.binary(), st.none() | st.text())
def test_any_bytes_are_read_or_refused(file: bytes, passphrase: str | None) -> None:
    with suppress(CertificateRefused):
        read_pkcs12(file, passphrase=passphrase)


@settings(max_examples=15, deadline=None)
@given(st.sampled_from(FILES), st.none() | st.text())
def test_any_passphrase_opens_or_is_refused(file: bytes, passphrase: str | None) -> None:
    with suppress(CertificateRefused):
        read_pkcs12(file, passphrase=passphrase)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(FILES), st.data())
@pytest.mark.filterwarnings("ignore")
def test_any_damage_is_read_or_refused(file: bytes, damage: st.DataObject) -> None:
    for _ in range(damage.draw(st.integers(1, 3))):
        start = damage.draw(st.integers(0, len(file)))
        end = damage.draw(st.integers(start, min(start + 4, len(file))))
        file = file[:start] + damage.draw(st.binary(max_size=4)) + file[end:]

    with suppress(CertificateRefused):
        read_pkcs12(file, passphrase="sésame")
