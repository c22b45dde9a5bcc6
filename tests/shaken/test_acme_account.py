"""The account at the authority over the API: what is shown, what is taken, what is refused."""

from dataclasses import replace
from typing import Any

import pytest

from tests.shaken.world import World
from trust.acme.authority_client import new_account_key
from trust.acme.order import Failures
from trust.acme.problems import Problem
from trust.store import acme_accounts, acme_settings, tables
from trust.store.acme_accounts import AccountState, Asked, StoredAccount, Wish

ACCOUNT = "/api/v1/acme/account"
DIRECTORY = "https://ca.example.net/directory"


def stored(world: World) -> StoredAccount:
    with world.database.reading() as connection:
        found = acme_accounts.get(connection, world.template.master, DIRECTORY)
    assert found is not None
    return found


def save(world: World, **changes: Any) -> None:
    account = replace(stored(world), **changes)
    with world.database.changing() as change:
        acme_accounts.save(change, world.template.master, account)


async def asked(world: World, action: str, body: object = None) -> tuple[int, str]:
    """Ask for something; return the status, and what is to be done or why not."""
    answer = await world.admin("POST", f"{ACCOUNT}/{action}", body)
    document = answer.json()
    return answer.status, document.get("wish") or document["type"]


async def test_the_account_is_shown_without_its_key(world: World) -> None:
    record = (await world.admin("GET", ACCOUNT)).json()

    assert record["directory_url"] == DIRECTORY
    assert (record["state"], record["wish"], record["failure"]) == ("valid", None, None)
    assert len(record["key_thumbprint"]) == 43
    assert record["next_key_thumbprint"] is None


async def test_why_something_was_not_done_is_shown(world: World) -> None:
    failures = Failures(2, 1_800_000_000, Problem("unreachable", "the authority is down"))
    save(world, next_key=new_account_key())
    with world.database.changing() as change:
        acme_accounts.ask(change, DIRECTORY, Wish.ROLLOVER, now=0)
        later = Asked(DIRECTORY, Wish.ROLLOVER, failures, 1_800_000_600)
        acme_accounts.put_off(change.connection, Wish.ROLLOVER, later)

    record = (await world.admin("GET", ACCOUNT)).json()

    assert record["wish"] == "rollover"
    assert record["next_try"] == "2027-01-15T08:10:00Z"
    assert record["failure"] == {
        "count": 2,
        "last": "2027-01-15T08:00:00Z",
        "type": "unreachable",
        "detail": "the authority is down",
    }
    assert record["next_key_thumbprint"] not in {None, record["key_thumbprint"]}


@pytest.mark.parametrize(
    ("state", "action", "body", "expected"),
    [
        ("valid", "rollover", None, (202, "rollover")),
        ("valid", "deactivate", None, (202, "deactivate")),
        ("valid", "start-over", {}, (409, "account-in-use")),
        ("valid", "start-over", {"lost": True}, (202, "start-over-lost")),
        ("deactivating", "rollover", None, (409, "account-deactivated")),
        ("deactivating", "start-over", {}, (409, "account-in-use")),
        ("deactivated", "rollover", None, (409, "account-deactivated")),
        ("deactivated", "deactivate", None, (409, "account-deactivated")),
        ("deactivated", "start-over", {}, (202, "start-over")),
    ],
)
async def test_what_can_be_asked_depends_on_how_the_account_stands(
    world: World, state: str, action: str, body: object, expected: tuple[int, str]
) -> None:
    save(world, state=AccountState(state))

    assert await asked(world, action, body) == expected


async def test_an_account_that_the_authority_does_not_know_yet_cannot_be_changed(
    world: World,
) -> None:
    save(world, state=AccountState.NEW, url=None)

    assert await asked(world, "rollover") == (409, "no-account")
    assert await asked(world, "start-over", {}) == (202, "start-over")


async def test_where_there_is_no_account_the_first_order_makes_one(world: World) -> None:
    with world.database.changing() as change:
        acme_accounts.remove(change, DIRECTORY)

    assert (await world.admin("GET", ACCOUNT)).status == 404
    assert await asked(world, "rollover") == (409, "no-account")
    assert await asked(world, "start-over", {}) == (202, "start-over")


async def test_without_an_authority_there_is_no_account(world: World) -> None:
    with world.database.changing() as change:
        acme_settings.remove(change)

    assert (await world.admin("GET", ACCOUNT)).status == 404
    assert await asked(world, "deactivate") == (404, "not-found")


async def test_a_key_that_does_not_open_is_no_obstacle_to_starting_over(world: World) -> None:
    with world.database.recording() as connection:
        connection.execute(tables.acme_accounts.update().values(sealed_key=b"another"))

    assert (await world.admin("GET", ACCOUNT)).status == 503
    assert await asked(world, "start-over", {"lost": True}) == (202, "start-over-lost")
