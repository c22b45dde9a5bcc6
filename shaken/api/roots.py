"""`/api/v1/roots`: trusted roots; and `roots.pem`, the bundle of a purpose for a PBX to use."""

from collections.abc import Iterable
from hashlib import sha256
from typing import Annotated

import msgspec
from msgspec import Meta
from sqlalchemy import Connection

from shaken import roots as changes
from shaken.api.problems import Problem, invalid, not_found
from shaken.api.routes import ApiCall, Reply, Route, read_id, read_position
from shaken.credentials import Role
from shaken.roots import RootRecord, record
from trust.certificate import CertificateRefused
from trust.pem import MAX_LENGTH
from trust.roots import AlreadyAdded, Purpose, Root, read_root
from trust.store import roots as stored


class RootAddition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A root to trust: the certificate of one authority, in PEM."""

    purpose: Purpose
    certificate: Annotated[str, Meta(min_length=1, max_length=MAX_LENGTH)]


class RootSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What can be changed of a root: a disabled one is listed, but not trusted."""

    disabled: bool


class RootsReset(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which list to bring back to what is shipped, and whether roots of admins stay in it."""

    purpose: Purpose
    keep_added: bool = True


class RootList(msgspec.Struct, frozen=True):
    """A page of roots; `next` is what to send as `after`."""

    items: tuple[RootRecord, ...]
    next: str | None


class RootsChanged(msgspec.Struct, frozen=True):
    """What a reset changed: roots that are listed again, that are no more, that were disabled."""

    added: tuple[RootRecord, ...]
    removed: tuple[RootRecord, ...]
    enabled: tuple[RootRecord, ...]


def listing(call: ApiCall) -> Reply:
    """List roots in the order they came."""
    text = call.query.get("purpose")
    purpose = None if text is None else _purpose(text)
    after = read_position(call.query.get("after")) or 0
    limit = call.limit()
    with call.resources.database.reading() as connection:
        found = stored.find(connection, purpose, after=after, limit=limit + 1)
    more = str(found[limit - 1].sequence) if len(found) > limit else None
    return Reply(RootList(_records(call, found[:limit]), more))


def create(call: ApiCall) -> Reply:
    """Trust a root."""
    call.require_everything()
    body: RootAddition = call.body
    try:
        root = read_root(body.certificate, body.purpose)
        with call.changing() as change:
            added = changes.add(change, root)
    except CertificateRefused as error:
        raise Problem(400, error.slug, error.detail, error.field) from error
    except AlreadyAdded as error:
        raise Problem(409, "already-stored", str(error), id=error.id) from error
    shown = record(added, now=call.now)
    return Reply(shown, {"Location": f"/api/v1/roots/{added.id}"})


def show(call: ApiCall) -> Reply:
    """Show one root."""
    with call.resources.database.reading() as connection:
        return Reply(record(_wanted(call, connection), now=call.now))


def change_settings(call: ApiCall) -> Reply:
    """Disable a root, or enable it again."""
    call.require_everything()
    body: RootSettings = call.body
    with call.changing() as change:
        root = _wanted(call, change.connection)
        turned = changes.set_disabled(change, root, disabled=body.disabled)
    return Reply(record(turned, now=call.now))


def remove(call: ApiCall) -> Reply:
    """Remove a root; if it is shipped, until the next reset."""
    call.require_everything()
    with call.changing() as change:
        changes.remove(change, _wanted(call, change.connection))
    return Reply()


def reset(call: ApiCall) -> Reply:
    """Restore what is shipped for a purpose, and say what that changed."""
    call.require_everything()
    body: RootsReset = call.body
    with call.changing() as change:
        plan = changes.reset(change, body.purpose, keep_added=body.keep_added)
    return Reply(
        RootsChanged(
            added=_records(call, plan.added),
            removed=_records(call, plan.removed),
            enabled=_records(call, plan.enabled),
        )
    )


def bundle(call: ApiCall) -> Reply:
    """Give all roots that are trusted for a purpose, as PEM."""
    purpose = _purpose(call.query.get("purpose"))
    with call.resources.database.reading() as connection:
        pem = stored.trusted_pem(connection, purpose).encode("ascii")
    return Reply(pem, {"Cache-Control": "no-cache"}, etag=sha256(pem).hexdigest())


def _wanted(call: ApiCall, connection: Connection) -> Root:
    """Find the root that path and query name; most are trusted for one purpose only."""
    text = call.query.get("purpose")
    purpose = None if text is None else _purpose(text)
    identity = read_id(call.path["id"], "root")
    found = [root for root in stored.get(connection, identity) if purpose in {None, root.purpose}]
    if not found:
        raise not_found("root")
    if len(found) > 1:
        raise invalid("purpose", "it is a root for tls and one for sti: say which with purpose")
    return found[0]


def _purpose(text: str | None) -> Purpose:
    try:
        return Purpose(text or "")
    except ValueError as error:
        raise invalid("purpose", "one of tls, sti is expected") from error


def _records(call: ApiCall, roots: Iterable[Root]) -> tuple[RootRecord, ...]:
    return tuple(record(root, now=call.now) for root in roots)


_BASE = "/api/v1/roots"

ROUTES = (
    Route(
        "GET",
        _BASE,
        Role.VIEWER,
        listing,
        "List trusted roots",
        gives=RootList,
        query=("purpose", "limit", "after"),
    ),
    Route(
        "POST",
        _BASE,
        Role.ADMIN,
        create,
        "Trust a root",
        takes=RootAddition,
        gives=RootRecord,
        status=201,
    ),
    Route(
        "POST",
        f"{_BASE}/reset",
        Role.ADMIN,
        reset,
        "Restore the shipped roots of a purpose",
        takes=RootsReset,
        gives=RootsChanged,
    ),
    Route(
        "GET",
        f"{_BASE}/{{id}}",
        Role.VIEWER,
        show,
        "Show a root",
        gives=RootRecord,
        query=("purpose",),
    ),
    Route(
        "PUT",
        f"{_BASE}/{{id}}",
        Role.ADMIN,
        change_settings,
        "Disable or enable a root",
        takes=RootSettings,
        gives=RootRecord,
        query=("purpose",),
    ),
    Route(
        "DELETE",
        f"{_BASE}/{{id}}",
        Role.ADMIN,
        remove,
        "Remove a root",
        status=204,
        query=("purpose",),
    ),
    Route(
        "GET",
        f"{_BASE}.pem",
        Role.VIEWER,
        bundle,
        "The roots trusted for a purpose, as one PEM text",
        media_type="application/x-pem-file",
        query=("purpose",),
        conditional=True,
    ),
)
