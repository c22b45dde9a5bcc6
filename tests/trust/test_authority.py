"""The lab authority issues what real ones do."""

import ssl
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from trust.authority import BACKDATING, Authority, Issued
from trust.certificate import Certificate
from trust.profiles import check_sti
from trust.tnauthlist import TnAuthList, TnAuthListError, TnRange

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
ROOT = Authority.create("Lab root", now=NOW)
STI_CA = ROOT.intermediate("Lab STI-CA", now=NOW)


def openssl(*arguments: str, pem: str = "") -> str:
    run = subprocess.run(
        ["openssl", *arguments], input=pem, capture_output=True, text=True, check=True
    )
    return run.stdout


def verified_by_openssl(issued: Issued, root_pem: str, folder: Path) -> str:
    (folder / "root.pem").write_text(root_pem)
    (folder / "chain.pem").write_text(issued.chain_pem)
    at = str(int(NOW.timestamp()))
    files = [str(folder / name) for name in ("root.pem", "chain.pem", "chain.pem")]
    options = ("-x509_strict", "-attime", at, "-CAfile", files[0], "-untrusted", files[1])
    return openssl("verify", *options, files[2])


def test_an_sti_certificate_is_as_atis_1000080_has_it() -> None:
    issued = STI_CA.issue_sti(spc="1234", now=NOW)

    text = openssl("x509", "-noout", "-text", pem=issued.chain_pem)

    for line in (
        "Version: 3 (0x2)",
        "Signature Algorithm: ecdsa-with-SHA256",
        "Subject: O = SHAKEN lab, CN = SHAKEN 1234",
        "NIST CURVE: P-256",
        "X509v3 Key Usage: critical\n                Digital Signature\n",
        "X509v3 Basic Constraints: critical\n                CA:FALSE\n",
        "Policy: 2.16.840.1.114569.1.1.1",
        "X509v3 Subject Key Identifier",
        "X509v3 Authority Key Identifier",
        "1.3.6.1.5.5.7.1.26: \n                0.....1234",
    ):
        assert line in text
    assert "Extended Key Usage" not in text
    check_sti(issued.certificate, now=NOW)


@pytest.mark.parametrize("authority", [ROOT, STI_CA], ids=["root", "intermediate"])
def test_openssl_verifies_what_is_issued(authority: Authority, tmp_path: Path) -> None:
    sti = authority.issue_sti(spc="1234", now=NOW)
    server = authority.issue_server(["sip.example"], now=NOW)

    assert verified_by_openssl(sti, authority.root_pem, tmp_path).endswith("OK\n")
    assert verified_by_openssl(server, authority.root_pem, tmp_path).endswith("OK\n")


def test_a_delegate_certificate_names_numbers() -> None:
    span = TnRange("12155550200", 100)

    certificate = STI_CA.issue_sti(numbers=["12155550100"], ranges=[span], now=NOW).certificate

    assert certificate.tn_auth_list is not None
    assert certificate.tn_auth_list.spcs == ()
    assert certificate.tn_auth_list.numbers == ("12155550100",)
    assert certificate.tn_auth_list.ranges == (span,)
    assert certificate.subject == "CN=SHAKEN,O=SHAKEN lab"


def test_an_authority_that_delegates_names_numbers_and_a_depth(tmp_path: Path) -> None:
    named = TnAuthList.of(ranges=[TnRange("12155550200", 100)])

    customer = STI_CA.intermediate("Customer CA", tn_auth_list=named, path_length=0, now=NOW)

    issued = customer.issue_sti(numbers=["12155550250"], now=NOW)
    text = openssl("x509", "-noout", "-text", pem=customer.certificate_pem)
    assert Certificate((customer.certificate,)).tn_auth_list == named
    assert "CA:TRUE, pathlen:0" in text
    assert "Certificate Sign, CRL Sign" in text
    assert verified_by_openssl(issued, customer.root_pem, tmp_path).endswith("OK\n")


def test_without_anything_to_name_there_is_no_tn_auth_list() -> None:
    assert STI_CA.issue_sti(now=NOW).certificate.tn_auth_list is None


def test_a_number_that_is_none_is_refused() -> None:
    with pytest.raises(TnAuthListError):
        STI_CA.issue_sti(numbers=["+1 (215) 555-0100"], now=NOW)


def test_the_subject_can_be_chosen() -> None:
    issued = STI_CA.issue_sti(spc="1234", common_name="Example Telecom SHAKEN 1234", now=NOW)

    assert issued.certificate.subject == "CN=Example Telecom SHAKEN 1234,O=SHAKEN lab"


def test_validity_is_backdated_and_can_be_chosen() -> None:
    usual = STI_CA.issue_sti(spc="1234", now=NOW, lifetime=DAY).certificate
    later = STI_CA.issue_sti(spc="1234", now=NOW, not_before=NOW + DAY).certificate

    assert (usual.not_before, usual.not_after) == (NOW - BACKDATING, NOW + DAY)
    assert later.not_before == NOW + DAY
    assert ROOT.certificate.not_valid_before_utc == NOW - BACKDATING


def test_the_chain_leaves_the_root_out() -> None:
    issuing = STI_CA.intermediate("Lab issuing CA", now=NOW)

    under_root = ROOT.issue_sti(spc="1234", now=NOW).certificate
    under_two = issuing.issue_sti(spc="1234", now=NOW).certificate

    assert under_root.chain == (under_root.leaf,)
    assert under_two.chain == (under_two.leaf, issuing.certificate, STI_CA.certificate)
    assert issuing.root == ROOT.certificate
    assert issuing.root_pem == ROOT.certificate_pem


def test_keys_are_written_as_pkcs8_and_fit_their_certificates() -> None:
    issued = STI_CA.issue_sti(spc="1234", now=NOW)

    for pem, certificate in (
        (issued.key_pem, issued.certificate.leaf),
        (STI_CA.key_pem, STI_CA.certificate),
    ):
        assert pem.startswith("-----BEGIN PRIVATE KEY-----\n")
        key = load_pem_private_key(pem.encode(), None)
        assert key.public_key() == certificate.public_key()
    assert issued.private_key.public_key() == issued.certificate.leaf.public_key()


def test_an_authority_is_made_again_from_what_was_saved() -> None:
    key = load_pem_private_key(STI_CA.key_pem.encode(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    certificates = x509.load_pem_x509_certificates(
        (STI_CA.certificate_pem + STI_CA.root_pem).encode()
    )

    again = Authority(certificates[0], key, tuple(certificates[1:]))

    issued = again.issue_sti(spc="1234", now=NOW)
    issued.certificate.leaf.verify_directly_issued_by(STI_CA.certificate)
    assert issued.certificate.chain[1:] == (STI_CA.certificate,)


def test_keys_stay_out_of_representations() -> None:
    assert "key" not in repr(STI_CA).lower()
    assert "key" not in repr(STI_CA.issue_sti(spc="1234", now=NOW)).lower()


def test_a_certificate_over_another_kind_of_key_is_issued_on_request() -> None:
    key = rsa.generate_private_key(65537, 2048)

    issued = STI_CA.issue_sti(spc="1234", key=key, now=NOW)

    assert issued.key is key
    assert issued.certificate.leaf.public_key() == key.public_key()
    with pytest.raises(TypeError, match="elliptic curve"):
        _ = issued.private_key


@pytest.mark.parametrize(
    ("authority", "signer", "crl_issuer"),
    [
        (STI_CA, None, "CN=Lab root,O=SHAKEN lab"),
        (ROOT, None, None),
        (STI_CA, STI_CA.certificate.subject, None),
        (ROOT, STI_CA.certificate.subject, "CN=Lab STI-CA,O=SHAKEN lab"),
    ],
    ids=[
        "indirect under an intermediate",
        "direct under the root",
        "direct by an intermediate",
        "indirect by somebody chosen",
    ],
)
def test_the_revocation_list_is_the_roots_or_a_chosen_signers(
    authority: Authority, signer: x509.Name | None, crl_issuer: str | None
) -> None:
    url = "https://authenticate-api.example/crl"

    leaf = authority.issue_sti(spc="1234", crl_url=url, crl_issuer=signer, now=NOW).certificate.leaf
    below = authority.intermediate("Below", crl_url=url, crl_issuer=signer, now=NOW).certificate

    points = leaf.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    assert points == below.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    assert points[0].full_name == [x509.UniformResourceIdentifier(url)]
    issuers = [name.value.rfc4514_string() for name in points[0].crl_issuer or []]
    assert issuers == ([crl_issuer] if crl_issuer else [])


def test_a_server_certificate_works_for_tls(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    authority = Authority.create("Lab root", now=now).intermediate("Lab TLS CA", now=now)
    issued = authority.issue_server(["sip.example", "192.0.2.1"], now=now)
    (tmp_path / "server.pem").write_text(issued.key_pem + issued.chain_pem)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "server.pem")
    client = ssl.create_default_context(cadata=authority.root_pem)

    for name in ("sip.example", "192.0.2.1"):
        assert shake_hands(client, server, name)["subjectAltName"] == (
            ("DNS", "sip.example"),
            ("IP Address", "192.0.2.1"),
        )
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(client, server, "other.example")


def shake_hands(client: ssl.SSLContext, server: ssl.SSLContext, name: str) -> dict[str, object]:
    """Let both sides of a TLS connection talk in memory; return what the client learnt."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    calling = client.wrap_bio(to_client, to_server, server_hostname=name)
    called = server.wrap_bio(to_server, to_client, server_side=True)
    pending = [calling, called]
    while pending:
        side = pending.pop(0)
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            pending.append(side)
    return dict(calling.getpeercert() or {})
