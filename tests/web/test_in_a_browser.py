"""What people do, in a real browser: with script and, for the essential tasks, without."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from cryptography import x509
from playwright.async_api import Browser, Page, expect

from tests.web.browser import DESKTOP, PHONE, person, sign_in
from tests.web.scenery import (
    ACME,
    ALICE,
    HOUR,
    MACHINE,
    RENEWED,
    VICTOR,
    Service,
    move,
    set_up,
)
from trust.acme.order import State

pytestmark = pytest.mark.asyncio(loop_scope="module")

WITH_AND_WITHOUT = pytest.mark.parametrize("script", ["with script", "without script"])
REQUESTS = "/admin/certificates/requests"
SERIOUS = {"serious", "critical"}


def options(script: str) -> dict[str, Any]:
    """Return the settings of a browser's profile."""
    return {"java_script_enabled": script == "with script", "timezone_id": "Asia/Tokyo"}


async def enter(page: Page, service: Service, name: str = ALICE) -> None:
    """Sign in and see the overview."""
    await sign_in(page, name, service.scenery.secrets[name])
    await expect(page.get_by_role("heading", level=1)).to_have_text("Overview")


@WITH_AND_WITHOUT
async def test_a_person_signs_in_and_out(browser: Browser, served: Service, script: str) -> None:
    async with person(browser, served.url, **options(script)) as page:
        await sign_in(page, ALICE, "shk_wrong")
        await expect(page.get_by_text("do not belong together")).to_be_visible()
        await expect(page.get_by_label("Name of your credential")).to_have_value(ALICE)
        await page.get_by_label("Secret").fill(served.scenery.secrets[ALICE])
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("Overview")

        await page.get_by_role("button", name="Sign out").click()

        await expect(page.get_by_text("You are signed out.")).to_be_visible()
        await page.goto("/admin")
        await expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")


@WITH_AND_WITHOUT
async def test_a_person_finds_a_certificate(browser: Browser, served: Service, script: str) -> None:
    async with person(browser, served.url, **options(script)) as page:
        await enter(page, served)
        await page.get_by_role("link", name="Certificates", exact=True).first.click()
        await page.get_by_role("searchbox").fill("acme")
        await page.get_by_role("button", name="Search").click()
        await expect(page.locator("tbody tr")).to_have_count(1)
        await page.get_by_role("link", name="SHAKEN 1234", exact=True).click()

        await expect(page.get_by_role("heading", level=1)).to_contain_text("SHAKEN 1234")
        async with page.expect_download() as download:
            await page.get_by_role("link", name="Chain (PEM)").click()
        file = await (await download.value).path()
        assert "BEGIN CERTIFICATE" in file.read_text()


@WITH_AND_WITHOUT
async def test_a_person_imports_a_certificate(
    browser: Browser, served: Service, script: str, tmp_path: Path
) -> None:
    spare = served.scenery.spare
    key = tmp_path / "sti.key"
    key.write_text(spare.key_pem)
    async with person(browser, served.url, **options(script)) as page:
        await enter(page, served)
        await page.goto("/admin/certificates")
        await page.get_by_role("link", name="Import").click()
        await page.get_by_label("Certificate, intermediates").fill(spare.chain_pem)
        await page.get_by_label("or files").set_input_files(key)
        await page.get_by_label("Tenant", exact=True).fill("no.example.com")
        await page.get_by_role("button", name="Look at it first").click()
        await expect(page.get_by_role("alert")).to_contain_text("No tenant has this address")
        await expect(page.get_by_label("Tenant", exact=True)).to_have_value("no.example.com")
        await page.get_by_label("Tenant", exact=True).fill(ACME)
        await page.get_by_role("button", name="Look at it first").click()
        await expect(page.get_by_text("Fits the certificate")).to_be_visible()
        await page.get_by_role("button", name="Import it").click()

        await expect(page.get_by_role("status")).to_contain_text("SHAKEN 9999 is imported")
    assert spare.certificate.fingerprint in served.snapshots.current.certificates


@WITH_AND_WITHOUT
async def test_a_person_deletes_certificates(
    browser: Browser, served: Service, script: str
) -> None:
    async with person(browser, served.url, **options(script)) as page:
        await enter(page, served)
        await page.goto("/admin/certificates")
        if script == "with script":
            await page.get_by_label("Select all on this page").check()
            await expect(page.get_by_role("button", name="Delete selected (3)")).to_be_visible()
            await page.get_by_label("Select SHAKEN 4321").uncheck()
        else:
            await page.get_by_label("Select SHAKEN 1234").check()
            await page.get_by_label("Select SHAKEN 5678").check()
        await page.get_by_role("button", name="Delete selected").click()
        await expect(page.get_by_text("the only certificate that acme.example.com")).to_be_visible()
        await page.get_by_role("button", name="Delete 2 certificates").click()
        await expect(page.get_by_role("alert")).to_be_visible()
        await page.get_by_label("I know what will stop working").check()
        await page.get_by_role("button", name="Delete 2 certificates").click()

        await expect(page.get_by_role("status")).to_contain_text("2 certificates deleted")
        await expect(page.locator("tbody tr")).to_have_count(1)


@WITH_AND_WITHOUT
async def test_a_person_requests_a_certificate_and_imports_it(
    browser: Browser, served: Service, script: str
) -> None:
    async with person(
        browser, served.url, **options(script), permissions=["clipboard-read", "clipboard-write"]
    ) as page:
        await enter(page, served)
        await page.goto("/admin/certificates?tab=system")
        await page.get_by_role("link", name="Request a certificate").click()
        await expect(page.get_by_text("The key is made here, and stays here")).to_be_visible()
        await expect(page.get_by_label("Host names")).to_be_visible()
        await expect(page.get_by_label("Provider code (SPC)")).to_be_hidden()
        await page.get_by_label("What the certificate is for").select_option("sti")
        await expect(page.get_by_label("Host names")).to_be_hidden()
        await page.get_by_label("Organization").fill("Acme, Inc.")
        await page.get_by_role("button", name="Make the request").click()
        await expect(page.get_by_role("alert")).to_contain_text("for a provider code")
        await expect(page.get_by_label("Organization")).to_have_value("Acme, Inc.")
        await page.get_by_label("Provider code (SPC)").fill("77AB")
        await page.get_by_label("Tenant", exact=True).fill(ACME)
        await page.get_by_role("button", name="Make the request").click()

        await expect(page.get_by_role("status")).to_contain_text("its key is kept here")
        async with page.expect_download() as download:
            await page.get_by_role("link", name="Download (.csr)").click()
        text = (await (await download.value).path()).read_text()
        copy = page.get_by_role("button", name="Copy")
        if script == "with script":
            await copy.click()
            await expect(page.get_by_role("button", name="Copied")).to_be_visible()
            assert await page.evaluate("navigator.clipboard.readText()") == text
        else:
            await expect(copy).to_be_hidden()
        now = datetime.fromtimestamp(served.clock(), UTC)
        certificate = served.scenery.authority.certify(
            x509.load_pem_x509_csr(text.encode()), now=now
        )
        await page.get_by_role("link", name="The certificate has come: import it").click()
        await expect(page.get_by_text("The answer to your request for SHAKEN 77AB")).to_be_visible()
        await page.get_by_label("Certificate, intermediates").fill(certificate.pem())
        await page.get_by_role("button", name="Look at it first").click()
        await expect(page.get_by_text("It answers your request for SHAKEN 77AB")).to_be_visible()
        await page.get_by_role("button", name="Import it").click()

        await expect(page.get_by_role("status")).to_contain_text("Its request is fulfilled")
    assert served.snapshots.current.certificates[certificate.fingerprint].tenant == ACME


@WITH_AND_WITHOUT
async def test_a_person_deletes_a_request(browser: Browser, served: Service, script: str) -> None:
    async with person(browser, served.url, **options(script)) as page:
        await enter(page, served)
        await page.goto("/admin/certificates")
        await page.get_by_role("link", name="Requests").click()
        await page.get_by_role("link", name="SHAKEN 1234", exact=True).click()
        await page.get_by_role("link", name="Delete").click()
        await expect(page.get_by_text("Its private key is destroyed with it")).to_be_visible()
        await page.get_by_role("button", name="Delete request and key").click()

        await expect(page.get_by_role("status")).to_contain_text("is deleted")
        await expect(page.locator("tbody tr")).to_have_count(1)


@WITH_AND_WITHOUT
async def test_the_page_of_an_order_follows_it(
    browser: Browser, served: Service, script: str
) -> None:
    await set_up(served)
    await move(served, State.PREPARED)
    async with person(browser, served.url, **options(script)) as page:
        await enter(page, served)
        await page.goto(f"/admin/renewals/{RENEWED.id}")
        status, here = page.get_by_role("status"), page.locator("[aria-current=step]")
        await expect(status).to_have_text("The authority is being asked for a certificate.")
        await expect(here).to_contain_text("The authority is asked")
        if script == "with script":
            await page.evaluate("window.isTheSamePage = true")

        await move(served, State.AUTHORIZING)
        await expect(status).to_contain_text("The authority looks at the names")
        await expect(here).to_contain_text("The names are proven")
        await expect(page.get_by_role("heading", level=1)).to_contain_text("Proving the names")
        await move(served, State.FAILED, next_try=3600)
        await expect(page.get_by_role("heading", level=1)).to_contain_text("Failed")
        await expect(here).to_have_count(0)

        if script == "with script":
            assert await page.evaluate("window.isTheSamePage"), "what a reader does is not undone"


async def test_a_page_that_follows_asks_to_sign_in_when_the_session_is_over(
    browser: Browser, served: Service
) -> None:
    await set_up(served)
    await move(served, State.AUTHORIZING)
    async with person(browser, served.url) as page:
        await enter(page, served)
        await page.goto(f"/admin/renewals/{RENEWED.id}")
        await page.context.clear_cookies()

        await expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")


async def sign_a_test_call(page: Page) -> None:
    """Sign a test call from the page of a trunk."""
    await page.goto("/admin/trunks/main")
    await page.get_by_role("link", name="Sign a test call").click()
    await page.get_by_label("Who calls").fill("+1 (215) 555-0100")
    await page.get_by_label("Who is called").fill("+12155559999")
    await page.get_by_role("button", name="Sign it").click()


@WITH_AND_WITHOUT
async def test_a_person_signs_a_test_call_and_verifies_it(
    browser: Browser, served: Service, script: str
) -> None:
    async with person(browser, served.url, **options(script)) as page:
        await enter(page, served)
        await sign_a_test_call(page)
        await expect(page.get_by_text("one of the numbers that the tenant lists")).to_be_visible()
        await expect(page.get_by_text("So the call is attested A")).to_be_visible()
        copies = page.get_by_role("button", name="Copy the header")
        await expect(copies).to_be_visible(visible=script == "with script")

        await page.get_by_role("button", name="Verify this header").click()

        await expect(page.get_by_role("heading", level=2).first).to_have_text(
            "TN-Validation-Passed"
        )
        await expect(page.get_by_text("the signature fits the certificate's key")).to_be_visible()


@WITH_AND_WITHOUT
async def test_a_person_verifies_a_header_of_an_old_ticket(
    browser: Browser, served: Service, script: str
) -> None:
    async with person(browser, served.url, **options(script)) as page:
        await enter(page, served)
        await sign_a_test_call(page)
        identity = await page.get_by_label("Header", exact=True).input_value()
        served.clock.now += HOUR / 4  # the session has not ended
        await page.get_by_role("link", name="Try it").first.click()
        await page.get_by_role("link", name="Verify a header").click()
        await page.get_by_label("Identity header").fill("Identity: is in the ticket")
        await page.get_by_role("button", name="Verify it").click()
        await expect(page.get_by_role("alert")).to_contain_text("This is no Identity header")
        await page.get_by_label("Identity header").fill(f"Identity: {identity}")
        await page.get_by_role("button", name="Verify it").click()
        verdict = page.get_by_role("heading", level=2).first
        await expect(verdict).to_have_text("TN-Validation-Failed: 403 Stale Date")

        await page.get_by_role("button", name="Judge it as of its iat").click()

        await expect(verdict).to_have_text("TN-Validation-Passed")
        await expect(page.get_by_text("taken from the header's own claims")).to_be_visible()


@WITH_AND_WITHOUT
async def test_a_person_has_a_trunk_answered_by_sip(
    browser: Browser, served: Service, script: str
) -> None:
    async with person(browser, served.url, **options(script)) as page:
        await enter(page, served)
        await page.get_by_role("link", name="Trunks", exact=True).click()
        await page.get_by_role("link", name="New trunk").click()
        await page.get_by_label("Name", exact=True).fill("new")
        await page.get_by_label("Tenant", exact=True).fill(ACME)
        await page.get_by_text("Settings of SIP redirect").click()
        await page.get_by_label("INVITEs come from").fill("192.0.2.10\nthe office")
        await page.get_by_label("Sign diversions").check()
        await page.get_by_label("When the signature does not hold").select_option(
            label="it is rejected with 438"
        )
        await page.get_by_role("button", name="Add it").click()
        await expect(page.get_by_role("alert")).to_contain_text("Line 2 (the office)")
        await expect(page.get_by_label("Sign diversions")).to_be_checked()
        await page.get_by_label("INVITEs come from").fill("192.0.2.10")
        await page.get_by_role("button", name="Add it").click()

        await expect(page.get_by_role("status")).to_contain_text("new is added")
        await expect(page.get_by_role("heading", level=1)).to_have_text("new")
        await expect(page.get_by_text("it is rejected with 438")).to_be_visible()
        await page.get_by_role("link", name="Change").click()
        await expect(page.get_by_label("INVITEs come from")).to_have_value("192.0.2.10")
    assert served.snapshots.current.trunk_rows.rows["new"].sip.divert


@WITH_AND_WITHOUT
async def test_a_person_lists_the_numbers_of_a_tenant(
    browser: Browser, served: Service, script: str
) -> None:
    async with person(browser, served.url, **options(script)) as page:
        await enter(page, served)
        await page.get_by_role("link", name="Tenants", exact=True).click()
        await page.get_by_role("link", name=ACME).click()
        numbers = page.get_by_label("Numbers")
        await numbers.fill("+1 (215) 555 0100\n+12155550200 - 12155550299\nall of Vienna")
        await page.get_by_role("button", name="Save").click()
        await expect(page.get_by_role("alert")).to_contain_text("Line 3 (all of Vienna)")
        await numbers.fill("+1 (215) 555 0100\n+12155550200 - 12155550299\n+431*")
        await page.get_by_role("button", name="Save").click()

        await expect(page.get_by_role("status")).to_contain_text("in use")
        await expect(numbers).to_have_value("+12155550100\n+12155550200-+12155550299\n+431*")


async def test_a_page_that_loads_itself_anew_leaves_a_plain_address(
    browser: Browser, served: Service
) -> None:
    async with person(browser, served.url, **options("with script")) as page:
        await enter(page, served)
        await page.goto("/admin/tenants?search=acme&refreshed=1")

        await expect(page).to_have_url(f"{served.url}/admin/tenants?search=acme")


async def test_a_link_in_a_mail_leads_to_the_page(browser: Browser, served: Service) -> None:
    url = f"{served.url}/admin/certificates"
    async with person(browser, served.url) as page:
        await enter(page, served)
        await page.goto(f"data:text/html,<a href='{url}'>look</a>")
        await page.get_by_role("link", name="look").click()

        await expect(page.get_by_role("heading", level=1)).to_have_text("Certificates")


async def test_times_are_in_the_readers_zone(browser: Browser, served: Service) -> None:
    certificate = served.scenery.certificates["old"]
    async with person(browser, served.url, **options("with script"), locale="en-GB") as page:
        await enter(page, served)
        await page.goto(f"/admin/certificates/{certificate}")
        time = page.locator("time[data-shown=time]").first
        shown, titled = await time.inner_text(), await time.get_attribute("title")

    assert titled is not None
    utc_hour, shown_hour = int(titled[11:13]), int(shown.rpartition(" ")[2][:2])
    assert titled.endswith(" UTC")
    assert shown_hour == (utc_hour + 9) % 24


async def test_everything_can_be_reached_by_keyboard(browser: Browser, served: Service) -> None:
    async with person(browser, served.url, **options("with script")) as page:
        await page.goto("/admin")
        await expect(page.get_by_label("Name of your credential")).to_be_focused()
        await page.keyboard.type(ALICE)
        await page.keyboard.press("Tab")
        await page.keyboard.type(served.scenery.secrets[ALICE])
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
        await page.goto("/admin/certificates")
        await page.keyboard.press("Tab")
        skip = page.get_by_role("link", name="Skip to the content")
        await expect(skip).to_be_focused()
        await expect(skip).to_be_in_viewport()
        await page.keyboard.press("Enter")
        seen: list[list[str]] = []
        while len(seen) < 30 and not (seen and "Delete selected" in seen[-1][0]):
            await page.keyboard.press("Tab")
            seen.append(
                await page.evaluate(
                    "[document.activeElement.textContent.trim(),"
                    " getComputedStyle(document.activeElement).outlineStyle]"
                )
            )

    assert any("Import" in text for text, _ in seen)
    assert any("Delete selected" in text for text, _ in seen)
    assert not any("Sign out" in text for text, _ in seen), "the link skips what is above"
    assert all(style != "none" for text, style in seen if text), "what has the focus shows it"


def states(service: Service) -> list[str]:
    """List the pages, some of them in several states."""
    ids = service.scenery.certificates
    return [
        "/admin",
        "/admin?period=month",
        "/admin/certificates",
        "/admin/certificates?tab=system",
        "/admin/roots",
        "/admin/roots?purpose=tls&page=2",
        "/admin/roots?search=nowhere",
        "/admin/roots/add",
        "/admin/roots/reset?added=remove",
        "/admin/roots/reset?purpose=tls",
        f"/admin/roots/sti/{service.trusted_root.id}",
        "/admin/certificates?search=nowhere",
        "/admin/certificates/import",
        f"/admin/certificates/import?request={service.scenery.requests[ACME]}",
        REQUESTS,
        f"{REQUESTS}?search=nowhere",
        f"{REQUESTS}/new",
        f"{REQUESTS}/new?kind=system",
        f"{REQUESTS}/{service.scenery.requests[ACME]}",
        f"{REQUESTS}/{service.scenery.requests[ACME]}/delete",
        "/admin/renewals",
        "/admin/renewals?state=stopped",
        "/admin/renewals/new",
        f"/admin/renewals/{RENEWED.id}",
        "/admin/renewals/upcoming",
        "/admin/renewals/upcoming?by=day&step=3",
        "/admin/renewals/authority",
        "/admin/renewals/account",
        "/admin/renewals/account/deactivate",
        "/admin/tenants",
        "/admin/new/tenant",
        f"/admin/tenants/{ACME}",
        f"/admin/tenants/{ACME}/delete",
        "/admin/trunks",
        "/admin/new/trunk",
        "/admin/trunks/main",
        "/admin/try",
        "/admin/try/sign?trunk=main",
        "/admin/try/verify",
        "/admin/trunks/main/edit",
        "/admin/credentials",
        "/admin/new/credential",
        f"/admin/credentials/{MACHINE}/revoke",
        f"/admin/certificates/{ids[ACME]}",
        f"/admin/certificates/{ids['system']}",
        f"/admin/certificates/{ids['old']}",
        "/admin/calls",
        "/admin/calls?number=%2B19995550100",
        "/admin/audit",
        "/docs",
        "/admin/no-such-page",
    ]


async def findings(page: Page) -> list[str]:
    """Look a page over for what keeps people out."""
    found = (await Axe().run(page)).response["violations"]
    return [
        f"{page.url} {each['id']}: {each['nodes'][0]['html']}"
        for each in found
        if each["impact"] in SERIOUS
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
async def test_every_page_is_accessible(
    browser: Browser, served: Service, scheme: Any, size: Any
) -> None:
    found = []
    spare = served.scenery.spare
    async with person(browser, served.url, color_scheme=scheme, viewport=size) as page:
        await page.goto("/admin")
        found += await findings(page)
        await sign_in(page, ALICE, "shk_wrong")
        found += await findings(page)
        await enter(page, served)
        for path in states(served):
            await page.goto(path)
            found += await findings(page)
            width = await page.evaluate("document.documentElement.scrollWidth")
            assert width <= size["width"], f"{path} is wider than the window"
        await page.goto("/admin/certificates/import")
        await page.get_by_label("Certificate, intermediates").fill("no PEM")
        await page.get_by_role("button", name="Look at it first").click()
        found += await findings(page)
        await page.get_by_label("Certificate, intermediates").fill(spare.chain_pem + spare.key_pem)
        await page.get_by_role("button", name="Look at it first").click()
        found += await findings(page)
        await page.goto("/admin/certificates")
        await page.get_by_label("Select SHAKEN 1234").check()
        await page.get_by_role("button", name="Delete selected").click()
        found += await findings(page)
        await page.get_by_role("button", name="Delete 1 certificate").click()
        found += await findings(page)
        await sign_a_test_call(page)
        found += await findings(page)
        await page.get_by_role("button", name="Verify this header").click()
        found += await findings(page)
        await page.goto(f"{REQUESTS}/new")
        await page.get_by_role("button", name="Make the request").click()
        found += await findings(page)
        await set_up(served)
        await move(served, State.AUTHORIZING)
        await page.goto(f"/admin/renewals/{RENEWED.id}")
        found += await findings(page)

    assert not found, "\n".join(found)


CHANGING = ("/import", "/new", "/delete", "/revoke", "/add", "/reset", "/deactivate", "/edit")
"""How pages end that are for admins only."""


async def test_no_page_breaks_its_own_rules(browser: Browser, served: Service) -> None:
    complaints: list[str] = []
    async with person(browser, served.url) as page:
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        await enter(page, served, VICTOR)
        for path in states(served)[:-1]:
            if (
                "/new" not in path
                and not path.endswith("?trunk=main")
                and (not path.partition("?")[0].endswith(CHANGING))
            ):
                await page.goto(path)

    assert not complaints
