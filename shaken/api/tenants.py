"""`/api/v1/tenants`: customers by their DNS addresses."""

from typing import Annotated

import msgspec
from msgspec import Meta
from sqlalchemy import Connection

from shaken.api.problems import Problem, invalid, not_found
from shaken.api.routes import ApiCall, Reply, Route, read_address
from shaken.attestation import NumberRuleError, parse_number_rule
from shaken.audit import Action
from shaken.credentials import Role
from shaken.facts import TenantRecord, tenant_record
from shaken.managing import follow_tenant, stop_all_of
from shaken.store import tenants as stored
from shaken.store.credentials import find_credentials
from shaken.tenants import Tenant
from trust.selection import Fallback
from trust.store import acme_orders, requests
from trust.store.acme_orders import Upcoming
from trust.store.certificates import of_tenant

Name = Annotated[str, Meta(min_length=1, max_length=253)]
Rule = Annotated[str, Meta(min_length=1, max_length=40)]


class TenantSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What may change of a tenant. `numbers` holds numbers, ranges and prefixes it may use.

    `managed`: certificates for its addresses are obtained by ACME and kept renewed.
    """

    aliases: Annotated[list[Name], Meta(max_length=100)] = []
    numbers: Annotated[list[Rule], Meta(max_length=10_000)] = []
    fallback: Fallback = Fallback.FIRST
    managed: bool = False


class TenantCreation(TenantSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A new tenant. Its `address` stays its name."""

    address: Name


class TenantList(msgspec.Struct, frozen=True):
    """A page of tenants; `next` is what to send as `after`."""

    items: tuple[TenantRecord, ...]
    next: str | None


def create(call: ApiCall) -> Reply:
    """Add a tenant."""
    call.require_everything()
    body: TenantCreation = call.body
    tenant = _tenant(read_address(body.address, "address"), body)
    shown = tenant_record(tenant)
    with call.changing() as change:
        try:
            stored.add_tenant(change, tenant)
        except stored.AddressTaken as error:
            raise _taken(error) from error
        change.audit(Action.TENANT_CREATE, tenant.address, tenant=tenant.address, after=shown)
        follow_tenant(change, None, tenant)
    return Reply(shown, {"Location": f"/api/v1/tenants/{tenant.address}"})


def listing(call: ApiCall) -> Reply:
    """List tenants by address."""
    limit = call.limit()
    with call.resources.database.reading() as connection:
        if call.scope is not None:
            own = stored.get_tenant(connection, call.scope)
            return Reply(TenantList((tenant_record(own),) if own else (), None))
        found = stored.find_tenants(connection, after=call.query.get("after", ""), limit=limit + 1)
    more = found[limit - 1].address if len(found) > limit else None
    return Reply(TenantList(tuple(tenant_record(tenant) for tenant in found[:limit]), more))


def show(call: ApiCall) -> Reply:
    """Show one tenant."""
    with call.resources.database.reading() as connection:
        return Reply(tenant_record(_visible(call, connection)))


def replace(call: ApiCall) -> Reply:
    """Replace the settings of a tenant; not by its own admin, whom its numbers bind."""
    call.require_everything()
    with call.changing() as change:
        before = _visible(call, change.connection)
        tenant = _tenant(before.address, call.body)
        try:
            stored.replace_tenant(change, tenant)
        except stored.AddressTaken as error:
            raise _taken(error) from error
        shown = tenant_record(tenant)
        change.audit(
            Action.TENANT_UPDATE,
            tenant.address,
            tenant=tenant.address,
            before=tenant_record(before),
            after=shown,
        )
        follow_tenant(change, before, tenant)
    return Reply(shown)


def remove(call: ApiCall) -> Reply:
    """Remove a tenant that nothing belongs to any more."""
    call.require_everything()
    with call.changing() as change:
        tenant = _visible(call, change.connection)
        address = tenant.address
        connection = change.connection
        if held := _held_by(connection, address):
            raise _in_use(connection, tenant, held)
        stored.remove_tenant(change, address)
        change.audit(Action.TENANT_DELETE, address, tenant=address, before=tenant_record(tenant))
        stop_all_of(change, address)
    return Reply()


def _tenant(address: str, body: TenantSettings) -> Tenant:
    aliases = [read_address(alias, "aliases") for alias in body.aliases]
    try:
        numbers = tuple(parse_number_rule(text) for text in body.numbers)
    except NumberRuleError as error:
        raise invalid("numbers", str(error)) from error
    unique = tuple(alias for alias in dict.fromkeys(aliases) if alias != address)
    return Tenant(address, unique, numbers, body.fallback, body.managed)


def _taken(error: stored.AddressTaken) -> Problem:
    return Problem(
        409, "address-taken", f"an address means one tenant only; one of {error} is taken"
    )


def _held_by(connection: Connection, address: str) -> list[str]:
    """Name the kinds of things that belong to a tenant, and keep it from being removed."""
    found = {
        "certificates": any(of_tenant(connection, address)),
        "requests": requests.any_of_tenant(connection, address),
        "trunks": any(stored.find_trunks(connection, tenant=address, after="", limit=1)),
        "credentials": any(find_credentials(connection, tenant=address, after="", limit=1)),
    }
    return [kind for kind, is_there in found.items() if is_there]


def _in_use(connection: Connection, tenant: Tenant, held: list[str]) -> Problem:
    words = f"{', '.join(held)} belong to {tenant.address}"
    ordered = Upcoming(late=0, tenant=tenant.address)
    orders = acme_orders.upcoming(connection, ordered, limit=1, offset=0)
    if not orders:
        return Problem(409, "in-use", f"{words}; remove them first")
    stop = (
        f"shaken tenants update {tenant.address} --not-managed"
        if tenant.managed
        else f"shaken acme stop {orders[0].id}"
    )
    return Problem(
        409,
        "in-use",
        f"{words}, and certificates are ordered for it: `{stop}` first, which ends what is under"
        " way; then remove what is left",
    )


def _visible(call: ApiCall, connection: Connection) -> Tenant:
    address = read_address(call.path["address"], "address")
    owner = stored.owner_of(connection, address)
    tenant = None if owner is None else stored.get_tenant(connection, owner)
    if tenant is None:
        raise not_found("tenant")
    call.hold_to_scope(tenant.address, "tenant")
    return tenant


_BASE = "/api/v1/tenants"
_ONE = f"{_BASE}/{{address}}"

ROUTES = (
    Route(
        "GET",
        _BASE,
        Role.VIEWER,
        listing,
        "List tenants",
        gives=TenantList,
        query=("limit", "after"),
    ),
    Route(
        "POST",
        _BASE,
        Role.ADMIN,
        create,
        "Add a tenant",
        takes=TenantCreation,
        gives=TenantRecord,
        status=201,
    ),
    Route("GET", _ONE, Role.VIEWER, show, "Show a tenant", gives=TenantRecord),
    Route(
        "PUT",
        _ONE,
        Role.ADMIN,
        replace,
        "Replace a tenant's settings",
        takes=TenantSettings,
        gives=TenantRecord,
    ),
    Route("DELETE", _ONE, Role.ADMIN, remove, "Remove a tenant", status=204),
)
