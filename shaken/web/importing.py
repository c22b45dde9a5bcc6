"""Importing a certificate: handed in, shown as it was understood, then stored.

The preview is the import itself, in a transaction that is undone: what it shows is what comes.
"""

from dataclasses import replace

from shaken.api.certificate_records import record
from shaken.api.problems import Problem, master_key_missing
from shaken.assignment import UnknownTenant
from shaken.audit import AuditedChange, Unchanged
from shaken.certificates import Missed
from shaken.credentials import Role
from shaken.importing import Imported, Importer, NotOfTenant, ReadUpload, StoredForOthers
from shaken.web import requests
from shaken.web.certificate import links_of
from shaken.web.certificate_words import KINDS, common_name, key_words, title_of, told
from shaken.web.certificates import LIST
from shaken.web.drafts import Draft, read_draft, seal, unseal
from shaken.web.routes import Answer, Page, PageCall, Redirect, View
from shaken.web.words import sentence
from trust.certificate import Certificate, CertificateKind, CertificateRefused, issuer_of
from trust.keys import MasterKeyError
from trust.store.certificates import AlreadyStored

IMPORT = f"{LIST}/import"

_FIELDS = {
    "kind": "kind",
    "certificate": "material",
    "private_key": "material",
    "pkcs12": "files",
    "passphrase": "passphrase",
    "tenant": "tenant",
    "x5u": "x5u",
    "replace": "replace",
}
"""Which field of the form an error of the importer is about."""


class _Wrong(Exception):  # noqa: N818 - what a person mends, not an error of ours
    """Something in the form is wrong: in which field, and what to do."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(detail)
        self.field = _FIELDS.get(field, "material")
        self.detail = detail


def ask(call: PageCall) -> Answer:
    """Show the empty form."""
    kind = call.query.get("kind", "")
    known = {each.value for each in CertificateKind}
    return _form(call, Draft(kind=kind if kind in known else CertificateKind.STI.value), {})


def take(call: PageCall) -> Answer:
    """Take the form: back to be mended, on to the preview, or stored when it was confirmed."""
    form = call.form
    kept = unseal(form.text("kept"), call.session, call.resources.master, now=call.now)
    draft = Draft(secrets=kept)
    try:
        draft = read_draft(form, kept, now=call.now)
        if form.text("step") == "mend":
            return _form(call, draft, {})
        read = _read(call, draft)
        if form.text("step") != "store":
            return _preview(call, draft, _rehearse(call, read))
        done = _store(call, read)
    except CertificateRefused as error:
        return _form(call, draft, {_FIELDS[error.field]: error.detail}, status=422)
    except _Wrong as wrong:
        return _form(call, draft, {wrong.field: wrong.detail}, status=422)
    fulfilled = " Its request is fulfilled." if done.answered else ""
    return Redirect(
        f"{LIST}/{done.row.id}",
        f"{title_of(done.row)} is imported and in use.{fulfilled}",
    )


def _form(call: PageCall, draft: Draft, errors: dict[str, str], *, status: int = 200) -> View:
    context = {
        **_asked(call),
        "draft": draft,
        "errors": errors,
        "kept": _sealed(call, draft),
        "kinds": [(kind.value, f"{name}: {words}") for kind, (name, words) in KINDS.items()],
    }
    return View("certificate-import.html", context, status)


def _asked(call: PageCall) -> dict[str, object]:
    """Find the request whose page led here."""
    identity = call.query.get("request", "") or call.form.text("request")
    row = requests.find_pending(call, identity)
    return {"asked": row, "asked_title": None if row is None else requests.title_of(row)}


def _sealed(call: PageCall, draft: Draft) -> str:
    try:
        return seal(draft.secrets, call.session, call.resources.master)
    except MasterKeyError as error:
        raise master_key_missing(error) from error


def _importer(call: PageCall) -> Importer:
    lab = call.resources.config.signing.lab_urls
    return Importer(call.resources.master, lab=lab, known=call.snapshot)


def _read(call: PageCall, draft: Draft) -> ReadUpload:
    """Read a draft by the rules of its kind. Raises CertificateRefused, _Wrong."""
    upload = draft.upload()
    try:
        tenant = call.tenant_for(draft.tenant or None)
    except Problem as problem:
        raise _Wrong("tenant", sentence(problem.detail)) from problem
    return _importer(call).read(replace(upload, tenant=tenant), now=call.now)


def _rehearse(call: PageCall, read: ReadUpload) -> Imported:
    """Say what an import would store, and store nothing. Raises CertificateRefused, _Wrong."""
    done: list[Imported] = []
    with call.changing() as change:
        done.append(_add(call, change, read))
        _undo()
    return done[0]


def _undo() -> None:
    """Leave a change so that nothing of it stays."""
    raise Unchanged


def _store(call: PageCall, read: ReadUpload) -> Imported:
    """Store what was read. Raises CertificateRefused, _Wrong."""
    with call.changing() as change:
        return _add(call, change, read)


def _add(call: PageCall, change: AuditedChange, read: ReadUpload) -> Imported:
    try:
        return _importer(call).add(change, read, scope=call.scope, now=call.now)
    except UnknownTenant as error:
        raise _Wrong("tenant", "No tenant has this address. Create the tenant first.") from error
    except AlreadyStored as error:
        raise _Wrong(
            "replace",
            f"This certificate is here already ({error.id[:16]}…). Tick the box to let it take over"
            " a better chain or the missing key.",
        ) from error
    except StoredForOthers as error:
        raise _Wrong("material", "This certificate is here already, for another tenant.") from error
    except Missed as error:
        raise _Wrong(
            "tenant", f"{sentence(str(error))} Import another for it first, or leave this empty."
        ) from error
    except MasterKeyError as error:
        raise master_key_missing(error) from error
    except NotOfTenant as error:
        raise _Wrong("tenant", "This certificate is not for your tenant.") from error


def _preview(call: PageCall, draft: Draft, done: Imported) -> View:
    """Show what was understood, to be confirmed."""
    certificate = Certificate.of_pem(done.chain)
    shown = record(call, done.row, chain=done.chain)
    links, is_complete = links_of(call, certificate, done.row.kind)
    answered = done.answered
    context = {
        **_asked(call),
        "answered": answered,
        "answered_title": None if answered is None else requests.title_of(answered.request),
        "draft": draft,
        "kept": _sealed(call, draft),
        "one": shown,
        "title": title_of(done.row),
        "kind": KINDS[done.row.kind],
        "put_right": done.put_right,
        "warnings": [told(each.slug, each.detail) for each in shown.warnings],
        "links": links,
        "is_complete": is_complete,
        "missing_issuer": issuer_of(certificate.chain[-1]),
        "key": key_words(certificate.leaf),
        "common_name": common_name,
    }
    return View("certificate-preview.html", context)


PAGES = (
    Page("GET", IMPORT, Role.ADMIN, ask),
    Page("POST", IMPORT, Role.ADMIN, take),
)
