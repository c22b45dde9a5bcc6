"""The thread that renews: it outlives errors, ends at once, and is one of all."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shaken import renewer as module
from shaken.aftercare import Aftercare
from shaken.config import Config
from shaken.renewer import Renewer
from shaken.store import HISTORY as SERVICE_HISTORY
from trust.acme.fence import LEASE, Fence, alone
from trust.acme.means import Means
from trust.acme.order import State, new_order
from trust.acme.runner import Run
from trust.acme.settings import AcmeSettings
from trust.certificate import CertificateKind
from trust.keys import MasterKey
from trust.store import acme_orders, acme_settings, leases
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
    return Renewer(Config(), database, master)


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
    monkeypatch.setattr(module, "BUSY_SECONDS", 0.01)
    tested = renewer(due, master)
    tested.start()
    wait_for(enough)
    tested.close()

    said = [each.getMessage() for each in caplog.records if each.name == module.__name__]
    assert said == ["certificates are not renewed: the disk is full"]


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
    monkeypatch.setattr(module, "BUSY_SECONDS", 0.01)
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

    def equip(tested: Renewer, fence: Fence) -> Means:
        tested._fence = fence
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


def test_a_wait_within_an_order_ends_with_the_worker(
    due: Database, master: MasterKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting, over = threading.Event(), threading.Event()

    def wait_long(tested: Renewer, fence: Fence) -> None:
        tested._fence = fence
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

    assert renewer(due, master)._round() == module.BUSY_SECONDS

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
