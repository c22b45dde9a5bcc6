"""Certificate requests (CSR): listed, made, one in words, deleted with its key.

What may be asked for, and what becomes of it, is the API's; a page puts it into words and forms.
"""

from sqlalchemy import Connection

from shaken.api import requests as api
from shaken.api.certificate_records import TnAuthListRecord, authorised
from shaken.api.problems import Problem
from shaken.api.requests import MAX_NAMES, MAX_TNS, RequestRecord
from shaken.api.routes import read_id
from shaken.audit import Action
from shaken.credentials import Role
from shaken.store.audit import AuditEntry, AuditFilter, find_entries
from shaken.web.asking import ask_api, errors_of, file_of, find, lines
from shaken.web.certificate_words import KINDS, common_name
from shaken.web.certificates import REQUESTS, tabs_of
from shaken.web.routes import Answer, Page, PageCall, Redirect, View
from shaken.web.words import plural
from trust.acme.order import order_id
from trust.certificate import CertificateKind
from trust.request import KeyType
from trust.store import acme_orders
from trust.store import requests as stored
from trust.store.requests import MAX_PENDING, Filter, StoredRequest

NEW, ONE = f"{REQUESTS}/new", f"{REQUESTS}/{{id}}"

MAX_READ = 2 * MAX_PENDING
"""Requests that a list looks through: those made by hand, and as many that renewals have made."""

MAX_NAMED = 3
"""Host names that one line of a list repeats."""

FIELDS = ("kind", "spc", "tns", "names", "key_type", "tenant", "organization", "country")

KEY_TYPES = {
    KeyType.P256: "P-256, elliptic curve: quick, and known to everything that is kept up to date",
    KeyType.P384: "P-384, elliptic curve: where a policy asks for it",
    KeyType.RSA_2048: "RSA, 2048 bits: for old telephones and gateways that know no curves",
    KeyType.RSA_3072: "RSA, 3072 bits",
    KeyType.RSA_4096: "RSA, 4096 bits",
}
"""What a key is called, and when to choose it."""

_BOUNDS = {
    "names": f"One request is for at most {MAX_NAMES} host names, of 255 characters each.",
    "tns": f"One request is for at most {MAX_TNS} numbers and ranges. Write neighbours as a range.",
    "spc": "A provider code has 1 to 64 characters.",
    "organization": "An organization has 1 to 64 characters.",
    "country": "A country is two capital letters, as in US.",
    "tenant": "An address has at most 253 characters.",
}
"""What is said where the API only counts."""


def listing(call: PageCall) -> Answer:
    """Show the requests that wait for their certificates, the newest first."""
    with call.resources.database.reading() as connection:
        rows = stored.newest(connection, Filter(tenant=call.scope), limit=MAX_READ)
        found = find(call, REQUESTS, rows, _words)
        items = [
            (row, title_of(row), asked_words(row), _order_of(connection, row)) for row in found.rows
        ]
    tabs = tabs_of(call, here=REQUESTS)
    context = {"found": found, "items": items, "kinds": KINDS, "tabs": tabs}
    return View("requests.html", context)


def ask(call: PageCall) -> Answer:
    """Show the empty form."""
    return _form(call, {"kind": call.query.get("kind", ""), "tenant": call.scope or ""}, {})


def make(call: PageCall) -> Answer:
    """Make a key and a request, or say what is wrong with the form."""
    typed = {name: call.form.text(name) for name in FIELDS}
    try:
        made: RequestRecord = ask_api(call, api.create, _document(typed), api.RequestCreation).value
    except Problem as problem:
        return _form(call, typed, _errors(problem), status=422)
    return Redirect(
        f"{REQUESTS}/{made.id}",
        "The request is made, and its key is kept here. Now send it to the authority.",
    )


def show(call: PageCall) -> Answer:
    """Show one request, and what to do with it."""
    row = _wanted(call)
    with call.resources.database.reading() as connection:
        order, maker = _order_of(connection, row), _maker(connection, row)
    context = {
        **_told(row),
        "key": KEY_TYPES[row.key_type].partition(":")[0],
        "order": order,
        "maker": maker,
    }
    return View("request.html", context)


def download(call: PageCall) -> Answer:
    """Download the request that goes to the authority, in PEM."""
    _wanted(call)
    return file_of(api.download(call), "application/pkcs10")


def ask_delete(call: PageCall) -> Answer:
    """Ask whether a request is to be deleted, saying what is lost with it."""
    row = _wanted(call)
    with call.resources.database.reading() as connection:
        order = _order_of(connection, row)
    return View("request-delete.html", {**_told(row), "order": order})


def delete(call: PageCall) -> Answer:
    """Delete a request with its key."""
    row = _wanted(call)
    api.remove(call)
    return Redirect(REQUESTS, f"The request for {title_of(row)} is deleted, and its key destroyed.")


def find_pending(call: PageCall, identity: str) -> StoredRequest | None:
    """Find a request that waits and that this person may see."""
    try:
        known = read_id(identity, "request")
    except Problem:
        return None
    with call.resources.database.reading() as connection:
        row = stored.get(connection, known)
    return row if row is not None and call.scope in {None, row.tenant} else None


def title_of(row: StoredRequest) -> str:
    """Say what a person calls a request: its first host name, or its subject's name."""
    return row.names[0] if row.names else common_name(row.subject)


def asked_words(row: StoredRequest) -> str:
    """Say in one line what a request asks a certificate for."""
    if row.tn_auth_list is None:
        more = len(row.names) - MAX_NAMED
        named = ", ".join(row.names[:MAX_NAMED])
        return f"{named} and {plural(more, 'more name')}" if more > 0 else named
    speaks = authorised(row.tn_auth_list)
    said = [f"provider code {code}" for code in speaks.spc]
    if count := len(speaks.tn) + sum(each.count for each in speaks.range):
        said.append(plural(count, "number"))
    return " and ".join(said)


def _wanted(call: PageCall) -> StoredRequest:
    row = find_pending(call, call.path["id"])
    if row is None:
        raise Problem(
            404,
            "not-found",
            "No such request waits. Either its certificate was imported, and took the key over, or"
            " it was deleted with its key.",
        )
    return row


def _order_of(connection: Connection, row: StoredRequest) -> str | None:
    """Return the id of the renewal that is under way with a request; None: it was made by hand."""
    if not row.names:
        return None
    order = acme_orders.get(connection, order_id(row.kind, row.names))
    attempt = None if order is None else order.attempt
    return order.id if order and attempt and attempt.request == row.id else None


def _maker(connection: Connection, row: StoredRequest) -> AuditEntry | None:
    """Return the record of who made a request; None: this service did, for a renewal."""
    wanted = AuditFilter(subject=row.id, action=Action.REQUEST_CREATE.value, tenant=row.tenant)
    found = find_entries(connection, wanted, before=None, limit=1)
    return found[0] if found else None


def _told(row: StoredRequest) -> dict[str, object]:
    """Return what pages on one request show of it."""
    speaks: TnAuthListRecord | None = None
    if row.tn_auth_list is not None:
        speaks = authorised(row.tn_auth_list)
    return {
        "one": row,
        "title": title_of(row),
        "asked": asked_words(row),
        "kind": KINDS[row.kind],
        "speaks": speaks,
    }


def _form(
    call: PageCall, typed: dict[str, str], errors: dict[str, str], *, status: int = 200
) -> View:
    offered = [kind for kind in KINDS if call.scope is None or kind is not CertificateKind.SYSTEM]
    context = {
        "typed": {**dict.fromkeys(FIELDS, ""), **typed},
        "errors": errors,
        "kinds": [(kind.value, f"{KINDS[kind][0]}: {KINDS[kind][1]}") for kind in offered],
        "key_types": [(key.value, words) for key, words in KEY_TYPES.items()],
    }
    return View("request-new.html", context, status)


def _document(typed: dict[str, str]) -> dict[str, object]:
    """Return what the API takes; fields of other kinds do not count, since nobody sees them."""
    about: dict[str, object] = {
        "kind": typed["kind"],
        "organization": typed["organization"] or None,
        "country": typed["country"].upper() or None,
    }
    if typed["kind"] != CertificateKind.SYSTEM.value:
        about["tenant"] = typed["tenant"] or None
    if typed["kind"] == CertificateKind.STI.value:
        return {**about, "spc": typed["spc"] or None, "tns": lines(typed["tns"])}
    names = typed["names"].replace(",", " ").split()
    return {**about, "names": names, "key_type": typed["key_type"] or KeyType.P256.value}


def _errors(problem: Problem) -> dict[str, str]:
    """Say what is wrong at the field it is about. Raises what no form can mend."""
    if problem.status == 404:
        return {"tenant": "You make requests for your own tenant only."}
    errors = errors_of(problem, FIELDS, taken="")
    if " of length " in problem.detail:
        errors = {name: _BOUNDS.get(name, words) for name, words in errors.items()}
    return errors


def _words(row: StoredRequest) -> str:
    return "\n".join((*row.names, row.kind.value, row.subject, row.tenant or "", row.id))


PAGES = (
    Page("GET", REQUESTS, Role.VIEWER, listing),
    Page("GET", NEW, Role.ADMIN, ask),
    Page("POST", NEW, Role.ADMIN, make),
    Page("GET", ONE, Role.VIEWER, show),
    Page("GET", f"{ONE}/csr", Role.VIEWER, download),
    Page("GET", f"{ONE}/delete", Role.ADMIN, ask_delete),
    Page("POST", f"{ONE}/delete", Role.ADMIN, delete),
)
