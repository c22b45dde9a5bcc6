"""The sockets of a worker, and what its server spends at most."""

import socket
from itertools import chain

import pytest

from shaken.config import load_config
from shaken.redirect.listener import SipSockets, limits_of
from sip.server import Limits


def sockets(workers: int) -> SipSockets:
    groups = tuple(
        tuple(socket.socket(type=socket.SOCK_DGRAM) for _ in range(2)) for _ in range(workers)
    )
    return SipSockets(groups, (socket.socket(),), (socket.socket(),))


def is_open(sock: socket.socket) -> bool:
    return sock.fileno() >= 0


@pytest.mark.parametrize("slot", [0, 2])
def test_a_worker_takes_its_own_datagrams_and_lets_go_of_others(slot: int) -> None:
    all_of_them = sockets(3)

    own = all_of_them.take(slot)

    assert own == all_of_them.udp[slot]
    assert [each for each in chain(*all_of_them.udp) if is_open(each)] == list(own)
    assert all(map(is_open, (*all_of_them.tcp, *all_of_them.tls)))
    all_of_them.close()
    assert not any(map(is_open, (*own, *all_of_them.tcp, *all_of_them.tls)))


def test_where_there_is_no_udp_there_is_nothing_to_take() -> None:
    assert SipSockets().take(0) == ()
    assert not SipSockets()


def test_limits_are_those_of_the_settings() -> None:
    config = load_config(
        None,
        {
            "SHAKEN_SIP__CONNECTIONS": "5",
            "SHAKEN_SIP__CONNECTIONS_PER_ADDRESS": "4",
            "SHAKEN_SIP__IDLE_SECONDS": "30",
            "SHAKEN_SIP__TRANSACTIONS": "2000",
            "SHAKEN_SIP__STRANGERS_PER_SECOND": "7",
        },
    )

    limits = limits_of(config)

    assert limits == Limits(
        connections=5,
        connections_per_address=4,
        idle_seconds=30,
        transactions=2000,
        strangers_per_second=7,
        answer_seconds=8.0,
    )


def test_unless_it_is_told_otherwise_a_server_has_its_own_limits() -> None:
    assert limits_of(load_config(None, {})) == Limits(answer_seconds=8.0)


@pytest.mark.parametrize(("seconds", "allowed"), [("0.1", 2.2), ("9", 20.0), ("30", 30.0)])
def test_an_answer_may_take_as_long_as_its_fetches_and_comes_in_time(
    seconds: str, allowed: float
) -> None:
    config = load_config(None, {"SHAKEN_VERIFICATION__SECONDS": seconds})

    assert limits_of(config).answer_seconds == pytest.approx(allowed)
