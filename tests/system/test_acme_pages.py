"""The admin pages of renewals in a browser, over the real service and a real authority."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.ports import free_port
from tests.system.acme_site import Site, a_site
from tests.trust.acme.pebble import EAB_KEY, EAB_KID, running_pebble
from tests.web.browser import ARGUMENTS, CHROMIUM

NAME = "pages.example.net"
MOVES = 60_000
"""Milliseconds that a renewer may take, on a busy machine."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A service that knows nothing of the authority yet, but trusts its TLS."""
    http_port, folder = free_port(), tmp_path_factory.mktemp("site")
    with (
        running_pebble(folder, eab=True, http_port=http_port) as pebble,
        a_site(folder, pebble, http_port, folder / "dns-hook") as made,
    ):
        root = {"purpose": "tls", "certificate": pebble.roots_file.read_text()}
        assert made.admin.post("/api/v1/roots", root).status == 201
        yield made


@pytest.fixture
def page(site: Site) -> Iterator[Page]:
    """A browser's page, of a person who has signed in."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=list(ARGUMENTS), headless=True
        )
        context = browser.new_context(base_url=site.service.url)
        context.set_default_timeout(MOVES)
        opened = context.new_page()
        opened.goto("/admin")
        opened.get_by_label("Name of your credential").fill("seed")
        opened.get_by_label("Secret").fill(site.admin.secret or "")
        opened.get_by_role("button", name="Sign in").click()
        expect(opened.get_by_role("heading", level=1)).to_have_text("Overview")
        yield opened
        browser.close()


def set_up(page: Page, site: Site, **fields: str) -> None:
    """Choose the authority, with these fields of the form, and confirm."""
    page.goto("/admin/renewals/authority")
    page.get_by_label("Authority", exact=True).select_option("other")
    page.get_by_label("Directory of another one").fill(site.pebble.directory)
    page.get_by_label("I agree to the authority's terms").check()
    for label, text in fields.items():
        field = page.get_by_label(label)
        if not field.is_visible():
            page.get_by_text("gives accounts by invitation").click()
        field.fill(text)
    page.get_by_role("button", name="Look at what changes").click()
    page.get_by_role("button", name="Use these settings").click()
    expect(page.get_by_role("status")).to_contain_text("The settings are in use")


def test_an_authority_is_set_up_and_its_account_lives_and_ends_by_the_pages(
    site: Site, page: Page
) -> None:
    # The account is refused, and the page says what to do.
    set_up(page, site)
    page.goto("/admin/renewals/new")
    page.get_by_label("Names", exact=True).fill(NAME)
    page.get_by_label("What it is for").select_option("system")
    page.get_by_label("Also for names that are no address").check()
    page.get_by_role("button", name="Obtain it").click()
    expect(page.get_by_text("Enter the key id and the MAC key")).to_be_visible(timeout=MOVES)

    # It is given, and a certificate comes.
    set_up(page, site, **{"Key id": EAB_KID, "MAC key": EAB_KEY})
    done = site.command("acme", "order", "other.example.net", "--kind", "system", "--force")
    assert done.returncode == 0, done.stderr
    order = site.issued("other.example.net")
    page.goto(f"/admin/renewals/{order['id']}")
    expect(page.get_by_text("Kept renewed")).to_be_visible()
    page.goto("/admin/renewals/upcoming")
    expect(page.get_by_role("link", name="other.example.net")).to_be_visible()

    # The account gets another key while the page is watched.
    page.goto("/admin/renewals/account")
    expect(page.get_by_text("In use", exact=True)).to_be_visible()
    before = thumbprint(page)
    page.get_by_role("link", name="New key").click()
    page.get_by_role("button", name="Give it a new key").click()
    expect(page.get_by_role("link", name="New key")).to_be_visible(timeout=MOVES)
    assert thumbprint(page) != before

    # It ends, and another one may be made.
    page.get_by_role("link", name="Deactivate").click()
    page.get_by_label("I know what will stop working").check()
    page.get_by_role("button", name="Deactivate it for ever").click()
    expect(page.get_by_text("Deactivated", exact=True)).to_be_visible(timeout=MOVES)
    page.get_by_role("link", name="Start over").click()
    page.get_by_role("button", name="Start over").click()
    expect(page.get_by_text("There is no account yet")).to_be_visible(timeout=MOVES)
    assert EAB_KEY not in page.content()


def thumbprint(page: Page) -> str:
    """Return what the page says of the account's key."""
    found = re.search(r"<dt>Key</dt><dd><code>([\w-]{43})</code>", page.content())
    assert found
    return found[1]
