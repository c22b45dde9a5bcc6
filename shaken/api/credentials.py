"""`/api/v1/credentials`: made with a secret that is shown once, listed without it, revoked."""

from datetime import UTC, datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from shaken.api.problems import Problem, invalid, not_found
from shaken.api.routes import ApiCall, Reply, Route, read_address
from shaken.api.trunks import Networks, ThingName, read_networks
from shaken.audit import SYSTEM, Action
from shaken.credentials import Credential, Role, digest_of, new_secret
from shaken.facts import CredentialRecord, credential_record
from shaken.store import credentials as stored
from shaken.store.tenants import get_trunk, owner_of
from trust.certificate import CertificateRefused
from trust.clients import ClientCertificate, read_client_certificate
from trust.store.database import Change

TRUNK_ROLES = frozenset({Role.SIGNER, Role.VERIFIER})
"""Roles a credential of a trunk may have."""


MAX_CLIENT_PEM = 64 * 1024
"""Characters of a client certificate and the authorities above it: eight large ones."""


class CredentialCreation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A new credential; `tenant` or `trunk` bind it, `networks` are where it may be used from.

    `client_certificate` (PEM) binds it to the certificate's key: clients must show it in TLS. With
    it may stand the authorities above it; then it may be renewed for the same key.
    """

    name: ThingName
    role: Role
    tenant: Annotated[str, Meta(min_length=1, max_length=253)] | None = None
    trunk: ThingName | None = None
    networks: Networks = []
    client_certificate: Annotated[str, Meta(min_length=1, max_length=MAX_CLIENT_PEM)] | None = None


class NewCredential(CredentialRecord, frozen=True):
    """A credential just made, with its secret: the only time it is shown."""

    secret: str


class CredentialList(msgspec.Struct, frozen=True):
    """A page of credentials; `next` is what to send as `after`."""

    items: tuple[CredentialRecord, ...]
    next: str | None


def create(call: ApiCall) -> Reply:
    """Make a credential; the answer holds its secret."""
    body: CredentialCreation = call.body
    if body.name.lower() == SYSTEM.name:
        raise invalid("name", "this name means the service itself; choose another name")
    networks = read_networks(body.networks)
    client = _client_certificate(call, body)
    secret = new_secret()
    with call.changing() as change:
        tenant = _bound_tenant(call, change, body)
        if call.scope is not None and tenant is None:
            tenant = call.scope
        if client is not None:
            _hold_to_own_key(call, change, client)
        credential = Credential(
            body.name,
            body.role,
            digest_of(secret),
            tenant,
            body.trunk,
            networks,
            None if client is None else client.spki,
        )
        try:
            stored.add_credential(
                change,
                credential,
                now=call.now,
                client_certificate=None if client is None else client.pem,
            )
        except stored.CredentialTaken as error:
            raise Problem(
                409, "name-taken", f"there is a credential {body.name}; choose another name"
            ) from error
        made = credential_record(credential)
        change.audit(Action.CREDENTIAL_CREATE, body.name, tenant=tenant, after=made)
    shown = NewCredential(**msgspec.structs.asdict(made), secret=secret)
    headers = {"Location": f"/api/v1/credentials/{body.name}", "Cache-Control": "no-store"}
    return Reply(shown, headers)


def listing(call: ApiCall) -> Reply:
    """List credentials by name."""
    limit = call.limit()
    with call.resources.database.reading() as connection:
        found = stored.find_credentials(
            connection, tenant=call.scope, after=call.query.get("after", ""), limit=limit + 1
        )
    more = found[limit - 1].name if len(found) > limit else None
    return Reply(CredentialList(tuple(credential_record(entry) for entry in found[:limit]), more))


def remove(call: ApiCall) -> Reply:
    """Revoke a credential."""
    name = call.path["name"]
    with call.changing() as change:
        credential = stored.get_credential(change.connection, name)
        if credential is None:
            raise not_found("credential")
        call.hold_to_scope(credential.tenant, "credential")
        stored.remove_credential(change, name)
        before = credential_record(credential)
        change.audit(Action.CREDENTIAL_REVOKE, name, tenant=credential.tenant, before=before)
    return Reply()


def _client_certificate(call: ApiCall, body: CredentialCreation) -> ClientCertificate | None:
    if body.client_certificate is None:
        return None
    try:
        return read_client_certificate(
            body.client_certificate, now=datetime.fromtimestamp(call.now, UTC)
        )
    except CertificateRefused as error:
        raise Problem(400, error.slug, error.detail, "client_certificate") from error


def _hold_to_own_key(call: ApiCall, change: Change, client: ClientCertificate) -> None:
    """Keep a tenant's admin from a key that says who somebody else is: it would say so no more."""
    if call.scope is not None and stored.is_bound_elsewhere(
        change.connection, client.spki, tenant=call.scope
    ):
        raise Problem(
            409,
            "certificate-taken",
            "a credential that is not your tenant's is bound to this certificate's key; make"
            " another key",
        )


def _bound_tenant(call: ApiCall, change: Change, body: CredentialCreation) -> str | None:
    """Find the tenant a new credential is bound to, by itself or through its trunk."""
    tenant = None
    if body.tenant is not None:
        tenant = owner_of(change.connection, read_address(body.tenant, "tenant"))
        if tenant is None or call.scope not in {None, tenant}:
            raise invalid("tenant", "no tenant has this address; create the tenant first")
    if body.trunk is None:
        return tenant
    if body.role not in TRUNK_ROLES:
        raise invalid("trunk", "only signers and verifiers belong to a trunk")
    trunk = get_trunk(change.connection, body.trunk)
    if trunk is None or call.scope not in {None, trunk.tenant}:
        raise invalid("trunk", "there is no such trunk; create it first")
    if tenant not in {None, trunk.tenant}:
        raise invalid("tenant", f"the trunk belongs to {trunk.tenant}; leave tenant out")
    return trunk.tenant


_BASE = "/api/v1/credentials"

ROUTES = (
    Route(
        "GET",
        _BASE,
        Role.VIEWER,
        listing,
        "List credentials, without secrets",
        gives=CredentialList,
        query=("limit", "after"),
    ),
    Route(
        "POST",
        _BASE,
        Role.ADMIN,
        create,
        "Make a credential; its secret is shown once",
        takes=CredentialCreation,
        gives=NewCredential,
        status=201,
        secret=True,
    ),
    Route("DELETE", f"{_BASE}/{{name}}", Role.ADMIN, remove, "Revoke a credential", status=204),
)
