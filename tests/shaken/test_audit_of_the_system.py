"""What the service changes by itself is told as the system's doing: its start and its demo."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from shaken.concealment import KEY_NAME
from shaken.config import Config, load_config
from shaken.demo import demo_config, prepare_demo
from shaken.first_admin import ensure_admin
from shaken.service import StartError, prepare
from shaken.snapshot import take_snapshot
from shaken.store.audit import AuditEntry, AuditFilter, find_entries
from trust.bundle import installed_bundle
from trust.certificate import Source
from trust.keys import MasterKey
from trust.store.database import Database
from trust.store.tables import service_keys

ALL = AuditFilter()


def entries(database: Database, wanted: AuditFilter = ALL) -> list[AuditEntry]:
    """List the newest first."""
    with database.reading() as connection:
        return list(find_entries(connection, wanted, before=None, limit=1000))


def told(database: Database) -> list[tuple[str, str, str]]:
    """List who did what to what, the oldest first."""
    return [(entry.actor, entry.action, entry.subject) for entry in reversed(entries(database))]


def test_a_start_and_the_first_admin_are_the_systems_own_doing(tmp_path: Path, now: int) -> None:
    prepared = prepare(load_config(None, {}), tmp_path)
    ensure_admin(prepared, tmp_path, now=now)
    prepare(load_config(None, {}), tmp_path)
    ensure_admin(prepared, tmp_path, now=now)

    database = prepared.open_database()
    assert told(database) == [
        ("system", "master-key.bind", "master-key"),
        ("system", "roots.follow", "tls"),
        ("system", "certificate.import", built_in(database)),
        ("system", "credential.create", "admin"),
    ]
    (followed,) = entries(database, AuditFilter(action="roots.follow"))
    assert followed.detail["after"]["edition"] == installed_bundle().edition.version
    assert len(followed.detail["after"]["added"]) > 100
    assert {entry.peer for entry in entries(database)} == {None}
    database.close()


def test_the_key_of_hashed_numbers_is_made_once_when_it_is_needed(tmp_path: Path) -> None:
    hashing = load_config(None, {"SHAKEN_RECORDS__NUMBERS": "hashed"})
    assert prepare(load_config(None, {}), tmp_path).numbers is None

    first, second = prepare(hashing, tmp_path), prepare(hashing, tmp_path)

    assert first.numbers is not None
    assert first.numbers == second.numbers
    database = first.open_database()
    assert told(database)[3:] == [("system", "record-key.create", "record-key")]
    database.close()


def test_numbers_are_not_hashed_under_another_key_when_theirs_does_not_open(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    hashing = load_config(None, {"SHAKEN_RECORDS__NUMBERS": "hashed"})
    database = prepare(hashing, tmp_path).open_database()
    with database.changing() as change:
        sealed = MasterKey.generate().seal(b"k" * 32, record=f"service-key:{KEY_NAME}")
        change.connection.execute(update(service_keys).values(sealed=sealed))

    with pytest.raises(StartError, match=f"the master key of {KEY_NAME} is not at hand"):
        prepare(hashing, tmp_path)
    assert prepare(load_config(None, {}), tmp_path).numbers is None
    assert "calls whose numbers are hashed cannot be found by number" in caplog.text
    database.close()


def test_the_demo_is_the_systems_own_doing(tmp_path: Path, now: int) -> None:
    prepared = prepare(demo_config(Config()), tmp_path)
    demo = prepare_demo(prepared, tmp_path, now=now)

    database = prepared.open_database()
    once = told(database)
    certificate = next(
        entry.subject
        for entry in entries(database)
        if entry.action == "certificate.import" and entry.subject != built_in(database)
    )
    assert once == [
        ("system", "master-key.bind", "master-key"),
        ("system", "roots.follow", "tls"),
        ("system", "certificate.import", built_in(database)),
        ("system", "tenant.create", "pbx.example.com"),
        ("system", "trunk.create", "demo"),
        ("system", "certificate.import", certificate),
        ("system", "roots.follow", "sti"),
        *(("system", "credential.create", f"demo-{member}") for member in roles()),
    ]
    assert not [secret for secret in secrets(demo.document) if secret in str(entries(database))]

    prepare_demo(prepared, tmp_path, now=now)
    assert told(database) == once

    (tmp_path / "demo.json").unlink()
    prepare_demo(prepared, tmp_path, now=now)
    assert told(database)[len(once) :] == [
        ("system", action, f"demo-{member}")
        for member in roles()
        for action in ("credential.revoke", "credential.create")
    ]
    database.close()


def built_in(database: Database) -> str:
    """Return the id of the certificate that the service made for itself."""
    rows = take_snapshot(database).certificates.values()
    (row,) = [row for row in rows if row.source is Source.BUILT_IN]
    return row.id


def roles() -> tuple[str, ...]:
    return ("admin", "signer", "verifier", "listener")


def secrets(document: dict[str, Any]) -> list[str]:
    return [document[member]["secret"] for member in roles()]
