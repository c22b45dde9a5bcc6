"""Work in stages: what came together goes through each stage together.

To answer a call is to do very different things: to read a message, to sign, to write an answer.
Done call by call, each finds the processor's caches full of the one before. Done stage by stage,
for all calls that are at hand, only the first of each stage does, and all take a third less time.

A function that works in stages is a generator. It yields where one stage ends, and returns what
comes of it. Nothing here is of SIP: it stands here because all that answers calls stands above.
"""

from collections.abc import Generator, Iterable
from itertools import islice
from typing import TypeVar

T = TypeVar("T")

Stages = Generator[None, None, T]
"""Work in stages, and what comes of it."""

TOGETHER = 64
"""Works that are done side by side at most: with more, each finds its own memory gone cold."""

_OVER = object()


def side_by_side(works: Iterable[Stages[None]]) -> None:
    """Do several works: the first stage of each, then the second of each, and so on.

    When some of them raise, the others are done first. Raises ExceptionGroup of what they raised.
    """
    failures: list[Exception] = []
    waiting = iter(works)
    while left := list(islice(waiting, TOGETHER)):
        while left:
            begun, left = left, []
            for work in begun:
                try:
                    if next(work, _OVER) is not _OVER:
                        left.append(work)
                except Exception as error:  # noqa: BLE001 - the others are done first
                    failures.append(error)
    if failures:
        raise ExceptionGroup("works failed that were done side by side", failures)


def at_once(work: Stages[T]) -> T:
    """Do all stages of one work, and return what comes of it. Raises what that raises."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            result: T = end.value
            return result
