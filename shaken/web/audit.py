"""The audit: who changed what, when and from where, searched and exported as CSV."""

from collections.abc import Iterator

import msgspec

from shaken.api import audit
from shaken.audit import Action
from shaken.credentials import Role
from shaken.web.exports import asked, download, everything, shown
from shaken.web.routes import BASE, Answer, Page, PageCall, View
from shaken.web.words import machine_time

LIST = f"{BASE}/audit"
FIELDS = ("subject", "action", "actor", "since", "until")
HEADER = ("id", "at", "actor", "peer", "action", "subject", "tenant", "detail")
"""The columns of the file, named as the API names them; `detail` is JSON."""

ACTIONS = [("", "any"), *((each.value, each.value) for each in Action)]


def listing(call: PageCall) -> Answer:
    """Show what was changed, the newest first."""
    context = shown(call, LIST, FIELDS, audit.listing)
    more = {"actions": ACTIONS, "written": _written}
    return View("audit.html", {**context, **more}, 400 if context["errors"] else 200)


def export(call: PageCall) -> Answer:
    """Give the entries that a filter finds as a file."""
    return download("audit", HEADER, _rows(call))


def _rows(call: PageCall) -> Iterator[tuple[object, ...]]:
    for entry in everything(call, asked(call.query, FIELDS), audit.listing):
        told = {"at": machine_time(entry.at), "detail": _written(entry.detail)}
        yield tuple(told.get(name, getattr(entry, name)) for name in HEADER)


def _written(value: object) -> str:
    """Write a value of a thing as JSON."""
    return msgspec.json.encode(value).decode()


PAGES = (
    Page("GET", LIST, Role.VIEWER, listing),
    Page("GET", f"{LIST}.csv", Role.VIEWER, export),
)
