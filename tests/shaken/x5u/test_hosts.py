"""Which hosts may be asked: so much at a time, so much of one owner, nothing while one hangs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from shaken.x5u import hosts as module
from shaken.x5u.exchange import FetchError, Reason
from shaken.x5u.hosts import HEARD_SECONDS, SILENCES, SILENT_SECONDS, SITE_HOSTS, Hosts

HOST, OTHER = "sti.example.com", "sti.example.net"
PLACES = 3
PATIENCE = 1.0


class Desk:
    """Hosts, and a clock that is set."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.hosts = Hosts(places=PLACES, patience=PATIENCE, clock=lambda: self.now)

    async def ask(
        self, name: str = HOST, *, seconds: float = 0.0, fails: Exception | None = None
    ) -> None:
        """Fetch: the host answers after so many seconds, or that is what it takes to fail."""
        async with self.hosts.place(name) as place:
            self.now += seconds
            if fails is not None:
                raise fails
            place.answered = True

    async def in_vain(self, name: str = HOST, *, times: int = 1) -> None:
        """Fetch without any answer in time."""
        for _ in range(times):
            with pytest.raises(TimeoutError):
                await self.ask(name, seconds=4.0, fails=TimeoutError())

    async def refused(self, name: str = HOST) -> str:
        """Be refused; return why."""
        with pytest.raises(FetchError) as caught:
            await self.ask(name)
        assert caught.value.reason is Reason.SLOW
        return caught.value.detail

    @asynccontextmanager
    async def holding(self, *names: str) -> AsyncIterator[None]:
        """Hold a place at each host."""
        async with AsyncExitStack() as stack:
            for name in names:
                await stack.enter_async_context(self.hosts.place(name))
            yield


@pytest.fixture
def desk() -> Desk:
    return Desk()


# Places


async def test_a_host_that_was_never_heard_is_asked_by_so_many_at_a_time(desk: Desk) -> None:
    async with desk.holding(*[HOST] * PLACES):
        assert await desk.refused() == f"{HOST} is slow: {PLACES} fetches from it are under way"
        await desk.ask(OTHER)

    await desk.ask()


async def test_at_a_host_that_answers_a_place_is_waited_for(desk: Desk) -> None:
    await desk.ask()
    async with desk.holding(*[HOST] * PLACES):
        waiting = [asyncio.create_task(desk.ask()) for _ in range(PLACES)]
        await asyncio.sleep(0)
        assert "is slow" in await desk.refused()
        assert not any(task.done() for task in waiting)

    await asyncio.gather(*waiting)


async def test_it_is_not_waited_for_long(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAIT_SECONDS", 0.01)
    await desk.ask()
    async with desk.holding(*[HOST] * PLACES):
        assert await desk.refused() == f"{HOST} is slow: no fetch from it ended within 0.01 s"

    async with desk.holding(*[HOST] * PLACES):
        pass


async def test_who_waits_and_gives_up_takes_no_place_along(desk: Desk) -> None:
    await desk.ask()
    async with desk.holding(*[HOST] * PLACES):
        waiting = asyncio.create_task(desk.ask())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])

    async with desk.holding(*[HOST] * PLACES):
        pass


async def test_a_host_that_was_not_heard_for_long_is_not_waited_for(desk: Desk) -> None:
    await desk.ask()
    desk.now += HEARD_SECONDS
    async with desk.holding(*[HOST] * PLACES):
        assert "is slow" in await desk.refused()


async def test_who_owns_many_hosts_has_places_for_few(desk: Desk) -> None:
    most = SITE_HOSTS * PLACES
    names = [f"{number}.example.com" for number in range(most + 1)]
    async with desk.holding(*names[:most]):
        assert "hosts of example.com" in await desk.refused(names[-1])
        await desk.ask(OTHER)

    await desk.ask(names[-1])
    assert not desk.hosts._sites


# Hosts that hang


async def test_after_some_fetches_in_vain_a_host_is_left_alone(desk: Desk) -> None:
    await desk.in_vain(times=SILENCES)

    words = await desk.refused()

    assert words == (
        f"{HOST} is slow: {SILENCES} fetches in a row got no answer in time; it is asked again in"
        f" {SILENT_SECONDS:g} s"
    )
    await desk.ask(OTHER)


async def test_one_fetch_in_vain_is_that_of_a_file(desk: Desk) -> None:
    for _ in range(3):
        await desk.in_vain(times=SILENCES - 1)
        await desk.ask()


async def test_who_waited_for_a_place_is_told_at_once_when_the_host_hangs(desk: Desk) -> None:
    await desk.ask()
    async with desk.holding(*[HOST] * PLACES):
        waiting = asyncio.create_task(desk.refused())
        await asyncio.sleep(0)
        desk.now += PATIENCE

    assert "got no answer in time" in await waiting


async def test_one_fetch_at_a_time_finds_out_whether_it_still_hangs(desk: Desk) -> None:
    await desk.in_vain(times=SILENCES)
    desk.now += SILENT_SECONDS
    async with desk.holding(HOST):
        assert "is slow" in await desk.refused()

    await desk.in_vain()
    assert "is slow" in await desk.refused()
    desk.now += SILENT_SECONDS
    await desk.ask()
    async with desk.holding(*[HOST] * PLACES):
        pass


async def test_what_comes_late_but_comes_is_an_answer(desk: Desk) -> None:
    for _ in range(2 * SILENCES):
        await desk.ask(seconds=3.9)


@pytest.mark.parametrize("reason", [Reason.TLS, Reason.CONNECTION, Reason.DNS])
async def test_a_host_that_refuses_soon_does_not_hang(desk: Desk, reason: Reason) -> None:
    await desk.in_vain(times=SILENCES)
    desk.now += SILENT_SECONDS
    for _ in range(3):
        with pytest.raises(FetchError):
            await desk.ask(seconds=0.1, fails=FetchError(reason, "no"))


async def test_a_name_server_that_does_not_answer_is_a_host_that_hangs(desk: Desk) -> None:
    for _ in range(SILENCES):
        with pytest.raises(FetchError):
            await desk.ask(seconds=2.0, fails=FetchError(Reason.TIMEOUT, "no name server"))

    assert "is slow" in await desk.refused()


async def test_a_fetch_that_is_given_up_soon_says_nothing_of_the_host(desk: Desk) -> None:
    for _ in range(2 * SILENCES):
        with pytest.raises(asyncio.CancelledError):
            async with desk.hosts.place(HOST):
                raise asyncio.CancelledError

    async with desk.holding(*[HOST] * PLACES):
        assert "is slow" in await desk.refused()


# Bounds


async def test_only_so_many_hosts_are_remembered_and_all_that_are_asked(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_HOSTS", 5)
    await desk.in_vain(times=SILENCES)
    async with desk.holding(*[OTHER] * PLACES):
        for number in range(20):
            await desk.ask(f"{number}.example.org")
            assert len(desk.hosts._hosts) <= 5
        assert "is slow" in await desk.refused(OTHER)

    await desk.ask()
