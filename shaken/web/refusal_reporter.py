"""Tells the audit of sign-ins that were refused, as `shaken.web.refusals` gathers them.

A store that fails is said in the log; who signs in is answered all the same.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress

from shaken.web.refusals import PERIOD_SECONDS, Refusals
from shaken.web.sessions import Sessions
from trust.store.database import StoreError

_log = logging.getLogger(__name__)


class RefusalReporter:
    """Counts refused sign-ins of one worker, and writes entries of the audit."""

    def __init__(self, sessions: Sessions, clock: Callable[[], float]) -> None:
        """Take what writes, and the clock (Unix seconds)."""
        self._sessions = sessions
        self._clock = clock
        self._refusals = Refusals()

    async def refused(self, peer: str, credential: str | None) -> None:
        """Count a refusal; `credential` is the one that was named, None: there is none such."""
        now = int(self._clock())
        self._refusals.add(peer, credential, now=now)
        await self._tell(self._refusals.due(now=now))

    async def running(self, _: object) -> AsyncIterator[None]:
        """Tell also when no more are refused, and at the end: a cleanup context of aiohttp."""
        task = asyncio.create_task(self._tell_again_and_again())
        yield
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await self._tell(self._refusals.rest(now=int(self._clock())))

    async def _tell_again_and_again(self) -> None:
        while True:
            await asyncio.sleep(PERIOD_SECONDS)
            await self._tell(self._refusals.due(now=int(self._clock())))

    async def _tell(self, told: Mapping[str, object] | None) -> None:
        if told is None:
            return
        try:
            await asyncio.to_thread(self._sessions.refused, told, now=int(self._clock()))
        except StoreError as error:
            _log.error("the audit is not told of refused sign-ins: %s", error)
