"""Trunks: listed, added, told with each setting in words, changed, deleted."""

from dataclasses import replace

import msgspec

from shaken.api import trunks as api
from shaken.api.problems import Problem
from shaken.credentials import Role
from shaken.facts import TrunkRecord
from shaken.tenants import Direction, Trunk
from shaken.web.asking import MENDABLE, ask_api, errors_of, find
from shaken.web.routes import BASE, Answer, Page, PageCall, Redirect, View
from shaken.web.trunk_settings import (
    SETTINGS,
    document_of,
    groups_of,
    mistakes,
    typed_of,
)

LIST, NEW = f"{BASE}/trunks", f"{BASE}/new/trunk"
ONE, EDIT, DELETE = f"{LIST}/{{name}}", f"{LIST}/{{name}}/edit", f"{LIST}/{{name}}/delete"

FIELDS = ("name", "tenant", *(each.name for each in SETTINGS))

CALLS = {
    Direction.AUTO: "signed and verified",
    Direction.SIGN: "signed",
    Direction.VERIFY: "verified",
}
"""What is done with a trunk's calls, in the list."""

_MENDABLE = MENDABLE | {403}
"""A tenant's admin may choose a lower attestation where a higher one is not for them to give."""

_BLANK = typed_of(msgspec.to_builtins(api.TrunkCreation(name="x", tenant="x")))


def listing(call: PageCall) -> Answer:
    """Show the trunks that this person may see."""
    rows = call.snapshot.trunk_rows.rows.values()
    seen = sorted((row for row in rows if call.scope in {None, row.tenant}), key=lambda x: x.name)
    return View("trunks.html", {"found": find(call, LIST, seen, _words), "calls": CALLS})


def show(call: PageCall) -> Answer:
    """Tell what a trunk is set to, and who asks for it."""
    one = _record(call)
    rows = call.snapshot.credential_rows.rows.values()
    context = {
        "one": one,
        "typed": typed_of(msgspec.to_builtins(one)),
        "groups": groups_of(call.resources.config.verification),
        "bound": sorted((row for row in rows if row.trunk == one.name), key=lambda row: row.name),
        "listening": _listening(call),
    }
    return View("trunk.html", context)


def ask(call: PageCall) -> Answer:
    """Show the empty form."""
    typed = {**_BLANK, "name": "", "tenant": call.query.get("tenant", call.scope or "")}
    return _form(call, typed, {})


def make(call: PageCall) -> Answer:
    """Add a trunk."""
    typed = _typed(call)
    errors = mistakes(typed)
    if errors:
        return _form(call, typed, errors)
    document = {**document_of(typed), "name": typed["name"], "tenant": typed["tenant"]}
    try:
        ask_api(call, api.create, document, api.TrunkCreation)
    except Problem as problem:
        return _form(call, typed, _errors(problem))
    return Redirect(f"{LIST}/{typed['name']}", f"{typed['name']} is added.")


def ask_change(call: PageCall) -> Answer:
    """Show the form with the settings of a trunk."""
    one = _record(call)
    return _form(call, typed_of(msgspec.to_builtins(one)), {}, one=one)


def change(call: PageCall) -> Answer:
    """Replace the settings of a trunk."""
    one, typed = _record(call), _typed(call)
    errors = mistakes(typed)
    if errors:
        return _form(call, typed, errors, one=one)
    try:
        ask_api(call, api.replace, document_of(typed), api.TrunkReplacement, name=one.name)
    except Problem as problem:
        return _form(call, typed, _errors(problem), one=one)
    return Redirect(f"{LIST}/{one.name}", "The changes are in use.")


def ask_delete(call: PageCall) -> Answer:
    """Ask whether a trunk is to be deleted, saying which credentials are bound to it."""
    return _deletion(call, _record(call))


def delete(call: PageCall) -> Answer:
    """Delete a trunk, or say again what is bound to it."""
    one = _record(call)
    try:
        api.remove(call)
    except Problem as problem:
        if problem.slug != "in-use":
            raise
        return _deletion(call, one, status=409)
    return Redirect(LIST, f"{one.name} is deleted.")


def _deletion(call: PageCall, one: TrunkRecord, *, status: int = 200) -> View:
    rows = call.snapshot.credential_rows.rows.values()
    bound = sorted(row.name for row in rows if row.trunk == one.name)
    return View("trunk-delete.html", {"one": one, "bound": bound}, status)


def _form(
    call: PageCall, typed: dict[str, str], errors: dict[str, str], *, one: TrunkRecord | None = None
) -> View:
    context = {
        "typed": typed,
        "errors": errors,
        "one": one,
        "groups": groups_of(call.resources.config.verification),
        "has_sip": any(typed[name] != _BLANK[name] or name in errors for name in _SIP),
    }
    return View("trunk-form.html", context, 422 if errors else 200)


_SIP = tuple(each.name for each in SETTINGS if each.name.startswith("sip."))


def _errors(problem: Problem) -> dict[str, str]:
    """Name the field that a problem is about; those of `sip` begin with the setting's name."""
    for begins, field, words in _OWN_WORDS:
        if problem.detail.startswith(begins):
            problem = replace(problem, field=field, detail=words)
    if problem.field == "sip":
        named, _, words = problem.detail.partition(": ")
        field = f"sip.{named.partition(' ')[0]}"
        detail = problem.detail if " " in named else words
        problem = replace(problem, field=field, detail=detail)
    return errors_of(problem, FIELDS, mendable=_MENDABLE)


_OWN_WORDS = (
    (
        "foreign_attest A is",
        "foreign_attest",
        "only an administrator of all tenants gives A to numbers that a tenant does not list",
    ),
    (
        "sip.sources are",
        "sip.sources",
        "only an administrator of all tenants says whose an address is",
    ),
    (
        "by_host needs",
        "sip.by_host",
        "say from which networks it is usable: anybody can write a host",
    ),
)
"""How problems begin that name settings as the API does; where they belong; what is said here."""


def _record(call: PageCall) -> TrunkRecord:
    shown: TrunkRecord = api.show(call).value
    return shown


def _typed(call: PageCall) -> dict[str, str]:
    return {name: call.form.text(name) for name in FIELDS}


def _listening(call: PageCall) -> tuple[str, ...]:
    """Name where this service listens for SIP."""
    sip = call.resources.config.sip
    listeners = (("UDP", sip.udp), ("TCP", sip.tcp), ("TLS", sip.tls))
    return tuple(f"{address} ({name})" for name, all_of in listeners for address in all_of)


def _words(row: Trunk) -> str:
    return f"{row.name}\n{row.tenant}"


PAGES = (
    Page("GET", LIST, Role.VIEWER, listing),
    Page("GET", NEW, Role.ADMIN, ask),
    Page("POST", NEW, Role.ADMIN, make),
    Page("GET", ONE, Role.VIEWER, show),
    Page("GET", EDIT, Role.ADMIN, ask_change),
    Page("POST", EDIT, Role.ADMIN, change),
    Page("GET", DELETE, Role.ADMIN, ask_delete),
    Page("POST", DELETE, Role.ADMIN, delete),
)
