"""Cases of what certificates say: chains, names, times, rules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.vectors.certificates.case import (
    CA,
    ROOT,
    STRANGER,
    TENANT,
    UNKNOWN,
    Case,
    put_right,
    refused,
)
from tests.vectors.certificates.making import (
    CRITICAL_NOBODY_KNOWS,
    DAY,
    NOW,
    Made,
    alternative,
    authority,
    issue,
    key_pem,
    new_key,
    openssl,
    published_at,
    rebuilt,
    server,
    sti,
    tlv,
    validity,
)


def chains() -> Iterator[Case]:
    one = sti(CA)
    yield Case("chain-without-intermediate", "sti", one.pem + one.key_pem, UNKNOWN)
    aia = (published_at("http://ca.example.net/ca.cer"), False)
    one = issue(CA, "a.example.net", [(alternative("a.example.net"), False), aia])
    content = one.pem + one.key_pem
    told = ["CN=Corpus CA", "http://ca.example.net/ca.cer"]
    yield Case("chain-without-intermediate-aia", "system", content, UNKNOWN, says=told)
    one = sti(STRANGER)
    told = ['"CN=Another root,O=Corpus"']
    yield Case("chain-to-an-unknown-root", "sti", one.chain + one.key_pem, UNKNOWN, says=told)
    one, other = sti(CA), sti(CA)
    yield refused(
        "two-leaves",
        "sti",
        one.chain + other.pem + one.key_pem,
        "foreign-certificate",
        f"serial {other.certificate.serial_number:x}",
    )
    yield refused(
        "foreign-intermediate",
        "sti",
        one.chain + STRANGER.pem + one.key_pem,
        "foreign-certificate",
        '"CN=Another CA,O=Corpus"',
    )
    lower = authority(CA, "Lower CA")
    one = sti(lower)
    gap = one.pem + CA.pem + one.key_pem
    yield refused("gap-in-the-chain", "sti", gap, "foreign-certificate", "missing between them")
    crossed = Made(_crossed(STRANGER), CA.key, STRANGER)
    one = sti(CA)
    content = one.chain + crossed.pem + one.key_pem
    yield put_right("cross-certificate", "sti", content, "complete without it")
    yield refused("authority-as-leaf", "sti", CA.pem + CA.key_pem, "is-a-ca")
    yield refused(
        "authority-as-tls-leaf", "system", CA.pem + CA.key_pem, "is-a-ca", "trusted roots"
    )
    alone = server(None, "alone.example.net")
    yield Case("self-signed", "system", alone.pem + alone.key_pem, ["untrusted"])
    own = authority(None, "own.example.net")
    warned = ["no-san", "cn-only", "untrusted"]
    yield Case("self-signed-authority", "system", own.pem + own.key_pem, warned)
    small = authority(ROOT, "Ended CA", end=NOW - DAY)
    one = server(small, "a.example.net")
    yield Case("intermediate-expired", "system", one.chain + one.key_pem, ["untrusted"])
    one = server(Made(server(CA, "x.example.net").certificate, new_key(), CA), "a.example.net")
    content = one.pem + CA.pem + one.key_pem
    yield refused("signed-by-another-key", "system", content, "foreign-certificate")


def _crossed(issuer: Made) -> x509.Certificate:
    ca = (x509.BasicConstraints(ca=True, path_length=None), True)
    made = issue(issuer, "Corpus CA", [ca], key=CA.key)
    return made.certificate


def names() -> Iterator[Case]:
    def both(made: Made) -> str:
        return made.chain + made.key_pem

    only = issue(CA, TENANT)
    yield Case("cn-only", "domain", both(only), ["no-san", "cn-only"], names=[TENANT])
    nobody = issue(CA, None)
    yield Case("no-name", "system", both(nobody), ["no-san"], names=[])
    old = issue(CA, TENANT)
    v1 = rebuilt(old, version_1=True) + CA.pem + old.key_pem
    yield Case("version-1", "domain", v1, ["no-san", "cn-only", "v1"], names=[TENANT])
    wild = server(CA, "*.example.com", "example.com")
    yield Case("wildcard", "system", both(wild), names=["*.example.com", "example.com"])
    wild = server(CA, "*.pbx.example.com", TENANT)
    yield refused("wildcard-domain", "domain", both(wild), "wildcard", "kind system")
    numbered = server(CA, "192.0.2.1", "2001:db8::1")
    yield Case("ip-addresses", "system", both(numbered), names=["192.0.2.1", "2001:db8::1"])
    yield Case("domain", "domain", both(server(CA, TENANT)), names=[TENANT])
    more = server(CA, TENANT, "other.example.org")
    yield Case("domain-and-more", "domain", both(more), ["name-of-no-tenant"], says=["other."])
    yield Case("domain-upper-case", "domain", both(server(CA, "PBX.Example.COM")), names=[TENANT])
    foreign = server(CA, "nobody.example.org")
    yield refused("domain-of-nobody", "domain", both(foreign), "no-tenant", "nobody.example.org")
    idna = server(CA, "xn--bcher-kva.example.net")
    yield Case("idna", "system", both(idna), names=["xn--bcher-kva.example.net"])
    unicode = issue(CA, "bücher.example.net")
    said = ["no-san", "cn-only"]
    yield Case("idna-cn", "system", both(unicode), said, names=["xn--bcher-kva.example.net"])
    tricky = server(CA, "pbx.example.com\0.evil.example", key=new_key())
    yield refused("nul-in-a-name", "domain", both(tricky), "no-tenant")
    tricky = server(CA, "pbx.example.com\0.evil.example", "good.example.net")
    yield Case(
        "nul-in-a-system-name", "system", both(tricky), ["bad-name"], names=["good.example.net"]
    )
    strange = server(CA, "under_score.example.net", "a b", "good.example.net")
    yield Case("odd-names", "system", both(strange), ["bad-name"], names=["good.example.net"])
    mail = issue(CA, None, [(alternative("a@example.com"), False)])
    yield Case("mail-address-only", "system", both(mail), names=[])
    tricky = issue(CA, "pbx.example.com\0.evil.example")
    yield refused("nul-in-the-cn", "domain", both(tricky), "no-tenant")


def times_and_numbers() -> Iterator[Case]:
    def both(made: Made) -> str:
        return made.chain + made.key_pem

    ended = {"start": NOW - 300 * DAY, "end": NOW - DAY}
    yield Case("expired", "system", both(server(CA, "a.example.net", **ended)), ["expired"])
    yield Case("expired-domain", "domain", both(server(CA, TENANT, **ended)), ["expired"])
    yield refused("expired-sti", "sti", both(sti(CA, **ended)), "expired", "2026-05-31")
    soon = {"end": NOW + 10 * DAY}
    yield Case("expires-soon", "sti", both(sti(CA, **soon)), ["expires-soon"])
    later = {"start": NOW + DAY}
    yield Case("not-yet-valid", "sti", both(sti(CA, **later)))
    yield Case("not-yet-valid-when-it-is", "sti", both(sti(CA, **later)), now=NOW + 2 * DAY)

    def other(made: Made, **changes: Any) -> str:
        return rebuilt(made, **changes) + CA.pem + made.key_pem

    def host(name: str) -> Made:
        return server(CA, f"{name}.example.net")

    times = validity(b"20260101000000Z", b"20270101000000Z")
    yield Case("generalized-time", "system", other(host("times"), validity=times))
    times = validity(b"500101000000Z", b"491231235959Z", tag=0x17)
    yield Case("utc-time-of-two-centuries", "system", other(host("century"), validity=times))
    times = validity(b"20260101000000Z", b"99991231235959Z")
    yield Case("no-end", "system", other(host("no-end"), validity=times))
    times = validity(b"20270101000000Z", b"20260101000000Z")
    content = other(host("back"), validity=times)
    yield refused("ends-before-it-starts", "system", content, "never-valid", "2026-01-01")
    times = validity(b"2601010000Z", b"2701010000Z", tag=0x17)
    yield refused("times-without-seconds", "system", other(host("s"), validity=times), "bad-pem")
    times = validity(b"20261301000000Z", b"20270101000000Z")
    yield refused("month-13", "system", other(host("month"), validity=times), "bad-pem")
    zero, below, large = b"\x02\x01\x00", b"\x02\x01\xff", tlv(0x02, b"\x7f" * 40)
    yield Case("serial-zero", "system", other(host("zero"), serial=zero))
    yield Case("serial-negative", "system", other(host("below"), serial=below))
    yield Case("serial-of-40-octets", "system", other(host("large"), serial=large))
    yield Case("serial-of-20-octets", "sti", both(sti(CA, serial=2**159 - 1)))


def rules() -> Iterator[Case]:
    def both(made: Made) -> str:
        return made.chain + made.key_pem

    yield refused("sti-without-tnauthlist", "sti", both(sti(CA, listed=None)), "no-tn-auth-list")
    for name, der in [
        ("no-der", b"hello"),
        ("empty", b"\x30\x00"),
        ("unknown-choice", bytes.fromhex("3004a3021600")),
        ("cut", bytes.fromhex("3008a00616043132")),
        ("range-of-one", bytes.fromhex("300ca10a300816033132330201 01".replace(" ", ""))),
        ("letters-as-number", bytes.fromhex("3007a2051603616263")),
    ]:
        text = both(sti(CA, listed=der))
        yield refused(f"tnauthlist-{name}", "sti", text, "bad-tn-auth-list", "issue it anew")
    yield refused("sti-key-usage", "sti", both(sti(CA, can_sign=False)), "key-usage")
    tls = server(CA, "a.example.net")
    yield refused("tls-as-sti", "sti", both(tls), "no-tn-auth-list", "TLS certificate")
    yield Case("sti-as-system", "system", both(sti(CA)), ["no-san", "cn-only"])
    san = (alternative("a.example.net"), False)
    odd = issue(CA, "a.example.net", [san, (CRITICAL_NOBODY_KNOWS, True)])
    yield Case("unknown-critical-extension", "system", both(odd), ["untrusted"])
    odd = issue(
        CA,
        "a.example.net",
        [san, (x509.UnrecognizedExtension(CRITICAL_NOBODY_KNOWS.oid, b"x"), False)],
    )
    yield Case("unknown-extension", "system", both(odd))
    twice = sti(CA)
    text = rebuilt(twice, doubled=True) + CA.pem + twice.key_pem
    yield refused("duplicate-extension-sti", "sti", text, "bad-extensions")
    twice = server(CA, "a.example.net")
    text = rebuilt(twice, doubled=True) + CA.pem + twice.key_pem
    yield refused("duplicate-extension", "system", text, "bad-extensions")
    list_of_numbers = "1.3.6.1.5.5.7.1.26=DER:3008a006160431323334"
    yield weak_hash("sha1", "sti", new_key(), list_of_numbers)
    named = "subjectAltName=DNS:weak.example.net"
    yield weak_hash("sha1", "system", new_key(), named)
    # There is no ECDSA with MD5.
    yield weak_hash("md5", "system", rsa.generate_private_key(65537, 2048), named)
    yield weak_chain()
    public = server(CA, "public.example.net")
    yield Case("public-key", "system", both(public), ["public-key"])
    public = sti(CA, key=public.key)
    yield refused("public-key-sti", "sti", both(public), "public-key", "known to everybody")


def weak_chain() -> Case:
    """Make a certificate that its intermediate signed with SHA-1."""
    key = new_key()
    files = {"k": key_pem(key), "ca": CA.pem, "cakey": CA.key_pem}
    files["e"] = "subjectAltName=DNS:weak.example.net\n"
    request = openssl("req", "-new", "-key", "k", "-subj", "/CN=weak", files=files)
    sign = ("-CA", "ca", "-CAkey", "cakey", "-sha1", "-days", "3000", "-extfile", "e")
    made = openssl("x509", "-req", *sign, "-set_serial", "1", stdin=request, files=files).decode()
    now = x509.load_pem_x509_certificate(made.encode()).not_valid_before_utc + DAY
    text = made + CA.pem + key_pem(key)
    return Case(
        "weak-hash-chain", "system", text, ["weak-hash", "not-presentable", "untrusted"], now=now
    )


def weak_hash(digest: str, kind: str, key: Any, extension: str) -> Case:
    options = ("-subj", "/CN=weak", "-days", "20000", f"-{digest}", "-addext", extension)
    config = "[req]\ndistinguished_name = dn\n[dn]\n"
    files = {"k": key_pem(key), "c": config}
    made = openssl("req", "-x509", "-key", "k", "-config", "c", *options, files=files).decode()
    text = made + key_pem(key)
    name = f"weak-hash-{digest}-{kind}"
    # openssl has no clock to set: the certificate starts today.
    now = x509.load_pem_x509_certificate(made.encode()).not_valid_before_utc + DAY
    if kind == "sti":
        return refused(name, kind, text, "weak-hash", digest.upper(), now=now)
    return Case(name, kind, text, ["weak-hash", "untrusted"], now=now)
