"""The STIR signing route as a function of plain values (ATIS-1000082, 3GPP TS 24.229 Annex V).

No HTTP library's type comes in or goes out: an adapter hands over method, path, headers, body and
peer, and sends what comes back.
"""

import itertools
import logging
import re
import secrets
from collections.abc import Callable, Mapping
from urllib.parse import parse_qs

import msgspec
from msgspec import UNSET

from shaken.api.authenticator import Authenticator, Stranger
from shaken.api.stir_errors import StirError, StirFault
from shaken.api.stir_messages import (
    SigningMessage,
    SigningResponse,
    SigningResult,
    call_of,
    read_signing,
)
from shaken.credentials import Credential, Role
from shaken.signing import (
    InvalidClaim,
    MissingClaim,
    NotAllowed,
    NotConfigured,
    Signed,
    Signer,
)
from shaken.snapshot import Snapshot
from shaken.store.calls import SignedCall
from shaken.strictjson import JsonError, parse_object
from shaken.tenants import AnswerForm, Direction, Tenant, Trunk, within
from trust.names import DnsNameError, dns_name

SIGNING_PATH = "/stir/v1/signing"

MAX_BODY = 64 * 1024
"""Bytes of a request body; a signing request has under 1 KiB."""

MAX_QUERY_FIELDS = 16
"""Fields of a query; `tenant` is the only one that means something."""

MAX_RECORDED = 2048
"""Characters of the destinations that are kept on record: memory waits for the store with them."""

_LENGTH_DIGITS = 16
_JSON = "application/json"
_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")
_PORT = re.compile(r":[0-9]+\Z")

_log = logging.getLogger(__name__)


class StirRequest(msgspec.Struct, frozen=True):
    """A request as it came. Header names are looked up in any case; `peer` is an IP address.

    `body` None: it did not arrive in time. `client_spki` is the SHA-256 (hex) of the key of the
    certificate that the client showed in TLS.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes | None
    peer: str
    client_spki: str | None = None


class StirAnswer(msgspec.Struct, frozen=True):
    """What to send back."""

    status: int
    headers: dict[str, str]
    body: bytes


class _Line(msgspec.Struct, frozen=True):
    """Who calls: the credential, its trunk and tenant where they are known."""

    credential: Credential
    trunk: Trunk | None
    tenant: Tenant | None


class StirApi:
    """Answers requests to `/stir/`, from the snapshot it is given with each."""

    def __init__(
        self,
        signer: Signer,
        *,
        authenticator: Authenticator,
        record: Callable[[SignedCall], None],
    ) -> None:
        """Take what signs, what knows who calls, and where the record of each signature goes."""
        self._signer = signer
        self._authenticator = authenticator
        self._record = record
        self._instance = secrets.token_hex(8)
        self._counter = itertools.count(1)

    def answer(self, request: StirRequest, *, snapshot: Snapshot, now: int) -> StirAnswer:
        """Answer a request at a time (Unix seconds). Raises nothing."""
        request_id = self._request_id(request.headers.get("X-RequestID"))
        try:
            return self._sign(request, request_id, snapshot, now)
        except StirError as error:
            return _refusal(error, request_id)
        except Exception:  # whatever fails, the client gets an answer of the table
            _log.exception("request %s failed", request_id)
            return _refusal(StirError(StirFault.INTERNAL), request_id)

    def _request_id(self, given: str | None) -> str:
        """Return the client's id of the request, or make one that no other worker makes."""
        if given is not None and _REQUEST_ID.fullmatch(given):
            return given
        return f"{self._instance}-{next(self._counter):x}"

    def _sign(
        self, request: StirRequest, request_id: str, snapshot: Snapshot, now: int
    ) -> StirAnswer:
        _check_resource(request)
        line = _line(self._authenticate(request, snapshot, now), request, snapshot)
        _check_headers(request.headers)
        message = read_signing(_document(request))
        call = call_of(message, country=line.trunk.country if line.trunk else None)
        try:
            signed = self._signer.sign(
                call, snapshot=snapshot, tenant=line.tenant, trunk=line.trunk, now=now
            )
        except MissingClaim as error:
            raise StirError(StirFault.MISSING, error.claim, detail=str(error)) from error
        except InvalidClaim as error:
            raise StirError(StirFault.INVALID, error.claim, str(error)) from error
        except NotAllowed as error:
            raise StirError(StirFault.FORBIDDEN, str(error)) from error
        except NotConfigured as error:
            _log.error("request %s is not signed: %s", request_id, error)
            raise StirError(StirFault.INTERNAL, detail=str(error)) from error
        self._record(_record_of(signed, line, request_id, now))
        return _success(signed, message, line.trunk, request_id)

    def _authenticate(self, request: StirRequest, snapshot: Snapshot, now: int) -> Credential:
        try:
            return self._authenticator.authenticate(
                snapshot.credentials,
                request.headers.get("Authorization"),
                peer=request.peer,
                client_spki=request.client_spki,
                now=now,
            )
        except Stranger as stranger:
            raise _unauthorized(stranger) from stranger


def _success(
    signed: Signed, message: SigningMessage, trunk: Trunk | None, request_id: str
) -> StirAnswer:
    form = trunk.answer if trunk else AnswerForm.BOTH
    result = SigningResult(
        identity=UNSET if form is AnswerForm.THREE_GPP else signed.identity,
        identity_header=UNSET if form is AnswerForm.ATIS else signed.identity,
        request_id=message.request_id,
    )
    headers = {
        "Content-Type": _JSON,
        "X-RequestID": request_id,
        "X-Certificate": f"{signed.certificate}; chosen={signed.chosen.value}",
    }
    return StirAnswer(200, headers, msgspec.json.encode(SigningResponse(result)))


def _refusal(error: StirError, request_id: str) -> StirAnswer:
    headers = {"Content-Type": _JSON, "X-RequestID": request_id}
    if error.fault is StirFault.METHOD:
        headers["Allow"] = "POST"
    if error.fault is StirFault.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Bearer, Basic realm="stir", charset="UTF-8"'
    if error.fault is StirFault.TOO_MANY:
        headers["Retry-After"] = error.variables[0]
    return StirAnswer(error.status, headers, error.body())


def _record_of(signed: Signed, line: _Line, request_id: str, now: int) -> SignedCall:
    return SignedCall(
        at=now,
        credential=line.credential.name,
        tenant=line.tenant.address if line.tenant else None,
        trunk=line.trunk.name if line.trunk else None,
        orig=str(signed.claims.orig),
        dest=",".join(signed.claims.dest.all())[:MAX_RECORDED],
        attest=signed.claims.attest,
        origid=signed.claims.origid,
        certificate=signed.certificate,
        request_id=request_id,
    )


def _check_resource(request: StirRequest) -> None:
    if request.path != SIGNING_PATH:
        raise StirError(StirFault.NOT_FOUND, detail=f"signing requests go to {SIGNING_PATH}")
    if request.method != "POST":
        raise StirError(StirFault.METHOD, detail="send the request with POST")


def _unauthorized(stranger: Stranger) -> StirError:
    if stranger.retry_after is None:
        return StirError(
            StirFault.UNAUTHORIZED,
            detail="send a signer's credential: Authorization: Bearer <secret>, or Basic",
        )
    return StirError(
        StirFault.TOO_MANY,
        str(stranger.retry_after),
        detail="too many wrong credentials came from this address: correct the credential; a right"
        " one passes at once",
    )


def _line(credential: Credential, request: StirRequest, snapshot: Snapshot) -> _Line:
    if credential.role is not Role.SIGNER:
        raise StirError(StirFault.FORBIDDEN, "this credential is not a signer's")
    if credential.trunk is not None:
        trunk = snapshot.trunks[credential.trunk]
        if trunk.direction is Direction.VERIFY:
            raise StirError(StirFault.FORBIDDEN, "this trunk verifies, it does not sign")
        if not within(trunk.networks, request.peer):
            raise StirError(StirFault.FORBIDDEN, "this address is none of the trunk's networks")
        return _Line(credential, trunk, snapshot.tenants[trunk.tenant])
    return _Line(credential, None, _tenant(request, credential, snapshot))


def _tenant(request: StirRequest, credential: Credential, snapshot: Snapshot) -> Tenant | None:
    """Find the tenant a credential without a trunk signs for: its own, `?tenant=`, or the Host."""
    named = _tenant_named(request.query) if request.query else None
    if named is not None:
        tenant = _tenant_at(named, snapshot)
        if tenant is None or credential.tenant not in {None, tenant.address}:
            raise StirError(StirFault.INVALID, "tenant", "no tenant of yours has this address")
        return tenant
    if credential.tenant is not None:
        return snapshot.tenants[credential.tenant]
    return _tenant_at(_PORT.sub("", request.headers.get("Host", "")), snapshot)


def _tenant_named(query: str) -> str | None:
    try:
        named = parse_qs(query, max_num_fields=MAX_QUERY_FIELDS).get("tenant")
    except ValueError as error:
        why = f"the query has more than {MAX_QUERY_FIELDS} fields"
        raise StirError(StirFault.INVALID, "tenant", why) from error
    return named[0] if named else None


def _tenant_at(address: str, snapshot: Snapshot) -> Tenant | None:
    try:
        return snapshot.tenants.get(dns_name(address))
    except DnsNameError:
        return None


def _check_headers(headers: Mapping[str, str]) -> None:
    length = headers.get("Content-Length")
    if length is None:
        raise StirError(StirFault.NO_LENGTH)
    if length == "0":
        raise StirError(StirFault.NO_BODY)
    content_type = headers.get("Content-Type", "")
    if content_type != _JSON and content_type.partition(";")[0].strip().lower() != _JSON:
        raise StirError(StirFault.MEDIA_TYPE, _JSON)
    accept = headers.get("Accept")
    if accept is not None and accept not in {"*/*", _JSON} and not _accepts_json(accept):
        raise StirError(StirFault.NOT_ACCEPTABLE, accept)
    if body_length(headers) > MAX_BODY:
        raise StirError(StirFault.TOO_LARGE, f"larger than {MAX_BODY} bytes")


def _accepts_json(accept: str) -> bool:
    ranges = {item.partition(";")[0].strip().lower() for item in accept.split(",")}
    return not ranges.isdisjoint({"*/*", "application/*", _JSON})


def body_length(headers: Mapping[str, str]) -> int:
    """Return the length of the body that the headers announce, in bytes, bounded."""
    length = headers.get("Content-Length", "0")
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
