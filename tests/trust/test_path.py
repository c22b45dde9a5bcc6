"""Paths from a certificate to a trusted root."""

import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import get_args

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from trust.authority import Authority
from trust.certificate import Certificate
from trust.claim_constraints import ClaimConstraints
from trust.path import PathError, Reason, validate_path
from trust.tnauthlist import TN_AUTH_LIST_OID, TnAuthList

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
ROOT = Authority.create("Lab root", now=NOW)
STI_CA = ROOT.intermediate("Lab STI-CA", now=NOW)
OTHER = Authority.create("Other root", now=NOW)
STI = STI_CA.issue_sti(spc="1234", now=NOW, lifetime=30 * DAY).certificate
ROOTS = [OTHER.certificate, ROOT.certificate]


def refusal(
    certificate: Certificate, *, roots: Sequence[x509.Certificate] = ROOTS, at: datetime = NOW
) -> PathError:
    with pytest.raises(PathError) as refused:
        validate_path(certificate, roots=roots, at=at)
    return refused.value


def test_the_path_leads_from_the_leaf_to_the_root() -> None:
    path = validate_path(STI, roots=ROOTS, at=NOW)

    assert path == (STI.leaf, STI_CA.certificate, ROOT.certificate)


def test_a_server_certificate_has_a_path_as_well() -> None:
    server = ROOT.issue_server(["sip.example"], now=NOW).certificate

    assert validate_path(server, roots=ROOTS, at=NOW) == (server.leaf, ROOT.certificate)


def test_order_strangers_and_the_root_in_the_chain_do_not_matter() -> None:
    issuing = STI_CA.intermediate("Lab issuing CA", now=NOW)
    leaf = issuing.issue_sti(spc="1234", now=NOW).certificate.leaf
    shuffled = (ROOT.certificate, STI_CA.certificate, OTHER.certificate, issuing.certificate)

    path = validate_path(Certificate((leaf, *shuffled)), roots=ROOTS, at=NOW)

    assert path == (leaf, issuing.certificate, STI_CA.certificate, ROOT.certificate)


def test_a_trusted_intermediate_ends_the_path() -> None:
    path = validate_path(STI, roots=[STI_CA.certificate], at=NOW)

    assert path == (STI.leaf, STI_CA.certificate)


@pytest.mark.parametrize("at", [STI.not_before, STI.not_after])
def test_validity_includes_its_first_and_last_second(at: datetime) -> None:
    assert validate_path(STI, roots=ROOTS, at=at)


def test_time_is_a_moment_whatever_its_zone() -> None:
    somewhere = STI.not_after.astimezone(timezone(timedelta(hours=-8)))

    assert validate_path(STI, roots=ROOTS, at=somewhere)
    assert refusal(STI, at=somewhere + timedelta(seconds=1)).reason == "expired"


def test_an_expired_leaf_is_named() -> None:
    refused = refusal(STI, at=STI.not_after + timedelta(seconds=1))

    assert refused.reason == "expired"
    assert refused.detail == str(refused) == f'"{STI.subject}": certificate has expired'


def test_a_leaf_before_its_time_is_named() -> None:
    later = STI_CA.issue_sti(spc="1234", not_before=NOW + DAY, now=NOW).certificate

    refused = refusal(later)

    assert refused.reason == "not-yet-valid"
    assert "SHAKEN 1234" in refused.detail


def test_an_expired_intermediate_breaks_the_path() -> None:
    short = ROOT.intermediate("Short-lived CA", now=NOW, lifetime=DAY)
    leaf = short.issue_sti(spc="1234", now=NOW).certificate

    refused = refusal(leaf, at=NOW + 2 * DAY)

    assert refused.reason == "expired"
    assert "Short-lived CA" in refused.detail


def impostor_chain() -> Certificate:
    """Make a chain whose authority only bears the name of the trusted one."""
    impostor = Authority.create("Lab root", now=NOW)
    return impostor.issue_sti(spc="1234", now=NOW).certificate


@pytest.mark.parametrize(
    ("certificate", "roots"),
    [
        (STI, []),
        (STI, [OTHER.certificate]),
        (Certificate((STI.leaf,)), ROOTS),
        (Certificate((STI.leaf, OTHER.certificate)), ROOTS),
        (Certificate((*STI.chain, ROOT.certificate)), [OTHER.certificate]),
        (Certificate((Authority.create("Self", now=NOW).certificate,)), ROOTS),
        (impostor_chain(), ROOTS),
    ],
    ids=[
        "no roots",
        "another root",
        "intermediate missing",
        "foreign intermediate",
        "the sender's own root",
        "self-signed",
        "an impostor of the root",
    ],
)
def test_what_reaches_no_trusted_root_is_untrusted(
    certificate: Certificate, roots: list[x509.Certificate]
) -> None:
    assert refusal(certificate, roots=roots).reason == "untrusted"


def issued_by_a_leaf() -> Certificate:
    """Let an STI certificate, which is no CA, issue another one."""
    leaf = STI_CA.issue_sti(spc="1234", now=NOW)
    pretender = Authority(leaf.certificate.leaf, leaf.private_key, STI.chain[1:])
    issued = pretender.issue_sti(spc="5678", now=NOW).certificate
    return Certificate((issued.leaf, leaf.certificate.leaf, STI_CA.certificate))


UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.55555.1"), b"\x05\x00")


def with_critical(*extensions: x509.ExtensionType) -> Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "SHAKEN 1234")])
    builder = x509.CertificateBuilder(
        ROOT.certificate.subject, name, key.public_key(), 1, NOW - DAY, NOW + DAY
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=True)
    return Certificate((builder.sign(ROOT.private_key, hashes.SHA256()),))


TN_AUTH_LIST = x509.UnrecognizedExtension(TN_AUTH_LIST_OID, TnAuthList.of(spcs=["1234"]).encode())
CONSTRAINTS = [
    x509.UnrecognizedExtension(one.oid, one.encode())
    for one in (ClaimConstraints(must_include=("rcd",)), ClaimConstraints(must_exclude=("rcd",)))
]


@pytest.mark.parametrize(
    "extension", [TN_AUTH_LIST, *CONSTRAINTS], ids=lambda each: each.oid.dotted_string
)
def test_what_is_processed_elsewhere_may_be_critical(extension: x509.ExtensionType) -> None:
    certificate = with_critical(extension, x509.BasicConstraints(ca=False, path_length=None))

    assert validate_path(certificate, roots=ROOTS, at=NOW) == (certificate.leaf, ROOT.certificate)
    refused = refusal(certificate, at=NOW + 2 * DAY)
    assert refused.reason == "expired", "all other rules hold"


def test_what_nobody_processes_is_named_beside_what_is() -> None:
    refused = refusal(with_critical(TN_AUTH_LIST, UNKNOWN))

    assert refused.reason == "bad-chain"
    assert refused.detail.endswith("unhandled critical extension 1.3.6.1.4.1.55555.1")


def test_critical_extensions_that_cannot_be_read_are_not_passed_over() -> None:
    broken = x509.UnrecognizedExtension(x509.CertificatePolicies.oid, b"\x30\x03\x06\x01\x80")

    assert refusal(with_critical(TN_AUTH_LIST, broken)).reason == "bad-chain"


def with_altered_signature() -> Certificate:
    der = bytearray(STI.leaf.public_bytes(Encoding.DER))
    der[-1] ^= 1
    return Certificate((x509.load_der_x509_certificate(bytes(der)), *STI.chain[1:]))


@pytest.mark.parametrize(
    ("certificate", "told"),
    [
        (issued_by_a_leaf(), "invalid CA certificate"),
        (with_critical(UNKNOWN), "unhandled critical extension"),
        (with_altered_signature(), "signature failure"),
    ],
    ids=["issuer is no CA", "unknown critical extension", "altered signature"],
)
def test_a_chain_that_breaks_a_rule_is_bad(certificate: Certificate, told: str) -> None:
    refused = refusal(certificate)

    assert refused.reason == "bad-chain"
    assert told in refused.detail


def signed_with_sha1(authority: Authority, folder: Path) -> Certificate:
    """Have openssl issue what cryptography refuses to sign."""
    (folder / "ca.pem").write_text(authority.certificate_pem)
    (folder / "ca.key").write_text(authority.key_pem)
    new = ("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-sha1")
    by = ("-CA", str(folder / "ca.pem"), "-CAkey", str(folder / "ca.key"))
    to = ("-nodes", "-subj", "/CN=SHAKEN 1234", "-keyout", str(folder / "leaf.key"))
    run = subprocess.run(["openssl", *new, *by, *to], capture_output=True, check=True)
    return Certificate((x509.load_pem_x509_certificate(run.stdout), authority.certificate))


def test_a_weakly_signed_certificate_has_no_path(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    root = Authority.create("Lab root", now=now)
    weak = signed_with_sha1(root, tmp_path)

    refused = refusal(weak, roots=[root.certificate], at=weak.not_before)

    assert refused.reason == "bad-chain"
    assert refused.detail == '"CN=SHAKEN 1234": signed with SHA1'


def altered(certificate: x509.Certificate, before: bytes, after: bytes) -> x509.Certificate:
    der = certificate.public_bytes(Encoding.DER)
    assert before in der
    return x509.load_der_x509_certificate(der.replace(before, after))


UNREADABLE_SUBJECT = altered(STI.leaf, b"SHAKEN 1234", b"\xffHAKEN 1234")
UNREADABLE_KEY = altered(STI.leaf, bytes.fromhex("03420004"), bytes.fromhex("03420005"))
UNREADABLE_KEY_UNDER_THE_ROOT = altered(
    ROOT.issue_sti(spc="1234", now=NOW).certificate.leaf,
    bytes.fromhex("03420004"),
    bytes.fromhex("03420005"),
)


@pytest.mark.parametrize(
    ("leaf", "told"),
    [
        (UNREADABLE_SUBJECT, "OpenSSL cannot read the certificate"),
        (UNREADABLE_KEY, '"CN=SHAKEN 1234,O=SHAKEN lab": unspecified'),
        (UNREADABLE_KEY_UNDER_THE_ROOT, '"CN=SHAKEN 1234,O=SHAKEN lab": unspecified'),
    ],
    ids=["its subject", "its key", "its key, right under the root"],
)
def test_a_certificate_openssl_cannot_read_has_no_path(leaf: x509.Certificate, told: str) -> None:
    refused = refusal(Certificate((leaf, *STI.chain[1:])))

    assert refused.reason == "bad-chain"
    assert refused.detail.startswith(told)


def test_one_unreadable_certificate_does_not_spoil_the_others() -> None:
    chain = Certificate((STI.leaf, UNREADABLE_SUBJECT, *STI.chain[1:]))

    assert validate_path(chain, roots=[UNREADABLE_SUBJECT, ROOT.certificate], at=NOW)


@settings(max_examples=300, deadline=None)
@given(st.data())
@pytest.mark.filterwarnings("ignore")
def test_a_damaged_certificate_has_no_path(data: st.DataObject) -> None:
    der = STI.leaf.public_bytes(Encoding.DER)
    damaged = bytearray(der)
    for position in data.draw(st.lists(st.integers(4, len(der) - 1), min_size=1, max_size=3)):
        damaged[position] = data.draw(st.integers(0, 255))
    assume(bytes(damaged) != der)
    try:
        leaf = x509.load_der_x509_certificate(bytes(damaged))
    except (ValueError, x509.InvalidVersion):
        return

    assert refusal(Certificate((leaf, *STI.chain[1:]))).reason in get_args(Reason)
