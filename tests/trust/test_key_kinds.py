"""Keys that would take hours to load are told by their kind, and not loaded."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from tests.hard_keys import (
    DH,
    HARD_KEYS,
    HARD_PUBLIC_KEY,
    PRIME,
    RSA,
    pem,
    pkcs8,
    rsa_numbers,
    with_key,
)
from trust.authority import Authority
from trust.certificate import Certificate, CertificateRefused, issued
from trust.chain import assemble
from trust.findings import is_published, root_findings
from trust.key_kinds import PrivateKind, UnusedKeyError, private_kind_of, public_key_of
from trust.pem import PemContents, PrivateKey, read_pem
from trust.profiles import check_sti, check_tls

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
LAB = Authority.create("Lab root", now=NOW).issue_sti(spc="1234", now=NOW)

HARD = with_key(LAB.certificate.leaf, HARD_PUBLIC_KEY)


def test_a_public_key_of_a_kind_that_is_used_is_loaded() -> None:
    assert isinstance(public_key_of(LAB.certificate.leaf), ec.EllipticCurvePublicKey)


def test_the_primes_of_a_public_key_are_not_tried() -> None:
    with pytest.raises(UnusedKeyError, match=DH.dotted_string):
        public_key_of(HARD)


@pytest.mark.parametrize(
    ("look", "seen"),
    [
        (lambda: is_published(Certificate((HARD,)), published=frozenset()), False),
        (lambda: issued(HARD, LAB.certificate.leaf), False),
        (lambda: root_findings(HARD, published=frozenset())[0].slug, "unknown-key"),
    ],
)
def test_who_looks_at_a_certificate_does_not_try_its_primes(
    look: Callable[[], object], seen: object
) -> None:
    assert look() == seen


def test_a_certificate_over_such_a_key_is_refused() -> None:
    with pytest.raises(CertificateRefused, match="of an unknown kind"):
        check_sti(Certificate((HARD,)), now=NOW)
    with pytest.raises(CertificateRefused, match="of an unknown kind"):
        check_tls(Certificate((HARD,)))


def test_such_a_certificate_beside_a_chain_is_foreign_to_it() -> None:
    contents = PemContents((HARD, LAB.certificate.leaf), (LAB.private_key,))

    with pytest.raises(CertificateRefused) as refused:
        assemble(contents, now=NOW, roots=())
    assert refused.value.slug == "foreign-certificate"


KEYS: dict[str, PrivateKey] = {
    "ec": ec.generate_private_key(ec.SECP256R1()),
    "rsa": rsa.generate_private_key(65537, 2048),
    "ed25519": ed25519.Ed25519PrivateKey.generate(),
    "ed448": ed448.Ed448PrivateKey.generate(),
}


@pytest.mark.parametrize(
    ("name", "form"),
    [
        *((name, PrivateFormat.PKCS8) for name in KEYS),
        ("ec", PrivateFormat.TraditionalOpenSSL),
        ("rsa", PrivateFormat.TraditionalOpenSSL),
    ],
)
def test_private_keys_of_the_kinds_that_are_used_are_told(name: str, form: PrivateFormat) -> None:
    key = KEYS[name].private_bytes(Encoding.DER, form, NoEncryption())

    assert private_kind_of(key) is PrivateKind.USED


@pytest.mark.parametrize("name", KEYS)
def test_an_encrypted_key_is_told(name: str) -> None:
    secret = BestAvailableEncryption(b"sesame")
    key = KEYS[name].private_bytes(Encoding.DER, PrivateFormat.PKCS8, secret)

    assert private_kind_of(key) is PrivateKind.ENCRYPTED


X25519 = x25519.X25519PrivateKey.generate().private_bytes(
    Encoding.DER, PrivateFormat.PKCS8, NoEncryption()
)


@pytest.mark.parametrize("key", [*HARD_KEYS.values(), X25519], ids=[*HARD_KEYS, "x25519"])
def test_private_keys_of_other_kinds_are_told_and_not_loaded(key: bytes) -> None:
    assert private_kind_of(key) is PrivateKind.UNUSED
    with pytest.raises(CertificateRefused) as refused:
        read_pem(pem(key))
    assert refused.value.slug == "unsupported-key"


@pytest.mark.parametrize(
    "numbers",
    [
        {"n": (2**4423 - 1) * (2**9689 - 1), "p": 2**4423 - 1, "q": 2**9689 - 1},
        {"p": PRIME, "q": PRIME},
        {"d": PRIME},
        {"dp": PRIME},
        {"n": 15},
    ],
    ids=["long modulus", "long primes", "long exponent", "long remainder", "short modulus"],
)
def test_an_rsa_key_whose_numbers_do_not_fit_is_refused_before_it_signs(
    numbers: dict[str, int],
) -> None:
    key = pkcs8(RSA, asn1.Null(), rsa_numbers(**numbers))

    with pytest.raises(CertificateRefused) as refused:
        read_pem(pem(key))
    assert refused.value.slug == "bad-pem"


@pytest.mark.parametrize("label", ["PRIVATE KEY", "RSA PRIVATE KEY"])
def test_an_rsa_key_is_read(label: str) -> None:
    numbers = rsa_numbers()
    key = asn1.encode_der(numbers)
    if label == "PRIVATE KEY":
        key = pkcs8(RSA, asn1.Null(), numbers)

    (read,) = read_pem(pem(key, label)).private_keys

    assert isinstance(read, rsa.RSAPrivateKey)
    assert read.private_numbers().d == numbers.d


def test_what_is_no_private_key_is_none() -> None:
    assert private_kind_of(LAB.certificate.leaf.public_bytes(Encoding.DER)) is None
    assert private_kind_of(HARD_PUBLIC_KEY) is None


@given(st.binary(max_size=200) | st.binary(max_size=80).map(lambda data: b"0" + data))
def test_whatever_the_bytes_they_are_told(data: bytes) -> None:
    assert private_kind_of(data) in {None, *PrivateKind}
