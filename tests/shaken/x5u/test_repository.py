"""Certificates by URL: kept, refreshed, used while stale, fetched once for all who wait."""

import asyncio
from datetime import UTC, datetime
from math import inf

import pytest

from shaken.x5u import cache
from shaken.x5u.cache import MAX_RETRY_SECONDS, RETRY_SECONDS, Bounds
from shaken.x5u.exchange import FetchError, Reason, Validators
from shaken.x5u.repository import Fetched, Repository, fetched_chain
from tests.shaken.x5u.sites import DOWN, URL, Sites, certificates, file, unchanged
from trust.authority import Authority

HOUR = 3600.0
DAY = 86400.0


@pytest.fixture
def sites(chain_pem: str, now: int) -> Sites:
    """Sites that all hold a chain, for an hour."""
    return Sites(file(chain_pem), now=float(now))


async def refused(repository: Repository, sites: Sites, url: str = URL) -> FetchError:
    with pytest.raises(FetchError) as caught:
        await repository.get(url, now=sites.now)
    return caught.value


async def test_a_chain_is_fetched_once_and_then_at_hand(sites: Sites, chain_pem: str) -> None:
    repository = sites.repository()
    assert repository.peek(URL, now=sites.now) is None

    fetched = await repository.get(URL, now=sites.now)

    assert fetched.chain == certificates(chain_pem)
    assert (fetched.url, fetched.stale) == (URL, False)
    assert (fetched.fetched_at, fetched.expires_at) == (sites.now, sites.now + HOUR)
    assert repository.peek(URL, now=sites.now + HOUR - 1) is fetched
    assert await repository.get(URL, now=sites.now + HOUR - 1) is fetched
    assert repository.peek(URL, now=sites.now + HOUR) is None
    assert len(sites.asked) == 1


async def test_a_url_that_is_not_fetched_from_is_refused_at_once(sites: Sites) -> None:
    repository = sites.repository()

    assert (await refused(repository, sites, "http://a.example/")).reason is Reason.URL
    error = await refused(repository, sites, "https://127.0.0.1/")
    assert error.reason is Reason.REFUSED_ADDRESS
    assert sites.asked == []


class Own:
    """A `LocalSource` that holds one URL's chain, at hand once it was asked for."""

    def __init__(self, fetched: Fetched) -> None:
        self.fetched = fetched
        self.at_hand = False

    def peek(self, url: str) -> Fetched | None:
        return self.fetched if self.at_hand and url == self.fetched.url else None

    async def get(self, url: str) -> Fetched | None:
        self.at_hand = True
        return self.peek(url)


async def test_what_is_our_own_is_answered_without_a_fetch(sites: Sites, chain_pem: str) -> None:
    held = fetched_chain(URL, certificates(chain_pem), fetched_at=sites.now, expires_at=inf)
    repository = sites.repository(local=Own(held))
    assert repository.peek(URL, now=sites.now) is None

    own = await repository.get(URL, now=sites.now)

    assert own is held
    assert repository.peek(URL, now=sites.now + DAY) is own
    assert sites.asked == []
    await repository.get("https://other.example/", now=sites.now)
    assert len(sites.asked) == 1


# One flight


async def test_a_hundred_callers_share_one_fetch(sites: Sites) -> None:
    repository = sites.repository()
    sites.gate.clear()
    callers = [asyncio.create_task(repository.get(URL, now=sites.now)) for _ in range(100)]
    await sites.arrived.wait()
    sites.gate.set()

    fetched = await asyncio.gather(*callers)

    assert len(sites.asked) == 1
    assert all(each is fetched[0] for each in fetched)


async def test_a_hundred_callers_share_one_failure_with_an_error_each(sites: Sites) -> None:
    sites.answer = DOWN
    repository = sites.repository()

    errors = await asyncio.gather(*(refused(repository, sites) for _ in range(100)))

    assert len(sites.asked) == 1
    assert {(error.reason, error.detail) for error in errors} == {(DOWN.reason, DOWN.detail)}
    assert len({id(error) for error in errors}) == 100


async def test_a_caller_that_is_cancelled_leaves_the_fetch_to_the_others(sites: Sites) -> None:
    repository = sites.repository()
    sites.gate.clear()
    hasty, patient = (asyncio.create_task(repository.get(URL, now=sites.now)) for _ in range(2))
    await sites.arrived.wait()
    hasty.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hasty
    sites.gate.set()

    assert (await patient).url == URL
    assert len(sites.asked) == 1


async def test_a_fetch_that_nobody_waits_for_any_more_is_kept(sites: Sites) -> None:
    repository = sites.repository()
    sites.gate.clear()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await repository.get(URL, now=sites.now)
    sites.gate.set()

    assert (await repository.get(URL, now=sites.now)).url == URL
    assert len(sites.asked) == 1


async def test_closing_ends_what_is_under_way(sites: Sites) -> None:
    repository = sites.repository()
    await repository.start()
    sites.gate.clear()
    caller = asyncio.create_task(repository.get(URL, now=sites.now))
    await sites.arrived.wait()

    await repository.close()

    assert sites.ended == 1
    with pytest.raises(asyncio.CancelledError):
        await caller


# Failures


async def test_a_failure_is_remembered_briefly_and_longer_each_time(sites: Sites) -> None:
    sites.answer = DOWN
    repository = sites.repository()
    for wait in (RETRY_SECONDS, 2 * RETRY_SECONDS, MAX_RETRY_SECONDS, MAX_RETRY_SECONDS):
        before = len(sites.asked)
        await refused(repository, sites)
        sites.now += wait - 1
        first, second = await refused(repository, sites), await refused(repository, sites)
        assert first is not second
        assert first.reason is Reason.CONNECTION
        assert len(sites.asked) == before + 1
        sites.now += 1


async def test_success_ends_the_row_of_failures(sites: Sites) -> None:
    good, sites.answer = sites.answer, DOWN
    repository = sites.repository()
    await refused(repository, sites)
    sites.now += RETRY_SECONDS
    sites.answer = good

    assert (await repository.get(URL, now=sites.now)).stale is False
    sites.now += HOUR
    sites.answer = DOWN
    await repository.get(URL, now=sites.now)
    sites.now += RETRY_SECONDS
    await repository.refresh_due(now=sites.now)
    assert len(sites.asked) == 4


@pytest.mark.parametrize("reason", [Reason.BUSY, Reason.SLOW])
async def test_what_was_not_tried_is_not_remembered(sites: Sites, reason: Reason) -> None:
    good, sites.answer = sites.answer, FetchError(reason, "not now")
    repository = sites.repository()
    assert (await refused(repository, sites)).reason is reason
    sites.answer = good

    assert (await repository.get(URL, now=sites.now)).url == URL


@pytest.mark.parametrize("reason", [Reason.BUSY, Reason.SLOW])
async def test_an_old_chain_is_at_hand_while_its_host_cannot_be_asked(
    sites: Sites, reason: Reason
) -> None:
    repository = sites.repository()
    await repository.get(URL, now=sites.now)
    good, sites.answer = sites.answer, FetchError(reason, "not now")
    sites.now += HOUR
    assert (await repository.get(URL, now=sites.now)).stale

    at_hand = repository.peek(URL, now=sites.now)

    assert at_hand is not None
    assert at_hand.stale
    sites.answer = good
    sites.now += RETRY_SECONDS
    await repository.refresh_due(now=sites.now)
    again = repository.peek(URL, now=sites.now)
    assert again is not None
    assert not again.stale


async def test_what_was_not_tried_adds_nothing_to_the_row_of_failures(sites: Sites) -> None:
    repository = sites.repository()
    await repository.get(URL, now=sites.now)
    sites.now += HOUR
    for reason in (Reason.CONNECTION, Reason.SLOW, Reason.CONNECTION):
        sites.answer = FetchError(reason, "down")
        repository.peek(URL, now=sites.now)
        await repository.get(URL, now=sites.now)
        await repository.refresh_due(now=sites.now)
        sites.now += 2 * RETRY_SECONDS
    asked = len(sites.asked)

    repository.peek(URL, now=sites.now)
    await repository.refresh_due(now=sites.now - 1)
    assert len(sites.asked) == asked
    await repository.refresh_due(now=sites.now)
    assert len(sites.asked) == asked + 1


async def test_an_old_chain_that_is_of_no_use_any_more_keeps_nobody_from_trying(
    sites: Sites,
) -> None:
    repository = sites.repository()
    await repository.get(URL, now=sites.now)
    good, sites.answer = sites.answer, FetchError(Reason.SLOW, "not now")
    sites.now += HOUR + DAY
    assert (await refused(repository, sites)).reason is Reason.SLOW
    sites.answer = good

    assert not (await repository.get(URL, now=sites.now)).stale


@pytest.mark.parametrize("body", ["<html>", "", "-----BEGIN CERTIFICATE-----"])
async def test_what_is_no_certificate_is_an_error(sites: Sites, body: str) -> None:
    sites.answer = file(body)

    assert (await refused(sites.repository(), sites)).reason is Reason.NOT_CERTIFICATES


async def test_a_private_key_raises_an_alarm_and_is_kept_nowhere(
    sites: Sites, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    issued = authority.issue_sti(spc="1234", now=datetime.now(UTC))
    alarms: list[tuple[str, str]] = []
    repository = sites.repository(on_alarm=lambda *alarm: alarms.append(alarm))
    await repository.get(URL, now=sites.now)
    sites.answer = file(issued.chain_pem + issued.key_pem)
    sites.now += HOUR

    error = await refused(repository, sites)

    assert error.reason is Reason.PRIVATE_KEY
    ((url, words),) = alarms
    assert url == URL
    assert "private key" in words
    secret = issued.key_pem.splitlines()[1]
    assert secret not in words + str(error) + caplog.text
    assert repository.peek(URL, now=sites.now) is None


# Stale


async def test_a_chain_is_used_past_its_time_while_its_repository_is_down(sites: Sites) -> None:
    repository = sites.repository()
    fresh = await repository.get(URL, now=sites.now)
    sites.answer = DOWN
    sites.now += HOUR

    stale = await repository.get(URL, now=sites.now)

    assert stale.stale
    assert stale.chain is fresh.chain
    assert stale.certificate is fresh.certificate
    assert repository.peek(URL, now=sites.now + DAY - 1) is stale
    assert repository.peek(URL, now=sites.now + DAY) is None
    assert len(sites.asked) == 2


async def test_calls_do_not_wait_for_a_repository_that_is_known_to_be_down(sites: Sites) -> None:
    repository = sites.repository()
    await repository.get(URL, now=sites.now)
    good, sites.answer = sites.answer, DOWN
    sites.now += HOUR
    await repository.get(URL, now=sites.now)
    sites.now += MAX_RETRY_SECONDS
    sites.gate.clear()

    stale = await repository.get(URL, now=sites.now)

    assert stale.stale
    sites.gate.set()
    sites.answer = good
    await repository.refresh_due(now=sites.now)
    again = repository.peek(URL, now=sites.now)
    assert again is not None
    assert not again.stale


async def test_a_chain_is_not_used_past_its_time_beyond_the_bound(sites: Sites) -> None:
    repository = sites.repository()
    await repository.get(URL, now=sites.now)
    sites.answer = DOWN
    sites.now += HOUR + DAY

    assert (await refused(repository, sites)).reason is Reason.CONNECTION


@pytest.mark.parametrize(
    ("error", "used"),
    [
        (FetchError(Reason.TIMEOUT, "slow"), True),
        (FetchError(Reason.STATUS, "503", status=503), True),
        (FetchError(Reason.STATUS, "429", status=429), True),
        (FetchError(Reason.BUSY, "busy"), True),
        (FetchError(Reason.NOT_CERTIFICATES, "a page on maintenance"), True),
        (FetchError(Reason.STATUS, "404", status=404), False),
        (FetchError(Reason.STATUS, "410", status=410), False),
    ],
)
async def test_what_is_gone_is_not_used_any_more(
    sites: Sites, error: FetchError, *, used: bool
) -> None:
    repository = sites.repository()
    await repository.get(URL, now=sites.now)
    sites.answer = error
    sites.now += HOUR

    if used:
        assert (await repository.get(URL, now=sites.now)).stale
    else:
        assert (await refused(repository, sites)).reason is error.reason


# Ahead of time


async def refreshed(repository: Repository, sites: Sites, after: float) -> int:
    sites.now += after
    await repository.refresh_due(now=sites.now)
    return len(sites.asked)


async def test_what_was_used_is_fetched_ahead_of_its_end(sites: Sites) -> None:
    repository = sites.repository()
    first = await repository.get(URL, now=sites.now)
    assert await refreshed(repository, sites, 0.8 * HOUR - 1) == 1
    assert await refreshed(repository, sites, 1) == 2

    second = repository.peek(URL, now=sites.now)

    assert second is not None
    assert second.expires_at == first.expires_at + 0.8 * HOUR
    assert second.certificate is first.certificate


async def test_what_was_not_used_since_is_left_alone(sites: Sites) -> None:
    repository = sites.repository()
    await repository.get(URL, now=sites.now)
    assert await refreshed(repository, sites, 0.8 * HOUR) == 2

    assert await refreshed(repository, sites, 0.9 * HOUR) == 2


async def test_calls_do_not_wait_while_a_file_is_fetched_ahead(sites: Sites) -> None:
    repository = sites.repository()
    fetched = await repository.get(URL, now=sites.now)
    sites.now += 0.9 * HOUR
    sites.arrived.clear()
    sites.gate.clear()
    ahead = asyncio.create_task(repository.refresh_due(now=sites.now))
    await sites.arrived.wait()

    assert await repository.get(URL, now=sites.now) is fetched
    sites.gate.set()
    await ahead
    assert repository.peek(URL, now=sites.now) is not fetched


async def test_a_failure_ahead_of_time_changes_nothing_yet(sites: Sites) -> None:
    repository = sites.repository()
    fetched = await repository.get(URL, now=sites.now)
    sites.answer = DOWN
    assert await refreshed(repository, sites, 0.8 * HOUR) == 2

    assert repository.peek(URL, now=sites.now) is fetched
    assert await refreshed(repository, sites, RETRY_SECONDS - 1) == 2
    assert await refreshed(repository, sites, 1) == 3


async def test_what_is_gone_ahead_of_its_time_is_not_used_to_its_end(sites: Sites) -> None:
    repository = sites.repository()
    await repository.get(URL, now=sites.now)
    sites.answer = FetchError(Reason.STATUS, "404", status=404)
    await refreshed(repository, sites, 0.8 * HOUR)

    assert repository.peek(URL, now=sites.now) is None


async def test_a_repository_that_is_down_is_asked_again_only_for_what_is_used(
    sites: Sites,
) -> None:
    repository = sites.repository()
    await repository.get(URL, now=sites.now)
    sites.answer = DOWN
    assert await refreshed(repository, sites, 0.8 * HOUR) == 2

    assert await refreshed(repository, sites, RETRY_SECONDS) == 2


async def test_workers_do_not_all_refresh_at_once(sites: Sites) -> None:
    early = sites.repository(random=lambda: 0.99)
    await early.get(URL, now=sites.now)

    assert await refreshed(early, sites, 0.751 * HOUR) == 2


async def test_the_worker_refreshes_by_itself(
    sites: Sites, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "LOOK_SECONDS", 0.001)
    repository = sites.repository()
    await repository.start()
    await repository.get(URL, now=sites.now)
    sites.arrived.clear()
    sites.now += 0.9 * HOUR

    async with asyncio.timeout(5):
        await sites.arrived.wait()
    await repository.close()

    assert len(sites.asked) == 2


# States by name


async def test_a_file_that_is_unchanged_is_kept_longer(sites: Sites, chain_pem: str) -> None:
    sites.answer = file(chain_pem, etag='"1"', cache_control="max-age=600")
    repository = sites.repository()
    first = await repository.get(URL, now=sites.now)
    sites.now += 600
    sites.answer = unchanged(cache_control="max-age=1200")

    second = await repository.get(URL, now=sites.now)

    assert sites.asked[1].known == Validators('"1"', None)
    assert second.certificate is first.certificate
    assert second.expires_at == sites.now + 1200
    assert second.known == first.known


async def test_another_chain_takes_the_place_of_the_first(
    sites: Sites, authority: Authority
) -> None:
    repository = sites.repository()
    await repository.get(URL, now=sites.now)
    other = authority.issue_sti(spc="5678", now=datetime.now(UTC))
    sites.answer = file(other.chain_pem)
    sites.now += HOUR

    assert (await repository.get(URL, now=sites.now)).chain == other.certificate.chain


# Bounds


def urls(count: int) -> list[str]:
    return [f"https://sti.example.com/{number}.pem" for number in range(count)]


async def test_only_so_many_files_are_kept_the_last_used_ones(sites: Sites) -> None:
    repository = sites.repository(bounds=Bounds(files=3, stale_seconds=0))
    first, second, third, fourth = urls(4)
    for url in (first, second, third):
        await repository.get(url, now=sites.now)
    repository.peek(first, now=sites.now)

    await repository.get(fourth, now=sites.now)

    kept = [url for url in urls(4) if repository.peek(url, now=sites.now)]
    assert kept == [first, third, fourth]


async def test_only_so_many_bytes_are_kept(sites: Sites, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = sites.repository()
    size = (await repository.get(URL, now=sites.now)).size
    monkeypatch.setattr(cache, "MAX_BYTES", 2 * size)
    for url in urls(3):
        await repository.get(url, now=sites.now)

    assert [bool(repository.peek(url, now=sites.now)) for url in (URL, *urls(3))] == [
        False,
        False,
        True,
        True,
    ]


async def test_urls_that_lead_nowhere_do_not_drive_out_what_is_kept(
    sites: Sites, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "MAX_FAILURES", 5)
    repository = sites.repository(bounds=Bounds(files=1, stale_seconds=0))
    await repository.get(URL, now=sites.now)
    sites.answer = DOWN
    for url in urls(10):
        await refused(repository, sites, url)

    assert repository.peek(URL, now=sites.now)
    asked = len(sites.asked)
    for url in reversed(urls(10)):
        await refused(repository, sites, url)
    assert len(sites.asked) == asked + 5


async def test_only_so_many_files_are_on_their_way(
    sites: Sites, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "MAX_FLIGHTS", 2)
    repository = sites.repository()
    sites.gate.clear()
    first, second, third = urls(3)
    callers = [
        asyncio.create_task(repository.get(url, now=sites.now)) for url in (first, second, second)
    ]
    await sites.arrived.wait()
    error = await refused(repository, sites, third)
    sites.gate.set()
    await asyncio.gather(*callers)

    assert error.reason is Reason.BUSY
