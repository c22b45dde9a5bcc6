"""Tenants and trunks in the store. An address means one tenant; the database holds it so."""

import logging
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from ipaddress import ip_network
from typing import TypeVar

import msgspec
from sqlalchemy import Connection, Row, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from shaken.acceptance import VerificationPolicy
from shaken.attestation import Attest, AttestPolicy, ForeignAttest, parse_number_rule
from shaken.redirection import Redirection
from shaken.store.tables import tenant_addresses, tenants, trunks
from shaken.tenants import AnswerForm, Direction, Tenant, Trunk
from trust.selection import Fallback
from trust.store.database import Change

TENANT_COLUMNS = tuple(tenants.columns)
TRUNK_COLUMNS = tuple(trunks.columns)

_log = logging.getLogger(__name__)


class AddressTaken(Exception):  # noqa: N818 - an outcome the caller expects
    """An address already means a tenant."""


class NameTaken(Exception):  # noqa: N818 - an outcome the caller expects
    """A trunk of this name exists."""


class InUse(Exception):  # noqa: N818 - an outcome the caller expects
    """Something else in the store refers to what would be removed."""


def add_tenant(change: Change, tenant: Tenant) -> None:
    """Write a new tenant. Raises AddressTaken."""
    try:
        change.connection.execute(insert(tenants), _tenant_row(change, tenant))
    except IntegrityError as error:
        raise AddressTaken(tenant.address) from error
    _write_addresses(change, tenant)


def replace_tenant(change: Change, tenant: Tenant) -> bool:
    """Write a tenant anew under its address; say whether it was there. Raises AddressTaken."""
    done = change.connection.execute(
        update(tenants).where(tenants.c.address == tenant.address),
        _tenant_row(change, tenant),
    )
    if done.rowcount == 0:
        return False
    change.connection.execute(
        delete(tenant_addresses).where(tenant_addresses.c.tenant == tenant.address)
    )
    _write_addresses(change, tenant)
    return True


def remove_tenant(change: Change, address: str) -> bool:
    """Remove a tenant; say whether it was there. Raises InUse while trunks or credentials refer."""
    try:
        done = change.connection.execute(delete(tenants).where(tenants.c.address == address))
    except IntegrityError as error:
        raise InUse(address) from error
    return done.rowcount == 1


def owner_of(connection: Connection, address: str) -> str | None:
    """Return the tenant that an address means."""
    return connection.execute(
        select(tenant_addresses.c.tenant).where(tenant_addresses.c.address == address)
    ).scalar_one_or_none()


def get_tenant(connection: Connection, address: str) -> Tenant | None:
    """Read one tenant by its own address."""
    row = connection.execute(tenants.select().where(tenants.c.address == address)).one_or_none()
    return None if row is None else read_tenant(row)


def find_tenants(connection: Connection, *, after: str, limit: int) -> Sequence[Tenant]:
    """List tenants by address, from beyond `after`."""
    query = tenants.select().where(tenants.c.address > after).order_by(tenants.c.address)
    return [read_tenant(row) for row in connection.execute(query.limit(limit))]


def add_trunk(change: Change, trunk: Trunk) -> None:
    """Write a new trunk of an existing tenant. Raises NameTaken."""
    try:
        change.connection.execute(insert(trunks), _trunk_row(change, trunk))
    except IntegrityError as error:
        raise NameTaken(trunk.name) from error


def replace_trunk(change: Change, trunk: Trunk) -> bool:
    """Write a trunk anew under its name; say whether it was there."""
    done = change.connection.execute(
        update(trunks).where(trunks.c.name == trunk.name), _trunk_row(change, trunk)
    )
    return done.rowcount == 1


def remove_trunk(change: Change, name: str) -> bool:
    """Remove a trunk; say whether it was there. Raises InUse while credentials refer to it."""
    try:
        done = change.connection.execute(delete(trunks).where(trunks.c.name == name))
    except IntegrityError as error:
        raise InUse(name) from error
    return done.rowcount == 1


def get_trunk(connection: Connection, name: str) -> Trunk | None:
    """Read one trunk."""
    row = connection.execute(trunks.select().where(trunks.c.name == name)).one_or_none()
    return None if row is None else read_trunk(row)


def find_trunks(
    connection: Connection, *, tenant: str | None, after: str, limit: int
) -> Sequence[Trunk]:
    """List trunks (of one tenant, None: of all) by name, from beyond `after`."""
    query = trunks.select().where(trunks.c.name > after).order_by(trunks.c.name)
    if tenant is not None:
        query = query.where(trunks.c.tenant == tenant)
    return [read_trunk(row) for row in connection.execute(query.limit(limit))]


def read_tenant(row: Row[tuple[object, ...]]) -> Tenant:
    """Read a row of the tenants table."""
    return Tenant(
        address=row.address,
        aliases=tuple(row.aliases),
        numbers=tuple(parse_number_rule(text) for text in row.numbers),
        fallback=Fallback(row.fallback),
        managed=row.managed,
    )


def read_trunk(row: Row[tuple[object, ...]]) -> Trunk:
    """Read a row of the trunks table."""
    return Trunk(
        name=row.name,
        tenant=row.tenant,
        attest=_attest_policy(row.attest, row.foreign_attest),
        origid=row.origid,
        direction=Direction(row.direction),
        networks=tuple(ip_network(text) for text in row.networks),
        country=row.country,
        answer=AnswerForm(row.answer),
        verification=_same_policy(_read_settings(row.name, row.verification, VerificationPolicy)),
        sip=_read_settings(row.name, row.sip, Redirection),
    )


@lru_cache
def _attest_policy(default: str, foreign: str) -> AttestPolicy:
    return AttestPolicy(Attest(default), ForeignAttest(foreign))


@lru_cache
def _same_policy(policy: VerificationPolicy) -> VerificationPolicy:
    """Return the one object for all policies alike: ten thousand trunks have few different ones."""
    return policy


S = TypeVar("S", bound=msgspec.Struct)


def _read_settings(trunk: str, stored: object, kind: type[S]) -> S:
    """Read settings of a trunk. A member that cannot be read is as if left out, and it is said.

    One trunk that another version wrote must not keep all others out of the snapshot.
    """
    try:
        return msgspec.convert(stored, kind)
    except msgspec.ValidationError as error:
        _log.error("trunk %s: its settings are not wholly known here: %s", trunk, error)
    settings = kind()
    for name, value in stored.items() if isinstance(stored, dict) else ():
        with suppress(msgspec.ValidationError):
            read = msgspec.convert({name: value}, kind)
            settings = msgspec.structs.replace(settings, **{name: getattr(read, name)})
    return settings


def _write_addresses(change: Change, tenant: Tenant) -> None:
    rows = [{"address": address, "tenant": tenant.address} for address in tenant.addresses]
    try:
        change.connection.execute(insert(tenant_addresses), rows)
    except IntegrityError as error:
        raise AddressTaken(", ".join(tenant.addresses)) from error


def _tenant_row(change: Change, tenant: Tenant) -> dict[str, object]:
    return {
        "address": tenant.address,
        "aliases": list(tenant.aliases),
        "numbers": [str(rule) for rule in tenant.numbers],
        "fallback": tenant.fallback.value,
        "managed": tenant.managed,
        "revision": change.revision,
    }


def _trunk_row(change: Change, trunk: Trunk) -> dict[str, object]:
    return {
        "name": trunk.name,
        "tenant": trunk.tenant,
        "attest": trunk.attest.default.value,
        "foreign_attest": trunk.attest.foreign.value,
        "origid": trunk.origid,
        "direction": trunk.direction.value,
        "networks": [str(network) for network in trunk.networks],
        "country": trunk.country,
        "answer": trunk.answer.value,
        "verification": msgspec.to_builtins(trunk.verification),
        "sip": msgspec.to_builtins(trunk.sip),
        "revision": change.revision,
    }
