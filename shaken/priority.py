"""Priority of a call: whether an `rph` PASSporT grants what the message asks for (RFC 8443).

RFC 9027 adds emergency calls (`esnet.1`) and `sph`, which vouches for a call back from an emergency
centre. Whether the PASSporT is to be believed is `shaken.verification`'s.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

CALLBACK = "psap-callback"
"""The only value of `sph` (RFC 9027), and that of the Priority header it stands for."""

_SHOWN_LENGTH = 100

_FOLD = re.compile(r"(?:\r\n|\r|\n)[ \t]+")
_LINE_END = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True, slots=True)
class Priority:
    """What is granted: `auth` has namespaces with their priorities, as `ets.0`.

    `is_asked` False: nobody told what the message asks for, so that there was nothing to compare.
    """

    auth: tuple[str, ...]
    is_callback: bool
    is_asked: bool

    def __str__(self) -> str:
        """Return it in words that are safe to print."""
        words = ascii(", ".join(self.auth))[1:-1][:_SHOWN_LENGTH]
        return f"{words} and {CALLBACK}" if self.is_callback else words


def lines_of(texts: Iterable[str]) -> tuple[str, ...]:
    """Return the lines of a message's header that several texts hold, each one or more of them.

    Folds are undone (RFC 3261 §7.3.1), empty lines left out.
    """
    return tuple(
        line for text in texts for line in _LINE_END.split(_FOLD.sub(" ", text)) if line.strip()
    )


def examine_priority(claims: Mapping[str, Any], headers: Sequence[str]) -> Priority | str:
    """Hold the claims of an `rph` PASSporT to the message; say in words what does not fit.

    `headers` are lines of the message that it protects, `Resource-Priority` and `Priority`; other
    lines are passed over.
    """
    rph, sph = claims.get("rph"), claims.get("sph")
    auth = rph.get("auth") if isinstance(rph, dict) else None
    if not isinstance(auth, list) or not auth or not all(isinstance(each, str) for each in auth):
        return "rph grants nothing: auth is no list of priorities"
    if sph is not None and sph != CALLBACK:
        return f"sph is {_shown(sph)}, not {CALLBACK}"
    asked = _values("resource-priority", headers)
    granted = {each.lower() for each in auth}
    for each in asked:
        if each not in granted:
            return f"Resource-Priority is {_shown(each)}; rph grants {_shown(', '.join(auth))}"
    if CALLBACK in _values("priority", headers) and sph is None:
        return f"Priority is {CALLBACK}, which no sph vouches for"
    return Priority(tuple(auth), is_callback=sph is not None, is_asked=bool(asked))


def _values(name: str, lines: Sequence[str]) -> list[str]:
    """List the values of a header among lines, in lower case."""
    parts = [line.partition(":") for line in lines]
    return [
        each.strip().lower()
        for called, _, values in parts
        if called.strip().lower() == name
        for each in values.split(",")
        if each.strip()
    ]


def _shown(value: object) -> str:
    return ascii(value)[:_SHOWN_LENGTH]
