"""Whether a PASSporT holds for a call: each failure with its SIP response code of RFC 8224."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from shaken.acceptance import REASONS
from shaken.verification import Expectation, Verdict
from sip.identity import Identity
from tests.verification import verify
from trust.authority import Authority, Issued
from trust.tnauthlist import TnRange

X5U = "https://sti.example.com/a.pem"
ORIG, DEST = "12155550100", "12155559999"


@pytest.fixture(scope="module")
def issued(lab_ca: Authority, now: int) -> Issued:
    """The signer's certificate, that of a provider."""
    return lab_ca.issue_sti(spc="1234", now=at(now))


@pytest.fixture(scope="module")
def call(now: int) -> Expectation:
    """The call as it arrived."""
    return Expectation(orig=ORIG, dest=(DEST,), now=now, freshness=60, skew=15)


def at(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def identity(
    issued: Issued,
    now: int,
    *,
    header: dict[str, Any] | None = None,
    info: str = X5U,
    ppt: str | None = "shaken",
    key: ec.EllipticCurvePrivateKey | None = None,
    **claims: Any,
) -> Identity:
    """Sign a call with an independent JOSE library; a claim or header member None is left out."""
    made = {
        "attest": "A",
        "dest": {"tn": [DEST]},
        "iat": now,
        "orig": {"tn": ORIG},
        "origid": "de305d54-75b4-431b-adb2-eb6b9e546014",
        **claims,
    }
    headers = {"typ": "passport", "ppt": "shaken", "x5u": X5U, **(header or {})}
    token = jwt.encode(
        {name: value for name, value in made.items() if value is not None},
        key or issued.private_key,
        algorithm="ES256",
        headers={name: value for name, value in headers.items() if value is not None},
    )
    return Identity(token=token, info=info, alg="ES256", ppt=ppt)


Check = Callable[..., Verdict]


@pytest.fixture(scope="module")
def check(issued: Issued, lab_ca: Authority, call: Expectation) -> Check:
    """Verify a header against the call with the signer's certificate and the lab's root."""

    def check_header(header: Identity, **changes: Any) -> Verdict:
        arguments = {"certificate": issued.certificate, "roots": [lab_ca.root], **changes}
        return verify(header, arguments.pop("expectation", call), **arguments)

    return check_header


def words(verdict: Verdict) -> list[str]:
    return [step.words for step in verdict.steps]


# What holds


def test_a_header_that_holds_passes_every_check(check: Check, issued: Issued, now: int) -> None:
    verdict = check(identity(issued, now))

    assert verdict.code is None
    assert words(verdict) == [
        "the token is a PASSporT",
        f"info and x5u both name {X5U}",
        "the certificate leads to the root CN=Lab root,O=SHAKEN lab",
        "the signer is provider 1234",
        "iat is 0 s before now",
        "the signature fits the certificate's key",
        f"orig and dest are those of the call: {ORIG} to {DEST}",
        "attest is A",
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"attest": "B"},
        {"attest": "C"},
        {"dest": {"tn": ["1", DEST, "2"]}},
        {"dest": {"tn": ["1"], "uri": [DEST]}},
        {"ppt": None},
        {"origid": "any text"},
        {"div": {"tn": "1"}},
    ],
    ids=str,
)
def test_headers_may_differ(
    check: Check, issued: Issued, now: int, changes: dict[str, Any]
) -> None:
    assert check(identity(issued, now, **changes)).code is None


def test_uris_are_compared_like_numbers(
    check: Check, issued: Issued, call: Expectation, now: int
) -> None:
    parties: dict[str, Any] = {
        "orig": {"uri": "sip:a@b.example"},
        "dest": {"uri": ["sip:c@d.example"]},
    }
    expectation = structs.replace(call, orig="sip:a@b.example", dest=("sip:c@d.example",))

    assert check(identity(issued, now, **parties), expectation=expectation).code is None


def test_without_roots_the_certificates_own_chain_is_trusted(
    check: Check, issued: Issued, now: int
) -> None:
    verdict = check(identity(issued, now), roots=None)

    assert verdict.code is None
    assert "the certificate leads to the root CN=Lab STI-CA,O=SHAKEN lab" in words(verdict)


# What does not hold


@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [
        ({"header": {"ppt": "div"}}, 438, "ppt is not shaken"),
        ({"header": {"ppt": None}}, 438, "ppt is not shaken"),
        ({"ppt": "div"}, 438, "ppt is not shaken"),
        ({"header": {"typ": "JWT"}}, 438, 'the token cannot be read: typ is "JWT"'),
        ({"header": {"crit": ["x"], "x": 1}}, 438, "the token cannot be read: the header holds"),
        ({"header": {"x5u": "\x1b[31m\ud7ff"}}, 438, r"x5u, which is '\x1b[31m\ud7ff'"),
        ({"info": "https://evil.example/a.pem"}, 438, "info <https://evil.example/a.pem> is not"),
        ({"info": X5U.upper()}, 438, "is not the PASSporT's x5u"),
        ({"header": {"x5u": "https://evil.example/"}}, 438, "is not the PASSporT's x5u"),
        ({"header": {"x5u": None}}, 438, "is not the PASSporT's x5u"),
        ({"header": {"x5u": [X5U]}}, 438, "is not the PASSporT's x5u"),
        ({"iat": "1780315200"}, 438, "iat is missing or no integer"),
        ({"iat": True}, 438, "iat is missing or no integer"),
        ({"iat": 1780315200.5}, 438, "iat is missing or no integer"),
        ({"iat": 1780315199 - 60}, 403, "at most 60 s before and 15 s after is fresh"),
        ({"iat": 0}, 437, "not yet valid"),
        ({"iat": 10**19}, 403, "s after now; at most"),
        ({"iat": -(10**19)}, 403, "s before now; at most"),
        ({"orig": {"tn": "12155550101"}}, 438, "the call comes from 12155550100"),
        ({"orig": {"tn": "+12155550100"}}, 438, "the call comes from"),
        ({"orig": {"tn": 12155550100}}, 438, "the call comes from"),
        ({"orig": {"tn": [ORIG]}}, 438, "the call comes from"),
        ({"orig": {}}, 438, "the call comes from"),
        ({"orig": ORIG}, 438, "the call comes from"),
        ({"orig": None}, 438, "orig is None"),
        ({"orig": {"name": ORIG}}, 438, "the call comes from"),
        ({"orig": {"tn": "12125550100", "uri": ORIG}}, 438, "the call comes from"),
        ({"dest": {"tn": ["12155559998"]}}, 438, "the call goes to 12155559999"),
        ({"dest": {"tn": DEST}}, 438, "the call goes to"),
        ({"dest": {"tn": []}}, 438, "the call goes to"),
        ({"dest": {}}, 438, "the call goes to"),
        ({"dest": [DEST]}, 438, "the call goes to"),
        ({"dest": None}, 438, "dest is None"),
        ({"dest": {"names": [DEST]}}, 438, "the call goes to"),
        ({"attest": "D"}, 438, "attest is none of A, B, C"),
        ({"attest": "a"}, 438, "attest is none of A, B, C"),
        ({"attest": None}, 438, "attest is none of A, B, C"),
        ({"attest": ["A"]}, 438, "attest is none of A, B, C"),
        ({"attest": {"A": 1}}, 438, "attest is none of A, B, C"),
        ({"origid": None}, 438, "origid is missing"),
        ({"origid": 7}, 438, "origid is missing"),
    ],
    ids=str,
)
def test_a_header_fails_with_the_code_of_its_first_failure(
    check: Check, issued: Issued, now: int, *, changes: dict[str, Any], code: int, said: str
) -> None:
    verdict = check(identity(issued, now, **changes))

    assert verdict.code == code
    assert said in verdict.steps[-1].words
    assert all(step.words.isprintable() for step in verdict.steps)
    assert [step.code for step in verdict.steps[:-1]] == [None] * (len(verdict.steps) - 1)


@pytest.mark.parametrize(
    ("age", "code", "said"),
    [
        (61, 403, "iat is 61 s before now"),
        (60, None, "iat is 60 s before now"),
        (-15, None, "iat is 15 s after now"),
        (-16, 403, "iat is 16 s after now"),
    ],
)
def test_an_iat_is_fresh_or_stale(
    check: Check, issued: Issued, now: int, *, age: int, code: int | None, said: str
) -> None:
    verdict = check(identity(issued, now, iat=now - age))

    assert verdict.code == code
    assert any(said in each for each in words(verdict))


def test_a_token_signed_with_another_key_fails(check: Check, issued: Issued, now: int) -> None:
    verdict = check(identity(issued, now, key=ec.generate_private_key(ec.SECP256R1())))

    assert verdict.code == 438
    assert "or was altered" in verdict.steps[-1].words


def test_an_altered_token_fails(check: Check, issued: Issued, now: int) -> None:
    good, other = identity(issued, now), identity(issued, now, attest="B")
    header, _, signature = good.token.split(".")
    altered = structs.replace(good, token=f"{header}.{other.token.split('.')[1]}.{signature}")

    verdict = check(altered)

    assert verdict.code == 438
    assert "or was altered" in verdict.steps[-1].words


def test_the_compact_form_fails(check: Check, issued: Issued, now: int) -> None:
    good = identity(issued, now)
    compact = structs.replace(good, token=".." + good.token.rpartition(".")[2])

    verdict = check(compact)

    assert verdict.code == 438
    assert "compact form" in verdict.steps[-1].words
    assert len(verdict.steps) == 1


# Certificates that do not do


@pytest.mark.parametrize("roots", ["none", "stranger"])
def test_a_certificate_without_a_path_to_a_trusted_root_fails(
    check: Check, issued: Issued, now: int, roots: str
) -> None:
    trusted = [Authority.create("Stranger", now=at(now)).root] if roots == "stranger" else []

    verdict = check(identity(issued, now), roots=trusted)

    assert verdict.code == 437
    assert "unable to get local issuer certificate" in verdict.words


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"key": rsa.generate_private_key(public_exponent=65537, key_size=2048)}, "RSA"),
        ({"key": ec.generate_private_key(ec.SECP384R1())}, "secp384r1"),
        ({"lifetime": -timedelta(seconds=1)}, "certificate has expired"),
        ({"spc": None}, "no TNAuthList"),
    ],
    ids=["RSA", "P-384", "expired", "no TNAuthList"],
)
def test_a_certificate_that_cannot_sign_shaken_fails(
    check: Check,
    issued: Issued,
    lab_ca: Authority,
    now: int,
    *,
    changes: dict[str, Any],
    said: str,
) -> None:
    bad = lab_ca.issue_sti(**{"spc": "1234", "now": at(now), **changes})

    for roots in ([lab_ca.root], None):
        verdict = check(identity(issued, now), certificate=bad.certificate, roots=roots)

        assert verdict.code == 437
        assert said in verdict.words


def test_a_certificate_that_is_not_valid_yet_fails(
    check: Check, lab_ca: Authority, now: int
) -> None:
    future = lab_ca.issue_sti(spc="1234", now=at(now), not_before=at(now + 60))

    verdict = check(identity(future, now), certificate=future.certificate)

    assert verdict.code == 437
    assert "not yet valid" in verdict.steps[-1].words


def test_the_certificate_of_a_trusted_root_itself_fails(
    check: Check, issued: Issued, lab_ca: Authority, now: int
) -> None:
    authority = replace(issued.certificate, chain=(lab_ca.root,))

    assert check(identity(issued, now), certificate=authority).code == 437


# Authority over the number


@pytest.mark.parametrize(
    ("authorised", "code", "said"),
    [
        ({"spc": "1234"}, None, "the signer is provider 1234"),
        ({"spc": "1234", "numbers": ["19995550100"]}, None, "the signer is provider 1234"),
        ({"numbers": [ORIG]}, None, f"the certificate's TNAuthList covers {ORIG}"),
        ({"ranges": [TnRange("12155550000", 200)]}, None, f"TNAuthList covers {ORIG}"),
        ({"numbers": ["12155550101"]}, 437, f"does not cover {ORIG}"),
        ({"ranges": [TnRange("12155550101", 99)]}, 437, f"does not cover {ORIG}"),
        ({"numbers": ["1215555010"]}, 437, f"does not cover {ORIG}"),
    ],
    ids=str,
)
def test_the_certificate_must_speak_for_the_caller(
    check: Check,
    lab_ca: Authority,
    now: int,
    *,
    authorised: dict[str, Any],
    code: int | None,
    said: str,
) -> None:
    signer = lab_ca.issue_sti(now=at(now), **authorised)

    verdict = check(identity(signer, now), certificate=signer.certificate)

    assert verdict.code == code
    assert any(said in each for each in words(verdict))


def test_the_first_failure_in_the_order_of_rfc_8224_counts(
    check: Check, issued: Issued, now: int
) -> None:
    stale = identity(issued, now, iat=now - 61, orig={"tn": "1"}, attest="D")

    assert check(stale, roots=[]).code == 437
    assert check(stale).code == 403
    assert check(structs.replace(stale, info="https://evil.example/"), roots=[]).code == 438


def test_every_code_has_its_reason_phrase() -> None:
    assert REASONS == {
        403: "Stale Date",
        428: "Use Identity Header",
        433: "Anonymity Disallowed",
        436: "Bad Identity Info",
        437: "Unsupported Credential",
        438: "Invalid Identity Header",
        608: "Rejected",
    }


# Whatever a signer claims

CLAIMS = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["attest", "dest", "iat", "orig", "origid"]), CLAIMS, min_size=1
    )
)
def test_any_claims_get_a_verdict(
    check: Check, issued: Issued, now: int, claims: dict[str, Any]
) -> None:
    verdict = check(identity(issued, now, **claims))

    assert verdict.code in {None, 403, 437, 438}
    assert all(step.words.isprintable() for step in verdict.steps)
