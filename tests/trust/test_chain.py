"""One chain out of what people pasted."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from trust.authority import Authority
from trust.certificate import Certificate, CertificateRefused
from trust.chain import MAX_NAME_LENGTH, Assembled, assemble
from trust.pem import MAX_BLOCKS, read_pem

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
ROOT = Authority.create("Lab root", now=NOW)
STI_CA = ROOT.intermediate("Lab STI-CA", now=NOW)
ISSUING = STI_CA.intermediate("Lab issuing CA", now=NOW)
STI = ISSUING.issue_sti(spc="1234", now=NOW)
LEAF, ISSUING_PEM, STI_CA_PEM = (Certificate((one,)).pem() for one in STI.certificate.chain)
KEY = STI.key_pem
RSA_KEY = ISSUING.issue_sti(key=rsa.generate_private_key(65537, 2048), now=NOW).key_pem
OTHER = Authority.create("Other root", now=NOW)
DAY = timedelta(days=1)

FULL = STI.chain_pem + KEY


def refusal(act: Callable[[], object]) -> CertificateRefused:
    with pytest.raises(CertificateRefused) as refused:
        act()
    return refused.value


ORDERED = "The certificates were put in order: the leaf, then each issuer."
ROOT_LEFT_OUT = 'The root "CN=Lab root,O=SHAKEN lab" was left out: who verifies has it already.'


def assembled(*texts: str, roots: Sequence[x509.Certificate] = ()) -> Assembled:
    return assemble(*(read_pem(text) for text in texts), now=NOW, roots=roots)


@pytest.mark.parametrize("key", ["", KEY], ids=["without the key", "with the key"])
@pytest.mark.parametrize("pems", list(permutations([LEAF, ISSUING_PEM, STI_CA_PEM])))
def test_any_order_becomes_leaf_first_and_the_change_is_said(
    pems: tuple[str, ...], key: str
) -> None:
    result = assembled("".join(pems) + key)

    assert result.certificate == STI.certificate
    assert result.put_right == (() if "".join(pems) == STI.chain_pem else (ORDERED,))
    if key:
        assert result.private_key is not None
        assert result.private_key.public_key() == STI.private_key.public_key()
    else:
        assert result.private_key is None


def test_certificate_and_key_may_come_in_texts_of_their_own() -> None:
    result = assembled(STI.chain_pem, KEY)

    assert result.certificate == STI.certificate
    assert result.private_key is not None


@pytest.mark.parametrize(
    ("text", "notes"),
    [
        (FULL + ROOT.certificate_pem, (ROOT_LEFT_OUT,)),
        (ROOT.certificate_pem + FULL, (ORDERED, ROOT_LEFT_OUT)),
        (LEAF + FULL, ('"CN=SHAKEN 1234,O=SHAKEN lab" stood there more than once.',)),
        (FULL + KEY, ()),
    ],
    ids=["root last", "root first", "leaf twice", "key twice"],
)
def test_what_is_too_much_is_left_out_and_said(text: str, notes: tuple[str, ...]) -> None:
    result = assembled(text)

    assert result.certificate == STI.certificate
    assert result.put_right == notes


def test_a_self_signed_certificate_alone_is_a_leaf() -> None:
    result = assembled(ROOT.certificate_pem + ROOT.key_pem)

    assert result.certificate.chain == (ROOT.certificate,)
    assert result.put_right == ()


# Several certificates of one issuer


def certified(
    certificate: x509.Certificate,
    *,
    by: Authority,
    begins: datetime = NOW,
    ends: datetime = NOW + timedelta(days=9),
) -> x509.Certificate:
    """Have another authority certify the same name and key once more."""
    builder = x509.CertificateBuilder(
        by.certificate.subject,
        certificate.subject,
        certificate.public_key(),
        x509.random_serial_number(),
        begins,
        ends,
    )
    for extension in certificate.extensions:
        if not isinstance(extension.value, x509.AuthorityKeyIdentifier):
            builder = builder.add_extension(extension.value, critical=extension.critical)
    return builder.sign(by.private_key, hashes.SHA256())


LONGEST = timedelta(days=9999)
EXPIRED = certified(STI_CA.certificate, by=ROOT, begins=NOW - DAY * 9, ends=NOW - DAY)
FUTURE = certified(STI_CA.certificate, by=ROOT, begins=NOW + DAY, ends=NOW + LONGEST)
LONGER = certified(STI_CA.certificate, by=ROOT, ends=NOW + LONGEST)
ELSEWHERE = certified(STI_CA.certificate, by=OTHER, ends=NOW + LONGEST)
ROOT_ELSEWHERE = certified(ROOT.certificate, by=OTHER)


def pem(*certificates: x509.Certificate) -> str:
    return Certificate(certificates).pem()


def left_out(certificate: x509.Certificate, ends: str) -> str:
    """Return the note about one of several certificates of the STI-CA."""
    told = f"(serial {certificate.serial_number:x}, ends {ends})"
    return f'"CN=Lab STI-CA,O=SHAKEN lab" {told} was left out: the chain is complete without it.'


@pytest.mark.parametrize("is_first", [True, False], ids=["pasted first", "pasted last"])
@pytest.mark.parametrize(
    ("other", "ends"),
    [(EXPIRED, "2026-05-31"), (FUTURE, "2053-10-16")],
    ids=["expired", "not valid yet"],
)
def test_of_an_issuer_certified_twice_the_certificate_that_is_valid_is_taken(
    other: x509.Certificate, ends: str, *, is_first: bool
) -> None:
    pems = [pem(other), STI_CA_PEM] if is_first else [STI_CA_PEM, pem(other)]

    result = assembled(LEAF + ISSUING_PEM + "".join(pems))

    assert result.certificate == STI.certificate
    assert result.put_right == (left_out(other, ends),)


@pytest.mark.parametrize("pasted", list(permutations([STI_CA.certificate, ELSEWHERE])))
def test_of_an_issuer_certified_twice_the_certificate_below_a_trusted_root_is_taken(
    pasted: Sequence[x509.Certificate],
) -> None:
    for root, taken in ((ROOT, STI_CA.certificate), (OTHER, ELSEWHERE)):
        result = assembled(LEAF + ISSUING_PEM + pem(*pasted), roots=[root.certificate])

        assert result.certificate.chain[2:] == (taken,)


def test_a_trusted_root_counts_from_several_certificates_below() -> None:
    above = Authority.create("A CA above", now=NOW)
    bridge = certified(above.certificate, by=ROOT)
    bridged = certified(STI_CA.certificate, by=above)

    result = assembled(
        LEAF + ISSUING_PEM + pem(ELSEWHERE, bridged, bridge), roots=[ROOT.certificate]
    )

    assert result.certificate.chain[2:] == (bridged, bridge)


def test_of_an_issuer_certified_twice_the_certificate_whose_issuer_is_there_too_is_taken() -> None:
    result = assembled(FULL + pem(ELSEWHERE) + OTHER.certificate_pem)

    assert result.certificate.chain[2:] == (ELSEWHERE,)
    assert result.put_right == (
        left_out(STI_CA.certificate, f"{STI_CA.certificate.not_valid_after_utc:%Y-%m-%d}"),
        'The root "CN=Other root,O=SHAKEN lab" was left out: who verifies has it already.',
    )


@pytest.mark.parametrize("pasted", list(permutations([STI_CA.certificate, LONGER])))
def test_of_an_issuer_certified_twice_the_certificate_that_ends_last_is_taken(
    pasted: Sequence[x509.Certificate],
) -> None:
    result = assembled(LEAF + ISSUING_PEM + pem(*pasted))

    assert result.certificate.chain[2:] == (LONGER,)


@pytest.mark.parametrize("pasted", list(permutations([ROOT.certificate, ROOT_ELSEWHERE])))
def test_a_chain_ends_at_a_root_though_another_certifies_it(
    pasted: Sequence[x509.Certificate],
) -> None:
    result = assembled(FULL + pem(*pasted))

    assert result.certificate == STI.certificate
    assert ROOT_LEFT_OUT in result.put_right


def test_a_root_that_is_certified_by_a_trusted_one_is_passed() -> None:
    result = assembled(FULL + pem(ROOT.certificate, ROOT_ELSEWHERE), roots=[OTHER.certificate])

    assert result.certificate.chain == (*STI.certificate.chain, ROOT_ELSEWHERE)


def test_the_number_of_certificates_in_all_texts_is_bounded() -> None:
    many = "".join(
        certified(STI_CA.certificate, by=ROOT).public_bytes(Encoding.PEM).decode()
        for _ in range(MAX_BLOCKS - 3)
    )
    assert assembled(LEAF + ISSUING_PEM + STI_CA_PEM, many).certificate.chain

    refused = refusal(lambda: assembled(STI.chain_pem, many + ROOT.certificate_pem))

    assert (refused.slug, refused.field) == ("too-many-blocks", "certificate")


def impostor() -> str:
    """Make an authority that only bears the name of the issuer."""
    return Authority.create("Lab issuing CA", now=NOW).certificate_pem


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (FULL + OTHER.certificate_pem, '"CN=Other root,O=SHAKEN lab" (serial '),
        (OTHER.certificate_pem + STI.chain_pem, '"CN=Other root,O=SHAKEN lab" (serial '),
        (LEAF + STI_CA_PEM, '"CN=Lab STI-CA,O=SHAKEN lab" (serial '),
        (LEAF + impostor(), '"CN=Lab issuing CA,O=SHAKEN lab" (serial '),
        (
            FULL + OTHER.issue_sti(spc="5678", now=NOW).chain_pem,
            '"CN=SHAKEN 5678,O=SHAKEN lab" (serial ',
        ),
    ],
    ids=[
        "a stranger",
        "a stranger first, no key",
        "an intermediate is missing",
        "the name of the issuer, another key",
        "a second leaf",
    ],
)
def test_a_certificate_that_does_not_belong_is_refused_by_name(text: str, named: str) -> None:
    refused = refusal(lambda: assembled(text))

    assert (refused.slug, refused.field) == ("foreign-certificate", "certificate")
    assert refused.detail.startswith(named)
    assert "CN=SHAKEN 1234" in refused.detail


def test_a_long_name_is_cut_short() -> None:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x" * 64)] * 10)
    key = STI_CA.private_key
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, NOW, NOW + timedelta(1))
    stranger = Certificate((builder.sign(key, hashes.SHA256()),))

    refused = refusal(lambda: assembled(FULL + stranger.pem()))

    quoted = refused.detail.split('"')[1]
    assert len(quoted) == MAX_NAME_LENGTH


def test_a_certificate_without_a_name_is_told_by_its_serial_number() -> None:
    key, nameless = STI_CA.private_key, x509.Name([])
    builder = x509.CertificateBuilder(
        nameless, nameless, key.public_key(), 0xABC, NOW, NOW + timedelta(1)
    )
    stranger = Certificate((builder.sign(key, hashes.SHA256()),))

    refused = refusal(lambda: assembled(FULL + stranger.pem()))

    assert refused.detail.startswith("A certificate without a name (serial abc) issued no")


@pytest.mark.parametrize(
    ("texts", "slug", "field"),
    [
        ([KEY], "no-certificate", "certificate"),
        ([], "no-certificate", "certificate"),
        ([FULL + OTHER.key_pem], "several-keys", "private_key"),
        ([FULL, RSA_KEY], "several-keys", "private_key"),
        ([STI.chain_pem + OTHER.key_pem], "key-mismatch", "private_key"),
        ([STI.chain_pem, RSA_KEY], "key-mismatch", "private_key"),
    ],
    ids=[
        "a key alone",
        "nothing",
        "two keys",
        "two keys of different kinds",
        "another key",
        "a key of another kind",
    ],
)
def test_certificate_and_key_must_make_a_pair(texts: list[str], slug: str, field: str) -> None:
    refused = refusal(lambda: assembled(*texts))

    assert (refused.slug, refused.field) == (slug, field)


def test_two_certificates_of_one_key_and_name_are_told_apart_by_serial_number() -> None:
    renewed = ISSUING.issue_sti(spc="1234", key=STI.private_key, now=NOW)

    refused = refusal(lambda: assembled(FULL + renewed.chain_pem))

    assert refused.slug == "foreign-certificate"
    assert f"(serial {renewed.certificate.serial}) issued no certificate" in refused.detail


def with_unreadable_key() -> str:
    der = STI.certificate.leaf.public_bytes(Encoding.DER)
    broken = der.replace(bytes.fromhex("03420004"), bytes.fromhex("03420005"))
    return Certificate((x509.load_der_x509_certificate(broken),)).pem()


def test_a_leaf_whose_key_cannot_be_read_is_refused() -> None:
    refused = refusal(lambda: assembled(with_unreadable_key()))

    assert (refused.slug, refused.field) == ("unsupported-key", "certificate")


def test_a_stranger_whose_key_cannot_be_read_is_refused_as_a_stranger() -> None:
    refused = refusal(lambda: assembled(FULL + with_unreadable_key()))

    assert refused.slug == "foreign-certificate"
