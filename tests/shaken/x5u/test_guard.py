"""No connection goes to an address that is not public, by whatever way it is named."""

import asyncio
import socket
import ssl
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any

import msgspec
import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st

from shaken.addresses import Address, FetchSettings, UrlPolicy, check_url
from shaken.x5u.exchange import FetchError, Reason
from shaken.x5u.fetch import Fetcher
from shaken.x5u.guard import MAX_ADDRESSES, Guard, GuardedResolver, SocketRefused
from tests.shaken.x5u.web import LAB, LOOPBACK, Web, fetching, refused, trusting, wanted
from trust.authority import Authority

PUBLIC = ip_address("8.8.8.8")
CONTEXT = ssl.create_default_context()
GUARDED = msgspec.structs.replace(LAB, allow_private=False)


class Names:
    """A name server that gives its answers one after the other, and the last one for ever."""

    def __init__(self, *answers: Sequence[Address]) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def __call__(self, _: str) -> Sequence[Address]:
        self.asked += 1
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that a connection was tried to; none is made."""
    tried: list[str] = []

    async def connect(*arguments: Any) -> None:
        tried.append(arguments[-1][0])
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(asyncio.SelectorEventLoop, "sock_connect", connect)
    return tried


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "fd00:ec2::254", "fe80::1%lo"]
)
async def test_a_name_at_a_private_address_is_refused(
    authority: Authority, repository: Web, address: str
) -> None:
    url = repository.holds("/a.pem", "PEM")
    names = Names([ip_address(address)])
    async with fetching(authority, GUARDED, resolve=names) as fetcher:
        error = await refused(fetcher, wanted(url, GUARDED))

    assert error.reason is Reason.REFUSED_ADDRESS
    assert "sti.example.com" in error.detail
    assert repository.asked == []


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "[fd00:ec2::254]", "169.254.169.254"]
)
async def test_a_private_address_as_host_is_refused(
    authority: Authority, repository: Web, host: str
) -> None:
    repository.holds("/a.pem", "PEM")
    url = repository.https.replace("sti.example.com", host) + "/a.pem"
    async with fetching(authority, GUARDED) as fetcher:
        error = await refused(fetcher, wanted(url, GUARDED))

    assert error.reason is Reason.REFUSED_ADDRESS
    assert repository.asked == []


async def test_labs_fetch_from_an_address_as_host(fetcher: Fetcher, repository: Web) -> None:
    repository.holds("/a.pem", "PEM")
    url = repository.https.replace("sti.example.com", "127.0.0.1") + "/a.pem"

    assert (await fetcher.fetch(wanted(url))).body == b"PEM"


async def test_a_name_is_resolved_once_and_its_first_answer_holds(
    authority: Authority, repository: Web, connected: list[str]
) -> None:
    url = repository.holds("/a.pem", "PEM")
    rebinding = Names([PUBLIC], [LOOPBACK])
    async with fetching(authority, GUARDED, resolve=rebinding) as fetcher:
        first = await refused(fetcher, wanted(url, GUARDED))
        second = await refused(fetcher, wanted(url, GUARDED))

    assert first.reason is Reason.CONNECTION
    assert connected == ["8.8.8.8"]
    assert second.reason is Reason.REFUSED_ADDRESS
    assert rebinding.asked == 2
    assert repository.asked == []


async def test_of_public_and_private_addresses_only_the_public_ones_are_tried(
    authority: Authority, repository: Web, connected: list[str]
) -> None:
    url = repository.holds("/a.pem", "PEM")
    names = Names([LOOPBACK, PUBLIC, ip_address("::1"), ip_address("10.1.2.3")])
    async with fetching(authority, GUARDED, resolve=names) as fetcher:
        error = await refused(fetcher, wanted(url, GUARDED))

    assert error.reason is Reason.CONNECTION
    assert connected == ["8.8.8.8"]


async def test_a_redirection_to_a_private_address_is_refused(
    authority: Authority, repository: Web
) -> None:
    """The repository stands at an address that this test takes for a public one."""
    names = {"sti.example.com": LOOPBACK, "inside.example.com": ip_address("127.0.0.2")}

    async def resolve(host: str) -> Sequence[Address]:
        return [names[host]]

    class AsIfPublic(Guard):
        def allows(self, address: Address | None) -> bool:
            return address == LOOPBACK or super().allows(address)

    port = repository.https.rpartition(":")[2]
    by_name = repository.leads("/name.pem", f"https://inside.example.com:{port}/b.pem")
    by_address = repository.leads("/address.pem", f"https://127.0.0.2:{port}/b.pem")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("shaken.x5u.fetch.Guard", AsIfPublic)
        async with fetching(authority, GUARDED, resolve=resolve) as fetcher:
            errors = [await refused(fetcher, wanted(url, GUARDED)) for url in (by_name, by_address)]

    assert [error.reason for error in errors] == [Reason.REFUSED_ADDRESS] * 2
    assert repository.asked == ["/name.pem", "/address.pem"]


async def test_a_name_that_does_not_resolve_is_an_error(authority: Authority) -> None:
    async def resolve(_: str) -> Sequence[Address]:
        raise socket.gaierror(-2, "Name or service not known")

    async with fetching(authority, GUARDED, resolve=resolve) as fetcher:
        error = await refused(fetcher, wanted("https://sti.example.com/a.pem", GUARDED))

    assert error.reason is Reason.DNS
    assert "Name or service not known" in error.detail


async def test_a_name_without_addresses_is_an_error(authority: Authority) -> None:
    async with fetching(authority, GUARDED, resolve=Names([])) as fetcher:
        error = await refused(fetcher, wanted("https://sti.example.com/a.pem", GUARDED))

    assert error.reason is Reason.DNS


async def test_of_a_name_with_thousands_of_addresses_some_are_tried() -> None:
    many = [ip_address(0x08080000 + number) for number in range(5000)]
    resolver = GuardedResolver(Names(many), Guard(allow_private=False))

    assert len(await resolver.resolve("sti.example.com", 443)) == MAX_ADDRESSES


@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.1", "localhost", "::1"])
def test_no_socket_is_opened_to_a_private_address_or_a_name(host: str) -> None:
    info = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, 443))

    with pytest.raises(SocketRefused):
        Guard(allow_private=False).open_socket(info)


@pytest.mark.parametrize("peer", [("127.0.0.1", 443), ("::1", 443, 0, 0), "/run/socket", None, ()])
def test_a_peer_that_is_not_public_is_refused(peer: object) -> None:
    with pytest.raises(FetchError) as caught:
        Guard(allow_private=False).check_peer(peer)

    assert caught.value.reason is Reason.REFUSED_ADDRESS


async def test_nothing_is_read_from_a_peer_that_is_not_public(
    authority: Authority, repository: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if a socket had been opened to it."""
    monkeypatch.setattr(
        Guard, "open_socket", lambda _, info: socket.socket(info[0], info[1], info[2])
    )
    url = repository.holds("/a.pem", "PEM")
    async with fetching(authority, GUARDED) as fetcher:
        fetcher._resolver._guard = Guard(allow_private=True)
        error = await refused(fetcher, wanted(url, GUARDED))

    assert error.reason is Reason.REFUSED_ADDRESS


async def test_no_socket_goes_to_a_private_address_even_past_the_resolver(
    authority: Authority, repository: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Guard, "check_peer", lambda *_: None)
    url = repository.holds("/a.pem", "PEM")
    async with fetching(authority, GUARDED) as fetcher:
        fetcher._resolver._guard = Guard(allow_private=True)
        error = await refused(fetcher, wanted(url, GUARDED))

    assert error.reason is Reason.REFUSED_ADDRESS
    assert repository.asked == []


def test_the_guard_holds_on_the_loop_that_the_service_runs_on(authority: Authority) -> None:
    """Both are real: uvloop's sockets are not those of asyncio."""

    async def fetch(*, allow_private: bool) -> FetchError:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            port = silent.getsockname()[1]
            settings = msgspec.structs.replace(GUARDED, allow_private=allow_private)
            url = f"https://sti.example.com:{port}/a.pem"
            async with fetching(authority, settings, tls=trusting(authority)) as fetcher:
                return await refused(fetcher, wanted(url, settings))

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(fetch(allow_private=False)).reason is Reason.REFUSED_ADDRESS
        assert runner.run(fetch(allow_private=True)).reason is Reason.TIMEOUT


@given(st.text("htps:/[].@?#0123456789abcdefx%-_~:ABC", max_size=40).map("https://".__add__))
def test_every_url_that_is_taken_ends_in_an_answer_or_a_fetch_error(url: str) -> None:
    settings = FetchSettings(allow_any_port=True, allow_query=True)
    try:
        check_url(url, UrlPolicy(allow_any_port=True, allow_query=True))
    except ValueError:
        return

    async def fetch() -> None:
        names = Names([LOOPBACK])
        fetcher = Fetcher(settings, tls=lambda: CONTEXT, resolve=names, agent="test")
        await fetcher.start()
        try:
            await refused(fetcher, wanted(url, settings))
        finally:
            await fetcher.close()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Guard, "open_socket", no_socket)
        asyncio.run(fetch())


def no_socket(_: Guard, info: object) -> socket.socket:
    raise SocketRefused(str(info))
