"""Roots are deleted, put back, disabled, enabled, or all reset: first it is said what that does."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import TypeVar

import msgspec

from shaken import roots as changes
from shaken.api.problems import Problem
from shaken.audit import AuditedChange, Unchanged
from shaken.certificates import status_of
from shaken.credentials import Role
from shaken.facts import plan_facts
from shaken.reliance import Reliance, reliance
from shaken.web.root_words import USES, State, name_of, state_of
from shaken.web.roots import (
    LIST,
    WORDS,
    find_root,
    list_path,
    path_of,
    purpose_of,
    relying_on,
    relying_words,
    rows_of,
)
from shaken.web.routes import Answer, Page, PageCall, Redirect, View
from shaken.web.words import plural
from trust.roots import Plan, Purpose, Root, plan_reset
from trust.store import roots as stored

CHANGE, RESET = f"{LIST}/change", f"{LIST}/reset"

MAX_CHANGED = 1000
"""Roots that are changed at once."""

T = TypeVar("T")


@dataclass(frozen=True)
class Deed:
    """What can be done with roots: how it is called, of several and of one; to which it applies."""

    verb: str
    on_one: str
    done: str
    about: str
    applies: frozenset[State]
    act: Callable[[AuditedChange, Root], object]
    ends_trust: bool


DEEDS: Mapping[str, Deed] = {
    "delete": Deed(
        "Delete",
        "Delete it",
        "deleted",
        "A root that was only added is gone for good. One that is shipped stays deleted, also after"
        " upgrades, until it is put back or the list is reset.",
        frozenset({State.TRUSTED, State.DISABLED}),
        changes.remove,
        ends_trust=True,
    ),
    "disable": Deed(
        "Disable",
        "Disable it",
        "disabled",
        "A disabled root stays in the list and is not trusted, until it is enabled again.",
        frozenset({State.TRUSTED}),
        partial(changes.set_disabled, disabled=True),
        ends_trust=True,
    ),
    "enable": Deed(
        "Enable",
        "Enable it",
        "enabled",
        "It is trusted again.",
        frozenset({State.DISABLED}),
        partial(changes.set_disabled, disabled=False),
        ends_trust=False,
    ),
    "restore": Deed(
        "Put back",
        "Put it back",
        "put back",
        "It is trusted again, as it was shipped.",
        frozenset({State.DELETED}),
        changes.restore,
        ends_trust=False,
    ),
}


def change(call: PageCall) -> Answer:
    """Ask whether something is to be done with roots, saying what relies on them; then do it."""
    call.require_everything()
    form = call.form
    purpose, deed = purpose_of(form.text("purpose")), DEEDS.get(form.text("what"))
    ids = tuple(dict.fromkeys(text.lower() for text in form.texts("id")))[:MAX_CHANGED]
    if deed is None or not ids:
        return Redirect(list_path(purpose), "Nothing was selected, so nothing was changed.")
    rows = [_there(find_root(call, purpose, identity)) for identity in ids]
    apt = [root for root in rows if state_of(root) in deed.applies]
    if not apt:
        words = f"What you selected cannot be {deed.done}, or is so already."
        return Redirect(list_path(purpose), f"{words} Nothing was changed.")
    relying, is_last = Reliance(), False
    if deed.ends_trust:
        with call.resources.database.reading() as connection:
            relying = relying_on(call, connection, apt)
        is_last = _are_last(call, purpose, apt)
    sure, force = form.text("sure") == "yes", form.text("force") == "yes"
    if sure and (force or not (relying or is_last)):
        return _carry_out(call, deed, purpose, ids)
    errors = {"force": "Say that you know what will fail, or keep the root."} if sure else {}
    context = {
        "deed": deed,
        "what": form.text("what"),
        "purpose": purpose.value,
        "use": USES[purpose],
        "items": [(root, status_of(root, now=call.now)) for root in apt],
        "others": len(rows) - len(apt),
        "is_last": is_last,
        "errors": errors,
        "list_path": list_path(purpose),
        **WORDS,
        **relying_words(relying),
    }
    return View("roots-change.html", context, 409 if errors else 200)


def _there(root: T | None) -> T:
    if root is None:
        raise Problem(404, "not-found", "One of these roots is gone. Nothing was changed.")
    return root


def _are_last(call: PageCall, purpose: Purpose, gone: Sequence[Root]) -> bool:
    """Say whether no root is trusted without these."""
    ids = {root.id for root in gone}
    trusted = {root.id for root in rows_of(call, purpose) if state_of(root) is State.TRUSTED}
    return bool(trusted) and trusted <= ids


def _carry_out(call: PageCall, deed: Deed, purpose: Purpose, ids: Sequence[str]) -> Redirect:
    """Do it to the roots as they are now; those that somebody was faster with stay as they are."""
    done = []
    with call.changing() as change:
        known = {root.id: root for root in stored.kept(change.connection, purpose)}
        for identity in ids:
            root = _there(known.get(identity))
            if state_of(root) in deed.applies:
                deed.act(change, root)
                done.append(root)
        if not done:
            raise Unchanged
    if len(done) != 1:
        words = f"{plural(len(done), 'root')} {deed.done}." if done else "Nothing was changed."
        return Redirect(list_path(purpose), words)
    is_gone = deed.act is changes.remove and done[0].shipped is None
    path = list_path(purpose) if is_gone else path_of(done[0])
    return Redirect(path, f"{name_of(done[0])} is {deed.done}.")


def ask_reset(call: PageCall) -> Answer:
    """Show what a reset would change."""
    call.require_everything()
    purpose, keep_added = purpose_of(call.query.get("purpose", "")), _keeps(call.query.get("added"))
    return _reset_preview(call, purpose, keep_added=keep_added)


def reset(call: PageCall) -> Answer:
    """Restore what is shipped, if that changes what the preview has shown and nothing else."""
    call.require_everything()
    purpose = purpose_of(call.form.text("purpose"))
    keep_added = _keeps(call.form.text("added"))
    plans: list[Plan] = []
    with call.changing() as change:
        plan = changes.reset(change, purpose, keep_added=keep_added)
        if _mark(plan) != call.form.text("seen") or not _changes_something(plan):
            raise Unchanged
        plans.append(plan)
    if not plans:
        errors = {"": "The list was changed meanwhile. Look at what a reset would do now."}
        return _reset_preview(call, purpose, keep_added=keep_added, errors=errors)
    told = {
        "came back": plan.added,
        "went": plan.removed,
        "enabled": plan.enabled,
        "no longer yours": plan.disowned,
    }
    words = ", ".join(f"{len(found)} {what}" for what, found in told.items() if found)
    return Redirect(list_path(purpose), f"The list is reset: {words or 'nothing else changed'}.")


def _keeps(text: str | None) -> bool:
    return text != "remove"


def _reset_preview(
    call: PageCall, purpose: Purpose, *, keep_added: bool, errors: Mapping[str, str] | None = None
) -> View:
    with call.resources.database.reading() as connection:
        plan = plan_reset(stored.kept(connection, purpose), keep_added=keep_added)
        relying = reliance(
            connection,
            call.snapshot,
            purpose=purpose,
            after=plan.after,
            scope=call.scope,
            now=call.now,
        )
    context = {
        "purpose": purpose.value,
        "use": USES[purpose],
        "keep_added": keep_added,
        "paths": [
            (f"{RESET}?purpose={purpose.value}&added={word}", words, keep_added is keeps)
            for word, words, keeps in (("keep", "stay", True), ("remove", "go, too", False))
        ],
        "plan": plan,
        "parts_of": _parts(plan),
        "changes_something": _changes_something(plan),
        "dropped": sum(root.deleted for root in plan.forgotten),
        "seen": _mark(plan),
        "errors": errors or {},
        "list_path": list_path(purpose),
        **WORDS,
        **relying_words(relying),
    }
    return View("roots-reset.html", context, 409 if errors else 200)


def _parts(plan: Plan) -> Sequence[tuple[str, str, str, Sequence[Root]]]:
    """Say what a reset does, part by part: colour, title, what it means, which roots."""
    parts = (
        ("good", "Come back", "They were deleted, and are trusted again.", plan.added),
        ("bad", "Go", "Nobody ships them, and they are trusted no more.", plan.removed),
        ("good", "Are enabled", "They were disabled, and are trusted again.", plan.enabled),
        (
            "idle",
            "Are no longer yours",
            "You had added them, and they are shipped, too: they stay as long as they are shipped.",
            plan.disowned,
        ),
    )
    return [part for part in parts if part[3]]


def _changes_something(plan: Plan) -> bool:
    return bool(plan.written or plan.forgotten)


def _mark(plan: Plan) -> str:
    """Return what tells this plan from others, for the form that confirms it."""
    facts = {
        **plan_facts(plan),
        "disowned": [root.id for root in plan.disowned],
        "forgotten": [root.id for root in plan.forgotten],
    }
    return sha256(msgspec.json.encode(facts)).hexdigest()


PAGES = (
    Page("POST", CHANGE, Role.ADMIN, change),
    Page("GET", RESET, Role.ADMIN, ask_reset),
    Page("POST", RESET, Role.ADMIN, reset),
)
