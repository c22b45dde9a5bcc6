"""The authority that certificates come from: shown, changed in a form, and looked at before.

What a setting may be is the API's business (`shaken.api.acme`). A form leads to a page that says
what would change and what follows; what is secret is sealed in between.
"""

from dataclasses import replace
from hashlib import sha256
from typing import get_args

import msgspec

from shaken.api import acme
from shaken.api.acme_messages import AcmeSettingsRecord, AcmeSettingsUpdate
from shaken.api.problems import Problem, from_validation, master_key_missing
from shaken.credentials import Role
from shaken.web import sealed_boxes
from shaken.web.asking import in_words
from shaken.web.authority_changes import (
    AUTHORITIES,
    KEY_WORDS,
    Standing,
    changes_of,
    consequences_of,
    told,
)
from shaken.web.authority_form import (
    OTHER,
    TEXTS,
    TICKS,
    AuthoritySecrets,
    Mistake,
    document,
    field_of,
    read,
    shown,
)
from shaken.web.orders import LIST
from shaken.web.routes import Answer, Page, PageCall, Redirect, View
from shaken.web.sessions import IDLE_SECONDS
from shaken.web.words import sentence
from trust.acme.dns.settings import Algorithm
from trust.acme.order import UNDER_WAY, State
from trust.acme.settings import DIRECTORIES, KEY_TYPES, AcmeSettings
from trust.keys import MasterKeyError
from trust.store import acme_accounts, acme_orders

PATH = f"{LIST}/authority"

OPTIONS = {
    "authority": (
        *((name, AUTHORITIES.get(name, name)) for name in DIRECTORIES),
        (OTHER, "Another one, by the address of its directory"),
    ),
    "key_type": tuple((kind.value, KEY_WORDS[kind]) for kind in KEY_TYPES),
    "dns_type": (
        ("", "Not at all: no wildcards"),
        ("provider", "By the API of a DNS provider"),
        ("rfc2136", "By dynamic updates to the primary name server (RFC 2136)"),
        ("hook", "By a program on this machine"),
    ),
    "dns_key_algorithm": tuple((name, name) for name in get_args(Algorithm)),
}
"""What can be chosen, as the form says it."""

_PURPOSE = "authority"
"""What the box of this form's secrets is for."""

_OPTION = "write one option a line, as name = value; names are in lower case, as in auth_token"


def show(call: PageCall) -> Answer:
    """Show the settings, for those who may change them in a form."""
    call.require_everything()
    settings = acme.settings_of(call)
    return _form(call, settings, shown(_record(settings)), AuthoritySecrets(), {})


def take(call: PageCall) -> Answer:
    """Take the form: back to be mended, on to the preview, or into use when it was confirmed."""
    call.require_everything()
    form, before = call.form, acme.settings_of(call)
    typed, secrets = read(form, _kept(call), now=call.now)
    if form.text("step") == "mend":
        return _form(call, before, typed, secrets, {})
    try:
        body = _body(document(typed, secrets, _record(before)))
        after = acme.read_settings(body, before, hooks=call.resources.config.acme.hooks)
    except Mistake as mistake:
        return _form(call, before, typed, secrets, {mistake.field: mistake.words}, status=422)
    except Problem as problem:
        if problem.status != 400:
            raise
        field = field_of(problem.field or "")
        is_option = field == "dns_options" and "matching regex" in problem.detail
        words = _OPTION if is_option else in_words(problem.detail)
        errors = {field: sentence(words)}
        return _form(call, before, typed, secrets, errors, status=422)
    is_overtaken = form.text("seen") not in {"", _digest(before)}
    if form.text("step") == "store" and not is_overtaken:
        acme.replace_settings(replace(call, body=body))
        return Redirect(PATH, "The settings are in use: the next order goes by them.")
    return _preview(call, before, after, typed, secrets, is_overtaken=is_overtaken)


def _form(
    call: PageCall,
    settings: AcmeSettings | None,
    typed: dict[str, str],
    secrets: AuthoritySecrets,
    errors: dict[str, str],
    *,
    status: int = 200,
) -> View:
    context = {
        "typed": typed,
        "errors": errors,
        "options": OPTIONS,
        "kept": _sealed(call, secrets),
        "held": secrets.held,
        "told": None if settings is None else told(settings),
        "has_mac_key": settings is not None and settings.binding is not None,
        "has_key_secret": settings is not None and "key_secret" in settings.dns,
        "hooks": call.resources.config.acme.hooks,
        "listener": call.resources.config.acme.http_address,
    }
    return View("authority.html", context, status)


def _preview(
    call: PageCall,
    before: AcmeSettings | None,
    after: AcmeSettings,
    typed: dict[str, str],
    secrets: AuthoritySecrets,
    *,
    is_overtaken: bool,
) -> View:
    context = {
        "fields": [(name, typed[name]) for name in (*TEXTS, *TICKS)],
        "kept": _sealed(call, secrets),
        "seen": _digest(before),
        "is_overtaken": is_overtaken,
        "is_first": before is None,
        "changes": changes_of(before, after),
        "consequences": list(consequences_of(before, after, _standing(call, before, after))),
    }
    return View("authority-preview.html", context)


def _standing(call: PageCall, before: AcmeSettings | None, after: AcmeSettings) -> Standing:
    with call.resources.database.reading() as connection:
        states = acme_orders.counted(connection)
        former = before and acme_accounts.asked(connection, before.directory_url)
        following = acme_accounts.asked(connection, after.directory_url)
    return Standing(
        managed=sum(count for state, count in states.items() if state is not State.STOPPED),
        under_way=sum(count for state, count in states.items() if state in UNDER_WAY),
        has_account=former is not None,
        is_known=following is not None,
    )


def _record(settings: AcmeSettings | None) -> AcmeSettingsRecord | None:
    return None if settings is None else acme.settings_record(settings)


def _body(asked: dict[str, object]) -> AcmeSettingsUpdate:
    try:
        return msgspec.convert(asked, AcmeSettingsUpdate)
    except msgspec.ValidationError as error:
        raise from_validation(error) from error


def _digest(settings: AcmeSettings | None) -> str:
    """Name a state of the settings, so that one is not changed that nobody has seen."""
    content = b"none" if settings is None else msgspec.json.encode(_record(settings))
    return sha256(content).hexdigest()[:32]


def _kept(call: PageCall) -> AuthoritySecrets:
    content = sealed_boxes.unseal(
        call.form.text("kept"), _PURPOSE, call.session, call.resources.master
    )
    if content is None:
        return AuthoritySecrets()
    secrets = msgspec.json.decode(content, type=AuthoritySecrets)
    return secrets if 0 <= call.now - secrets.at < IDLE_SECONDS else AuthoritySecrets()


def _sealed(call: PageCall, secrets: AuthoritySecrets) -> str:
    if not secrets.held:
        return ""
    content = msgspec.json.encode(secrets)
    try:
        return sealed_boxes.seal(content, _PURPOSE, call.session, call.resources.master)
    except MasterKeyError as error:
        raise master_key_missing(error) from error


PAGES = (
    Page("GET", PATH, Role.VIEWER, show),
    Page("POST", PATH, Role.ADMIN, take),
)
