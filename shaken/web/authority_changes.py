"""The settings of the authority in words, what would change of them, and what follows. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from shaken.web.words import plural
from trust.acme.challenges import ChallengeType
from trust.acme.dns.reading import read_dns_settings
from trust.acme.dns.settings import HIDDEN, is_secret, redacted
from trust.acme.settings import DIRECTORIES, AcmeSettings
from trust.request import KeyType

AUTHORITIES = {
    "letsencrypt": "Let's Encrypt",
    "letsencrypt-staging": "Let's Encrypt, staging: to try it out, trusted by nobody",
}
"""Authorities by their names in `trust.acme.settings`, in words."""

KEY_WORDS = {
    KeyType.P256: "ECDSA P-256: small and fast, taken nearly everywhere",
    KeyType.P384: "ECDSA P-384",
    KeyType.RSA_2048: "RSA with 2048 bits: for old devices",
    KeyType.RSA_4096: "RSA with 4096 bits: large and slow",
}


_MAC_KEY = "MAC key of the external account"
_DELEGATION = "CNAME of a record's name"
_KEPT = "set, not shown"
_DNS_WORDS = {
    "key_name": "Name of the DNS key",
    "key_algorithm": "Algorithm of the DNS key",
    "key_secret": "Secret of the DNS key",
    "port": "Port of the name server",
    "zone": "Zone",
    "ttl": "Lifetime of DNS records, in seconds",
    "propagation_seconds": "Wait for name servers, in seconds",
    "resolvers": "Resolvers",
    "nameservers": "Name servers that must have the record",
}
"""What settings of the DNS part are called."""


@dataclass(frozen=True)
class Change:
    """A setting that becomes another, in words; `before` is empty where there was none."""

    label: str
    before: str
    after: str


@dataclass(frozen=True)
class Standing:
    """What stands while settings change: orders that are kept renewed or under way, accounts."""

    managed: int
    under_way: int
    has_account: bool
    """Whether there is an account at the authority so far."""
    is_known: bool
    """Whether there is an account at the authority that comes."""


@dataclass(frozen=True)
class Consequence:
    """What follows from a change; `tone` is that of a callout."""

    tone: str
    title: str
    detail: str


def authority_of(url: str) -> str:
    """Name an authority by its directory."""
    names = {known: AUTHORITIES.get(name, name) for name, known in DIRECTORIES.items()}
    return names.get(url, urlsplit(url).hostname or url)


def told(settings: AcmeSettings) -> Sequence[tuple[str, str]]:
    """Say all settings in words, without secrets: pairs of label and text."""
    return [
        ("Authority", authority_of(settings.directory_url)),
        ("Directory", settings.directory_url),
        ("Contact", ", ".join(settings.contact) or "none"),
        ("Terms of service", "agreed to" if settings.terms_agreed else "not agreed to"),
        ("External account", settings.binding.kid if settings.binding else "none"),
        *(((_MAC_KEY, _KEPT),) if settings.binding else ()),
        ("Keys of certificates", KEY_WORDS[settings.key_type]),
        ("At a renewal", "the key is kept" if settings.key_reuse else "a new key is made"),
        ("Preferred chain", settings.preferred_chain or "the authority's own choice"),
        ("Profile", settings.profile or "the authority's usual one"),
        ("Self-check", "on" if settings.self_check else "off"),
        ("Names proven in the DNS", ", ".join(settings.dns_names) or "wildcards only"),
        *_dns_told(settings.dns),
    ]


def changes_of(before: AcmeSettings | None, after: AcmeSettings) -> Sequence[Change]:
    """Say what would change, secrets by their names only."""
    former = {} if before is None else dict(told(before))
    following = dict(told(after))
    labels = [*following, *(label for label in former if label not in following)]
    found = [Change(label, former.get(label, ""), following.get(label, "")) for label in labels]
    return [
        *(change for change in found if change.before != change.after),
        *_secrets_changed(before, after),
    ]


def consequences_of(
    before: AcmeSettings | None, after: AcmeSettings, standing: Standing
) -> Iterator[Consequence]:
    """Say what follows from other settings, the gravest first."""
    if not after.terms_agreed:
        yield Consequence(
            "bad",
            "Nothing is ordered",
            "An authority issues only to who has agreed to its terms of service.",
        )
    if before is not None and before.directory_url != after.directory_url:
        yield from _elsewhere(before, after, standing)
    elif after.terms_agreed and (before is None or not before.terms_agreed):
        yield _agreement(after)
    if after.directory_url == DIRECTORIES["letsencrypt-staging"]:
        yield Consequence(
            "warn",
            "These certificates are trusted by nobody",
            "Staging is for trying out whether names can be proven. Choose Let's Encrypt itself"
            " once that works.",
        )
    if before is not None and before.dns and not after.dns:
        yield Consequence(
            "bad",
            "Wildcards are not renewed any more",
            "Nor is a name that is proven in the DNS: nobody publishes its record then.",
        )
    if _needs_records(after) and not after.dns:
        yield Consequence(
            "bad",
            "Names cannot be proven",
            "Some are to be proven in the DNS, but it is not said how records are published.",
        )
    if before is not None and standing.has_account and _binding_differs(before, after):
        yield Consequence(
            "warn",
            "The account that is there stays as it is",
            "An external account is told when an account is made. Start over for another one.",
        )
    if not after.self_check and (before is None or before.self_check):
        yield Consequence(
            "warn",
            "Mistakes reach the authority",
            "Without the self-check a name that does not lead here uses up rate limits.",
        )


def _elsewhere(
    before: AcmeSettings, after: AcmeSettings, standing: Standing
) -> Iterator[Consequence]:
    there = (
        "The account that was made there before is used again."
        if standing.is_known
        else "The first order makes one there."
    )
    left = (
        " The one at the authority so far stays, and can revoke what it issued; deactivate it"
        " before, if it is not to be used again."
        if standing.has_account
        else ""
    )
    yield Consequence("warn", "Another account", f"{there}{left}")
    if standing.managed:
        again = (
            f" {plural(standing.under_way, 'order')} under way begin"
            f"{'s' if standing.under_way == 1 else ''} anew."
            if standing.under_way
            else ""
        )
        yield Consequence(
            "info",
            f"{plural(standing.managed, 'certificate')} will come from there",
            f"Each stays in use until it is due, or is renewed by hand.{again}",
        )
    kept = [
        words
        for words, former, value in (
            ("profile", before.profile, after.profile),
            ("preferred chain", before.preferred_chain, after.preferred_chain),
        )
        if value and former == value
    ]
    if kept:
        yield Consequence(
            "warn",
            f"The {' and the '.join(kept)} may be unknown there",
            "It is one of the authority so far. Where the new one does not know it, orders fail.",
        )
    if after.terms_agreed:
        yield _agreement(after)


def _agreement(after: AcmeSettings) -> Consequence:
    return Consequence(
        "info",
        "You agree to the terms of service",
        f"Those of {authority_of(after.directory_url).partition(':')[0]}, for your organisation."
        " They stand on its site.",
    )


def _needs_records(settings: AcmeSettings) -> bool:
    return any(settings.challenge_for(name) is ChallengeType.DNS for name in settings.dns_names)


def _binding_differs(before: AcmeSettings, after: AcmeSettings) -> bool:
    return before.directory_url == after.directory_url and before.binding != after.binding


def _dns_told(dns: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if not dns:
        yield "DNS records", "not published"
        return
    shown = redacted(read_dns_settings(dns))
    match shown["type"]:
        case "provider":
            yield "DNS records", f"by the API of {shown['provider']}"
        case "rfc2136":
            yield "DNS records", f"by dynamic updates at {shown['server']}"
        case _:
            yield "DNS records", f"by the program {' '.join(shown['command'])}"
    for name, words in _DNS_WORDS.items():
        if shown.get(name):
            yield words, _written(shown[name])
    yield _DELEGATION, "followed" if shown["delegate"] else "not followed"
    for name, value in shown.get("options", {}).items():
        yield f"DNS option {name}", _written(value)


def _written(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case list() | tuple():
            return ", ".join(map(str, value))
        case _:
            return _KEPT if value == HIDDEN else str(value)


def _secrets_changed(before: AcmeSettings | None, after: AcmeSettings) -> Iterator[Change]:
    """Tell of secrets that are replaced; whether there is one `told` says."""
    former = {} if before is None else dict(_secrets(before))
    for label, value in _secrets(after):
        if label in former and former[label] != value:
            yield Change(label, "the one so far", "another one, not shown")


def _secrets(settings: AcmeSettings) -> Iterator[tuple[str, object]]:
    if settings.binding is not None:
        yield _MAC_KEY, settings.binding.hmac_key
    if "key_secret" in settings.dns:
        yield _DNS_WORDS["key_secret"], settings.dns["key_secret"]
    for name, value in settings.dns.get("options", {}).items():
        if is_secret(name, value):
            yield f"DNS option {name}", value
