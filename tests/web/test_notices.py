"""Notices reach the page they are for, whatever other tabs do; pages that load themselves anew."""

import asyncio
import re
from dataclasses import replace
from pathlib import Path

import shaken.web
from shaken.web.sessions import IDLE_SECONDS, NOTICE_SECONDS
from tests.web.scenery import ACME, ALICE, GLOBEX, RENEWED, Service, move, set_up
from tests.web.visitor import Visitor, signed_in
from trust.acme.order import State

TENANT = {"aliases": "", "fallback": "first", "numbers": ""}
SAVED = "The changes are in use."


async def test_another_tab_takes_no_notice_away(service: Service) -> None:
    visitor = await signed_in(service, ALICE)
    other_tab = replace(visitor)
    sent = await visitor.post(f"/admin/tenants/{ACME}", TENANT)

    for path in ("/admin", f"/admin/tenants/{GLOBEX}", "/admin/audit.csv"):
        assert SAVED not in (await other_tab.get(path)).text

    assert SAVED in (await visitor.get(sent.location)).text
    assert SAVED not in (await visitor.get(sent.location)).text


async def test_forms_that_are_sent_at_once_lose_no_notice(service: Service) -> None:
    visitor = await signed_in(service, ALICE)
    csrf = (await visitor.get("/admin")).csrf
    tabs = [replace(visitor) for _ in range(2)]

    await asyncio.gather(
        *(
            tab.post(f"/admin/tenants/{address}", TENANT, csrf=csrf)
            for tab, address in zip(tabs, (ACME, GLOBEX), strict=True)
        )
    )

    for address in (ACME, GLOBEX):
        assert SAVED in (await visitor.get(f"/admin/tenants/{address}")).text


async def test_a_notice_that_nobody_came_for_is_not_told_later(service: Service) -> None:
    visitor = await signed_in(service, ALICE)
    sent = await visitor.post(f"/admin/tenants/{ACME}", TENANT)
    service.clock.now += NOTICE_SECONDS

    assert SAVED not in (await visitor.get(sent.location)).text


def test_no_page_loads_itself_anew_but_by_what_says_so() -> None:
    templates = (Path(shaken.web.__file__).parent / "templates").glob("*.html")

    found = {file.name for file in templates if 'http-equiv="refresh"' in file.read_text("utf-8")}

    assert found == {"ui.html", "again.html"}, "use ui.refresh"


async def refreshing(service: Service) -> tuple[Visitor, str]:
    """Give somebody who sees a page that loads itself anew, and the address it loads."""
    await set_up(service)
    await move(service, State.ORDERED)
    visitor = await signed_in(service, ALICE)
    seen = await visitor.get(f"/admin/renewals/{RENEWED.id}")
    found = re.search(r'http-equiv="refresh" content="\d+; url=([^"]+)"', seen.text)
    assert found, seen.text
    return visitor, found[1]


async def test_a_page_that_loads_itself_anew_keeps_no_session_alive(service: Service) -> None:
    visitor, address = await refreshing(service)

    for _ in range(3):
        service.clock.now += IDLE_SECONDS // 3
        last = await visitor.get(address)

    assert last.status == 303
    assert last.location.startswith("/admin/sign-in")
    assert "refreshed" not in last.location


async def test_a_person_who_loads_it_keeps_the_session_alive(service: Service) -> None:
    visitor, address = await refreshing(service)

    for _ in range(3):
        service.clock.now += IDLE_SECONDS // 3
        assert (await visitor.get(address.partition("?")[0])).status == 200


async def test_a_page_that_loads_itself_anew_leaves_notices_to_people(service: Service) -> None:
    visitor, address = await refreshing(service)
    page = address.partition("?")[0]
    sent = await visitor.post("/admin/new/tenant", {**TENANT, "address": "x.example.com"})
    assert (await visitor.get(sent.location + "?refreshed=1")).status == 200

    assert "is added" in (await visitor.get(sent.location)).text
    assert (await visitor.get(page)).status == 200
