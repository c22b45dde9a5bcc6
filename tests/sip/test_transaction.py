import gc

import pytest

from sip.message import HeaderFields, Request, Response
from sip.parsing import parse
from sip.response import respond
from sip.transaction import (
    Outgoing,
    ServerTransactions,
    State,
    Timers,
    Transaction,
    TransactionsFullError,
)
from tests.sip.messages import request

PEER = "192.0.2.1"
SOCKET = ("192.0.2.1", 5060)
T1 = 0.5
LONG = 1_000_000
"""Bytes of an INVITE to which everything may be sent again."""


TICKS = 64
"""How often in a second timers are looked at: times of whole ticks are exact in binary."""


class Clocked:
    """Transactions with a clock that goes on when told to."""

    def __init__(
        self, *, limit: int = 100, max_bytes: int = 1_000_000, is_reliable: bool = False
    ) -> None:
        self.transactions: ServerTransactions[tuple[str, int]] = ServerTransactions(
            limit=limit, max_bytes=max_bytes, timers=Timers(), secret=b"secret"
        )
        self.now = 1000.0
        self.is_reliable = is_reliable

    def receive(
        self, message: Request, *, peer: str = PEER
    ) -> tuple[Outgoing[tuple[str, int]], ...] | None:
        return self.transactions.receive(message, peer=peer, destination=SOCKET, now=self.now)

    def answer(
        self,
        message: Request,
        status: int = 302,
        *,
        allowance: float = LONG,
        headers: HeaderFields = (),
    ) -> bytes:
        assert self.receive(message) is None
        transaction = self.begin(message, allowance=allowance)
        response = _response(message, status, headers)
        (out,) = self.transactions.answer(transaction, response, now=self.now)
        return out.data

    def begin(self, message: Request, *, allowance: float = LONG) -> Transaction[tuple[str, int]]:
        return self.transactions.begin(
            message,
            peer=PEER,
            destination=SOCKET,
            is_reliable=self.is_reliable,
            allowance=allowance,
        )

    def wait(self, message: Request, *, allowance: float = LONG) -> Transaction[tuple[str, int]]:
        """Begin what takes a while."""
        transaction = self.begin(message, allowance=allowance)
        self.transactions.wait(transaction, now=self.now)
        return transaction

    def run_until(self, end: float) -> list[tuple[float, bytes]]:
        """Everything that is sent until so many seconds after the start, with its time."""
        sent = []
        for tick in range(int((self.now - 1000) * TICKS), int(end * TICKS) + 1):
            time = tick / TICKS
            sent += [(time, data) for data, _ in self.transactions.run(1000 + time)]
        self.now = 1000 + end
        return sent


def _response(message: Request, status: int = 302, headers: HeaderFields = ()) -> Response:
    return respond(message, status, to_tag="mine", headers=headers)


def _statuses(out: tuple[Outgoing[tuple[str, int]], ...] | None) -> list[tuple[int, str]]:
    found = []
    for data, _ in out or ():
        message = parse(data)
        assert isinstance(message, Response)
        found.append((message.status, message.cseq.method))
    return found


# RFC 3261 figure 7: timer G doubles from T1 to T2, timer H ends it after 64 * T1.
def test_a_final_response_to_an_invite_is_sent_again_until_timer_h() -> None:
    clocked = Clocked()
    data = clocked.answer(request())

    sent = clocked.run_until(100)

    times = [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert sent == [(time, data) for time in times]
    assert len(clocked.transactions) == 0


@pytest.mark.parametrize(
    ("times", "resent"),
    [(0, []), (1, []), (2, [0.5]), (3, [0.5, 1.5]), (4, [0.5, 1.5, 3.5])],
)
def test_unasked_no_more_is_sent_than_is_allowed(times: int, resent: list[float]) -> None:
    clocked = Clocked()
    size = len(_response(request()).serialise())
    data = clocked.answer(request(), allowance=times * size)

    assert [time for time, _ in clocked.run_until(31.9)] == resent
    # An INVITE that comes again is answered as before, and timer H ends as before.
    assert clocked.receive(request()) == (Outgoing(data, SOCKET),)
    assert clocked.run_until(64 * T1) == []
    assert len(clocked.transactions) == 0


def test_what_was_sent_before_the_final_response_counts_too() -> None:
    clocked = Clocked()
    message = request()
    trying = len(respond(message, 100, to_tag="").serialise())
    final = len(_response(message).serialise())
    transaction = clocked.wait(message, allowance=trying + 2 * final)
    assert len(clocked.run_until(0.3)) == 1
    clocked.transactions.answer(transaction, _response(message), now=clocked.now)

    assert len(clocked.run_until(31)) == 1


def test_timer_h_ends_after_64_times_t1() -> None:
    clocked = Clocked()
    clocked.answer(request())

    clocked.run_until(64 * T1 - 0.01)
    assert len(clocked.transactions) == 1
    clocked.run_until(64 * T1)
    assert len(clocked.transactions) == 0


def test_an_ack_ends_retransmission_and_timer_i_absorbs_what_is_late() -> None:
    clocked = Clocked()
    clocked.answer(request())
    clocked.run_until(0.6)

    assert clocked.receive(request("ACK")) == ()
    assert clocked.receive(request("ACK")) == ()
    assert clocked.receive(request()) == ()
    assert clocked.run_until(5.5) == []
    assert len(clocked.transactions) == 1
    assert clocked.run_until(5.7) == []
    assert len(clocked.transactions) == 0


def test_a_retransmitted_invite_gets_the_very_same_bytes() -> None:
    clocked = Clocked()
    data = clocked.answer(request())

    assert clocked.receive(request()) == (Outgoing(data, SOCKET),)


def test_over_a_reliable_transport_nothing_is_sent_again_and_an_ack_is_the_end() -> None:
    clocked = Clocked(is_reliable=True)
    clocked.answer(request())

    assert clocked.run_until(31) == []
    assert len(clocked.transactions) == 1
    assert clocked.receive(request("ACK")) == ()
    assert len(clocked.transactions) == 0


def test_over_a_reliable_transport_timer_h_waits_for_the_ack() -> None:
    clocked = Clocked(is_reliable=True)
    clocked.answer(request())

    assert clocked.run_until(64 * T1) == []
    assert len(clocked.transactions) == 0


# RFC 3261 figure 8: timer J.
def test_another_request_is_remembered_for_timer_j() -> None:
    clocked = Clocked()
    data = clocked.answer(request("OPTIONS"), 200)

    clocked.run_until(31.9)
    assert clocked.receive(request("OPTIONS")) == (Outgoing(data, SOCKET),)
    clocked.run_until(32)
    assert clocked.receive(request("OPTIONS")) is None


def test_over_a_reliable_transport_timer_j_is_zero() -> None:
    clocked = Clocked(is_reliable=True)
    clocked.answer(request("OPTIONS"), 200)

    assert len(clocked.transactions) == 0


def test_a_2xx_is_sent_again_for_a_retransmission_only() -> None:
    clocked = Clocked()
    data = clocked.answer(request(), 200)

    assert clocked.run_until(31) == []
    assert clocked.receive(request("ACK")) == ()
    assert clocked.receive(request()) == (Outgoing(data, SOCKET),)
    clocked.run_until(32)
    assert len(clocked.transactions) == 0


def _begin(clocked: Clocked, message: Request) -> None:
    assert clocked.receive(message) is None
    clocked.wait(message)


def test_an_invite_without_an_answer_gets_100_after_200_milliseconds() -> None:
    clocked = Clocked()
    _begin(clocked, request())

    assert clocked.receive(request()) == ()
    ((time, data),) = clocked.run_until(10)
    assert time == pytest.approx(0.2, abs=1 / TICKS)
    assert data.startswith(b"SIP/2.0 100 Trying\r\n")
    assert clocked.receive(request()) == (Outgoing(data, SOCKET),)


def test_an_answer_in_time_needs_no_100() -> None:
    clocked = Clocked()
    message = request()
    transaction = clocked.wait(message)
    out = clocked.transactions.answer(transaction, _response(message), now=clocked.now)

    assert _statuses(out) == [(302, "INVITE")]
    assert [data for _, data in clocked.run_until(0.5)] == [out[0].data]


def test_another_request_without_an_answer_gets_nothing() -> None:
    clocked = Clocked()
    _begin(clocked, request("OPTIONS"))

    assert clocked.receive(request("OPTIONS")) == ()
    assert clocked.run_until(100) == []


def test_a_provisional_response_is_what_a_retransmission_gets() -> None:
    clocked = Clocked()
    message = request()
    transaction = clocked.wait(message)
    (ringing,) = clocked.transactions.answer(transaction, _response(message, 180), now=clocked.now)

    assert clocked.receive(request()) == (ringing,)
    assert clocked.run_until(10) == []
    out = clocked.transactions.answer(transaction, _response(message), now=clocked.now)
    assert _statuses(out) == [(302, "INVITE")]


def test_there_is_nothing_to_wait_for_once_a_cancel_has_ended_an_invite() -> None:
    clocked = Clocked()
    message = request()
    transaction = clocked.begin(message)
    clocked.receive(request("CANCEL"))

    clocked.transactions.wait(transaction, now=clocked.now)

    assert [at for at, _ in clocked.run_until(1.0)] == [0.5]


# RFC 3261 §9.2
def test_a_cancel_ends_an_invite_that_has_no_answer() -> None:
    clocked = Clocked()
    message = request()
    transaction = clocked.wait(message)

    out = clocked.receive(request("CANCEL"))

    assert out is not None
    assert _statuses(out) == [(200, "CANCEL"), (487, "INVITE")]
    assert parse(out[0].data).to.tag == parse(out[1].data).to.tag
    assert clocked.receive(request()) == (out[1],)
    assert clocked.receive(request("CANCEL")) == (out[0],)
    assert clocked.transactions.answer(transaction, _response(message), now=clocked.now) == ()
    assert clocked.receive(request("ACK")) == ()


def test_a_cancel_of_an_answered_invite_changes_nothing() -> None:
    clocked = Clocked()
    data = clocked.answer(request())

    out = clocked.receive(request("CANCEL"))

    assert out is not None
    assert _statuses(out) == [(200, "CANCEL")]
    assert parse(out[0].data).to.tag == "mine"
    assert clocked.receive(request()) == (Outgoing(data, SOCKET),)


BULKY = (("Warning", f'399 shaken "{"x" * 70_000}"'),)


def test_an_answer_longer_than_a_datagram_is_513_instead() -> None:
    clocked = Clocked()
    out = Outgoing(clocked.answer(request(), headers=BULKY), SOCKET)

    assert _statuses((out,)) == [(513, "INVITE")]
    assert clocked.receive(request()) == (out,)
    cancelled = clocked.receive(request("CANCEL"))
    assert _statuses(cancelled) == [(200, "CANCEL")]
    assert parse((cancelled or ())[0].data).to.tag == parse(out.data).to.tag


def test_a_cancel_of_an_invite_with_a_long_answer_has_its_tag() -> None:
    clocked = Clocked(is_reliable=True)
    data = clocked.answer(request(), headers=BULKY)

    cancelled = clocked.receive(request("CANCEL"))

    assert len(data) > 70_000
    assert parse((cancelled or ())[0].data).to.tag == "mine"


def test_a_cancel_of_an_acknowledged_invite_has_its_tag() -> None:
    clocked = Clocked()
    clocked.answer(request())
    clocked.receive(request("ACK"))

    cancelled = clocked.receive(request("CANCEL"))

    assert _statuses(cancelled) == [(200, "CANCEL")]
    assert parse((cancelled or ())[0].data).to.tag == "mine"


def test_a_cancel_of_nothing_gets_481_and_is_not_remembered() -> None:
    clocked = Clocked()

    out = clocked.receive(request("CANCEL"))

    assert _statuses(out) == [(481, "CANCEL")]
    assert clocked.receive(request("CANCEL")) == out
    assert len(clocked.transactions) == 0


def test_an_ack_of_nothing_is_absorbed() -> None:
    clocked = Clocked()

    assert clocked.receive(request("ACK")) == ()
    assert len(clocked.transactions) == 0


# RFC 3261 §17.2.3
@pytest.mark.parametrize(
    ("other", "is_same"),
    [
        (request(), True),
        (request(sent_by="192.0.2.1:5060", call_id="another", number=7), True),
        (request(branch="z9hG4bK-2"), False),
        (request(sent_by="192.0.2.1:5061"), False),
        (request(sent_by="192.0.2.2:5060"), False),
        (request("OPTIONS"), False),
    ],
)
def test_a_request_belongs_to_a_transaction_by_branch_sender_and_method(
    other: Request, *, is_same: bool
) -> None:
    clocked = Clocked()
    data = clocked.answer(request())

    assert clocked.receive(other) == ((Outgoing(data, SOCKET),) if is_same else None)


def test_a_request_from_another_address_is_another_request() -> None:
    clocked = Clocked()
    clocked.answer(request())

    assert clocked.receive(request(), peer="198.51.100.1") is None
    assert _statuses(clocked.receive(request("CANCEL"), peer="198.51.100.1")) == [(481, "CANCEL")]
    clocked.receive(request("ACK"), peer="198.51.100.1")
    assert clocked.run_until(0.5) != []


OLD = "1"  # a branch of RFC 2543, without the magic cookie


@pytest.mark.parametrize("branch", [OLD, None, "z9hG4bK"])
@pytest.mark.parametrize(
    ("changes", "is_same"),
    [
        ({}, True),
        ({"call_id": "another"}, False),
        ({"number": 2}, False),
        ({"sent_by": "192.0.2.2:5060"}, False),
        ({"method": "OPTIONS"}, False),
    ],
)
def test_without_the_cookie_a_request_is_known_by_all_that_it_says(
    branch: str | None, changes: dict[str, str], *, is_same: bool
) -> None:
    clocked = Clocked()
    data = clocked.answer(request(branch=branch))

    out = clocked.receive(request(branch=branch, **changes))  # type: ignore[arg-type]

    assert out == ((Outgoing(data, SOCKET),) if is_same else None)


@pytest.mark.parametrize(("tag", "resent"), [("mine", 0), ("another", 1)])
def test_without_the_cookie_an_ack_must_repeat_the_tag(tag: str, resent: int) -> None:
    clocked = Clocked()
    clocked.answer(request(branch=OLD))

    ack = request("ACK", branch=OLD, to=f"<sip:+12155550199@sbc.example.com>;tag={tag}")

    assert clocked.receive(ack) == ()
    assert len(clocked.run_until(0.5)) == resent


def test_past_the_limit_the_one_that_was_answered_first_goes() -> None:
    clocked = Clocked(limit=2)
    _begin(clocked, request(branch="z9hG4bK-0"))
    clocked.answer(request(branch="z9hG4bK-1"))
    clocked.answer(request(branch="z9hG4bK-2"))

    assert len(clocked.transactions) == 2
    assert clocked.receive(request(branch="z9hG4bK-0")) == ()
    assert clocked.receive(request(branch="z9hG4bK-1")) is None
    assert len(clocked.receive(request(branch="z9hG4bK-2")) or ()) == 1


def test_nothing_is_kept_of_what_went_past_the_limit() -> None:
    clocked = Clocked(limit=2)
    for number in range(100):
        clocked.answer(request(branch=f"z9hG4bK-{number}"))

    kept = [each for each in gc.get_objects() if isinstance(each, Transaction)]
    assert not [each for each in kept if each.state is State.TERMINATED]


def test_when_all_wait_for_their_answer_there_is_no_room() -> None:
    clocked = Clocked(limit=1)
    _begin(clocked, request(branch="z9hG4bK-0"))

    with pytest.raises(TransactionsFullError):
        _begin(clocked, request(branch="z9hG4bK-1"))


def test_past_the_limit_of_bytes_the_oldest_go() -> None:
    size = len(_response(request(branch="z9hG4bK-1")).serialise())
    clocked = Clocked(max_bytes=2 * size)
    for number in range(1, 4):
        clocked.answer(request(branch=f"z9hG4bK-{number}"))

    assert len(clocked.transactions) == 2
    assert clocked.receive(request(branch="z9hG4bK-1")) is None


def test_an_acknowledged_response_takes_no_bytes() -> None:
    size = len(_response(request(branch="z9hG4bK-1")).serialise())
    clocked = Clocked(max_bytes=size)
    for number in range(1, 4):
        clocked.answer(request(branch=f"z9hG4bK-{number}"))
        clocked.receive(request("ACK", branch=f"z9hG4bK-{number}"))

    assert len(clocked.transactions) == 3


def test_what_gets_no_answer_is_forgotten() -> None:
    clocked = Clocked()
    transaction = clocked.wait(request())
    clocked.transactions.abandon(transaction)

    assert clocked.receive(request()) is None
    assert clocked.run_until(100) == []
