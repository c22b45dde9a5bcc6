"""Accounts at a real authority: made once, bound, changed, rolled over, given up; revocation."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tests.trust.acme.bench import MASTER, Bench, open_bench
from tests.trust.acme.pebble import EAB_KEY, EAB_KID, Pebble, running_pebble
from trust.acme.account import AccountGone
from trust.acme.authority_client import AuthorityClient, new_account_key
from trust.acme.events import Failed
from trust.acme.order import State
from trust.acme.problems import AcmeError, AuthorityFailed, AuthorityRefused, Problem
from trust.acme.revocation import Reason, revoke
from trust.acme.settings import Binding
from trust.store import acme_accounts, certificates
from trust.store.acme_accounts import AccountState, StoredAccount, Wish


def account_of(bench: Bench) -> StoredAccount:
    with bench.database.reading() as connection:
        found = acme_accounts.get(connection, MASTER, bench.pebble.directory)
    assert found is not None
    return found


def save(bench: Bench, account: StoredAccount) -> None:
    with bench.database.changing() as change:
        acme_accounts.save(change, MASTER, account)


def opened(bench: Bench) -> str:
    with bench.accounts() as accounts, accounts.session(bench.settings) as session:
        return session.account


def test_an_account_is_made_once(bench: Bench) -> None:
    assert opened(bench) == opened(bench)

    account = account_of(bench)
    assert account.state is AccountState.VALID
    assert account.contact == ("mailto:admin@example.com",)


def test_an_account_whose_url_was_not_kept_is_found_by_its_key(bench: Bench) -> None:
    url = opened(bench)
    save(bench, replace(account_of(bench), url=None, state=AccountState.NEW))

    assert opened(bench) == url


def test_an_account_that_another_order_registers_at_the_same_time_is_the_one(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pebble answers 500 to all but one of those who register a key at once."""
    register = AuthorityClient.register
    made: list[str] = []

    def come_too_late(
        self: AuthorityClient,
        contact: Sequence[str],
        *,
        terms_agreed: bool,
        binding: Binding | None,
    ) -> str:
        made.append(register(self, contact, terms_agreed=terms_agreed, binding=binding))
        raise AuthorityRefused(Problem("serverInternal", "Error saving account", status=500))

    monkeypatch.setattr(AuthorityClient, "register", come_too_late)

    assert [opened(bench)] == made
    assert account_of(bench).url == made[0]


@pytest.mark.parametrize("problem", ["serverInternal", "invalidContact"])
def test_an_account_that_is_refused_is_not_there(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, problem: str
) -> None:
    def refuse(*_: object, **__: object) -> str:
        raise AuthorityRefused(Problem(problem, "no"))

    monkeypatch.setattr(AuthorityClient, "register", refuse)

    with pytest.raises(AuthorityRefused) as refused:
        opened(bench)

    assert refused.value.problem.type == problem
    assert account_of(bench).state is AccountState.NEW


def test_contacts_follow_the_settings(bench: Bench) -> None:
    opened(bench)
    bench.reconfigure(contact=("noc@example.com",))

    opened(bench)

    with bench.accounts() as accounts, accounts.existing(bench.pebble.directory) as session:
        told = session.client._post(session.account, None).json()
    assert told["contact"] == ["mailto:noc@example.com"]


def test_a_key_is_rolled_over(bench: Bench) -> None:
    url, former = opened(bench), account_of(bench).key
    with bench.accounts() as accounts:
        accounts.roll_over(bench.pebble.directory)

    account = account_of(bench)
    assert account.next_key is None
    assert account.key.public_key() != former.public_key()
    assert opened(bench) == url
    assert is_unknown(bench, replace(account, key=former))


def is_unknown(bench: Bench, account: StoredAccount) -> bool:
    roots = bench.pebble.roots_file.read_text()
    with AuthorityClient(account.directory, account.key, roots=roots, clock=bench.clock) as client:
        return client.find_account() is None


@pytest.mark.parametrize("when", ["after", "before"])
def test_a_worker_killed_around_the_authoritys_answer_settles_the_key(
    when: str, bench: Bench
) -> None:
    url = opened(bench)
    between = replace(account_of(bench), next_key=new_account_key())
    save(bench, between)
    if when == "after":
        with bench.accounts() as accounts:
            accounts.roll_over(bench.pebble.directory)
        save(bench, between)

    assert opened(bench) == url
    assert (account_of(bench).next_key is None) is (when == "after")
    with bench.accounts() as accounts:
        accounts.roll_over(bench.pebble.directory)
    assert opened(bench) == url
    account = account_of(bench)
    assert account.next_key is None
    assert between.next_key is not None
    is_the_same = account.key.public_key() == between.next_key.public_key()
    assert is_the_same is (when == "before")


def test_a_deactivated_account_orders_nothing_until_another_is_made(bench: Bench) -> None:
    url = opened(bench)
    with bench.accounts() as accounts:
        accounts.deactivate(bench.pebble.directory)
    identity = bench.order("pbx.example.com")

    bench.run()
    failed = bench.events[-1]
    assert isinstance(failed, Failed)
    assert "is deactivated" in failed.problem.words

    with bench.database.changing() as change:
        acme_accounts.ask(change, bench.pebble.directory, Wish.START_OVER, now=bench.now)
    with bench.accounts() as accounts:
        accounts.start_over(bench.pebble.directory, Wish.START_OVER)
    bench.settle()
    assert bench.stored(identity).state is State.ISSUED
    assert account_of(bench).url != url


def test_a_worker_killed_while_deactivating_ends_it_the_next_time(bench: Bench) -> None:
    opened(bench)
    account = account_of(bench)
    with bench.accounts() as accounts:
        accounts.deactivate(bench.pebble.directory)
    save(bench, replace(account, state=AccountState.DEACTIVATING))

    with bench.accounts() as accounts:
        with pytest.raises(AccountGone), accounts.session(bench.settings):
            pass
        accounts.deactivate(bench.pebble.directory)

    assert account_of(bench).state is AccountState.DEACTIVATED


def test_an_account_that_is_not_there_cannot_be_changed(bench: Bench) -> None:
    with bench.accounts() as accounts, pytest.raises(AcmeError, match="there is no account"):
        accounts.roll_over(bench.pebble.directory)


def test_a_certificate_is_revoked_by_its_account(bench: Bench) -> None:
    identity = bench.order("pbx.example.com")
    bench.run()
    certified = bench.stored(identity).certified
    assert certified is not None
    with bench.database.reading() as connection:
        chain = certificates.chain_pem(connection, certified.certificate) or ""

    for _ in range(2):
        with bench.accounts() as accounts:
            revoke(accounts, directory=certified.directory, chain=chain, reason=Reason.SUPERSEDED)

    assert bench.pebble.status(bench.leaf(identity).serial_number) == "Revoked"


def test_an_authority_that_leads_to_no_trusted_root_is_not_spoken_to(bench: Bench) -> None:
    with pytest.raises(AuthorityFailed, match=r"is not trusted.*add the root"):
        AuthorityClient(bench.pebble.directory, new_account_key(), roots="", clock=bench.clock)


@pytest.fixture(scope="module")
def binding_pebble(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pebble]:
    """A Pebble that wants an external account."""
    with running_pebble(tmp_path_factory.mktemp("pebble"), eab=True) as started:
        yield started


def test_an_account_is_bound_to_an_external_one(binding_pebble: Pebble, tmp_path: Path) -> None:
    bench = open_bench(tmp_path, binding_pebble)
    identity = bench.order("pbx.example.com")

    bench.run()
    failed = bench.events[-1]
    assert isinstance(failed, Failed)
    assert failed.problem.type == "externalAccountRequired"

    bench.reconfigure(binding=Binding(EAB_KID, EAB_KEY))
    bench.settle()
    assert bench.stored(identity).state is State.ISSUED
    bench.database.close()
