"""What a benchmark says: how far it is, and rows of the table."""

import sys
from dataclasses import dataclass


@dataclass(frozen=True)
class Line:
    """A row of the table."""

    what: str
    figure: str
    target: str
    reached: bool | None = None


def say(text: str) -> None:
    """Tell how far it is."""
    print(text, file=sys.stderr, flush=True)


def show(lines: list[Line]) -> None:
    """Print the table."""
    width = max(len(line.what) for line in lines)
    for line in lines:
        mark = {None: "", True: "reached", False: "MISSED"}[line.reached]
        print(f"{line.what:<{width}}  {line.figure:>12}  {line.target:<22}{mark}")
