"""What the two pages for trying share: where they are, which trunks they offer, how they begin."""

from collections.abc import Mapping, Sequence

from shaken.credentials import Role
from shaken.tenants import Trunk
from shaken.web.routes import BASE, Answer, Page, PageCall, View

TRY = f"{BASE}/try"
SIGN, VERIFY = f"{TRY}/sign", f"{TRY}/verify"

MAX_OPTIONS = 100
"""Trunks that a field offers for choice; with more their names are typed."""


def start(_: PageCall) -> Answer:
    """Show what can be tried."""
    return View("try.html")


def trunk_options(call: PageCall, blank: str) -> Sequence[tuple[str, str]] | None:
    """List the trunks that a person may choose; None: there are too many, names are typed.

    `blank` is what the choice of none is called.
    """
    rows = call.snapshot.trunks.values()
    names = sorted(row.name for row in rows if call.scope in {None, row.tenant})
    if len(names) > MAX_OPTIONS:
        return None
    return [("", blank), *((name, name) for name in names)]


def find_trunk(call: PageCall, name: str, errors: dict[str, str]) -> Trunk | None:
    """Find the trunk that was chosen, None: none was; one that is not there is an error."""
    if not name:
        return None
    trunk = call.snapshot.trunks.get(name)
    if trunk is None or call.scope not in {None, trunk.tenant}:
        errors["trunk"] = "There is no such trunk. It may have been deleted."
        return None
    return trunk


def typed_of(call: PageCall, fields: Sequence[str]) -> Mapping[str, str]:
    """Return what was typed into the fields of a form."""
    return {name: call.form.text(name) for name in fields}


PAGES = (Page("GET", TRY, Role.VIEWER, start),)
