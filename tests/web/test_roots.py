"""Trusted roots by the pages: the lists, one in words, what there is to download."""

from contextlib import closing

import pytest

from shaken import roots as changes
from shaken.audit import Action, AuditedChange
from shaken.facts import plan_facts
from shaken.store.fetched import FetchedRow, put_fetched
from shaken.store.tables import fetched_certificates
from shaken.web.roots import Wanted
from tests.web.root_pages import (
    ADD,
    CHANGE,
    LIST,
    RESET,
    authority,
    count,
    names,
    sti,
    text_of,
    tls,
    wish,
)
from tests.web.scenery import ACME, ALICE, BOUND, VICTOR, Service
from tests.web.visitor import signed_in
from trust.roots import Edition, Purpose, Shipper, read_root, root_of
from trust.store import roots as stored


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("", ["STI-PA Root 2025"]),
        ("purpose=sti&state=added", ["STI-PA Root 2025"]),
        ("purpose=sti&state=shipped", []),
        ("purpose=sti&search=sti-pa+2025", ["STI-PA Root 2025"]),
        ("purpose=tls&search=isrg+root+x1", ["ISRG Root X1"]),
        ("purpose=tls&search=isrg+root+x1&state=trusted", ["ISRG Root X1"]),
        ("purpose=tls&search=isrg+root+x1&state=disabled", []),
        ("purpose=nonsense&state=nonsense&page=x", ["STI-PA Root 2025"]),
    ],
)
async def test_roots_are_found(service: Service, query: str, shown: list[str]) -> None:
    visitor = await signed_in(service, ALICE)

    assert await names(visitor, query) == shown


async def test_a_root_is_found_by_its_fingerprint_as_other_programs_write_it(
    service: Service,
) -> None:
    visitor, root = await signed_in(service, ALICE), sti(service)["STI-PA Root 2025"]

    assert await names(visitor, f"search={root.id[:10]}") == ["STI-PA Root 2025"]
    pairs = ":".join(root.id[at : at + 2] for at in range(0, 64, 2)).upper()
    assert await names(visitor, f"search={pairs}") == ["STI-PA Root 2025"]


async def test_a_long_list_comes_in_pages(service: Service) -> None:
    visitor = await signed_in(service, ALICE)
    total = count(service)

    first, second = [await names(visitor, f"purpose=tls&page={page}") for page in (1, 2)]

    assert len(first) == 50
    assert not set(first) & set(second)
    assert f"{total} roots, page 2 of" in (await visitor.get(f"{LIST}?purpose=tls&page=2")).text


async def test_what_is_deleted_disabled_and_added_stands_in_the_list(service: Service) -> None:
    visitor = await signed_in(service, VICTOR)
    kept = tls(service)
    deleted, disabled = kept["ISRG Root X1"], kept["ISRG Root X2"]

    def make(change: AuditedChange) -> None:
        changes.remove(change, deleted)
        changes.set_disabled(change, disabled, disabled=True)
        changes.add(change, read_root(authority(service).root_pem, Purpose.TLS))

    await service.change(make)

    assert await names(visitor, "purpose=tls&state=deleted") == ["ISRG Root X1"]
    assert await names(visitor, "purpose=tls&state=disabled") == ["ISRG Root X2"]
    assert await names(visitor, "purpose=tls&state=added") == ["New Root"]
    assert "New Root" not in await names(visitor, "purpose=tls&state=shipped")
    text = text_of(await visitor.get(f"{LIST}?purpose=tls&search=isrg"))
    assert f"Trusted {count(service) - 2} Disabled 1 Deleted 1" in text
    assert "ISRG Root X1 CN=ISRG Root X1" in text


async def test_what_the_other_list_has_is_said(service: Service) -> None:
    visitor = await signed_in(service, ALICE)

    text = (await visitor.get(f"{LIST}?purpose=sti&search=isrg+root+x1")).text

    assert "there is one" in text
    assert f'href="{LIST}?purpose=tls&amp;search=isrg+root+x1"' in text


async def test_an_empty_list_teaches_what_to_put_into_it(service: Service) -> None:
    visitor, root = await signed_in(service, ALICE), sti(service)["STI-PA Root 2025"]
    await service.change(lambda change: changes.remove(change, root))

    text = (await visitor.get(LIST)).text

    assert "No root of signers is trusted yet" in text
    assert f'href="{ADD}?purpose=sti"' in text


def test_the_address_of_a_list_says_what_it_shows() -> None:
    wanted = Wanted.of({"purpose": "tls", "search": "a b", "state": "added", "page": "3"})

    assert wanted.page(4) == f"{LIST}?purpose=tls&search=a+b&state=added&page=4"
    assert wanted.path(state="") == f"{LIST}?purpose=tls&search=a+b"


async def test_the_trusted_roots_are_downloaded_as_the_api_gives_them(service: Service) -> None:
    visitor = await signed_in(service, VICTOR)
    disabled = tls(service)["ISRG Root X1"]
    await service.change(lambda change: changes.set_disabled(change, disabled, disabled=True))

    seen = await visitor.get("/admin/roots/tls.pem")

    assert 'filename="roots-tls.pem"' in seen.headers["Content-Disposition"]
    assert seen.text.count("BEGIN CERTIFICATE") == count(service) - 1
    assert disabled.pem not in seen.text
    assert (await visitor.get("/admin/roots/nonsense.pem")).status == 404


async def test_what_an_upgrade_changed_is_told(service: Service) -> None:
    visitor = await signed_in(service, VICTOR)
    gone, came = tls(service)["ISRG Root X1"], authority(service, "Newly shipped")
    edition = stored_edition(service)
    rows = service.snapshots.current.root_rows.rows.values()
    offered = [root for root in rows if root.purpose is Purpose.TLS and root != gone]
    new = root_of(came.certificate, Purpose.TLS, shipped=Shipper.CERTIFI)

    def upgrade(change: AuditedChange) -> None:
        plan = stored.follow(change, Purpose.TLS, [*offered, new])
        stored.remember_edition(change, Purpose.TLS, Edition("2099.1.1", "a" * 64))
        facts = {"edition": "2099.1.1", **plan_facts(plan)}
        change.audit(Action.ROOTS_FOLLOW, "tls", tenant=None, after=facts)

    before = text_of(await visitor.get(f"{LIST}?purpose=tls"))
    await service.change(upgrade)
    after = text_of(await visitor.get(f"{LIST}?purpose=tls"))

    assert f"certifi {edition}" in before
    assert "as certifi 2099.1.1 has it" in after
    assert "1 root came, 1 went. Came: Newly shipped" in after
    assert gone.id[:16] in after
    assert "What upgrades have changed" not in text_of(
        await (await signed_in(service, BOUND)).get(f"{LIST}?purpose=tls")
    )


def stored_edition(service: Service) -> str:
    with (
        closing(service.prepared.open_database()) as database,
        database.reading() as connection,
    ):
        edition = stored.applied_edition(connection, Purpose.TLS)
    assert edition is not None
    return edition.version


# One root


async def test_a_root_is_shown_in_words_with_what_relies_on_it(service: Service) -> None:
    visitor, root = await signed_in(service, VICTOR), sti(service)["STI-PA Root 2025"]
    chain = service.scenery.spare.chain_pem
    row = FetchedRow("https://sti.example.net/9999.pem", chain, 0.0, 0.0, None, None)
    with closing(service.prepared.open_database()) as database:
        put_fetched(database, fetched_certificates, [row])

    text = text_of(await visitor.get(f"{LIST}/sti/{root.id}"))

    for words in ("Signers of calls", "by an administrator", "any number", "Elliptic curve P-256"):
        assert words in text
    assert f"SHAKEN 1234 of {ACME}" in text
    assert "SHAKEN 4321" not in text, "it has expired"
    assert "SHAKEN 9999 https://sti.example.net/9999.pem" in text


async def test_who_is_for_one_tenant_sees_roots_and_of_others_nothing(service: Service) -> None:
    visitor, root = await signed_in(service, BOUND), sti(service)["STI-PA Root 2025"]

    seen = await visitor.get(f"{LIST}/sti/{root.id}")

    assert f"SHAKEN 1234 of {ACME}" in text_of(seen)
    assert "SHAKEN 5678" not in seen.text
    assert CHANGE not in seen.text
    assert f'action="{CHANGE}"' not in (await visitor.get(LIST)).text
    for path in (ADD, RESET):
        assert (await visitor.get(path)).status == 403
        assert (await visitor.post(path, {})).status == 403
    assert (await wish(visitor, "delete", root)).status == 403


async def test_a_root_is_downloaded(service: Service) -> None:
    visitor, root = await signed_in(service, VICTOR), sti(service)["STI-PA Root 2025"]

    assert (await visitor.get(f"{LIST}/sti/{root.id}/pem")).text == root.pem


async def test_a_root_has_a_page_in_its_own_list_only(service: Service) -> None:
    visitor, root = await signed_in(service, VICTOR), sti(service)["STI-PA Root 2025"]

    for path in (f"tls/{root.id}", f"nonsense/{root.id}", f"sti/{'0' * 64}", "sti/x"):
        assert (await visitor.get(f"{LIST}/{path}")).status == 404, path
