"""Certificates and a key in any order -> one chain, leaf first, with the key that fits it.

What can be put right is, and said in a note; what does not belong is refused by name. Whether the
result is fit for a purpose is for `trust.profiles` and `trust.path` to say.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import types

from trust.certificate import (
    UNREADABLE,
    Certificate,
    CertificateRefused,
    is_ca,
    issued,
    subject_of,
)
from trust.pem import USED_KEYS, PemContents, PrivateKey

MAX_NAME_LENGTH = 200
"""Characters of a subject that a note or complaint quotes: a CA may have put much into it."""


@dataclass(frozen=True)
class Assembled:
    """A chain in order and the key of its leaf; `notes` tell a person what was put right."""

    certificate: Certificate
    private_key: PrivateKey | None
    notes: tuple[str, ...]


def assemble(*contents: PemContents) -> Assembled:
    """Make one chain of what was pasted, in one text or several, with the key that fits it.

    The leaf is the certificate the key fits, without a key the one that issued no other; the
    intermediates follow by name and signature. Duplicates and a root are left out, with a note.

    Raises CertificateRefused: `no-certificate`, `several-keys`, `key-mismatch`,
    `foreign-certificate`, `unsupported-key`.
    """
    notes = [note for one in contents for note in one.notes]
    certificates = _distinct(contents, notes)
    if not certificates:
        raise CertificateRefused(
            "no-certificate",
            "There is no certificate in the text, only other blocks. Paste the block that starts "
            "with -----BEGIN CERTIFICATE----- too.",
        )
    private_key = _only_key([key for one in contents for key in one.private_keys])
    leaf = _leaf(certificates, private_key)
    chain = _chain(leaf, certificates, notes)
    if [one for one in certificates if one in chain] != chain:
        notes.append("The certificates were put in order: the leaf, then each issuer.")
    if len(chain) > 1 and issued(chain[-1], chain[-1]):
        root = chain.pop()
        notes.append(f"The root {_name(root)} was left out: who verifies has it already.")
    return Assembled(Certificate(tuple(chain)), private_key, tuple(notes))


def _distinct(contents: Iterable[PemContents], notes: list[str]) -> list[x509.Certificate]:
    certificates: list[x509.Certificate] = []
    for certificate in (one for part in contents for one in part.certificates):
        if certificate in certificates:
            notes.append(f"{_name(certificate)} stood there more than once.")
        else:
            certificates.append(certificate)
    return certificates


def _only_key(keys: Sequence[PrivateKey]) -> PrivateKey | None:
    if any(key.public_key() != keys[0].public_key() for key in keys):
        raise CertificateRefused(
            "several-keys",
            "There are several private keys. Paste only the one that belongs to the certificate.",
            field="private_key",
        )
    return keys[0] if keys else None


def _leaf(
    certificates: Sequence[x509.Certificate], private_key: PrivateKey | None
) -> x509.Certificate:
    fitting = [
        one
        for one in certificates
        if private_key is None or _public_key(one) == private_key.public_key()
    ]
    if not fitting:
        raise CertificateRefused(
            "key-mismatch",
            "The private key belongs to none of the certificates. `openssl x509 -in cert.pem "
            "-noout -pubkey` and `openssl pkey -in key.pem -pubout` print the same for a pair.",
            field="private_key",
        )
    ends = [
        one
        for one in fitting
        if not any(issued(one, other) for other in certificates if other != one)
    ]
    leaf = min(ends or fitting, key=is_ca)
    if _public_key(leaf) is None:
        raise CertificateRefused(
            "unsupported-key", f"The key in {_name(leaf)} is of a kind not used here. {USED_KEYS}"
        )
    return leaf


def _chain(
    leaf: x509.Certificate, certificates: Sequence[x509.Certificate], notes: list[str]
) -> list[x509.Certificate]:
    """Follow the issuers from the leaf; every certificate must be the issuer of another."""
    belonging = [leaf]
    for certificate in belonging:
        belonging += [
            one for one in certificates if one not in belonging and issued(one, certificate)
        ]
    chain = [leaf]
    for certificate in belonging:
        if certificate not in chain and issued(certificate, chain[-1]):
            chain.append(certificate)
    for certificate in certificates:
        if certificate not in belonging:
            raise CertificateRefused(
                "foreign-certificate",
                f"{_name(certificate)} (serial {certificate.serial_number:x}) issued no "
                f"certificate in the chain of {_name(leaf)}. Remove it, or add the intermediate "
                "that is missing between them.",
            )
        if certificate not in chain:
            notes.append(f"{_name(certificate)} was left out: the chain is complete without it.")
    return chain


def _public_key(certificate: x509.Certificate) -> types.CertificatePublicKeyTypes | None:
    try:
        return certificate.public_key()
    except UNREADABLE:
        return None


def _name(certificate: x509.Certificate) -> str:
    subject = subject_of(certificate)[:MAX_NAME_LENGTH]
    return f'"{subject}"' if subject else "A certificate without a name"
