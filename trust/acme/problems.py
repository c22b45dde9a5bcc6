"""What an authority says when it refuses, as values: type, words, names, when to come back.

The texts are a stranger's: they are bounded and hold no control characters. Problem documents are
read by `trust.acme.problem_documents`.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

MAX_TEXT = 1_000
"""Characters of one text of an authority that are kept: an admin reads them."""

MAX_PARTS = 100
"""Subproblems that are kept: an authority has one for each name, and 100 names are its limit."""

MAX_SECONDS = 366 * 24 * 3600
"""A Retry-After that asks for more is read as this."""


@dataclass(frozen=True)
class NameProblem:
    """What is wrong with one name of an order."""

    name: str
    type: str
    detail: str


@dataclass(frozen=True)
class Problem:
    """Why something failed.

    `type` is the error's name without the ACME prefix (`rateLimited`), or one of our own:
    `unreachable`, `unusable-answer`. `retry_after` is when the authority says to come back.
    """

    type: str
    detail: str
    names: tuple[NameProblem, ...] = ()
    retry_after: datetime | None = None
    status: int | None = None

    @property
    def words(self) -> str:
        """All of it for a person, in one line."""
        said = [self.detail, *(f"{each.name}: {each.detail}" for each in self.names)]
        return "; ".join(said)


class AcmeError(Exception):
    """Something an order, an account or an authority needs did not work; `problem` says what."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.words)
        self.problem = problem


class AuthorityRefused(AcmeError):  # noqa: N818 - what the authority did
    """The authority answered with a problem document: it understood, and says no."""


class AuthorityFailed(AcmeError):  # noqa: N818 - what the authority did
    """The authority cannot be reached or gives no usable answer: another try may do."""


TRANSIENT = frozenset({"badNonce", "rateLimited", "serverInternal"})
"""Refusals that say nothing about what was asked for: the same request may pass later."""


def is_transient(error: AcmeError) -> bool:
    """Say whether the same request may pass later, unchanged."""
    if isinstance(error, AuthorityFailed):
        return True
    status = error.problem.status or 0
    return error.problem.type in TRANSIENT or status in {429, 503} or status >= 500


def clean(text: str) -> str:
    """Bound a stranger's text, without control characters."""
    printable = "".join(each if each.isprintable() else " " for each in text[: 2 * MAX_TEXT])
    return " ".join(printable.split())[:MAX_TEXT]


def read_retry_after(value: str | None, *, now: datetime) -> datetime | None:
    """Read a Retry-After header field (RFC 9110 §10.2.3); None when it says nothing usable."""
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return now + timedelta(seconds=min(int(text[:10]), MAX_SECONDS))
    try:
        when = parsedate_to_datetime(text)
        aware = when if when.tzinfo is not None else when.replace(tzinfo=now.tzinfo)
        return min(max(aware, now), now + timedelta(seconds=MAX_SECONDS))
    except (ValueError, OverflowError):
        return None
