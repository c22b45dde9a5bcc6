"""Trunks: listed, added, changed with each setting in words, deleted."""

import msgspec

from shaken.acceptance import Anonymity, Reaction, Replays
from shaken.api import trunks as api
from shaken.api.problems import Problem
from shaken.attestation import Attest, ForeignAttest
from shaken.credentials import Role
from shaken.facts import TrunkRecord
from shaken.tenants import AnswerForm, Direction, Trunk
from shaken.web.asking import MENDABLE, ask_api, errors_of, find, lines
from shaken.web.routes import BASE, Answer, Page, PageCall, Redirect, View

LIST = f"{BASE}/trunks"
NEW, ONE, DELETE = f"{LIST}/new", f"{LIST}/{{name}}", f"{LIST}/{{name}}/delete"

SETTINGS = ("attest", "foreign_attest", "direction", "answer")
POLICY_WORDS = ("anonymous", "stale", "unreachable", "unfit", "invalid")
POLICY_DEFAULTS = ("minimum_attest", "freshness", "skew", "replays")
"""Settings of verification that may be left to the service."""

FIELDS = (
    *("name", "tenant", "networks", "country", "identity_required"),
    *SETTINGS,
    *POLICY_WORDS,
    *POLICY_DEFAULTS,
)

_REACTIONS = [each.value for each in Reaction]
_WORDS = {
    "attest": [each.value for each in Attest],
    "foreign_attest": [each.value for each in ForeignAttest],
    "direction": [each.value for each in Direction],
    "answer": [each.value for each in AnswerForm],
    "anonymous": [each.value for each in Anonymity],
    "minimum_attest": ["", *(each.value for each in Attest)],
    "replays": ["", *(each.value for each in Replays)],
    **dict.fromkeys(("stale", "unreachable", "unfit", "invalid"), _REACTIONS),
}
_UNSET_WORDS = {"minimum_attest": "any", "replays": "as the service has it"}
OPTIONS = {
    name: [(word, word or _UNSET_WORDS[name]) for word in words] for name, words in _WORDS.items()
}
"""What each choice of the form offers."""

_MENDABLE = MENDABLE | {403}
"""A tenant's admin may choose a lower attestation where a higher one is not for them to give."""

_BLANK = msgspec.to_builtins(api.TrunkCreation(name="x", tenant="x"))


def listing(call: PageCall) -> Answer:
    """Show the trunks that this person may see."""
    rows = call.snapshot.trunk_rows.rows.values()
    seen = sorted((row for row in rows if call.scope in {None, row.tenant}), key=lambda x: x.name)
    return View("trunks.html", {"found": find(call, LIST, seen, _words)})


def ask(call: PageCall) -> Answer:
    """Show the empty form."""
    typed = {**_shown(_BLANK), "name": "", "tenant": call.query.get("tenant", call.scope or "")}
    return _form(typed, {})


def make(call: PageCall) -> Answer:
    """Add a trunk."""
    typed = _typed(call)
    document = {**_settings(typed, {}), "name": typed["name"], "tenant": typed["tenant"]}
    try:
        ask_api(call, api.create, document, api.TrunkCreation)
    except Problem as problem:
        return _form(typed, errors_of(problem, FIELDS, mendable=_MENDABLE), status=422)
    return Redirect(f"{LIST}/{typed['name']}", f"{typed['name']} is added.")


def show(call: PageCall) -> Answer:
    """Show a trunk, for those who may change it in a form."""
    one = _record(call)
    return _form(_shown(msgspec.to_builtins(one)), {}, one=one)


def change(call: PageCall) -> Answer:
    """Replace the settings of a trunk; what the form does not show stays as it is."""
    one, typed = _record(call), _typed(call)
    stored = msgspec.to_builtins(one)
    del stored["name"]
    try:
        ask_api(call, api.replace, _settings(typed, stored), api.TrunkReplacement, name=one.name)
    except Problem as problem:
        return _form(typed, errors_of(problem, FIELDS, mendable=_MENDABLE), one=one, status=422)
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
    typed: dict[str, str],
    errors: dict[str, str],
    *,
    one: TrunkRecord | None = None,
    status: int = 200,
) -> View:
    return View(
        "trunk.html", {"typed": typed, "errors": errors, "one": one, "options": OPTIONS}, status
    )


def _record(call: PageCall) -> TrunkRecord:
    shown: TrunkRecord = api.show(call).value
    return shown


def _typed(call: PageCall) -> dict[str, str]:
    return {name: call.form.text(name) for name in FIELDS}


def _shown(document: dict[str, object]) -> dict[str, str]:
    """Write the members of a trunk as the form's fields hold them."""
    policy = msgspec.convert(document["verification"], dict[str, object])
    networks = msgspec.convert(document["networks"], list[str])
    told = {**document, **policy}
    shown = {name: "" if told.get(name) is None else str(told[name]) for name in FIELDS}
    required = "yes" if policy["identity_required"] else ""
    return {**shown, "networks": "\n".join(networks), "identity_required": required}


def _settings(typed: dict[str, str], stored: dict[str, object]) -> dict[str, object]:
    """Lay what was typed over what is stored."""
    policy: dict[str, object] = {name: typed[name] for name in POLICY_WORDS}
    for name in POLICY_DEFAULTS:
        text = typed[name]
        is_number = text.isascii() and text.isdecimal() and len(text) < 10
        policy[name] = int(text) if is_number else text or None
    policy["identity_required"] = typed["identity_required"] == "yes"
    before = msgspec.convert(stored.get("verification", {}), dict[str, object])
    return {
        **stored,
        **{name: typed[name] for name in SETTINGS},
        "networks": lines(typed["networks"]),
        "country": typed["country"] or None,
        "verification": {**before, **policy},
    }


def _words(row: Trunk) -> str:
    return f"{row.name}\n{row.tenant}"


PAGES = (
    Page("GET", LIST, Role.VIEWER, listing),
    Page("GET", NEW, Role.ADMIN, ask),
    Page("POST", NEW, Role.ADMIN, make),
    Page("GET", ONE, Role.VIEWER, show),
    Page("POST", ONE, Role.ADMIN, change),
    Page("GET", DELETE, Role.ADMIN, ask_delete),
    Page("POST", DELETE, Role.ADMIN, delete),
)
