"""The key and the request of an attempt: in the store before an order is placed, gone after it.

They are requests like those an administrator makes (`trust.store.requests`): a certificate finds
its key by its public key, also one that an administrator imports by hand.
"""

from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from trust.acme.means import Means
from trust.acme.order import Attempt, Order, State
from trust.keys import MasterKeyError, SealError, unseal_private_key
from trust.request import CertificateRequest, RequestKey, Subject, new_key, tls_request
from trust.store import acme_orders, acme_revocations, certificates, master_key, requests
from trust.store.database import Change
from trust.store.requests import StoredRequest


def begin(means: Means, order: Order, *, account: str) -> Order:
    """Keep a key and a request for a new attempt."""
    fresh = new_key(means.settings.key_type)
    with means.fence.changing() as change:
        # Under its lock: nobody asks meanwhile that the former key be used no more.
        former = _former_key(means, change, order) if means.settings.key_reuse else None
        key = former or fresh
        request = tls_request(key, order.names, Subject())
        attempt = Attempt(means.settings.directory_url, account, request.id, means.now)
        prepared = replace(order, state=State.PREPARED, attempt=attempt)
        # A key that is used again may wait already, for an order that was lost.
        requests.remove(change, request.id)
        requests.add(change, _row(means, change, order, request, key))
        return acme_orders.save(change.connection, prepared)


def end(means: Means, order: Order, *, state: State) -> Order:
    """End an attempt that led to no certificate, and destroy its key."""
    if order.attempt is None:
        return means.save(replace(order, state=state))
    with means.fence.changing() as change:
        requests.remove(change, order.attempt.request)
        return acme_orders.save(change.connection, replace(order, state=state, attempt=None))


def lose(means: Means, order: Order, *, state: State) -> Order:
    """End an attempt of which nobody can say how it ended.

    Where a certificate may exist, the request stays: with it the certificate can be imported.
    """
    if order.state is not State.FINALIZING:
        return end(means, order, state=state)
    return means.save(replace(order, state=state, attempt=None))


def _former_key(means: Means, change: Change, order: Order) -> RequestKey | None:
    """Return the key of the certificate in service; None: there is none, or it is to be revoked."""
    if order.certified is None:
        return None
    if acme_revocations.is_pending(change.connection, order.certified.certificate):
        return None
    row = certificates.get(change.connection, order.certified.certificate)
    if row is None or row.sealed_key is None:
        return None
    try:
        key = unseal_private_key(means.keys, row.sealed_key, record=row.id)
    except SealError as error:
        raise MasterKeyError(str(error)) from error
    return key if isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) else None


def _row(
    means: Means, change: Change, order: Order, request: CertificateRequest, key: RequestKey
) -> StoredRequest:
    master = master_key.bound_to(change.connection, means.keys)
    return StoredRequest(
        id=request.id,
        kind=order.kind,
        names=order.names,
        subject=request.subject,
        tenant=order.tenant,
        tn_auth_list=None,
        key_type=means.settings.key_type,
        csr=request.pem,
        sealed_key=requests.seal_key(master, key, request.id),
        created_at=means.now,
    )
