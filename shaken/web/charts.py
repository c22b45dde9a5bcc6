"""Bars over time as plain numbers, which a template draws as SVG. Pure: no markup here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 720, 200
"""The drawing area, in units of the SVG; it scales with the page."""

GAP = 0.25
"""Of each step's width, what is left free between two bars."""

SECONDS_OF_HOUR = 3600

LABELS = 6
"""Times written below the bars, at most."""


@dataclass(frozen=True)
class Bar:
    """A piece of a bar: which series it is of, how much it stands for, where it is drawn."""

    series: str
    count: int
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Step:
    """One step of time (Unix seconds) with its pieces, from bottom to top; `x` is its middle."""

    start: int
    x: float
    bars: tuple[Bar, ...]
    labelled: bool

    @property
    def total(self) -> int:
        """What all its pieces stand for."""
        return sum(bar.count for bar in self.bars)


@dataclass(frozen=True)
class Chart:
    """Stacked bars over time. `top` is the count that the drawing area is high."""

    series: tuple[str, ...]
    steps: tuple[Step, ...]
    top: int
    width: int = WIDTH
    height: int = HEIGHT

    @property
    def lines(self) -> tuple[tuple[int, float], ...]:
        """Lines across to read heights by: their counts, and where they are."""
        marks = sorted({0, self.top // 2, self.top}) if self.top > 1 else [0, 1]
        return tuple((mark, self.height * (1 - mark / self.top)) for mark in marks)

    @property
    def unit(self) -> str:
        """What tells one step from the next: `day` or `hour`."""
        starts = [step.start for step in self.steps[:2]]
        return "day" if len(starts) > 1 and starts[1] - starts[0] > SECONDS_OF_HOUR else "hour"

    def total(self, series: str) -> int:
        """Return what a series comes to."""
        return sum(bar.count for step in self.steps for bar in step.bars if bar.series == series)


def stacked(
    counts: Mapping[tuple[int, str], int], *, series: Sequence[str], starts: Sequence[int]
) -> Chart:
    """Lay out stacked bars: `counts` by start and series, a bar for each of `starts`."""
    totals = [sum(counts.get((start, one), 0) for one in series) for start in starts]
    top = round_up(max(totals, default=0))
    pitch = WIDTH / max(len(starts), 1)
    every = -(-len(starts) // LABELS) or 1
    steps = []
    for place, start in enumerate(starts):
        bars, height = [], 0.0
        for one in series:
            count = counts.get((start, one), 0)
            tall = HEIGHT * count / top
            height += tall
            left = pitch * (place + GAP / 2)
            bars.append(Bar(one, count, left, HEIGHT - height, pitch * (1 - GAP), tall))
        steps.append(Step(start, pitch * (place + 0.5), tuple(bars), place % every == 0))
    return Chart(tuple(series), tuple(steps), top)


def round_up(count: int) -> int:
    """Return the next of 1, 2, 4, 6, 8, 10, 20, 40 … that is not below: it has a half to draw."""
    scale = 1
    while scale * 10 < count:
        scale *= 10
    return next(scale * step for step in (1, 2, 4, 6, 8, 10) if scale * step >= count)
