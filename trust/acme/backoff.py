"""How long is waited after a failure: of orders, and of what is wished for an account."""

from datetime import datetime, timedelta

FIRST_DELAY = timedelta(minutes=10)
"""After a first failure; each further one doubles it. A name fails four times in the first hour at
most so; Let's Encrypt answers the sixth with a rate limit."""

DOUBLINGS = 8
"""After these, `FIRST_DELAY` is over a day."""

MAX_DELAY = timedelta(days=1)
"""No backoff is longer, though an authority may ask for it."""

MAX_RETRY_AFTER = timedelta(days=7)
"""An authority that asks for more is asked again after this; no limit of Let's Encrypt is counted
over a longer time."""


def backoff(count: int) -> timedelta:
    """Return how long to wait after so many failures in a row: twice as long each time."""
    return min(FIRST_DELAY * (1 << min(count - 1, DOUBLINGS)), MAX_DELAY)


def bounded(retry_after: datetime, *, since: datetime) -> datetime:
    """Return until when to wait where an authority said at `since` when to come back."""
    return min(retry_after, since + MAX_RETRY_AFTER)
