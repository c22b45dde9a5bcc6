"""Problem documents of an authority (RFC 8555 §6.7, RFC 9457), read as `trust.acme.problems`."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from acme import messages

from trust.acme.problems import MAX_PARTS, NameProblem, Problem, clean


def from_document(
    error: messages.Error, *, status: int | None = None, retry_after: datetime | None = None
) -> Problem:
    """Read a problem document of the authority."""
    parts = tuple(_parts(error))[:MAX_PARTS]
    if not parts and error.identifier is not None:
        parts = (_named(error),)
        return Problem(_type(error), parts[0].detail, parts, retry_after, status)
    return Problem(_type(error), _detail(error), parts, retry_after, status)


def of_names(failed: Iterable[tuple[str, messages.Error]]) -> Problem:
    """Join the errors of the names that an authority could not verify (RFC 8555 §8)."""
    parts = tuple(replace(_named(error), name=name) for name, error in failed)[:MAX_PARTS]
    kind = parts[0].type if len({part.type for part in parts}) == 1 else "compound"
    return Problem(kind, "the authority could not verify every name", parts)


def _parts(error: messages.Error) -> Iterable[NameProblem]:
    for each in error.subproblems or ():
        yield _named(each)


def _named(error: messages.Error) -> NameProblem:
    name = "" if error.identifier is None else clean(str(error.identifier.value))
    return NameProblem(name or "the order", _type(error), _detail(error))


def _type(error: messages.Error) -> str:
    return clean(str(error.typ)).removeprefix(messages.ERROR_PREFIX)


def _detail(error: messages.Error) -> str:
    said = [error.description, error.detail or error.title]
    return ": ".join(clean(str(text)) for text in said if text) or _type(error)
