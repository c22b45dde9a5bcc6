"""Trusted roots: two lists, what is shipped, added, disabled and deleted in them; one in words.

Whoever may see the pages sees them; they are changed by those who are for all tenants.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from cryptography import x509
from sqlalchemy import Connection

from shaken.api.routes import read_id
from shaken.audit import Action
from shaken.certificates import status_of
from shaken.credentials import Role
from shaken.reliance import Reliance, reliance, without
from shaken.store.audit import AuditEntry, AuditFilter, find_entries
from shaken.web.certificate import MAX_ENTRIES
from shaken.web.certificate_words import common_name, grouped, key_words, signature_words, title_of
from shaken.web.certificates import MAX_SEARCH, page_number, page_of, pages_of
from shaken.web.root_words import (
    FILTERS,
    STATES,
    USES,
    State,
    fits,
    name_of,
    origin_of,
    state_of,
    warnings_of,
)
from shaken.web.routes import BASE, Answer, Download, Page, PageCall, View, no_page
from trust.certificate import Certificate
from trust.roots import Purpose, Root
from trust.store import roots as stored

LIST = f"{BASE}/roots"
ONE = f"{LIST}/{{purpose}}/{{id}}"

MAX_UPGRADES = 5
"""Upgrades of the shipped list that are told of."""

MAX_RELYING = 20
"""Certificates and signers that are named; more are only counted."""

MAX_LOOKED_AT = 1000
"""Certificates of our own that the page of a root looks at, to be there at once. Who deletes it is
told of all."""

ACTIONS: Mapping[str, str] = {
    Action.ROOT_ADD: "Added",
    Action.ROOT_UPDATE: "Disabled or enabled",
    Action.ROOT_DELETE: "Deleted",
}
"""What the audit calls what was done with a root, in words."""


@dataclass(frozen=True)
class Wanted:
    """Which roots of which list are asked for."""

    purpose: Purpose
    search: str
    state: str
    number: int

    @classmethod
    def of(cls, query: Mapping[str, str]) -> "Wanted":
        """Read the query of an address; what is not understood is left out."""
        state = query.get("state", "")
        return cls(
            purpose=purpose_of(query.get("purpose", "")),
            search=query.get("search", "").strip()[:MAX_SEARCH],
            state=state if state in FILTERS else "",
            number=page_number(query.get("page", "")),
        )

    @property
    def is_filtered(self) -> bool:
        """Whether not all of the list is asked for."""
        return bool(self.search or self.state)

    def path(self, **changed: object) -> str:
        """Return the address of this list with some of it changed."""
        given = {
            "purpose": self.purpose.value,
            "search": self.search,
            "state": self.state,
            **changed,
        }
        return f"{LIST}?{urlencode({name: value for name, value in given.items() if value})}"

    def page(self, number: int) -> str:
        """Return the address of another page of this list."""
        return self.path(page=number)


@dataclass(frozen=True)
class Upgrade:
    """What a new edition of the shipped list changed. `added` are names, `removed` counted."""

    entry: AuditEntry
    edition: str | None
    added: Sequence[str]
    removed: Sequence[str]


def purpose_of(text: str) -> Purpose:
    """Read which list is meant; the one of signers where none is."""
    return Purpose(text) if text in {each.value for each in Purpose} else Purpose.STI


def list_path(purpose: Purpose) -> str:
    """Return the address of a list."""
    return f"{LIST}?purpose={purpose.value}"


def path_of(root: Root) -> str:
    """Return the address of a root's page."""
    return f"{LIST}/{root.purpose.value}/{root.id}"


def may_change(call: PageCall) -> bool:
    """Say whether a person may change the lists: they are everybody's."""
    return call.can_change and call.scope is None


def rows_of(call: PageCall, purpose: Purpose) -> Sequence[Root]:
    """List all roots of a purpose, deleted ones too, by name."""
    rows = call.snapshot.root_rows.rows.values()
    found = [root for root in rows if root.purpose is purpose]
    return sorted(found, key=lambda root: (name_of(root).lower(), root.id))


def listing(call: PageCall) -> Answer:
    """Show one list."""
    wanted = Wanted.of(call.query)
    rows = rows_of(call, wanted.purpose)
    found = [root for root in rows if _is_wanted(root, wanted, now=call.now)]
    number, shown = page_of(found, wanted.number)
    other = Purpose.TLS if wanted.purpose is Purpose.STI else Purpose.STI
    with call.resources.database.reading() as connection:
        edition = stored.applied_edition(connection, wanted.purpose)
        upgrades = _upgrades(call, connection, wanted.purpose)
    context = {
        "wanted": wanted,
        "use": USES[wanted.purpose],
        "tabs": [_tab(call, purpose, wanted.purpose) for purpose in USES],
        "filters": [("", "any"), *FILTERS.items()],
        "counts": Counter(state_of(root).value for root in rows),
        "words": {state.value: words for state, words in STATES.items()},
        "items": [(root, status_of(root, now=call.now)) for root in shown],
        "on_page": {state_of(root).value for root in shown},
        "number": number,
        "pages": pages_of(len(found)),
        "total": len(found),
        "elsewhere": sum(_is_wanted(root, wanted, now=call.now) for root in rows_of(call, other)),
        "other": (USES[other][0], wanted.path(purpose=other.value)),
        "edition": edition,
        "upgrades": upgrades,
        "may_change": may_change(call),
        **WORDS,
    }
    return View("roots.html", context)


WORDS: Mapping[str, Any] = {
    "name_of": name_of,
    "origin_of": origin_of,
    "path_of": path_of,
    "state_of": state_of,
    "states": STATES,
}
"""What templates say of a root."""


def _tab(call: PageCall, purpose: Purpose, here: Purpose) -> tuple[str, str, int, bool]:
    trusted = [root for root in rows_of(call, purpose) if state_of(root) is State.TRUSTED]
    return list_path(purpose), USES[purpose][0], len(trusted), purpose is here


def _is_wanted(root: Root, wanted: Wanted, *, now: int) -> bool:
    text = f"{root.subject}\n{root.id}\n{grouped(root.id)}".lower()
    words = wanted.search.lower().split()
    return fits(root, wanted.state, now=now) and all(word in text for word in words)


def _upgrades(call: PageCall, connection: Connection, purpose: Purpose) -> Sequence[Upgrade]:
    """Tell of the last editions of the shipped list; as the audit is, it is not for tenants."""
    if call.scope is not None:
        return ()
    followed = AuditFilter(action=Action.ROOTS_FOLLOW.value, subject=purpose.value)
    entries = find_entries(connection, followed, before=None, limit=MAX_UPGRADES)
    names = {root.id: name_of(root) for root in rows_of(call, purpose)}
    told = []
    for entry in entries:
        after = entry.detail.get("after", {})
        added, removed = (
            [names.get(identity, f"{identity[:16]}…") for identity in after.get(how, ())]
            for how in ("added", "removed")
        )
        told.append(Upgrade(entry, after.get("edition"), added, removed))
    return told


def find_root(call: PageCall, purpose: Purpose, identity: str) -> Root | None:
    """Find a root of the snapshot, a deleted one too. Raises Problem for what is no id."""
    identity = read_id(identity, "root")
    rows = call.snapshot.root_rows.rows.values()
    return next((root for root in rows if (root.purpose, root.id) == (purpose, identity)), None)


def _named(call: PageCall) -> Root:
    """Find the root that a path names."""
    text = call.path["purpose"]
    root = find_root(call, purpose_of(text), call.path["id"])
    if root is None or root.purpose.value != text:
        raise no_page()
    return root


def show(call: PageCall) -> Answer:
    """Show one root."""
    root = _named(call)
    chain = Certificate.of_pem(root.pem)
    state = state_of(root)
    with call.resources.database.reading() as connection:
        about = AuditFilter(subject=root.id, tenant=call.scope)
        history = find_entries(connection, about, before=None, limit=MAX_ENTRIES)
        relying = Reliance()
        if state is State.TRUSTED:
            relying = relying_on(call, connection, [root], most=MAX_LOOKED_AT)
    context = {
        "root": root,
        "title": name_of(root),
        "state": STATES[state],
        "status": status_of(root, now=call.now),
        "origin": origin_of(root),
        "use": USES[root.purpose],
        "list_path": list_path(root.purpose),
        "warnings": warnings_of(root, now=call.now),
        "serial": chain.serial,
        "issuer": chain.issuer,
        "key": key_words(chain.leaf),
        "signature": signature_words(chain.leaf),
        "path_length": _path_length(chain.leaf),
        "grouped": grouped,
        "history": [(entry, ACTIONS.get(entry.action, entry.action)) for entry in history],
        "may_change": may_change(call),
        **relying_words(relying),
    }
    return View("root.html", context)


def relying_on(
    call: PageCall, connection: Connection, gone: Sequence[Root], *, most: int | None = None
) -> Reliance:
    """Find what would lead to no trusted root without some of one purpose.

    `most` is as in `reliance`.
    """
    return reliance(
        connection,
        call.snapshot,
        purpose=gone[0].purpose,
        after=without(call.snapshot, gone),
        scope=call.scope,
        now=call.now,
        most=most,
    )


def relying_words(relying: Reliance) -> dict[str, object]:
    """Return what templates say of what relies on roots."""
    return {
        "relying": relying,
        "most": MAX_RELYING,
        "title_of": title_of,
        "common_name": common_name,
    }


def _path_length(certificate: x509.Certificate) -> int | None:
    """Return how many authorities may stand between it and a leaf; None: any number."""
    try:
        return certificate.extensions.get_extension_for_class(
            x509.BasicConstraints
        ).value.path_length
    except (x509.ExtensionNotFound, ValueError):
        return None


def download(call: PageCall) -> Answer:
    """Give one root in PEM."""
    root = _named(call)
    return Download(root.pem.encode(), PEM, f"root-{root.id[:8]}.pem")


def bundle(call: PageCall) -> Answer:
    """Give all roots that are trusted for a purpose in PEM, as the API does."""
    purpose = purpose_of(call.path["purpose"])
    if purpose.value != call.path["purpose"]:
        raise no_page()
    with call.resources.database.reading() as connection:
        pem = stored.trusted_pem(connection, purpose)
    return Download(pem.encode("ascii"), PEM, f"roots-{purpose.value}.pem")


PEM = "application/x-pem-file"

PAGES = (
    Page("GET", LIST, Role.VIEWER, listing),
    Page("GET", f"{LIST}/{{purpose}}.pem", Role.VIEWER, bundle),
    Page("GET", ONE, Role.VIEWER, show),
    Page("GET", f"{ONE}/pem", Role.VIEWER, download),
)
