"""The certificate that is always there: self-signed, for `localhost`, made by the service itself.

A TLS listener needs some certificate before anybody imports one. It gives way to every other. A
start in its last month makes it anew; one is also made when the last that can be presented goes.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from shaken.audit import SYSTEM, Action, AuditedChange, changing
from shaken.certificates import Status, can_be_presented, facts_of, status_of
from shaken.importing import Importer, Upload
from trust.authority import self_signed
from trust.certificate import CertificateKind, Source
from trust.keys import MasterKeys
from trust.store import certificates as stored
from trust.store.certificates import Filter, StoredCertificate
from trust.store.database import Database

NAMES = ("localhost", "127.0.0.1", "::1")
LIFETIME = timedelta(days=397)
"""The longest that clients accept of a TLS certificate."""


def ensure_builtin(database: Database, master: MasterKeys, *, now: int) -> None:
    """See that there is a built-in certificate that lasts; one near its end is replaced.

    Raises StoreError.
    """
    with database.reading() as connection:
        rows = stored.find(connection, Filter(kind=CertificateKind.SYSTEM))
    old = [row for row in rows if row.source is Source.BUILT_IN]
    if any(status_of(row, now=now) is Status.VALID for row in old):
        return
    with changing(database, SYSTEM, now=now) as change:
        for row in old:
            if stored.remove(change, row.id):
                change.audit(Action.CERTIFICATE_DELETE, row.id, tenant=None, before=facts_of(row))
        _add(change, master)


def make_up_for(
    change: AuditedChange, removed: Iterable[StoredCertificate], *, master: MasterKeys
) -> None:
    """See that there is a system certificate to present after these were removed in this change.

    Raises StoreError, MasterKeyError.
    """
    if all(row.kind is not CertificateKind.SYSTEM for row in removed):
        return
    if not can_be_presented(stored.find(change.connection, Filter(kind=CertificateKind.SYSTEM))):
        _add(change, master)


def _add(change: AuditedChange, master: MasterKeys) -> None:
    importer = Importer(master, lab=False)
    made = self_signed(NAMES, now=datetime.fromtimestamp(change.at, UTC), lifetime=LIFETIME)
    upload = Upload(
        kind=CertificateKind.SYSTEM,
        certificate=made.chain_pem,
        private_key=made.key_pem,
        source=Source.BUILT_IN,
    )
    importer.add(change, importer.read(upload, now=change.at), scope=None, now=change.at)
