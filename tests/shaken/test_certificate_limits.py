"""Uploads that are too large, too many, too deep: answered soon, and clearly."""

import base64
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import NoEncryption
from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_key_and_certificates

from shaken.importing import MAX_NAMES
from tests.shaken.world import World
from tests.vectors.certificates.making import (
    PASSPHRASE,
    Made,
    armoured,
    authority,
    nested,
    server,
)
from trust.pem import MAX_BLOCKS

BASE = "/api/v1/certificates"

SECONDS = 5.0
"""Of a processor, at most two where it is our own; what a busy machine does beside counts not."""


def with_names(count: int) -> str:
    names = [f"a{number:05}.b.example" for number in range(count)]
    today = datetime.now(UTC)
    made = server(None, *names, start=today, end=today.replace(year=today.year + 1))
    return made.pem + made.key_pem


def of_one_name(count: int) -> list[Made]:
    """Make certificates each of which may have issued every other, until the signature is tried."""
    name = "The same name"
    key, other = (rsa.generate_private_key(65537, 4096) for _ in range(2))
    issuer = Made(authority(None, name, key=key).certificate, other)
    return [authority(issuer, name, key=key) for _ in range(count)]


def pems(made: Sequence[Made]) -> str:
    return "".join(one.pem for one in made)


def pkcs12_of(made: Sequence[Made]) -> bytes:
    certificates = [one.certificate for one in made]
    return serialize_key_and_certificates(None, None, None, certificates, NoEncryption())


def text(content: str) -> dict[str, object]:
    return {"kind": "system", "certificate": content, "passphrase": PASSPHRASE}


def file(content: bytes) -> dict[str, object]:
    return {"kind": "system", "pkcs12": base64.b64encode(content).decode()}


CASES: dict[str, tuple[Callable[[], dict[str, object]], int, str]] = {
    "5 MB of text": (lambda: text("x" * 5_000_000), 413, "too-large"),
    "900 KB of text": (lambda: text("x" * 900_000), 400, "invalid-request"),
    "5 MB of PKCS#12": (lambda: file(bytes(5_000_000)), 413, "too-large"),
    "300 KB of PKCS#12": (lambda: file(bytes(300_000)), 400, "too-large"),
    "1,000 blocks": (
        lambda: text(armoured("CERTIFICATE", b"\x30\x00") * 1000),
        400,
        "too-many-blocks",
    ),
    "as many blocks as may be, of one name": (
        lambda: text(pems(of_one_name(MAX_BLOCKS))),
        400,
        "foreign-certificate",
    ),
    "a certificate too many in PKCS#12": (
        lambda: file(pkcs12_of(of_one_name(MAX_BLOCKS + 1))),
        400,
        "too-many-blocks",
    ),
    "as much as may be of PKCS#12 and of text": (
        lambda: {
            **text(pems(of_one_name(MAX_BLOCKS))),
            **file(pkcs12_of(of_one_name(MAX_BLOCKS))),
            "passphrase": None,
        },
        400,
        "too-many-blocks",
    ),
    "deep ASN.1 as certificate": (
        lambda: text(armoured("CERTIFICATE", nested(35_000))),
        400,
        "bad-pem",
    ),
    "deep ASN.1 as key": (lambda: text(armoured("PRIVATE KEY", nested(35_000))), 400, "bad-pem"),
    "deep ASN.1 as encrypted key": (
        lambda: text(armoured("ENCRYPTED PRIVATE KEY", nested(35_000))),
        400,
        "wrong-passphrase",
    ),
    "deep ASN.1 as PKCS#12": (lambda: file(nested(50_000)), 400, "bad-pkcs12"),
    "10,000 names": (lambda: text(with_names(10_000)), 400, "too-many-names"),
    "one name too many": (lambda: text(with_names(MAX_NAMES + 1)), 400, "too-many-names"),
}


@pytest.mark.parametrize("case", CASES)
async def test_what_is_too_much_is_answered_soon(world: World, case: str) -> None:
    make, status, slug = CASES[case]
    body, before = make(), world.database.revision()

    begun = time.process_time()
    answer = await world.admin("POST", BASE, body)

    assert time.process_time() - begun < SECONDS
    assert (answer.status, answer.json()["type"]) == (status, slug), answer
    assert len(answer.body) < 2_000
    assert world.database.revision() == before


async def test_as_many_names_as_may_be_are_taken_and_found(world: World) -> None:
    body = text(with_names(MAX_NAMES))

    begun = time.process_time()
    answer = await world.admin("POST", BASE, body)

    assert time.process_time() - begun < SECONDS
    assert (answer.status, len(answer.json()["names"])) == (201, MAX_NAMES)
    found = (await world.admin("GET", f"{BASE}?name=a00999.b.example")).json()["items"]
    assert [record["id"] for record in found] == [answer.json()["id"]]
