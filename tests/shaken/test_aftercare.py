"""What follows a renewal: replaced certificates are revoked where that is wished, and go."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from shaken import aftercare as module
from shaken.aftercare import AGAIN, KEPT_EXPIRED, Aftercare
from shaken.audit import SYSTEM
from shaken.importing import Upload, import_certificate
from shaken.renewer import Ending
from shaken.store import HISTORY as SERVICE_HISTORY
from shaken.store.audit import AuditFilter, find_entries
from trust.acme.fence import alone
from trust.acme.order import Certified, State, new_order
from trust.acme.revocation import Reason
from trust.authority import Authority
from trust.certificate import CertificateKind, Source
from trust.keys import MasterKey
from trust.store import acme_orders, acme_revocations, certificates
from trust.store.acme_revocations import Pending
from trust.store.database import HISTORY as TRUST_HISTORY
from trust.store.database import Database

DIRECTORY = "https://ca.example.net/directory"


@dataclass
class Ward:
    """A store with an order that has replaced one certificate by another, and a clock."""

    database: Database
    aftercare: Aftercare
    former: str
    latest: str
    order: str
    end: datetime
    now: datetime
    is_ending: bool = False
    is_steady: bool = True

    def stored(self) -> set[str]:
        """List the certificates in the store."""
        with self.database.reading() as connection:
            both = (self.former, self.latest)
            return {each for each in both if certificates.get(connection, each) is not None}

    def wait(self) -> None:
        """Go on at once, unless the worker ends."""
        if self.is_ending:
            raise Ending

    def ask_to_revoke(self, *more: str) -> None:
        """Have the former one revoked, and others that are stored no more."""
        with self.database.recording() as connection:
            chain = certificates.chain_pem(connection, self.former) or ""
            reason = Reason.SUPERSEDED
            for each in (self.former, *more):
                pending = Pending(each, self.order, DIRECTORY, chain, reason.value)
                acme_revocations.add(connection, pending, now=int(self.now.timestamp()))

    def run(self) -> None:
        """Do what is due."""
        with alone(self.database, holder="test", clock=lambda: self.now) as fence:
            self.aftercare.run(fence)

    def deleted(self) -> list[tuple[str, str]]:
        """List which certificates were deleted, and by whom."""
        wanted = AuditFilter(action="certificate.delete")
        with self.database.reading() as connection:
            entries = find_entries(connection, wanted, before=None, limit=9)
            return [(each.actor, each.subject) for each in entries]


@pytest.fixture
def ward(tmp_path: Path, master: MasterKey) -> Iterator[Ward]:
    """An order whose first certificate was replaced; both last equally long."""
    database = Database(f"sqlite:///{tmp_path}/shaken.sqlite")
    database.migrate([TRUST_HISTORY, SERVICE_HISTORY])
    begin = datetime.now(UTC)
    authority = Authority.create("CA", now=begin)
    issued = [authority.issue_server(["pbx.example.com"], now=begin) for _ in range(2)]
    for each in issued:
        upload = Upload(
            kind=CertificateKind.SYSTEM,
            certificate=each.chain_pem,
            private_key=each.key_pem,
            source=Source.ACME,
        )
        now = int(time.time())
        import_certificate(database, master, upload, actor=SYSTEM, now=now, lab=False)
    former, latest = (each.certificate for each in issued)
    order = new_order(CertificateKind.SYSTEM, ("pbx.example.com",), tenant=None, now=0)
    certified = Certified(
        latest.fingerprint,
        DIRECTORY,
        int(latest.not_before.timestamp()),
        int(latest.not_after.timestamp()),
    )
    with database.recording() as connection:
        acme_orders.add(connection, replace(order, state=State.ISSUED, certified=certified))
    made = Ward(
        database,
        Aftercare(
            database,
            master,
            roots=lambda: "",
            wait=lambda _: made.wait(),
            clock=lambda: made.now,
            is_steady=lambda _now: made.is_steady,
        ),
        former.fingerprint,
        latest.fingerprint,
        order.id,
        latest.not_after,
        begin,
    )
    yield made
    database.close()


def test_nothing_is_done_while_the_former_certificate_has_not_long_expired(ward: Ward) -> None:
    ward.now = ward.end + KEPT_EXPIRED - timedelta(minutes=1)

    ward.run()

    assert ward.stored() == {ward.former, ward.latest}
    assert not ward.aftercare.is_due()


def test_a_replaced_certificate_is_removed_a_week_after_it_has_expired_the_latest_never(
    ward: Ward,
) -> None:
    ward.now = ward.end + KEPT_EXPIRED + timedelta(minutes=1)
    assert ward.aftercare.is_due()

    ward.run()

    assert ward.stored() == {ward.latest}
    assert ward.deleted() == [("system", ward.former)]
    assert not ward.aftercare.is_due()


def test_expired_certificates_are_looked_for_after_a_clock_that_was_ahead(ward: Ward) -> None:
    ward.now = ward.end - timedelta(days=1)
    ward.run()
    assert not ward.aftercare.is_due()

    ward.now -= timedelta(days=30)

    assert ward.aftercare.is_due()


def test_a_clock_that_leapt_ahead_removes_nothing_not_even_what_is_to_be_revoked(
    ward: Ward,
) -> None:
    # There is no account at this authority: it is not revoked either.
    ward.ask_to_revoke()
    right, ward.now = ward.now, ward.end + KEPT_EXPIRED + timedelta(minutes=1)
    ward.is_steady = False

    ward.run()

    assert ward.stored() == {ward.former, ward.latest}
    ward.now = right
    assert ward.aftercare.is_due()


def test_a_certificate_is_revoked_and_then_removed(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    revoked = []

    def revoke(_: object, *, directory: str, chain: str, reason: Reason) -> None:
        assert ward.stored() == {ward.former, ward.latest}
        revoked.append((directory, chain.count("BEGIN CERTIFICATE") > 0, reason))

    monkeypatch.setattr(module, "revoke", revoke)
    ward.ask_to_revoke()

    ward.run()

    assert revoked == [(DIRECTORY, True, Reason.SUPERSEDED)]
    assert ward.stored() == {ward.latest}
    assert not ward.aftercare.is_due()


def test_a_revocation_that_fails_is_said_and_tried_again_an_hour_later(
    ward: Ward, caplog: pytest.LogCaptureFixture
) -> None:
    # There is no account at this authority.
    ward.ask_to_revoke()

    ward.run()

    assert ward.stored() == {ward.former, ward.latest}
    (line,) = [each.getMessage() for each in caplog.records if each.name == module.__name__]
    assert ward.former in line
    assert DIRECTORY in line
    assert not ward.aftercare.is_due()
    ward.now += AGAIN
    assert ward.aftercare.is_due()


def test_no_further_certificate_is_revoked_when_the_worker_ends(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    revoked = []

    def revoke(*_: object, chain: str, **__: object) -> None:
        revoked.append(chain)
        ward.is_ending = True

    monkeypatch.setattr(module, "revoke", revoke)
    ward.ask_to_revoke("another")

    with pytest.raises(Ending):
        ward.run()

    assert len(revoked) == 1
