"""Trusted roots in the store."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, select, text

from trust.roots import AlreadyAdded, Edition, Plan, Purpose, Root, Shipper
from trust.store import roots, tables
from trust.store.database import HISTORY, Database


def root(name: str, purpose: Purpose = Purpose.TLS) -> Root:
    return Root(
        id=name,
        purpose=purpose,
        subject=f"CN={name}",
        not_before=1_000,
        not_after=2_000,
        pem=f"pem of {name}\n",
        shipped=None,
        added=True,
    )


def shipped(name: str) -> Root:
    return replace(root(name), shipped=Shipper.CERTIFI, added=False)


A, B, C = shipped("a"), shipped("b"), shipped("c")
X, STI_X = root("x"), root("x", Purpose.STI)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(f"sqlite:///{tmp_path}/store.sqlite")
    opened.migrate([HISTORY])
    yield opened
    opened.close()


def add(database: Database, *wanted: Root) -> None:
    for one in wanted:
        with database.changing() as change:
            roots.add(change, one)


def follow(database: Database, *wanted: Root) -> Plan:
    with database.changing() as change:
        return roots.follow(change, Purpose.TLS, wanted)


def remove(database: Database, wanted: str) -> None:
    with database.changing() as change:
        (one,) = roots.get(change.connection, wanted)
        roots.remove(change, one)


def listed(
    database: Database, purpose: Purpose | None = None, *, after: int = 0, limit: int = 100
) -> list[Root]:
    with database.reading() as connection:
        return list(roots.find(connection, purpose, after=after, limit=limit))


def revisions(database: Database) -> dict[str, int]:
    with database.reading() as connection:
        rows = connection.execute(select(tables.roots.c.id, tables.roots.c.revision)).all()
        return {row.id: row.revision for row in rows}


def test_a_root_is_read_as_it_was_written(database: Database) -> None:
    follow(database, A)
    add(database, STI_X)

    assert listed(database) == [A, STI_X]
    with database.reading() as connection:
        assert roots.get(connection, "a") == [A]
        assert roots.get(connection, "b") == []


def test_a_list_shows_one_purpose_or_both(database: Database) -> None:
    follow(database, A)
    add(database, X, STI_X)

    assert listed(database, Purpose.TLS) == [A, X]
    assert listed(database, Purpose.STI) == [STI_X]
    assert listed(database) == [A, X, STI_X]


def test_a_list_comes_in_pages(database: Database) -> None:
    follow(database, A, B, C)

    first = listed(database, limit=2)

    assert first == [A, B]
    assert listed(database, after=first[-1].sequence, limit=2) == [C]


def test_a_certificate_can_be_a_root_for_both_purposes(database: Database) -> None:
    add(database, X, STI_X)

    with database.reading() as connection:
        assert roots.get(connection, "x") == [X, STI_X]


def test_a_root_is_added_once(database: Database) -> None:
    add(database, X)

    with pytest.raises(AlreadyAdded):
        add(database, X)

    assert listed(database) == [X]
    assert database.revision() == 1


def test_a_root_that_is_shipped_becomes_the_admins_and_stays(database: Database) -> None:
    follow(database, A, B)

    add(database, root("a"))
    plan = follow(database)

    assert [one.id for one in plan.removed] == ["b"]
    assert listed(database) == [root("a")]


def test_a_deleted_root_is_in_no_list_and_comes_back_by_reset_only(database: Database) -> None:
    follow(database, A, B)

    remove(database, "a")
    assert listed(database) == [B]
    with database.reading() as connection:
        assert roots.get(connection, "a") == []
        assert roots.trusted_pem(connection, Purpose.TLS) == "pem of b\n"

    assert follow(database, A, B, C).added == (C,)
    assert listed(database) == [B, C]

    with database.changing() as change:
        plan = roots.reset(change, Purpose.TLS, keep_added=True)
    assert plan.added == (A,)
    assert listed(database) == [A, B, C]


def test_a_deleted_root_revives_when_it_is_added(database: Database) -> None:
    follow(database, A)
    remove(database, "a")

    add(database, root("a"))

    assert listed(database) == [replace(A, added=True)]


def test_a_deleted_root_is_kept_and_can_be_put_back(database: Database) -> None:
    follow(database, A, B)
    remove(database, "a")

    with database.changing() as change:
        deleted, _ = roots.kept(change.connection, Purpose.TLS)
        assert deleted == replace(A, deleted=True)
        assert roots.restore(change, deleted) == A

    assert listed(database) == [A, B]
    follow(database, B)
    assert listed(database) == [B]


def test_a_root_that_nobody_ships_is_gone_when_it_is_deleted(database: Database) -> None:
    add(database, X)

    remove(database, "x")

    assert revisions(database) == {}


def test_a_root_is_removed_for_one_purpose(database: Database) -> None:
    add(database, X, STI_X)

    with database.changing() as change:
        roots.remove(change, roots.get(change.connection, "x")[0])

    assert listed(database) == [STI_X]


def test_a_disabled_root_is_listed_but_not_trusted(database: Database) -> None:
    follow(database, A, B)
    (first, _) = listed(database)

    with database.changing() as change:
        disabled = roots.set_disabled(change, first, disabled=True)

    assert listed(database) == [disabled, B] == [replace(A, disabled=True), B]
    with database.reading() as connection:
        assert roots.trusted_pem(connection, Purpose.TLS) == "pem of b\n"

    with database.changing() as change:
        roots.set_disabled(change, disabled, disabled=False)

    assert listed(database) == [A, B]


def test_the_bundle_holds_one_purpose_in_the_order_of_the_list(database: Database) -> None:
    follow(database, B, A)
    add(database, STI_X)

    with database.reading() as connection:
        assert roots.trusted_pem(connection, Purpose.TLS) == "pem of b\npem of a\n"
        assert roots.trusted_pem(connection, Purpose.STI) == "pem of x\n"


def test_a_reset_concerns_one_purpose(database: Database) -> None:
    add(database, X, STI_X)

    with database.changing() as change:
        plan = roots.reset(change, Purpose.TLS, keep_added=False)

    assert plan.removed == (X,)
    assert listed(database) == [STI_X]


def test_only_rows_that_change_carry_the_new_revision(database: Database) -> None:
    follow(database, A, B)

    follow(database, B, C)

    assert revisions(database) == {"b": 1, "c": 2}


def test_the_applied_edition_is_remembered(database: Database) -> None:
    with database.reading() as connection:
        assert roots.applied_edition(connection, Purpose.TLS) is None

    for edition in (Edition("2026.1.4", "aa"), Edition("2026.5.20", "bb")):
        with database.changing() as change:
            roots.remember_edition(change, Purpose.TLS, edition)

        with database.reading() as connection:
            assert roots.applied_edition(connection, Purpose.TLS) == edition
            assert roots.applied_edition(connection, Purpose.STI) is None


# Migrations


def test_the_migrated_tables_are_those_that_the_program_knows(database: Database) -> None:
    with database.reading() as connection:
        context = MigrationContext.configure(
            connection,
            opts={"compare_type": True, "version_table": HISTORY.version_table},
        )

        assert compare_metadata(context, tables.metadata) == []


def test_a_store_of_the_version_before_gets_the_tables(database: Database) -> None:
    with database.recording() as connection:
        for table in (
            tables.roots,
            tables.shipped_roots,
            tables.certificate_requests,
            tables.service_keys,
            tables.acme_settings,
            tables.acme_accounts,
            tables.acme_orders,
            tables.acme_tokens,
            tables.acme_revocations,
            tables.leases,
        ):
            table.drop(connection)
        for column in ("findings", "claim_constraints"):
            connection.execute(text(f"ALTER TABLE certificates DROP COLUMN {column}"))
        connection.execute(text("UPDATE trust_version SET version_num = '0001'"))

    database.migrate([HISTORY])

    with database.reading() as connection:
        assert {"roots", "shipped_roots"} <= {*inspect(connection).get_table_names()}
