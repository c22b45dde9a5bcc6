"""A TLS listener of another make, the agent beside it, and clients that notice each lost answer."""

import hashlib
import http.client
import os
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.system.caller import Caller
from tests.system.process import DEADLINE_SECONDS, SHAKEN, Service, environment, until
from trust.authority import Authority, Issued

EXAMPLES = Path(__file__).parents[2] / "examples"

NAME = "pbx.example.com"

HAPROXY_ROOT = Path("/var/lib/haproxy")
"""The root folder that Debian's package makes for HAProxy."""

PIECES, PIECE = 40, b"x" * 4096
"""A long download: so many pieces, the last one when the test lets go."""

NGINX_MAIN = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
worker_processes 2;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/{site};
}}
"""
"""Settings of an nginx that keeps to a folder and serves a site of `examples`."""


def example(path: str, *, places: Mapping[str, object]) -> str:
    """Read a file of `examples`, with what stands there for places and ports replaced by ours."""
    text = (EXAMPLES / path).read_text()
    for theirs, ours in places.items():
        assert theirs in text, theirs
        text = text.replace(theirs, str(ours))
    return text


def haproxy_example(name: str, *, places: Mapping[str, object]) -> str:
    """Read an example for HAProxy, which only root can have leave its user and its root folder."""
    text = example(f"haproxy/{name}", places=places)
    if os.geteuid() == 0 and HAPROXY_ROOT.is_dir():
        return text
    leaving = ("user ", "group ", "chroot ")
    return "".join(
        line for line in text.splitlines(keepends=True) if not line.strip().startswith(leaving)
    )


def owners_of_children(process: "subprocess.Popen[bytes]") -> set[int]:
    """Return the users that a program's child processes run as, of which it must have some."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert children
    return {Path(f"/proc/{child}").stat().st_uid for child in children}


class Backend:
    """A web server behind the listener; `/long` ends when `let_go` is set."""

    def __init__(self) -> None:
        self.let_go = threading.Event()
        backend = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                pieces = PIECES if self.path == "/long" else 1
                self.send_response(200)
                self.send_header("Content-Length", str(pieces * len(PIECE)))
                self.end_headers()
                for number in range(pieces):
                    if pieces > 1 and number == pieces - 1:
                        backend.let_go.wait(DEADLINE_SECONDS)
                    self.wfile.write(PIECE)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port

    @contextmanager
    def running(self) -> Iterator["Backend"]:
        """Serve for a while."""
        thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield self
        finally:
            self.let_go.set()
            self.server.shutdown()
            thread.join()
            self.server.server_close()


@contextmanager
def child(
    *arguments: str | Path, log: Path, **settings: str
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a program beside the test, ended by SIGTERM or, if it does not, killed."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*map(str, arguments)],
            env=environment(**settings),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(DEADLINE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@dataclass(frozen=True)
class WatchingAgent:
    """A process of `shaken deploy --watch`."""

    process: "subprocess.Popen[bytes]"
    log: Path

    def said(self) -> str:
        """Return all that it printed."""
        return self.log.read_text()

    def wait_until_it_says(self, text: str) -> None:
        """Wait for a text in what it prints."""
        for _ in until(f"the agent says {text!r}"):
            if text in self.said():
                return
            assert self.process.poll() is None, self.said()

    def end(self) -> None:
        """End it as systemd does; it must end well."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(DEADLINE_SECONDS) == 0, self.said()
        assert self.said().endswith("ended\n")
        assert "Traceback" not in self.said()


@contextmanager
def agent(
    service: Service, secret: str, *options: str | Path, log: Path
) -> Iterator[WatchingAgent]:
    """Run `shaken deploy --watch` for a while."""
    words = (*SHAKEN, "deploy", "--server-name", NAME, "--watch", *options)
    settings = {"SHAKEN_URL": service.url, "SHAKEN_TOKEN": secret}
    with child(*words, log=log, **settings) as process:
        yield WatchingAgent(process, log)


def two_certificates(now: datetime) -> tuple[Issued, Issued]:
    """Issue two certificates for the name, the second of them the better."""
    ca = Authority.create("Root", now=now).intermediate("Intermediate", now=now)
    return (
        ca.issue_server([NAME], now=now),
        ca.issue_server([NAME], now=now, lifetime=timedelta(days=400)),
    )


def upload(admin: Caller, issued: Issued, *, kind: str) -> None:
    """Give the service a certificate."""
    body = {"kind": kind, "certificate": issued.chain_pem, "private_key": issued.key_pem}
    answer = admin.post("/api/v1/certificates", body)
    assert answer.status == 201, answer


def wait_until_up(port: int) -> None:
    """Wait until a listener makes handshakes."""
    for _ in until("the listener is up"):
        try:
            presented(port)
        except OSError:
            continue
        return


def connected(port: int) -> ssl.SSLSocket:
    """Make a TLS connection as a client that asks for the name does."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    plain = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_SECONDS)
    return context.wrap_socket(plain, server_hostname=NAME)


def presented(port: int) -> str:
    """Return the fingerprint of what is presented in a new handshake."""
    with connected(port) as connection:
        return fingerprint(connection)


def fingerprint(connection: ssl.SSLSocket) -> str:
    """Return the fingerprint of what was presented in this connection's handshake."""
    return hashlib.sha256(connection.getpeercert(binary_form=True) or b"").hexdigest()


def get(connection: ssl.SSLSocket, path: str = "/") -> http.client.HTTPResponse:
    """Ask over a connection; return the answer, its body yet to be read."""
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode())
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    assert answer.status == 200
    return answer


def wait_until_presented(port: int, expected: str) -> None:
    """Wait until new handshakes show this fingerprint."""
    for _ in until(f"{expected} is presented"):
        if presented(port) == expected:
            return


@dataclass
class Clients:
    """Clients that keep asking, each over new connections, and what they met."""

    port: int
    seen: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    _ended: threading.Event = field(default_factory=threading.Event)

    def _ask(self) -> None:
        while not self._ended.is_set():
            try:
                with connected(self.port) as connection:
                    self.seen.append(fingerprint(connection))
                    assert get(connection).read() == PIECE
            except Exception as error:  # noqa: BLE001 - each is a call that was lost
                self.failures.append(repr(error))

    @contextmanager
    def asking(self) -> Iterator["Clients"]:
        """Keep asking for a while."""
        threads = [threading.Thread(target=self._ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            for _ in until("clients are at work"):
                if len(self.seen) > 10 or self.failures:
                    break
            yield self
        finally:
            self._ended.set()
            for thread in threads:
                thread.join()

    def go_on(self) -> None:
        """Wait for some more answers: a connection that is lost late is noticed too."""
        enough = len(self.seen) + 30
        for _ in until("clients have more answers"):
            if len(self.seen) >= enough or self.failures:
                return


class Regular:
    """A client that keeps its connection and asks again and again."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.connection = connected(port)
        self.connections = 1

    def ask(self) -> None:
        """Ask once. A connection that the server closed in good order is made anew."""
        try:
            answer = get(self.connection)
        except (http.client.RemoteDisconnected, ConnectionError, ssl.SSLEOFError):
            self._again()
            answer = get(self.connection)
        assert answer.read() == PIECE
        if answer.will_close:
            self._again()

    def close(self) -> None:
        """End its connection."""
        self.connection.close()

    def _again(self) -> None:
        self.connection.close()
        self.connection = connected(self._port)
        self.connections += 1


@contextmanager
def repeating(action: Callable[[], None]) -> Iterator[list[str]]:
    """Do something again and again meanwhile; what fails is in the list."""
    failures: list[str] = []
    ended = threading.Event()

    def work() -> None:
        while not ended.is_set():
            try:
                action()
            except Exception as error:  # noqa: BLE001 - the test tells
                failures.append(repr(error))
                return
            time.sleep(0.005)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield failures
    finally:
        ended.set()
        thread.join()
