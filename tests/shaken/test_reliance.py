"""What relies on trusted roots, and is told before one is trusted no more."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shaken import reliance as module
from shaken import roots
from shaken.audit import SYSTEM, changing
from shaken.importing import Upload, import_certificate
from shaken.reliance import Reliance, reliance, without
from shaken.snapshot import take_snapshot
from shaken.store.fetched import FetchedRow, put_fetched
from shaken.store.tables import fetched_certificates
from shaken.tenants import Tenant
from trust.authority import Authority, Issued
from trust.certificate import CertificateKind
from trust.keys import MasterKey
from trust.roots import Purpose, Root, read_root
from trust.store import roots as stored
from trust.store.certificates import StoredCertificate
from trust.store.database import Database

URL = "https://sti.example.net/chain.pem"


@dataclass(frozen=True)
class World:
    """A store that trusts one authority for signers, and the authority."""

    database: Database
    master: MasterKey
    authority: Authority
    now: int

    @property
    def moment(self) -> datetime:
        """The present."""
        return datetime.fromtimestamp(self.now, UTC)

    @property
    def root(self) -> Root:
        """The root of the authority."""
        return read_root(self.authority.root_pem, Purpose.STI)

    def trust(self, root: Root) -> Root:
        """Add a trusted root."""
        with changing(self.database, SYSTEM, now=self.now) as change:
            return roots.add(change, root)

    def keep(
        self,
        issued: Issued,
        kind: CertificateKind = CertificateKind.STI,
        tenant: str | None = None,
    ) -> StoredCertificate:
        """Import a certificate."""
        upload = Upload(kind, issued.chain_pem, private_key=issued.key_pem, tenant=tenant)
        done = import_certificate(
            self.database, self.master, upload, actor=SYSTEM, now=self.now, lab=False
        )
        return done.row

    def fetch(self, *issued: Issued) -> None:
        """Keep chains of others, one after the other."""
        rows = [
            FetchedRow(f"{URL}?{number}", one.chain_pem, float(number), 0.0, None, None)
            for number, one in enumerate(issued)
        ]
        put_fetched(self.database, fetched_certificates, rows)

    def sti(self, spc: str = "1234", authority: Authority | None = None) -> Issued:
        """Have a certificate for calls issued."""
        return (authority or self.authority).issue_sti(spc=spc, now=self.moment)

    def without(self, *gone: Root, after: int = 0, **how: Any) -> Reliance:
        """Say what would miss roots, so many seconds from now."""
        snapshot = take_snapshot(self.database)
        with self.database.reading() as connection:
            return reliance(
                connection,
                snapshot,
                purpose=gone[0].purpose,
                after=without(snapshot, gone),
                now=self.now + after,
                **{"scope": None, **how},
            )


@pytest.fixture
def world(database: Database, master: MasterKey, now: int) -> World:
    """A store that trusts an authority of its own."""
    authority = Authority.create("STI root", now=datetime.fromtimestamp(now, UTC))
    made = World(database, master, authority, now)
    made.trust(made.root)
    return made


def stranger(world: World) -> Authority:
    return Authority.create("Another root", now=world.moment)


def test_own_certificates_rely_on_the_only_root_that_they_lead_to(world: World) -> None:
    ca = world.authority.intermediate("STI-CA", now=world.moment)
    first, second = (world.keep(world.sti(spc, ca)) for spc in ("1234", "5678"))
    world.keep(world.sti("1111", stranger(world)))

    relying = world.without(world.root)

    assert [row.id for row in relying.certificates] == [second.id, first.id]


def test_nothing_relies_on_a_root_beside_which_another_does(world: World) -> None:
    ca = world.authority.intermediate("STI-CA", now=world.moment)
    world.keep(world.sti("1234", ca))
    above = world.trust(read_root(ca.certificate_pem, Purpose.STI))

    assert not world.without(world.root)
    assert world.without(world.root, above)


def test_what_has_expired_relies_on_nothing(world: World) -> None:
    day = timedelta(days=1)
    ending = world.authority.issue_sti(spc="1234", now=world.moment, lifetime=day)
    world.keep(ending)
    world.fetch(ending)

    assert world.without(world.root)
    assert not world.without(world.root, after=2 * 86400)


def test_a_certificate_relies_on_roots_of_its_purpose(world: World) -> None:
    issued = world.authority.issue_server(["sbc.example.com"], now=world.moment)
    server = world.keep(issued, CertificateKind.SYSTEM)
    tls = world.trust(read_root(world.authority.root_pem, Purpose.TLS))

    assert not world.without(world.root)
    assert [row.id for row in world.without(tls).certificates] == [server.id]


def test_signers_that_were_fetched_rely_on_roots_too(world: World) -> None:
    world.fetch(world.sti("1234"), world.sti("5678", stranger(world)))

    (signer,) = world.without(world.root).signers

    assert "SHAKEN 1234" in signer.subject
    assert signer.url == f"{URL}?0"


def test_of_many_signers_the_newest_are_looked_at(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.fetch(*(world.sti(spc) for spc in ("1", "2", "3")))

    monkeypatch.setattr(module, "MAX_SIGNERS", 3)
    assert world.without(world.root).looked_at_all
    monkeypatch.setattr(module, "MAX_SIGNERS", 2)
    relying = world.without(world.root)

    assert not relying.looked_at_all
    assert [signer.url for signer in relying.signers] == [f"{URL}?2", f"{URL}?1"]


def test_of_many_certificates_the_newest_are_looked_at(world: World) -> None:
    _, newest = (world.keep(world.sti(spc)) for spc in ("1234", "5678"))

    assert world.without(world.root, most=2).looked_at_all
    relying = world.without(world.root, most=1)

    assert not relying.looked_at_all
    assert [row.id for row in relying.certificates] == [newest.id]


def test_who_is_for_one_tenant_is_told_of_its_own_only(world: World, tenant: Tenant) -> None:
    own = world.keep(world.sti("1234"), tenant=tenant.address)
    world.keep(world.sti("5678"))
    world.fetch(world.sti("9999"))

    relying = world.without(world.root, scope=tenant.address)

    assert [row.id for row in relying.certificates] == [own.id]
    assert relying.signers == ()


def test_nothing_relies_on_a_root_that_is_not_trusted_anyway(world: World) -> None:
    world.keep(world.sti())
    with changing(world.database, SYSTEM, now=world.now) as change:
        (root,) = stored.get(change.connection, world.root.id)
        roots.set_disabled(change, root, disabled=True)

    assert not world.without(world.root)
