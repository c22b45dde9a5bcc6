"""A client of the service that knows none of its code."""

import http.client
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

TIMEOUT_SECONDS = 30

CALL: dict[str, Any] = {
    "orig": {"tn": "+12155550100"},
    "dest": {"tn": ["+12155550199"]},
}


@dataclass(frozen=True)
class Answer:
    """What came back; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Read the body as JSON."""
        return json.loads(self.body)

    @property
    def worker(self) -> str:
        """The part of a made request id that is the same for all answers of one worker."""
        return self.headers["x-requestid"].rpartition("-")[0]


@dataclass(frozen=True)
class Caller:
    """Calls a service at a base URL, with a credential's secret or without."""

    url: str
    secret: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    tls: ssl.SSLContext | None = None
    """How it speaks https; None: by the rules of browsers."""

    def having(self, secret: str | None) -> "Caller":
        """Return a caller with another secret."""
        return replace(self, secret=secret)

    def saying(self, **headers: str) -> "Caller":
        """Return a caller that sends more headers; `_` stands for `-`."""
        more = {name.replace("_", "-"): text for name, text in headers.items()}
        return replace(self, headers={**self.headers, **more})

    def connect(self) -> http.client.HTTPConnection:
        """Open a connection."""
        address = urlsplit(self.url)
        host, port = address.hostname or "", address.port
        if address.scheme == "https":
            return http.client.HTTPSConnection(
                host, port, timeout=TIMEOUT_SECONDS, context=self.tls
            )
        return http.client.HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        over: http.client.HTTPConnection | None = None,
    ) -> Answer:
        """Send a request over a connection, by default one of its own. Bytes are sent as such."""
        headers = dict(self.headers)
        if self.secret is not None:
            headers["Authorization"] = f"Bearer {self.secret}"
        payload = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        if payload is not None:
            headers.setdefault("Content-Type", "application/json")
        connection = over or self.connect()
        try:
            connection.request(method, path, payload, headers)
            answer = connection.getresponse()
            named = {name.lower(): text for name, text in answer.headers.items()}
            return Answer(answer.status, named, answer.read())
        finally:
            if over is None:
                connection.close()

    def get(self, path: str) -> Answer:
        """Send GET."""
        return self.call("GET", path)

    def post(self, path: str, body: object) -> Answer:
        """Send POST."""
        return self.call("POST", path, body)

    def put(self, path: str, body: object) -> Answer:
        """Send PUT."""
        return self.call("PUT", path, body)

    def delete(self, path: str) -> Answer:
        """Send DELETE."""
        return self.call("DELETE", path)

    def sign(
        self,
        *,
        over: http.client.HTTPConnection | None = None,
        tenant: str | None = None,
        **claims: object,
    ) -> Answer:
        """Ask for a signature of the usual call, some claims set or replaced."""
        query = "" if tenant is None else f"?tenant={tenant}"
        body = {"signingRequest": {**CALL, **claims}}
        return self.call("POST", f"/stir/v1/signing{query}", body, over=over)

    def items(self, path: str) -> list[dict[str, Any]]:
        """List a resource, page after page."""
        found: list[dict[str, Any]] = []
        after = ""
        while True:
            page = self.get(f"{path}{'&' if '?' in path else '?'}limit=1000{after}").json()
            found += page["items"]
            if page["next"] is None:
                return found
            after = f"&after={page['next']}"
