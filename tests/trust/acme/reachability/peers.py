"""What the self-check meets, real and on the loopback: a DNS server with a zone, web servers."""

import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from tests.ports import free_port
from tests.trust.acme import nameservers
from trust.authority import self_signed

ZONE_HEAD = """
@ SOA ns hostmaster 1 3600 600 86400 60
@ NS ns
ns A 127.0.0.1
"""


@contextmanager
def knot(records: str) -> Iterator[int]:
    """Serve the zone `test.` with these records by Knot DNS; yields the port."""
    with nameservers.knot(
        "127.0.0.1", free_port("127.0.0.1"), {"test": ZONE_HEAD + records}
    ) as server:
        yield server.port


@dataclass(frozen=True)
class Page:
    """What a web server answers."""

    body: bytes = b""
    status: int = 200
    location: str | None = None


@dataclass
class Web:
    """A web server on the loopback: pages by Host header and path."""

    pages: dict[tuple[str, str], Page] = field(default_factory=dict)
    server: str = "nginx/1.22.1"
    asked: list[tuple[str, str]] = field(default_factory=list)
    port: int = 0

    @contextmanager
    def serving(
        self, address: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
    ) -> Iterator["Web"]:
        """Serve for a while, over TLS where there is a context."""
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                host = self.headers["Host"]
                web.asked.append((host, self.path))
                page = web.pages.get((host, self.path), Page(b"not here", 404))
                self.send_response(page.status)
                self.send_header("Content-Length", str(len(page.body)))
                if page.location is not None:
                    self.send_header("Location", page.location)
                self.end_headers()
                self.wfile.write(page.body)

            def version_string(self) -> str:
                return web.server

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        class Server(ThreadingHTTPServer):
            address_family = socket.AF_INET6 if ":" in address else socket.AF_INET

            def handle_error(self, *_: object) -> None:
                """Say nothing: clients go away when they have seen enough."""

        with Server((address, port), Handler) as server:
            if tls is not None:
                server.socket = tls.wrap_socket(server.socket, server_side=True)
            self.port = server.server_port
            thread = threading.Thread(target=server.serve_forever, args=(0.02,))
            thread.start()
            try:
                yield self
            finally:
                server.shutdown()
                thread.join()


def self_signed_context(folder: Path) -> ssl.SSLContext:
    """Return a TLS server's context with a certificate that nobody trusts, and that is over."""
    now = datetime.now(UTC)
    issued = self_signed(["localhost"], now=now - timedelta(days=9), lifetime=timedelta(days=1))
    file = folder / "server.pem"
    file.write_text(issued.chain_pem + issued.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


@contextmanager
def raw_server(*pieces: bytes, pause: float = 0.0) -> Iterator[int]:
    """Send pieces to whoever connects, with pauses, and close; yields the port.

    Without pieces nothing is ever accepted, though the machine makes the connection.
    """
    ended = threading.Event()

    def serve() -> None:
        while not ended.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                try:
                    connection.recv(65536)
                    for piece in pieces:
                        connection.sendall(piece)
                        if ended.wait(pause):
                            return
                except OSError:
                    continue

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        if pieces:
            thread.start()
        try:
            yield int(listener.getsockname()[1])
        finally:
            ended.set()
            if pieces:
                listener.shutdown(socket.SHUT_RDWR)
                thread.join()


@contextmanager
def clumsy_dns(answered: str) -> Iterator[int]:
    """Answer questions of one type with one address, and fail for others; yields the port."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            data, answering = self.request
            question = dns.message.from_wire(data)
            response = dns.message.make_response(question)
            asked = question.question[0]
            if dns.rdatatype.to_text(asked.rdtype) == answered:
                response.answer.append(
                    dns.rrset.from_text(asked.name, 60, "IN", answered, "192.0.2.1")
                )
            else:
                response.set_rcode(dns.rcode.SERVFAIL)
            answering.sendto(response.to_wire(), self.client_address)

    with socketserver.UDPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()
