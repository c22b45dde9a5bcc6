"""Trusted roots in words for people: what they are for, where they come from, what is unwise.

Pure: pages show what is said here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from cryptography import x509

from shaken.certificates import Status, status_of
from shaken.web.certificate_words import SHOWN_ID, Told, common_name
from trust.findings import published_keys, root_findings
from trust.roots import Purpose, Root, Shipper

USES: Mapping[Purpose, tuple[str, str]] = {
    Purpose.STI: (
        "Signers of calls",
        (
            "Authorities whose certificates may sign the calls that come in. A call whose signer"
            " leads to none of them fails verification."
        ),
    ),
    Purpose.TLS: (
        "TLS servers",
        (
            "Authorities of the servers that this service calls: those that publish the"
            " certificates of signers, and those that issue certificates by ACME."
        ),
    ),
}
"""What a list is called, and what it is for."""

SHIPPERS: Mapping[Shipper, str] = {
    Shipper.CERTIFI: "with certifi, Mozilla's list",
    Shipper.LAB: "with the lab of the demo",
}


class State(StrEnum):
    """Whether a root is trusted, or why not."""

    TRUSTED = "trusted"
    DISABLED = "disabled"
    DELETED = "deleted"


STATES: Mapping[State, tuple[str, str, str]] = {
    State.TRUSTED: ("good", "Trusted", "Chains may lead to it."),
    State.DISABLED: ("warn", "Disabled", "It stays in the list, and is not trusted."),
    State.DELETED: (
        "bad",
        "Deleted",
        "It is not trusted, and being shipped does not bring it back, not even with an upgrade.",
    ),
}
"""How a state is coloured and called, and what it means."""


@dataclass(frozen=True)
class Origin:
    """Where a root comes from: a word and its colour, and the rest of it."""

    tone: str
    word: str
    detail: str


_FINDINGS: Mapping[str, tuple[str, str]] = {
    "public-key": (
        "Everybody knows its private key",
        "Do not trust it: whoever likes can issue certificates that lead to it.",
    ),
    "weak-key": ("Its key is weak", "Ask the authority for its newer root."),
    "unknown-key": ("Its key cannot be read", "Ask the authority for a root with a usual key."),
    "not-self-signed": (
        "It did not sign itself",
        (
            "It is an intermediate. It can be trusted, and only what it issued is then; to trust"
            " all of its authority, add the root above it."
        ),
    ),
    "no-cert-sign": (
        "It may not sign certificates",
        "See whether the authority has another certificate that is its root.",
    ),
}
"""What a finding is called, and what to do about it, by its slug."""

_SERIOUS = frozenset({"public-key"})

_DATED: Mapping[Status, Told] = {
    Status.EXPIRED: Told(
        "It has expired",
        "No chain leads to it any more.",
        "Ask the authority for its newer root.",
        "warn",
    ),
    Status.EXPIRING: Told(
        "It expires soon",
        "After that no chain leads to it.",
        "Add the root that follows it beforehand: two stand side by side.",
        "warn",
    ),
    Status.NOT_YET_VALID: Told(
        "It is not valid yet",
        "Until then no chain leads to it.",
        "It may be added now; or is the clock of this machine wrong?",
        "warn",
    ),
}

FILTERS: Mapping[str, str] = {
    State.TRUSTED.value: "trusted",
    State.DISABLED.value: "disabled",
    State.DELETED.value: "deleted",
    "shipped": "shipped",
    "added": "added by an administrator",
    Status.EXPIRING.value: "expires soon",
    Status.EXPIRED.value: "expired",
    Status.NOT_YET_VALID.value: "not yet valid",
}
"""What a list can be narrowed to, in words."""


def fits(root: Root, wanted: str, *, now: int) -> bool:
    """Say whether a root is what a filter asks for; an empty one asks for nothing."""
    found = {state_of(root).value, status_of(root, now=now).value}
    if root.shipped is not None:
        found.add("shipped")
    if root.added:
        found.add("added")
    return not wanted or wanted in found


def state_of(root: Root) -> State:
    """Say whether a root is trusted."""
    if root.deleted:
        return State.DELETED
    return State.DISABLED if root.disabled else State.TRUSTED


def origin_of(root: Root) -> Origin:
    """Say where a root comes from."""
    shipped = None if root.shipped is None else SHIPPERS[root.shipped]
    if root.added:
        detail = "by an administrator"
        return Origin("own", "Added", f"{detail}; also shipped {shipped}" if shipped else detail)
    if shipped:
        return Origin("idle", "Shipped", shipped)
    return Origin("idle", "Shipped once", "and no more: an upgrade took it out of the list")


def name_of(root: Root) -> str:
    """Say what a person calls a root."""
    return common_name(root.subject) or f"{root.id[:SHOWN_ID]}…"


def warnings_of(root: Root, *, now: int) -> Sequence[Told]:
    """Say what an administrator should know of a root before it is trusted."""
    found = [_DATED[status]] if (status := status_of(root, now=now)) in _DATED else []
    certificate = x509.load_pem_x509_certificate(root.pem.encode())
    for finding in root_findings(certificate, published=published_keys()):
        title, advice = _FINDINGS[finding.slug]
        detail = f"{finding.detail[:1].upper()}{finding.detail[1:]}."
        tone = "bad" if finding.slug in _SERIOUS else "warn"
        found.append(Told(title, detail, advice, tone))
    return found
