"""`/api/v1/audit`: who changed what, when, from where; the newest first, and only to be read."""

import re
from datetime import UTC, datetime

import pytest

from shaken.audit import Action, Actor, changing
from shaken.credentials import Role
from tests.shaken.world import EVERYBODY, INSIDE, World, name_of

AUDIT = "/api/v1/audit"
ADMIN = name_of(Role.ADMIN, EVERYBODY)
OWN, OTHER = "own.example.com", "other.example.com"


async def test_an_entry_is_shown_with_who_what_when_and_from_where(world: World) -> None:
    await world.admin("PUT", f"/api/v1/tenants/{OWN}", {"numbers": ["+12155550100"]})

    (entry, *_) = await world.audit()

    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", entry.pop("at"))
    assert entry.pop("id") > 0
    assert entry == {
        "actor": ADMIN,
        "peer": INSIDE,
        "action": "tenant.update",
        "subject": OWN,
        "tenant": OWN,
        "detail": {"before": {"numbers": []}, "after": {"numbers": ["+12155550100"]}},
    }


async def test_pages_are_stable_while_changes_are_made(world: World) -> None:
    for number in range(5):
        await world.admin("PUT", f"/api/v1/tenants/{OWN}", {"numbers": [f"+1215555010{number}"]})
    expected = [entry["id"] for entry in await world.audit()]

    found: list[int] = []
    after = ""
    while True:
        page = (await world.admin("GET", f"{AUDIT}?limit=2{after}")).json()
        assert len(page["items"]) <= 2
        found += [entry["id"] for entry in page["items"]]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
        await world.admin("PUT", f"/api/v1/tenants/{OWN}", {})

    assert found == expected


@pytest.fixture
def history(world: World) -> World:
    """Changes of two actors at known times, the newest in 2040."""
    for year, actor, subject in (
        (2036, "alice", "one"),
        (2038, "bob", "two"),
        (2040, "alice", "one"),
    ):
        at = int(datetime(year, 1, 1, tzinfo=UTC).timestamp())
        with changing(world.database, Actor(actor, INSIDE), now=at) as change:
            change.audit(Action.TRUNK_CREATE, subject, tenant=None)
    return world


@pytest.mark.parametrize(
    ("query", "years"),
    [
        ("?since=2035-01-01T00:00:00Z", [2040, 2038, 2036]),
        ("?actor=alice", [2040, 2036]),
        ("?actor=alice&until=2040-01-01T00:00:00Z", [2036]),
        ("?subject=two", [2038]),
        ("?action=trunk.create", [2040, 2038, 2036]),
        ("?action=trunk.delete", []),
        ("?since=2038-01-01T00:00:00Z&until=2040-01-01T00:00:00Z", [2038]),
        ("?since=2038-01-01T01:00:00%2B01:00&until=2040-01-01T00:00:01Z", [2040, 2038]),
        ("?actor=nobody", []),
    ],
)
async def test_a_filter_finds(history: World, query: str, years: list[int]) -> None:
    found = await history.audit(query)

    assert [int(entry["at"][:4]) for entry in found] == years


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("action=trunk.destroy", "action"),
        ("action=", "action"),
        ("since=yesterday", "since"),
        ("since=2030-01-01T00:00:00", "since"),
        ("until=2030-13-01T00:00:00Z", "until"),
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("after=-1", "after"),
        ("after=x", "after"),
        ("after=1234567890123456789", "after"),
    ],
)
async def test_a_wrong_filter_is_named(world: World, query: str, field: str) -> None:
    answer = await world.admin("GET", f"{AUDIT}?{query}")

    assert answer.status == 400
    assert answer.json()["errors"][0]["field"] == field


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_the_audit_can_only_be_read(world: World, method: str) -> None:
    before = await world.audit()

    for path in (AUDIT, f"{AUDIT}/{before[0]['id']}"):
        assert (await world.admin(method, path, {})).status in {404, 405}

    assert await world.audit() == before


async def test_a_tenant_sees_what_was_done_to_its_things_by_whomever(world: World) -> None:
    secret = world.template.secrets[Role.VIEWER, OWN]
    for tenant in (OWN, OTHER):
        await world.admin("PUT", f"/api/v1/tenants/{tenant}", {"numbers": ["+1215*"]})
    await world.admin("POST", "/api/v1/credentials", {"name": "x", "role": "viewer"})

    seen = (await world.ask("GET", AUDIT, secret=secret)).json()["items"]
    of_other = await world.ask("GET", f"{AUDIT}?subject={OTHER}", secret=secret)

    assert [(entry["actor"], entry["action"]) for entry in seen] == [
        (ADMIN, "tenant.update"),
        ("system", "request.create"),
        ("system", "certificate.import"),
    ]
    assert of_other.json()["items"] == []
