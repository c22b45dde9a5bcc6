"""Requests that come together: they go through the stages of their answers side by side."""

import asyncio
import re
from collections.abc import Awaitable
from typing import Any

import pytest

from sip.message import Request, Response
from sip.parsing import parse
from sip.reception import AnswerOrWait
from sip.response import respond
from sip.server import Source
from sip.stages import Stages
from tests.sip.listening import DatagramClient, serving_tcp, serving_udp
from tests.sip.messages import request


class Slowly:
    """A handler that answers in two stages, and notes those of INVITEs."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def __call__(self, message: Request, _: Source) -> Stages[AnswerOrWait]:
        return self._answer(message) if message.method == "INVITE" else self._fine(message)

    def _fine(self, message: Request) -> Stages[AnswerOrWait]:
        yield
        return respond(message, 200, to_tag="mine")

    def _answer(self, message: Request) -> Stages[AnswerOrWait]:
        self.done.append(f"{message.call_id} begins")
        yield
        self.done.append(f"{message.call_id} ends")
        return self.end(message)

    def end(self, message: Request) -> AnswerOrWait:
        return respond(message, 302, to_tag="mine")


def _sent(client: DatagramClient, method: str = "INVITE", *, call: str = "a") -> None:
    message = request(method, branch=f"z9hG4bK-{call}", call_id=call)
    host, port = client.address
    client.send(message.serialise().replace(b"192.0.2.1:5060", f"{host}:{port}".encode()))


async def _statuses(client: DatagramClient) -> list[tuple[int, str]]:
    """What came up to the answer to an OPTIONS that is sent last."""
    _sent(client, "OPTIONS", call="last")
    came: list[tuple[int, str]] = []
    while not came or came[-1][1] != "OPTIONS":
        answer = parse(await client.receive())
        assert isinstance(answer, Response)
        came.append((answer.status, answer.cseq.method))
    return came[:-1]


async def test_invites_that_came_together_are_answered_side_by_side() -> None:
    handler = Slowly()
    async with serving_udp(handler) as endpoint:
        with DatagramClient(endpoint) as client:
            _sent(client, call="a")
            _sent(client, call="b")
            came = await _statuses(client)

    assert handler.done == ["a begins", "b begins", "a ends", "b ends"]
    assert came == [(302, "INVITE"), (302, "INVITE")]


async def test_a_retransmission_that_came_with_its_invite_gets_no_answer_of_its_own() -> None:
    handler = Slowly()
    async with serving_udp(handler) as endpoint:
        with DatagramClient(endpoint) as client:
            _sent(client)
            _sent(client)
            came = await _statuses(client)

    assert handler.done == ["a begins", "a ends"]
    assert came == [(302, "INVITE")]


async def test_a_cancel_that_came_with_its_invite_ends_it() -> None:
    handler = Slowly()
    async with serving_udp(handler) as endpoint:
        with DatagramClient(endpoint) as client:
            _sent(client)
            _sent(client, "CANCEL")
            came = await _statuses(client)

    assert came == [(200, "CANCEL"), (487, "INVITE")]
    assert handler.done == ["a begins"]


@pytest.mark.parametrize("stage", ["first", "last"])
async def test_a_stage_that_fails_is_answered_with_500_and_the_others_have_theirs(
    stage: str, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing(Slowly):
        def _answer(self, message: Request) -> Stages[AnswerOrWait]:
            if message.call_id == "b" and stage == "first":
                raise ValueError("in the first stage")
            return (yield from super()._answer(message))

        def end(self, message: Request) -> AnswerOrWait:
            if message.call_id == "b":
                raise ValueError("in the last stage")
            return super().end(message)

    async with serving_udp(Failing()) as endpoint:
        with DatagramClient(endpoint) as client:
            for call in "abc":
                _sent(client, call=call)
            came = await _statuses(client)

    assert sorted(came) == [(302, "INVITE"), (302, "INVITE"), (500, "INVITE")]
    assert re.search(r"in the (first|last) stage", caplog.text)


async def test_stages_may_end_in_an_answer_that_takes_a_while() -> None:
    class Waiting(Slowly):
        def end(self, message: Request) -> Awaitable[Any]:
            async def later() -> Response:
                await asyncio.sleep(0)
                return respond(message, 302, to_tag="later")

            return later()

    async with serving_udp(Waiting()) as endpoint:
        with DatagramClient(endpoint) as client:
            _sent(client)
            answer = parse(await client.receive())

    assert isinstance(answer, Response)
    assert (answer.status, answer.to.tag) == (302, "later")


async def test_invites_of_one_connection_that_came_together_are_answered_side_by_side() -> None:
    handler = Slowly()
    messages = [request(branch=f"z9hG4bK-{call}", call_id=call) for call in "ab"]
    async with serving_tcp(handler) as (host, port):
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(b"".join(message.serialise() for message in messages))
        for _ in messages:
            answer = await reader.readuntil(b"\r\n\r\n")
            assert answer.startswith(b"SIP/2.0 302 ")
        writer.close()
        await writer.wait_closed()

    assert handler.done == ["a begins", "b begins", "a ends", "b ends"]
