"""What the service has itself is read from its store, once, and not by the event loop."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import Connection

from shaken.audit import SYSTEM
from shaken.importing import Upload, import_certificate
from shaken.snapshot import Snapshot, take_snapshot
from shaken.x5u import own as module
from shaken.x5u.own import MAX_ABOVE, OwnChains, OwnIntermediates
from trust.authority import Authority, Issued
from trust.certificate import CertificateKind
from trust.keys import MasterKey
from trust.store import certificates as stored
from trust.store.certificates import StoredCertificate
from trust.store.database import Database, StoreError

PUBLIC_URL = "https://sti.example.com/ours"


class Watched:
    """A database that tells by which threads it is read, and can be told to fail."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.readers: list[str] = []
        self.fails = False

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        self.readers.append(threading.current_thread().name)
        if self.fails:
            raise StoreError("the disk is gone")
        with self._database.reading() as connection:
            yield connection


class Shop:
    """A store whose certificates change, and what a worker sees of it."""

    def __init__(self, database: Database, master: MasterKey, now: int) -> None:
        self.database, self.master, self.now = database, master, now
        self.watched = Watched(database)
        self.snapshot: Snapshot = take_snapshot(database)

    def add(
        self, issued: Issued, *, kind: CertificateKind = CertificateKind.STI, whole: bool = True
    ) -> StoredCertificate:
        """Import a certificate, with what is above it or without."""
        pem = issued.chain_pem if whole else stored_pem(issued.certificate.leaf)
        upload = Upload(kind=kind, certificate=pem, private_key=issued.key_pem)
        done = import_certificate(
            self.database, self.master, upload, actor=SYSTEM, now=self.now, lab=False
        )
        self.snapshot = take_snapshot(self.database, self.snapshot)
        return done.row

    def remove(self, row: StoredCertificate) -> None:
        with self.database.changing() as change:
            assert stored.remove(change, row.id)
        self.snapshot = take_snapshot(self.database, self.snapshot)


def stored_pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()


@pytest.fixture
def shop(database: Database, master: MasterKey, now: int) -> Shop:
    return Shop(database, master, now)


@pytest.fixture
def chains(shop: Shop) -> Iterator[OwnChains]:
    made = OwnChains(
        PUBLIC_URL,
        shop.watched,  # type: ignore[arg-type]
        lambda: shop.snapshot,
        clock=lambda: float(shop.now),
    )
    yield made
    made.close()


@pytest.fixture
def intermediates(shop: Shop) -> Iterator[OwnIntermediates]:
    made = OwnIntermediates(shop.watched, lambda: shop.snapshot)  # type: ignore[arg-type]
    yield made
    made.close()


@pytest.fixture
def moment(now: int) -> datetime:
    return datetime.fromtimestamp(now, UTC)


def url_of(row: StoredCertificate) -> str:
    return f"{PUBLIC_URL}/certificates/{row.id}.pem"


# Chains


async def test_a_chain_of_our_own_is_read_once_by_a_thread_and_then_at_hand(
    shop: Shop, chains: OwnChains, lab_ca: Authority, moment: datetime
) -> None:
    issued = lab_ca.issue_sti(spc="1234", now=moment)
    url = url_of(shop.add(issued))
    assert chains.peek(url) is None

    answers = await asyncio.gather(*(chains.get(url) for _ in range(20)))

    (own,) = {id(each): each for each in answers}.values()
    assert own is not None
    assert own.chain == issued.certificate.chain
    assert (own.url, own.stale) == (url, False)
    assert chains.peek(url) is own
    assert await chains.get(url) is own
    assert [name.startswith("own-chains") for name in shop.watched.readers] == [True]


async def test_urls_of_others_and_what_is_not_published_are_not_ours(
    shop: Shop, chains: OwnChains, lab_ca: Authority, moment: datetime
) -> None:
    sti = shop.add(lab_ca.issue_sti(spc="1234", now=moment))
    system = shop.add(
        lab_ca.issue_server(["pbx.example.com"], now=moment), kind=CertificateKind.SYSTEM
    )
    urls = [
        f"https://other.example.com/certificates/{sti.id}.pem",
        f"{PUBLIC_URL}/certificates/{'0' * 64}.pem",
        f"{PUBLIC_URL}/certificates/{sti.id}.pem?x",
        f"{PUBLIC_URL}/certificates/{sti.id.upper()}.pem",
        url_of(system),
    ]

    assert [await chains.get(url) for url in urls] == [None] * len(urls)
    assert shop.watched.readers == []


async def test_a_chain_that_is_replaced_or_removed_is_not_shown_any_more(
    shop: Shop, chains: OwnChains, lab_ca: Authority, moment: datetime
) -> None:
    row = shop.add(lab_ca.issue_sti(spc="1234", now=moment))
    first = await chains.get(url_of(row))
    assert first is not None
    with shop.database.changing() as change:
        stored.replace(change, row, chain=stored_pem(first.chain[0]))
    shop.snapshot = take_snapshot(shop.database, shop.snapshot)

    assert chains.peek(url_of(row)) is None
    second = await chains.get(url_of(row))
    assert second is not None
    assert second.chain == first.chain[:1]
    shop.remove(row)
    assert chains.peek(url_of(row)) is None
    assert await chains.get(url_of(row)) is None


async def test_a_chain_that_cannot_be_read_is_asked_for_again_and_said_once(
    shop: Shop,
    chains: OwnChains,
    lab_ca: Authority,
    moment: datetime,
    caplog: pytest.LogCaptureFixture,
) -> None:
    url = url_of(shop.add(lab_ca.issue_sti(spc="1234", now=moment)))
    shop.watched.fails = True
    for _ in range(3):
        assert await chains.get(url) is None
    assert caplog.text.count("cannot read a chain of our own: the disk is gone") == 1
    shop.watched.fails = False

    assert await chains.get(url) is not None


async def test_who_waits_for_a_chain_and_gives_up_leaves_it_to_the_others(
    shop: Shop,
    chains: OwnChains,
    lab_ca: Authority,
    moment: datetime,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = url_of(shop.add(lab_ca.issue_sti(spc="1234", now=moment)))
    gate, load = threading.Event(), OwnChains._read_chain

    def wait(self: OwnChains, certificate_id: str) -> object:
        assert gate.wait(10)
        return load(self, certificate_id)

    monkeypatch.setattr(OwnChains, "_read_chain", wait)
    hasty, patient = (asyncio.create_task(chains.get(url)) for _ in range(2))
    await asyncio.sleep(0)
    hasty.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hasty
    gate.set()

    assert await patient is not None


@dataclass(frozen=True)
class Slow:
    """A store whose chains come, once they are `loaded`, when the `gate` is opened."""

    loaded: threading.Event = field(default_factory=threading.Event)
    gate: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Slow:
    made, load = Slow(), OwnChains._read_chain

    def load_and_wait(self: OwnChains, certificate_id: str) -> object:
        chain = load(self, certificate_id)
        made.loaded.set()
        assert made.gate.wait(10)
        return chain

    monkeypatch.setattr(OwnChains, "_read_chain", load_and_wait)
    return made


async def test_a_chain_that_is_removed_while_it_is_read_is_for_who_waits_only(
    shop: Shop, chains: OwnChains, lab_ca: Authority, moment: datetime, slow: Slow
) -> None:
    row = shop.add(lab_ca.issue_sti(spc="1234", now=moment))
    waiting = asyncio.create_task(chains.get(url_of(row)))
    assert await asyncio.to_thread(slow.loaded.wait, 10)
    shop.remove(row)
    assert chains.peek(url_of(row)) is None
    reading = chains._reading[row.id][1]
    reading.add_done_callback(lambda _: chains.peek(PUBLIC_URL))
    slow.gate.set()

    assert await waiting is not None
    assert chains.peek(url_of(row)) is None


async def test_a_chain_that_is_replaced_while_it_is_read_is_read_again_for_who_comes_then(
    shop: Shop, chains: OwnChains, lab_ca: Authority, moment: datetime, slow: Slow
) -> None:
    row = shop.add(lab_ca.issue_sti(spc="1234", now=moment))
    first = asyncio.create_task(chains.get(url_of(row)))
    assert await asyncio.to_thread(slow.loaded.wait, 10)
    with shop.database.changing() as change:
        stored.replace(change, row, chain=stored_pem(row_leaf(shop, row)))
    shop.snapshot = take_snapshot(shop.database, shop.snapshot)
    second = asyncio.create_task(chains.get(url_of(row)))
    await asyncio.sleep(0)
    slow.gate.set()

    before, after = await asyncio.gather(first, second)
    assert before is not None
    assert after is not None
    assert (len(before.chain), len(after.chain)) == (2, 1)
    assert chains.peek(url_of(row)) is after


def row_leaf(shop: Shop, row: StoredCertificate) -> x509.Certificate:
    """Read the leaf of a stored chain."""
    with shop.database.reading() as connection:
        pem = stored.chain_pem(connection, row.id)
    assert pem is not None
    return x509.load_pem_x509_certificates(pem.encode())[0]


async def test_only_so_many_chains_are_kept_read(
    shop: Shop,
    chains: OwnChains,
    lab_ca: Authority,
    moment: datetime,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MAX_CHAINS", 2)
    for number in range(5):
        row = shop.add(lab_ca.issue_sti(spc=f"{number:04}", now=moment))
        assert await chains.get(url_of(row)) is not None
        assert len(chains._read) <= 2


async def test_a_service_without_a_public_url_has_no_chain_of_its_own(
    shop: Shop, lab_ca: Authority, moment: datetime
) -> None:
    row = shop.add(lab_ca.issue_sti(spc="1234", now=moment))
    chains = OwnChains("", shop.database, lambda: shop.snapshot, clock=lambda: 0.0)

    assert await chains.get(f"/certificates/{row.id}.pem") is None
    chains.close()


# Intermediates


async def test_what_stands_above_our_certificates_stands_above_others(
    shop: Shop, intermediates: OwnIntermediates, lab_ca: Authority, moment: datetime
) -> None:
    lower = lab_ca.intermediate("Lower", now=moment)
    shop.add(lower.issue_sti(spc="1234", now=moment))
    other = lower.issue_sti(spc="5678", now=moment).certificate.leaf

    above = await intermediates.above((other,))

    assert set(above) == {lower.certificate, lab_ca.certificate}
    assert all(name.startswith("own-intermediates") for name in shop.watched.readers)


async def test_what_the_file_has_is_not_added_and_what_it_lacks_is(
    shop: Shop, intermediates: OwnIntermediates, lab_ca: Authority, moment: datetime
) -> None:
    lower = lab_ca.intermediate("Lower", now=moment)
    shop.add(lower.issue_sti(spc="1234", now=moment))
    leaf = lower.issue_sti(spc="5678", now=moment).certificate.leaf

    assert await intermediates.above((leaf, lower.certificate)) == (lab_ca.certificate,)
    assert await intermediates.above((leaf, lower.certificate, lab_ca.certificate)) == ()


async def test_strangers_and_leaves_are_not_added(
    shop: Shop, intermediates: OwnIntermediates, lab_ca: Authority, moment: datetime
) -> None:
    shop.add(lab_ca.issue_sti(spc="1234", now=moment))
    shop.add(lab_ca.issue_server(["pbx.example.com"], now=moment), kind=CertificateKind.SYSTEM)
    stranger = Authority.create("Stranger", now=moment).issue_sti(spc="5678", now=moment)

    assert await intermediates.above(stranger.certificate.chain) == ()


async def test_the_store_is_read_again_only_when_it_changed_and_only_what_is_new(
    shop: Shop,
    intermediates: OwnIntermediates,
    lab_ca: Authority,
    moment: datetime,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[list[str]] = []
    read = stored.chains_pem

    def count(connection: Connection, ids: list[str]) -> dict[str, str]:
        asked.append(ids)
        return read(connection, ids)

    monkeypatch.setattr(stored, "chains_pem", count)
    first = shop.add(lab_ca.issue_sti(spc="1234", now=moment))
    leaf = lab_ca.issue_sti(spc="5678", now=moment).certificate.leaf
    for _ in range(3):
        assert await intermediates.above((leaf,)) == (lab_ca.certificate,)
    second = shop.add(lab_ca.issue_sti(spc="2345", now=moment))
    await intermediates.above((leaf,))
    shop.remove(first)
    assert await intermediates.above((leaf,)) == (lab_ca.certificate,)
    shop.remove(second)

    assert await intermediates.above((leaf,)) == ()
    assert asked == [[first.id], [second.id], [], []]


async def test_a_chain_without_intermediates_in_the_store_is_of_no_use(
    shop: Shop, intermediates: OwnIntermediates, lab_ca: Authority, moment: datetime
) -> None:
    shop.add(lab_ca.issue_sti(spc="1234", now=moment), whole=False)

    leaf = lab_ca.issue_sti(spc="5678", now=moment).certificate.leaf

    assert await intermediates.above((leaf,)) == ()


async def test_while_the_store_fails_what_was_known_serves(
    shop: Shop,
    intermediates: OwnIntermediates,
    lab_ca: Authority,
    moment: datetime,
    caplog: pytest.LogCaptureFixture,
) -> None:
    shop.add(lab_ca.issue_sti(spc="1234", now=moment))
    leaf = lab_ca.issue_sti(spc="5678", now=moment).certificate.leaf
    await intermediates.above((leaf,))
    shop.add(lab_ca.issue_sti(spc="2345", now=moment))
    shop.watched.fails = True

    for _ in range(3):
        assert await intermediates.above((leaf,)) == (lab_ca.certificate,)

    assert caplog.text.count("cannot read the intermediates of the store: the disk is gone") == 1


async def test_a_store_that_hangs_is_not_waited_for_and_used_when_it_answers(
    shop: Shop,
    intermediates: OwnIntermediates,
    lab_ca: Authority,
    moment: datetime,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "READ_SECONDS", 0.01)
    gate, follow = threading.Event(), OwnIntermediates._follow

    def wait(self: OwnIntermediates, rows: object) -> object:
        assert gate.wait(10)
        return follow(self, rows)  # type: ignore[arg-type]

    monkeypatch.setattr(OwnIntermediates, "_follow", wait)
    shop.add(lab_ca.issue_sti(spc="1234", now=moment))
    leaf = lab_ca.issue_sti(spc="5678", now=moment).certificate.leaf

    assert await intermediates.above((leaf,)) == ()
    gate.set()
    reading = intermediates._reading
    assert reading is not None
    await reading
    assert await intermediates.above((leaf,)) == (lab_ca.certificate,)


async def test_no_more_than_a_path_can_use_are_added(
    shop: Shop, intermediates: OwnIntermediates, lab_ca: Authority, moment: datetime
) -> None:
    """One name, many certificates: a CA that renews its intermediate each month."""
    leaf = None
    for number in range(MAX_ABOVE + 3):
        made = lab_ca.intermediate("Renewed", now=moment + timedelta(seconds=number))
        issued = made.issue_sti(spc="1234", now=moment)
        shop.add(issued)
        leaf = issued.certificate.leaf
    assert leaf is not None

    assert len(await intermediates.above((leaf,))) == MAX_ABOVE
