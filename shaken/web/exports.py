"""Lists of the API as pages and as CSV files.

A filter's blank fields are left out, and the times of forms are read as UTC.
"""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol
from urllib.parse import urlencode

from shaken.api.problems import Problem
from shaken.api.routes import MAX_LIMIT, ApiCall, Reply
from shaken.web.asking import in_words
from shaken.web.routes import Download, PageCall
from shaken.web.words import plural, sentence

MAX_ROWS = 10_000
"""Rows of one file."""

MAX_ANSWERS = 50
"""Answers of the store for one file: a search may go far back and find little in each."""

TIMES = ("since", "until")
"""Fields that hold a time without its zone, as browsers send it."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the beginning of a formula, or skips before one."""

Listing = Callable[[ApiCall], Reply]


class Listed(Protocol):
    """A page of a list of the API; `next` is where the next one begins."""

    @property
    def items(self) -> Sequence[Any]:
        """The rows."""

    @property
    def next(self) -> str | None:
        """What to send as `after`."""


def csv_of(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """Write a table as CSV (RFC 4180) in UTF-8."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(header)
    writer.writerows([safe_cell(cell) for cell in row] for row in rows)
    return text.getvalue().encode("utf-8", "replace")


def safe_cell(value: object) -> str:
    """Write a cell; an apostrophe before what would be a formula makes text of it."""
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def download(name: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> Download:
    """Make the file of a list."""
    return Download(csv_of(header, rows), "text/csv", f"{name}.csv")


def asked(query: Mapping[str, str], fields: Sequence[str]) -> dict[str, str]:
    """Take the fields of a filter that hold something."""
    given = {name: query.get(name, "").strip() for name in fields}
    return {name: text for name, text in given.items() if text}


def address(path: str, wanted: Mapping[str, str], **more: str) -> str:
    """Return the address of a list with a filter."""
    query = urlencode({**wanted, **more})
    return f"{path}?{query}" if query else path


def listed(call: PageCall, wanted: Mapping[str, str], listing: Listing, **more: str) -> Listed:
    """Ask the API for a page of a list, as the person who has signed in. Raises Problem."""
    query = {name: f"{text}Z" if name in TIMES else text for name, text in wanted.items()}
    page: Listed = listing(replace(call, query={**query, **more})).value
    return page


def everything(
    call: PageCall,
    path: str,
    fields: Sequence[str],
    listing: Listing,
    cells_of: Callable[[Any], Sequence[object]],
) -> Iterator[Sequence[object]]:
    """Go through a list, the newest first, as far as one file may go. Raises Problem.

    Where there may be more, the last row says so, and at which address the next file is.
    """
    wanted, after = asked(call.query, fields), asked(call.query, ("after",))
    count = 0
    for _ in range(MAX_ANSWERS):
        limit = min(MAX_LIMIT, MAX_ROWS - count)
        page = listed(call, wanted, listing, limit=str(limit), **after)
        yield from map(cells_of, page.items)
        count += len(page.items)
        if page.next is None:
            return
        after = {"after": page.next}
        if count == MAX_ROWS:
            break
    rest = address(f"{path}.csv", wanted, **after)
    yield (f"CUT OFF after {plural(count, 'row')}: the next file is at this address: {rest}",)


def shown(call: PageCall, path: str, fields: Sequence[str], listing: Listing) -> dict[str, object]:
    """Return what the template of a list shows; a wrong filter is shown with what is wrong."""
    wanted = asked(call.query, fields)
    after = asked(call.query, ("after",))
    context: dict[str, object] = {
        "wanted": {name: wanted.get(name, "") for name in fields},
        "is_filtered": bool(wanted),
        "is_later": bool(after),
        "first": address(path, wanted),
        "csv": address(f"{path}.csv", wanted),
        "most": MAX_ROWS,
    }
    try:
        page = listed(call, wanted, listing, **after)
    except Problem as problem:
        if problem.field is None:
            raise
        return {
            **context,
            "errors": {problem.field: sentence(in_words(problem.detail))},
            "items": (),
            "older": None,
        }
    older = None if page.next is None else address(path, wanted, after=page.next)
    return {**context, "errors": {}, "items": page.items, "older": older}
