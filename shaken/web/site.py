"""The pages there are, and what the navigation leads to: a new page is added here."""

from collections.abc import Sequence

from shaken.credentials import Role
from shaken.web import (
    audit,
    authority,
    authority_account,
    calls,
    certificate,
    certificates,
    credentials,
    importing,
    orders,
    overview,
    requests,
    roots,
    roots_adding,
    roots_changing,
    tenants,
    trunks,
    try_signing,
    try_verifying,
    trying,
    upcoming,
)
from shaken.web.routes import BASE, Answer, Page, PageCall, Redirect, no_page

NAVIGATION = (
    (BASE, "Overview"),
    (f"{BASE}/certificates", "Certificates"),
    (orders.LIST, "Renewals"),
    (roots.LIST, "Roots"),
    (f"{BASE}/tenants", "Tenants"),
    (f"{BASE}/trunks", "Trunks"),
    (f"{BASE}/credentials", "Credentials"),
    (trying.TRY, "Try it"),
    (calls.LIST, "Calls"),
    (audit.LIST, "Audit"),
)
"""The pages that the navigation leads to, with what it calls them."""


def _first(_: PageCall) -> Answer:
    return Redirect(BASE)


def _unknown(_: PageCall) -> Answer:
    raise no_page()


PAGES: Sequence[Page] = (
    Page("GET", f"{BASE}/", Role.VIEWER, _first),
    *overview.PAGES,
    *certificates.PAGES,
    *importing.PAGES,
    *requests.PAGES,
    *certificate.PAGES,
    *upcoming.PAGES,
    *authority.PAGES,
    *authority_account.PAGES,
    *orders.PAGES,
    *roots_adding.PAGES,
    *roots_changing.PAGES,
    *roots.PAGES,
    *tenants.PAGES,
    *trunks.PAGES,
    *credentials.PAGES,
    *trying.PAGES,
    *try_signing.PAGES,
    *try_verifying.PAGES,
    *calls.PAGES,
    *audit.PAGES,
)

UNKNOWN = Page("GET", "", Role.VIEWER, _unknown)
"""What answers where there is no page."""
