"""Entries of the audit in words: what was done, and which members of a thing differ. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shaken.audit import Action
from shaken.web.trunk_settings import SETTINGS, Setting

MAX_VALUES = 20
"""Values of one member that are listed; of a tenant's ten thousand numbers the others are counted.
"""

ACTIONS: Mapping[Action, str] = {
    Action.CERTIFICATE_IMPORT: "Certificate imported",
    Action.CERTIFICATE_DELETE: "Certificate deleted",
    Action.REQUEST_CREATE: "Certificate requested",
    Action.REQUEST_DELETE: "Certificate request deleted",
    Action.REQUEST_USE: "Certificate request fulfilled",
    Action.TENANT_CREATE: "Tenant added",
    Action.TENANT_UPDATE: "Tenant changed",
    Action.TENANT_DELETE: "Tenant deleted",
    Action.TRUNK_CREATE: "Trunk added",
    Action.TRUNK_UPDATE: "Trunk changed",
    Action.TRUNK_DELETE: "Trunk deleted",
    Action.CREDENTIAL_CREATE: "Credential made",
    Action.CREDENTIAL_REVOKE: "Credential revoked",
    Action.ROOT_ADD: "Root added",
    Action.ROOT_UPDATE: "Root changed",
    Action.ROOT_DELETE: "Root deleted",
    Action.ROOTS_RESET: "Roots reset to the shipped list",
    Action.ROOTS_FOLLOW: "Roots follow the shipped list",
    Action.ACME_SETTINGS: "Renewal settings changed",
    Action.ACME_ACCOUNT: "Account at the authority",
    Action.ORDER_CREATE: "Certificate ordered",
    Action.ORDER_RENEW: "Renewal asked for",
    Action.ORDER_STOP: "Renewal stopped",
    Action.ORDER_FAIL: "Renewal failed",
    Action.CALL_TEST: "Test call signed",
    Action.MASTER_KEY_BIND: "Master key in use",
    Action.RECORD_KEY_CREATE: "Key for numbers on record made",
    Action.PRIVATE_KEY_PUBLISHED: "Private key found published",
    Action.SESSION_BEGIN: "Signed in",
    Action.SESSION_END: "Signed out",
    Action.SESSION_REFUSE: "Sign-ins refused",
}
"""What was done, by its slug."""

PARTS = {"before": "Before", "after": "After", "event": "What is known"}
"""What the parts of an entry's detail are called."""

_MEMBERS = {
    "spki_sha256": "SHA-256 of its key",
    "client_spki": "SHA-256 of the client's key",
    "tn_auth_list": "Numbers it speaks for",
    "tn_auth_list.spc": "Provider codes",
    "tn_auth_list.tn": "Numbers",
    "tn_auth_list.range": "Ranges of numbers",
    "x5u": "Where it is published",
    "managed": "TLS certificates by ACME",
    "fallback": "Without a certificate of its own",
    "directory_url": "Authority",
    "origid": "Origination identifier",
    "failures": "How many",
    "seconds": "Within seconds",
    "sources": "From",
    "credentials": "With the name of",
    **{each.name: each.fact or each.label for each in SETTINGS},
}
"""Members whose name does not say what they are."""

_COUNTS = frozenset({"sources", "credentials"})
"""Members that count something by names, which are no members."""

_TRUNK = {each.name: each for each in SETTINGS}


@dataclass(frozen=True)
class Details:
    """A table: the heads of its columns, and rows of a member and its values."""

    heads: Sequence[str]
    rows: Sequence[tuple[str, Sequence[Sequence[str]]]]


def action_words(slug: str) -> str:
    """Say what was done; one that another version wrote keeps its slug."""
    return ACTIONS.get(Action(slug), slug) if slug in set(Action) else slug


def details_of(slug: str, detail: Mapping[str, Mapping[str, Any]]) -> Details:
    """Arrange the detail of an entry as a table."""
    settings = _TRUNK if slug.startswith("trunk.") else {}
    parts = {name: dict(_members(values)) for name, values in detail.items()}
    names = dict.fromkeys(name for members in parts.values() for name in members)
    rows = [
        (
            _label(name),
            [
                _told(name, members[name], settings) if name in members else ["none"]
                for members in parts.values()
            ],
        )
        for name in names
    ]
    return Details([PARTS.get(part, part) for part in parts], rows)


def _members(values: Mapping[str, Any], outer: str = "") -> Iterator[tuple[str, Any]]:
    """Go through members, those of members by their paths."""
    for name, value in values.items():
        if isinstance(value, Mapping) and value and name not in _COUNTS:
            yield from _members(value, f"{outer}{name}.")
        else:
            yield f"{outer}{name}", value


def _label(name: str) -> str:
    if name in _MEMBERS:
        return _MEMBERS[name]
    words = name.replace("_", " ").replace(".", ", ")
    return f"{words[:1].upper()}{words[1:]}"


def _told(name: str, value: object, settings: Mapping[str, Setting]) -> Sequence[str]:
    """Say a value, in a line or several; a setting as the page of its thing tells it."""
    match value:
        case None | () | []:
            return ["none"]
        case bool():
            text = ["yes" if value else "no"]
        case Mapping():
            text = [f"{each}: {count}" for each, count in value.items()] or ["none"]
        case list() | tuple():
            text = [_flat(each) for each in value]
        case _:
            text = [str(value)]
    if name in settings and not isinstance(value, list | tuple):
        text = list(settings[name].told({"yes": "yes", "no": ""}.get(text[0], text[0])))
    if len(text) > MAX_VALUES:
        return [*text[:MAX_VALUES], f"and {len(text) - MAX_VALUES} more"]
    return text


def _flat(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {each}" for name, each in value.items())
    return str(value)
