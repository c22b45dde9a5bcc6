"""Certificates are removed together or not at all, and not while something would miss them."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from shaken.audit import SYSTEM, changing
from shaken.builtin import ensure_builtin
from shaken.certificates import Missed, NoSuchCertificate, remove
from shaken.importing import Upload, import_certificate
from shaken.snapshot import Snapshot, take_snapshot
from shaken.store.audit import AuditFilter, find_entries
from shaken.store.tenants import add_tenant
from shaken.tenants import Tenant
from tests.clients import under_a_short_key
from tests.shaken.world import World
from trust.authority import Authority, self_signed
from trust.certificate import CertificateKind
from trust.keys import MasterKey
from trust.selection import Fallback
from trust.store.certificates import StoredCertificate
from trust.store.database import Database

BASE = "/api/v1/certificates"
NAMED = "sip.example.com"
"""An alias of the tenant."""

Keep = Callable[..., StoredCertificate]
Remove = Callable[..., None]


@pytest.fixture
def keep(database: Database, master: MasterKey, lab_ca: Authority, now: int) -> Keep:
    """Import an STI certificate: for a tenant, or for nobody, by a name that may be an address."""

    def keep_one(
        *, name: str = "SHAKEN 1234", tenant: str | None = None, begins: int = now
    ) -> StoredCertificate:
        moment = datetime.fromtimestamp(begins, UTC)
        issued = lab_ca.issue_sti(spc="1234", common_name=name, now=moment)
        upload = Upload(
            kind=CertificateKind.STI,
            certificate=issued.chain_pem,
            private_key=issued.key_pem,
            tenant=tenant,
        )
        return import_certificate(database, master, upload, actor=SYSTEM, now=now, lab=False).row

    return keep_one


@pytest.fixture
def delete(database: Database, now: int) -> Remove:
    """Remove certificates as an administrator of all tenants."""
    earlier = take_snapshot(database)

    def remove_them(
        *rows: StoredCertificate,
        known: Snapshot = earlier,
        scope: str | None = None,
        fallback: Fallback = Fallback.FIRST,
        force: bool = False,
    ) -> None:
        with changing(database, SYSTEM, now=now) as change:
            remove(
                change,
                [row.id for row in rows],
                known=known,
                scope=scope,
                fallback=fallback,
                force=force,
            )

    return remove_them


def kept(database: Database) -> set[str]:
    return set(take_snapshot(database).certificates)


def missed(delete: Remove, *rows: StoredCertificate, **how: object) -> Missed:
    with pytest.raises(Missed) as refused:
        delete(*rows, **how)
    assert refused.value.dependent.certificate in {row.id for row in rows}
    return refused.value


def test_the_only_one_that_names_a_tenant_is_missed_though_it_is_assigned_to_nobody(
    keep: Keep, delete: Remove, database: Database, tenant: Tenant
) -> None:
    named, other = keep(name=NAMED), keep()

    error = missed(delete, named)

    assert str(error) == f"it is the only certificate that {tenant.address} signs with"
    assert kept(database) == {named.id, other.id}
    delete(other)
    assert kept(database) == {named.id}


@pytest.mark.parametrize("spare", [{"name": NAMED}, {"tenant": NAMED}])
def test_where_a_tenant_has_two_one_may_go_and_not_both(
    keep: Keep, delete: Remove, tenant: Tenant, *, spare: dict[str, str]
) -> None:
    named, spare_one = keep(name=NAMED), keep(**spare)

    assert tenant.address in str(missed(delete, named, spare_one))
    delete(named)
    assert tenant.address in str(missed(delete, spare_one))


def test_the_last_one_that_the_fallback_signs_with_is_missed(
    keep: Keep, delete: Remove, database: Database, tenant: Tenant
) -> None:
    first, second = keep(), keep()

    error = missed(delete, first, second)

    assert "whoever has no certificate of their own" in str(error)
    assert tenant.address not in str(error)
    delete(first)
    assert kept(database) == {second.id}
    missed(delete, second)
    delete(second, fallback=Fallback.NONE)
    assert kept(database) == set()


def test_the_fallback_goes_on_with_a_tenants_certificate(
    keep: Keep, delete: Remove, database: Database, tenant: Tenant
) -> None:
    nobodys, tenants = keep(), keep(tenant=tenant.address)

    delete(nobodys)

    assert kept(database) == {tenants.id}


def test_one_that_does_not_sign_is_not_missed(
    keep: Keep, delete: Remove, database: Database, tenant: Tenant, *, now: int
) -> None:
    future = keep(tenant=tenant.address, begins=now + 86_400)

    delete(future)

    assert kept(database) == set()


def test_what_is_missed_goes_all_the_same_where_that_is_asked_for(
    keep: Keep, delete: Remove, database: Database
) -> None:
    delete(keep(name=NAMED), force=True)

    assert kept(database) == set()


def test_the_built_in_one_is_missed_where_it_is_the_last_that_can_be_presented(
    delete: Remove, database: Database, master: MasterKey, now: int
) -> None:
    ensure_builtin(database, master, now=now)
    (built_in,) = take_snapshot(database).certificates.values()
    bad = under_a_short_key("sip.example.com")
    upload = Upload(CertificateKind.SYSTEM, bad.chain_pem, bad.key_pem)
    import_certificate(database, master, upload, actor=SYSTEM, now=now, lab=False)

    error = missed(delete, built_in)

    assert str(error) == "it is the last one that can be presented to TLS clients"
    good = self_signed(
        ["sip.example.com"], now=datetime.fromtimestamp(now, UTC), lifetime=timedelta(days=9)
    )
    upload = Upload(CertificateKind.SYSTEM, good.chain_pem, good.key_pem)
    import_certificate(database, master, upload, actor=SYSTEM, now=now, lab=False)
    delete(built_in)
    assert built_in.id not in kept(database)


def test_the_default_one_is_missed_though_one_that_cannot_be_presented_ends_later(
    delete: Remove, database: Database, master: MasterKey, now: int
) -> None:
    ensure_builtin(database, master, now=now)
    good, bad = (
        import_certificate(
            database,
            master,
            Upload(CertificateKind.SYSTEM, issued.chain_pem, issued.key_pem),
            actor=SYSTEM,
            now=now,
            lab=False,
        ).row
        for issued in (
            self_signed([NAMED], now=datetime.fromtimestamp(now, UTC), lifetime=timedelta(days=9)),
            under_a_short_key(NAMED),
        )
    )

    assert "presented to all clients" in str(missed(delete, good))
    assert good.not_after < bad.not_after
    delete(bad)
    assert bad.id not in kept(database)


@pytest.mark.parametrize("path", ["/{id}?force=true", "/delete?force=true"])
async def test_where_the_last_system_certificate_goes_a_built_in_one_is_made(
    world: World, path: str
) -> None:
    ensure_builtin(world.database, world.template.master, now=int(time.time()))
    (before,) = (await world.admin("GET", f"{BASE}?kind=system")).json()["items"]
    refused = await world.admin("DELETE", f"{BASE}/{before['id']}")
    assert (refused.status, refused.json()["type"]) == (409, "in-use")

    one_by_one = "{id}" in path
    done = await world.admin(
        "DELETE" if one_by_one else "POST",
        BASE + path.format(id=before["id"]),
        None if one_by_one else {"ids": [before["id"]]},
    )

    assert done.status == 204
    (made,) = (await world.admin("GET", f"{BASE}?kind=system")).json()["items"]
    assert (made["source"], made["names"]) == ("built-in", before["names"])
    assert made["id"] != before["id"]


@pytest.mark.usefixtures("tenant")
def test_a_tenant_that_came_since_is_missed_no_less(
    keep: Keep, delete: Remove, database: Database
) -> None:
    known = take_snapshot(database)
    newcomer = Tenant("new.example.com", (), (), Fallback.NONE)
    with database.changing() as change:
        add_tenant(change, newcomer)
    named, _ = keep(name=newcomer.address), keep()

    assert newcomer.address in str(missed(delete, named, known=known))


def test_each_is_removed_and_told_of_once_whatever_the_case_of_its_id(
    keep: Keep, database: Database, now: int
) -> None:
    row, _ = keep(), keep()
    known = take_snapshot(database)

    with changing(database, SYSTEM, now=now) as change:
        ids = [row.id.upper(), row.id]
        remove(change, ids, known=known, scope=None, fallback=Fallback.FIRST, force=False)

    with database.reading() as connection:
        wanted = AuditFilter(action="certificate.delete")
        (entry,) = find_entries(connection, wanted, before=None, limit=10)
    assert entry.subject == row.id


def test_for_a_tenants_administrator_there_are_only_that_tenants(
    keep: Keep, delete: Remove, database: Database, tenant: Tenant
) -> None:
    own, nobodys = keep(tenant=tenant.address), keep()

    with pytest.raises(NoSuchCertificate):
        delete(own, nobodys, scope=tenant.address, force=True)
    assert kept(database) == {own.id, nobodys.id}
    delete(own, scope=tenant.address, force=True)
    assert kept(database) == {nobodys.id}
