"""Files of the corpus, mutated: the API answers whatever comes, and stores all of it or nothing."""

import asyncio
import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import event, example, given, settings
from hypothesis import strategies as st

import tests.vectors.certificates as vectors
from tests.shaken.world import Template, World, running
from tests.vectors.certificates.making import PASSPHRASE, armoured

FOLDER = Path(*vectors.__path__)
FILES: list[dict[str, Any]] = json.loads((FOLDER / "index.json").read_text())["files"]
BASE = "/api/v1/certificates"

T = TypeVar("T", str, bytes)


def contents(ending: str) -> list[bytes]:
    found = [FOLDER / case["file"] for case in FILES if case["verdict"] == "accepted"]
    return [file.read_bytes() for file in found if file.suffix == ending]


TEXTS = [content.decode() for content in contents(".pem")]
BUNDLES = contents(".p12")
WHOLE = [text for text in TEXTS if text.startswith("-----BEGIN CERTIFICATE-----\nMII")]
DERS = [base64.b64decode(text.split("-----")[2]) for text in WHOLE]
LABELS = [
    *("CERTIFICATE", "PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY"),
    *("DSA PRIVATE KEY", "X509 CRL", "TRUSTED CERTIFICATE", "PKCS7", "EC PARAMETERS"),
    *("OPENSSH PRIVATE KEY", "CERTIFICATE REQUEST", "NONSENSE"),
]
MARKERS = [f"-----{side} {label}-----" for side in ("BEGIN", "END") for label in LABELS]
HEADERS = ["Proc-Type: 4,ENCRYPTED\n", "DEK-Info: AES-256-CBC,00\n", "DEK-Info: \n", ": \n", "\0"]


@dataclass(frozen=True)
class Desk:
    """A service in this process, and the loop it runs in."""

    world: World
    runner: asyncio.Runner

    def admin(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        answer = self.runner.run(self.world.admin(method, path, body))
        return answer.status, answer.json() if answer.body else None

    def hand_in(self, **members: object) -> None:
        """Send an upload; hold the answer and the store to what was promised."""
        database = self.world.database
        before = database.revision()
        status, document = self.admin("POST", BASE, members)
        event(str(document.get("type", status)))
        if status == 201:
            path = f"{BASE}/{document['id']}"
            assert document["has_private_key"]
            assert self.admin("GET", path)[0] == 200
            assert self.admin("DELETE", f"{path}?force=true")[0] == 204
        else:
            assert status == 400, document
            assert document["detail"]
            assert database.revision() == before


@pytest.fixture(scope="module")
def desk(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("mutations")
    with asyncio.Runner() as runner:
        context = running(template, folder)
        world = runner.run(context.__aenter__())
        yield Desk(world, runner)
        runner.run(context.__aexit__(None, None, None))


@st.composite
def mutated(draw: Callable[..., Any], originals: list[T], inserted: st.SearchStrategy[T]) -> T:
    """Cut, double, swap, overwrite and insert, some times over."""
    text: T = draw(st.sampled_from(originals))
    for _ in range(draw(st.integers(1, 4))):
        one, other, third = sorted(draw(st.tuples(*[st.integers(0, len(text))] * 3)))
        near = min(one + draw(st.integers(0, 3)), len(text))
        more: T = draw(inserted)
        text = draw(
            st.sampled_from(
                [
                    text[:one] + text[other:],
                    text[:one] + text[near:],
                    text[:other] + text[one:],
                    text[:one] + text[other:third] + text[one:other] + text[third:],
                    text[:one] + more + text[one:],
                    text[:one] + more + text[near:],
                    text[:one] + text + text[one:],
                ]
            )
        )
    return text


ENDINGS = st.sampled_from([("\n", "\r\n"), ("\n", "\r"), ("\n", ""), ("\n", "\\n"), ("\n", "\n\n")])
RELABELLED = st.tuples(st.sampled_from(LABELS), st.sampled_from(LABELS))
PIECES = st.one_of(st.sampled_from(MARKERS), st.sampled_from(HEADERS), st.text(max_size=4))
KINDS = st.sampled_from(["sti", "system", "domain"])
PASSPHRASES = st.sampled_from([None, PASSPHRASE, "x", "\u00e9"])


@settings(max_examples=200)
@given(text=mutated(TEXTS, PIECES), swap=ENDINGS | RELABELLED, kind=KINDS, secret=PASSPHRASES)
@example(text=TEXTS[0], swap=("\n", "\n"), kind="sti", secret=None)
def test_a_mutated_text_is_answered(
    desk: Desk, text: str, swap: tuple[str, str], kind: str, secret: str | None
) -> None:
    written = text.encode("utf-8", "replace").decode().replace(*swap)

    desk.hand_in(kind=kind, certificate=written[:250_000], passphrase=secret)


@settings(max_examples=200)
@given(data=mutated(BUNDLES, st.binary(max_size=4)), secret=PASSPHRASES)
def test_a_mutated_pkcs12_file_is_answered(desk: Desk, data: bytes, secret: str | None) -> None:
    text = base64.b64encode(data[:250_000]).decode()

    desk.hand_in(kind="sti", pkcs12=text, passphrase=secret)


@settings(max_examples=200)
@given(
    der=mutated(DERS, st.binary(max_size=4)),
    label=st.sampled_from(LABELS),
    beside=st.sampled_from(TEXTS),
    kind=KINDS,
)
def test_mutated_der_in_armour_is_answered(
    desk: Desk, der: bytes, label: str, beside: str, kind: str
) -> None:
    text = armoured(label, der[:100_000]) + beside

    desk.hand_in(kind=kind, certificate=text, passphrase=PASSPHRASE)


@settings(max_examples=200)
@given(text=st.sampled_from(WHOLE), data=st.data(), kind=KINDS)
def test_a_certificate_with_one_octet_flipped_is_answered(
    desk: Desk, text: str, data: st.DataObject, kind: str
) -> None:
    leaf, _, beside = text.partition("-----END CERTIFICATE-----")
    der = base64.b64decode(leaf.split("-----")[2])
    place = data.draw(st.integers(0, len(der) - 1))
    flipped = der[:place] + bytes([der[place] ^ data.draw(st.integers(1, 255))]) + der[place + 1 :]

    desk.hand_in(kind=kind, certificate=armoured("CERTIFICATE", flipped) + beside)
