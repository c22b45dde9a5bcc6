"""Who signed in and out, and who was refused: in the audit, which no stranger can fill."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from shaken.store.audit import AuditEntry, AuditFilter, find_entries
from shaken.web.refusals import MAX_NAMED, OTHERS, PERIOD_SECONDS, Refusals
from shaken.web.signing_in import MAX_SIGN_INS, SIGN_IN_SECONDS
from tests.web.scenery import ACME, ALICE, BOUND, MACHINE, Scenery, Service, serving
from tests.web.visitor import Visitor, signed_in


def told(service: Service, action: str) -> Sequence[AuditEntry]:
    """Read the entries of an action, the oldest first."""
    with closing(service.prepared.open_database()) as database, database.reading() as connection:
        found = find_entries(connection, AuditFilter(action=action), before=None, limit=100)
    return found[::-1]


async def test_signing_in_and_out_is_in_the_audit(service: Service) -> None:
    visitor = await signed_in(service, BOUND)
    await visitor.post("/admin/sign-out", {})

    for action in ("session.begin", "session.end"):
        (entry,) = told(service, action)
        assert (entry.actor, entry.subject, entry.tenant) == (BOUND, BOUND, ACME)
        assert entry.peer == "127.0.0.1"
        assert entry.at == int(service.clock())


async def test_pages_and_api_show_it(service: Service) -> None:
    visitor = await signed_in(service, ALICE)
    secret = service.scenery.secrets[ALICE]

    page = await visitor.get("/admin/audit?action=session.begin")
    api = await visitor.ask(
        "GET",
        "/api/v1/audit?action=session.begin",
        headers={"Authorization": f"Bearer {secret}"},
    )

    assert ">Signed in</td>" in page.text
    assert f'"actor":"{ALICE}"' in api.text


async def test_the_first_refused_sign_in_is_told_at_once(service: Service) -> None:
    await Visitor(service).sign_in(ALICE, "shk_wrong")

    (entry,) = told(service, "session.refuse")
    assert entry.actor == "system"
    assert entry.detail == {
        "event": {
            "failures": 1,
            "seconds": 0,
            "sources": {"127.0.0.1": 1},
            "credentials": {ALICE: 1},
        }
    }


async def test_what_was_typed_for_a_name_is_not_told(service: Service) -> None:
    secret = service.scenery.secrets[ALICE]
    await Visitor(service).sign_in(secret, "shk_wrong")

    (entry,) = told(service, "session.refuse")
    assert secret not in repr(entry)


async def test_a_machines_credential_that_is_refused_is_told(service: Service) -> None:
    await Visitor(service).sign_in(MACHINE)

    (entry,) = told(service, "session.refuse")
    assert entry.detail["event"]["credentials"] == {MACHINE: 1}


async def test_a_stranger_cannot_fill_the_audit(scenery: Scenery, tmp_path: Path) -> None:
    async with serving(scenery, tmp_path / "data") as service:
        for _ in range(30):
            await Visitor(service).sign_in("nobody", "shk_wrong")
        assert len(told(service, "session.refuse")) == 1
        service.clock.now += PERIOD_SECONDS
        await Visitor(service).sign_in("nobody", "shk_wrong")
        assert [failures(entry) for entry in told(service, "session.refuse")] == [1, 30]
        for _ in range(5):
            await Visitor(service).sign_in("nobody", "shk_wrong")

    assert [failures(entry) for entry in told(service, "session.refuse")] == [1, 30, 5]


def failures(entry: AuditEntry) -> int:
    """Return how many sign-ins an entry tells of."""
    count: int = entry.detail["event"]["failures"]
    return count


def test_sources_are_named_up_to_a_bound_and_networks_of_ipv6_are_one() -> None:
    refusals = Refusals()
    for each in range(100):
        refusals.add(f"192.0.2.{each}", f"name{each}", now=each)
        refusals.add(f"2001:db8::{each}", None, now=each)

    found: Any = refusals.due(now=100)

    assert found["failures"] == 200
    assert found["seconds"] == 100
    assert found["sources"]["2001:db8::/64"] == 100
    for names in (found["sources"], found["credentials"]):
        assert len(names) == MAX_NAMED + 1
        assert names[OTHERS] > 0
    assert sum(found["sources"].values()) == 200


@pytest.mark.parametrize(("later", "told_again"), [(PERIOD_SECONDS - 1, 0), (PERIOD_SECONDS, 1)])
def test_refusals_are_told_once_in_a_period(later: int, told_again: int) -> None:
    refusals = Refusals()
    refusals.add("192.0.2.1", None, now=1000)
    assert refusals.due(now=1000)
    refusals.add("192.0.2.1", None, now=1000)

    found = refusals.due(now=1000 + later)

    assert (0 if found is None else found["failures"]) == told_again


def test_a_clock_that_was_set_back_keeps_nothing_from_being_told() -> None:
    refusals = Refusals()
    refusals.add("192.0.2.1", None, now=10_000)
    assert refusals.due(now=10_000)
    refusals.add("192.0.2.1", None, now=10)

    assert refusals.due(now=10)
    assert refusals.rest(now=10) is None


async def test_who_may_sign_in_cannot_fill_the_audit_either(service: Service) -> None:
    for _ in range(MAX_SIGN_INS):
        assert (await Visitor(service).sign_in(BOUND)).status == 303

    refused = await Visitor(service).sign_in(BOUND)

    assert refused.status == 429
    assert "has signed in 30 times within 10 minutes" in refused.text
    assert len(told(service, "session.begin")) == MAX_SIGN_INS
    assert (await Visitor(service).sign_in(ALICE)).status == 303
    service.clock.now += SIGN_IN_SECONDS
    assert (await Visitor(service).sign_in(BOUND)).status == 303


async def test_who_signs_in_again_has_left_the_session_before(service: Service) -> None:
    visitor = await signed_in(service, ALICE)

    await visitor.sign_in(ALICE)

    assert len(told(service, "session.end")) == 1
