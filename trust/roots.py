"""Trusted roots: which certificates may be one, and how a purpose's list changes.

A list begins with what is shipped: for TLS the bundle of certifi, for STI nothing, in a demo the
lab's root. From then on it is the administrator's: what he added stays, what he deleted stays
deleted, until he resets the list. Pure rules: `trust.bundle` reads what certifi ships,
`trust.store.roots` keeps the lists, `trust.path` leads from a certificate up to a root.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum

from cryptography import x509
from OpenSSL import crypto

from trust.certificate import Certificate, CertificateKind, CertificateRefused, is_ca, issued
from trust.pem import read_pem, split_blocks

MAX_ROOTS = 300
"""Roots that are read at once; the lists of browsers have some 150."""


class Purpose(StrEnum):
    """What a root is trusted for."""

    TLS = "tls"
    """TLS servers that are called."""
    STI = "sti"
    """Certificates that sign PASSporTs."""

    @classmethod
    def of(cls, kind: CertificateKind) -> Purpose:
        """Return what the root of a certificate of ours has to be trusted for."""
        return cls.STI if kind is CertificateKind.STI else cls.TLS


class Shipper(StrEnum):
    """With what a root is shipped."""

    CERTIFI = "certifi"
    LAB = "lab"


class AlreadyAdded(Exception):  # noqa: N818 - an outcome the caller expects
    """An administrator has added this root before; `id` is its fingerprint."""

    def __init__(self, root_id: str) -> None:
        super().__init__(f"root {root_id} is in the list already")
        self.id = root_id


@dataclass(frozen=True, slots=True)
class Root:
    """A root of one purpose. `id` is the SHA-256 of its DER, lower-case hex; times Unix seconds.

    Two facts say why it is there: who ships it at present, if anybody, and whether an
    administrator added it. One that was shipped when he deleted it is kept as `deleted`: no list
    shows it, and being shipped does not bring it back.
    """

    id: str
    purpose: Purpose
    subject: str
    not_before: int
    not_after: int
    pem: str = field(repr=False)
    shipped: Shipper | None
    added: bool
    disabled: bool = False
    deleted: bool = False
    sequence: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Edition:
    """An edition of a shipped list: its version, and the SHA-256 of its text in lower-case hex."""

    version: str
    digest: str

    def replaces(self, applied: Edition | None) -> bool:
        """Say whether it takes the place of the edition that was last applied.

        An older one does not: while a fleet is upgraded, nodes with either version start.
        """
        if applied is None:
            return True
        return self != applied and _numbers(self.version) >= _numbers(applied.version)


@dataclass(frozen=True)
class Plan:
    """How the list of one purpose changes: all that is kept of it, `before` and `after`."""

    before: tuple[Root, ...]
    after: tuple[Root, ...]

    @property
    def added(self) -> tuple[Root, ...]:
        """Roots that the list shows from now on."""
        shown = {root.id for root in self.before if not root.deleted}
        return tuple(root for root in self.after if not root.deleted and root.id not in shown)

    @property
    def removed(self) -> tuple[Root, ...]:
        """Roots that the list shows no more."""
        shown = {root.id for root in self.after if not root.deleted}
        return tuple(root for root in self.before if not root.deleted and root.id not in shown)

    @property
    def enabled(self) -> tuple[Root, ...]:
        """Roots that were disabled and are so no more."""
        were = {root.id for root in self.before if root.disabled}
        return tuple(root for root in self.after if not root.disabled and root.id in were)

    @property
    def disowned(self) -> tuple[Root, ...]:
        """Roots that an administrator had added, and that stay because they are shipped only."""
        were = {root.id for root in self.before if root.added}
        return tuple(root for root in self.after if not root.added and root.id in were)

    @property
    def written(self) -> tuple[Root, ...]:
        """What is to be stored: roots that are new, or other than before."""
        were = {root.id: root for root in self.before}
        return tuple(root for root in self.after if root != were.get(root.id))

    @property
    def forgotten(self) -> tuple[Root, ...]:
        """What need not be kept any longer."""
        kept = {root.id for root in self.after}
        return tuple(root for root in self.before if root.id not in kept)


def root_of(certificate: x509.Certificate, purpose: Purpose, *, shipped: Shipper | None) -> Root:
    """Make a root of a certificate; unless it is shipped, an administrator adds it.

    Raises CertificateRefused: `not-a-ca`, unless basicConstraints says cA (RFC 5280 §4.2.1.9) or
    the certificate is a self-signed one of X.509 version 1, which knows no extensions; `bad-pem`
    where OpenSSL cannot read it.
    """
    is_old_root = certificate.version is x509.Version.v1 and issued(certificate, certificate)
    if not is_ca(certificate) and not is_old_root:
        raise CertificateRefused(
            "not-a-ca",
            "The certificate is not that of a certification authority: its basicConstraints do "
            "not say CA:TRUE. Add the certificate of the authority that issued it.",
        )
    _check_readable(certificate)
    chain = Certificate((certificate,))
    return Root(
        id=chain.fingerprint,
        purpose=purpose,
        subject=chain.subject,
        not_before=int(chain.not_before.timestamp()),
        not_after=int(chain.not_after.timestamp()),
        pem=chain.pem(),
        shipped=shipped,
        added=shipped is None,
    )


def _check_readable(certificate: x509.Certificate) -> None:
    # In a list that TLS clients trust, one that OpenSSL cannot read hides all the others.
    try:
        crypto.X509.from_cryptography(certificate)
    except crypto.Error:
        raise CertificateRefused(
            "bad-pem",
            "OpenSSL cannot read the certificate, so no connection and no signature could be "
            "checked with it. Look with `openssl x509 -in root.pem -noout -text` and get it from "
            "the authority anew.",
        ) from None


def read_roots(text: str, purpose: Purpose) -> tuple[Root | CertificateRefused, ...]:
    """Read the roots that an administrator pasted, in the order of their blocks.

    A block that holds no root spoils no other: in its place stands why it is refused. Raises
    CertificateRefused, `too-many-blocks`.
    """
    pieces = split_blocks(text)
    if len(pieces) > MAX_ROOTS:
        raise CertificateRefused(
            "too-many-blocks",
            f"There are {len(pieces)} blocks in this. Add at most {MAX_ROOTS} roots at once.",
        )
    return tuple(_read_piece(piece, purpose, number) for number, piece in enumerate(pieces, 1))


def _read_piece(piece: str, purpose: Purpose, number: int) -> Root | CertificateRefused:
    try:
        return read_root(piece, purpose, first=number)
    except CertificateRefused as refused:
        return refused


def read_root(text: str, purpose: Purpose, *, first: int = 1) -> Root:
    """Read the root that an administrator pasted. `first` is as in `trust.pem.read_pem`.

    Raises CertificateRefused: `not-a-ca`, `no-certificate`, `several-certificates`,
    `private-key`, and what `trust.pem.read_pem` raises.
    """
    contents = read_pem(text, first=first)
    if contents.private_keys:
        raise CertificateRefused(
            "private-key",
            "The text holds a private key. A root is trusted by its certificate alone: paste only "
            "that, and leave the authority's key where it is.",
        )
    certificates = set(contents.certificates)
    if not certificates:
        raise CertificateRefused(
            "no-certificate",
            "There is no certificate in the text, only other blocks. Paste the block that starts "
            "with -----BEGIN CERTIFICATE-----.",
        )
    if len(certificates) > 1:
        raise CertificateRefused(
            "several-certificates",
            f"There are {len(certificates)} certificates in the text. Add roots one by one, and "
            "no intermediates: whoever presents a certificate presents them with it.",
        )
    return root_of(certificates.pop(), purpose, shipped=None)


def when_added(root: Root, stored: Root | None) -> Root:
    """Return the root as it is once an administrator has added it. Raises AlreadyAdded.

    A deleted one revives. One that was only shipped is his from now on, and stays when it is
    shipped no more.
    """
    if stored is None:
        return root
    if stored.added:
        raise AlreadyAdded(stored.id)
    return replace(stored, added=True, disabled=False, deleted=False)


def when_deleted(root: Root) -> Root | None:
    """Return what is kept of a root that an administrator deletes; None: nothing."""
    if root.shipped is None:
        return None
    return replace(root, added=False, disabled=False, deleted=True)


def when_restored(root: Root) -> Root:
    """Return a deleted root as it is once it is put back: as it was shipped.

    One that is shipped no more is the administrator's from now on, else the next upgrade would
    take it out.
    """
    return replace(root, added=root.shipped is None, disabled=False, deleted=False)


def plan_upgrade(shipped: Iterable[Root], stored: Iterable[Root]) -> Plan:
    """Let a purpose's list follow what is shipped now.

    What is new is added, unless it was deleted; what is shipped no more is removed, unless an
    administrator added it.
    """
    offered = {root.id: root for root in shipped}
    before = {root.id: root for root in stored}
    held = [
        replace(root, shipped=offered[root.id].shipped if root.id in offered else None)
        for root in before.values()
    ]
    kept = [root for root in held if root.shipped or root.added or root.deleted]
    new = [root for root in offered.values() if root.id not in before]
    return Plan(tuple(before.values()), (*kept, *new))


def plan_reset(stored: Iterable[Root], *, keep_added: bool) -> Plan:
    """Bring a purpose's list back to what is shipped, all of it enabled.

    Roots that an administrator added stay as they are if they are to be kept, else they go.
    """
    before = tuple(stored)
    after = []
    for root in before:
        added = root.added and keep_added
        if root.shipped:
            after.append(replace(root, added=added, disabled=False, deleted=False))
        elif added:
            after.append(root)
    return Plan(before, tuple(after))


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"[0-9]+", version))
