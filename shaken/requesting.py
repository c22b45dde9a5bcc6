"""A certificate is asked for: its key is made and stays here; the certificate finds it later.

Joins what `trust` knows (requests, sealing, the store) with tenants. A key that waits is destroyed
with its request, or goes over to the certificate in the transaction that stores that one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric import ec

from shaken.assignment import UnknownTenant, assigned_tenant
from shaken.attestation import NumberRuleError, parse_number_rule
from shaken.audit import Action, AuditedChange
from trust.certificate import Certificate, CertificateKind, CertificateRefused
from trust.keys import MasterKeyError, MasterKeys, SealError
from trust.pem import PrivateKey
from trust.request import (
    CertificateRequest,
    KeyType,
    RequestError,
    RequestKey,
    Subject,
    host_names,
    new_key,
    sti_request,
    tls_request,
)
from trust.store import master_key
from trust.store import requests as stored
from trust.store.requests import StoredRequest
from trust.tnauthlist import Entry, Spc, Tn, TnAuthList, TnAuthListError, TnRange

MAX_SHOWN = 10
"""Names or numbers that a note repeats; a certificate may have thousands."""


class RequestRefused(Exception):  # noqa: N818 - an outcome the caller expects
    """A request that is not made. `slug` is stable, `field` the member that is wrong."""

    def __init__(self, field_name: str, detail: str, *, slug: str = "invalid-request") -> None:
        super().__init__(detail)
        self.field = field_name
        self.detail = detail
        self.slug = slug


@dataclass(frozen=True)
class Wish:
    """What an administrator asks a certificate for: host names, or a provider code and numbers."""

    kind: CertificateKind
    names: Sequence[str] = ()
    spc: str | None = None
    tns: Sequence[str] = ()
    """Numbers and ranges, as `+12155550100` and `+12155550200-+12155550299`."""
    tenant: str | None = None
    key_type: KeyType = KeyType.P256
    organization: str | None = None
    country: str | None = None


@dataclass(frozen=True)
class Drafted:
    """A request with its new key, not stored yet."""

    wish: Wish
    names: tuple[str, ...]
    authorised: TnAuthList | None
    request: CertificateRequest
    private_key: RequestKey = field(repr=False)


@dataclass(frozen=True)
class Answered:
    """A request whose certificate has come, and how that differs from what was asked for."""

    request: StoredRequest
    differences: tuple[str, ...]

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of it."""
        made = datetime.fromtimestamp(self.request.created_at, UTC)
        origin = f"Its private key is that of the request of {made:%Y-%m-%d %H:%M} UTC"
        return (f"{origin}, now fulfilled.", *self.differences)


@dataclass(frozen=True)
class Taken:
    """The key that waited for a certificate, and the request that is answered so."""

    answered: Answered
    private_key: PrivateKey = field(repr=False)


def draft(wish: Wish) -> Drafted:
    """Make the key and the request. May take a second: call it before the transaction.

    Raises RequestRefused.
    """
    try:
        subject = Subject(wish.organization, wish.country)
        if wish.kind is CertificateKind.STI:
            return _draft_sti(wish, subject)
        return _draft_tls(wish, subject)
    except RequestError as error:
        raise RequestRefused(error.part, str(error)) from error


def keep(
    change: AuditedChange, master: MasterKeys, drafted: Drafted, *, scope: str | None
) -> StoredRequest:
    """Store a request and its key, sealed, with its audit.

    `scope` is the one tenant that who asks may know of, None: all.

    Raises RequestRefused, UnknownTenant, TooManyPending, MasterKeyError; then nothing is stored.
    """
    wish, request = drafted.wish, drafted.request
    try:
        tenant = assigned_tenant(
            change.connection, wish.kind, drafted.names, wanted=wish.tenant, scope=scope
        )
    except CertificateRefused as error:
        field_name = "names" if error.field == "certificate" else error.field
        raise RequestRefused(field_name, error.detail, slug=error.slug) from error
    if scope not in {None, tenant}:  # an alias went over to another tenant meanwhile
        raise UnknownTenant(wish.tenant or "")
    current = master_key.bound_to(change.connection, master)
    authorised = drafted.authorised
    row = StoredRequest(
        id=request.id,
        kind=wish.kind,
        names=drafted.names,
        subject=request.subject,
        tenant=tenant,
        tn_auth_list=None if authorised is None else authorised.encode(),
        key_type=wish.key_type,
        csr=request.pem,
        sealed_key=stored.seal_key(current, drafted.private_key, request.id),
        created_at=change.at,
    )
    stored.hold_room(change.connection, tenant)
    stored.add(change, row)
    change.audit(Action.REQUEST_CREATE, row.id, tenant=tenant, after=facts_of(row))
    return row


def discard(change: AuditedChange, request: StoredRequest) -> None:
    """Remove a request and destroy its key, with its audit."""
    stored.remove(change, request.id)
    change.audit(Action.REQUEST_DELETE, request.id, tenant=request.tenant, before=facts_of(request))


def take_pending_key(
    change: AuditedChange,
    master: MasterKeys,
    certificate: Certificate,
    kind: CertificateKind,
    names: Sequence[str],
    *,
    scope: str | None,
) -> Taken | None:
    """Take the key that waits for a certificate of this kind and these host names, if one does.

    Its request is removed: whoever takes the key stores it in the same change. `scope` is the one
    tenant whose requests count, None: those of all. Raises CertificateRefused, MasterKeyError.
    """
    request = stored.get(change.connection, certificate.spki_sha256)
    if request is None or scope not in {None, request.tenant}:
        return None
    if request.kind is not kind:
        raise CertificateRefused(
            "other-kind",
            f"The request for this certificate was made for kind {request.kind.value}: import it"
            " as that. The request and its key still wait.",
            field="kind",
        )
    try:
        private_key = stored.open_key(master, request)
    except SealError as error:
        raise MasterKeyError(str(error)) from error
    stored.remove(change, request.id)
    change.audit(
        Action.REQUEST_USE,
        request.id,
        tenant=request.tenant,
        before={"certificate": None},
        after={"certificate": certificate.fingerprint},
    )
    return Taken(Answered(request, _differences(request, certificate, names)), private_key)


def facts_of(request: StoredRequest) -> dict[str, object]:
    """Return what the audit says of a request."""
    return {
        "kind": request.kind.value,
        "names": request.names,
        "subject": request.subject,
        "tenant": request.tenant,
        "key_type": request.key_type.value,
    }


def _draft_tls(wish: Wish, subject: Subject) -> Drafted:
    if wish.spc is not None or wish.tns:
        wrong = "spc" if wish.spc is not None else "tns"
        raise RequestRefused(
            wrong, "only STI certificates name providers and numbers; leave it out"
        )
    names = host_names(wish.names)
    if not names:
        raise RequestRefused("names", "name at least one host, as in pbx.example.com")
    key = new_key(wish.key_type)
    return Drafted(wish, names, None, tls_request(key, names, subject), key)


def _draft_sti(wish: Wish, subject: Subject) -> Drafted:
    if wish.names:
        raise RequestRefused("names", "an STI certificate names no hosts: leave names out")
    if wish.key_type is not KeyType.P256:
        raise RequestRefused("key_type", "SHAKEN signs with ES256, whose keys are p-256")
    authorised = _authorised(wish)
    key = ec.generate_private_key(ec.SECP256R1())
    return Drafted(wish, (), authorised, sti_request(key, authorised, subject), key)


def _authorised(wish: Wish) -> TnAuthList:
    entries: list[Entry] = []
    if wish.spc is not None:
        try:
            entries.append(Spc(wish.spc))
        except TnAuthListError as error:
            raise RequestRefused("spc", str(error)) from error
    try:
        entries += dict.fromkeys(_numbers(text) for text in wish.tns)
    except (NumberRuleError, TnAuthListError) as error:
        raise RequestRefused("tns", str(error)) from error
    if not entries:
        why = "an STI certificate is for a provider code (spc) or for numbers (tns); name either"
        raise RequestRefused("spc", why)
    return TnAuthList(tuple(entries))


def _numbers(text: str) -> Tn | TnRange:
    rule = parse_number_rule(text)
    if rule.prefix:
        raise NumberRuleError(
            "a certificate has no prefixes: write a range, as +12155550200-+12155550299"
        )
    count = int(rule.last) - int(rule.first) + 1
    return Tn(rule.first) if count == 1 else TnRange(rule.first, count)


def _differences(
    request: StoredRequest, certificate: Certificate, names: Sequence[str]
) -> tuple[str, ...]:
    """Say what the certificate has other than was asked for."""
    found = []
    if request.kind is not CertificateKind.STI:
        asked, given = set(request.names), set(names)
    else:
        asked = _spelled(TnAuthList.decode(request.tn_auth_list or b""))
        given = _spelled(certificate.tn_auth_list)
    if missing := asked - given:
        found.append(f"The request asked for more, which the certificate lacks: {_few(missing)}.")
    if added := given - asked:
        found.append(f"The certificate has what the request did not ask for: {_few(added)}.")
    return tuple(found)


def _spelled(authorised: TnAuthList | None) -> set[str]:
    return {_entry(entry) for entry in authorised.entries} if authorised else set()


def _entry(entry: Entry) -> str:
    match entry:
        case Spc(code):
            return f"SPC {code}"
        case TnRange(start, _):
            return f"+{start}-+{entry.last}"
        case Tn(number):
            return f"+{number}"


def _few(what: set[str]) -> str:
    found = sorted(what)
    more = len(found) - MAX_SHOWN
    return ", ".join(found[:MAX_SHOWN]) + (f" and {more} more" if more > 0 else "")
