"""Which certificates are obtained and kept renewed: what administrators and tenants ask for.

An order stands until it is stopped (`trust.acme.order`); here is who may have one for which names,
and its audit. Whether a name is really ours the authority finds out.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from shaken.assignment import assigned_tenant, owner_within
from shaken.audit import Action, AuditedChange
from shaken.config import Config
from shaken.tenants import Tenant
from trust.acme.challenges import ChallengeType
from trust.acme.order import Order, new_order
from trust.acme.renewal import Demand
from trust.acme.revocation import Reason
from trust.acme.settings import AcmeSettings
from trust.certificate import Certificate, CertificateKind
from trust.names import DnsNameError, dns_name, host_name, is_ip
from trust.store import acme_orders, acme_revocations
from trust.store.acme_revocations import Pending
from trust.store.certificates import chain_pem

PAGE = 100
"""Orders of a tenant that are read together."""

MAX_NAMES = 100
"""Names of one order, as at Let's Encrypt."""


class OrderRefused(Exception):  # noqa: N818 - named for what happened
    """An order that cannot be meant, or not yet; the message says what to do."""

    def __init__(self, slug: str, detail: str, field: str | None = None) -> None:
        super().__init__(detail)
        self.slug = slug
        self.detail = detail
        self.field = field


@dataclass(frozen=True)
class OrderWish:
    """What is asked for. `forced`: also for names that are nobody's address here."""

    kind: CertificateKind
    names: Sequence[str]
    tenant: str | None
    forced: bool


def place(
    change: AuditedChange,
    wish: OrderWish,
    *,
    scope: str | None,
    settings: AcmeSettings | None,
    config: Config,
) -> Order:
    """Place an order, or take up again one that stands.

    `scope` is the one tenant that who orders may know of, None: all.

    Raises OrderRefused, UnknownTenant, CertificateRefused.
    """
    usable = _usable(settings)
    names = _spelled(wish.names)
    for name in names:
        if usable.challenge_for(name) is ChallengeType.DNS and not usable.dns:
            raise OrderRefused(
                "dns-needed",
                f"{name} can be proven by a DNS record only: say in the ACME settings how records"
                " are published (dns)",
                "names",
            )
    tenant = assigned_tenant(change.connection, wish.kind, names, wanted=wish.tenant, scope=scope)
    if not wish.forced:
        _hold_to_ours(change, names, tenant, scope=scope, config=config)
    order = new_order(wish.kind, names, tenant=tenant, now=change.at)
    return _add(change, order)


def stop(change: AuditedChange, order: Order) -> None:
    """Have an order's certificate no longer renewed; the certificate stays."""
    acme_orders.stop(change.connection, order.id)
    acme_revocations.remove_of(change.connection, order.id)
    change.audit(
        Action.ORDER_STOP,
        order.id,
        tenant=order.tenant,
        before=facts_of(order),
        after=facts_of(replace(order, managed=False)),
    )


def renew(change: AuditedChange, certificate: str, *, revoke: Reason | None) -> Order:
    """Have a certificate replaced now, and revoked once it is, where a reason is given.

    What is to be revoked is not replaced by a certificate of the same key, though that was begun.

    Raises OrderRefused when no order stands behind it.
    """
    order = acme_orders.for_certificate(change.connection, certificate)
    chain = chain_pem(change.connection, certificate)
    if order is None or chain is None or not order.managed:
        raise OrderRefused(
            "not-managed",
            "this certificate is not renewed by the service: order one for its names with"
            " POST /api/v1/acme/orders, or import the new one",
        )
    demand = Demand.REQUESTED if revoke is None else Demand.REVOKED
    acme_orders.demand(change.connection, order.id, demand, now=change.at)
    if revoke is not None and order.certified is not None:
        pending = Pending(
            certificate,
            order.id,
            order.certified.directory,
            chain,
            revoke.value,
        )
        acme_revocations.add(change.connection, pending, now=change.at)
        if (
            order.attempt is not None
            and order.attempt.request == Certificate.of_pem(chain).spki_sha256
        ):
            acme_orders.abandon(change, order)
    asked = replace(order, demand=demand)
    change.audit(
        Action.ORDER_RENEW,
        order.id,
        tenant=order.tenant,
        before={**facts_of(order), "revoke": None},
        after={**facts_of(asked), "revoke": None if revoke is None else _word(revoke)},
    )
    return asked


def _word(reason: Reason) -> str:
    return reason.name.lower().replace("_", "-")


def stop_all_of(change: AuditedChange, tenant: str) -> None:
    """Stop every order of a tenant that goes: nothing could be stored for it any more."""
    all_managed = acme_orders.Filter(tenant=tenant, managed=True)
    while page := acme_orders.find(change.connection, all_managed, after="", limit=PAGE):
        for order in page:
            stop(change, order)


def follow_tenant(change: AuditedChange, before: Tenant | None, after: Tenant) -> None:
    """Let the orders of a managed tenant follow its addresses: one for each.

    So an alias that does not lead here yet keeps no other name from its certificate.
    """
    wanted = after.addresses if after.managed else ()
    had = before.addresses if before is not None and before.managed else ()
    for name in had:
        if name not in wanted:
            order = new_order(CertificateKind.DOMAIN, (name,), tenant=None, now=change.at)
            known = acme_orders.get(change.connection, order.id)
            if known is not None and known.managed:
                stop(change, known)
    for name in wanted:
        if name not in had:
            _add(
                change,
                new_order(CertificateKind.DOMAIN, (name,), tenant=after.address, now=change.at),
            )


def facts_of(order: Order) -> dict[str, object]:
    """Return what the audit says of an order."""
    return {
        "kind": order.kind.value,
        "names": order.names,
        "tenant": order.tenant,
        "managed": order.managed,
        "demand": order.demand,
    }


def _add(change: AuditedChange, order: Order) -> Order:
    acme_orders.add(change.connection, order)
    change.audit(Action.ORDER_CREATE, order.id, tenant=order.tenant, after=facts_of(order))
    return acme_orders.get(change.connection, order.id) or order


def _usable(settings: AcmeSettings | None) -> AcmeSettings:
    if settings is None or not settings.terms_agreed:
        missing = "no authority is set" if settings is None else "its terms are not agreed to"
        raise OrderRefused(
            "acme-not-set-up",
            f"{missing}: `shaken acme settings set --directory letsencrypt --agree-terms` mends it",
        )
    return settings


def _spelled(names: Sequence[str]) -> tuple[str, ...]:
    if not names:
        raise OrderRefused("invalid-request", "name at least one host", "names")
    spelled = []
    for name in names:
        try:
            host = host_name(name)
        except DnsNameError as error:
            raise OrderRefused("invalid-request", str(error), "names") from error
        if is_ip(host):
            raise OrderRefused("invalid-request", f"{host} is an address, no host name", "names")
        spelled.append(host)
    return tuple(dict.fromkeys(spelled))


def _hold_to_ours(
    change: AuditedChange,
    names: Sequence[str],
    tenant: str | None,
    *,
    scope: str | None,
    config: Config,
) -> None:
    """Refuse names that are no tenant's address and not that of this service."""
    management = _management_name(config)
    for name in names:
        address = name.removeprefix("*.")
        owner = owner_within(change.connection, address, scope)
        if owner is None and address != management:
            raise OrderRefused(
                "not-ours",
                f"{name} is neither a tenant's address nor this service's own (public_url): create"
                " the tenant first, or force the order",
                "names",
            )
        if tenant is not None and owner != tenant:
            raise OrderRefused(
                "other-tenant", f"{name} is no address of the tenant {tenant}", "names"
            )


def _management_name(config: Config) -> str | None:
    host = urlsplit(config.public_url).hostname
    try:
        return None if host is None else dns_name(host)
    except DnsNameError:
        return None
