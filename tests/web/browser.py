"""A real browser, Debian's Chromium, that reaches this machine only."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from playwright.async_api import Browser, BrowserContext, Page, async_playwright

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


@asynccontextmanager
async def launched() -> AsyncIterator[Browser]:
    """Run a headless browser."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=list(ARGUMENTS), headless=True
        )
        yield browser
        await browser.close()


@asynccontextmanager
async def person(browser: Browser, url: str, **options: Any) -> AsyncIterator[Page]:
    """Give a page of a fresh profile at `url`; whatever it asks of other hosts is an error."""
    strangers: list[str] = []
    context: BrowserContext = await browser.new_context(base_url=url, **options)
    context.set_default_timeout(10_000)
    context.on(
        "request",
        lambda request: (
            strangers.append(request.url) if not request.url.startswith((url, "data:")) else None
        ),
    )
    yield await context.new_page()
    await context.close()
    assert not strangers, strangers


async def sign_in(page: Page, name: str, secret: str) -> None:
    """Sign in as a person does."""
    await page.goto("/admin")
    await page.get_by_label("Name of your credential").fill(name)
    await page.get_by_label("Secret").fill(secret)
    await page.get_by_role("button", name="Sign in").click()
