"""What a certificate says, and which ones may sign SHAKEN."""

import subprocess
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from trust.authority import Authority
from trust.certificate import (
    Certificate,
    CertificateRefused,
    above_leaf,
    is_ca,
    leaf_of,
    length_of,
    weak_signature,
)
from trust.claim_constraints import JWT_CLAIM_CONSTRAINTS_OID
from trust.profiles import check_sti
from trust.tnauthlist import TN_AUTH_LIST_OID

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
SHA256 = hashes.SHA256()
KEY = ec.generate_private_key(ec.SECP256R1())
AUTHORITY = Authority.create("Lab root", now=NOW).intermediate("Lab STI-CA", now=NOW)
STI = AUTHORITY.issue_sti(spc="1234", numbers=["12155550100"], now=NOW).certificate

Build = Callable[[x509.CertificateBuilder], x509.CertificateBuilder]


def self_signed(
    build: Build = lambda builder: builder,
    *,
    common_names: tuple[str, ...] = ("Odd One",),
    digest: hashes.SHA256 | hashes.SHA384 = SHA256,
) -> Certificate:
    """Make a certificate the lab authority would not issue."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, one) for one in common_names])
    builder = x509.CertificateBuilder(name, name, KEY.public_key(), 0xABC, NOW, NOW + DAY)
    return Certificate((build(builder).sign(KEY, digest),))


def with_extension(extension: x509.ExtensionType) -> Certificate:
    return with_extensions(extension)


def with_extensions(
    *extensions: x509.ExtensionType, digest: hashes.SHA256 | hashes.SHA384 = SHA256
) -> Certificate:
    def build(builder: x509.CertificateBuilder) -> x509.CertificateBuilder:
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        return builder

    return self_signed(build, digest=digest)


def version_1() -> Certificate:
    """Read what openssl made, since cryptography makes none of version 1."""
    file = Path(__file__).parents[1] / "vectors/trust/v1-issued.pem"
    return Certificate((x509.load_pem_x509_certificate(file.read_bytes()),))


def damaged(extension: x509.ObjectIdentifier) -> Certificate:
    """Make a certificate whose extension holds bytes that are no DER."""
    return with_extension(x509.UnrecognizedExtension(extension, b"\xff\xff"))


def openssl(*arguments: str, pem: str = "") -> str:
    run = subprocess.run(
        ["openssl", *arguments], input=pem, capture_output=True, text=True, check=True
    )
    return run.stdout.strip()


def test_openssl_reads_the_same_from_it() -> None:
    pem = STI.pem()

    fingerprint = openssl("x509", "-noout", "-fingerprint", "-sha256", pem=pem)
    assert fingerprint.partition("=")[2].replace(":", "").lower() == STI.fingerprint
    serial = openssl("x509", "-noout", "-serial", pem=pem)
    assert serial.partition("=")[2].lower().lstrip("0") == STI.serial
    subject = openssl("x509", "-noout", "-subject", "-nameopt", "RFC2253", pem=pem)
    assert subject == f"subject={STI.subject}"
    issuer = openssl("x509", "-noout", "-issuer", "-nameopt", "RFC2253", pem=pem)
    assert issuer == f"issuer={STI.issuer}"


def test_the_key_is_known_by_the_hash_of_its_public_half() -> None:
    again = AUTHORITY.issue_sti(spc="5678", key=KEY, now=NOW).certificate

    assert self_signed().spki_sha256 == again.spki_sha256 != STI.spki_sha256
    assert len(STI.spki_sha256) == 64


def test_times_are_aware_utc() -> None:
    certificate = self_signed()

    assert (certificate.not_before, certificate.not_after) == (NOW, NOW + DAY)
    assert certificate.not_before.tzinfo is UTC


def test_pem_holds_the_whole_chain_leaf_first() -> None:
    assert tuple(x509.load_pem_x509_certificates(STI.pem().encode())) == STI.chain
    assert STI.chain == (STI.leaf, AUTHORITY.certificate)


def test_a_chain_needs_a_leaf() -> None:
    with pytest.raises(ValueError, match="leaf"):
        Certificate(())


SAN = x509.SubjectAlternativeName


@pytest.mark.parametrize(
    ("certificate", "names"),
    [
        (
            AUTHORITY.issue_server(
                ["SIP.Example", "*.example", "192.0.2.1", "2001:DB8::1"], now=NOW
            ).certificate,
            ("sip.example", "*.example", "192.0.2.1", "2001:db8::1"),
        ),
        (with_extension(SAN([x509.RFC822Name("a@example"), x509.DNSName("b")])), ("b",)),
        (with_extension(SAN([x509.RFC822Name("a@example")])), ()),
        (self_signed(), ("odd one",)),
        (self_signed(common_names=()), ()),
        (self_signed(common_names=("One", "Two")), ("one", "two")),
        (damaged(x509.OID_SUBJECT_ALTERNATIVE_NAME), ("odd one",)),
    ],
    ids=["dns and ip", "mail beside dns", "mail", "no SAN", "no name", "two CNs", "damaged SAN"],
)
def test_names_are_those_of_the_san_or_else_the_common_names(
    certificate: Certificate, names: tuple[str, ...]
) -> None:
    assert certificate.names == names


@pytest.mark.parametrize("length", [1, 2, 3])
def test_of_a_chain_in_pem_are_told_its_leaf_what_stands_above_and_its_length(length: int) -> None:
    leaf, *above = (STI.leaf, AUTHORITY.certificate, AUTHORITY.root)[:length]
    pem = Certificate((leaf, *above)).pem()

    assert leaf_of(pem) == leaf
    assert above_leaf(pem) == "".join(Certificate((one,)).pem() for one in above).strip()
    assert length_of(pem) == length


def test_a_text_without_certificate_has_no_leaf() -> None:
    assert (above_leaf(""), length_of("")) == ("", 0)
    with pytest.raises(ValueError, match="PEM"):
        leaf_of("")


def test_the_tn_auth_list_is_read() -> None:
    assert STI.tn_auth_list is not None
    assert STI.tn_auth_list.spcs == ("1234",)
    assert STI.tn_auth_list.numbers == ("12155550100",)


@pytest.mark.parametrize(
    "certificate",
    [self_signed(), damaged(TN_AUTH_LIST_OID), damaged(x509.OID_SUBJECT_ALTERNATIVE_NAME)],
    ids=["absent", "damaged", "hidden by another damaged extension"],
)
def test_an_absent_or_damaged_tn_auth_list_is_none(certificate: Certificate) -> None:
    assert certificate.tn_auth_list is None


def test_a_name_of_a_type_that_cannot_stand_there_is_empty() -> None:
    der = AUTHORITY.issue_sti(spc="1", common_name="012345", now=NOW).certificate.leaf.public_bytes(
        Encoding.DER
    )
    as_bits = der.replace(b"\x0c\x06012345", b"\x03\x06\x0012345")

    certificate = Certificate((x509.load_der_x509_certificate(as_bits),))

    assert certificate.subject == ""
    assert certificate.names == ()


def test_an_sti_certificate_may_sign() -> None:
    check_sti(STI, now=NOW)


def test_one_that_is_not_valid_yet_may_be_stored() -> None:
    check_sti(STI, now=NOW - DAY)


TN_AUTH_LIST = x509.UnrecognizedExtension(TN_AUTH_LIST_OID, bytes.fromhex("3008a006160431323334"))


def test_validity_includes_its_last_second() -> None:
    check_sti(STI, now=STI.not_after)
    with pytest.raises(CertificateRefused, match="expired on 2027-06-01 12:00 UTC"):
        check_sti(STI, now=STI.not_after + timedelta(seconds=1))


def key_usage(*, digital_signature: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=True,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


RSA_KEY = rsa.generate_private_key(65537, 2048)


@pytest.mark.parametrize(
    ("slug", "certificate", "told"),
    [
        (
            "not-p256",
            AUTHORITY.issue_sti(spc="1", key=RSA_KEY, now=NOW).certificate,
            "RSA with 2048 bits",
        ),
        (
            "not-p256",
            AUTHORITY.issue_sti(
                spc="1", key=ec.generate_private_key(ec.SECP384R1()), now=NOW
            ).certificate,
            "secp384r1",
        ),
        (
            "not-p256",
            AUTHORITY.issue_sti(
                spc="1", key=ed25519.Ed25519PrivateKey.generate(), now=NOW
            ).certificate,
            "Ed25519",
        ),
        (
            "expired",
            AUTHORITY.issue_sti(spc="1", now=NOW - 2 * DAY, lifetime=DAY).certificate,
            "renewed",
        ),
        ("no-tn-auth-list", AUTHORITY.issue_sti(now=NOW).certificate, "STI-CA"),
        (
            "no-tn-auth-list",
            AUTHORITY.issue_server(["sip.example"], now=NOW).certificate,
            "a TLS certificate cannot sign calls",
        ),
        ("bad-tn-auth-list", damaged(TN_AUTH_LIST_OID), "not a TNAuthorizationList"),
        ("bad-extensions", damaged(x509.OID_KEY_USAGE), "openssl x509"),
        ("is-a-ca", Certificate((AUTHORITY.certificate,)), "Put that one first"),
        (
            "key-usage",
            with_extensions(key_usage(digital_signature=False), TN_AUTH_LIST),
            "does not include digitalSignature",
        ),
        ("key-usage", with_extension(TN_AUTH_LIST), "has no keyUsage"),
        (
            "not-ecdsa-sha256",
            with_extensions(
                key_usage(digital_signature=True), TN_AUTH_LIST, digest=hashes.SHA384()
            ),
            "1.2.840.10045.4.3.3",
        ),
        (
            "bad-constraints",
            with_extensions(
                key_usage(digital_signature=True),
                TN_AUTH_LIST,
                x509.UnrecognizedExtension(JWT_CLAIM_CONSTRAINTS_OID, b"\x30\x00"),
            ),
            "demand nothing",
        ),
        ("not-version-3", version_1(), "version 1"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_may_not_sign_is_refused_with_advice(
    slug: str, certificate: Certificate, told: str
) -> None:
    with pytest.raises(CertificateRefused) as refused:
        check_sti(certificate, now=NOW)

    assert (refused.value.slug, refused.value.field) == (slug, "certificate")
    assert told in refused.value.detail
    assert str(refused.value) == refused.value.detail


def signed_by_openssl(*options: str) -> Certificate:
    """Make what cryptography refuses to sign."""
    request = ("req", "-x509", "-nodes", "-keyout", "/dev/null", "-subj", "/CN=weak")
    return Certificate((x509.load_pem_x509_certificate(openssl(*request, *options).encode()),))


def signed_with_an_unknown_algorithm() -> Certificate:
    der = STI.leaf.public_bytes(Encoding.DER)
    ecdsa_with_sha256 = bytes.fromhex("06082a8648ce3d040302")
    unheard_of = bytes.fromhex("06082a8648ce3d04030a")
    return Certificate(
        (x509.load_der_x509_certificate(der.replace(ecdsa_with_sha256, unheard_of)),)
    )


def test_weak_and_unknown_signature_algorithms_are_named() -> None:
    md5 = signed_by_openssl("-newkey", "rsa:1024", "-md5")

    assert weak_signature(md5.leaf) == "MD5"
    assert weak_signature(STI.leaf) is None


@pytest.mark.parametrize(
    ("certificate", "told"),
    [
        (
            signed_by_openssl("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-sha1"),
            "SHA1",
        ),
        (signed_with_an_unknown_algorithm(), "1.2.840.10045.4.3.10"),
    ],
    ids=["SHA-1", "unknown"],
)
def test_what_is_weakly_signed_may_not_sign(certificate: Certificate, told: str) -> None:
    with pytest.raises(CertificateRefused, match=told) as refused:
        check_sti(certificate, now=NOW)

    assert refused.value.slug == "weak-hash"


def test_an_authority_is_known_as_one() -> None:
    assert is_ca(AUTHORITY.certificate)
    assert not is_ca(STI.leaf)
    assert not is_ca(damaged(x509.OID_BASIC_CONSTRAINTS).leaf)


@settings(max_examples=300, deadline=None)
@given(st.data())
@pytest.mark.filterwarnings("ignore")
def test_no_certificate_however_odd_crashes_a_reader(data: st.DataObject) -> None:
    der = bytearray(STI.leaf.public_bytes(Encoding.DER))
    for position in data.draw(st.lists(st.integers(4, len(der) - 1), min_size=1, max_size=3)):
        der[position] = data.draw(st.integers(0, 255))
    try:
        certificate = Certificate((x509.load_der_x509_certificate(bytes(der)),))
    except (ValueError, x509.InvalidVersion):
        return

    assert isinstance(certificate.names, tuple)
    assert certificate.subject is not None
    assert certificate.issuer is not None
    assert certificate.serial
    assert certificate.tn_auth_list is None or certificate.tn_auth_list.entries
    with suppress(CertificateRefused):
        check_sti(certificate, now=NOW)
