"""How many files and connections a process may have open, and whether there is room for more.

Where there is none the kernel's queue is emptied by closing what it holds: calls are lost, and
nothing else tells of it.
"""

import asyncio
import logging
import os
import resource
import time
from contextlib import suppress

from shaken.trouble import Trouble

MOST = 131_072
"""What is asked for at most: more than `[sip] connections` can be. Some programs that are run from
here close each number up to the limit, which may be a thousand million."""

FEW = 16
"""So many more, and it is time to say so."""

LOOK_SECONDS = 1.0
"""How often it is looked, which takes some 20 us."""

_log = logging.getLogger(__name__)


def allow_many() -> None:
    """Raise this process's limit as far as it may itself, and to MOST at most."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def watch() -> None:
    """Say when few more may be opened, until cancelled."""
    trouble = Trouble()
    while True:
        if _are_few_left() and trouble.is_to_be_said(now=time.monotonic()):
            _log.error(
                "%d files may be open, and nearly all are: connections will be closed unanswered;"
                " raise the limit (LimitNOFILE in systemd's unit, ulimit -n in a shell)",
                resource.getrlimit(resource.RLIMIT_NOFILE)[0],
            )
        await asyncio.sleep(LOOK_SECONDS)


def _are_few_left() -> bool:
    """Try to open a few, which costs the same however many are open already."""
    opened: list[int] = []
    with suppress(OSError):
        opened.append(os.open(os.devnull, os.O_RDONLY))
        while len(opened) < FEW:
            opened.append(os.dup(opened[0]))
    for each in opened:
        os.close(each)
    return len(opened) < FEW
