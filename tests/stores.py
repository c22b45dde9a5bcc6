"""Stores with many tenants, each with a certificate, written as the service writes them."""

import time
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from shaken.attestation import Attest
from shaken.audit import SYSTEM, AuditedChange, changing
from shaken.config import load_config
from shaken.credentials import Credential, Role, digest_of, new_secret
from shaken.home import Home
from shaken.importing import Importer, Upload, import_certificate
from shaken.passport import Parties, Party
from shaken.requesting import Wish, draft, keep
from shaken.service import Prepared, pens_for, prepare, signer_for
from shaken.signing import OutboundCall
from shaken.snapshot import take_snapshot
from shaken.store.credentials import add_credential
from shaken.store.tenants import add_tenant
from shaken.tenants import Tenant
from tests.signing import signed_by
from trust.authority import Authority, Issued
from trust.certificate import CertificateKind
from trust.request import CertificateRequest
from trust.selection import Fallback
from trust.store.certificates import StoredCertificate

SETTINGS = {"SHAKEN_PUBLIC_URL": "https://sti.example.com", "SHAKEN_LOG__LEVEL": "WARNING"}
BUILT_IN = 1
"""Certificates that the service makes itself, for its TLS listeners; their keys are sealed, too."""

REVISION = 4
"""Of a new store: bound to its key, roots, built-in certificate, and what `make_store` adds."""

ORIGID = "de305d54-75b4-431b-adb2-eb6b9e546014"


@dataclass(frozen=True)
class Store:
    """A data folder: what was issued for each tenant, and secrets of two credentials."""

    data: Path
    issued: dict[str, Issued]
    admin: str
    signer: str

    @property
    def home(self) -> Home:
        """The folder with the usual settings."""
        return home_of(self.data)


def home_of(data: Path, **settings: str) -> Home:
    """Return a data folder with settings of the environment."""
    return Home(load_config(None, {**SETTINGS, **settings}), data)


def make_store(data: Path, *, tenants: int, **settings: str) -> Store:
    """Make a store in which each tenant, `pbx0.example.com` and so on, has a certificate."""
    home = home_of(data, **settings)
    prepared = prepare(home.config, data)
    now = datetime.now(UTC)
    authority = Authority.create("Lab root", now=now).intermediate("Lab STI-CA", now=now)
    store = Store(data, {}, new_secret(), new_secret())
    with (
        closing(prepared.open_database()) as database,
        changing(database, SYSTEM, now=int(time.time())) as change,
    ):
        for name, role in (("admin", Role.ADMIN), ("signer", Role.SIGNER)):
            digest = digest_of(getattr(store, name))
            add_credential(change, Credential(name, role, digest, None, None, ()), now=0)
        for number in range(tenants):
            address = f"pbx{number}.example.com"
            store.issued[address] = authority.issue_sti(spc="1234", now=now)
            add_tenant(change, Tenant(address, (), (), Fallback.NONE))
            _add_certificate(change, prepared, store.issued[address], address)
    return store


def add_request(store: Store) -> CertificateRequest:
    """Ask for a certificate as the service does; its key waits in the store."""
    home = store.home
    drafted = draft(Wish(CertificateKind.STI, spc="1234", tenant="pbx0.example.com"))
    with (
        closing(home.open_database()) as database,
        changing(database, SYSTEM, now=int(time.time())) as change,
    ):
        keep(change, home.keys(), drafted, scope=None)
    return drafted.request


def fulfil(request: CertificateRequest, home: Home) -> StoredCertificate:
    """Import a certificate for a request, without a key."""
    now = datetime.now(UTC)
    chain = Authority.create("Lab root", now=now).certify(request.csr, now=now).pem()
    upload = Upload(CertificateKind.STI, chain)
    with closing(home.open_database()) as database:
        done = import_certificate(
            database, home.keys(), upload, actor=SYSTEM, now=int(now.timestamp()), lab=False
        )
    return done.row


def sign_with_all(store: Store, prepared: Prepared) -> None:
    """Sign a call of each tenant, as a worker does that has just started; each must succeed."""
    signer, now = signer_for(prepared, pens_for(prepared)), int(time.time())
    call = OutboundCall(
        orig=Party(tn="12155550100"),
        dest=Parties(tn=("12155550199",)),
        attest=Attest.A,
        origid=ORIGID,
    )
    with closing(prepared.open_database()) as database:
        snapshot = take_snapshot(database)
    for address, issued in store.issued.items():
        tenant = snapshot.tenants[address]
        signed = signed_by(signer, call, snapshot=snapshot, tenant=tenant, trunk=None, now=now)
        assert signed.certificate == issued.certificate.fingerprint


def _add_certificate(
    change: AuditedChange, prepared: Prepared, issued: Issued, tenant: str
) -> None:
    upload = Upload(
        kind=CertificateKind.STI,
        certificate=issued.chain_pem,
        private_key=issued.key_pem,
        tenant=tenant,
    )
    importer = Importer(prepared.master, lab=False)
    importer.add(change, importer.read(upload, now=change.at), scope=None, now=change.at)
