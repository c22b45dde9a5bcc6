"""Which tenant a certificate belongs to, or a request for one: the rules of each kind."""

from collections.abc import Sequence

from sqlalchemy import Connection

from shaken.store.tenants import owner_of
from trust.certificate import CertificateKind, CertificateRefused

MAX_SHOWN = 200
"""Characters of names that an error repeats."""


class UnknownTenant(Exception):  # noqa: N818 - an outcome the caller expects
    """No tenant has this address."""


def assigned_tenant(
    connection: Connection,
    kind: CertificateKind,
    names: Sequence[str],
    *,
    wanted: str | None,
    scope: str | None,
    called: str = "",
) -> str | None:
    """Find the tenant of what is for these host names; `wanted` is an address of one, or None.

    `scope` is the one tenant whose addresses may be told from names of nobody, None: those of all.
    `called` is what an error says in place of names where there are none. Raises
    CertificateRefused, UnknownTenant.
    """
    owner = None if wanted is None else owner_of(connection, wanted)
    if wanted is not None and owner is None:
        raise UnknownTenant(wanted)
    match kind:
        case CertificateKind.STI:
            return owner
        case CertificateKind.DOMAIN:
            owners = {owner_within(connection, name, scope) for name in names}
            return _domain_owner(names, sorted(filter(None, owners)), owner, called)
        case CertificateKind.SYSTEM:
            if owner is not None:
                raise CertificateRefused(
                    "system-has-no-tenant",
                    "A system certificate belongs to no tenant: choose kind domain, or use a"
                    " credential that is for all tenants and leave tenant out.",
                    field="tenant",
                )
            return None


def owner_within(connection: Connection, name: str, scope: str | None) -> str | None:
    """Return the tenant that a name means to who may know of one tenant, None: of all."""
    owner = owner_of(connection, name)
    return owner if scope in {None, owner} else None


def _domain_owner(
    names: Sequence[str], owners: Sequence[str], wanted: str | None, called: str
) -> str:
    """Find the one tenant that a domain certificate names exactly."""
    if any(name.startswith("*.") for name in names):
        raise CertificateRefused(
            "wildcard",
            "A domain certificate names a tenant's address exactly. A wildcard is a system"
            " certificate: choose kind system.",
        )
    if not owners:
        shown = ", ".join(names[:10]) or called or "nothing"
        raise CertificateRefused(
            "no-tenant",
            f"The certificate names {shown[:MAX_SHOWN]}, which is no tenant's address. Create the"
            " tenant (or its alias) first, or choose kind system.",
        )
    if len(owners) > 1:
        raise CertificateRefused(
            "several-tenants",
            f"The certificate names addresses of {len(owners)} tenants. Choose kind system.",
        )
    if wanted not in {None, owners[0]}:
        raise CertificateRefused(
            "other-tenant",
            f"The certificate names an address of another tenant than {wanted}.",
            field="tenant",
        )
    return owners[0]
