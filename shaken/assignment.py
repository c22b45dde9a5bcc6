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
    called: str = "",
) -> str | None:
    """Find the tenant of what is for these host names; `wanted` is an address of one, or None.

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
            return _domain_owner(connection, names, owner, called)
        case CertificateKind.SYSTEM:
            if owner is not None:
                raise CertificateRefused(
                    "system-has-no-tenant",
                    "A system certificate belongs to no tenant: choose kind domain, or use a"
                    " credential that is for all tenants and leave tenant out.",
                    field="tenant",
                )
            return None


def _domain_owner(
    connection: Connection, names: Sequence[str], wanted: str | None, called: str
) -> str:
    """Find the one tenant that a domain certificate names exactly."""
    if any(name.startswith("*.") for name in names):
        raise CertificateRefused(
            "wildcard",
            "A domain certificate names a tenant's address exactly. A wildcard is a system"
            " certificate: choose kind system.",
        )
    owners = sorted({owner for name in names if (owner := owner_of(connection, name))})
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
