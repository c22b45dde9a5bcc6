"""Tenants: listed, added, changed; deleted when nothing belongs to them any more."""

from shaken.api import tenants as api
from shaken.api.problems import Problem
from shaken.api.routes import Reply, read_address
from shaken.attestation import parse_number_rule
from shaken.credentials import Role
from shaken.facts import TenantRecord
from shaken.tenants import Tenant
from shaken.web.asking import ask_api, bad_lines, errors_of, find, lines
from shaken.web.routes import BASE, Answer, Page, PageCall, Redirect, View
from shaken.web.words import plural
from trust.selection import Fallback
from trust.store import acme_orders, requests
from trust.store.acme_orders import Upcoming

LIST = f"{BASE}/tenants"
NEW, ONE, DELETE = f"{BASE}/new/tenant", f"{LIST}/{{address}}", f"{LIST}/{{address}}/delete"

FIELDS = ("address", "aliases", "numbers", "fallback", "managed")

FALLBACKS = (
    (Fallback.FIRST.value, "the first certificate of the service that can sign"),
    (Fallback.NONE.value, "none: its calls are not signed"),
)


def listing(call: PageCall) -> Answer:
    """Show the tenants that this person may see."""
    rows = call.snapshot.tenant_rows.rows.values()
    seen = sorted(
        (row for row in rows if call.scope in {None, row.address}), key=lambda row: row.address
    )
    context = {"found": find(call, LIST, seen, _words), "may_change": _may_change(call)}
    return View("tenants.html", context)


def ask(call: PageCall) -> Answer:
    """Show the empty form."""
    call.require_everything()
    return _form(call, {"fallback": Fallback.FIRST.value}, {})


def make(call: PageCall) -> Answer:
    """Add a tenant."""
    call.require_everything()
    typed = _typed(call)
    if errors := _mistakes(typed):
        return _form(call, typed, errors, status=422)
    document = {"address": typed["address"], **_settings(typed)}
    try:
        made: TenantRecord = ask_api(call, api.create, document, api.TenantCreation).value
    except Problem as problem:
        taken = "aliases" if typed["aliases"] else "address"
        return _form(call, typed, errors_of(problem, FIELDS, taken=taken), status=422)
    return Redirect(f"{LIST}/{made.address}", f"{made.address} is added.")


def show(call: PageCall) -> Answer:
    """Show a tenant, for those who may change it in a form."""
    one = _record(api.show(call))
    typed = {
        "aliases": "\n".join(one.aliases),
        "numbers": "\n".join(one.numbers),
        "fallback": one.fallback.value,
        "managed": "yes" if one.managed else "",
    }
    return _form(call, typed, {}, one=one)


def change(call: PageCall) -> Answer:
    """Replace the settings of a tenant."""
    call.require_everything()
    one, typed = _record(api.show(call)), _typed(call)
    if errors := _mistakes(typed):
        return _form(call, typed, errors, one=one, status=422)
    try:
        ask_api(call, api.replace, _settings(typed), api.TenantSettings, address=one.address)
    except Problem as problem:
        errors = errors_of(problem, FIELDS, taken="aliases")
        return _form(call, typed, errors, one=one, status=422)
    return Redirect(f"{LIST}/{one.address}", "The changes are in use.")


def ask_delete(call: PageCall) -> Answer:
    """Ask whether a tenant is to be deleted, saying what belongs to it."""
    call.require_everything()
    return _deletion(call, _record(api.show(call)))


def delete(call: PageCall) -> Answer:
    """Delete a tenant, or say again what belongs to it."""
    one = _record(api.show(call))
    try:
        api.remove(call)
    except Problem as problem:
        if problem.slug != "in-use":
            raise
        return _deletion(call, one, status=409)
    return Redirect(LIST, f"{one.address} is deleted.")


def _deletion(call: PageCall, one: TenantRecord, *, status: int = 200) -> View:
    address, snapshot = one.address, call.snapshot
    with call.resources.database.reading() as connection:
        has_requests = requests.any_of_tenant(connection, address)
        ordered = acme_orders.counted_upcoming(connection, Upcoming(late=0, tenant=address))
    owners: dict[str, list[str | None]] = {
        "certificate": [row.tenant for row in snapshot.certificates.values()],
        "trunk": [row.tenant for row in snapshot.trunk_rows.rows.values()],
        "credential": [row.tenant for row in snapshot.credential_rows.rows.values()],
    }
    counts = {noun: tenants.count(address) for noun, tenants in owners.items()}
    depends = [plural(count, noun) for noun, count in counts.items() if count]
    if has_requests:
        depends.append("pending certificate requests")
    return View("tenant-delete.html", {"one": one, "depends": depends, "ordered": ordered}, status)


def _form(
    call: PageCall,
    typed: dict[str, str],
    errors: dict[str, str],
    *,
    one: TenantRecord | None = None,
    status: int = 200,
) -> View:
    context = {
        "typed": {**dict.fromkeys(FIELDS, ""), **typed},
        "errors": errors,
        "one": one,
        "fallbacks": FALLBACKS,
        "may_change": _may_change(call),
    }
    return View("tenant.html", context, status)


def _typed(call: PageCall) -> dict[str, str]:
    return {name: call.form.text(name) for name in FIELDS}


def _mistakes(typed: dict[str, str]) -> dict[str, str]:
    """Say by field which of its lines cannot be read."""
    found = {
        "aliases": bad_lines(typed["aliases"], _read_alias),
        "numbers": bad_lines(typed["numbers"], lambda line: parse_number_rule(_bare(line))),
    }
    return {name: words for name, words in found.items() if words}


def _read_alias(text: str) -> None:
    try:
        read_address(text, "aliases")
    except Problem as problem:
        raise ValueError(problem.detail) from problem


def _bare(line: str) -> str:
    """Take away what people write into numbers for the eye."""
    return line.translate(_FOR_THE_EYE)


_FOR_THE_EYE = {
    **dict.fromkeys(map(ord, " \u00a0\u202f\t()./")),
    **dict.fromkeys(map(ord, "\u2013\u2014"), "-"),
}
"""Blanks, brackets and dots go; dashes of a range are hyphens."""


def _settings(typed: dict[str, str]) -> dict[str, object]:
    return {
        "aliases": lines(typed["aliases"]),
        "numbers": list(dict.fromkeys(map(_bare, lines(typed["numbers"])))),
        "fallback": typed["fallback"],
        "managed": typed["managed"] == "yes",
    }


def _record(reply: Reply) -> TenantRecord:
    shown: TenantRecord = reply.value
    return shown


def _may_change(call: PageCall) -> bool:
    """Say whether a person may change tenants: their own admins may not, whom they bind."""
    return call.can_change and call.scope is None


def _words(row: Tenant) -> str:
    return "\n".join((*row.addresses, *(str(rule) for rule in row.numbers)))


PAGES = (
    Page("GET", LIST, Role.VIEWER, listing),
    Page("GET", NEW, Role.ADMIN, ask),
    Page("POST", NEW, Role.ADMIN, make),
    Page("GET", ONE, Role.VIEWER, show),
    Page("POST", ONE, Role.ADMIN, change),
    Page("GET", DELETE, Role.ADMIN, ask_delete),
    Page("POST", DELETE, Role.ADMIN, delete),
)
