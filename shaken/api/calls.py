"""`/api/v1/calls`: signed and verified calls with their verdicts, for tracebacks."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import TypeVar

import msgspec

from shaken.acceptance import Verstat
from shaken.api.problems import invalid
from shaken.api.routes import ApiCall, Reply, Route, read_position, read_time
from shaken.concealment import NumberHash, is_hashed
from shaken.credentials import Role
from shaken.store.calls import CallFilter, CallKind, CallRecord, destinations_of, find_calls
from sip.number import NumberError, canonical_number

MAX_CERTIFICATE = 2048
"""Characters of a certificate's URL."""

Word = TypeVar("Word", bound=StrEnum)


class CallEntry(msgspec.Struct, frozen=True):
    """A call as it was signed or verified.

    `orig` and `dest` are canonical numbers or URIs, or hashes of them (`hmac:…`), `orig` may be
    `anonymous`. `certificate` is the id of our own or the URL of another's. `attest` and `origid`
    of a verified call are those of a header that holds. `verstat` to `reason` are the verdict.
    """

    at: datetime
    kind: str
    tenant: str | None
    trunk: str | None
    credential: str
    orig: str
    dest: tuple[str, ...]
    attest: str | None
    origid: str | None
    certificate: str | None
    request_id: str
    verstat: str | None
    code: int | None
    action: str | None
    reason: str | None


class CallList(msgspec.Struct, frozen=True):
    """A page of calls; `next` is what to send as `after`, also when the page has few or none."""

    items: tuple[CallEntry, ...]
    next: str | None


def listing(call: ApiCall) -> Reply:
    """List calls, the newest first. A tenant's own credentials see the tenant's."""
    wanted = CallFilter(
        number=_number(call.query.get("number"), call.resources.numbers),
        kind=_word(call.query.get("kind"), CallKind, "kind"),
        tenant=call.listed_tenant(),
        certificate=_certificate(call.query.get("certificate")),
        verstat=_word(call.query.get("verstat"), Verstat, "verstat"),
        code=_code(call.query.get("code")),
        since=read_time(call.query.get("since"), "since"),
        until=read_time(call.query.get("until"), "until"),
    )
    before = read_position(call.query.get("after"))
    limit = call.limit()
    with call.resources.database.reading() as connection:
        page = find_calls(connection, wanted, before=before, limit=limit)
    following = None if page.next is None else str(page.next)
    return Reply(CallList(tuple(_entry(record) for record in page.records), following))


def _number(text: str | None, numbers: NumberHash | None) -> tuple[str, ...] | None:
    """Return how records may spell a number: in clear text, and hashed where there is a key."""
    if text is None or is_hashed(text):
        return None if text is None else (text,)
    try:
        number = canonical_number(text, country=None)
    except NumberError as error:
        raise invalid("number", str(error)) from error
    return (number,) if numbers is None else (number, numbers.hashed(number))


def _word(text: str | None, words: type[Word], field: str) -> Word | None:
    try:
        return None if text is None else words(text)
    except ValueError as error:
        raise invalid(field, f"one of {', '.join(words)} is expected") from error


def _code(text: str | None) -> int | None:
    if text is None:
        return None
    if not text.isascii() or not text.isdecimal() or len(text) != len("403"):
        raise invalid("code", "a SIP response code is expected, as in 438")
    return int(text)


def _certificate(text: str | None) -> str | None:
    if text is not None and not 0 < len(text) <= MAX_CERTIFICATE:
        raise invalid("certificate", "the id of a certificate or its URL is expected")
    return text


def _entry(record: CallRecord) -> CallEntry:
    return CallEntry(
        at=datetime.fromtimestamp(record.at, UTC),
        kind=record.kind,
        tenant=record.tenant,
        trunk=record.trunk,
        credential=record.credential,
        orig=record.orig,
        dest=destinations_of(record.dest),
        attest=record.attest or None,
        origid=record.origid or None,
        certificate=record.certificate or None,
        request_id=record.request_id,
        verstat=record.verstat,
        code=record.code,
        action=record.action,
        reason=record.reason,
    )


ROUTES = (
    Route(
        "GET",
        "/api/v1/calls",
        Role.VIEWER,
        listing,
        "List signed and verified calls",
        gives=CallList,
        query=(
            "number",
            "kind",
            "verstat",
            "code",
            "tenant",
            "certificate",
            "since",
            "until",
            "limit",
            "after",
        ),
    ),
)
