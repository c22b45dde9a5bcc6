"""One certificate: each field in words, chain, what is wrong with it, who uses it, history."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from sqlalchemy import Connection

from shaken.api import certificates as api
from shaken.api.certificate_records import CertificateRecord, record
from shaken.api.routes import ApiCall, Reply, read_id
from shaken.credentials import Role
from shaken.renewing import plan_of
from shaken.store.audit import AuditEntry, AuditFilter, find_entries
from shaken.web.asking import file_of
from shaken.web.certificate_words import (
    ACTIONS,
    KINDS,
    SOURCES,
    common_name,
    grouped,
    key_words,
    signature_words,
    title_of,
    told,
)
from shaken.web.certificates import LIST
from shaken.web.routes import Answer, Page, PageCall, View, no_page
from trust.certificate import Certificate, CertificateKind, issued, issuer_of, subject_of
from trust.roots import Purpose
from trust.selection import Chosen
from trust.store import acme_orders
from trust.store import certificates as stored
from trust.store.certificates import StoredCertificate

MAX_ENTRIES = 20
"""Entries of the audit that are shown."""

MAX_USERS = 20
"""Tenants that are named as users."""

ONE = f"{LIST}/{{id}}"


@dataclass(frozen=True)
class Link:
    """A certificate of a chain as it is drawn; times are aware UTC."""

    role: str
    name: str
    subject: str
    not_before: datetime
    not_after: datetime
    key: str


@dataclass(frozen=True)
class Use:
    """Where a certificate is in use: tenants that sign with it, names it is presented for."""

    own: Sequence[str] = ()
    others: int = 0
    """Tenants that sign with it because they have none of their own."""
    presented: Sequence[str] = ()
    passed_over: Sequence[str] = ()
    """Names it has, for which another certificate is presented."""
    is_default: bool = False

    @property
    def is_used(self) -> bool:
        """Whether anybody uses it now."""
        return bool(self.own or self.others or self.presented or self.is_default)


def show(call: PageCall) -> Answer:
    """Show one certificate."""
    row = _row(call)
    with call.resources.database.reading() as connection:
        chain = stored.chain_pem(connection, row.id)
        if chain is None:
            raise no_page()
        history = _history(call, connection, row)
        order = acme_orders.for_certificate(connection, row.id)
    certificate = Certificate.of_pem(chain)
    shown: CertificateRecord = record(call, row, chain=chain)
    links, is_complete = links_of(call, certificate, row.kind)
    moment = datetime.fromtimestamp(call.now, UTC)
    context = {
        "one": shown,
        "title": title_of(row),
        "kind": KINDS[row.kind],
        "source": SOURCES[row.source],
        "stored_at": row.stored_at,
        "warnings": [told(each.slug, each.detail) for each in shown.warnings],
        "use": _use(call, row),
        "links": links,
        "is_complete": is_complete,
        "missing_issuer": issuer_of(certificate.chain[-1]),
        "key": key_words(certificate.leaf),
        "signature": signature_words(certificate.leaf),
        "renewal": None if order is None else plan_of(order, now=moment).words,
        "history": [(entry, ACTIONS.get(entry.action, entry.action)) for entry in history],
        "grouped": grouped,
        "common_name": common_name,
    }
    return View("certificate.html", context)


def _row(call: PageCall) -> StoredCertificate:
    row = call.snapshot.certificates.get(read_id(call.path["id"], "certificate"))
    if row is None or call.scope not in {None, row.tenant}:
        raise no_page()
    return row


def _history(
    call: PageCall, connection: Connection, row: StoredCertificate
) -> Sequence[AuditEntry]:
    wanted = AuditFilter(subject=row.id, tenant=call.scope)
    return find_entries(connection, wanted, before=None, limit=MAX_ENTRIES)


def links_of(
    call: PageCall, certificate: Certificate, kind: CertificateKind
) -> tuple[Sequence[Link], bool]:
    """List the chain from its root down to the leaf; say whether its root is a trusted one."""
    trusted = call.snapshot.standing.certificates(Purpose.of(kind))
    last = certificate.chain[-1]
    above = [root for root in trusted if root.subject == last.issuer and issued(root, last)]
    links = [_link("This certificate", certificate.leaf)]
    links += [_link("Intermediate", one) for one in certificate.chain[1:]]
    if last in trusted:
        links[-1] = _link("Trusted root", last)
    elif above:
        links.append(_link("Trusted root", above[0]))
    return links[::-1], bool(above) or last in trusted


def _link(role: str, one: x509.Certificate) -> Link:
    subject = subject_of(one)
    return Link(
        role,
        common_name(subject),
        subject,
        one.not_valid_before_utc,
        one.not_valid_after_utc,
        key_words(one),
    )


def _use(call: PageCall, row: StoredCertificate) -> Use:
    return _signing(call, row) if row.kind is CertificateKind.STI else _presenting(call, row)


def _signing(call: PageCall, row: StoredCertificate) -> Use:
    own: list[str] = []
    others = 0
    for tenant in call.snapshot.tenant_rows.rows.values():
        if call.scope not in {None, tenant.address}:
            continue
        choice = call.resources.pens.choice_for(call.snapshot, tenant, now=call.now)
        if choice is None or choice.candidate.id != row.id:
            continue
        if choice.chosen is Chosen.TENANT:
            own.append(tenant.address)
        else:
            others += 1
    return Use(own=own[:MAX_USERS], others=others)


def _presenting(call: PageCall, row: StoredCertificate) -> Use:
    presented: list[str] = []
    passed_over: list[str] = []
    for name in row.names:
        choice = call.snapshot.tls.for_server_name(name, now=call.now)
        is_this = choice is not None and choice.candidate.id == row.id
        (presented if is_this else passed_over).append(name)
    default = call.snapshot.tls.default(now=call.now)
    is_default = default is not None and default.id == row.id
    return Use(presented=presented, passed_over=passed_over, is_default=is_default)


def _downloading(handler: Callable[[ApiCall], Reply]) -> Callable[[PageCall], Answer]:
    """Return a page that gives what a download of the API gives."""

    def download(call: PageCall) -> Answer:
        _row(call)
        return file_of(handler(call), "application/x-pem-file")

    return download


PAGES = (
    Page("GET", ONE, Role.VIEWER, show),
    Page("GET", f"{ONE}/pem", Role.VIEWER, _downloading(api.download_pem)),
    Page("GET", f"{ONE}/der", Role.VIEWER, _downloading(api.download_der)),
)
