"""Certificates that a listener of the service cannot present are taken, and told of at once."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shaken.audit import SYSTEM
from shaken.importing import Upload, import_certificate
from shaken.snapshot import take_snapshot
from tests.clients import under_a_short_key
from trust.authority import Issued, self_signed
from trust.certificate import Certificate, CertificateKind
from trust.keys import MasterKey
from trust.store.database import Database

Told = Callable[..., list[str]]


@pytest.fixture
def told(database: Database, master: MasterKey, now: int) -> Told:
    """Import a certificate for TLS, and return what is told of it."""

    def import_it(issued: Issued, *, leaf_only: bool = False, **how: Any) -> list[str]:
        chain = Certificate(issued.certificate.chain[:1]) if leaf_only else issued.certificate
        upload = Upload(CertificateKind.SYSTEM, chain.pem(), issued.key_pem)
        done = import_certificate(
            database, master, replace(upload, **how), actor=SYSTEM, now=now, lab=False
        )
        (row,) = take_snapshot(database).certificates.values()
        assert row.findings == done.row.findings
        return [f"{each.slug}: {each.detail}" for each in row.findings]

    return import_it


def test_what_openssl_would_not_present_is_told_when_it_is_imported(told: Told) -> None:
    (said,) = told(under_a_short_key("sip.example.com"))

    assert said.startswith("not-presentable: it cannot be presented (ca key too small)")


def test_what_can_be_presented_is_not_told_of(told: Told, now: int) -> None:
    good = self_signed(
        ["sip.example.com"], now=datetime.fromtimestamp(now, UTC), lifetime=timedelta(days=30)
    )

    assert told(good) == []


def test_a_chain_that_is_replaced_is_tried_with_the_key_that_is_kept(told: Told) -> None:
    issued = under_a_short_key("sip.example.com")
    assert told(issued, leaf_only=True) == []

    (said,) = told(issued, replace=True, private_key=None)

    assert "not-presentable" in said
    # The longer chain stays, and so does what is wrong with it.
    assert told(issued, leaf_only=True, replace=True) == [said]
