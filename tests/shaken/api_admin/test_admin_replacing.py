"""A certificate that is stored is imported again: what becomes of its chain and of its tenant."""

from datetime import datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from tests.shaken.api_admin.arranging import new_certificate, new_tenant, problem, upload
from tests.system.caller import Answer, Caller
from trust.authority import Authority, Issued
from trust.certificate import Certificate

BASE = "/api/v1/certificates"
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def unknown_ca(moment: datetime) -> Authority:
    """An authority below a root that is not trusted."""
    return Authority.create("Unknown root", now=moment).intermediate("Unknown CA", now=moment)


def lengthened(issued: Issued, ca: Authority, *, ends: datetime) -> str:
    """Return a chain with one more: what another root made for the root above the chain."""
    begins = issued.certificate.not_before - 9 * DAY
    other = Authority.create("Another root", now=begins)
    builder = x509.CertificateBuilder(
        other.certificate.subject, ca.root.subject, ca.root.public_key(), 1, begins, ends
    )
    above = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    return issued.chain_pem + Certificate((above.sign(other.private_key, hashes.SHA256()),)).pem()


def replaced(admin: Caller, issued: Issued, **more: object) -> Answer:
    return admin.post(f"{BASE}?replace=true", upload(issued, **more))


def notes(answer: Answer) -> list[str]:
    assert answer.status == 201, answer
    warnings = answer.json()["warnings"]
    return [warning["detail"] for warning in warnings if warning["slug"] == "put-right"]


def chain_of(admin: Caller, issued: Issued) -> str:
    return admin.get(f"{BASE}/{issued.certificate.fingerprint}/pem").body.decode()


REPLACED = ["The stored chain was longer, and was replaced."]
KEPT = ["The stored chain is longer, and was kept."]


@pytest.mark.parametrize(
    ("authority", "lasts"), [("sti_ca", DAY), ("unknown_ca", -DAY)], ids=["trusted", "expired"]
)
def test_a_longer_chain_gives_way_to_one_that_is_trusted_or_where_one_in_it_has_expired(
    admin: Caller,
    request: pytest.FixtureRequest,
    moment: datetime,
    authority: str,
    lasts: timedelta,
) -> None:
    ca: Authority = request.getfixturevalue(authority)
    issued = ca.issue_sti(spc="1234", now=moment)
    longer = lengthened(issued, ca, ends=moment + lasts)
    new_certificate(admin, issued, certificate=longer)
    assert chain_of(admin, issued) == longer

    answer = replaced(admin, issued)

    assert notes(answer) == REPLACED
    assert chain_of(admin, issued) == issued.chain_pem


def test_a_longer_chain_is_kept_where_the_shorter_one_leads_to_no_trusted_root(
    admin: Caller, unknown_ca: Authority, moment: datetime
) -> None:
    issued = unknown_ca.issue_sti(spc="1234", now=moment)
    longer = lengthened(issued, unknown_ca, ends=moment + DAY)
    new_certificate(admin, issued, certificate=longer)

    answer = replaced(admin, issued)

    assert notes(answer) == KEPT
    assert chain_of(admin, issued) == longer


def test_of_several_certificates_of_an_issuer_the_one_below_a_trusted_root_is_stored(
    admin: Caller, sti_ca: Authority, moment: datetime
) -> None:
    issued = sti_ca.issue_sti(spc="1234", now=moment)
    other = Authority.create("Another root", now=moment)
    ca = sti_ca.certificate
    builder = x509.CertificateBuilder(
        other.certificate.subject, ca.subject, ca.public_key(), 1, moment, moment + 9999 * DAY
    )
    elsewhere = Certificate((builder.sign(other.private_key, hashes.SHA256()),)).pem()
    leaf = Certificate(issued.certificate.chain[:1]).pem()

    new_certificate(admin, issued, certificate=leaf + elsewhere + sti_ca.certificate_pem)

    assert chain_of(admin, issued) == issued.chain_pem


def test_the_only_certificate_a_tenant_signs_with_does_not_go_over_to_another_tenant(
    admin: Caller, sti_ca: Authority, moment: datetime
) -> None:
    loser, winner = new_tenant(admin), new_tenant(admin)
    issued = sti_ca.issue_sti(spc="1234", now=moment)
    record = new_certificate(admin, issued, tenant=loser)

    refused = replaced(admin, issued, tenant=winner)

    detail = problem(refused, 409, "in-use")
    assert f"the only certificate that {loser} signs with" in detail
    assert refused.json()["id"] == record["id"]
    assert admin.get(f"{BASE}/{record['id']}").json() == record

    new_certificate(admin, sti_ca.issue_sti(spc="1234", now=moment), tenant=loser)
    assert replaced(admin, issued, tenant=winner).json()["tenant"] == winner


def test_a_certificate_that_nobody_would_miss_goes_over_to_a_tenant(
    admin: Caller, sti_ca: Authority, moment: datetime
) -> None:
    tenant = new_tenant(admin)
    issued = sti_ca.issue_sti(spc="1234", now=moment)
    new_certificate(admin, issued)

    answer = replaced(admin, issued, tenant=tenant)

    assert (answer.status, answer.json()["tenant"]) == (201, tenant)
