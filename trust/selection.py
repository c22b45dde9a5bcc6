"""Which certificate to use: pure rules, no clock and no store.

`StiIndex` answers "which STI certificate signs for this tenant" from tables made once for each
state of the store, so that ten thousand tenants are looked up as fast as one.
"""

from collections.abc import Iterable, Mapping, Sequence
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

    def __len__(self) -> int:
        return len(self._available)

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


def _newest_first(candidate: StiCandidate) -> tuple[int, int]:
    """Order by `not_before`, newest first; of two alike the later upload, a deliberate renewal."""
    return -candidate.not_before, -candidate.sequence
