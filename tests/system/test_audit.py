"""Who changed what on a real service, through the command line and beside it."""

import json
import sqlite3
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from http.client import HTTPException
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.system.caller import Caller
from tests.system.process import Service, run_shaken, until


def audit_list(service: Service, secret: str, *options: str) -> str:
    """Run `shaken audit list`; return what it prints."""
    settings = {"SHAKEN_URL": service.url, "SHAKEN_TOKEN": secret}
    run = run_shaken("audit", "list", *options, folder=service.data, **settings)
    assert (run.returncode, run.stderr) == (0, ""), run
    return run.stdout


@pytest.fixture
def secret(demo: dict[str, Any]) -> str:
    """That of the demo's administrator."""
    found: str = demo["admin"]["secret"]
    return found


def test_a_person_sees_who_changed_what_and_from_where(
    service: Service, admin: Caller, secret: str
) -> None:
    assert admin.put("/api/v1/trunks/demo", {"attest": "B"}).status == 200

    head, first, *rest = audit_list(service, secret).splitlines()

    assert head.split() == ["at", "actor", "peer", "action", "subject", "tenant"]
    assert first.split()[1:] == [
        "demo-admin",
        "127.0.0.1",
        "trunk.update",
        "demo",
        "pbx.example.com",
    ]
    assert {line.split()[1] for line in rest} == {"system"}
    assert {line.split()[2] for line in rest} == {"-"}


def test_a_script_gets_what_differs(service: Service, admin: Caller, secret: str) -> None:
    assert admin.put("/api/v1/trunks/demo", {"attest": "B"}).status == 200

    (entry,) = json.loads(audit_list(service, secret, "--actor", "demo-admin", "--json"))

    assert entry["detail"] == {"before": {"attest": "A"}, "after": {"attest": "B"}}


def test_filters_and_the_limit_choose(service: Service, secret: str) -> None:
    def found(*options: str) -> list[str]:
        listed = json.loads(audit_list(service, secret, *options, "--json"))
        return [entry["action"] for entry in listed]

    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat(timespec="seconds")
    made = ["credential.create"] * 4
    assert found("--action", "credential.create") == made
    assert found("--action", "credential.create", "--limit", "3") == made[:3]
    assert found("--subject", "demo", "--actor", "system") == ["trunk.create"]
    assert found("--since", tomorrow) == []
    assert found("--until", tomorrow, "--limit", "1") == made[:1]
    assert len(found()) == 11


def test_a_wrong_filter_is_explained(service: Service, secret: str) -> None:
    settings = {"SHAKEN_URL": service.url, "SHAKEN_TOKEN": secret}

    run = run_shaken("audit", "list", "--action", "x", folder=service.data, **settings)

    assert run.returncode == 1
    assert run.stderr.startswith("Error: action: one of certificate.import, ")


def test_a_change_that_a_kill_cuts_off_is_there_with_its_audit_or_not_at_all(
    service: Service, admin: Caller
) -> None:
    made: list[str] = []

    def make_trunks() -> None:
        with suppress(OSError, HTTPException):
            for number in range(10_000):
                admin.post("/api/v1/trunks", {"name": f"t{number}", "tenant": "pbx.example.com"})
                made.append(f"t{number}")

    maker = Thread(target=make_trunks)
    maker.start()
    for _ in until("some trunks are made"):
        if len(made) > 20:
            break
    service.kill()
    maker.join()

    trunks = rows(service.data, "SELECT name FROM trunks ORDER BY name")
    assert trunks == rows(
        service.data, "SELECT subject FROM audit WHERE action = 'trunk.create' ORDER BY subject"
    )
    assert set(made) <= {name for (name,) in trunks}


def test_the_file_itself_refuses_to_forget(service: Service) -> None:
    connection = sqlite3.connect(service.data / "shaken.sqlite", timeout=30)

    with closing(connection), pytest.raises(sqlite3.IntegrityError, match="never removed"):
        connection.execute("DELETE FROM audit")

    assert len(rows(service.data, "SELECT 1 FROM audit")) == 11


def rows(data: Path, query: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(f"file:{data / 'shaken.sqlite'}?mode=ro", uri=True)
    with closing(connection):
        return connection.execute(query).fetchall()
