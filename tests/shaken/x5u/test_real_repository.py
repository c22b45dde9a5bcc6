"""The whole of it against a real HTTPS repository: on demand, flapping, hanging, lying."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from aiohttp import web

from shaken.x5u.cache import RETRY_SECONDS, Bounds
from shaken.x5u.exchange import FetchError, Reason
from shaken.x5u.repository import Fetched, Repository
from tests.shaken.x5u.sites import certificates
from tests.shaken.x5u.web import LAB, Web, fetching
from trust.authority import Authority

HOUR = 3600.0
BRISK = msgspec.structs.replace(LAB, seconds=2)


class World:
    """A worker's certificates, and a clock that is set."""

    def __init__(self) -> None:
        self.now = 1_780_315_200.0
        self.alarms: list[str] = []
        self.certificates: Repository

    async def get(self, url: str) -> tuple[bool, int]:
        """Get a chain; return whether it is stale, and its length."""
        fetched = await self.certificates.get(url, now=self.now)
        return fetched.stale, len(fetched.chain)

    async def refused(self, url: str) -> Reason:
        with pytest.raises(FetchError) as caught:
            await self.certificates.get(url, now=self.now)
        return caught.value.reason


@pytest.fixture
async def world(authority: Authority) -> AsyncIterator[World]:
    made = World()
    async with fetching(authority, BRISK) as fetcher:
        made.certificates = Repository(
            fetcher.fetch,
            policy=BRISK.policy(),
            shelf=None,
            local=None,
            on_alarm=lambda url, _: made.alarms.append(url),
            bounds=Bounds(files=1000, stale_seconds=86400),
            clock=lambda: made.now,
            random=lambda: 0.0,
        )
        await made.certificates.start()
        yield made
        await made.certificates.close()


async def test_a_chain_comes_whole_and_once_for_all_callers(
    repository: Web, world: World, chain_pem: str
) -> None:
    url = repository.holds("/a.pem", chain_pem)

    answers = await asyncio.gather(*(world.get(url) for _ in range(100)))

    assert set(answers) == {(False, len(certificates(chain_pem)))}
    assert repository.asked == ["/a.pem"]


async def test_a_state_that_is_known_is_not_sent_again(
    repository: Web, world: World, chain_pem: str
) -> None:
    async def answer(request: web.Request) -> web.Response:
        if request.headers.get("If-None-Match") == '"1"':
            return web.Response(status=304)
        return web.Response(text=chain_pem, headers={"ETag": '"1"'})

    url = repository.at("/a.pem", answer)
    await world.get(url)
    world.now += HOUR

    assert await world.get(url) == (False, 2)
    assert [each.get("If-None-Match") for each in repository.headers] == [None, '"1"']


async def test_a_repository_that_flaps_is_not_noticed_but_by_the_verdict(
    repository: Web, world: World, chain_pem: str
) -> None:
    url = repository.holds("/a.pem", chain_pem)
    stale = []
    for _ in range(3):
        stale.append((await world.get(url))[0])
        repository.says("/a.pem", b"HTTP/1.1 503 Down\r\n\r\n")
        world.now += HOUR
        stale.append((await world.get(url))[0])
        repository.holds("/a.pem", chain_pem)
        world.now += RETRY_SECONDS
        await world.certificates.refresh_due(now=world.now)

    assert stale == [False, True] * 3


async def test_a_repository_that_appears_is_found_after_a_while(
    repository: Web, world: World, chain_pem: str
) -> None:
    url = f"{repository.https}/a.pem"
    assert await world.refused(url) is Reason.STATUS
    repository.holds("/a.pem", chain_pem)
    assert await world.refused(url) is Reason.STATUS
    world.now += RETRY_SECONDS

    assert await world.get(url) == (False, 2)


async def test_a_private_key_that_is_published_raises_an_alarm(
    repository: Web, world: World, authority: Authority
) -> None:
    issued = authority.issue_sti(spc="1234", now=datetime.now(UTC))
    url = repository.holds("/a.pem", issued.chain_pem + issued.key_pem)

    assert await world.refused(url) is Reason.PRIVATE_KEY
    assert world.alarms == [url]


async def test_a_page_in_place_of_certificates_is_refused_whatever_its_type(
    repository: Web, world: World
) -> None:
    page = "<html>Sorry</html>"
    url = repository.holds("/a.pem", page, Content_Type="application/pem-certificate-chain")

    assert await world.refused(url) is Reason.NOT_CERTIFICATES


async def test_certificates_of_a_wrong_type_are_taken(
    repository: Web, world: World, chain_pem: str
) -> None:
    url = repository.holds("/a.pem", chain_pem, Content_Type="text/html")

    assert await world.get(url) == (False, 2)


async def test_calls_with_certificates_at_hand_do_not_feel_repositories_that_hang(
    repository: Web, world: World, chain_pem: str
) -> None:
    good = repository.holds("/good.pem", chain_pem)
    await world.get(good)
    hanging = [
        asyncio.create_task(world.refused(repository.hangs(f"/{number}.pem")))
        for number in range(200)
    ]

    while not any(task.done() for task in hanging):
        assert at_once(world.certificates.get(good, now=world.now)).url == good
        assert world.certificates.peek(good, now=world.now) is not None
        await asyncio.sleep(0)

    reasons = await asyncio.gather(*hanging)
    assert reasons.count(Reason.TIMEOUT) == BRISK.connections_per_host
    assert set(reasons) == {Reason.TIMEOUT, Reason.SLOW}


def at_once(coroutine: Coroutine[Any, Any, Fetched]) -> Fetched:
    """Return what a coroutine returns without waiting for anything."""
    with pytest.raises(StopIteration) as ended:
        coroutine.send(None)
    result: Fetched = ended.value.value
    return result
