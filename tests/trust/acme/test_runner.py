"""Several workers, one lease: one works, and who was replaced writes nothing more."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Event
from unittest.mock import patch

import pytest

from tests.trust.acme.bench import Bench
from trust.acme import fence as fence_module
from trust.acme import runner
from trust.acme.events import Issued
from trust.acme.fence import LEASE_SECONDS, Busy, Fence, alone
from trust.acme.order import State
from trust.store.database import StoreError
from trust.store.leases import LeaseLost


def test_two_workers_at_once_order_once(bench: Bench) -> None:
    identities = [bench.order(f"pbx{number}.example.com") for number in range(5)]

    with ThreadPoolExecutor(4) as pool:
        runs = [future.result() for future in [pool.submit(bench.run) for _ in range(4)]]

    assert any(run is not None for run in runs)
    stored = [bench.stored(identity) for identity in identities]
    assert {each.state for each in stored} == {State.ISSUED}, [each.failures for each in stored]
    assert [type(event) for event in bench.events] == [Issued] * 5
    assert bench.placed_orders() == ["valid"] * 5


def test_a_run_is_left_to_who_has_the_lease(bench: Bench) -> None:
    bench.order("pbx.example.com")

    with alone(bench.database, holder="another", clock=bench.clock):
        assert bench.run() is None
        with pytest.raises(Busy), alone(bench.database, holder="third", clock=bench.clock):
            pass

    assert bench.run() is not None


def test_a_worker_that_was_replaced_stores_nothing_more(bench: Bench) -> None:
    """It sleeps in its self-check until its lease is over and another has done the work."""
    identity = bench.order("pbx.example.com")
    asleep, awake = Event(), Event()

    def sleep(**_: object) -> str | None:
        if not asleep.is_set():
            asleep.set()
            assert awake.wait(30)
        return None

    bench.self_check = sleep
    with (
        patch.object(fence_module, "HEARTBEAT_SECONDS", 3600),
        ThreadPoolExecutor(1) as pool,
    ):
        first = pool.submit(bench.run)
        assert asleep.wait(30)
        bench.ahead = timedelta(seconds=LEASE_SECONDS + 5)
        bench.run()
        issued = bench.stored(identity)
        awake.set()
        with pytest.raises(LeaseLost):
            first.result()

    assert issued.state is State.ISSUED
    assert bench.stored(identity) == issued
    assert bench.placed_orders() == ["valid"]


def test_a_long_step_keeps_the_lease(bench: Bench) -> None:
    """The first worker waits longer than a lease lasts, by its clock, and stays the only one."""
    bench.order("pbx.example.com")
    others: list[object] = []

    def wait(**_: object) -> str | None:
        for _turn in range(4):
            bench.ahead = bench.ahead + timedelta(seconds=LEASE_SECONDS / 2)
            beaten.clear()
            assert beaten.wait(10)
            others.append(bench.run())
        return None

    beaten = Event()
    keep = Fence.keep

    def kept(fence: Fence) -> None:
        keep(fence)
        beaten.set()

    bench.self_check = wait
    with patch.object(fence_module, "HEARTBEAT_SECONDS", 0.02), patch.object(Fence, "keep", kept):
        bench.run()

    assert others == [None] * 4
    assert [type(event) for event in bench.events] == [Issued]


def test_a_store_that_fails_once_does_not_cost_the_lease(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    tries: list[int] = []
    kept_again = Event()
    keep = Fence.keep

    def kept(fence: Fence) -> None:
        tries.append(1)
        if len(tries) == 1:
            raise StoreError("the database is locked")
        keep(fence)
        kept_again.set()

    with (
        patch.object(fence_module, "HEARTBEAT_SECONDS", 0.02),
        patch.object(Fence, "keep", kept),
        alone(bench.database, holder="x", clock=bench.clock),
    ):
        assert kept_again.wait(10)

    assert "is not kept this time: the database is locked" in caplog.text


def test_what_does_not_fit_into_a_run_is_left_for_the_next(bench: Bench) -> None:
    for number in range(3):
        bench.order(f"pbx{number}.example.com")

    with patch.object(runner, "BATCH", 2):
        first, second = bench.run(), bench.run()

    assert first == runner.Run(2, is_more_due=True)
    assert second == runner.Run(1, is_more_due=False)
