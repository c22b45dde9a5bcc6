"""Certificates and a key in any order -> one chain, leaf first, with the key that fits it.

What can be put right is, and said in a note; what does not belong is refused by name. Whether the
result is fit for a purpose is for `trust.profiles` and `trust.path` to say.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

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
from trust.key_kinds import public_key_of
from trust.pem import MAX_BLOCKS, USED_KEYS, PemContents, PrivateKey

Issuers: TypeAlias = Mapping[x509.Certificate, Sequence[x509.Certificate]]
"""Each certificate that was pasted, with those among them that issued it."""

MAX_NAME_LENGTH = 200
"""Characters of a subject that a note or complaint quotes: a CA may have put much into it."""


@dataclass(frozen=True)
class Assembled:
    """A chain in order, the key of its leaf, and what was put right, as told to a person."""

    certificate: Certificate
    private_key: PrivateKey | None
    put_right: tuple[str, ...]


def assemble(
    *contents: PemContents,
    now: datetime | None = None,
    roots: Collection[x509.Certificate] = (),
) -> Assembled:
    """Make one chain of what was pasted, in one text or several, with the key that fits it.

    The leaf is the certificate the key fits, without a key the one that issued no other; the
    intermediates follow by name and signature. Where several certificates of one issuer fit, the
    one that is valid `now` (aware; None: no matter when) is taken, of these the one that leads to
    one of `roots`, then to another that was pasted, then the one that ends last. Duplicates and a
    root are left out, with a note.

    Raises CertificateRefused: `no-certificate`, `too-many-blocks`, `several-keys`, `key-mismatch`,
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
    if len(certificates) > MAX_BLOCKS:
        raise CertificateRefused(
            "too-many-blocks",
            f"There are more than {MAX_BLOCKS} certificates. Paste only the certificate and its "
            "intermediates.",
        )
    private_key = _only_key([key for one in contents for key in one.private_keys])
    issuers = {one: [other for other in certificates if issued(other, one)] for one in certificates}
    leaf = _leaf(issuers, private_key)
    chain = _chain(leaf, issuers, _Preference(issuers, now, roots))
    notes += _left_out(leaf, issuers, chain)
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


def _leaf(issuers: Issuers, private_key: PrivateKey | None) -> x509.Certificate:
    fitting = [
        one
        for one in issuers
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
        if not any(one in above for other, above in issuers.items() if other != one)
    ]
    leaf = min(ends or fitting, key=is_ca)
    if _public_key(leaf) is None:
        raise CertificateRefused(
            "unsupported-key", f"The key in {_name(leaf)} is of a kind not used here. {USED_KEYS}"
        )
    return leaf


class _Preference:
    """Which of several certificates of one issuer is the best, as of a time, for these roots."""

    def __init__(
        self, issuers: Issuers, now: datetime | None, roots: Collection[x509.Certificate]
    ) -> None:
        self._issuers = issuers
        self._valid = {
            one
            for one in issuers
            if now is None or one.not_valid_before_utc <= now <= one.not_valid_after_utc
        }
        self._trusted = [
            one
            for one in issuers
            if one in self._valid and (one in roots or any(issued(root, one) for root in roots))
        ]
        for trusted in self._trusted:
            self._trusted += [
                one
                for one, above in issuers.items()
                # A chain ends at what signs itself, whoever else certifies that.
                if trusted in above and one not in above
                if one in self._valid and one not in self._trusted
            ]

    def rank(self, certificate: x509.Certificate) -> tuple[bool, bool, bool, datetime]:
        """Return what is greatest for the best."""
        return (
            certificate in self._valid,
            certificate in self._trusted,
            not self._valid.isdisjoint(self._issuers[certificate]),
            certificate.not_valid_after_utc,
        )


def _chain(
    leaf: x509.Certificate, issuers: Issuers, preference: _Preference
) -> list[x509.Certificate]:
    """Follow the issuers from the leaf, as far as a root."""
    chain = [leaf]
    while chain[-1] not in issuers[chain[-1]]:
        above = [one for one in issuers[chain[-1]] if one not in chain]
        if not above:
            break
        chain.append(max(above, key=preference.rank))
    return chain


def _left_out(
    leaf: x509.Certificate, issuers: Issuers, chain: Sequence[x509.Certificate]
) -> Iterator[str]:
    """Say which certificates the chain does without; each must be the issuer of another."""
    belonging = [leaf]
    for certificate in belonging:
        belonging += [one for one in issuers[certificate] if one not in belonging]
    in_chain = {_name(one) for one in chain}
    for certificate in issuers:
        if certificate not in belonging:
            raise CertificateRefused(
                "foreign-certificate",
                f"{_name(certificate)} (serial {certificate.serial_number:x}) issued no "
                f"certificate in the chain of {_name(leaf)}. Remove it, or add the intermediate "
                "that is missing between them.",
            )
        if certificate not in chain:
            told = _name(certificate)
            if told in in_chain:
                ends = f"{certificate.not_valid_after_utc:%Y-%m-%d}"
                told += f" (serial {certificate.serial_number:x}, ends {ends})"
            yield f"{told} was left out: the chain is complete without it."


def _public_key(certificate: x509.Certificate) -> types.CertificatePublicKeyTypes | None:
    try:
        return public_key_of(certificate)
    except UNREADABLE:
        return None


def _name(certificate: x509.Certificate) -> str:
    subject = subject_of(certificate)[:MAX_NAME_LENGTH]
    return f'"{subject}"' if subject else "A certificate without a name"
