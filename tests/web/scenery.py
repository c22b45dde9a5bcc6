"""A service with its admin pages in this process, over a store with a bit of everything.

The clock is the tests': it stands still until it is moved.
"""

import shutil
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from aiohttp.test_utils import TestClient, TestServer
from cryptography import x509

from shaken import requesting
from shaken.api.authenticator import Authenticator
from shaken.api.http import HttpApi
from shaken.api.openapi import openapi_document
from shaken.api.routes import Resources
from shaken.api.stir_door import StirDoor
from shaken.api.stir_signing import Signing
from shaken.api.table import TABLE
from shaken.attestation import Attest, AttestPolicy, ForeignAttest, parse_number_rule
from shaken.audit import SYSTEM, Action, Actor, AuditedChange, changing
from shaken.config import load_config
from shaken.credentials import Credential, Role, digest_of, new_secret
from shaken.importing import Importer, Upload
from shaken.inbound import Inbound
from shaken.replay import ReplayMemory, shared_memory
from shaken.requesting import Wish
from shaken.service import Prepared, pens_for, prepare, signer_for
from shaken.snapshot import take_snapshot
from shaken.snapshots import SnapshotFollower
from shaken.store.calls import CallRecord, add_calls
from shaken.store.credentials import add_credential
from shaken.store.tenants import add_tenant, add_trunk
from shaken.tenants import AnswerForm, Direction, Tenant, Trunk
from shaken.throttle import FailureThrottle
from shaken.web.pages import AdminPages
from shaken.web.routes import CallDesk
from tests.signing import signing_api
from trust.acme.order import Attempt, State, new_order
from trust.acme.settings import AcmeSettings
from trust.authority import Authority, Issued
from trust.certificate import Certificate, CertificateKind
from trust.roots import Purpose, Root, read_root
from trust.selection import Fallback
from trust.store import acme_orders, acme_settings, roots
from trust.store import requests as stored_requests
from trust.tnauthlist import TnRange

ACME, GLOBEX, INITECH = "acme.example.com", "globex.example.net", "initech.example.org"
UMBRELLA = "umbrella.example.com"
"""Tenants: with a certificate, with one that expires soon, without one, and one that may not use
another's."""

ALICE, VICTOR, MACHINE, BOUND = "alice", "victor", "pbx1", "anna-of-acme"
"""Credentials: an admin, a viewer, a signer, an admin of one tenant."""

CREDENTIALS: Mapping[str, tuple[Role, str | None]] = {
    ALICE: (Role.ADMIN, None),
    VICTOR: (Role.VIEWER, None),
    MACHINE: (Role.SIGNER, None),
    BOUND: (Role.ADMIN, ACME),
}
SETTINGS = {"SHAKEN_PUBLIC_URL": "https://sti.example.com", "SHAKEN_LOG__LEVEL": "WARNING"}
HOUR = 3600

RENEWED = new_order(CertificateKind.DOMAIN, [GLOBEX], tenant=GLOBEX, now=0)
"""An order that nobody has tried yet: no authority is set."""

WISHES: Mapping[str, Wish] = {
    ACME: Wish(
        CertificateKind.STI,
        spc="1234",
        tns=("+12155550100", "+12155550200-+12155550299"),
        tenant=ACME,
        organization="Acme, Inc.",
        country="US",
    ),
    "system": Wish(CertificateKind.SYSTEM, names=("sti.example.com", "*.example.com")),
}
"""What certificates are asked for."""


@dataclass
class Clock:
    """The time of the pages, in Unix seconds."""

    now: float

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True)
class Scenery:
    """A data folder to be copied, and what is known of it."""

    folder: Path
    secrets: Mapping[str, str]
    certificates: Mapping[str, str]
    """Ids by what the certificates are for."""
    requests: Mapping[str, str]
    """Ids of requests that wait: one of acme.example.com by its address, one by `system`."""
    authority: Authority
    """Who issued the STI and server certificates."""
    spare: Issued
    """An STI certificate of a trusted root that is not stored."""
    spare_server: Issued
    """A server certificate for acme.example.com that is not stored."""


def make_scenery(folder: Path) -> Scenery:
    """Make the store."""
    moment = datetime.now(UTC)
    prepared = prepare(load_config(None, SETTINGS), folder)
    trusted = Authority.create("STI-PA Root 2025", now=moment - timedelta(days=300))
    authority = trusted.intermediate("Example STI-CA", now=moment - timedelta(days=200))
    secrets = {name: new_secret() for name in CREDENTIALS}
    now = int(moment.timestamp())
    made: dict[str, Issued] = {
        ACME: authority.issue_sti(
            spc="1234",
            numbers=("12155550100",),
            ranges=(TnRange("12155550200", 100),),
            now=moment,
            lifetime=timedelta(days=300),
        ),
        GLOBEX: authority.issue_sti(
            spc="5678",
            now=moment,
            not_before=moment - timedelta(days=350),
            lifetime=timedelta(days=9),
        ),
        "old": authority.issue_sti(
            spc="4321",
            now=moment - timedelta(days=400),
            lifetime=timedelta(days=380),
        ),
    }
    servers = {
        "system": authority.issue_server(["sti.example.com", "*.example.com"], now=moment),
        "domain": authority.issue_server([ACME], now=moment),
    }
    with (
        closing(prepared.open_database()) as database,
        changing(database, SYSTEM, now=now - 2 * HOUR) as change,
    ):
        for address in (ACME, GLOBEX, INITECH, UMBRELLA):
            fallback = Fallback.NONE if address == UMBRELLA else Fallback.FIRST
            numbers = (parse_number_rule("+12155550100-+12155550199"),) if address == ACME else ()
            add_tenant(change, Tenant(address, (), numbers, fallback))
            change.audit(Action.TENANT_CREATE, address, tenant=address)
        add_trunk(change, _trunk(ACME))
        for name, (role, tenant) in CREDENTIALS.items():
            credential = Credential(name, role, digest_of(secrets[name]), tenant, None, ())
            add_credential(change, credential, now=0)
        roots.add(change, read_root(trusted.root_pem, Purpose.STI))
        for purpose, issued in made.items():
            tenant = purpose if "." in purpose else None
            _import(change, prepared, CertificateKind.STI, issued, tenant)
        acme_orders.add(change.connection, RENEWED)
        requests = {
            name: requesting.keep(change, prepared.master, requesting.draft(wish), scope=None).id
            for name, wish in WISHES.items()
        }
        for word, issued in servers.items():
            _import(change, prepared, CertificateKind(word), issued, None)
    with closing(prepared.open_database()) as database:
        add_calls(database, list(_calls(now)))
    return Scenery(
        folder,
        secrets,
        {name: issued.certificate.fingerprint for name, issued in (made | servers).items()},
        requests,
        authority,
        spare=authority.issue_sti(spc="9999", now=moment),
        spare_server=authority.issue_server([ACME], now=moment),
    )


def _trunk(tenant: str) -> Trunk:
    origid = "6b7ab1b4-1b1c-4e4f-8f0d-0d3a3d2f7c55"
    policy = AttestPolicy(Attest.A, ForeignAttest.B)
    return Trunk("main", tenant, policy, origid, Direction.AUTO, (), None, AnswerForm.BOTH)


def _import(
    change: AuditedChange,
    prepared: Prepared,
    kind: CertificateKind,
    issued: Issued,
    tenant: str | None,
) -> None:
    importer = Importer(prepared.master, lab=False)
    upload = Upload(kind, issued.chain_pem, private_key=issued.key_pem, tenant=tenant)
    # One that has expired by now was imported while it was valid.
    at = min(change.at, int(issued.certificate.not_after.timestamp()) - 1)
    importer.add(change, importer.read(upload, now=at), scope=None, now=change.at)


def _calls(now: int) -> list[CallRecord]:
    """Make calls of the last day, more by day than by night."""
    made = []
    for hour in range(23, -1, -1):
        at = now - hour * HOUR
        busy = 40 - abs(datetime.fromtimestamp(at, UTC).hour - 13) * 3
        parties = ("12155550100", "12155550199", "A", "origid")
        signed = CallRecord(at, MACHINE, ACME, "main", *parties, "certificate", "request")
        made += [signed] * max(busy, 3)
        for each in range(max(busy // 2, 1)):
            verdict: tuple[Any, ...] = ("TN-Validation-Passed", "accept", None, None)
            if each % 7 == 3:
                verdict = ("TN-Validation-Failed", "flag", "the signature does not hold", 438)
            elif each % 7 == 5:
                verdict = ("No-TN-Validation", "accept", None, 428 if each % 2 else None)
            told = ("url", "request", "verified", *verdict)
            made.append(CallRecord(at, MACHINE, ACME, "main", *parties, *told))
    return made


@dataclass(frozen=True)
class Service:
    """A running service."""

    scenery: Scenery
    prepared: Prepared
    client: "TestClient[Any, Any]"
    clock: Clock
    snapshots: SnapshotFollower
    pages: AdminPages
    records: list[CallRecord]
    """Calls that were signed since it runs."""

    @property
    def url(self) -> str:
        """Where it is, without a slash at the end."""
        return str(self.client.make_url("")).rstrip("/")

    @property
    def trusted_root(self) -> Root:
        """The first root of signers that is trusted."""
        rows = self.snapshots.current.root_rows.rows.values()
        return next(root for root in rows if root.purpose is Purpose.STI)

    async def change(self, make: Any) -> None:
        """Change the store beside the pages, as another worker does, and let this one follow."""
        with (
            closing(self.prepared.open_database()) as database,
            changing(database, Actor("test", None), now=int(self.clock())) as change,
        ):
            make(change)
        await self.snapshots.refresh()


async def set_up(service: Service) -> None:
    """Name an authority."""
    settings = AcmeSettings(directory_url="https://acme.example/directory", terms_agreed=True)

    def save(change: AuditedChange) -> None:
        acme_settings.save(change, service.prepared.master, settings)
        change.audit(Action.ACME_SETTINGS, "acme", tenant=None)

    await service.change(save)


async def move(service: Service, state: State, *, next_try: int = 0, started: int = 0) -> None:
    """Let the order be in a state, due since now and begun now but for so many seconds."""
    now = int(service.clock())
    attempt = Attempt("directory", "account", "0" * 64, now + started)

    def save(change: AuditedChange) -> None:
        order = replace(RENEWED, state=state, attempt=attempt, next_try=now + next_try)
        acme_orders.save(change.connection, order)
        change.audit(Action.ORDER_FAIL, RENEWED.id, tenant=GLOBEX)

    await service.change(save)


def certified(service: Service, name: str) -> Certificate:
    """Return what the authority makes of a request of the scenery."""
    with (
        closing(service.prepared.open_database()) as database,
        database.reading() as connection,
    ):
        row = stored_requests.get(connection, service.scenery.requests[name])
    assert row is not None
    csr = x509.load_pem_x509_csr(row.csr.encode())
    return service.scenery.authority.certify(csr, now=datetime.fromtimestamp(service.clock(), UTC))


@asynccontextmanager
async def serving(
    scenery: Scenery, folder: Path, *, trusted: tuple[str, ...] = ()
) -> AsyncIterator[Service]:
    """Run a service over a copy of the scenery. `trusted` are proxies."""
    shutil.copytree(scenery.folder, folder, dirs_exist_ok=True)
    prepared = prepare(load_config(None, SETTINGS), folder)
    database = prepared.open_database()
    pens, authenticator = pens_for(prepared), Authenticator(FailureThrottle())
    signer = signer_for(prepared, pens)
    snapshots = SnapshotFollower(database, take_snapshot(database), on_change=_nothing)
    resources = Resources(prepared.config, database, prepared.master, pens, None)
    proxies = tuple(ip_network(text) for text in trusted)
    clock = Clock(time.time())
    document = openapi_document(TABLE, version="0")
    inbound = Inbound(
        prepared.config,
        database,
        lambda: snapshots.current,
        ReplayMemory(shared_memory()),
        agent="shaken-test",
    )
    records: list[CallRecord] = []
    pages = AdminPages(
        resources=resources,
        authenticator=authenticator,
        snapshots=snapshots,
        desk=CallDesk(Signing(signer, records.append), inbound.verifier, inbound.certificates),
        trusted_proxies=proxies,
        clock=clock,
        document=document,
    )
    api = HttpApi(
        resources=resources,
        authenticator=authenticator,
        door=StirDoor(signing_api(signer, authenticator=authenticator), snapshots, proxies),
        snapshots=snapshots,
        trusted_proxies=proxies,
        document=document,
        faces=(pages.mount,),
    )
    async with TestClient(TestServer(api.application())) as client:
        await inbound.start()
        yield Service(scenery, prepared, client, clock, snapshots, pages, records)
        await inbound.close()
    database.close()


async def _nothing(_: object) -> None:
    return None
