"""What there is to see of things, in answers of the API and in the audit alike: never a secret.

Certificates and requests are told of where they come and go, in `certificates` and `requesting`.
"""

from uuid import UUID

import msgspec

from shaken.acceptance import VerificationPolicy
from shaken.attestation import Attest, ForeignAttest
from shaken.credentials import Credential, Role
from shaken.redirection import Redirection
from shaken.tenants import AnswerForm, Direction, Tenant, Trunk
from trust.roots import Plan
from trust.selection import Fallback


class TenantRecord(msgspec.Struct, frozen=True):
    """A tenant."""

    address: str
    aliases: tuple[str, ...]
    numbers: tuple[str, ...]
    fallback: Fallback
    managed: bool


class TrunkRecord(msgspec.Struct, frozen=True):
    """A trunk."""

    name: str
    tenant: str
    attest: Attest
    foreign_attest: ForeignAttest
    origid: UUID
    direction: Direction
    networks: tuple[str, ...]
    country: str | None
    answer: AnswerForm
    verification: VerificationPolicy
    sip: Redirection


class CredentialRecord(msgspec.Struct, frozen=True):
    """A credential: never its secret.

    `client_spki` is the SHA-256 of the key that its client certificate must have.
    """

    name: str
    role: Role
    tenant: str | None
    trunk: str | None
    networks: tuple[str, ...]
    client_spki: str | None


def tenant_record(tenant: Tenant) -> TenantRecord:
    """Show a tenant."""
    return TenantRecord(
        address=tenant.address,
        aliases=tenant.aliases,
        numbers=tuple(str(rule) for rule in tenant.numbers),
        fallback=tenant.fallback,
        managed=tenant.managed,
    )


def trunk_record(trunk: Trunk) -> TrunkRecord:
    """Show a trunk."""
    return TrunkRecord(
        name=trunk.name,
        tenant=trunk.tenant,
        attest=trunk.attest.default,
        foreign_attest=trunk.attest.foreign,
        origid=UUID(trunk.origid),
        direction=trunk.direction,
        networks=tuple(str(network) for network in trunk.networks),
        country=trunk.country,
        answer=trunk.answer,
        verification=trunk.verification,
        sip=trunk.sip,
    )


def credential_record(credential: Credential) -> CredentialRecord:
    """Show a credential, without secret and digest."""
    return CredentialRecord(
        name=credential.name,
        role=credential.role,
        tenant=credential.tenant,
        trunk=credential.trunk,
        networks=tuple(str(network) for network in credential.networks),
        client_spki=credential.client_spki,
    )


def plan_facts(plan: Plan) -> dict[str, object]:
    """Return what the audit says of a list that was changed as a whole: ids of its roots."""
    changed = {"added": plan.added, "removed": plan.removed, "enabled": plan.enabled}
    return {how: [root.id for root in found] for how, found in changed.items()}
