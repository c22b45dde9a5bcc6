"""A store with settings, from which orders are moved as a worker does it."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import sleep

from cryptography import x509

from tests.trust.acme.pebble import ChallengeDns, Pebble
from trust.acme import order as orders
from trust.acme.account import Accounts
from trust.acme.challenges import Publisher
from trust.acme.delivery import Delivery, NotKept
from trust.acme.events import Event
from trust.acme.fence import Busy, Fence, alone
from trust.acme.means import CaaCheck, Means, SelfCheck
from trust.acme.order import Order
from trust.acme.runner import Run, run_due
from trust.acme.settings import AcmeSettings
from trust.acme.waiting import LONGEST_PAUSE
from trust.certificate import CertificateKind, Source
from trust.chain import assemble
from trust.keys import MASTER_KEY_BYTES, MasterKey, seal_private_key, unseal_private_key
from trust.pem import read_pem
from trust.store import acme_orders, acme_settings, acme_tokens, certificates, master_key, requests
from trust.store.certificates import StoredCertificate
from trust.store.database import HISTORY, Change, Database

MASTER = MasterKey(bytes(MASTER_KEY_BYTES))
HOUR = timedelta(hours=1)


PAUSE_SECONDS = 0.2
"""How long most looks at the authority are apart, however long they should be."""


def _wait(seconds: float) -> None:
    """Hurry, but for what has taken many looks: on a busy machine the authority is slow, too."""
    sleep(3.0 if seconds >= LONGEST_PAUSE else min(seconds, PAUSE_SECONDS))


class Keeper:
    """Stores certificates as the service does; refuses them when a test says why."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.refusal: str | None = None

    def keep(self, delivery: Delivery, *, settle: Callable[[Change, str], None]) -> None:
        if self.refusal is not None:
            raise NotKept(self.refusal)
        assembled = assemble(read_pem(delivery.chain, passphrase=None, field="certificate"))
        certificate = assembled.certificate
        with self.database.changing() as change:
            request = requests.get(change.connection, certificate.spki_sha256)
            assert request is not None
            key = requests.open_key(MASTER, request)
            row = StoredCertificate(
                id=certificate.fingerprint,
                kind=delivery.kind,
                names=tuple(certificate.names),
                subject=certificate.subject,
                issuer=certificate.issuer,
                serial=certificate.serial,
                not_before=int(certificate.not_before.timestamp()),
                not_after=int(certificate.not_after.timestamp()),
                tenant=delivery.tenant,
                tn_auth_list=None,
                x5u=None,
                source=Source.ACME,
                sealed_key=seal_private_key(MASTER, key, record=certificate.fingerprint),
                stored_at=0,
            )
            certificates.add(change, row, chain=delivery.chain)
            requests.remove(change, request.id)
            settle(change, certificate.fingerprint)


class Schedule:
    """Renews at two thirds of the lifetime; tries again an hour after a failure."""

    def next_try(self, order: Order, *, now: datetime) -> datetime:
        if order.failures is not None:
            asked = order.failures.problem.retry_after
            return max(orders.moment(order.failures.last) + HOUR, asked or now)
        if order.certified is None or order.demand is not None:
            return now
        if order.window is not None:
            return orders.moment(order.window.start)
        begin, end = map(orders.moment, (order.certified.not_before, order.certified.not_after))
        return begin + (end - begin) * 2 / 3

    def next_inquiry(
        self, order: Order, *, now: datetime, retry_after: datetime | None
    ) -> datetime | None:
        del order
        return retry_after or now + 6 * HOUR


@dataclass
class Bench:
    """A store and what moves its orders; `ahead` is how far its clock is before the world's."""

    database: Database
    pebble: Pebble
    keeper: Keeper
    publisher: Publisher | None = None
    self_check: SelfCheck | None = None
    caa_check: CaaCheck | None = None
    ahead: timedelta = timedelta(0)
    events: list[Event] = field(default_factory=list)
    holders: Iterator[int] = field(default_factory=itertools.count)

    def clock(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    @property
    def now(self) -> int:
        return int(self.clock().timestamp())

    def equip(self, fence: Fence) -> Means | None:
        with self.database.reading() as connection:
            settings = acme_settings.load(connection, MASTER)
        if settings is None:
            return None
        return Means(
            fence=fence,
            keys=MASTER,
            settings=settings,
            roots=self.pebble.roots_file.read_text,
            certificates=self.keeper,
            schedule=Schedule(),
            clock=self.clock,
            wait=_wait,
            publisher=self.publisher,
            self_check=self.self_check,
            caa_check=self.caa_check,
        )

    def run(self) -> Run | None:
        """Move all that is due; None: another worker is at work."""
        holder = f"worker {next(self.holders)}"
        try:
            with alone(self.database, holder=holder, clock=self.clock) as fence:
                return run_due(fence, equip=self.equip, report=self.events.append)
        except Busy:
            return None

    def settle(self, *, rounds: int = 20) -> None:
        """Run, an hour later each time, until nothing is under way or to be tried again."""
        for _ in range(rounds):
            self.run()
            if not any(order.failures for order in self.orders()):
                return
            self.ahead += 2 * HOUR
        msg = f"orders still fail: {[order.failures for order in self.orders()]}"
        raise AssertionError(msg)

    def configure(self, settings: AcmeSettings) -> None:
        with self.database.changing() as change:
            acme_settings.save(change, MASTER, settings)

    def reconfigure(self, **changes: object) -> None:
        self.configure(replace(self.settings, **changes))  # type: ignore[arg-type]

    @property
    def settings(self) -> AcmeSettings:
        with self.database.reading() as connection:
            settings = acme_settings.load(connection, MASTER)
        assert settings is not None
        return settings

    def order(self, *names: str, kind: CertificateKind = CertificateKind.DOMAIN) -> str:
        """Add a standing order; return its id."""
        made = orders.new_order(kind, names, tenant=None, now=self.now)
        with self.database.recording() as connection:
            acme_orders.add(connection, made)
        return made.id

    def stored(self, identity: str) -> Order:
        with self.database.reading() as connection:
            found = acme_orders.get(connection, identity)
        assert found is not None
        return found

    def orders(self) -> list[Order]:
        everything = acme_orders.Filter()
        with self.database.reading() as connection:
            return [*acme_orders.find(connection, everything, after="", limit=1000)]

    def leaf(self, identity: str) -> x509.Certificate:
        """Return the certificate in service of an order."""
        return self.chain(identity)[0]

    def chain(self, identity: str) -> list[x509.Certificate]:
        certified = self.stored(identity).certified
        assert certified is not None
        with self.database.reading() as connection:
            pem = certificates.chain_pem(connection, certified.certificate)
        assert pem is not None
        return x509.load_pem_x509_certificates(pem.encode())

    def placed_orders(self) -> list[str]:
        """Ask the authority how each order stands that it has of the account."""
        with self.accounts() as accounts, accounts.existing(self.pebble.directory) as session:
            listed = session.client._post(session.account, None).json()["orders"]
            urls = session.client._post(listed, None).json()["orders"]
            return [session.client.order_at(url).status for url in urls]

    def key_fits(self, identity: str) -> bool:
        """Say whether the stored key is that of the certificate in service."""
        certified = self.stored(identity).certified
        assert certified is not None
        with self.database.reading() as connection:
            row = certificates.get(connection, certified.certificate)
        assert row is not None
        assert row.sealed_key is not None
        key = unseal_private_key(MASTER, row.sealed_key, record=row.id)
        return key.public_key() == self.leaf(identity).public_key()

    def waiting_keys(self) -> int:
        return len(self.keys_that_wait())

    def keys_that_wait(self) -> list[str]:
        """Return the keys that wait for certificates, by the SHA-256 of each (SPKI)."""
        with self.database.reading() as connection:
            found = requests.find(connection, requests.Filter(), after=0, limit=1000)
        return [each.id for each in found]

    def answer(self, token: str) -> str | None:
        """Answer http-01 as a worker does."""
        with self.database.reading() as connection:
            return acme_tokens.find(connection, token, now=self.now)

    @contextmanager
    def accounts(self) -> Iterator[Accounts]:
        with alone(self.database, holder="admin", clock=self.clock) as fence:
            yield Accounts(fence, MASTER, self.pebble.roots_file.read_text, self.clock)


def open_bench(folder: Path, pebble: Pebble) -> Bench:
    """Open the store in a folder; make it where there is none."""
    database = Database(f"sqlite:///{folder}/store.sqlite")
    database.migrate([HISTORY])
    bench = Bench(database, pebble, Keeper(database), publisher=ChallengeDns(pebble.dns))
    pebble.responder.look_up = bench.answer
    if not master_key.is_bound(database):
        with database.changing() as change:
            master_key.bind(change, MASTER)
    with database.reading() as connection:
        known = acme_settings.load(connection, MASTER)
    if known is None:
        bench.configure(
            AcmeSettings(pebble.directory, contact=("admin@example.com",), terms_agreed=True)
        )
    return bench
