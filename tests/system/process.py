"""The service as a real process: started on a free port of the loopback, waited for, ended."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shaken.config import load_config
from shaken.credentials import Credential, Role, digest_of, new_secret
from shaken.service import prepare
from shaken.store.credentials import add_credential
from tests.ports import free_port

SHAKEN = (sys.executable, "-m", "shaken")

DEADLINE_SECONDS = 60
"""How long a start or an end may take on a machine that is busy with other things."""

ROUND_SECONDS = 0.2
"""How long a round of questions to each worker takes at most, where nothing else is to be done."""

MOST_SECONDS = 15.0
"""How long all rounds together take at most where a machine is busy."""

_READY = re.compile(r"^shaken serves on (http://\S+?);?(?: |$)", re.MULTILINE)


def environment(**settings: str) -> dict[str, str]:
    """Return the environment of a child: no setting from outside, coverage where it is measured."""
    inherited = {name: text for name, text in os.environ.items() if not name.startswith("SHAKEN_")}
    if "COVERAGE_PROCESS_START" in inherited:
        # Children run in folders of their own, where a relative path leads nowhere.
        rules = Path(inherited["COVERAGE_PROCESS_START"]).resolve()
        inherited["COVERAGE_PROCESS_START"] = str(rules)
        inherited.setdefault("COVERAGE_FILE", str(rules.parent / ".coverage"))
    return {**inherited, **settings}


def run_shaken(
    *arguments: str | Path, folder: Path, stdin: str = "", **settings: str
) -> "subprocess.CompletedProcess[str]":
    """Run a command that ends by itself."""
    return subprocess.run(
        [*SHAKEN, *map(str, arguments)],
        cwd=folder,
        env=environment(**settings),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )


def run_program(*arguments: str | Path, stdin: bytes = b"") -> str:
    """Run a program of the machine, such as openssl or curl; it must be there and exit with 0."""
    run = subprocess.run([*map(str, arguments)], input=stdin, capture_output=True, check=False)
    assert run.returncode == 0, run.stderr.decode()
    return run.stdout.decode()


def until(what: str, *, seconds: float = DEADLINE_SECONDS) -> Iterator[None]:
    """Loop until the caller breaks out; fail when `what` has not come by the deadline."""
    deadline = time.monotonic() + seconds
    while True:
        yield
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.01)


class Given:
    """The time that a service was given for something.

    Asked for once in each round of questions: a longer round than any on a machine that has
    nothing else to do counts as `ROUND_SECONDS`, since what kept us waiting kept the service, too.
    """

    def __init__(self) -> None:
        """Begin now."""
        self._began = self._asked = time.monotonic()
        self._seconds = 0.0

    def seconds(self) -> float:
        """Return how long it was by now."""
        now = time.monotonic()
        assert now - self._began < MOST_SECONDS, "this is no busy machine, but a slow service"
        self._seconds += min(now - self._asked, ROUND_SECONDS)
        self._asked = now
        return self._seconds


def until_each_socket(what: str, is_right: Callable[[], bool]) -> None:
    """Ask over UDP until so many answers in a row are right that each worker gave some.

    Each has a socket, and with a new port each time chance says which is asked: forty answers leave
    one of two out once in 10^12. Who takes connections is not left to chance: see `worker_of`.
    """
    for _ in until(what):
        if all(is_right() for _ in range(40)):
            return


@dataclass(frozen=True)
class Service:
    """A process of `shaken serve` that leads a process group of its own."""

    process: "subprocess.Popen[bytes]"
    port: int
    data: Path
    stdout: Path
    stderr: Path

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self.port}"

    def wait_until_ready(self) -> None:
        """Wait until it says that it serves."""
        for _ in until("the service says that it serves"):
            said = self.stdout.read_text() + self.stderr.read_text()
            if _READY.search(said):
                return
            assert self.process.poll() is None, said

    def workers(self) -> set[int]:
        """List the process ids of its workers."""
        pid = self.process.pid
        return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))

    def worker_of(self, connection: socket.socket) -> int:
        """Find the process id of the worker that has the other end of a TCP connection."""
        (_, here), (_, there) = connection.getsockname(), connection.getpeername()
        ends = f":{there:04X}", f":{here:04X}"
        for _ in until("a worker takes the connection"):
            lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
            inodes = [
                fields[9]
                for fields in map(str.split, lines)
                if (fields[1][-5:], fields[2][-5:]) == ends
            ]
            for worker in self.workers():
                if any(_has_socket(worker, inode) for inode in inodes):
                    return worker
        raise AssertionError

    def listens(self) -> bool:
        """Say whether anybody accepts connections on its port."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def tell(self, number: signal.Signals) -> None:
        """Send a signal to the process that was started, not to its workers."""
        self.process.send_signal(number)

    def tell_group(self, number: signal.Signals) -> None:
        """Send a signal to all of its processes, as a terminal does."""
        os.killpg(self.process.pid, number)

    def wait(self) -> int:
        """Wait for its end and return the exit code."""
        return self.process.wait(DEADLINE_SECONDS)

    def kill(self) -> None:
        """Kill all of its processes at once, and wait until they are gone."""
        workers = self.workers()
        self.tell_group(signal.SIGKILL)
        self.wait()
        for _ in until("the killed workers are gone"):
            if not any(map(is_alive, workers)):
                return

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it as an administrator does; it must end well."""
        self.tell(number)
        assert self.wait() == 0, self.stderr.read_text()
        assert "Traceback" not in self.stderr.read_text()


def start(
    folder: Path, *options: str, port: int | None = None, settings: dict[str, str] | None = None
) -> Service:
    """Start `shaken serve` with its data in `folder`/data; it may not be ready yet."""
    port = port or free_port()
    stdout, stderr = folder / "stdout.txt", folder / "stderr.txt"
    address = {"SHAKEN_HTTP__ADDRESS": f"127.0.0.1:{port}"}
    with stdout.open("wb") as out, stderr.open("wb") as err:
        process = subprocess.Popen(
            [*SHAKEN, "serve", "--data-dir", str(folder / "data"), *options],
            cwd=folder,
            env=environment(**address, **(settings or {})),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
    return Service(process, port, folder / "data", stdout, stderr)


def _has_socket(process: int, inode: str) -> bool:
    with suppress(FileNotFoundError):  # ended meanwhile
        for each in Path(f"/proc/{process}/fd").iterdir():
            with suppress(FileNotFoundError):  # closed meanwhile
                if str(each.readlink()) == f"socket:[{inode}]":
                    return True
    return False


@contextmanager
def running(
    folder: Path, *options: str, port: int | None = None, settings: dict[str, str] | None = None
) -> Iterator[Service]:
    """Run the service for a while; it must come up, end by SIGTERM, and end well."""
    service = start(folder, *options, port=port, settings=settings)
    try:
        service.wait_until_ready()
        yield service
        if service.process.poll() is None:
            service.end()
    finally:
        if service.process.poll() is None:
            service.kill()


def seed_credential(data: Path, *, role: Role, name: str = "seed") -> str:
    """Make a store with one credential for all tenants, before any service runs on it."""
    secret = new_secret()
    database = prepare(load_config(None, {}), data).open_database()
    with database.changing() as change:
        add_credential(change, Credential(name, role, digest_of(secret), None, None, ()), now=0)
    database.close()
    return secret


def is_alive(pid: int) -> bool:
    """Say whether a process runs; one that only waits to be reaped does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def read_demo(data: Path) -> dict[str, Any]:
    """Read `demo.json` of a data folder."""
    document: dict[str, Any] = json.loads((data / "demo.json").read_text())
    return document
