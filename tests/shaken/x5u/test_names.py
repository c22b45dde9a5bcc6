"""Names are resolved by the machine's settings, in bounded time, and a look-up can be ended."""

import asyncio
from collections.abc import AsyncIterator, Callable
from ipaddress import ip_address
from pathlib import Path
from typing import cast

import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest
import uvloop
from dns.asyncresolver import Resolver

from shaken.x5u import names as module
from shaken.x5u.names import SystemResolver

V4, V6 = ip_address("192.0.2.7"), ip_address("2001:db8::7")
LOOPBACK = ip_address("127.0.0.1")
SECONDS = 0.3
"""How long is waited for what never comes."""
PATIENCE = 30.0
"""How long for what does, on a busy machine."""


class NameServer(asyncio.DatagramProtocol):
    """A name server: records by name and kind, names that it does not know, and silence."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, str], str] = {}
        self.silent: set[tuple[str, str]] = set()
        self.lost = 0
        self.asked: list[tuple[str, str]] = []
        self.heard = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, peer: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        (question,) = query.question
        name = str(question.name)[:-1]
        asked = (name, dns.rdatatype.to_text(question.rdtype))
        self.asked.append(asked)
        self.heard.set()
        if asked in self.silent:
            return
        if self.lost:
            self.lost -= 1
            return
        answer = dns.message.make_response(query)
        if text := self.records.get(asked):
            answer.answer.append(dns.rrset.from_text(question.name, 60, "IN", asked[1], text))
        elif not any(known == name for known, _ in self.records):
            answer.set_rcode(dns.rcode.NXDOMAIN)
        self.transport.sendto(answer.to_wire(), peer)


@pytest.fixture
async def server() -> AsyncIterator[NameServer]:
    """A name server on loopback."""
    loop = asyncio.get_running_loop()
    transport, made = await loop.create_datagram_endpoint(NameServer, local_addr=("127.0.0.1", 0))
    made.records = {("sti.example.com", "A"): str(V4)}
    yield made
    transport.close()


Make = Callable[..., SystemResolver]


@pytest.fixture
def make(server: NameServer, tmp_path: Path) -> Make:
    """Make a resolver of a machine whose files are in a folder of the test."""
    (tmp_path / "resolv.conf").write_text("search lab.example\nnameserver 127.0.0.1\n")
    (tmp_path / "hosts").write_text("127.0.0.1 localhost\n")
    return lambda seconds=PATIENCE: SystemResolver(
        seconds=seconds,
        resolv_conf=tmp_path / "resolv.conf",
        hosts=tmp_path / "hosts",
        port=server.transport.get_extra_info("sockname")[1],
    )


async def test_a_name_has_the_addresses_that_its_name_server_says(
    server: NameServer, make: Make
) -> None:
    server.records["both.example.com", "A"] = str(V4)
    server.records["both.example.com", "AAAA"] = str(V6)
    server.records["six.example.com", "AAAA"] = str(V6)
    resolve = make()

    assert await resolve("sti.example.com") == [V4]
    assert await resolve("STI.example.com.") == [V4]
    assert await resolve("both.example.com") == [V4, V6]
    assert await resolve("six.example.com") == [V6]


async def test_a_name_that_is_none_or_has_no_address_is_told_from_silence(
    server: NameServer, make: Make
) -> None:
    server.records["mail.example.com", "MX"] = "10 mail.example.com."
    resolve = make()

    assert await resolve("mail.example.com") == []
    with pytest.raises(OSError, match="there is no such name") as caught:
        await resolve("nowhere.example.com")
    assert not isinstance(caught.value, TimeoutError)


async def test_a_name_server_that_does_not_answer_is_waited_for_so_long(
    server: NameServer, make: Make
) -> None:
    server.silent = {("sti.example.com", "A"), ("sti.example.com", "AAAA")}
    loop = asyncio.get_running_loop()
    began = loop.time()

    with pytest.raises(TimeoutError):
        await make(SECONDS)("sti.example.com")

    assert loop.time() - began < 10 * SECONDS
    assert server.asked.count(("sti.example.com", "A")) > 1, "it is asked again meanwhile"


async def test_a_look_up_ends_in_its_time_whatever_the_library_does(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def resolve(*_: object, **__: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(Resolver, "resolve", resolve)

    async with asyncio.timeout(30):
        with pytest.raises(TimeoutError, match="no name server answers"):
            await make(SECONDS)("sti.example.com")


async def test_a_packet_that_is_lost_is_sent_again(server: NameServer, make: Make) -> None:
    server.lost = 2

    assert await make(3.0)("sti.example.com") == [V4]


async def test_who_has_an_address_does_not_wait_for_the_other_kind(
    server: NameServer, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RESOLUTION_DELAY", 0.01)
    server.silent = {("sti.example.com", "AAAA")}

    async with asyncio.timeout(PATIENCE / 2):
        assert await make()("sti.example.com") == [V4]


async def test_a_look_up_that_is_ended_leaves_nothing_behind(
    server: NameServer, make: Make
) -> None:
    server.silent = {("sti.example.com", "A"), ("sti.example.com", "AAAA")}
    before = asyncio.all_tasks()
    looking = asyncio.create_task(make()("sti.example.com"))
    await server.heard.wait()

    looking.cancel()
    await asyncio.wait([looking])

    left = asyncio.all_tasks() - before
    if left:
        await asyncio.wait(left, timeout=PATIENCE / 2)
    assert asyncio.all_tasks() == before


async def test_the_hosts_file_comes_first_and_needs_no_name_server(
    server: NameServer, make: Make, tmp_path: Path
) -> None:
    resolve = make()
    assert await resolve("localhost") == [LOOPBACK]
    (tmp_path / "hosts").write_text(
        "# comment\n\n127.0.0.1\tlocalhost LOCAL # sti.example.com\nnonsense sti.example.com\n"
        f"{V6} local other.example.com\n"
    )

    assert await resolve("local") == [LOOPBACK, V6]
    assert await resolve("other.example.com") == [V6]
    assert server.asked == []
    assert await resolve("sti.example.com") == [V4]


async def test_a_change_of_name_servers_is_followed(make: Make, tmp_path: Path) -> None:
    resolve = make()
    good = (tmp_path / "resolv.conf").read_text()
    for text in ("", "nameserver sti.example.com\n", "nameserver\n"):
        (tmp_path / "resolv.conf").write_text(text)
        with pytest.raises(OSError, match="no name server is set"):
            await resolve("sti.example.com")
    (tmp_path / "resolv.conf").unlink()
    with pytest.raises(OSError, match="no name server is set"):
        await resolve("sti.example.com")

    (tmp_path / "resolv.conf").write_text(good)

    assert await resolve("sti.example.com") == [V4]


async def test_only_a_name_without_a_dot_may_be_one_of_the_local_domain(
    server: NameServer, make: Make
) -> None:
    server.records["repository.lab.example", "A"] = str(V4)
    server.records["sti.example.org.lab.example", "A"] = str(V4)
    resolve = make()

    assert await resolve("repository") == [V4]
    with pytest.raises(OSError, match="there is no such name"):
        await resolve("sti.example.org")


async def test_without_a_hosts_file_the_name_server_is_asked(make: Make, tmp_path: Path) -> None:
    (tmp_path / "hosts").unlink()

    assert await make()("sti.example.com") == [V4]


async def test_a_name_that_no_name_server_can_be_asked_for_is_an_error(make: Make) -> None:
    with pytest.raises(OSError, match="the name servers fail"):
        await make()(f"{'a' * 64}.example.com")


def test_the_machines_own_files_serve_on_the_loop_that_the_service_runs_on() -> None:
    async def resolve() -> object:
        return await SystemResolver(seconds=PATIENCE)("localhost")

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert LOOPBACK in runner.run(resolve())  # type: ignore[operator]


def test_name_servers_are_asked_on_the_loop_that_the_service_runs_on(tmp_path: Path) -> None:
    (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.1\n")

    async def resolve() -> object:
        loop = asyncio.get_running_loop()
        transport, server = await loop.create_datagram_endpoint(
            NameServer, local_addr=("127.0.0.1", 0)
        )
        server.records = {("sti.example.com", "A"): str(V4)}
        port = transport.get_extra_info("sockname")[1]
        resolver = SystemResolver(
            seconds=PATIENCE, resolv_conf=tmp_path / "resolv.conf", hosts=tmp_path / "no", port=port
        )
        try:
            return await resolver("sti.example.com")
        finally:
            transport.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(resolve()) == [V4]
