"""What a route is: method, path, who may call it, what it takes and gives.

The same table serves requests, holds the roles and makes `/openapi.json`. Handlers are plain
functions of an `ApiCall`; they run in a thread, since they use the database.
"""

import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from shaken.api.problems import Problem, invalid, not_found
from shaken.audit import Actor, AuditedChange, changing
from shaken.concealment import NumberHash
from shaken.config import Config
from shaken.credentials import Credential, Role
from shaken.pens import Pens
from shaken.snapshot import Snapshot
from shaken.tally import Tally
from trust.certificate import CertificateKind
from trust.keys import MasterKeys
from trust.names import DnsNameError, dns_name
from trust.store.database import Database

DEFAULT_LIMIT = 100
MAX_LIMIT = 1000
"""Items of one page of a list."""

MAX_POSITION_DIGITS = 18
"""Digits of a place in a list: each such number fits the database's integers."""

_SHA256 = re.compile(r"[0-9A-Fa-f]{64}")


@dataclass(frozen=True)
class Resources:
    """What handlers work with; the same for every request of a worker.

    `numbers` hashes numbers as records hold them; None: no record ever held a hash.
    """

    config: Config
    database: Database
    master: MasterKeys
    pens: Pens
    numbers: NumberHash | None
    tally: Tally = field(default_factory=Tally)


@dataclass(frozen=True)
class ApiCall:
    """One request to a handler. `now` is Unix seconds; `who` None: the route asks for nobody.

    `peer` is the client's IP address, or `shaken.api.peer.UNKNOWN`.
    """

    resources: Resources
    snapshot: Snapshot
    now: int
    who: Credential | None
    peer: str
    path: Mapping[str, str]
    query: Mapping[str, str]
    body: Any

    @property
    def scope(self) -> str | None:
        """The one tenant this credential may see and change; None: all."""
        return self.who.tenant if self.who else None

    @property
    def actor(self) -> Actor:
        """Who makes the changes of this request, for their audit."""
        if self.who is None:
            raise RuntimeError("a route that changes something names a role")
        return Actor(self.who.name, self.peer)

    def changing(self) -> AbstractContextManager[AuditedChange]:
        """Give the transaction in which this request changes things and tells of each."""
        return changing(self.resources.database, self.actor, now=self.now)

    def limit(self) -> int:
        """Return the wanted length of a page. Raises Problem."""
        text = self.query.get("limit", str(DEFAULT_LIMIT))
        is_number = text.isascii() and text.isdecimal() and len(text) <= len(str(MAX_LIMIT))
        if not is_number or not 1 <= int(text) <= MAX_LIMIT:
            raise invalid("limit", f"a number from 1 to {MAX_LIMIT} is expected")
        return int(text)

    def hold_to_scope(self, tenant: str | None, what: str) -> None:
        """Raise the problem of a thing that is not there when it belongs to somebody else."""
        if self.scope is not None and tenant != self.scope:
            raise not_found(what)

    def owner(self, address: str | None) -> str | None:
        """Return the tenant that an address means; None: nobody's."""
        found = None if address is None else self.snapshot.tenants.get(address)
        return None if found is None else found.address

    def tenant_for(self, text: str | None) -> str | None:
        """Return the address that something is for: the one given, else the credential's tenant's.

        None: nobody's. Raises Problem, also where the credential is not for that tenant.
        """
        address = self.scope if text is None else read_address(text, "tenant")
        self.hold_to_scope(self.owner(address), "tenant")
        return address

    def listed_tenant(self) -> str | None:
        """Return the one tenant whose things a list shows; None: those of all. Raises Problem."""
        text = self.query.get("tenant")
        address = None if text is None else read_address(text, "tenant")
        return self.scope or self.owner(address) or address

    def require_everything(self) -> None:
        """Raise a problem unless the credential is for all tenants."""
        if self.scope is not None:
            raise Problem(403, "forbidden", "a credential that is for all tenants is needed")


@dataclass(frozen=True)
class Reply:
    """What a handler gives: a value to encode as JSON, or bytes of another type.

    `media_type` is that of the bytes where it is not the route's own. `etag` names this state of
    the resource (RFC 9110 §8.8.3, without quotes): who has it already is answered 304.
    """

    value: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int | None = None
    etag: str | None = None
    media_type: str | None = None


@dataclass(frozen=True)
class Form:
    """How a route takes its type as multipart/form-data too (RFC 7578).

    `binary` are the members whose bytes come as they are; JSON holds them in base64.
    """

    binary: tuple[str, ...] = ()


@dataclass(frozen=True)
class Route:
    """An operation of the API.

    `role` None: anybody; `secret`: keys or secrets pass through it; `conditional`: its replies
    have an ETag; `waits`: a client that has this state may wait for the next (RFC 7240 §4.3);
    `form`: what it takes may come as a form, too; `local`: from the machine itself, where no proxy
    is in between, it asks for nobody.
    """

    method: str
    path: str
    role: Role | None
    handler: Callable[[ApiCall], Reply]
    summary: str
    takes: type[msgspec.Struct] | None = None
    form: Form | None = None
    gives: Any = None
    status: int = 200
    secret: bool = False
    query: tuple[str, ...] = ()
    media_type: str = "application/json"
    conditional: bool = False
    waits: bool = False
    local: bool = False

    @property
    def changes(self) -> bool:
        """Whether it changes what workers hold."""
        return self.method not in {"GET", "HEAD"}

    def permits(self, role: Role) -> bool:
        """Say whether a credential of this role may call it."""
        return role is self.role or (role is Role.ADMIN and self.role is Role.VIEWER)


def read_address(text: str, field_name: str) -> str:
    """Read a DNS address of a request. Raises Problem."""
    try:
        return dns_name(text)
    except DnsNameError as error:
        raise invalid(field_name, str(error)) from error


def refuse_nul(path: Mapping[str, str], query: Mapping[str, str]) -> None:
    """Refuse an address with NUL, which no name holds and PostgreSQL takes in no text.

    Raises Problem.
    """
    if any("\0" in text for text in path.values()):
        raise not_found("resource")
    for name, text in query.items():
        if "\0" in name or "\0" in text:
            raise invalid(ascii(name)[1:-1], "the text holds a NUL character")


def read_id(text: str, what: str) -> str:
    """Read the id of a path, a SHA-256 in hex of either case. Raises the problem of no such thing.

    `what` is what an answer calls the thing.
    """
    if not _SHA256.fullmatch(text):
        raise not_found(what)
    return text.lower()


def read_kind(text: str | None) -> CertificateKind | None:
    """Read the kind of certificates that a list shows. Raises Problem."""
    try:
        return None if text is None else CertificateKind(text)
    except ValueError as error:
        raise invalid("kind", "one of system, domain, sti is expected") from error


def read_flag(text: str | None, field_name: str) -> bool:
    """Read `true` or `false` of a query; left out is false. Raises Problem."""
    if text not in {None, "true", "false"}:
        raise invalid(field_name, "true or false is expected")
    return text == "true"


def read_time(text: str | None, field_name: str) -> int | None:
    """Read an RFC 3339 time of a query as Unix seconds. Raises Problem."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise invalid(field_name, "an RFC 3339 time is expected") from error
    if moment.tzinfo is None:
        raise invalid(field_name, "the time needs its zone, as in 2030-01-01T00:00:00Z")
    return int(moment.timestamp())


def read_position(text: str | None) -> int | None:
    """Read the place in a list where the next page begins. Raises Problem."""
    if text is None:
        return None
    if not text.isascii() or not text.isdecimal() or len(text) > MAX_POSITION_DIGITS:
        raise invalid("after", "send what the previous page gave as next")
    return int(text)
