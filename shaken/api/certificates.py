"""`/api/v1/certificates`: imported, listed, downloaded, deleted."""

import base64
import binascii
from collections.abc import Iterable
from typing import Annotated

import msgspec
from cryptography.hazmat.primitives.serialization import Encoding
from msgspec import Meta
from sqlalchemy import Connection

from shaken import certificates
from shaken.api.certificate_records import (
    CertificateList,
    CertificateRecord,
    CertificateWarning,
    record,
    records,
)
from shaken.api.problems import Problem, invalid, master_key_missing, not_found
from shaken.api.routes import (
    ApiCall,
    Form,
    Reply,
    Route,
    read_flag,
    read_id,
    read_kind,
    read_position,
    read_time,
)
from shaken.assignment import UnknownTenant
from shaken.builtin import make_up_for
from shaken.credentials import Role
from shaken.importing import Importer, NotOfTenant, StoredForOthers, Upload
from trust.certificate import Certificate, CertificateKind, CertificateRefused
from trust.keys import MasterKeyError
from trust.names import DnsNameError, host_name
from trust.pem import MAX_LENGTH
from trust.store import certificates as stored
from trust.store.certificates import AlreadyStored, Filter, StoredCertificate

MAX_DELETED = 1000
"""Certificates deleted by one request."""

MAX_FILE_NAME = 100
"""Characters of a name in the name of a file: file systems hold 255."""

PKCS7 = "application/pkcs7-mime"
"""A bundle of certificates, RFC 8551 §3.2."""

Fingerprint = Annotated[str, Meta(pattern=r"^[0-9a-fA-F]{64}\Z")]
Pem = Annotated[str, Meta(max_length=MAX_LENGTH)]


class CertificateImport(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A certificate to keep. `certificate` may hold chain and key together, in any order.

    `pkcs12` is a PKCS#12 file in base64, in place of the texts.
    """

    kind: CertificateKind
    certificate: Pem = ""
    private_key: Pem | None = None
    pkcs12: Annotated[str, Meta(max_length=2 * MAX_LENGTH)] | None = None
    passphrase: Annotated[str, Meta(max_length=1024)] | None = None
    tenant: Annotated[str, Meta(max_length=253)] | None = None
    x5u: Annotated[str, Meta(max_length=2048)] | None = None

    def __repr__(self) -> str:
        """Say no more than what it is for: it holds a private key."""
        return f"<{type(self).__name__} of kind {self.kind.value}>"


class CertificateDeletion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Certificates to remove together: all of them or none."""

    ids: Annotated[list[Fingerprint], Meta(min_length=1, max_length=MAX_DELETED)]


def create(call: ApiCall) -> Reply:
    """Import a certificate with its key, given or waiting here; all of it or nothing."""
    lab = call.resources.config.signing.lab_urls
    importer = Importer(call.resources.master, lab=lab, known=call.snapshot)
    try:
        read = importer.read(_upload(call), now=call.now)
        with call.changing() as change:
            done = importer.add(change, read, scope=call.scope, now=call.now)
    except CertificateRefused as error:
        raise Problem(400, error.slug, error.detail, error.field) from error
    except UnknownTenant as error:
        raise invalid("tenant", "no tenant has this address; create the tenant first") from error
    except NotOfTenant as error:
        raise not_found("tenant") from error
    except MasterKeyError as error:
        raise master_key_missing(error) from error
    except AlreadyStored as error:
        raise Problem(
            409,
            "already-stored",
            f"this certificate is stored as {error.id}; with ?replace=true it takes over a better"
            " chain or the missing key",
            id=error.id,
        ) from error
    except StoredForOthers as error:
        raise Problem(
            409,
            "already-stored",
            f"this certificate is stored as {error.id}, not for your tenant: only a credential that"
            " is for all tenants can replace it",
            id=error.id,
        ) from error
    except certificates.Missed as error:
        raise Problem(
            409,
            "in-use",
            f"{error}; import another for it first, or delete this one with ?force=true and import"
            " it anew with its key",
            id=error.dependent.certificate,
        ) from error
    shown = record(call, done.row, chain=done.chain)
    notes = tuple(CertificateWarning("put-right", note) for note in done.notes)
    shown = msgspec.structs.replace(shown, warnings=(*shown.warnings, *notes))
    return Reply(shown, {"Location": f"/api/v1/certificates/{shown.id}"})


def listing(call: ApiCall) -> Reply:
    """List certificates in the order they were stored."""
    wanted = Filter(
        kind=read_kind(call.query.get("kind")),
        tenant=call.listed_tenant(),
        name=_listed_name(call.query.get("name")),
        expires_before=read_time(call.query.get("expires_before"), "expires_before"),
    )
    after = read_position(call.query.get("after")) or 0
    limit = call.limit()
    with call.resources.database.reading() as connection:
        found = stored.find(connection, wanted, after=after, limit=limit + 1)
        items = records(call, connection, found[:limit])
    more = str(found[limit - 1].sequence) if len(found) > limit else None
    return Reply(CertificateList(items, more))


def show(call: ApiCall) -> Reply:
    """Show one certificate."""
    with call.resources.database.reading() as connection:
        row, chain = _with_chain(call, connection)
    return Reply(record(call, row, chain=chain))


def remove(call: ApiCall) -> Reply:
    """Remove a certificate and its key, unless it would be missed."""
    _remove(call, [call.path["id"]])
    return Reply()


def remove_many(call: ApiCall) -> Reply:
    """Remove certificates and their keys, all of them or none."""
    body: CertificateDeletion = call.body
    _remove(call, body.ids)
    return Reply()


def download_pem(call: ApiCall) -> Reply:
    """Download the chain, leaf first, never the key."""
    with call.resources.database.reading() as connection:
        row, chain = _with_chain(call, connection)
    return Reply(chain.encode("ascii"), _as_file(row, "pem"))


def download_der(call: ApiCall) -> Reply:
    """Download the leaf in DER (RFC 5280), or with ?chain=true all of the chain as PKCS#7."""
    whole = read_flag(call.query.get("chain"), "chain")
    with call.resources.database.reading() as connection:
        row, chain = _with_chain(call, connection)
    certificate = Certificate.of_pem(chain)
    if whole:
        return Reply(certificate.pkcs7(), _as_file(row, "p7b"), media_type=PKCS7)
    return Reply(certificate.leaf.public_bytes(Encoding.DER), _as_file(row, "cer"))


def _as_file(row: StoredCertificate, ending: str) -> dict[str, str]:
    """Name the file that a download becomes, in ASCII, by what the certificate is for."""
    name = row.names[0].replace("*", "wildcard").replace(":", "-") if row.names else row.kind.value
    file_name = f"{name[:MAX_FILE_NAME]}-{row.id[:8]}.{ending}"
    return {"Content-Disposition": f'attachment; filename="{file_name}"'}


def _upload(call: ApiCall) -> Upload:
    body: CertificateImport = call.body
    if not body.certificate and body.pkcs12 is None:
        raise invalid("certificate", "send PEM text as certificate, or a PKCS#12 file as pkcs12")
    tenant = call.tenant_for(body.tenant)
    return Upload(
        kind=body.kind,
        certificate=body.certificate,
        private_key=body.private_key,
        pkcs12=None if body.pkcs12 is None else _binary(body.pkcs12),
        passphrase=body.passphrase,
        tenant=tenant,
        x5u=body.x5u,
        replace=read_flag(call.query.get("replace"), "replace"),
    )


def _binary(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise invalid("pkcs12", "the file is expected in base64") from error


def _remove(call: ApiCall, ids: Iterable[str]) -> None:
    force = read_flag(call.query.get("force"), "force")
    fallback = call.resources.config.signing.fallback
    try:
        with call.changing() as change:
            removed = certificates.remove(
                change,
                ids,
                known=call.snapshot,
                scope=call.scope,
                fallback=fallback,
                force=force,
            )
            make_up_for(change, removed, master=call.resources.master)
    except certificates.NoSuchCertificate as error:
        raise not_found("certificate") from error
    except certificates.Missed as error:
        raise Problem(
            409,
            "in-use",
            f"{error}; import another first, or delete it all the same with ?force=true",
            id=error.dependent.certificate,
        ) from error
    except MasterKeyError as error:
        raise master_key_missing(error) from error


def _visible(call: ApiCall, connection: Connection, identity: str) -> StoredCertificate:
    row = stored.get(connection, read_id(identity, "certificate"))
    if row is None:
        raise not_found("certificate")
    call.hold_to_scope(row.tenant, "certificate")
    return row


def _with_chain(call: ApiCall, connection: Connection) -> tuple[StoredCertificate, str]:
    """Read the certificate that the path names, and its chain."""
    row = _visible(call, connection, call.path["id"])
    chain = stored.chain_pem(connection, row.id)
    if chain is None:
        raise not_found("certificate")
    return row, chain


def _listed_name(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        return host_name(text)
    except DnsNameError as error:
        detail = "a DNS name, one with a star in front, or an IP address is expected"
        raise invalid("name", detail) from error


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
        "Import a certificate with its key, or the one that a request waits for",
        takes=CertificateImport,
        form=Form(binary=("pkcs12",)),
        gives=CertificateRecord,
        status=201,
        secret=True,
        query=("replace",),
    ),
    Route(
        "POST",
        f"{_BASE}/delete",
        Role.ADMIN,
        remove_many,
        "Remove several certificates, all or none",
        takes=CertificateDeletion,
        status=204,
        query=("force",),
    ),
    Route(
        "GET", f"{_BASE}/{{id}}", Role.VIEWER, show, "Show a certificate", gives=CertificateRecord
    ),
    Route(
        "DELETE",
        f"{_BASE}/{{id}}",
        Role.ADMIN,
        remove,
        "Remove a certificate",
        status=204,
        query=("force",),
    ),
    Route(
        "GET",
        f"{_BASE}/{{id}}/pem",
        Role.VIEWER,
        download_pem,
        "Download a chain",
        media_type="application/pem-certificate-chain",
    ),
    Route(
        "GET",
        f"{_BASE}/{{id}}/der",
        Role.VIEWER,
        download_der,
        "Download a leaf in DER, or its chain as PKCS#7",
        media_type="application/pkix-cert",
        query=("chain",),
    ),
)
