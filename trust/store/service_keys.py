"""Secret keys that the service has for itself, by name: random, sealed like all others.

They stay the same when the master key changes. What they are for is their users' matter.
"""

import os

from sqlalchemy import Connection, insert, select

from trust.keys import MasterKeyError, MasterKeys, SealError
from trust.store import master_key
from trust.store.database import Change
from trust.store.sealed import SERVICE_KEYS
from trust.store.tables import service_keys

KEY_BYTES = 32
"""Of a key for HMAC-SHA-256: as long as its digests (RFC 2104 §3)."""


def make(change: Change, keys: MasterKeys, name: str) -> bytes:
    """Make the key of a name that has none; return it. Raises MasterKeyError."""
    secret = os.urandom(KEY_BYTES)
    target = master_key.bound_to(change.connection, keys)
    sealed = target.seal(secret, record=SERVICE_KEYS.name_of(name))
    row = {"name": name, "sealed": sealed, "revision": change.revision}
    change.connection.execute(insert(service_keys), row)
    return secret


def find(connection: Connection, keys: MasterKeys, name: str) -> bytes | None:
    """Return the key of a name; None: it has none. Raises MasterKeyError when it does not open."""
    query = select(service_keys.c.sealed).where(service_keys.c.name == name)
    sealed = connection.execute(query).scalar_one_or_none()
    if sealed is None:
        return None
    try:
        return keys.unseal(sealed, record=SERVICE_KEYS.name_of(name))
    except SealError as error:
        raise MasterKeyError(f"the master key of {name} is not at hand: {error}") from error
