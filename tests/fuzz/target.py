"""What a fuzzed parser is: bytes in; a value that holds what it promises, or a refusal, out."""

import re
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

T = TypeVar("T")

VECTORS = Path(__file__).parents[1] / "vectors"
CORPUS = VECTORS / "fuzz"
"""A folder of inputs for each target."""

MAX_INPUT = 8 * 1024
"""Bytes of an input. Long enough for all syntax; bounds themselves have tests of their own."""

MAX_SECONDS = 10
"""That one input may take, on a busy machine: what takes longer holds up other calls."""

MAX_FILES = 60
"""Inputs that are chosen for a target's corpus: a test run tries them all in a second or two."""

MAX_WORDS = 1000
"""Characters of a refusal: it goes into answers and logs."""


def nothing(_data: bytes, _value: object) -> None:
    """Ask nothing more than that reading ends as it should."""


@dataclass(frozen=True, kw_only=True)
class Target(Generic[T]):
    """A parser of what strangers send.

    `read` raises exceptions of exactly the types in `refusals` for what it does not take; `holds`
    asserts what is promised of the rest, from the input and the value read. `seeds` are inputs to
    begin with.
    """

    read: Callable[[bytes], T]
    seeds: Callable[[], Iterable[bytes]]
    refusals: tuple[type[Exception], ...] = ()
    holds: Callable[[bytes, T], object] = nothing

    def __call__(self, data: bytes) -> None:
        """Try an input. Raises whatever is wrong."""
        try:
            value = self.read(data)
        except self.refusals as refusal:
            # A subclass, such as UnicodeDecodeError of ValueError, came out by accident.
            if type(refusal) not in self.refusals:
                raise
            fit_to_show(getattr(refusal, "detail", "") or str(refusal))
            return
        self.holds(data, value)


Targets = dict[str, Target[Any]]


def fit_to_show(words: str) -> None:
    """Assert that words about a stranger's text may go into an answer, a log, a terminal."""
    assert words
    assert len(words) <= MAX_WORDS, len(words)
    assert words.isprintable(), ascii(words)


def warn_as_tests_do() -> None:
    """Make errors of warnings, but for those that pyproject.toml leaves out for the tests."""
    warnings.simplefilter("error")
    for told in (
        "Parsed a serial number",
        "Attribute's length must be",
        "PKCS#12 bundle could not be parsed as DER",
    ):
        warnings.filterwarnings("ignore", told)


def text_of(data: bytes) -> str:
    """Read bytes as text, as the wire does: what is no UTF-8 becomes lone surrogates."""
    return data.decode("utf-8", "surrogateescape")


def fields(data: bytes, count: int) -> Sequence[bytes]:
    """Cut an input at NULs into so many fields; the last one has the rest, missing ones nothing."""
    found = data.split(b"\0", count - 1)
    return [*found, *[b""] * (count - len(found))]


_CHOSEN = re.compile(r"[0-9a-f]{40}")


def folder_of(name: str) -> Path:
    """Return where the corpus of a target is."""
    return CORPUS / name


def chosen(file: Path) -> bool:
    """Say whether a file is there for what it reaches, and may be exchanged for better ones.

    Such files are named by their SHA-1. Others once broke something, and stay.
    """
    return _CHOSEN.fullmatch(file.name) is not None
