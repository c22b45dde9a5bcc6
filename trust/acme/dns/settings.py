"""How records are published: plain data. Read by `trust.acme.dns.reading`.

An API shows settings as `redacted`, takes them back as `restored` with the secrets it did not
show, and keeps them sealed, as they hold passwords.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta

HIDDEN = "********"
"""Stands where a secret is."""

DNS_PORT = 53

SHOWN_OPTIONS = frozenset(
    {
        "api_protocol",
        "auth_client_ip",
        "auth_entrypoint",
        "auth_key_is_global",
        "auth_region",
        "auth_sandbox",
        "auth_server",
        "auth_user",
        "auth_username",
        "cloud_id",
        "dns_zone_id",
        "endpoint",
        "folder_id",
        "ib_host",
        "ib_view",
        "pdns_disable_notify",
        "pdns_server",
        "pdns_server_id",
        "plesk_server",
        "port",
        "private_zone",
        "resource_group",
        "sleep_time",
        "weight",
        "zone_id",
    }
)
"""Options of providers that are no secret. One that is not listed counts as a secret."""

Text = Annotated[str, Meta(min_length=1, max_length=500)]
OptionName = Annotated[str, Meta(pattern=r"^[a-z0-9_]{1,64}$(?!\n)")]
OptionText = Annotated[str, Meta(min_length=1, max_length=16_384)]
"""Of an option; the longest are private keys and service accounts, in base64."""

Argument = Annotated[str, Meta(max_length=4096)]

Algorithm = Literal["hmac-sha1", "hmac-sha224", "hmac-sha256", "hmac-sha384", "hmac-sha512"]
"""Of TSIG (RFC 8945 §6)."""


class Common(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What holds however records are published.

    `ttl` is in seconds. All name servers must have the records within `propagation_seconds`.
    `resolvers` are asked in place of the machine's own, `nameservers` must have the records in
    place of those that the zone names: addresses, with a port if it is not 53. `delegate` says
    whether an alias (CNAME) of the record's name is followed.
    """

    ttl: Annotated[int, Meta(ge=1, le=86_400)] = 120
    propagation_seconds: Annotated[int, Meta(ge=1, le=3600)] = 120
    resolvers: Annotated[tuple[Text, ...], Meta(max_length=8)] = ()
    nameservers: Annotated[tuple[Text, ...], Meta(max_length=16)] = ()
    delegate: bool = True


class ProviderSettings(
    Common,
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    tag_field="type",
    tag="provider",
):
    """The API of a DNS provider. `zone` is looked up where it is not given."""

    provider: Text
    options: Annotated[dict[OptionName, OptionText | bool], Meta(max_length=32)] = {}
    zone: Text | None = None

    def __repr__(self) -> str:
        """Show no secret."""
        return f"ProviderSettings({self.provider!r})"


class Rfc2136Settings(
    Common, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="type", tag="rfc2136"
):
    """Dynamic updates (RFC 2136), signed by TSIG (RFC 8945).

    `server` is the address or the name of the primary, `key_secret` is base64. `zone` is looked up
    where it is not given.
    """

    server: Text
    port: Annotated[int, Meta(ge=1, le=65_535)] = DNS_PORT
    key_name: Text
    key_algorithm: Algorithm = "hmac-sha256"
    key_secret: Text
    zone: Text | None = None

    def __repr__(self) -> str:
        """Show no secret."""
        return f"Rfc2136Settings({self.server!r}, key_name={self.key_name!r})"


class HookSettings(
    Common, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="type", tag="hook"
):
    """A program of the machine, called as `… publish NAME VALUE` and `… withdraw NAME VALUE`.

    Its arguments are shown; what it keeps secret is in a file of its own.
    """

    command: Annotated[tuple[Argument, ...], Meta(min_length=1, max_length=32)]


DnsSettings: TypeAlias = ProviderSettings | Rfc2136Settings | HookSettings

TYPES = ("provider", "rfc2136", "hook")


def document_of(settings: DnsSettings) -> dict[str, Any]:
    """Return settings as a JSON object, secrets included."""
    document: dict[str, Any] = msgspec.to_builtins(settings)
    return document


def redacted(settings: DnsSettings) -> dict[str, Any]:
    """Return settings as a JSON object for anybody to see: HIDDEN stands where a secret is."""
    document = document_of(settings)
    match settings:
        case ProviderSettings():
            document["options"] = {
                name: HIDDEN if is_secret(name, value) else value
                for name, value in settings.options.items()
            }
        case Rfc2136Settings():
            document["key_secret"] = HIDDEN
        case HookSettings():
            pass
    return document


def restored(document: Mapping[str, object], *, former: DnsSettings) -> dict[str, object]:
    """Put the secrets of former settings where a JSON object has HIDDEN.

    Only if they are for the same: a provider's with all that is shown of its options unchanged,
    since those may say where the secrets are sent to; a key's of the same name. What stays hidden
    is refused by `read_dns_settings`.
    """
    given = dict(document)
    kept = document_of(former)
    if given.get("type") != kept["type"]:
        return given
    match former:
        case Rfc2136Settings():
            if given.get("key_secret") == HIDDEN and given.get("key_name") == former.key_name:
                given["key_secret"] = former.key_secret
        case ProviderSettings():
            given["options"] = _restored_options(given, former)
        case HookSettings():
            pass
    return given


def is_secret(name: str, value: str | bool) -> bool:  # noqa: FBT001 - an option's own value
    """Say whether an option of a provider is hidden: also a URL with a password in it."""
    return name not in SHOWN_OPTIONS or (isinstance(value, str) and "://" in value and "@" in value)


def _restored_options(given: Mapping[str, object], former: ProviderSettings) -> object:
    options = given.get("options", {})
    if given.get("provider") != former.provider or not isinstance(options, Mapping):
        return options
    shown = {name: value for name, value in options.items() if name in SHOWN_OPTIONS}
    was_shown = {
        name: HIDDEN if is_secret(name, value) else value
        for name, value in former.options.items()
        if name in SHOWN_OPTIONS
    }
    if shown != was_shown:
        return options
    return {
        name: former.options.get(name, value) if value == HIDDEN else value
        for name, value in options.items()
    }
