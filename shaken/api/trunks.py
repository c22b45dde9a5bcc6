"""`/api/v1/trunks`: a PBX's lines into the service, and what they fill in."""

from typing import Annotated
from uuid import UUID, uuid4

import msgspec
from msgspec import Meta
from sqlalchemy import Connection

from shaken.acceptance import VerificationPolicy
from shaken.api.problems import NAME_PATTERN, Problem, invalid, not_found
from shaken.api.routes import ApiCall, Reply, Route, read_address
from shaken.attestation import Attest, AttestPolicy, ForeignAttest
from shaken.audit import Action
from shaken.credentials import Role
from shaken.facts import TrunkRecord, trunk_record
from shaken.networks import Network, read_network
from shaken.redirection import Redirection
from shaken.store import tenants as stored
from shaken.tenants import AnswerForm, Direction, Trunk
from sip.number import is_country

ThingName = Annotated[str, Meta(pattern=NAME_PATTERN)]
"""Names of trunks and credentials: safe in URLs, in Basic authentication, in logs."""

Networks = Annotated[list[Annotated[str, Meta(max_length=64)]], Meta(max_length=100)]


class TrunkSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What may change of a trunk.

    `attest` is used where a request names none; `foreign_attest` bounds it for numbers the tenant
    does not list; `origid` left out is made once and kept; `country` (ISO 3166) reads national
    numbers; `networks` are the only ones it may call from; `answer` names the member that holds
    the Identity; `verification` is the policy for calls that come in; `sip` is how its PBX is
    answered by SIP redirect.
    """

    attest: Attest = Attest.A
    foreign_attest: ForeignAttest = ForeignAttest.B
    origid: UUID | None = None
    direction: Direction = Direction.AUTO
    networks: Networks = []
    country: Annotated[str, Meta(max_length=2)] | None = None
    answer: AnswerForm = AnswerForm.BOTH
    verification: VerificationPolicy = VerificationPolicy()
    sip: Redirection = Redirection()


class TrunkReplacement(TrunkSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """New settings of a trunk; `tenant` may be sent but not changed."""

    tenant: Annotated[str, Meta(max_length=253)] | None = None


class TrunkCreation(TrunkSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A new trunk. Its `name` stays; it belongs to the tenant at an address."""

    name: ThingName
    tenant: Annotated[str, Meta(min_length=1, max_length=253)]


class TrunkList(msgspec.Struct, frozen=True):
    """A page of trunks; `next` is what to send as `after`."""

    items: tuple[TrunkRecord, ...]
    next: str | None


def create(call: ApiCall) -> Reply:
    """Add a trunk to a tenant."""
    body: TrunkCreation = call.body
    _hold_attestation(call, body.foreign_attest, None)
    _hold_sources(call, body.sip, None)
    trunk = _trunk(
        body.name, _tenant_at(call, body.tenant), body, origid=str(body.origid or uuid4())
    )
    shown = trunk_record(trunk)
    with call.changing() as change:
        # Looked up again under the lock: the tenant may be gone since the snapshot was taken.
        if stored.get_tenant(change.connection, trunk.tenant) is None:
            raise _no_tenant()
        try:
            stored.add_trunk(change, trunk)
        except stored.NameTaken as error:
            raise Problem(
                409, "name-taken", f"there is a trunk {trunk.name}; choose another name"
            ) from error
        change.audit(Action.TRUNK_CREATE, trunk.name, tenant=trunk.tenant, after=shown)
    return Reply(shown, {"Location": f"/api/v1/trunks/{trunk.name}"})


def listing(call: ApiCall) -> Reply:
    """List trunks by name."""
    limit = call.limit()
    with call.resources.database.reading() as connection:
        found = stored.find_trunks(
            connection, tenant=call.scope, after=call.query.get("after", ""), limit=limit + 1
        )
    more = found[limit - 1].name if len(found) > limit else None
    return Reply(TrunkList(tuple(trunk_record(trunk) for trunk in found[:limit]), more))


def show(call: ApiCall) -> Reply:
    """Show one trunk."""
    with call.resources.database.reading() as connection:
        return Reply(trunk_record(_visible(call, connection)))


def replace(call: ApiCall) -> Reply:
    """Replace the settings of a trunk; its origid stays unless another is sent."""
    body: TrunkReplacement = call.body
    with call.changing() as change:
        before = _visible(call, change.connection)
        if body.tenant is not None and _tenant_at(call, body.tenant) != before.tenant:
            raise invalid("tenant", f"the trunk stays with {before.tenant}; add another trunk")
        _hold_attestation(call, body.foreign_attest, before.attest.foreign)
        _hold_sources(call, body.sip, before.sip)
        trunk = _trunk(before.name, before.tenant, body, origid=str(body.origid or before.origid))
        stored.replace_trunk(change, trunk)
        shown = trunk_record(trunk)
        change.audit(
            Action.TRUNK_UPDATE,
            trunk.name,
            tenant=trunk.tenant,
            before=trunk_record(before),
            after=shown,
        )
    return Reply(shown)


def remove(call: ApiCall) -> Reply:
    """Remove a trunk that no credential is for any more."""
    with call.changing() as change:
        trunk = _visible(call, change.connection)
        try:
            stored.remove_trunk(change, trunk.name)
        except stored.InUse as error:
            raise Problem(
                409, "in-use", f"credentials are bound to {trunk.name}; revoke them first"
            ) from error
        before = trunk_record(trunk)
        change.audit(Action.TRUNK_DELETE, trunk.name, tenant=trunk.tenant, before=before)
    return Reply()


def read_networks(texts: list[str]) -> tuple[Network, ...]:
    """Read the networks of a request. Raises Problem."""
    try:
        return tuple(read_network(text) for text in texts)
    except ValueError as error:
        raise invalid("networks", f"{error}; a network reads 192.0.2.0/24") from error


def _hold_attestation(call: ApiCall, wanted: ForeignAttest, before: ForeignAttest | None) -> None:
    """Let only admins for all tenants attest numbers fully that a tenant does not list."""
    if call.scope is not None and wanted is ForeignAttest.A and before is not ForeignAttest.A:
        raise Problem(
            403, "forbidden", "foreign_attest A is given by a credential that is for all tenants"
        )


def _hold_sources(call: ApiCall, wanted: Redirection, before: Redirection | None) -> None:
    """Let only admins for all tenants say whose an address is: it may be another tenant's."""
    had = frozenset(() if before is None else before.sources)
    if call.scope is not None and not had.issuperset(wanted.sources):
        raise Problem(
            403, "forbidden", "sip.sources are given by a credential that is for all tenants"
        )


def _trunk(name: str, tenant: str, body: TrunkSettings, *, origid: str) -> Trunk:
    if body.country is not None and not is_country(body.country):
        raise invalid("country", "an ISO 3166 country code is expected, as in US")
    try:
        body.sip.check()
    except ValueError as error:
        raise invalid("sip", str(error)) from error
    if body.sip.by_host and not body.networks:
        raise invalid("sip", "by_host needs networks to call from: anybody can write a host")
    return Trunk(
        name=name,
        tenant=tenant,
        attest=AttestPolicy(body.attest, body.foreign_attest),
        origid=origid,
        direction=body.direction,
        networks=read_networks(body.networks),
        country=body.country,
        answer=body.answer,
        verification=body.verification,
        sip=body.sip,
    )


def _tenant_at(call: ApiCall, text: str) -> str:
    tenant = call.snapshot.tenants.get(read_address(text, "tenant"))
    if tenant is None or call.scope not in {None, tenant.address}:
        raise _no_tenant()
    return tenant.address


def _no_tenant() -> Problem:
    return invalid("tenant", "no tenant has this address; create the tenant first")


def _visible(call: ApiCall, connection: Connection) -> Trunk:
    trunk = stored.get_trunk(connection, call.path["name"])
    if trunk is None:
        raise not_found("trunk")
    call.hold_to_scope(trunk.tenant, "trunk")
    return trunk


_BASE = "/api/v1/trunks"
_ONE = f"{_BASE}/{{name}}"

ROUTES = (
    Route(
        "GET", _BASE, Role.VIEWER, listing, "List trunks", gives=TrunkList, query=("limit", "after")
    ),
    Route(
        "POST",
        _BASE,
        Role.ADMIN,
        create,
        "Add a trunk",
        takes=TrunkCreation,
        gives=TrunkRecord,
        status=201,
    ),
    Route("GET", _ONE, Role.VIEWER, show, "Show a trunk", gives=TrunkRecord),
    Route(
        "PUT",
        _ONE,
        Role.ADMIN,
        replace,
        "Replace a trunk's settings",
        takes=TrunkReplacement,
        gives=TrunkRecord,
    ),
    Route("DELETE", _ONE, Role.ADMIN, remove, "Remove a trunk", status=204),
)
