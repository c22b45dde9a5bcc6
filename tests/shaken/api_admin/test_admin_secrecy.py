"""No answer and no line of the log holds a private key, a secret's digest or the master key."""

import base64
import hashlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from http.client import HTTPConnection

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from tests.shaken.api_admin.arranging import new_tenant, new_trunk, unused, upload
from tests.system.caller import Answer, Caller
from tests.system.process import Service
from trust.authority import Authority, Issued
from trust.keys import MasterKey, unseal_private_key


def spellings(secret: bytes) -> Iterator[bytes]:
    """Write bytes in every way an answer could hold them, whatever stands before or after."""
    yield secret
    yield secret.hex().encode()
    yield secret.hex().upper().encode()
    yield secret.hex(":").encode()
    for offset in range(3):
        # Base64 of the same bytes looks different at each offset; its ends depend on the rest.
        text = base64.b64encode(bytes(offset) + secret)[4:-4]
        yield text
        yield text.replace(b"+", b"-").replace(b"/", b"_")
    yield repr(secret)[2:-1].encode()
    yield str(int.from_bytes(secret, "big")).encode()


def of_key(key: ec.EllipticCurvePrivateKey) -> Iterator[bytes]:
    """Write a private key in every way an answer could hold it."""
    number = key.private_numbers().private_value.to_bytes(32, "big")
    yield from spellings(number)
    for kind in (PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL):
        der = key.private_bytes(Encoding.DER, kind, NoEncryption())
        yield der
        yield base64.b64encode(der)
        yield from key.private_bytes(Encoding.PEM, kind, NoEncryption()).splitlines()[1:-1]


@dataclass(frozen=True)
class Listener(Caller):
    """A caller that keeps every answer."""

    heard: list[tuple[str, Answer]] = field(default_factory=list)

    def call(
        self, method: str, path: str, body: object = None, *, over: HTTPConnection | None = None
    ) -> Answer:
        answer = super().call(method, path, body, over=over)
        self.heard.append((f"{method} {path}", answer))
        return answer


@pytest.fixture(scope="module")
def issued(sti_ca: Authority, moment: datetime) -> Issued:
    return sti_ca.issue_sti(spc="1234", now=moment)


@pytest.fixture(scope="module")
def listener(admin: Caller) -> Listener:
    return Listener(admin.url, admin.secret)


@pytest.fixture(scope="module")
def pending(
    service: Service, listener: Listener, sti_ca: Authority, moment: datetime
) -> list[ec.EllipticCurvePrivateKey]:
    """Keys of two requests, which are looked at in all ways; one is fulfilled, one deleted."""
    base = "/api/v1/certificates/requests"
    made = [listener.post(base, {"kind": "sti", "spc": "1234"}).json() for _ in range(2)]
    keys = [waiting_key(service, request["id"]) for request in made]
    for request in made:
        for path in (base, f"{base}/{request['id']}", f"{base}/{request['id']}/csr"):
            assert listener.get(path).status == 200
        listener.get(f"{base}/{request['id']}/key")
    csr = x509.load_pem_x509_csr(made[0]["csr"].encode())
    chain = {"certificate": sti_ca.certify(csr, now=moment).pem()}
    assert listener.post("/api/v1/certificates", {"kind": "system", **chain}).status == 400
    imported = listener.post("/api/v1/certificates", {"kind": "sti", **chain})
    assert imported.status == 201
    for path in ("", "/pem", "/key"):
        listener.get(f"/api/v1/certificates/{imported.json()['id']}{path}")
    listener.get(f"/certificates/{imported.json()['id']}.pem")
    assert listener.delete(f"{base}/{made[1]['id']}").status == 204
    listener.get("/api/v1/audit")
    return keys


def waiting_key(service: Service, identity: str) -> ec.EllipticCurvePrivateKey:
    """Open the key of a request, as only who has the master key can."""
    query = f"SELECT sealed_key FROM certificate_requests WHERE id = '{identity}'"  # noqa: S608 - ours
    (sealed,) = stored(service, query)
    master = MasterKey.from_text((service.data / "master.key").read_text())
    key = unseal_private_key(master, sealed, record=f"request:{identity}")
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key


@pytest.fixture(scope="module")
def heard(
    listener: Listener,
    issued: Issued,
    pending: list[ec.EllipticCurvePrivateKey],
    sti_ca: Authority,
    moment: datetime,
) -> list[tuple[str, Answer]]:
    """Every answer of a life with some certificates: uploads good and bad, all that can be read."""
    caller = listener
    assert len(pending) == 2
    tenant = new_tenant(caller)
    trunk = new_trunk(caller, tenant)["name"]
    key = issued.key_pem
    encrypted = issued.private_key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"open sesame")
    ).decode()
    other = sti_ca.issue_sti(spc="1234", now=moment)
    mistakes: list[dict[str, object]] = [
        {"certificate": key},
        {"certificate": key, "private_key": other.chain_pem},
        {"certificate": other.chain_pem},
        {"certificate": key[:-40]},
        {"private_key": key[:-40]},
        {"private_key": key.replace("A", "?", 1)},
        {"private_key": encrypted},
        {"private_key": encrypted, "passphrase": "wrong"},
        {"private_key": key + other.key_pem},
        {"kind": key},
        {"tenant": key},
        {"x5u": key},
        {"passphrase": key, "kind": "domain"},
        {key: key},
        {"private_key": [key]},
        {"certificate": {"private_key": key}},
    ]
    for mistake in mistakes:
        assert caller.post("/api/v1/certificates", upload(issued, **mistake)).status == 400
    caller.post("/api/v1/certificates", key.encode())
    caller.post("/api/v1/tenants", {"address": key})
    caller.get(f"/api/v1/certificates?name={base64.urlsafe_b64encode(key.encode()).decode()}")
    identity = caller.post("/api/v1/certificates", upload(issued, tenant=tenant)).json()["id"]
    caller.post("/api/v1/certificates", upload(issued))
    made = caller.post(
        "/api/v1/credentials", {"name": unused("signer"), "role": "signer", "trunk": trunk}
    ).json()
    caller.having(made["secret"]).sign()
    for path in (
        "/api/v1/certificates",
        f"/api/v1/certificates/{identity}",
        f"/api/v1/certificates/{identity}/pem",
        f"/api/v1/certificates/{identity}/der",
        f"/api/v1/certificates/{identity}/der?chain=true",
        f"/certificates/{identity}.pem",
        "/api/v1/tenants",
        f"/api/v1/tenants/{tenant}",
        "/api/v1/trunks",
        f"/api/v1/trunks/{trunk}",
        "/api/v1/credentials",
        "/openapi.json",
        "/healthz",
        "/readyz",
        "/metrics",
        "/docs",
        "/admin",
        f"/api/v1/listeners/certificate?server_name={tenant}",
        f"/api/v1/certificates/{identity}/key",
        f"/certificates/{identity}.key",
    ):
        caller.get(path)
    caller.delete(f"/api/v1/certificates/{identity}")
    return caller.heard


def found_in(heard: list[tuple[str, Answer]], needles: set[bytes]) -> list[tuple[str, bytes]]:
    """Name the answers that hold one of the needles, in their JSON escapes or without them."""
    return [
        (what, needle)
        for what, answer in heard
        for needle in needles
        for text in (answer.body, repr(answer.headers).encode())
        if needle in text or needle in text.replace(b"\\n", b"\n").replace(b"\\/", b"/")
    ]


def test_no_answer_holds_the_private_key(heard: list[tuple[str, Answer]], issued: Issued) -> None:
    assert len(heard) > 40

    mentions = {b"-----BEGIN CERTIFICATE-----"}
    assert found_in(heard, mentions) != []
    assert found_in(heard, set(of_key(issued.private_key))) == []


def test_no_answer_and_no_line_of_the_log_holds_a_key_that_was_made_here(
    service: Service, heard: list[tuple[str, Answer]], pending: list[ec.EllipticCurvePrivateKey]
) -> None:
    log = service.stderr.read_bytes() + service.stdout.read_bytes()

    assert found_in(heard, {b"-----BEGIN CERTIFICATE REQUEST-----"}) != []
    assert b"POST /api/v1/certificates/requests" in log
    assert len(pending) == 2
    for key in pending:
        needles = set(of_key(key))
        assert found_in(heard, needles) == []
        assert [needle for needle in needles if needle in log] == []


def test_no_file_of_the_service_holds_a_key_that_was_made_here(
    service: Service, heard: list[tuple[str, Answer]], pending: list[ec.EllipticCurvePrivateKey]
) -> None:
    assert len(heard) > 40
    kept = {path.name: path.read_bytes() for path in service.data.iterdir() if path.is_file()}
    # One of the keys is sealed for a certificate, and there for whoever has the master key.
    assert "shaken.sqlite" in kept
    for key in pending:
        needles = set(of_key(key))
        assert [name for name, text in kept.items() for each in needles if each in text] == []


def stored(service: Service, query: str) -> list[bytes]:
    connection = sqlite3.connect(f"file:{service.data / 'shaken.sqlite'}?mode=ro", uri=True)
    rows = connection.execute(query).fetchall()
    connection.close()
    return [bytes(value) for (value,) in rows]


def test_no_answer_holds_the_digest_of_a_secret(
    service: Service, heard: list[tuple[str, Answer]], admin: Caller
) -> None:
    digests = stored(service, "SELECT digest FROM credentials")
    assert hashlib.sha256((admin.secret or "").encode()).digest() in digests

    for digest in digests:
        assert found_in(heard, set(spellings(digest))) == []


def test_no_answer_holds_the_secret_of_whoever_asks(
    heard: list[tuple[str, Answer]], admin: Caller
) -> None:
    assert found_in(heard, {(admin.secret or "").encode()}) == []


def test_no_answer_holds_the_master_key_or_a_sealed_key(
    service: Service, heard: list[tuple[str, Answer]], admin: Caller, issued: Issued
) -> None:
    assert admin.post("/api/v1/certificates?replace=true", upload(issued)).status == 201
    assert admin.get(f"/api/v1/certificates/{issued.certificate.fingerprint}").status == 200
    text = (service.data / "master.key").read_text().strip()
    master = set(spellings(base64.b64decode(text)))

    assert found_in(heard, {text.encode(), *master}) == []
    everything = "certificates UNION SELECT sealed_key FROM certificate_requests"
    admin.post("/api/v1/certificates/requests", {"kind": "sti", "spc": "1234"})
    for sealed in stored(service, f"SELECT sealed_key FROM {everything}"):  # noqa: S608 - ours
        assert found_in(heard, set(spellings(sealed))) == []


def test_the_log_holds_none_of_them(
    service: Service, heard: list[tuple[str, Answer]], admin: Caller, issued: Issued
) -> None:
    log = service.stderr.read_bytes() + service.stdout.read_bytes()
    secrets = [
        answer.json()["secret"].encode()
        for what, answer in heard
        if what == "POST /api/v1/credentials" and answer.status == 201
    ]
    needles = {*of_key(issued.private_key), *secrets, (admin.secret or "").encode()}

    assert len(secrets) == 1
    assert b"POST /api/v1/certificates" in log
    assert [needle for needle in needles if needle in log] == []


def test_the_search_would_find_a_key_that_leaked(issued: Issued) -> None:
    der = issued.private_key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    leaks = {
        "PEM": issued.key_pem.encode(),
        "PEM in JSON": issued.key_pem.replace("\n", "\\n").encode(),
        "DER": b"before" + der + b"after",
        "base64 at another offset": base64.b64encode(b"x" + der),
        "URL-safe base64": base64.urlsafe_b64encode(b"xy" + der),
        "hex": der.hex().encode(),
    }

    for leak in leaks.values():
        answer = Answer(200, {}, leak)
        assert found_in([("GET /", answer)], set(of_key(issued.private_key))) != []
