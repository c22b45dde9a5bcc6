"""The lists of certificates: search, order, pages; several are deleted at once.

What is searched is the snapshot, in memory; the store is asked for what one page shows only.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlencode

from shaken import certificates
from shaken.api.certificate_records import records
from shaken.api.problems import Problem, master_key_missing
from shaken.api.routes import read_id
from shaken.builtin import make_up_for
from shaken.certificates import Dependent, Status, dependents, status_of
from shaken.credentials import Role
from shaken.web.certificate_words import KINDS, common_name, title_of
from shaken.web.routes import BASE, Answer, Page, PageCall, Redirect, View
from shaken.web.words import plural
from trust.acme.order import Order
from trust.certificate import CertificateKind
from trust.keys import MasterKeyError
from trust.store import acme_orders, requests
from trust.store.certificates import StoredCertificate

LIST, DELETE = f"{BASE}/certificates", f"{BASE}/certificates/delete"
REQUESTS = f"{LIST}/requests"

Row = TypeVar("Row")

ROWS = 50
"""Rows of one page."""

MAX_SEARCH = 200
"""Characters of a search that count."""

MAX_DELETED = 1000
"""Certificates that are deleted at once, as by the API."""

MAX_DEPENDENTS = 20
"""Sentences on what would miss them; more are only counted."""

TABS = tuple(
    kind.value for kind in (CertificateKind.STI, CertificateKind.DOMAIN, CertificateKind.SYSTEM)
)

ABOUT: Mapping[str, tuple[str, str]] = {kind.value: words for kind, words in KINDS.items()}
"""What each tab is called, and what it holds."""

_ORDERS: Mapping[str, Callable[[StoredCertificate], tuple[object, ...]]] = {
    "expires": lambda row: (row.not_after, row.sequence),
    "name": lambda row: (title_of(row).lower(), row.sequence),
    "tenant": lambda row: (row.tenant is None, row.tenant or "", row.sequence),
    "newest": lambda row: (-row.sequence,),
}
ORDERS = {
    "expires": "first to expire",
    "name": "name",
    "tenant": "tenant",
    "newest": "last to come",
}
"""How a list can be sorted, in words."""


@dataclass(frozen=True)
class Wanted:
    """Which rows of which list are asked for."""

    tab: str
    search: str
    status: str
    order: str
    number: int

    @classmethod
    def of(cls, query: Mapping[str, str]) -> "Wanted":
        """Read the query of an address; what is not understood is left out."""
        tab, order, number = query.get("tab", ""), query.get("order", ""), query.get("page", "")
        status = query.get("status", "")
        return cls(
            tab=tab if tab in TABS else TABS[0],
            search=query.get("search", "").strip()[:MAX_SEARCH],
            status=status if status in {each.value for each in Status} else "",
            order=order if order in _ORDERS else "expires",
            number=page_number(number),
        )

    @property
    def is_filtered(self) -> bool:
        """Whether not all of the list is asked for."""
        return bool(self.search or self.status)

    def path(self, **changed: object) -> str:
        """Return the address of this list with some of it changed."""
        given = {
            "tab": self.tab,
            "search": self.search,
            "status": self.status,
            "order": "" if self.order == "expires" else self.order,
            "page": "",
            **changed,
        }
        told = {name: value for name, value in given.items() if value}
        return f"{LIST}?{urlencode(told)}"

    def page(self, number: int) -> str:
        """Return the address of another page of this list."""
        return self.path(page=number)


def listing(call: PageCall) -> Answer:
    """Show one tab."""
    wanted = Wanted.of(call.query)
    context = {
        "wanted": wanted,
        "tabs": tabs_of(call, here=wanted.tab),
        "about": ABOUT[wanted.tab][1],
        "statuses": [("", "any"), *((each.value, each.value.replace("-", " ")) for each in Status)],
    }
    return View("certificates.html", {**context, **_certificates(call, wanted, _visible(call))})


def tabs_of(call: PageCall, *, here: str) -> Sequence[tuple[str, str, int, bool]]:
    """List the tabs of this area: where each leads, its name, how much it holds, if it is `here`.

    `here` is a tab, or REQUESTS.
    """
    counts = Counter(row.kind.value for row in _visible(call))
    with call.resources.database.reading() as connection:
        waiting = requests.count(connection, requests.Filter(tenant=call.scope))
    tabs = [(f"{LIST}?tab={tab}", ABOUT[tab][0], counts[tab], tab == here) for tab in TABS]
    return [*tabs, (REQUESTS, "Requests", waiting, here == REQUESTS)]


def _visible(call: PageCall) -> list[StoredCertificate]:
    """List the certificates that this person may see."""
    rows = call.snapshot.certificates.values()
    return [row for row in rows if call.scope in {None, row.tenant}]


def _certificates(
    call: PageCall, wanted: Wanted, rows: Sequence[StoredCertificate]
) -> dict[str, object]:
    words = wanted.search.lower().split()
    found = [
        row
        for row in rows
        if row.kind.value == wanted.tab
        and (not wanted.status or status_of(row, now=call.now).value == wanted.status)
        and _holds(row, words)
    ]
    found.sort(key=_ORDERS[wanted.order])
    number, shown = page_of(found, wanted.number)
    with call.resources.database.reading() as connection:
        items = records(call, connection, shown)
    by_id = {row.id: row for row in shown}
    return {
        "items": [(item, title_of(by_id[item.id])) for item in items],
        "total": len(found),
        "number": number,
        "pages": pages_of(len(found)),
        "orders": tuple(ORDERS.items()),
        "common_name": common_name,
    }


def _holds(row: StoredCertificate, words: Sequence[str]) -> bool:
    """Say whether all words stand somewhere in what identifies a certificate."""
    if not words:
        return True
    told = (*row.names, row.subject, row.issuer, row.tenant or "", row.serial, row.id)
    text = "\n".join(told).lower()
    return all(word in text for word in words)


def pages_of(total: int) -> int:
    """Return how many pages so many rows fill; one at least."""
    return max(1, -(-total // ROWS))


def page_number(text: str) -> int:
    """Read which page an address asks for."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 7 else 1


def page_of(found: Sequence[Row], wanted: int) -> tuple[int, Sequence[Row]]:
    """Return a page, the last one where there are fewer, and its number."""
    number = min(max(wanted, 1), pages_of(len(found)))
    return number, found[(number - 1) * ROWS : number * ROWS]


def delete(call: PageCall) -> Answer:
    """Ask whether certificates are to be deleted, saying what depends on them; then do it."""
    ids = tuple(dict.fromkeys(call.form.texts("id")))
    if not ids:
        return Redirect(LIST, "Nothing was selected, so nothing was deleted.")
    rows = [_wanted(call, identity) for identity in ids[:MAX_DELETED]]
    missing = list(_missing(call, rows))
    sure, force = call.form.text("sure") == "yes", call.form.text("force") == "yes"
    errors = {}
    if sure and (not missing or force):
        try:
            _remove(call, rows, force=force)
        except certificates.Missed as missed:
            missing = [*missing, missed.dependent]
        else:
            return Redirect(
                f"{LIST}?tab={rows[0].kind.value}", f"{plural(len(rows), 'certificate')} deleted."
            )
    if sure:
        errors = {"force": "Say that you know what will stop working, or keep the certificate."}
    context = {
        "rows": [(row, title_of(row), status_of(row, now=call.now)) for row in rows],
        "missing": missing[:MAX_DEPENDENTS],
        "more": max(0, len(missing) - MAX_DEPENDENTS),
        "orders": _orders(call, rows),
        "tab": rows[0].kind.value,
        "kinds": KINDS,
        "errors": errors,
    }
    return View("certificates-delete.html", context, 409 if errors else 200)


def _wanted(call: PageCall, identity: str) -> StoredCertificate:
    row = call.snapshot.certificates.get(read_id(identity, "certificate"))
    if row is None or call.scope not in {None, row.tenant}:
        raise _gone()
    return row


def _missing(call: PageCall, rows: Sequence[StoredCertificate]) -> Sequence[Dependent]:
    fallback = call.resources.config.signing.fallback
    return list(dependents(rows, call.snapshot, fallback=fallback, now=call.now))


def _orders(call: PageCall, rows: Sequence[StoredCertificate]) -> Sequence[Order]:
    """List the orders that get another certificate for one of these."""
    with call.resources.database.reading() as connection:
        found = [acme_orders.for_certificate(connection, row.id) for row in rows]
    return [order for order in found if order is not None and order.managed]


def _remove(call: PageCall, rows: Sequence[StoredCertificate], *, force: bool) -> None:
    try:
        with call.changing() as change:
            removed = certificates.remove(
                change,
                [row.id for row in rows],
                known=call.snapshot,
                scope=call.scope,
                fallback=call.resources.config.signing.fallback,
                force=force,
            )
            make_up_for(change, removed, master=call.resources.master)
    except certificates.NoSuchCertificate as error:
        raise _gone() from error
    except MasterKeyError as error:
        raise master_key_missing(error) from error


def _gone() -> Problem:
    return Problem(
        404, "not-found", "One of these certificates is there no more. Nothing was deleted."
    )


PAGES = (
    Page("GET", LIST, Role.VIEWER, listing),
    Page("POST", DELETE, Role.ADMIN, delete),
)
