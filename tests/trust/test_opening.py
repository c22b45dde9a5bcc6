"""What is encrypted is opened where it holds up nobody."""

import subprocess
import sys
from typing import Literal

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)

from tests.hard_keys import HARD_KEYS, encrypted, pem
from trust import pem as pasted
from trust.certificate import CertificateRefused
from trust.opening import Failure, NotOpenedError, Sealed, open_apart
from trust.pem import read_pem

SECRET = b"sesame"
KEY = ec.generate_private_key(ec.SECP256R1())
PLAIN = KEY.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def sealed(form: str = "der", secret: bytes = SECRET) -> Sealed:
    """The key in one of the forms in which it may be encrypted."""
    if form == "pkcs12":
        data = pkcs12.serialize_key_and_certificates(
            None, KEY, None, None, BestAvailableEncryption(SECRET)
        )
        return Sealed("pkcs12", data, secret)
    kind = PrivateFormat.PKCS8 if form == "der" else PrivateFormat.TraditionalOpenSSL
    coding = Encoding.DER if form == "der" else Encoding.PEM
    data = KEY.private_bytes(coding, kind, BestAvailableEncryption(SECRET))
    return Sealed("der" if form == "der" else "pem", data, secret)


@pytest.mark.parametrize("form", ["der", "pem", "pkcs12"])
def test_a_key_is_opened_whatever_the_form(form: str) -> None:
    opened = open_apart(sealed(form))

    assert (opened.keys, opened.certificates) == ((PLAIN,), ())


@pytest.mark.parametrize("form", ["der", "pem", "pkcs12"])
def test_a_wrong_passphrase_is_said(form: str) -> None:
    with pytest.raises(NotOpenedError) as failed:
        open_apart(sealed(form, b"another"))
    assert failed.value.failure in {Failure.SECRET, Failure.UNREADABLE}


def test_what_takes_hours_to_open_is_given_up() -> None:
    hard = encrypted(HARD_KEYS["dsa"], SECRET)

    with pytest.raises(NotOpenedError) as failed:
        open_apart(Sealed("der", hard, SECRET, seconds=1))
    assert failed.value.failure is Failure.COSTLY


def test_who_pasted_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def hasty(form: Literal["der", "pem"], data: bytes, secret: bytes) -> Sealed:
        return Sealed(form, data, secret, seconds=1)

    monkeypatch.setattr(pasted, "Sealed", hasty)
    hard = pem(encrypted(HARD_KEYS["dsa"], SECRET), "ENCRYPTED PRIVATE KEY")

    with pytest.raises(CertificateRefused, match="takes too long to open") as refused:
        read_pem(hard, passphrase=SECRET.decode())
    assert refused.value.slug == "costly-key"


def test_a_process_that_cannot_be_started_is_told_as_that(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")

    with pytest.raises(NotOpenedError) as failed:
        open_apart(sealed())
    assert failed.value.failure is Failure.BROKEN
    assert "/nonexistent/python" in caplog.text
    key = pem(encrypted(PLAIN, SECRET), "ENCRYPTED PRIVATE KEY")
    with pytest.raises(CertificateRefused, match="the log says why") as refused:
        read_pem(key, passphrase=SECRET.decode())
    assert refused.value.slug == "not-opened"


def test_a_process_that_fails_is_told_as_that(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")

    with pytest.raises(NotOpenedError) as failed:
        open_apart(sealed())
    assert failed.value.failure is Failure.BROKEN
    assert "exit code 1" in caplog.text


def test_where_less_is_allowed_it_makes_do_with_that() -> None:
    script = (
        "import sys; from trust.opening import Sealed, open_apart;"
        "print(open_apart(Sealed('der', bytes.fromhex(sys.argv[1]), b'sesame')))"
    )
    limited = 'ulimit -v 350000 -t 10; exec "$@"'
    command = ["bash", "-c", limited, "bash", sys.executable, "-c", script, sealed().data.hex()]

    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert done.stdout == "Opened(1 keys, 0 certificates)\n"


def test_nothing_of_a_key_is_in_what_is_logged() -> None:
    opened = open_apart(sealed())

    assert repr(opened) == "Opened(1 keys, 0 certificates)"
    assert repr(sealed()) == "Sealed(der)"
