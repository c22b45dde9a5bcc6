"""`/api/v1/acme`: which authority certificates come from, and the orders that keep them renewed."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import import_module
from typing import Any

import msgspec
from msgspec import UNSET

from shaken.api.acme_messages import (
    AcmeSettingsRecord,
    AcmeSettingsUpdate,
    FailureRecord,
    NameProblemRecord,
    OrderCreation,
    OrderList,
    OrderRecord,
    Renewal,
)
from shaken.api.problems import Problem, invalid, master_key_missing, not_found
from shaken.api.routes import ApiCall, Reply, Route
from shaken.assignment import UnknownTenant
from shaken.audit import Action
from shaken.credentials import Role
from shaken.managing import OrderRefused, OrderWish, place, renew, stop
from shaken.renewing import allowed_dns, plan_of
from trust.acme import settings as acme
from trust.acme.dns.reading import DnsSettingsError, read_dns_settings
from trust.acme.dns.settings import document_of, redacted, restored
from trust.acme.order import Order, State, moment
from trust.acme.revocation import Reason
from trust.acme.settings import AcmeSettings, Binding, SettingsError
from trust.certificate import CertificateKind, CertificateRefused
from trust.keys import MasterKeyError
from trust.store import acme_orders, acme_settings, certificates
from trust.store.acme_orders import Filter

MAX_DNS_BYTES = 64 * 1024
"""Bytes of the settings of a DNS provider, as JSON."""


def show_settings(call: ApiCall) -> Reply:
    """Show the settings."""
    call.require_everything()
    settings = settings_of(call)
    if settings is None:
        raise not_found("setting yet: PUT /api/v1/acme/settings makes the first")
    return Reply(settings_record(settings))


def replace_settings(call: ApiCall) -> Reply:
    """Replace the settings."""
    call.require_everything()
    before = settings_of(call)
    settings = read_settings(call.body, before, hooks=call.resources.config.acme.hooks)
    try:
        with call.changing() as change:
            acme_settings.save(change, call.resources.master, settings)
            change.audit(
                Action.ACME_SETTINGS,
                "acme",
                tenant=None,
                before=None if before is None else settings_record(before),
                after=settings_record(settings),
            )
    except MasterKeyError as error:
        raise master_key_missing(error) from error
    return Reply(settings_record(settings))


def create(call: ApiCall) -> Reply:
    """Order a certificate."""
    body: OrderCreation = call.body
    tenant = call.tenant_for(body.tenant)
    if call.scope is not None and (body.force or body.kind is not CertificateKind.DOMAIN):
        raise Problem(
            403, "forbidden", "a credential that is for all tenants orders such certificates"
        )
    if body.kind is CertificateKind.STI:
        raise invalid("kind", "domain or system is expected: STI certificates come otherwise")
    wish = OrderWish(body.kind, body.names, tenant, body.force)
    settings = settings_of(call)
    try:
        with call.changing() as change:
            order = place(
                change,
                wish,
                scope=call.scope,
                settings=settings,
                config=call.resources.config,
            )
    except OrderRefused as error:
        status = 409 if error.slug == "acme-not-set-up" else 400
        raise Problem(status, error.slug, error.detail, error.field) from error
    except CertificateRefused as error:
        named = "tenant" if error.field == "tenant" else "names"
        raise Problem(400, error.slug, error.detail, named) from error
    except UnknownTenant as error:
        raise invalid("tenant", "no tenant has this address; create the tenant first") from error
    return Reply(_record(order, settings, call.now), {"Location": f"{_ORDERS}/{order.id}"})


def listing(call: ApiCall) -> Reply:
    """List orders."""
    wanted = Filter(tenant=call.listed_tenant(), state=_read_state(call.query.get("state")))
    limit, settings = call.limit(), settings_of(call)
    with call.resources.database.reading() as connection:
        found = acme_orders.find(
            connection, wanted, after=call.query.get("after", ""), limit=limit + 1
        )
    items = tuple(_record(order, settings, call.now) for order in found[:limit])
    return Reply(OrderList(items, found[limit - 1].id if len(found) > limit else None))


def show(call: ApiCall) -> Reply:
    """Show one order."""
    return Reply(_record(_visible(call), settings_of(call), call.now))


def end(call: ApiCall) -> Reply:
    """Stop managing: the certificate stays, and is renewed no more."""
    order = _visible(call)
    with call.changing() as change:
        stop(change, order)
    return Reply()


def renew_certificate(call: ApiCall) -> Reply:
    """Have a certificate replaced by a new one now."""
    identity = call.path["id"].lower()
    with call.resources.database.reading() as connection:
        row = certificates.get(connection, identity)
        order = acme_orders.for_certificate(connection, identity)
    if row is None:
        raise not_found("certificate")
    call.hold_to_scope(row.tenant, "certificate")
    if order is not None:
        call.hold_to_scope(order.tenant, "order")
    wanted: Renewal = call.body
    reason = None
    if wanted.revoke is not None:
        reason = Reason[wanted.revoke.name]
    try:
        with call.changing() as change:
            order = renew(change, identity, revoke=reason)
    except OrderRefused as error:
        raise Problem(409, error.slug, error.detail) from error
    with call.resources.database.reading() as connection:
        current = acme_orders.get(connection, order.id) or order
    return Reply(_record(current, settings_of(call), call.now))


def settings_of(call: ApiCall) -> AcmeSettings | None:
    """Read the settings; None: there are none yet. Raises Problem."""
    try:
        with call.resources.database.reading() as connection:
            return acme_settings.load(connection, call.resources.master)
    except MasterKeyError as error:
        raise master_key_missing(error) from error


def read_settings(
    body: AcmeSettingsUpdate, before: AcmeSettings | None, *, hooks: Sequence[str]
) -> AcmeSettings:
    """Read the settings anew; secrets that are not sent are those of before. Raises Problem."""
    binding = None if before is None else before.binding
    if body.eab is not UNSET:
        binding = None if body.eab is None else Binding(body.eab.kid, body.eab.hmac_key)
    dns = {} if before is None else before.dns
    if body.dns is not UNSET:
        dns = {} if body.dns is None else _read_dns(body.dns, dns, hooks)
    try:
        return AcmeSettings(
            directory_url=acme.directory_url(body.directory_url),
            contact=tuple(body.contact),
            terms_agreed=body.terms_agreed,
            binding=binding,
            key_type=body.key_type,
            preferred_chain=body.preferred_chain,
            profile=body.profile,
            key_reuse=body.key_reuse,
            self_check=body.self_check,
            dns_names=tuple(body.dns_names),
            dns=dns,
        )
    except SettingsError as error:
        raise invalid(error.field.replace("eab_", "eab."), str(error)) from error


def _read_dns(
    given: dict[str, Any], former: Mapping[str, Any], hooks: Sequence[str]
) -> dict[str, Any]:
    """Read how DNS records are published; hidden secrets are those of before. Raises Problem."""
    if len(msgspec.json.encode(given)) > MAX_DNS_BYTES:
        raise invalid("dns", f"more than {MAX_DNS_BYTES} bytes")
    publishing = import_module("trust.acme.dns.publishers")
    try:
        if former:
            given = restored(given, former=read_dns_settings(former))
        settings = allowed_dns(given, hooks=hooks)
        publishing.check_settings(settings)
    except DnsSettingsError as error:
        raise invalid(f"dns.{error.field}" if error.field else "dns", str(error)) from error
    return document_of(settings)


def settings_record(settings: AcmeSettings) -> AcmeSettingsRecord:
    """Return the settings as they are shown, without secrets."""
    return AcmeSettingsRecord(
        directory_url=settings.directory_url,
        contact=settings.contact,
        terms_agreed=settings.terms_agreed,
        eab_kid=None if settings.binding is None else settings.binding.kid,
        key_type=settings.key_type,
        preferred_chain=settings.preferred_chain,
        profile=settings.profile,
        key_reuse=settings.key_reuse,
        self_check=settings.self_check,
        dns_names=settings.dns_names,
        dns=redacted(read_dns_settings(settings.dns)) if settings.dns else None,
    )


def _read_state(text: str | None) -> State | None:
    try:
        return None if text is None else State(text)
    except ValueError as error:
        known = ", ".join(State)
        raise invalid("state", f"one of {known} is expected") from error


def _visible(call: ApiCall) -> Order:
    with call.resources.database.reading() as connection:
        order = acme_orders.get(connection, call.path["id"].lower())
    if order is None:
        raise not_found("order")
    call.hold_to_scope(order.tenant, "order")
    return order


def _record(order: Order, settings: AcmeSettings | None, now: int) -> OrderRecord:
    plan = plan_of(order, now=datetime.fromtimestamp(now, UTC))
    words = plan.words if order.managed else "managed no more; its certificate is not renewed"
    if settings is None:
        words = f"no authority is set (`shaken acme settings` sets one); {words}"
    certified, failures = order.certified, order.failures
    return OrderRecord(
        id=order.id,
        kind=order.kind,
        names=order.names,
        tenant=order.tenant,
        state=order.state,
        managed=order.managed,
        challenges={}
        if settings is None
        else {name: settings.challenge_for(name).value for name in order.names},
        certificate=None if certified is None else certified.certificate,
        not_after=None if certified is None else moment(certified.not_after),
        failures=None
        if failures is None
        else FailureRecord(
            count=failures.count,
            last=moment(failures.last),
            type=failures.problem.type,
            detail=failures.problem.detail,
            names=tuple(
                NameProblemRecord(each.name, each.type, each.detail)
                for each in failures.problem.names
            ),
        ),
        next_try=None if order.next_try is None else moment(order.next_try),
        urgency=plan.urgency.value,
        words=words,
    )


_SETTINGS = "/api/v1/acme/settings"
_ORDERS = "/api/v1/acme/orders"

ROUTES = (
    Route(
        "GET",
        _SETTINGS,
        Role.ADMIN,
        show_settings,
        "Show which authority certificates come from",
        gives=AcmeSettingsRecord,
    ),
    Route(
        "PUT",
        _SETTINGS,
        Role.ADMIN,
        replace_settings,
        "Set the authority that certificates come from",
        takes=AcmeSettingsUpdate,
        gives=AcmeSettingsRecord,
        secret=True,
    ),
    Route(
        "GET",
        _ORDERS,
        Role.VIEWER,
        listing,
        "List certificates that are obtained and kept renewed",
        gives=OrderList,
        query=("tenant", "state", "limit", "after"),
    ),
    Route(
        "POST",
        _ORDERS,
        Role.ADMIN,
        create,
        "Obtain a certificate and keep it renewed",
        takes=OrderCreation,
        gives=OrderRecord,
        status=201,
    ),
    Route("GET", f"{_ORDERS}/{{id}}", Role.VIEWER, show, "Show an order", gives=OrderRecord),
    Route(
        "DELETE",
        f"{_ORDERS}/{{id}}",
        Role.ADMIN,
        end,
        "Stop renewing a certificate, which stays",
        status=204,
    ),
    Route(
        "POST",
        "/api/v1/certificates/{id}/renew",
        Role.ADMIN,
        renew_certificate,
        "Replace a certificate by a new one now",
        takes=Renewal,
        gives=OrderRecord,
    ),
)
