"""Certificates in the store."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import text

from trust.authority import Authority
from trust.certificate import CertificateKind, Source
from trust.claim_constraints import ClaimConstraints
from trust.store import certificates
from trust.store.certificates import AlreadyStored, Filter, StoredCertificate
from trust.store.database import HISTORY, Database

ALICE = StoredCertificate(
    id="a1",
    kind=CertificateKind.STI,
    names=("alice.example", "sip.alice.example"),
    subject="CN=SHAKEN 1234",
    issuer="CN=Lab STI-CA",
    serial="1f",
    not_before=1_000,
    not_after=2_000,
    tenant="alice.example",
    tn_auth_list=bytes.fromhex("3008a00616043132 3334"),
    x5u="https://sti.example/a1.pem",
    source=Source.UPLOADED,
    sealed_key=b"\x01sealed",
    stored_at=1_500,
    claim_constraints=(bytes.fromhex("3009a0073005160372 6364"),),
)
BARE = replace(
    ALICE, id="b2", names=(), tenant=None, tn_auth_list=None, x5u=None, sealed_key=None, not_after=9
)
SYSTEM = replace(BARE, id="c3", kind=CertificateKind.SYSTEM, names=("localhost",), not_after=3_000)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(f"sqlite:///{tmp_path}/store.sqlite")
    opened.migrate([HISTORY])
    yield opened
    opened.close()


def store(database: Database, *rows: StoredCertificate) -> None:
    for row in rows:
        with database.changing() as change:
            certificates.add(change, row, chain=f"chain of {row.id}")


def found(database: Database, *, after: int = 0, limit: int = 100, **wanted: Any) -> list[str]:
    with database.reading() as connection:
        rows = certificates.find(connection, Filter(**wanted), after=after, limit=limit)
        return [row.id for row in rows]


@pytest.mark.parametrize("row", [ALICE, BARE, SYSTEM], ids=lambda row: row.id)
def test_a_certificate_is_read_as_it_was_written(
    database: Database, row: StoredCertificate
) -> None:
    store(database, row)

    with database.reading() as connection:
        assert certificates.get(connection, row.id) == replace(row, sequence=1)
        assert certificates.chain_pem(connection, row.id) == f"chain of {row.id}"


def test_the_sequence_grows_with_each_upload(database: Database) -> None:
    store(database, BARE, ALICE, SYSTEM)

    with database.reading() as connection:
        rows = [certificates.get(connection, each) for each in ("b2", "a1", "c3")]
    assert [row.sequence for row in rows if row is not None] == [1, 2, 3]


def test_the_same_leaf_is_stored_once(database: Database) -> None:
    store(database, ALICE)

    with pytest.raises(AlreadyStored, match="certificate a1 is already stored") as refused:
        store(database, replace(ALICE, tenant=None))

    assert refused.value.id == "a1"
    assert database.revision() == 1
    with database.reading() as connection:
        assert certificates.get(connection, "a1") == replace(ALICE, sequence=1)


def test_a_removed_certificate_is_gone_with_its_key_and_chain(database: Database) -> None:
    store(database, ALICE, BARE)

    with database.changing() as change:
        assert certificates.remove(change, "a1")

    with database.reading() as connection:
        assert certificates.get(connection, "a1") is None
        assert certificates.chain_pem(connection, "a1") is None
    assert found(database) == ["b2"]


def test_what_is_not_there_cannot_be_removed_or_read(database: Database) -> None:
    with database.changing() as change:
        assert not certificates.remove(change, "a1")
    with database.reading() as connection:
        assert certificates.get(connection, "a1") is None
        assert certificates.chain_pem(connection, "a1") is None


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, ["a1", "b2", "c3"]),
        ({"kind": CertificateKind.STI}, ["a1", "b2"]),
        ({"kind": CertificateKind.SYSTEM}, ["c3"]),
        ({"kind": CertificateKind.DOMAIN}, []),
        ({"tenant": "alice.example"}, ["a1"]),
        ({"tenant": "sip.alice.example"}, []),
        ({"name": "sip.alice.example"}, ["a1"]),
        ({"name": "alice"}, []),
        ({"expires_before": 2_000}, ["b2"]),
        ({"expires_before": 2_001}, ["a1", "b2"]),
        ({"kind": CertificateKind.STI, "expires_before": 10}, ["b2"]),
        ({"tenant": "alice.example", "name": "localhost"}, []),
    ],
)
def test_a_list_shows_what_is_asked_for(
    database: Database, wanted: dict[str, Any], expected: list[str]
) -> None:
    store(database, ALICE, BARE, SYSTEM)

    assert found(database, **wanted) == expected


def test_a_list_comes_in_pages_in_the_order_of_upload(database: Database) -> None:
    store(database, SYSTEM, ALICE, BARE)

    assert found(database, limit=2) == ["c3", "a1"]
    assert found(database, after=2, limit=2) == ["b2"]
    assert found(database, after=3, limit=2) == []


def test_a_page_is_full_although_the_names_of_others_are_passed_over(database: Database) -> None:
    store(database, BARE, SYSTEM, ALICE, replace(ALICE, id="a2"))

    assert found(database, name="alice.example", limit=2) == ["a1", "a2"]


def test_the_certificates_of_a_tenant_are_those_assigned_to_it(database: Database) -> None:
    store(database, ALICE, BARE, replace(BARE, id="d4", names=("alice.example",)))

    with database.reading() as connection:
        assert [*certificates.of_tenant(connection, "alice.example")] == ["a1"]


def test_no_repr_shows_the_sealed_key() -> None:
    assert "sealed" not in repr(ALICE)


OLD_ROW = """
INSERT INTO certificates (id, kind, names, subject, issuer, serial, not_before, not_after, source,
    chain, stored_at, revision)
VALUES (:id, :kind, '[]', '', '', '', 0, 0, 'uploaded', :chain, 0, 0)
"""


def test_a_store_from_before_learns_from_its_chains_which_claims_may_be_signed(
    tmp_path: Path,
) -> None:
    now = datetime(2026, 6, 1, tzinfo=UTC)
    ca = Authority.create("Lab root", now=now)
    bound = ClaimConstraints(must_include=("rcd",))
    chains = {
        "bound": ca.issue_sti(spc="1", constraints=bound, now=now).chain_pem,
        "free": ca.issue_sti(spc="1", now=now).chain_pem,
        "odd": "no chain",
    }
    old = Database(f"sqlite:///{tmp_path}/old.sqlite")
    with old.recording() as connection:
        config = Config()
        config.set_main_option("script_location", str(HISTORY.folder))
        config.set_main_option("path_separator", "os")
        config.attributes.update(connection=connection, version_table=HISTORY.version_table)
        command.upgrade(config, "0007")
        for name, chain in chains.items():
            row = {"id": name, "kind": "sti", "chain": chain}
            connection.execute(text(OLD_ROW), row)

    old.migrate([HISTORY])

    with old.reading() as connection:
        rows = certificates.find(connection, Filter())
    assert {row.id: row.claim_constraints for row in rows} == {
        "bound": (bound.encode(),),
        "free": (),
        "odd": (),
    }
    old.close()
