"""Sign-ins that were refused, gathered for the audit: however many fail, few entries tell of them.

The first one is told at once, those that follow together, each while later. Pure, with the clock
passed in.
"""

from collections import Counter
from dataclasses import dataclass, field

from shaken.throttle import source_of

PERIOD_SECONDS = 10 * 60
"""Between two entries of one worker: 144 a day at most, whatever strangers do."""

MAX_NAMED = 20
"""Sources, and credentials, that one entry names; the others are counted together."""

OTHERS = "others"


@dataclass
class _Gathered:
    since: int
    failures: int = 0
    sources: Counter[str] = field(default_factory=Counter)
    credentials: Counter[str] = field(default_factory=Counter)


class Refusals:
    """Refused sign-ins of one worker, in bounded memory. Use from one thread."""

    def __init__(self) -> None:
        self._gathered: _Gathered | None = None
        self._told_at: int | None = None

    def add(self, peer: str, credential: str | None, *, now: int) -> None:
        """Count a refusal. `credential` is one that exists, None: another text was typed.

        It may have been a secret, typed into the wrong field.
        """
        if self._gathered is None:
            self._gathered = _Gathered(now)
        self._gathered.failures += 1
        _count(self._gathered.sources, source_of(peer))
        if credential is not None:
            _count(self._gathered.credentials, credential)

    def due(self, *, now: int) -> dict[str, object] | None:
        """Take what is to be told now, if anything is."""
        if self._told_at is not None and 0 <= now - self._told_at < PERIOD_SECONDS:
            return None
        return self.rest(now=now)

    def rest(self, *, now: int) -> dict[str, object] | None:
        """Take all that was gathered, if anything was."""
        gathered, self._gathered = self._gathered, None
        if gathered is None:
            return None
        self._told_at = now
        return {
            "failures": gathered.failures,
            "seconds": max(0, now - gathered.since),
            "sources": dict(gathered.sources),
            "credentials": dict(gathered.credentials),
        }


def _count(counter: Counter[str], name: str) -> None:
    counter[name if name in counter or len(counter) < MAX_NAMED else OTHERS] += 1
