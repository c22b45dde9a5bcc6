"""Errors of the administration API: problem documents (RFC 9457), made in one place."""

import logging
from dataclasses import dataclass
from http import HTTPStatus

import msgspec

from trust.keys import MasterKeyError
from trust.store.database import StoreError
from trust.store.failure import Failure

CONTENT_TYPE = "application/problem+json"

MAX_REPEATED = 40
"""Characters of a request's own text that an error repeats: so much of a key is no secret."""

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$(?!\n)"
"""Of the names of trunks and credentials."""

_log = logging.getLogger(__name__)


class FieldError(msgspec.Struct, frozen=True):
    """What is wrong with one member of a request."""

    field: str
    detail: str


class ProblemDocument(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of an error. `type` is a stable slug, `detail` says what to do."""

    type: str
    title: str
    status: int
    detail: str
    errors: tuple[FieldError, ...] = ()
    id: str | None = None


@dataclass
class Problem(Exception):  # noqa: N818 - RFC 9457 calls it so
    """A request is answered with a problem document."""

    status: int
    slug: str
    detail: str
    field: str | None = None
    id: str | None = None
    """The record that stands in the way, when there is one."""
    retry_after: int | None = None
    """Seconds until it makes sense to try again."""

    def body(self) -> bytes:
        """Return the JSON body."""
        errors = () if self.field is None else (FieldError(self.field, self.detail),)
        document = ProblemDocument(
            type=self.slug,
            title=HTTPStatus(self.status).phrase,
            status=self.status,
            detail=self.detail,
            errors=errors,
            id=self.id,
        )
        return msgspec.json.encode(document)


def invalid(field: str, detail: str) -> Problem:
    """Make the problem of a wrong member of the request."""
    return Problem(400, "invalid-request", detail, field)


def not_found(what: str) -> Problem:
    """Make the problem of a thing that is not there, or not for this credential to see."""
    return Problem(404, "not-found", f"there is no such {what}")


def store_unavailable(error: StoreError) -> Problem:
    """Make the problem of a database that does not do its work, where trying again helps or not."""
    detail = "the database does not answer; try again"
    if error.failure is Failure.FULL:
        detail = "the database's disk is full, and nothing was changed: free space on it"
    return Problem(503, "store-unavailable", detail)


def master_key_missing(error: MasterKeyError) -> Problem:
    """Make the problem of a service that can neither seal nor open keys, and log why."""
    _log.error("nothing can be sealed: %s", error)
    return Problem(
        503, "master-key-missing", "this service has not got the store's new master key yet"
    )


def from_validation(error: msgspec.ValidationError) -> Problem:
    """Turn msgspec's words (`Expected …  - at `$.a`` ) into a problem."""
    words = str(error)
    text, marker, path = words.rpartition(" - at `$")
    if not marker:
        text, path = words, ""
    where = path.rstrip("`").removeprefix(".")
    if text.endswith(repr(NAME_PATTERN)):
        return invalid(where, _NAME)
    for sentence, said in _QUOTING.items():
        if text.startswith(sentence):
            quoted = text.removeprefix(sentence)[2:-1]
            shown = quoted if len(quoted) <= MAX_REPEATED else f"{quoted[:MAX_REPEATED]}…"
            if "enum" not in sentence:
                where = f"{where}.{shown}" if where else shown
            return invalid(where, f"{said} {shown!r}")
    return invalid(where, text.replace("`", "'"))


_NAME = (
    "a name has letters, digits, dots, hyphens and underscores, 64 at most; a letter or digit"
    " comes first"
)

_QUOTING = {
    "Object contains unknown field": "there is an unknown field",
    "Object missing required field": "this is missing:",
    "Invalid enum value": "none of the words that are known here:",
}
"""How msgspec begins to speak of a text of the request or of its type, and what is said instead."""


def unauthorized(advice: str, retry_after: int | None) -> Problem:
    """Make the problem of a request that nobody known presents; with a wait, of one too many."""
    if retry_after is None:
        return Problem(401, "unauthorized", advice)
    return Problem(429, "too-many-failures", advice, retry_after=retry_after)
