"""sipp as PBX and as carrier, each at an address of its own on loopback."""

import shutil
import signal
import socket
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.ports import free_port
from tests.system.listener import child
from tests.system.process import DEADLINE_SECONDS, until

SCENARIOS = Path(__file__).parent / "sipp"

PLAIN = "Subject: a call;of;no;matter"
"""Stands in a call where others have their Identity."""

BUFFER = "4194304"
"""Bytes of a UDP socket: what comes while sipp waits for a processor is not to be lost."""

_OPTIONS = (
    "OPTIONS sip:127.0.0.1:{port} SIP/2.0\r\n"
    "Via: SIP/2.0/UDP 127.0.0.1:{own};rport;branch=z9hG4bKup{own}\r\n"
    "Max-Forwards: 70\r\nFrom: <sip:test@127.0.0.1>;tag=up\r\nTo: <sip:127.0.0.1>\r\n"
    "Call-ID: up-{own}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
)


@dataclass(frozen=True)
class Called:
    """What a callee wrote down of one call; empty where there was no such header field."""

    caller: str
    called: str
    identity: str
    asserted: str
    attest: str
    origid: str
    reason: str


@dataclass(frozen=True)
class Party:
    """A PBX or carrier, at an address where one sipp can answer."""

    name: str
    host: str
    port: int
    folder: Path

    @classmethod
    def at(cls, host: str, name: str, folder: Path) -> "Party":
        """Take a free port of the host."""
        return cls(name, host, free_port(host), folder)

    @contextmanager
    def answering(self, *, scenario: str = "callee") -> Iterator["Answers"]:
        """Answer calls for a while."""
        log = self.folder / f"{self.name}-{scenario}.log"
        words = (
            *(_sipp(), "-sf", SCENARIOS / f"{scenario}.xml", "-i", self.host, "-p", str(self.port)),
            *("-nostdin", "-trace_logs", "-log_file", log, "-buff_size", BUFFER),
        )
        output = self.folder / f"{self.name}-{scenario}.txt"
        with child(*words, log=output, TERM="dumb") as process:
            _wait_until_bound(self.host, self.port)
            yield Answers(process, log, output)

    def call(self, proxy: int, rows: Sequence[str], *, rate: int, scenario: str = "caller") -> None:
        """Make calls through a proxy on 127.0.0.1, so many a second; each must succeed."""
        listed, errors = self.folder / f"{self.name}.csv", self.folder / f"{self.name}-calls.log"
        listed.write_text("\n".join(("SEQUENTIAL", *rows)) + "\n")
        run = subprocess.run(
            (
                *(
                    _sipp(),
                    f"127.0.0.1:{proxy}",
                    "-sf",
                    SCENARIOS / f"{scenario}.xml",
                    "-i",
                    self.host,
                ),
                *("-p", str(free_port(self.host)), "-inf", listed, "-m", str(len(rows))),
                *(
                    "-r",
                    str(rate),
                    "-l",
                    str(4 * rate),
                    "-nostdin",
                    "-timeout",
                    "90",
                    "-buff_size",
                    BUFFER,
                ),
                *("-timeout_error", "-trace_err", "-error_file", errors),
                # Where much waits for a processor a 100 comes once more behind the 200. A call that
                # is refused still fails: it waits for its 200 in vain.
                *("-default_behaviors", "all,-abortunexp"),
            ),
            cwd=self.folder,
            env={"TERM": "dumb"},
            capture_output=True,
            timeout=2 * DEADLINE_SECONDS,
            check=False,
        )
        said = errors.read_text("latin-1")[-3000:] if errors.exists() else ""
        assert run.returncode == 0, f"{run.stdout.decode('latin-1')[-3000:]}\n{said}"


@dataclass(frozen=True)
class Answers:
    """A callee at work."""

    process: "subprocess.Popen[bytes]"
    log: Path
    output: Path

    def all(self) -> list[Called]:
        """Wait until all calls are over, and tell what came with them."""
        self.process.send_signal(signal.SIGUSR1)
        code = self.process.wait(DEADLINE_SECONDS)
        assert code == 0, self.output.read_text("latin-1")[-3000:]
        return list(self._read())

    def _read(self) -> Iterable[Called]:
        for line in self.log.read_text("latin-1").splitlines():
            if line.count("|") == 6:
                yield Called(*(part.strip() for part in line.split("|")))


@contextmanager
def kamailio(settings: Path, port: int) -> Iterator[Path]:
    """Run Kamailio with settings for a while; what it says is in the file."""
    program = shutil.which("kamailio", path="/usr/sbin:/usr/bin:/usr/local/sbin")
    assert program, "kamailio is missing: install the Debian package"
    folder, log = settings.parent, settings.parent / "kamailio.log"
    words = (program, "-f", settings, "-DD", "-E", "-Y", folder, "-m", "64")
    with child(*words, log=log) as process:
        for _ in until("kamailio answers"):
            if _answers(port):
                break
            assert process.poll() is None, log.read_text()
        yield log


def _answers(port: int) -> bool:
    """Say whether a SIP server on 127.0.0.1 answers OPTIONS with 200."""
    with socket.socket(type=socket.SOCK_DGRAM) as client:
        client.bind(("127.0.0.1", 0))
        client.settimeout(0.2)
        client.connect(("127.0.0.1", port))
        try:
            client.send(_OPTIONS.format(port=port, own=client.getsockname()[1]).encode())
            return client.recv(4096).startswith(b"SIP/2.0 200 ")
        except OSError:
            return False


def _wait_until_bound(host: str, port: int) -> None:
    """Wait until somebody has the UDP port."""
    for _ in until(f"somebody listens on {host}:{port}"):
        with socket.socket(type=socket.SOCK_DGRAM) as probe:
            try:
                probe.bind((host, port))
            except OSError:
                return


def _sipp() -> str:
    program = shutil.which("sipp")
    assert program, "sipp is missing: install the Debian package sip-tester"
    return program
