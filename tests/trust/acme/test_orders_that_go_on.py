"""Orders that go on: taken up again, decided late, with another key, with another account."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.trust.acme.bench import HOUR, MASTER, Bench
from trust.acme.authority_client import AuthorityClient, PlacedOrder
from trust.acme.challenges import PublicationError, Publisher, TxtRecord
from trust.acme.fence import Fence
from trust.acme.means import Means
from trust.acme.order import State
from trust.acme.ordering import Ordering
from trust.acme.problems import AuthorityFailed, AuthorityRefused, Problem
from trust.acme.renewal import Demand
from trust.acme.runner import Run
from trust.acme.waiting import LONGEST_WAIT
from trust.store import acme_accounts, acme_orders, acme_revocations, certificates
from trust.store.acme_accounts import AccountState
from trust.store.acme_revocations import Pending


def test_an_order_with_a_certificate_that_is_taken_up_again_goes_on_with_it(bench: Bench) -> None:
    identity = bench.order("pbx.example.com")
    bench.run()
    certified = bench.stored(identity).certified
    with bench.database.recording() as connection:
        acme_orders.stop(connection, identity)
    bench.run()

    bench.order("pbx.example.com")
    bench.run()

    order = bench.stored(identity)
    assert (order.state, order.certified) == (State.ISSUED, certified)
    assert order.next_try is not None
    assert order.next_try > bench.now
    assert order.next_inquiry is not None


@dataclass
class ChangeOfMind:
    """A publisher that first cannot withdraw; then, while it does, something happens."""

    inner: Publisher
    meanwhile: Callable[[], object]
    is_down: bool = True

    def publish(self, records: Sequence[TxtRecord]) -> None:
        self.inner.publish(records)

    def await_propagation(self, records: Sequence[TxtRecord]) -> None:
        self.inner.await_propagation(records)

    def withdraw(self, records: Sequence[TxtRecord]) -> None:
        if self.is_down:
            raise PublicationError("the provider is down")
        self.inner.withdraw(records)
        self.meanwhile()


def test_an_order_that_is_wanted_again_while_it_is_stopped_goes_on(bench: Bench) -> None:
    identity = bench.order("*.mind.example")
    assert bench.publisher is not None
    bench.publisher = provider = ChangeOfMind(
        bench.publisher, lambda: bench.order("*.mind.example")
    )
    bench.run()
    with bench.database.recording() as connection:
        acme_orders.stop(connection, identity)

    provider.is_down = False
    bench.run()

    order = bench.stored(identity)
    assert order.managed
    assert order.state is State.ISSUED
    assert order.next_try is not None


def delete_certificate(bench: Bench, identity: str) -> None:
    """Delete the certificate of an order, as an administrator does."""
    certified = bench.stored(identity).certified
    assert certified is not None
    with bench.database.changing() as change:
        certificates.remove(change, certified.certificate)
        acme_orders.lose(change.connection, certified.certificate, now=bench.now)


def test_a_certificate_that_is_deleted_comes_again(bench: Bench) -> None:
    identity = bench.order("pbx.example.com")
    bench.run()
    former = bench.stored(identity).certified
    delete_certificate(bench, identity)

    bench.run()

    order = bench.stored(identity)
    assert (order.state, order.certified is None) == (State.ISSUED, False)
    assert order.certified != former
    assert bench.key_fits(identity)


def test_a_certificate_that_is_deleted_while_it_is_renewed_stays_deleted(bench: Bench) -> None:
    identity = bench.order("pbx.example.com")
    bench.run()
    with bench.database.recording() as connection:
        acme_orders.demand(connection, identity, Demand.REQUESTED, now=bench.now)

    bench.self_check = lambda **_: delete_certificate(bench, identity)
    bench.keeper.refusal = "the tenant is gone"
    bench.run()

    order = bench.stored(identity)
    assert (order.state, order.certified) == (State.FINALIZING, None)


def test_an_order_that_loses_its_certificate_while_it_is_stopped_has_none_then(
    bench: Bench,
) -> None:
    identity = bench.order("*.lost.example")
    assert bench.publisher is not None
    bench.publisher = provider = ChangeOfMind(
        bench.publisher, lambda: delete_certificate(bench, identity)
    )
    bench.run()
    with bench.database.recording() as connection:
        acme_orders.stop(connection, identity)

    provider.is_down = False
    bench.run()

    order = bench.stored(identity)
    assert (order.state, order.certified) == (State.STOPPED, None)


def test_a_certificate_that_the_authority_takes_its_time_for_is_waited_for_in_a_later_run(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = bench.order("slow.example.com")
    with monkeypatch.context() as patched:
        undecided = AuthorityFailed(Problem("undecided", "it takes its time"))

        def give_up(*_: object) -> PlacedOrder:
            raise undecided

        patched.setattr(Ordering, "_decided", give_up)
        bench.run()
    assert bench.stored(identity).state is State.FINALIZING
    (key,) = bench.keys_that_wait()

    looks = iter([True, True])
    real = AuthorityClient.order_at

    def still_processing(self: AuthorityClient, url: str) -> PlacedOrder:
        placed = real(self, url)
        if next(looks, False):
            return replace(placed, status="processing", certificate=None)
        return placed

    monkeypatch.setattr(AuthorityClient, "order_at", still_processing)
    bench.ahead = 2 * HOUR
    bench.run()

    assert bench.stored(identity).state is State.ISSUED
    assert spki_of(bench.leaf(identity)) == key
    assert bench.placed_orders() == ["valid"]


def spki_of(certificate: x509.Certificate) -> str:
    spki = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return sha256(spki).hexdigest()


def test_a_key_that_is_to_be_revoked_is_not_used_again(bench: Bench) -> None:
    identity = bench.order("pbx.example.com")
    bench.reconfigure(key_reuse=True)
    bench.run()
    before = bench.leaf(identity)
    certified = bench.stored(identity).certified
    assert certified is not None
    with bench.database.recording() as connection:
        chain = certificates.chain_pem(connection, certified.certificate) or ""
        pending = Pending(certified.certificate, identity, certified.directory, chain, 1)
        acme_revocations.add(connection, pending, now=bench.now)
        acme_orders.demand(connection, identity, Demand.REVOKED, now=bench.now)

    bench.run()

    assert bench.leaf(identity).public_key() != before.public_key()


def test_an_account_that_the_authority_has_lost_is_registered_anew(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = bench.order("first.example.com")
    with monkeypatch.context() as patched:
        lost = AuthorityRefused(Problem("accountDoesNotExist", "no such account", status=400))

        def refuse(*_: object, **__: object) -> PlacedOrder:
            raise lost

        patched.setattr(AuthorityClient, "place_order", refuse)
        bench.run()
    with bench.database.reading() as connection:
        account = acme_accounts.get(connection, MASTER, bench.pebble.directory)
    assert account is not None
    assert (account.url, account.state) == (None, AccountState.NEW)

    bench.settle()

    assert bench.stored(identity).state is State.ISSUED


def test_a_renewal_that_failed_is_left_alone_until_its_next_try(bench: Bench) -> None:
    identity = bench.order("pbx.example.com")
    bench.run()
    bench.pebble = replace(bench.pebble, roots="/dev/null")
    bench.ahead = 5 * 365 * 24 * HOUR

    assert bench.run() == Run(1, is_more_due=False)
    assert bench.stored(identity).state is State.FAILED

    assert bench.run() == Run(0, is_more_due=False)


def test_an_order_that_stays_pending_at_the_authority_is_waited_for_with_pauses(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its authorizations are valid; whether it is ready the authority has yet to see."""
    identity = bench.order("lag.example.com")
    real = AuthorityClient.order_at
    looks: list[str] = []

    def lag(self: AuthorityClient, url: str) -> PlacedOrder:
        placed = real(self, url)
        looks.append(placed.status)
        assert len(looks) < 100, "it is asked without end"
        return replace(placed, status="pending") if placed.status == "ready" else placed

    waits: list[float] = []
    equip = bench.equip

    def equip_patient(fence: Fence) -> Means | None:
        means = equip(fence)
        return None if means is None else replace(means, wait=waits.append)

    monkeypatch.setattr(bench, "equip", equip_patient)
    with monkeypatch.context() as patched:
        patched.setattr(AuthorityClient, "order_at", lag)
        bench.run()

    order = bench.stored(identity)
    assert order.state is State.AUTHORIZING
    assert order.failures is not None
    assert order.failures.problem.type == "undecided"
    assert sum(waits) >= LONGEST_WAIT

    monkeypatch.undo()
    bench.settle()
    assert bench.stored(identity).state is State.ISSUED
    assert bench.placed_orders() == ["valid"]
