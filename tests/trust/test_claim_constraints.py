"""Claim constraints in certificates: RFC 8226 §8, RFC 9118 §3."""

import json
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from trust.authority import Authority
from trust.claim_constraints import (
    ENHANCED_JWT_CLAIM_CONSTRAINTS_OID,
    JWT_CLAIM_CONSTRAINTS_OID,
    MAX_ENTRIES,
    ClaimConstraints,
    ClaimConstraintsError,
    PermittedValues,
    constraints_of,
)

VECTORS = Path(__file__).parents[1] / "vectors/trust"
DER = json.loads((VECTORS / "claim_constraints.json").read_text())
NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
ROOT = Authority.create("Lab root", now=NOW)

CLAIMS: dict[str, object] = {
    "attest": "A",
    "dest": {"tn": ["12155550200"]},
    "iat": 1780000000,
    "orig": {"tn": "12155550100"},
    "origid": "de305d54-75b4-431b-adb2-eb6b9e546014",
}


def by_name(vectors: list[dict[str, Any]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("vector", vectors, ids=[one["name"] for one in vectors])


@by_name(DER["valid"])
def test_der_is_read_and_written_as_openssl_writes_it(vector: dict[str, Any]) -> None:
    expected = ClaimConstraints(
        must_include=tuple(vector["must_include"]),
        permitted_values=tuple(
            PermittedValues(claim, tuple(values)) for claim, values in vector["permitted"]
        ),
        must_exclude=tuple(vector["must_exclude"]),
    )
    der = bytes.fromhex(vector["der"])

    assert ClaimConstraints.decode(der) == expected
    assert expected.encode() == der


@by_name(DER["invalid"])
def test_what_the_rfcs_forbid_is_refused_with_a_reason(vector: dict[str, Any]) -> None:
    with pytest.raises(ClaimConstraintsError, match=vector["why"]):
        ClaimConstraints.decode(bytes.fromhex(vector["der"]))


def permitting(claim: str, *values: str) -> ClaimConstraints:
    return ClaimConstraints(permitted_values=(PermittedValues(claim, values),))


@pytest.mark.parametrize(
    ("constraints", "claims"),
    [
        (ClaimConstraints(must_include=("attest", "origid")), CLAIMS),
        (ClaimConstraints(must_include=("iat", "orig", "dest")), CLAIMS),
        (ClaimConstraints(must_exclude=("rcd", "rcdi")), CLAIMS),
        (permitting("attest", "A", "B"), CLAIMS),
        (permitting("attest", "C"), {}),
        (permitting("crn", ""), {"crn": ""}),
        (permitting("orig", '{"tn":"12155550100"}'), CLAIMS),
        (permitting("dest", '{"tn":["12155550200"],"uri":["sip:a"]}'),
         {"dest": {"uri": ["sip:a"], "tn": ["12155550200"]}}),
        (permitting("n", "7"), {"n": 7}),
        (permitting("n", "true"), {"n": True}),
        (permitting("rcd", '{"nam":"Grüße"}'), {"rcd": {"nam": "Grüße"}}),
    ],
    ids=[
        "demanded and there",
        "the claims every PASSporT has",
        "forbidden and missing",
        "one of the values",
        "values of a claim that is missing",
        "an empty string",
        "an object",
        "an object whose keys came in another order",
        "a number",
        "a boolean",
        "beyond ASCII",
    ],
)  # fmt: skip
def test_claims_within_the_constraints_pass(
    constraints: ClaimConstraints, claims: dict[str, object]
) -> None:
    assert constraints.check(claims) is None


@pytest.mark.parametrize(
    ("constraints", "claims", "told"),
    [
        (ClaimConstraints(must_include=("rcd",)), CLAIMS, "'rcd' is missing"),
        (ClaimConstraints(must_include=("iat",)), {}, "'iat' is missing"),
        (ClaimConstraints(must_include=("Attest",)), CLAIMS, "'Attest' is missing"),
        (ClaimConstraints(must_exclude=("origid",)), CLAIMS, "'origid' is present"),
        (ClaimConstraints(must_exclude=("x",)), {"x": None}, "'x' is present"),
        (permitting("attest", "B", "C"), CLAIMS, "'attest' is 'A'; the certificate permits 'B, C'"),
        (permitting("attest", "a"), CLAIMS, "'attest' is 'A'"),
        (permitting("orig", '{"tn": "12155550100"}'), CLAIMS, "'orig' is"),
        (permitting("n", "1"), {"n": True}, "'n' is True"),
        (permitting("n", "x"), {"n": ["x"]}, "'n' is ['x']"),
        (permitting("attest", "A", "B"), {"attest": None}, "'attest' is None"),
    ],
)
def test_claims_outside_the_constraints_are_told(
    constraints: ClaimConstraints, claims: dict[str, object], told: str
) -> None:
    violation = constraints.check(claims)

    assert violation is not None
    assert told in violation


def test_each_list_of_values_for_a_claim_must_hold() -> None:
    both = ClaimConstraints(
        permitted_values=(PermittedValues("attest", ("A", "B")), PermittedValues("attest", ("B",)))
    )

    assert both.check({"attest": "B"}) is None
    assert both.check({"attest": "A"}) is not None


def test_what_is_quoted_of_a_stranger_is_short_and_plain() -> None:
    violation = permitting("crn", "x").check({"crn": "\x1b" + "y" * 5000})

    assert violation is not None
    assert violation.isprintable()
    assert len(violation) < 300


def test_lists_are_bounded() -> None:
    most = tuple(f"c{number}" for number in range(MAX_ENTRIES))

    assert ClaimConstraints.decode(ClaimConstraints(most).encode()).must_include == most
    assert PermittedValues("c", most)
    for too_much in (
        lambda: ClaimConstraints((*most, "c")),
        lambda: ClaimConstraints(must_exclude=(*most, "c")),
        lambda: PermittedValues("c", (*most, "c")),
    ):
        with pytest.raises(ClaimConstraintsError, match=str(MAX_ENTRIES)):
            too_much()


def test_names_are_ascii() -> None:
    with pytest.raises(ClaimConstraintsError, match="ASCII"):
        ClaimConstraints(must_include=("ü",))


PLAIN = ClaimConstraints(must_include=("attest",))
ENHANCED = ClaimConstraints(must_exclude=("rcd",))


def certificate_with(*extensions: tuple[x509.ObjectIdentifier, bytes]) -> x509.Certificate:
    return ROOT._issue(
        ROOT.certificate.subject,
        ROOT.private_key.public_key(),
        (NOW, NOW),
        [(x509.UnrecognizedExtension(oid, der), False) for oid, der in extensions],
    )


def test_both_extensions_of_a_certificate_are_found() -> None:
    certificate = certificate_with(
        (JWT_CLAIM_CONSTRAINTS_OID, PLAIN.encode()),
        (ENHANCED_JWT_CLAIM_CONSTRAINTS_OID, ENHANCED.encode()),
    )

    assert constraints_of(certificate) == (PLAIN, ENHANCED)
    assert constraints_of(ROOT.certificate) == ()


@pytest.mark.parametrize("constraints", [PLAIN, ENHANCED], ids=["RFC 8226", "RFC 9118"])
def test_the_lab_issues_them(constraints: ClaimConstraints) -> None:
    issued = ROOT.issue_sti(spc="1234", constraints=constraints, now=NOW).certificate.leaf

    assert constraints_of(issued) == (constraints,)
    assert issued.extensions.get_extension_for_oid(constraints.oid)


def test_those_openssl_put_into_a_certificate_are_found() -> None:
    leaf = x509.load_pem_x509_certificate((VECTORS / "sti/leaf.pem").read_bytes())

    assert constraints_of(leaf) == (
        ClaimConstraints(("attest",), (PermittedValues("attest", ("A",)),)),
    )


@pytest.mark.parametrize(
    ("der", "told"),
    [(ENHANCED.encode(), "mustExclude"), (b"\x30\x00", "demand nothing")],
    ids=["mustExclude in RFC 8226's", "empty"],
)
def test_malformed_ones_of_a_certificate_are_refused(der: bytes, told: str) -> None:
    with pytest.raises(ClaimConstraintsError, match=told):
        constraints_of(certificate_with((JWT_CLAIM_CONSTRAINTS_OID, der)))


NAMES = st.text(st.characters(max_codepoint=127), max_size=10)
VALUES = st.text(max_size=20)
NAME_LISTS = st.lists(NAMES, max_size=5).map(tuple)
CONSTRAINTS = st.tuples(
    NAME_LISTS,
    st.lists(
        st.builds(PermittedValues, NAMES, st.lists(VALUES, min_size=1, max_size=3).map(tuple)),
        max_size=3,
    ).map(tuple),
    NAME_LISTS,
).filter(any).map(lambda lists: ClaimConstraints(*lists))  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)


@given(CONSTRAINTS)
def test_all_constraints_survive_their_der(constraints: ClaimConstraints) -> None:
    assert ClaimConstraints.decode(constraints.encode()) == constraints


@given(CONSTRAINTS, st.dictionaries(NAMES, JSON, max_size=5))
def test_any_claims_get_an_answer(constraints: ClaimConstraints, claims: dict[str, Any]) -> None:
    violation = constraints.check(claims)

    assert violation is None or violation.isprintable()


@given(NAMES, JSON)
def test_a_value_is_permitted_by_its_own_json(claim: str, value: object) -> None:
    own = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    text = value if isinstance(value, str) else own

    assert permitting(claim, text).check({claim: value}) is None
    assert permitting(claim, text + " ").check({claim: value}) is not None


@given(st.binary(max_size=60) | CONSTRAINTS.flatmap(
    lambda one: st.integers(0, len(one.encode())).map(lambda cut: one.encode()[:cut])
))  # fmt: skip
def test_no_bytes_crash_the_decoder(der: bytes) -> None:
    with suppress(ClaimConstraintsError):
        assert ClaimConstraints.decode(der).encode() == der
