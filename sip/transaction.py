"""Server transactions (RFC 3261 §17.2): one answer to a request, however often it comes.

`ServerTransactions` remembers what was answered. It has no socket and no clock: requests and times
go in, what is to be sent comes out; `run` is asked time and again for what timers have to send.
What a request means and how it is answered is left to who asks.

A request that is answered without being remembered (RFC 3261 §8.2.7) is only found to be new here;
its ACK is absorbed like any other.
"""

from collections import OrderedDict
from dataclasses import dataclass
from enum import Enum
from typing import Generic, NamedTuple, TypeVar

from sip.address import parse_address
from sip.matching import Key, OldKey, branch_key, key_of
from sip.message import Request, Response
from sip.response import respond, stateless_tag
from sip.via import Via

Destination = TypeVar("Destination")

MAX_DATAGRAM = 65_507
"""Longest response over UDP, in bytes: what IPv4 leaves of 65,535 beside its header and UDP's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timers:
    """The durations of RFC 3261 §17, in seconds, with its default values."""

    t1: float = 0.5
    """What a round trip takes."""
    t2: float = 4.0
    """The longest pause between two retransmissions of a response."""
    t4: float = 5.0
    """How long a message stays in the network."""
    trying: float = 0.2
    """When an INVITE that has no answer yet gets a 100 (§17.2.1)."""


class State(Enum):
    """Where a transaction stands (RFC 3261 figures 7 and 8, RFC 6026 figure 5)."""

    TRYING = "trying"
    PROCEEDING = "proceeding"
    COMPLETED = "completed"
    CONFIRMED = "confirmed"
    ACCEPTED = "accepted"
    TERMINATED = "terminated"


class Outgoing(NamedTuple, Generic[Destination]):
    """Bytes of a response, and where they go."""

    data: bytes
    destination: Destination


class TransactionsFullError(Exception):
    """There are as many unanswered requests as may be: this one is to be refused (503)."""


class Transaction(Generic[Destination]):
    """One request that is being answered, or was. Only `ServerTransactions` changes it."""

    __slots__ = (
        "allowance",
        "destination",
        "elapsed",
        "interval",
        "is_reliable",
        "key",
        "method",
        "request",
        "response",
        "state",
        "timers",
        "to",
    )

    def __init__(
        self,
        request: Request,
        key: Key,
        *,
        destination: Destination,
        is_reliable: bool,
        allowance: float,
    ) -> None:
        self.key = key
        self.method = request.method
        self.request: Request | None = request  # needed no longer once it is answered
        self.destination = destination
        self.is_reliable = is_reliable
        self.state = State.PROCEEDING if request.method == "INVITE" else State.TRYING
        self.response: bytes | None = None
        self.to: str | None = None  # that of the response, whose tag a CANCEL is answered with
        self.allowance = allowance  # bytes that may yet be sent unasked
        self.interval = 0.0  # of timer G, in seconds
        self.elapsed = 0.0  # what timer H has counted when timer G ends
        self.timers: OrderedDict[Key, tuple[float, Transaction[Destination]]] | None = None
        # The queue that its timer stands in: one runs at most.


class ServerTransactions(Generic[Destination]):
    """All server transactions of one process.

    At most `limit` of them are kept, with at most `max_bytes` of responses: past that the one that
    was answered first goes, and a retransmission of its request is a new request. Times are in
    seconds of any clock that does not go back. `secret` (up to 64 bytes) makes the To tags of what
    is answered here (100 has none, 200 and 481 to a CANCEL, 487, 513).

    A final response to an INVITE is sent again without being asked for (timer G) only within the
    `allowance` of its transaction, in bytes, its first sending with them: the source may be forged.
    Whoever sent the INVITE, and got nothing, sends it again; who got 100 does not (§17.1.1.2), so
    a final response that is lost then may stay lost.
    """

    def __init__(self, *, limit: int, max_bytes: int, timers: Timers, secret: bytes) -> None:
        self._limit = limit
        self._max_bytes = max_bytes
        self._timers = timers
        self._secret = secret
        self._bytes = 0
        self._transactions: dict[Key, Transaction[Destination]] = {}
        self._answered: OrderedDict[Key, Transaction[Destination]] = OrderedDict()
        # Timers of one duration end in the order in which they begin. So each duration has a
        # queue, and no timer costs more than another, however many there are.
        self._queues: dict[float, OrderedDict[Key, tuple[float, Transaction[Destination]]]] = {}

    def __len__(self) -> int:
        return len(self._transactions)

    def receive(
        self, request: Request, *, peer: str, destination: Destination, now: float
    ) -> tuple[Outgoing[Destination], ...] | None:
        """Take a request that came from an address; returns what is to be sent at once.

        None is a new request, which wants an answer: by `begin` and `answer`, or none. A
        retransmission gets the very same bytes again, an ACK and a retransmission of what has no
        answer yet get nothing, a CANCEL its answer and the 487 of the INVITE it ends.
        """
        transaction = self._transactions.get(key_of(request, peer))
        if request.method == "ACK":
            if transaction is not None and transaction.method == "INVITE":
                self._acknowledge(transaction, request, now)
            return ()
        if transaction is not None:
            if transaction.response is None:
                return ()
            return (Outgoing(transaction.response, destination),)
        if request.method == "CANCEL":
            return self._cancel(request, peer=peer, destination=destination, now=now)
        return None

    def acknowledge(self, via: Via, *, peer: str, now: float) -> bool:
        """Take an ACK by its topmost Via; say whether it belongs to a response given here."""
        key = branch_key(via, peer, "INVITE")
        transaction = None if key is None else self._transactions.get(key)
        if transaction is None:
            return False
        self._go_on(transaction, now)
        return True

    def begin(
        self,
        request: Request,
        *,
        peer: str,
        destination: Destination,
        is_reliable: bool,
        allowance: float,
    ) -> Transaction[Destination]:
        """Remember a new request, whose answer is on its way.

        Raises TransactionsFullError.
        """
        if len(self._transactions) >= self._limit:
            if not self._answered:
                raise TransactionsFullError
            self._drop_oldest()
        transaction = Transaction(
            request,
            key_of(request, peer),
            destination=destination,
            is_reliable=is_reliable,
            allowance=allowance,
        )
        self._transactions[transaction.key] = transaction
        return transaction

    def wait(self, transaction: Transaction[Destination], *, now: float) -> None:
        """Have an INVITE answered with 100 if its answer takes a while (RFC 3261 §17.2.1).

        One that was cancelled has its answer.
        """
        if transaction.method == "INVITE" and transaction.request is not None:
            self._start(transaction, self._timers.trying, now)

    def answer(
        self, transaction: Transaction[Destination], response: Response, *, now: float
    ) -> tuple[Outgoing[Destination], ...]:
        """Answer a request that began; returns what is to be sent: nothing when it has ended.

        Any number of provisional responses may come before the final one. One that is too long for
        a datagram is answered with 513 instead (RFC 3261 §21.5.7).
        """
        request = transaction.request
        if request is None or transaction.state not in (State.TRYING, State.PROCEEDING):
            return ()
        data = response.serialise()
        if len(data) > MAX_DATAGRAM and not transaction.is_reliable:
            response = respond(request, 513, to_tag=stateless_tag(request, secret=self._secret))
            data = response.serialise()
        self._bytes += len(data) - len(transaction.response or b"")
        transaction.response = data
        transaction.to = _to_of(response)
        transaction.allowance -= len(data)
        if response.status < 200:
            transaction.state = State.PROCEEDING
            _stop(transaction)
        else:
            transaction.request = None
            self._finish(transaction, response, now)
        self._make_room()
        return (Outgoing(data, transaction.destination),)

    def abandon(self, transaction: Transaction[Destination]) -> None:
        """Forget a request that gets no answer."""
        self._terminate(transaction)

    def run(self, now: float) -> tuple[Outgoing[Destination], ...]:
        """Do what is due: retransmit responses, send 100, forget what is over."""
        out: list[Outgoing[Destination]] = []
        for queue in tuple(self._queues.values()):
            while queue and _first(queue)[0] <= now:
                transaction = _first(queue)[1]
                _stop(transaction)
                self._fire(transaction, now, out)
        return tuple(out)

    def _finish(
        self, transaction: Transaction[Destination], response: Response, now: float
    ) -> None:
        """Go on after a final response: timers G and H, J, or L of RFC 6026."""
        timers = self._timers
        self._answered[transaction.key] = transaction
        if transaction.method != "INVITE":
            transaction.state = State.COMPLETED
            if transaction.is_reliable:
                self._terminate(transaction)
            else:
                self._start(transaction, 64 * timers.t1, now)
        elif response.status < 300:
            # RFC 6026 §7.1 leaves retransmitting a 2xx to the user agent. None stands behind this
            # one: it is sent again when the INVITE comes again.
            transaction.state = State.ACCEPTED
            self._start(transaction, 64 * timers.t1, now)
        else:
            transaction.state = State.COMPLETED
            transaction.interval = 64 * timers.t1 if transaction.is_reliable else timers.t1
            transaction.elapsed = transaction.interval
            self._start(transaction, transaction.interval, now)

    def _acknowledge(self, transaction: Transaction[Destination], ack: Request, now: float) -> None:
        """Go on after an ACK; until timer I ends, whatever comes late is absorbed."""
        if isinstance(transaction.key, OldKey) and ack.to.tag != _answered_tag(transaction):
            return
        self._go_on(transaction, now)

    def _go_on(self, transaction: Transaction[Destination], now: float) -> None:
        """Go on after an ACK that is this transaction's."""
        if transaction.state is not State.COMPLETED:
            return
        if transaction.is_reliable:
            self._terminate(transaction)
        else:
            transaction.state = State.CONFIRMED
            self._forget_response(transaction)
            self._start(transaction, self._timers.t4, now)

    def _cancel(
        self, cancel: Request, *, peer: str, destination: Destination, now: float
    ) -> tuple[Outgoing[Destination], ...]:
        """Answer a CANCEL (RFC 3261 §9.2): 200, or 481 when there is nothing to cancel.

        An INVITE that has its final response keeps it; one that has none gets 487.
        """
        invite = self._transactions.get(key_of(cancel, peer, method="INVITE"))
        if invite is None:
            # Not remembered: a stranger's CANCELs cost no memory.
            unknown = respond(cancel, 481, to_tag=stateless_tag(cancel, secret=self._secret))
            return (Outgoing(unknown.serialise(), destination),)
        # Both answers have the same tag (§9.2). The one to the CANCEL is the same each time it is
        # made, and made again when the CANCEL comes again, for as long as there is its INVITE.
        request = invite.request
        tag = _answered_tag(invite)
        if tag is None:
            tag = stateless_tag(cancel if request is None else request, secret=self._secret)
        accepted = respond(cancel, 200, to_tag=tag).serialise()
        out: tuple[Outgoing[Destination], ...] = (Outgoing(accepted, destination),)
        if request is not None:
            out += self.answer(invite, respond(request, 487, to_tag=tag), now=now)
        return out

    def _start(self, transaction: Transaction[Destination], duration: float, now: float) -> None:
        """Start a timer in the place of the one that runs."""
        _stop(transaction)
        queue = self._queues.get(duration)
        if queue is None:
            queue = self._queues[duration] = OrderedDict()
        queue[transaction.key] = (now + duration, transaction)
        transaction.timers = queue

    def _fire(
        self,
        transaction: Transaction[Destination],
        now: float,
        out: list[Outgoing[Destination]],
    ) -> None:
        if transaction.state is State.PROCEEDING and transaction.request is not None:
            trying = respond(transaction.request, 100, to_tag="")
            out.extend(self.answer(transaction, trying, now=now))
        elif (
            transaction.state is State.COMPLETED
            and transaction.method == "INVITE"
            and transaction.elapsed < 64 * self._timers.t1
            and transaction.response is not None
        ):
            pause = 64 * self._timers.t1 - transaction.elapsed
            if len(transaction.response) <= transaction.allowance:
                out.append(Outgoing(transaction.response, transaction.destination))
                transaction.allowance -= len(transaction.response)
                transaction.interval = min(2 * transaction.interval, self._timers.t2)
                # Timer H ends where it should also when it is no multiple of timer G.
                pause = min(transaction.interval, pause)
            transaction.elapsed += pause
            self._start(transaction, pause, now)
        else:
            self._terminate(transaction)

    def _forget_response(self, transaction: Transaction[Destination]) -> None:
        self._bytes -= len(transaction.response or b"")
        transaction.response = None

    def _make_room(self) -> None:
        while self._bytes > self._max_bytes and self._answered:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        self._terminate(next(iter(self._answered.values())))

    def _terminate(self, transaction: Transaction[Destination]) -> None:
        if transaction.state is State.TERMINATED:
            return
        transaction.state = State.TERMINATED
        _stop(transaction)
        self._forget_response(transaction)
        transaction.request = None
        del self._transactions[transaction.key]
        self._answered.pop(transaction.key, None)


def _stop(transaction: Transaction[Destination]) -> None:
    """End the timer that runs, if one does; nothing of it stays in memory."""
    if transaction.timers is not None:
        del transaction.timers[transaction.key]
        transaction.timers = None


def _first(
    queue: OrderedDict[Key, tuple[float, Transaction[Destination]]],
) -> tuple[float, Transaction[Destination]]:
    return next(iter(queue.values()))


def _to_of(response: Response) -> str | None:
    """Find the To of a response, whose few fields are not worth an index."""
    for name, value in response.headers:
        if name == "To":
            return value
    return None


def _answered_tag(transaction: Transaction[Destination]) -> str | None:
    """Return the To tag that a transaction was answered with; None when it was not."""
    return None if transaction.to is None else parse_address(transaction.to).tag
