"""Certificates that their authority has revoked are to be replaced at once."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from cryptography import x509

from shaken import revoked as module
from shaken.addresses import FetchSettings
from shaken.audit import SYSTEM
from shaken.importing import Upload, import_certificate
from shaken.renewing import plan_of
from shaken.revoked import Revoked, list_fetcher
from shaken.store import HISTORY as SERVICE_HISTORY
from shaken.store.audit import AuditFilter, find_entries
from shaken.x5u.exchange import FetchError, Reason
from tests.lab_crl import issue_crl
from trust.acme.order import Certified, Order, State, new_order
from trust.acme.renewal import Demand
from trust.authority import Authority
from trust.certificate import CertificateKind, Source
from trust.crl import CrlIndex, Revocation
from trust.keys import MasterKey, private_key_pem
from trust.request import KeyType, Subject, new_key, tls_request
from trust.store import acme_orders
from trust.store.database import HISTORY as TRUST_HISTORY
from trust.store.database import Database

URL, OTHER_URL = "http://crl.example.net/1.crl", "http://crl.example.net/2.crl"
DAY = timedelta(days=1)
NOW = datetime.now(UTC).replace(microsecond=0)


@dataclass
class Ward:
    """A store with certificates of an authority, its published lists, and a clock."""

    database: Database
    master: MasterKey
    authority: Authority
    lists: dict[str, bytes] = field(default_factory=dict)
    fetched: list[str] = field(default_factory=list)
    now: datetime = NOW

    def fetch(self, url: str) -> CrlIndex:
        """Give the list of a URL."""
        self.fetched.append(url)
        if url not in self.lists:
            raise FetchError(Reason.STATUS, "status 404", status=404)
        return CrlIndex.read(self.lists[url])

    def issue(self, name: str, *, url: str | None) -> tuple[Order, x509.Certificate]:
        """Have a certificate, in service since an order was settled, that names a list."""
        key = new_key(KeyType.P256)
        request = x509.load_pem_x509_csr(tls_request(key, [name], Subject()).pem.encode())
        extensions = [each.value for each in request.extensions]
        if url is not None:
            full = [x509.UniformResourceIdentifier(url)]
            point = x509.DistributionPoint(full, None, None, None)
            extensions.append(x509.CRLDistributionPoints([point]))
        issued = self.authority.certify(request, now=NOW, instead=extensions)
        upload = Upload(
            kind=CertificateKind.SYSTEM,
            certificate=issued.pem(),
            private_key=private_key_pem(key),
            source=Source.ACME,
        )
        import_certificate(
            self.database,
            self.master,
            upload,
            actor=SYSTEM,
            now=int(NOW.timestamp()),
            lab=False,
        )
        ends = int(issued.not_after.timestamp())
        certified = Certified(issued.fingerprint, "https://ca", int(NOW.timestamp()), ends)
        made = new_order(CertificateKind.SYSTEM, (name,), tenant=None, now=0)
        order = replace(made, state=State.ISSUED, certified=certified, next_try=ends)
        with self.database.recording() as connection:
            acme_orders.add(connection, order)
        return order, issued.leaf

    def publish(self, *leaves: x509.Certificate, url: str = URL) -> None:
        """Publish a list."""
        self.lists[url] = issue_crl(self.authority, leaves, now=self.now)

    def examination(self) -> Revoked:
        """Make what is tested."""
        return Revoked(
            self.database,
            fetch=self.fetch,
            roots=lambda: self.authority.root_pem,
            interval=DAY,
            clock=lambda: self.now,
        )

    def demand(self, order: Order) -> Demand | None:
        """Return what is demanded of an order."""
        with self.database.reading() as connection:
            found = acme_orders.get(connection, order.id)
        assert found is not None
        return found.demand


def run(revoked: Revoked) -> int:
    """Make all steps that are due; return how many."""
    steps = 0
    while revoked.is_due():
        revoked.step()
        steps += 1
    return steps


@pytest.fixture(params=["by an intermediate", "by the root"])
def ward(request: pytest.FixtureRequest, tmp_path: Path, master: MasterKey) -> Iterator[Ward]:
    """An empty store, and an authority."""
    database = Database(f"sqlite:///{tmp_path}/shaken.sqlite")
    database.migrate([TRUST_HISTORY, SERVICE_HISTORY])
    root = Authority.create("CA", now=NOW)
    is_root = request.param == "by the root"
    yield Ward(database, master, root if is_root else root.intermediate("Below", now=NOW))
    database.close()


def test_a_certificate_that_was_revoked_is_due_at_once_and_others_are_not(
    ward: Ward, caplog: pytest.LogCaptureFixture
) -> None:
    bad, leaf = ward.issue("bad.example.com", url=URL)
    good, _ = ward.issue("good.example.com", url=URL)
    ward.publish(leaf)

    run(ward.examination())

    assert (ward.demand(bad), ward.demand(good)) == (Demand.REVOKED, None)
    with ward.database.reading() as connection:
        (due,) = acme_orders.due(connection, now=int(ward.now.timestamp()), limit=9)
        (entry,) = find_entries(connection, AuditFilter(action="order.renew"), before=None, limit=9)
    assert due.id == bad.id
    assert plan_of(due, now=ward.now).is_due
    assert (entry.actor, entry.subject) == ("system", bad.id)
    assert "bad.example.com was revoked" in caplog.text


def test_a_certificate_whose_renewal_failed_is_looked_at_too(ward: Ward) -> None:
    order, leaf = ward.issue("failed.example.com", url=URL)
    with ward.database.recording() as connection:
        acme_orders.save(connection, replace(order, state=State.FAILED))
    ward.publish(leaf)

    run(ward.examination())

    assert ward.demand(order) is Demand.REVOKED


def test_lists_are_looked_at_again_after_a_clock_that_was_ahead(ward: Ward) -> None:
    ward.now += 3650 * DAY
    revoked = ward.examination()
    run(revoked)

    ward.now -= 3650 * DAY

    assert revoked.is_due()


def test_a_list_is_fetched_once_for_all_its_certificates_and_again_the_next_day(
    ward: Ward,
) -> None:
    for number in range(3):
        ward.issue(f"pbx{number}.example.com", url=URL)
    ward.issue("other.example.com", url=OTHER_URL)
    ward.issue("none.example.com", url=None)
    ward.publish()
    revoked = ward.examination()

    run(revoked)
    assert sorted(ward.fetched) == [URL, OTHER_URL]

    ward.now += DAY - timedelta(seconds=1)
    assert not revoked.is_due()
    ward.now += timedelta(seconds=1)
    run(revoked)
    assert sorted(ward.fetched) == [URL, URL, OTHER_URL, OTHER_URL]


def test_certificates_are_read_some_at_a_time(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAGE", 2)
    orders = [ward.issue(f"pbx{number}.example.com", url=URL) for number in range(4)]
    ward.publish(*(leaf for _, leaf in orders))

    steps = run(ward.examination())

    assert steps == 4  # three pages, of which the last is empty, and the list
    assert {ward.demand(order) for order, _ in orders} == {Demand.REVOKED}


def test_no_more_lists_are_fetched_than_is_good(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_LISTS", 1)
    ward.issue("one.example.com", url=URL)
    ward.issue("two.example.com", url=OTHER_URL)

    run(ward.examination())

    assert len(ward.fetched) == 1


def test_a_certificate_that_was_replaced_meanwhile_is_not_due(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    order, _ = ward.issue("pbx.example.com", url=URL)
    ward.publish()

    def find(*_: object, **__: object) -> Revocation:
        assert order.certified is not None
        renewed = replace(order, certified=replace(order.certified, certificate="another"))
        with ward.database.recording() as connection:
            acme_orders.save(connection, renewed)
        return Revocation(NOW, "keyCompromise")

    monkeypatch.setattr(module, "find_revocation", find)

    run(ward.examination())

    assert ward.demand(order) is None


def test_a_list_by_somebody_else_revokes_nothing(ward: Ward) -> None:
    order, leaf = ward.issue("pbx.example.com", url=URL)
    impostor = Authority.create("CA", now=NOW)
    ward.lists[URL] = issue_crl(impostor, [leaf], now=NOW)

    run(ward.examination())

    assert ward.demand(order) is None


def test_a_list_that_cannot_be_had_or_is_late_revokes_nothing(ward: Ward) -> None:
    order, leaf = ward.issue("pbx.example.com", url=URL)
    late, late_leaf = ward.issue("late.example.com", url=OTHER_URL)
    ward.lists[OTHER_URL] = issue_crl(ward.authority, [leaf, late_leaf], now=NOW - 5 * DAY)

    run(ward.examination())

    assert sorted(ward.fetched) == [URL, OTHER_URL]
    assert (ward.demand(order), ward.demand(late)) == (None, None)


def test_what_is_not_managed_or_to_be_replaced_anyway_is_not_looked_at(ward: Ward) -> None:
    stopped, _ = ward.issue("stopped.example.com", url=URL)
    asked, _ = ward.issue("asked.example.com", url=URL)
    with ward.database.recording() as connection:
        acme_orders.stop(connection, stopped.id)
        acme_orders.demand(connection, asked.id, Demand.REQUESTED, now=0)

    run(ward.examination())

    assert ward.fetched == []


@contextmanager
def serving(body: bytes) -> Iterator[str]:
    """Serve a list on loopback; give its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/1.crl"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_lists_are_fetched_under_the_rules_of_all_fetching() -> None:
    authority = Authority.create("CA", now=NOW)
    lab = FetchSettings(allow_any_port=True, allow_private=True)
    with serving(issue_crl(authority, [], now=NOW)) as url:
        found = list_fetcher(lab, roots=lambda: "", agent="test")(url)
        with pytest.raises(FetchError) as refused:
            list_fetcher(FetchSettings(), roots=lambda: "", agent="test")(url)

    assert found.crl.issuer == authority.certificate.subject
    assert refused.value.reason in {Reason.URL, Reason.REFUSED_ADDRESS}


def test_what_is_no_list_is_refused() -> None:
    lab = FetchSettings(allow_any_port=True, allow_private=True)
    with serving(b"no list") as url, pytest.raises(FetchError) as refused:
        list_fetcher(lab, roots=lambda: "", agent="test")(url)

    assert refused.value.reason is Reason.NOT_A_CRL
