"""Programs that are run for records: in bounded time, with little environment, without a shell."""

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from tests.system.process import until
from trust.acme.dns.program import ProgramFailed, environment, run

LONG = 60.0


def shell(script: str, *, seconds: float = LONG, stdin: bytes = b"") -> None:
    run(["/bin/sh", "-c", script], stdin=stdin, environment=environment(), seconds=seconds)


def test_a_program_that_ends_well_says_nothing() -> None:
    shell("echo a word; echo another >&2")


def test_a_program_reads_what_it_is_given(tmp_path: Path) -> None:
    shell(f"cat > {tmp_path}/got", stdin=b"x" * 300_000)

    assert (tmp_path / "got").read_bytes() == b"x" * 300_000


def test_a_program_need_not_read_what_it_is_given() -> None:
    shell("exit 0", stdin=b"x" * 300_000)


@pytest.mark.parametrize(
    ("script", "words", "code"),
    [
        ("exit 3", "it ended with code 3", 3),
        ("echo first >&2; echo second >&2; echo >&2; exit 3", "it ended with code 3: second", 3),
        ("printf 'no end of line' >&2; exit 1", "it ended with code 1: no end of line", 1),
        ("printf 'a\\001b\\377c' >&2; exit 1", "it ended with code 1: a b\ufffdc", 1),
        ("kill -TERM $$", "it was ended by signal 15", None),
        ("echo out; exit 1", "it ended with code 1", 1),
    ],
)
def test_how_a_program_failed_and_its_last_line_are_said(
    script: str, words: str, code: int | None
) -> None:
    with pytest.raises(ProgramFailed) as failed:
        shell(script)

    assert str(failed.value) == words
    assert failed.value.code == code


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["/nowhere/at/all"], "it cannot be started: No such file or directory"),
        (["/etc/passwd"], "it cannot be started: Permission denied"),
    ],
)
def test_a_program_that_cannot_be_started_is_an_error(command: Sequence[str], words: str) -> None:
    with pytest.raises(ProgramFailed, match=f"^{words}$"):
        run(command, environment=environment(), seconds=LONG)


def test_a_program_that_says_much_is_read_to_its_last_line() -> None:
    with pytest.raises(ProgramFailed, match=r"^it ended with code 1: the last$"):
        shell("yes | head -c 1000000 >&2; echo; echo the last >&2; exit 1")


def test_a_long_last_line_is_cut() -> None:
    with pytest.raises(ProgramFailed) as failed:
        shell("yes | head -c 100000 | tr -d '\\n' >&2; exit 1")

    assert len(failed.value.said) == 1000


def test_a_program_that_takes_too_long_is_ended_with_all_it_started(tmp_path: Path) -> None:
    script = f"sleep 600 & echo $! > {tmp_path}/child; echo busy >&2; sleep 600"

    with pytest.raises(ProgramFailed, match=r"^it did not end within 2 s: busy$"):
        shell(script, seconds=2)

    _until_gone(int((tmp_path / "child").read_text()))


def test_a_program_that_talks_without_end_is_ended() -> None:
    with pytest.raises(ProgramFailed, match=r"^it did not end within 1 s: y$"):
        shell("yes >&2", seconds=1)


def test_nobody_waits_for_what_a_program_leaves_behind(tmp_path: Path) -> None:
    began = time.monotonic()

    shell(f"sleep 600 & echo $! > {tmp_path}/child")

    assert time.monotonic() - began < LONG / 2
    _until_gone(int((tmp_path / "child").read_text()))


def test_a_program_sees_hardly_any_of_our_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHAKEN_KEYS__MASTER_KEY", "secret")
    monkeypatch.setenv("LANG", "C.UTF-8")

    shell(f"env > {tmp_path}/seen; pwd > {tmp_path}/folder")

    seen = dict(line.split("=", 1) for line in (tmp_path / "seen").read_text().splitlines())
    assert set(seen) <= {"PATH", "HOME", "LANG", "LC_ALL", "TZ", "PWD", "SHLVL", "_", "OLDPWD"}
    assert seen["LANG"] == "C.UTF-8"
    assert (tmp_path / "folder").read_text() == "/\n"


def test_a_program_inherits_no_open_files_of_ours(tmp_path: Path) -> None:
    with (tmp_path / "ours").open("w") as ours:
        os.set_inheritable(ours.fileno(), True)  # noqa: FBT003

        shell(f"ls -l /proc/$$/fd > {tmp_path}/open")

    assert "ours" not in (tmp_path / "open").read_text()


def test_no_file_stays_open_here() -> None:
    def open_files() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = open_files()

    for script in ("exit 0", "exit 1"):
        with suppress(ProgramFailed):
            shell(script)

    assert open_files() == before


def _until_gone(pid: int) -> None:
    for _ in until(f"process {pid} is gone"):
        try:
            # One that nobody waits for stays as an entry without a command line.
            if not Path(f"/proc/{pid}/cmdline").read_bytes():
                return
        except (FileNotFoundError, ProcessLookupError):
            return
