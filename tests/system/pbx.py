"""PBXs that ask by SIP: sipp, and a client for single requests over UDP, TCP and TLS."""

import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from sip.message import Response
from sip.parsing import parse

ORIG, DEST = "+12155550100", "+12155550199"
SCENARIOS = Path(__file__).parent / "sipp"
TIMEOUT_SECONDS = 30


def request(
    method: str = "INVITE",
    *,
    host: str = "service.example.com",
    caller: str = f"<sip:{ORIG}@pbx.example.com;user=phone>",
    branch: str | None = None,
    more: Sequence[str] = (),
) -> bytes:
    """Write a request of the usual call with more header fields; each is another transaction."""
    unique = branch or f"z9hG4bK{uuid4().hex}"
    lines = (
        f"{method} sip:{DEST}@{host};user=phone SIP/2.0",
        f"Via: SIP/2.0/UDP 127.0.0.1:5999;branch={unique};rport",
        "Max-Forwards: 70",
        f"From: {caller};tag=1",
        f"To: <sip:{DEST}@{host};user=phone>",
        f"Call-ID: {unique}@pbx.example.com",
        f"CSeq: 1 {method}",
        *more,
        "Content-Length: 0",
    )
    return "\r\n".join((*lines, "", "")).encode()


class Pbx:
    """A connected socket that sends requests."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def ask(self, data: bytes) -> Response:
        """Send a request; return the final response to it."""
        self.send(data)
        while True:
            response = self.receive()
            if response.status >= 200:
                return response

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self._sock.sendall(data)

    def receive(self) -> Response:
        """Take one response."""
        response = parse(self.raw())
        assert isinstance(response, Response)
        return response

    def raw(self, data: bytes = b"") -> bytes:
        """Send bytes, if any; take those of one response."""
        if data:
            self.send(data)
        received = self._sock.recv(65536)
        if self._sock.type == socket.SOCK_STREAM:
            while not received.endswith(b"\r\n\r\n"):  # no body is ever sent
                more = self._sock.recv(65536)
                if not more:
                    raise ConnectionResetError("the connection was closed within a response")
                received += more
        return received


@contextmanager
def over_udp(port: int, *, source: str = "127.0.0.1") -> Iterator[Pbx]:
    """Send datagrams from an address of the loopback."""
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.settimeout(TIMEOUT_SECONDS)
        sock.bind((source, 0))
        sock.connect(("127.0.0.1", port))
        yield Pbx(sock)


@contextmanager
def over_tcp(port: int) -> Iterator[Pbx]:
    """Open a connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_SECONDS) as sock:
        yield Pbx(sock)


@contextmanager
def over_tls(
    port: int, name: str | None, context: ssl.SSLContext
) -> Iterator[tuple[Pbx, ssl.SSLSocket]]:
    """Open a connection in TLS that asks for a name; gives what may be asked about it, too."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_SECONDS) as plain,
        context.wrap_socket(plain, server_hostname=name) as sock,
    ):
        yield Pbx(sock), sock


def sipp(
    scenario: str, port: int, folder: Path, *, calls: int, transport: str, inject: str = ""
) -> list[str]:
    """Run a scenario against a port, once for each call, and return what it wrote down.

    `inject` holds the fields of each call, one line for each.
    """
    program = shutil.which("sipp")
    assert program, "sipp is missing: install the Debian package sip-tester"
    folder.mkdir()
    options: tuple[str, ...] = ()
    if inject:
        (folder / "calls.csv").write_text(f"SEQUENTIAL\n{inject}\n")
        options = ("-inf", "calls.csv")
    run = subprocess.run(
        [
            *(program, f"127.0.0.1:{port}", "-sf", str(SCENARIOS / f"{scenario}.xml")),
            *("-i", "127.0.0.1", "-t", transport, "-m", str(calls), "-r", "100"),
            *("-l", str(2 * calls), "-nostdin", "-trace_err", "-trace_logs"),
            *("-timeout", "60", "-timeout_error", *options),
        ],
        cwd=folder,
        env={"TERM": "dumb"},
        capture_output=True,
        timeout=90,
        check=False,
    )
    errors = "".join(file.read_text("latin-1") for file in folder.glob("*_errors.log"))
    assert run.returncode == 0, f"{run.stdout.decode('latin-1')[-2000:]}\n{errors[-2000:]}"
    (log,) = folder.glob("*_logs.log")
    return log.read_text().splitlines()
