"""Headers, tokens and certificates in words."""

import json
from base64 import urlsafe_b64encode
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from shaken.explain import ATTEST_WORDS, NotExplained, explain, explain_certificate
from trust.authority import Authority, Issued
from trust.certificate import Certificate
from trust.tnauthlist import TnRange

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
IAT = int(NOW.timestamp())
X5U = "https://sti.example.com/a.pem"
ORIGID = "de305d54-75b4-431b-adb2-eb6b9e546014"
HEADER = {"alg": "ES256", "ppt": "shaken", "typ": "passport", "x5u": X5U}
NAME_DIGEST = "sha256-sM275lTgzCte+LHOKHtU4SxG8shlOo6OS4ot8IJQImY"
CLAIMS = {
    "attest": "A",
    "dest": {"tn": ["12155559999"]},
    "iat": IAT,
    "orig": {"tn": "12155550100"},
    "origid": ORIGID,
}


def base64url(blob: bytes) -> str:
    return urlsafe_b64encode(blob).decode().rstrip("=")


def token(claims: dict[str, Any] | None = None, **header: Any) -> str:
    """A token that nobody signed; None leaves a member of the header out."""
    head = {name: value for name, value in {**HEADER, **header}.items() if value is not None}
    parts = (head, CLAIMS if claims is None else claims)
    return ".".join(
        [*(base64url(json.dumps(part).encode()) for part in parts), base64url(bytes(64))]
    )


def lines(text: str) -> list[str]:
    return list(explain(text, now=NOW))


def words(text: str) -> str:
    return "\n".join(lines(text))


# Headers

GOOD = f"{token()};info=<{X5U}>;alg=ES256;ppt=shaken"


def test_of_several_headers_one_that_cannot_be_read_spoils_no_other() -> None:
    said = lines(f"x,{GOOD}")

    assert said[0] == "Identity header 1 of 2"
    assert said[1].startswith("  It cannot be read: ")
    assert said[2] == "Identity header 2 of 2"
    assert said[3:] == lines(GOOD)


def test_a_header_is_explained_line_by_line() -> None:
    assert lines(GOOD) == [
        f"  info         {X5U}: where the signer's certificate is fetched",
        "  alg          ES256",
        "  ppt          shaken: a SHAKEN statement of who calls whom",
        "PASSporT (not verified: that needs the certificate, see `shaken verify`)",
        f"  x5u          {X5U}",
        "  orig         12155550100: who calls",
        "  dest         12155559999: who is called",
        f"  iat          {IAT}, 2026-06-01 12:00:00 UTC, 0 s ago; most verifiers allow 60 s",
        f"  attest       A: {ATTEST_WORDS['A']}",
        f"  origid       {ORIGID}: the signer's own mark of where it came from",
        "Verification now, as far as it goes without the certificate",
        "  ok           the token is a PASSporT",
        f"  ok           info and x5u both name {X5U}",
        "  ok           iat is 0 s before now",
        "  ok           orig and dest name who calls whom; there is no call to hold them to",
        "  ok           attest is A",
        "  next         certificate (436, 437) and signature (438): see `shaken verify`",
    ]


@pytest.mark.parametrize(
    "text",
    [
        f"Identity: {GOOD}",
        f"identity:{GOOD}",
        f"y: {GOOD}",
        f"\r\n {GOOD}\n",
        GOOD.replace(";", "\r\n ;"),
    ],
)
def test_a_header_may_be_pasted_in_any_way(text: str) -> None:
    assert lines(text) == lines(GOOD)


def test_several_headers_are_counted() -> None:
    div = f"{token({'div': {'tn': '1'}}, ppt='div')};info=<{X5U}>;ppt=div"

    text = words(f"{GOOD}, {div}")

    assert "Identity header 1 of 2" in text
    assert "Identity header 2 of 2" in text
    assert "  ppt          div: a statement that the call was diverted" in text
    assert "  div          1: who diverted the call to dest" in text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{token()};info=<{X5U}>", "  alg          left out, which means ES256"),
        (f"{token()};info=<{X5U}>", "  ppt          left out: not known here"),
        (
            f"{token()};info=<{X5U}>;ppt=SHAKEN",
            "  ppt          SHAKEN: a SHAKEN statement of who calls whom",
        ),
        (f"{token()};info=<{X5U}>;ppt=xyz", "  ppt          xyz: not known here"),
        (f'{token()};info=<{X5U}>;canon="a b"', "  canon        a b: an extension"),
        (f"{token()};info=<{X5U}>;lone", "  lone         : an extension"),
        (f"{token()};info=<http://a.example/>", "carriers would not fetch it: verifiers fetch"),
        (f"..{base64url(bytes(64))};info=<{X5U}>", "The token is in compact form"),
    ],
)
def test_what_a_header_lacks_or_has_too_much_is_said(text: str, said: str) -> None:
    assert said in words(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (f"x.y.z;info=<{X5U}>", "438 Invalid Identity Header: the token cannot be read: "),
        (f"..{base64url(bytes(64))};info=<{X5U}>", "438 Invalid Identity Header: the token"),
        (f"{token(alg='none')};info=<{X5U}>", "438 Invalid Identity Header: the token"),
        (f"{token()};info=<{X5U}>;alg=RS256", "438 Invalid Identity Header: alg is RS256"),
        (f"{token(ppt=None)};info=<{X5U}>", "438 Invalid Identity Header: ppt is not shaken"),
        (f"{token()};info=<https://b.example/>", "438 Invalid Identity Header: info <https://b"),
        (f"{token({**CLAIMS, 'iat': IAT - 61})};info=<{X5U}>", "403 Stale Date: iat is 61 s"),
        (f"{token({**CLAIMS, 'iat': IAT + 16})};info=<{X5U}>", "403 Stale Date: iat is 16 s"),
        (f"{token({**CLAIMS, 'iat': None})};info=<{X5U}>", "438 Invalid Identity Header: iat"),
        (f"{token({**CLAIMS, 'orig': None})};info=<{X5U}>", "438 Invalid Identity Header: orig"),
        (f"{token({**CLAIMS, 'orig': {}})};info=<{X5U}>", "438 Invalid Identity Header: orig"),
        (f"{token({**CLAIMS, 'dest': {}})};info=<{X5U}>", "438 Invalid Identity Header: dest"),
        (f"{token({**CLAIMS, 'attest': 'D'})};info=<{X5U}>", "438 Invalid Identity Header: attest"),
        (f"{token(x5u='http://a.example/')};info=<http://a.example/>", "436 Bad Identity Info"),
        (f"{token(x5u='https://127.0.0.1/')};info=<https://127.0.0.1/>", "436 Bad Identity Info"),
    ],
)
def test_where_a_header_fails_is_said_last(text: str, why: str) -> None:
    assert lines(text)[-1].startswith(f"  FAILS        {why}")


def test_of_a_header_of_an_unknown_type_no_failure_is_foretold() -> None:
    message = f"{token({'msgi': 'x'}, ppt='msgi')};info=<{X5U}>;ppt=msgi"

    assert "Verification" not in words(message)


# Other types

BASE = {name: CLAIMS[name] for name in ("orig", "dest", "iat")}
DIVERTED = {**BASE, "div": {"tn": "12155550123", "hi": "1"}}


def header(ppt: str, **claims: Any) -> str:
    """An Identity header of a type that nobody signed."""
    return f"{token({**BASE, **claims}, ppt=ppt)};info=<{X5U}>;alg=ES256;ppt={ppt}"


def test_a_diversion_is_explained() -> None:
    text = lines(header("div", div={"tn": "12155550123"}))

    assert text[2] == "  ppt          div: a statement that the call was diverted"
    assert text[8:] == [
        "  div          12155550123: who diverted the call to dest",
        "Verification now, as far as it goes without the certificate",
        "  ok           the token is a PASSporT",
        f"  ok           info and x5u both name {X5U}",
        "  ok           iat is 0 s before now",
        "  ok           the call was diverted from 12155550123 to 12155559999",
        "  next         certificate (436, 437) and signature (438): see `shaken verify`",
    ]


def test_a_passport_in_another_is_explained_behind_it() -> None:
    inner = token({**DIVERTED, "opt": token()}, ppt="div-o")

    text = lines(header("div-o", div={"tn": "12155550124"}, opt=inner))

    assert text.count("  opt          the PASSporT that the call had before: see below") == 2
    assert "PASSporT in opt, number 1, of type 'div-o'" in text
    assert "PASSporT in opt, number 2, of type 'shaken'" in text
    assert f"  attest       A: {ATTEST_WORDS['A']}" in text
    said = [line for line in text if line.startswith("Verification")]
    rest = "now, as far as it goes without the certificate"
    assert said == [
        f"Verification {rest}",
        f"Verification of the PASSporT in opt, number 1, {rest}",
        f"Verification of the PASSporT in opt, number 2, {rest}",
    ]


def test_no_more_passports_in_one_another_are_explained_than_are_followed() -> None:
    held = token()
    for _ in range(8):
        held = token({**DIVERTED, "opt": held}, ppt="div-o")

    text = lines(f"{held};info=<{X5U}>;ppt=div-o")

    assert "PASSporT in opt, number 5, of type 'div-o'" in text
    assert "PASSporT in opt, number 6, of type 'div-o'" not in text
    assert "opt holds more than 5 PASSporTs in one another" in text[-1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (header("div-o", div={"tn": "1"}), "before: missing, or none that can be read"),
        (
            header("div-o", div={"tn": "1"}, opt="a.b.c"),
            "before: missing, or none that can be read",
        ),
        (header("div-o", div={"tn": "1"}), "438 Invalid Identity Header: opt, which holds the"),
        (header("div"), "  div          missing: who diverted the call to dest"),
        (header("div"), "438 Invalid Identity Header: div and dest are no diversion"),
        (
            header("rph", rph={"auth": ["ets.0", "wps.1"]}),
            "  rph          ets.0, wps.1: the priority",
        ),
        (
            header("rph", rph={"auth": ["ets.0"]}),
            "ok           rph grants ets.0, nobody told Resource-Prio",
        ),
        (header("rph"), "  rph          missing: the priority"),
        (header("rph"), "438 Invalid Identity Header: rph grants nothing"),
        (header("rph", sph="psap-callback"), "  sph          'psap-callback': a call back from an"),
        (header("rcd", rcd={"nam": "Büro"}), r"  rcd nam      'B\xfcro': the caller's name"),
        (header("rcd", rcd={"nam": "", "new": 1}), "  rcd new      1: not known here"),
        (header("rcd", crn="an order"), "  crn          'an order': why the caller calls"),
        (
            header("rcd", rcd={"nam": "x", "icn": "https://a/"}, rcdi={"/icn": "sha256-x"}),
            "  rcdi         /icn: a digest of what a URL leads to, which is not checked",
        ),
        (
            header("rcd", rcd={"nam": "x"}, rcdi={"/nam": "sha256-x"}),
            "  rcdi         /nam: the digest does not fit: nothing of the data is to be shown",
        ),
        (
            header("rcd", rcd={"nam": "Q Branch Spy Gadgets"}, rcdi={"/nam": NAME_DIGEST}),
            "  rcdi         /nam: the digest fits",
        ),
        (header("rcd", rcd=[]), "  rcd          does not hold: rcd is no JSON object"),
        (header("rcd", rcdi={"/nam": "x"}), "  rcdi         {'/nam': 'x'}"),
        (header("rcd"), "438 Invalid Identity Header: there is neither rcd nor crn"),
    ],
)
def test_other_types_are_explained(text: str, said: str) -> None:
    assert said in words(text)


# Tokens


def test_a_bare_token_is_explained_without_the_lines_of_a_header() -> None:
    assert lines(token()) == lines(GOOD)[3:10]


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"attest": "B"}, "  attest       B: partial: "),
        ({"attest": "C"}, "  attest       C: gateway: "),
        ({"attest": "D"}, "  attest       D: none of A, B, C: verifiers answer 438"),
        ({"attest": ["A"]}, "none of A, B, C: verifiers answer 438"),
        ({"orig": None}, "  orig         missing: who calls"),
        ({"orig": "12155550100"}, "  orig         missing: who calls"),
        ({"orig": {}}, "  orig         empty: who calls"),
        ({"orig": {"uri": "sip:a@b.example"}}, "  orig         sip:a@b.example: who calls"),
        ({"orig": {"tn": 12155550100}}, "  orig         12155550100 (not a text): who calls"),
        ({"dest": {"tn": ["1", "2"], "uri": ["sip:a@b"]}}, "  dest         1, 2, sip:a@b: who is"),
        ({"dest": {"tn": []}}, "  dest         empty: who is called"),
        ({"dest": {"tn": [None]}}, "  dest         None (not a text): who is called"),
        ({"iat": IAT - 61}, "61 s ago; most verifiers allow 60 s"),
        ({"iat": IAT + 5}, "5 s in the future"),
        ({"iat": None}, "  iat          missing or no integer: verifiers answer 438"),
        ({"iat": str(IAT)}, "  iat          missing or no integer"),
        ({"iat": True}, "  iat          missing or no integer"),
        ({"iat": 1e9}, "  iat          missing or no integer"),
        ({"iat": 10**18}, "no time a clock could show"),
        ({"iat": -(10**18)}, "no time a clock could show"),
        ({"origid": None}, "  origid       None"),
        ({"rcd": {"nam": "Büro"}}, r"  rcd nam      'B\xfcro': the caller's name"),
        ({"x": "y" * 1000}, "  x            'yyy"),
    ],
    ids=str,
)
def test_what_a_token_claims_is_said(claims: dict[str, Any], said: str) -> None:
    text = words(token({**CLAIMS, **claims}))

    assert said in text
    assert max(map(len, text.splitlines())) < 300


def test_a_token_without_x5u_is_explained_too() -> None:
    assert "  x5u          missing" in words(token(x5u=None))


@pytest.mark.parametrize(
    "text",
    [
        token({**CLAIMS, "attest": "\x1b[31m"}),
        token({**CLAIMS, "origid": "\x1b]0;owned\x07"}),
        token({**CLAIMS, "orig": {"tn": "1\r\n  attest       A"}}),
        token({**CLAIMS, "a\nb\x1b[2J": 1}),
        token({**CLAIMS, "x": "\N{RIGHT-TO-LEFT OVERRIDE}"}),
        token({**CLAIMS, "div": {"tn": "\x1b[31m"}, "rph": {"auth": ["\x1b"]}, "sph": "\x1b"}),
        token({**CLAIMS, "rcd": {"nam": "\x1b", "\x1b": "\x1b"}, "crn": "\x1b"}),
        token({**CLAIMS, "rcd": {"nam": ""}, "rcdi": {"/\x1b": "\x1b"}}),
        token({**CLAIMS, "opt": token({**CLAIMS, "attest": "\x1b"}, ppt="\x1b")}),
        token(x5u="https://a.example/\x1b[8m"),
        f'{token()};info=<{X5U}>;a="\N{RIGHT-TO-LEFT OVERRIDE}\t"',
    ],
)
def test_no_header_speaks_to_the_terminal(text: str) -> None:
    assert [line for line in lines(text) if not line.isprintable()] == []


# Certificates


@pytest.fixture(scope="module")
def issued(lab_ca: Authority) -> Issued:
    """An STI certificate of a provider, with its chain and key."""
    return lab_ca.issue_sti(spc="1234", now=NOW)


def test_a_certificate_is_explained(issued: Issued) -> None:
    text = lines(issued.chain_pem)

    assert text[:8] == [
        "Certificate 1 of 2",
        "  subject      CN=SHAKEN 1234,O=SHAKEN lab",
        "  issued by    CN=Lab STI-CA,O=SHAKEN lab",
        "  valid        2026-06-01 11:55 to 2027-06-01 12:00 UTC: valid now, 365 days left",
        "  key          elliptic curve secp256r1",
        "  TNAuthList   provider 1234: speaks for this provider's calls",
        f"  fingerprint  {issued.certificate.fingerprint} (SHA-256)",
        "  It is fit to sign SHAKEN calls, where its issuer is trusted.",
    ]
    assert text[8] == "Certificate 2 of 2"
    assert any("certification authority" in line for line in text[9:])


def test_a_private_key_in_the_text_is_warned_of_and_never_shown(issued: Issued) -> None:
    text = words(issued.chain_pem + issued.key_pem)

    assert text.splitlines()[-1] == (
        "The text holds a private key too. Whoever has it can sign: do not pass it on."
    )
    assert_shows_nothing_of(issued, text)


def test_a_private_key_alone_is_warned_of_too(issued: Issued) -> None:
    text = words(issued.key_pem)

    assert text.startswith("The text holds a private key")
    assert_shows_nothing_of(issued, text)


def assert_shows_nothing_of(issued: Issued, text: str) -> None:
    for line in issued.key_pem.splitlines()[1:-1]:
        assert line not in text
    scalar = issued.private_key.private_numbers().private_value
    assert f"{scalar:x}" not in text
    assert str(scalar) not in text


@pytest.mark.parametrize(
    ("authorised", "said"),
    [
        ({"numbers": ["12155550100"]}, "  TNAuthList   number 12155550100"),
        (
            {"ranges": [TnRange("12155550100", 100)]},
            "  TNAuthList   numbers 12155550100 to 12155550199",
        ),
        ({}, "It cannot sign SHAKEN calls: The certificate has no TNAuthList"),
    ],
)
def test_what_a_certificate_speaks_for_is_said(
    lab_ca: Authority, authorised: dict[str, Any], said: str
) -> None:
    assert said in words(lab_ca.issue_sti(now=NOW, **authorised).chain_pem)


@pytest.mark.parametrize(
    ("moment", "said"),
    [
        (NOW - timedelta(minutes=6), "UTC: not yet valid"),
        (NOW, "UTC: valid now, 365 days left"),
        (NOW + timedelta(days=365), "UTC: valid now, 0 days left"),
        (NOW + timedelta(days=365, seconds=1), "UTC: expired"),
    ],
)
def test_a_certificate_is_valid_or_not(issued: Issued, moment: datetime, said: str) -> None:
    assert said in "\n".join(map(str, explain_certificate(issued.certificate, now=moment)))


@pytest.mark.parametrize(
    ("key", "said"),
    [
        (rsa.generate_private_key(public_exponent=65537, key_size=2048), "RSA 2048 bit"),
        (ec.generate_private_key(ec.SECP384R1()), "elliptic curve secp384r1"),
        (ed25519.Ed25519PrivateKey.generate(), "Ed25519"),
    ],
    ids=["RSA", "P-384", "Ed25519"],
)
def test_a_key_that_does_not_sign_shaken_is_named(lab_ca: Authority, key: Any, said: str) -> None:
    text = words(lab_ca.issue_sti(spc="1234", key=key, now=NOW).chain_pem)

    assert f"  key          {said}" in text
    assert "  It cannot sign SHAKEN calls: The certificate's key is" in text


def test_a_tn_auth_list_that_cannot_be_read_is_said(lab_ca: Authority) -> None:
    text = words(with_extension(lab_ca, "evil", b"\x30\x00"))

    assert "It cannot sign SHAKEN calls: The certificate's TNAuthList cannot be used" in text


def test_no_certificate_speaks_to_the_terminal(lab_ca: Authority) -> None:
    text = lines(with_extension(lab_ca, "evil\x1b[31m\r\n\N{RIGHT-TO-LEFT OVERRIDE}", b"\x30\x00"))

    assert [line for line in text if not line.isprintable()] == []


def with_extension(authority: Authority, common_name: str, tn_auth_list: bytes) -> str:
    """Issue a certificate with any name and anything for a TNAuthList."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    oid = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.26")
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(ec.generate_private_key(ec.SECP256R1()).public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=1))
        .add_extension(x509.UnrecognizedExtension(oid, tn_auth_list), critical=False)
        .sign(authority.private_key, hashes.SHA256())
    )
    return made.public_bytes(Encoding.PEM).decode()


# What is none of these


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "this is no Identity header: "),
        ("hello", "this is no Identity header: "),
        (token() + ";alg=ES256", "has no info parameter"),
        ("a.b.c", "this is no PASSporT: the header is not"),
        ("..", "this is no PASSporT: "),
        ("1.2.3.4", "this is no Identity header: "),
        (token(alg="none"), 'this is no PASSporT: alg is "none"'),
        ("-----BEGIN CERTIFICATE-----", "is cut off"),
        ("-----BEGIN", "The text holds no PEM block"),
        ("-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----", "Block 1 (CERTIFICATE)"),
    ],
)
def test_a_text_that_is_something_else_is_refused_before_anything_is_said(
    text: str, said: str
) -> None:
    with pytest.raises(NotExplained) as refused:
        explain(text, now=NOW)

    assert said in str(refused.value)


PIECES = st.sampled_from(
    [
        token(),
        GOOD,
        X5U,
        ";info=<",
        ">",
        ";",
        ",",
        ".",
        "..",
        "-----BEGIN",
        " CERTIFICATE-----",
        "\n",
    ]
)


@given(st.text(st.characters(exclude_categories=())) | st.lists(PIECES, max_size=8).map("".join))
def test_any_text_is_explained_or_refused(text: str) -> None:
    with suppress(NotExplained):
        assert all(line.isprintable() for line in lines(text))


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**19), 10**19) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
NAMES = st.sampled_from(["attest", "dest", "iat", "orig", "origid", "x5u"]) | st.text(max_size=5)


@given(st.dictionaries(NAMES, JSON_VALUES), JSON_VALUES)
def test_any_claims_are_explained_on_lines_of_their_own(
    claims: dict[str, Any], x5u: object
) -> None:
    text = lines(token(claims, x5u=x5u))

    assert all(line.isprintable() for line in text)


def test_a_chain_is_explained_certificate_by_certificate(issued: Issued) -> None:
    assert [*map(str, explain_certificate(Certificate((issued.certificate.leaf,)), now=NOW))] == (
        lines(issued.chain_pem)[1:8]
    )
