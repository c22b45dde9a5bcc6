"""`POST /stir/v1/signing`: a call becomes an Identity header."""

import re
from collections.abc import Callable
from urllib.parse import parse_qs

from msgspec import UNSET

from shaken.api.signing_messages import (
    SigningMessage,
    SigningResponse,
    SigningResult,
    call_of,
    read_signing,
)
from shaken.api.stir import StirAnswer, StirAsked, StirRequest, StirRoute
from shaken.api.stir_errors import StirError, StirFault
from shaken.call_records import signed_record
from shaken.credentials import Credential, Role
from shaken.signing import Signed, Signer
from shaken.signing_errors import InvalidClaim, MissingClaim, NotAllowed, SigningError
from shaken.snapshot import Snapshot
from shaken.store.calls import CallRecord
from shaken.tenants import AnswerForm, Work
from sip.stages import Stages
from trust.names import DnsNameError, dns_name

MAX_QUERY_FIELDS = 16
"""Fields of a query; `tenant` is the only one that means something."""

_PORT = re.compile(r":[0-9]+\Z")


class Signing:
    """Answers signing requests."""

    def __init__(self, signer: Signer, record: Callable[[CallRecord], None]) -> None:
        """Take what signs, and where the record of each signature goes."""
        self._signer = signer
        self._record = record

    @property
    def route(self) -> StirRoute:
        """The route as `StirApi` takes it."""
        return StirRoute(Role.SIGNER, "this credential is not a signer's", self.handle)

    def handle(self, asked: StirAsked) -> Stages[StirAnswer]:
        """Sign, and answer with the Identity. Raises StirError."""
        try:
            message, signed = yield from self.sign_and_record_in_stages(asked)
        except SigningError as error:
            raise refusal_of(error) from error
        return _success(signed, message, asked)

    def sign_and_record_in_stages(self, asked: StirAsked) -> Stages[tuple[SigningMessage, Signed]]:
        """Sign, and record it; return what was asked for, and what it became.

        Raises StirError where the request is wrong, SigningError where the call is not signed.
        """
        trunk = asked.trunk
        if trunk is not None and not trunk.direction.allows(Work.SIGN):
            raise StirError(StirFault.FORBIDDEN, "this trunk verifies, it does not sign")
        tenant = tenant_of(asked)
        message = read_signing(asked.document)
        call = call_of(message, country=trunk.country if trunk else None)
        signed = yield from self._signer.sign_call_in_stages(
            call, snapshot=asked.snapshot, tenant=tenant, trunk=trunk, now=asked.now
        )
        self._record(signed_record(signed, asked.asker(tenant)))
        return message, signed


def refusal_of(error: SigningError) -> StirError:
    """Return how a request is answered whose call is not signed."""
    match error:
        case MissingClaim():
            return StirError(StirFault.MISSING, error.claim, detail=str(error))
        case InvalidClaim():
            return StirError(StirFault.INVALID, error.claim, str(error))
        case NotAllowed():
            return StirError(StirFault.FORBIDDEN, str(error))
        case _:  # NotConfigured
            return StirError(StirFault.INTERNAL, detail=str(error))


def _success(signed: Signed, message: SigningMessage, asked: StirAsked) -> StirAnswer:
    form = asked.trunk.answer if asked.trunk else AnswerForm.BOTH
    result = SigningResult(
        identity=UNSET if form is AnswerForm.THREE_GPP else signed.identity,
        identity_header=UNSET if form is AnswerForm.ATIS else signed.identity,
        reference=message.reference,
    )
    chosen = f"{signed.certificate}; chosen={signed.chosen.value}"
    return asked.success(SigningResponse(result), **{"X-Certificate": chosen})


def tenant_of(asked: StirAsked) -> str | None:
    """Name the tenant that is signed for: the trunk's; `?tenant=`, the credential's, the Host.

    By its first address; None: nobody's in particular. Raises StirError.
    """
    if asked.trunk is not None:
        return asked.trunk.tenant
    return _named_tenant(asked.request, asked.credential, asked.snapshot)


def _named_tenant(request: StirRequest, credential: Credential, snapshot: Snapshot) -> str | None:
    named = _tenant_named(request.query) if request.query else None
    if named is not None:
        tenant = _tenant_at(named, snapshot)
        if tenant is None or credential.tenant not in {None, tenant}:
            raise StirError(StirFault.INVALID, "tenant", "no tenant of yours has this address")
        return tenant
    if credential.tenant is not None:
        return credential.tenant
    return _tenant_at(_PORT.sub("", request.headers.get("Host", "")), snapshot)


def _tenant_named(query: str) -> str | None:
    try:
        named = parse_qs(query, max_num_fields=MAX_QUERY_FIELDS).get("tenant")
    except ValueError as error:
        why = f"the query has more than {MAX_QUERY_FIELDS} fields"
        raise StirError(StirFault.INVALID, "tenant", why) from error
    return named[0] if named else None


def _tenant_at(address: str, snapshot: Snapshot) -> str | None:
    try:
        tenant = snapshot.tenants.get(dns_name(address))
    except DnsNameError:
        return None
    return None if tenant is None else tenant.address
