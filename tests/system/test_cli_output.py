"""What becomes of a command's output that cannot be written: a full disk, a reader that left."""

import json
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.process import (
    DEADLINE_SECONDS,
    SHAKEN,
    Service,
    environment,
    read_demo,
    run_shaken,
    running,
)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("output"), "--demo") as started:
        yield started


@pytest.fixture(scope="module")
def settings(service: Service) -> dict[str, str]:
    """What makes the commands an administrator's."""
    secret = read_demo(service.data)["admin"]["secret"]
    return {"SHAKEN_URL": service.url, "SHAKEN_TOKEN": secret}


@pytest.fixture(scope="module")
def certificate(settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> str:
    """The id of a certificate of the service."""
    words = ("certificates", "list", "--kind", "sti", "--json")
    run = run_shaken(*words, folder=tmp_path_factory.mktemp("ids"), **settings)
    (record,) = json.loads(run.stdout)
    found: str = record["id"]
    return found


def in_shell(script: str, folder: Path, **settings: str) -> "subprocess.CompletedProcess[str]":
    """Run a line of bash in which `shaken` is the command; it must not say how Python failed."""
    command = " ".join(map(shlex.quote, SHAKEN))
    run = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f'shaken() {{ {command} "$@"; }}; {script}'],
        cwd=folder,
        env=environment(**{"PYTHONUNBUFFERED": "", **settings}),
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )
    assert "Traceback" not in run.stderr
    assert "ignored" not in run.stderr
    return run


def on_a_full_disk(words: str, folder: Path, *, left: str = "0", **settings: str) -> str:
    """Run a command that must fail where a file holds so many KiB; return its one line."""
    # Coverage would write a file, too.
    unmeasured = {"COVERAGE_PROCESS_START": "", "COVERAGE_PROCESS_CONFIG": ""}
    run = in_shell(f"ulimit -f {left}; shaken {words}", folder, **unmeasured, **settings)
    assert (run.returncode, run.stdout) == (1, ""), run
    (line,) = run.stderr.splitlines()
    return line


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    "words",
    [
        "calls list",
        "tenants list --json",
        "certificates download {certificate}",
        "calls list --help",
        "--help",
        "--version",
    ],
)
def test_output_that_a_full_disk_does_not_take_is_told_in_one_line(
    settings: dict[str, str], certificate: str, tmp_path: Path, words: str, unbuffered: str
) -> None:
    script = f"shaken {words.format(certificate=certificate)} > /dev/full"

    run = in_shell(script, tmp_path, PYTHONUNBUFFERED=unbuffered, **settings)

    assert run.returncode == 1
    assert run.stderr == "Error: cannot write the output: No space left on device\n"


@pytest.mark.parametrize("words", ["calls list", "certificates download {certificate}", "--help"])
def test_a_reader_that_has_left_ends_a_command_quietly(
    settings: dict[str, str], certificate: str, tmp_path: Path, words: str
) -> None:
    command = words.format(certificate=certificate)

    run = in_shell(f"shaken {command} | true; echo ${{PIPESTATUS[0]}}", tmp_path, **settings)

    assert (run.stdout, run.stderr) == ("1\n", "")


def test_a_credential_whose_secret_cannot_be_printed_is_told(
    settings: dict[str, str], tmp_path: Path
) -> None:
    for name, where, words in (
        ("lost", "> /dev/full", "Error: cannot write the output: No space left on device\n"),
        ("unread", "| true", ""),
    ):
        script = f"shaken credentials create {name} --role viewer {where}"

        run = in_shell(script, tmp_path, **settings)

        assert run.returncode == 1
        assert run.stderr == (
            f"credential {name} was made, its secret is lost:"
            f" `shaken credentials revoke {name}` and make another\n{words}"
        )
        revoked = run_shaken("credentials", "revoke", name, folder=tmp_path, **settings)
        assert revoked.returncode == 0


def test_a_rotation_that_cannot_be_told_is_said_to_be_complete(tmp_path: Path) -> None:
    with running(tmp_path, "--demo") as service:
        before = (service.data / "master.key").read_text()

        run = in_shell(f"shaken keys rotate --data-dir {service.data} > /dev/full", tmp_path)

        assert run.returncode == 1
        assert run.stderr == (
            "the rotation is complete; do not repeat it\n"
            "Error: cannot write the output: No space left on device\n"
        )
        assert (service.data / "master.key").read_text() != before


def test_an_error_that_cannot_be_told_still_ends_with_its_code(tmp_path: Path) -> None:
    for script in (
        "shaken inspect nonsense 2> /dev/full",
        "shaken inspect nonsense 2>&1 > /dev/null | true",
        "shaken --help > /dev/full 2>&1",
    ):
        assert in_shell(script, tmp_path).returncode == 1, script


def test_a_download_that_finds_the_disk_full_leaves_no_file(
    settings: dict[str, str], certificate: str, tmp_path: Path
) -> None:
    said = on_a_full_disk(f"certificates download {certificate} --out my.pem", tmp_path, **settings)

    assert said == "Error: cannot write my.pem: File too large"
    assert list(tmp_path.iterdir()) == []


def test_a_download_that_finds_the_disk_full_leaves_the_file_that_was_there(
    settings: dict[str, str], certificate: str, tmp_path: Path
) -> None:
    (tmp_path / "my.pem").write_text("precious")

    on_a_full_disk(f"certificates download {certificate} --out my.pem", tmp_path, **settings)

    assert [file.read_text() for file in tmp_path.iterdir()] == ["precious"]


def test_a_download_that_is_refused_leaves_no_file(
    settings: dict[str, str], tmp_path: Path
) -> None:
    download = ("certificates", "download", "0" * 64, "--out", "my.pem")

    run = run_shaken(*download, folder=tmp_path, **settings)

    assert run.returncode == 1
    assert list(tmp_path.iterdir()) == []


def test_a_download_replaces_what_a_link_leads_to_and_keeps_who_may_read_it(
    settings: dict[str, str], certificate: str, tmp_path: Path
) -> None:
    file, link = tmp_path / "real.pem", tmp_path / "link.pem"
    file.write_text("old")
    file.chmod(0o640)
    link.symlink_to(file)

    download = ("certificates", "download", certificate, "--out", "link.pem")
    run_shaken(*download, folder=tmp_path, **settings)

    assert link.is_symlink()
    assert file.read_text().startswith("-----BEGIN CERTIFICATE-----")
    assert file.stat().st_mode & 0o777 == 0o640


def test_a_download_may_go_into_a_pipe_that_has_a_name(
    settings: dict[str, str], certificate: str, tmp_path: Path
) -> None:
    script = f"shaken certificates download {certificate} --out /dev/stdout | grep -c BEGIN"

    run = in_shell(script, tmp_path, **settings)

    assert run.stdout == "2\n", run


def test_a_request_that_finds_the_disk_full_leaves_no_file(
    settings: dict[str, str], tmp_path: Path
) -> None:
    said = on_a_full_disk("certificates request --spc 1234 --out my.csr", tmp_path, **settings)

    assert "is made, but cannot be written to my.csr: File too large" in said
    assert list(tmp_path.iterdir()) == []


# The keys and the first certificates have less than one KiB, the chain has more.
@pytest.mark.parametrize("left", ["0", "1"])
def test_a_lab_that_finds_the_disk_full_leaves_no_file(tmp_path: Path, left: str) -> None:
    said = on_a_full_disk("lab-ca --spc 1234", tmp_path, left=left)

    assert said == "Error: cannot write to lab: File too large"
    assert list((tmp_path / "lab").iterdir()) == []
    assert run_shaken("lab-ca", "--spc", "1234", folder=tmp_path).returncode == 0
