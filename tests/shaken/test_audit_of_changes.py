"""Who changed what: written with the change, or the change is not made; kept as it was written."""

import re
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, text

import shaken
from shaken.attestation import parse_number_rule
from shaken.audit import (
    MAX_PEER,
    SYSTEM,
    Action,
    Actor,
    AuditedChange,
    Unchanged,
    UntoldChange,
    changing,
    difference,
)
from shaken.importing import Upload, import_certificate
from shaken.store import HISTORY
from shaken.store.audit import AuditEntry, AuditFilter, find_entries
from shaken.store.tables import audit
from shaken.store.tenants import add_tenant, get_tenant
from shaken.tenants import Tenant
from trust.authority import Authority
from trust.certificate import CertificateKind
from trust.keys import MasterKey
from trust.selection import Fallback
from trust.store.database import HISTORY as TRUST_HISTORY
from trust.store.database import Database, History, StoreError

ALICE = Actor("alice", "192.0.2.7")
ALL = AuditFilter()
FORGED = (
    "audit (sequence, at, actor, action, subject, detail)"
    " VALUES (1, 0, 'mallory', 'trunk.create', 'trunk', '{}')"
)


def tenant(address: str) -> Tenant:
    return Tenant(address, (), (parse_number_rule("+1215*"),), Fallback.FIRST)


def entries(database: Database, wanted: AuditFilter = ALL) -> list[AuditEntry]:
    """List the newest first."""
    with database.reading() as connection:
        return list(find_entries(connection, wanted, before=None, limit=1000))


def told(database: Database) -> list[tuple[str, str, str]]:
    """List who did what to what, the oldest first."""
    return [(entry.actor, entry.action, entry.subject) for entry in reversed(entries(database))]


def tell(change: AuditedChange, subject: str, *, of: str | None = None) -> None:
    change.audit(Action.TRUNK_CREATE, subject, tenant=of, after={"name": subject})


# Together with the change


def test_a_change_and_its_audit_are_written_together(database: Database, now: int) -> None:
    with changing(database, ALICE, now=now) as change:
        add_tenant(change, tenant("a.example.com"))
        change.audit(
            Action.TENANT_CREATE, "a.example.com", tenant="a.example.com", after={"numbers": [1]}
        )

    (entry,) = entries(database)
    assert entry == AuditEntry(
        at=now,
        actor="alice",
        peer="192.0.2.7",
        action="tenant.create",
        subject="a.example.com",
        tenant="a.example.com",
        detail={"after": {"numbers": [1]}},
        sequence=1,
    )


def test_a_change_that_fails_leaves_no_audit(database: Database, now: int) -> None:
    def fail() -> None:
        with changing(database, ALICE, now=now) as change:
            tell(change, "trunk")
            raise LookupError

    with pytest.raises(LookupError):
        fail()

    assert entries(database) == []


def test_a_change_whose_audit_cannot_be_written_is_not_made(database: Database, now: int) -> None:
    with database.recording() as connection:
        connection.execute(text("DROP TABLE audit"))
        connection.execute(text("CREATE TABLE audit (other TEXT)"))

    def change_something() -> None:
        with changing(database, ALICE, now=now) as change:
            add_tenant(change, tenant("a.example.com"))
            tell(change, "a.example.com")

    with pytest.raises(StoreError):
        change_something()

    with database.reading() as connection:
        assert get_tenant(connection, "a.example.com") is None
    assert database.revision() == 0


def test_a_change_that_tells_nothing_is_not_made(database: Database, now: int) -> None:
    def forget() -> None:
        with changing(database, ALICE, now=now) as change:
            add_tenant(change, tenant("a.example.com"))

    with pytest.raises(UntoldChange):
        forget()

    with database.reading() as connection:
        assert get_tenant(connection, "a.example.com") is None


def test_what_turns_out_to_be_as_wanted_is_not_changed_and_not_told(
    database: Database, now: int
) -> None:
    def change_nothing() -> None:
        with changing(database, ALICE, now=now) as change:
            add_tenant(change, tenant("a.example.com"))
            tell(change, "a.example.com")
            raise Unchanged

    change_nothing()

    assert entries(database) == []
    assert database.revision() == 0


def test_each_of_several_things_has_an_entry_of_its_own(database: Database, now: int) -> None:
    with changing(database, ALICE, now=now) as change:
        for number in range(3):
            tell(change, f"trunk{number}")

    assert [subject for _, _, subject in told(database)] == ["trunk0", "trunk1", "trunk2"]


def test_no_module_changes_anything_without_its_audit() -> None:
    package = Path(shaken.__file__).parent
    opening = {
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        if re.search(r"database\.changing\(", path.read_text("utf-8"))
    }

    assert opening == {"audit.py"}, "open changes with shaken.audit.changing, or call.changing"


@pytest.mark.parametrize(
    ("peer", "kept"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8::1", "2001:db8::1"),
        ("unknown\x1b[31m", r"unknown\x1b[31m"),
        ("x" * MAX_PEER, "x" * MAX_PEER),
        ("x" * (MAX_PEER + 1), "x" * MAX_PEER),
    ],
)
def test_a_peer_is_kept_printable_and_bounded(
    database: Database, now: int, peer: str, kept: str
) -> None:
    with changing(database, Actor("alice", peer), now=now) as change:
        tell(change, "trunk")

    assert entries(database)[0].peer == kept


def test_every_action_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs/administration.md").read_text("utf-8")

    assert [action for action in Action if f"`{action.value}`" not in text] == []


# What differs


@pytest.mark.parametrize(
    ("before", "after", "detail"),
    [
        (None, {"a": 1}, {"after": {"a": 1}}),
        ({"a": 1}, None, {"before": {"a": 1}}),
        (None, None, {}),
        ({}, {}, {"before": {}, "after": {}}),
        ({"a": 1, "b": 2}, {"a": 1, "b": 3}, {"before": {"b": 2}, "after": {"b": 3}}),
        ({"a": None}, {"a": []}, {"before": {"a": None}, "after": {"a": []}}),
        ({"a": [1, 2]}, {"a": [2, 3]}, {"before": {"a": [1]}, "after": {"a": [3]}}),
        ({"a": [1, 2]}, {"a": [2, 1]}, {"before": {}, "after": {}}),
        ({"a": ("x",)}, {"a": ()}, {"before": {"a": ["x"]}, "after": {"a": []}}),
        (
            {"a": [{"b": 1}]},
            {"a": [{"b": 2}]},
            {"before": {"a": [{"b": 1}]}, "after": {"a": [{"b": 2}]}},
        ),
        ({"a": 1}, {"b": 1}, {"before": {"a": 1, "b": None}, "after": {"a": None, "b": 1}}),
    ],
    ids=str,
)
def test_a_detail_says_what_differs_and_nothing_else(
    before: dict[str, Any] | None, after: dict[str, Any] | None, detail: dict[str, Any]
) -> None:
    assert difference(before, after) == detail


# Kept as written


@pytest.fixture
def kept(database: Database, now: int) -> Database:
    """A store with one entry."""
    with changing(database, ALICE, now=now) as change:
        tell(change, "trunk")
    return database


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET actor = 'mallory'",
        "UPDATE OR REPLACE audit SET sequence = 7",
        "UPDATE audit SET actor = actor WHERE sequence = 1",
        "DELETE FROM audit",
        "DELETE FROM audit WHERE sequence = 1",
        f"INSERT OR REPLACE INTO {FORGED}",
        f"INSERT INTO {FORGED} ON CONFLICT (sequence) DO UPDATE SET actor = 'mallory'",
    ],
)
def test_the_database_refuses_to_change_or_remove_a_row(kept: Database, statement: str) -> None:
    before = entries(kept)

    with pytest.raises(StoreError, match="audit rows are never"), kept.recording() as connection:
        connection.execute(text(statement))

    assert entries(kept) == before


def test_rows_may_still_be_added(kept: Database, now: int) -> None:
    with changing(kept, ALICE, now=now) as change:
        tell(change, "second")

    assert [entry.sequence for entry in entries(kept)] == [2, 1]


def test_a_store_of_the_first_version_gets_the_audit_and_keeps_what_it_has(tmp_path: Path) -> None:
    first = tmp_path / "migrations"
    shutil.copytree(HISTORY.folder, first)
    for version in (first / "versions").glob("v*"):
        if not version.name.startswith("v0001_"):
            version.unlink()
    database = Database(f"sqlite:///{tmp_path}/shaken.sqlite")
    database.migrate([TRUST_HISTORY, History(first, HISTORY.version_table)])
    with database.changing() as change:
        change.connection.execute(
            text(
                "INSERT INTO tenants (address, numbers, aliases, fallback, revision)"
                " VALUES ('a.example.com', '[\"+1215*\"]', '[]', 'first', 1)"
            )
        )

    database.migrate([TRUST_HISTORY, HISTORY])

    with database.reading() as connection:
        assert get_tenant(connection, "a.example.com") == tenant("a.example.com")
        assert connection.execute(select(func.count()).select_from(audit)).scalar_one() == 0
        triggers = connection.execute(
            text("SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'audit'")
        )
        assert triggers.scalar_one() == 3
    database.close()


# Found again


@pytest.fixture
def history(database: Database) -> Database:
    """Five changes, one each second from 100 on."""
    changes = [
        (ALICE, Action.TENANT_CREATE, "a.example.com", "a.example.com"),
        (ALICE, Action.TRUNK_CREATE, "a1", "a.example.com"),
        (Actor("bob", "2001:db8::1"), Action.TRUNK_CREATE, "b1", "b.example.com"),
        (SYSTEM, Action.TRUNK_UPDATE, "a1", "a.example.com"),
        (ALICE, Action.CREDENTIAL_CREATE, "carol", None),
    ]
    for second, (actor, action, subject, owner) in enumerate(changes, start=100):
        with changing(database, actor, now=second) as change:
            change.audit(action, subject, tenant=owner)
    return database


@pytest.mark.parametrize(
    ("wanted", "times"),
    [
        (ALL, [104, 103, 102, 101, 100]),
        (AuditFilter(actor="alice"), [104, 101, 100]),
        (AuditFilter(actor="system"), [103]),
        (AuditFilter(actor="nobody"), []),
        (AuditFilter(action="trunk.create"), [102, 101]),
        (AuditFilter(subject="a1"), [103, 101]),
        (AuditFilter(tenant="a.example.com"), [103, 101, 100]),
        (AuditFilter(since=103), [104, 103]),
        (AuditFilter(until=102), [101, 100]),
        (AuditFilter(since=101, until=103), [102, 101]),
        (AuditFilter(since=103, until=101), []),
        (AuditFilter(actor="alice", action="trunk.create", subject="a1"), [101]),
        (AuditFilter(actor="alice", tenant="b.example.com"), []),
    ],
    ids=str,
)
def test_a_filter_finds_the_newest_first(
    history: Database, wanted: AuditFilter, times: list[int]
) -> None:
    assert [entry.at for entry in entries(history, wanted)] == times


def test_pages_hold_each_entry_once_while_new_ones_come(history: Database) -> None:
    pages: list[Sequence[AuditEntry]] = []
    before = None
    for second in (200, 201, 202):
        with history.reading() as connection:
            pages.append(find_entries(connection, ALL, before=before, limit=2))
        before = pages[-1][-1].sequence
        with changing(history, ALICE, now=second) as change:
            tell(change, "later")

    assert [entry.at for page in pages for entry in page] == [104, 103, 102, 101, 100]


# An import


def test_an_import_is_told_with_what_the_certificate_is_and_without_its_key(
    database: Database, master: MasterKey, lab_ca: Authority, now: int
) -> None:
    issued = lab_ca.issue_sti(spc="1234", now=datetime.fromtimestamp(now, UTC))
    pem = f"{issued.chain_pem}{issued.key_pem}"
    upload = Upload(CertificateKind.STI, pem, None, passphrase=None, tenant=None, x5u=None)

    done = import_certificate(database, master, upload, actor=ALICE, now=now, lab=False)

    (entry,) = entries(database)
    assert (entry.actor, entry.action, entry.subject) == (
        "alice",
        "certificate.import",
        done.row.id,
    )
    assert entry.detail["after"]["subject"] == issued.certificate.subject
    assert entry.detail["after"]["has_private_key"] is True
    assert "PRIVATE" not in str(entry.detail)
