"""Whoever may write for one tenant imports for that one only, also while addresses move."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from shaken.api import requests
from shaken.api.certificates import CertificateImport, create
from shaken.api.problems import Problem
from shaken.api.requests import RequestCreation
from shaken.api.routes import ApiCall, Resources
from shaken.audit import SYSTEM, changing
from shaken.config import Config
from shaken.credentials import Credential, Role
from shaken.importing import Importer, NotOfTenant, Upload
from shaken.pens import Pens
from shaken.snapshot import take_snapshot
from shaken.store.tenants import add_tenant, replace_tenant
from shaken.tenants import Tenant
from trust.authority import Authority, Issued
from trust.certificate import CertificateKind
from trust.keys import MasterKey
from trust.store import requests as stored_requests
from trust.store.database import Database

OTHER = "other.example.com"


@pytest.fixture
def issued(lab_ca: Authority, now: int) -> Issued:
    """An STI certificate that no store has."""
    return lab_ca.issue_sti(spc="1234", now=datetime.fromtimestamp(now, UTC))


@pytest.fixture
def asking(
    database: Database, master: MasterKey, pens: Pens, tenant: Tenant, now: int
) -> Callable[..., ApiCall]:
    """Make a call of the tenant's administrator, who sees the store as it is now."""
    who = Credential("own", Role.ADMIN, b"", tenant.address, None, ())
    resources = Resources(Config(), database, master, pens, None)
    snapshot = take_snapshot(database)

    def make(body: object = None) -> ApiCall:
        return ApiCall(resources, snapshot, now, who, "192.0.2.1", {}, {}, body)

    return make


@pytest.mark.parametrize("wanted", [None, OTHER])
def test_nothing_is_stored_for_another_than_the_tenant_that_may_be_written_for(
    database: Database,
    master: MasterKey,
    issued: Issued,
    *,
    tenant: Tenant,
    now: int,
    wanted: str | None,
) -> None:
    with database.changing() as change:
        add_tenant(change, replace(tenant, address=OTHER, aliases=()))
    upload = Upload(CertificateKind.STI, issued.chain_pem, issued.key_pem, tenant=wanted)
    importer = Importer(master, lab=False)
    read = importer.read(upload, now=now)

    with pytest.raises(NotOfTenant), changing(database, SYSTEM, now=now) as change:
        importer.add(change, read, scope=tenant.address, now=now)

    assert take_snapshot(database).certificates == {}


def test_an_address_that_went_over_to_another_tenant_meanwhile_is_no_tenant_of_the_caller(
    database: Database, asking: Callable[..., ApiCall], issued: Issued, tenant: Tenant
) -> None:
    (moved,) = tenant.aliases
    body = CertificateImport(CertificateKind.STI, issued.chain_pem, issued.key_pem, tenant=moved)
    call = asking(body)
    with database.changing() as change:
        replace_tenant(change, replace(tenant, aliases=()))
        add_tenant(change, replace(tenant, address=OTHER, aliases=(moved,)))

    with pytest.raises(Problem) as refused:
        create(call)

    assert (refused.value.status, refused.value.detail) == (404, "there is no such tenant")
    assert take_snapshot(database).certificates == {}


def test_no_request_is_made_for_an_address_that_went_over_to_another_tenant_meanwhile(
    database: Database, asking: Callable[..., ApiCall], tenant: Tenant
) -> None:
    (moved,) = tenant.aliases
    call = asking(RequestCreation(CertificateKind.STI, spc="1234", tenant=moved))
    with database.changing() as change:
        replace_tenant(change, replace(tenant, aliases=()))
        add_tenant(change, replace(tenant, address=OTHER, aliases=(moved,)))

    with pytest.raises(Problem) as refused:
        requests.create(call)

    assert "no tenant has this address" in str(refused.value.detail)
    with database.reading() as connection:
        assert stored_requests.count(connection, stored_requests.Filter()) == 0


@pytest.mark.parametrize("aliased", [False, True])
def test_what_names_no_tenant_is_for_that_of_the_credential(
    asking: Callable[..., ApiCall],
    tenant: Tenant,
    aliased: bool,  # noqa: FBT001 (a parameter of a test)
) -> None:
    named = tenant.aliases[0] if aliased else None

    assert asking().tenant_for(named) == (named or tenant.address)


def test_what_names_another_tenant_is_refused(asking: Callable[..., ApiCall]) -> None:
    with pytest.raises(Problem, match="404"):
        asking().tenant_for(OTHER)
