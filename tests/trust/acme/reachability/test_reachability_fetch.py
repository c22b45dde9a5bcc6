"""One GET at one address: its bounds, and what is told apart when there is no answer."""

import socket
import time
from ipaddress import ip_address
from pathlib import Path

import pytest

from tests.trust.acme.reachability.peers import Page, Web, raw_server, self_signed_context
from trust.acme.fetch import MAX_BODY, Answer, Failure, GetError, Target, get

OK = b"HTTP/1.1 200 OK\r\n"


def target(port: int, *, scheme: str = "http", address: str = "127.0.0.1") -> Target:
    return Target(scheme, "name.test", ip_address(address), port, "/path?query")


def failure(asked: Target, *, seconds: float = 10) -> Failure:
    with pytest.raises(GetError) as raised:
        get(asked, seconds=seconds)
    assert str(raised.value) == raised.value.detail
    return raised.value.failure


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_the_very_address_is_asked_for_the_name(address: str) -> None:
    with Web().serving(address) as web:
        web.pages[f"name.test:{web.port}", "/path?query"] = Page(b"hello", 302, "/there")

        answer = get(target(web.port, address=address), seconds=10)

    assert answer == Answer(302, "nginx/1.22.1", "/there", b"hello")


def test_a_certificate_is_not_looked_at(tmp_path: Path) -> None:
    with Web().serving(tls=self_signed_context(tmp_path)) as web:
        web.pages[f"name.test:{web.port}", "/path?query"] = Page(b"hello")

        answer = get(target(web.port, scheme="https"), seconds=10)

    assert answer.body == b"hello"


@pytest.mark.parametrize(
    ("scheme", "port", "authority"),
    [
        ("http", 80, "name.test"),
        ("https", 443, "name.test"),
        ("http", 443, "name.test:443"),
        ("https", 80, "name.test:80"),
    ],
)
def test_the_usual_port_is_not_named(scheme: str, port: int, authority: str) -> None:
    asked = target(port, scheme=scheme)

    assert (asked.authority, asked.url) == (authority, f"{scheme}://{authority}/path?query")


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param((OK + b"\r\n", b"x" * MAX_BODY, b"x" * 100_000), id="to the end"),
        pytest.param((OK + b"Content-Length: 9999999\r\n\r\n" + b"x" * MAX_BODY,), id="announced"),
    ],
)
def test_no_more_of_a_body_is_read_than_the_bound(pieces: tuple[bytes, ...]) -> None:
    with raw_server(*pieces) as port:
        assert get(target(port), seconds=10) == Answer(200, None, None, b"x" * MAX_BODY)


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        pytest.param((b"",), Failure.CLOSED, id="closed"),
        pytest.param((b"SIP/2.0 405 Method Not Allowed\r\n\r\n",), Failure.NOT_HTTP, id="SIP"),
        pytest.param((b"\x15\x03\x01\x00\x02\x02\x46",), Failure.NOT_HTTP, id="TLS"),
        pytest.param((b"HTTP/1.1 200 " + b"x" * 70_000,), Failure.NOT_HTTP, id="a long line"),
        pytest.param((OK + b"A: b\r\n" * 200 + b"\r\n",), Failure.NOT_HTTP, id="many fields"),
    ],
)
def test_what_is_no_answer_is_told_apart(pieces: tuple[bytes, ...], expected: Failure) -> None:
    with raw_server(*pieces) as port:
        assert failure(target(port)) is expected


def test_a_port_without_tls_is_told_apart() -> None:
    with raw_server(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        assert failure(target(port, scheme="https")) is Failure.NOT_TLS


def test_a_connection_that_is_refused_is_told_apart() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]

    assert failure(target(port)) is Failure.REFUSED


@pytest.mark.parametrize(
    ("pieces", "pause"),
    [
        pytest.param((), 0, id="nothing"),
        pytest.param((OK, *[b"A: b\r\n"] * 1000), 0.05, id="fields without end"),
        pytest.param((OK + b"Content-Length: 999\r\n\r\n", *[b"x"] * 999), 0.05, id="a slow body"),
        pytest.param((OK + b"\r\n", *[b"x"] * 999), 0.05, id="a slow body of no length"),
        pytest.param([b"HTTP/1.1 100 Continue\r\n\r\n"] * 999, 0.05, id="continue"),
    ],
)
def test_an_answer_that_trickles_in_ends_with_its_time(
    pieces: tuple[bytes, ...], pause: float
) -> None:
    with raw_server(*pieces, pause=pause) as port:
        begin = time.monotonic()
        assert failure(target(port), seconds=0.4) is Failure.TIMEOUT
        assert time.monotonic() - begin < 10


def test_a_connection_that_is_not_made_ends_with_its_time() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):  # the queue is full with it
            assert failure(target(port), seconds=0.4) is Failure.TIMEOUT


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        (OSError(101, "Network is unreachable"), Failure.NO_ROUTE),
        (OSError(97, "Address family not supported by protocol"), Failure.NO_ROUTE),
        (OSError(113, "No route to host"), Failure.UNREACHABLE),
        (ConnectionResetError(104, "Connection reset by peer"), Failure.CLOSED),
    ],
)
def test_a_machine_without_a_route_is_told_apart(
    monkeypatch: pytest.MonkeyPatch, reason: OSError, expected: Failure
) -> None:
    def unconnected(*_: object) -> socket.socket:
        raise reason

    monkeypatch.setattr(socket, "create_connection", unconnected)

    assert failure(target(80)) is expected
