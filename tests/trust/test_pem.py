"""What people paste, and what they are told about it."""

import re
import subprocess
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from trust.authority import Authority
from trust.certificate import Certificate, CertificateRefused
from trust.chain import assemble
from trust.pem import (
    MAX_BLOCKS,
    MAX_LENGTH,
    PemContents,
    read_pem,
    split_blocks,
)

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
ROOT = Authority.create("Lab root", now=NOW)
STI_CA = ROOT.intermediate("Lab STI-CA", now=NOW)
ISSUING = STI_CA.intermediate("Lab issuing CA", now=NOW)
STI = ISSUING.issue_sti(spc="1234", now=NOW)
LEAF, ISSUING_PEM, STI_CA_PEM = (Certificate((one,)).pem() for one in STI.certificate.chain)
KEY = STI.key_pem
OTHER = Authority.create("Other root", now=NOW)

FULL = STI.chain_pem + KEY


def openssl(*arguments: str, pem: str = "") -> str:
    run = subprocess.run(
        ["openssl", *arguments], input=pem, capture_output=True, text=True, check=True
    )
    return run.stdout


def refusal(act: Callable[[], object]) -> CertificateRefused:
    with pytest.raises(CertificateRefused) as refused:
        act()
    return refused.value


# Reading


@pytest.mark.parametrize(
    "text",
    [
        FULL,
        KEY + STI.chain_pem,
        FULL.replace("\n", "\r\n"),
        FULL.replace("\n", "\r"),
        FULL.replace("\n", "\n    "),
        FULL.replace("\n", "\n\n"),
        FULL.replace("\n", " "),
        FULL.replace("\n", "\\n"),
        FULL.replace("\n", "\\r\\n"),
        FULL.replace("\n", "\N{NO-BREAK SPACE}\n"),
        "\N{ZERO WIDTH NO-BREAK SPACE}Here you are:\n" + FULL + "Best regards\n-----\nThe CA",
        FULL.replace("-----BEGIN", "subject=CN = x\nissuer=CN = y\n-----BEGIN"),
        FULL.replace(" CERTIFICATE-", " X509 CERTIFICATE-"),
    ],
    ids=[
        "as it should be",
        "key first",
        "CRLF",
        "CR",
        "indented",
        "blank lines",
        "on one line",
        "escaped",
        "escaped CRLF",
        "no-break spaces",
        "in a letter",
        "with openssl's remarks",
        "with the old label",
    ],
)
def test_blocks_are_found_however_they_were_pasted(text: str) -> None:
    contents = read_pem(text)

    assert contents.certificates == STI.certificate.chain
    assert [key.public_key() for key in contents.private_keys] == [STI.private_key.public_key()]
    assert contents.notes == ()


def test_bag_attributes_are_passed_over(tmp_path: Path) -> None:
    pem, bundle = tmp_path / "all.pem", str(tmp_path / "all.p12")
    pem.write_text(FULL)
    openssl("pkcs12", "-export", "-in", str(pem), "-out", bundle, "-passout", "pass:")
    text = openssl("pkcs12", "-in", bundle, "-nodes", "-passin", "pass:")
    assert "Bag Attributes" in text

    contents = read_pem(text)

    assert set(contents.certificates) == set(STI.certificate.chain)
    assert len(contents.private_keys) == 1


RSA_KEY = openssl("genrsa", "2048")


def public_half(key_pem: str) -> str:
    return openssl("pkey", "-pubout", pem=key_pem)


def public_halves(contents: PemContents) -> list[str]:
    return [
        key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
        for key in contents.private_keys
    ]


@pytest.mark.parametrize(
    ("label", "text"),
    [
        ("PRIVATE KEY", KEY),
        ("EC PRIVATE KEY", openssl("ec", pem=KEY)),
        ("EC PARAMETERS", openssl("ecparam", "-name", "prime256v1", "-genkey")),
        ("PRIVATE KEY", RSA_KEY),
        ("RSA PRIVATE KEY", openssl("rsa", "-traditional", pem=RSA_KEY)),
        ("PRIVATE KEY", openssl("genpkey", "-algorithm", "ed25519")),
        ("PRIVATE KEY", openssl("genpkey", "-algorithm", "ed448")),
    ],
    ids=["PKCS#8", "SEC1", "beside parameters", "RSA PKCS#8", "PKCS#1", "Ed25519", "Ed448"],
)
def test_keys_are_read_in_every_form(label: str, text: str) -> None:
    assert f"-----BEGIN {label}-----" in text

    contents = read_pem(text, passphrase="not needed")

    assert public_halves(contents) == [public_half(text)]
    assert contents.notes == ()


def encrypted(*arguments: str, key: str = KEY) -> str:
    return openssl(*arguments, "-passout", "pass:sésame", pem=key)


ENCRYPTED_KEYS = [
    ("pkey", encrypted("pkey", "-aes256"), KEY),
    ("pkey", encrypted("pkcs8", "-topk8", "-scrypt"), KEY),
    ("ec", encrypted("ec", "-aes256"), KEY),
    ("ec", encrypted("ec", "-des3").replace("\n", "\r\n  "), KEY),
    ("rsa", encrypted("rsa", "-traditional", "-aes128", key=RSA_KEY), RSA_KEY),
]
every_encrypted_key = pytest.mark.parametrize(
    ("command", "text", "key"),
    ENCRYPTED_KEYS,
    ids=["PKCS#8", "PKCS#8 scrypt", "SEC1", "SEC1 indented", "PKCS#1"],
)


@every_encrypted_key
def test_an_encrypted_key_opens_with_its_passphrase(command: str, text: str, key: str) -> None:
    assert command

    assert public_halves(read_pem(text, passphrase="sésame")) == [public_half(key)]


@every_encrypted_key
@pytest.mark.parametrize("passphrase", [None, ""])
def test_without_its_passphrase_the_answer_is_the_command_that_decrypts(
    command: str, text: str, key: str, passphrase: str | None, tmp_path: Path
) -> None:
    refused = refusal(lambda: read_pem(LEAF + text, passphrase=passphrase))

    assert (refused.slug, refused.field) == ("encrypted-key", "passphrase")
    assert refused.detail.startswith("Block 2 (")
    told = shown_command(refused)
    assert told == f"openssl {command} -in key.pem -out decrypted.pem"
    # The words shown to the person do what they promise.
    (tmp_path / "key.pem").write_text("\n".join(line.strip() for line in text.splitlines()))
    words = [*told.split(), "-passin", "pass:sésame"]
    subprocess.run(words, cwd=tmp_path, check=True, capture_output=True)
    decrypted = read_pem((tmp_path / "decrypted.pem").read_text())
    assert public_halves(decrypted) == [public_half(key)]


def shown_command(refused: CertificateRefused) -> str:
    return refused.detail.split("`")[1]


@every_encrypted_key
@pytest.mark.parametrize("passphrase", ["wrong", "\ud800", "\0", "x" * 5000])
def test_a_wrong_passphrase_is_said_to_be_wrong(
    command: str, text: str, key: str, passphrase: str
) -> None:
    assert key

    refused = refusal(lambda: read_pem(text, passphrase=passphrase))

    assert (refused.slug, refused.field) == ("wrong-passphrase", "passphrase")
    assert shown_command(refused).startswith(f"openssl {command} ")
    assert passphrase not in refused.detail


VECTORS = Path(__file__).parents[1] / "vectors/trust"


@pytest.mark.parametrize(
    "text",
    [
        re.sub("(DEK-Info: .{28}).*", r"\1", encrypted("ec", "-aes256")),
        re.sub("DEK-Info.*", "", encrypted("ec", "-aes256")),
        (VECTORS / "scrypt-without-block-size.pem").read_text(),
        encrypted("ec", "-camellia256"),
    ],
    ids=["short vector", "no DEK-Info", "impossible scrypt", "a cipher only openssl knows"],
)
def test_what_cannot_be_decrypted_here_is_left_to_openssl(text: str) -> None:
    refused = refusal(lambda: read_pem(text, passphrase="sésame"))

    assert refused.slug == "wrong-passphrase"
    assert shown_command(refused).endswith(" -in key.pem -out decrypted.pem")


# What is no certificate and no key


def block(label: str, body: str = "MAA=") -> str:
    return f"-----BEGIN {label}-----\n{body}\n-----END {label}-----\n"


@pytest.mark.parametrize("label", ["PUBLIC KEY", "RSA PUBLIC KEY", "X509 CRL", "DH PARAMETERS"])
def test_what_is_not_needed_is_left_out_and_said(label: str) -> None:
    assembled = assemble(read_pem(LEAF + block(label) + ISSUING_PEM))

    assert assembled.certificate.chain == STI.certificate.chain[:2]
    assert assembled.put_right == (f"Block 2 ({label}) was left out: it is not needed.",)


@pytest.mark.parametrize(
    ("label", "advice"),
    [
        ("TRUSTED CERTIFICATE", "openssl x509 -in cert.pem -out plain.pem"),
        ("CERTIFICATE REQUEST", "Send it to the CA"),
        ("NEW CERTIFICATE REQUEST", "Send it to the CA"),
        ("PKCS7", "openssl pkcs7 -in chain.p7b -print_certs -out chain.pem"),
        ("OPENSSH PRIVATE KEY", "ssh-keygen -p -m PKCS8 -f key"),
        ("PGP MESSAGE", "Remove it"),
    ],
)
def test_other_blocks_are_refused_with_the_way_out(label: str, advice: str) -> None:
    refused = refusal(lambda: read_pem(LEAF + block(label)))

    assert refused.slug == "unsupported-pem"
    assert refused.detail.startswith(f"Block 2 ({label}) is ")
    assert advice in refused.detail


@pytest.mark.parametrize(
    "text",
    [
        openssl("genpkey", "-algorithm", "X25519"),
        openssl("dsaparam", "-genkey", "-noout", "1024"),
    ],
    ids=["X25519", "DSA"],
)
def test_keys_of_other_kinds_are_refused(text: str) -> None:
    refused = refusal(lambda: read_pem(text))

    assert (refused.slug, refused.field) == ("unsupported-key", "private_key")


# Damage

BODY = LEAF.split("-----\n")[1].split("\n-----")[0]
KEY_BODY = KEY.split("-----\n")[1].split("\n-----")[0]


def without_line(text: str, number: int) -> str:
    lines = text.splitlines()
    return "\n".join(lines[:number] + lines[number + 1 :])


@pytest.mark.parametrize(
    ("text", "said", "field"),
    [
        (LEAF + without_line(ISSUING_PEM, -1), "Block 2 (CERTIFICATE) is cut off", "certificate"),
        (without_line(LEAF, -1) + "\n" + KEY, "Block 1 (CERTIFICATE) is cut off", "certificate"),
        (KEY + without_line(LEAF, 0), "Block 2 (CERTIFICATE) has no line", "certificate"),
        (KEY.replace("END PRIVATE", "END EC PRIVATE"), "Block 1 (PRIVATE KEY)", "private_key"),
        (without_line(LEAF, 3), "Block 1 (CERTIFICATE) is damaged: some", "certificate"),
        (without_line(KEY, 2), "Block 1 (PRIVATE KEY) is damaged: ", "private_key"),
        (LEAF + block("CERTIFICATE", BODY.replace("A", "!")), "Block 2 (", "certificate"),
        (block("CERTIFICATE", BODY[:-1]), "Block 1 (CERTIFICATE) is damaged", "certificate"),
        (block("CERTIFICATE", ""), "Block 1 (CERTIFICATE) is empty", "certificate"),
        (block("PRIVATE KEY", " "), "Block 1 (PRIVATE KEY) is empty", "private_key"),
        (block("CERTIFICATE"), "openssl x509 -in cert.pem -noout -text", "certificate"),
        (block("CERTIFICATE", KEY_BODY), "holds no X.509 certificate", "certificate"),
        (block("PRIVATE KEY", BODY), "openssl pkey -in key.pem -noout -check", "private_key"),
    ],
    ids=[
        "last END missing",
        "END missing before another block",
        "BEGIN missing",
        "END of another kind",
        "a line missing",
        "a line of the key missing",
        "not base64",
        "a character missing",
        "empty certificate",
        "empty key",
        "no certificate inside",
        "a key labelled as certificate",
        "a certificate labelled as key",
    ],
)
def test_a_broken_block_is_named_with_what_is_wrong(text: str, said: str, field: str) -> None:
    refused = refusal(lambda: read_pem(text))

    assert (refused.slug, refused.field) == ("bad-pem", field)
    assert said in refused.detail
    assert_tells_nothing_of(text, refused)


def assert_tells_nothing_of(text: str, refused: CertificateRefused) -> None:
    for line in text.splitlines():
        assert len(line) < 16 or line.startswith("-----") or line not in refused.detail
    for word in re.findall(r"[A-Za-z0-9+/]{20,}", text):
        assert word not in refused.detail


@pytest.mark.parametrize("text", ["", "hello", BODY, "-----BEGIN -----", "-----BEGIN cert-----"])
def test_text_without_pem_is_refused_with_the_way_to_make_some(text: str) -> None:
    refused = refusal(lambda: read_pem(text))

    assert (refused.slug, refused.field) == ("not-pem", "certificate")
    assert "openssl x509 -inform DER" in refused.detail


def test_complaints_about_a_text_name_the_field_it_was_pasted_in() -> None:
    assert refusal(lambda: read_pem("hello", field="private_key")).field == "private_key"


def test_the_length_of_a_text_is_bounded() -> None:
    longest = LEAF + " " * (MAX_LENGTH - len(LEAF))

    assert read_pem(longest).certificates
    assert refusal(lambda: read_pem(longest + " ")).slug == "too-large"


def test_the_number_of_blocks_is_bounded() -> None:
    most = block("EC PARAMETERS") * (MAX_BLOCKS - 1) + LEAF

    assert read_pem(most).certificates
    assert refusal(lambda: read_pem(most + LEAF)).slug == "too-many-blocks"


# Whatever is pasted

SECRETS = [KEY, RSA_KEY, *(text for _, text, _ in ENCRYPTED_KEYS)]


def read_or_be_told(text: str, passphrase: str | None) -> None:
    with suppress(CertificateRefused):
        assemble(read_pem(text, passphrase=passphrase))


@given(st.text(), st.none() | st.text())
def test_any_text_is_read_or_refused(text: str, passphrase: str | None) -> None:
    read_or_be_told(text, passphrase)


LABELS = ["CERTIFICATE", "PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "PKCS7"]
PIECES = st.sampled_from(
    [
        *(f"-----{edge} {label}-----" for edge in ("BEGIN", "END") for label in LABELS),
        *("\n", "\\n", " ", "MAA=", BODY, KEY_BODY, "Proc-Type: 4,ENCRYPTED\n", "DEK-Info: x\n"),
        *("DEK-Info: AES-256-CBC,00\n", LEAF, STI_CA_PEM, *SECRETS),
    ]
)


@settings(deadline=None)  # each passphrase tried costs what its key's maker chose
@given(st.lists(PIECES, max_size=12).map("".join), st.none() | st.text())
def test_any_jumble_of_blocks_is_read_or_refused(text: str, passphrase: str | None) -> None:
    read_or_be_told(text, passphrase)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([FULL, *SECRETS]), st.data())
@pytest.mark.filterwarnings("ignore")
def test_any_damage_is_read_or_refused(text: str, data: st.DataObject) -> None:
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(start + 70, len(text))))
        text = text[:start] + data.draw(st.text("AZaz09+/=-: \n\\", max_size=5)) + text[end:]

    read_or_be_told(text, "sésame")


# One block after the other


def test_a_text_is_cut_into_its_blocks_also_broken_ones() -> None:
    cut_off = "-----BEGIN CERTIFICATE-----\nMIIB\n"

    pieces = split_blocks(f"Ours:\n{LEAF}{cut_off}{KEY}")

    assert pieces == (LEAF, cut_off, KEY)
    assert (
        "Block 2 (CERTIFICATE) is cut off" in refusal(lambda: read_pem(pieces[1], first=2)).detail
    )


def test_a_text_without_a_block_is_one_piece() -> None:
    assert split_blocks("hello") == ("hello",)


@given(st.lists(st.sampled_from([LEAF, KEY, "-----BEGIN X-----", "-----END X-----", "\n", "a"])))
def test_no_block_is_lost(parts: list[str]) -> None:
    text = "".join(parts)

    pieces = split_blocks(text)

    assert text.endswith("".join(pieces))
    assert sum(piece.count("-----BEGIN") for piece in pieces) == text.count("-----BEGIN")
    assert all(piece.count("-----BEGIN") <= 1 for piece in pieces)
