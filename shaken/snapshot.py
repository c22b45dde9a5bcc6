"""What the hot paths read: all tenants, trunks, credentials and certificates at one moment.

A snapshot is immutable; when the store's revision rises the next one is made, reading only the
rows that changed. Chains stay in the store, keys stay sealed until one is used.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from shaken.credentials import Credential, CredentialIndex
from shaken.redirection import WIDEST, SourceIndex
from shaken.store import tables, tenants
from shaken.store.credentials import CREDENTIAL_COLUMNS, read_credential
from shaken.tenants import Tenant, Trunk
from trust.certificate import CertificateKind, Source
from trust.roots import Purpose, Root
from trust.selection import StiCandidate, StiIndex, TlsCandidate, TlsIndex
from trust.standing import Standing
from trust.store import certificates, roots
from trust.store.database import Database
from trust.store.mirror import Mirror
from trust.store.tables import certificates as certificate_table
from trust.store.tables import revision as revision_table
from trust.store.tables import roots as root_table


@dataclass(frozen=True)
class Snapshot:
    """One consistent state of the store."""

    revision: int
    tenant_rows: Mirror[Tenant]
    trunk_rows: Mirror[Trunk]
    credential_rows: Mirror[Credential]
    certificate_rows: Mirror[certificates.StoredCertificate]
    root_rows: Mirror[Root]
    sources: SourceIndex[Trunk]
    """Trunks whose PBX asks by SIP, by the addresses it calls from; the same object as long as no
    trunk changes."""
    standing: Standing
    """How chains stand with these roots; the same object as long as no root changes."""

    @cached_property
    def tenants(self) -> Mapping[str, Tenant]:
        """Tenants by each of their addresses."""
        return {
            address: tenant
            for tenant in self.tenant_rows.rows.values()
            for address in tenant.addresses
        }

    @property
    def trunks(self) -> Mapping[str, Trunk]:
        """Trunks by name."""
        return self.trunk_rows.rows

    @cached_property
    def hosted(self) -> Mapping[str, tuple[Trunk, ...]]:
        """Trunks known by the Request-URI's host, by the name of their tenant.

        Those without networks are not: anybody can write a host.
        """
        found: dict[str, tuple[Trunk, ...]] = {}
        for trunk in self.trunks.values():
            if trunk.sip.by_host and trunk.networks:
                found[trunk.tenant] = (*found.get(trunk.tenant, ()), trunk)
        return found

    @cached_property
    def hosted_sources(self) -> SourceIndex[Trunk]:
        """Trunks known by the Request-URI's host, by the networks they may call from.

        Networks so wide that everybody calls from them tell nobody from a stranger.
        """
        return SourceIndex(
            (
                [str(each) for each in trunk.networks if each.prefixlen >= WIDEST[each.version]],
                trunk,
            )
            for trunks in self.hosted.values()
            for trunk in trunks
        )

    @cached_property
    def credentials(self) -> CredentialIndex:
        """Credentials, by what a request presents."""
        return CredentialIndex(self.credential_rows.rows.values())

    @property
    def certificates(self) -> Mapping[str, certificates.StoredCertificate]:
        """Certificates by id."""
        return self.certificate_rows.rows

    @cached_property
    def sti(self) -> StiIndex:
        """STI certificates, ordered for the choice."""
        return StiIndex(
            sti_candidate(row)
            for row in self.certificates.values()
            if row.kind is CertificateKind.STI
        )

    @cached_property
    def tls(self) -> TlsIndex:
        """Domain and system certificates, by the names they are presented for."""
        owners = {address: tenant.address for address, tenant in self.tenants.items()}
        candidates = (
            tls_candidate(row)
            for row in self.certificates.values()
            if row.kind is not CertificateKind.STI and row.sealed_key is not None
        )
        return TlsIndex(candidates, owners)


def sti_candidate(row: certificates.StoredCertificate) -> StiCandidate:
    """Show a stored STI certificate as the rules of selection see it."""
    return StiCandidate(
        id=row.id,
        names=row.names,
        tenant=row.tenant,
        not_before=row.not_before,
        not_after=row.not_after,
        has_key=row.sealed_key is not None,
        sequence=row.sequence,
    )


def tls_candidate(row: certificates.StoredCertificate) -> TlsCandidate:
    """Show a stored domain or system certificate as the rules of selection see it."""
    return TlsCandidate(
        id=row.id,
        names=row.names,
        tenant=row.tenant,
        not_before=row.not_before,
        not_after=row.not_after,
        built_in=row.source is Source.BUILT_IN,
        presentable=row.presentable,
    )


EMPTY = Snapshot(
    revision=-1,
    tenant_rows=Mirror(tables.tenants.c.address, tenants.TENANT_COLUMNS, tenants.read_tenant),
    trunk_rows=Mirror(tables.trunks.c.name, tenants.TRUNK_COLUMNS, tenants.read_trunk),
    credential_rows=Mirror(tables.credentials.c.name, CREDENTIAL_COLUMNS, read_credential),
    certificate_rows=Mirror(
        certificate_table.c.id, certificates.SUMMARY_COLUMNS, certificates.read_row
    ),
    root_rows=Mirror(root_table.c.sequence, tuple(root_table.columns), roots.read_row),
    sources=SourceIndex(()),
    standing=Standing(()),
)
"""A store before anything was read of it."""


def _sources(trunks: Iterable[Trunk]) -> SourceIndex[Trunk]:
    return SourceIndex((trunk.sip.sources, trunk) for trunk in trunks)


def take_snapshot(database: Database, previous: Snapshot | None = None) -> Snapshot:
    """Read the store as it is now, starting from the previous snapshot. Raises StoreError."""
    before = previous or EMPTY
    with database.reading() as connection:
        root_rows = before.root_rows.follow(connection)
        same_roots = root_rows is before.root_rows
        trunk_rows = before.trunk_rows.follow(connection)
        same_trunks = trunk_rows is before.trunk_rows
        taken = Snapshot(
            revision=int(connection.execute(revision_table.select()).one().number),
            tenant_rows=before.tenant_rows.follow(connection),
            trunk_rows=trunk_rows,
            credential_rows=before.credential_rows.follow(connection),
            certificate_rows=before.certificate_rows.follow(connection),
            root_rows=root_rows,
            sources=before.sources if same_trunks else _sources(trunk_rows.rows.values()),
            standing=before.standing if same_roots else Standing(root_rows.rows.values()),
        )
    # What is made from the rows is made here, not by the first call that needs them.
    _ = taken.tenants, taken.hosted_sources, taken.credentials, taken.sti, taken.tls
    taken.standing.certificates(Purpose.STI)
    return taken
