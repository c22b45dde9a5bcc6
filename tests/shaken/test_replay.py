"""The same PASSporT for another call is a replay, for as long as it could be believed."""

import os
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shaken.replay import SLOT_BYTES, WAYS, ReplayMemory, shared_memory


def memory(buckets: int = 64) -> ReplayMemory:
    return ReplayMemory(bytearray(SLOT_BYTES * WAYS * buckets))


def test_a_passport_seen_for_another_call_is_a_replay() -> None:
    seen = memory().seen

    assert not seen("a.b.c", "call 1", now=100, until=160)
    assert seen("a.b.c", "call 2", now=101, until=160)
    assert seen("a.b.c", "call 3", now=160, until=160)


def test_the_same_call_may_ask_again() -> None:
    seen = memory().seen

    assert not seen("a.b.c", "call 1", now=100, until=160)
    assert not seen("a.b.c", "call 1", now=101, until=160)


def test_a_call_that_passes_two_tenants_is_a_replay_for_neither() -> None:
    seen = memory().seen

    assert not seen("a.b.c", "call 1", now=100, until=160, scope="a.example")
    assert not seen("a.b.c", "another name of it", now=100, until=160, scope="b.example")
    assert seen("a.b.c", "call 2", now=101, until=160, scope="a.example")
    assert seen("a.b.c", "call 2", now=101, until=160, scope="b.example")


def test_a_passport_that_is_stale_is_forgotten() -> None:
    seen = memory().seen

    assert not seen("a.b.c", "call 1", now=100, until=160)
    assert not seen("a.b.c", "call 2", now=161, until=220)
    assert seen("a.b.c", "call 1", now=162, until=220)


@pytest.mark.parametrize("until", [2**32 - 1, 2**32, 2**70])
def test_a_time_beyond_what_a_slot_can_name_is_its_latest(until: int) -> None:
    seen = memory().seen

    assert not seen("a.b.c", "call 1", now=100, until=until)
    assert seen("a.b.c", "call 2", now=2**32 - 1, until=until)


def test_a_full_corner_forgets_what_expires_first() -> None:
    seen = memory(buckets=1).seen
    for number in range(WAYS):
        assert not seen(f"token{number}", "call", now=0, until=100 + number)

    assert not seen("one more", "call", now=0, until=200)

    assert not seen("token0", "other", now=0, until=100), "expired first, so it was forgotten"
    assert seen(f"token{WAYS - 1}", "other", now=0, until=200)


def slot_of(token: str, call: str) -> bytes:
    """Return the slot that a call of a PASSporT leaves in memory that has one bucket."""
    block = bytearray(SLOT_BYTES * WAYS)
    assert not ReplayMemory(block).seen(token, call, now=100, until=160)
    return bytes(block[:SLOT_BYTES])


def test_a_slot_that_two_workers_wrote_at_once_is_no_ground_to_call_anything_a_replay() -> None:
    first, second = slot_of("a.b.c", "call 1"), slot_of("d.e.f", "call 2")
    for cut in range(SLOT_BYTES + 1):
        torn = first[:cut] + second[cut:]
        for token, call in (("a.b.c", "call 1"), ("d.e.f", "call 2")):
            block = bytearray(torn + bytes(SLOT_BYTES * (WAYS - 1)))
            assert not ReplayMemory(block).seen(token, call, now=100, until=160), (cut, token)


def test_a_slot_of_which_any_byte_is_anothers_is_empty() -> None:
    mine, others = slot_of("a.b.c", "call 1"), slot_of("a.b.c", "call 2")
    for place, whole in product(range(SLOT_BYTES), (mine, others)):
        block = bytearray(SLOT_BYTES * WAYS)
        block[:SLOT_BYTES] = whole
        block[place] ^= 0xFF
        assert not ReplayMemory(block).seen("a.b.c", "call 3", now=100, until=160)


def test_processes_share_what_they_saw() -> None:
    block = shared_memory()
    child = os.fork()
    if child == 0:
        ReplayMemory(block).seen("a.b.c", "call 1", now=100, until=160)
        os._exit(0)
    os.waitpid(child, 0)

    assert ReplayMemory(block).seen("a.b.c", "call 2", now=100, until=160)


@given(st.lists(st.tuples(st.text(max_size=3), st.text(max_size=3)), max_size=60))
def test_no_call_is_taken_for_a_replay_that_is_none(asked: list[tuple[str, str]]) -> None:
    seen = memory().seen
    before: dict[str, str] = {}
    for token, call in asked:
        name = token.encode("ascii", "replace").decode()
        replayed = seen(token, call, now=0, until=10)
        assert replayed == (before.setdefault(name, call) != call)
