"""PASSporTs: byte-exact to the standard when written, strict and lenient in the right places."""

import base64
import json
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import ECKey

from shaken.passport import (
    MAX_TOKEN,
    Parties,
    Party,
    PassportError,
    ShakenClaims,
    decode,
    header_segment,
    serialize,
    sign,
    signature_fits,
)

RFC_8225 = json.loads((Path(__file__).parents[1] / "vectors/shaken/rfc8225.json").read_text())
RFC_KEY = load_pem_private_key(RFC_8225["key"].encode(), None)
assert isinstance(RFC_KEY, ec.EllipticCurvePrivateKey)
RFC_PUBLIC_KEY = RFC_KEY.public_key()

KEY = ec.generate_private_key(ec.SECP256R1())
X5U = "https://sti.example.com/a.pem"
CLAIMS = ShakenClaims(
    attest="A",
    dest=Parties(tn=("12155550199",)),
    iat=1_780_000_000,
    orig=Party(tn="12155550100"),
    origid="6b7ab1b4-1b1c-4e4f-8f0d-0d3a3d2f7c55",
)
HEADER = {"alg": "ES256", "ppt": "shaken", "typ": "passport", "x5u": X5U}


def base64url(blob: bytes) -> str:
    return base64.urlsafe_b64encode(blob).decode().rstrip("=")


def from_base64url(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "==")


def token_of(header: dict[str, Any] | bytes = b"", claims: dict[str, Any] | bytes = b"{}") -> str:
    """Join a token of any content; its signature is 64 zeros."""
    header = header or HEADER
    parts = [
        part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, claims)
    ]
    return ".".join(base64url(part) for part in (*parts, bytes(64)))


# What is written


def test_the_example_of_rfc_8225_is_serialized_to_its_bytes() -> None:
    header, payload = RFC_8225["header"], RFC_8225["payload"]

    written = base64url(serialize(header)) + "." + base64url(serialize(payload))

    assert written == RFC_8225["signing_input"]


def test_the_example_of_rfc_8225_is_read_and_verified_with_its_key() -> None:
    passport = decode(signed_by_jose(RFC_8225["signing_input"], RFC_8225["key"]))

    assert passport.header == RFC_8225["header"]
    assert passport.claims == RFC_8225["payload"]
    assert signature_fits(passport, RFC_PUBLIC_KEY)
    assert not signature_fits(passport, KEY.public_key())


def signed_by_jose(signing_input: str, key_pem: str) -> str:
    """Complete a token whose first two segments are of any spelling."""
    algorithm = jws.JWSRegistry.algorithms["ES256"]
    signature = algorithm.sign(signing_input.encode(), ECKey.import_key(key_pem))
    return f"{signing_input}.{base64url(signature)}"


def test_the_header_of_a_shaken_passport_is_exactly_this() -> None:
    written = from_base64url(header_segment(x5u=X5U, ppt="shaken"))

    assert written == (
        b'{"alg":"ES256","ppt":"shaken","typ":"passport","x5u":"https://sti.example.com/a.pem"}'
    )


def test_the_claims_of_a_shaken_passport_are_exactly_these() -> None:
    assert serialize(CLAIMS) == (
        b'{"attest":"A","dest":{"tn":["12155550199"]},"iat":1780000000,'
        b'"orig":{"tn":"12155550100"},"origid":"6b7ab1b4-1b1c-4e4f-8f0d-0d3a3d2f7c55"}'
    )


def test_several_destinations_and_uris_stay_in_their_order() -> None:
    claims = ShakenClaims(
        attest="C",
        dest=Parties(tn=("2", "10"), uri=("sip:b@example.com", "sip:a@example.com")),
        iat=1,
        orig=Party(uri="sip:me@example.com"),
        origid="x",
    )

    assert serialize(claims) == (
        b'{"attest":"C","dest":{"tn":["2","10"],"uri":["sip:b@example.com","sip:a@example.com"]},'
        b'"iat":1,"orig":{"uri":"sip:me@example.com"},"origid":"x"}'
    )
    assert claims.dest.all() == ("2", "10", "sip:b@example.com", "sip:a@example.com")


@pytest.mark.parametrize(
    ("party", "text"),
    [(Party(tn="12155550100"), "12155550100"), (Party(uri="sip:a@b"), "sip:a@b")],
)
def test_a_party_is_shown_as_its_number_or_uri(party: Party, text: str) -> None:
    assert str(party) == text


def test_keys_stand_in_order_at_every_level() -> None:
    claims = {"b": [{"d": 1, "c": {"y": 1, "x": 2}}], "a": {"Z": 1, "ü": 2, "z": 3}, "B": 1}

    assert serialize(claims) == (
        '{"B":1,"a":{"Z":1,"z":3,"ü":2},"b":[{"c":{"x":2,"y":1},"d":1}]}'.encode()
    )


def test_text_beyond_ascii_is_written_as_utf_8() -> None:
    assert serialize({"nam": "Büro 例 \N{TELEPHONE RECEIVER}"}) == (
        '{"nam":"Büro 例 \N{TELEPHONE RECEIVER}"}'.encode()
    )


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=10,
)


@given(st.dictionaries(st.text(st.characters(codec="utf-8")), JSON_VALUES))
def test_any_claims_are_written_as_rfc_8225_section_9_has_it(claims: dict[str, Any]) -> None:
    expected = json.dumps(claims, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    assert json.loads(serialize(claims)) == claims
    # The two writers escape control characters differently, and that is all.
    if expected.isprintable():
        assert serialize(claims) == expected.encode()


# What is signed


def test_an_independent_jose_library_verifies_what_is_signed() -> None:
    token = sign(header_segment(x5u=X5U, ppt="shaken"), CLAIMS, KEY)
    registry = jws.JWSRegistry(algorithms=["ES256"], strict_check_header=False)
    public = ECKey.import_key(public_pem(KEY))

    verified = jws.deserialize_compact(token, public, registry=registry)

    assert verified.protected == HEADER
    assert json.loads(verified.payload) == json.loads(serialize(CLAIMS))


def public_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def test_a_signature_is_read_whatever_octets_its_integers_begin_with() -> None:
    """With a zero, which DER leaves out, and with a bit that DER would take for a sign."""
    seen: set[tuple[bool, bool]] = set()
    header = header_segment(x5u=X5U, ppt="shaken")
    while len(seen) < 4:
        passport = decode(sign(header, CLAIMS, KEY))
        assert len(passport.signature) == 64
        assert signature_fits(passport, KEY.public_key())
        for octets in (passport.signature[:32], passport.signature[32:]):
            seen.add((octets[0] == 0, octets[octets[0] == 0] >= 0x80))


@pytest.mark.parametrize(("r", "s"), [(0, 0), (0, 1), (1, 0), (1, 1), (2**256 - 1, 2**256 - 1)])
def test_integers_that_no_signature_has_fit_nothing(r: int, s: int) -> None:
    signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    signed = sign(header_segment(x5u=X5U, ppt="shaken"), CLAIMS, KEY).rpartition(".")[0]

    assert not signature_fits(decode(f"{signed}.{base64url(signature)}"), KEY.public_key())


def test_a_passport_is_told_from_others_by_what_only_its_signer_can_write() -> None:
    """Of one signature there are two spellings, (r, s) and (r, n - s); both fit."""
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    first = decode(sign(header_segment(x5u=X5U, ppt="shaken"), CLAIMS, KEY))
    s = order - int.from_bytes(first.signature[32:], "big")
    other = decode(
        f"{first.signed.decode()}.{base64url(first.signature[:32] + s.to_bytes(32, 'big'))}"
    )
    again = decode(sign(header_segment(x5u=X5U, ppt="shaken"), CLAIMS, KEY))

    assert other.signature != first.signature
    assert signature_fits(other, KEY.public_key())
    assert other.once == first.once
    assert again.once != first.once


def test_openssl_verifies_what_is_signed(tmp_path: Path) -> None:
    token = sign(header_segment(x5u=X5U, ppt="shaken"), CLAIMS, KEY)
    signed, _, signature = token.rpartition(".")
    raw = from_base64url(signature)
    assert len(raw) == 64
    r, s = int.from_bytes(raw[:32]), int.from_bytes(raw[32:])
    (tmp_path / "pub.pem").write_bytes(public_pem(KEY))
    (tmp_path / "sig.der").write_bytes(encode_dss_signature(r, s))
    (tmp_path / "input").write_text(signed)

    run = subprocess.run(
        ["openssl", "dgst", "-sha256", "-verify", "pub.pem", "-signature", "sig.der", "input"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.stdout == "Verified OK\n"


def test_what_is_signed_is_read_again_and_its_signature_fits() -> None:
    for _ in range(50):  # r and s begin with zeros now and then
        token = sign(header_segment(x5u=X5U, ppt="shaken"), CLAIMS, KEY)

        passport = decode(token)

        assert passport.header == HEADER
        assert passport.claims == json.loads(serialize(CLAIMS))
        assert passport.token == token
        assert passport.x5u == X5U
        assert signature_fits(passport, KEY.public_key())


def test_a_signature_is_over_the_bytes_received_in_any_order_and_white_space() -> None:
    header = b'{ "x5u":"%b",\r\n"typ":"passport", "ppt":"shaken", "alg":"ES256"}' % X5U.encode()
    claims = rb'{"orig" : {"tn":"12155550100"}, "\u0061ttest":"A" }'

    passport = decode(signed_by_jose(f"{base64url(header)}.{base64url(claims)}", RFC_8225["key"]))

    assert passport.header == HEADER
    assert passport.claims == {"orig": {"tn": "12155550100"}, "attest": "A"}
    assert signature_fits(passport, RFC_PUBLIC_KEY)


def test_a_signature_does_not_fit_with_any_character_of_the_token_altered() -> None:
    token = sign(header_segment(x5u=X5U, ppt="shaken"), CLAIMS, KEY)

    for place in range(0, len(token), 3):
        altered = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
        with suppress(PassportError):
            assert not signature_fits(decode(altered), KEY.public_key())


@pytest.mark.parametrize("length", [0, 1, 63, 65, 128])
def test_a_signature_of_another_length_does_not_fit(length: int) -> None:
    header, claims, _ = sign(header_segment(x5u=X5U, ppt="shaken"), CLAIMS, KEY).split(".")

    with suppress(PassportError):
        passport = decode(f"{header}.{claims}.{base64url(bytes(length))}")
        assert not signature_fits(passport, KEY.public_key())


@pytest.mark.parametrize("curve", [ec.SECP384R1(), ec.SECP521R1()])
def test_a_key_on_another_curve_does_not_fit(curve: ec.EllipticCurve) -> None:
    passport = decode(sign(header_segment(x5u=X5U, ppt="shaken"), CLAIMS, KEY))

    assert not signature_fits(passport, ec.generate_private_key(curve).public_key())


# What is read


@pytest.mark.parametrize(
    ("token", "complaint"),
    [
        (token_of({**HEADER, "alg": "none"}), 'alg is "none", only ES256'),
        (token_of({**HEADER, "alg": "HS256"}), 'alg is "HS256"'),
        (token_of({**HEADER, "alg": "ES384"}), 'alg is "ES384"'),
        (token_of({**HEADER, "alg": "es256"}), 'alg is "es256"'),
        (token_of({**HEADER, "alg": ["ES256"]}), 'alg is ["ES256"]'),
        (token_of({**HEADER, "alg": None}), "alg is missing"),
        (token_of({"typ": "passport", "x5u": X5U}), "alg is missing"),
        (token_of({**HEADER, "typ": "JWT"}), 'typ is "JWT"'),
        (token_of({**HEADER, "typ": "Passport"}), 'typ is "Passport"'),
        (token_of({"alg": "ES256", "x5u": X5U}), "typ is missing"),
        (token_of({**HEADER, "b64": False}), "'b64'"),
        (token_of({**HEADER, "b64": True}), "'b64'"),
        (token_of({**HEADER, "crit": ["ppt"]}), "'crit'"),
        (token_of({**HEADER, "jwk": {}}), "'jwk'"),
        (token_of({**HEADER, "jku": X5U}), "'jku'"),
        (token_of(b'{"alg":"ES256","alg":"ES256","typ":"passport"}'), "duplicate key 'alg'"),
        (token_of(b'{"alg":"none","typ":"passport","alg":"ES256"}'), "duplicate key 'alg'"),
        (token_of(claims=b'{"orig":{"tn":"1","tn":"2"}}'), "duplicate key 'tn'"),
        (token_of(b"[]"), "the header is not a JSON object"),
        (token_of(b"x"), "the header is not a JSON object"),
        (token_of(claims=b"[]"), "the payload is not a JSON object"),
        (token_of(claims=b'{"iat":NaN}'), "the payload is not a JSON object: NaN"),
        (token_of(claims=b'{"iat":1e999}'), "the payload is not a JSON object"),
        (token_of(claims=rb'{"orig":"\ud800"}'), "the payload is not a JSON object"),
        (token_of(claims=b"\xef\xbb\xbf{}"), "the payload is not a JSON object"),
        (token_of(claims="{}".encode("utf-16")), "the payload is not a JSON object: not UTF-8"),
        ("..AAAA", "compact form"),
        ("...", "compact form"),
    ],
)
def test_what_must_not_be_believed_is_refused(token: str, complaint: str) -> None:
    with pytest.raises(PassportError) as refused:
        decode(token)

    assert complaint in str(refused.value)


GOOD = token_of()


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "a.b",
        GOOD + ".",
        GOOD + ".AAAA",
        "." + GOOD,
        GOOD.rpartition(".")[0],
        GOOD.rpartition(".")[0] + ".",
        GOOD + "=",
        GOOD + "==",
        GOOD + "\n",
        " " + GOOD,
        GOOD.replace(".", ". "),
        GOOD[:-1] + "+",
        GOOD[:-1] + "/",
        GOOD[:-1] + "ü",
        GOOD[:-1] + "\N{FULLWIDTH LATIN CAPITAL LETTER A}",
        GOOD[:-1] + "\ud800",
        "Identity: " + GOOD,
        f"{GOOD};info=<{X5U}>",
    ],
)
def test_what_is_no_three_segments_of_base64url_is_refused(token: str) -> None:
    with pytest.raises(PassportError, match="a token is three base64url segments joined by dots"):
        decode(token)


@pytest.mark.parametrize("segment", [0, 1, 2])
@pytest.mark.parametrize("extra", ["A", "AAAAA"], ids=["one character more", "five more"])
def test_a_segment_of_a_length_that_base64_never_has_is_refused(segment: int, extra: str) -> None:
    # Each segment is cut to a multiple of four characters first.
    parts = GOOD.split(".")
    parts[segment] = parts[segment][: len(parts[segment]) // 4 * 4] + extra

    with pytest.raises(PassportError, match=r"is not base64url"):
        decode(".".join(parts))


ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("space", [b"", b" "], ids=["four spare bits", "two spare bits"])
def test_bits_that_belong_to_no_byte_must_be_zero(place: int, space: bytes) -> None:
    header = b'{"alg":"ES256","typ":"passport"}'
    blobs = [header + b" " * (-len(header) % 3), b"{ }", bytes(63)]
    blobs[place] += b"\n" + space
    parts = [base64url(blob) for blob in blobs]
    assert decode(".".join(parts))
    last = ALPHABET.index(parts[place][-1])
    parts[place] = parts[place][:-1] + ALPHABET[last + 1]
    assert from_base64url(parts[place]) == blobs[place]

    with pytest.raises(PassportError, match="is not base64url as it is written"):
        decode(".".join(parts))


def test_the_length_of_a_token_is_bounded() -> None:
    empty = token_of(claims=b'{"nam":""}')
    room = (MAX_TOKEN - len(empty)) // 4 * 3
    longest = token_of(claims=b'{"nam":"' + b"x" * room + b'"}')
    longer = token_of(claims=b'{"nam":"' + b"x" * (room + 3) + b'"}')
    assert MAX_TOKEN - 4 < len(longest) <= MAX_TOKEN < len(longer)

    assert decode(longest)
    with pytest.raises(PassportError, match=f"longer than {MAX_TOKEN} characters"):
        decode(longer)


@pytest.mark.parametrize("x5u", [None, 7, ["https://sti.example.com"], {}])
def test_an_x5u_that_is_no_text_is_none(x5u: object) -> None:
    assert decode(token_of({**HEADER, "x5u": x5u})).x5u is None


def test_header_members_that_nobody_knows_are_kept() -> None:
    assert decode(token_of({**HEADER, "x": [1]})).header == {**HEADER, "x": [1]}


BASE64URL = st.text(ALPHABET, max_size=40)
HEADER_LIKE = st.dictionaries(
    st.sampled_from(["alg", "typ", "ppt", "x5u", "crit", "b64", "x"]),
    st.sampled_from(["ES256", "passport", "shaken", X5U]) | JSON_VALUES,
)
TOKEN_LIKE = (
    st.lists(BASE64URL, min_size=1, max_size=4).map(".".join)
    | st.builds(token_of, HEADER_LIKE, st.binary() | HEADER_LIKE)
    | st.builds(token_of, st.just(HEADER), st.binary() | HEADER_LIKE)
)


@given(st.text(st.characters(exclude_categories=())) | TOKEN_LIKE)
def test_any_text_is_a_passport_or_refused(token: str) -> None:
    with suppress(PassportError):
        passport = decode(token)

        assert passport.token == token
        assert not signature_fits(passport, KEY.public_key())


@given(st.data())
def test_no_damage_to_a_token_goes_unseen(data: st.DataObject) -> None:
    token = sign(header_segment(x5u=X5U, ppt="shaken"), CLAIMS, KEY)
    place = data.draw(st.integers(0, len(token) - 1))
    inserted = data.draw(st.text("AQgw_-.", max_size=3))
    damaged = token[:place] + inserted + token[place + data.draw(st.integers(0, 2)) :]

    with suppress(PassportError):
        assert (damaged == token) is signature_fits(decode(damaged), KEY.public_key())
