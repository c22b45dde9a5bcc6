"""Lists and forms over the API's own functions: the same rules, scopes and audit."""

import re
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_network
from typing import Generic, TypeVar
from urllib.parse import urlencode

import msgspec

from shaken.api.problems import MAX_REPEATED, Problem, from_validation
from shaken.api.routes import ApiCall, Reply
from shaken.web.certificates import MAX_SEARCH, ROWS, pages_of
from shaken.web.routes import Download, PageCall
from shaken.web.words import sentence

Row = TypeVar("Row")

MENDABLE = frozenset({400, 409})
"""Statuses of what a person can mend in the form; others are a page of their own."""

MAX_BAD_LINES = 10
"""Lines of a field that one error names for each of as many reasons."""


@dataclass(frozen=True)
class Found(Generic[Row]):
    """A page of a list in memory that was searched."""

    path: str
    search: str
    total: int
    number: int
    rows: Sequence[Row]

    @property
    def pages(self) -> int:
        """How many pages there are."""
        return pages_of(self.total)

    def page(self, number: int) -> str:
        """Return the address of another page of this list."""
        told = {"search": self.search, "page": str(number)}
        return f"{self.path}?{urlencode({name: text for name, text in told.items() if text})}"


def find(
    call: PageCall, path: str, rows: Iterable[Row], words_of: Callable[[Row], str]
) -> Found[Row]:
    """Search rows, which are in order, for all words of the address's query."""
    search = call.query.get("search", "").strip()[:MAX_SEARCH]
    words = search.lower().split()
    found = [row for row in rows if all(word in words_of(row).lower() for word in words)]
    wanted = call.query.get("page", "")
    asked = int(wanted) if wanted.isascii() and wanted.isdecimal() and len(wanted) < 7 else 1
    number = min(max(asked, 1), pages_of(len(found)))
    return Found(path, search, len(found), number, found[(number - 1) * ROWS : number * ROWS])


def ask_api(
    call: PageCall,
    handler: Callable[[ApiCall], Reply],
    document: Mapping[str, object],
    kind: type[msgspec.Struct],
    **path: str,
) -> Reply:
    """Call a function of the API with what a form says. Raises Problem."""
    try:
        body = msgspec.convert(document, kind)
    except msgspec.ValidationError as error:
        raise from_validation(error) from error
    return handler(replace(call, body=body, path=path))


def errors_of(
    problem: Problem,
    fields: Container[str],
    *,
    taken: str = "name",
    mendable: Container[int] = MENDABLE,
) -> dict[str, str]:
    """Name the field of a form that a problem is about. Raises what no form can mend.

    `taken` is the field whose text somebody else has already, where the problem says no field.
    """
    if problem.status not in mendable:
        raise problem
    named = (problem.field or "").partition("[")[0]
    while named and named not in fields:
        named = named.rpartition(".")[0]
    if not named and problem.status == 409:
        named = taken
    return {named: sentence(in_words(problem.detail))}


def in_words(detail: str) -> str:
    """Say for who fills in a form what the API says of types of JSON."""
    for pattern, words in _IN_WORDS:
        if found := re.search(pattern, detail):
            return found.expand(words)
    return detail


_IN_WORDS = (
    (r"^Expected '(?:int|float)[^']*' >=? (\d+)", r"write a whole number, \1 at least"),
    (r"^Expected '(?:int|float)[^']*' <=? (\d+)", r"write a whole number, \1 at most"),
    (r"^Expected '(?:int|float)", "write a whole number"),
    (r"^Expected 'str' of length <= (\d+)", r"this is too long: \1 characters at most"),
    (r"^Expected 'str' of length >=", "this must not be empty"),
    (r"^Expected 'array' of length <= (\d+)", r"these are too many: \1 lines at most"),
    (r"^Invalid UUID", "write a UUID, as in 6b7ab1b4-1b1c-4e4f-8f0d-0d3a3d2f7c55"),
    (r"^none of the words that are known here", "choose one of those that are offered"),
    (r"^one of .* is expected", "choose one of those that are offered"),
    (r"^this is missing:", "this must not be empty"),
    (r"^Expected '", "this cannot be read as what belongs here"),
)
"""How msgspec begins, as `from_validation` gives it on, and what is said instead."""


def file_of(reply: Reply, media_type: str) -> Download:
    """Give what a download of the API gives, under its name."""
    _, _, name = reply.headers["Content-Disposition"].partition('filename="')
    return Download(reply.value, reply.media_type or media_type, name.rstrip('"'))


def lines(text: str) -> list[str]:
    """Read a field that holds one thing a line."""
    return [line.strip() for line in text.splitlines() if line.strip()]


def bad_lines(text: str, read: Callable[[str], object]) -> str | None:
    """Say which lines of a field cannot be read, and why; None: all can.

    `read` raises ValueError, with what to do about a line.
    """
    found: dict[str, list[str]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        try:
            if line.strip():
                read(line.strip())
        except ValueError as error:
            shown = line.strip()
            shown = shown if len(shown) <= MAX_REPEATED else f"{shown[:MAX_REPEATED]}…"
            found.setdefault(str(error), []).append(f"{number} ({shown})")
    if not found:
        return None
    reasons = list(found.items())
    told = [f"{_named_lines(where)}: {why}" for why, where in reasons[:MAX_BAD_LINES]]
    if more := sum(len(where) for _, where in reasons[MAX_BAD_LINES:]):
        told.append(f"{more} more lines cannot be read either")
    return " ".join(map(sentence, told))


def _named_lines(where: Sequence[str]) -> str:
    if len(where) == 1:
        return f"line {where[0]}"
    if len(where) > MAX_BAD_LINES:
        return f"lines {', '.join(where[:MAX_BAD_LINES])} and {len(where) - MAX_BAD_LINES} more"
    return f"lines {', '.join(where[:-1])} and {where[-1]}"


def read_network(text: str) -> None:
    """Read a line that holds a network. Raises ValueError, with what to write."""
    try:
        ip_network(text)
    except ValueError as error:
        if "host bits" in str(error):
            raise ValueError("a network begins at its first address, as in 192.0.2.0/24") from error
        raise ValueError("write a network as 192.0.2.0/24, an address as 192.0.2.7") from error
