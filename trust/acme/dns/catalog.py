"""The providers that lexicon knows, and which options each takes and needs.

lexicon says which options there are, as arguments of its command line, but not which are needed:
that stands here. What is not listed needs all that it calls `auth_…`.
"""

import argparse
from collections.abc import Iterable, Mapping
from difflib import get_close_matches

from lexicon._private.discovery import find_providers, load_provider_module

from trust.acme.dns.reading import DnsSettingsError
from trust.acme.dns.settings import ProviderSettings

NOT_OFFERED = {
    "auto": "name the provider itself",
    "ddns": 'use "type": "rfc2136"',
    "localzone": 'it edits a file: use "type": "hook"',
}
"""Of lexicon's own, what stands in for a provider, and what to do instead."""

_LOGIN = ("auth_username", "auth_password")

NEEDED: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "azure": (
        (
            "auth_client_id",
            "auth_client_secret",
            "auth_tenant_id",
            "auth_subscription_id",
            "resource_group",
        ),
    ),
    "cloudflare": (("auth_token",),),
    "cloudns": (
        ("auth_id", "auth_password"),
        ("auth_subid", "auth_password"),
        ("auth_subuser", "auth_password"),
    ),
    "conoha": (("auth_token",), (*_LOGIN, "auth_tenant_id")),
    "desec": (("auth_token",), _LOGIN),
    "directadmin": ((*_LOGIN, "endpoint"),),
    "dnsimple": (("auth_token",), _LOGIN),
    "infoblox": (("auth_user", "auth_psw", "ib_host"),),
    "ionos": (("api_key",),),
    "mythicbeasts": (("auth_token",), _LOGIN),
    "namecheap": (("auth_username", "auth_token"),),
    "plesk": ((*_LOGIN, "plesk_server"),),
    "powerdns": (("pdns_server", "auth_token"),),
    "rackspace": (("auth_account", "auth_token"), ("auth_username", "auth_api_key")),
    "transip": (("auth_username", "auth_api_key"),),
    "ultradns": (("auth_token",), _LOGIN),
    "zonomi": (("auth_token",),),
}
"""Sets of options of which one must be given."""


def provider_names() -> tuple[str, ...]:
    """Return the providers that can be used here."""
    return tuple(
        name
        for name, available in find_providers().items()
        if available and name not in NOT_OFFERED
    )


def option_defaults(provider: str) -> dict[str, object]:
    """Return all options of a provider with their defaults, None: no default; flags are bool."""
    parser = argparse.ArgumentParser(add_help=False)
    load_provider_module(provider).Provider.configure_parser(parser)
    return vars(parser.parse_args([]))


def check_provider(settings: ProviderSettings) -> None:
    """Look whether a provider is known and has the options it needs. Raises DnsSettingsError."""
    _check_known(settings.provider)
    known = option_defaults(settings.provider)
    for name, value in settings.options.items():
        where = f"options.{name}"
        if name not in known:
            raise DnsSettingsError(
                where, f"{settings.provider} has no such option, but {', '.join(known)}"
            )
        if isinstance(value, bool) != isinstance(known[name], bool):
            wanted = "true or false" if isinstance(known[name], bool) else "a text"
            raise DnsSettingsError(where, f"write {wanted}")
    _check_complete(settings.provider, settings.options, known)


def filled(settings: ProviderSettings) -> dict[str, object]:
    """Return the options with the provider's defaults for those left out."""
    defaults = option_defaults(settings.provider)
    return {name: value for name, value in defaults.items() if value is not None} | dict(
        settings.options
    )


def _check_known(provider: str) -> None:
    names = provider_names()
    if provider in names:
        return
    if provider in NOT_OFFERED:
        raise DnsSettingsError("provider", f"{provider} is no provider: {NOT_OFFERED[provider]}")
    if provider in find_providers():
        raise DnsSettingsError(
            "provider",
            f"{provider} needs packages that this service does not bring: publish by a hook,"
            " or delegate _acme-challenge by a CNAME to a zone elsewhere",
        )
    close = get_close_matches(provider.lower(), names)
    known = f"did you mean {' or '.join(close)}?" if close else f"known are {', '.join(names)}"
    raise DnsSettingsError("provider", f"no provider is called {provider[:64]!a}: {known}")


def _check_complete(provider: str, given: Iterable[str], known: Mapping[str, object]) -> None:
    everything = tuple(name for name in known if name.startswith("auth_"))
    sets = NEEDED.get(provider, (everything,))
    missing = [set(needed).difference(given) for needed in sets]
    if all(missing):
        wanted = ", or ".join(" and ".join(needed) for needed in sets)
        nearest = min(missing, key=len)
        raise DnsSettingsError(
            "options", f"{provider} needs {wanted}: {' and '.join(sorted(nearest))} is missing"
        )
