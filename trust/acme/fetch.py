"""One GET at one address, as an authority makes it to validate http-01 (RFC 8555 §8.3).

The name is not resolved here: whoever checks a name says which of its addresses is asked. The
certificate of an https address is not looked at, since the name is there to get its first one.
"""

import errno
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from trust.acme.lookup import Address

MAX_BODY = 1024
"""Bytes that are read of an answer; a key authorization has some 90."""

DEFAULT_PORTS = {"http": 80, "https": 443}

_NO_ROUTE = {errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}


@dataclass(frozen=True, slots=True)
class Target:
    """What is asked for, and whom: `path` begins with a slash and may have a query."""

    scheme: str
    host: str
    address: Address
    port: int
    path: str

    @property
    def authority(self) -> str:
        """The host as the Host header has it (RFC 9110 §7.2)."""
        usual = self.port == DEFAULT_PORTS[self.scheme]
        return self.host if usual else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """The URL, by the name."""
        return f"{self.scheme}://{self.authority}{self.path}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a web server answered; header fields are None when they are missing."""

    status: int
    server: str | None
    location: str | None
    body: bytes


class Failure(StrEnum):
    """Why there was no answer."""

    REFUSED = "refused"
    TIMEOUT = "timeout"
    NO_ROUTE = "no-route"
    """This machine has no way to such addresses; others may have."""
    UNREACHABLE = "unreachable"
    CLOSED = "closed"
    NOT_HTTP = "not-http"
    NOT_TLS = "not-tls"


class GetError(Exception):
    """There was no answer."""

    def __init__(self, failure: Failure, detail: str) -> None:
        super().__init__(detail)
        self.failure = failure
        self.detail = detail


class Get(Protocol):
    """Makes a GET."""

    def __call__(self, target: Target, *, seconds: float) -> Answer:
        """Return the answer, its body cut at `MAX_BODY`. Raises GetError."""


def get(target: Target, *, seconds: float) -> Answer:
    """Connect to the very address and return the answer, its body cut at `MAX_BODY`.

    Redirections are not followed. All of it takes no longer than `seconds`, however slowly the
    answer trickles in. Raises GetError.
    """
    end = time.monotonic() + seconds
    try:
        with socket.create_connection((str(target.address), target.port), seconds) as connection:
            return _ask(connection, target, seconds=max(end - time.monotonic(), 0.01))
    except TimeoutError as error:
        raise GetError(Failure.TIMEOUT, f"no answer within {seconds:.0f} seconds") from error
    except ConnectionRefusedError as error:
        raise GetError(Failure.REFUSED, "the connection is refused") from error
    except http.client.RemoteDisconnected as error:
        raise GetError(Failure.CLOSED, "the connection is closed without an answer") from error
    except http.client.HTTPException as error:
        raise GetError(Failure.NOT_HTTP, "what is answered is not HTTP") from error
    except ssl.SSLError as error:
        raise GetError(Failure.NOT_TLS, f"no TLS connection: {error.reason}") from error
    except ConnectionError as error:
        raise GetError(Failure.CLOSED, "the connection is closed without an answer") from error
    except OSError as error:
        failure = Failure.NO_ROUTE if error.errno in _NO_ROUTE else Failure.UNREACHABLE
        raise GetError(failure, error.strerror or str(error)) from error


def _ask(plain: socket.socket, target: Target, *, seconds: float) -> Answer:
    plain.settimeout(seconds)
    with _ended_after(seconds, plain) as over:
        try:
            answer = _exchange(plain, target)
        except (OSError, http.client.HTTPException) as error:
            if over.is_set():
                raise TimeoutError from error
            raise
    if over.is_set():
        raise TimeoutError
    return answer


def _exchange(plain: socket.socket, target: Target) -> Answer:
    connection = http.client.HTTPConnection(target.host, target.port)
    connection.sock = plain if target.scheme == "http" else _wrapped(plain, target.host)
    with connection.sock:
        connection.request(
            "GET",
            target.path,
            headers={
                "Host": target.authority,
                "Accept": "*/*",
                "User-Agent": "acme-self-check",
                "Connection": "close",
            },
        )
        with connection.getresponse() as response:
            return Answer(
                response.status,
                response.getheader("Server"),
                response.getheader("Location"),
                response.read(MAX_BODY),
            )


def _wrapped(plain: socket.socket, host: str) -> ssl.SSLSocket:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(plain, server_hostname=host)


@contextmanager
def _ended_after(seconds: float, connection: socket.socket) -> Iterator[threading.Event]:
    """Shut a connection down when its time is over, and set the event.

    A socket's timeout bounds one read, and a server that sends a byte at a time needs many.
    """
    over = threading.Event()
    handle = connection.dup()

    def end() -> None:
        over.set()
        with suppress(OSError):  # it is closed already
            handle.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, end)
    timer.start()
    try:
        with handle:
            yield over
    finally:
        timer.cancel()
        timer.join()
