"""The form of the authority: its fields from the settings, and what the API is asked to set. Pure.

What is secret never goes into a field. It is kept apart between two forms (`AuthoritySecrets`), and
what is left empty stays as it is.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from shaken.api.acme_messages import AcmeSettingsRecord
from shaken.web.asking import lines
from shaken.web.forms import Submitted
from trust.acme.dns.settings import HIDDEN, is_secret
from trust.acme.settings import DIRECTORIES, KEY_TYPES

OTHER = "other"
"""The choice of an authority that has no name here."""

TEXTS = (
    "authority",
    "directory_url",
    "contact",
    "eab_kid",
    "key_type",
    "preferred_chain",
    "profile",
    "dns_names",
    "dns_type",
    "dns_provider",
    "dns_options",
    "dns_server",
    "dns_port",
    "dns_key_name",
    "dns_key_algorithm",
    "dns_command",
    "dns_zone",
    "dns_ttl",
    "dns_propagation_seconds",
    "dns_resolvers",
    "dns_nameservers",
)
TICKS = ("terms_agreed", "key_reuse", "self_check", "dns_delegate")
FIELDS = (*TEXTS, *TICKS, "eab_hmac_key", "dns_key_secret")
"""All fields of the form; the last two hold secrets."""

_BLANK: Mapping[str, str] = {
    **dict.fromkeys((*TEXTS, *TICKS), ""),
    "authority": "letsencrypt-staging",
    "key_type": KEY_TYPES[0].value,
    "self_check": "yes",
    "dns_delegate": "yes",
    "dns_port": "53",
    "dns_key_algorithm": "hmac-sha256",
    "dns_ttl": "120",
    "dns_propagation_seconds": "120",
}
"""A form that nobody has filled in: the authority for trying things out, and usual values."""

_NUMBERS = ("port", "ttl", "propagation_seconds")
_COMMON = ("ttl", "propagation_seconds", "resolvers", "nameservers", "delegate")
_OF_TYPE: Mapping[str, tuple[str, ...]] = {
    "provider": ("provider", "options", "zone"),
    "rfc2136": ("server", "port", "key_name", "key_algorithm", "key_secret", "zone"),
    "hook": ("command",),
}
"""Which settings each way of publishing has, beside those that all have."""

_NAME = re.compile(r"[a-z0-9_]{1,64}")
"""The name of a provider's option."""

_LISTS = ("resolvers", "nameservers", "command")


class AuthoritySecrets(msgspec.Struct, frozen=True):
    """What was typed and is never shown. `at` is when, in Unix seconds."""

    at: int = 0
    mac_key: str = ""
    key_secret: str = ""
    options: dict[str, str] = {}

    def __repr__(self) -> str:
        """Say nothing of what is in it."""
        return f"AuthoritySecrets(at={self.at})"

    @property
    def held(self) -> Sequence[str]:
        """What is held back, in words."""
        named = (("the MAC key", self.mac_key), ("the secret of the key", self.key_secret))
        return [
            *(words for words, value in named if value),
            *(f"the option {name}" for name in self.options),
        ]


class Mistake(Exception):  # noqa: N818 - what a person mends, not an error of ours
    """Something in the form is wrong: in which field, and what to do."""

    def __init__(self, field: str, words: str) -> None:
        super().__init__(words)
        self.field = field
        self.words = words


def read(
    form: Submitted, kept: AuthoritySecrets, *, now: int
) -> tuple[dict[str, str], AuthoritySecrets]:
    """Read what was typed, secrets apart: what was kept of the form before, unless typed anew."""
    typed = {name: form.text(name).replace("\r\n", "\n") for name in TEXTS}
    typed |= {name: "yes" if form.text(name) == "yes" else "" for name in TICKS}
    shown, options = [], {}
    for line in lines(typed["dns_options"]):
        name, value = _option(line)
        if not _NAME.fullmatch(name):
            # Whatever it is, it may be a secret that was pasted without its name.
            shown.append(f"? = {HIDDEN}")
        elif value == HIDDEN or (value and is_secret(name, _flag(value))):
            shown.append(f"{name} = {HIDDEN}")
            held = kept.options.get(name, "") if value == HIDDEN else value
            options.update({name: held} if held else {})
        else:
            shown.append(line)
    typed["dns_options"] = "\n".join(shown)
    secrets = AuthoritySecrets(
        at=now,
        mac_key=form.text("eab_hmac_key") or kept.mac_key,
        key_secret=form.text("dns_key_secret") or kept.key_secret,
        options=options,
    )
    return typed, secrets


def shown(settings: AcmeSettingsRecord | None) -> dict[str, str]:
    """Write settings as the form's fields hold them; None: a form to begin with."""
    if settings is None:
        return dict(_BLANK)
    dns = settings.dns or {}
    names = {url: name for name, url in DIRECTORIES.items()}
    named = names.get(settings.directory_url)
    typed = {
        "authority": named or OTHER,
        "directory_url": "" if named else settings.directory_url,
        "contact": "\n".join(settings.contact),
        "terms_agreed": _tick(settings.terms_agreed),
        "eab_kid": settings.eab_kid or "",
        "key_type": settings.key_type.value,
        "preferred_chain": settings.preferred_chain or "",
        "profile": settings.profile or "",
        "key_reuse": _tick(settings.key_reuse),
        "self_check": _tick(settings.self_check),
        "dns_names": "\n".join(settings.dns_names),
        "dns_type": dns.get("type", ""),
    }
    for name, value in dns.items():
        if f"dns_{name}" in _BLANK and name != "type" and value is not None:
            typed[f"dns_{name}"] = _written(value)
    return {**_BLANK, **typed}


def document(
    typed: Mapping[str, str], secrets: AuthoritySecrets, before: AcmeSettingsRecord | None
) -> dict[str, Any]:
    """Return what the API is asked to set (`AcmeSettingsUpdate`). Raises Mistake."""
    url = DIRECTORIES.get(typed["authority"], typed["directory_url"])
    if not url:
        raise Mistake("directory_url", "Give the address of the authority's directory.")
    asked: dict[str, Any] = {
        "directory_url": url,
        "contact": lines(typed["contact"]),
        "terms_agreed": typed["terms_agreed"] == "yes",
        "key_type": typed["key_type"],
        "preferred_chain": typed["preferred_chain"] or None,
        "profile": typed["profile"] or None,
        "key_reuse": typed["key_reuse"] == "yes",
        "self_check": typed["self_check"] == "yes",
        "dns_names": lines(typed["dns_names"]),
    }
    return asked | _account(typed, secrets, before, url=url) | _dns(typed, secrets, before)


def field_of(path: str) -> str:
    """Return the field of the form that a member of the API's request stands for, or nothing."""
    name = path.partition("[")[0]
    if name.startswith("dns.options"):
        return "dns_options"
    if name == "dns":
        return "dns_type"
    name = name.replace(".", "_")
    return name if name in FIELDS else ""


def _account(
    typed: Mapping[str, str],
    secrets: AuthoritySecrets,
    before: AcmeSettingsRecord | None,
    *,
    url: str,
) -> dict[str, Any]:
    kid = typed["eab_kid"]
    if secrets.mac_key and not kid:
        raise Mistake("eab_kid", "Give the key id that belongs to the MAC key.")
    if not kid:
        return {"eab": None}
    if secrets.mac_key:
        return {"eab": {"kid": kid, "hmac_key": secrets.mac_key}}
    if before is None or before.eab_kid != kid:
        raise Mistake("eab_hmac_key", "Give the MAC key that belongs to this key id.")
    if before.directory_url != url:
        raise Mistake(
            "eab_hmac_key",
            "The MAC key that is kept belongs to the authority so far. Give the one of the new"
            " authority, or empty the key id.",
        )
    return {}


def _dns(
    typed: Mapping[str, str], secrets: AuthoritySecrets, before: AcmeSettingsRecord | None
) -> dict[str, Any]:
    """Return how records are published; nothing where that stays as it is, secrets too."""
    kind = typed["dns_type"]
    members = _OF_TYPE.get(kind)
    if members is None:
        return {"dns": None}
    former = shown(before)
    of_type = [f"dns_{name}" for name in ("type", *members, *_COMMON) if name != "key_secret"]
    is_typed = bool(secrets.key_secret or secrets.options)
    if before is not None and not is_typed and all(typed[n] == former[n] for n in of_type):
        return {}
    asked: dict[str, Any] = {"type": kind}
    for name in (*members, *_COMMON):
        asked |= _member(name, typed, secrets)
    if kind == "rfc2136" and asked["key_secret"] == HIDDEN:
        is_kept = former["dns_type"] == kind and former["dns_key_name"] == typed["dns_key_name"]
        if not is_kept:
            raise Mistake("dns_key_secret", "Give the secret of this key, as its file has it.")
    return {"dns": asked}


def _member(name: str, typed: Mapping[str, str], secrets: AuthoritySecrets) -> dict[str, Any]:
    """Return a setting of the DNS part; what is left empty is left out."""
    if name == "key_secret":
        return {name: secrets.key_secret or HIDDEN}
    text = typed[f"dns_{name}"]
    if name == "delegate":
        return {name: text == "yes"}
    if name == "options":
        pairs = [_option(line) for line in lines(text)]
        return {name: {each: _flag(secrets.options.get(each, value)) for each, value in pairs}}
    if not text:
        return {}
    if name in _NUMBERS:
        if not (text.isascii() and text.isdecimal() and len(text) < 10):
            raise Mistake(f"dns_{name}", "Write a number.")
        return {name: int(text)}
    return {name: lines(text) if name in _LISTS else text}


def _option(line: str) -> tuple[str, str]:
    """Read `name = value`; a name without a value has the one that is kept."""
    name, _, value = line.partition("=")
    return name.strip(), value.strip() or HIDDEN


def _flag(text: str) -> str | bool:
    return {"true": True, "false": False}.get(text, text)


def _written(value: object) -> str:
    match value:
        case bool():
            return _tick(value)
        case Mapping():
            return "\n".join(
                f"{name} = {str(each).lower() if isinstance(each, bool) else each}"
                for name, each in value.items()
            )
        case list() | tuple():
            return "\n".join(map(str, value))
        case _:
            return str(value)


def _tick(value: bool) -> str:  # noqa: FBT001 - what is written
    return "yes" if value else ""
