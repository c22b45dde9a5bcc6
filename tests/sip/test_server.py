import asyncio
import logging
import socket

import pytest

from sip.message import Request, Response
from sip.parsing import parse
from sip.response import respond
from sip.server import Answer, Limits, SipServer, Source, Stateless, Timers
from tests.sip.listening import DatagramClient, Redirect, bound, serving_udp
from tests.sip.messages import request


def _from(client: DatagramClient, message: Request) -> bytes:
    host, port = client.address
    return message.serialise().replace(b"192.0.2.1:5060", f"{host}:{port}".encode())


async def _settle(client: DatagramClient, data: bytes) -> bytes:
    """Ask something that is answered: what was sent before has been dealt with by then."""
    return await client.ask(data)


async def test_an_invite_is_answered_and_its_retransmission_gets_the_same_bytes() -> None:
    handler = Redirect()
    async with serving_udp(handler) as endpoint:
        with DatagramClient(endpoint) as client:
            first = await client.ask(_from(client, request()))
            again = await client.ask(_from(client, request()))

    assert first == again
    assert first.startswith(b"SIP/2.0 302 ")
    assert len(handler.seen) == 1
    assert handler.seen[0][1] == Source("UDP", *client.address)


async def test_what_is_not_acknowledged_is_sent_again_and_an_ack_ends_it() -> None:
    handler = Redirect()
    timers = Timers(t1=0.05)
    async with serving_udp(handler, timers=timers) as endpoint:
        with DatagramClient(endpoint) as client:
            first = await client.ask(_from(client, request()))
            assert await client.receive() == first
            client.send(_from(client, request("ACK")))
            answer = await client.ask(_from(client, request("OPTIONS")))
            while answer == first:
                answer = await client.receive()

    assert parse(answer).cseq.method == "OPTIONS"


async def test_a_source_that_may_be_forged_gets_nothing_large_that_it_does_not_ask_for() -> None:
    def handler(message: Request, _source: Source) -> Answer:
        contact = f"<sip:{'x' * 2000}@example.com>"
        return respond(message, 302, to_tag="mine", headers=(("Contact", contact),))

    sure: set[int] = set()
    async with serving_udp(
        handler, timers=Timers(t1=0.02), is_sure=lambda source: source.port in sure
    ) as endpoint:
        with DatagramClient(endpoint) as forged, DatagramClient(endpoint) as named:
            sure.add(named.address[1])
            first = await forged.ask(_from(forged, request()))
            await named.ask(_from(named, request()))
            for _ in range(3):
                await named.receive()
            again = await forged.ask(_from(forged, request()))
            other = await forged.ask(_from(forged, request("OPTIONS")))

    assert again == first
    assert parse(other).cseq.method == "OPTIONS"


async def test_the_via_says_where_the_request_came_from() -> None:
    async with serving_udp(Redirect()) as endpoint:
        with DatagramClient(endpoint) as client:
            answer = parse(await client.ask(request().serialise()))

    host, port = client.address
    assert answer.header("Via") == (
        f"SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK-1;rport={port};received={host}"
    )


async def test_without_rport_the_answer_goes_to_the_port_of_the_via() -> None:
    async with serving_udp(Redirect()) as endpoint:
        with DatagramClient(endpoint) as sender, DatagramClient(endpoint) as listener:
            sent_by = f"127.0.0.1:{listener.address[1]}"
            sender.send(request(sent_by=sent_by, rport=";maddr=198.51.100.1").serialise())
            answer = parse(await listener.receive())

    assert answer.header("Via") == (f"SIP/2.0/UDP {sent_by};branch=z9hG4bK-1;maddr=198.51.100.1")


async def test_ipv6_is_served() -> None:
    handler = Redirect()
    async with serving_udp(handler, host="::1") as endpoint:
        with DatagramClient(endpoint) as client:
            answer = parse(await client.ask(request().serialise()))

    assert (answer.header("Via") or "").endswith(";received=::1")
    assert handler.seen[0][1].address == "::1"


async def test_a_malformed_request_gets_400_and_the_handler_never_sees_it() -> None:
    handler = Redirect()
    async with serving_udp(handler) as endpoint:
        with DatagramClient(endpoint) as client:
            data = _from(client, request()).replace(b"CSeq: 1 INVITE", b"CSeq: one INVITE")
            answer = await client.ask(data)

    assert answer.startswith(b"SIP/2.0 400 The CSeq header field is no number and method\r\n")
    assert handler.seen == []


@pytest.mark.parametrize(
    ("rport", "status"), [(";rport=;", 302), (";rport;x=<", 400), (";rport;rport", 400)]
)
async def test_a_via_that_is_untidy_behind_its_branch_gets_an_answer(
    rport: str, status: int
) -> None:
    async with serving_udp(Redirect()) as endpoint:
        with DatagramClient(endpoint) as client:
            data = request().serialise().replace(b";rport", rport.encode(), 1)
            answer = parse(await client.ask(data))

    host, port = client.address
    assert isinstance(answer, Response)
    assert answer.status == status
    assert answer.header("Via") == (
        f"SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK-1;rport={port};received={host}"
    )


@pytest.mark.parametrize(
    "data",
    [
        respond(request(), 200, to_tag="x").serialise(),
        b"SIP/2.0 what\r\n\r\n",
        b"\r\n\r\n",
        b"\0",
        b"",
        request("ACK").serialise(),
        request("ACK").serialise().replace(b"CSeq: 1", b"CSeq: x"),
    ],
)
async def test_responses_and_noise_are_never_answered(data: bytes) -> None:
    handler = Redirect()
    async with serving_udp(handler) as endpoint:
        with DatagramClient(endpoint) as client:
            client.send(data)
            answer = await _settle(client, _from(client, request("OPTIONS", branch="z9hG4bK-x")))

    assert parse(answer).cseq.method == "OPTIONS"
    assert len(handler.seen) == 1


async def test_an_answer_may_take_a_while_and_a_cancel_ends_it() -> None:
    asked = asyncio.Event()

    async def handler(_message: Request, _source: Source) -> Answer:
        asked.set()
        await asyncio.Event().wait()
        return None

    async with serving_udp(handler) as endpoint:
        with DatagramClient(endpoint) as client:
            client.send(_from(client, request()))
            await asked.wait()
            trying = await client.receive()
            answers = {
                parse(await client.ask(_from(client, request("CANCEL")))).cseq.method,
                parse(await client.receive()).cseq.method,
            }

    assert trying.startswith(b"SIP/2.0 100 Trying\r\n")
    assert answers == {"CANCEL", "INVITE"}


@pytest.mark.parametrize("is_late", [False, True])
async def test_an_answer_too_long_for_a_datagram_is_a_513(*, is_late: bool) -> None:
    def soon(message: Request, _source: Source) -> Answer:
        contact = f"<sip:{'x' * 70_000}@example.com>"
        return respond(message, 302, to_tag="mine", headers=(("Contact", contact),))

    async def late(message: Request, source: Source) -> Answer:
        return soon(message, source)

    async with serving_udp(late if is_late else soon) as endpoint:
        with DatagramClient(endpoint) as client:
            answer = await client.ask(_from(client, request()))

    assert answer.startswith(b"SIP/2.0 513 Message Too Large\r\n")


@pytest.mark.parametrize("is_late", [False, True])
async def test_a_failing_handler_is_logged_and_answered_with_500(
    caplog: pytest.LogCaptureFixture, *, is_late: bool
) -> None:
    async def late(_message: Request, _source: Source) -> Answer:
        raise RuntimeError("broken")

    def soon(_message: Request, _source: Source) -> Answer:
        raise RuntimeError("broken")

    async with serving_udp(late if is_late else soon) as endpoint:
        with DatagramClient(endpoint) as client:
            answer = await client.ask(_from(client, request()))

    assert answer.startswith(b"SIP/2.0 500 ")
    assert "the answer to a SIP request failed" in caplog.text


async def test_an_answer_that_takes_too_long_is_a_500(caplog: pytest.LogCaptureFixture) -> None:
    async def handler(_message: Request, _source: Source) -> Answer:
        await asyncio.Event().wait()
        return None

    async with serving_udp(handler, limits=Limits(answer_seconds=0.01)) as endpoint:
        with DatagramClient(endpoint) as client:
            answer = await client.ask(_from(client, request()))

    assert answer.startswith(b"SIP/2.0 500 ")
    assert caplog.record_tuples[-1][1] == logging.ERROR


async def test_a_server_that_closes_gives_the_answers_that_are_under_way() -> None:
    asked, may_answer = asyncio.Event(), asyncio.Event()

    async def handler(message: Request, _source: Source) -> Answer:
        asked.set()
        await may_answer.wait()
        return respond(message, 302, to_tag="mine")

    sock, endpoint = bound(socket.SOCK_DGRAM)
    server = SipServer(handler, udp=[sock], timers=Timers(trying=60))
    await server.start()
    with DatagramClient(endpoint) as client:
        client.send(_from(client, request()))
        await asked.wait()
        closing = asyncio.create_task(server.close())
        await asyncio.sleep(0)
        may_answer.set()
        answer = await client.receive()
        await closing

    assert answer.startswith(b"SIP/2.0 302 ")


async def test_a_server_that_closes_answers_what_takes_too_long_with_503() -> None:
    async def handler(_message: Request, _source: Source) -> Answer:
        asked.set()
        await asyncio.Event().wait()
        return None

    asked = asyncio.Event()
    limits = Limits(closing_seconds=0.01)
    async with serving_udp(handler, limits=limits, timers=Timers(trying=60)) as endpoint:
        client = DatagramClient(endpoint)
        client.send(_from(client, request()))
        await asked.wait()

    with client:
        assert (await client.receive()).startswith(b"SIP/2.0 503 Service Unavailable\r\n")


async def test_what_comes_while_a_server_closes_gets_503_and_leaves_nothing_behind() -> None:
    asked = asyncio.Queue[None]()

    async def handler(_message: Request, _source: Source) -> Answer:
        asked.put_nowait(None)
        try:
            await asyncio.Event().wait()
        finally:
            # Another call comes while this one is given up.
            late.send(_from(late, request(branch="z9hG4bK-late")))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        return None

    before = asyncio.all_tasks()
    limits = Limits(closing_seconds=0.01)
    async with serving_udp(handler, limits=limits, timers=Timers(trying=60)) as endpoint:
        client, late = DatagramClient(endpoint), DatagramClient(endpoint)
        client.send(_from(client, request()))
        await asked.get()

    with client, late:
        assert (await client.receive()).startswith(b"SIP/2.0 503 ")
    assert asyncio.all_tasks() == before


async def test_a_stateless_answer_is_given_anew_and_silence_is_silence() -> None:
    seen: list[Request] = []

    def handler(message: Request, _source: Source) -> Answer:
        seen.append(message)
        if message.method == "REGISTER":
            return None
        return Stateless(respond(message, 403, to_tag="fixed"))

    async with serving_udp(handler) as endpoint:
        with DatagramClient(endpoint) as client:
            client.send(_from(client, request("REGISTER")))
            first = await client.ask(_from(client, request()))
            again = await client.ask(_from(client, request()))

    assert first == again
    assert first.startswith(b"SIP/2.0 403 ")
    assert [message.method for message in seen] == ["REGISTER", "INVITE", "INVITE"]


async def test_strangers_are_read_at_a_bounded_rate_and_others_always() -> None:
    handler = Redirect()
    known: set[int] = set()
    limits = Limits(strangers_per_second=1)
    async with serving_udp(
        handler, limits=limits, is_known=lambda source: source.port in known
    ) as endpoint:
        with DatagramClient(endpoint) as stranger, DatagramClient(endpoint) as friend:
            known.add(friend.address[1])
            assert await stranger.ask(_from(stranger, request()))
            for number in range(20):
                stranger.send(_from(stranger, request(branch=f"z9hG4bK-s{number}")))
            assert await friend.ask(_from(friend, request(branch="z9hG4bK-f")))

    assert 2 <= len(handler.seen) <= 4


async def test_acks_of_strangers_count_too() -> None:
    """Of a stranger who may send nothing not even the ACK is read: the response comes again."""
    known = True
    limits, timers = Limits(strangers_per_second=0), Timers(t1=0.05)
    async with serving_udp(
        Redirect(), limits=limits, timers=timers, is_known=lambda _: known
    ) as endpoint:
        with DatagramClient(endpoint) as client:
            response = await client.ask(_from(client, request()))
            known = False
            client.send(_from(client, request("ACK")))

            assert await client.receive() == response
            assert await client.receive() == response


async def test_when_no_more_can_wait_a_request_gets_503() -> None:
    async def handler(_message: Request, _source: Source) -> Answer:
        await asyncio.Event().wait()
        return None

    async with serving_udp(handler, limits=Limits(transactions=1, closing_seconds=0)) as endpoint:
        with DatagramClient(endpoint) as client:
            client.send(_from(client, request("OPTIONS")))
            answer = await client.ask(_from(client, request(branch="z9hG4bK-2")))

    assert answer.startswith(b"SIP/2.0 503 ")


def test_tls_without_a_context_is_refused() -> None:
    sock, _ = bound(socket.SOCK_STREAM)
    with sock, pytest.raises(ValueError, match="TLS context"):
        SipServer(Redirect(), tls=[sock])


async def test_many_datagrams_that_come_at_once_are_all_answered() -> None:
    handler = Redirect()
    async with serving_udp(handler) as endpoint:
        with DatagramClient(endpoint) as client:
            for number in range(100):
                client.send(_from(client, request("OPTIONS", branch=f"z9hG4bK-{number}")))
            answers = {parse(await client.receive()).via.branch for _ in range(100)}

    assert len(answers) == 100


async def test_a_response_that_fits_into_no_datagram_disturbs_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def handler(message: Request, _source: Source) -> Answer:
        body = b"x" * 70_000 if message.method == "INVITE" else b""
        return Stateless(respond(message, 200, to_tag="x", body=body))

    async with serving_udp(handler) as endpoint:
        with DatagramClient(endpoint) as client:
            client.send(_from(client, request()))
            answer = await client.ask(_from(client, request("OPTIONS", branch="z9hG4bK-2")))

    assert parse(answer).cseq.method == "OPTIONS"
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_a_server_may_be_closed_twice() -> None:
    sock, _ = bound(socket.SOCK_DGRAM)
    server = SipServer(Redirect(), udp=[sock])
    await server.start()

    await server.close()
    await server.close()

    assert sock.fileno() == -1
