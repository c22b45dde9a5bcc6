"""Forms as browsers send them -> fields. The admin pages know nothing else of a body.

How a multipart body is cut into parts is `shaken.api.bodies`' business.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl

from shaken.api.forms import Part
from shaken.api.problems import Problem, invalid

MAX_FIELDS = 1100
"""Fields of one form: a page of a list has at most a thousand boxes to tick."""

URLENCODED, MULTIPART = "application/x-www-form-urlencoded", "multipart/form-data"


@dataclass(frozen=True)
class Submitted:
    """The fields of a form, in their order. Files stand by the name of their field, as bytes."""

    fields: tuple[tuple[str, str], ...] = ()
    files: tuple[tuple[str, bytes], ...] = ()

    def text(self, name: str) -> str:
        """Return what a field holds, without blanks around; nothing when it is not there."""
        return next((value.strip() for field, value in self.fields if field == name), "")

    def secret(self, name: str) -> str:
        """Return what a field holds with each blank of it: it may belong to a passphrase."""
        return next((value for field, value in self.fields if field == name), "")

    def texts(self, name: str) -> tuple[str, ...]:
        """Return what all fields of this name hold."""
        return tuple(value for field, value in self.fields if field == name)

    def contents(self, name: str) -> tuple[bytes, ...]:
        """Return the files of a field that hold something."""
        return tuple(content for field, content in self.files if field == name and content)


def read_urlencoded(body: bytes) -> Submitted:
    """Read `application/x-www-form-urlencoded` in UTF-8. Raises Problem."""
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=MAX_FIELDS,
        )
    except ValueError as error:
        raise _unreadable() from error
    return _without_nul(Submitted(tuple(pairs)))


def read_parts(parts: Sequence[Part], *, files: frozenset[str]) -> Submitted:
    """Read the parts of `multipart/form-data`; `files` names fields that hold files.

    Raises Problem.
    """
    try:
        texts = tuple(
            (part.name, part.content.decode("utf-8"))
            for part in parts
            if part.name and part.name not in files
        )
    except UnicodeDecodeError as error:
        raise _unreadable() from error
    held = tuple((part.name, part.content) for part in parts if part.name and part.name in files)
    return _without_nul(Submitted(texts, held))


def _without_nul(form: Submitted) -> Submitted:
    for name, value in form.fields:
        if "\0" in value:
            raise invalid(name[:40], "The text holds a NUL character.")
    return form


def _unreadable() -> Problem:
    return Problem(
        400, "not-a-form", "What was sent is no form that is read here. Go back, and try again."
    )
