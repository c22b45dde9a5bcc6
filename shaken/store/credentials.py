"""Credentials in the store: digests, never secrets."""

from collections.abc import Iterator, Sequence
from ipaddress import ip_network

from sqlalchemy import Connection, Row, delete, insert, select
from sqlalchemy.exc import IntegrityError

from shaken.credentials import Credential, Role
from shaken.store.tables import credentials
from trust.store.database import Change
from trust.store.mirror import CHUNK


class CredentialTaken(Exception):  # noqa: N818 - an outcome the caller expects
    """A credential of this name exists."""


CREDENTIAL_COLUMNS = tuple(
    column for column in credentials.columns if column.name != "client_certificate"
)
"""What `read_credential` reads: all but the certificate, which few have need of."""


def add_credential(
    change: Change, credential: Credential, *, now: int, client_certificate: str | None = None
) -> None:
    """Write a new credential, and the certificate (PEM) it is bound to. Raises CredentialTaken."""
    row = {
        "name": credential.name,
        "role": credential.role.value,
        "digest": credential.digest,
        "tenant": credential.tenant,
        "trunk": credential.trunk,
        "networks": [str(network) for network in credential.networks],
        "created_at": now,
        "revision": change.revision,
        "client_spki": credential.client_spki,
        "client_certificate": client_certificate,
    }
    try:
        change.connection.execute(insert(credentials), row)
    except IntegrityError as error:
        raise CredentialTaken(credential.name) from error


def remove_credential(change: Change, name: str) -> bool:
    """Revoke a credential; say whether it was there."""
    return (
        change.connection.execute(delete(credentials).where(credentials.c.name == name)).rowcount
        == 1
    )


def get_credential(connection: Connection, name: str) -> Credential | None:
    """Read one credential."""
    query = select(*CREDENTIAL_COLUMNS).where(credentials.c.name == name)
    row = connection.execute(query).one_or_none()
    return None if row is None else read_credential(row)


def has_admin(connection: Connection) -> bool:
    """Say whether there is an administrator of the whole service."""
    query = select(credentials.c.name).where(
        credentials.c.role == Role.ADMIN.value, credentials.c.tenant.is_(None)
    )
    return connection.execute(query.limit(1)).one_or_none() is not None


def find_credentials(
    connection: Connection, *, tenant: str | None, after: str, limit: int
) -> Sequence[Credential]:
    """List credentials (of one tenant, None: of all) by name, from beyond `after`."""
    query = (
        select(*CREDENTIAL_COLUMNS).where(credentials.c.name > after).order_by(credentials.c.name)
    )
    if tenant is not None:
        query = query.where(credentials.c.tenant == tenant)
    return [read_credential(row) for row in connection.execute(query.limit(limit))]


def is_bound_elsewhere(connection: Connection, client_spki: str, *, tenant: str) -> bool:
    """Say whether a credential that is not this tenant's is bound to a client's key."""
    query = select(credentials.c.name).where(
        credentials.c.client_spki == client_spki,
        credentials.c.tenant.is_distinct_from(tenant),
    )
    return connection.execute(query.limit(1)).one_or_none() is not None


def client_certificates(connection: Connection, names: Sequence[str]) -> Iterator[str]:
    """Read the client certificates (PEM) of the credentials with these names that have one."""
    for start in range(0, len(names), CHUNK):
        query = select(credentials.c.client_certificate).where(
            credentials.c.name.in_(names[start : start + CHUNK]),
            credentials.c.client_certificate.is_not(None),
        )
        yield from connection.execute(query).scalars()


def read_credential(row: Row[tuple[object, ...]]) -> Credential:
    """Read a row of the credentials table."""
    return Credential(
        name=row.name,
        role=Role(row.role),
        digest=row.digest,
        tenant=row.tenant,
        trunk=row.trunk,
        networks=tuple(ip_network(text) for text in row.networks),
        client_spki=row.client_spki,
    )
