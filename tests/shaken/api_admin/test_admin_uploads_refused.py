"""Uploads that are refused: each with its stable slug and field, and nothing is stored."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)

from tests.shaken.api_admin.arranging import problem, state, upload
from tests.system.caller import Caller
from tests.system.process import Service
from trust.authority import Authority, Issued

BASE = "/api/v1/certificates"
DAY = timedelta(days=1)


class Shelf:
    """Certificates and keys to make uploads of."""

    def __init__(self, authority: Authority, now: datetime) -> None:
        self.authority = authority
        self.now = now
        self.good = authority.issue_sti(spc="1234", now=now)
        self.other = authority.issue_sti(spc="1234", now=now)

    def of_key(self, key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> Issued:
        return self.authority.issue_sti(spc="1234", now=self.now, key=key)

    def expired(self) -> Issued:
        return self.authority.issue_sti(
            spc="1234", now=self.now, not_before=self.now - 9 * DAY, lifetime=-DAY
        )

    def encrypted(self) -> str:
        return self.good.private_key.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"open sesame")
        ).decode()

    def authoritys_own(self) -> dict[str, object]:
        return {
            "kind": "sti",
            "certificate": self.authority.certificate_pem,
            "private_key": self.authority.key_pem,
        }


@pytest.fixture(scope="module")
def shelf(sti_ca: Authority, moment: datetime) -> Shelf:
    return Shelf(sti_ca, moment)


def x5u(url: str) -> Callable[[Shelf], Mapping[str, object]]:
    return lambda shelf: upload(shelf.good, x5u=url)


REFUSED: dict[str, tuple[str, str, Callable[[Shelf], Mapping[str, object]]]] = {
    "no PEM": ("not-pem", "certificate", lambda shelf: upload(shelf.good, certificate="hello")),
    "a key that is no PEM": (
        "not-pem",
        "private_key",
        lambda shelf: upload(shelf.good, private_key="hello"),
    ),
    "cut off": (
        "bad-pem",
        "certificate",
        lambda shelf: upload(shelf.good, certificate=shelf.good.chain_pem[:300]),
    ),
    "damaged": (
        "bad-pem",
        "certificate",
        lambda shelf: upload(shelf.good, certificate=shelf.good.chain_pem.replace("MII", "???", 1)),
    ),
    "only a key": (
        "no-certificate",
        "certificate",
        lambda shelf: upload(shelf.good, certificate=shelf.good.key_pem),
    ),
    "key mismatch": (
        "key-mismatch",
        "private_key",
        lambda shelf: upload(shelf.good, private_key=shelf.other.key_pem),
    ),
    "several keys": (
        "several-keys",
        "private_key",
        lambda shelf: upload(shelf.good, private_key=shelf.good.key_pem + shelf.other.key_pem),
    ),
    "a stranger in the chain": (
        "foreign-certificate",
        "certificate",
        lambda shelf: upload(shelf.good, certificate=shelf.good.chain_pem + shelf.other.chain_pem),
    ),
    "RSA": (
        "not-p256",
        "certificate",
        lambda shelf: upload(shelf.of_key(rsa.generate_private_key(65537, 2048))),
    ),
    "P-384": (
        "not-p256",
        "certificate",
        lambda shelf: upload(shelf.of_key(ec.generate_private_key(ec.SECP384R1()))),
    ),
    "expired": ("expired", "certificate", lambda shelf: upload(shelf.expired())),
    "no TNAuthList": (
        "no-tn-auth-list",
        "certificate",
        lambda shelf: upload(shelf.authority.issue_server(["a.example.com"], now=shelf.now)),
    ),
    "an authority": ("is-a-ca", "certificate", Shelf.authoritys_own),
    "no key": ("no-key", "private_key", lambda shelf: upload(shelf.good, private_key=None)),
    "an empty key": ("no-key", "private_key", lambda shelf: upload(shelf.good, private_key="")),
    "encrypted key": (
        "encrypted-key",
        "passphrase",
        lambda shelf: upload(shelf.good, private_key=shelf.encrypted()),
    ),
    "wrong passphrase": (
        "wrong-passphrase",
        "passphrase",
        lambda shelf: upload(shelf.good, private_key=shelf.encrypted(), passphrase="sesame"),
    ),
    "x5u of plain http": ("bad-x5u", "x5u", x5u("http://sti.example.com/1.pem")),
    "x5u of another port": ("bad-x5u", "x5u", x5u("https://sti.example.com:8080/1.pem")),
    "x5u with a user": ("bad-x5u", "x5u", x5u("https://me@sti.example.com/1.pem")),
    "x5u with a query": ("bad-x5u", "x5u", x5u("https://sti.example.com/?1")),
    "x5u with a fragment": ("bad-x5u", "x5u", x5u("https://sti.example.com/#1")),
    "x5u with an angle bracket": ("bad-x5u", "x5u", x5u("https://sti.example.com/>;a=b")),
    "x5u with a line break": ("bad-x5u", "x5u", x5u("https://sti.example.com/\r\nA: b")),
    "x5u with a bad port": ("bad-x5u", "x5u", x5u("https://sti.example.com:http/")),
    "x5u without a host": ("bad-x5u", "x5u", x5u("https:///1.pem")),
    "x5u that is no URL": ("bad-x5u", "x5u", x5u("hello")),
    "an empty x5u": ("bad-x5u", "x5u", x5u("")),
    "unknown tenant": (
        "invalid-request",
        "tenant",
        lambda shelf: upload(shelf.good, tenant="nobody.example.com"),
    ),
    "a tenant that is no address": (
        "invalid-request",
        "tenant",
        lambda shelf: upload(shelf.good, tenant="no body"),
    ),
    "kind domain": (
        "no-tenant",
        "certificate",
        lambda shelf: upload(shelf.good, kind="domain"),
    ),
    "unknown kind": ("invalid-request", "kind", lambda shelf: upload(shelf.good, kind="root")),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_upload_is_explained_and_stores_nothing(
    service: Service, admin: Caller, shelf: Shelf, case: str
) -> None:
    slug, field, body = REFUSED[case]
    before, listed = state(service.data), admin.get(BASE).body

    answer = admin.post(BASE, body(shelf))

    detail = problem(answer, 400, slug, field)
    assert len(detail) > 20
    assert state(service.data) == before
    assert admin.get(BASE).body == listed


@pytest.mark.parametrize(
    ("body", "status", "slug"),
    [
        (b"", 400, "not-json"),
        (b"{", 400, "not-json"),
        (b"[]", 400, "not-json"),
        (b"null", 400, "not-json"),
        (b"\xff{}", 400, "not-json"),
        (b'{"kind": "sti", "kind": "sti"}', 400, "not-json"),
        (b'{"kind": NaN}', 400, "not-json"),
        (b'{"kind": 1e999}', 400, "not-json"),
        (b'{"kind": ' + b"9" * 100 + b"}", 400, "not-json"),
        (b'{"kind": ' + b"[" * 5000 + b"]" * 5000 + b"}", 400, "not-json"),
    ],
)
def test_a_body_that_is_no_json_object_is_explained(
    admin: Caller, body: bytes, status: int, slug: str
) -> None:
    problem(admin.post(BASE, body), status, slug)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "nonsense"])
def test_a_body_of_another_type_is_not_read(admin: Caller, kind: str) -> None:
    problem(admin.saying(Content_Type=kind).post(BASE, {}), 415, "unsupported-media-type")


def test_a_body_that_is_compressed_is_refused_as_such(admin: Caller) -> None:
    answer = admin.saying(Content_Encoding="gzip").post(BASE, {})

    assert "without Content-Encoding" in problem(answer, 415, "unsupported-media-type")
