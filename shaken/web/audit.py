"""The audit: who did what, when and from where, searched and exported as CSV."""

import msgspec

from shaken.api import audit
from shaken.credentials import Role
from shaken.web.audit_words import ACTIONS, action_words, details_of
from shaken.web.exports import download, everything, shown
from shaken.web.routes import BASE, Answer, Page, PageCall, View
from shaken.web.words import machine_time

LIST = f"{BASE}/audit"
FIELDS = ("subject", "action", "actor", "since", "until")
HEADER = ("id", "at", "actor", "peer", "action", "subject", "tenant", "detail")
"""The columns of the file, named as the API names them; `detail` is JSON."""

_CHOICES = [("", "any"), *((each.value, words) for each, words in ACTIONS.items())]


def listing(call: PageCall) -> Answer:
    """Show what was done, the newest first."""
    context = shown(call, LIST, FIELDS, audit.listing)
    more = {"actions": _CHOICES, "action_words": action_words, "details_of": details_of}
    return View("audit.html", {**context, **more}, 400 if context["errors"] else 200)


def export(call: PageCall) -> Answer:
    """Give the entries that a filter finds as a file."""
    return download("audit", HEADER, everything(call, LIST, FIELDS, audit.listing, _cells))


def _cells(entry: audit.AuditRecord) -> tuple[object, ...]:
    told = {"at": machine_time(entry.at), "detail": _written(entry.detail)}
    return tuple(told.get(name, getattr(entry, name)) for name in HEADER)


def _written(value: object) -> str:
    """Write a value of a thing as JSON."""
    return msgspec.json.encode(value).decode()


PAGES = (
    Page("GET", LIST, Role.VIEWER, listing),
    Page("GET", f"{LIST}.csv", Role.VIEWER, export),
)
