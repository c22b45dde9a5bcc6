"""The certificate that is always there: self-signed, for `localhost`, made by the service itself.

A TLS listener needs some certificate before anybody imports one. It gives way to every other, and
is made anew before it ends.
"""

from datetime import UTC, datetime, timedelta

from shaken.audit import Action, AuditedChange
from shaken.certificates import Status, status_of
from shaken.importing import Importer, Source, Upload, facts_of
from shaken.snapshot import BUILT_IN, Snapshot
from trust.authority import self_signed
from trust.certificate import CertificateKind
from trust.store import certificates as stored
from trust.store.certificates import Filter, StoredCertificate

NAMES = ("localhost", "127.0.0.1", "::1")
LIFETIME = timedelta(days=397)
"""The longest that clients accept of a TLS certificate."""

_MANY = 1000


def builtin_lasts(snapshot: Snapshot, *, now: int) -> bool:
    """Say whether there is a built-in certificate that is not near its end."""
    return any(
        row.source == BUILT_IN and status_of(row, now=now) is Status.VALID
        for row in snapshot.certificates.values()
    )


def ensure_builtin(change: AuditedChange, importer: Importer, *, now: int) -> StoredCertificate:
    """Make a built-in certificate; those there were are removed in the same transaction."""
    system = Filter(kind=CertificateKind.SYSTEM)
    for row in stored.find(change.connection, system, after=0, limit=_MANY):
        if row.source == BUILT_IN:
            stored.remove(change, row.id)
            change.audit(Action.CERTIFICATE_DELETE, row.id, tenant=None, before=facts_of(row))
    made = self_signed(NAMES, now=datetime.fromtimestamp(now, UTC), lifetime=LIFETIME)
    upload = Upload(
        kind=CertificateKind.SYSTEM,
        certificate=made.chain_pem,
        private_key=made.key_pem,
        source=Source.BUILT_IN,
    )
    return importer.add(change, importer.read(upload, now=now), now=now).certificate
