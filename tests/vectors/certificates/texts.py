"""Cases of how certificates are pasted: forgiven, damaged, or of another kind."""

from __future__ import annotations

from collections.abc import Iterator

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.hazmat.primitives.serialization.pkcs7 import serialize_certificates

from tests.vectors.certificates.case import (
    CA,
    ROOT,
    TRADITIONAL,
    Case,
    put_right,
    refused,
)
from tests.vectors.certificates.making import (
    DAY,
    NOW,
    armoured,
    key_pem,
    nested,
    openssl,
    sti,
    tlv,
)


def ways_to_paste() -> Iterator[Case]:
    made = [sti(CA) for _ in range(20)]
    texts = iter(made)

    def text() -> str:
        each = next(texts)
        return each.chain + each.key_pem

    yield Case("order-leaf-intermediate-key", "sti", text())
    one = next(texts)
    yield Case("order-key-first", "sti", one.key_pem + one.chain)
    one = next(texts)
    yield put_right("order-intermediate-first", "sti", CA.pem + one.pem + one.key_pem, "in order")
    one = next(texts)
    content = ROOT.pem + CA.pem + one.key_pem + one.pem
    yield put_right("order-root-first", "sti", content, "in order", 'The root "CN=Corpus root')
    one = next(texts)
    yield put_right("duplicates", "sti", one.chain + CA.pem + one.key_pem, "more than once")
    yield Case("crlf", "sti", text().replace("\n", "\r\n"))
    yield Case("carriage-returns", "sti", text().replace("\n", "\r"))
    yield Case("lines-joined", "sti", text().replace("\n", ""))
    yield Case("backslash-n", "sti", text().replace("\n", "\\n"))
    yield Case("indented", "sti", text().replace("\n", "\n    "))
    yield Case("byte-order-mark", "sti", "\ufeff" + text())
    yield Case("blank-lines-and-spaces", "sti", text().replace("\n", "  \n\n"))
    yield Case("text-around", "sti", f"Your certificate:\n\n{text()}\nKind regards, äöü\n")
    one = next(texts)
    words = openssl("x509", "-text", stdin=one.pem).decode()
    yield Case("openssl-text", "sti", words + CA.pem + one.key_pem)
    one = next(texts)
    bags = f"Bag Attributes\n    localKeyID: 01 00 00 00\nsubject=CN = SHAKEN 1234\n{one.pem}"
    key = f"Bag Attributes\n    localKeyID: 01\nKey Attributes: <No Attributes>\n{one.key_pem}"
    yield Case("bag-attributes", "sti", bags + CA.pem + key)
    one = next(texts)
    parameters = armoured("EC PARAMETERS", bytes.fromhex("06082a8648ce3d030107"))
    key = parameters + key_pem(one.key, TRADITIONAL)
    yield Case("ec-parameters-beside-the-key", "sti", one.chain + key)
    revoked = revocation_list()
    one = next(texts)
    content = one.chain + revoked + one.key_pem
    yield put_right("revocation-list-beside", "sti", content, "X509 CRL")
    one = next(texts)
    yield Case(
        "old-label", "sti", one.chain.replace("CERTIFICATE", "X509 CERTIFICATE") + one.key_pem
    )


def revocation_list() -> str:
    builder = x509.CertificateRevocationListBuilder()
    builder = builder.issuer_name(CA.certificate.subject).last_update(NOW).next_update(NOW + DAY)
    return builder.sign(CA.key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def what_is_damaged() -> Iterator[Case]:
    one = sti(CA)
    text = one.chain + one.key_pem
    lines = text.splitlines(keepends=True)
    yield refused("empty", "sti", "\n", "not-pem", "-----BEGIN")
    yield refused("no-pem", "sti", "hello\n", "not-pem", "openssl x509 -inform DER")
    missing = "".join(lines[:3] + lines[4:])
    yield refused("a-line-is-missing", "sti", missing, "bad-pem", "Block 1 (CERTIFICATE)")
    doubled = "".join([*lines[:4], *lines[3:]])
    yield refused("a-line-is-doubled", "sti", doubled, "bad-pem", "missing or doubled")
    yield refused("cut-off", "sti", text[:300], "bad-pem", "-----END CERTIFICATE-----")
    yield refused("begin-is-missing", "sti", "".join(lines[1:]), "bad-pem", "before its END")
    other = text.replace("END CERTIFICATE", "END PRIVATE KEY", 1)
    yield refused("end-of-another-kind", "sti", other, "bad-pem", "cut off")
    yield refused("four-dashes", "sti", text.replace("-----", "----"), "not-pem")
    yield refused("lower-case-label", "sti", text.lower(), "not-pem")
    strange = text.replace("MII", "M?I", 1)
    yield refused("no-base64", "sti", strange, "bad-pem", "not base64")
    hollow = "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"
    yield refused("empty-block", "sti", hollow + text, "bad-pem", "is empty")
    inside = f"-----BEGIN CERTIFICATE-----\n{text}"
    yield refused("block-in-a-block", "sti", inside, "bad-pem", "Block 1")
    random = armoured("CERTIFICATE", bytes(range(256)))
    yield refused("no-der", "sti", random + text, "bad-pem", "Block 1")
    der = armoured("CERTIFICATE", tlv(0x30, tlv(0x02, b"\x01")))
    yield refused("no-certificate-in-it", "sti", der + text, "bad-pem", "no X.509 certificate")
    deep = armoured("CERTIFICATE", nested(5000))
    yield refused("deep-asn1", "sti", deep + text, "bad-pem", "Block 1")
    deep = armoured("PRIVATE KEY", nested(5000))
    yield refused("deep-asn1-key", "sti", one.chain + deep, "bad-pem", field="private_key")
    cut = armoured("PRIVATE KEY", one.key.private_bytes(*_DER_KEY)[:-20])
    yield refused("cut-key", "sti", one.chain + cut, "bad-pem", field="private_key")
    swapped = one.chain + armoured("CERTIFICATE", one.key.private_bytes(*_DER_KEY))
    yield refused("key-labelled-certificate", "sti", swapped, "bad-pem", "Block 3 (CERTIFICATE)")
    yield refused("NUL-in-the-text", "sti", text.replace("\n", "\n\0", 1), "invalid-request", "NUL")


_DER_KEY = (Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def other_labels() -> Iterator[Case]:
    one = sti(CA)
    trusted = openssl("x509", "-trustout", "-addtrust", "serverAuth", stdin=one.pem).decode()
    unsupported = ("sti", "unsupported-pem")
    for name, text, says in [
        ("trusted-certificate", trusted + one.key_pem, "openssl x509 -in"),
        (
            "certificate-request",
            openssl(
                "req", "-new", "-key", "k", "-subj", "/CN=a", files={"k": one.key_pem}
            ).decode(),
            "a request",
        ),
        (
            "new-certificate-request",
            armoured("NEW CERTIFICATE REQUEST", b"\x30\x00"),
            "a request",
        ),
        (
            "pkcs7",
            serialize_certificates([one.certificate], Encoding.PEM).decode(),
            "openssl pkcs7",
        ),
        ("pgp", armoured("PGP PUBLIC KEY BLOCK", b"\x99\x01\x00"), "neither a certificate"),
        (
            "openssh-key",
            key_pem(one.key, PrivateFormat.OpenSSH),
            "ssh-keygen",
        ),
    ]:
        where = "private_key" if name == "openssh-key" else "certificate"
        yield refused(f"label-{name}", unsupported[0], text, unsupported[1], says, field=where)
    public = one.key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    yield refused("ssh-public-key", "sti", public, "not-pem")
    ssh2 = f"---- BEGIN SSH2 PUBLIC KEY ----\n{public.split()[1]}\n---- END SSH2 PUBLIC KEY ----\n"
    yield refused("ssh2-public-key", "sti", ssh2, "not-pem")
