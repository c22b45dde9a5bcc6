"""The STIR routes as functions of plain values (ATIS-1000082, 3GPP TS 24.229 Annex V).

No HTTP library's type comes in or goes out: an adapter hands method, path, headers and body to
`shaken.api.stir_door`, which knows the client, and sends what comes back. What is the same for both
routes is here: who calls, how a request is written, the table of errors.
"""

import itertools
import logging
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import msgspec

from shaken.api.authenticator import Authenticator, Stranger
from shaken.api.stir_errors import StirError, StirFault
from shaken.call_records import MAX_REQUEST_ID, TEST_REQUEST, Asker
from shaken.credentials import Credential, Role
from shaken.networks import within
from shaken.snapshot import Snapshot
from shaken.strictjson import JsonError, parse_object
from shaken.tenants import Trunk
from sip.stages import Stages

SIGNING_PATH = "/stir/v1/signing"
VERIFICATION_PATH = "/stir/v1/verification"

HEADERS = (
    "Accept",
    "Authorization",
    "Content-Encoding",
    "Content-Length",
    "Content-Type",
    "Host",
    "X-RequestID",
)
"""Headers that the routes look for, as they spell them."""

MAX_BODY = 64 * 1024
"""Bytes of a request body; a signing request has under 1 KiB."""

_LENGTH_DIGITS = 16
_JSON = "application/json"
_COMPRESSIONS = frozenset(
    {"br", "compress", "dcb", "dcz", "deflate", "gzip", "x-compress", "x-gzip", "zstd"}
)
"""Content codings of IANA's registry that make a body shorter."""

# No client may name its request as test calls are named.
_REQUEST_ID = re.compile(rf"(?!{TEST_REQUEST})[\x21-\x7e]{{1,{MAX_REQUEST_ID}}}")

_log = logging.getLogger(__name__)


class StirRequest(msgspec.Struct, frozen=True):
    """A request as it came.

    Headers are found by their names in any case, or at least as `HEADERS` spells them.
    `body` None: it did not arrive in time.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes | None

    def __repr__(self) -> str:
        """Leave out headers and body: they hold a credential and a PASSporT."""
        return f"<{self.method} {self.path}>"


class StirAnswer(msgspec.Struct, frozen=True):
    """What to send back."""

    status: int
    headers: dict[str, str]
    body: bytes


class StirAsked(msgspec.Struct, frozen=True):
    """A request that passed what is the same for all routes. `now` is Unix seconds.

    `request_id` is its X-RequestID, or one that was made. `trunk` is the one that the credential is
    for, if it is for one; `document` the JSON sent.
    """

    request: StirRequest
    request_id: str
    credential: Credential
    trunk: Trunk | None
    document: dict[str, object]
    snapshot: Snapshot
    now: int

    def asker(self, tenant: str | None) -> Asker:
        """Say who asked, for the record; `tenant` is whose call it is."""
        trunk = self.trunk.name if self.trunk else None
        return Asker(self.now, self.credential.name, tenant, trunk, self.request_id)

    def success(self, body: msgspec.Struct, **headers: str) -> StirAnswer:
        """Return the answer of success."""
        return StirAnswer(200, _headers(self.request_id) | headers, msgspec.json.encode(body))


@dataclass(frozen=True, slots=True)
class StirRoute:
    """One of the routes: whose it is, and what it does. Raises StirError.

    Where the answer takes a while, `handler` returns what waits for it: nothing is begun that a
    client who is gone would leave lying.
    """

    role: Role
    refused: str
    handler: Callable[[StirAsked], Stages[StirAnswer | Callable[[], Awaitable[StirAnswer]]]]


class StirApi:
    """Answers requests to `/stir/`, from the snapshot it is given with each."""

    def __init__(self, routes: Mapping[str, StirRoute], *, authenticator: Authenticator) -> None:
        """Take the routes by path, and what knows who calls."""
        self._routes = routes
        self._authenticator = authenticator
        self._instance = secrets.token_hex(8)
        self._counter = itertools.count(1)

    def answer(
        self,
        request: StirRequest,
        *,
        peer: str,
        client_spki: str | None = None,
        snapshot: Snapshot,
        now: int,
    ) -> Stages[StirAnswer | Awaitable[StirAnswer]]:
        """Answer a request at a time (Unix seconds). Raises nothing, nor does what is awaited.

        `peer` is the client's IP address; `shaken.api.peer.UNKNOWN` where its proxy does not tell
        it, '' where its socket does not. `client_spki` is the SHA-256 (hex) of the key of the
        certificate that it showed in TLS.
        """
        given = request.headers.get("X-RequestID")
        if given is not None and _REQUEST_ID.fullmatch(given):
            request_id = given
        else:  # one that no other worker makes
            request_id = f"{self._instance}-{next(self._counter):x}"
        try:
            answer = yield from self._ask(
                request, request_id, snapshot, now, peer=peer, client_spki=client_spki
            )
        except Exception as error:  # whatever fails, the client gets an answer of the table
            return _failed(error, request_id)
        return answer if isinstance(answer, StirAnswer) else _whole(answer, request_id)

    def _ask(
        self,
        request: StirRequest,
        request_id: str,
        snapshot: Snapshot,
        now: int,
        *,
        peer: str,
        client_spki: str | None,
    ) -> Stages[StirAnswer | Callable[[], Awaitable[StirAnswer]]]:
        route = self._routes.get(request.path)
        if route is None:
            known = " or ".join(self._routes)
            raise StirError(StirFault.NOT_FOUND, detail=f"requests go to {known}")
        if request.method != "POST":
            raise StirError(StirFault.METHOD, detail="send the request with POST")
        credential = self._authenticate(request, snapshot, now, peer=peer, client_spki=client_spki)
        if credential.role is not route.role:
            raise StirError(StirFault.FORBIDDEN, route.refused)
        trunk = None if credential.trunk is None else snapshot.trunks[credential.trunk]
        if trunk is not None and not within(trunk.networks, peer):
            raise StirError(StirFault.FORBIDDEN, "this address is none of the trunk's networks")
        _check_headers(request.headers)
        document = _document(request)
        yield  # the request is read, and who asks is known
        asked = StirAsked(request, request_id, credential, trunk, document, snapshot, now)
        return (yield from route.handler(asked))

    def _authenticate(
        self,
        request: StirRequest,
        snapshot: Snapshot,
        now: int,
        *,
        peer: str,
        client_spki: str | None,
    ) -> Credential:
        try:
            return self._authenticator.authenticate(
                snapshot.credentials,
                request.headers.get("Authorization"),
                peer=peer,
                client_spki=client_spki,
                now=now,
            )
        except Stranger as stranger:
            raise _unauthorized(stranger) from stranger


async def _whole(wait: Callable[[], Awaitable[StirAnswer]], request_id: str) -> StirAnswer:
    try:
        return await wait()
    except Exception as error:
        return _failed(error, request_id)


def _failed(error: Exception, request_id: str) -> StirAnswer:
    if isinstance(error, StirError):
        return _refusal(error, request_id)
    _log.error("request %s failed", request_id, exc_info=error)
    return _refusal(StirError(StirFault.INTERNAL), request_id)


def _headers(request_id: str) -> dict[str, str]:
    return {"Content-Type": _JSON, "X-RequestID": request_id}


def _refusal(error: StirError, request_id: str) -> StirAnswer:
    headers = _headers(request_id)
    if error.fault is StirFault.METHOD:
        headers["Allow"] = "POST"
    if error.fault is StirFault.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Bearer, Basic realm="stir", charset="UTF-8"'
    if error.fault is StirFault.TOO_MANY:
        headers["Retry-After"] = error.variables[0]
    return StirAnswer(error.status, headers, error.body())


def _unauthorized(stranger: Stranger) -> StirError:
    if stranger.retry_after is None:
        return StirError(StirFault.UNAUTHORIZED, detail=str(stranger))
    return StirError(StirFault.TOO_MANY, str(stranger.retry_after), detail=str(stranger))


def _check_headers(headers: Mapping[str, str]) -> None:
    length = headers.get("Content-Length")
    if length is None:
        raise StirError(StirFault.NO_LENGTH)
    if length == "0":
        raise StirError(StirFault.NO_BODY)
    content_type = headers.get("Content-Type", "")
    if content_type != _JSON and content_type.partition(";")[0].strip().lower() != _JSON:
        raise StirError(StirFault.MEDIA_TYPE, _JSON)
    if "Content-Encoding" in headers and is_compressed(headers):
        detail = "send the body as it is, without Content-Encoding: compressed bodies are not read"
        raise StirError(StirFault.MEDIA_TYPE, _JSON, detail=detail)
    accept = headers.get("Accept")
    if accept is not None and accept not in {"*/*", _JSON} and not _accepts_json(accept):
        raise StirError(StirFault.NOT_ACCEPTABLE, accept)
    if _length_in(length) > MAX_BODY:
        raise StirError(StirFault.TOO_LARGE, f"larger than {MAX_BODY} bytes")


def _accepts_json(accept: str) -> bool:
    ranges = {item.partition(";")[0].strip().lower() for item in accept.split(",")}
    return not ranges.isdisjoint({"*/*", "application/*", _JSON})


def is_compressed(headers: Mapping[str, str]) -> bool:
    """Say whether a body is compressed; such bodies are not read.

    Clients that take the header for that of a charset (`utf-8`) send their bodies as they are.
    """
    named = headers.get("Content-Encoding", "").lower().replace(",", " ").split()
    return not _COMPRESSIONS.isdisjoint(named)


def body_length(headers: Mapping[str, str]) -> int:
    """Return the length of the body that the headers announce, in bytes, bounded."""
    return _length_in(headers.get("Content-Length", "0"))


def _length_in(length: str) -> int:
    if not length.isascii() or not length.isdecimal():
        return 0
    return int(length) if len(length) < _LENGTH_DIGITS else MAX_BODY + 1


def _document(request: StirRequest) -> dict[str, object]:
    if request.body is None:
        raise StirError(StirFault.TOO_SLOW, "it did not arrive in time")
    try:
        return parse_object(request.body)
    except JsonError as error:
        raise StirError(StirFault.UNPARSABLE, str(error)) from error
