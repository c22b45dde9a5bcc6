"""Certificate requests in the store, each with its pending key until its certificate comes.

Functions take the connection or the change they work in: the caller decides what belongs to one
transaction. A key is sealed for its request, under a name that no certificate has; it opens for
the request only, and leaves by being sealed anew for the certificate.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, Connection, Row, delete, func, insert, select

from trust.certificate import CertificateKind
from trust.keys import MasterKey, MasterKeys, seal_private_key, unseal_private_key
from trust.pem import PrivateKey
from trust.request import KeyType
from trust.store.database import Change
from trust.store.sealed import REQUEST_KEYS
from trust.store.tables import certificate_requests as requests

MAX_PENDING = 1_000
"""Requests that wait for their certificates: far more than are sent to CAs at a time."""

MAX_PENDING_OF_TENANT = 100
"""Requests of one tenant, so that none uses up the room of all."""


class TooManyPending(Exception):  # noqa: N818 - an outcome the caller expects
    """No more requests are kept; the message says which bound is reached."""


@dataclass(frozen=True, slots=True)
class StoredRequest:
    """A request's row. `id` is the SHA-256 of its public key (SPKI); times are Unix seconds.

    `tn_auth_list` is the extension's DER, `csr` PEM. `sealed_key` opens by `open_key` only.
    """

    id: str
    kind: CertificateKind
    names: tuple[str, ...]
    subject: str
    tenant: str | None
    tn_auth_list: bytes | None
    key_type: KeyType
    csr: str
    sealed_key: bytes = field(repr=False)
    created_at: int
    sequence: int = 0


@dataclass(frozen=True)
class Filter:
    """Which requests a list shows; what is None does not restrict."""

    kind: CertificateKind | None = None
    tenant: str | None = None


def seal_key(master: MasterKey, key: PrivateKey, request_id: str) -> bytes:
    """Seal the pending key of a request."""
    return seal_private_key(master, key, record=REQUEST_KEYS.name_of(request_id))


def open_key(master: MasterKeys, request: StoredRequest) -> PrivateKey:
    """Open the pending key of a request. Raises SealError."""
    name = REQUEST_KEYS.name_of(request.id)
    return unseal_private_key(master, request.sealed_key, record=name)


def hold_room(connection: Connection, tenant: str | None) -> None:
    """See whether one more request is kept that somebody makes by hand. Raises TooManyPending."""
    if tenant is not None and count(connection, Filter(tenant=tenant)) >= MAX_PENDING_OF_TENANT:
        raise TooManyPending(
            f"{MAX_PENDING_OF_TENANT} requests of {tenant} wait for their certificates"
        )
    if count(connection, Filter()) >= MAX_PENDING:
        raise TooManyPending(f"{MAX_PENDING} requests wait for their certificates")


def add(change: Change, request: StoredRequest) -> None:
    """Write a request with its key."""
    row = {
        "id": request.id,
        "kind": request.kind.value,
        "names": list(request.names),
        "subject": request.subject,
        "tenant": request.tenant,
        "tn_auth_list": request.tn_auth_list,
        "key_type": request.key_type.value,
        "csr": request.csr,
        "sealed_key": request.sealed_key,
        "created_at": request.created_at,
        "revision": change.revision,
    }
    change.connection.execute(insert(requests), row)


def remove(change: Change, request_id: str) -> bool:
    """Remove a request with its key; say whether it was there."""
    done = change.connection.execute(delete(requests).where(requests.c.id == request_id))
    return done.rowcount == 1


def get(connection: Connection, request_id: str) -> StoredRequest | None:
    """Read one request."""
    row = connection.execute(select(requests).where(requests.c.id == request_id)).one_or_none()
    return None if row is None else _read(row)


def find(
    connection: Connection, wanted: Filter, *, after: int, limit: int
) -> Sequence[StoredRequest]:
    """List at most `limit` requests in the order they were made, beyond sequence `after`."""
    query = select(requests).where(requests.c.sequence > after, *_conditions(wanted))
    rows = connection.execute(query.order_by(requests.c.sequence).limit(limit))
    return [_read(row) for row in rows]


def newest(connection: Connection, wanted: Filter, *, limit: int) -> Sequence[StoredRequest]:
    """List at most `limit` requests, the last one made first."""
    query = select(requests).where(*_conditions(wanted))
    rows = connection.execute(query.order_by(requests.c.sequence.desc()).limit(limit))
    return [_read(row) for row in rows]


def count(connection: Connection, wanted: Filter) -> int:
    """Count requests."""
    query = select(func.count()).select_from(requests).where(*_conditions(wanted))
    return int(connection.execute(query).scalar_one())


def any_of_tenant(connection: Connection, tenant: str) -> bool:
    """Say whether requests belong to a tenant."""
    return count(connection, Filter(tenant=tenant)) > 0


def _conditions(wanted: Filter) -> Iterator[ColumnElement[bool]]:
    if wanted.kind is not None:
        yield requests.c.kind == wanted.kind.value
    if wanted.tenant is not None:
        yield requests.c.tenant == wanted.tenant


def _read(row: Row[tuple[object, ...]]) -> StoredRequest:
    return StoredRequest(
        id=row.id,
        kind=CertificateKind(row.kind),
        names=tuple(row.names),
        subject=row.subject,
        tenant=row.tenant,
        tn_auth_list=row.tn_auth_list,
        key_type=KeyType(row.key_type),
        csr=row.csr,
        sealed_key=row.sealed_key,
        created_at=row.created_at,
        sequence=row.sequence,
    )
