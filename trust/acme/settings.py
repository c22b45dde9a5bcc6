"""How certificates are obtained: which authority, under which account, proven how. Plain data.

The settings are an administrator's, and kept by `trust.store.acme_settings`. What the DNS part of
them means is for the publisher of records to say.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from trust.acme.challenges import ChallengeType
from trust.names import DnsNameError, dns_name
from trust.request import KeyType

DIRECTORIES = {
    "letsencrypt": "https://acme-v02.api.letsencrypt.org/directory",
    "letsencrypt-staging": "https://acme-staging-v02.api.letsencrypt.org/directory",
}
"""Authorities by name (https://letsencrypt.org/docs/acme-protocol-updates/)."""

KEY_TYPES = (KeyType.P256, KeyType.P384, KeyType.RSA_2048, KeyType.RSA_4096)
"""The keys that public authorities take."""

MAX_CONTACTS = 10
MAX_DNS_NAMES = 1_000
MAX_TEXT = 500
"""Of a URL, an address, the name of a chain or a profile."""

EVERY_NAME = "*"
"""The pattern of all names."""


class SettingsError(ValueError):
    """Settings that cannot be meant; `field` is which, the message why."""

    def __init__(self, field_name: str, why: str) -> None:
        super().__init__(why)
        self.field = field_name


@dataclass(frozen=True)
class Binding:
    """An external account: its id, and the MAC key in base64url (RFC 8555 §7.3.4)."""

    kid: str
    hmac_key: str

    def __repr__(self) -> str:
        """Show no key."""
        return f"Binding(kid={self.kid!r})"


@dataclass(frozen=True)
class AcmeSettings:
    """Raises SettingsError for what cannot be.

    `contact` are mail addresses. `dns_names` are patterns of names that dns-01 proves: a name, a
    `*.example.com` for all below one, or `*`; wildcards always need it, all else has http-01.
    `dns` says how records are published, `preferred_chain` is the common name of the issuer at the
    end of a chain, `key_reuse` makes a renewal keep the key.
    """

    directory_url: str
    contact: tuple[str, ...] = ()
    terms_agreed: bool = False
    binding: Binding | None = None
    key_type: KeyType = KeyType.P256
    preferred_chain: str | None = None
    profile: str | None = None
    key_reuse: bool = False
    self_check: bool = True
    dns_names: tuple[str, ...] = ()
    dns: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        """Check each setting."""
        _check_url(self.directory_url)
        _check_contacts(self.contact)
        if self.binding is not None:
            _check_binding(self.binding)
        if self.key_type not in KEY_TYPES:
            raise SettingsError("key_type", f"use one of {', '.join(KEY_TYPES)}")
        for name in ("preferred_chain", "profile"):
            text = getattr(self, name)
            if text is not None and not _is_text(text):
                raise SettingsError(name, f"write 1 to {MAX_TEXT} printable characters")
        _check_patterns(self.dns_names)

    def challenge_for(self, name: str) -> ChallengeType:
        """Say how a name, or a wildcard, is proven."""
        if name.startswith("*.") or any(_covers(each, name) for each in self.dns_names):
            return ChallengeType.DNS
        return ChallengeType.HTTP


def directory_url(text: str) -> str:
    """Return the directory of an authority that is given by name or URL. Raises SettingsError."""
    url = DIRECTORIES.get(text.strip().lower(), text.strip())
    _check_url(url)
    return url


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        good = parts.scheme == "https" and parts.hostname and parts.port != 0
    except ValueError:
        good = False
    if not good or not _is_text(url) or parts.username or parts.fragment:
        names = ", ".join(DIRECTORIES)
        raise SettingsError(
            "directory_url", f"name an authority ({names}) or give its directory's https URL"
        )


def _check_contacts(contacts: tuple[str, ...]) -> None:
    if len(contacts) > MAX_CONTACTS:
        raise SettingsError("contact", f"at most {MAX_CONTACTS} addresses are kept")
    for address in contacts:
        local, at, host = address.rpartition("@")
        if not (local and at and host) or not _is_text(address) or set(address) & set(" ?,&<>"):
            raise SettingsError("contact", "give plain mail addresses, as in admin@example.com")


def _check_binding(binding: Binding) -> None:
    if not _is_text(binding.kid):
        raise SettingsError("eab_kid", "give the key identifier that the authority gave you")
    padded = binding.hmac_key + "=" * (-len(binding.hmac_key) % 4)
    try:
        key = base64.b64decode(padded, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not key or len(binding.hmac_key) > MAX_TEXT:
        raise SettingsError("eab_hmac_key", "give the MAC key in base64url, as the authority did")


def _check_patterns(patterns: tuple[str, ...]) -> None:
    if len(patterns) > MAX_DNS_NAMES:
        raise SettingsError("dns_names", f"at most {MAX_DNS_NAMES} patterns are kept")
    for pattern in patterns:
        if pattern == EVERY_NAME:
            continue
        try:
            spelled = dns_name(pattern.removeprefix("*."))
        except DnsNameError as error:
            raise SettingsError("dns_names", str(error)) from error
        if pattern.removeprefix("*.") != spelled:
            raise SettingsError("dns_names", f"write {pattern} as {spelled}")


def _covers(pattern: str, name: str) -> bool:
    if pattern == EVERY_NAME:
        return True
    return name.endswith(pattern[1:]) if pattern.startswith("*.") else name == pattern


def _is_text(text: str) -> bool:
    return 0 < len(text) <= MAX_TEXT and text.isprintable()
