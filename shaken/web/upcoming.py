"""When which certificate is renewed next, drawn over three months; what fails or is late first.

Orders are counted by the store, and only those of one page are read, so that ten thousand stay
readable. What is wrong with one, and what to do, is said by `shaken.web.renewal_advice`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from urllib.parse import urlencode

from shaken.api.acme import settings_of
from shaken.api.health import OVERDUE_SECONDS
from shaken.credentials import Role
from shaken.renewing import plan_of
from shaken.web.charts import Chart, stacked
from shaken.web.orders import LIST
from shaken.web.renewal_advice import Advice, advice_of
from shaken.web.routes import Answer, Page, PageCall, View
from shaken.web.words import DAY
from trust.acme.order import Order
from trust.acme.renewal import Urgency
from trust.store import acme_orders
from trust.store.acme_orders import Concern, Upcoming

PATH = f"{LIST}/upcoming"

ROWS = 50
"""Orders on one page of the list."""

MAX_DIGITS = 6
"""Of the number of a page or a step that is read."""

SERIES = {"due": "To be renewed", "retry": "To be tried again"}
"""How the parts of a bar are called: all is well, or the last try failed."""


@dataclass(frozen=True)
class Scale:
    """In which steps (seconds) the time ahead is drawn, and how many of them."""

    name: str
    words: str
    step: int
    steps: int

    @property
    def length(self) -> int:
        """Return how far ahead it looks."""
        return self.step * self.steps


SCALES = (Scale("week", "By week", 7 * DAY, 13), Scale("day", "By day", DAY, 90))


@dataclass(frozen=True)
class Wanted:
    """What the address of the page asks for. `step` None: all that is ahead, however far."""

    scale: Scale
    step: int | None
    concern: Concern | None
    number: int

    @classmethod
    def of(cls, query: Mapping[str, str]) -> "Wanted":
        """Read the query of an address; what is not understood is left out."""
        scale = next((each for each in SCALES if each.name == query.get("by")), SCALES[0])
        step = _number(query.get("step", ""))
        known = {each.value for each in Concern}
        show = query.get("show", "")
        return cls(
            scale=scale,
            step=step if step is not None and step < scale.steps else None,
            concern=Concern(show) if show in known else None,
            number=max(_number(query.get("page", "")) or 1, 1),
        )

    def path(self, **other: str | int | None) -> str:
        """Return the address of the same with something else in it; None leaves it out."""
        told = {
            "by": self.scale.name,
            "step": self.step,
            "show": self.concern,
            "page": None,
            **other,
        }
        query = urlencode({name: value for name, value in told.items() if value is not None})
        return f"{PATH}?{query}"

    def page(self, number: int) -> str:
        """Return the address of another page of the list."""
        return self.path(page=number)


@dataclass(frozen=True)
class Row:
    """An order of the list: how urgent it is, whether it is late, and what to do if it failed."""

    order: Order
    urgency: Urgency
    is_late: bool
    advice: Advice | None


def show(call: PageCall) -> Answer:
    """Show what is renewed when."""
    wanted = Wanted.of(call.query)
    begin = call.now - call.now % DAY
    ahead = begin + wanted.scale.length
    basis = Upcoming(late=call.now - OVERDUE_SECONDS, tenant=call.scope)
    listed = _listed(wanted, basis, begin=begin)
    settings = settings_of(call)
    with call.resources.database.reading() as connection:
        counts = acme_orders.tally(connection, basis, after=ahead)
        steps = acme_orders.counted_by_step(
            connection, replace(basis, since=begin, until=ahead), step=wanted.scale.step
        )
        is_all = listed == basis
        total = counts.managed if is_all else acme_orders.counted_upcoming(connection, listed)
        pages = max(1, -(-total // ROWS))
        number = min(wanted.number, pages)
        found = acme_orders.upcoming(connection, listed, limit=ROWS, offset=(number - 1) * ROWS)
    context = {
        "wanted": wanted,
        "scales": SCALES,
        "series": SERIES,
        "counts": counts,
        "chart": chart_of(steps, wanted.scale, begin=begin),
        "is_set_up": settings is not None and settings.terms_agreed,
        "rows": [_row(each, late=basis.late, now=call.now) for each in found],
        "total": total,
        "number": number,
        "pages": pages,
    }
    return View("upcoming.html", context)


def chart_of(steps: Sequence[tuple[int, bool, int]], scale: Scale, *, begin: int) -> Chart:
    """Lay out what was counted by step, from `begin` (Unix seconds) on."""
    counts = {
        (begin + place * scale.step, "retry" if failing else "due"): count
        for place, failing, count in steps
    }
    starts = [begin + place * scale.step for place in range(scale.steps)]
    return stacked(counts, series=tuple(SERIES), starts=starts)


def _listed(wanted: Wanted, basis: Upcoming, *, begin: int) -> Upcoming:
    """Return which orders the list shows; the first step also has what is past."""
    listed = replace(basis, concern=wanted.concern)
    if wanted.step is None:
        return listed
    since = begin + wanted.step * wanted.scale.step
    return replace(listed, since=since if wanted.step else None, until=since + wanted.scale.step)


def _row(order: Order, *, late: int, now: int) -> Row:
    plan = plan_of(order, now=datetime.fromtimestamp(now, UTC))
    problem = None if order.failures is None else order.failures.problem
    return Row(
        order,
        plan.urgency,
        is_late=problem is None and order.next_try is not None and order.next_try < late,
        advice=None if problem is None else advice_of(problem.type, problem.words),
    )


def _number(text: str) -> int | None:
    is_number = text.isascii() and text.isdecimal() and len(text) <= MAX_DIGITS
    return int(text) if is_number else None


PAGES = (Page("GET", PATH, Role.VIEWER, show),)
