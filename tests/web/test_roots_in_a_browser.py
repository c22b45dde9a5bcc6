"""What people do with trusted roots, in a real browser, with script and without."""

from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from shaken import roots as changes
from shaken.audit import AuditedChange
from tests.web.browser import DESKTOP, PHONE, person
from tests.web.root_pages import authority, sti, tls
from tests.web.scenery import ACME, VICTOR, Service
from tests.web.test_in_a_browser import WITH_AND_WITHOUT, enter, findings, options
from trust.roots import Root

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def find(page: Page, words: str) -> None:
    """Look for a root among those of TLS servers."""
    await page.get_by_role("link", name="Roots", exact=True).click()
    await page.get_by_role("link", name="TLS servers").click()
    await page.get_by_role("searchbox").fill(words)
    await page.get_by_role("button", name="Search").click()


@WITH_AND_WITHOUT
async def test_a_person_adds_roots(
    browser: Browser, served: Service, script: str, tmp_path: Path
) -> None:
    first, second = authority(served, "First"), authority(served, "Second")
    file = tmp_path / "second.pem"
    file.write_text(second.root_pem + served.scenery.spare.chain_pem)
    async with person(browser, served.url, **options(script)) as page:
        await enter(page, served)
        await page.get_by_role("link", name="Roots", exact=True).click()
        await page.get_by_role("link", name="Add").click()
        await page.get_by_label("Certificates", exact=True).fill("no PEM")
        await page.get_by_role("button", name="Look at them first").click()
        await expect(page.get_by_role("alert")).to_contain_text("no PEM block")
        await expect(page.get_by_label("Certificates", exact=True)).to_have_value("no PEM")
        await page.get_by_label("Certificates", exact=True).fill(first.root_pem)
        await page.get_by_label("or files").set_input_files(file)
        await page.get_by_role("button", name="Look at them first").click()
        await expect(page.get_by_text("Will be added")).to_have_count(3)
        await expect(page.get_by_text("not that of a certification authority")).to_be_visible()
        await expect(page.get_by_text("It did not sign itself")).to_be_visible()
        assert "First" not in sti(served)
        await page.get_by_role("checkbox", name="Example STI-CA").uncheck()
        await page.get_by_role("button", name="Trust those that are ticked").click()

        await expect(page.get_by_role("status")).to_contain_text("2 roots are added")
        await expect(page.locator("tbody tr")).to_have_count(3)
    assert {"First", "Second"} <= set(sti(served))


@WITH_AND_WITHOUT
async def test_a_person_deletes_a_root_and_puts_it_back(
    browser: Browser, served: Service, script: str
) -> None:
    async with person(browser, served.url, **options(script)) as page:
        await enter(page, served)
        await find(page, "isrg")
        if script == "with script":
            await page.get_by_label("Select all on this page").check()
            await expect(page.get_by_role("button", name="Delete selected (2)")).to_be_visible()
            await page.get_by_label("Select ISRG Root X2").uncheck()
        else:
            await page.get_by_label("Select ISRG Root X1").check()
        await page.get_by_role("button", name="Delete selected").click()
        await expect(page.get_by_text("Nothing that is known here relies on this")).to_be_visible()
        await page.get_by_role("button", name="Delete it").click()
        await expect(page.get_by_role("status")).to_contain_text("ISRG Root X1 is deleted.")
        assert tls(served)["ISRG Root X1"].deleted
        await page.get_by_role("button", name="Put back").click()
        await page.get_by_role("button", name="Put it back").click()

        await expect(page.get_by_role("status")).to_contain_text("ISRG Root X1 is put back.")
    assert not tls(served)["ISRG Root X1"].deleted


@WITH_AND_WITHOUT
async def test_a_person_is_warned_before_calls_cannot_be_verified(
    browser: Browser, served: Service, script: str
) -> None:
    async with person(browser, served.url, **options(script)) as page:
        await enter(page, served)
        await page.get_by_role("link", name="Roots", exact=True).click()
        await page.get_by_role("link", name="STI-PA Root 2025", exact=True).click()
        await expect(page.get_by_text(f"SHAKEN 1234 of {ACME}")).to_be_visible()
        await page.get_by_role("button", name="Disable").click()
        await expect(page.get_by_text("No root would be left")).to_be_visible()
        await page.get_by_role("button", name="Disable it").click()
        await expect(page.get_by_role("alert")).to_contain_text("Say that you know")
        await page.get_by_label("I know what will fail").check()
        await page.get_by_role("button", name="Disable it").click()

        await expect(page.get_by_role("status")).to_contain_text("is disabled")
        await page.get_by_role("button", name="Enable").click()
        await page.get_by_role("button", name="Enable it").click()
        await expect(page.get_by_role("status")).to_contain_text("is enabled")


@WITH_AND_WITHOUT
async def test_a_person_resets_the_list(browser: Browser, served: Service, script: str) -> None:
    root: Root = tls(served)["ISRG Root X1"]
    await served.change(lambda change: changes.remove(change, root))
    async with person(browser, served.url, **options(script)) as page:
        await enter(page, served)
        await find(page, "")
        await page.get_by_role("link", name="Reset").click()
        await page.get_by_role("link", name="go, too").click()
        await expect(page.get_by_role("heading", name="Come back 1 root")).to_be_visible()
        await expect(page.get_by_role("link", name="ISRG Root X1")).to_be_visible()
        await page.get_by_role("button", name="Reset the list").click()

        await expect(page.get_by_role("status")).to_contain_text("1 came back")
    assert tls(served)["ISRG Root X1"] == root


async def test_a_viewer_takes_the_roots_for_a_pbx(browser: Browser, served: Service) -> None:
    async with person(browser, served.url, **options("with script")) as page:
        await enter(page, served, VICTOR)
        await find(page, "")
        await expect(page.get_by_role("link", name="Add", exact=True)).to_have_count(0)
        async with page.expect_download() as download:
            await page.get_by_role("link", name="All trusted (PEM)").click()
        file = await (await download.value).path()
        assert file.read_text().startswith("-----BEGIN CERTIFICATE-----")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
async def test_the_steps_of_changing_roots_are_accessible(
    browser: Browser, served: Service, scheme: Any, size: Any
) -> None:
    kept = tls(served)

    def make(change: AuditedChange) -> None:
        changes.remove(change, kept["ISRG Root X1"])
        changes.set_disabled(change, kept["ISRG Root X2"], disabled=True)

    await served.change(make)
    found = []
    async with person(browser, served.url, color_scheme=scheme, viewport=size) as page:

        async def look() -> None:
            found.extend(await findings(page))
            width = await page.evaluate("document.documentElement.scrollWidth")
            assert width <= size["width"], f"{page.url} is wider than the window"

        await enter(page, served)
        for path in (
            "/admin/roots?purpose=tls&search=isrg",
            f"/admin/roots/tls/{kept['ISRG Root X1'].id}",
            "/admin/roots/reset?purpose=tls",
        ):
            await page.goto(path)
            await look()
        await page.goto("/admin/roots/add")
        material = authority(served, ago=40).root_pem + served.scenery.spare.chain_pem
        await page.get_by_label("Certificates", exact=True).fill(material)
        await page.get_by_role("button", name="Look at them first").click()
        await look()
        await page.goto("/admin/roots")
        await page.get_by_label("Select STI-PA Root 2025").check()
        await page.get_by_role("button", name="Delete selected").click()
        await look()
        await page.get_by_role("button", name="Delete it").click()
        await look()

    assert not found, "\n".join(found)
