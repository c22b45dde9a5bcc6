"""What `shaken deploy` writes, for whom, and what is there when that fails."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from shaken.deploy.files import (
    Access,
    FilesError,
    Place,
    State,
    access_wanted,
    certificate,
    read,
    write,
)
from tests.shaken.deploy.host import (
    MOMENT,
    NAME,
    Host,
    complaint,
    mode,
)
from trust.authority import Authority, Issued

KEY = b"-----BEGIN PRIVATE KEY-----\n"


@pytest.mark.parametrize(
    ("wished", "contents", "before", "expected"),
    [
        ((None, None), None, None, Access(0o600)),
        ((0o640, 7), None, None, Access(0o640, None, 7)),
        ((None, None), KEY, Access(0o640, 3, 4), Access(0o640, 3, 4)),
        ((None, None), KEY, Access(0o644, 3, 4), Access(0o640, 3, 4)),
        ((0o600, None), KEY, Access(0o640, 3, 4), Access(0o600, 3, 4)),
        ((None, 7), KEY, Access(0o640, 3, 4), Access(0o640, 3, 7)),
        ((None, None), b"a chain", Access(0o664, 3, 4), Access(0o600)),
    ],
)
def test_who_may_read_a_key_is_as_wished_else_as_before_else_nobody(
    wished: tuple[int | None, int | None],
    contents: bytes | None,
    before: Access | None,
    expected: Access,
) -> None:
    place = Place(Path("/x"), None, *wished)

    assert access_wanted(place, State((contents,), before)) == expected


def test_text_in_any_coding_around_what_is_there_is_passed_over(first: Issued) -> None:
    there = "Sujet : Téléphonie\n".encode("latin-1") + (first.chain_pem + first.key_pem).encode()

    found = certificate(Place(Path("/x")), State((there,), None))

    assert found == first.certificate


@pytest.mark.parametrize("there", [b"\xff\xfe\0", b"-----BEGIN CERTIFICATE-----\n\xe9", None])
def test_what_is_no_certificate_is_none(there: bytes | None) -> None:
    assert certificate(Place(Path("/x")), State((there,), None)) is None


def test_chain_and_key_come_into_one_file(host: Host, first: Issued) -> None:
    run = host.deploy("--out", host.out)

    assert run.exit_code == 0, run.output
    assert host.out.read_text() == first.chain_pem + first.key_pem
    assert mode(host.out) == 0o600
    assert host.left() == set()
    assert run.stdout.startswith(f"{NAME}: wrote {host.out}: domain certificate ")
    assert "PRIVATE" not in run.output


def test_chain_and_key_come_into_two_files(host: Host, first: Issued) -> None:
    run = host.deploy("--out", host.out, "--key", host.key, "--mode", "0640")

    assert run.exit_code == 0, run.output
    assert (host.out.read_text(), host.key.read_text()) == (first.chain_pem, first.key_pem)
    assert (mode(host.out), mode(host.key), mode(host.key.resolve().parent)) == (
        *(0o640, 0o640),
        0o750,
    )


def test_two_files_may_be_in_two_folders(host: Host, first: Issued, second: Issued) -> None:
    private = host.folder / "private"
    private.mkdir(0o700)
    for issued in (first, second):
        host.service.offer(NAME, issued)
        assert host.deploy("--out", host.out, "--key", private / "k").exit_code == 0
        assert host.out.read_text() == issued.chain_pem
        assert (private / "k").read_text() == issued.key_pem


def test_nothing_is_written_while_nothing_changed(host: Host) -> None:
    for options in (("--out", host.out), ("--out", host.folder / "c", "--key", host.key)):
        host.deploy(*options)
        before = {each: each.lstat() for each in host.folder.rglob("*")}

        run = host.deploy(*options)

        assert run.exit_code == 0
        assert "is up to date" in run.stdout
        assert {each: each.lstat() for each in host.folder.rglob("*")} == before


def test_a_newer_certificate_replaces_both_files_and_leaves_nothing(
    host: Host, second: Issued
) -> None:
    host.deploy("--out", host.out, "--key", host.key)
    host.service.offer(NAME, second)
    host.deploy("--out", host.out, "--key", host.key)

    assert (host.out.read_text(), host.key.read_text()) == (second.chain_pem, second.key_pem)
    assert host.left() == {".pbx.key.pair", host.key.resolve().parent.name}
    assert len(list(host.folder.glob(".pbx.key.pair-*"))) == 1


@pytest.mark.parametrize("two", [False, True])
def test_what_somebody_did_to_the_files_is_put_right(
    host: Host, first: Issued, second: Issued, *, two: bool
) -> None:
    options = ("--out", host.out, *(("--key", host.key) if two else ()))
    last = host.key if two else host.out
    expected = first.key_pem if two else first.chain_pem + first.key_pem
    host.deploy(*options)
    spoils: list[Callable[[], object]] = [
        lambda: last.write_text(second.key_pem),
        last.unlink,
        lambda: last.write_text(""),
        lambda: last.chmod(0o604),
    ]
    for spoil in spoils:
        spoil()
        assert host.deploy(*options).exit_code == 0
        assert last.read_text() == expected
        assert mode(last) == 0o600


def test_files_keep_their_mode_and_group(host: Host, second: Issued) -> None:
    host.deploy("--out", host.out)
    host.out.chmod(0o640)
    host.service.offer(NAME, second)
    host.deploy("--out", host.out)

    assert second.key_pem in host.out.read_text()
    assert mode(host.out) == 0o640


def test_a_link_is_replaced_and_what_it_led_to_stays(host: Host) -> None:
    elsewhere = host.folder / "elsewhere"
    elsewhere.write_text("kept")
    host.out.symlink_to(elsewhere)

    assert host.deploy("--out", host.out).exit_code == 0

    assert elsewhere.read_text() == "kept"
    assert not host.out.is_symlink()


def test_at_each_moment_a_chain_stands_beside_its_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where two files of somebody else are taken over, and whatever is the last step."""
    place = Place(tmp_path / "c", tmp_path / "k")
    seen = set()
    replace = Path.replace

    def watched(self: Path, target: Path) -> Path:
        moved = replace(self, target)
        seen.add(read(place).contents)
        return moved

    place.out.write_bytes(b"1c")
    (tmp_path / "k").write_bytes(b"1k")
    monkeypatch.setattr(Path, "replace", watched)
    write(place, (b"2c", b"2k"), Access(0o600))
    write(place, (b"3c", b"3k"), Access(0o600))

    assert seen == {(b"1c", b"1k"), (b"2c", b"2k"), (b"3c", b"3k")}


def test_what_a_killed_agent_left_is_no_obstacle(host: Host, first: Issued) -> None:
    (host.folder / ".pbx.pem.new").write_text("half")
    (host.folder / ".pbx.pem.link").write_text("half")
    (host.folder / ".pbx.key.pair-left").mkdir()
    (host.folder / ".pbx.key.pair-left" / "key.pem").write_text("half")

    assert host.deploy("--out", host.out).exit_code == 0
    assert host.deploy("--out", host.out, "--key", host.key).exit_code == 0

    assert host.out.read_text() == first.chain_pem
    assert not (host.folder / ".pbx.key.pair-left").exists()


def test_a_folder_that_is_not_there_is_named(host: Host) -> None:
    said = complaint(host.deploy("--out", host.folder / "none" / "pbx.pem"))

    assert said == f"cannot use the folder {host.folder}/none: No such file or directory"


@pytest.mark.parametrize("two", [False, True])
def test_what_cannot_be_written_changes_nothing(
    host: Host, second: Issued, monkeypatch: pytest.MonkeyPatch, *, two: bool
) -> None:
    options = ("--out", host.out, *(("--key", host.key) if two else ()))
    reload = host.script("reload", "")
    host.deploy(*options)
    before = host.out.read_text(), host.left()
    host.service.offer(NAME, second)
    full = OSError(28, "No space left on device", "there")

    def fail(_: int) -> None:
        raise full

    with monkeypatch.context() as patched:
        # The first file is begun, the disk is full.
        patched.setattr(os, "fsync", fail)
        said = complaint(host.deploy(*options, "--reload", reload))

    assert "No space left on device" in said
    assert host.out.read_text() == before[0]
    assert host.ran() == []
    assert host.deploy(*options, "--reload", reload).exit_code == 0
    assert host.out.read_text().startswith(second.chain_pem)
    assert host.ran() == ["reload"]


def test_an_owner_that_cannot_be_kept_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "fchown", refuse)
    (tmp_path / "f").write_bytes(b"old")

    with pytest.raises(FilesError, match="may not give files to owner 12345 and group 54321"):
        write(Place(tmp_path / "f"), (b"new",), Access(0o600, 12345, 54321))

    assert (tmp_path / "f").read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["f"]


@pytest.mark.parametrize("files", [1, 2])
def test_a_certificate_that_clients_accept_is_kept_when_the_service_has_none_any_more(
    host: Host, ca: Authority, first: Issued, second: Issued, files: int
) -> None:
    options: list[str | Path] = ["--out", host.out, "--key", host.key]
    where = options[: 2 * files]
    assert host.deploy(*where).exit_code == 0
    host.service.offer(NAME, ca.issue_server(["localhost"], now=MOMENT), chosen="system")

    run = host.deploy(*where, "--reload", host.script("reload", ""))

    assert "kept what is there" in run.stderr
    assert run.exit_code == 1
    assert host.out.read_text().startswith(first.chain_pem)
    assert host.ran() == []
    host.service.offer(NAME, second)
    assert host.deploy(*where).exit_code == 0
    assert host.out.read_text().startswith(second.chain_pem)


def test_what_is_no_pair_is_replaced_whatever_is_offered(host: Host, ca: Authority) -> None:
    fallback = ca.issue_server(["localhost"], now=MOMENT)
    host.service.offer(NAME, fallback, chosen="system")
    host.out.write_text("no certificate")

    assert host.deploy("--out", host.out).exit_code == 0

    assert host.out.read_text() == fallback.chain_pem + fallback.key_pem
