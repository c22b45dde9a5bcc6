"""What administrators want done with the account, carried out at a real authority."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.trust.acme.bench import MASTER, Bench
from trust.acme.authority_client import AuthorityClient, new_account_key
from trust.acme.backoff import FIRST_DELAY, MAX_RETRY_AFTER
from trust.acme.order import State
from trust.acme.problems import AcmeError, AuthorityFailed, AuthorityRefused, Problem
from trust.acme.wishes import Outcome, carry_out
from trust.store import acme_accounts, tables
from trust.store.acme_accounts import AccountState, Asked, StoredAccount, Wish


def ask(bench: Bench, wish: Wish) -> None:
    with bench.database.changing() as change:
        assert acme_accounts.ask(change, bench.pebble.directory, wish, now=bench.now)


def run(bench: Bench) -> Sequence[Outcome]:
    with bench.accounts() as accounts:
        return carry_out(accounts)


def account_of(bench: Bench) -> StoredAccount | None:
    with bench.database.reading() as connection:
        return acme_accounts.get(connection, MASTER, bench.pebble.directory)


def asked_of(bench: Bench) -> Asked:
    with bench.database.reading() as connection:
        found = acme_accounts.asked(connection, bench.pebble.directory)
    assert found is not None
    return found


@pytest.fixture
def account(bench: Bench) -> StoredAccount:
    """The account that the first session made."""
    with bench.accounts() as accounts, accounts.session(bench.settings):
        pass
    found = account_of(bench)
    assert found is not None
    return found


def key_of(account: StoredAccount | None) -> object:
    assert account is not None
    return account.key.public_key()


def test_nothing_is_done_unasked(bench: Bench, account: StoredAccount) -> None:
    assert run(bench) == []
    assert key_of(account_of(bench)) == key_of(account)


def test_a_rollover_gives_the_account_a_new_key_and_orders_go_on(
    bench: Bench, account: StoredAccount
) -> None:
    ask(bench, Wish.ROLLOVER)

    assert run(bench) == [Outcome(account.directory, Wish.ROLLOVER)]

    after = account_of(bench)
    assert after is not None
    assert (after.url, after.state, after.next_key) == (account.url, AccountState.VALID, None)
    assert key_of(after) != key_of(account)
    assert asked_of(bench) == Asked(account.directory, None, None, None)
    identity = bench.order("pbx.example.com")
    bench.settle()
    assert bench.stored(identity).state is State.ISSUED


@pytest.mark.parametrize("reached", [False, True])
def test_a_worker_killed_in_a_rollover_leaves_it_to_the_next_which_makes_no_other_key(
    bench: Bench, account: StoredAccount, *, reached: bool
) -> None:
    between = replace(account, next_key=new_account_key())
    if reached:
        with bench.accounts() as accounts, accounts.existing(account.directory) as session:
            assert between.next_key is not None
            session.client.roll_over(between.next_key)
    with bench.database.changing() as change:
        acme_accounts.save(change, MASTER, between)
    ask(bench, Wish.ROLLOVER)

    assert [each.problem for each in run(bench)] == [None]

    assert between.next_key is not None
    assert key_of(account_of(bench)) == between.next_key.public_key()


def test_what_an_authority_cannot_do_now_is_tried_again_later(
    bench: Bench, account: StoredAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*_: object) -> None:
        raise AuthorityFailed(Problem("unreachable", "the authority is down"))

    ask(bench, Wish.ROLLOVER)
    with monkeypatch.context() as patch:
        patch.setattr(AuthorityClient, "roll_over", down)
        (outcome,) = run(bench)
        identity = bench.order("pbx.example.com")
        bench.run()

    asked = asked_of(bench)
    assert (asked.wish, asked.next_try) == (Wish.ROLLOVER, outcome.again)
    assert asked.failures is not None
    assert asked.failures.problem.words == "the authority is down"
    assert bench.stored(identity).state is State.ISSUED  # with the key that the authority has
    assert run(bench) == []
    bench.ahead = FIRST_DELAY + timedelta(seconds=2)
    assert [each.problem for each in run(bench)] == [None]
    assert key_of(account_of(bench)) != key_of(account)


@pytest.mark.parametrize(
    ("asked_for", "waited"),
    [
        (timedelta(seconds=5), FIRST_DELAY),
        (timedelta(hours=30), timedelta(hours=30)),
        (timedelta(days=30), MAX_RETRY_AFTER),
    ],
)
def test_what_the_authority_asks_to_wait_is_waited(
    bench: Bench,
    account: StoredAccount,
    asked_for: timedelta,
    waited: timedelta,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def limited(*_: object) -> None:
        when = bench.clock() + asked_for
        raise AuthorityRefused(Problem("rateLimited", "too many", retry_after=when, status=429))

    monkeypatch.setattr(AuthorityClient, "roll_over", limited)
    ask(bench, Wish.ROLLOVER)
    begin = bench.now

    (outcome,) = run(bench)

    assert outcome.again is not None
    assert outcome.again - begin == pytest.approx(waited.total_seconds(), abs=5)
    assert account.directory == outcome.directory


@pytest.mark.parametrize("wish", [Wish.ROLLOVER, Wish.DEACTIVATE])
def test_what_the_authority_refuses_for_good_is_told_and_leaves_the_account_as_it_was(
    bench: Bench, account: StoredAccount, wish: Wish, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AuthorityRefused(Problem("malformed", "not here", status=400))

    monkeypatch.setattr(AuthorityClient, "roll_over", refuse)
    monkeypatch.setattr(AuthorityClient, "deactivate", refuse)
    ask(bench, wish)

    (outcome,) = run(bench)

    assert (outcome.problem and outcome.problem.words, outcome.again) == ("not here", None)
    asked = asked_of(bench)
    assert (asked.wish, asked.next_try) == (None, None)
    assert asked.failures is not None
    after = account_of(bench)
    assert after is not None
    assert (after.state, after.next_key) == (AccountState.VALID, None)
    assert key_of(after) == key_of(account)


def test_after_the_end_of_an_account_another_is_made_on_demand_only(
    bench: Bench, account: StoredAccount
) -> None:
    ask(bench, Wish.DEACTIVATE)
    assert [each.problem for each in run(bench)] == [None]
    ended = account_of(bench)
    assert ended is not None
    assert ended.state is AccountState.DEACTIVATED
    identity = bench.order("pbx.example.com")
    bench.run()
    failures = bench.stored(identity).failures
    assert failures is not None
    assert "start-over" in failures.problem.words

    ask(bench, Wish.START_OVER)
    assert [each.problem for each in run(bench)] == [None]
    assert account_of(bench) is None

    bench.settle()
    assert bench.stored(identity).state is State.ISSUED
    another = account_of(bench)
    assert another is not None
    assert another.url != account.url


def test_a_start_over_asked_for_while_the_account_is_registered_leaves_the_one_in_use(
    bench: Bench,
) -> None:
    made = StoredAccount(bench.pebble.directory, AccountState.NEW, bench.now, new_account_key())
    with bench.database.changing() as change:
        acme_accounts.save(change, MASTER, made)
    ask(bench, Wish.START_OVER)
    with bench.accounts() as accounts, accounts.session(bench.settings) as session:
        url = session.account

    (outcome,) = run(bench)

    assert (outcome.problem and outcome.problem.type, outcome.again) == ("account-in-use", None)
    after = account_of(bench)
    assert after is not None
    assert (after.url, after.state) == (url, AccountState.VALID)
    asked = asked_of(bench)
    assert asked.wish is None
    assert asked.failures is not None
    assert "deactivate it first" in asked.failures.problem.words


def test_what_was_asked_instead_meanwhile_keeps_an_account_from_being_forgotten(
    bench: Bench, account: StoredAccount
) -> None:
    ask(bench, Wish.ROLLOVER)

    with bench.accounts() as accounts, pytest.raises(AcmeError, match="something else"):
        accounts.start_over(account.directory, Wish.START_OVER_LOST)

    assert key_of(account_of(bench)) == key_of(account)
    assert asked_of(bench).wish is Wish.ROLLOVER


def test_an_account_that_is_lost_is_forgotten_though_it_is_in_use(
    bench: Bench, account: StoredAccount
) -> None:
    ask(bench, Wish.START_OVER_LOST)

    assert run(bench) == [Outcome(account.directory, Wish.START_OVER_LOST)]

    assert account_of(bench) is None


def test_an_account_whose_key_does_not_open_is_started_over(
    bench: Bench, account: StoredAccount
) -> None:
    with bench.database.recording() as connection:
        connection.execute(tables.acme_accounts.update().values(sealed_key=b"another"))
    ask(bench, Wish.START_OVER_LOST)

    assert [each.problem for each in run(bench)] == [None]

    bench.order("pbx.example.com")
    bench.settle()
    assert key_of(account_of(bench)) != key_of(account)


def test_a_key_that_does_not_open_is_told_and_holds_up_nothing_else(
    bench: Bench, account: StoredAccount
) -> None:
    ask(bench, Wish.ROLLOVER)
    with bench.database.recording() as connection:
        connection.execute(tables.acme_accounts.update().values(sealed_key=b"another"))

    (outcome,) = run(bench)

    assert outcome.problem is not None
    assert f"the key of the account at {account.directory} does not open" in outcome.problem.words
    assert (asked_of(bench).wish, asked_of(bench).next_try) == (Wish.ROLLOVER, outcome.again)


def test_what_is_asked_while_another_thing_fails_stays(
    bench: Bench, account: StoredAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        ask(bench, Wish.DEACTIVATE)
        raise AuthorityRefused(Problem("malformed", "not here", status=400))

    monkeypatch.setattr(AuthorityClient, "roll_over", refuse)
    ask(bench, Wish.ROLLOVER)

    run(bench)

    assert asked_of(bench).wish is Wish.DEACTIVATE
    assert account.directory == asked_of(bench).directory
