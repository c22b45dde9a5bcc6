"""What tests of the service arrange: a lab CA, a store with a tenant and its trunk, a signer."""

from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from shaken.attestation import Attest, AttestPolicy, ForeignAttest, parse_number_rule
from shaken.audit import SYSTEM
from shaken.importing import Upload, import_certificate
from shaken.pens import Pens
from shaken.signing import Signer
from shaken.store import HISTORY as SERVICE_HISTORY
from shaken.store.tenants import add_tenant, add_trunk
from shaken.tenants import AnswerForm, Direction, Tenant, Trunk
from tests.shaken.world import Template, World, make_template, running
from tests.signing import pens_with, signer_with
from trust.authority import Authority
from trust.certificate import CertificateKind
from trust.keys import MasterKey
from trust.selection import Fallback
from trust.store.certificates import StoredCertificate
from trust.store.database import HISTORY as TRUST_HISTORY
from trust.store.database import Database


@pytest.fixture(scope="session")
def now() -> int:
    """The present of all tests, in Unix seconds: noon of 1 June 2026."""
    return int(datetime(2026, 6, 1, 12, tzinfo=UTC).timestamp())


@pytest.fixture(scope="session")
def lab_ca(now: int) -> Authority:
    """An authority that issues STI certificates, below a root of its own."""
    moment = datetime.fromtimestamp(now, UTC)
    return Authority.create("Lab root", now=moment).intermediate("Lab STI-CA", now=moment)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """An empty store."""
    opened = Database(f"sqlite:///{tmp_path}/shaken.sqlite")
    opened.migrate([TRUST_HISTORY, SERVICE_HISTORY])
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def master() -> MasterKey:
    """The key that private keys are sealed with."""
    return MasterKey.generate()


@pytest.fixture
def tenant(database: Database) -> Tenant:
    """A tenant in the store: two addresses, a hundred numbers."""
    made = Tenant(
        address="pbx.example.com",
        aliases=("sip.example.com",),
        numbers=(parse_number_rule("+12155550100-+12155550199"),),
        fallback=Fallback.FIRST,
    )
    with database.changing() as change:
        add_tenant(change, made)
    return made


@pytest.fixture
def trunk(database: Database, tenant: Tenant) -> Trunk:
    """A trunk of the tenant in the store: A for its own numbers, B for others."""
    made = Trunk(
        name="main",
        tenant=tenant.address,
        attest=AttestPolicy(Attest.A, ForeignAttest.B),
        origid="6b7ab1b4-1b1c-4e4f-8f0d-0d3a3d2f7c55",
        direction=Direction.AUTO,
        networks=(ip_network("192.0.2.0/24"),),
        country=None,
        answer=AnswerForm.BOTH,
    )
    with database.changing() as change:
        add_trunk(change, made)
    return made


@pytest.fixture
def pens(master: MasterKey) -> Pens:
    """What signs for tenants; certificates are published at https://sti.example.com."""
    return pens_with(master)


@pytest.fixture
def signer(pens: Pens) -> Signer:
    """A signer with these pens."""
    return signer_with(pens)


@pytest.fixture
def add_certificate(
    database: Database, master: MasterKey, lab_ca: Authority, now: int
) -> Callable[..., StoredCertificate]:
    """Issue an STI certificate and import it: for a tenant or nobody, with an x5u or none.

    It is a provider's, unless `speaks_for` says otherwise, in the words of `issue_sti`.
    """

    def add(
        *,
        tenant: str | None = None,
        x5u: str | None = None,
        not_before: int = now - 3600,
        **speaks_for: Any,
    ) -> StoredCertificate:
        issued = lab_ca.issue_sti(
            now=datetime.fromtimestamp(now, UTC),
            not_before=datetime.fromtimestamp(not_before, UTC),
            **(speaks_for or {"spc": "1234"}),
        )
        upload = Upload(
            kind=CertificateKind.STI,
            certificate=issued.chain_pem,
            private_key=issued.key_pem,
            passphrase=None,
            tenant=tenant,
            x5u=x5u,
        )
        return import_certificate(database, master, upload, actor=SYSTEM, now=now, lab=False).row

    return add


@pytest.fixture
def certificate(
    add_certificate: Callable[..., StoredCertificate], tenant: Tenant
) -> StoredCertificate:
    """The tenant's own certificate, in the store."""
    return add_certificate(tenant=tenant.address)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    """The store that each world begins with."""
    return make_template(tmp_path_factory.mktemp("template"))


@pytest.fixture
async def world(template: Template, tmp_path: Path) -> AsyncIterator[World]:
    """A service in this process with two tenants and a credential of each role and binding."""
    async with running(template, tmp_path) as started:
        yield started
