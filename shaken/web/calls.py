"""The signed and verified calls: searched by number, time and verdict, and exported as CSV."""

from shaken.acceptance import Verstat
from shaken.api import calls
from shaken.call_records import TEST_REQUEST
from shaken.credentials import Role
from shaken.store.calls import CallKind
from shaken.web.exports import download, everything, shown
from shaken.web.routes import BASE, Answer, Page, PageCall, View
from shaken.web.words import machine_time

LIST = f"{BASE}/calls"
FIELDS = ("number", "kind", "verstat", "since", "until")

HEADER = (
    *("at", "kind", "tenant", "trunk", "credential", "orig", "dest", "attest", "origid"),
    *("certificate", "request_id", "verstat", "code", "action", "reason"),
)
"""The columns of the file, named as the API names them."""

VERDICTS = {Verstat.PASSED: "passed", Verstat.FAILED: "failed", Verstat.NONE: "not validated"}
KINDS = [("", "any"), *((each.value, each.value) for each in CallKind)]


def listing(call: PageCall) -> Answer:
    """Show calls, the newest first."""
    context = shown(call, LIST, FIELDS, calls.listing)
    options = [("", "any"), *((each.value, words) for each, words in VERDICTS.items())]
    more = {"kinds": KINDS, "verdicts": options, "test_request": TEST_REQUEST}
    return View("calls.html", {**context, **more}, 400 if context["errors"] else 200)


def export(call: PageCall) -> Answer:
    """Give the calls that a filter finds as a file."""
    return download("calls", HEADER, everything(call, LIST, FIELDS, calls.listing, _cells))


def _cells(entry: calls.CallEntry) -> tuple[object, ...]:
    told = {"at": machine_time(entry.at), "dest": " ".join(entry.dest)}
    return tuple(told.get(name, getattr(entry, name)) for name in HEADER)


PAGES = (
    Page("GET", LIST, Role.VIEWER, listing),
    Page("GET", f"{LIST}.csv", Role.VIEWER, export),
)
