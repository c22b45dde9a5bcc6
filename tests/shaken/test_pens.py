"""What signs for tenants: where it says its certificate is, and whether there is any."""

import pytest

from shaken.pens import Pens
from shaken.snapshot import take_snapshot
from tests.signing import pens_with
from trust.keys import MasterKey
from trust.store.certificates import StoredCertificate
from trust.store.database import Database


@pytest.mark.parametrize(
    "public_url", ["https://sti.example.com/base", "https://sti.example.com/base/"]
)
def test_a_public_url_may_have_a_path(
    master: MasterKey, certificate: StoredCertificate, public_url: str
) -> None:
    pens = pens_with(master, public_url=public_url)

    assert pens.x5u_of(certificate) == (
        f"https://sti.example.com/base/certificates/{certificate.id}.pem"
    )


def test_calls_can_be_signed_while_a_certificate_is_valid(
    pens: Pens, database: Database, certificate: StoredCertificate, now: int
) -> None:
    snapshot = take_snapshot(database)

    assert pens.why_not_ready(snapshot, now=now) is None
    assert pens.why_not_ready(snapshot, now=certificate.not_before - 1) is not None
    assert pens.why_not_ready(snapshot, now=certificate.not_after + 1) is not None


def test_without_certificates_it_is_said_what_to_do(
    pens: Pens, database: Database, now: int
) -> None:
    assert pens.why_not_ready(take_snapshot(database), now=now) == (
        "no STI certificate with a key is valid now; import one"
    )
