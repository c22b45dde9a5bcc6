import asyncio
import socket
import ssl
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from sip.limits import place_of_stranger
from sip.message import Request, Response
from sip.parsing import parse
from sip.reception import Reception
from sip.response import respond
from sip.server import Answer, Limits, SipServer, Source, Stateless, Timers
from sip.stages import TOGETHER
from sip.streams import StreamConnection
from tests.clients import client_id, tls_client
from tests.sip.listening import Redirect, bound, serving_tcp
from tests.sip.messages import request
from tests.sip.tls import tls_server

PING = b"\r\n\r\n"


async def _read_message(reader: asyncio.StreamReader) -> Response:
    async with asyncio.timeout(5):
        message = parse(await reader.readuntil(b"\r\n\r\n"))
    assert isinstance(message, Response)
    return message


async def _is_closed(reader: asyncio.StreamReader) -> bool:
    async with asyncio.timeout(5):
        try:
            return await reader.read(1) == b""
        except ConnectionError:
            return True


async def _is_served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    async with asyncio.timeout(5):
        try:
            writer.write(PING)
            return await reader.read(2) == b"\r\n"
        except ConnectionError:
            return False


class Written(asyncio.Transport):
    """A transport that writes into a list."""

    def __init__(self, writes: list[bytes]) -> None:
        super().__init__()
        self._writes = writes

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._writes.append(bytes(data))

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0


async def _send_for_ever(sock: socket.socket, data: bytes) -> None:
    while True:
        await asyncio.get_running_loop().sock_sendall(sock, data * 50)


async def test_a_connection_carries_requests_pings_and_answers() -> None:
    handler = Redirect()
    async with serving_tcp(handler) as endpoint:
        reader, writer = await asyncio.open_connection(*endpoint)
        first = request(transport="TCP").serialise()
        second = request(transport="TCP", branch="z9hG4bK-2").serialise()
        writer.write(first + PING + second[:50])
        answers = [await _read_message(reader)]
        assert await reader.readexactly(2) == b"\r\n"
        writer.write(second[50:])
        answers.append(await _read_message(reader))
        writer.write(request("ACK", transport="TCP").serialise())
        writer.close()
        await writer.wait_closed()

    assert [answer.via.branch for answer in answers] == ["z9hG4bK-1", "z9hG4bK-2"]
    assert handler.seen[0][1].transport == "TCP"


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (request().serialise().replace(b"Content-Length: 0\r\n", b""), b"400"),
        (request().serialise().replace(b"Content-Length: 0", b"Content-Length: 70000"), b"513"),
        (b"x" * 40000, None),
        (request("ACK").serialise().replace(b"Content-Length: 0\r\n", b""), None),
    ],
)
async def test_a_stream_that_cannot_be_cut_is_answered_and_closed(
    data: bytes, status: bytes | None
) -> None:
    async with serving_tcp(Redirect()) as endpoint:
        reader, writer = await asyncio.open_connection(*endpoint)
        writer.write(data)
        async with asyncio.timeout(5):
            with suppress(ConnectionError):
                rest = await reader.read()
        writer.close()

    assert rest[8:11] == (status or b"")


async def test_connections_past_the_limits_are_closed_at_once() -> None:
    async with serving_tcp(Redirect(), limits=Limits(connections_per_address=1)) as endpoint:
        first, held = await asyncio.open_connection(*endpoint)
        held.write(PING)
        assert await first.readexactly(2) == b"\r\n"
        second, refused = await asyncio.open_connection(*endpoint)
        assert await _is_closed(second)
        refused.close()
        held.close()
        await held.wait_closed()
        # The place is free again once the server has seen the end of the first connection.
        for _ in range(100):
            third, writer = await asyncio.open_connection(*endpoint)
            writer.write(PING)
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                assert await third.readexactly(2) == b"\r\n"
                break
        else:
            pytest.fail("no connection is accepted any more")
        writer.close()


async def test_strangers_who_hold_all_connections_they_get_shut_out_nobody_who_is_known() -> None:
    limits = Limits(connections=8)
    async with serving_tcp(
        Redirect(), limits=limits, is_known=lambda source: source.address == "127.0.0.2"
    ) as endpoint:
        strangers = [await asyncio.open_connection(*endpoint) for _ in range(3)]
        served = [await _is_served(*each) for each in strangers]
        known = await asyncio.open_connection(*endpoint, local_addr=("127.0.0.2", 0))
        served.append(await _is_served(*known))
        for _, writer in (*strangers, known):
            writer.close()

    assert served == [True, True, False, True]


async def test_who_is_known_by_a_certificate_takes_no_place_of_strangers(tmp_path: Path) -> None:
    client = client_id()
    context = tls_server(tmp_path, client)
    sock, endpoint = bound(socket.SOCK_STREAM)
    async with SipServer(
        Redirect(),
        tls=[sock],
        tls_context=context,
        limits=Limits(connections=4),
        is_known=lambda source: source.client_certificate is not None,
    ):
        served = []
        writers = []
        for shown in (client.context(), client.context(), tls_client()):
            reader, writer = await asyncio.open_connection(
                *endpoint, ssl=shown, server_hostname="localhost"
            )
            served.append(await _is_served(reader, writer))
            writers.append(writer)
        with pytest.raises(ConnectionError):
            await asyncio.open_connection(*endpoint, ssl=tls_client(), server_hostname="localhost")
        for writer in writers:
            writer.close()

    assert served == [True, True, True]


async def test_a_stranger_has_little_time_to_say_something() -> None:
    async with serving_tcp(
        Redirect(), limits=Limits(partial_seconds=0.01), is_known=lambda _source: False
    ) as endpoint:
        speaking = await asyncio.open_connection(*endpoint)
        speaking[1].write(request("OPTIONS", transport="TCP").serialise())
        await _read_message(speaking[0])
        silent, pinging = [await asyncio.open_connection(*endpoint) for _ in range(2)]
        while await _is_served(*pinging):  # which says nothing of who it is
            pass
        assert await _is_closed(silent[0])
        assert await _is_served(*speaking)
        for _, writer in (speaking, silent, pinging):
            writer.close()


async def test_pings_of_strangers_count_as_their_messages_do() -> None:
    limits = Limits(strangers_per_second=3, partial_seconds=0.01)
    async with serving_tcp(Redirect(), limits=limits, is_known=lambda _source: False) as endpoint:
        reader, writer = await asyncio.open_connection(*endpoint)
        writer.write(PING * 10_000)
        async with asyncio.timeout(10):
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await reader.readexactly(2 * 100)  # it never says who it is, and is closed
        writer.close()


async def test_a_stranger_that_sends_too_fast_is_heard_again_once_it_is_known() -> None:
    known = set[str]()
    limits = Limits(strangers_per_second=1)
    async with serving_tcp(
        Redirect(), limits=limits, is_known=lambda source: source.address in known
    ) as endpoint:
        reader, writer = await asyncio.open_connection(*endpoint)
        writer.write(PING * 3)
        async with asyncio.timeout(5):
            assert await reader.readexactly(2) == b"\r\n"
            known.add("127.0.0.1")
            writer.write(PING * 50)
            assert await reader.readexactly(2 * 50) == b"\r\n" * 50
        writer.close()


async def test_who_sends_much_at_once_keeps_nobody_else_waiting() -> None:
    turns = 0

    def count() -> None:
        nonlocal turns
        turns += 1
        loop.call_soon(count)

    loop = asyncio.get_running_loop()
    seen: list[int] = []

    def handler(message: Request, _source: Source) -> Answer:
        seen.append(turns)
        return Stateless(respond(message, 486, to_tag="x"))

    async with serving_tcp(handler) as endpoint:
        reader, writer = await asyncio.open_connection(*endpoint)
        loop.call_soon(count)
        writer.write(request(transport="TCP").serialise() * 200)
        for _ in range(200):
            await _read_message(reader)
        writer.close()

    assert max(Counter(seen).values()) <= TOGETHER


async def test_pings_that_came_together_are_answered_together() -> None:
    writes: list[bytes] = []
    reception = Reception(
        Redirect(),
        limits=Limits(),
        timers=Timers(),
        secret=b"",
        is_known=lambda _source: True,
        is_sure=lambda _source: True,
    )
    connection = StreamConnection(reception, limits=Limits(), on_close=lambda _: None)
    connection.connection_made(Written(writes))

    connection.data_received(PING * 50)

    assert writes == [b"\r\n" * 50]


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8:0:0:ffff::2", "2001:db8::/64"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("", ""),
    ],
)
def test_who_has_a_network_of_ipv6_is_one_stranger(address: str, place: str) -> None:
    assert place_of_stranger(address) == place


@pytest.mark.parametrize(
    ("limits", "data"),
    [(Limits(idle_seconds=0.01), b""), (Limits(partial_seconds=0.01), b"INVITE ")],
)
async def test_silence_ends_a_connection(limits: Limits, data: bytes) -> None:
    async with serving_tcp(Redirect(), limits=limits) as endpoint:
        reader, writer = await asyncio.open_connection(*endpoint)
        writer.write(data)
        assert await _is_closed(reader)
        writer.close()


async def test_who_sends_too_fast_waits_but_loses_nothing() -> None:
    limits = Limits(messages_per_second=50)
    async with serving_tcp(Redirect(), limits=limits) as endpoint:
        reader, writer = await asyncio.open_connection(*endpoint)
        started = asyncio.get_running_loop().time()
        writer.write(PING * 80)
        async with asyncio.timeout(10):
            assert await reader.readexactly(160) == b"\r\n" * 80
        assert asyncio.get_running_loop().time() - started > 0.4
        writer.close()


async def test_who_reads_no_answers_is_cut_off() -> None:
    def handler(message: Request, _source: Source) -> Answer:
        return Stateless(respond(message, 200, to_tag="x", body=b"x" * 60000))

    async with serving_tcp(handler, limits=replace(Limits(), unsent_bytes=1000)) as endpoint:
        sock = socket.create_connection(endpoint)
        sock.settimeout(0)
        message = request(transport="TCP").serialise()
        with pytest.raises(ConnectionError):
            await asyncio.wait_for(_send_for_ever(sock, message), timeout=10)
        sock.close()


async def test_a_tls_client_is_known_by_its_certificate(tmp_path: Path) -> None:
    client = client_id()
    handler = Redirect()
    sock, endpoint = bound(socket.SOCK_STREAM)
    async with SipServer(handler, tls=[sock], tls_context=tls_server(tmp_path, client)):
        for context in (client.context(), tls_client()):
            reader, writer = await asyncio.open_connection(
                *endpoint, ssl=context, server_hostname="localhost"
            )
            writer.write(request(transport="TLS").serialise())
            assert (await _read_message(reader)).status == 302
            writer.write(request("ACK", transport="TLS").serialise())
            writer.close()
            with suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()

    sources = [source for _, source in handler.seen]
    assert [source.transport for source in sources] == ["TLS", "TLS"]
    assert [source.client_certificate for source in sources] == [
        ssl.PEM_cert_to_DER_cert(client.pem),
        None,
    ]


async def test_a_failed_handshake_costs_its_place_no_longer(tmp_path: Path) -> None:
    context = tls_server(tmp_path, client_id())
    sock, endpoint = bound(socket.SOCK_STREAM)
    limits = Limits(connections=1)
    async with SipServer(Redirect(), tls=[sock], tls_context=context, limits=limits):
        reader, writer = await asyncio.open_connection(*endpoint)
        writer.write(b"INVITE without TLS\r\n\r\n")
        async with asyncio.timeout(5):
            with suppress(ConnectionError):
                await reader.read()
        writer.close()
        reader, writer = await asyncio.open_connection(
            *endpoint, ssl=tls_client(), server_hostname="localhost"
        )
        writer.write(PING)
        assert await reader.readexactly(2) == b"\r\n"
        writer.close()


async def test_a_server_that_is_closed_has_closed_its_sockets() -> None:
    udp, _ = bound(socket.SOCK_DGRAM)
    tcp, endpoint = bound(socket.SOCK_STREAM)
    server = SipServer(Redirect(), udp=[udp], tcp=[tcp])
    await server.start()
    reader, writer = await asyncio.open_connection(*endpoint)
    writer.write(PING)
    assert await reader.readexactly(2) == b"\r\n"
    await server.close()
    await server.close()

    assert await _is_closed(reader)
    writer.close()
    assert (udp.fileno(), tcp.fileno()) == (-1, -1)
