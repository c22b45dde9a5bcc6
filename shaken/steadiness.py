"""Whether the wall clock may say what is old enough to be removed for good.

It is set by people and by the network, and a few seconds of a wrong time would do. So a new time is
not believed before it has stood for a day; the monotonic clock tells.
"""

import logging
import math
import threading

LEAP_SECONDS = 3600
"""How far the clock may be set at a time: what is removed too early by that is no loss."""

STANDING_SECONDS = 86_400
"""How long a new time is to stand: a wrong one is found and put right meanwhile."""

SILENCE_SECONDS = 7 * 86_400
"""How old the last call on record may be at start: what a clock ahead costs at most."""

_log = logging.getLogger(__name__)


class SteadyTime:
    """Watches the wall clock by the monotonic one. Use from any thread, and after a fork.

    Times are seconds: `wall` of Unix, `monotonic` of a clock that nobody sets.
    """

    def __init__(self, *, wall: float, monotonic: float, is_doubtful: bool = False) -> None:
        """Begin with a time that is believed, or is to stand first."""
        offset = wall - monotonic
        self._believed = -math.inf if is_doubtful else offset
        self._last = offset
        self._since = monotonic
        self._lock = threading.Lock()

    def is_steady(self, wall: float, *, monotonic: float) -> bool:
        """Say whether to believe this time. Call it often: what is set between is noticed."""
        with self._lock:
            offset = wall - monotonic
            change, self._last = offset - self._last, offset
            if abs(change) > LEAP_SECONDS:
                self._since = monotonic
            has_stood = monotonic - self._since >= STANDING_SECONDS
            if has_stood or offset <= self._believed + LEAP_SECONDS:
                self._believed = offset
                return True
        if abs(change) > LEAP_SECONDS:
            _log.warning(
                "the clock was set by %+.0f s: until it has stood for a day, nothing is removed for"
                " its age",
                change,
            )
        return False


def steady_from_start(
    newest: float | None, *, keep_seconds: float, wall: float, monotonic: float
) -> SteadyTime:
    """Begin to watch as the service starts; `newest` is the time of the last call on record.

    After a long silence, the service was stopped or the clock is ahead: nobody knows.
    """
    silence = 0.0 if newest is None else wall - newest
    is_doubtful = silence > min(keep_seconds, SILENCE_SECONDS)
    if is_doubtful:
        _log.warning(
            "the last call on record is %.0f days old: in case the clock is ahead, nothing is"
            " removed for its age for a day",
            silence / 86_400,
        )
    return SteadyTime(wall=wall, monotonic=monotonic, is_doubtful=is_doubtful)
