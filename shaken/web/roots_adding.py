"""Roots are added: handed in, shown one by one with what would become of each, then stored."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from cryptography import x509

from shaken import roots as changes
from shaken.audit import Unchanged
from shaken.credentials import Role
from shaken.web.certificate_words import Told, common_name, grouped, key_words
from shaken.web.drafts import Draft, Secrets, read_draft
from shaken.web.root_words import SHIPPERS, USES, name_of, warnings_of
from shaken.web.roots import LIST, find_root, list_path, path_of, purpose_of
from shaken.web.routes import Answer, Page, PageCall, Redirect, View
from shaken.web.words import plural
from trust.certificate import CertificateRefused, subject_of
from trust.pem import read_pem, split_blocks
from trust.roots import AlreadyAdded, Purpose, Root, read_roots

ADD = f"{LIST}/add"

MAX_MATERIAL = 800 * 1024
"""Characters of all texts and files: the preview's form, which holds them, must arrive too."""


class Outcome(StrEnum):
    """What becomes of a certificate that was handed in."""

    NEW = "new"
    BACK = "back"
    OWN = "own"
    THERE = "there"
    TWICE = "twice"
    REFUSED = "refused"


OUTCOMES = {
    Outcome.NEW: ("good", "Will be added"),
    Outcome.BACK: ("good", "Comes back"),
    Outcome.OWN: ("good", "Will be yours"),
    Outcome.THERE: ("idle", "Already there"),
    Outcome.TWICE: ("idle", "Twice"),
    Outcome.REFUSED: ("bad", "Refused"),
}
"""How an outcome is coloured and called."""

_DONE = frozenset({Outcome.NEW, Outcome.BACK, Outcome.OWN})
"""Outcomes that change something."""


@dataclass(frozen=True)
class Offer:
    """One certificate that was handed in; `number` is that of its block. `root` None: refused."""

    number: int
    root: Root | None
    outcome: Outcome
    detail: str
    warnings: Sequence[Told] = ()
    key: str = ""
    title: str = ""

    @property
    def is_taken(self) -> bool:
        """Whether it can be added."""
        return self.outcome in _DONE


def ask(call: PageCall) -> Answer:
    """Show the empty form."""
    call.require_everything()
    return _form(purpose_of(call.query.get("purpose", "")), Draft(), {})


def take(call: PageCall) -> Answer:
    """Take the form: back to be mended, on to the preview, or stored when it was confirmed."""
    call.require_everything()
    purpose, step = purpose_of(call.form.text("purpose")), call.form.text("step")
    draft, errors = _read(call)
    if step == "mend" or errors:
        return _form(purpose, draft, errors)
    try:
        offers = _offers(call, draft, purpose)
    except CertificateRefused as error:
        return _form(purpose, draft, {"material": error.detail})
    if [offer.outcome for offer in offers] == [Outcome.REFUSED]:
        return _form(purpose, draft, {"material": offers[0].detail})
    ids = set(call.form.texts("id"))
    chosen = [offer.root for offer in offers if offer.root and offer.root.id in ids]
    if step != "store":
        return _preview(purpose, draft, offers, {})
    if not chosen:
        errors = {"id": "Tick at least one root that is to be added."}
        return _preview(purpose, draft, offers, errors)
    return _store(call, purpose, chosen)


def _read(call: PageCall) -> tuple[Draft, dict[str, str]]:
    """Read the form, and say what is wrong with it as a whole."""
    try:
        draft = read_draft(call.form, Secrets(), now=call.now)
    except CertificateRefused as error:
        typed = read_draft(replace(call.form, files=()), Secrets(), now=call.now)
        return typed, {"files": error.detail}
    if draft.secrets.keys:
        detail = (
            "There was a private key in it, which is not kept. A root is trusted by its"
            " certificate alone: leave the authority's key where it is."
        )
        return draft, {"material": detail}
    if draft.secrets.pkcs12:
        detail = (
            "One of the files is neither PEM nor a certificate in DER. Take the certificates out"
            " of a PKCS#7 file with `openssl pkcs7 -inform DER -in file.p7b -print_certs`."
        )
        return draft, {"files": detail}
    if not draft.material:
        return draft, {"material": "Paste the certificate of an authority, or choose its file."}
    if len(draft.material) > MAX_MATERIAL:
        detail = f"This is more than {MAX_MATERIAL // 1024} KiB. Add the roots in several steps."
        return draft, {"material": detail}
    return draft, {}


def _offers(call: PageCall, draft: Draft, purpose: Purpose) -> Sequence[Offer]:
    """Say of each certificate what would become of it. Raises CertificateRefused."""
    offers: list[Offer] = []
    seen: dict[str, int] = {}
    pieces = zip(split_blocks(draft.material), read_roots(draft.material, purpose), strict=True)
    for number, (piece, read) in enumerate(pieces, 1):
        if isinstance(read, CertificateRefused):
            refused = Offer(number, None, Outcome.REFUSED, read.detail, title=_title(piece))
            offers.append(refused)
        elif read.id in seen:
            detail = f"It is the same as number {seen[read.id]}."
            offers.append(Offer(number, None, Outcome.TWICE, detail, title=name_of(read)))
        else:
            seen[read.id] = number
            offers.append(_offer(call, number, read))
    return offers


def _title(piece: str) -> str:
    """Say what a person calls a certificate that is no root; nothing where none can be read."""
    try:
        found = read_pem(piece).certificates
    except CertificateRefused:
        return ""
    return common_name(subject_of(found[0])) if found else ""


def _offer(call: PageCall, number: int, root: Root) -> Offer:
    outcome, detail = _outcome(find_root(call, root.purpose, root.id))
    return Offer(
        number,
        root,
        outcome,
        detail,
        warnings_of(root, now=call.now),
        key_words(x509.load_pem_x509_certificate(root.pem.encode())),
        name_of(root),
    )


def _outcome(there: Root | None) -> tuple[Outcome, str]:
    """Say what adding a root does to the one that is there, by the rules of `when_added`."""
    if there is None:
        return Outcome.NEW, "It is trusted from then on."
    if there.deleted:
        return Outcome.BACK, "It was deleted here. It is trusted again, as one of yours."
    if there.added:
        detail = "It is in the list as one of yours"
        return Outcome.THERE, f"{detail}, but disabled." if there.disabled else f"{detail}."
    shipped = SHIPPERS[there.shipped] if there.shipped else ""
    more = " It was disabled, and is trusted again." if there.disabled else ""
    return (
        Outcome.OWN,
        f"It is shipped {shipped}. As one of yours it stays when it is shipped no more.{more}",
    )


def _store(call: PageCall, purpose: Purpose, chosen: Sequence[Root]) -> Redirect:
    added = []
    with call.changing() as change:
        for root in chosen:
            try:
                added.append(changes.add(change, root))
            except AlreadyAdded:
                continue  # Since the preview, somebody else has added it.
        if not added:
            raise Unchanged
    if not added:
        return Redirect(list_path(purpose), "They were there already, so nothing was changed.")
    if len(added) == 1:
        return Redirect(path_of(added[0]), f"{name_of(added[0])} is added, and trusted now.")
    return Redirect(list_path(purpose), f"{plural(len(added), 'root')} are added, and trusted now.")


def _form(purpose: Purpose, draft: Draft, errors: dict[str, str]) -> View:
    context = {
        "purpose": purpose.value,
        "purposes": [(each.value, words[0]) for each, words in USES.items()],
        "draft": draft,
        "errors": errors,
        "list_path": list_path(purpose),
    }
    return View("roots-add.html", context, 422 if errors else 200)


def _preview(
    purpose: Purpose, draft: Draft, offers: Sequence[Offer], errors: dict[str, str]
) -> View:
    """Show what was understood, to be confirmed."""
    context = {
        "purpose": purpose.value,
        "use": USES[purpose],
        "draft": draft,
        "offers": offers,
        "outcomes": OUTCOMES,
        "taken": sum(offer.is_taken for offer in offers),
        "errors": errors,
        "grouped": grouped,
        "list_path": list_path(purpose),
    }
    return View("roots-preview.html", context, 422 if errors else 200)


PAGES = (
    Page("GET", ADD, Role.ADMIN, ask),
    Page("POST", ADD, Role.ADMIN, take),
)
