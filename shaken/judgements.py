"""What was judged of certificates, kept as long as file, roots and intermediates stay as they were.

A judgement is of a moment, the `iat` of a call, which a stranger chooses. Between two edges, of the
chain's and of the roots', every moment gives the same one: so it is kept by what edges are before,
and who sends an `iat` of another time neither decides about the calls of others nor has it judged
anew each time.
"""

from bisect import bisect_right
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import inf

from cryptography import x509

from shaken.verification import Signatory
from shaken.x5u.repository import Fetched
from trust.certificate import UNREADABLE, Certificate

MAX_KEPT = 10_000
"""Files of which judgements are kept; with more, all are judged anew."""

MAX_PERIODS = 16
"""Judgements of one certificate that are kept, each for calls of another time."""

_Edges = tuple[float, ...]
"""The moments (Unix seconds) at which a certificate of several becomes valid, or no longer is."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """Who signs, and how long that is believed: `until` (Unix seconds), and `grace` (s) beyond.

    `unchecked` says in words why nobody knows whether it is revoked, None: it is known, or not
    asked.
    """

    signer: Signatory
    until: float
    grace: float = 0
    unchecked: str | None = None


@dataclass(frozen=True, slots=True)
class _OfFile:
    """What was judged of a file, its roots, and the intermediates that were added to it."""

    certificate: Certificate
    roots: Sequence[x509.Certificate]
    added: tuple[x509.Certificate, ...]
    edges: tuple[_Edges, _Edges]
    by_period: list[tuple[float, float, Judgement]]
    """From when until before when (Unix seconds) a call was made of which each is."""

    def is_of(self, fetched: Fetched, roots: Sequence[x509.Certificate]) -> bool:
        """Whether file and roots are still those that were judged."""
        return self.certificate is fetched.certificate and self.roots is roots

    def find(self, at: int) -> Judgement | None:
        """Return what was judged as of a moment (Unix seconds)."""
        for since, before, judgement in self.by_period:
            if since <= at < before:
                return judgement
        return None

    def keep(self, judgement: Judgement, at: int) -> None:
        """Keep what was judged as of a moment (Unix seconds) for the period that it is in."""
        periods = [_period(edges, at) for edges in self.edges]
        since, before = max(each[0] for each in periods), min(each[1] for each in periods)
        others = [each for each in self.by_period if each[0] != since]
        if len(others) >= MAX_PERIODS:
            others = []
        self.by_period[:] = (*others, (since, before, judgement))


class Judgements:
    """Judgements of the files at x5u URLs, in bounded memory.

    Files and roots are told apart as objects: others that are equal are judged anew.
    """

    def __init__(self) -> None:
        self._judged: dict[str, _OfFile] = {}
        self._root_edges: tuple[Sequence[x509.Certificate], _Edges] = ((), ())

    def find(
        self, fetched: Fetched, roots: Sequence[x509.Certificate], *, at: int
    ) -> Judgement | None:
        """Return what was judged of a file as of `at` (Unix seconds), however long ago."""
        judged = self._judged.get(fetched.url)
        if judged is None or not judged.is_of(fetched, roots):
            return None
        return judged.find(at)

    def keep(
        self,
        judgement: Judgement,
        fetched: Fetched,
        roots: Sequence[x509.Certificate],
        *,
        at: int,
    ) -> None:
        """Keep what was judged of a file as of `at` (Unix seconds)."""
        self._judged_of(fetched, roots).keep(judgement, at)

    def added(
        self, fetched: Fetched, roots: Sequence[x509.Certificate]
    ) -> tuple[x509.Certificate, ...]:
        """Return the intermediates with which a file is judged, beside those in it."""
        return self._judged_of(fetched, roots).added

    def add(
        self,
        intermediates: tuple[x509.Certificate, ...],
        fetched: Fetched,
        roots: Sequence[x509.Certificate],
    ) -> bool:
        """Have a file judged with these; say whether they are others than before.

        Then what was judged of it is forgotten.
        """
        if intermediates == self.added(fetched, roots):
            return False
        self._judged[fetched.url] = self._nothing_judged(fetched, roots, intermediates)
        return True

    def forget(self, url: str) -> None:
        """Forget what was judged of the file at a URL."""
        self._judged.pop(url, None)

    def _judged_of(self, fetched: Fetched, roots: Sequence[x509.Certificate]) -> _OfFile:
        """Return what was judged of a file as it is now."""
        judged = self._judged.get(fetched.url)
        if judged is None or not judged.is_of(fetched, roots):
            if len(self._judged) >= MAX_KEPT:
                self._judged.clear()
            judged = self._judged[fetched.url] = self._nothing_judged(fetched, roots, ())
        return judged

    def _nothing_judged(
        self,
        fetched: Fetched,
        roots: Sequence[x509.Certificate],
        added: tuple[x509.Certificate, ...],
    ) -> _OfFile:
        if self._root_edges[0] is not roots:
            self._root_edges = (roots, _edges(roots))
        edges = (_edges((*fetched.chain, *added)), self._root_edges[1])
        return _OfFile(fetched.certificate, roots, added, edges, [])


def _period(edges: _Edges, at: int) -> tuple[float, float]:
    """Return the last edge up to a moment, and the first one behind it."""
    place = bisect_right(edges, at)
    return (edges[place - 1] if place else -inf), (edges[place] if place < len(edges) else inf)


def _edges(certificates: Sequence[x509.Certificate]) -> _Edges:
    """Return the edges of all. Whether a last second is in is left open: it is a period."""
    found: set[float] = set()
    for each in certificates:
        with suppress(*UNREADABLE):
            last = each.not_valid_after_utc.timestamp()
            found |= {each.not_valid_before_utc.timestamp(), last, last + 1}
    return tuple(sorted(found))
