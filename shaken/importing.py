"""A certificate comes in: read, checked by the rules of its kind, sealed, stored whole or not.

Joins what `trust` knows (PEM, PKCS#12, rules, sealing, the store) with tenants. Takes the time as
an argument; an import is one transaction.
"""

from collections.abc import Container
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from shaken.addresses import check_x5u
from shaken.assignment import assigned_tenant
from shaken.audit import Action, Actor, AuditedChange, changing
from shaken.certificates import facts_of, hold_in_place
from shaken.found_keys import FoundKey, Keyless, find_key
from shaken.requesting import Answered
from shaken.snapshot import EMPTY, Snapshot
from trust.certificate import Certificate, CertificateKind, CertificateRefused, Source, length_of
from trust.chain import Assembled, assemble
from trust.claim_constraints import constraints_of
from trust.findings import Finding, findings, is_published, not_presentable, published_keys
from trust.keys import MasterKeys, seal_private_key
from trust.names import DnsNameError, host_name
from trust.pem import PemContents, read_pem
from trust.pkcs12 import read_pkcs12
from trust.profiles import check_sti, check_tls
from trust.roots import Purpose
from trust.store import certificates as stored
from trust.store import master_key
from trust.store.certificates import AlreadyStored, StoredCertificate
from trust.store.database import Change, Database
from trust.tls import PresentError, check_presentable, open_material

MAX_NAMES = 1000
"""Host names of one certificate: public CAs stop at some hundreds, and lists show them all."""


class StoredForOthers(Exception):  # noqa: N818 - an outcome the caller expects
    """The leaf is stored, but not for the one tenant that may be written for; `id` names it."""

    def __init__(self, certificate_id: str) -> None:
        super().__init__(f"certificate {certificate_id} is stored for somebody else")
        self.id = certificate_id


class NotOfTenant(Exception):  # noqa: N818 - an outcome the caller expects
    """A certificate would be stored for another than the one tenant that may be written for."""


@dataclass(frozen=True)
class Upload:
    """What an administrator hands in: PEM text of chain and key, in one text or two, or PKCS#12.

    `replace`: take it also when the same leaf is stored, for a better chain or the missing key.
    """

    kind: CertificateKind
    certificate: str = field(default="", repr=False)
    private_key: str | None = field(default=None, repr=False)
    pkcs12: bytes | None = field(default=None, repr=False)
    passphrase: str | None = field(default=None, repr=False)
    tenant: str | None = None
    x5u: str | None = None
    source: Source = Source.UPLOADED
    replace: bool = False


@dataclass(frozen=True)
class Importer:
    """Imports certificates. `lab`: whether an x5u may be any URL.

    `known` is any earlier state of the store: the roots that are trusted. What changed of the rest
    since is read under the lock of the import.
    """

    master: MasterKeys
    lab: bool
    known: Snapshot = EMPTY
    published_keys: Container[str] = field(default_factory=published_keys)
    """Keys whose private half everybody knows."""

    def read(self, upload: Upload, *, now: int) -> "ReadUpload":
        """Read an upload and hold it to the rules of its kind. `now` is Unix seconds.

        Opening an encrypted key may take seconds: call it before the transaction.

        Raises CertificateRefused.
        """
        moment = datetime.fromtimestamp(now, UTC)
        roots = self.known.standing.certificates(Purpose.of(upload.kind))
        assembled = assemble(*_contents(upload), now=moment, roots=roots)
        certificate = assembled.certificate
        if len(certificate.names) > MAX_NAMES:
            raise CertificateRefused(
                "too-many-names",
                f"The certificate names {len(certificate.names)} hosts; at most {MAX_NAMES} are"
                " taken. Have several certificates issued, each for some of the names.",
            )
        if certificate.not_after < certificate.not_before:
            raise CertificateRefused(
                "never-valid",
                f"The certificate ends on {certificate.not_after:%Y-%m-%d}, before it begins on"
                f" {certificate.not_before:%Y-%m-%d}. Have the CA issue it anew.",
            )
        if upload.kind is CertificateKind.STI:
            if is_published(certificate, published=self.published_keys):
                raise CertificateRefused(
                    "public-key",
                    "The private key of this certificate is known to everybody: anybody could"
                    " sign calls with it. Make a new key and have a certificate issued for it.",
                )
            check_sti(certificate, now=moment)
            _check_x5u(upload.x5u, lab=self.lab)
        else:
            check_tls(certificate)
            if upload.x5u is not None:
                raise CertificateRefused(
                    "bad-x5u", "Only STI certificates have an x5u; leave it out.", field="x5u"
                )
        return ReadUpload(upload, assembled, host_names(certificate))

    def add(
        self, change: AuditedChange, read: "ReadUpload", *, scope: str | None, now: int
    ) -> "Imported":
        """Store what was read, with its audit.

        `scope` is the one tenant whose certificates may be stored and replaced, and the keys of
        whose requests and certificates may be used, None: those of all; others' addresses are names
        of nobody to it.

        Raises CertificateRefused, UnknownTenant, AlreadyStored, StoredForOthers, NotOfTenant,
        Missed, MasterKeyError; then nothing is stored.
        """
        upload, assembled = read.upload, read.assembled
        tenant = assigned_tenant(
            change.connection,
            upload.kind,
            read.names,
            wanted=upload.tenant,
            scope=scope,
            called=assembled.certificate.subject,
        )
        before = self._former(change, read, tenant=tenant, scope=scope)
        found = self._key(change, read, before, tenant=tenant, scope=scope)
        row = self._sealed(change, self._row(read, tenant=tenant, now=now), found)
        row, chain, notes = self._joined(change, before, row, assembled.certificate.pem(), now=now)
        if scope not in {None, row.tenant}:
            raise NotOfTenant
        if before is None:
            stored.add(change, row, chain=chain)
        else:
            stored.replace(change, row, chain=chain)
        change.audit(
            Action.CERTIFICATE_IMPORT,
            row.id,
            tenant=row.tenant,
            before=None if before is None else facts_of(before),
            after=facts_of(row),
        )
        put_right = (*assembled.put_right, *(found.notes if found else ()), *notes)
        return Imported(row, chain, put_right, found.answered if found else None)

    def _former(
        self, change: AuditedChange, read: "ReadUpload", *, tenant: str | None, scope: str | None
    ) -> StoredCertificate | None:
        """Return the row of the leaf as it is stored, None: it is not.

        Raises AlreadyStored, StoredForOthers, CertificateRefused, Missed unless it may be replaced.
        """
        before = stored.get(change.connection, read.assembled.certificate.fingerprint)
        if before is not None:
            _hold_replacement(before, read.upload, scope)
            if tenant not in {None, before.tenant}:
                hold_in_place(change, before, known=self.known, tenant=tenant)
        return before

    def _key(
        self,
        change: AuditedChange,
        read: "ReadUpload",
        before: StoredCertificate | None,
        *,
        tenant: str | None,
        scope: str | None,
    ) -> FoundKey | None:
        """Return the key that came along, or is elsewhere here; None: it stays where it is.

        Raises CertificateRefused, MasterKeyError.
        """
        key = read.assembled.private_key
        if key is not None:
            return FoundKey(key, tenant)
        if before is not None and before.sealed_key is not None:
            return None
        # Whoever ended the attempt of an order may have meant that its key is used no more.
        only_pending = read.upload.source is Source.ACME
        keyless = Keyless(read.assembled.certificate, read.upload.kind, read.names, only_pending)
        return find_key(change, self.master, keyless, tenant=tenant, scope=scope)

    def _sealed(
        self, change: Change, row: StoredCertificate, found: FoundKey | None
    ) -> StoredCertificate:
        """Put a key into its row, and whose it was where nobody is named. Raises MasterKeyError."""
        if found is None:
            return row
        master = master_key.bound_to(change.connection, self.master)
        sealed = seal_private_key(master, found.private_key, record=row.id)
        return replace(row, tenant=row.tenant or found.tenant, sealed_key=sealed)

    def _joined(
        self,
        change: Change,
        before: StoredCertificate | None,
        row: StoredCertificate,
        chain: str,
        *,
        now: int,
    ) -> tuple[StoredCertificate, str, tuple[str, ...]]:
        """Join a new row and its chain with what is stored of the leaf; return both, and notes."""
        notes: tuple[str, ...] = ()
        if before is not None:
            row = _merged(before, row)
            chain, notes = self._chain(change, row, chain, now=now)
        if row.kind is not CertificateKind.STI:
            row = replace(row, findings=(*row.findings, *self._presenting(row, chain)))
        return row, chain, notes

    def _chain(
        self, change: Change, row: StoredCertificate, chain: str, *, now: int
    ) -> tuple[str, tuple[str, ...]]:
        """Choose between the chain that is stored of a row and a new one; return it, and notes.

        The stored one stays where it reaches further, unless a certificate in it has expired.
        """
        kept = stored.chain_pem(change.connection, row.id) or chain
        if length_of(chain) >= length_of(kept):
            return chain, ()
        leads_nowhere = self.known.standing.findings(chain, Purpose.of(row.kind), now=now)
        ends = min(one.not_valid_after_utc for one in Certificate.of_pem(kept).chain[1:])
        if leads_nowhere and now <= ends.timestamp():
            return kept, ("The stored chain is longer, and was kept.",)
        return chain, ("The stored chain was longer, and was replaced.",)

    def _row(self, read: "ReadUpload", *, tenant: str | None, now: int) -> StoredCertificate:
        upload, certificate = read.upload, read.assembled.certificate
        authorised = certificate.tn_auth_list
        is_sti = upload.kind is CertificateKind.STI
        found = () if is_sti else findings(certificate, published=self.published_keys)
        constraints = constraints_of(certificate.leaf) if is_sti else ()
        return StoredCertificate(
            id=certificate.fingerprint,
            kind=upload.kind,
            names=read.names,
            subject=certificate.subject,
            issuer=certificate.issuer,
            serial=certificate.serial,
            not_before=int(certificate.not_before.timestamp()),
            not_after=int(certificate.not_after.timestamp()),
            tenant=tenant,
            tn_auth_list=None if authorised is None else authorised.encode(),
            x5u=upload.x5u,
            source=upload.source,
            sealed_key=None,
            stored_at=now,
            findings=found,
            claim_constraints=tuple(each.encode() for each in constraints),
        )

    def _presenting(self, row: StoredCertificate, chain: str) -> tuple[Finding, ...]:
        """Try whether a listener could present it, with the chain and key that are stored."""
        if row.sealed_key is None:
            return ()
        try:
            check_presentable(open_material(self.master, chain, row.sealed_key, record=row.id))
        except PresentError as error:
            return (not_presentable(str(error)),)
        return ()


@dataclass(frozen=True)
class ReadUpload:
    """An upload that was read: chain in order, key, and the host names it is for."""

    upload: Upload
    assembled: Assembled
    names: tuple[str, ...]


@dataclass(frozen=True)
class Imported:
    """A stored certificate with its chain in PEM, and what was put right on the way.

    `answered` is the request that its key waited with, None: the key came along.
    """

    row: StoredCertificate
    chain: str
    put_right: tuple[str, ...]
    answered: Answered | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """All that a person should know of it."""
        return (*self.put_right, *(self.answered.notes if self.answered else ()))


def import_certificate(
    database: Database, master: MasterKeys, upload: Upload, *, actor: Actor, now: int, lab: bool
) -> Imported:
    """Read and store an upload of somebody, in one transaction of its own.

    Raises CertificateRefused, UnknownTenant, AlreadyStored, Missed, MasterKeyError (nothing is
    stored), StoreError.
    """
    importer = Importer(master, lab=lab)
    read = importer.read(upload, now=now)
    with changing(database, actor, now=now) as change:
        return importer.add(change, read, scope=None, now=now)


def host_names(certificate: Certificate) -> tuple[str, ...]:
    """List the names of a certificate that a client could ask for, spelled as addresses are.

    Wildcards keep their star, IP addresses stay; others are left out: the common name of an STI
    certificate, `SHAKEN 1234`, is no host name.
    """
    names: dict[str, None] = {}
    for name in certificate.names:
        with suppress(DnsNameError):
            names[host_name(name)] = None
    return tuple(names)


def _contents(upload: Upload) -> list[PemContents]:
    contents = []
    if upload.pkcs12 is not None:
        contents.append(read_pkcs12(upload.pkcs12, passphrase=upload.passphrase))
    if upload.certificate:
        contents.append(
            read_pem(upload.certificate, passphrase=upload.passphrase, field="certificate")
        )
    if upload.private_key:
        contents.append(
            read_pem(upload.private_key, passphrase=upload.passphrase, field="private_key")
        )
    return contents


def _hold_replacement(before: StoredCertificate, upload: Upload, scope: str | None) -> None:
    """Refuse to write a stored leaf anew unless it is asked for, by whom it belongs to.

    A chain is public: having it must give nobody the key that is stored with it.
    """
    if scope not in {None, before.tenant}:
        raise StoredForOthers(before.id)
    if not upload.replace:
        raise AlreadyStored(before.id)
    if upload.kind is not before.kind:
        raise CertificateRefused(
            "other-kind",
            f"This certificate is kept as kind {before.kind.value}: send that, or delete it first.",
            field="kind",
        )


def _merged(before: StoredCertificate, row: StoredCertificate) -> StoredCertificate:
    """Take what a new import of a stored leaf has; keep what it lacks."""
    return replace(
        row,
        tenant=row.tenant or before.tenant,
        x5u=row.x5u or before.x5u,
        source=before.source,
        sealed_key=row.sealed_key or before.sealed_key,
        stored_at=before.stored_at,
    )


def _check_x5u(url: str | None, *, lab: bool) -> None:
    if url is None:
        return
    try:
        check_x5u(url, lab=lab)
    except ValueError as error:
        raise CertificateRefused("bad-x5u", str(error), field="x5u") from error
