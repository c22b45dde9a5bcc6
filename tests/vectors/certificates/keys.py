"""Cases of keys: kinds, encryption, PKCS#12 files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
)
from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_key_and_certificates

from tests.vectors.certificates.case import (
    CA,
    TRADITIONAL,
    Case,
    refused,
)
from tests.vectors.certificates.making import (
    PASSPHRASE,
    Made,
    key_pem,
    nested,
    new_key,
    openssl,
    server,
    sti,
)


def kinds_of_keys() -> Iterator[Case]:
    keys: dict[str, Any] = {
        "rsa-2048": rsa.generate_private_key(65537, 2048),
        "rsa-4096": rsa.generate_private_key(65537, 4096),
        "p-256": new_key(),
        "p-384": ec.generate_private_key(ec.SECP384R1()),
        "ed25519": ed25519.Ed25519PrivateKey.generate(),
    }
    for name, key in keys.items():
        made = server(CA, f"{name}.example.net", key=key)
        yield Case(f"key-{name}-pkcs8", "system", made.chain + made.key_pem)
        if name != "ed25519":
            old = key_pem(server(CA, f"{name}.example.net", key=key).key, TRADITIONAL)
            again = server(CA, f"{name}-old.example.net", key=key)
            label = "pkcs1" if "rsa" in name else "sec1"
            yield Case(f"key-{name}-{label}", "system", again.chain + old)
    short = server(CA, "short.example.net", key=rsa.generate_private_key(65537, 1024))  # noqa: S505
    yield Case(
        "key-rsa-1024", "system", short.chain + short.key_pem, ["weak-key", "not-presentable"]
    )
    for name, key, says in [
        ("p-521", ec.generate_private_key(ec.SECP521R1()), "secp521r1"),
        ("secp256k1", ec.generate_private_key(ec.SECP256K1()), "secp256k1"),
        ("ed448", ed448.Ed448PrivateKey.generate(), "Ed448"),
    ]:
        made = server(CA, f"{name}.example.net", key=key)
        text = made.chain + made.key_pem
        yield refused(f"key-{name}", "system", text, "unsupported-key", says)
    made = server(CA, "dsa.example.net", key=dsa.generate_private_key(2048))
    text = made.chain + made.key_pem
    yield refused("key-dsa", "system", text, "unsupported-key", field="private_key")
    for name in ("rsa-2048", "p-384", "ed25519"):
        made = sti(CA, key=keys[name])
        yield refused(f"sti-key-{name}", "sti", made.chain + made.key_pem, "not-p256", "P-256")
    made, other = sti(CA), sti(CA)
    mismatch = ("key-mismatch", "openssl x509")
    yield refused(
        "key-of-another", "sti", made.chain + other.key_pem, *mismatch, field="private_key"
    )
    two = made.chain + made.key_pem + other.key_pem
    yield refused("two-keys", "sti", two, "several-keys", field="private_key")
    yield Case("the-same-key-twice", "sti", made.chain + made.key_pem + made.key_pem)
    yield refused("no-key", "sti", other.chain, "no-key", field="private_key")
    yield refused("only-a-key", "sti", other.key_pem, "no-certificate")


def encrypted_keys() -> Iterator[Case]:
    def shapes() -> Iterator[tuple[str, str, Made, str]]:
        one = sti(CA)
        yield "pkcs8", "pkey", one, key_pem(one.key, passphrase=PASSPHRASE)
        one = server(CA, "rsa.example.net", key=rsa.generate_private_key(65537, 2048))
        files = {"k": key_pem(one.key, TRADITIONAL)}
        opened = ("-passout", f"pass:{PASSPHRASE}")
        old = openssl("rsa", "-traditional", "-in", "k", "-aes256", *opened, files=files).decode()
        yield "dek-info-aes", "rsa", one, old
        one = sti(CA)
        files = {"k": key_pem(one.key, TRADITIONAL)}
        old = openssl("ec", "-in", "k", "-des3", *opened, files=files).decode()
        yield "dek-info-3des", "ec", one, old
        one = sti(CA)
        files = {"k": one.key_pem}
        command = ("pkcs8", "-topk8", "-in", "k", *opened)
        yield "pbes1", "pkey", one, openssl(*command, "-v1", "PBE-SHA1-3DES", files=files).decode()
        one = sti(CA)
        files = {"k": one.key_pem}
        yield "scrypt", "pkey", one, openssl(*command, "-scrypt", files=files).decode()

    for name, command, one, key in shapes():
        kind = "system" if command == "rsa" else "sti"
        text = one.chain + key
        at = {"field": "passphrase"}
        shown = f"`openssl {command} -in key.pem -out decrypted.pem`"
        yield Case(f"encrypted-{name}", kind, text, passphrase=PASSPHRASE)
        yield refused(f"encrypted-{name}-no-passphrase", kind, text, "encrypted-key", shown, **at)
        yield refused(
            f"encrypted-{name}-wrong-passphrase",
            kind,
            text,
            "wrong-passphrase",
            shown,
            passphrase="sesame",
            **at,
        )
    one = sti(CA)
    old = key_pem(one.key, TRADITIONAL).replace(
        "KEY-----\n", "KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: DES-CBC,0011223344556677\n\n", 1
    )
    yield refused(
        "encrypted-des",
        "sti",
        one.chain + old,
        "wrong-passphrase",
        passphrase=PASSPHRASE,
        field="passphrase",
    )


def pkcs12_files() -> Iterator[Case]:
    made = [sti(CA) for _ in range(8)]

    def bundle(one: Made, passphrase: str | None) -> bytes:
        lock = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
        parts = (b"sti", one.key, one.certificate, [CA.certificate])
        return serialize_key_and_certificates(*parts, lock)

    yield Case("pkcs12-modern", "sti", bundle(made[0], PASSPHRASE), passphrase=PASSPHRASE)
    yield Case("pkcs12-no-passphrase", "sti", bundle(made[1], None))
    wrong = {"field": "passphrase"}
    yield refused(
        "pkcs12-wrong-passphrase",
        "sti",
        bundle(made[2], PASSPHRASE),
        "wrong-passphrase",
        passphrase="x",
        **wrong,
    )
    yield refused(
        "pkcs12-passphrase-missing",
        "sti",
        bundle(made[2], PASSPHRASE),
        "wrong-passphrase",
        "without a passphrase",
        **wrong,
    )
    for name, options in [
        ("3des", ("-certpbe", "PBE-SHA1-3DES", "-keypbe", "PBE-SHA1-3DES", "-macalg", "sha1")),
        ("rc2", ("-legacy",)),
        ("unsealed-certificates", ("-certpbe", "NONE")),
        ("no-mac", ("-nomac",)),
    ]:
        one = made[3 + ["3des", "rc2", "unsealed-certificates", "no-mac"].index(name)]
        files = {"all": one.chain + one.key_pem}
        command = ("pkcs12", "-export", "-in", "all", "-passout", f"pass:{PASSPHRASE}")
        content = openssl(*command, *options, files=files)
        yield Case(f"pkcs12-{name}", "sti", content, passphrase=PASSPHRASE)
    no_key = serialize_key_and_certificates(None, None, None, [CA.certificate], NoEncryption())
    yield refused("pkcs12-only-an-authority", "sti", no_key, "is-a-ca")
    one = sti(CA)
    alone = serialize_key_and_certificates(None, None, one.certificate, None, NoEncryption())
    yield refused("pkcs12-no-key", "sti", alone, "no-key", field="private_key")
    at = {"field": "pkcs12"}
    whole = bundle(one, None)
    yield refused("pkcs12-cut", "sti", whole[:-30], "bad-pkcs12", "openssl pkcs12 -legacy", **at)
    yield refused("pkcs12-is-pem", "sti", one.chain.encode(), "bad-pkcs12", **at)
    der = one.certificate.public_bytes(Encoding.DER)
    yield refused("pkcs12-is-a-certificate", "sti", der, "bad-pkcs12", **at)
    yield refused("pkcs12-deep-asn1", "sti", nested(5000), "bad-pkcs12", **at)
