"""A worker is killed (SIGKILL) at each step of an order in turn; another goes on."""

import json
import signal
import subprocess
import sys
from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest

from tests.trust.acme.bench import Bench, open_bench
from tests.trust.acme.pebble import ROOT, Pebble
from trust.acme.fence import LEASE_SECONDS
from trust.acme.order import UNDER_WAY, State

NAMES = ("pbx.example.com", "*.example.net")
RECORD = "_acme-challenge.example.net"
AFTER_THE_LEASE = timedelta(seconds=LEASE_SECONDS + 5)
MISSED = {"commit": set(), "answer": {State.PREPARED, State.ISSUED}}
"""Of a prepared order the first answer is the order, unless Pebble refuses the nonce, which it does
by chance. It has no renewal information: nothing is asked after a certificate has come."""


@pytest.mark.parametrize("what", ["commit", "answer"])
def test_an_order_goes_on_wherever_its_worker_was_killed(
    what: str, pebble: Pebble, tmp_path: Path
) -> None:
    seen = set()
    for number in count(1):
        folder = tmp_path / f"{number}"
        folder.mkdir()
        bench = open_bench(folder, pebble)
        identity = bench.order(*NAMES)

        if not is_killed(folder, pebble, what, number):
            break
        seen.add(bench.stored(identity).state)
        bench_ends_well(bench, identity, where=f"{what} {number}")

    assert seen >= {*UNDER_WAY, State.WAITING, State.ISSUED} - MISSED[what]


def is_killed(folder: Path, pebble: Pebble, what: str, number: int) -> bool:
    """Let a worker run until it kills itself; say whether it did."""
    members = {name: value for name, value in vars(pebble).items() if name != "responder"}
    command = [sys.executable, "-m", "tests.trust.acme.dying", str(folder), json.dumps(members)]
    done = subprocess.run(
        [*command, what, str(number)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode in {0, -signal.SIGKILL}, done.stderr
    return done.returncode != 0


def bench_ends_well(bench: Bench, identity: str, *, where: str) -> None:
    """Go on in another worker, and see that one certificate came, with its key."""
    at_kill = bench.stored(identity)
    placed = at_kill.attempt is not None and at_kill.attempt.url is not None

    bench.ahead = AFTER_THE_LEASE
    assert bench.run() is not None, where

    order = bench.stored(identity)
    assert order.state is State.ISSUED, (where, at_kill, order.failures)
    assert order.failures is None, where
    assert bench.key_fits(identity), where
    assert bench.waiting_keys() == 0, where
    assert order.records == (), where
    assert bench.pebble.texts(RECORD) == set(), where
    statuses = bench.placed_orders()
    assert statuses.count("valid") == 1, where
    if placed or at_kill.state in {State.WAITING, State.ISSUED}:
        assert len(statuses) == 1, where
    bench.database.close()
