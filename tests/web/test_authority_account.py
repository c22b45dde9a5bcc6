"""The account at the authority: how it stands, what is asked of it, what depends on that."""

from dataclasses import replace
from html import unescape

import pytest

from shaken.audit import Action, AuditedChange
from tests.web.scenery import ALICE, BOUND, RENEWED, VICTOR, Service
from tests.web.visitor import signed_in
from trust.acme.authority_client import new_account_key
from trust.acme.order import Failures
from trust.acme.problems import Problem
from trust.acme.settings import AcmeSettings
from trust.store import acme_accounts, acme_revocations, acme_settings, tables
from trust.store.acme_accounts import AccountState, Asked, StoredAccount, Wish
from trust.store.acme_revocations import Pending

PAGE = "/admin/renewals/account"
DIRECTORY = "https://ca.example.net/directory"
URL = "https://ca.example.net/account/7"
DEEDS = ("rollover", "deactivate", "start-over")
REFRESH = 'http-equiv="refresh"'


async def have(service: Service, **state: object) -> None:
    """Have an authority, and an account at it."""
    account = replace(
        StoredAccount(
            DIRECTORY,
            AccountState.VALID,
            int(service.clock()) - 7200,
            new_account_key(),
            url=URL,
            contact=("mailto:noc@example.com",),
        ),
        **state,  # type: ignore[arg-type]
    )

    def save(change: AuditedChange) -> None:
        master = service.prepared.master
        acme_settings.save(change, master, AcmeSettings(DIRECTORY, terms_agreed=True))
        acme_accounts.save(change, master, account)
        change.audit(Action.ACME_SETTINGS, "acme", tenant=None)

    await service.change(save)


async def ask(service: Service, wish: Wish, after: Asked | None = None) -> None:
    """Have something asked of the account; `after` is what became of it."""

    def say(change: AuditedChange) -> None:
        acme_accounts.ask(change, DIRECTORY, wish, now=int(service.clock()))
        if after is not None:
            acme_accounts.put_off(change.connection, wish, after)
        change.audit(Action.ACME_ACCOUNT, DIRECTORY, tenant=None)

    await service.change(say)


def asked(service: Service) -> Asked:
    with service.prepared.open_database().reading() as connection:
        found = acme_accounts.asked(connection, DIRECTORY)
    assert found is not None
    return found


async def test_without_an_authority_or_an_account_the_page_teaches(service: Service) -> None:
    visitor = await signed_in(service, ALICE)
    bare = (await visitor.get(PAGE)).text
    await have(service)
    await service.change(_forget)

    chosen = (await visitor.get(PAGE)).text

    assert "No authority is chosen yet" in bare
    assert "There is no account yet" in chosen
    for deed in DEEDS:
        assert "There is no account" in (await visitor.get(f"{PAGE}/{deed}")).text


def _forget(change: AuditedChange) -> None:
    acme_accounts.remove(change, DIRECTORY)
    change.audit(Action.ACME_ACCOUNT, DIRECTORY, tenant=None)


async def test_the_page_says_how_the_account_stands_and_shows_no_key(service: Service) -> None:
    visitor = await signed_in(service, ALICE)
    await have(service, next_key=new_account_key())

    text = unescape((await visitor.get(PAGE)).text)

    for said in ("ca.example.net", "In use", URL, "mailto:noc@example.com", "Next key"):
        assert said in text
    assert "PRIVATE KEY" not in text
    assert REFRESH not in text


@pytest.mark.parametrize(
    ("deed", "form", "wish"),
    [
        ("rollover", {}, Wish.ROLLOVER),
        ("deactivate", {"sure": "yes"}, Wish.DEACTIVATE),
        ("start-over", {"sure": "yes"}, Wish.START_OVER_LOST),
    ],
)
async def test_what_is_asked_is_written_down_and_the_page_follows_it(
    service: Service, deed: str, form: dict[str, str], wish: Wish
) -> None:
    visitor = await signed_in(service, ALICE)
    await have(service)

    sent = await visitor.post(f"{PAGE}/{deed}", form)
    shown = (await visitor.get(sent.location)).text

    assert (sent.status, sent.location) == (303, PAGE)
    assert asked(service).wish is wish
    assert REFRESH in shown
    assert f'href="{PAGE}/{deed}"' not in shown


@pytest.mark.parametrize("deed", ["deactivate", "start-over"])
async def test_what_cannot_be_undone_asks_first_and_says_what_depends_on_it(
    service: Service, deed: str
) -> None:
    visitor = await signed_in(service, ALICE)
    await have(service)
    pending = Pending("0" * 64, RENEWED.id, DIRECTORY, "chain", 4)

    def add(change: AuditedChange) -> None:
        acme_revocations.add(change.connection, pending, now=0)
        change.audit(Action.ORDER_RENEW, RENEWED.id, tenant=None)

    await service.change(add)

    shown = unescape((await visitor.get(f"{PAGE}/{deed}")).text)
    unsure = await visitor.post(f"{PAGE}/{deed}", {})

    assert "1 certificate kept renewed" in shown
    assert "1 certificate to be revoked: only this account can do that" in shown
    assert unsure.status == 422
    assert 'href="#sure"' in unsure.text
    assert asked(service).wish is None


async def test_a_deactivated_account_is_started_over_without_being_lost(service: Service) -> None:
    visitor = await signed_in(service, ALICE)
    await have(service, state=AccountState.DEACTIVATED)

    page = (await visitor.get(PAGE)).text
    shown = (await visitor.get(f"{PAGE}/start-over")).text
    refused = await visitor.post(f"{PAGE}/rollover", {})
    sent = await visitor.post(f"{PAGE}/start-over", {})

    assert "Deactivated" in page
    assert f'href="{PAGE}/rollover"' not in page
    assert 'name="sure"' not in shown
    assert refused.status == 409
    assert "the account is deactivated" in unescape(refused.text).lower()
    assert sent.status == 303
    assert asked(service).wish is Wish.START_OVER


async def test_why_something_was_not_done_is_said_with_what_to_do(service: Service) -> None:
    visitor = await signed_in(service, ALICE)
    await have(service)
    now = int(service.clock())
    failures = Failures(2, now - 60, Problem("unreachable", "ca.example.net refuses <connections>"))
    await ask(service, Wish.ROLLOVER, Asked(DIRECTORY, Wish.ROLLOVER, failures, now + 1200))

    shown = (await visitor.get(PAGE)).text

    assert "ca.example.net refuses &lt;connections&gt;" in shown
    assert "Check that this machine may open https connections" in shown
    assert "Tried 2 times" in unescape(shown)
    assert "in 20 minutes" in unescape(shown)
    assert REFRESH not in shown


async def test_what_was_refused_for_good_is_not_tried_again(service: Service) -> None:
    visitor = await signed_in(service, ALICE)
    await have(service)
    failures = Failures(1, int(service.clock()), Problem("account-in-use", "it is in use by now"))
    await ask(service, Wish.START_OVER, Asked(DIRECTORY, None, failures, None))

    shown = unescape((await visitor.get(PAGE)).text)

    assert "it is in use by now" in shown
    assert "it is not tried again" in shown
    assert "Deactivate it first" in shown


async def test_an_account_whose_key_does_not_open_can_be_started_over_as_lost(
    service: Service,
) -> None:
    visitor = await signed_in(service, ALICE)
    await have(service)

    def spoil(change: AuditedChange) -> None:
        change.connection.execute(tables.acme_accounts.update().values(sealed_key=b"another"))
        change.audit(Action.ACME_ACCOUNT, DIRECTORY, tenant=None)

    await service.change(spoil)

    shown = (await visitor.get(PAGE)).text
    sent = await visitor.post(f"{PAGE}/start-over", {"sure": "yes"})

    assert "The key of the account does not open" in shown
    assert sent.status == 303
    assert asked(service).wish is Wish.START_OVER_LOST


async def test_viewers_see_the_account_and_cannot_ask_anything(service: Service) -> None:
    visitor = await signed_in(service, VICTOR)
    await have(service)

    shown = (await visitor.get(PAGE)).text

    assert URL in shown
    for deed in DEEDS:
        assert f"{PAGE}/{deed}" not in shown
        assert (await visitor.get(f"{PAGE}/{deed}")).status == 403
        assert (await visitor.post(f"{PAGE}/{deed}", {"sure": "yes"})).status == 403


async def test_people_of_one_tenant_neither_see_nor_change_it(service: Service) -> None:
    visitor = await signed_in(service, BOUND)
    await have(service)

    assert (await visitor.get(PAGE)).status == 403
    for deed in DEEDS:
        assert (await visitor.get(f"{PAGE}/{deed}")).status == 403
        assert (await visitor.post(f"{PAGE}/{deed}", {"sure": "yes"})).status == 403
    assert asked(service).wish is None
