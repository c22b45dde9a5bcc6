"""What was fetched survives a restart, and workers that share a store do each other no harm."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import insert, select

from shaken.store.fetched import FetchedRow, get_fetched, put_fetched, trim_fetched
from shaken.store.tables import fetched_certificates
from shaken.x5u import shelf as shelves
from shaken.x5u.exchange import FetchError, Reason, Response, Validators
from shaken.x5u.shelf import CERTIFICATES, Kind, Shelf
from tests.shaken.x5u.sites import DOWN, URL, Sites, file, unchanged
from trust.authority import Authority
from trust.store.database import Database

HOUR = 3600.0
DAY = 86400.0
FEW = Kind(fetched_certificates, 4)


@pytest.fixture
def sites(chain_pem: str, now: int) -> Sites:
    return Sites(file(chain_pem, etag='"1"'), now=float(now))


@contextmanager
def shelf_of(database: Database, sites: Sites) -> Iterator[Shelf]:
    """A worker's way to the store; what it wrote is there at the end."""
    shelf = Shelf(database, CERTIFICATES, stale_seconds=DAY, clock=sites.clock)
    shelf.start()
    try:
        yield shelf
    finally:
        shelf.close()


async def run_once(database: Database, sites: Sites) -> None:
    """Run a worker that fetches the URL."""
    with shelf_of(database, sites) as shelf:
        await sites.repository(shelf=shelf).get(URL, now=sites.now)


def stored(database: Database) -> FetchedRow | None:
    with database.reading() as connection:
        return get_fetched(connection, fetched_certificates, URL)


def row(**changed: object) -> FetchedRow:
    return replace(FetchedRow(URL, "PEM", 100.0, 200.0, None, None), **changed)  # type: ignore[arg-type]


async def test_a_chain_survives_a_restart(database: Database, sites: Sites) -> None:
    await run_once(database, sites)
    fetched_at = sites.now
    sites.now += HOUR - 1

    with shelf_of(database, sites) as shelf:
        fetched = await sites.repository(shelf=shelf).get(URL, now=sites.now)

    assert len(sites.asked) == 1
    assert (fetched.fetched_at, fetched.expires_at) == (fetched_at, fetched_at + HOUR)
    assert fetched.known == Validators('"1"', None)


async def test_past_its_time_a_stored_chain_is_asked_for_by_its_state(
    database: Database, sites: Sites
) -> None:
    await run_once(database, sites)
    sites.now += 2 * HOUR
    sites.answer = unchanged()

    with shelf_of(database, sites) as shelf:
        fetched = await sites.repository(shelf=shelf).get(URL, now=sites.now)

    assert sites.asked[1].known == Validators('"1"', None)
    assert fetched.expires_at == sites.now + HOUR


async def test_after_a_restart_a_stored_chain_is_used_while_its_repository_is_down(
    database: Database, sites: Sites
) -> None:
    await run_once(database, sites)
    sites.now += 2 * HOUR
    sites.answer = DOWN

    with shelf_of(database, sites) as shelf:
        fetched = await sites.repository(shelf=shelf).get(URL, now=sites.now)

    assert fetched.stale


async def test_one_worker_takes_over_what_another_has_fetched_anew(
    database: Database, sites: Sites
) -> None:
    with shelf_of(database, sites) as first, shelf_of(database, sites) as second:
        one, two = sites.repository(shelf=first), sites.repository(shelf=second)
        await one.get(URL, now=sites.now)
        first._write_waiting()
        await two.get(URL, now=sites.now)
        assert len(sites.asked) == 1
        sites.now += 0.9 * HOUR
        one.peek(URL, now=sites.now)
        two.peek(URL, now=sites.now)
        await two.refresh_due(now=sites.now)
        second._write_waiting()
        await one.refresh_due(now=sites.now)

    assert len(sites.asked) == 2
    refreshed = one.peek(URL, now=sites.now)
    assert refreshed is not None
    assert refreshed.fetched_at == sites.now


@pytest.mark.parametrize(
    "changed",
    [
        {"content": "<html>"},
        {"content": ""},
        {"fetched_at": 1e12, "expires_at": 1e12 + HOUR},
    ],
)
async def test_what_does_not_hold_in_the_store_is_fetched(
    database: Database, sites: Sites, changed: dict[str, object]
) -> None:
    await run_once(database, sites)
    spoilt = stored(database)
    assert spoilt is not None
    with database.recording() as connection:
        connection.execute(fetched_certificates.update().values(**changed))

    with shelf_of(database, sites) as shelf:
        fetched = await sites.repository(shelf=shelf).get(URL, now=sites.now)

    assert len(sites.asked) == 2
    assert fetched.chain


async def test_no_stored_chain_is_kept_longer_than_a_day(database: Database, sites: Sites) -> None:
    await run_once(database, sites)
    with database.recording() as connection:
        connection.execute(fetched_certificates.update().values(expires_at=1e12))

    with shelf_of(database, sites) as shelf:
        fetched = await sites.repository(shelf=shelf).get(URL, now=sites.now)

    assert fetched.expires_at == sites.now + DAY


async def test_a_private_key_in_the_store_is_not_used(
    database: Database, sites: Sites, authority: Authority
) -> None:
    issued = authority.issue_sti(spc="1234", now=datetime.now(UTC))
    chain = issued.chain_pem + issued.key_pem
    put_fetched(
        database,
        fetched_certificates,
        [row(content=chain, fetched_at=sites.now, expires_at=sites.now + HOUR)],
    )

    with shelf_of(database, sites) as shelf:
        await sites.repository(shelf=shelf).get(URL, now=sites.now)

    assert len(sites.asked) == 1


@pytest.mark.parametrize("held", ["no-store", "key", "gone"])
async def test_what_must_not_be_kept_is_removed_from_the_store(
    database: Database, sites: Sites, chain_pem: str, authority: Authority, held: str
) -> None:
    await run_once(database, sites)
    sites.now += HOUR
    key_pem = authority.issue_sti(spc="1", now=datetime.now(UTC)).key_pem
    answers: dict[str, Response | FetchError] = {
        "no-store": file(chain_pem, cache_control="no-store"),
        "key": file(chain_pem + key_pem),
        "gone": FetchError(Reason.STATUS, "404", status=404),
    }
    sites.answer = answers[held]

    with shelf_of(database, sites) as shelf:
        repository = sites.repository(shelf=shelf)
        if held == "no-store":
            await repository.get(URL, now=sites.now)
        else:
            with pytest.raises(FetchError):
                await repository.get(URL, now=sites.now)

    assert stored(database) is None


# A store that fails


async def test_without_its_store_a_chain_is_fetched_all_the_same(
    database: Database, sites: Sites, caplog: pytest.LogCaptureFixture
) -> None:
    with database.recording() as connection:
        fetched_certificates.drop(connection)

    with shelf_of(database, sites) as shelf:
        fetched = await sites.repository(shelf=shelf).get(URL, now=sites.now)
        await sites.repository(shelf=shelf).get(URL, now=sites.now)

    assert fetched.chain
    assert caplog.text.count("cannot read fetched certificates") == 1
    assert "cannot read fetched certificates" in caplog.text
    assert "cannot write fetched certificates" in caplog.text


async def test_a_store_that_does_not_answer_is_not_waited_for(
    database: Database, sites: Sites, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shelves, "READ_SECONDS", 0.05)
    loop, held = asyncio.get_running_loop(), asyncio.Event()

    def hang(_: Shelf, url: str) -> None:  # noqa: ARG001
        asyncio.run_coroutine_threadsafe(held.wait(), loop).result(30)

    monkeypatch.setattr(Shelf, "_read", hang)
    with shelf_of(database, sites) as shelf:
        async with asyncio.timeout(5):
            fetched = await sites.repository(shelf=shelf).get(URL, now=sites.now)
        held.set()

    assert fetched.chain


def test_what_could_not_be_written_is_written_later(
    database: Database, sites: Sites, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = Shelf(database, CERTIFICATES, stale_seconds=DAY, clock=sites.clock)
    kept = row(fetched_at=sites.now, expires_at=sites.now + HOUR)
    shelf.put(kept, {})
    with monkeypatch.context() as patch:
        patch.setattr(shelves, "put_fetched", lambda *_, **__: 1 / 0)
        shelf._write_waiting()
    assert stored(database) is None

    shelf.start()
    shelf.close()

    assert stored(database) == kept


def test_only_so_many_files_wait_for_a_store(database: Database, sites: Sites) -> None:
    shelf = Shelf(database, FEW, stale_seconds=DAY, clock=sites.clock)
    for number in range(5):
        shelf.put(row(url=str(number), fetched_at=sites.now, expires_at=sites.now), {})
    shelf.start()
    shelf.close()

    assert sorted(_urls(database)) == ["3", "4"]


def test_only_so_many_files_stay_in_the_store(database: Database, sites: Sites) -> None:
    shelf = Shelf(database, FEW, stale_seconds=DAY, clock=sites.clock)
    for number in range(9):
        shelf.put(row(url=str(number), fetched_at=sites.now + number, expires_at=sites.now), {})
        shelf._write_waiting()

    assert sorted(_urls(database)) == ["5", "6", "7", "8"]


# The table


def _urls(database: Database) -> list[str]:
    with database.reading() as connection:
        return list(connection.execute(select(fetched_certificates.c.url)).scalars())


def test_the_newest_state_stays_whoever_writes_last(database: Database) -> None:
    newer, older = row(fetched_at=101.0, content="newer"), row(fetched_at=100.0, content="older")

    put_fetched(database, fetched_certificates, [older])
    put_fetched(database, fetched_certificates, [newer])
    put_fetched(database, fetched_certificates, [older])

    assert stored(database) == newer


def test_writing_and_forgetting_happen_together(database: Database) -> None:
    put_fetched(database, fetched_certificates, [row(url="a"), row(url="b")])

    put_fetched(
        database,
        fetched_certificates,
        [row(url="c"), row(url="b", fetched_at=101.0)],
        forgotten=["a", "z"],
    )

    assert sorted(_urls(database)) == ["b", "c"]


def test_the_table_is_held_to_what_is_of_use(database: Database) -> None:
    with database.recording() as connection:
        rows = [
            {"url": str(at), "content": "", "fetched_at": at, "expires_at": at + 10}
            for at in range(10)
        ]
        connection.execute(insert(fetched_certificates), rows)

    trim_fetched(database, fetched_certificates, expired_before=12.0, keep=100)
    assert sorted(_urls(database)) == [str(at) for at in range(2, 10)]

    trim_fetched(database, fetched_certificates, expired_before=0, keep=3)
    assert sorted(_urls(database)) == ["7", "8", "9"]
