"""Settings from a JSON object, or what to mend.

Whether a provider exists and a program can be run is looked at by `trust.acme.dns.publishers`.
"""

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from ipaddress import ip_address

import msgspec

from trust.acme.dns.names import record_name
from trust.acme.dns.settings import (
    DNS_PORT,
    HIDDEN,
    TYPES,
    DnsSettings,
    HookSettings,
    ProviderSettings,
    Rfc2136Settings,
    document_of,
)
from trust.acme.lookup import Nameserver
from trust.names import dns_name

_PORT = re.compile(r"[0-9]{1,5}")
_AT = " - at `$"
_AT_KEY = " - at `key` in `$"
_QUOTING = {
    "Object contains unknown field": "there is no such setting",
    "Object missing required field": "this is missing",
}
"""How msgspec begins to speak of a field that it names, and what is said instead."""

_MAX_SHOWN = 64


class DnsSettingsError(ValueError):
    """Settings that cannot be meant; `field` is which, the message what to do."""

    def __init__(self, field: str, why: str) -> None:
        super().__init__(why)
        self.field = field


def read_dns_settings(document: Mapping[str, object]) -> DnsSettings:
    """Read settings. Raises DnsSettingsError."""
    try:
        settings: DnsSettings = msgspec.convert(document, DnsSettings)
    except msgspec.ValidationError as error:
        raise _from_validation(str(error)) from error
    _check_characters(settings)
    for field in ("resolvers", "nameservers"):
        for text in getattr(settings, field):
            _check(field, read_nameserver, text)
    match settings:
        case ProviderSettings():
            _check_provider(settings)
        case Rfc2136Settings():
            _check_rfc2136(settings)
        case HookSettings():
            _check_hook(settings)
    return settings


def read_nameserver(text: str) -> Nameserver:
    """Read `192.0.2.1`, `192.0.2.1:5353`, `2001:db8::1` or `[2001:db8::1]:5353`.

    Raises ValueError with what is expected.
    """
    host, port = text, str(DNS_PORT)
    if text.startswith("["):
        host, _, port = text[1:].partition("]:")
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    try:
        address = ip_address(host)
    except ValueError:
        address = None
    bracketed = text.startswith("[")
    if (
        address is None
        or (bracketed and address.version == 4)
        or not _PORT.fullmatch(port)
        or not 0 < int(port) < 65_536
    ):
        raise ValueError(
            f"{text[:_MAX_SHOWN]!a} is no address of a name server, as in 192.0.2.1,"
            " 192.0.2.1:5353 or [2001:db8::1]:5353"
        )
    return str(address), int(port)


def _check_characters(settings: DnsSettings) -> None:
    """Refuse halves of characters, which a JSON escape can spell and nothing can be told."""
    for field, value in document_of(settings).items():
        try:
            msgspec.json.encode(value)
        except UnicodeEncodeError as error:
            raise DnsSettingsError(field, "this holds what is no character") from error


def _check_provider(settings: ProviderSettings) -> None:
    for name, value in settings.options.items():
        if value == HIDDEN:
            raise DnsSettingsError(f"options.{name}", "this is hidden: give the secret itself")
    _check_zone(settings.zone)


def _check_rfc2136(settings: Rfc2136Settings) -> None:
    _check("server", _host, settings.server)
    _check("key_name", record_name, settings.key_name)
    try:
        secret = base64.b64decode(settings.key_secret, validate=True)
    except (binascii.Error, ValueError):
        secret = b""
    if not secret:
        raise DnsSettingsError(
            "key_secret", "this is no base64: give the secret as it stands in the key's file"
        )
    _check_zone(settings.zone)


def _check_hook(settings: HookSettings) -> None:
    if not settings.command[0].startswith("/"):
        raise DnsSettingsError("command", "begin with the whole path of a program, from / on")
    if any("\0" in argument for argument in settings.command):
        raise DnsSettingsError("command", "an argument of a program holds no zero byte")


def _check_zone(zone: str | None) -> None:
    if zone is not None:
        _check("zone", record_name, zone)


def _host(text: str) -> None:
    try:
        ip_address(text)
    except ValueError:
        dns_name(text)


def _check(field: str, read: Callable[[str], object], text: str) -> None:
    try:
        read(text)
    except ValueError as error:
        raise DnsSettingsError(field, str(error)) from error


def _from_validation(words: str) -> DnsSettingsError:
    """Turn msgspec's words (`Expected …  - at `$.a`` ) into an error."""
    text, marker, path = words.rpartition(_AT)
    if not marker:
        text, _, path = words.partition(_AT_KEY)
    where = path.rstrip("`").removeprefix(".")
    if where == "type":
        return DnsSettingsError(where, f"write one of {', '.join(TYPES)}")
    for sentence, said in _QUOTING.items():
        if text.startswith(sentence):
            named = text.removeprefix(sentence)[2:-1][:_MAX_SHOWN]
            return DnsSettingsError(f"{where}.{named}" if where else named, said)
    return DnsSettingsError(where, text.replace("`", "'"))
