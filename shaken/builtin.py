"""The certificate that is always there: self-signed, for `localhost`, made by the service itself.

A TLS listener needs some certificate before anybody imports one. It gives way to every other. A
start in its last month makes it anew.
"""

from datetime import UTC, datetime, timedelta

from shaken.audit import SYSTEM, Action, changing
from shaken.certificates import Status, facts_of, status_of
from shaken.importing import Importer, Upload
from trust.authority import self_signed
from trust.certificate import CertificateKind, Source
from trust.keys import MasterKeys
from trust.store import certificates as stored
from trust.store.certificates import Filter
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
    importer = Importer(master, lab=False)
    made = self_signed(NAMES, now=datetime.fromtimestamp(now, UTC), lifetime=LIFETIME)
    upload = Upload(
        kind=CertificateKind.SYSTEM,
        certificate=made.chain_pem,
        private_key=made.key_pem,
        source=Source.BUILT_IN,
    )
    with changing(database, SYSTEM, now=now) as change:
        for row in old:
            if stored.remove(change, row.id):
                change.audit(Action.CERTIFICATE_DELETE, row.id, tenant=None, before=facts_of(row))
        importer.add(change, importer.read(upload, now=now), scope=None, now=now)
