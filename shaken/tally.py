"""What the workers of a service have done since it started, in numbers that one of them can tell.

The numbers live in one block of memory that worker processes share. Each worker has a row of its
own there, so that nothing locks; who takes a dead one's place goes on with its row.
"""

import mmap
from enum import IntEnum

from shaken.acceptance import Verstat

ROWS = 1024
"""Workers that have a row, more than a machine has cores."""

_NUMBER_BYTES = 8


class Count(IntEnum):
    """What is counted, by its place in a row."""

    SIGNED = 0
    PASSED = 1
    FAILED = 2
    NOT_VALIDATED = 3
    WAITING = 4
    """Records of calls that are not in the store yet: what waits now."""
    DROPPED = 5
    """Records of calls that found no room."""


OF_VERDICT = {
    None: Count.SIGNED,
    Verstat.PASSED.value: Count.PASSED,
    Verstat.FAILED.value: Count.FAILED,
    Verstat.NONE.value: Count.NOT_VALIDATED,
}
"""As what a call counts, by its verdict; one that was signed has none."""


class Tally:
    """The numbers of all workers of a service: made before they are forked."""

    def __init__(self) -> None:
        self._numbers = memoryview(mmap.mmap(-1, ROWS * len(Count) * _NUMBER_BYTES)).cast("q")

    def row(self, slot: int) -> memoryview:
        """Return the numbers that one worker writes, by its place among them from 0."""
        first = slot % ROWS * len(Count)
        return self._numbers[first : first + len(Count)]

    def total(self, count: Count) -> int:
        """Add up what all workers have counted."""
        return sum(self._numbers[count :: len(Count)])
