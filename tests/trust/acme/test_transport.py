"""What an authority may do to us over HTTP: answers too large or too slow, other roots."""

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from trust.acme import transport
from trust.acme.authority_client import AuthorityClient, new_account_key
from trust.acme.problems import AuthorityFailed
from trust.authority import Authority

Answer = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def serving(answer: Answer, folder: Path) -> Iterator[tuple[str, str]]:
    """Serve HTTPS on loopback; give the URL, and the root in PEM."""
    now = datetime.now(UTC)
    authority = Authority.create("Root of an odd authority", now=now)
    issued = authority.issue_server(["localhost"], now=now)
    (folder / "server.pem").write_text(issued.chain_pem + issued.key_pem)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def log_message(self, *_: object) -> None:
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"https://localhost:{server.server_address[1]}/", authority.root_pem
        finally:
            server.shutdown()
            thread.join()


def refusal(answer: Answer, folder: Path) -> AuthorityFailed:
    with serving(answer, folder) as (url, roots), pytest.raises(AuthorityFailed) as failed:
        AuthorityClient(url, new_account_key(), roots=roots, clock=lambda: datetime.now(UTC))
    return failed.value


def body(text: bytes, *, status: int = 200, **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(text)

    return answer


def test_an_answer_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    most = b'{"a": "' + b"x" * (transport.MAX_ANSWER_BYTES - 9) + b'"}'
    assert len(most) == transport.MAX_ANSWER_BYTES

    assert "cannot be used" in str(refusal(body(most), tmp_path))
    assert "is larger than" in str(refusal(body(most + b" "), tmp_path))


def test_an_answer_that_takes_too_long_is_not_awaited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "ANSWER_SECONDS", 0.0)

    assert "takes more than" in str(refusal(body(b"{}"), tmp_path))


def test_an_authority_that_leads_to_plain_http_is_not_followed(tmp_path: Path) -> None:
    away = body(b"", status=302, Location="http://localhost/directory")

    assert "http://localhost/directory" in str(refusal(away, tmp_path))


def test_an_authority_that_leads_in_circles_is_left(tmp_path: Path) -> None:
    assert "redirects" in str(refusal(body(b"", status=302, Location="/"), tmp_path)).lower()


def test_an_error_without_a_document_is_told_by_its_status_and_its_retry_after(
    tmp_path: Path,
) -> None:
    failed = refusal(body(b"busy", status=503, Retry_After="120"), tmp_path)

    assert "HTTP 503 without saying why" in failed.problem.words
    assert failed.problem.retry_after is not None
    assert failed.problem.retry_after > datetime.now(UTC)


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'{"meta": 5}', b"<html>"])
def test_what_is_no_directory_is_told(text: bytes, tmp_path: Path) -> None:
    assert "cannot be used" in str(refusal(body(text), tmp_path))


def test_roots_of_the_environment_are_not_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(body(b"{}"), tmp_path) as (url, roots):
        (tmp_path / "roots.pem").write_text(roots)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "roots.pem"))
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "roots.pem"))

        with pytest.raises(AuthorityFailed, match="is not trusted"):
            AuthorityClient(url, new_account_key(), roots="", clock=lambda: datetime.now(UTC))
