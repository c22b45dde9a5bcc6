"""What STI demands of a path, and of each call: ATIS-1000080 §6.4, RFC 8226, RFC 9060."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from trust.authority import Authority, Issued
from trust.certificate import Certificate
from trust.claim_constraints import (
    JWT_CLAIM_CONSTRAINTS_OID,
    ClaimConstraints,
    PermittedValues,
)
from trust.crl import Revocation
from trust.sti_path import (
    JudgedPath,
    Mandate,
    Slug,
    StiRefused,
    check_call,
    judge_path,
    refuse_revoked,
)
from trust.tnauthlist import TN_AUTH_LIST_OID, TnAuthList, TnRange

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
ROOT = Authority.create("Lab root", now=NOW)
STI_CA = ROOT.intermediate("Lab STI-CA", now=NOW, lifetime=20 * DAY)
HUNDRED = TnRange("12155550100", 100)
DELEGATE_CA = STI_CA.intermediate(
    "Customer CA", tn_auth_list=TnAuthList.of(ranges=[HUNDRED]), now=NOW
)
PROVIDER = STI_CA.issue_sti(spc="1234", now=NOW, lifetime=30 * DAY).certificate
ROOTS = [ROOT.certificate]
CLAIMS: dict[str, object] = {"attest": "A", "orig": {"tn": "12155550100"}}


def refusal(certificate: Certificate, *, at: datetime = NOW) -> StiRefused:
    with pytest.raises(StiRefused) as refused:
        judge_path(certificate, roots=ROOTS, at=at)
    assert str(refused.value) == refused.value.detail
    return refused.value


def test_a_providers_certificate_is_good_until_the_first_of_its_path_expires() -> None:
    judged = judge_path(PROVIDER, roots=ROOTS, at=NOW)

    assert judged.path == (PROVIDER.leaf, STI_CA.certificate, ROOT.certificate)
    assert judged.constraints == ()
    last = STI_CA.certificate.not_valid_after_utc
    assert last == NOW + 20 * DAY
    for at in (PROVIDER.not_before, last):
        assert judge_path(PROVIDER, roots=ROOTS, at=at) == judged
    assert refusal(PROVIDER, at=PROVIDER.not_before - SECOND).slug == "not-yet-valid"
    assert refusal(PROVIDER, at=last + SECOND).slug == "expired"


def test_intermediates_may_come_from_elsewhere() -> None:
    alone = Certificate((PROVIDER.leaf,))

    judged = judge_path(alone, roots=ROOTS, intermediates=[STI_CA.certificate], at=NOW)

    assert judged.path == (PROVIDER.leaf, STI_CA.certificate, ROOT.certificate)
    assert refusal(alone).slug == "untrusted"


def test_a_delegate_speaks_for_its_numbers_under_its_issuers() -> None:
    delegate = DELEGATE_CA.issue_sti(numbers=["12155550150"], now=NOW).certificate

    judged = judge_path(delegate, roots=ROOTS, at=NOW)

    assert check_call(judged, number="12155550150", claims={}) == "number"
    with pytest.raises(StiRefused) as refused:
        check_call(judged, number="12155550151", claims={})
    assert refused.value.slug == "tnauthlist-not-covering"
    assert "12155550151" in refused.value.detail
    assert refused.value.certificate == delegate.leaf


def test_only_a_provider_speaks_for_a_uri() -> None:
    delegate = judge_path(
        DELEGATE_CA.issue_sti(numbers=["12155550150"], now=NOW).certificate, roots=ROOTS, at=NOW
    )
    provider = judge_path(PROVIDER, roots=ROOTS, at=NOW)

    assert check_call(provider, number=None, claims={}) == "provider"
    assert check_call(provider, number="12155559999", claims={}) == "provider"
    with pytest.raises(StiRefused, match="a URI, for which only a provider may speak"):
        check_call(delegate, number=None, claims={})


def test_the_claims_obey_the_constraints_of_every_certificate() -> None:
    calls = ClaimConstraints(permitted_values=(PermittedValues("attest", ("A", "B")),))
    names = ClaimConstraints(must_include=("attest",), must_exclude=("rcd",))
    authority = STI_CA.intermediate("Bounded CA", constraints=names, now=NOW)
    issued = authority.issue_sti(spc="1234", constraints=calls, now=NOW).certificate
    judged = judge_path(issued, roots=ROOTS, at=NOW)

    assert judged.constraints == (
        (issued.leaf, calls),
        (authority.certificate, names),
    )
    assert check_call(judged, number="12155550100", claims=CLAIMS) == "provider"
    for claims, told, at_fault in (
        ({**CLAIMS, "attest": "C"}, "'attest' is 'C'", issued.leaf),
        ({**CLAIMS, "rcd": {}}, "'rcd' is present", authority.certificate),
        ({}, "'attest' is missing", authority.certificate),
    ):
        with pytest.raises(StiRefused) as refused:
            check_call(judged, number="12155550100", claims=claims)
        assert refused.value.slug == "constraints"
        assert told in refused.value.detail
        assert refused.value.certificate == at_fault


def why_not(judged: JudgedPath, **call: Any) -> str | None:
    try:
        check_call(judged, **call)
    except StiRefused as refused:
        return refused.detail
    return None


@pytest.mark.parametrize("number", ["12155550150", "12155550151", None])
@pytest.mark.parametrize("attest", ["A", "B"])
def test_who_signs_is_told_what_verifiers_would_say(number: str | None, attest: str) -> None:
    bound = ClaimConstraints(permitted_values=(PermittedValues("attest", ("A",)),))
    for wanted in ({"numbers": ["12155550150"]}, {"spc": "1234"}):
        issued = under(STI_CA, **wanted, constraints=bound)
        listed, claims = issued.tn_auth_list, {"attest": attest}
        assert listed is not None
        mandate = Mandate.read(
            issued.subject, tn_auth_list=listed.encode(), constraints=[bound.encode()]
        )

        said = mandate.objection(number=number, claims=claims)

        assert not mandate.is_general
        judged = judge_path(issued, roots=ROOTS, at=NOW)
        assert said == why_not(judged, number=number, claims=claims)


KEY = ec.generate_private_key(ec.SECP256R1())
NO_CA = x509.BasicConstraints(ca=False, path_length=None)
SPC = x509.UnrecognizedExtension(TN_AUTH_LIST_OID, TnAuthList.of(spcs=["1234"]).encode())
USAGE = PROVIDER.leaf.extensions.get_extension_for_class(x509.KeyUsage).value
CA_USAGE = ROOT.certificate.extensions.get_extension_for_class(x509.KeyUsage).value


def with_extensions(*extensions: x509.ExtensionType, by: Authority = STI_CA) -> Certificate:
    validity = (NOW - DAY, NOW + DAY)
    put = [(one, False) for one in extensions]
    return by._chain(by._issue(PROVIDER.leaf.subject, KEY.public_key(), validity, put))


def authority_with(*extensions: x509.ExtensionType) -> Authority:
    """Make an intermediate, with a key that signs, of what a CA should not be."""
    certificate = with_extensions(*extensions).leaf
    return Authority(certificate, KEY, (STI_CA.certificate, ROOT.certificate))


def under(authority: Authority, **wanted: object) -> Certificate:
    issued: Issued = authority.issue_sti(now=NOW, **({"spc": "1234"} | wanted))  # type: ignore[arg-type]
    return issued.certificate


def signed_with_sha384() -> Certificate:
    builder = x509.CertificateBuilder(
        STI_CA.certificate.subject, PROVIDER.leaf.subject, KEY.public_key(), 1, NOW, NOW + DAY
    )
    for extension in (NO_CA, USAGE, SPC):
        builder = builder.add_extension(extension, critical=False)
    return STI_CA._chain(builder.sign(STI_CA.private_key, hashes.SHA384()))


def version_1() -> tuple[Certificate, list[x509.Certificate]]:
    """Read the certificate openssl made, since cryptography makes none of version 1."""
    folder = Path(__file__).parents[1] / "vectors/trust"
    issued, root = (
        x509.load_pem_x509_certificate((folder / f"v1-{name}.pem").read_bytes())
        for name in ("issued", "root")
    )
    return Certificate((issued,)), [root]


MALFORMED = x509.UnrecognizedExtension(TN_AUTH_LIST_OID, b"\x30\x00")
BAD_CONSTRAINTS = x509.UnrecognizedExtension(JWT_CLAIM_CONSTRAINTS_OID, b"\x30\x00")
BAD_POLICIES = x509.UnrecognizedExtension(x509.CertificatePolicies.oid, b"\x30\x01")
CA = x509.BasicConstraints(ca=True, path_length=None)


@pytest.mark.parametrize(
    ("slug", "certificate", "told"),
    [
        ("untrusted", Authority.create("Elsewhere", now=NOW).issue_sti(
            spc="1", now=NOW).certificate, "unable to get local issuer"),
        ("not-yet-valid", under(STI_CA, not_before=NOW + DAY), "not yet valid"),
        ("bad-chain", under(STI_CA.intermediate("Last", path_length=0, now=NOW)
                            .intermediate("One too many", now=NOW)), "path length"),
        ("bad-chain", under(authority_with(NO_CA, USAGE, SPC)), "invalid CA"),
        ("bad-chain", under(authority_with(CA, USAGE)), "invalid CA"),
        ("key-usage", under(authority_with(CA)), "keyCertSign"),
        ("bad-extensions", under(authority_with(CA, CA_USAGE, BAD_POLICIES)), "cannot be read"),
        ("tnauthlist-malformed", under(authority_with(CA, CA_USAGE, MALFORMED)), "no entry"),
        ("constraints-malformed", under(authority_with(CA, CA_USAGE, BAD_CONSTRAINTS)),
         "demand nothing"),
        ("not-p256", under(STI_CA, key=ec.generate_private_key(ec.SECP384R1())), "secp384r1"),
        ("not-p256", under(STI_CA, key=rsa.generate_private_key(65537, 2048)), "RSA"),
        ("not-ecdsa-sha256", signed_with_sha384(), "1.2.840.10045.4.3.3"),
        ("is-a-ca", with_extensions(CA, CA_USAGE, SPC), "certification authority"),
        ("key-usage", with_extensions(NO_CA, SPC), "has no keyUsage"),
        ("key-usage", with_extensions(NO_CA, CA_USAGE, SPC), "digitalSignature"),
        ("bad-extensions", with_extensions(NO_CA, USAGE, SPC, BAD_POLICIES), "cannot be read"),
        ("tnauthlist-missing", under(STI_CA, spc=None), "no TNAuthList"),
        ("tnauthlist-missing", ROOT.issue_server(["sip.example"], now=NOW).certificate,
         "no TNAuthList"),
        ("tnauthlist-malformed", with_extensions(NO_CA, USAGE, MALFORMED), "no entry"),
        ("constraints-malformed", with_extensions(NO_CA, USAGE, SPC, BAD_CONSTRAINTS),
         "demand nothing"),
        ("tnauthlist-not-encompassed", under(DELEGATE_CA), "the provider code 1234"),
        ("tnauthlist-not-encompassed", under(DELEGATE_CA, spc=None, numbers=["12155550200"]),
         "12155550200"),
    ],
    ids=[
        "a root nobody trusts", "before its time", "more authorities than pathLen lets",
        "an issuer that is no CA", "a CA that may not sign certificates", "a CA without keyUsage",
        "a CA with an unreadable extension", "a CA with a malformed TNAuthList",
        "a CA with malformed constraints", "P-384", "RSA", "ecdsa-with-SHA384", "cA",
        "no keyUsage", "no digitalSignature", "an unreadable extension", "no TNAuthList",
        "a TLS certificate", "a malformed TNAuthList", "malformed constraints",
        "a code under numbers", "a number of somebody else",
    ],
)  # fmt: skip
def test_what_may_not_sign_is_refused_with_its_reason(
    slug: str, certificate: Certificate, told: str
) -> None:
    refused = refusal(certificate)

    assert (refused.slug, told in refused.detail) == (slug, True), refused.detail


def test_a_certificate_of_version_1_may_not_sign() -> None:
    certificate, roots = version_1()

    with pytest.raises(StiRefused, match="version 1") as refused:
        judge_path(certificate, roots=roots, at=certificate.not_before)

    assert refused.value.slug == "not-version-3"


def test_an_expired_path_names_who_expired() -> None:
    refused = refusal(PROVIDER, at=NOW + 20 * DAY + SECOND)

    assert refused.slug == "expired"
    assert "Lab STI-CA" in refused.detail


def test_the_path_is_judged_before_the_leaf() -> None:
    bad = under(Authority.create("Elsewhere", now=NOW), spc=None)

    assert refusal(bad).slug == "untrusted"


def test_a_trusted_root_needs_no_extensions_of_its_own() -> None:
    bare = x509.CertificateBuilder(
        STI_CA.certificate.subject, STI_CA.certificate.subject, STI_CA.private_key.public_key(),
        1, NOW, NOW + DAY,
    ).add_extension(CA, critical=True)  # fmt: skip
    root = bare.sign(STI_CA.private_key, hashes.SHA256())

    assert judge_path(Certificate((PROVIDER.leaf,)), roots=[root], at=NOW)


def test_a_trusted_root_that_cannot_be_read_is_refused() -> None:
    root = x509.CertificateBuilder(
        STI_CA.certificate.subject, STI_CA.certificate.subject, STI_CA.private_key.public_key(),
        1, NOW, NOW + DAY,
    ).add_extension(CA, critical=True).add_extension(BAD_POLICIES, critical=False)  # fmt: skip
    signed = root.sign(STI_CA.private_key, hashes.SHA256())

    with pytest.raises(StiRefused, match="cannot be read") as refused:
        judge_path(Certificate((PROVIDER.leaf,)), roots=[signed], at=NOW)

    assert refused.value.slug == "bad-extensions"


def test_the_certificates_openssl_made_may_sign_what_they_say() -> None:
    folder = Path(__file__).parents[1] / "vectors/trust/sti"
    leaf, sub, root, peer = (
        x509.load_pem_x509_certificate((folder / f"{name}.pem").read_bytes())
        for name in ("leaf", "sub", "root", "peer")
    )
    at = leaf.not_valid_before_utc
    delegate = judge_path(Certificate((leaf, sub)), roots=[root], at=at)
    provider = judge_path(Certificate((peer,)), roots=[root], at=at)

    assert check_call(delegate, number="12155550150", claims=CLAIMS) == "number"
    assert check_call(provider, number="12155550150", claims={}) == "provider"
    with pytest.raises(StiRefused, match="'attest' is 'B'"):
        check_call(delegate, number="12155550150", claims={"attest": "B"})


def test_a_revoked_certificate_is_refused_with_date_and_reason() -> None:
    refuse_revoked(PROVIDER.leaf, None)
    with pytest.raises(StiRefused) as refused:
        refuse_revoked(PROVIDER.leaf, Revocation(NOW, "keyCompromise"))

    assert refused.value.slug == "revoked"
    assert refused.value.detail == (
        '"CN=SHAKEN 1234,O=SHAKEN lab" was revoked on 2026-06-01 12:00 UTC (keyCompromise).'
    )


@settings(max_examples=300, deadline=None)
@given(st.data())
@pytest.mark.filterwarnings("ignore")
def test_no_certificate_however_odd_crashes_the_judgement(data: st.DataObject) -> None:
    place = data.draw(st.integers(0, 1))
    der = PROVIDER.chain[place].public_bytes(Encoding.DER)
    damaged = bytearray(der)
    for position in data.draw(st.lists(st.integers(4, len(der) - 1), min_size=1, max_size=3)):
        damaged[position] = data.draw(st.integers(0, 255))
    assume(bytes(damaged) != der)
    chain = list(PROVIDER.chain)
    try:
        chain[place] = x509.load_der_x509_certificate(bytes(damaged))
    except (ValueError, x509.InvalidVersion):
        return

    assert refusal(Certificate(tuple(chain))).slug in get_args(Slug)


@settings(max_examples=150, deadline=None)
@given(st.data())
@pytest.mark.filterwarnings("ignore")
def test_no_certificate_a_trusted_ca_signed_crashes_the_judgement(data: st.DataObject) -> None:
    ours = [JWT_CLAIM_CONSTRAINTS_OID, TN_AUTH_LIST_OID, x509.CertificatePolicies.oid,
            x509.CRLDistributionPoints.oid]  # fmt: skip
    oids = data.draw(st.lists(st.sampled_from(ours), unique=True))
    odd = [x509.UnrecognizedExtension(oid, data.draw(st.binary(max_size=30))) for oid in oids]

    with suppress(StiRefused):
        assert judge_path(with_extensions(NO_CA, USAGE, *odd), roots=ROOTS, at=NOW).path
