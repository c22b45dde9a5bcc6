"""A stand-in for the service that offers to listeners what a test tells it to."""

import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Condition, Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

from trust.authority import Issued


def answer(issued: Issued, *, chosen: str = "domain", **other: object) -> bytes:
    """Write what the service answers to a listener; `other` members take the place of its own."""
    document: dict[str, Any] = {
        "certificate": issued.chain_pem,
        "private_key": issued.key_pem,
        "fingerprint": issued.certificate.fingerprint,
        "not_after": issued.certificate.not_after.isoformat(),
        "chosen": chosen,
    }
    return json.dumps({**document, **other}).encode()


@dataclass
class ListenerService:
    """What is answered for each name: a status and a body; the ETag is made of the body."""

    answers: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    asked: list[dict[str, str]] = field(default_factory=list)
    url: str = ""
    ended: bool = False
    changed: Condition = field(default_factory=Condition)

    def offer(self, name: str, issued: Issued, **members: Any) -> None:
        """Offer a certificate for a name from now on."""
        self._answer(name, 200, answer(issued, **members))

    def refuse(self, name: str, status: int, slug: str) -> None:
        """Refuse a name from now on."""
        document = {"type": slug, "title": "No", "status": status, "detail": f"it is {slug}"}
        self._answer(name, status, json.dumps(document).encode())

    def _answer(self, name: str, status: int, body: bytes) -> None:
        with self.changed:
            self.answers[name] = (status, body)
            self.changed.notify_all()

    def etag(self, name: str) -> str:
        """Return the ETag of what is offered for a name."""
        return f'"{hash(self.answers[name]):x}"'

    def wait_for_news(self, name: str, known: str, seconds: int) -> None:
        """Hold an answer as the service does."""
        with self.changed:
            self.changed.wait_for(lambda: self.ended or self.etag(name) != known, seconds)

    def end(self) -> None:
        """Hold no answer any more."""
        with self.changed:
            self.ended = True
            self.changed.notify_all()


@contextmanager
def serving(tls: ssl.SSLContext | None = None) -> Iterator[ListenerService]:
    """Run a stand-in on a free port."""
    service = ListenerService()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            (name,) = parse_qs(urlsplit(self.path).query)["server_name"]
            service.asked.append(dict(self.headers.items()))
            known, prefer = self.headers["If-None-Match"], self.headers["Prefer"]
            if known and prefer:
                service.wait_for_news(name, known, int(prefer.removeprefix("wait=")))
            status, body = service.answers[name]
            etag = service.etag(name)
            if known == etag:
                status, body = 304, b""
            self.send_response(status)
            self.send_header("ETag", etag)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        service.url = f"http{'s' if tls else ''}://127.0.0.1:{server.server_port}"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield service
        finally:
            service.end()
            server.shutdown()
            thread.join()
