"""Waiting for an authority to decide, with patience that has an end."""

from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from trust.acme.problems import AuthorityFailed, Problem

LONGEST_WAIT = 90.0
"""Seconds that one decision is waited for at once; then the order goes on at its next try."""

FIRST_PAUSE = 0.25
LONGEST_PAUSE = 15.0
"""Seconds between two looks; they double. An authority may ask for more, up to this."""

T = TypeVar("T")


def settled(
    look: Callable[[], T],
    *,
    is_settled: Callable[[T], bool],
    retry_after: Callable[[T], datetime | None],
    clock: Callable[[], datetime],
    wait: Callable[[float], None],
) -> T:
    """Look until something is settled, and return it. `wait` waits for some seconds.

    Raises AuthorityFailed when it takes too long.
    """
    waited, pause = 0.0, FIRST_PAUSE
    while not is_settled(found := look()):
        if waited >= LONGEST_WAIT:
            words = f"the authority has not decided within {LONGEST_WAIT:g} seconds"
            raise AuthorityFailed(Problem("undecided", words))
        asked = retry_after(found)
        wanted = 0.0 if asked is None else (asked - clock()).total_seconds()
        seconds = min(max(pause, wanted), LONGEST_PAUSE)
        wait(seconds)
        waited, pause = waited + seconds, pause * 2
    return found
