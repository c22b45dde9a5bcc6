"""What becomes of a message that came in: dropped, answered from memory, or given to the handler.

Between the transports (`sip.datagrams`, `sip.streams`) and who answers. A transport hands over the
bytes of one message with the `Path` they came by; whatever is to be sent goes to a path. Nothing
is ever sent in return for a response.
"""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Coroutine, Generator
from dataclasses import dataclass
from typing import Protocol

import msgspec

from sip.grammar import HeaderError
from sip.limits import Limits
from sip.message import Request, Response
from sip.parsing import MalformedMessageError, is_response, parse, via_of_ack
from sip.rate import Rate
from sip.response import respond, stateless_tag
from sip.stages import Stages
from sip.transaction import (
    Outgoing,
    ServerTransactions,
    Timers,
    Transaction,
    TransactionsFullError,
)
from sip.via import Via

_TICK_SECONDS = 0.05
"""How exact the timers of transactions are; the shortest takes 0.2 seconds."""

_log = logging.getLogger(__name__)


class Source(msgspec.Struct, frozen=True, gc=False):
    """Where a request came from; made anew for each datagram, and so of what is quick to make.

    `transport` is UDP, TCP or TLS; `address` is an IP address without brackets or zone, that of an
    IPv4 peer in IPv4's spelling. `client_certificate` is the DER of the certificate that a TLS
    client showed.
    """

    transport: str
    address: str
    port: int
    client_certificate: bytes | None = None


MAX_AMPLIFICATION = 3
"""How many times the bytes of an INVITE are sent unasked to a source that may be forged: then
somebody else gets them (RFC 9000 §8.1 has the same bound)."""


@dataclass(frozen=True, slots=True)
class Stateless:
    """A final response that is not remembered (RFC 3261 §8.2.7).

    It costs no memory; a retransmission of the request is answered anew, so the response must
    come out the same, its To tag too (`sip.response.stateless_tag`). For refusing strangers.
    """

    response: Response


Answer = Response | Stateless | None
"""What a handler says: a final response, one that is not remembered, or silence."""

AnswerOrWait = Answer | Awaitable[Answer]

Handler = Callable[[Request, Source], AnswerOrWait | Stages[AnswerOrWait]]
"""Answers each new request but ACK and CANCEL, at once, in stages, or later.

A `Stateless` answer is one only at once or in the first of several stages: what takes more is
remembered, since the request may come again meanwhile.
"""


class Path(Protocol):
    """The way back to where a message came from."""

    @property
    def source(self) -> Source:
        """Where it leads."""

    def answering(self, via: Via) -> "Path":
        """Choose the way of the response to a request with this topmost Via."""

    def send(self, data: bytes) -> None:
        """Send the bytes of one message, or none if the way is closed."""


class Reception:
    """Takes messages of all transports of a server, in one event loop."""

    def __init__(
        self,
        handler: Handler,
        *,
        limits: Limits,
        timers: Timers,
        secret: bytes,
        is_known: Callable[[Source], bool],
        is_sure: Callable[[Source], bool],
    ) -> None:
        self._handler = handler
        self._limits = limits
        self._secret = secret
        self._is_known = is_known
        self._is_sure = is_sure
        self._strangers = Rate(limits.strangers_per_second)
        self._transactions: ServerTransactions[Path] = ServerTransactions(
            limit=limits.transactions,
            max_bytes=limits.transaction_bytes,
            timers=timers,
            secret=secret,
        )
        self._loop = asyncio.get_running_loop()
        self._tick: asyncio.TimerHandle | None = None
        self._waiting: dict[asyncio.Task[None], Transaction[Path]] = {}
        self._is_over = False

    def admits(self, source: Source) -> bool:
        """Say whether one more message or keep-alive of a source is looked at.

        A transport asks before anything of it is read, once for each.
        """
        return self._is_known(source) or self._strangers.take(self._loop.time())

    def receive(self, data: bytes, path: Path) -> Stages[None] | None:
        """Take the bytes of one message that is admitted.

        Returns what there is to be done about it, None: nothing more.
        """
        via = via_of_ack(data)
        if via is not None and self._transactions.acknowledge(
            via, peer=path.source.address, now=self._loop.time()
        ):
            return None
        return self._take(data, path)

    def _take(self, data: bytes, path: Path) -> Stages[None]:
        """Read a message, and send what is to be sent at once."""
        request = self._read(data, path)
        if request is None:
            return
        yield  # the message is read
        source = path.source
        path = path.answering(request.via)
        out = self._transactions.receive(
            request, peer=source.address, destination=path, now=self._loop.time()
        )
        if out is None:
            yield from self._handle(
                request,
                path,
                is_reliable=source.transport != "UDP",
                allowance=self._allowance(data, source),
            )
        else:
            self._send(out)

    def _read(self, data: bytes, path: Path) -> Request | None:
        """Read a message; None: there is nothing more to be done about it."""
        source = path.source
        if is_response(data):
            return None
        try:
            request = parse(data)
            if isinstance(request, Request) and request.method != "ACK":  # which has no answer
                request = request.stamped(address=source.address, port=source.port)
        except MalformedMessageError as error:
            self._refuse(error, path)
            return None
        except HeaderError:  # a Via that can be read, but not be sent back
            return None
        return request if isinstance(request, Request) else None

    def refuse_head(self, head: bytes, *, status: int, sentence: str, path: Path) -> None:
        """Answer a message of which only the header section is known, and is wrong."""
        try:
            message = parse(head)
        except MalformedMessageError as error:
            request = error.request
        else:
            request = message if isinstance(message, Request) else None
        if request is not None and request.method != "ACK":
            self._refuse(MalformedMessageError(sentence, status=status, request=request), path)

    def _allowance(self, data: bytes, source: Source) -> float:
        """Say how many bytes this request may have sent to its source that it did not ask for."""
        return math.inf if self._is_sure(source) else MAX_AMPLIFICATION * len(data)

    async def close(self) -> None:
        """Wait for answers that are under way, answer with 503 what takes too long; stop timers."""
        unanswered = [task for task, each in self._waiting.items() if each.request is not None]
        if unanswered:
            await asyncio.wait(unanswered, timeout=self._limits.closing_seconds)
        self._is_over = True
        now = self._loop.time()
        for task, transaction in tuple(self._waiting.items()):
            task.cancel()
            if transaction.request is not None:
                unavailable = self._own_answer(transaction.request, 503)
                self._send(self._transactions.answer(transaction, unavailable, now=now))
        await asyncio.gather(*tuple(self._waiting), return_exceptions=True)
        if self._tick is not None:
            self._tick.cancel()

    def _handle(
        self, request: Request, path: Path, *, is_reliable: bool, allowance: float
    ) -> Stages[None]:
        """Let the handler answer a new request."""
        answer = self._ask(request, path.source)
        if answer is None:
            return
        if isinstance(answer, Stateless):
            path.send(answer.response.serialise())
            return
        try:
            transaction = self._transactions.begin(
                request,
                peer=path.source.address,
                destination=path,
                is_reliable=is_reliable,
                allowance=allowance,
            )
        except TransactionsFullError:
            _give_up(answer)
            path.send(self._own_answer(request, 503).serialise())
            return
        if isinstance(answer, Generator):
            answer = yield from self._finish_stages(request, answer, transaction)
            yield  # the handler is through
            if transaction.request is None:  # a CANCEL that came with it has ended it
                _give_up(answer)
                return
        if answer is None or isinstance(answer, (Response, Stateless)):
            self._conclude(transaction, answer)
        else:
            self._wait(request, answer, transaction)

    def _ask(self, request: Request, source: Source) -> AnswerOrWait | Stages[AnswerOrWait]:
        """Ask the handler; of an answer in stages the first one is made: it may be the only one."""
        try:
            answer = self._handler(request, source)
            if isinstance(answer, Generator):
                next(answer)
        except StopIteration as end:
            ended: AnswerOrWait = end.value
            return ended
        except Exception:
            return self._failure(request)
        return answer

    def _finish_stages(
        self, request: Request, answer: Stages[AnswerOrWait], transaction: Transaction[Path]
    ) -> Stages[AnswerOrWait]:
        """Let the handler make the other stages, unless a CANCEL ends the request meanwhile."""
        yield  # the answer's first stage, which `_ask` had made
        try:
            while transaction.request is not None:
                next(answer)
                yield  # one more of them
        except StopIteration as end:
            ended: AnswerOrWait = end.value
            return ended
        except Exception:
            return self._failure(request)
        answer.close()
        return None

    def _wait(
        self, request: Request, answer: Awaitable[Answer], transaction: Transaction[Path]
    ) -> None:
        """Wait in a task for an answer that takes a while."""
        if self._is_over:
            _give_up(answer)
            self._conclude(transaction, self._own_answer(request, 503))
            return
        self._transactions.wait(transaction, now=self._loop.time())
        self._keep_ticking()
        task = self._loop.create_task(self._finish(request, answer, transaction))
        self._waiting[task] = transaction
        task.add_done_callback(self._waiting.pop)

    async def _finish(
        self, request: Request, answer: Awaitable[Answer], transaction: Transaction[Path]
    ) -> None:
        try:
            async with asyncio.timeout(self._limits.answer_seconds):
                response = await answer
        except Exception:
            response = self._failure(request)
        self._conclude(transaction, response)

    def _conclude(self, transaction: Transaction[Path], answer: Answer) -> None:
        """Give a request that is remembered its answer."""
        if isinstance(answer, Stateless):
            answer = answer.response
        if answer is None:
            self._transactions.abandon(transaction)
        else:
            self._send(self._transactions.answer(transaction, answer, now=self._loop.time()))

    def _refuse(self, error: MalformedMessageError, path: Path) -> None:
        """Answer a malformed request, if it can be: without remembering it."""
        request = error.request
        if request is None:
            return
        try:
            request = request.stamped(address=path.source.address, port=path.source.port)
            tag = stateless_tag(request, secret=self._secret)
            response = respond(request, error.status, to_tag=tag, reason=str(error))
        except HeaderError:
            return
        path.answering(request.via).send(response.serialise())

    def _failure(self, request: Request) -> Response:
        """Log the exception that is being handled, and make the answer to its request."""
        _log.exception("the answer to a SIP request failed")
        return self._own_answer(request, 500)

    def _own_answer(self, request: Request, status: int) -> Response:
        return respond(request, status, to_tag=stateless_tag(request, secret=self._secret))

    def _send(self, out: tuple[Outgoing[Path], ...]) -> None:
        for data, path in out:
            path.send(data)
        self._keep_ticking()

    def _keep_ticking(self) -> None:
        if self._tick is None and len(self._transactions):
            self._tick = self._loop.call_later(_TICK_SECONDS, self._run_timers)

    def _run_timers(self) -> None:
        self._tick = None
        self._send(self._transactions.run(self._loop.time()))


def _give_up(answer: AnswerOrWait | Stages[AnswerOrWait]) -> None:
    """Let nothing be said of an answer that nobody waits for."""
    if isinstance(answer, Coroutine | Generator):
        answer.close()
