"""Private keys at rest, and the master key they are sealed under."""

import base64
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from trust.keyring import create_master_key, read_master_keys
from trust.keys import (
    MASTER_KEY_BYTES,
    MasterKey,
    MasterKeyError,
    SealError,
    seal_private_key,
    unseal_private_key,
)
from trust.pem import PrivateKey

MASTER = MasterKey(bytes(range(MASTER_KEY_BYTES)))
KEY = ec.generate_private_key(ec.SECP256R1())


# Sealing


@given(st.binary(max_size=300), st.text(st.characters(codec="utf-8"), max_size=80))
def test_what_is_sealed_opens_again_for_the_same_record(plaintext: bytes, record: str) -> None:
    sealed = MASTER.seal(plaintext, record=record)

    assert MASTER.unseal(sealed, record=record) == plaintext


def test_the_same_text_is_sealed_differently_each_time() -> None:
    assert len({MASTER.seal(b"text", record="a") for _ in range(20)}) == 20


def test_what_is_sealed_shows_nothing_of_its_content() -> None:
    plaintext = bytes(range(64))

    assert plaintext[:8] not in MASTER.seal(plaintext, record="a")


def test_it_does_not_open_for_another_record() -> None:
    sealed = MASTER.seal(b"text", record="a")

    with pytest.raises(SealError, match=r"^b: does not open"):
        MASTER.unseal(sealed, record="b")


def test_it_does_not_open_under_another_master_key() -> None:
    sealed = MASTER.seal(b"text", record="a")

    with pytest.raises(SealError, match=r"^a: does not open"):
        MasterKey.generate().unseal(sealed, record="a")


def test_it_does_not_open_with_any_byte_altered() -> None:
    sealed = MASTER.seal(b"text", record="a")

    for place in range(len(sealed)):
        altered = bytearray(sealed)
        altered[place] ^= 1
        with pytest.raises(SealError):
            MASTER.unseal(bytes(altered), record="a")


def test_it_does_not_open_when_cut_off() -> None:
    sealed = MASTER.seal(b"text", record="a")

    for length in range(len(sealed)):
        with pytest.raises(SealError):
            MASTER.unseal(sealed[:length], record="a")


def test_a_format_of_the_future_is_called_unknown() -> None:
    sealed = MASTER.seal(b"text", record="a")

    with pytest.raises(SealError, match=r"^a: sealed in an unknown format$"):
        MASTER.unseal(b"\x03" + sealed[1:], record="a")


@given(st.binary(max_size=100))
def test_no_bytes_make_unsealing_fail_in_another_way(sealed: bytes) -> None:
    with pytest.raises(SealError):
        MASTER.unseal(sealed, record="a")


@pytest.mark.parametrize(
    "key",
    [
        KEY,
        ec.generate_private_key(ec.SECP384R1()),
        rsa.generate_private_key(public_exponent=65537, key_size=2048),
        ed25519.Ed25519PrivateKey.generate(),
        ed448.Ed448PrivateKey.generate(),
    ],
    ids=["P-256", "P-384", "RSA", "Ed25519", "Ed448"],
)
def test_a_private_key_of_any_kind_comes_back_as_it_was(key: PrivateKey) -> None:
    opened = unseal_private_key(MASTER, seal_private_key(MASTER, key, record="a"), record="a")

    assert public_half(opened) == public_half(key)


def public_half(key: PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def test_a_private_key_is_bound_to_its_record() -> None:
    sealed = seal_private_key(MASTER, KEY, record="a")

    with pytest.raises(SealError, match=r"^b: "):
        unseal_private_key(MASTER, sealed, record="b")


def test_a_key_that_no_certificate_uses_does_not_open() -> None:
    der = x25519.X25519PrivateKey.generate().private_bytes(
        Encoding.DER, PrivateFormat.PKCS8, NoEncryption()
    )

    with pytest.raises(SealError, match="of a kind that certificates do not use"):
        unseal_private_key(MASTER, MASTER.seal(der, record="a"), record="a")


# The master key


def test_a_new_master_key_is_random() -> None:
    first, second = MasterKey.generate(), MasterKey.generate()

    assert len(first.secret) == len(second.secret) == MASTER_KEY_BYTES == 32
    assert first != second


def test_the_text_form_reads_back_however_much_space_stands_around_it() -> None:
    assert MasterKey.from_text(MASTER.to_text()) == MASTER
    assert MasterKey.from_text(f" {MASTER.to_text()}\r\n") == MASTER


def text_of(length: int) -> str:
    return base64.b64encode(bytes(length)).decode()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "has 0 bytes, 32 are needed"),
        (text_of(31), "has 31 bytes, 32 are needed"),
        (text_of(33), "has 33 bytes, 32 are needed"),
        ("correct horse battery staple", "is not base64"),
        (MASTER.to_text().rstrip("="), "is not base64"),
        (MASTER.to_text()[:20] + "\n" + MASTER.to_text()[20:], "is not base64"),
        (base64.urlsafe_b64encode(b"\xff" * 32).decode(), "is not base64"),
        ("schlüssel", "is not base64"),
        ("\ud800", "is not base64"),
    ],
)
def test_a_text_that_is_no_master_key_is_refused_without_repeating_it(
    text: str, complaint: str
) -> None:
    with pytest.raises(MasterKeyError) as refused:
        MasterKey.from_text(text)

    assert complaint in str(refused.value)
    assert not text or text not in str(refused.value)


def test_a_refused_length_comes_with_the_command_that_makes_a_right_one() -> None:
    with pytest.raises(MasterKeyError, match="`openssl rand -base64 32` makes one"):
        MasterKey.from_text(text_of(16))


def test_no_repr_shows_the_master_key() -> None:
    shown = f"{MASTER!r} {MASTER} {[MASTER]}"

    assert shown == "MasterKey() MasterKey() [MasterKey()]"


# Its file


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_the_file_of_a_new_master_key_is_for_its_owner_only(mask: int, tmp_path: Path) -> None:
    path = tmp_path / "master.key"

    with umask(mask):
        made = create_master_key(path)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text("ascii") == made.to_text() + "\n"
    assert read_master_keys(path) == (made,)


def test_a_new_master_key_never_takes_the_place_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    path.write_text("what was there\n")

    with pytest.raises(MasterKeyError, match="cannot write the master key"):
        create_master_key(path)

    assert path.read_text() == "what was there\n"
    assert [*tmp_path.iterdir()] == [path]


def test_a_new_master_key_never_follows_a_dangling_link(tmp_path: Path) -> None:
    path, elsewhere = tmp_path / "master.key", tmp_path / "elsewhere"
    path.symlink_to(elsewhere)

    with pytest.raises(MasterKeyError):
        create_master_key(path)

    assert not elsewhere.exists()


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "master.key"

    with pytest.raises(MasterKeyError, match=str(path)):
        create_master_key(path)


def test_a_missing_master_key_is_named_by_its_file(tmp_path: Path) -> None:
    path = tmp_path / "master.key"

    with pytest.raises(MasterKeyError, match=f"there is no master key at {path}"):
        read_master_keys(path)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"not a key", text_of(31).encode()])
def test_a_file_that_holds_no_master_key_is_named(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    path.write_bytes(content)

    with pytest.raises(MasterKeyError, match=str(path)):
        read_master_keys(path)


def test_a_folder_in_place_of_the_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MasterKeyError, match=str(tmp_path)):
        read_master_keys(tmp_path)
