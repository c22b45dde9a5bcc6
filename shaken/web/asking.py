"""Lists and forms over the API's own functions: the same rules, scopes and audit."""

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar
from urllib.parse import urlencode

import msgspec

from shaken.api.problems import Problem, from_validation
from shaken.api.routes import ApiCall, Reply
from shaken.web.certificates import MAX_SEARCH, ROWS, pages_of
from shaken.web.routes import Download, PageCall

Row = TypeVar("Row")

MENDABLE = frozenset({400, 409})
"""Statuses of what a person can mend in the form; others are a page of their own."""

_NAME = (
    "A name has letters, digits, dots, hyphens and underscores, 64 at most; a letter or digit"
    " comes first."
)


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
    fields: Iterable[str],
    *,
    taken: str = "name",
    mendable: Container[int] = MENDABLE,
) -> dict[str, str]:
    """Name the field of a form that a problem is about. Raises what no form can mend.

    `taken` is the field whose text somebody else has already, where the problem says no field.
    """
    if problem.status not in mendable:
        raise problem
    named = (problem.field or "").removeprefix("verification.").partition("[")[0].partition(".")[0]
    if not named and problem.status == 409:
        named = taken
    words = _NAME if "matching regex" in problem.detail else problem.detail
    sentence = words[:1].upper() + words[1:].rstrip(".") + "."
    return {named if named in fields else "": sentence}


def file_of(reply: Reply, media_type: str) -> Download:
    """Give what a download of the API gives, under its name."""
    _, _, name = reply.headers["Content-Disposition"].partition('filename="')
    return Download(reply.value, reply.media_type or media_type, name.rstrip('"'))


def lines(text: str) -> list[str]:
    """Read a field that holds one thing a line."""
    return [line.strip() for line in text.splitlines() if line.strip()]
