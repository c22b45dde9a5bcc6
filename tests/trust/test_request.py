"""Certificate requests as CAs read them: OpenSSL accepts them and finds what is asked for."""

import re
import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from trust.names import MAX_NAME, dns_name
from trust.request import (
    MAX_NAME_ATTRIBUTE,
    CertificateRequest,
    KeyType,
    RequestError,
    Subject,
    host_names,
    new_key,
    sti_request,
    tls_request,
)
from trust.tnauthlist import TN_AUTH_LIST_OID, TnAuthList, TnRange

NOBODY = Subject()
LONG = ".".join(["a" * 62] * 3)


@pytest.fixture(scope="module")
def key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def openssl(*arguments: str, stdin: bytes) -> tuple[str, str]:
    """Run openssl, which must succeed; return what it prints on both outputs."""
    run = subprocess.run(["openssl", *arguments], input=stdin, capture_output=True, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout.decode(), run.stderr.decode()


def as_openssl_reads(request: CertificateRequest, form: str = "PEM") -> str:
    """Let openssl check the signature, and return its description."""
    given = request.pem.encode() if form == "PEM" else request.der
    shown = ("-noout", "-text", "-nameopt", "RFC2253")
    text, said = openssl("req", "-inform", form, "-verify", *shown, stdin=given)
    assert "verify OK" in said + text
    return text


@pytest.mark.parametrize("form", ["PEM", "DER"])
def test_openssl_accepts_an_sti_request_and_finds_the_provider_in_its_extension(
    key: ec.EllipticCurvePrivateKey, form: str
) -> None:
    authorised = TnAuthList.of(spcs=["1234"])
    request = sti_request(key, authorised, Subject("Acme, Inc.", "US"))

    text = as_openssl_reads(request, form)

    assert "Subject: CN=SHAKEN 1234,O=Acme\\, Inc.,C=US" in text
    assert re.search(r"Requested Extensions:\s+1\.3\.6\.1\.5\.5\.7\.1\.26:", text)
    dump, _ = openssl("asn1parse", "-inform", "DER", stdin=request.der)
    # The whole value, as RFC 8226 has it for one code.
    assert "[HEX DUMP]:3008A006160431323334" in dump
    assert "ecdsa-with-SHA256" in text


def test_numbers_and_ranges_stand_in_the_extension_too(key: ec.EllipticCurvePrivateKey) -> None:
    authorised = TnAuthList.of(numbers=["12155550100"], ranges=[TnRange("12155550200", 100)])

    request = sti_request(key, authorised, NOBODY)

    text = as_openssl_reads(request)
    assert "Subject: CN=SHAKEN\n" in text
    assert "12155550200" in text
    extension = request.csr.extensions.get_extension_for_oid(TN_AUTH_LIST_OID)
    assert TnAuthList.decode(extension.value.public_bytes()) == authorised


@pytest.mark.parametrize("key_type", KeyType)
def test_openssl_accepts_a_tls_request_over_each_kind_of_key(key_type: KeyType) -> None:
    key = new_key(key_type)

    text = as_openssl_reads(tls_request(key, ["*.example.com", "pbx.example.net"], NOBODY))

    assert "DNS:*.example.com, DNS:pbx.example.net" in text
    assert "Subject: CN=*.example.com\n" in text
    kinds = {
        KeyType.P256: "NIST CURVE: P-256",
        KeyType.P384: "NIST CURVE: P-384",
        KeyType.RSA_2048: "(2048 bit)",
        KeyType.RSA_3072: "(3072 bit)",
        KeyType.RSA_4096: "(4096 bit)",
    }
    assert kinds[key_type] in text
    if isinstance(key, rsa.RSAPrivateKey):
        assert key.public_key().public_numbers().e == 65537


def test_the_id_is_the_digest_of_the_public_key(key: ec.EllipticCurvePrivateKey) -> None:
    request = tls_request(key, ["pbx.example.com"], NOBODY)

    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = subprocess.run(
        ["openssl", "pkey", "-pubout", "-outform", "DER"],
        input=pem,
        capture_output=True,
        check=True,
    ).stdout
    said, _ = openssl("dgst", "-sha256", "-r", stdin=public)
    assert said.split()[0] == request.id


def test_a_first_name_that_is_too_long_for_a_common_name_stands_among_the_names_alone(
    key: ec.EllipticCurvePrivateKey,
) -> None:
    fits = f"{'a' * (MAX_NAME_ATTRIBUTE - 12)}.example.com"
    longer = f"a.{fits}"

    for name, common in ((fits, [fits]), (longer, [])):
        csr = tls_request(key, [name], NOBODY).csr
        names = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.DNSName) == [name]
        found = csr.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        assert [attribute.value for attribute in found] == common


def test_a_provider_code_fits_into_the_common_name(key: ec.EllipticCurvePrivateKey) -> None:
    longest = MAX_NAME_ATTRIBUTE - len("SHAKEN ")

    request = sti_request(key, TnAuthList.of(spcs=["9" * longest]), NOBODY)
    with pytest.raises(RequestError, match=f"at most {longest} characters") as refused:
        sti_request(key, TnAuthList.of(spcs=["9" * (longest + 1)]), NOBODY)

    assert request.subject == f"CN=SHAKEN {'9' * longest}"
    assert refused.value.part == "spc"


NAMES = {
    "pbx.example.com": "pbx.example.com",
    " PBX.Example.com. ": "pbx.example.com",
    "*.example.com": "*.example.com",
    "bücher.example": "xn--bcher-kva.example",
    "*.bücher.example": "*.xn--bcher-kva.example",
    "localhost": "localhost",
    f"*.{'a' * 62}.{LONG}": f"*.{'a' * 62}.{LONG}",
}


@pytest.mark.parametrize("text", NAMES)
def test_a_name_has_one_spelling(text: str) -> None:
    assert host_names([text, text]) == (NAMES[text],)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "*",
        "*.",
        "**.example.com",
        "a.*.example.com",
        "*a.example.com",
        "*.*.example.com",
        "a b.example.com",
        "a_b.example.com",
        "-a.example.com",
        "a\x00.example.com",
        "192.0.2.1",
        "*.192.0.2.1",
        "2001:db8::1",
        "https://pbx.example.com",
        "pbx.example.com:5061",
        f"*.{'a' * 63}.{LONG}",
    ],
)
def test_what_is_no_name_of_a_host_is_refused(text: str) -> None:
    with pytest.raises(RequestError) as refused:
        host_names(["pbx.example.com", text])

    assert refused.value.part == "names"


@given(st.text(max_size=300))
def test_any_text_is_a_name_that_can_be_asked_for_or_is_refused(text: str) -> None:
    try:
        (name,) = host_names([text])
    except RequestError:
        return

    assert len(name) <= MAX_NAME
    assert dns_name(name.removeprefix("*.")) == name.removeprefix("*.")
    assert host_names([name]) == (name,)
    x509.DNSName(name)


@pytest.mark.parametrize(
    "organization", ["", "x" * (MAX_NAME_ATTRIBUTE + 1), "a\nb", "a\x00b", "a\x07"]
)
def test_an_organization_is_short_and_printable(
    key: ec.EllipticCurvePrivateKey, organization: str
) -> None:
    with pytest.raises(RequestError) as refused:
        Subject(organization=organization)

    assert refused.value.part == "organization"
    longest = "ü" * MAX_NAME_ATTRIBUTE
    assert f"O={longest}" in tls_request(key, ["a.example"], Subject(longest)).subject


@pytest.mark.parametrize("country", ["", "U", "us", "USA", "1A", "ÜS"])
def test_a_country_is_two_capital_letters(country: str) -> None:
    with pytest.raises(RequestError) as refused:
        Subject(country=country)

    assert refused.value.part == "country"
