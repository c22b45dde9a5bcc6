"""`/api/v1/certificates/requests`: certificates that are asked for, with keys that stay here."""

from datetime import UTC, datetime
from typing import Annotated

import msgspec
from msgspec import Meta
from sqlalchemy import Connection

from shaken.api.certificate_records import TnAuthListRecord, authorised
from shaken.api.problems import Problem, invalid, master_key_missing, not_found
from shaken.api.routes import (
    ApiCall,
    Reply,
    Route,
    read_id,
    read_kind,
    read_position,
)
from shaken.assignment import UnknownTenant
from shaken.credentials import Role
from shaken.requesting import RequestRefused, Wish, discard, draft, keep
from trust.certificate import CertificateKind
from trust.keys import MasterKeyError
from trust.request import KeyType
from trust.store import requests as stored
from trust.store.requests import Filter, StoredRequest, TooManyPending

MAX_NAMES = 100
"""Host names of one request; no public authority certifies more at a time."""

MAX_TNS = 1_000
"""Numbers and ranges of one request: it stays a text that can be sent by mail."""

Text = Annotated[str, Meta(min_length=1, max_length=64)]


class RequestCreation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A certificate to ask for: `names` of hosts, or for kind `sti` a code `spc`, or `tns`.

    `tns` holds numbers and ranges, as `+12155550100` and `+12155550200-+12155550299`.
    """

    kind: CertificateKind
    names: Annotated[list[Annotated[str, Meta(max_length=255)]], Meta(max_length=MAX_NAMES)] = []
    spc: Text | None = None
    tns: Annotated[list[Annotated[str, Meta(max_length=40)]], Meta(max_length=MAX_TNS)] = []
    tenant: Annotated[str, Meta(max_length=253)] | None = None
    key_type: KeyType = KeyType.P256
    organization: Text | None = None
    country: Text | None = None


class RequestSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A request as lists show it. `id` is the SHA-256 of its public key (SPKI)."""

    id: str
    kind: CertificateKind
    names: tuple[str, ...]
    subject: str
    tenant: str | None
    tn_auth_list: TnAuthListRecord | None
    key_type: KeyType
    created_at: datetime


class RequestRecord(RequestSummary, frozen=True, kw_only=True):
    """A request with its PEM text, which goes to the CA."""

    csr: str


class RequestList(msgspec.Struct, frozen=True):
    """A page of requests; `next` is what to send as `after`."""

    items: tuple[RequestSummary, ...]
    next: str | None


def create(call: ApiCall) -> Reply:
    """Make a key and a request for its certificate; the key stays."""
    try:
        drafted = draft(_wish(call))
        with call.changing() as change:
            row = keep(change, call.resources.master, drafted, scope=call.scope)
    except RequestRefused as error:
        raise Problem(400, error.slug, error.detail, error.field) from error
    except UnknownTenant as error:
        raise invalid("tenant", "no tenant has this address; create the tenant first") from error
    except TooManyPending as error:
        raise Problem(
            409,
            "too-many-requests",
            f"{error}: import the certificates that were issued, or delete what is needed no more",
        ) from error
    except MasterKeyError as error:
        raise master_key_missing(error) from error
    return Reply(_record(row), {"Location": f"{_BASE}/{row.id}"})


def listing(call: ApiCall) -> Reply:
    """List requests in the order they were made."""
    wanted = Filter(kind=read_kind(call.query.get("kind")), tenant=call.listed_tenant())
    after = read_position(call.query.get("after")) or 0
    limit = call.limit()
    with call.resources.database.reading() as connection:
        found = stored.find(connection, wanted, after=after, limit=limit + 1)
    items = tuple(_summary(row) for row in found[:limit])
    more = str(found[limit - 1].sequence) if len(found) > limit else None
    return Reply(RequestList(items, more))


def show(call: ApiCall) -> Reply:
    """Show one request."""
    with call.resources.database.reading() as connection:
        return Reply(_record(_visible(call, connection)))


def download(call: ApiCall) -> Reply:
    """Download the request that goes to the CA, in PEM."""
    with call.resources.database.reading() as connection:
        row = _visible(call, connection)
    name = row.names[0].replace("*", "wildcard") if row.names else row.kind.value
    headers = {"Content-Disposition": f'attachment; filename="{name}-{row.id[:8]}.csr"'}
    return Reply(row.csr.encode("ascii"), headers)


def remove(call: ApiCall) -> Reply:
    """Remove a request and destroy its key: no certificate for it can be used here any more."""
    with call.changing() as change:
        discard(change, _visible(call, change.connection))
    return Reply()


def _wish(call: ApiCall) -> Wish:
    body: RequestCreation = call.body
    tenant = call.tenant_for(body.tenant)
    return Wish(
        kind=body.kind,
        names=body.names,
        spc=body.spc,
        tns=body.tns,
        tenant=tenant,
        key_type=body.key_type,
        organization=body.organization,
        country=body.country,
    )


def _visible(call: ApiCall, connection: Connection) -> StoredRequest:
    row = stored.get(connection, read_id(call.path["id"], "request"))
    if row is None:
        raise not_found("request")
    call.hold_to_scope(row.tenant, "request")
    return row


def _summary(row: StoredRequest) -> RequestSummary:
    return RequestSummary(
        id=row.id,
        kind=row.kind,
        names=row.names,
        subject=row.subject,
        tenant=row.tenant,
        tn_auth_list=None if row.tn_auth_list is None else authorised(row.tn_auth_list),
        key_type=row.key_type,
        created_at=datetime.fromtimestamp(row.created_at, UTC),
    )


def _record(row: StoredRequest) -> RequestRecord:
    return RequestRecord(**msgspec.structs.asdict(_summary(row)), csr=row.csr)


_BASE = "/api/v1/certificates/requests"
_ONE = f"{_BASE}/{{id}}"

ROUTES = (
    Route(
        "GET",
        _BASE,
        Role.VIEWER,
        listing,
        "List requests that wait for their certificates",
        gives=RequestList,
        query=("kind", "tenant", "limit", "after"),
    ),
    Route(
        "POST",
        _BASE,
        Role.ADMIN,
        create,
        "Make a key, which stays here, and the request for its certificate",
        takes=RequestCreation,
        gives=RequestRecord,
        status=201,
    ),
    Route("GET", _ONE, Role.VIEWER, show, "Show a request", gives=RequestRecord),
    Route(
        "DELETE",
        _ONE,
        Role.ADMIN,
        remove,
        "Delete a request and destroy its private key for good",
        status=204,
    ),
    Route(
        "GET",
        f"{_ONE}/csr",
        Role.VIEWER,
        download,
        "Download a request for the CA, in PEM",
        media_type="application/pkcs10",
    ),
)
