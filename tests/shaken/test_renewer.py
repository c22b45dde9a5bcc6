"""The thread that renews: it outlives errors, ends at once, and is one of all."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from shaken import renewer as module
from shaken.aftercare import Aftercare
from shaken.config import Config
from shaken.examination import Examination
from shaken.renewer import Renewer
from shaken.revoked import Revoked
from shaken.store import HISTORY as SERVICE_HISTORY
from trust.acme.authority_client import new_account_key
from trust.acme.events import LeftBehind, Renewed
from trust.acme.fence import LEASE, Fence, alone
from trust.acme.means import Means
from trust.acme.order import Certified, State, new_order
from trust.acme.runner import Run
from trust.acme.settings import AcmeSettings
from trust.certificate import CertificateKind
from trust.keys import MasterKey
from trust.store import acme_accounts, acme_orders, acme_settings, leases
from trust.store.acme_accounts import AccountState, StoredAccount, Wish
from trust.store.database import HISTORY as TRUST_HISTORY
from trust.store.database import Database, StoreError

SECONDS = 20.0
"""How long a thread may take on a machine that is busy with other things."""


@pytest.fixture
def due(tmp_path: Path, master: MasterKey) -> Iterator[Database]:
    """A store with settings and an order that is due."""
    database = Database(f"sqlite:///{tmp_path}/shaken.sqlite")
    database.migrate([TRUST_HISTORY, SERVICE_HISTORY])
    order = new_order(CertificateKind.SYSTEM, ("pbx.example.com",), tenant=None, now=0)
    with database.changing() as change:
        acme_orders.add(change.connection, order)
        settings = AcmeSettings("https://127.0.0.1:1/directory", terms_agreed=True)
        acme_settings.save(change, master, settings)
    yield database
    database.close()


def wait_for(event: threading.Event) -> None:
    """Wait until another thread says something."""
    assert event.wait(SECONDS)


def renewer(database: Database, master: MasterKey) -> Renewer:
    """Make what is tested."""
    return Renewer(Config(), database, master, agent="test")


def test_a_store_that_fails_does_not_end_it_and_is_said_once(
    due: Database,
    master: MasterKey,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    calls: list[int] = []
    enough = threading.Event()

    def fail(*_: object, **__: object) -> Run:
        calls.append(1)
        if len(calls) == 3:
            enough.set()
        raise StoreError("the disk is full")

    monkeypatch.setattr(module, "run_due", fail)
    monkeypatch.setattr(module, "PAUSE_SECONDS", 0.01)
    tested = renewer(due, master)
    tested.start()
    wait_for(enough)
    tested.close()

    said = [each.getMessage() for each in caplog.records if each.name == module.__name__]
    assert said == ["certificates are not renewed: the disk is full"]


def test_that_a_store_works_again_is_said(
    due: Database,
    master: MasterKey,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    calls: list[int] = []
    enough = threading.Event()

    def fail_once(_: object) -> bool:
        calls.append(1)
        if len(calls) == 1:
            raise StoreError("the disk is full")
        if len(calls) == 3:
            enough.set()
        return False

    monkeypatch.setattr(module, "run_due", lambda *_, **__: Run(1, is_more_due=True))
    monkeypatch.setattr(Aftercare, "is_due", fail_once)
    monkeypatch.setattr(module, "PAUSE_SECONDS", 0.01)
    tested = renewer(due, master)
    tested.start()
    wait_for(enough)
    tested.close()

    said = [each.getMessage() for each in caplog.records if each.name == module.__name__]
    assert said == [
        "certificates are not renewed: the disk is full",
        "certificates are renewed again",
    ]


def test_an_error_that_nobody_thought_of_does_not_end_it(
    due: Database,
    master: MasterKey,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    calls: list[int] = []
    again = threading.Event()

    def fail(*_: object, **__: object) -> Run:
        if calls:
            again.set()
        calls.append(1)
        raise ZeroDivisionError

    monkeypatch.setattr(module, "run_due", fail)
    monkeypatch.setattr(module, "PAUSE_SECONDS", 0.01)
    tested = renewer(due, master)
    tested.start()
    wait_for(again)
    tested.close()

    assert any(each.exc_info for each in caplog.records)


def test_what_fails_afterwards_does_not_hold_up_orders(
    due: Database, master: MasterKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = threading.Event()

    def move(*_: object, **__: object) -> Run:
        moved.set()
        return Run(1, is_more_due=False)

    def fail(_: object) -> bool:
        raise StoreError("nothing can be looked after")

    monkeypatch.setattr(module, "run_due", move)
    monkeypatch.setattr(Aftercare, "is_due", fail)
    tested = renewer(due, master)
    tested.start()
    wait_for(moved)
    tested.close()


def holding(entered: threading.Event, end: threading.Event) -> Callable[[Renewer, Fence], Means]:
    """Return a step that takes until `end`, in a run that has the lease."""

    def equip(_: Renewer, __: Fence) -> Means:
        entered.set()
        wait_for(end)
        raise StoreError("the test is over")

    return equip


def test_one_of_two_works_and_when_it_ends_the_other_can_at_once(
    due: Database, master: MasterKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, end = threading.Event(), threading.Event()
    monkeypatch.setattr(Renewer, "_equip", holding(entered, end))
    monkeypatch.setattr(module, "END_SECONDS", 0.01)
    first, second = renewer(due, master), renewer(due, master)
    first.start()
    wait_for(entered)

    pause = second._round()
    assert pause == module.BUSY_SECONDS

    first.close()  # though its thread is still in a step
    with due.recording() as connection:
        lease = leases.acquire(connection, LEASE, holder="x", now=int(time.time()), seconds=1)
    end.set()
    first._thread.join(SECONDS)
    assert lease is not None


@pytest.mark.parametrize(
    ("owner", "step"),
    [
        (module, "carry_out"),
        (Renewer, "_equip"),
        (Examination, "_page"),
        (Aftercare, "_revoke"),
    ],
)
def test_whatever_a_worker_is_at_when_it_ends_another_can_work_at_once(
    owner: object,
    step: str,
    due: Database,
    master: MasterKey,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    have_account(due, master, wish=Wish.START_OVER_LOST)
    entered, end = threading.Event(), threading.Event()

    def hang(*_: object) -> None:
        entered.set()
        wait_for(end)
        raise StoreError("the test is over")

    monkeypatch.setattr(owner, step, hang)
    monkeypatch.setattr(module, "END_SECONDS", 0.01)
    tested = renewer(due, master)
    tested.start()
    wait_for(entered)

    tested.close()

    with due.recording() as connection:
        lease = leases.acquire(connection, LEASE, holder="x", now=int(time.time()), seconds=1)
    end.set()
    tested._thread.join(SECONDS)
    assert lease is not None


def test_a_wait_within_an_order_ends_with_the_worker(
    due: Database, master: MasterKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting, over = threading.Event(), threading.Event()

    def wait_long(tested: Renewer, _: Fence) -> None:
        waiting.set()
        try:
            tested._wait(3600)
        finally:
            over.set()

    monkeypatch.setattr(Renewer, "_equip", wait_long)
    tested = renewer(due, master)
    tested.start()
    wait_for(waiting)
    tested.close()

    wait_for(over)
    with alone(due, holder="the next", clock=module._utc_now):
        pass


def test_an_order_is_left_as_it_is_while_no_authority_is_set(
    due: Database, master: MasterKey
) -> None:
    with due.changing() as change:
        acme_settings.remove(change)

    assert renewer(due, master)._round() == module.PAUSE_SECONDS

    with due.reading() as connection:
        (order,) = acme_orders.due(connection, now=1, limit=9)
    assert (order.state, order.failures) == (State.WAITING, None)


def test_an_authority_that_does_not_answer_is_a_warning_and_the_order_waits(
    due: Database, master: MasterKey, caplog: pytest.LogCaptureFixture
) -> None:
    renewer(due, master)._round()

    (line,) = [each for each in caplog.records if each.name == module.__name__]
    assert line.levelname == "WARNING"
    assert line.getMessage().startswith("no certificate for pbx.example.com: ")
    with due.reading() as connection:
        assert not acme_orders.due(connection, now=int(time.time()), limit=9)


def test_a_program_that_is_allowed_no_more_holds_up_no_order_that_does_without(
    due: Database, master: MasterKey, caplog: pytest.LogCaptureFixture
) -> None:
    with due.changing() as change:
        settings = AcmeSettings(
            "https://127.0.0.1:1/directory",
            terms_agreed=True,
            dns={"type": "hook", "command": ["/usr/local/bin/dns-hook"]},
        )
        acme_settings.save(change, master, settings)
        acme_orders.add(
            change.connection,
            new_order(CertificateKind.SYSTEM, ("*.example.com",), tenant=None, now=0),
        )

    renewer(due, master)._round()

    said = sorted(each.getMessage() for each in caplog.records if each.name == module.__name__)
    assert [line.split(": ")[0] for line in said] == [
        "no certificate for *.example.com",
        "no certificate for pbx.example.com",
    ]


DIRECTORY = "https://127.0.0.1:1/directory"


def have_account(database: Database, master: MasterKey, *, wish: Wish) -> None:
    """Store an account, of which something is asked."""
    account = StoredAccount(
        DIRECTORY, AccountState.VALID, 0, new_account_key(), url="https://127.0.0.1:1/account/1"
    )
    with database.changing() as change:
        acme_accounts.save(change, master, account)
        acme_accounts.ask(change, DIRECTORY, wish, now=0)


def test_what_is_asked_of_the_account_is_done_before_orders(
    due: Database,
    master: MasterKey,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    have_account(due, master, wish=Wish.START_OVER_LOST)
    caplog.set_level("INFO", logger=module.__name__)

    def find_nothing(*_: object, **__: object) -> Run:
        with due.reading() as connection:
            assert acme_accounts.asked(connection, DIRECTORY) is None
        return Run(0, is_more_due=False)

    monkeypatch.setattr(module, "run_due", find_nothing)

    renewer(due, master)._round()

    said = [each.getMessage() for each in caplog.records if each.name == module.__name__]
    assert said == [f"start-over-lost of the account at {DIRECTORY} is done"]


def test_why_something_asked_of_the_account_is_not_done_is_in_the_log(
    due: Database, master: MasterKey, caplog: pytest.LogCaptureFixture
) -> None:
    have_account(due, master, wish=Wish.ROLLOVER)

    renewer(due, master)._look_after_accounts()

    (line,) = [each for each in caplog.records if each.name == module.__name__]
    assert line.levelname == "ERROR"
    assert f"rollover of the account at {DIRECTORY} failed: " in line.getMessage()
    with due.reading() as connection:
        asked = acme_accounts.asked(connection, DIRECTORY)
    assert asked is not None
    assert (asked.wish, asked.failures and asked.failures.count) == (Wish.ROLLOVER, 1)


def test_what_is_asked_of_the_account_waits_while_another_worker_is_at_work(
    due: Database, master: MasterKey
) -> None:
    have_account(due, master, wish=Wish.START_OVER_LOST)

    with alone(due, holder="another", clock=module._utc_now):
        renewer(due, master)._look_after_accounts()

    with due.reading() as connection:
        assert acme_accounts.asked(connection, DIRECTORY) is not None


@pytest.mark.parametrize("kind", [Examination, Aftercare])
def test_what_comes_after_orders_waits_while_another_worker_is_at_work(
    kind: type, due: Database, master: MasterKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[object] = []
    monkeypatch.setattr(kind, "run", lambda _, fence: done.append(fence))
    tested = renewer(due, master)

    with alone(due, holder="another", clock=module._utc_now):
        tested._round()
    assert not done

    tested._round()
    assert len(done) == 1


def test_revoked_certificates_are_looked_for_one_step_a_round(
    due: Database, master: MasterKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[int] = []
    monkeypatch.setattr(Revoked, "is_due", lambda _: True)
    monkeypatch.setattr(Revoked, "step", lambda _: steps.append(1))
    monkeypatch.setattr(module, "run_due", lambda *_, **__: None)
    tested = renewer(due, master)

    tested._round()
    tested._round()

    assert steps == [1, 1]


def test_the_log_says_why_a_record_cannot_be_withdrawn(
    due: Database, master: MasterKey, caplog: pytest.LogCaptureFixture
) -> None:
    order = new_order(CertificateKind.SYSTEM, ("pbx.example.com",), tenant=None, now=0)

    renewer(due, master)._report(LeftBehind(order, "the provider is down"))

    said = "DNS records for pbx.example.com cannot be withdrawn yet: the provider is down"
    assert said in caplog.text


@pytest.mark.parametrize("days_before", [1, 89])
def test_the_log_says_of_a_certificate_that_is_due_as_it_comes_what_to_check(
    days_before: int, due: Database, master: MasterKey, caplog: pytest.LogCaptureFixture
) -> None:
    now = int(time.time())
    begin = now - days_before * 24 * 3600
    order = replace(
        new_order(CertificateKind.SYSTEM, ("pbx.example.com",), tenant=None, now=0),
        state=State.ISSUED,
        certified=Certified("c", DIRECTORY, begin, begin + 90 * 24 * 3600, obtained_at=now),
    )

    renewer(due, master)._report(Renewed(order, "c", "b"))

    said = "check the clock, or the authority's renewal information"
    assert (said in caplog.text) is (days_before == 89)
