"""Records of calls on their way to the store.

They do not delay an answer: a recorder takes them at once into bounded memory; a thread writes them
to the store in batches. What does not fit is dropped, counted and said.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable

from shaken.periods import Every
from shaken.store.call_counts import AT_ONCE, KEPT_SECONDS, add_up, forget_counts, not_added_up
from shaken.store.calls import CallRecord, add_calls, forget_calls
from shaken.tally import OF_VERDICT, Count, Tally
from shaken.trouble import Trouble
from trust.store.database import Database, StoreError

BATCH = 5_000
"""Records of one transaction: large enough to be cheap, small enough not to lock others out."""

INTERVAL_SECONDS = 0.5
"""How long a record waits in memory at most, while the store can be written."""

ADDING_UP_SECONDS = 60
"""How long records wait to be added up at most: reading counts takes a look at each of them."""

CLEANING_SECONDS = 3600
"""How often records past their time are removed."""

_log = logging.getLogger(__name__)


class CallRecorder:
    """Records of calls on their way to the store. `start`, then `close`."""

    def __init__(
        self,
        database: Database,
        *,
        capacity: int,
        keep_seconds: int,
        tally: memoryview | None = None,
        conceal: Callable[[CallRecord], CallRecord] | None = None,
        clock: Callable[[], float] = time.time,
        is_steady: Callable[[float], bool] = lambda _now: True,
    ) -> None:
        """Hold at most `capacity` records in memory; forget stored ones after `keep_seconds`.

        `tally` is where calls and records are counted, `conceal` what is done with each record
        before it is stored. `is_steady` says whether to remove by this time of the clock.
        """
        self._database = database
        self._capacity = capacity
        self._keep_seconds = keep_seconds
        self._tally = Tally().row(0) if tally is None else tally
        self._conceal = conceal
        self._clock = clock
        self._is_steady = is_steady
        self._waiting: deque[CallRecord] = deque()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="call-recorder", daemon=True)
        self._adds_up, self._cleans = Every(ADDING_UP_SECONDS), Every(CLEANING_SECONDS)
        self._writing, self._adding_up, self._dropping = Trouble(), Trouble(), Trouble()
        self._said = self.dropped

    @property
    def dropped(self) -> int:
        """How many records found no room since the service started."""
        return int(self._tally[Count.DROPPED])

    def add(self, call: CallRecord) -> None:
        """Take a record; never waits."""
        self._tally[OF_VERDICT[call.verstat]] += 1
        if len(self._waiting) >= self._capacity:
            self._tally[Count.DROPPED] += 1
            return
        self._waiting.append(call)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def close(self) -> None:
        """Write what waits, then end."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            stopping = self._stopping.wait(INTERVAL_SECONDS)
            self._write_waiting()
            self._tally[Count.WAITING] = len(self._waiting)
            self._add_up()
            now = self._clock()
            if self.dropped != self._said and (self._dropping.is_to_be_said(now=now) or stopping):
                self._said = self.dropped
                _log.error("records of calls dropped since start: %d", self._said)
            if self._is_steady(now) and self._cleans.is_due(now=now) and not self._forget(int(now)):
                self._cleans.done(now=now)
            if stopping:
                self._write_waiting()
                if self._waiting:
                    _log.error("records of %d calls are lost", len(self._waiting))
                return

    def _write_waiting(self) -> None:
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
            try:
                add_calls(self._database, self._concealed(batch))
            except Exception as error:
                # The store may be busy or full for a while: keep what fits and try again. And
                # whatever else goes wrong, without this thread no record is written any more.
                self._waiting.extendleft(reversed(batch))
                if self._writing.is_to_be_said(now=self._clock()):
                    waiting = len(self._waiting)
                    _log.error("cannot write the records of %d calls: %s", waiting, error)
                while len(self._waiting) > self._capacity:
                    self._waiting.popleft()
                    self._tally[Count.DROPPED] += 1
                return
            if self._writing.is_over():
                _log.warning("records of calls are written again")

    def _add_up(self) -> None:
        """Add up what is on record when it is much, or has waited: so rarely, it costs little."""
        now = self._clock()
        try:
            least = 1 if self._adds_up.is_due(now=now) else AT_ONCE
            if not_added_up(self._database) < least:
                return
            self._adds_up.done(now=now)
            add_up(self._database)
        except Exception as error:
            # Whatever goes wrong: without this thread no record is written any more.
            if self._adding_up.is_to_be_said(now=now):
                _log.error("cannot add up the records of calls: %s", error)

    def _concealed(self, batch: list[CallRecord]) -> list[CallRecord]:
        return batch if self._conceal is None else [self._conceal(call) for call in batch]

    def _forget(self, now: int) -> bool:
        """Remove some old records; say whether there may be more. New ones are not kept waiting."""
        before = now - self._keep_seconds
        try:
            forget_counts(self._database, before=max(before, now - KEPT_SECONDS))
            removed = forget_calls(self._database, before=before, limit=BATCH)
        except StoreError as error:
            _log.error("cannot remove old records of calls: %s", error)
            return False
        if removed:
            _log.info("removed %d records of calls, which are older than keep_days", removed)
        return removed == BATCH
