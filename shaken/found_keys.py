"""Where the key of a certificate is that came without one: it is here already.

It waits with the request for the certificate, or is kept with another certificate: a CA may issue
twice for one key. Who may use it is decided here; `shaken.importing` stores it anew.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from shaken.audit import AuditedChange
from shaken.requesting import Answered, take_pending_key
from trust.certificate import Certificate, CertificateKind, CertificateRefused
from trust.keys import MasterKeyError, MasterKeys, SealError, unseal_private_key
from trust.pem import PrivateKey
from trust.store import certificates as stored
from trust.store.certificates import Filter, StoredCertificate
from trust.store.database import Change


@dataclass(frozen=True)
class Keyless:
    """A certificate that came without a key, as `kind`, for the host names `names`.

    `only_pending`: its key must wait with its request; no other one is looked for.
    """

    certificate: Certificate
    kind: CertificateKind
    names: Sequence[str]
    only_pending: bool = False


@dataclass(frozen=True)
class FoundKey:
    """A key that was here before its certificate: whose it is, the request it waited with."""

    private_key: PrivateKey = field(repr=False)
    tenant: str | None
    answered: Answered | None = None
    notes: tuple[str, ...] = ()


def find_key(
    change: AuditedChange,
    master: MasterKeys,
    keyless: Keyless,
    *,
    tenant: str | None,
    scope: str | None,
) -> FoundKey:
    """Find the key of a certificate that came without: with its request, or with another one.

    `tenant` is the one that the certificate is for, None: any; `scope` the one whose requests and
    certificates count, None: those of all. A request that is found is removed: whoever takes its
    key stores it in the same change. Raises CertificateRefused, MasterKeyError.
    """
    taken = take_pending_key(
        change, master, keyless.certificate, keyless.kind, keyless.names, scope=scope
    )
    if taken is not None:
        return FoundKey(taken.private_key, taken.answered.request.tenant, taken.answered)
    if keyless.only_pending:
        raise _no_key()
    row = _of_same_key(change, keyless, tenant=tenant, scope=scope)
    try:
        key = unseal_private_key(master, row.sealed_key or b"", record=row.id)
    except SealError as error:
        raise MasterKeyError(str(error)) from error
    note = f"Its private key is that of certificate {row.id}, which is stored here."
    return FoundKey(key, row.tenant, notes=(note,))


def _of_same_key(
    change: Change, keyless: Keyless, *, tenant: str | None, scope: str | None
) -> StoredCertificate:
    """Find a stored certificate that has the key: of the same kind, and of no other tenant.

    Raises CertificateRefused.
    """
    kept = stored.find(change.connection, Filter(kind=keyless.kind, tenant=scope))
    rows = [row for row in kept if tenant is None or row.tenant in {None, tenant}]
    found = stored.with_key(change.connection, rows, keyless.certificate.spki_sha256)
    if found is None:
        raise _no_key()
    return found


def _no_key() -> CertificateRefused:
    return CertificateRefused(
        "no-key",
        "A certificate that is used here needs its private key: paste it too, or send it as"
        " private_key. Only the certificate of a request that was made here (`shaken"
        " certificates request`) comes without, and no request waits for this one, nor is its"
        " key stored with another certificate of this kind and tenant.",
        field="private_key",
    )
