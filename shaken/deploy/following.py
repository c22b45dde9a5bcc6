"""Follows what the service offers: one thread a name waits for news, one place deploys them.

No failure of the service, the files or the commands ends it; each is tried again, after a pause
that grows.
"""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Event, Thread

from shaken.deploy.agent import Agent, DeployError, Target
from shaken.deploy.offer import Offer, OfferError, Source

WAIT_SECONDS = 45
"""How long the service holds an answer without news: proxies in between often give up after 60."""

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0
"""Pauses after failures: a restarted service is found soon, a dead one is not besieged."""

LEAST_SECONDS = 1.0
"""Between two questions for a name, however fast the news come."""

UNHELD_PAUSE_SECONDS = 10.0
"""Between two questions where answers without news are not held: something in between does not
pass `Prefer` on."""

TOGETHER_SECONDS = 0.2
"""News that come within this time are deployed together, with one reload."""


def pause_after_failures(failures: int, *, chance: float) -> float:
    """Return how many seconds to pause after so many failures in a row (1 or more).

    They double up to a bound; `chance` (0 to 1) spreads them over the upper half, so that the
    agents of many hosts do not all come back at once.
    """
    longest = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(failures - 1, 16))
    return longest * (1 + chance) / 2


def pause_after_answer(*, news: bool, seconds: float) -> float:
    """Return how many seconds to pause after an answer that took so long."""
    if not news and seconds < WAIT_SECONDS / 2:
        return UNHELD_PAUSE_SECONDS
    return max(0.0, LEAST_SECONDS - seconds)


@dataclass(frozen=True)
class _Offered:
    target: Target
    offer: Offer


@dataclass(frozen=True)
class _Unchanged:
    target: Target


@dataclass(frozen=True)
class _Failed:
    target: Target
    reason: str


@dataclass(frozen=True)
class _Broken:
    """A thread that failed in a way nobody thought of."""

    error: Exception


@dataclass(frozen=True)
class _Ended:
    """The agent is to end."""


_Event = _Offered | _Unchanged | _Failed | _Broken | _Ended


class Following:
    """Keeps an agent's files at what the service offers, until it is told to end."""

    def __init__(self, source: Source, agent: Agent, *, complain: Callable[[str], None]) -> None:
        self._source = source
        self._agent = agent
        self._complain = complain
        self._events: SimpleQueue[_Event] = SimpleQueue()
        self._over = Event()

    def end(self) -> None:
        """End soon, after what is under way. May be called from a signal handler."""
        self._events.put(_Ended())

    def run(self) -> None:
        """Follow until `end` is called."""
        for target in self._agent.targets:
            # Daemons: whoever still waits for an answer does not hold up the end.
            Thread(target=self._follow, args=(target,), daemon=True).start()
        try:
            self._deploy_news()
        finally:
            self._over.set()

    def _deploy_news(self) -> None:
        offers: dict[Target, Offer] = {}
        failures, due = 0, time.monotonic()
        while True:
            left = max(0.0, due - time.monotonic()) if failures else None
            events = self._next_events(left)
            if any(isinstance(event, _Ended) for event in events):
                return
            news = {event.target: event.offer for event in events if isinstance(event, _Offered)}
            offers.update(news)
            self._report(events)
            self._agent.warn(news)
            if not offers or (failures and not news and time.monotonic() < due):
                continue
            try:
                # Without news too: what somebody did to the files is put right.
                self._agent.deploy(offers)
                failures = 0
            except DeployError as error:
                failures += 1
                pause = pause_after_failures(failures, chance=random.random())  # noqa: S311
                due = time.monotonic() + pause
                self._complain(f"{error}; next try in {pause:.0f} s")

    def _next_events(self, seconds: float | None) -> Sequence[_Event]:
        """Wait for an event, and take along those that follow at once."""
        events: list[_Event] = []
        try:
            events.append(self._events.get(timeout=seconds))
            deadline = time.monotonic() + TOGETHER_SECONDS
            while True:
                left = max(0.0, deadline - time.monotonic())
                events.append(self._events.get(timeout=left))
        except Empty:
            return events

    def _report(self, events: Sequence[_Event]) -> None:
        for event in events:
            if isinstance(event, _Failed):
                self._complain(f"{event.target.name}: {event.reason}")
            elif isinstance(event, _Broken):
                raise event.error

    def _follow(self, target: Target) -> None:
        try:
            self._keep_asking(target)
        except Exception as error:  # noqa: BLE001 - nobody else would see that the thread is gone
            self._events.put(_Broken(error))

    def _keep_asking(self, target: Target) -> None:
        known: str | None = None
        failures = 0
        while not self._over.is_set():
            begun = time.monotonic()
            try:
                news = self._source.ask(target.name, known=known, wait=WAIT_SECONDS)
            except OfferError as error:
                if self._over.is_set():
                    return
                failures += 1
                pause = pause_after_failures(failures, chance=random.random())  # noqa: S311
                self._events.put(_Failed(target, f"{error}; next try in {pause:.0f} s"))
            else:
                failures = 0
                if news is None:
                    self._events.put(_Unchanged(target))
                else:
                    # Where there is none, each answer is news, and must not come at full speed.
                    known = news.etag
                    self._events.put(_Offered(target, news.offer))
                seconds = time.monotonic() - begun
                conditional = news is not None and known is not None
                pause = pause_after_answer(news=conditional, seconds=seconds)
            self._over.wait(pause)
