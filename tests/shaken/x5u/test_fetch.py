"""Fetching from a real HTTPS repository that is slow, silent, huge, redirecting and lying."""

import asyncio
import gzip
import socket
import ssl
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import msgspec
import pytest
from aiohttp import web

from shaken.addresses import Address, FetchSettings
from shaken.x5u import fetch as module
from shaken.x5u.exchange import FetchError, Reason, Request, Validators
from shaken.x5u.fetch import MAX_REDIRECTS, Fetcher
from shaken.x5u.hosts import SILENCES, SILENT_SECONDS, SITE_HOSTS
from tests.shaken.x5u.web import LAB, LOOPBACK, Web, fetching, refused, trusting, wanted
from trust.authority import Authority

QUICK = msgspec.structs.replace(LAB, seconds=0.3)
SOON = msgspec.structs.replace(LAB, seconds=1)
"""For tests in which some files do come, on a busy machine too."""


def settings(**changed: object) -> FetchSettings:
    return msgspec.structs.replace(LAB, **changed)


async def test_a_file_comes_with_the_headers_on_its_freshness(
    repository: Web, fetcher: Fetcher
) -> None:
    url = repository.holds("/a.pem", "PEM", Cache_Control="max-age=60", ETag='"1"', X_Other="no")

    response = await fetcher.fetch(wanted(url))

    assert response.body == b"PEM"
    assert response.headers["cache-control"] == "max-age=60"
    assert response.headers["etag"] == '"1"'
    assert "x-other" not in response.headers


async def test_nothing_of_the_environment_or_of_earlier_fetches_is_sent(
    repository: Web, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    url = repository.holds("/a.pem", "PEM", Set_Cookie="a=b")

    await fetcher.fetch(wanted(url))
    await fetcher.fetch(wanted(url))

    assert repository.headers[1].keys() == {
        "Host",
        "Accept",
        "Accept-Encoding",
        "Connection",
        "User-Agent",
    }
    assert repository.headers[1]["Accept-Encoding"] == "identity"
    assert repository.headers[1]["User-Agent"] == "shaken-test"


async def test_a_known_state_is_named_and_304_brings_no_body(
    repository: Web, fetcher: Fetcher
) -> None:
    async def answer(request: web.Request) -> web.Response:
        known = request.headers.get("If-None-Match") == '"1"'
        return web.Response(status=304 if known else 200, headers={"ETag": '"1"'})

    url = repository.at("/a.pem", answer)
    request = Request(url, LAB.policy(), 1000, "*/*", Validators('"1"', "yesterday"))

    response = await fetcher.fetch(request)

    assert response.body is None
    assert repository.headers[0]["If-Modified-Since"] == "yesterday"


async def test_304_that_nobody_asked_for_is_an_error(repository: Web, fetcher: Fetcher) -> None:
    url = repository.says("/a.pem", b"HTTP/1.1 304 Not Modified\r\n\r\n")

    assert (await refused(fetcher, wanted(url))).reason is Reason.STATUS


# Slow and silent


async def test_a_silent_repository_is_left_in_time(authority: Authority, repository: Web) -> None:
    url = repository.hangs("/a.pem")
    async with fetching(authority, QUICK) as fetcher:
        error = await refused(fetcher, wanted(url))

    assert error.reason is Reason.TIMEOUT
    assert "0.3 s" in error.detail


async def test_a_repository_that_drips_is_left_in_time(
    authority: Authority, repository: Web
) -> None:
    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while not repository.released.is_set():
            await response.write(b".")
            await asyncio.sleep(0.01)
        return response

    url = repository.at("/a.pem", drip)
    async with fetching(authority, QUICK) as fetcher:
        error = await refused(fetcher, wanted(url, limit=1_000_000))

    assert error.reason is Reason.TIMEOUT


async def test_a_host_that_takes_connections_and_says_nothing_is_left_in_time(
    authority: Authority,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://sti.example.com:{silent.getsockname()[1]}/a.pem"
        async with fetching(authority, QUICK) as fetcher:
            error = await refused(fetcher, wanted(url))

    assert error.reason is Reason.TIMEOUT


async def test_a_name_server_that_does_not_answer_is_left_in_time(authority: Authority) -> None:
    async def resolve(_: str) -> list[object]:
        await asyncio.Event().wait()
        return []

    async with fetching(authority, QUICK, resolve=resolve) as fetcher:
        error = await refused(fetcher, wanted("https://sti.example.com/a.pem"))

    assert error.reason is Reason.TIMEOUT


# Huge


@pytest.mark.parametrize(("size", "fits"), [(1000, True), (1001, False)])
async def test_a_file_has_at_most_so_many_bytes(
    repository: Web, fetcher: Fetcher, size: int, *, fits: bool
) -> None:
    url = repository.holds("/a.pem", b"x" * size)

    if fits:
        assert len((await fetcher.fetch(wanted(url, limit=1000))).body or b"") == size
    else:
        assert (await refused(fetcher, wanted(url, limit=1000))).reason is Reason.TOO_LARGE


async def test_a_stream_without_end_is_left_at_the_limit(repository: Web, fetcher: Fetcher) -> None:
    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while not repository.released.is_set():
            await response.write(b"x" * 1000)
        return response

    url = repository.at("/a.pem", stream)

    assert (await refused(fetcher, wanted(url))).reason is Reason.TOO_LARGE


async def test_what_is_compressed_is_not_unpacked(repository: Web, fetcher: Fetcher) -> None:
    bomb = gzip.compress(b"\0" * 1_000_000)
    url = repository.holds("/a.pem", bomb, Content_Encoding="gzip")

    assert (await refused(fetcher, wanted(url, limit=10_000))).reason is Reason.ENCODED


# Redirecting


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_two_redirections_are_followed(
    repository: Web, fetcher: Fetcher, status: int
) -> None:
    repository.holds("/c.pem", "PEM")
    repository.leads("/b.pem", f"{repository.https}/c.pem", status)
    url = repository.leads("/a.pem", "/b.pem", status)

    assert (await fetcher.fetch(wanted(url))).body == b"PEM"


async def test_the_third_redirection_is_not_followed(repository: Web, fetcher: Fetcher) -> None:
    repository.leads("/b.pem", "/c.pem")
    repository.leads("/c.pem", "/d.pem")
    url = repository.leads("/a.pem", "/b.pem")

    error = await refused(fetcher, wanted(url))

    assert error.reason is Reason.REDIRECT
    assert repository.asked == ["/a.pem", "/b.pem", "/c.pem"]
    assert len(repository.asked) == MAX_REDIRECTS + 1


async def test_a_loop_ends(repository: Web, fetcher: Fetcher) -> None:
    url = repository.leads("/a.pem", "/a.pem")

    assert (await refused(fetcher, wanted(url))).reason is Reason.REDIRECT
    assert len(repository.asked) == MAX_REDIRECTS + 1


@pytest.mark.parametrize(
    "location",
    [
        "http://sti.example.com/b.pem",
        "ftp://sti.example.com/b.pem",
        "file:///etc/passwd",
        "https://user:secret@sti.example.com/b.pem",
        "/b.pem?query",
        "//[::1/b.pem",
        "/ü.pem",
        "",
    ],
)
async def test_a_redirection_is_held_to_the_rules_of_the_first_url(
    repository: Web, fetcher: Fetcher, location: str
) -> None:
    repository.holds("/b.pem", "PEM")
    url = repository.leads("/a.pem", location)

    assert (await refused(fetcher, wanted(url))).reason is Reason.REDIRECT
    assert "/b.pem" not in repository.asked


async def test_a_redirection_to_a_port_beside_the_rule_is_not_followed(
    repository: Web, authority: Authority
) -> None:
    strict = settings(allow_any_port=False)
    url = repository.holds("/a.pem", "PEM")
    async with fetching(authority, strict) as fetcher:
        error = await refused(fetcher, wanted(url, strict))

    assert error.reason is Reason.URL
    assert repository.asked == []


async def test_a_redirection_to_nowhere_is_an_error(repository: Web, fetcher: Fetcher) -> None:
    url = repository.says("/a.pem", b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n")

    assert (await refused(fetcher, wanted(url))).reason is Reason.REDIRECT


# Lying


@pytest.mark.parametrize("status", [204, 206, 300, 400, 404, 410, 429, 500, 503])
async def test_only_200_brings_a_file(repository: Web, fetcher: Fetcher, status: int) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status)

    error = await refused(fetcher, wanted(repository.at("/a.pem", answer)))

    assert (error.reason, error.status) == (Reason.STATUS, status)
    assert error.transient == (status not in {400, 404, 410})


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nshort",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"",
    ],
)
async def test_an_answer_that_breaks_off_or_is_no_http_is_an_error(
    repository: Web, fetcher: Fetcher, raw: bytes
) -> None:
    url = repository.says("/a.pem", raw)

    assert (await refused(fetcher, wanted(url))).reason is Reason.CONNECTION


async def test_a_closed_port_is_an_error(fetcher: Fetcher, unused_tcp_port: int) -> None:
    error = await refused(fetcher, wanted(f"https://sti.example.com:{unused_tcp_port}/a.pem"))

    assert error.reason is Reason.CONNECTION


# TLS


async def test_a_host_that_no_trusted_root_vouches_for_is_not_asked(repository: Web) -> None:
    url = repository.holds("/a.pem", "PEM")
    stranger = Authority.create("Stranger", now=datetime.now(UTC))
    async with fetching(stranger) as fetcher:
        error = await refused(fetcher, wanted(url))

    assert error.reason is Reason.TLS
    assert "unable to get local issuer certificate" in error.detail
    assert repository.asked == []


async def test_a_host_must_have_a_certificate_for_its_name(
    repository: Web, fetcher: Fetcher
) -> None:
    repository.holds("/a.pem", "PEM")
    url = repository.https.replace("sti.", "other.") + "/a.pem"

    assert (await refused(fetcher, wanted(url))).reason is Reason.TLS
    assert repository.asked == []


async def test_a_port_that_speaks_plain_http_fails_tls(repository: Web, fetcher: Fetcher) -> None:
    url = repository.http.replace("http:", "https:") + "/a.pem"

    assert (await refused(fetcher, wanted(url))).reason is Reason.TLS


async def test_a_change_of_roots_is_followed(repository: Web, authority: Authority) -> None:
    url = repository.holds("/a.pem", "PEM")
    stranger = Authority.create("Stranger", now=datetime.now(UTC))
    contexts = [trusting(stranger)(), trusting(authority)()]

    def tls() -> ssl.SSLContext:
        return contexts.pop(0)

    async with fetching(authority, tls=tls) as fetcher:
        assert (await refused(fetcher, wanted(url))).reason is Reason.TLS
        assert (await fetcher.fetch(wanted(url))).body == b"PEM"


async def test_plain_http_is_fetched_from_where_it_is_allowed(
    repository: Web, authority: Authority
) -> None:
    repository.holds("/a.pem", "PEM")
    lab = settings(allow_http=True)
    async with fetching(authority, lab) as fetcher:
        assert (await fetcher.fetch(wanted(f"{repository.http}/a.pem", lab))).body == b"PEM"


# How many at a time


def beside(repository: Web) -> str:
    """Return a URL of a host that belongs to somebody else, and answers."""
    repository.holds("/beside.pem", "PEM")
    return repository.https.replace("sti.example.com", "127.0.0.1") + "/beside.pem"


@asynccontextmanager
async def hanging(fetcher: Fetcher, repository: Web, count: int) -> AsyncIterator[None]:
    """Have so many fetches under way that hang."""
    url = repository.hangs("/hanging.pem")
    under_way = [asyncio.create_task(refused(fetcher, wanted(url))) for _ in range(count)]
    while repository.asked.count("/hanging.pem") < count:
        repository.arrived.clear()
        await repository.arrived.wait()
    yield
    repository.released.set()
    await asyncio.gather(*under_way)


async def at_once(fetcher: Fetcher, url: str) -> FetchError:
    """Be refused without waiting for anything."""
    async with asyncio.timeout(2):
        return await refused(fetcher, wanted(url))


async def test_a_host_that_hangs_is_not_queued_for_and_keeps_nobody_from_others(
    repository: Web, authority: Authority
) -> None:
    few = settings(connections=4, connections_per_host=2)
    async with fetching(authority, few) as fetcher, hanging(fetcher, repository, 2):
        error = await at_once(fetcher, f"{repository.https}/other.pem")
        assert (await fetcher.fetch(wanted(beside(repository)))).body == b"PEM"

    assert error.reason is Reason.SLOW
    assert "sti.example.com is slow: 2 fetches" in error.detail


async def test_a_host_that_hung_is_left_alone_for_a_while(
    repository: Web, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    urls = [repository.hangs(f"/{number}.pem") for number in range(SILENCES)]
    good = repository.holds("/good.pem", "PEM")
    async with fetching(authority, SOON) as fetcher:
        for url in urls:
            assert (await refused(fetcher, wanted(url))).reason is Reason.TIMEOUT
        asked = len(repository.asked)

        error = await at_once(fetcher, good)

        assert error.reason is Reason.SLOW
        assert "asked again in 10 s" in error.detail
        assert len(repository.asked) == asked
        assert (await fetcher.fetch(wanted(beside(repository)))).body == b"PEM"
        now = time.monotonic() + SILENT_SECONDS
        monkeypatch.setattr(fetcher._hosts, "_clock", lambda: now)
        assert (await fetcher.fetch(wanted(good))).body == b"PEM"


async def test_a_host_with_one_file_that_hangs_or_drips_is_not_left_alone(
    repository: Web, authority: Authority
) -> None:
    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while not repository.released.is_set():
            await response.write(b".")
            await asyncio.sleep(0.01)
        return response

    slow, good = repository.hangs("/slow.pem"), repository.holds("/good.pem", "PEM")
    dripping = repository.at("/dripping.pem", drip)
    async with fetching(authority, SOON) as fetcher:
        for url in (slow, dripping, dripping, slow):
            assert (await refused(fetcher, wanted(url))).reason is Reason.TIMEOUT
            assert (await fetcher.fetch(wanted(good))).body == b"PEM"


async def test_names_that_are_not_resolved_keep_nobody_from_others(
    repository: Web, authority: Authority
) -> None:
    """Names below one domain cost nothing: they get no more together than two hosts."""
    looking: set[str] = set()

    async def resolve(host: str) -> Sequence[Address]:
        if host == "sti.example.com":
            return [LOOPBACK]
        looking.add(host)
        try:
            await asyncio.Event().wait()
        finally:
            looking.discard(host)
        raise AssertionError

    few = settings(connections=64, connections_per_host=2, seconds=2)
    good = repository.holds("/good.pem", "PEM")
    async with fetching(authority, few, resolve=resolve) as fetcher:
        urls = [f"https://{number}.example.net/a.pem" for number in range(50)]
        under_way = [asyncio.create_task(refused(fetcher, wanted(url))) for url in urls]
        await asyncio.sleep(0)
        assert (await fetcher.fetch(wanted(good))).body == b"PEM"
        assert len(looking) == SITE_HOSTS * 2
        errors = await asyncio.gather(*under_way)

    reasons = [error.reason for error in errors]
    assert reasons.count(Reason.TIMEOUT) == SITE_HOSTS * 2
    assert reasons.count(Reason.SLOW) == 50 - SITE_HOSTS * 2
    assert looking == set()


async def test_a_name_server_that_tells_no_address_in_time_is_a_host_that_hangs(
    authority: Authority,
) -> None:
    async def resolve(_: str) -> Sequence[Address]:
        await asyncio.sleep(QUICK.seconds / 2)
        raise TimeoutError

    async with fetching(authority, QUICK, resolve=resolve) as fetcher:
        errors = [
            await refused(fetcher, wanted(f"https://sti.example.com/{number}.pem"))
            for number in range(SILENCES + 1)
        ]

    assert [error.reason for error in errors] == [Reason.TIMEOUT] * SILENCES + [Reason.SLOW]
    assert "no name server told in time where sti.example.com is" in errors[0].detail


async def test_when_all_connections_are_taken_the_oldest_slow_fetch_makes_room(
    repository: Web, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = beside(repository)
    few = settings(connections=2, connections_per_host=2)
    async with fetching(authority, few) as fetcher, hanging(fetcher, repository, 2):
        error = await at_once(fetcher, good)
        assert error.reason is Reason.BUSY
        monkeypatch.setattr(module, "GIVE_WAY_SECONDS", 0.0)

        assert (await fetcher.fetch(wanted(good))).body == b"PEM"
        assert len(fetcher._flights) == 1


async def test_who_makes_room_is_told_that_too_much_is_fetched(
    repository: Web, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GIVE_WAY_SECONDS", 0.0)
    hangs, good = repository.hangs("/hanging.pem"), beside(repository)
    async with fetching(authority, settings(connections=1)) as fetcher:
        pushed = asyncio.create_task(refused(fetcher, wanted(hangs)))
        await repository.arrived.wait()

        assert (await fetcher.fetch(wanted(good))).body == b"PEM"

        assert (await pushed).reason is Reason.BUSY


async def test_a_host_that_answers_gets_so_many_connections_at_a_time(
    repository: Web, authority: Authority
) -> None:
    open_now = most = 0
    full = asyncio.Event()

    async def answer(_: web.Request) -> web.Response:
        nonlocal open_now, most
        open_now += 1
        most = max(most, open_now)
        if open_now == 2:
            full.set()
        await full.wait()
        open_now -= 1
        return web.Response(body=b"PEM")

    url = repository.at("/a.pem", answer)
    known = repository.holds("/known.pem", "PEM")
    async with fetching(authority, settings(connections_per_host=2)) as fetcher:
        await fetcher.fetch(wanted(known))
        await asyncio.gather(*(fetcher.fetch(wanted(url)) for _ in range(4)))

    assert most == 2
