"""Several master keys at hand, what names them, and the file that holds them."""

import errno
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from trust.keyring import (
    KeyRing,
    add_master_key,
    create_master_key,
    drop_former_keys,
    read_master_keys,
)
from trust.keys import (
    HEADER_BYTES,
    KEY_ID_BYTES,
    MASTER_KEY_BYTES,
    MasterKey,
    MasterKeyError,
    SealError,
    key_id_of,
)

OLD, NEW, OTHER = (MasterKey(bytes([number]) * MASTER_KEY_BYTES) for number in (1, 2, 3))

secrets = st.binary(min_size=MASTER_KEY_BYTES, max_size=MASTER_KEY_BYTES)
records = st.text(st.characters(codec="utf-8"), max_size=80)


def ring(*keys: MasterKey) -> KeyRing:
    return KeyRing(lambda: keys)


def sealed_in_version_1(master: MasterKey, plaintext: bytes, record: str) -> bytes:
    """Seal as the first version did, which named no key."""
    nonce = os.urandom(12)
    associated = b"shaken sealed key\0" + record.encode()
    return b"\x01" + nonce + AESGCM(master.secret).encrypt(nonce, plaintext, associated)


# The name of a key


@given(secrets)
def test_a_key_has_one_name_and_the_name_says_nothing_of_it(secret: bytes) -> None:
    key = MasterKey(secret)

    assert key.id == MasterKey(secret).id
    assert len(bytes.fromhex(key.id)) == KEY_ID_BYTES
    assert bytes.fromhex(key.id) not in secret


def test_the_name_of_a_key_never_changes() -> None:
    # Values in stores and copies of keys in safes are found by it.
    assert OLD.id == "360ab6dd18ae79b4"


@given(st.lists(secrets, min_size=2, unique=True))
def test_no_two_keys_share_a_name(found: list[bytes]) -> None:
    assert len({MasterKey(secret).id for secret in found}) == len(found)


@given(secrets, st.binary(max_size=300), records)
def test_what_is_sealed_names_its_key_in_its_first_bytes(
    secret: bytes, plaintext: bytes, record: str
) -> None:
    key = MasterKey(secret)

    sealed = key.seal(plaintext, record=record)

    assert key_id_of(sealed, record=record) == key.id
    assert key_id_of(sealed[:HEADER_BYTES], record=record) == key.id


def test_what_is_cut_off_within_the_name_names_nothing() -> None:
    sealed = OLD.seal(b"text", record="a")

    for length in range(HEADER_BYTES):
        with pytest.raises(SealError, match=r"^a: sealed in an unknown format$"):
            key_id_of(sealed[:length], record="a")


def test_a_value_cannot_be_turned_into_one_that_names_no_key() -> None:
    sealed = OLD.seal(b"text", record="a")

    with pytest.raises(SealError):
        OLD.unseal(b"\x01" + sealed[HEADER_BYTES:], record="a")


def test_an_error_tells_which_key_is_there_and_which_is_needed() -> None:
    with pytest.raises(SealError, match=f"under this master key, {NEW.id}; its own is {OLD.id}"):
        NEW.unseal(OLD.seal(b"text", record="a"), record="a")


# The ring


@given(st.binary(max_size=300), records, st.integers(0, 2), st.permutations([OLD, NEW, OTHER]))
def test_a_ring_opens_what_any_of_its_keys_sealed(
    plaintext: bytes, record: str, which: int, keys: list[MasterKey]
) -> None:
    named = keys[which].seal(plaintext, record=record)
    unnamed = sealed_in_version_1(keys[which], plaintext, record)

    for sealed in (named, unnamed):
        assert ring(*keys).unseal(sealed, record=record) == plaintext
        assert ring(*keys).opening(sealed, record=record) == keys[which]


@given(st.binary(max_size=300), records)
def test_a_key_alone_opens_what_version_1_sealed(plaintext: bytes, record: str) -> None:
    sealed = sealed_in_version_1(OLD, plaintext, record)

    assert key_id_of(sealed, record=record) is None
    assert OLD.unseal(sealed, record=record) == plaintext
    assert OLD.opening(sealed, record=record) == OLD


def test_a_ring_opens_nothing_of_a_key_that_is_not_on_it() -> None:
    for sealed in (OLD.seal(b"text", record="a"), sealed_in_version_1(OLD, b"text", "a")):
        with pytest.raises(SealError, match=r"^a: does not open under the master keys at hand"):
            ring(NEW, OTHER).unseal(sealed, record="a")


def test_a_ring_says_which_key_is_missing() -> None:
    with pytest.raises(SealError, match=f"its own is {OLD.id}$"):
        ring(NEW).opening(OLD.seal(b"text", record="a"), record="a")


@given(st.binary(max_size=100))
def test_no_bytes_make_a_ring_fail_in_another_way(sealed: bytes) -> None:
    with pytest.raises(SealError):
        ring(NEW, OLD).unseal(sealed, record="a")


def test_the_first_key_is_the_current_one() -> None:
    assert ring(NEW, OLD).current == NEW
    assert OLD.current == OLD


def test_a_ring_is_read_again_when_something_names_a_key_that_is_not_on_it() -> None:
    content: list[Sequence[MasterKey]] = [[OLD]]
    keys = KeyRing(lambda: content[0])
    sealed = NEW.seal(b"text", record="a")
    with pytest.raises(SealError):
        keys.unseal(sealed, record="a")

    content[0] = [NEW, OLD]

    assert keys.unseal(sealed, record="a") == b"text"
    assert keys.current == NEW


def test_a_ring_is_not_read_again_while_it_opens_everything() -> None:
    reads = []
    keys = KeyRing(lambda: reads.append(1) or [OLD])  # type: ignore[func-returns-value]
    sealed = OLD.seal(b"text", record="a")

    for _ in range(5):
        keys.unseal(sealed, record="a")

    assert len(reads) == 1


def test_a_key_stays_on_the_ring_when_the_file_has_dropped_it() -> None:
    content: list[Sequence[MasterKey]] = [[OLD]]
    keys = KeyRing(lambda: content[0])
    content[0] = [NEW]

    assert keys.unseal(NEW.seal(b"text", record="a"), record="a") == b"text"

    # A worker may still hold a row that it read before the rotation.
    assert keys.unseal(OLD.seal(b"text", record="a"), record="a") == b"text"
    assert list(keys.keys) == [NEW, OLD]


def test_a_ring_goes_on_with_what_it_has_when_the_file_cannot_be_read() -> None:
    content: list[Sequence[MasterKey]] = [[OLD]]

    def read() -> Sequence[MasterKey]:
        if not content:
            raise MasterKeyError("gone")
        return content[0]

    keys = KeyRing(read)
    content.clear()

    with pytest.raises(SealError):
        keys.unseal(NEW.seal(b"text", record="a"), record="a")
    assert keys.unseal(OLD.seal(b"text", record="a"), record="a") == b"text"


def test_no_repr_shows_a_key_of_the_ring() -> None:
    assert OLD.to_text() not in repr(ring(OLD)) + repr(ring(OLD).keys)


# The file


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file of a master key, as a first start makes it."""
    create_master_key(tmp_path / "master.key")
    return tmp_path / "master.key"


def test_a_file_of_one_line_holds_one_key(path: Path) -> None:
    path.write_text(f"{OLD.to_text()}\n")

    assert read_master_keys(path) == (OLD,)


@given(st.lists(secrets, min_size=1, max_size=3, unique=True), st.sampled_from(["\n", "\r\n"]))
def test_a_file_holds_its_keys_in_order(found: list[bytes], end: str) -> None:
    keys = [MasterKey(secret) for secret in found]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "master.key"
        path.write_text("".join(f"{key.to_text()}{end}" for key in keys), newline="")

        assert read_master_keys(path) == tuple(keys)


def test_empty_lines_and_a_key_that_is_there_twice_do_not_count(path: Path) -> None:
    path.write_text(f"\n{OLD.to_text()}\n\n  \n{OLD.to_text()}\n{NEW.to_text()}")

    assert read_master_keys(path) == (OLD, NEW)


@pytest.mark.parametrize("line", ["half a key", OLD.to_text()[:20], "# a comment"])
def test_a_line_that_is_no_key_is_refused_and_not_repeated(path: Path, line: str) -> None:
    path.write_text(f"{OLD.to_text()}\n{line}\n")

    with pytest.raises(MasterKeyError, match=str(path)) as refused:
        read_master_keys(path)
    assert line not in str(refused.value)


def test_a_new_key_comes_before_the_present_one(path: Path) -> None:
    (present,) = read_master_keys(path)

    current, former = add_master_key(path)

    assert (current, former) == read_master_keys(path)
    assert former == present
    assert current not in {present, OLD}


def test_a_second_new_key_is_not_added(path: Path) -> None:
    both = add_master_key(path)

    assert add_master_key(path) == both == read_master_keys(path)


def test_only_the_first_key_stays_once_the_check_lets_the_others_go(path: Path) -> None:
    current, former = add_master_key(path)
    asked: list[MasterKey] = []

    dropped = drop_former_keys(path, check=asked.append)

    assert list(dropped) == [former]
    assert asked == [current]
    assert read_master_keys(path) == (current,)
    assert list(drop_former_keys(path, check=asked.append)) == []


def test_all_keys_stay_while_the_check_refuses(path: Path) -> None:
    both = add_master_key(path)

    def refuse(_: MasterKey) -> None:
        raise MasterKeyError("still needed")

    with pytest.raises(MasterKeyError, match="still needed"):
        drop_former_keys(path, check=refuse)

    assert read_master_keys(path) == both


@pytest.mark.parametrize("mode", [0o600, 0o640])
def test_owner_and_mode_of_the_file_stay(path: Path, mode: int) -> None:
    path.chmod(mode)
    if os.geteuid() == 0:
        os.chown(path, 10001, 10002)
    before = path.stat()

    add_master_key(path)

    after = path.stat()
    assert stat.S_IMODE(after.st_mode) == mode
    assert (after.st_uid, after.st_gid) == (before.st_uid, before.st_gid)
    assert [*path.parent.iterdir()] == [path]


def test_what_a_killed_process_left_is_not_in_the_way(path: Path) -> None:
    left = path.with_name("master.key.new")
    left.write_text("half")

    add_master_key(path)

    assert not left.exists()
    assert len(read_master_keys(path)) == 2


def test_a_link_stays_a_link(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(path)

    both = add_master_key(link)

    assert link.is_symlink()
    assert read_master_keys(path) == both


def drop(path: Path) -> None:
    drop_former_keys(path, check=lambda _: None)


@pytest.mark.parametrize("change", [add_master_key, drop])
def test_a_file_that_is_not_there_is_named(
    tmp_path: Path, change: Callable[[Path], object]
) -> None:
    with pytest.raises(MasterKeyError, match=str(tmp_path / "master.key")):
        change(tmp_path / "master.key")


@pytest.mark.parametrize(
    ("number", "advice", "other"),
    [
        (errno.EPERM, "run this as the user that the file belongs to", "free space"),
        (errno.EACCES, "write the file yourself", "free space"),
        (errno.EROFS, "write the file yourself", "as the user"),
        (errno.ENOSPC, "No space left on device; free space on its disk", "as the user"),
        (errno.EIO, "Input/output error", ";"),
    ],
)
def test_a_file_that_cannot_be_replaced_is_left_as_it_is_and_told_what_helps(
    path: Path, monkeypatch: pytest.MonkeyPatch, number: int, advice: str, other: str
) -> None:
    before = path.read_bytes()

    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("trust.keyring.os.fsync", refuse)
    with pytest.raises(MasterKeyError, match=advice) as refused:
        add_master_key(path)

    assert other not in str(refused.value)
    assert path.read_bytes() == before
    assert [*path.parent.iterdir()] == [path]


def test_a_file_that_another_took_the_place_of_meanwhile_is_waited_for_anew(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = []

    def replace_meanwhile(*_: object) -> None:
        waits.append(1)
        if len(waits) == 1:
            path.with_name("another").write_text(f"{OLD.to_text()}\n")
            path.with_name("another").replace(path)

    monkeypatch.setattr("trust.keyring.fcntl.flock", replace_meanwhile)

    assert add_master_key(path)[1] == OLD
    assert len(waits) == 2


# Writing takes long, so that all of them would write if they did not wait for each other.
PROCESS = """
import sys
import time
from pathlib import Path
from trust import keyring
from trust.keyring import add_master_key

keyring.os.fsync = lambda _: time.sleep(0.1)
print("ready", flush=True)
sys.stdin.readline()
print(add_master_key(Path(sys.argv[1]))[0].id)
"""


def test_processes_that_add_a_key_at_once_agree_on_one(path: Path) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS, path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"

    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()

    names = {process.communicate(timeout=50)[0].strip() for process in processes}

    assert names == {read_master_keys(path)[0].id}
    assert len(read_master_keys(path)) == 2
