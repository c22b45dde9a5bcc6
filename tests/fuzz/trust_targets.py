"""Fuzzed: certificates, keys and lists, which strangers and administrators hand in."""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache, partial

from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from tests.fuzz.target import VECTORS, Target, Targets, fields, fit_to_show, text_of
from tests.vectors.certificates.making import PASSPHRASE, armoured
from trust.bundle import Bundle, BundleError
from trust.certificate import (
    UNREADABLE,
    Certificate,
    CertificateRefused,
    is_ca,
    weak_signature,
)
from trust.chain import assemble
from trust.claim_constraints import ClaimConstraints, ClaimConstraintsError, constraints_of
from trust.crl import CrlError, CrlIndex, distribution_points, find_revocation
from trust.delegation import Scope
from trust.pem import PemContents, PrivateKey, read_pem
from trust.pkcs12 import read_pkcs12
from trust.profiles import check_sti, check_tls
from trust.roots import Root
from trust.sti_path import StiRefused, judge_path
from trust.tnauthlist import TnAuthList, TnAuthListError

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)

LABELS = (
    "CERTIFICATE",
    "PRIVATE KEY",
    "EC PRIVATE KEY",
    "RSA PRIVATE KEY",
    "ENCRYPTED PRIVATE KEY",
    "DSA PRIVATE KEY",
    "X509 CRL",
)
"""Kinds of PEM blocks that `pem_block` makes of DER."""

MAX_SEED = 4 * 1024
"""Bytes of a file of the corpus of certificates that is taken as a seed."""

_SLOW = ("scrypt", "pkcs12-costly")
"""Parts of names of files that take long to open by intent."""


def file_of(path: str) -> bytes:
    """Return a file of the vectors."""
    return (VECTORS / path).read_bytes()


@cache
def certificate_of(name: str) -> x509.Certificate:
    """Return a certificate that `openssl` made."""
    return x509.load_pem_x509_certificate(file_of(f"trust/sti/{name}.pem"))


def der_of(pem: bytes) -> bytes:
    """Return the DER of a CRL in PEM."""
    return x509.load_pem_x509_crl(pem).public_bytes(Encoding.DER)


def calm(certificate: x509.Certificate) -> None:
    """Assert that each question about a certificate is answered, or refused as it should be."""
    read = Certificate((certificate,))
    for words in (read.subject, read.issuer):
        assert words.isprintable(), ascii(words)
    _ = read.names, read.fingerprint, read.serial, is_ca(certificate), weak_signature(certificate)
    refused_at_most(lambda: read.tn_auth_list, TnAuthListError)
    refused_at_most(lambda: distribution_points((certificate, certificate)), CrlError)
    refused_at_most(lambda: check_tls(read), CertificateRefused)
    refused_at_most(lambda: check_sti(read, now=NOW), CertificateRefused)
    refused_at_most(lambda: judge_path(read, roots=(certificate,), at=NOW), StiRefused)
    with suppress(ClaimConstraintsError, *UNREADABLE):
        constraints_of(certificate)


def refused_at_most(work: Callable[[], object], refusal: type[Exception]) -> None:
    """Assert that work is done, or refused in words that may be shown."""
    try:
        work()
    except refusal as refused:
        fit_to_show(str(refused))


# Extensions


def _tn_auth_list_holds(der: bytes, read: TnAuthList) -> None:
    # DER has one spelling for each value (X.690 §10).
    assert read.encode() == der
    covers = Scope.of(read).covers
    assert all(map(covers, read.numbers))
    assert all(covers(span.start) and covers(span.last) for span in read.ranges)


def _constraints_holds(der: bytes, read: ClaimConstraints) -> None:
    assert read.encode() == der
    assert (read.check({}) is None) == (not read.must_include)


def _examples(name: str) -> list[bytes]:
    document = json.loads(file_of(f"trust/{name}.json"))
    return [bytes.fromhex(case["der"]) for kind in ("valid", "invalid") for case in document[kind]]


# Texts and files


def _pem(data: bytes) -> PemContents:
    return read_pem(text_of(data), passphrase=PASSPHRASE)


def _pem_block(data: bytes) -> PemContents:
    label = LABELS[data[0] % len(LABELS)] if data else LABELS[0]
    return read_pem(armoured(label, data[1:]), passphrase=PASSPHRASE)


def _contents_hold(_: bytes, contents: PemContents) -> None:
    for certificate in contents.certificates:
        calm(certificate)
    text = "".join(map(_certificate_pem, contents.certificates))
    text += "".join(map(_key_pem, contents.private_keys))
    if text:
        again = read_pem(text)
        assert again.certificates == contents.certificates
        assert list(map(_public, again.private_keys)) == list(map(_public, contents.private_keys))
    refused_at_most(lambda: assemble(contents), CertificateRefused)


def _certificate_pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode("ascii")


def _key_pem(key: PrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode("ascii")


def _public(key: PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _files(ending: str) -> Iterator[bytes]:
    for file in sorted((VECTORS / "certificates/files").glob(f"*{ending}")):
        if file.stat().st_size <= MAX_SEED and not any(slow in file.name for slow in _SLOW):
            yield file.read_bytes()


def _blocks() -> Iterator[bytes]:
    for content in _files(".pem"):
        try:
            contents = read_pem(content.decode(), passphrase=PASSPHRASE)
        except (CertificateRefused, UnicodeDecodeError):
            continue
        for certificate in contents.certificates[:1]:
            yield b"\x00" + certificate.public_bytes(Encoding.DER)
        for key in contents.private_keys[:1]:
            der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
            yield b"\x01" + der


def _bundle(data: bytes) -> tuple[Root, ...]:
    return Bundle("1", data).roots()


def _bundle_holds(data: bytes, roots: tuple[Root, ...]) -> None:
    assert roots
    again = Bundle("1", "".join(root.pem for root in roots).encode("ascii")).roots()
    assert again == roots
    assert len(roots) <= data.count(b"-----BEGIN CERTIFICATE-----")


# Revocation lists


def crl_holds(index: CrlIndex) -> None:
    """Assert that a list answers for certificates, and says the same when it is written anew."""
    again = CrlIndex.read(index.crl.public_bytes(Encoding.DER))
    assert (again.entries, again.next_update) == (index.entries, index.next_update)
    signers = (certificate_of("root"), certificate_of("pa"))
    for name in ("sub", "leaf", "peer"):
        ask = partial(find_revocation, certificate_of(name), index, crl_signers=signers, at=NOW)
        refused_at_most(ask, CrlError)


def crls() -> Iterator[bytes]:
    """Return lists, in PEM and in DER."""
    for name in ("direct", "indirect"):
        pem = file_of(f"trust/sti/{name}.crl.pem")
        yield pem
        yield der_of(pem)


# Claims that a certificate constrains


def _constrained(data: bytes) -> tuple[ClaimConstraints, dict[str, str]]:
    included, excluded, claims = (
        [text_of(one) for one in each.split(b"\n") if one] for each in fields(data, 3)
    )
    constraints = ClaimConstraints(must_include=tuple(included), must_exclude=tuple(excluded))
    return constraints, dict.fromkeys(claims, "")


def _constrained_holds(_: bytes, read: tuple[ClaimConstraints, dict[str, str]]) -> None:
    constraints, claims = read
    complaint = constraints.check(claims)
    kept = set(constraints.must_include) <= claims.keys() and not (
        set(constraints.must_exclude) & claims.keys()
    )
    assert (complaint is None) == kept
    if complaint is not None:
        fit_to_show(complaint)
    assert ClaimConstraints.decode(constraints.encode()) == constraints


TRUST_TARGETS: Targets = {
    "tnauthlist": Target(
        read=TnAuthList.decode,
        refusals=(TnAuthListError,),
        holds=_tn_auth_list_holds,
        seeds=lambda: _examples("tnauthlist"),
    ),
    "claim_constraints": Target(
        read=ClaimConstraints.decode,
        refusals=(ClaimConstraintsError,),
        holds=_constraints_holds,
        seeds=lambda: _examples("claim_constraints"),
    ),
    "pem": Target(
        read=_pem,
        refusals=(CertificateRefused,),
        holds=_contents_hold,
        seeds=lambda: _files(".pem"),
    ),
    "pem_block": Target(
        read=_pem_block,
        refusals=(CertificateRefused,),
        holds=_contents_hold,
        seeds=_blocks,
    ),
    "pkcs12": Target(
        read=lambda data: read_pkcs12(data, passphrase=PASSPHRASE),
        refusals=(CertificateRefused,),
        holds=_contents_hold,
        seeds=lambda: _files(".p12"),
    ),
    "bundle": Target(
        read=_bundle,
        refusals=(BundleError,),
        holds=_bundle_holds,
        seeds=lambda: (
            file_of("trust/sti/root.pem"),
            file_of("trust/v1-root.pem") + file_of("trust/sti/root.pem"),
        ),
    ),
    "crl": Target(
        read=CrlIndex.read,
        refusals=(CrlError,),
        holds=lambda _, index: crl_holds(index),
        seeds=crls,
    ),
    "constrained_claims": Target(
        read=_constrained,
        refusals=(ClaimConstraintsError,),
        holds=_constrained_holds,
        seeds=lambda: (b"attest\norigid\0rcd\0attest\norigid\niat", b"crn\0\0iat", b"\0rph\0rph"),
    ),
}
