"""What opening a key would cost, and that too much is refused without opening it."""

import base64
import hashlib
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Annotated

import pytest
from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from hypothesis import given, settings
from hypothesis import strategies as st

from trust import der, kdf, pem
from trust.authority import Authority
from trust.certificate import CertificateRefused
from trust.kdf import (
    MAX_MEMORY,
    MAX_NESTING,
    MAX_STEPS,
    Cost,
    UnknownCostError,
    check_cost,
    key_cost,
    pkcs12_cost,
)
from trust.pem import read_pem

MIB = 1024 * 1024
NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
LAB = Authority.create("Lab root", now=NOW).issue_sti(spc="1234", now=NOW)


def openssl(*arguments: str) -> bytes:
    """Run a command over the lab's certificates and key."""
    with NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(LAB.chain_pem + LAB.key_pem)
        file.flush()
        words = ["openssl", *arguments, "-in", file.name]
        return subprocess.run(words, capture_output=True, check=True).stdout


def pkcs8(*arguments: str) -> bytes:
    return openssl("pkcs8", "-topk8", "-outform", "DER", "-passout", "pass:sesame", *arguments)


def pkcs12(*arguments: str) -> bytes:
    return openssl("pkcs12", "-export", "-passout", "pass:sesame", *arguments)


def refusal(act: Callable[[], object]) -> CertificateRefused:
    with pytest.raises(CertificateRefused) as refused:
        act()
    assert (refused.value.slug, refused.value.field) == ("costly-key", "private_key")
    return refused.value


def check(cost: Cost) -> None:
    check_cost(cost, called="The key", remedy="Decrypt it.")


# What people's tools write

KEYTOOL = base64.b64decode("""
MIIDxgIBAzCCA3AGCSqGSIb3DQEHAaCCA2EEggNdMIIDWTCCASAGCSqGSIb3DQEHAaCCAREEggENMIIBCTCCAQUG
CyqGSIb3DQEMCgECoIG9MIG6MGYGCSqGSIb3DQEFDTBZMDgGCSqGSIb3DQEFDDArBBRrLEchmhPdGKvF9SgE493i
QQcEGgICJxACASAwDAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEInLOheAsW60F+WIar/POAYEUESwqUQvl/Nt
qN8s6LaIUTbWjIYES/P1WHNf93WESSCiCB1SL3Yz+ru7is8dR7K19f8o9HmI3p+5/tXHkU1koPOId572r6Mxw30P
y3x6DT1CMTYwEQYJKoZIhvcNAQkUMQQeAgBhMCEGCSqGSIb3DQEJFTEUBBJUaW1lIDE3OTU1NjE1ODM4NzkwggIx
BgkqhkiG9w0BBwagggIiMIICHgIBADCCAhcGCSqGSIb3DQEHATBmBgkqhkiG9w0BBQ0wWTA4BgkqhkiG9w0BBQww
KwQUp+YifiTXIN9nlgrWqeQ6BKylx1ICAicQAgEgMAwGCCqGSIb3DQIJBQAwHQYJYIZIAWUDBAEqBBAY3eC7125m
jet7T3IPdRlYgIIBoPELTECKlgFNpYhU8i3EtTavgxi4e3FmNOHOO3+pzoGINGmw9NJlhg5xYitoKSvik/G0B4nh
AQTYOTx+seD/cH0Z0O07mZNV9RLWCIFyuAB/zvUTyLd2bhK0xDBcSZjRm7yuAFZw5l+3zAMxSow5CUAcmr/ws9Qw
IppoqR2oQjB27d3iw4/m0pL3GnzWx61CqOdCaquQ6a+jDtVFOuxyI6gikXMwzFB44pDN6lIS/Kzkl5PVNbCrziDt
+BXb9Pwkb4k3CbwUYRtYct5bUyDBmp4q2SLqz7WJ/3D1Sws7VfC6yHOV8P+l6StJBWJJEn2wY5cisbey3svbX1w7
OZyL8FGlXtEy0SuKp/Z1lxI4L3s/dUWu40b4t0tnCn7GkqpguimLSfAt3ObQU/V7NpHil/juUgB5gwrbGQivhbDh
mdut4kTycnDtG6fCIoqlR9tp8LtlbNZGzMox9XSvfrDJb3k9z7ztvi5D9Q6eYgn4SKxffgxMC5F4EmWUWb05tJ+O
SSMjim0rbnn6lU+F0N0icmJjy3USLvIiBGtHxopihnzJME0wMTANBglghkgBZQMEAgEFAAQgLpf26LLm6Ew1Cq2E
MIKA4IMzVYXAHm7bLbO8O3xchosEFOsJkRYkeZoPSrXnN2h3a0GaNYEuAgInEA==
""")
"""`keytool -genkeypair -keyalg EC -dname CN=x -storepass changeit` of Java 17."""


@pytest.mark.parametrize(
    ("der", "cost"),
    [
        (pkcs8(), Cost(2048)),
        (pkcs8("-v2", "aes-256-cbc"), Cost(2048)),
        (pkcs8("-v2", "des3", "-v2prf", "hmacWithSHA1"), Cost(2048)),
        (pkcs8("-iter", "600000"), Cost(600_000)),
        (pkcs8("-scrypt"), Cost(16384 * 8, 16 * MIB)),
        (pkcs8("-v1", "PBE-SHA1-3DES"), Cost(2048)),
        (pkcs8("-v1", "PBE-SHA1-2DES", "-noiter"), Cost(1)),
    ],
    ids=["default", "AES", "SHA-1", "careful", "scrypt", "3DES", "2DES once"],
)
def test_usual_keys_pass(der: bytes, cost: Cost) -> None:
    assert key_cost(der) == cost
    check(cost)


@pytest.mark.parametrize(
    ("der", "cost"),
    [
        (pkcs12(), Cost(3 * 2048)),
        (pkcs12("-legacy"), Cost(3 * 2048)),
        (pkcs12("-keypbe", "PBE-SHA1-3DES", "-certpbe", "PBE-SHA1-3DES"), Cost(3 * 2048)),
        (pkcs12("-passout", "pass:"), Cost(3 * 2048)),
        (pkcs12("-nomac", "-certpbe", "AES-256-CBC"), Cost(2 * 2048)),
        (pkcs12("-nomaciter"), Cost(2 * 2048 + 1)),
        (pkcs12("-nokeys"), Cost(2 * 2048)),
        (pkcs12("-keypbe", "NONE", "-certpbe", "NONE", "-nomac"), Cost()),
        (pkcs12("-iter", "100000"), Cost(300_000)),
        (KEYTOOL, Cost(30_000)),
    ],
    ids=[
        "default",
        "legacy",
        "3DES",
        "empty passphrase",
        "no MAC",
        "MAC once",
        "no key",
        "nothing encrypted",
        "careful",
        "Java",
    ],
)
def test_usual_files_pass(der: bytes, cost: Cost) -> None:
    assert pkcs12_cost(der) == cost
    check(cost)


# The bounds


@pytest.mark.parametrize(
    ("most", "too_much", "said"),
    [
        (Cost(MAX_STEPS), Cost(MAX_STEPS + 1), "more than 1,000,000 iterations"),
        (Cost(1, MAX_MEMORY), Cost(1, MAX_MEMORY + 1), "more than 64 MiB of memory"),
    ],
    ids=["steps", "memory"],
)
def test_each_bound_holds_to_its_edge(most: Cost, too_much: Cost, said: str) -> None:
    check(most)

    refused = refusal(lambda: check(too_much))

    assert refused.detail == f"The key brings the work of decrypting to {said}. Decrypt it."


def test_costs_of_one_after_the_other_add_up_but_for_the_memory() -> None:
    assert Cost(1, 5) + Cost(2, 3) == Cost(3, 5)


def tlv(value: object) -> asn1.TLV:
    return asn1.decode_der(asn1.TLV, asn1.encode_der(value))


def algorithm(oid: x509.ObjectIdentifier, parameters: object) -> kdf._AlgorithmIdentifier:
    return kdf._AlgorithmIdentifier(oid=oid, parameters=tlv(parameters))


NULL = asn1.Null()
CIPHER = tlv(NULL)


def pbkdf2(iterations: int) -> kdf._AlgorithmIdentifier:
    parameters = kdf._Pbkdf2Parameters(
        salt=b"salt", iterations=iterations, key_length=None, prf=None
    )
    return algorithm(kdf._PBKDF2, parameters)


def scrypt(n: int, r: int, p: int) -> kdf._AlgorithmIdentifier:
    parameters = kdf._ScryptParameters(
        salt=b"salt", cost=n, block_size=r, parallelization=p, key_length=32
    )
    return algorithm(kdf._SCRYPT, parameters)


def pbes2(derivation: kdf._AlgorithmIdentifier) -> kdf._AlgorithmIdentifier:
    return algorithm(kdf._PBES2, kdf._Pbes2Parameters(derivation=derivation, scheme=CIPHER))


def pbes1(oid: str, iterations: int) -> kdf._AlgorithmIdentifier:
    parameters = kdf._Pbes1Parameters(salt=b"saltsalt", iterations=iterations)
    return algorithm(x509.ObjectIdentifier(oid), parameters)


def key(scheme: kdf._AlgorithmIdentifier) -> bytes:
    return asn1.encode_der(kdf._EncryptedPrivateKeyInfo(algorithm=scheme, data=b"?" * 16))


MD5_AND_DES, SHA1_AND_RC2 = "1.2.840.113549.1.5.3", "1.2.840.113549.1.12.1.6"


@pytest.mark.parametrize(
    ("scheme", "cost"),
    [
        (pbes2(pbkdf2(MAX_STEPS + 1)), Cost(MAX_STEPS + 1)),
        (pbes2(scrypt(2**16, 8, 1)), Cost(2**19, MAX_MEMORY)),
        (pbes2(scrypt(2**17, 8, 1)), Cost(2**20, 2 * MAX_MEMORY)),
        (pbes2(scrypt(2**14, 8, 10)), Cost(10 * 2**17, 16 * MIB)),
        (pbes1(MD5_AND_DES, 5), Cost(5)),
        (pbes1(SHA1_AND_RC2, 2**31), Cost(2**31)),
        (pbes1(SHA1_AND_RC2, 2**31 - 2**32), Cost(2**31)),
        (pbes2(pbkdf2(2**100_000)), Cost(2**100_000)),
    ],
    ids=["PBKDF2", "scrypt", "memory", "lanes", "MD5", "RC2", "negative", "beyond all bounds"],
)
def test_every_scheme_is_counted(scheme: kdf._AlgorithmIdentifier, cost: Cost) -> None:
    assert key_cost(key(scheme)) == cost


@pytest.mark.parametrize(
    "scheme",
    [
        pbes2(pbkdf2(MAX_STEPS + 1)),
        pbes2(scrypt(2**17, 8, 1)),
        pbes2(scrypt(2**14, 8, 10)),
        pbes1(SHA1_AND_RC2, -(2**32) + 2**31 - 1),
        pbes2(pbkdf2(2**100_000)),
    ],
)
def test_what_costs_too_much_is_refused(scheme: kdf._AlgorithmIdentifier) -> None:
    refusal(lambda: check(key_cost(key(scheme))))


@pytest.mark.parametrize(
    "scheme",
    [
        algorithm(kdf._PBES2, NULL),
        pbes2(algorithm(kdf._SCRYPT, NULL)),
        pbes2(algorithm(kdf._PBKDF2, NULL)),
        pbes2(pbes2(pbkdf2(1))),
        algorithm(x509.ObjectIdentifier("1.2.3"), NULL),
    ],
    ids=["PBES2", "scrypt", "PBKDF2", "PBES2 in PBES2", "a scheme of the future"],
)
def test_what_cannot_be_counted_is_said_to_be_so(scheme: kdf._AlgorithmIdentifier) -> None:
    with pytest.raises(UnknownCostError):
        key_cost(key(scheme))


# PKCS#12, piece by piece


@asn1.sequence
class Any:
    """ContentInfo, and SafeBag: an OID and what it names."""

    oid: x509.ObjectIdentifier
    value: Annotated[asn1.TLV, asn1.Explicit(0)]


def named(oid: x509.ObjectIdentifier, value: object) -> asn1.TLV:
    return tlv(Any(oid=oid, value=value if isinstance(value, asn1.TLV) else tlv(value)))


def sequence(*items: asn1.TLV) -> asn1.TLV:
    wrapped = asn1.encode_der(der._Items(value=list(items)))
    return asn1.decode_der(asn1.TLV, bytes(asn1.decode_der(asn1.TLV, wrapped).data))


def data(value: asn1.TLV) -> asn1.TLV:
    inner = asn1.encode_der(der._Opaque(value=value))
    octets = asn1.encode_der(der._Octets(value=bytes(asn1.decode_der(asn1.TLV, inner).data)))
    return named(
        kdf._DATA, asn1.decode_der(asn1.TLV, bytes(asn1.decode_der(asn1.TLV, octets).data))
    )


def encrypted(scheme: kdf._AlgorithmIdentifier) -> asn1.TLV:
    contents = kdf._EncryptedContentInfo(oid=kdf._DATA, algorithm=scheme, data=b"?" * 16)
    return named(kdf._ENCRYPTED_DATA, kdf._EncryptedData(version=0, contents=contents))


def key_bag(scheme: kdf._AlgorithmIdentifier) -> asn1.TLV:
    return named(kdf._SHROUDED_KEY_BAG, asn1.decode_der(asn1.TLV, key(scheme)))


def nested(bag: asn1.TLV, depth: int) -> asn1.TLV:
    for _ in range(depth):
        bag = named(kdf._SAFE_CONTENTS_BAG, sequence(bag))
    return bag


def pfx(*contents: asn1.TLV, mac: kdf._MacData | None = None) -> bytes:
    safe = data(sequence(*contents)).parse(kdf._ContentInfo)
    return asn1.encode_der(kdf._Pfx(version=3, safe=safe, mac=mac))


def mac_data(oid: x509.ObjectIdentifier, parameters: object, iterations: int) -> kdf._MacData:
    digest = kdf._DigestInfo(algorithm=tlv(algorithm(oid, parameters)), digest=b"?" * 32)
    return kdf._MacData(mac=digest, salt=b"salt", iterations=iterations)


SHA256 = x509.ObjectIdentifier("2.16.840.1.101.3.4.2.1")
PBMAC1 = kdf._Pbes2Parameters(derivation=pbkdf2(5), scheme=CIPHER)


@pytest.mark.parametrize(
    ("der", "steps"),
    [
        (pfx(), 0),
        (pfx(mac=mac_data(SHA256, NULL, 7)), 7),
        (pfx(mac=mac_data(kdf._PBMAC1, PBMAC1, 1)), 5),
        (pfx(encrypted(pbes2(pbkdf2(7))), encrypted(pbes1(SHA1_AND_RC2, 8))), 15),
        (pfx(data(sequence(key_bag(pbes2(pbkdf2(7))), key_bag(pbes1(MD5_AND_DES, 8))))), 15),
        (pfx(data(sequence(nested(key_bag(pbes2(pbkdf2(7))), MAX_NESTING - 1)))), 7),
        (pfx(data(sequence(named(x509.ObjectIdentifier("1.2.3"), NULL)))), 0),
        (pfx(named(x509.ObjectIdentifier("1.2.3"), NULL)), 0),
    ],
    ids=[
        "nothing",
        "MAC",
        "PBMAC1",
        "encrypted parts",
        "keys",
        "a nested key",
        "a bag of another kind",
        "a part of another kind",
    ],
)
def test_every_part_of_a_file_is_counted(der: bytes, steps: int) -> None:
    assert pkcs12_cost(der) == Cost(steps)


def test_the_parts_of_a_file_are_bounded_together() -> None:
    bags = [key_bag(pbes2(pbkdf2(MAX_STEPS // 2)))] * 2
    most, too_much = (
        pfx(data(sequence(*bags))),
        pfx(data(sequence(*bags)), encrypted(pbes2(pbkdf2(1)))),
    )

    check(pkcs12_cost(most))
    refusal(lambda: check(pkcs12_cost(too_much)))


@pytest.mark.parametrize(
    "der",
    [
        b"",
        b"hello",
        pkcs8(),
        pkcs12()[:-1],
        pkcs12() + b"\0",
        b"\x30\x80" + pkcs12()[4:] + b"\0\0",
        pfx(data(sequence(nested(key_bag(pbes2(pbkdf2(7))), MAX_NESTING)))),
        pfx(encrypted(algorithm(x509.ObjectIdentifier("1.2.3"), NULL))),
        pfx(data(sequence(key_bag(algorithm(kdf._PBES2, NULL))))),
        pfx(mac=mac_data(kdf._PBMAC1, NULL, 1)),
        asn1.encode_der(
            kdf._Pfx(version=3, safe=encrypted(pbes2(pbkdf2(1))).parse(kdf._ContentInfo), mac=None)
        ),
    ],
    ids=[
        "nothing",
        "garbage",
        "a key",
        "cut off",
        "more behind",
        "BER",
        "nested too deeply",
        "a scheme of the future",
        "a damaged key",
        "a damaged MAC",
        "no data in it",
    ],
)
def test_a_file_that_cannot_be_counted_is_said_to_be_so(der: bytes) -> None:
    with pytest.raises(UnknownCostError):
        pkcs12_cost(der)


# Whatever is handed in

DAMAGED = [pkcs8(), pkcs8("-scrypt"), pkcs8("-v1", "PBE-SHA1-3DES"), pkcs12(), KEYTOOL]


def count_or_be_told(der: bytes) -> None:
    for count in (key_cost, pkcs12_cost):
        try:
            cost = count(der)
        except UnknownCostError:
            continue
        assert cost.steps >= 0
        assert cost.memory >= 0


@given(st.binary())
def test_any_bytes_are_counted_or_refused(der: bytes) -> None:
    count_or_be_told(der)


@settings(max_examples=300)
@given(st.sampled_from(DAMAGED), st.data())
def test_any_damage_is_counted_or_refused(der: bytes, damage: st.DataObject) -> None:
    for _ in range(damage.draw(st.integers(1, 3))):
        start = damage.draw(st.integers(0, len(der)))
        end = damage.draw(st.integers(start, min(start + 4, len(der))))
        der = der[:start] + damage.draw(st.binary(max_size=4)) + der[end:]

    count_or_be_told(der)


# In a text


def text(der: bytes) -> str:
    body = base64.encodebytes(der).decode()
    return f"-----BEGIN ENCRYPTED PRIVATE KEY-----\n{body}-----END ENCRYPTED PRIVATE KEY-----\n"


@pytest.fixture
def nothing_is_decrypted(monkeypatch: pytest.MonkeyPatch) -> None:
    def decrypt(*_: object) -> None:
        pytest.fail("decrypted")

    monkeypatch.setattr(pem, "open_apart", decrypt)


@pytest.mark.usefixtures("nothing_is_decrypted")
def test_a_costly_key_is_refused_before_it_is_decrypted() -> None:
    costly = text(key(pbes2(pbkdf2(2**31 - 1))))

    refused = refusal(lambda: read_pem(LAB.chain_pem + costly, passphrase="sesame"))

    assert refused.detail.startswith("Block 2 (ENCRYPTED PRIVATE KEY) brings the work")


@pytest.mark.usefixtures("nothing_is_decrypted")
def test_without_a_passphrase_a_costly_key_asks_for_it_as_others_do() -> None:
    with pytest.raises(CertificateRefused) as refused:
        read_pem(text(key(pbes2(pbkdf2(2**31 - 1)))))

    assert refused.value.slug == "encrypted-key"


@pytest.mark.usefixtures("nothing_is_decrypted")
def test_a_key_that_cannot_be_counted_is_left_to_openssl() -> None:
    with pytest.raises(CertificateRefused) as refused:
        read_pem(text(key(algorithm(kdf._PBES2, NULL))), passphrase="sesame")

    assert refused.value.slug == "wrong-passphrase"
    assert "`openssl pkey -in key.pem -out decrypted.pem`" in refused.value.detail


def test_the_keys_of_a_text_are_counted_together() -> None:
    half = text(pkcs8("-iter", str(MAX_STEPS // 2)))

    assert len(read_pem(half * 2, passphrase="sesame").private_keys) == 2
    refused = refusal(lambda: read_pem(half * 2 + text(pkcs8()), passphrase="sesame"))
    assert refused.detail.startswith("Block 3 (ENCRYPTED PRIVATE KEY) ")


def test_the_commands_shown_do_what_they_promise(tmp_path: Path) -> None:
    costly = text(pkcs8("-iter", str(MAX_STEPS + 1)))
    (tmp_path / "key.pem").write_text(costly)
    refused = refusal(lambda: read_pem(costly, passphrase="sesame"))

    _, encrypt, _, decrypt, _ = refused.detail.split("`")
    for command in ([*encrypt.split(), "-passout", "pass:sesame"], decrypt.split()):
        words = [*command, "-passin", "pass:sesame"]
        subprocess.run(words, cwd=tmp_path, check=True, capture_output=True)

    for name in ("cheaper.pem", "decrypted.pem"):
        (found,) = read_pem((tmp_path / name).read_text(), passphrase="sesame").private_keys
        assert found.public_key() == LAB.private_key.public_key()


def encrypted_by_header(der: bytes, passphrase: bytes) -> str:
    """Encrypt as RFC 1421 keys are, with the key derivation OpenSSL has for these."""
    vector = bytes(16)
    first = hashlib.md5(passphrase + vector[:8], usedforsecurity=False).digest()
    padding = 16 - len(der) % 16
    encryptor = Cipher(algorithms.AES(first), modes.CBC(vector)).encryptor()
    body = encryptor.update(der + bytes([padding] * padding)) + encryptor.finalize()
    head = f"Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,{vector.hex()}\n\n"
    return text(body).replace("KEY-----\n", f"KEY-----\n{head}", 1)


def test_a_key_cannot_hide_its_cost_in_a_second_encryption() -> None:
    hidden = encrypted_by_header(pkcs8(), b"sesame")
    # The library opens both at once.
    assert load_pem_private_key(hidden.encode(), b"sesame")

    with pytest.raises(CertificateRefused) as refused:
        read_pem(hidden, passphrase="sesame")

    assert refused.value.slug == "bad-pem"
