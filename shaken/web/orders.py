"""Certificates that renew themselves: how each stands, what is wrong, and another one.

What may be asked, and what becomes of it, is the API's; a page puts it into words and forms.
"""

from dataclasses import replace
from typing import TypeVar

from shaken.api import acme
from shaken.api.acme_messages import (
    FailureRecord,
    OrderCreation,
    OrderList,
    OrderRecord,
    Renewal,
)
from shaken.api.problems import Problem
from shaken.api.routes import Reply
from shaken.credentials import Role
from shaken.web.asking import ask_api, errors_of
from shaken.web.order_steps import Progress, progress_of
from shaken.web.renewal_advice import Advice, advice_of
from shaken.web.routes import BASE, Answer, Page, PageCall, Redirect, View
from shaken.web.words import sentence
from trust.acme.order import UNDER_WAY, State
from trust.certificate import CertificateKind
from trust.store import acme_orders

T = TypeVar("T")

LIST = f"{BASE}/renewals"

KIND_WORDS = (
    (CertificateKind.DOMAIN.value, "Domain: for a tenant's own addresses"),
    (CertificateKind.SYSTEM.value, "System: for everything else that speaks TLS"),
)
"""What can be obtained, as the form says it."""

STATES = {
    State.WAITING: ("idle", "Waiting"),
    State.PREPARED: ("idle", "Asking"),
    State.ORDERED: ("idle", "Asking"),
    State.AUTHORIZING: ("idle", "Proving the names"),
    State.FINALIZING: ("idle", "Being issued"),
    State.ISSUED: ("good", "Kept renewed"),
    State.FAILED: ("bad", "Failed"),
    State.STOPPED: ("idle", "Not renewed any more"),
}
"""How a state is coloured and called."""

_FIELDS = ("names", "kind", "tenant", "force")

REFRESH_SECONDS = 3
"""How often the page of an order that is under way is loaded again."""

SOON_SECONDS = 60
"""How long after its time an order is expected to be taken up."""

FOLLOWED_SECONDS = 15 * 60
"""How long that goes on: proving a name in the DNS takes minutes, and a page that nobody looks at
is not to keep its session alive."""


def listing(call: PageCall) -> Answer:
    """Show how certificates are renewed, those of one state if wanted."""
    query = {"limit": "50", **{name: text for name, text in call.query.items() if text}}
    page = _of(acme.listing(replace(call, query=query)), OrderList)
    context = {
        "items": page.items,
        "next": page.next,
        "state": call.query.get("state", ""),
        "states": [("", "any"), *((state.value, words) for state, (_, words) in STATES.items())],
        "badges": {state.value: words for state, words in STATES.items()},
    }
    return View("renewals.html", context)


def show(call: PageCall) -> Answer:
    """Show one, again and again while it is under way."""
    order = _of(acme.show(call), OrderRecord)
    progress = _progress(call, order)
    since = None if progress is None else progress.since
    is_late = since is not None and call.now - since >= FOLLOWED_SECONDS
    context = {
        "order": order,
        "badge": STATES[order.state],
        "words": sentence(order.words) if progress is None else progress.now,
        "progress": progress,
        "is_late": is_late,
        "advice": None if order.failures is None else _advice(order.failures),
        "advice_of": advice_of,
        "may_try_again": _may_try_again(call, order),
        "refresh": None if since is None or is_late else REFRESH_SECONDS,
    }
    return View("renewal.html", context)


def _progress(call: PageCall, order: OrderRecord) -> Progress | None:
    """Tell how far an order is; None: nothing moves, and nothing can while no authority is set."""
    with call.resources.database.reading() as connection:
        row = acme_orders.get(connection, order.id)
    if row is None or not order.challenges:
        return None
    return progress_of(row, order.challenges, now=call.now)


def ask(call: PageCall) -> Answer:
    """Show the empty form."""
    return _form(call, {**dict.fromkeys(_FIELDS, ""), "kind": CertificateKind.DOMAIN.value}, {})


def create(call: PageCall) -> Answer:
    """Order a certificate, or say what is wrong with the form."""
    typed = {name: call.form.text(name) for name in _FIELDS}
    wish = {
        "names": typed["names"].replace(",", " ").split(),
        "kind": typed["kind"],
        "tenant": typed["tenant"] or None,
        "force": typed["force"] == "yes",
    }
    if not wish["names"]:
        return _form(call, typed, {"names": "Write at least one name."}, 422)
    try:
        order = _of(ask_api(call, acme.create, wish, OrderCreation), OrderRecord)
    except Problem as problem:
        if problem.status == 404:
            errors = {"tenant": sentence(problem.detail)}
        else:
            found = errors_of(problem, _FIELDS, mendable={400, 403, 409})
            errors = {field if field in typed else "names": words for field, words in found.items()}
        return _form(call, typed, errors, 422)
    return Redirect(f"{LIST}/{order.id}", "Ordered. This page shows how far it is.")


def renew(call: PageCall) -> Answer:
    """Have the certificate replaced by a new one now."""
    order = _of(acme.show(call), OrderRecord)
    if order.certificate is None:
        raise Problem(409, "no-certificate", "There is no certificate yet that could be renewed.")
    asked = replace(call, path={"id": order.certificate}, body=Renewal())
    renewed = _of(acme.renew_certificate(asked), OrderRecord)
    return Redirect(f"{LIST}/{renewed.id}", "It is renewed now; the one in use stays until then.")


def try_again(call: PageCall) -> Answer:
    """Have an attempt that failed go on now, since what was wrong is mended."""
    order = _of(acme.show(call), OrderRecord)
    if not _may_try_again(call, order):
        raise Problem(409, "not-under-way", "It begins anew by itself, at its next try.")
    # Whether the names are ours was asked when it was ordered.
    wish = OrderCreation(list(order.names), order.kind, order.tenant, force=call.scope is None)
    acme.create(replace(call, body=wish))
    return Redirect(f"{LIST}/{order.id}", "It is looked at again now.")


def stop(call: PageCall) -> Answer:
    """Renew it no more; the certificate stays."""
    acme.end(call)
    return Redirect(LIST, "It is not renewed any more. The certificate stays, and is not revoked.")


def _advice(failures: FailureRecord) -> Advice:
    said = [failures.detail, *(each.detail for each in failures.names)]
    return advice_of(failures.type, "; ".join(said))


def _may_try_again(call: PageCall, order: OrderRecord) -> bool:
    """Say whether an attempt can go on at once; one that is over waits for its next try."""
    allowed = call.scope is None or order.kind is CertificateKind.DOMAIN
    return allowed and order.failures is not None and order.state in UNDER_WAY


def _form(call: PageCall, typed: dict[str, str], errors: dict[str, str], status: int = 200) -> View:
    # What is for everybody is not for who has one tenant only.
    kinds = KIND_WORDS if call.scope is None else KIND_WORDS[:1]
    context = {"typed": typed, "errors": errors, "kinds": kinds}
    return View("renewal-new.html", context, status)


def _of(reply: Reply, kind: type[T]) -> T:
    """Return what a handler of the API answers with."""
    if not isinstance(reply.value, kind):
        raise TypeError(f"the API answers with {type(reply.value).__name__}")
    return reply.value


PAGES = (
    Page("GET", LIST, Role.VIEWER, listing),
    Page("GET", f"{LIST}/new", Role.ADMIN, ask),
    Page("POST", f"{LIST}/new", Role.ADMIN, create),
    Page("GET", f"{LIST}/{{id}}", Role.VIEWER, show),
    Page("POST", f"{LIST}/{{id}}/renew", Role.ADMIN, renew),
    Page("POST", f"{LIST}/{{id}}/again", Role.ADMIN, try_again),
    Page("POST", f"{LIST}/{{id}}/stop", Role.ADMIN, stop),
)
