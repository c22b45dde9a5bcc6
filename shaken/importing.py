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
from shaken.requesting import Answered, take_pending_key
from shaken.snapshot import EMPTY, Snapshot
from trust.certificate import (
    Certificate,
    CertificateKind,
    CertificateRefused,
    Source,
    length_of,
)
from trust.chain import Assembled, assemble
from trust.claim_constraints import constraints_of
from trust.findings import Finding, findings, is_published, not_presentable, published_keys
from trust.keys import (
    MasterKeyError,
    MasterKeys,
    SealError,
    seal_private_key,
    unseal_private_key,
)
from trust.names import DnsNameError, host_name
from trust.pem import PemContents, PrivateKey, read_pem
from trust.pkcs12 import read_pkcs12
from trust.profiles import check_sti, check_tls
from trust.roots import Purpose
from trust.store import certificates as stored
from trust.store import master_key
from trust.store.certificates import AlreadyStored, Filter, StoredCertificate
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
        whose requests and certificates may be used, None: those of all.

        Raises CertificateRefused, UnknownTenant, AlreadyStored, StoredForOthers, NotOfTenant,
        Missed, MasterKeyError; then nothing is stored.
        """
        upload, certificate = read.upload, read.assembled.certificate
        tenant = assigned_tenant(
            change.connection,
            upload.kind,
            read.names,
            wanted=upload.tenant,
            called=certificate.subject,
        )
        before = stored.get(change.connection, certificate.fingerprint)
        if before is not None:
            _hold_replacement(before, upload, scope)
            if tenant not in {None, before.tenant}:
                hold_in_place(change, before, known=self.known, tenant=tenant)
        key, put_right = read.assembled.private_key, read.assembled.put_right
        answered = None
        if key is None and (before is None or before.sealed_key is None):
            found = self._find_key(change, read, tenant=tenant, scope=scope)
            key, answered = found.private_key, found.answered
            tenant, put_right = tenant or found.tenant, (*put_right, *found.notes)
        row = self._row(read, tenant=tenant, now=now)
        if key is not None:
            master = master_key.bound_to(change.connection, self.master)
            row = replace(row, sealed_key=seal_private_key(master, key, record=row.id))
        chain = certificate.pem()
        if before is not None:
            row = _merged(before, row)
            chain, noted = self._chain(change, row, chain, now=now)
            put_right = (*put_right, *noted)
        if upload.kind is not CertificateKind.STI:
            row = replace(row, findings=(*row.findings, *self._presenting(row, chain)))
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
        return Imported(row, chain, put_right, answered)

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

    def _find_key(
        self, change: AuditedChange, read: "ReadUpload", *, tenant: str | None, scope: str | None
    ) -> "_FoundKey":
        """Find the key of a certificate that came without: with its request, or with another one.

        Raises CertificateRefused, MasterKeyError.
        """
        certificate, kind = read.assembled.certificate, read.upload.kind
        taken = take_pending_key(change, self.master, certificate, kind, read.names, scope=scope)
        if taken is not None:
            return _FoundKey(taken.private_key, taken.answered.request.tenant, taken.answered)
        if read.upload.source is Source.ACME:
            # Whoever ended the attempt may have meant that its key is used no more.
            raise _no_key()
        row = _of_same_key(change, read, tenant=tenant, scope=scope)
        try:
            key = unseal_private_key(self.master, row.sealed_key or b"", record=row.id)
        except SealError as error:
            raise MasterKeyError(str(error)) from error
        note = f"Its private key is that of certificate {row.id}, which is stored here."
        return _FoundKey(key, row.tenant, notes=(note,))

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
class _FoundKey:
    """A key that was here before its certificate: whose it is, the request it waited with."""

    private_key: PrivateKey = field(repr=False)
    tenant: str | None
    answered: Answered | None = None
    notes: tuple[str, ...] = ()


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


def _of_same_key(
    change: Change, read: ReadUpload, *, tenant: str | None, scope: str | None
) -> StoredCertificate:
    """Find a stored certificate that has the key of one that came without: a CA may issue twice.

    It is of the same kind, and of no other tenant. Raises CertificateRefused.
    """
    kept = stored.find(change.connection, Filter(kind=read.upload.kind, tenant=scope))
    rows = [row for row in kept if tenant is None or row.tenant in {None, tenant}]
    found = stored.with_key(change.connection, rows, read.assembled.certificate.spki_sha256)
    if found is None:
        raise _no_key()
    return found


def _no_key() -> CertificateRefused:
    return CertificateRefused(
        "no-key",
        "A certificate that is used here needs its private key: paste it too, or send it as"
        " private_key. Only the certificate of a request that was made here (`shaken"
        " certificates request`) comes without, and no request waits for this one, nor is its"
        " key stored with another certificate of this kind and tenant.",
        field="private_key",
    )


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
