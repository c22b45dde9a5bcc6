"""The first admin credential of a new store: somebody must be able to make the others."""

import json
from pathlib import Path

from shaken.audit import SYSTEM, Action, changing
from shaken.credentials import Credential, Role, digest_of, new_secret
from shaken.facts import credential_record
from shaken.service import Prepared
from shaken.store.credentials import add_credential, get_credential, has_admin, remove_credential
from shaken.whole_files import write_private

NAME = "admin"


def ensure_admin(prepared: Prepared, data_dir: Path, *, now: int) -> Path | None:
    """Make an admin credential unless there is one; return the file that holds its secret.

    The file comes first: a kill in between leaves a secret that opens nothing, made anew at the
    next start. Raises StoreError, OSError.
    """
    database = prepared.open_database()
    try:
        with database.reading() as connection:
            if has_admin(connection):
                return None
        file, secret = data_dir / "admin.json", new_secret()
        write_private(file, json.dumps({"name": NAME, "secret": secret}) + "\n")
        with changing(database, SYSTEM, now=now) as change:
            old = get_credential(change.connection, NAME)
            if old is not None:
                remove_credential(change, NAME)
                change.audit(
                    Action.CREDENTIAL_REVOKE, NAME, tenant=old.tenant, before=credential_record(old)
                )
            credential = Credential(NAME, Role.ADMIN, digest_of(secret), None, None, ())
            add_credential(change, credential, now=now)
            change.audit(
                Action.CREDENTIAL_CREATE, NAME, tenant=None, after=credential_record(credential)
            )
        return file
    finally:
        database.close()
