"""What is done again and again: whether it is time, also after a clock was put back."""

import math


class Every:
    """One thing that is done every so many seconds, at first at once.

    Times are seconds of any one clock.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = self._apart = seconds
        self._done = -math.inf

    def is_due(self, *, now: float) -> bool:
        """Say whether it is time; a clock that was put back does not put it off."""
        return not 0 <= now - self._done < self._apart

    def done(self, *, now: float, sooner: float | None = None) -> None:
        """Take notice that it was done. `sooner`: when it is time again, if that is before."""
        self._done = now
        self._apart = self._seconds if sooner is None else min(self._seconds, sooner - now)
