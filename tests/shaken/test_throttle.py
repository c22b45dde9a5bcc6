"""Failed authentications of a source are counted; the clock is the test's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shaken.throttle import FAILURES, MAX_SOURCES, WINDOW_SECONDS, FailureThrottle, source_of

PEER, ANOTHER = "192.0.2.7", "198.51.100.7"


def throttle(*, failures: int = 3, seconds: int = 60, sources: int = 100) -> FailureThrottle:
    return FailureThrottle(failures=failures, seconds=seconds, sources=sources)


def fail(throttle: FailureThrottle, times: int, *, peer: str = PEER, now: int = 0) -> list[bool]:
    """Fail so many times; say for each time whether the source was slowed."""
    return [throttle.failed(peer, now=now) is not None for _ in range(times)]


def test_a_few_failures_are_borne_and_more_are_slowed() -> None:
    assert fail(throttle(failures=3), 5) == [False, False, False, True, True]


def test_without_other_wishes_the_constants_hold() -> None:
    default = FailureThrottle()

    assert fail(default, FAILURES + 1) == [*[False] * FAILURES, True]
    slowed = default.failed(PEER, now=0)
    assert slowed is not None
    assert slowed.seconds == WINDOW_SECONDS


@pytest.mark.parametrize(("now", "seconds"), [(0, 60), (1, 59), (58, 2), (59, 1)], ids=str)
def test_the_wait_ends_with_the_window_that_the_first_failure_began(now: int, seconds: int) -> None:
    counting = throttle(failures=3)
    fail(counting, 3, now=0)

    slowed = counting.failed(PEER, now=now)

    assert slowed is not None
    assert slowed.seconds == seconds


def test_after_the_window_failures_are_borne_again() -> None:
    counting = throttle(failures=3)

    assert fail(counting, 4, now=0)[-1]
    assert fail(counting, 1, now=59) == [True]
    assert fail(counting, 4, now=60) == [False, False, False, True]


def test_failures_while_slowed_do_not_lengthen_the_wait() -> None:
    counting = throttle(failures=3)
    for second in range(60):
        fail(counting, 10, now=second)

    assert fail(counting, 1, now=60) == [False]


def test_the_beginning_of_the_slowing_is_said_once() -> None:
    counting = throttle(failures=2)

    slowed = [counting.failed(PEER, now=0) for _ in range(5)]

    assert [each.begins for each in slowed if each is not None] == [True, False, False]


def test_sources_are_counted_apart() -> None:
    counting = throttle(failures=3)
    fail(counting, 4)

    assert fail(counting, 3, peer=ANOTHER) == [False, False, False]
    assert fail(counting, 1) == [True]


def test_a_clock_that_was_set_back_slows_nobody_for_longer() -> None:
    counting = throttle(failures=3)
    fail(counting, 4, now=1_000_000)

    assert fail(counting, 4, now=0) == [False, False, False, True]


@pytest.mark.parametrize(
    ("peer", "source"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("", "no address"),
        ("unknown", "no address"),
        ("192.0.2.7:5060", "no address"),
        ("x" * 8000, "no address"),
    ],
)
def test_a_source_is_an_ipv4_address_or_an_ipv6_network(peer: str, source: str) -> None:
    assert source_of(peer) == source


def test_addresses_of_one_ipv6_network_are_counted_together() -> None:
    counting = throttle(failures=3)
    fail(counting, 2, peer="2001:db8::1")
    fail(counting, 1, peer="2001:db8::2")

    assert fail(counting, 1, peer="2001:db8::3") == [True]
    assert fail(counting, 1, peer="2001:db8:0:1::1") == [False]


def test_no_more_sources_are_remembered_than_allowed() -> None:
    counting = throttle(failures=1, sources=100)

    for number in range(1000):
        counting.failed(f"10.0.{number // 256}.{number % 256}", now=0)

    assert len(counting._windows) == 100
    assert MAX_SOURCES == 10_000


def test_the_source_that_failed_longest_ago_is_forgotten_first() -> None:
    counting = throttle(failures=1, sources=2)
    for peer in ("10.0.0.1", "10.0.0.2", "10.0.0.1", "10.0.0.3"):
        counting.failed(peer, now=0)

    assert fail(counting, 1, peer="10.0.0.1") == [True]
    assert fail(counting, 1, peer="10.0.0.2") == [False]


@given(
    st.lists(
        st.tuples(
            st.ip_addresses().map(str) | st.text(max_size=10),
            st.integers(-(10**12), 10**12),
        )
    )
)
def test_whoever_fails_whenever_waits_from_one_second_to_a_window(
    failures: list[tuple[str, int]],
) -> None:
    counting = throttle(failures=0, sources=5)

    for peer, now in failures:
        slowed = counting.failed(peer, now=now)

        assert slowed is not None
        assert 1 <= slowed.seconds <= 60
    assert len(counting._windows) <= 5
