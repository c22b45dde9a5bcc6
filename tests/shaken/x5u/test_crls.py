"""Revocation lists by URL: kept until the next one is due, within bounds."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from shaken.addresses import UrlPolicy
from shaken.store.tables import fetched_lists
from shaken.x5u.cache import Bounds
from shaken.x5u.content import MAX_CRL_BYTES
from shaken.x5u.crls import CrlCache
from shaken.x5u.exchange import FetchError, Reason, Response, Validators
from shaken.x5u.shelf import CRLS, Shelf
from tests.shaken.x5u.sites import DOWN, Sites
from tests.shaken.x5u.web import LAB, Web, fetching
from trust.authority import Authority
from trust.store.database import Database

URL = "http://crl.example.com/sti.crl"
KEY = ec.generate_private_key(ec.SECP256R1())

MakeCrl = Callable[..., x509.CertificateRevocationList]


@pytest.fixture
def make_crl(now: int) -> MakeCrl:
    def make(
        *, seconds: int, revoked: int = 1, extension: x509.ExtensionType | None = None
    ) -> x509.CertificateRevocationList:
        moment = datetime.fromtimestamp(now, UTC)
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "STI-PA")])
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(name)
            .last_update(moment - timedelta(days=2))
            .next_update(moment + timedelta(seconds=seconds))
        )
        if extension is not None:
            builder = builder.add_extension(extension, critical=True)
        for serial in range(1, revoked + 1):
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(moment)
            builder = builder.add_revoked_certificate(entry.build())
        return builder.sign(KEY, hashes.SHA256())

    return make


def cache_of(sites: Sites, shelf: Shelf | None = None) -> CrlCache:
    return CrlCache(
        sites.fetch,
        policy=UrlPolicy(),
        shelf=shelf,
        bounds=Bounds(files=10, stale_seconds=3600),
        clock=sites.clock,
        random=lambda: 0.0,
    )


def sites_with(crl: x509.CertificateRevocationList, now: int, encoding: Encoding) -> Sites:
    return Sites(Response(crl.public_bytes(encoding), {}), now=float(now))


@pytest.mark.parametrize("encoding", [Encoding.DER, Encoding.PEM])
async def test_a_list_is_fetched_over_plain_http_too(
    make_crl: MakeCrl, now: int, encoding: Encoding
) -> None:
    crl = make_crl(seconds=7200)
    sites = sites_with(crl, now, encoding)

    fetched = await cache_of(sites).get(URL, now=now)

    assert fetched.index.crl == crl
    assert sites.asked[0].limit == MAX_CRL_BYTES


@pytest.mark.parametrize(
    ("seconds", "kept"), [(7200, 7200), (59, 60), (-86400, 60), (86400, 86400), (864000, 86400)]
)
async def test_a_list_is_kept_until_the_next_within_bounds(
    make_crl: MakeCrl, now: int, seconds: int, kept: int
) -> None:
    sites = sites_with(make_crl(seconds=seconds), now, Encoding.DER)
    cache = cache_of(sites)

    fetched = await cache.get(URL, now=now)

    assert fetched.expires_at == now + kept
    assert await cache.get(URL, now=now + kept - 1) is fetched
    assert len(sites.asked) == 1
    await cache.get(URL, now=now + kept)
    assert len(sites.asked) == 2


async def test_a_list_is_used_past_its_time_while_its_host_is_down(
    make_crl: MakeCrl, now: int
) -> None:
    sites = sites_with(make_crl(seconds=7200), now, Encoding.DER)
    cache = cache_of(sites)
    await cache.get(URL, now=now)
    sites.answer = DOWN
    sites.now += 7200

    assert (await cache.get(URL, now=sites.now)).stale
    sites.now += 3600
    with pytest.raises(FetchError):
        await cache.get(URL, now=sites.now)


async def test_a_list_that_is_unchanged_is_kept_on(make_crl: MakeCrl, now: int) -> None:
    sites = sites_with(make_crl(seconds=7200), now, Encoding.DER)
    cache = cache_of(sites)
    first = await cache.get(URL, now=now)
    sites.now += 6000
    sites.answer = Response(None, {})
    await cache.refresh_due(now=sites.now)

    second = await cache.get(URL, now=sites.now)

    assert second.index is first.index
    assert second.fetched_at == sites.now


@contextmanager
def shelf_of(database: Database, sites: Sites) -> Iterator[Shelf]:
    """A worker's way to the store; what it wrote is there at the end."""
    shelf = Shelf(database, CRLS, stale_seconds=0, clock=sites.clock)
    shelf.start()
    try:
        yield shelf
    finally:
        shelf.close()


async def test_a_list_survives_a_restart(database: Database, make_crl: MakeCrl, now: int) -> None:
    crl = make_crl(seconds=7200)
    sites = sites_with(crl, now, Encoding.DER)
    with shelf_of(database, sites) as shelf:
        first = await cache_of(sites, shelf).get(URL, now=now)
    sites.answer = DOWN
    sites.now += 7199

    with shelf_of(database, sites) as shelf:
        second = await cache_of(sites, shelf).get(URL, now=sites.now)

    assert len(sites.asked) == 1
    assert second.index.crl == crl
    assert (second.fetched_at, second.expires_at) == (first.fetched_at, first.expires_at)


async def test_past_its_time_a_stored_list_is_asked_for_by_its_state(
    database: Database, make_crl: MakeCrl, now: int
) -> None:
    sites = sites_with(make_crl(seconds=7200), now, Encoding.DER)
    sites.answer = Response(sites.answer.body, {"etag": '"1"'})  # type: ignore[union-attr]
    with shelf_of(database, sites) as shelf:
        await cache_of(sites, shelf).get(URL, now=now)
    sites.answer = Response(None, {})
    sites.now += 7200

    with shelf_of(database, sites) as shelf:
        again = await cache_of(sites, shelf).get(URL, now=sites.now)

    assert sites.asked[1].known == Validators('"1"', None)
    assert again.expires_at == sites.now + 60


@pytest.mark.parametrize("held", ["no-store", "gone", "spoilt"])
async def test_a_list_that_must_not_be_kept_or_does_not_hold_is_fetched(
    database: Database, make_crl: MakeCrl, now: int, held: str
) -> None:
    sites = sites_with(make_crl(seconds=7200), now, Encoding.DER)
    good = sites.answer
    assert isinstance(good, Response)
    if held == "no-store":
        sites.answer = Response(good.body, {"cache-control": "no-store"})
    with shelf_of(database, sites) as shelf:
        cache = cache_of(sites, shelf)
        await cache.get(URL, now=now)
        if held == "gone":
            sites.now += 7200
            sites.answer = FetchError(Reason.STATUS, "404", status=404)
            with pytest.raises(FetchError):
                await cache.get(URL, now=sites.now)
    if held == "spoilt":
        with database.recording() as connection:
            connection.execute(fetched_lists.update().values(content="<html>"))
    asked = len(sites.asked)
    sites.answer = good

    with shelf_of(database, sites) as shelf:
        await cache_of(sites, shelf).get(URL, now=sites.now)

    assert len(sites.asked) == asked + 1


async def test_only_so_many_lists_are_kept(make_crl: MakeCrl, now: int) -> None:
    sites = sites_with(make_crl(seconds=7200), now, Encoding.DER)
    cache = cache_of(sites)
    urls = [f"http://crl.example.com/{number}" for number in range(12)]
    for url in urls:
        await cache.get(url, now=now)

    for url in urls[2:]:
        await cache.get(url, now=now)
    assert len(sites.asked) == len(urls)
    await cache.get(urls[0], now=now)
    assert len(sites.asked) == len(urls) + 1


async def test_callers_share_one_fetch(make_crl: MakeCrl, now: int) -> None:
    sites = sites_with(make_crl(seconds=7200), now, Encoding.DER)
    cache = cache_of(sites)

    await asyncio.gather(*(cache.get(URL, now=now) for _ in range(20)))

    assert len(sites.asked) == 1


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("ftp://crl.example.com/sti.crl", Reason.URL),
        ("ldap://crl.example.com/cn=sti", Reason.URL),
        ("http://crl.example.com:22/sti.crl", Reason.URL),
        ("http://169.254.169.254/sti.crl", Reason.REFUSED_ADDRESS),
    ],
)
async def test_a_distribution_point_that_is_not_fetched_from_is_refused(
    make_crl: MakeCrl, now: int, url: str, reason: Reason
) -> None:
    sites = sites_with(make_crl(seconds=7200), now, Encoding.DER)

    with pytest.raises(FetchError) as caught:
        await cache_of(sites).get(url, now=now)

    assert caught.value.reason is reason
    assert sites.asked == []


async def test_what_is_no_list_is_an_error(now: int) -> None:
    sites = Sites(Response(b"<html>", {}), now=float(now))

    with pytest.raises(FetchError) as caught:
        await cache_of(sites).get(URL, now=now)

    assert caught.value.reason is Reason.NOT_A_CRL


async def test_a_list_that_nobody_can_use_is_an_error_that_says_why(
    make_crl: MakeCrl, now: int
) -> None:
    delta = x509.DeltaCRLIndicator(1)
    sites = sites_with(make_crl(seconds=7200, extension=delta), now, Encoding.DER)

    with pytest.raises(FetchError) as caught:
        await cache_of(sites).get(URL, now=now)

    assert caught.value.reason is Reason.NOT_A_CRL
    assert "delta list" in caught.value.detail


async def test_a_long_list_comes_from_a_real_host(
    authority: Authority, repository: Web, make_crl: MakeCrl, now: int
) -> None:
    crl = make_crl(seconds=7200, revoked=5000)
    repository.holds("/sti.crl", crl.public_bytes(Encoding.DER))
    async with fetching(authority) as fetcher:
        cache = CrlCache(
            fetcher.fetch,
            policy=LAB.policy(),
            shelf=None,
            bounds=Bounds(files=10, stale_seconds=0),
            clock=lambda: float(now),
            random=lambda: 0.0,
        )
        fetched = await cache.get(f"{repository.http}/sti.crl", now=now)

    assert len(fetched.index.crl) == 5000


async def test_the_host_of_a_list_is_under_the_same_guard(
    authority: Authority, repository: Web, make_crl: MakeCrl
) -> None:
    repository.holds("/sti.crl", make_crl(seconds=7200).public_bytes(Encoding.DER))
    guarded = msgspec.structs.replace(LAB, allow_private=False)
    async with fetching(authority, guarded) as fetcher:
        cache = CrlCache(
            fetcher.fetch,
            policy=UrlPolicy(allow_any_port=True),
            shelf=None,
            bounds=Bounds(files=10, stale_seconds=0),
            clock=lambda: 0.0,
            random=lambda: 0.0,
        )
        with pytest.raises(FetchError) as caught:
            await cache.get(f"{repository.http}/sti.crl", now=0)

    assert caught.value.reason is Reason.REFUSED_ADDRESS
    assert repository.asked == []
