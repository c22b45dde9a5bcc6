"""Workers that die, and are started again by their supervisor, in a process of its own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

SUPERVISED = """
import errno, logging, os, signal, sys
from shaken import supervisor
from shaken.worker import Sockets

folder, case = sys.argv[1:]
logging.basicConfig(level=logging.WARNING)
# The first deaths cost nothing, the third in a row costs an hour.
supervisor.RESTART_SECONDS = (0.0, 0.0, 0.0, 3600.0)
supervisor.STOP_SECONDS = 0.5
forks = 0

def fork(fork=os.fork):
    global forks
    forks += 1
    if case == "no process at start" or case == "no process later" and forks == 3:
        raise OSError(errno.EAGAIN, "no process to be had")
    return fork()

def serve(prepared, sockets, *, slot, lifeline, on_ready):
    with open(f"{folder}/started", "a") as file:
        file.write(f"{slot} {os.getpid()}\\n")
    was_ready = os.path.exists(f"{folder}/ready")
    on_ready()
    if case.startswith("one always dies") and slot == 0 and was_ready:
        if case.endswith("without standard error"):
            sys.stderr = open("/dev/full", "w")
            sys.stderr.write("what waits to be written")
        return
    if case == "one hangs" and slot == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        open(f"{folder}/hangs", "w").close()
    os.read(lifeline, 1)  # until the supervisor is gone

class NoSockets:
    def close(self):
        pass

os.fork, supervisor.serve = fork, serve
ready = lambda: open(f"{folder}/ready", "w").close()
sys.exit(supervisor.Supervisor(None, NoSockets(), workers=2).run(on_ready=ready))
"""


@dataclass
class Supervised:
    """A supervisor of two workers that do nothing, in a process of its own."""

    folder: Path
    process: subprocess.Popen[str]

    def started(self, slot: int) -> list[int]:
        """List the processes that were a worker, in their order."""
        file = self.folder / "started"
        lines = file.read_text().splitlines() if file.exists() else []
        return [int(pid) for place, pid in (line.split() for line in lines) if int(place) == slot]

    def kill(self, slot: int) -> None:
        """Kill a worker."""
        os.kill(self.started(slot)[-1], signal.SIGKILL)

    def end(self) -> tuple[int, str]:
        """Tell the supervisor to end; return its exit code, and what it logged."""
        self.process.terminate()
        _, log = self.process.communicate(timeout=20)
        return self.process.returncode, log


def until(what: Callable[[], bool]) -> None:
    """Wait for something, for as long as a busy machine may need."""
    deadline = time.monotonic() + 20
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def supervise(tmp_path: Path) -> Iterator[Callable[[str], Supervised]]:
    started: list[subprocess.Popen[str]] = []

    def start(case: str) -> Supervised:
        process = subprocess.Popen(
            [sys.executable, "-c", SUPERVISED, str(tmp_path), case],
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return Supervised(tmp_path, process)

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
            process.communicate()


def test_a_worker_that_always_dies_keeps_no_other_from_its_restart(
    supervise: Callable[[str], Supervised],
) -> None:
    supervised = supervise("one always dies")
    until((supervised.folder / "ready").exists)
    supervised.kill(0)
    until(lambda: len(supervised.started(0)) == 3)
    third = Path(f"/proc/{supervised.started(0)[-1]}")
    until(lambda: not third.exists())  # its supervisor knows that it has died

    supervised.kill(1)
    until(lambda: len(supervised.started(1)) == 2)
    supervised.kill(1)
    until(lambda: len(supervised.started(1)) == 3)

    assert len(supervised.started(0)) == 3
    code, log = supervised.end()
    assert code == 0
    assert "another starts in 3600.0 s" in log


def test_a_hangup_is_answered_in_the_log_and_ends_neither_the_supervisor_nor_a_worker(
    supervise: Callable[[str], Supervised],
) -> None:
    supervised = supervise("all live")
    until((supervised.folder / "ready").exists)

    for slot in (0, 1):
        os.kill(supervised.started(slot)[-1], signal.SIGHUP)
    supervised.process.send_signal(signal.SIGHUP)

    code, log = supervised.end()
    assert code == 0
    assert log.count("settings are read at start only: restart the service") == 1
    assert "ended" not in log
    assert [len(supervised.started(slot)) for slot in (0, 1)] == [1, 1]


def test_a_worker_that_ends_without_a_standard_error_ends_no_other(
    supervise: Callable[[str], Supervised],
) -> None:
    supervised = supervise("one always dies, without standard error")
    until((supervised.folder / "ready").exists)
    supervised.kill(0)
    until(lambda: len(supervised.started(0)) == 3)
    third = Path(f"/proc/{supervised.started(0)[-1]}")
    until(lambda: not third.exists())

    code, _ = supervised.end()

    assert code == 0
    assert len(supervised.started(1)) == 1


def test_a_place_for_which_no_process_is_to_be_had_is_filled_later(
    supervise: Callable[[str], Supervised],
) -> None:
    supervised = supervise("no process later")
    until((supervised.folder / "ready").exists)

    supervised.kill(1)
    until(lambda: len(supervised.started(1)) == 2)

    code, log = supervised.end()
    assert code == 0
    assert "a worker cannot be started: [Errno 11] no process to be had; tried again in" in log


def test_a_supervisor_without_a_process_for_its_workers_says_so_and_ends(
    supervise: Callable[[str], Supervised],
) -> None:
    supervised = supervise("no process at start")

    _, log = supervised.process.communicate(timeout=20)

    assert supervised.process.returncode == 1
    assert "a worker cannot be started: [Errno 11] no process to be had" in log
    assert not (supervised.folder / "ready").exists()


def test_a_worker_that_does_not_end_is_killed(supervise: Callable[[str], Supervised]) -> None:
    supervised = supervise("one hangs")
    until((supervised.folder / "hangs").exists)
    until((supervised.folder / "ready").exists)

    code, log = supervised.end()

    assert code == 0
    assert log.count("does not end, and is killed") == 1
    assert f"worker {supervised.started(0)[-1]} does not end" in log
