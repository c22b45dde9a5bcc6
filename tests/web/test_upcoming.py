"""When what is renewed next: counted over three months, what fails or is late first."""

import re
from collections.abc import Sequence
from dataclasses import replace
from html import unescape

import pytest

from shaken.audit import Action, AuditedChange
from shaken.web.upcoming import ROWS, SCALES, Wanted, chart_of
from shaken.web.words import DAY, HOUR
from tests.web.scenery import ACME, ALICE, BOUND, GLOBEX, VICTOR, Service
from tests.web.visitor import Seen, Visitor, signed_in
from trust.acme.order import Certified, Failures, Order, State, new_order
from trust.acme.problems import Problem
from trust.certificate import CertificateKind
from trust.store import acme_orders
from trust.store.acme_orders import Concern

PAGE = "/admin/renewals/upcoming"
WEEK = 7 * DAY


def order(
    name: str,
    *,
    at: int,
    expires: int | None = None,
    fails: bool = False,
    tenant: str | None = None,
    now: int = 0,
) -> Order:
    """Make an order that is tried at some time."""
    made = new_order(CertificateKind.SYSTEM, [name], tenant=tenant, now=now)
    problem = Problem("connection", f"nobody answers for {name}")
    return replace(
        made,
        state=State.FAILED if fails else State.ISSUED,
        next_try=at,
        certified=None
        if expires is None
        else Certified("f" * 64, "https://ca.example/", expires - 90 * DAY, expires),
        failures=Failures(3, at - HOUR, problem) if fails else None,
    )


async def have(service: Service, *orders: Order) -> None:
    """Have these orders only."""

    def save(change: AuditedChange) -> None:
        change.connection.exec_driver_sql("delete from acme_orders")
        for each in orders:
            acme_orders.add(change.connection, each)
        change.audit(Action.ORDER_CREATE, "orders", tenant=None)

    await service.change(save)


def listed(seen: Seen) -> Sequence[str]:
    """Return the names of the list, in its order."""
    return re.findall(r'data-label="Names"><span><a href="[^"]*">([^<]*)</a>', seen.text)


@pytest.fixture
async def visitor(service: Service) -> Visitor:
    return await signed_in(service, ALICE)


async def test_what_fails_comes_first_the_first_to_expire_before_all(
    service: Service, visitor: Visitor
) -> None:
    now = int(service.clock())
    await have(
        service,
        order("soon.example", at=now + DAY, expires=now + 31 * DAY),
        order("later.example", at=now + 40 * DAY, expires=now + 70 * DAY),
        order("failing.example", at=now + 3 * HOUR, expires=now + 20 * DAY, fails=True),
        order("late.example", at=now - 5 * HOUR, expires=now + 25 * DAY),
    )

    seen = await visitor.get(PAGE)

    assert listed(seen) == ["failing.example", "late.example", "soon.example", "later.example"]
    text = unescape(seen.text)
    assert "2 renewals need a look" in text
    assert "1 certificate should have been renewed by now" in text
    assert "No authority is chosen" in text
    assert "Let port 80 of the name lead to this service" in text


async def test_bars_stand_where_orders_are_tried_next(service: Service, visitor: Visitor) -> None:
    now = int(service.clock())
    begin = now - now % DAY
    await have(
        service,
        order("a.example", at=begin + 3 * WEEK),
        order("b.example", at=begin + 3 * WEEK + 2 * DAY),
        order("c.example", at=begin + 4 * WEEK - 1, fails=True),
        order("past.example", at=begin - 9 * DAY, fails=True),
        order("far.example", at=begin + 13 * WEEK),
    )

    by_week = (await visitor.get(PAGE)).text
    by_day = (await visitor.get(f"{PAGE}?by=day")).text
    third = await visitor.get(f"{PAGE}?by=week&step=3")
    first = await visitor.get(f"{PAGE}?by=week&step=0")

    assert len(re.findall('<rect class="due"', by_week)) == 1
    assert len(re.findall('<rect class="retry"', by_week)) == 2
    assert len(re.findall('<rect class="due"', by_day)) == 2
    assert "The next 91 days" in by_week
    assert "The next 90 days" in by_day
    assert "1 more renewal comes later" in by_week
    assert listed(third) == ["c.example", "a.example", "b.example"]
    assert listed(first) == ["past.example"]


async def test_the_same_is_a_table_whose_rows_lead_to_a_list(
    service: Service, visitor: Visitor
) -> None:
    now = int(service.clock())
    await have(service, order("a.example", at=now - now % DAY + 2 * DAY))

    text = unescape((await visitor.get(f"{PAGE}?by=day")).text)

    table = text.partition("As a table")[2].partition("</table>")[0]
    assert table.count("<tr>") == 91
    assert f'href="{PAGE}?by=day&step=2#list"' in table
    assert listed(await visitor.get(f"{PAGE}?by=day&step=2")) == ["a.example"]
    assert listed(await visitor.get(f"{PAGE}?by=day&step=1")) == []


async def test_only_what_is_of_concern_is_listed_where_that_is_wanted(
    service: Service, visitor: Visitor
) -> None:
    now = int(service.clock())
    await have(
        service,
        order("fine.example", at=now + DAY),
        order("failing.example", at=now + DAY, fails=True),
        order("late.example", at=now - DAY),
    )

    assert listed(await visitor.get(f"{PAGE}?show=failing")) == ["failing.example"]
    assert listed(await visitor.get(f"{PAGE}?show=overdue")) == ["late.example"]
    assert len(listed(await visitor.get(f"{PAGE}?show=nonsense&step=x&by=y&page=z"))) == 3


async def test_what_is_stopped_is_not_ahead(service: Service, visitor: Visitor) -> None:
    stopped = replace(order("stopped.example", at=0), managed=False)
    await have(service, stopped)

    assert "No certificate renews itself yet" in (await visitor.get(PAGE)).text


async def test_people_of_one_tenant_count_and_see_their_own_only(service: Service) -> None:
    now = int(service.clock())
    await have(
        service,
        order("own.example", at=now + DAY, tenant=ACME),
        order("others.example", at=now + DAY, tenant=GLOBEX, fails=True),
        order("shared.example", at=now - DAY),
    )
    visitor = await signed_in(service, BOUND)

    seen = await visitor.get(PAGE)

    assert listed(seen) == ["own.example"]
    assert "need" not in seen.text.partition("<main")[2].partition("<h2")[0]
    assert "Failing" not in seen.text
    assert listed(await visitor.get(f"{PAGE}?show=failing")) == []


async def test_many_orders_are_read_page_by_page(service: Service) -> None:
    now, visitor = int(service.clock()), await signed_in(service, VICTOR)
    many = [order(f"n{number:04}.example", at=now + number * HOUR) for number in range(ROWS + 20)]
    await have(service, *many, order("failing.example", at=now + DAY, fails=True))

    first, second = await visitor.get(PAGE), await visitor.get(f"{PAGE}?page=2")
    beyond = await visitor.get(f"{PAGE}?page=999999")

    assert listed(first)[:2] == ["failing.example", "n0000.example"]
    assert len(listed(first)) == ROWS
    assert len(listed(second)) == 21
    assert listed(beyond) == listed(second)
    assert f"{ROWS + 21} renewals, page 2 of 2" in second.text


def test_a_chart_has_a_bar_for_each_step_of_its_scale() -> None:
    for scale in SCALES:
        chart = chart_of([(0, True, 2), (scale.steps - 1, False, 5)], scale, begin=0)
        assert len(chart.steps) == scale.steps
        assert chart.unit == "day"
        assert (chart.total("due"), chart.total("retry")) == (5, 2)
        assert chart.steps[-1].total == 5


def test_an_address_is_read_for_what_can_be_meant() -> None:
    assert Wanted.of({}) == Wanted(SCALES[0], None, None, 1)
    assert Wanted.of({"by": "day", "step": "89", "show": "overdue", "page": "4"}) == Wanted(
        SCALES[1], 89, Concern.OVERDUE, 4
    )
    assert Wanted.of({"by": "week", "step": "13", "page": "0"}) == Wanted(SCALES[0], None, None, 1)
    assert Wanted.of({"step": "-1", "page": "9" * 40}) == Wanted(SCALES[0], None, None, 1)
