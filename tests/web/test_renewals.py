"""Certificates that renew themselves: how they stand, another one, now, and no more."""

from dataclasses import replace
from html import unescape

import pytest

from shaken.audit import Action, AuditedChange
from tests.web.scenery import ACME, ALICE, BOUND, GLOBEX, RENEWED, VICTOR, Service
from tests.web.visitor import signed_in
from trust.acme.order import Failures, State
from trust.acme.problems import NameProblem, Problem
from trust.acme.settings import AcmeSettings
from trust.store import acme_orders, acme_settings

ORDER = f"/admin/renewals/{RENEWED.id}"


async def set_up(service: Service) -> None:
    """Name an authority."""
    settings = AcmeSettings(directory_url="https://acme.example/directory", terms_agreed=True)

    def save(change: AuditedChange) -> None:
        acme_settings.save(change, service.prepared.master, settings)
        change.audit(Action.ACME_SETTINGS, "acme", tenant=None)

    await service.change(save)


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


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"names": "", "kind": "domain"}, "Write at least one name"),
        ({"names": "no name!", "kind": "domain"}, "no name!"),
        ({"names": "elsewhere.example.org", "kind": "domain"}, "elsewhere.example.org"),
        ({"names": ACME, "kind": "domain", "tenant": "nobody.example"}, "nobody.example"),
        ({"names": ACME, "kind": "sti"}, ACME),
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
