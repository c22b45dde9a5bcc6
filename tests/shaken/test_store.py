"""What the service keeps: migrations, tenants, trunks, credentials, and the snapshot of them."""

import re
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config as AlembicConfig
from alembic.runtime.migration import MigrationContext
from sqlalchemy import MetaData, text

from shaken.acceptance import (
    DEFAULT_POLICY,
    Anonymity,
    Reaction,
    Replays,
    VerificationPolicy,
)
from shaken.attestation import Attest, parse_number_rule
from shaken.credentials import Credential, Role, digest_of
from shaken.snapshot import take_snapshot
from shaken.store import HISTORY, tables
from shaken.store import credentials as credential_store
from shaken.store import tenants as tenant_store
from shaken.store.calls import CallFilter, find_calls
from shaken.store.credentials import CredentialTaken
from shaken.store.fetched import get_fetched
from shaken.store.tables import fetched_certificates
from shaken.store.tenants import AddressTaken, InUse, NameTaken
from shaken.tenants import AnswerForm, Direction, Tenant, Trunk
from trust.selection import Fallback
from trust.store.database import HISTORY as TRUST_HISTORY
from trust.store.database import Database, StoreError
from trust.store.tables import metadata as trust_metadata

# Migrations


# SQLAlchemy reads two computed columns as one; the next test compares them as they are written.
@pytest.mark.filterwarnings("ignore:Computed default on calls")
def test_the_migrated_tables_are_those_the_code_knows(database: Database) -> None:
    with database.reading() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "version_table": HISTORY.version_table,
                "compare_type": True,
                "compare_server_default": True,
                "include_name": lambda name, *_: name != TRUST_HISTORY.version_table,
            },
        )

        assert compare_metadata(context, all_tables()) == []


def all_tables() -> MetaData:
    both = MetaData()
    for metadata in (trust_metadata, tables.metadata):
        for table in metadata.sorted_tables:
            table.to_metadata(both)
    return both


def test_the_migrated_tables_have_the_same_checks_and_counters(
    database: Database, tmp_path: Path
) -> None:
    fresh = Database(f"sqlite:///{tmp_path}/fresh.sqlite")
    with fresh.recording() as connection:
        trust_metadata.create_all(connection)
        tables.metadata.create_all(connection)

    assert statements(fresh) == {
        statement for statement in statements(database) if "_version: " not in statement
    }
    fresh.close()


def statements(database: Database) -> set[str]:
    """Return the statements that made the tables and indexes, each with its parts in order.

    Columns that were added later stand behind the others, which changes nothing.
    """
    with database.reading() as connection:
        found = connection.execute(
            text(
                "SELECT sql FROM sqlite_master WHERE type IN ('table', 'index')"
                " AND sql IS NOT NULL AND name NOT LIKE 'sqlite%'"
            )
        )
        return {_in_order(sql) for sql in found.scalars()}


def _in_order(sql: str) -> str:
    head, _, parts = re.sub(r"\s+", " ", sql).strip().removesuffix(")").partition("(")
    named = head.replace('"', "").strip()
    return f"{named}: {sorted(part.strip() for part in parts.split(', '))}"


def test_migrating_again_changes_nothing(database: Database, trunk: Trunk) -> None:
    before = statements(database)

    database.migrate([TRUST_HISTORY, HISTORY])

    assert statements(database) == before
    assert take_snapshot(database).trunks == {trunk.name: trunk}


OLD_TRUNK = """
INSERT INTO trunks (name, tenant, attest, foreign_attest, origid, direction, networks, answer,
    revision)
VALUES ('main', 'a.example', 'A', 'B', 'de305d54-75b4-431b-adb2-eb6b9e546014', 'auto', '[]',
    'both', 1)
"""
OLD_CALLS = """
INSERT INTO signed_calls (at, credential, orig, dest, attest, origid, certificate, request_id)
VALUES (1, 'pbx', '1', '2', 'A', '', '', 'one'), (2, 'pbx', '1', '2,3,3', 'A', '', '', 'several')
"""
OLD_FETCHED = """
INSERT INTO fetched_certificates (url, chain, fetched_at, expires_at)
VALUES ('https://sti.example.com/a.pem', 'PEM', 1, 2)
"""


def test_a_store_from_before_verification_keeps_its_trunks_calls_and_files(tmp_path: Path) -> None:
    old = Database(f"sqlite:///{tmp_path}/old.sqlite")
    old.migrate([TRUST_HISTORY])
    with old.recording() as connection:
        config = AlembicConfig()
        config.set_main_option("script_location", str(HISTORY.folder))
        config.set_main_option("path_separator", "os")
        config.attributes["connection"] = connection
        config.attributes["version_table"] = HISTORY.version_table
        command.upgrade(config, "0004")
        connection.execute(text("INSERT INTO tenants VALUES ('a.example', '[]', '[]', 'first', 1)"))
        connection.execute(text(OLD_TRUNK))
        connection.execute(text(OLD_CALLS))
        connection.execute(text(OLD_FETCHED))

    old.migrate([TRUST_HISTORY, HISTORY])

    assert take_snapshot(old).trunks["main"].verification == DEFAULT_POLICY
    for number, expected in (
        ("1", ["several", "one"]),
        ("2", ["several", "one"]),
        ("3", ["several"]),
    ):
        with old.reading() as connection:
            page = find_calls(connection, CallFilter(number=(number,)), before=None, limit=9)
        assert [(call.request_id, call.kind) for call in page.records] == [
            (each, "signed") for each in expected
        ]
    with old.reading() as connection:
        kept = get_fetched(connection, fetched_certificates, "https://sti.example.com/a.pem")
    assert kept is not None
    assert (kept.content, kept.fetched_at, kept.expires_at) == ("PEM", 1, 2)
    old.close()


# Tenants


def test_a_tenant_is_read_as_it_was_written(database: Database, tenant: Tenant) -> None:
    with database.reading() as connection:
        assert tenant_store.get_tenant(connection, tenant.address) == tenant
        assert tenant_store.get_tenant(connection, "sip.example.com") is None
        assert tenant_store.owner_of(connection, "sip.example.com") == tenant.address
        assert tenant_store.owner_of(connection, "other.example.com") is None


@pytest.mark.parametrize(
    ("address", "aliases"),
    [
        ("pbx.example.com", ()),
        ("sip.example.com", ()),
        ("other.example.com", ("pbx.example.com",)),
        ("other.example.com", ("free.example.com", "sip.example.com")),
    ],
)
def test_an_address_means_one_tenant(
    database: Database, tenant: Tenant, address: str, aliases: tuple[str, ...]
) -> None:
    second = replace(tenant, address=address, aliases=aliases)

    with pytest.raises(AddressTaken), database.changing() as change:
        tenant_store.add_tenant(change, second)

    assert take_snapshot(database).tenants == dict.fromkeys(tenant.addresses, tenant)


def test_a_replaced_tenant_gives_up_the_aliases_it_no_longer_has(
    database: Database, tenant: Tenant
) -> None:
    changed = replace(
        tenant,
        aliases=("new.example.com",),
        numbers=(parse_number_rule("+44*"),),
        fallback=Fallback.NONE,
    )

    with database.changing() as change:
        assert tenant_store.replace_tenant(change, changed)
        tenant_store.add_tenant(change, replace(tenant, address="sip.example.com", aliases=()))

    snapshot = take_snapshot(database)
    assert snapshot.tenants["pbx.example.com"] == snapshot.tenants["new.example.com"] == changed
    assert snapshot.tenants["sip.example.com"].address == "sip.example.com"


def test_what_is_not_there_cannot_be_replaced_or_removed(
    database: Database, tenant: Tenant, trunk: Trunk
) -> None:
    with database.changing() as change:
        assert not tenant_store.replace_tenant(change, replace(tenant, address="no.example.com"))
        assert not tenant_store.remove_tenant(change, "no.example.com")
        assert not tenant_store.replace_trunk(change, replace(trunk, name="none"))
        assert not tenant_store.remove_trunk(change, "none")
        assert not credential_store.remove_credential(change, "none")


def test_a_removed_tenant_frees_its_addresses(database: Database, tenant: Tenant) -> None:
    with database.changing() as change:
        assert tenant_store.remove_tenant(change, tenant.address)

    assert take_snapshot(database).tenants == {}
    with database.changing() as change:
        tenant_store.add_tenant(change, tenant)


def test_a_tenant_with_a_trunk_stays(database: Database, trunk: Trunk) -> None:
    with pytest.raises(InUse), database.changing() as change:
        tenant_store.remove_tenant(change, trunk.tenant)

    assert take_snapshot(database).trunks == {trunk.name: trunk}


# Trunks


def test_a_trunk_is_read_as_it_was_written(database: Database, trunk: Trunk) -> None:
    changed = replace(
        trunk,
        direction=Direction.VERIFY,
        networks=(ip_network("2001:db8::/32"), ip_network("192.0.2.7")),
        country="US",
        answer=AnswerForm.THREE_GPP,
        verification=VerificationPolicy(
            identity_required=True,
            anonymous=Anonymity.REJECT,
            minimum_attest=Attest.B,
            stale=Reaction.IGNORE,
            unfit=Reaction.REJECT,
            freshness=300,
            skew=0,
            replays=Replays.FAIL,
        ),
    )

    with database.changing() as change:
        assert tenant_store.replace_trunk(change, changed)

    with database.reading() as connection:
        assert tenant_store.get_trunk(connection, trunk.name) == changed


@pytest.mark.parametrize(
    ("stored", "policy"),
    [
        ("{}", DEFAULT_POLICY),
        ('{"stale": "reject"}', VerificationPolicy(stale=Reaction.REJECT)),
        (
            '{"stale": "quarantine", "unfit": "reject", "freshness": 0, "new": 1}',
            VerificationPolicy(unfit=Reaction.REJECT),
        ),
        ("[]", DEFAULT_POLICY),
        ('"text"', DEFAULT_POLICY),
    ],
)
def test_a_policy_that_is_not_wholly_known_costs_no_more_than_what_is_unknown(
    database: Database, trunk: Trunk, stored: str, policy: VerificationPolicy
) -> None:
    with database.changing() as change:
        change.connection.execute(
            text("UPDATE trunks SET verification = :stored, revision = :revision"),
            {"stored": stored, "revision": change.revision},
        )

    assert take_snapshot(database).trunks == {trunk.name: replace(trunk, verification=policy)}


def test_a_trunk_has_a_name_of_its_own(database: Database, trunk: Trunk) -> None:
    with pytest.raises(NameTaken), database.changing() as change:
        tenant_store.add_trunk(change, trunk)


def test_a_trunk_with_a_credential_stays(database: Database, trunk: Trunk) -> None:
    store_credential(database, credential("pbx", trunk=trunk.name))

    with pytest.raises(InUse), database.changing() as change:
        tenant_store.remove_trunk(change, trunk.name)


# Credentials


def credential(name: str, *, tenant: str | None = None, trunk: str | None = None) -> Credential:
    networks = (ip_network("192.0.2.0/24"),)
    return Credential(name, Role.SIGNER, digest_of(f"secret of {name}"), tenant, trunk, networks)


def store_credential(database: Database, made: Credential) -> None:
    with database.changing() as change:
        credential_store.add_credential(change, made, now=1)


def test_a_credential_is_read_as_it_was_written(database: Database, trunk: Trunk) -> None:
    made = credential("pbx", tenant=trunk.tenant, trunk=trunk.name)

    store_credential(database, made)

    with database.reading() as connection:
        assert credential_store.get_credential(connection, "pbx") == made


def test_a_client_certificate_is_kept_beside_the_credential_and_out_of_the_snapshot(
    database: Database,
) -> None:
    made = replace(credential("pbx"), client_spki="5" * 64)
    with database.changing() as change:
        credential_store.add_credential(change, made, now=1, client_certificate="<PEM>")
    store_credential(database, credential("another"))

    with database.reading() as connection:
        assert credential_store.get_credential(connection, "pbx") == made
        found = credential_store.client_certificates(connection, ["pbx", "another", "none"])
        assert [*found] == ["<PEM>"]
    assert take_snapshot(database).credential_rows.rows["pbx"] == made


def test_a_credential_has_a_name_of_its_own(database: Database) -> None:
    store_credential(database, credential("pbx"))

    with pytest.raises(CredentialTaken):
        store_credential(database, replace(credential("pbx"), digest=digest_of("another")))


@pytest.mark.parametrize("bound", [{"tenant": "no.example.com"}, {"trunk": "none"}])
def test_a_credential_is_bound_to_nothing_that_is_not_there(
    database: Database, bound: dict[str, str]
) -> None:
    with pytest.raises((CredentialTaken, StoreError)):
        store_credential(database, credential("pbx", **bound))

    assert take_snapshot(database).credential_rows.rows == {}


def test_a_revoked_credential_is_gone(database: Database) -> None:
    store_credential(database, credential("pbx"))

    with database.changing() as change:
        assert credential_store.remove_credential(change, "pbx")

    assert take_snapshot(database).credential_rows.rows == {}


def test_lists_come_in_pages_by_name(database: Database, tenant: Tenant, trunk: Trunk) -> None:
    with database.changing() as change:
        tenant_store.add_tenant(change, replace(tenant, address="a.example.com", aliases=()))
        tenant_store.add_trunk(change, replace(trunk, name="backup", tenant="a.example.com"))
    for name in ("c", "a", "b"):
        store_credential(database, credential(name))

    with database.reading() as connection:
        tenants = tenant_store.find_tenants(connection, after="", limit=1)
        others = tenant_store.find_tenants(connection, after=tenants[0].address, limit=9)
        trunks = tenant_store.find_trunks(connection, tenant=None, after="", limit=9)
        ours = tenant_store.find_trunks(connection, tenant=tenant.address, after="", limit=9)
        found = credential_store.find_credentials(connection, tenant=None, after="a", limit=1)
        none = credential_store.find_credentials(
            connection, tenant=tenant.address, after="", limit=9
        )

    assert [each.address for each in (*tenants, *others)] == ["a.example.com", "pbx.example.com"]
    assert [each.name for each in trunks] == ["backup", "main"]
    assert [each.name for each in ours] == ["main"]
    assert [each.name for each in found] == ["b"]
    assert none == []


# The snapshot


def test_a_snapshot_holds_the_store_at_one_moment(database: Database, trunk: Trunk) -> None:
    before = take_snapshot(database)
    store_credential(database, credential("pbx", trunk=trunk.name))

    after = take_snapshot(database, before)

    assert (before.revision, after.revision) == (2, 3)
    assert after.trunks[trunk.name] is before.trunks[trunk.name]
    assert before.credentials.authenticate("Bearer secret of pbx", peer="192.0.2.7") is None
    found = after.credentials.authenticate("Bearer secret of pbx", peer="192.0.2.7")
    assert found is not None
    assert found.name == "pbx"


def test_a_snapshot_of_an_empty_store_is_empty(database: Database) -> None:
    snapshot = take_snapshot(database)

    assert (snapshot.revision, snapshot.tenants, snapshot.trunks) == (0, {}, {})
    assert snapshot.certificates == {}
    assert len(snapshot.sti) == 0
