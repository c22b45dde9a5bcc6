"""Orders at a real authority: http-01 and dns-01, renewal, stopping, many at once."""

from collections.abc import Sequence
from datetime import timedelta
from random import Random

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tests.trust.acme.bench import Bench
from trust.acme.challenges import PublicationError, TxtRecord
from trust.acme.events import Event, Failed, Issued, LeftBehind, Renewed, Stopped
from trust.acme.order import State, new_order
from trust.acme.renewal import Demand
from trust.certificate import CertificateKind
from trust.request import KeyType
from trust.store import acme_orders, acme_settings, certificates

YEARS = timedelta(days=5 * 365)
"""More than two thirds of what Pebble's certificates live."""


def names_of(certificate: x509.Certificate) -> set[str]:
    extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return {*extension.value.get_values_for_type(x509.DNSName)}


def kinds(events: list[Event]) -> list[type]:
    return [type(event) for event in events]


def test_a_certificate_comes_by_http(bench: Bench) -> None:
    identity = bench.order("pbx.example.com", "sip.example.com")

    bench.run()

    order = bench.stored(identity)
    assert order.state is State.ISSUED
    assert names_of(bench.leaf(identity)) == {"pbx.example.com", "sip.example.com"}
    assert bench.key_fits(identity)
    assert kinds(bench.events) == [Issued]
    assert bench.waiting_keys() == 0
    assert order.next_try is not None
    assert order.next_try > bench.now


def test_tokens_are_gone_when_the_names_are_proven(bench: Bench) -> None:
    bench.order("tokens.example.com")

    bench.run()

    tokens = [path.rpartition("/")[2] for path in bench.pebble.responder.asked]
    assert tokens
    assert {bench.answer(token) for token in tokens} == {None}


def test_a_wildcard_comes_by_dns_and_leaves_no_record(bench: Bench) -> None:
    identity = bench.order("*.example.org", "example.org", kind=CertificateKind.SYSTEM)
    bench.reconfigure(dns_names=("example.org",))

    bench.run()

    assert names_of(bench.leaf(identity)) == {"*.example.org", "example.org"}
    assert bench.pebble.texts("_acme-challenge.example.org") == set()
    assert bench.stored(identity).records == ()


def test_a_wildcard_without_a_publisher_says_so_before_anything_is_ordered(bench: Bench) -> None:
    identity = bench.order("*.example.org")
    bench.publisher = None

    bench.run()

    assert bench.stored(identity).state is State.FAILED
    failed = bench.events[-1]
    assert isinstance(failed, Failed)
    assert "*.example.org is proven by dns-01" in failed.problem.words
    assert bench.placed_orders() == []


class NoWithdrawal:
    """A DNS provider that adds records, and then is down."""

    def __init__(self, bench: Bench) -> None:
        self.inner = bench.publisher
        self.is_down = True

    def publish(self, records: Sequence[TxtRecord]) -> None:
        assert self.inner is not None
        self.inner.publish(records)

    def await_propagation(self, records: Sequence[TxtRecord]) -> None:
        assert self.inner is not None
        self.inner.await_propagation(records)

    def withdraw(self, records: Sequence[TxtRecord]) -> None:
        assert self.inner is not None
        if self.is_down:
            raise PublicationError("the provider is down")
        self.inner.withdraw(records)


def test_records_that_cannot_be_withdrawn_are_withdrawn_later(bench: Bench) -> None:
    identity = bench.order("*.left.example")
    bench.publisher = provider = NoWithdrawal(bench)

    bench.run()
    assert bench.stored(identity).state is State.ISSUED
    assert kinds(bench.events) == [Issued, LeftBehind]
    assert bench.events[-1] == LeftBehind(bench.stored(identity), "the provider is down")
    assert bench.pebble.texts("_acme-challenge.left.example") != set()

    provider.is_down = False
    bench.run()
    assert bench.stored(identity).records != ()  # a provider that is down is left alone a while
    bench.ahead = timedelta(hours=1, minutes=1)
    bench.run()
    assert bench.stored(identity).records == ()
    assert bench.pebble.texts("_acme-challenge.left.example") == set()


def test_records_of_a_name_that_was_refused_are_withdrawn(bench: Bench) -> None:
    identity = bench.order("*.example.org", "refused.example.com")
    bench.pebble.responder.look_up = lambda _: None

    bench.run()

    assert bench.stored(identity).state is State.FAILED
    assert bench.pebble.texts("_acme-challenge.example.org") == set()
    assert bench.stored(identity).records == ()


def test_a_renewal_has_a_new_key_and_takes_the_place_of_the_former(bench: Bench) -> None:
    identity = bench.order("pbx.example.com")
    bench.run()
    before = bench.leaf(identity)

    bench.ahead = YEARS
    bench.run()

    after = bench.leaf(identity)
    assert after.serial_number != before.serial_number
    assert after.public_key() != before.public_key()
    assert bench.key_fits(identity)
    assert kinds(bench.events) == [Issued, Renewed]


def test_a_renewal_keeps_the_key_when_that_is_wanted(bench: Bench) -> None:
    identity = bench.order("pbx.example.com")
    bench.run()
    before = bench.leaf(identity)
    bench.reconfigure(key_reuse=True)

    bench.ahead = YEARS
    bench.run()

    after = bench.leaf(identity)
    assert after.serial_number != before.serial_number
    assert after.public_key() == before.public_key()
    assert bench.key_fits(identity)


def test_nothing_is_done_before_it_is_time(bench: Bench) -> None:
    bench.order("pbx.example.com")
    bench.run()

    bench.run()

    assert kinds(bench.events) == [Issued]
    assert bench.placed_orders() == ["valid"]


def test_an_administrator_renews_now(bench: Bench) -> None:
    identity = bench.order("pbx.example.com")
    bench.run()

    with bench.database.recording() as connection:
        assert acme_orders.demand(connection, identity, Demand.REQUESTED, now=bench.now)
    bench.run()

    assert kinds(bench.events) == [Issued, Renewed]
    assert bench.stored(identity).demand is None


@pytest.mark.parametrize(
    ("key_type", "expected"),
    [
        (KeyType.P256, ("EC", 256)),
        (KeyType.P384, ("EC", 384)),
        (KeyType.RSA_2048, ("RS", 2048)),
        (KeyType.RSA_4096, ("RS", 4096)),
    ],
)
def test_the_key_is_of_the_type_of_the_settings(
    key_type: KeyType, expected: tuple[str, int], bench: Bench
) -> None:
    identity = bench.order("pbx.example.com")
    bench.reconfigure(key_type=key_type)

    bench.run()

    key = bench.leaf(identity).public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey)
    kind = "EC" if isinstance(key, ec.EllipticCurvePublicKey) else "RS"
    assert (kind, key.key_size) == expected


def test_an_order_that_is_stopped_is_not_renewed(bench: Bench) -> None:
    identity = bench.order("pbx.example.com")
    bench.run()
    with bench.database.recording() as connection:
        assert acme_orders.stop(connection, identity)
    bench.run()
    bench.ahead = YEARS
    bench.run()

    order = bench.stored(identity)
    assert order.state is State.STOPPED
    assert order.certified is not None
    assert kinds(bench.events) == [Issued, Stopped]


def test_an_order_is_stopped_while_names_are_proven(bench: Bench) -> None:
    identity = bench.order("pbx.example.com", "*.stopped.example")
    bench.self_check = lambda **_: "not yet"
    bench.run()
    assert bench.pebble.texts("_acme-challenge.stopped.example") != set()

    with bench.database.recording() as connection:
        acme_orders.stop(connection, identity)
    bench.run()

    assert bench.stored(identity).state is State.STOPPED
    assert bench.pebble.texts("_acme-challenge.stopped.example") == set()
    assert bench.waiting_keys() == 0


def test_an_order_that_was_stopped_is_taken_up_again(bench: Bench) -> None:
    identity = bench.order("pbx.example.com")
    with bench.database.recording() as connection:
        acme_orders.stop(connection, identity)
    bench.run()

    assert bench.order("pbx.example.com") == identity
    bench.run()

    assert bench.stored(identity).state is State.ISSUED


def test_the_chain_is_the_preferred_one(bench: Bench) -> None:
    identity = bench.order("pbx.example.com")
    roots = [x509.load_pem_x509_certificate(bench.pebble.root(n).encode()) for n in range(3)]
    wanted = roots[2].subject
    [name] = wanted.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    bench.reconfigure(preferred_chain=str(name.value))

    bench.run()

    chain = bench.chain(identity)
    assert chain[-1].issuer == wanted
    assert len(chain) == 3


def test_the_chain_is_the_authoritys_when_no_other_is_preferred(bench: Bench) -> None:
    identity = bench.order("pbx.example.com")
    bench.reconfigure(preferred_chain="nobody")

    bench.run()

    root = x509.load_pem_x509_certificate(bench.pebble.root().encode())
    assert bench.chain(identity)[-1].issuer == root.subject


def test_many_orders_all_end_with_certificates(bench: Bench) -> None:
    random = Random(8555)  # noqa: S311 - no secret
    for number in range(30):
        names = [f"pbx{number}.example.com", f"*.dns{number}.example.com"]
        bench.order(*names[: 1 + number % 2], f"sip{number}.example.com")
    bench.pebble.responder.look_up = lambda token: (
        None if random.random() < 0.05 else bench.answer(token)
    )

    bench.settle()

    found = bench.orders()
    assert len(found) == 30
    assert {order.state for order in found} == {State.ISSUED}
    assert all(bench.key_fits(order.id) for order in found)
    assert any(isinstance(event, Failed) for event in bench.events)
    assert bench.placed_orders().count("valid") == 30


def test_without_settings_nothing_happens(bench: Bench) -> None:
    bench.order("pbx.example.com")
    with bench.database.changing() as change:
        acme_settings.remove(change)

    run = bench.run()

    assert run is not None
    assert run.orders == 0


def test_an_order_needs_host_names() -> None:
    for kind, names in ((CertificateKind.DOMAIN, ()), (CertificateKind.STI, ("pbx.example.com",))):
        with pytest.raises(ValueError, match="host names"):
            new_order(kind, names, tenant=None, now=0)


def test_the_order_of_a_certificate_is_found(bench: Bench) -> None:
    identity = bench.order("pbx.example.com")
    bench.run()
    certified = bench.stored(identity).certified
    assert certified is not None

    with bench.database.reading() as connection:
        found = acme_orders.for_certificate(connection, certified.certificate)
        assert certificates.get(connection, certified.certificate) is not None

    assert found is not None
    assert found.id == identity


def test_when_a_certificate_came_is_kept_by_our_own_clock(bench: Bench) -> None:
    identity = bench.order("pbx.example.com")
    bench.ahead = YEARS

    bench.run()

    certified = bench.stored(identity).certified
    assert certified is not None
    assert certified.obtained_at is not None
    assert bench.now - 60 <= certified.obtained_at <= bench.now
