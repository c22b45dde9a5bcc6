"""A whole service in this process: two tenants alike, and a credential of each role and binding.

It stands behind a proxy on this machine, so that a request may come from any address.
"""

import asyncio
import json
import shutil
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from io import BytesIO
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from aiohttp.test_utils import TestClient, TestServer

from shaken.api.authenticator import Authenticator
from shaken.api.http import HttpApi
from shaken.api.openapi import openapi_document
from shaken.api.routes import Resources, Route
from shaken.api.stir_door import StirDoor
from shaken.api.table import TABLE
from shaken.attestation import Attest, AttestPolicy, ForeignAttest
from shaken.audit import SYSTEM, changing
from shaken.config import Config
from shaken.credentials import Credential, Role, digest_of, new_secret
from shaken.importing import Upload, import_certificate
from shaken.requesting import Wish, draft, keep
from shaken.snapshot import take_snapshot
from shaken.snapshots import SnapshotFollower
from shaken.store import HISTORY as SERVICE_HISTORY
from shaken.store.calls import CallRecord, add_calls
from shaken.store.credentials import add_credential
from shaken.store.tenants import add_tenant, add_trunk
from shaken.tenants import AnswerForm, Direction, Tenant, Trunk
from shaken.throttle import FailureThrottle
from tests.signing import pens_with, signer_with, stir_api
from tests.verification import Desk
from trust.acme.authority_client import new_account_key
from trust.acme.order import Certified, State, new_order
from trust.acme.settings import AcmeSettings
from trust.authority import Authority, Issued
from trust.certificate import CertificateKind
from trust.keys import MasterKey
from trust.roots import Purpose, read_root
from trust.selection import Fallback
from trust.store import acme_accounts, acme_orders, acme_settings, acme_tokens, roots
from trust.store.acme_accounts import AccountState, StoredAccount
from trust.store.database import HISTORY as TRUST_HISTORY
from trust.store.database import Change, Database

INSIDE, OUTSIDE = "192.0.2.10", "203.0.113.9"
"""An address in the networks of every credential, and one outside of them."""

EVERYBODY = None
"""The binding of a credential that is for all tenants."""


@dataclass(frozen=True)
class Estate:
    """A tenant with one thing of each kind."""

    address: str
    certificate: str
    trunk: str
    credential: str
    request: str
    order: str


@dataclass(frozen=True)
class Template:
    """A store that is copied for each test, and what is known of it."""

    file: Path
    master: MasterKey
    own: Estate
    other: Estate
    secrets: Mapping[tuple[Role, str | None], str]
    """By role and by the tenant it is bound to."""
    spare: Issued
    """A certificate that is not stored."""
    root: str
    """The id of the only trusted root, one for STI."""
    spare_root: str
    """A root that is not stored, in PEM."""
    token: str = "a-token-that-is-waited-for"
    """What an authority asks for."""


def make_template(folder: Path) -> Template:
    """Make the store: tenants `own.example.com` and `other.example.com`."""
    file, master = folder / "template.sqlite", MasterKey.generate()
    database = Database(f"sqlite:///{file}")
    database.migrate([TRUST_HISTORY, SERVICE_HISTORY])
    moment = datetime.now(UTC)
    trusted, not_trusted = (Authority.create(f"Root {word}", now=moment) for word in ("A", "B"))
    authority = trusted.intermediate("Lab STI-CA", now=moment)
    own, other = (
        _add_estate(database, master, authority.issue_sti(spc="1234", now=moment), word)
        for word in ("own", "other")
    )
    secrets = {(role, tenant): new_secret() for role in Role for tenant in (EVERYBODY, own.address)}
    with database.changing() as change:
        for (role, tenant), secret in secrets.items():
            _add_credential(change, name_of(role, tenant), role, secret, tenant)
        root = roots.add(change, read_root(trusted.root_pem, Purpose.STI))
        acme = AcmeSettings("https://ca.example.net/directory", terms_agreed=True)
        acme_settings.save(change, master, acme)
        account = StoredAccount(
            acme.directory_url,
            AccountState.VALID,
            0,
            new_account_key(),
            url="https://ca.example.net/account/1",
        )
        acme_accounts.save(change, master, account)
        waited_for = {Template.token: f"{Template.token}.thumbprint"}
        acme_tokens.put(change.connection, waited_for, order=own.order, expires=2**32)
    database.close()
    return Template(
        file=file,
        master=master,
        own=own,
        other=other,
        secrets=secrets,
        spare=authority.issue_sti(spc="1234", now=moment),
        root=root.id,
        spare_root=not_trusted.root_pem,
    )


def name_of(role: Role, tenant: str | None) -> str:
    """Return the name of the credential of a role and a binding."""
    return f"{role.value}-of-{tenant or 'all'}"


def _add_estate(database: Database, master: MasterKey, issued: Issued, word: str) -> Estate:
    address = f"{word}.example.com"
    drafted = draft(Wish(CertificateKind.STI, spc="1234", tenant=address))
    # Which certificate it led to matters to nobody here, only that there is one.
    order = replace(
        new_order(CertificateKind.DOMAIN, (address,), tenant=address, now=0),
        state=State.ISSUED,
        certified=Certified(issued.certificate.fingerprint, "", 0, 2**32),
    )
    estate = Estate(
        address=address,
        certificate=issued.certificate.fingerprint,
        trunk=f"{word}-trunk",
        credential=f"{word}-credential",
        request=drafted.request.id,
        order=order.id,
    )
    with database.changing() as change:
        acme_orders.add(change.connection, order)
        add_tenant(change, Tenant(estate.address, (), (), Fallback.FIRST))
        policy = AttestPolicy(Attest.A, ForeignAttest.B)
        origid = "6b7ab1b4-1b1c-4e4f-8f0d-0d3a3d2f7c55"
        trunk = Trunk(
            estate.trunk,
            estate.address,
            policy,
            origid,
            Direction.AUTO,
            (),
            None,
            AnswerForm.BOTH,
        )
        add_trunk(change, trunk)
        _add_credential(change, estate.credential, Role.VIEWER, new_secret(), estate.address)
    upload = Upload(
        kind=CertificateKind.STI,
        certificate=issued.chain_pem,
        private_key=issued.key_pem,
        passphrase=None,
        tenant=estate.address,
        x5u=None,
    )
    now = int(time.time())
    import_certificate(database, master, upload, actor=SYSTEM, now=now, lab=False)
    with changing(database, SYSTEM, now=now) as audited:
        keep(audited, master, drafted, scope=None)
    parties = ("12155550100", "12155550199", "A", origid)
    used = (estate.certificate, f"call of {word}")
    add_calls(database, [CallRecord(now, word, estate.address, estate.trunk, *parties, *used)])
    return estate


def _add_credential(change: Change, name: str, role: Role, secret: str, tenant: str | None) -> None:
    networks = (ip_network("192.0.2.0/24"), ip_network("127.0.0.0/8"))
    credential = Credential(name, role, digest_of(secret), tenant, None, networks)
    add_credential(change, credential, now=0)


@dataclass(frozen=True)
class Reply:
    """What came back; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Read the body as JSON."""
        return json.loads(self.body)


@dataclass(frozen=True)
class World:
    """A running service over a store of its own."""

    template: Template
    database: Database
    client: "TestClient[Any, Any]"
    routes: tuple[Route, ...]

    async def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        secret: str | None,
        peer: str | None = INSIDE,
        proto: str | None = "https",
    ) -> Reply:
        """Send a request as the proxy does: for a client at `peer`, which spoke `proto`."""
        told = {"X-Forwarded-For": peer, "X-Forwarded-Proto": proto}
        headers = {name: text for name, text in told.items() if text is not None}
        if secret is not None:
            headers["Authorization"] = f"Bearer {secret}"
        if body is not None:
            headers["Content-Type"] = "application/json"
        data = None if body is None else BytesIO(json.dumps(body).encode())
        async with self.client.request(method, path, headers=headers, data=data) as answer:
            named = {name.lower(): text for name, text in answer.headers.items()}
            return Reply(answer.status, named, await answer.read())

    async def admin(self, method: str, path: str, body: object = None) -> Reply:
        """Ask as an administrator of all tenants."""
        return await self.ask(method, path, body, secret=self.template.secrets[Role.ADMIN, None])

    async def audit(self, query: str = "") -> list[dict[str, Any]]:
        """List who changed what, the newest first."""
        page = (await self.admin("GET", f"/api/v1/audit{query}")).json()
        items: list[dict[str, Any]] = page["items"]
        return items

    def registered(self) -> set[str]:
        """List the routes that are really served, as `GET /path/{name}`."""
        app = self.client.app
        assert app is not None
        return {
            f"{route.method} {resource.canonical}"
            for resource in app.router.resources()
            for route in resource
            if route.method not in {"*", "HEAD"}
        }


@asynccontextmanager
async def running(template: Template, folder: Path) -> AsyncIterator[World]:
    """Run a service over a fresh copy of the template."""
    file = folder / "shaken.sqlite"
    shutil.copyfile(template.file, file)
    database = Database(f"sqlite:///{file}")
    pens = pens_with(template.master)
    signer = signer_with(pens)
    authenticator = Authenticator(FailureThrottle())
    stir = stir_api(signer, Desk(int(time.time()), ()).verifier, authenticator=authenticator)
    snapshots = SnapshotFollower(
        database, take_snapshot(database), on_change=lambda _: asyncio.sleep(0)
    )
    proxies = (ip_network("127.0.0.1"),)
    api = HttpApi(
        resources=Resources(Config(), database, template.master, pens, None),
        authenticator=authenticator,
        door=StirDoor(stir, snapshots, proxies),
        snapshots=snapshots,
        trusted_proxies=proxies,
        document=openapi_document(TABLE, version="0"),
    )
    async with TestClient(TestServer(api.application())) as client:
        yield World(template, database, client, tuple(TABLE))
    database.close()
