"""A small client of the service's own API, for the command line and the demo."""

import http.client
import json
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, quote, urlencode, urlsplit

TIMEOUT_SECONDS = 30
"""How long one request may take."""


_OF_COMMANDS = {
    "?replace=true": "--replace",
    "?force=true": "--force",
    "PUT /api/v1/acme/settings": "`shaken acme settings set`",
}
"""What details say to programs, and what does the same on the command line."""


class ClientError(Exception):
    """The service did not do what was asked; the message is for a person."""


@dataclass(frozen=True)
class Response:
    """What the service answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:  # noqa: ANN401 - any JSON
        """Read the body as JSON."""
        return json.loads(self.body) if self.body else None

    def words(self) -> str:
        """Return what a person should know about an answer that is none of those hoped for."""
        try:
            problem = self.json()
            detail = str(problem["detail"])
            for programs, commands in _OF_COMMANDS.items():
                detail = detail.replace(programs, commands)
            told = f"{detail} ({self.status} {problem['type']})"
            fields = [error["field"] for error in problem.get("errors", ()) if error["field"]]
            return ": ".join([*fields[:1], told])
        except (ValueError, KeyError, TypeError):
            return f"the service answered {self.status}"


@dataclass(frozen=True)
class Client:
    """Calls a service at a base URL with a credential's secret.

    Over https, its certificate must lead to a root of the system, or one in the PEM file `ca`.
    """

    url: str
    token: str = field(repr=False)
    ca: Path | None = None

    def send(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        headers: Mapping[str, str] | None = None,
        seconds: float = TIMEOUT_SECONDS,
    ) -> Response:
        """Send one request, with more headers than usual; each step may take so many seconds.

        Raises ClientError when there is no answer.
        """
        parts = self._address()
        connection = self._connection(parts, seconds)
        headers = {
            "Authorization": f"Bearer {self.token}",
            "Accept": "application/json",
            **(headers or {}),
        }
        payload = None if body is None else json.dumps(body).encode()
        if payload is not None:
            headers["Content-Type"] = "application/json"
        try:
            connection.request(method, parts.path.rstrip("/") + path, payload, headers)
            answer = connection.getresponse()
            return Response(answer.status, dict(answer.headers.items()), answer.read())
        except (OSError, http.client.HTTPException) as error:
            raise ClientError(f"{self.url} does not answer: {error}; is the service up?") from error
        finally:
            connection.close()

    def call(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 - any JSON
        """Send one request and return the JSON of its answer. Raises ClientError."""
        answer = self.send(method, path, body)
        if answer.status >= 400:
            raise ClientError(answer.words())
        try:
            return answer.json()
        except ValueError as error:
            raise ClientError(f"{self.url} answers, but not as this service does") from error

    def fetch(self, path: str) -> bytes:
        """Download what is no JSON. Raises ClientError."""
        answer = self.send("GET", path)
        if answer.status >= 400:
            raise ClientError(answer.words())
        return answer.body

    def items(self, path: str, query: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        """List all items of a resource, page after page. Raises ClientError."""
        after: dict[str, str] = {}
        while True:
            page = self.call("GET", f"{path}?{urlencode({**query, **after, 'limit': '1000'})}")
            yield from page["items"]
            if page["next"] is None:
                return
            after = {"after": page["next"]}

    def _address(self) -> SplitResult:
        if not self.token.isascii() or not self.token.isprintable():
            raise ClientError(
                "the token is none of this service: it holds other than printable ASCII"
            )
        try:
            parts = urlsplit(self.url)
            usable = parts.port != 0 and parts.hostname and parts.scheme in {"http", "https"}
        except ValueError:
            usable = False
        if not usable:
            raise ClientError(f"{self.url!a} is no URL of a service, as in http://127.0.0.1:8080")
        return parts

    def _connection(self, parts: SplitResult, seconds: float) -> http.client.HTTPConnection:
        host, port = parts.hostname or "", parts.port
        if parts.scheme != "https":
            return http.client.HTTPConnection(host, port, timeout=seconds)
        context = ssl.create_default_context()
        if self.ca is not None:
            try:
                context.load_verify_locations(self.ca)
            except OSError as error:
                raise ClientError(f"cannot read certificates from {self.ca}: {error}") from error
        return http.client.HTTPSConnection(host, port, timeout=seconds, context=context)


def segment(text: str) -> str:
    """Quote a name for use as one segment of a path."""
    return quote(text, safe="")
