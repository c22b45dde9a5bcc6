"""Whose numbers a certificate speaks for, and whether its issuer could give it them (RFC 9060).

A TNAuthList of 10,000 entries is turned once into a `Scope`, which answers at once. What a service
provider code permits is decided here: the numbers behind it stand in no certificate, so it
authorises its holder for all calls (ATIS-1000080), and an issuer that has one may delegate numbers
that nobody can look up in the path (RFC 9060 §4.1).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, TypeAlias

from cryptography import x509

from trust.certificate import read_tn_auth_list, subject_of
from trust.tnauthlist import TnAuthList

Span: TypeAlias = tuple[int, int]
"""The first and the last of consecutive numbers of one length."""

Ground: TypeAlias = Literal["provider", "number"]
"""Why a certificate may speak for a number: as the provider, or since the number is named."""


@dataclass(frozen=True)
class Scope:
    """A TNAuthList arranged for questions.

    `spans` has, for each length of numbers, the named ones as disjoint spans in ascending order
    (`007` and `7` are two numbers); `services` the numbers that hold `*` or `#`.
    """

    spcs: frozenset[str]
    services: frozenset[str]
    spans: Mapping[int, tuple[Span, ...]]

    @classmethod
    def of(cls, tn_auth_list: TnAuthList | None) -> Scope:
        """Arrange the entries of a list; None, a certificate without one, names nothing."""
        if tn_auth_list is None:
            return cls(frozenset(), frozenset(), {})
        spans: dict[int, list[Span]] = {}
        for span in tn_auth_list.ranges:
            spans.setdefault(len(span.start), []).append((int(span.start), int(span.last)))
        services = set()
        for number in tn_auth_list.numbers:
            if number.isdigit():
                spans.setdefault(len(number), []).append((int(number), int(number)))
            else:
                services.add(number)
        return cls(
            frozenset(tn_auth_list.spcs),
            frozenset(services),
            {length: _merged(several) for length, several in spans.items()},
        )

    def covers(self, number: str) -> bool:
        """Whether a single number or a range names `number` (canonical: no `+`, RFC 8224 §8.3).

        A service provider code covers no number by itself: which numbers a provider serves is
        not in the certificate.
        """
        if not (number.isascii() and number.isdigit()):
            return number in self.services
        # Of another length than all that are named it is not even read: it may be endless.
        return len(number) in self.spans and self._reaches(len(number), int(number)) is not None

    def excess_of(self, child: Scope) -> str | None:
        """Name something in `child` that this scope does not encompass, None: all is (RFC 9060 §4).

        A provider code is encompassed by the same code only, numbers by the numbers or by any
        code: which numbers are the provider's is not in the certificate.
        """
        if codes := child.spcs - self.spcs:
            return f"the provider code {min(codes)}"
        if self.spcs:
            return None
        if services := child.services - self.services:
            return min(services)
        for length, spans in child.spans.items():
            for first, last in spans:
                reached = self._reaches(length, first)
                if reached is None or reached < last:
                    outside = first if reached is None else reached + 1
                    return str(outside).zfill(length)
        return None

    def _reaches(self, length: int, number: int) -> int | None:
        """Return the last number of the span that holds `number`, None when no span does."""
        spans = self.spans.get(length, ())
        position = bisect_right(spans, number, key=lambda span: span[0]) - 1
        if position < 0 or spans[position][1] < number:
            return None
        return spans[position][1]


@dataclass(frozen=True)
class Excess:
    """A certificate names more than its issuer may give."""

    certificate: x509.Certificate
    issuer: x509.Certificate
    what: str

    @property
    def detail(self) -> str:
        """The refusal as a sentence."""
        return (
            f'"{subject_of(self.certificate)}" names {self.what}, which the TNAuthList of '
            f'"{subject_of(self.issuer)}" above it does not encompass'
        )


def find_excess(path: Sequence[x509.Certificate]) -> Excess | None:
    """Find the first breach of RFC 9060 §4 in a validated path, leaf first; None: it is sound.

    Each TNAuthList is held against the next one above it. Authorities between them without one
    add nothing and lift nothing: what bounds an authority bounds all below it.

    Raises TnAuthListError for a malformed list, one of UNREADABLE for unreadable extensions.
    """
    lists = ((certificate, read_tn_auth_list(certificate)) for certificate in path)
    scopes = [(certificate, Scope.of(one)) for certificate, one in lists if one is not None]
    for (certificate, scope), (issuer, encompassing) in pairwise(scopes):
        if what := encompassing.excess_of(scope):
            return Excess(certificate, issuer, what)
    return None


def may_speak_for(scope: Scope, number: str | None) -> Ground | None:
    """Say why a certificate may sign for the caller `number`, None: it may not.

    `number` is `orig.tn`, canonical; None when `orig` is a URI, for which only a provider may
    speak: a list of numbers names no URI.
    """
    if scope.spcs:
        return "provider"
    if number is not None and scope.covers(number):
        return "number"
    return None


def _merged(spans: Iterable[Span]) -> tuple[Span, ...]:
    merged: list[Span] = []
    for first, last in sorted(spans):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return tuple(merged)
