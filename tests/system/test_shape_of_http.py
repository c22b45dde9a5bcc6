"""HTTP as bytes: what a careless, an old or a hostile client sends, and what comes back."""

import gzip
import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from typing import Any

import pytest

from tests.system.caller import CALL, Caller
from tests.system.process import Service, read_demo, running

BODY = json.dumps({"signingRequest": CALL}).encode()

MAX_STIR_BODY = 64 * 1024
MAX_API_BODY = 1024 * 1024


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("http"), "--demo") as started:
        yield started


@pytest.fixture(scope="module")
def demo(service: Service) -> dict[str, Any]:
    return read_demo(service.data)


@dataclass(frozen=True)
class Response:
    """One response; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Wire:
    """A connection as bytes."""

    socket: socket.socket
    reader: BufferedReader

    def send(self, text: bytes) -> None:
        self.socket.sendall(text)

    def receive(self, *, has_body: bool = True) -> Response:
        """Read one response."""
        status = self.reader.readline().split(b" ")
        assert status[0].startswith(b"HTTP/1."), status
        headers = {}
        while (line := self.reader.readline().decode("latin-1").rstrip("\r\n")) != "":
            name, _, text = line.partition(":")
            headers[name.lower()] = text.strip()
        length = int(headers.get("content-length", "0")) if has_body else 0
        return Response(int(status[1]), headers, self.reader.read(length))

    def is_closed(self) -> bool:
        """Wait for the end of the connection; say whether nothing came before it."""
        try:
            return self.reader.read() == b""
        except ConnectionResetError:
            return True


@contextmanager
def connected(service: Service) -> Iterator[Wire]:
    with (
        socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection,
        connection.makefile("rb") as reader,
    ):
        yield Wire(connection, reader)


@pytest.fixture
def wire(service: Service) -> Iterator[Wire]:
    with connected(service) as opened:
        yield opened


def head(
    demo: dict[str, Any], *lines: str, path: str = "/stir/v1/signing", who: str = "signer"
) -> bytes:
    """Write the head of a request that a credential of the demo makes."""
    usual = [
        f"POST {path} HTTP/1.1",
        "Host: pbx.example.com",
        f"Authorization: Bearer {demo[who]['secret']}",
        "Content-Type: application/json",
    ]
    return "\r\n".join([*usual, *lines, "", ""]).encode("latin-1")


def signing(demo: dict[str, Any], *lines: str) -> bytes:
    """Write a whole signing request."""
    return head(demo, f"Content-Length: {len(BODY)}", *lines) + BODY


def message_id(response: Response) -> str:
    error = response.json()["requestError"]
    found: str = next(iter(error.values()))["messageId"]
    return found


def test_a_chunked_body_without_a_length_is_asked_for_its_length(
    wire: Wire, demo: dict[str, Any]
) -> None:
    chunk = f"{len(BODY):x}\r\n".encode() + BODY + b"\r\n0\r\n\r\n"

    wire.send(head(demo, "Transfer-Encoding: chunked") + chunk)

    response = wire.receive()
    assert (response.status, message_id(response)) == (411, "SVC4007")
    wire.send(signing(demo))
    assert wire.receive().status == 200


def test_a_request_without_any_length_is_asked_for_it(wire: Wire, demo: dict[str, Any]) -> None:
    wire.send(head(demo))

    response = wire.receive()

    assert (response.status, message_id(response)) == (411, "SVC4007")


def test_a_body_of_no_bytes_is_missing(wire: Wire, demo: dict[str, Any]) -> None:
    wire.send(head(demo, "Content-Length: 0"))

    response = wire.receive()

    assert (response.status, message_id(response)) == (400, "SVC4000")


@pytest.mark.parametrize("pieces", [1, 2])
@pytest.mark.parametrize(
    ("path", "who"), [("/stir/v1/signing", "signer"), ("/stir/v1/verification", "verifier")]
)
def test_a_compressed_body_is_refused_as_such_however_it_comes(
    wire: Wire, demo: dict[str, Any], path: str, who: str, pieces: int
) -> None:
    body = gzip.compress(BODY)
    lines = (f"Content-Length: {len(body)}", "Content-Encoding: gzip")
    text = head(demo, *lines, path=path, who=who) + body
    wire.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    wire.send(text[: len(text) // pieces])
    wire.send(text[len(text) // pieces :])

    response = wire.receive()
    assert (response.status, message_id(response)) == (415, "SVC4004")
    assert "without Content-Encoding" in response.json()["detail"]
    wire.send(signing(demo))
    assert wire.receive().status == 200


GARBAGE = {
    "control characters": b"\x00\x01\x02\x03\r\n\r\n",
    "a TLS hello": bytes.fromhex("16030100c8010000c40303") + b"\x5a" * 192,
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "half a line": b"GET\r\n\r\n",
    "another protocol": b"INVITE sip:alice@example.com SIP/2.0\r\n\r\n",
    "no header": b"GET /healthz HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n",
    "a space before the colon": b"GET /healthz HTTP/1.1\r\nHost : a\r\n\r\n",
    "a NUL in a header": b"GET /healthz HTTP/1.1\r\nHost: a\x00b\r\n\r\n",
    "a negative length": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    "a length in words": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ten\r\n\r\n",
    "a length with a sign": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello",
    "two lengths": (
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!"
    ),
    "a length and chunks": (
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"0\r\n\r\n"
    ),
    "a bad chunk": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
}


@pytest.mark.parametrize("case", GARBAGE)
def test_what_is_no_http_is_refused_and_the_service_lives(
    service: Service, wire: Wire, case: str
) -> None:
    wire.send(GARBAGE[case])

    response = wire.receive()

    assert response.status == 400
    assert wire.is_closed()
    assert Caller(service.url).get("/healthz").status == 200
    assert service.stderr.read_text() == ""


def test_a_secret_in_a_request_that_is_no_http_is_not_logged(
    service: Service, wire: Wire, demo: dict[str, Any]
) -> None:
    wire.send(signing(demo, "X-Bad: \x00").replace(b"\r\nContent-Type", b"\x00\r\nContent-Type"))

    assert wire.receive().status == 400
    assert demo["signer"]["secret"] not in service.stderr.read_text()


def test_a_client_that_goes_away_in_mid_request_leaves_no_trace(
    service: Service, demo: dict[str, Any]
) -> None:
    to_admin = head(demo, "Content-Length: 9", path="/api/v1/tenants", who="admin")
    for part in (signing(demo)[:40], signing(demo)[:-10], signing(demo), to_admin):
        with connected(service) as wire:
            wire.send(part)
    with connected(service) as wire:
        # The worker has the headers once it says so.
        wire.send(head(demo, "Content-Length: 9", "Expect: 100-continue"))
        assert wire.receive().status == 100

    assert Caller(service.url).get("/healthz").status == 200
    assert service.stderr.read_text() == ""


@pytest.mark.parametrize("length", [9_000, 70_000])
def test_an_oversized_header_line_is_refused(
    service: Service, wire: Wire, demo: dict[str, Any], length: int
) -> None:
    wire.send(signing(demo, f"X-Padding: {'x' * length}"))

    response = wire.receive()

    assert response.status in {400, 431}
    assert Caller(service.url).get("/healthz").status == 200


def test_an_oversized_path_is_refused(service: Service, wire: Wire) -> None:
    wire.send(b"GET /" + b"x" * 9_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n")

    assert wire.receive().status in {400, 414}
    assert Caller(service.url).get("/healthz").status == 200


def test_a_signing_body_is_read_up_to_its_bound_and_not_beyond(
    service: Service, demo: dict[str, Any]
) -> None:
    for length, status in ((MAX_STIR_BODY, 200), (MAX_STIR_BODY + 1, 413)):
        with connected(service) as wire:
            wire.send(head(demo, f"Content-Length: {length}") + BODY.ljust(length))

            assert wire.receive().status == status


def test_an_administration_body_is_read_up_to_its_bound_and_not_beyond(
    service: Service, demo: dict[str, Any]
) -> None:
    for length, status in ((MAX_API_BODY, 400), (MAX_API_BODY + 1, 413)):
        with connected(service) as wire:
            first = head(demo, f"Content-Length: {length}", path="/api/v1/tenants", who="admin")
            wire.send(first + b"{}".ljust(length))

            response = wire.receive()
            assert response.status == status
            assert response.headers["content-type"] == "application/problem+json"


def test_an_announced_giant_is_refused_before_it_is_sent(wire: Wire, demo: dict[str, Any]) -> None:
    wire.send(head(demo, "Content-Length: 99999999999"))

    assert wire.receive().status == 413


def test_requests_on_one_connection_are_answered_one_after_the_other(
    wire: Wire, demo: dict[str, Any]
) -> None:
    for number in range(5):
        wire.send(signing(demo, f"X-RequestID: {number}"))

        response = wire.receive()
        assert (response.status, response.headers["x-requestid"]) == (200, str(number))


def test_pipelined_requests_are_answered_in_their_order(wire: Wire, demo: dict[str, Any]) -> None:
    count = 20
    wire.send(b"".join(signing(demo, f"X-RequestID: {number}") for number in range(count)))

    responses = [wire.receive() for _ in range(count)]

    assert [response.status for response in responses] == [200] * count
    assert [response.headers["x-requestid"] for response in responses] == [*map(str, range(count))]


def test_a_refused_request_does_not_spoil_the_next_on_the_connection(
    wire: Wire, demo: dict[str, Any]
) -> None:
    wrong = signing(demo).replace(demo["signer"]["secret"].encode(), b"shk_wrong")

    wire.send(wrong + signing(demo))

    assert [wire.receive().status, wire.receive().status] == [401, 200]


def test_a_request_may_come_in_pieces(wire: Wire, demo: dict[str, Any]) -> None:
    text = signing(demo)
    wire.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for start in range(0, len(text), 50):
        wire.send(text[start : start + 50])

    assert wire.receive().status == 200


@pytest.mark.parametrize("old", [b"HTTP/1.0", b"close"])
def test_a_client_that_wants_the_connection_closed_has_it_closed(
    wire: Wire, demo: dict[str, Any], old: bytes
) -> None:
    text = signing(demo, "Connection: close") if old == b"close" else signing(demo)

    wire.send(text.replace(b"HTTP/1.1", old, 1) if old != b"close" else text)

    assert wire.receive().status == 200
    assert wire.is_closed()


def test_a_client_that_asks_first_is_told_to_go_on(wire: Wire, demo: dict[str, Any]) -> None:
    wire.send(head(demo, f"Content-Length: {len(BODY)}", "Expect: 100-continue"))
    assert wire.receive().status == 100

    wire.send(BODY)

    assert wire.receive().status == 200


def test_an_expectation_that_is_not_known_fails(wire: Wire, demo: dict[str, Any]) -> None:
    wire.send(head(demo, f"Content-Length: {len(BODY)}", "Expect: 200-tea"))

    assert wire.receive().status == 417


def test_head_of_a_published_chain_is_that_of_get_without_its_body(
    service: Service, wire: Wire, demo: dict[str, Any]
) -> None:
    (certificate,) = Caller(service.url, demo["admin"]["secret"]).items(
        "/api/v1/certificates?kind=sti"
    )
    path = f"/certificates/{certificate['id']}.pem"
    fetched = Caller(service.url).get(path)

    wire.send(f"HEAD {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    headed = wire.receive(has_body=False)
    wire.send(b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")

    assert headed.status == 200
    assert headed.headers["content-length"] == str(len(fetched.body))
    assert headed.headers["content-type"] == "application/pem-certificate-chain"
    assert headed.headers["cache-control"] == fetched.headers["cache-control"]
    assert wire.receive().json() == {"status": "ok"}
    assert wire.is_closed()
