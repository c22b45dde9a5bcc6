"""Pictures of every page, light, dark and on a phone: `make screenshots` writes them."""

import asyncio
import sys
import tempfile
from pathlib import Path

from playwright.async_api import Page

from tests.web.browser import DESKTOP, PHONE, launched, person, sign_in
from tests.web.scenery import (
    ACME,
    ALICE,
    MACHINE,
    RENEWED,
    Service,
    certified,
    make_scenery,
    move,
    serving,
    set_up,
)
from trust.acme.order import State

REQUESTS = "/admin/certificates/requests"
ALTERED = (
    "Identity: eyJhbGciOiJFUzI1NiIsInBwdCI6InNoYWtlbiIsInR5cCI6InBhc3Nwb3J0IiwieDV1IjoiaHR0cHM6Ly9z"
    "dGkuZXhhbXBsZS5uZXQvYS5wZW0ifQ.eyJhdHRlc3QiOiJBIiwiZGVzdCI6eyJ0biI6WyIxMjE1NTU1OTk5OSJdfSwiaWF0"
    "IjoxNzY3MjI1NjAwLCJvcmlnIjp7InRuIjoiMTIxNTU1NTAxMDAifSwib3JpZ2lkIjoieCJ9.AAAA"
    ";info=<https://127.0.0.1/a.pem>;alg=ES256;ppt=shaken"
)
"""A header whose parts say two things."""

LOOKS = {
    "light": (DESKTOP, "light"),
    "dark": (DESKTOP, "dark"),
    "phone": (PHONE, "light"),
}


def pages_of(service: Service) -> dict[str, str]:
    """List all pages by the names of their pictures."""
    ids = service.scenery.certificates
    return {
        "overview": "/admin",
        "certificates": "/admin/certificates",
        "roots": "/admin/roots",
        "roots-tls": "/admin/roots?purpose=tls",
        "root": f"/admin/roots/sti/{service.trusted_root.id}",
        "roots-add": "/admin/roots/add",
        "roots-reset": "/admin/roots/reset?added=remove",
        "certificate": f"/admin/certificates/{ids[ACME]}",
        "certificate-tls": f"/admin/certificates/{ids['system']}",
        "certificate-expired": f"/admin/certificates/{ids['old']}",
        "import": "/admin/certificates/import",
        "requests": REQUESTS,
        "no-requests": f"{REQUESTS}?search=nowhere",
        "request-new": f"{REQUESTS}/new",
        "request-new-system": f"{REQUESTS}/new?kind=system",
        "request": f"{REQUESTS}/{service.scenery.requests[ACME]}",
        "request-delete": f"{REQUESTS}/{service.scenery.requests[ACME]}/delete",
        "import-request": f"/admin/certificates/import?request={service.scenery.requests[ACME]}",
        "renewals": "/admin/renewals",
        "renewal": f"/admin/renewals/{RENEWED.id}",
        "renewal-new": "/admin/renewals/new",
        "renewals-upcoming": "/admin/renewals/upcoming",
        "authority": "/admin/renewals/authority",
        "account": "/admin/renewals/account",
        "tenants": "/admin/tenants",
        "tenant-new": "/admin/new/tenant",
        "tenant": f"/admin/tenants/{ACME}",
        "tenant-delete": f"/admin/tenants/{ACME}/delete",
        "trunks": "/admin/trunks",
        "trunk-new": "/admin/new/trunk",
        "trunk": "/admin/trunks/main",
        "try": "/admin/try",
        "try-sign": "/admin/try/sign?trunk=main",
        "try-verify": "/admin/try/verify",
        "trunk-edit": "/admin/trunks/main/edit",
        "credentials": "/admin/credentials",
        "credential-new": "/admin/new/credential",
        "credential-revoke": f"/admin/credentials/{MACHINE}/revoke",
        "nothing-found": "/admin/certificates?search=nowhere",
        "calls": "/admin/calls",
        "no-calls": "/admin/calls?number=%2B19995550100",
        "audit": "/admin/audit",
        "reference": "/docs",
    }


async def take(folder: Path) -> None:
    """Take all pictures."""
    with tempfile.TemporaryDirectory() as temporary:
        scenery = make_scenery(Path(temporary) / "scenery")
        async with serving(scenery, Path(temporary) / "data") as service, launched() as browser:
            for look, (size, scheme) in LOOKS.items():
                async with person(browser, service.url, viewport=size, color_scheme=scheme) as page:
                    await page.goto("/admin")
                    await _picture(page, folder / f"sign-in-{look}.png")
                    await sign_in(page, ALICE, scenery.secrets[ALICE])
                    for name, path in pages_of(service).items():
                        await page.goto(path)
                        await _picture(page, folder / f"{name}-{look}.png")
                    await _steps(page, service, folder, look)


async def _steps(page: Page, service: Service, folder: Path, look: str) -> None:
    """Take pictures of what comes after a form was sent."""
    spare = service.scenery.spare
    await page.goto("/admin/certificates/import")
    await page.get_by_label("Certificate, intermediates").fill("no PEM")
    await page.get_by_role("button", name="Look at it first").click()
    await _picture(page, folder / f"import-error-{look}.png")
    await page.get_by_label("Certificate, intermediates").fill(spare.chain_pem + spare.key_pem)
    await page.get_by_role("button", name="Look at it first").click()
    await _picture(page, folder / f"preview-{look}.png")
    await page.goto("/admin/certificates")
    for box in await page.get_by_role("checkbox", name="Select SHAKEN").all():
        await box.check()
    await page.get_by_role("button", name="Delete selected").click()
    await _picture(page, folder / f"delete-{look}.png")
    await page.goto("/admin/roots/add")
    await page.get_by_label("Certificates", exact=True).fill(spare.chain_pem)
    await page.get_by_role("button", name="Look at them first").click()
    await _picture(page, folder / f"roots-preview-{look}.png")
    await page.goto("/admin/roots")
    await page.get_by_label("Select STI-PA Root 2025").check()
    await page.get_by_role("button", name="Delete selected").click()
    await _picture(page, folder / f"roots-delete-{look}.png")
    await page.goto(f"{REQUESTS}/new")
    await page.get_by_role("button", name="Make the request").click()
    await _picture(page, folder / f"request-error-{look}.png")
    await page.goto("/admin/certificates/import")
    await page.get_by_label("Certificate, intermediates").fill(certified(service, ACME).pem())
    await page.get_by_role("button", name="Look at it first").click()
    await _picture(page, folder / f"preview-request-{look}.png")
    await set_up(service)
    await move(service, State.AUTHORIZING)
    await page.goto(f"/admin/renewals/{RENEWED.id}")
    await _picture(page, folder / f"renewal-under-way-{look}.png")
    await page.goto("/admin/try/sign?trunk=main")
    await page.get_by_label("Who calls").fill("+1 (215) 555-0100")
    await page.get_by_label("Who is called").fill("+12155559999")
    await page.get_by_role("button", name="Sign it").click()
    await page.get_by_text("certificates that were looked at").click()
    await _picture(page, folder / f"signed-{look}.png")
    await page.get_by_role("button", name="Verify this header").click()
    await _picture(page, folder / f"verified-{look}.png")
    await page.goto("/admin/try/verify")
    await page.get_by_label("Identity header").fill(ALTERED)
    await page.get_by_role("button", name="Verify it").click()
    await _picture(page, folder / f"not-verified-{look}.png")


async def _picture(page: Page, file: Path) -> None:
    await page.screenshot(path=file, full_page=True)


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    asyncio.run(take(target))
