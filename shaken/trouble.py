"""What does not work for a while: the log tells of it now and then, however often it is tried."""

from shaken.periods import Every

SAYING_SECONDS = 60
"""How often it is said at most."""


class Trouble:
    """One thing that may not work: when it is to be said, and when that it works again.

    Times are seconds of any one clock.
    """

    def __init__(self) -> None:
        self._saying = Every(SAYING_SECONDS)
        self._lasts = False

    def is_to_be_said(self, *, now: float) -> bool:
        """Take notice that it does not work; say whether to say so."""
        if not self._saying.is_due(now=now):
            return False
        self._saying.done(now=now)
        self._lasts = True
        return True

    def is_over(self) -> bool:
        """Take notice that it works; say whether it was said that it does not."""
        lasted, self._lasts = self._lasts, False
        return lasted


class Troubles:
    """Things that may not work, of which strangers make any number: each is said, up to a bound.

    Times are seconds of any one clock.
    """

    def __init__(self, *, seconds: float, most: int) -> None:
        """Have each said once in so many seconds, and so many at most in that time."""
        self._seconds = seconds
        self._most = most
        self._said: dict[str, float] = {}

    def is_to_be_said(self, thing: str, *, now: float) -> bool:
        """Take notice that something does not work; say whether to say so."""
        self._said = {each: at for each, at in self._said.items() if 0 <= now - at < self._seconds}
        if thing in self._said or self.are_too_many:
            return False
        self._said[thing] = now
        return True

    @property
    def are_too_many(self) -> bool:
        """Whether others are not said for a while."""
        return len(self._said) >= self._most
