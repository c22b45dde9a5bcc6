"""A trunk whose calls are redirected."""

from datetime import UTC, datetime

import pytest

from shaken.audit import SYSTEM
from shaken.importing import Upload, import_certificate
from shaken.signing import Signer
from shaken.tenants import Tenant, Trunk
from tests.shaken.redirect.bench import Bench
from trust.authority import Authority, Issued
from trust.certificate import CertificateKind
from trust.keys import MasterKey
from trust.roots import Purpose, read_root
from trust.store import roots
from trust.store.database import Database


@pytest.fixture
def issued(
    database: Database, master: MasterKey, lab_ca: Authority, tenant: Tenant, now: int
) -> Issued:
    """The tenant's certificate, in the store, and its root among the trusted ones."""
    with database.changing() as change:
        roots.add(change, read_root(lab_ca.root_pem, Purpose.STI))
    made = lab_ca.issue_sti(spc="1234", now=datetime.fromtimestamp(now, UTC))
    upload = Upload(
        kind=CertificateKind.STI,
        certificate=made.chain_pem,
        private_key=made.key_pem,
        tenant=tenant.address,
    )
    import_certificate(database, master, upload, actor=SYSTEM, now=now, lab=False)
    return made


@pytest.fixture
def bench(database: Database, signer: Signer, trunk: Trunk, issued: Issued, now: int) -> Bench:
    return Bench(database, signer, trunk, issued, now)
