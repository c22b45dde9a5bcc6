"""What is in a fetched file: certificates, a private key, a revocation list, or something else."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from shaken.x5u.content import MAX_CERTIFICATES, holds_private_key, read_certificates, read_crl
from shaken.x5u.exchange import FetchError, Reason
from tests.hard_keys import HARD_KEYS
from trust.authority import Authority, Issued

KEY = ec.generate_private_key(ec.SECP256R1())


@pytest.fixture(scope="module")
def issued(authority: Authority) -> Issued:
    return authority.issue_sti(spc="1234", now=datetime.now(UTC))


def refused(body: bytes | str) -> FetchError:
    with pytest.raises(FetchError) as caught:
        read_certificates(body.encode() if isinstance(body, str) else body)
    return caught.value


def test_the_whole_chain_is_read_with_text_around_it(issued: Issued) -> None:
    body = f"subject=/CN=SHAKEN 1234\r\n{issued.chain_pem}\nthat was all\n"

    assert read_certificates(body.encode()) == issued.certificate.chain


@pytest.mark.parametrize("coding", ["utf-8", "latin-1"])
def test_the_text_around_a_chain_may_be_in_any_coding(issued: Issued, coding: str) -> None:
    body = f"Subject: O = Téléphonie Zürich\n{issued.chain_pem}Fin de la chaîne\n"

    assert read_certificates(body.encode(coding)) == issued.certificate.chain


def test_a_private_key_behind_text_in_any_coding_is_found(issued: Issued) -> None:
    body = f"clé\n{issued.chain_pem}{issued.key_pem}"

    assert refused(body.encode("latin-1")).reason is Reason.PRIVATE_KEY


def test_one_certificate_in_der_is_read(issued: Issued) -> None:
    leaf = issued.certificate.leaf

    assert read_certificates(leaf.public_bytes(Encoding.DER)) == (leaf,)


def test_the_leaf_comes_first_and_nothing_twice(issued: Issued, authority: Authority) -> None:
    body = authority.root_pem + authority.certificate_pem + issued.chain_pem

    assert read_certificates(body.encode()) == (
        issued.certificate.leaf,
        authority.root,
        authority.certificate,
    )


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("", "holds no PEM block"),
        ("<html><body>down for maintenance</body></html>", "holds no PEM block"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "is damaged"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n", "is cut off"),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", "no certificate in it"),
        (b"\x30\x03\x02\x01\x00", "neither PEM nor"),
        (b"\xff\xfe\x00", "neither PEM nor"),
    ],
)
def test_what_holds_no_certificate_is_refused(body: bytes | str, said: str) -> None:
    error = refused(body)

    assert error.reason is Reason.NOT_CERTIFICATES
    assert said in error.detail


@pytest.mark.parametrize("more", [0, 1])
def test_a_file_has_so_many_certificates_at_most(authority: Authority, more: int) -> None:
    now = datetime.now(UTC)
    chains = [
        authority.issue_sti(spc="1234", now=now).chain_pem for _ in range(MAX_CERTIFICATES // 2)
    ]
    body = "".join(chains) + authority.root_pem * more

    if more:
        assert refused(body).reason is Reason.NOT_CERTIFICATES
    else:
        assert len(read_certificates(body.encode())) == MAX_CERTIFICATES // 2 + 1


def _private_keys() -> list[bytes]:
    secret = BestAvailableEncryption(b"secret")
    pem = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return [
        pem,
        pem.decode().encode("utf-16"),
        b"a" * 5 + pem[:60],
        pem.replace(b"\n", b"\\n"),
        KEY.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()),
        KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, secret),
        KEY.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()),
        KEY.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),
        KEY.private_bytes(Encoding.DER, PrivateFormat.PKCS8, secret),
        KEY.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption()),
        rsa.generate_private_key(65537, 2048).private_bytes(
            Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption()
        ),
    ]


@pytest.mark.parametrize("key", _private_keys())
def test_a_private_key_is_found_in_every_form(key: bytes) -> None:
    assert holds_private_key(key)
    error = refused(key)
    assert error.reason is Reason.PRIVATE_KEY
    assert not error.transient


def test_a_private_key_beside_certificates_is_found_and_not_repeated(issued: Issued) -> None:
    error = refused(issued.chain_pem + issued.key_pem)

    assert error.reason is Reason.PRIVATE_KEY
    assert issued.key_pem[30:60] not in str(error)


def test_certificates_alone_hold_no_private_key(issued: Issued) -> None:
    assert not holds_private_key(issued.chain_pem.encode())
    assert not holds_private_key(issued.certificate.leaf.public_bytes(Encoding.DER))


@given(st.binary(max_size=200) | st.binary(max_size=200).map(b"\x30".__add__))
def test_whatever_the_bytes_they_are_read_or_refused(body: bytes) -> None:
    for read in (read_certificates, read_crl):
        with suppress(FetchError):
            read(body)


def _crl() -> x509.CertificateRevocationList:
    now = datetime(2026, 6, 1, tzinfo=UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "STI-PA")])
    builder = x509.CertificateRevocationListBuilder().issuer_name(name).last_update(now)
    return builder.next_update(now + timedelta(days=1)).sign(KEY, hashes.SHA256())


@pytest.mark.parametrize("encoding", [Encoding.DER, Encoding.PEM])
def test_a_revocation_list_is_read_in_der_and_pem(encoding: Encoding) -> None:
    crl = _crl()

    assert read_crl(crl.public_bytes(encoding)).crl == crl


def test_text_in_any_coding_may_stand_before_a_revocation_list() -> None:
    crl = _crl()
    text = "Certificate Revocation List (CRL):\n  Issuer: O = Téléphonie Zürich\n"

    assert read_crl(text.encode("latin-1") + crl.public_bytes(Encoding.PEM)).crl == crl


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"\x30\x00", _crl().public_bytes(Encoding.DER)[:-1]]
)
def test_what_is_no_revocation_list_is_refused(body: bytes) -> None:
    with pytest.raises(FetchError) as caught:
        read_crl(body)

    assert caught.value.reason is Reason.NOT_A_CRL


def test_a_revocation_list_of_a_version_to_come_is_refused() -> None:
    version_2, version_5 = b"\x02\x01\x01", b"\x02\x01\x04"
    body = _crl().public_bytes(Encoding.DER).replace(version_2, version_5, 1)

    with pytest.raises(FetchError) as caught:
        read_crl(body)

    assert caught.value.reason is Reason.NOT_A_CRL


@pytest.mark.parametrize("key", HARD_KEYS.values(), ids=HARD_KEYS)
def test_a_strangers_key_of_any_kind_is_found_and_not_loaded(key: bytes) -> None:
    assert holds_private_key(key)


def test_the_primes_of_a_strangers_key_are_not_tried() -> None:
    p, q, e = 2**2203 - 1, 2**2281 - 1, 65537
    d = pow(e, -1, (p - 1) * (q - 1))
    numbers = rsa.RSAPrivateNumbers(
        p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), rsa.RSAPublicNumbers(e, p * q)
    )
    key = numbers.private_key(unsafe_skip_rsa_key_validation=True)
    body = key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())

    assert holds_private_key(body)
    # A key that is none would not be found if its numbers were tried.
    forged = body.replace(p.to_bytes(276, "big"), (p - 2).to_bytes(276, "big"), 1)
    assert forged != body
    assert holds_private_key(forged)
