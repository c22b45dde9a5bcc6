"""Which certificate to use: pure rules, no clock and no store.

`StiIndex` answers "which STI certificate signs for this tenant" from tables made once for each
state of the store, so that ten thousand tenants are looked up as fast as one.
"""

import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Fallback(StrEnum):
    """What signs for a tenant that has no certificate of its own."""

    FIRST = "first"
    NONE = "none"


class Chosen(StrEnum):
    """Why a certificate was chosen."""

    TENANT = "tenant"
    FIRST = "first"


@dataclass(frozen=True, slots=True)
class StiCandidate:
    """An STI certificate as the rules see it.

    `names` and `tenant` are in the spelling of `trust.names.dns_name`, times are Unix seconds,
    `sequence` grows with each upload.
    """

    id: str
    names: tuple[str, ...]
    tenant: str | None
    not_before: int
    not_after: int
    has_key: bool
    sequence: int

    def usable(self, now: int) -> bool:
        """Say whether it can sign at this time."""
        return self.has_key and self.not_before <= now <= self.not_after


class Why(StrEnum):
    """What became of a certificate when one was chosen, and by which rule."""

    CHOSEN = "chosen"
    NO_KEY = "no-key"
    NOT_YET_VALID = "not-yet-valid"
    EXPIRED = "expired"
    OLDER = "older"
    """The tenant's own, as the chosen one is, which is valid since later."""
    NOT_OWN = "not-own"
    """Not the tenant's own, and the chosen one is."""
    FALLBACK_OFF = "fallback-off"
    """Not the tenant's own, and no other may sign for it."""
    ASSIGNED = "assigned"
    """Assigned to another tenant: those that are assigned to none come first."""
    LATER = "later"
    """Uploaded after the chosen one."""


@dataclass(frozen=True, slots=True)
class Appraisal:
    """A certificate that could be chosen for a tenant; `own`: it is the tenant's own."""

    candidate: StiCandidate
    own: bool
    why: Why


@dataclass(frozen=True, slots=True)
class Choice:
    """The certificate that signs, and why."""

    candidate: StiCandidate
    chosen: Chosen


class StiIndex:
    """STI certificates, ordered for the choice. Immutable."""

    def __init__(self, candidates: Iterable[StiCandidate]) -> None:
        by_upload = sorted(candidates, key=lambda candidate: candidate.sequence)
        own: dict[str, list[StiCandidate]] = {}
        for candidate in by_upload:
            # Assigned to one tenant it is nobody else's own, whatever names it holds: who may
            # import for one tenant must not sign for another.
            for name in candidate.names if candidate.tenant is None else (candidate.tenant,):
                own.setdefault(name, []).append(candidate)
        self._own: Mapping[str, Sequence[StiCandidate]] = {
            name: tuple(sorted(group, key=_newest_first)) for name, group in own.items()
        }
        unassigned = [candidate for candidate in by_upload if candidate.tenant is None]
        assigned = [candidate for candidate in by_upload if candidate.tenant is not None]
        self._available: Sequence[StiCandidate] = (*unassigned, *assigned)
        begins = {candidate.not_before for candidate in by_upload}
        self._turns = sorted(begins | {candidate.not_after + 1 for candidate in by_upload})

    def __len__(self) -> int:
        return len(self._available)

    def period(self, now: int) -> tuple[float, float]:
        """Return from when until before when each choice is what it is now (Unix seconds).

        At its end, and before its beginning, a certificate becomes valid or ceases to be.
        """
        place = bisect_right(self._turns, now)
        begin = self._turns[place - 1] if place else -math.inf
        return begin, self._turns[place] if place < len(self._turns) else math.inf

    def for_tenant(
        self, addresses: Sequence[str], *, now: int, fallback: Fallback
    ) -> Choice | None:
        """Choose what signs for a tenant known by these addresses (none: nobody's call).

        First its own: assigned to it, or assigned to nobody and naming one of its addresses
        exactly, newest `not_before` first. Otherwise, unless the fallback is off, the first one
        available: the earliest uploaded that is not assigned to another tenant, then the earliest
        uploaded of all.
        """
        own: StiCandidate | None = None
        for address in addresses:
            for candidate in self._own.get(address, ()):
                if candidate.usable(now):
                    # Each group is in order, so its first usable one is its best.
                    if own is None or _newest_first(candidate) < _newest_first(own):
                        own = candidate
                    break
        if own is not None:
            return Choice(own, Chosen.TENANT)
        if fallback is Fallback.NONE:
            return None
        for candidate in self._available:
            if candidate.usable(now):
                return Choice(candidate, Chosen.FIRST)
        return None

    def appraise(
        self, addresses: Sequence[str], *, now: int, fallback: Fallback
    ) -> Sequence[Appraisal]:
        """Say of each certificate what becomes of it when `for_tenant` chooses, for a person.

        The chosen one comes first, then the tenant's own, then the others in their order.
        """
        choice = self.for_tenant(addresses, now=now, fallback=fallback)
        own = dict.fromkeys(each for name in addresses for each in self._own.get(name, ()))
        others = (each for each in self._available if each not in own)
        found = [
            Appraisal(each, each in own, _why(each, choice, now=now, own=each in own))
            for each in (*sorted(own, key=_newest_first), *others)
        ]
        return sorted(found, key=lambda each: each.why is not Why.CHOSEN)


def _why(candidate: StiCandidate, choice: Choice | None, *, now: int, own: bool) -> Why:
    if choice is not None and candidate is choice.candidate:
        return Why.CHOSEN
    if not candidate.usable(now):
        return _why_unusable(candidate, now)
    if own:
        return Why.OLDER
    if choice is None:
        return Why.FALLBACK_OFF
    if choice.chosen is Chosen.TENANT:
        return Why.NOT_OWN
    assigned = candidate.tenant is not None and choice.candidate.tenant is None
    return Why.ASSIGNED if assigned else Why.LATER


def _why_unusable(candidate: StiCandidate, now: int) -> Why:
    if not candidate.has_key:
        return Why.NO_KEY
    return Why.EXPIRED if candidate.not_after < now else Why.NOT_YET_VALID


def _newest_first(candidate: StiCandidate) -> tuple[int, int]:
    """Order by `not_before`, newest first; of two alike the later upload, a deliberate renewal."""
    return -candidate.not_before, -candidate.sequence


class Presented(StrEnum):
    """Why a certificate is presented for a server name."""

    DOMAIN = "domain"
    WILDCARD = "wildcard"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class TlsCandidate:
    """A TLS certificate with its key, as the rules see it.

    `tenant` is the owner of a domain certificate, None: it is a system certificate. `built_in`
    says that the service made it itself, `presentable` False that OpenSSL refused it when it came.
    Names and times are as in `StiCandidate`.
    """

    id: str
    names: tuple[str, ...]
    tenant: str | None
    not_before: int
    not_after: int
    built_in: bool
    presentable: bool = True


@dataclass(frozen=True, slots=True)
class TlsChoice:
    """The certificate that is presented, and why."""

    candidate: TlsCandidate
    chosen: Presented


class TlsIndex:
    """TLS certificates, by the names they are presented for. Immutable."""

    def __init__(self, candidates: Iterable[TlsCandidate], owners: Mapping[str, str]) -> None:
        """Take the certificates, and which tenant owns each address."""
        domain: dict[str, list[TlsCandidate]] = {}
        system: dict[str, list[TlsCandidate]] = {}
        defaults: list[TlsCandidate] = []
        for candidate in candidates:
            if candidate.tenant is None:
                defaults.append(candidate)
            for name in candidate.names:
                if candidate.tenant is None:
                    system.setdefault(name, []).append(candidate)
                elif owners.get(name) == candidate.tenant:
                    domain.setdefault(name, []).append(candidate)
        self._domain: Mapping[str, Sequence[TlsCandidate]] = domain
        self._system: Mapping[str, Sequence[TlsCandidate]] = system
        self._defaults: Sequence[TlsCandidate] = defaults

    def for_server_name(self, name: str | None, *, now: int) -> TlsChoice | None:
        """Choose what is presented to a client that asks for this name (None: it named none).

        The exact domain certificate of the tenant that owns the name; then a system certificate
        with the exact name, with a wildcard for it (one label), the default one. None only where
        there is no system certificate at all.
        """
        return next(self.in_turn(name, now=now), None)

    def in_turn(self, name: str | None, *, now: int) -> Iterator[TlsChoice]:
        """Yield what `for_server_name` chooses, then what it would choose were that not there.

        And so on to the last system certificate. One may come again, by a later rule.
        """
        if name is not None:
            for one in _best_first(self._domain.get(name, ()), now):
                yield TlsChoice(one, Presented.DOMAIN)
            for one in _best_first(self._system.get(name, ()), now):
                yield TlsChoice(one, Presented.SYSTEM)
            for one in _best_first(self._system.get("*." + name.partition(".")[2], ()), now):
                yield TlsChoice(one, Presented.WILDCARD)
        for one in _best_first(self._defaults, now):
            yield TlsChoice(one, Presented.SYSTEM)

    def default(self, *, now: int) -> TlsCandidate | None:
        """Return the system certificate for clients that ask for no name or an unknown one."""
        return next(_best_first(self._defaults, now), None)


def _best_first(candidates: Sequence[TlsCandidate], now: int) -> Iterator[TlsCandidate]:
    """Yield first those that OpenSSL presents, valid now, made by others, with the latest end.

    The best one is all that is asked for as a rule, so that the others are ordered after it only.
    """

    def rank(one: TlsCandidate) -> tuple[bool, bool, bool, int]:
        is_valid = one.not_before <= now <= one.not_after
        return one.presentable, is_valid, not one.built_in, one.not_after

    if not candidates:
        return
    best = max(candidates, key=rank)
    yield best
    yield from sorted((one for one in candidates if one is not best), key=rank, reverse=True)
