"""How the service obtains certificates: the schedule of an order, keeping, the self-check."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from ipaddress import ip_address
from typing import Any

import pytest

from shaken.audit import SYSTEM
from shaken.importing import Upload, import_certificate
from shaken.renewing import Keeper, Schedule, caa_check, plan_of, self_check
from shaken.store.tenants import add_tenant
from shaken.tenants import Tenant
from trust.acme.delivery import Delivery, NotKept
from trust.acme.lookup import Address, CaaRecord, DnsResolver, LookupFailed
from trust.acme.order import Certified, Failures, Order, State, Window, moment, new_order
from trust.acme.problems import Problem
from trust.acme.renewal import Cause, Demand, Urgency
from trust.acme.settings import DIRECTORIES, AcmeSettings
from trust.authority import Authority
from trust.certificate import CertificateKind
from trust.keys import MasterKey, private_key_pem
from trust.request import KeyType, Subject, new_key, tls_request
from trust.selection import Fallback
from trust.store.database import Change, Database

NAME = "pbx.example.com"
START = 1_800_000_000
DAY = 24 * 3600
NOW = moment(START)


def an_order(**more: Any) -> Order:
    """Return an order whose certificate lasts 90 days from `START`."""
    order = new_order(CertificateKind.DOMAIN, (NAME,), tenant=NAME, now=START)
    certified = Certified("c", "https://ca.example.net", START, START + 90 * DAY)
    return replace(order, state=State.ISSUED, certified=certified, **more)


def test_an_order_without_a_certificate_is_tried_now() -> None:
    planned = plan_of(replace(an_order(), certified=None), now=NOW)

    assert (planned.cause, planned.is_due) == (Cause.MISSING, True)


def test_a_certificate_is_renewed_a_third_of_its_life_before_its_end_or_sooner() -> None:
    planned = plan_of(an_order(), now=NOW)

    assert planned.cause is Cause.LIFETIME
    assert timedelta(days=51) <= planned.next_try - NOW <= timedelta(days=60)
    assert Schedule().next_try(an_order(), now=NOW) == planned.next_try


def test_the_suggested_window_of_the_authority_decides() -> None:
    window = Window(START + 10 * DAY, START + 11 * DAY)

    planned = plan_of(an_order(window=window), now=NOW)

    assert planned.cause is Cause.RENEWAL_INFORMATION
    assert timedelta(days=10) <= planned.next_try - NOW <= timedelta(days=11)


def test_a_certificate_that_is_due_as_it_comes_is_not_ordered_again_at_once() -> None:
    came = START + 70 * DAY
    certified = Certified("c", "https://ca.example.net", START, START + 90 * DAY, obtained_at=came)

    planned = plan_of(replace(an_order(), certified=certified), now=moment(came))

    assert planned.next_try == moment(came + DAY)


def test_a_window_that_ends_before_it_starts_counts_as_no_answer() -> None:
    window = Window(START + 11 * DAY, START + 10 * DAY)

    assert plan_of(an_order(window=window), now=NOW) == plan_of(an_order(), now=NOW)


def test_what_the_authority_asks_to_wait_is_waited_though_an_administrator_asks() -> None:
    until = NOW + timedelta(hours=5)
    failures = Failures(1, START, Problem("rateLimited", "slowly", retry_after=until))

    planned = plan_of(an_order(failures=failures, demand=Demand.REQUESTED), now=NOW)

    assert planned.urgency is Urgency.RETRYING
    assert until <= planned.next_try <= until + timedelta(hours=1)


@pytest.mark.parametrize(
    ("asked", "after"),
    [
        (None, timedelta(hours=6)),
        (NOW + timedelta(hours=2), timedelta(hours=2)),
        (NOW - timedelta(hours=2), timedelta(minutes=1)),
        (NOW + timedelta(days=30), timedelta(days=1)),
    ],
)
def test_renewal_information_is_asked_for_again_when_the_authority_says(
    asked: datetime | None, after: timedelta
) -> None:
    assert Schedule().next_inquiry(an_order(), now=NOW, retry_after=asked) == NOW + after


def test_renewal_information_is_not_asked_for_what_is_not_there_or_has_expired() -> None:
    schedule, later = Schedule(), NOW + timedelta(days=91)

    missing = replace(an_order(), certified=None)

    assert schedule.next_inquiry(missing, now=NOW, retry_after=None) is None
    assert schedule.next_inquiry(an_order(), now=later, retry_after=None) is None


def resolving(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Let each name have these addresses; without any, it cannot be looked up."""

    def look_up(_: object, name: str) -> tuple[Address, ...]:
        if not addresses:
            raise LookupFailed(f"{name} cannot be looked up")
        return tuple(map(ip_address, addresses))

    monkeypatch.setattr(DnsResolver, "addresses", look_up)


PRIVATE, PUBLIC = ip_address("10.1.2.3"), ip_address("8.8.8.8")


@pytest.mark.parametrize("directory", DIRECTORIES.values())
def test_for_a_known_public_authority_private_addresses_are_not_connected_to(
    directory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolving(monkeypatch)

    vantage = self_check(AcmeSettings(directory), nameservers=(), http_port=80).vantage

    assert (vantage.reaches(PRIVATE), vantage.reaches(PUBLIC)) == (False, True)
    assert vantage.issuer.domains == {"letsencrypt.org"}


@pytest.mark.parametrize("addresses", [["8.8.8.8"], ["8.8.8.8", "2001:4860:4860::8888"]])
def test_any_other_authority_is_public_when_all_of_its_addresses_are(
    addresses: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    resolving(monkeypatch, *addresses)

    check = self_check(AcmeSettings("https://ca.example.net/d"), nameservers=(), http_port=80)

    assert not check.vantage.reaches(PRIVATE)


@pytest.mark.parametrize("addresses", [["8.8.8.8", "10.0.0.1"], ["10.0.0.1"], []])
def test_an_internal_authority_may_look_at_private_addresses(
    addresses: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    resolving(monkeypatch, *addresses)

    check = self_check(AcmeSettings("https://ca.example.net/d"), nameservers=(), http_port=8080)

    assert check.vantage.reaches(PRIVATE)
    assert check.vantage.http_port == 8080


def test_the_check_says_what_is_wrong_with_a_private_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    resolving(monkeypatch, "10.1.2.3")
    monkeypatch.setattr(DnsResolver, "caa", lambda *_: ())
    check = self_check(AcmeSettings(DIRECTORIES["letsencrypt"]), nameservers=(), http_port=80)

    said = check(name=NAME, token="t" * 20, key_authorization="t.k")

    assert said is not None
    assert "10.1.2.3" in said


WILD = CaaRecord(0, "issuewild", "ca.example.net")
PLAIN = CaaRecord(0, "issue", "letsencrypt.org; validationmethods=dns-01")


@pytest.mark.parametrize(
    ("name", "records", "said"),
    [
        ("*.example.com", (WILD, PLAIN), '0 issuewild "letsencrypt.org" to example.com'),
        ("example.com", (WILD, PLAIN), None),
        ("*.example.com", (PLAIN,), None),
        ("example.com", (CaaRecord(0, "issue", ";"),), '0 issue "letsencrypt.org"'),
        ("example.com", (), None),
    ],
)
def test_caa_records_are_looked_at_for_names_that_dns_proves(
    name: str, records: tuple[CaaRecord, ...], said: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        DnsResolver, "caa", lambda _, domain: records if domain == "example.com" else ()
    )
    check = caa_check(AcmeSettings(DIRECTORIES["letsencrypt"]), nameservers=())

    found = check(name=name)

    assert (found is None) is (said is None)
    assert said is None or said in (found or "")


def test_caa_records_that_cannot_be_looked_up_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> tuple[CaaRecord, ...]:
        raise LookupFailed("SERVFAIL")

    monkeypatch.setattr(DnsResolver, "caa", fail)
    check = caa_check(AcmeSettings(DIRECTORIES["letsencrypt"]), nameservers=())

    assert "mend the name server" in (check(name="example.com") or "")


def refused(keeper: Keeper, **changes: Any) -> str:
    """Hand over a certificate that is not kept; return why."""
    authority = Authority.create("CA", now=datetime.now(UTC))
    chain = authority.issue_server([NAME], now=datetime.now(UTC)).chain_pem
    delivery = Delivery(kind=CertificateKind.DOMAIN, tenant=NAME, chain=chain)

    def settle(_: Change, __: str) -> None:
        pytest.fail("nothing is settled")

    with pytest.raises(NotKept) as raised:
        keeper.keep(replace(delivery, **changes), settle=settle)
    return str(raised.value)


@pytest.fixture
def keeper(database: Database, master: MasterKey) -> Keeper:
    """What stores certificates, in an empty store."""
    return Keeper(database, master, partial(datetime.now, UTC))


def test_a_certificate_of_a_tenant_that_is_gone_is_not_kept(keeper: Keeper) -> None:
    assert "no tenant" in refused(keeper)


def test_a_certificate_whose_key_does_not_wait_here_is_not_kept(
    keeper: Keeper, database: Database
) -> None:
    with database.changing() as change:
        add_tenant(change, Tenant(NAME, (), (), Fallback.FIRST))

    assert "key" in refused(keeper)


def test_a_key_that_is_stored_with_another_certificate_does_not_wait(
    keeper: Keeper, database: Database
) -> None:
    # It may be the one that is to be revoked, for which an administrator ended the attempt.
    with database.changing() as change:
        add_tenant(change, Tenant(NAME, (), (), Fallback.FIRST))
    authority = Authority.create("CA", now=datetime.now(UTC))
    request = tls_request(key := new_key(KeyType.P256), (NAME,), Subject())
    former = authority.certify(request.csr, now=datetime.now(UTC))
    upload = Upload(
        CertificateKind.DOMAIN, former.pem(), private_key=private_key_pem(key), tenant=NAME
    )
    now = int(datetime.now(UTC).timestamp())
    import_certificate(database, keeper.master, upload, actor=SYSTEM, now=now, lab=False)
    again = authority.certify(request.csr, now=datetime.now(UTC))

    assert "no request waits for this one" in refused(keeper, chain=again.pem())


def test_what_is_no_certificate_is_not_kept(keeper: Keeper) -> None:
    assert refused(keeper, chain="nothing")
