"""`/api/v1/certificates`, and the public repository that `x5u` URLs name."""

import re
from datetime import UTC, datetime
from typing import Annotated

import msgspec
from msgspec import Meta
from sqlalchemy import Connection

from shaken.api.problems import Problem, invalid, not_found
from shaken.api.routes import ApiCall, Reply, Route, read_address, read_position, read_time
from shaken.audit import Action
from shaken.certificates import (
    Source,
    Status,
    UnknownTenant,
    Upload,
    facts_of,
    import_certificate,
    status_of,
)
from shaken.credentials import Role
from trust.certificate import CertificateKind, CertificateRefused
from trust.store import certificates as stored
from trust.store.certificates import AlreadyStored, Filter, StoredCertificate
from trust.tnauthlist import Spc, Tn, TnAuthList, TnRange

MAX_PEM = 256 * 1024
"""Characters of PEM text in one member; a chain of ten RSA certificates has about 20,000."""

REPOSITORY_CACHE_SECONDS = 3600
"""How long verifiers may keep a chain without asking again."""

_FINGERPRINT = re.compile(r"[0-9a-f]{64}")

Pem = Annotated[str, Meta(max_length=MAX_PEM)]


class CertificateImport(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A certificate to keep. `certificate` may hold chain and key together, in any order."""

    kind: CertificateKind
    certificate: Annotated[str, Meta(min_length=1, max_length=MAX_PEM)]
    private_key: Pem | None = None
    passphrase: Annotated[str, Meta(max_length=1024)] | None = None
    tenant: Annotated[str, Meta(max_length=253)] | None = None
    x5u: Annotated[str, Meta(max_length=2048)] | None = None


class TnRangeRecord(msgspec.Struct, frozen=True):
    """Consecutive numbers from `start` on."""

    start: str
    count: int


class TnAuthListRecord(msgspec.Struct, frozen=True):
    """For which provider codes and numbers a certificate speaks (RFC 8226)."""

    spc: tuple[str, ...]
    tn: tuple[str, ...]
    range: tuple[TnRangeRecord, ...]


class CertificateWarning(msgspec.Struct, frozen=True):
    """Something an administrator should know; `slug` is stable."""

    slug: str
    detail: str


class CertificateRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate as the API shows it. `id` is the leaf's SHA-256; times are RFC 3339 UTC."""

    id: str
    kind: CertificateKind
    names: tuple[str, ...]
    subject: str
    issuer: str
    serial: str
    fingerprint: str
    not_before: datetime
    not_after: datetime
    tenant: str | None
    tn_auth_list: TnAuthListRecord | None
    x5u: str | None
    has_private_key: bool
    source: Source
    status: Status
    warnings: tuple[CertificateWarning, ...]


class CertificateList(msgspec.Struct, frozen=True):
    """A page of certificates; `next` is what to send as `after`."""

    items: tuple[CertificateRecord, ...]
    next: str | None


def create(call: ApiCall) -> Reply:
    """Import a certificate with its key; all of it or nothing."""
    body: CertificateImport = call.body
    tenant = None if body.tenant is None else read_address(body.tenant, "tenant")
    if call.scope is not None and tenant is None:
        tenant = call.scope
    call.hold_to_scope(_owner(call, tenant), "tenant")
    upload = Upload(
        kind=body.kind,
        certificate=body.certificate,
        private_key=body.private_key,
        passphrase=body.passphrase,
        tenant=tenant,
        x5u=body.x5u,
    )
    try:
        done = import_certificate(
            call.resources.database,
            call.resources.master,
            upload,
            actor=call.actor,
            now=call.now,
            lab=call.resources.config.signing.lab_urls,
        )
    except CertificateRefused as error:
        raise Problem(400, error.slug, error.detail, error.field) from error
    except UnknownTenant as error:
        raise invalid("tenant", "no tenant has this address; create the tenant first") from error
    except AlreadyStored as error:
        raise Problem(
            409, "already-stored", f"this certificate is stored as {error.id}", id=error.id
        ) from error
    shown = record(call, done.certificate)
    notes = tuple(CertificateWarning("put-right", note) for note in done.notes)
    shown = msgspec.structs.replace(shown, warnings=(*shown.warnings, *notes))
    return Reply(shown, {"Location": f"/api/v1/certificates/{shown.id}"})


def listing(call: ApiCall) -> Reply:
    """List certificates in the order they were stored."""
    wanted = Filter(
        kind=_kind(call.query.get("kind")),
        tenant=call.scope or _listed_tenant(call),
        name=_address(call.query.get("name"), "name"),
        expires_before=read_time(call.query.get("expires_before"), "expires_before"),
    )
    after = read_position(call.query.get("after")) or 0
    limit = call.limit()
    with call.resources.database.reading() as connection:
        found = stored.find(connection, wanted, after=after, limit=limit + 1)
    items = tuple(record(call, row) for row in found[:limit])
    more = str(found[limit - 1].sequence) if len(found) > limit else None
    return Reply(CertificateList(items, more))


def show(call: ApiCall) -> Reply:
    """Show one certificate."""
    with call.resources.database.reading() as connection:
        return Reply(record(call, _visible(call, connection)))


def remove(call: ApiCall) -> Reply:
    """Remove a certificate and its key."""
    with call.changing() as change:
        row = _visible(call, change.connection)
        stored.remove(change, row.id)
        change.audit(Action.CERTIFICATE_DELETE, row.id, tenant=row.tenant, before=facts_of(row))
    return Reply()


def download(call: ApiCall) -> Reply:
    """Download the chain, leaf first, never the key."""
    with call.resources.database.reading() as connection:
        row = _visible(call, connection)
        chain = stored.chain_pem(connection, row.id)
    if chain is None:
        raise not_found("certificate")
    headers = {"Content-Disposition": f'attachment; filename="{row.id[:16]}.pem"'}
    return Reply(chain.encode("ascii"), headers)


def publish(call: ApiCall) -> Reply:
    """Give the chain of an STI certificate to whoever verifies a signature (x5u)."""
    fingerprint = call.path["fingerprint"]
    if not _FINGERPRINT.fullmatch(fingerprint):
        raise not_found("certificate")
    # The store itself is asked: another worker may have signed with it this very moment.
    with call.resources.database.reading() as connection:
        row = stored.get(connection, fingerprint)
        chain = stored.chain_pem(connection, fingerprint)
    if row is None or row.kind is not CertificateKind.STI or chain is None:
        raise not_found("certificate")
    headers = {
        "Cache-Control": f"public, max-age={REPOSITORY_CACHE_SECONDS}",
        "X-Content-Type-Options": "nosniff",
    }
    return Reply(chain.encode("ascii"), headers)


def record(call: ApiCall, row: StoredCertificate) -> CertificateRecord:
    """Show a stored certificate."""
    status = status_of(row, now=call.now)
    warnings = {
        Status.EXPIRING: (CertificateWarning("expires-soon", "it expires soon: replace it"),),
        Status.EXPIRED: (
            CertificateWarning("expired", "it has expired and signs nothing: replace it"),
        ),
    }
    return CertificateRecord(
        id=row.id,
        kind=row.kind,
        names=row.names,
        subject=row.subject,
        issuer=row.issuer,
        serial=row.serial,
        fingerprint=row.id,
        not_before=datetime.fromtimestamp(row.not_before, UTC),
        not_after=datetime.fromtimestamp(row.not_after, UTC),
        tenant=row.tenant,
        tn_auth_list=None if row.tn_auth_list is None else _authorised(row.tn_auth_list),
        x5u=call.resources.signer.x5u_of(row),
        has_private_key=row.sealed_key is not None,
        source=Source(row.source),
        status=status,
        warnings=warnings.get(status, ()),
    )


def _authorised(der: bytes) -> TnAuthListRecord:
    entries = TnAuthList.decode(der).entries
    return TnAuthListRecord(
        spc=tuple(entry.code for entry in entries if isinstance(entry, Spc)),
        tn=tuple(entry.number for entry in entries if isinstance(entry, Tn)),
        range=tuple(
            TnRangeRecord(entry.start, entry.count)
            for entry in entries
            if isinstance(entry, TnRange)
        ),
    )


def _visible(call: ApiCall, connection: Connection) -> StoredCertificate:
    identity = call.path["id"].lower()
    if not _FINGERPRINT.fullmatch(identity):
        raise not_found("certificate")
    row = stored.get(connection, identity)
    if row is None:
        raise not_found("certificate")
    call.hold_to_scope(row.tenant, "certificate")
    return row


def _owner(call: ApiCall, tenant: str | None) -> str | None:
    found = None if tenant is None else call.snapshot.tenants.get(tenant)
    return None if found is None else found.address


def _listed_tenant(call: ApiCall) -> str | None:
    address = _address(call.query.get("tenant"), "tenant")
    return _owner(call, address) or address


def _kind(text: str | None) -> CertificateKind | None:
    try:
        return None if text is None else CertificateKind(text)
    except ValueError as error:
        raise invalid("kind", "one of system, domain, sti is expected") from error


def _address(text: str | None, field: str) -> str | None:
    return None if text is None else read_address(text, field)


_BASE = "/api/v1/certificates"

ROUTES = (
    Route(
        "GET",
        _BASE,
        Role.VIEWER,
        listing,
        "List certificates",
        gives=CertificateList,
        query=("kind", "tenant", "name", "expires_before", "limit", "after"),
    ),
    Route(
        "POST",
        _BASE,
        Role.ADMIN,
        create,
        "Import a certificate with its key",
        takes=CertificateImport,
        gives=CertificateRecord,
        status=201,
        secret=True,
    ),
    Route(
        "GET", f"{_BASE}/{{id}}", Role.VIEWER, show, "Show a certificate", gives=CertificateRecord
    ),
    Route("DELETE", f"{_BASE}/{{id}}", Role.ADMIN, remove, "Remove a certificate", status=204),
    Route(
        "GET",
        f"{_BASE}/{{id}}/pem",
        Role.VIEWER,
        download,
        "Download a chain",
        media_type="application/pem-certificate-chain",
    ),
    Route(
        "GET",
        "/certificates/{fingerprint}.pem",
        None,
        publish,
        "The chain that a signature's x5u names",
        media_type="application/pem-certificate-chain",
    ),
)
