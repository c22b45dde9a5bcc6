"""Revocation lists: RFC 5280 §5 and §6.3, ATIS-1000080."""

import subprocess
import time
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import x25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.lab_crl import LIFETIME, issue_crl, issue_indirect_crl
from trust.authority import Authority
from trust.crl import (
    MAX_URLS,
    CrlError,
    CrlIndex,
    Point,
    distribution_points,
    find_revocation,
)

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
URL = "https://authenticate-api.example/crl"
ROOT = Authority.create("Lab root", now=NOW)
STI_CA = ROOT.intermediate("Lab STI-CA", now=NOW, crl_url=URL)
OTHER_CA = ROOT.intermediate("Other STI-CA", now=NOW)
STI_PA = Authority.create("Lab STI-PA", now=NOW)
PA_NAME = STI_PA.certificate.subject
LEAF = STI_CA.issue_sti(spc="1234", crl_url=URL, crl_issuer=PA_NAME, now=NOW).certificate.leaf
DIRECT_LEAF = STI_CA.issue_sti(
    spc="1234", crl_url=URL, crl_issuer=STI_CA.certificate.subject, now=NOW
).certificate.leaf
NO_POINT = STI_CA.issue_sti(spc="1234", now=NOW).certificate.leaf
TRUSTED = [ROOT.certificate, STI_CA.certificate, STI_PA.certificate]

VECTORS = Path(__file__).parents[1] / "vectors/trust/sti"
VECTORS_NOW = datetime(2027, 1, 1, tzinfo=UTC)


def why(
    certificate: x509.Certificate,
    data: bytes,
    *,
    signers: Iterable[x509.Certificate] = TRUSTED,
    at: datetime = NOW,
) -> str:
    with pytest.raises(CrlError) as refused:
        find_revocation(certificate, CrlIndex.read(data), crl_signers=[*signers], at=at)
    assert str(refused.value) == refused.value.detail
    return refused.value.reason


def test_a_path_names_where_its_lists_are() -> None:
    by_root = ROOT.issue_sti(spc="1", crl_url=URL, now=NOW).certificate.leaf

    path = (LEAF, STI_CA.certificate, ROOT.certificate)

    assert distribution_points(path) == (
        Point(LEAF, (URL,), PA_NAME),
        Point(STI_CA.certificate, (URL,), None),
    )
    assert distribution_points((by_root, ROOT.certificate)) == (Point(by_root, (URL,), None),)
    assert distribution_points((NO_POINT, STI_CA.certificate))[:1] == ()


def with_points(*points: x509.DistributionPoint) -> x509.Certificate:
    return with_extension(x509.CRLDistributionPoints(points))


def with_extension(extension: x509.ExtensionType) -> x509.Certificate:
    return STI_CA._issue(
        LEAF.subject, STI_CA.private_key.public_key(), (NOW, NOW), [(extension, False)]
    )


def point_at(*urls: str, crl_issuer: x509.Name | None = None) -> x509.DistributionPoint:
    return x509.DistributionPoint(
        full_name=[x509.UniformResourceIdentifier(url) for url in urls],
        relative_name=None,
        reasons=None,
        crl_issuer=[x509.DirectoryName(crl_issuer)] if crl_issuer else None,
    )


def test_only_urls_that_can_be_fetched_are_named_and_a_few_of_them() -> None:
    many = [f"http://crl.example/{number}" for number in range(MAX_URLS)]
    certificate = with_points(
        point_at("ldap://crl.example/", "HTTPS://crl.example/"),
        point_at("ftp://x/"),
        point_at(*many),
    )

    first, second = distribution_points((certificate, STI_CA.certificate))

    assert first.urls == ("HTTPS://crl.example/",)
    assert second.urls == tuple(many[: MAX_URLS - 1])


def test_where_no_list_is_within_reach_a_point_says_so() -> None:
    by_name = x509.DistributionPoint(
        full_name=None,
        relative_name=None,
        reasons=None,
        crl_issuer=[x509.DirectoryName(PA_NAME)],
    )

    for points, crl_issuer in (
        ([point_at("ldap://crl.example/")], None),
        ([point_at("ftp://x/", crl_issuer=PA_NAME), point_at("ldap://x/")], PA_NAME),
        ([by_name], PA_NAME),
    ):
        certificate = with_points(*points)

        found = distribution_points((certificate, STI_CA.certificate))

        assert found == (Point(certificate, (), crl_issuer),)


def test_distribution_points_that_cannot_be_read_are_an_error() -> None:
    broken = with_extension(x509.UnrecognizedExtension(x509.CRLDistributionPoints.oid, b"\x30\x01"))

    with pytest.raises(CrlError, match="cannot be read") as refused:
        distribution_points((broken, STI_CA.certificate))

    assert refused.value.reason == "malformed"


def test_an_issuers_own_list_revokes_what_it_names() -> None:
    data = issue_crl(STI_CA, [DIRECT_LEAF], reason=x509.ReasonFlags.key_compromise, now=NOW)
    index = CrlIndex.read(data)

    found = find_revocation(DIRECT_LEAF, index, crl_signers=TRUSTED, at=NOW)

    assert found is not None
    assert (found.date, found.reason) == (NOW, "keyCompromise")
    assert find_revocation(NO_POINT, index, crl_signers=TRUSTED, at=NOW) is None
    assert (index.this_update, index.next_update) == (NOW, NOW + LIFETIME)


def test_a_reason_left_out_is_unspecified() -> None:
    index = CrlIndex.read(issue_crl(STI_CA, [DIRECT_LEAF], now=NOW))

    found = find_revocation(DIRECT_LEAF, index, crl_signers=TRUSTED, at=NOW)

    assert found is not None
    assert found.reason == "unspecified"


def numbered(issuer: Authority, serial: int) -> x509.Certificate:
    """Issue a certificate with a chosen serial number and the STI-PA's distribution point."""
    builder = x509.CertificateBuilder(
        issuer.certificate.subject, LEAF.subject, LEAF.public_key(), serial, NOW, NOW + LIFETIME
    ).add_extension(x509.CRLDistributionPoints([point_at(URL, crl_issuer=PA_NAME)]), critical=False)
    return builder.sign(issuer.private_key, hashes.SHA256())


def test_an_entrys_issuer_holds_for_those_that_follow() -> None:
    own, first, second, third = (
        numbered(authority, serial)
        for serial, authority in enumerate((STI_PA, STI_CA, STI_CA, OTHER_CA), start=1)
    )
    index = CrlIndex.read(issue_indirect_crl(STI_PA, [own, first, second, third], now=NOW))

    def revoked(issuer: Authority, serial: int) -> bool:
        certificate = numbered(issuer, serial)
        return find_revocation(certificate, index, crl_signers=TRUSTED, at=NOW) is not None

    assert [revoked(STI_PA, serial) for serial in (1, 2, 3, 4)] == [True, False, False, False]
    assert [revoked(STI_CA, serial) for serial in (1, 2, 3, 4)] == [False, True, True, False]
    assert [revoked(OTHER_CA, serial) for serial in (1, 2, 3, 4)] == [False, False, False, True]


def verified_by_openssl(leaf: x509.Certificate, crl: bytes, folder: Path) -> str:
    (folder / "root.pem").write_text(ROOT.certificate_pem)
    (folder / "ca.pem").write_text(STI_CA.certificate_pem)
    (folder / "leaf.pem").write_bytes(leaf.public_bytes(Encoding.PEM))
    (folder / "crl.pem").write_bytes(x509.load_der_x509_crl(crl).public_bytes(Encoding.PEM))
    files = ("-CAfile", "root.pem", "-untrusted", "ca.pem", "-CRLfile", "crl.pem", "leaf.pem")
    check = ("-extended_crl", "-crl_check", "-attime", str(int(NOW.timestamp())))
    run = subprocess.run(
        ["openssl", "verify", *check, *files],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return run.stdout + run.stderr


def test_openssl_reads_the_labs_indirect_lists_alike(tmp_path: Path) -> None:
    # OpenSSL wants the signer of lists below the certificate's own root, so the root signs here.
    first, second = (
        authority.issue_sti(spc="5", crl_url=URL, now=NOW).certificate.leaf
        for authority in (OTHER_CA, STI_CA)
    )
    revoking = issue_indirect_crl(ROOT, [first, second], now=NOW)
    sparing = issue_indirect_crl(ROOT, [first], now=NOW)

    assert "certificate revoked" in verified_by_openssl(second, revoking, tmp_path)
    assert "leaf.pem: OK" in verified_by_openssl(second, sparing, tmp_path)
    assert find_revocation(second, CrlIndex.read(revoking), crl_signers=TRUSTED, at=NOW)
    assert not find_revocation(second, CrlIndex.read(sparing), crl_signers=TRUSTED, at=NOW)


def vector(name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate((VECTORS / f"{name}.pem").read_bytes())


def test_lists_made_by_openssl_are_read() -> None:
    direct = CrlIndex.read((VECTORS / "direct.crl.pem").read_bytes())
    indirect = CrlIndex.read((VECTORS / "indirect.crl.pem").read_bytes())
    path = tuple(vector(name) for name in ("leaf", "sub", "root"))
    signers = [vector("root"), vector("pa")]

    found = find_revocation(path[1], direct, crl_signers=signers, at=VECTORS_NOW)

    assert found is not None
    assert (found.date, found.reason) == (NOW, "keyCompromise")
    peer = vector("peer")
    assert find_revocation(peer, direct, crl_signers=signers, at=VECTORS_NOW) is None
    # Its one entry has the leaf's serial number, but names no issuer, so it is the STI-PA's own.
    assert find_revocation(path[0], indirect, crl_signers=signers, at=VECTORS_NOW) is None
    assert [(point.urls, point.crl_issuer) for point in distribution_points(path)] == [
        (("https://pa.example/crl",), vector("pa").subject)
    ] * 2


def test_a_certificate_revoked_after_the_call_is_revoked() -> None:
    later = NOW + 7 * LIFETIME
    index = CrlIndex.read(issue_crl(STI_CA, [DIRECT_LEAF], now=later))

    found = find_revocation(DIRECT_LEAF, index, crl_signers=TRUSTED, at=later)

    assert found is not None
    assert found.date == later


def test_a_list_tells_from_its_first_second_to_its_last() -> None:
    data = issue_crl(STI_CA, [], now=NOW)
    index = CrlIndex.read(data)

    for at in (NOW, NOW + LIFETIME):
        assert find_revocation(DIRECT_LEAF, index, crl_signers=TRUSTED, at=at) is None
    assert why(DIRECT_LEAF, data, at=NOW - SECOND) == "not-yet"
    assert why(DIRECT_LEAF, data, at=NOW + LIFETIME + SECOND) == "expired"


def point(**changed: object) -> tuple[x509.ExtensionType, bool]:
    members: dict[str, object] = {
        "full_name": None,
        "relative_name": None,
        "only_contains_user_certs": False,
        "only_contains_ca_certs": False,
        "only_some_reasons": None,
        "indirect_crl": False,
        "only_contains_attribute_certs": False,
    }
    return x509.IssuingDistributionPoint(**(members | changed)), True  # type: ignore[arg-type]


def restricted(*extensions: tuple[x509.ExtensionType, bool], by: Authority = STI_CA) -> bytes:
    return issue_crl(by, [], extensions=extensions, now=NOW)


KEY_ONLY = frozenset({x509.ReasonFlags.key_compromise})
IMPOSTOR = Authority.create("Lab STI-CA", now=NOW)
RETIRED = Authority.create("Lab STI-CA", now=NOW - 2 * LIFETIME, lifetime=LIFETIME)
DELTA = (x509.DeltaCRLIndicator(1), True)
STRANGE = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.55555.1"), b"\x05\x00")
ELSEWHERE = [x509.UniformResourceIdentifier("https://elsewhere.example/crl")]


@pytest.mark.parametrize(
    ("reason", "certificate", "data", "signers"),
    [
        ("issuer", DIRECT_LEAF, issue_crl(OTHER_CA, [], now=NOW), [OTHER_CA.certificate]),
        ("issuer", LEAF, issue_crl(STI_PA, [], now=NOW), TRUSTED),
        ("issuer", LEAF, restricted(point(only_contains_user_certs=True), by=STI_PA), TRUSTED),
        ("issuer", NO_POINT, issue_indirect_crl(STI_PA, [NO_POINT], now=NOW), TRUSTED),
        ("unknown-signer", LEAF, issue_indirect_crl(STI_PA, [], now=NOW), [ROOT.certificate]),
        ("unknown-signer", DIRECT_LEAF, restricted(by=RETIRED), [RETIRED.certificate]),
        ("signature", DIRECT_LEAF, issue_crl(IMPOSTOR, [], now=NOW), TRUSTED),
        ("scope", STI_CA.certificate, restricted(point(only_contains_user_certs=True), by=ROOT),
         TRUSTED),
        ("scope", DIRECT_LEAF, restricted(point(only_contains_ca_certs=True)), TRUSTED),
        ("scope", DIRECT_LEAF, restricted(point(only_contains_attribute_certs=True)), TRUSTED),
        ("scope", DIRECT_LEAF, restricted(point(only_some_reasons=KEY_ONLY)), TRUSTED),
        ("scope", DIRECT_LEAF, restricted(point(full_name=ELSEWHERE)), TRUSTED),
        ("scope", NO_POINT, restricted(point(full_name=ELSEWHERE)), TRUSTED),
    ],
    ids=[
        "another CA's",
        "the STI-PA's, not said to be indirect",
        "the STI-PA's, said not to be indirect",
        "an indirect list the certificate does not name",
        "its signer is not trusted",
        "its signer has expired",
        "an impostor's",
        "only end entities",
        "only authorities",
        "only attribute certificates",
        "only some reasons",
        "another distribution point's",
        "a distribution point's, and the certificate has none",
    ],
)  # fmt: skip
def test_a_list_that_cannot_tell_says_so(
    reason: str, certificate: x509.Certificate, data: bytes, signers: list[x509.Certificate]
) -> None:
    assert why(certificate, data, signers=signers) == reason


@pytest.mark.parametrize(
    "extension",
    [
        point(only_contains_user_certs=True),
        point(full_name=[*ELSEWHERE, x509.UniformResourceIdentifier(URL)]),
        (STRANGE, False),
    ],
    ids=["only end entities", "its distribution point", "unknown, not critical"],
)
def test_a_restriction_that_leaves_the_certificate_in_does_no_harm(
    extension: tuple[x509.ExtensionType, bool],
) -> None:
    index = CrlIndex.read(restricted(extension))

    assert find_revocation(DIRECT_LEAF, index, crl_signers=TRUSTED, at=NOW) is None


def test_a_list_of_some_reasons_revokes_for_these() -> None:
    some = point(only_some_reasons=KEY_ONLY)
    index = CrlIndex.read(issue_crl(STI_CA, [DIRECT_LEAF], extensions=[some], now=NOW))

    assert find_revocation(DIRECT_LEAF, index, crl_signers=TRUSTED, at=NOW)


def test_a_distribution_point_named_relative_to_its_issuer_is_matched() -> None:
    relative = x509.RelativeDistinguishedName([x509.NameAttribute(NameOID.COMMON_NAME, "CRL1")])
    named = with_points(x509.DistributionPoint(None, relative, None, None))
    index = CrlIndex.read(restricted(point(relative_name=relative)))

    assert find_revocation(named, index, crl_signers=TRUSTED, at=NOW) is None
    assert why(DIRECT_LEAF, restricted(point(relative_name=relative))) == "scope"


def test_a_signer_needs_crl_sign() -> None:
    # The STI certificate, which may sign calls only, takes its authority's name.
    pretender = Authority(
        STI_CA._issue(
            STI_CA.certificate.subject,
            STI_CA.private_key.public_key(),
            (NOW, NOW + LIFETIME),
            [(LEAF.extensions.get_extension_for_class(x509.KeyUsage).value, True)],
        ),
        STI_CA.private_key,
    )

    data = issue_crl(pretender, [], now=NOW)

    assert why(DIRECT_LEAF, data, signers=[pretender.certificate]) == "unknown-signer"
    assert why(DIRECT_LEAF, data, signers=[NO_POINT]) == "unknown-signer"
    assert why(DIRECT_LEAF, data, signers=[with_points(point_at(URL))]) == "unknown-signer"


def test_an_altered_list_is_not_believed() -> None:
    data = bytearray(issue_crl(STI_CA, [DIRECT_LEAF], now=NOW))
    serial = DIRECT_LEAF.serial_number.to_bytes(20, "big").lstrip(b"\0")
    data[bytes(data).index(serial) + 1] ^= 1

    assert why(NO_POINT, bytes(data)) == "signature"


def test_a_weakly_signed_list_is_not_believed(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text(ROOT.certificate_pem)
    (tmp_path / "ca.key").write_text(ROOT.key_pem)
    (tmp_path / "index").touch()
    (tmp_path / "ca.conf").write_text("[ca]\ndefault_ca=c\n[c]\ndatabase=index\n")
    signing = ("-config", "ca.conf", "-keyfile", "ca.key", "-cert", "ca.pem", "-md", "sha1")
    run = subprocess.run(
        ["openssl", "ca", "-gencrl", *signing, "-crldays", "1"],
        cwd=tmp_path, capture_output=True, check=True,
    )  # fmt: skip
    index = CrlIndex.read(run.stdout)

    with pytest.raises(CrlError, match="signed with SHA1") as refused:
        find_revocation(STI_CA.certificate, index, crl_signers=TRUSTED, at=NOW)

    assert refused.value.reason == "signature"


def test_a_certificate_whose_issuer_cannot_be_read_gets_no_answer() -> None:
    der = LEAF.public_bytes(Encoding.DER)
    unreadable = x509.load_der_x509_certificate(der.replace(b"Lab STI-CA", b"\xff" * 10, 1))

    assert why(unreadable, issue_crl(STI_CA, [], now=NOW)) == "malformed"


def test_a_key_that_signs_nothing_signed_no_list() -> None:
    index = CrlIndex.read(issue_crl(STI_CA, [], now=NOW))
    odd = x509.CertificateBuilder(
        LEAF.issuer, LEAF.issuer, x25519.X25519PrivateKey.generate().public_key(), 1, NOW, NOW
    ).sign(STI_CA.private_key, hashes.SHA256())

    assert index.signed_by(STI_CA.certificate)
    assert not index.signed_by(ROOT.certificate)
    assert not index.signed_by(odd)


@pytest.mark.parametrize(
    ("reason", "extension"), [("delta", DELTA), ("unknown-critical", (STRANGE, True))]
)
def test_a_list_that_must_not_be_used_is_refused(
    reason: str, extension: tuple[x509.ExtensionType, bool]
) -> None:
    with pytest.raises(CrlError) as refused:
        CrlIndex.read(restricted(extension))

    assert refused.value.reason == reason


def entry(serial: int, *extensions: tuple[x509.ExtensionType, bool]) -> x509.RevokedCertificate:
    builder = x509.RevokedCertificateBuilder(serial, NOW)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return builder.build()


def listing(*entries: x509.RevokedCertificate) -> bytes:
    builder = x509.CertificateRevocationListBuilder(STI_CA.certificate.subject)
    builder = builder.last_update(NOW).next_update(NOW + LIFETIME)
    for one in entries:
        builder = builder.add_revoked_certificate(one)
    crl = builder.sign(STI_CA.private_key, hashes.SHA256())
    return crl.public_bytes(Encoding.DER)


def test_an_entry_taken_back_revokes_nothing() -> None:
    held, back = (
        (x509.CRLReason(reason), False)
        for reason in (x509.ReasonFlags.certificate_hold, x509.ReasonFlags.remove_from_crl)
    )
    serial = DIRECT_LEAF.serial_number

    on_hold = CrlIndex.read(listing(entry(serial, held)))
    taken_back = CrlIndex.read(listing(entry(serial, held), entry(serial, back)))

    found = find_revocation(DIRECT_LEAF, on_hold, crl_signers=TRUSTED, at=NOW)
    assert found is not None
    assert found.reason == "certificateHold"
    assert find_revocation(DIRECT_LEAF, taken_back, crl_signers=TRUSTED, at=NOW) is None


@pytest.mark.parametrize(
    ("reason", "extension"),
    [
        ("unknown-critical", (STRANGE, True)),
        ("malformed", (x509.CertificateIssuer([x509.DirectoryName(LEAF.issuer)]), True)),
    ],
    ids=["unknown and critical", "an issuer, though the list is not indirect"],
)
def test_an_entry_that_is_not_understood_spoils_the_list(
    reason: str, extension: tuple[x509.ExtensionType, bool]
) -> None:
    with pytest.raises(CrlError) as refused:
        CrlIndex.read(listing(entry(7), entry(8, extension)))

    assert refused.value.reason == reason


def test_an_entrys_issuer_has_a_directory_name() -> None:
    builder = x509.CertificateRevocationListBuilder(PA_NAME)
    builder = builder.last_update(NOW).next_update(NOW + LIFETIME)
    builder = builder.add_extension(*point(indirect_crl=True))
    elsewhere = x509.CertificateIssuer([x509.DNSName("ca.example")])
    crl = builder.add_revoked_certificate(entry(7, (elsewhere, True))).sign(
        STI_PA.private_key, hashes.SHA256()
    )

    with pytest.raises(CrlError, match="directory name") as refused:
        CrlIndex.read(crl.public_bytes(Encoding.DER))

    assert refused.value.reason == "malformed"


def test_names_are_compared_without_case_and_spacing() -> None:
    shouting = Authority(
        ROOT._issue(
            x509.Name(
                [
                    x509.NameAttribute(NameOID.ORGANIZATION_NAME, "SHAKEN  LAB"),
                    x509.NameAttribute(NameOID.COMMON_NAME, "lab sti-ca "),
                ]
            ),
            STI_CA.private_key.public_key(),
            (NOW, NOW + LIFETIME),
            [(STI_CA.certificate.extensions.get_extension_for_class(x509.KeyUsage).value, True)],
        ),
        STI_CA.private_key,
    )
    index = CrlIndex.read(issue_crl(shouting, [DIRECT_LEAF], now=NOW))

    assert find_revocation(DIRECT_LEAF, index, crl_signers=[shouting.certificate], at=NOW)


def test_a_long_list_is_read_once_and_asked_at_once() -> None:
    others = [numbered(STI_CA, serial) for serial in range(1, 2001)]
    index = CrlIndex.read(issue_indirect_crl(STI_PA, [*others, LEAF], now=NOW))
    assert find_revocation(LEAF, index, crl_signers=TRUSTED, at=NOW)

    began = time.process_time()
    for _ in range(200):
        find_revocation(LEAF, index, crl_signers=TRUSTED, at=NOW)

    # Reading 2,000 entries each time would take a hundred times as long.
    assert time.process_time() - began < 0.5


def without_next_update(der: bytes) -> bytes:
    """Cut a date out of a short list, and its length out of the lengths of what holds it."""
    date = b"\x17\x0d260602120000Z"
    short = bytearray(der)
    for length in (2, 4):
        short[length] -= len(date)
    return bytes(short).replace(date, b"", 1)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"-----BEGIN X509 CRL-----\n",
        LEAF.public_bytes(Encoding.DER),
        STI_CA.certificate_pem.encode(),
        without_next_update(listing()),
    ],
    ids=["nothing", "cut off", "a certificate", "a certificate in PEM", "a date missing"],
)
def test_what_is_no_list_is_malformed(data: bytes) -> None:
    with pytest.raises(CrlError) as refused:
        CrlIndex.read(data)

    assert refused.value.reason == "malformed"


@given(st.binary(max_size=100))
def test_no_bytes_crash_the_reader(data: bytes) -> None:
    with suppress(CrlError):
        CrlIndex.read(data)


INDIRECT = issue_indirect_crl(STI_PA, [LEAF, NO_POINT], reason=x509.ReasonFlags.superseded, now=NOW)


@settings(max_examples=500, deadline=None)
@given(st.data())
@pytest.mark.filterwarnings("ignore")
def test_no_damage_to_a_list_crashes_or_is_believed(data: st.DataObject) -> None:
    damaged = bytearray(INDIRECT)
    for position in data.draw(st.lists(st.integers(0, len(damaged) - 1), min_size=1, max_size=3)):
        damaged[position] = data.draw(st.integers(0, 255))
    with suppress(CrlError):
        index = CrlIndex.read(bytes(damaged))
        assert find_revocation(LEAF, index, crl_signers=TRUSTED, at=NOW)
