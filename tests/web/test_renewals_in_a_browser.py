"""Renewals in a real browser: an authority is chosen, its account seen to, the next dates read."""

from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, expect

from tests.web import test_authority_account as accounts
from tests.web import test_renewal_advice as failures
from tests.web import test_upcoming as ahead
from tests.web.authority import stored
from tests.web.browser import DESKTOP, PHONE, person, sign_in
from tests.web.scenery import ALICE, RENEWED, Service
from trust.acme.order import State
from trust.acme.problems import Problem
from trust.acme.settings import DIRECTORIES, Binding
from trust.store.acme_accounts import Wish

pytestmark = pytest.mark.asyncio(loop_scope="module")

WITH_AND_WITHOUT = pytest.mark.parametrize("script", [True, False], ids=["script", "no script"])
SERIOUS = {"serious", "critical"}


async def enter(page: Page, service: Service) -> None:
    """Sign in, and go to the renewals."""
    await sign_in(page, ALICE, service.scenery.secrets[ALICE])
    await page.get_by_role("link", name="Renewals", exact=True).click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Renewals")


@WITH_AND_WITHOUT
async def test_a_person_chooses_an_authority(
    browser: Browser, served: Service, *, script: bool
) -> None:
    async with person(browser, served.url, java_script_enabled=script) as page:
        await enter(page, served)
        await page.get_by_role("link", name="Authority").click()
        await page.get_by_label("Authority", exact=True).select_option("letsencrypt")
        await page.get_by_label("I agree to the authority's terms").check()
        await page.get_by_label("Contact").fill("no address")
        await page.get_by_text("gives accounts by invitation").click()
        await page.get_by_label("Key id").fill("kid-1")
        await page.get_by_label("MAC key").fill("c2VjcmV0")
        await page.get_by_role("button", name="Look at what changes").click()
        await expect(page.get_by_role("alert")).to_contain_text("plain mail addresses")
        await expect(page.get_by_label("Key id")).to_have_value("kid-1")
        await expect(page.get_by_label("MAC key")).to_have_value("")
        await page.get_by_label("Contact").fill("noc@example.com")
        await page.get_by_role("button", name="Look at what changes").click()
        await expect(page.get_by_text("You agree to the terms of service")).to_be_visible()
        assert stored(served) is None
        await page.get_by_role("button", name="Change something").click()
        await page.get_by_text("Profile and chain").click()
        await page.get_by_label("Profile", exact=True).fill("shortlived")
        await page.get_by_role("button", name="Look at what changes").click()
        await page.get_by_role("button", name="Use these settings").click()

        await expect(page.get_by_role("status")).to_contain_text("The settings are in use")
    settings = stored(served)
    assert settings is not None
    assert settings.directory_url == DIRECTORIES["letsencrypt"]
    assert settings.binding == Binding("kid-1", "c2VjcmV0")
    assert (settings.contact, settings.profile) == (("noc@example.com",), "shortlived")


@WITH_AND_WITHOUT
async def test_a_person_gives_the_account_up_and_knows_what_it_means(
    browser: Browser, served: Service, *, script: bool
) -> None:
    await accounts.have(served)
    async with person(browser, served.url, java_script_enabled=script) as page:
        await enter(page, served)
        await page.get_by_role("link", name="Account").click()
        await page.get_by_role("link", name="Deactivate").click()
        await expect(page.get_by_text("1 certificate kept renewed")).to_be_visible()
        await page.get_by_role("button", name="Deactivate it for ever").click()
        await expect(page.get_by_role("alert")).to_contain_text("Tick the box")
        await page.get_by_label("I know what will stop working").check()
        await page.get_by_role("button", name="Deactivate it for ever").click()

        await expect(page.get_by_text("It is under way")).to_be_visible()
    assert accounts.asked(served).wish is Wish.DEACTIVATE


@WITH_AND_WITHOUT
async def test_a_person_finds_what_fails_and_has_it_looked_at_again(
    browser: Browser, served: Service, *, script: bool
) -> None:
    await failures.fail(served, Problem("self-check", "port 80 is closed"), State.AUTHORIZING)
    async with person(browser, served.url, java_script_enabled=script) as page:
        await enter(page, served)
        await page.get_by_role("link", name="Next dates").click()
        await page.get_by_role("link", name="Show what fails").click()
        await expect(page.locator("#list")).to_have_text("What fails")
        await page.get_by_role("link", name=RENEWED.names[0]).click()
        await expect(page.get_by_text("port 80 is closed")).to_be_visible()
        await expect(page.get_by_text("Mend what is said of each name")).to_be_visible()
        await page.get_by_role("button", name="Look again now").click()

        await expect(page.get_by_text("It is looked at again now.")).to_be_visible()


async def test_the_chart_leads_to_the_days_list(browser: Browser, served: Service) -> None:
    now = int(served.clock())
    await ahead.have(served, ahead.order("a.example", at=now - now % 86_400 + 2 * 86_400))
    async with person(browser, served.url) as page:
        await enter(page, served)
        await page.get_by_role("link", name="Next dates").click()
        await page.get_by_role("link", name="By day").click()
        await page.get_by_text("As a table").click()
        await page.locator("details tbody tr").nth(2).get_by_role("link").click()

        await expect(page.get_by_role("link", name="a.example")).to_be_in_viewport()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
async def test_the_pages_with_something_in_them_are_accessible(
    browser: Browser, served: Service, scheme: Any, size: Any
) -> None:
    await accounts.have(served)
    await failures.fail(served, Problem("connection", "timeout"), State.AUTHORIZING)
    found: list[str] = []
    base = "/admin/renewals"
    paths = ("", f"/{RENEWED.id}", "/upcoming?by=day", "/account", "/account/start-over")
    async with person(browser, served.url, color_scheme=scheme, viewport=size) as page:
        await enter(page, served)
        for path in paths:
            await page.goto(f"{base}{path}")
            found += await _findings(page, size)
        await page.goto(f"{base}/authority")
        await page.get_by_label("Contact").fill("no address")
        await page.get_by_role("button", name="Look at what changes").click()
        await expect(page.get_by_role("alert")).to_be_visible()
        found += await _findings(page, size)
        await page.get_by_label("Contact").fill("noc@example.com")
        await page.get_by_role("button", name="Look at what changes").click()
        await expect(page.get_by_role("button", name="Use these settings")).to_be_visible()
        found += await _findings(page, size)

    assert not found, "\n".join(found)


async def _findings(page: Page, size: dict[str, int]) -> list[str]:
    """Look a page over for what keeps people out."""
    width = await page.evaluate("document.documentElement.scrollWidth")
    wide = [f"{page.url} is wider than the window"] if width > size["width"] else []
    violations = (await Axe().run(page)).response["violations"]
    return wide + [
        f"{page.url} {each['id']}: {each['nodes'][0]['html']}"
        for each in violations
        if each["impact"] in SERIOUS
    ]
