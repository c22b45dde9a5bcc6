"""The settings of ACME in the store: what is secret among them is sealed."""

from typing import Any

import msgspec
from sqlalchemy import Connection, delete, insert, select

from trust.acme.settings import AcmeSettings
from trust.keys import MasterKeyError, MasterKeys, SealError
from trust.store import master_key
from trust.store.database import Change
from trust.store.sealed import ACME_SECRETS
from trust.store.tables import acme_settings

_NAME = "acme"
"""There is one row: an installation has one authority at a time."""

_SECRETS = ("binding", "dns")
"""Members that are sealed: a MAC key, and whatever the DNS provider wants for a password."""


def save(change: Change, keys: MasterKeys, settings: AcmeSettings) -> None:
    """Write the settings, in place of those that were there. Raises MasterKeyError."""
    document: dict[str, Any] = msgspec.to_builtins(settings)
    secrets = {name: document.pop(name) for name in _SECRETS}
    target = master_key.bound_to(change.connection, keys)
    record = ACME_SECRETS.name_of(_NAME)
    row = {
        "name": _NAME,
        "document": document,
        "sealed_secrets": target.seal(msgspec.json.encode(secrets), record=record),
        "revision": change.revision,
    }
    change.connection.execute(delete(acme_settings))
    change.connection.execute(insert(acme_settings), row)


def load(connection: Connection, keys: MasterKeys) -> AcmeSettings | None:
    """Read the settings; None: there are none yet. Raises MasterKeyError."""
    query = select(acme_settings.c.document, acme_settings.c.sealed_secrets)
    row = connection.execute(query.where(acme_settings.c.name == _NAME)).one_or_none()
    if row is None:
        return None
    try:
        opened = keys.unseal(row.sealed_secrets, record=ACME_SECRETS.name_of(_NAME))
    except SealError as error:
        raise MasterKeyError(f"the secrets of the ACME settings do not open: {error}") from error
    secrets = msgspec.json.decode(opened)
    return msgspec.convert({**row.document, **secrets}, AcmeSettings)


def remove(change: Change) -> bool:
    """Remove the settings: nothing is ordered any more. Say whether there were any."""
    return change.connection.execute(delete(acme_settings)).rowcount == 1
