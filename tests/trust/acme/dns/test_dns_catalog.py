"""Which providers there are, and what is wrong with settings for them."""

import pytest

from trust.acme.dns.catalog import (
    NEEDED,
    NOT_OFFERED,
    filled,
    option_defaults,
    provider_names,
)
from trust.acme.dns.publishers import check_settings
from trust.acme.dns.reading import DnsSettingsError
from trust.acme.dns.settings import SHOWN_OPTIONS, ProviderSettings

Options = dict[str, str | bool]


def check(provider: str, options: Options) -> None:
    check_settings(ProviderSettings(provider=provider, options=options))


def test_well_known_providers_are_offered() -> None:
    assert {"cloudflare", "desec", "digitalocean", "gandi", "hetzner", "ovh", "powerdns"} <= set(
        provider_names()
    )


def test_what_only_stands_in_for_a_provider_is_not_offered() -> None:
    assert not set(provider_names()) & set(NOT_OFFERED)


@pytest.mark.parametrize("provider", provider_names())
def test_each_provider_with_all_its_options_passes_and_without_any_does_not(
    provider: str,
) -> None:
    known = option_defaults(provider)
    everything: Options = {
        name: True if isinstance(default, bool) else "given" for name, default in known.items()
    }

    check(provider, everything)
    with pytest.raises(DnsSettingsError, match=f"^{provider} needs .* missing$") as refused:
        check(provider, {})

    assert refused.value.field == "options"


@pytest.mark.parametrize("provider", NEEDED)
def test_what_a_provider_needs_are_options_that_it_takes(provider: str) -> None:
    known = option_defaults(provider)

    for needed in NEEDED[provider]:
        assert set(needed) <= set(known)
        check(provider, dict.fromkeys(needed, "given"))


def test_each_shown_option_belongs_to_a_provider() -> None:
    known = {name for provider in provider_names() for name in option_defaults(provider)}

    assert known >= SHOWN_OPTIONS


@pytest.mark.parametrize(
    ("provider", "options", "field", "words"),
    [
        (
            "cloudfare",
            {},
            "provider",
            "no provider is called 'cloudfare': did you mean cloudflare or cloudns?",
        ),
        ("Cloudflare", {}, "provider", "did you mean cloudflare"),
        ("../x", {}, "provider", "no provider is called '../x': known are aliyun, "),
        ("ddns", {}, "provider", 'ddns is no provider: use "type": "rfc2136"'),
        ("route53", {}, "provider", "route53 needs packages that this service does not bring"),
        ("cloudflare", {}, "options", "cloudflare needs auth_token: auth_token is missing"),
        (
            "cloudflare",
            {"auth_username": "me"},
            "options",
            "cloudflare needs auth_token: auth_token is missing",
        ),
        (
            "porkbun",
            {"auth_key": "k"},
            "options",
            "porkbun needs auth_key and auth_secret: auth_secret is missing",
        ),
        (
            "desec",
            {"auth_username": "me"},
            "options",
            "desec needs auth_token, or auth_username and auth_password: ",
        ),
        (
            "powerdns",
            {"auth_token": "t"},
            "options",
            "powerdns needs pdns_server and auth_token: pdns_server is missing",
        ),
        (
            "cloudflare",
            {"auth_tokn": "t"},
            "options.auth_tokn",
            "cloudflare has no such option, but auth_username, auth_token, zone_id",
        ),
        ("cloudflare", {"auth_token": True}, "options.auth_token", "write a text"),
        (
            "namecheap",
            {"auth_username": "u", "auth_token": "t", "auth_sandbox": "yes"},
            "options.auth_sandbox",
            "write true or false",
        ),
    ],
)
def test_what_is_wrong_with_a_provider_is_said(
    provider: str, options: Options, field: str, words: str
) -> None:
    with pytest.raises(DnsSettingsError) as refused:
        check(provider, options)

    assert refused.value.field == field
    assert words in str(refused.value)


def test_options_left_out_have_the_providers_defaults() -> None:
    options: Options = {"auth_user": "u", "auth_psw": "p", "ib_host": "h"}

    assert filled(ProviderSettings(provider="infoblox", options=options)) == {
        **options,
        "ib_view": "default",
    }
