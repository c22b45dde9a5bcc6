"""Orders that fail: told in words, tried again, and no key of a certificate is lost."""

from dataclasses import replace
from datetime import timedelta

import pytest
from acme import messages

from tests.trust.acme.bench import Bench
from trust.acme.authority_client import AuthorityClient, PlacedOrder
from trust.acme.events import Failed, Issued
from trust.acme.order import State
from trust.acme.problems import AuthorityRefused, Problem
from trust.store import requests


def failure(bench: Bench) -> Failed:
    event = bench.events[-1]
    assert isinstance(event, Failed)
    return event


def test_a_name_that_the_authority_cannot_verify_is_told_in_words_and_tried_again(
    bench: Bench,
) -> None:
    identity = bench.order("down.example.com")
    bench.pebble.responder.look_up = lambda _: "something else"

    bench.run()
    order = bench.stored(identity)
    assert order.state is State.FAILED
    assert order.failures is not None
    assert order.failures.count == 1
    words = failure(bench).problem.words
    assert "the authority could not verify every name; down.example.com: " in words
    assert bench.waiting_keys() == 0

    bench.pebble.responder.look_up = bench.answer
    bench.settle()
    assert bench.stored(identity).state is State.ISSUED


def test_what_the_self_check_finds_wrong_costs_no_try_at_the_authority(bench: Bench) -> None:
    identity = bench.order("pbx.example.com")
    asked: list[str] = []

    def wrong(*, name: str, token: str, key_authorization: str) -> str | None:
        assert bench.answer(token) == key_authorization
        asked.append(name)
        return "port 80 is closed" if len(asked) == 1 else None

    bench.self_check = wrong
    bench.pebble.responder.asked.clear()

    bench.run()
    assert bench.stored(identity).state is State.AUTHORIZING
    assert "pbx.example.com: port 80 is closed" in failure(bench).problem.words
    assert bench.pebble.responder.asked == []

    bench.settle()
    assert bench.stored(identity).state is State.ISSUED
    assert bench.placed_orders() == ["valid"]


def test_what_caa_records_forbid_is_said_before_a_dns_record_is_published(bench: Bench) -> None:
    identity = bench.order("*.example.org", "pbx.example.com")
    asked: list[str] = []

    def forbid(*, name: str) -> str | None:
        asked.append(name)
        return "the CAA records forbid it" if len(asked) == 1 else None

    bench.caa_check = forbid

    bench.run()
    assert asked == ["*.example.org"]  # http-01 has a check of its own
    assert "*.example.org: the CAA records forbid it" in failure(bench).problem.words
    assert bench.stored(identity).records == ()
    assert bench.pebble.texts("_acme-challenge.example.org") == set()

    bench.settle()
    assert bench.stored(identity).state is State.ISSUED
    assert bench.placed_orders() == ["valid"]


def test_a_name_that_the_authority_refuses_is_told_in_words(bench: Bench) -> None:
    identity = bench.order("under_score.example.com")

    bench.run()

    assert bench.stored(identity).state is State.FAILED
    assert failure(bench).problem.type == "malformed"
    assert bench.waiting_keys() == 0


def test_terms_that_are_not_agreed_to_are_told(bench: Bench) -> None:
    identity = bench.order("pbx.example.com")
    bench.reconfigure(terms_agreed=False)

    bench.run()

    assert "did not agree to the terms of service" in failure(bench).problem.words
    bench.reconfigure(terms_agreed=True)
    bench.settle()
    assert bench.stored(identity).state is State.ISSUED


def test_an_authority_that_is_down_is_told_and_tried_again(bench: Bench) -> None:
    identity = bench.order("pbx.example.com")
    bench.reconfigure(directory_url="https://localhost:1/dir")

    bench.run()

    assert failure(bench).problem.words == "localhost:1 refuses connections"
    assert bench.stored(identity).state is State.FAILED


def test_an_order_of_a_former_authority_is_given_up(bench: Bench) -> None:
    identity = bench.order("pbx.example.com")
    bench.self_check = lambda **_: "not yet"
    bench.run()
    assert bench.stored(identity).state is State.AUTHORIZING
    former = bench.settings.directory_url
    bench.reconfigure(directory_url="https://localhost:1/dir")

    bench.ahead = timedelta(hours=2)
    bench.run()

    order = bench.stored(identity)
    assert order.state is State.FAILED
    assert order.attempt is None
    assert bench.waiting_keys() == 0
    assert former != bench.settings.directory_url


def test_a_certificate_that_cannot_be_stored_is_fetched_again_with_its_key(bench: Bench) -> None:
    identity = bench.order("pbx.example.com")
    bench.keeper.refusal = "the tenant is gone"

    bench.run()
    assert bench.stored(identity).state is State.FINALIZING
    assert "not stored: the tenant is gone" in failure(bench).problem.words
    assert bench.waiting_keys() == 1

    bench.keeper.refusal = None
    bench.settle()
    assert bench.key_fits(identity)
    assert bench.placed_orders() == ["valid"]


def test_the_key_stays_when_nobody_knows_whether_a_certificate_was_issued(bench: Bench) -> None:
    identity = bench.order("pbx.example.com")
    bench.keeper.refusal = "not now"
    bench.run()

    bench.ahead = timedelta(days=9)
    bench.keeper.refusal = None
    bench.run()

    assert bench.stored(identity).state is State.ISSUED
    assert bench.waiting_keys() == 1
    assert sorted(bench.placed_orders()) == ["valid", "valid"]


def test_a_request_that_was_deleted_is_made_anew(bench: Bench) -> None:
    identity = bench.order("pbx.example.com")
    bench.keeper.refusal = "not now"
    bench.run()
    attempt = bench.stored(identity).attempt
    assert attempt is not None
    with bench.database.changing() as change:
        requests.remove(change, attempt.request)
    bench.keeper.refusal = None

    bench.settle()

    assert bench.key_fits(identity)


@pytest.mark.parametrize("is_gone", [False, True], ids=["deactivated", "gone"])
def test_what_ended_at_the_authority_while_the_self_check_failed_costs_no_try(
    *, is_gone: bool, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = bench.order("pbx.example.com", "*.ended.example")
    bench.self_check = lambda **_: "port 80 is closed"
    bench.run()
    attempt = bench.stored(identity).attempt
    assert attempt is not None
    assert attempt.url is not None
    if is_gone:
        forget(attempt.url, monkeypatch)
    else:
        give_up_names(bench, attempt.url)

    bench.self_check = None
    bench.events.clear()
    bench.order("pbx.example.com", "*.ended.example")
    bench.run()

    assert [type(event) for event in bench.events] == [Issued]
    assert bench.stored(identity).state is State.ISSUED
    assert bench.waiting_keys() == 0
    assert bench.pebble.texts("_acme-challenge.ended.example") == set()


def test_an_authority_that_ends_each_order_is_asked_for_one_more_in_a_run(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = bench.order("pbx.example.com")
    bench.self_check = lambda **_: "port 80 is closed"
    bench.run()
    real = AuthorityClient.order_at

    def ended(self: AuthorityClient, url: str) -> PlacedOrder:
        return replace(real(self, url), status="invalid")

    with monkeypatch.context() as patched:
        patched.setattr(AuthorityClient, "order_at", ended)
        bench.ahead = timedelta(hours=2)
        bench.run()

    order = bench.stored(identity)
    assert (order.state, order.failures and order.failures.count) == (State.FAILED, 2)
    assert len(bench.placed_orders()) == 2


def give_up_names(bench: Bench, url: str) -> None:
    """Deactivate an order's authorizations, which ends the order."""
    with bench.accounts() as accounts, accounts.session(bench.settings) as session:
        for each in session.client.order_at(url).authorizations:
            session.client._post(each, messages.UpdateAuthorization(status="deactivated"))
        assert session.client.order_at(url).status == "deactivated"  # which is Pebble's own word


def forget(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the authority have an order no more."""
    real = AuthorityClient.order_at

    def look(self: AuthorityClient, asked: str) -> PlacedOrder:
        if asked == url:
            raise AuthorityRefused(Problem("malformed", "no such order", status=404))
        return real(self, asked)

    monkeypatch.setattr(AuthorityClient, "order_at", look)
