"""How an authority is spoken to: HTTPS to the roots given, bounded, and with patience for nonces.

The requests are the acme library's. This adds what it leaves open: which roots are trusted, how
large and how slow an answer may be, that a refused nonce is no failure (RFC 8555 §6.5), and when
the authority asks to come back.
"""

import ssl
import time
from collections.abc import Iterator
from typing import Any, Protocol

import requests
from acme import messages
from acme.client import ClientNetwork
from josepy.jwa import JWASignature
from josepy.jwk import JWK
from requests.adapters import HTTPAdapter

MAX_ANSWER_BYTES = 1_000_000
"""A chain of ten certificates with many names is smaller than 100 kB."""

ANSWER_SECONDS = 60.0
"""A whole answer may take this long, however slowly it drips."""

SILENCE_SECONDS = 20.0
"""Connecting, and each wait for more of an answer. Authorities sign within a few seconds."""

NONCE_TRIES = 8
"""Pairs of tries: an authority that refuses every other nonce still takes one of them."""

MAX_REDIRECTS = 3


class AnswerTooLong(requests.exceptions.RequestException):
    """An answer is larger or slower than any that makes sense."""


class Network(ClientNetwork):
    """The library's client, to one authority. Use from one thread; close it at the end."""

    def __init__(self, key: JWK, alg: JWASignature, *, roots: str, agent: str) -> None:
        """Trust the roots in a PEM bundle, and no others. `agent` is the User-Agent."""
        super().__init__(key, alg=alg, user_agent=agent, timeout=int(SILENCE_SECONDS))
        session = requests.Session()
        # Neither proxies, nor bundles of roots, nor logins come from the environment.
        session.trust_env = False
        session.max_redirects = MAX_REDIRECTS
        session.adapters.clear()
        session.mount("https://", _Adapter(_trusting(roots)))
        session.hooks["response"].append(self._note)
        self.session.close()
        self.session = session
        self.retry_after: str | None = None
        """What the latest answer said in its Retry-After header field."""
        self.status: int | None = None
        """The latest answer's status."""

    def post(self, *args: Any, **kwargs: Any) -> requests.Response:  # noqa: ANN401 - the base's
        """Post as the library does, with a fresh nonce as long as nonces are refused."""
        for _ in range(NONCE_TRIES - 1):
            try:
                return super().post(*args, **kwargs)
            except messages.Error as error:
                if error.code != "badNonce":
                    raise
        return super().post(*args, **kwargs)

    def close(self) -> None:
        """Close the connections."""
        self.session.close()

    def _note(self, response: requests.Response, *_: object, **__: object) -> None:
        self.retry_after = response.headers.get("Retry-After")
        self.status = response.status_code


def _trusting(roots: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if roots:  # else it trusts nobody
        context.load_verify_locations(cadata=roots)
    return context


class _Adapter(HTTPAdapter):
    """Connects with one TLS context, and reads no more than makes sense."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - the base's
        super().init_poolmanager(*args, **kwargs, ssl_context=self._context)

    def cert_verify(self, conn: Any, url: str, verify: object, cert: object) -> None:  # noqa: ANN401
        """Leave all to the context: the base would add the roots that it ships."""
        del url, verify, cert
        conn.cert_reqs = "CERT_REQUIRED"

    def send(self, *args: Any, **kwargs: Any) -> requests.Response:  # noqa: ANN401 - the base's
        response = super().send(*args, **kwargs)
        response.raw = _Bounded(response.raw)
        return response


class _Body(Protocol):
    def stream(self, amt: int, decode_content: bool) -> Iterator[bytes]: ...  # noqa: FBT001

    def close(self) -> None: ...

    def release_conn(self) -> None: ...


class _Bounded:
    """A body that ends with an error when it is too large or too slow."""

    def __init__(self, raw: _Body) -> None:
        self._raw = raw
        self._deadline = time.monotonic() + ANSWER_SECONDS

    def stream(self, size: int, *, decode_content: bool) -> Iterator[bytes]:
        count = 0
        for chunk in self._raw.stream(size, decode_content=decode_content):
            count += len(chunk)
            if count > MAX_ANSWER_BYTES:
                raise AnswerTooLong(f"the answer is larger than {MAX_ANSWER_BYTES} bytes")
            if time.monotonic() > self._deadline:
                raise AnswerTooLong(f"the answer takes more than {ANSWER_SECONDS:g} seconds")
            yield chunk

    def close(self) -> None:
        self._raw.close()

    def release_conn(self) -> None:
        self._raw.release_conn()
