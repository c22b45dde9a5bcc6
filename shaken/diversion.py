"""Diversions of a call: how what `div` PASSporTs claim joins into one chain (RFC 8946).

A link says that the call was for one party and goes on to others. Links are joined by what they
say, in whatever order they came. Whether a link is to be believed is `shaken.verification`'s.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shaken.passport import destinations

MAX_LINKS = 5
"""Diversions of one call that are followed: national rules allow no more."""

_SHOWN_LENGTH = 64  # of what a stranger wrote, in a sentence
_SHOWN_TARGETS = 3  # of one diversion, in a sentence


@dataclass(frozen=True, slots=True)
class Link:
    """A diversion from whom the call was for (`div`) to whom it goes on (`dest`)."""

    source: str
    targets: tuple[str, ...]

    def __str__(self) -> str:
        """Return it in words that are safe to print."""
        shown = ", ".join(map(_shown, self.targets[:_SHOWN_TARGETS]))
        return f"from {_shown(self.source)} to {shown}"


@dataclass(frozen=True, slots=True)
class Course:
    """Diversions in their order, the first one first; `order` has their places in what was given.

    `is_end_told` False: nobody says where the call goes now, the last link stands for itself.
    """

    links: tuple[Link, ...]
    order: tuple[int, ...]
    is_end_told: bool

    @property
    def start(self) -> str:
        """Whom the call was for at first."""
        return self.links[0].source


def read_link(claims: Mapping[str, Any]) -> Link | None:
    """Read the link in a PASSporT's claims; None: they hold none (RFC 8946 §3).

    `div` is one number or URI, beside which other members may stand (`hi`); `dest` names at least
    one.
    """
    div = claims.get("div")
    named = [div[name] for name in ("tn", "uri") if name in div] if isinstance(div, dict) else []
    targets = destinations(claims.get("dest"))
    match named:
        case [str(source)] if targets and all(isinstance(each, str) for each in targets):
            return Link(source, tuple(map(str, targets)))
    return None


def trace(
    links: Sequence[Link],
    *,
    origins: Collection[object],
    to: Sequence[str],
    target: Sequence[str],
) -> Course | str:
    """Join diversions into one chain, or say in words why they are none.

    `origins` are whom the original PASSporTs are to. `target` is where the call goes now, its
    Request-URI; where that is not told it is empty, and `to`, of the To header, is either where
    the call goes or, since retargeting need not change it, where it went at first.
    """
    if len(links) > MAX_LINKS:
        return f"there are more than {MAX_LINKS} diversions"
    order = _order(links, origins)
    if isinstance(order, str):
        return order
    chain = tuple(links[place] for place in order)
    last = chain[-1]
    if all(each in last.targets for each in target or to):
        return Course(chain, tuple(order), is_end_told=True)
    if not target and tuple(to) == (chain[0].source,):
        return Course(chain, tuple(order), is_end_told=False)
    called = ", ".join(target or to)
    return f"the last diversion, {last}, does not lead to {called}, where the call goes"


def _order(links: Sequence[Link], origins: Collection[object]) -> list[int] | str:
    """Put links in order, each used once; else say why they are no chain."""
    reached = {target for link in links for target in link.targets}
    starts = [place for place, link in enumerate(links) if link.source not in reached]
    if fault := _twice(links) or ("" if starts else _circle(links)):
        return fault
    starts.sort(key=lambda place: links[place].source not in origins)
    order = [starts[0]]
    while onward := _onward(links, order[-1]):
        if len(onward) > 1:
            ways = " and ".join(str(links[place]) for place in onward)
            return f"the diversion {links[order[-1]]} goes on in two ways: {ways}"
        if onward[0] in order:
            return _circle([links[place] for place in order])
        order += onward
    if len(order) < len(links):
        loose = next(each for each in (*starts, *range(len(links))) if each not in order)
        source = _shown(links[loose].source)
        return f"the diversion {links[loose]} does not join: none before it leads to {source}"
    return order


def _onward(links: Sequence[Link], place: int) -> list[int]:
    """Find the links that divert whom the one at a place leads to."""
    targets = links[place].targets
    return [each for each, link in enumerate(links) if link.source in targets]


def _twice(links: Sequence[Link]) -> str:
    source, times = Counter(link.source for link in links).most_common(1)[0]
    if times == 1:
        return ""
    several = " and ".join(str(link) for link in links if link.source == source)
    return f"two PASSporTs divert the call from the same party: {several}"


def _circle(links: Sequence[Link]) -> str:
    return f"the diversions run in a circle: {', '.join(map(str, links))}"


def _shown(text: str) -> str:
    return ascii(text)[1:-1][:_SHOWN_LENGTH]
