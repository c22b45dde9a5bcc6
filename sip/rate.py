"""How often something may happen: a bucket of tokens, with the clock as an argument."""


class Rate:
    """So many times a second, and as many at once after a calm second."""

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._tokens = per_second
        self._then = 0.0

    def take(self, now: float) -> bool:
        """Say whether it may happen at `now`, in seconds of a clock that does not go back."""
        tokens = min(self._per_second, self._tokens + (now - self._then) * self._per_second)
        self._then = now
        if tokens < 1:
            self._tokens = tokens
            return False
        self._tokens = tokens - 1
        return True
