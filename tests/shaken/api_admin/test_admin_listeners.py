"""`/api/v1/listeners/certificate`, as a TLS listener meets it."""

from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from sqlalchemy import update

from shaken.audit import SYSTEM
from shaken.credentials import Role
from shaken.importing import Upload, import_certificate
from tests.shaken.api_admin.arranging import (
    new_certificate,
    new_credential,
    new_tenant,
    problem,
    unused,
)
from tests.stores import home_of
from tests.system.caller import Answer, Caller
from tests.system.process import Service, running, seed_credential
from trust.authority import Authority, Issued
from trust.certificate import CertificateKind
from trust.keys import MasterKey, seal_private_key
from trust.store.tables import certificates

PATH = "/api/v1/listeners/certificate"

DEFAULT_LIFETIME = timedelta(days=3000)
"""Of the default certificate: it is the one that ends last."""


@pytest.fixture(scope="module")
def listener(admin: Caller) -> Caller:
    """A listener for all tenants."""
    return new_credential(admin, "listener")[1]


@pytest.fixture(scope="module")
def default(admin: Caller, sti_ca: Authority, moment: datetime) -> Issued:
    """The system certificate for clients that ask for nothing else that is there."""
    names = ["default.example.org"]
    issued = sti_ca.issue_server(names, now=moment, lifetime=DEFAULT_LIFETIME)
    new_certificate(admin, issued, kind="system")
    return issued


def asked(caller: Caller, name: str) -> Answer:
    """Ask for what is presented for a server name."""
    return caller.get(f"{PATH}?server_name={name}")


def presented(answer: Answer) -> dict[str, Any]:
    """Read an answer that holds a certificate with its key."""
    assert answer.status == 200, answer
    document: dict[str, Any] = answer.json()
    return document


def new_domain(admin: Caller, ca: Authority, moment: datetime) -> tuple[str, Issued]:
    """Make a tenant with a domain certificate; return its address and that."""
    tenant = new_tenant(admin)
    issued = ca.issue_server([tenant], now=moment)
    new_certificate(admin, issued, kind="domain")
    return tenant, issued


def test_a_listener_gets_chain_and_key_of_a_domain(
    admin: Caller, listener: Caller, sti_ca: Authority, moment: datetime
) -> None:
    tenant, issued = new_domain(admin, sti_ca, moment)

    answer = asked(listener, tenant.upper())

    document = presented(answer)
    key = load_pem_private_key(document.pop("private_key").encode(), None)
    assert key.public_key() == issued.certificate.leaf.public_key()
    assert document == {
        "certificate": issued.chain_pem,
        "fingerprint": issued.certificate.fingerprint,
        "not_after": issued.certificate.not_after.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "chosen": "domain",
    }
    assert answer.headers["cache-control"] == "no-store"


def test_an_exact_system_certificate_comes_before_a_wildcard_and_that_before_the_default(
    admin: Caller, listener: Caller, default: Issued, sti_ca: Authority, moment: datetime
) -> None:
    zone = f"{unused('zone')}.example.org"
    wildcard = sti_ca.issue_server([f"*.{zone}"], now=moment)
    exact = sti_ca.issue_server([f"exact.{zone}"], now=moment)
    for issued in (wildcard, exact):
        new_certificate(admin, issued, kind="system")

    expected = {
        f"exact.{zone}": (exact, "system"),
        f"other.{zone}": (wildcard, "wildcard"),
        f"deep.other.{zone}": (default, "system"),
        zone: (default, "system"),
    }
    for name, (issued, chosen) in expected.items():
        document = presented(asked(listener, name))
        assert document["fingerprint"] == issued.certificate.fingerprint, name
        assert document["chosen"] == chosen, name


def test_a_domain_certificate_comes_before_a_system_certificate(
    admin: Caller, listener: Caller, sti_ca: Authority, moment: datetime
) -> None:
    tenant, issued = new_domain(admin, sti_ca, moment)
    later = sti_ca.issue_server([tenant], now=moment, lifetime=timedelta(days=200))
    new_certificate(admin, later, kind="system")

    document = presented(asked(listener, tenant))

    assert document["fingerprint"] == issued.certificate.fingerprint
    assert document["chosen"] == "domain"


@pytest.mark.parametrize("query", ["", "?server_name="])
def test_without_a_server_name_the_default_is_presented(
    listener: Caller, default: Issued, query: str
) -> None:
    document = presented(listener.get(f"{PATH}{query}"))

    assert document["fingerprint"] == default.certificate.fingerprint
    assert document["chosen"] == "system"


def test_a_server_name_that_is_none_is_named(listener: Caller) -> None:
    problem(asked(listener, "-"), 400, "invalid-request", "server_name")


@pytest.mark.parametrize("role", [role.value for role in Role if role is not Role.LISTENER])
def test_other_roles_get_no_key(admin: Caller, role: str) -> None:
    answer = new_credential(admin, role)[1].get(PATH)

    problem(answer, 403, "forbidden")
    assert b"PRIVATE KEY" not in answer.body


def test_strangers_get_no_key(service: Service) -> None:
    problem(Caller(service.url).get(PATH), 401, "unauthorized")


def test_who_has_the_certificate_is_not_sent_it_again(
    admin: Caller, listener: Caller, sti_ca: Authority, moment: datetime
) -> None:
    tenant, _ = new_domain(admin, sti_ca, moment)
    etag = asked(listener, tenant).headers["etag"]

    same = asked(listener.saying(If_None_Match=etag), tenant)
    other = asked(listener.saying(If_None_Match='"another"'), tenant)

    assert (same.status, same.body, same.headers["etag"]) == (304, b"", etag)
    assert (other.status, other.headers["etag"]) == (200, etag)


def test_a_waiting_listener_gets_a_new_certificate_at_once(
    admin: Caller, listener: Caller, sti_ca: Authority, moment: datetime
) -> None:
    tenant, _ = new_domain(admin, sti_ca, moment)
    etag = asked(listener, tenant).headers["etag"]
    renewed = sti_ca.issue_server([tenant], now=moment, lifetime=timedelta(days=200))
    waiting = listener.saying(If_None_Match=etag, Prefer="wait=30")

    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(asked, waiting, tenant)
        assert not wait([held], timeout=0.5).done
        new_certificate(admin, renewed, kind="domain")
        uploaded = monotonic()
        answer = held.result(timeout=25)
        seconds = monotonic() - uploaded

    assert presented(answer)["fingerprint"] == renewed.certificate.fingerprint
    assert answer.headers["etag"] != etag
    # It takes less than one; a busy machine may take its time, but not until the wait is over.
    assert seconds < 15


def test_what_changes_elsewhere_does_not_end_the_wait(
    admin: Caller, listener: Caller, sti_ca: Authority, moment: datetime
) -> None:
    tenant, _ = new_domain(admin, sti_ca, moment)
    etag = asked(listener, tenant).headers["etag"]
    waiting = listener.saying(If_None_Match=etag, Prefer="wait=2")

    with ThreadPoolExecutor(1) as pool:
        begun = monotonic()
        held = pool.submit(asked, waiting, tenant)
        new_domain(admin, sti_ca, moment)
        answer = held.result(timeout=20)
        seconds = monotonic() - begun

    assert (answer.status, answer.headers["etag"]) == (304, etag)
    assert seconds >= 1.9


def test_when_nothing_changes_the_wait_ends_with_304(
    admin: Caller, listener: Caller, sti_ca: Authority, moment: datetime
) -> None:
    tenant, _ = new_domain(admin, sti_ca, moment)
    etag = asked(listener, tenant).headers["etag"]
    begun = monotonic()

    answer = asked(listener.saying(If_None_Match=etag, Prefer="wait=1"), tenant)

    assert (answer.status, answer.body, answer.headers["etag"]) == (304, b"", etag)
    assert 0.9 <= monotonic() - begun < 15


def test_who_has_another_certificate_does_not_wait(
    admin: Caller, listener: Caller, sti_ca: Authority, moment: datetime
) -> None:
    tenant, issued = new_domain(admin, sti_ca, moment)
    begun = monotonic()

    answer = asked(listener.saying(If_None_Match='"another"', Prefer="wait=30"), tenant)

    assert presented(answer)["fingerprint"] == issued.certificate.fingerprint
    assert monotonic() - begun < 15


def test_a_wait_ends_when_the_credential_is_revoked(
    admin: Caller, sti_ca: Authority, moment: datetime
) -> None:
    tenant, _ = new_domain(admin, sti_ca, moment)
    name, listener = new_credential(admin, "listener")
    etag = asked(listener, tenant).headers["etag"]
    waiting = listener.saying(If_None_Match=etag, Prefer="wait=30")

    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(asked, waiting, tenant)
        assert not wait([held], timeout=0.5).done
        assert admin.delete(f"/api/v1/credentials/{name}").status == 204
        answer = held.result(timeout=25)

    problem(answer, 401, "unauthorized")


def test_a_longer_chain_is_a_new_state(
    admin: Caller, listener: Caller, sti_ca: Authority, moment: datetime
) -> None:
    tenant = new_tenant(admin)
    issued = sti_ca.issue_server([tenant], now=moment)
    end = "-----END CERTIFICATE-----\n"
    leaf = issued.chain_pem.partition(end)[0] + end
    new_certificate(admin, issued, kind="domain", certificate=leaf)
    first = asked(listener, tenant)
    body = {"kind": "domain", "certificate": issued.chain_pem}
    assert admin.post("/api/v1/certificates?replace=true", body).status == 201

    second = asked(listener.saying(If_None_Match=first.headers["etag"]), tenant)

    assert presented(first)["certificate"] == leaf
    assert presented(second)["certificate"] == issued.chain_pem
    assert presented(second)["private_key"] == presented(first)["private_key"]


def test_a_listener_of_a_tenant_gets_only_what_is_that_tenants(
    admin: Caller, default: Issued, sti_ca: Authority, moment: datetime
) -> None:
    mine, issued = new_domain(admin, sti_ca, moment)
    theirs, _ = new_domain(admin, sti_ca, moment)
    _, bound = new_credential(admin, "listener", tenant=mine)

    assert presented(asked(bound, mine))["fingerprint"] == issued.certificate.fingerprint
    assert default.certificate.names == ("default.example.org",)
    for refused in (asked(bound, theirs), asked(bound, "default.example.org"), bound.get(PATH)):
        problem(refused, 404, "not-found")
        assert b"PRIVATE KEY" not in refused.body


def test_a_key_that_cannot_be_opened_is_told_with_its_certificate_and_what_to_do(
    tmp_path: Path, sti_ca: Authority, moment: datetime
) -> None:
    data, name = tmp_path / "data", "sip.example.org"
    listener = seed_credential(data, role=Role.LISTENER)
    issued = sti_ca.issue_server([name], now=moment)
    identity = issued.certificate.fingerprint
    gone = MasterKey.generate()
    sealed = seal_private_key(gone, issued.private_key, record=identity)
    home = home_of(data)
    upload = Upload(CertificateKind.SYSTEM, issued.chain_pem, issued.key_pem)
    with closing(home.open_database()) as database:
        import_certificate(
            database, home.keys(), upload, actor=SYSTEM, now=int(moment.timestamp()), lab=False
        )
        with database.changing() as change:
            theirs = certificates.c.id == identity
            change.connection.execute(update(certificates).where(theirs).values(sealed_key=sealed))

    with running(tmp_path) as service:
        answer = asked(Caller(service.url, listener), name)
        log = service.stderr.read_text()

    said = problem(answer, 503, "key-unusable")
    assert said.startswith(f"the key of certificate {identity} cannot be opened: ")
    assert "master key" in said
    assert "import" in said
    assert answer.json()["id"] == identity
    assert gone.id in log


def test_no_other_route_gives_the_key(
    admin: Caller, listener: Caller, sti_ca: Authority, moment: datetime
) -> None:
    tenant, issued = new_domain(admin, sti_ca, moment)
    base = f"/api/v1/certificates/{issued.certificate.fingerprint}"
    key_lines = [line.encode() for line in issued.key_pem.splitlines()[1:-1]]

    for path in (base, f"{base}/pem", f"/api/v1/certificates?tenant={tenant}"):
        answer = admin.get(path)
        assert answer.status == 200, path
        assert b"PRIVATE" not in answer.body
        assert not any(line in answer.body for line in key_lines)
        problem(listener.get(path), 403, "forbidden")
    assert admin.get(f"/certificates/{issued.certificate.fingerprint}.pem").status == 404
