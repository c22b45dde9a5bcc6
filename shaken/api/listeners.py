"""`/api/v1/listeners/certificate`: what a TLS listener presents for a server name.

The one way by which a private key leaves the service: to a listener's credential, over a
connection that nobody else reads.
"""

import logging
from datetime import UTC, datetime

import msgspec

from shaken.api.problems import Problem, not_found
from shaken.api.routes import ApiCall, Reply, Route, read_address
from shaken.credentials import Role
from trust.keys import SealError, private_key_pem, unseal_private_key
from trust.selection import Presented
from trust.store import certificates as stored

_log = logging.getLogger(__name__)


class ListenerCertificate(msgspec.Struct, frozen=True):
    """Chain (PEM, leaf first) and key (PEM, PKCS#8) that are presented, and why these."""

    certificate: str
    private_key: str
    fingerprint: str
    not_after: datetime
    chosen: Presented


def present(call: ApiCall) -> Reply:
    """Give the certificate and key for a server name; without one, the default ones."""
    name = call.query.get("server_name")
    address = None if not name else read_address(name, "server_name")
    choice = call.snapshot.tls.for_server_name(address, now=call.now)
    if choice is None:
        raise not_found("certificate")
    row = call.snapshot.certificates[choice.candidate.id]
    call.hold_to_scope(row.tenant, "certificate")
    revision = call.snapshot.certificate_rows.revisions[row.id]
    with call.resources.database.reading() as connection:
        chain = stored.chain_pem(connection, row.id)
    if chain is None or row.sealed_key is None:
        raise not_found("certificate")
    try:
        key = unseal_private_key(call.resources.master, row.sealed_key, record=row.id)
    except SealError as error:
        raise _unusable(error, row.id) from error
    answer = ListenerCertificate(
        certificate=chain,
        private_key=private_key_pem(key),
        fingerprint=row.id,
        not_after=datetime.fromtimestamp(row.not_after, UTC),
        chosen=choice.chosen,
    )
    return Reply(answer, {"Cache-Control": "no-store"}, etag=f"{row.id[:32]}-{revision}")


def _unusable(error: SealError, certificate: str) -> Problem:
    """Make the problem of a key that does not open, and log whose master key it takes."""
    _log.error("a listener gets no certificate: %s", error)
    return Problem(
        503,
        "key-unusable",
        f"the key of certificate {certificate} cannot be opened: give the service the master key"
        " that it was sealed under, or delete the certificate and import one with its key",
        id=certificate,
    )


ROUTES = (
    Route(
        "GET",
        "/api/v1/listeners/certificate",
        Role.LISTENER,
        present,
        "The certificate and key that a TLS listener presents for a server name",
        gives=ListenerCertificate,
        secret=True,
        query=("server_name",),
        conditional=True,
        waits=True,
    ),
)
