"""What to do about a failure: each kind has its advice, and each advice leads somewhere."""

import re
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest

import trust.acme
from shaken.audit import Action, AuditedChange
from shaken.web.renewal_advice import KINDS, advice_of
from tests.web.scenery import ACME, ALICE, BOUND, GLOBEX, RENEWED, VICTOR, Service
from tests.web.visitor import signed_in
from trust.acme.order import Failures, State, new_order
from trust.acme.problems import NameProblem, Problem
from trust.acme.settings import AcmeSettings
from trust.certificate import CertificateKind
from trust.store import acme_orders, acme_settings

PAGE = f"/admin/renewals/{RENEWED.id}"
UNKNOWN = advice_of("something-else", "")

RFC_8555 = (
    "accountDoesNotExist",
    "badCSR",
    "badNonce",
    "badPublicKey",
    "badSignatureAlgorithm",
    "caa",
    "compound",
    "connection",
    "dns",
    "externalAccountRequired",
    "incorrectResponse",
    "invalidContact",
    "malformed",
    "orderNotReady",
    "rateLimited",
    "rejectedIdentifier",
    "serverInternal",
    "tls",
    "unauthorized",
    "unsupportedContact",
    "unsupportedIdentifier",
    "userActionRequired",
)
"""The types of §6.7 that an order or an account can meet; the others are about revoking."""


async def fail(service: Service, problem: Problem, state: State = State.FAILED) -> None:
    """Let the order have failed once, and wait for an hour."""
    now = int(service.clock())

    def save(change: AuditedChange) -> None:
        settings = AcmeSettings("https://acme.example/directory", terms_agreed=True)
        acme_settings.save(change, service.prepared.master, settings)
        order = acme_orders.get(change.connection, RENEWED.id)
        assert order is not None
        failed = replace(
            order, state=state, failures=Failures(1, now, problem), next_try=now + 3600
        )
        acme_orders.save(change.connection, failed)
        change.audit(Action.ORDER_FAIL, RENEWED.id, tenant=GLOBEX)

    await service.change(save)


@pytest.mark.parametrize("kind", RFC_8555)
def test_each_error_of_the_standard_has_its_advice(kind: str) -> None:
    assert advice_of(kind, "") != UNKNOWN


def test_each_problem_of_our_own_has_its_advice() -> None:
    source = "\n".join(file.read_text() for file in Path(trust.acme.__path__[0]).rglob("*.py"))
    own = set(re.findall(r'Problem\(\s*"([a-z-]+)"', source))

    assert len(own) > 8
    assert {kind for kind in own if advice_of(kind, "") == UNKNOWN} == set()


def test_a_root_that_is_missing_is_told_from_an_authority_that_is_down() -> None:
    words = "the TLS certificate of ca.example is not trusted (self-signed): add the root"

    assert advice_of("unreachable", words).link != advice_of("unreachable", "it is down").link


async def test_each_advice_leads_to_a_page_that_is_there(service: Service) -> None:
    visitor = await signed_in(service, ALICE)

    for kind in KINDS:
        link = advice_of(kind, "").link
        if link is not None:
            assert (await visitor.get(link.path)).status == 200


async def test_a_failure_shows_the_authoritys_words_and_the_next_step(service: Service) -> None:
    name = NameProblem(GLOBEX, "caa", "CAA record for <it> prevents issuance")
    await fail(service, Problem("caa", "the authority could not verify every name", (name,)))
    visitor = await signed_in(service, VICTOR)

    text = (await visitor.get(PAGE)).text

    assert "CAA record for &lt;it&gt; prevents issuance" in text
    assert "<code>caa</code>" in text
    assert "Add a CAA record that names this authority" in text


async def test_the_overview_leads_to_what_is_to_be_done(service: Service) -> None:
    await fail(service, Problem("caa", "prevents issuance"))
    visitor = await signed_in(service, ALICE)

    text = (await visitor.get("/admin")).text

    assert f'href="{PAGE}">What to do' in text


async def test_of_several_failures_each_name_has_its_own_step(service: Service) -> None:
    names = (
        NameProblem("a.example", "caa", "prevents issuance"),
        NameProblem("b.example", "connection", "timeout"),
    )
    await fail(service, Problem("compound", "the authority could not verify every name", names))
    visitor = await signed_in(service, ALICE)

    text = unescape((await visitor.get(PAGE)).text)

    assert "Add a CAA record" in text.partition("a.example")[2].partition("b.example")[0]
    assert "Let port 80 of the name" in text.partition("b.example")[2].partition("</ul>")[0]


async def test_what_was_mended_is_looked_at_again_at_once(service: Service) -> None:
    visitor = await signed_in(service, ALICE)
    await fail(service, Problem("self-check", "not found"), State.AUTHORIZING)
    waiting = (await visitor.get(PAGE)).text

    sent = await visitor.post(f"{PAGE}/again", {})
    shown = (await visitor.get(sent.location)).text

    assert "Look again now" in waiting
    assert 'http-equiv="refresh"' not in waiting
    assert (sent.status, sent.location) == (303, PAGE)
    assert 'http-equiv="refresh"' in shown
    with service.prepared.open_database().reading() as connection:
        order = acme_orders.get(connection, RENEWED.id)
    assert order is not None
    assert order.next_try == int(service.clock())


async def test_an_attempt_that_is_over_waits_for_its_next_try(service: Service) -> None:
    visitor = await signed_in(service, ALICE)
    await fail(service, Problem("rateLimited", "too many"))

    assert "Look again now" not in (await visitor.get(PAGE)).text
    assert (await visitor.post(f"{PAGE}/again", {})).status == 409


async def test_a_tenants_admin_has_the_own_looked_at_and_is_led_to_no_closed_page(
    service: Service,
) -> None:
    visitor = await signed_in(service, BOUND)
    now = int(service.clock())
    own = replace(
        new_order(CertificateKind.DOMAIN, [ACME], tenant=ACME, now=now),
        state=State.AUTHORIZING,
        failures=Failures(1, now, Problem("self-check", "not found")),
        next_try=now + 3600,
    )
    await fail(service, Problem("self-check", "not found"), State.AUTHORIZING)

    def add(change: AuditedChange) -> None:
        acme_orders.add(change.connection, own)
        change.audit(Action.ORDER_CREATE, own.id, tenant=ACME)

    await service.change(add)

    shown = (await visitor.get(f"/admin/renewals/{own.id}")).text

    assert "/admin/renewals/authority" not in shown
    assert (await visitor.post(f"/admin/renewals/{own.id}/again", {})).status == 303
    assert (await visitor.post(f"{PAGE}/again", {})).status == 404
