"""What `shaken deploy` runs, and what is kept and made up for when that fails."""

import os
import sys
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from shaken.deploy import agent as agents
from shaken.deploy import files
from shaken.deploy.agent import Agent, Target
from shaken.deploy.command import Command, CommandFailed
from shaken.deploy.files import Place, read, wanted
from shaken.deploy.offer import read_offer
from tests.lines import killed_before
from tests.shaken.deploy.host import (
    NAME,
    Host,
    complaint,
    complaint_after_output,
)
from tests.shaken.deploy.listener_service import answer
from trust.authority import Issued


def test_the_reload_runs_when_files_changed_and_only_then(host: Host, second: Issued) -> None:
    options = ("--out", host.out, "--reload", host.script("reload", ""))

    for _ in range(2):
        assert host.deploy(*options).exit_code == 0
    assert host.ran() == ["reload"]
    host.service.offer(NAME, second)
    assert host.deploy(*options).exit_code == 0
    assert host.ran() == ["reload", "reload"]
    assert host.left() == set()


def test_a_reload_that_failed_is_made_up_for(host: Host, first: Issued) -> None:
    broken = host.script("reload", "echo no such; echo process >&2; exit 3")

    said = complaint_after_output(host.deploy("--out", host.out, "--reload", broken))

    assert said.endswith(
        "ended with 3: no such | process (the files are new; the reload is still due)"
    )
    assert host.out.read_text().startswith(first.chain_pem)
    assert host.deploy("--out", host.out, "--reload", broken).exit_code == 1
    assert host.deploy("--out", host.out, "--reload", host.script("reload", "")).exit_code == 0
    assert host.deploy("--out", host.out, "--reload", broken).exit_code == 0
    assert host.ran() == ["reload"] * 3


@pytest.mark.parametrize("two", [False, True])
def test_an_agent_that_is_killed_at_any_moment_leaves_a_pair_and_is_made_up_for(
    tmp_path: Path, first: Issued, second: Issued, *, two: bool
) -> None:
    for line in count():
        folder = tmp_path / str(line)
        folder.mkdir()
        place = Place(folder / "c", folder / "k" if two else None)
        target = Target(NAME, place)
        reload = Command.parse(f"cp {place.out} {folder}/seen", seconds=30)
        agent = Agent((target,), None, reload, {"PATH": "/usr/bin:/bin"}, lambda _: None)
        old, new = (read_offer(answer(issued)) for issued in (first, second))
        agent.deploy({target: old})

        work = partial(agent.deploy, {target: new})
        killed = killed_before(line, work, [files, agents])

        assert read(place).contents in {wanted(place, old), wanted(place, new)}, line
        agent.deploy({target: new})
        assert read(place).contents == wanted(place, new)
        assert (folder / "seen").read_bytes() == wanted(place, new)[0], line
        assert len(list(folder.iterdir())) == (5 if two else 2)
        if not killed:
            break
    assert line > 30


@pytest.mark.parametrize("two", [False, True])
def test_what_the_check_refuses_is_put_back(host: Host, second: Issued, *, two: bool) -> None:
    options = ("--out", host.out, *(("--key", host.key) if two else ()))
    host.deploy(*options)
    before = read(Place(host.out, host.key if two else None))
    host.service.offer(NAME, second)
    saw = host.folder / "saw"
    check = host.script("check", f"cp {host.out} {saw}; exit 1")
    reload = host.script("reload", "")

    said = complaint(host.deploy(*options, "--check", check, "--reload", reload))

    assert said.endswith("ended with 1 (the old files are in place)")
    assert saw.read_text().startswith(second.chain_pem)
    assert read(Place(host.out, host.key if two else None)) == before
    assert host.ran() == ["check"]
    assert host.deploy(*options, "--reload", reload).exit_code == 0
    assert host.ran() == ["check", "reload"]


def test_the_first_files_are_removed_when_the_check_refuses_them(host: Host) -> None:
    host.out.write_text("a chain without its key")
    check = host.script("check", "exit 1")

    said = complaint(host.deploy("--out", host.out, "--key", host.key, "--check", check))

    assert "old files are in place" in said
    assert host.out.read_text() == "a chain without its key"
    assert not host.key.exists()
    assert host.left() == set()


def test_a_command_gets_no_secret_and_no_shell(host: Host) -> None:
    reload = host.script("reload", f'env > {host.folder}/env; echo "$@" > {host.folder}/words')

    assert host.deploy("--out", host.out, "--reload", f"{reload} '$HOME; x' b").exit_code == 0

    assert "SHAKEN" not in (host.folder / "env").read_text()
    assert (host.folder / "words").read_text() == "$HOME; x b\n"


def test_a_command_that_hangs_is_ended_with_its_children() -> None:
    command = Command.parse("sh -c 'sleep 60 & sleep 60'", seconds=0.2)

    with pytest.raises(CommandFailed, match=r"was ended after 0\.2 s"):
        command.run(os.environ)


def test_the_end_of_a_long_output_is_shown() -> None:
    text = "print('x' * 100000); print('why\\x1b'); raise SystemExit(1)"

    with pytest.raises(CommandFailed, match=r"x \| why\?$") as failed:
        Command((sys.executable, "-c", text), 60).run(os.environ)

    assert len(str(failed.value)) < 1500


def test_a_command_that_is_not_there_is_named(host: Host) -> None:
    run = host.deploy("--out", host.out, "--reload", "no-such-command now")

    assert "`no-such-command now` does not start: No such file" in complaint_after_output(run)
