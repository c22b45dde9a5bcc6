"""Credentials in the store: digests, never secrets."""

from collections.abc import Sequence
from ipaddress import ip_network

from sqlalchemy import Connection, Row, delete, insert
from sqlalchemy.exc import IntegrityError

from shaken.credentials import Credential, Role
from shaken.store.tables import credentials
from trust.store.database import Change


class CredentialTaken(Exception):  # noqa: N818 - an outcome the caller expects
    """A credential of this name exists."""


def add_credential(change: Change, credential: Credential, *, now: int) -> None:
    """Write a new credential. Raises CredentialTaken."""
    row = {
        "name": credential.name,
        "role": credential.role.value,
        "digest": credential.digest,
        "tenant": credential.tenant,
        "trunk": credential.trunk,
        "networks": [str(network) for network in credential.networks],
        "created_at": now,
        "revision": change.revision,
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
    query = credentials.select().where(credentials.c.name == name)
    row = connection.execute(query).one_or_none()
    return None if row is None else read_credential(row)


def find_credentials(
    connection: Connection, *, tenant: str | None, after: str, limit: int
) -> Sequence[Credential]:
    """List credentials (of one tenant, None: of all) by name, from beyond `after`."""
    query = credentials.select().where(credentials.c.name > after).order_by(credentials.c.name)
    if tenant is not None:
        query = query.where(credentials.c.tenant == tenant)
    return [read_credential(row) for row in connection.execute(query.limit(limit))]


def read_credential(row: Row[tuple[object, ...]]) -> Credential:
    """Read a row of the credentials table."""
    return Credential(
        name=row.name,
        role=Role(row.role),
        digest=row.digest,
        tenant=row.tenant,
        trunk=row.trunk,
        networks=tuple(ip_network(text) for text in row.networks),
    )
