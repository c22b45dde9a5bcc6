"""Certificates that renew themselves: how they stand, another one, now, and no more."""

import re
from dataclasses import replace
from html import unescape

import pytest

from shaken.audit import Action, AuditedChange
from shaken.web.order_steps import progress_of
from shaken.web.orders import FOLLOWED_SECONDS
from tests.web.scenery import ACME, ALICE, BOUND, GLOBEX, RENEWED, VICTOR, Service, move, set_up
from tests.web.visitor import signed_in
from trust.acme.order import Failures, State
from trust.acme.problems import NameProblem, Problem
from trust.store import acme_orders

ORDER = f"/admin/renewals/{RENEWED.id}"


async def fail(service: Service) -> None:
    """Let the order have failed twice."""
    name = NameProblem(GLOBEX, "connection", "port 80 is closed")
    problem = Problem("unreachable", "the authority would not find <it>", (name,))
    failed = Failures(2, int(service.clock()) - 60, problem)

    def save(change: AuditedChange) -> None:
        order = acme_orders.get(change.connection, RENEWED.id)
        assert order is not None
        later = int(service.clock()) + 3600
        acme_orders.save(
            change.connection, replace(order, state=State.FAILED, failures=failed, next_try=later)
        )
        change.audit(Action.ORDER_FAIL, RENEWED.id, tenant=GLOBEX)

    await service.change(save)


async def test_the_list_says_how_each_stands(service: Service) -> None:
    visitor = await signed_in(service, ALICE)

    everything = (await visitor.get("/admin/renewals")).text
    none = (await visitor.get("/admin/renewals?state=stopped")).text

    assert GLOBEX in everything
    assert "Waiting" in everything
    assert GLOBEX not in none
    assert "Nothing fits" in none


async def test_what_failed_is_told_in_the_authoritys_words(service: Service) -> None:
    await fail(service)
    visitor = await signed_in(service, VICTOR)

    shown = (await visitor.get(ORDER)).text

    assert "the authority would not find &lt;it&gt;" in shown
    assert "port 80 is closed" in shown
    assert "2 times in a row" in shown
    assert "in 1 hour" in unescape(shown)


STEPS = ["Its turn comes", "The authority is asked", "The names are proven", "The certificate is"]


@pytest.mark.parametrize(
    ("state", "here", "words"),
    [
        (State.WAITING, 0, "takes it up when its turn comes"),
        (State.FAILED, 0, "takes it up when its turn comes"),
        (State.PREPARED, 1, "is being asked for a certificate"),
        (State.ORDERED, 2, "It is told how the names are proven"),
        (State.AUTHORIZING, 2, "The authority looks at the names"),
        (State.FINALIZING, 3, "The authority issues the certificate"),
    ],
)
async def test_each_step_of_an_order_is_told_while_it_moves(
    service: Service, state: State, here: int, words: str
) -> None:
    await set_up(service)
    await move(service, state)
    visitor = await signed_in(service, VICTOR)

    shown = (await visitor.get(ORDER)).text

    assert words in shown
    standing = re.findall(r'<p class="title">([^<]+) <small class="muted">([a-z ]+)</small>', shown)
    assert all(title.startswith(step) for (title, _), step in zip(standing, STEPS, strict=True))
    expected = ["done"] * here + ["now"] + ["to come"] * (3 - here)
    assert [word for _, word in standing] == expected
    assert f"{GLOBEX}: it fetches http://{GLOBEX}/.well-known/acme-challenge/" in shown
    refresh = f'<meta http-equiv="refresh" content="3; url={ORDER}?refreshed=1">'
    assert f"<noscript>{refresh}</noscript>" in shown
    assert 'data-follow="3"' in shown


MOVING = replace(RENEWED, state=State.AUTHORIZING, next_try=900)
"""An order that is under way at 1000."""


def test_a_name_proven_in_the_dns_is_told_by_its_record() -> None:
    challenges = {"*.example.com": "dns-01", "a.example": "http-01", "b.example": "other-01"}

    progress = progress_of(MOVING, challenges, now=1000)

    assert progress is not None
    assert progress.steps[2].names == [
        "*.example.com: it asks the DNS for the TXT record of _acme-challenge.example.com",
        "a.example: it fetches http://a.example/.well-known/acme-challenge/… on port 80",
    ]
    assert progress.since == 900


def test_an_order_that_is_to_end_has_no_progress() -> None:
    assert progress_of(replace(MOVING, managed=False), {}, now=1000) is None


async def test_an_order_that_waits_for_its_next_try_is_not_followed(service: Service) -> None:
    await set_up(service)
    visitor = await signed_in(service, ALICE)

    await move(service, State.AUTHORIZING, next_try=60)
    paused = (await visitor.get(ORDER)).text
    await move(service, State.FAILED, next_try=60)
    failed = (await visitor.get(ORDER)).text

    assert "The last try stopped at this step" in paused
    assert "How far it is" not in failed
    assert "data-follow" not in paused + failed
    assert "refresh" not in paused + failed


@pytest.mark.parametrize(
    ("next_try", "started", "followed"),
    [
        (-FOLLOWED_SECONDS + 1, -FOLLOWED_SECONDS + 1, True),
        (-FOLLOWED_SECONDS, -FOLLOWED_SECONDS, False),
        (-9 * FOLLOWED_SECONDS, -1, True),
    ],
)
async def test_a_page_follows_its_order_for_a_while_only(
    service: Service, next_try: int, started: int, followed: object
) -> None:
    await set_up(service)
    await move(service, State.AUTHORIZING, next_try=next_try, started=started)
    visitor = await signed_in(service, ALICE)

    shown = (await visitor.get(ORDER)).text

    assert ("data-follow" in shown, "Look again" in shown) == (followed, not followed)


async def test_without_an_authority_no_order_moves(service: Service) -> None:
    visitor = await signed_in(service, ALICE)

    shown = (await visitor.get(ORDER)).text

    assert "No authority is set" in shown
    assert "refresh" not in shown
    assert "How far it is" not in shown


async def test_a_tenants_admin_sees_the_own_ones_only(service: Service) -> None:
    visitor = await signed_in(service, BOUND)

    assert GLOBEX not in (await visitor.get("/admin/renewals")).text
    assert (await visitor.get(ORDER)).status == 404
    assert (await visitor.post(f"{ORDER}/stop", {})).status == 404


async def test_a_certificate_is_ordered_and_its_page_follows(service: Service) -> None:
    await set_up(service)
    visitor = await signed_in(service, ALICE)

    sent = await visitor.post("/admin/renewals/new", {"names": ACME, "kind": "domain"})
    shown = (await visitor.get(sent.location)).text

    assert sent.status == 303
    assert ACME in shown
    assert "Ordered." in shown
    assert "takes it up when its turn comes" in shown
    assert "data-follow" in shown


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"names": "", "kind": "domain"}, "Write at least one name"),
        ({"names": "no name!", "kind": "domain"}, "no name!"),
        ({"names": "elsewhere.example.org", "kind": "domain"}, "elsewhere.example.org"),
        ({"names": ACME, "kind": "domain", "tenant": "nobody.example"}, "nobody.example"),
        ({"names": ACME, "kind": "sti"}, ACME),
        ({"names": ACME, "kind": "domain", "tenant": "x" * 254}, "253 characters at most"),
    ],
)
async def test_what_is_wrong_is_said_and_what_was_typed_stays(
    service: Service, form: dict[str, str], said: str
) -> None:
    await set_up(service)
    visitor = await signed_in(service, ALICE)

    seen = await visitor.post("/admin/renewals/new", form)

    assert seen.status == 422
    assert 'role="alert"' in seen.text
    assert said in unescape(seen.text)
    assert f">\n{form['names']}</textarea>" in unescape(seen.text)


async def test_without_an_authority_nothing_is_ordered_and_it_is_said(service: Service) -> None:
    visitor = await signed_in(service, ALICE)

    seen = await visitor.post("/admin/renewals/new", {"names": ACME, "kind": "domain"})

    assert seen.status == 422
    assert "authority" in seen.text


async def test_what_is_stopped_is_renewed_no_more(service: Service) -> None:
    visitor = await signed_in(service, ALICE)

    sent = await visitor.post(f"{ORDER}/stop", {})
    early = await visitor.post(f"{ORDER}/renew", {})

    assert (sent.status, sent.location.partition("?")[0]) == (303, "/admin/renewals")
    assert early.status in {404, 409}
