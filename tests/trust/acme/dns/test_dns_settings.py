"""Settings of the publication of records: read from JSON, written to it, shown without secrets."""

import json
from contextlib import suppress
from ipaddress import ip_address
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trust.acme.dns.reading import DnsSettingsError, read_dns_settings, read_nameserver
from trust.acme.dns.settings import (
    HIDDEN,
    SHOWN_OPTIONS,
    DnsSettings,
    HookSettings,
    ProviderSettings,
    Rfc2136Settings,
    document_of,
    redacted,
    restored,
)

PROVIDER = {"type": "provider", "provider": "cloudflare", "options": {"auth_token": "t0p-secret"}}
RFC2136 = {"type": "rfc2136", "server": "192.0.2.1", "key_name": "k", "key_secret": "c2VjcmV0"}
HOOK = {"type": "hook", "command": ["/usr/local/bin/dns", "--quietly"]}

names = st.from_regex(r"[a-z]{1,8}(\.[a-z]{1,8}){0,2}", fullmatch=True)
common = {
    "ttl": st.integers(1, 86_400),
    "propagation_seconds": st.integers(1, 3600),
    "resolvers": st.lists(st.ip_addresses().map(str), max_size=3).map(tuple),
    "nameservers": st.just(("192.0.2.1:5353",)) | st.just(()),
    "delegate": st.booleans(),
}
every_kind: st.SearchStrategy[DnsSettings] = st.one_of(
    st.builds(
        ProviderSettings,
        provider=names,
        options=st.dictionaries(
            st.sampled_from(["auth_token", "pdns_server", "zone_id"]),
            st.text(st.characters(codec="utf-8"), min_size=8, max_size=20) | st.booleans(),
        ),
        zone=st.none() | names,
        **common,
    ),
    st.builds(
        Rfc2136Settings,
        server=st.ip_addresses().map(str) | names,
        port=st.integers(1, 65_535),
        key_name=names,
        key_algorithm=st.sampled_from(["hmac-sha1", "hmac-sha256", "hmac-sha512"]),
        key_secret=st.just("c2VjcmV0"),
        zone=st.none() | names,
        **common,
    ),
    st.builds(
        HookSettings,
        command=st.lists(
            st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=9), max_size=3
        ).map(lambda arguments: ("/bin/true", *arguments)),
        **common,
    ),
)


@given(every_kind)
def test_settings_that_are_written_as_json_are_read_again(settings: DnsSettings) -> None:
    written = json.loads(msgspec.json.encode(document_of(settings)))

    assert read_dns_settings(written) == settings


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
fields = st.sampled_from(
    [
        "type",
        "provider",
        "options",
        "zone",
        "server",
        "port",
        "key_name",
        "key_secret",
        "key_algorithm",
        "command",
        "ttl",
        "resolvers",
        "nameservers",
        "delegate",
        "propagation_seconds",
    ]
)


@given(
    st.sampled_from([{}, PROVIDER, RFC2136, HOOK]),
    st.dictionaries(fields | st.text(), json_values, max_size=4),
)
def test_whatever_is_no_settings_is_refused(good: dict[str, Any], changes: dict[str, Any]) -> None:
    with suppress(DnsSettingsError):
        assert document_of(read_dns_settings(good | changes))


@pytest.mark.parametrize(
    ("document", "field", "words"),
    [
        ({}, "type", "this is missing"),
        ({"type": "bind"}, "type", "write one of provider, rfc2136, hook"),
        ({"type": 1}, "type", "write one of provider, rfc2136, hook"),
        ({"type": "hook"}, "command", "this is missing"),
        ({**HOOK, "tll": 60}, "tll", "there is no such setting"),
        ({**HOOK, "key_name": "k"}, "key_name", "there is no such setting"),
        ({**HOOK, "ttl": 0}, "ttl", "Expected 'int' >= 1"),
        ({**HOOK, "ttl": 86_401}, "ttl", "Expected 'int' <= 86400"),
        ({**HOOK, "propagation_seconds": 3601}, "propagation_seconds", "Expected 'int' <= 3600"),
        ({**HOOK, "resolvers": ["192.0.2.1"] * 9}, "resolvers", "of length <= 8"),
        ({**HOOK, "resolvers": ["dns.example"]}, "resolvers", "no address of a name server"),
        ({**HOOK, "nameservers": ["192.0.2.1:0"]}, "nameservers", "no address of a name server"),
        ({**HOOK, "command": []}, "command", "of length >= 1"),
        ({**HOOK, "command": ["/dns", "\ud800"]}, "command", "no character"),
        ({**PROVIDER, "options": {"auth_token": "\ud800"}}, "options", "no character"),
        ({**HOOK, "command": ["dns"]}, "command", "begin with the whole path"),
        ({**HOOK, "command": ["/dns", "\0"]}, "command", "no zero byte"),
        ({**RFC2136, "server": "a b"}, "server", "not a DNS name: 'a b'"),
        ({**RFC2136, "port": 65_536}, "port", "Expected 'int' <= 65535"),
        ({**RFC2136, "key_name": "k/2"}, "key_name", "not a name of letters"),
        (
            {**RFC2136, "key_algorithm": "hmac-md5"},
            "key_algorithm",
            "Invalid enum value 'hmac-md5'",
        ),
        ({**RFC2136, "key_secret": "c2VjcmV0!"}, "key_secret", "this is no base64"),
        ({**RFC2136, "key_secret": "ö"}, "key_secret", "this is no base64"),
        ({**RFC2136, "key_secret": HIDDEN}, "key_secret", "this is no base64"),
        ({**RFC2136, "zone": "a..b"}, "zone", "not a name of letters"),
        ({**PROVIDER, "zone": "*.example.com"}, "zone", "not a name of letters"),
        ({**PROVIDER, "options": {"auth_token": HIDDEN}}, "options.auth_token", "this is hidden"),
        ({**PROVIDER, "options": {"auth_token": 7}}, "options[...]", "Expected 'bool | str'"),
        ({**PROVIDER, "options": {"Auth-Token": "t"}}, "options", "Expected 'str' matching"),
    ],
)
def test_what_is_wrong_with_settings_is_said_of_the_field(
    document: dict[str, Any], field: str, words: str
) -> None:
    with pytest.raises(DnsSettingsError) as refused:
        read_dns_settings(document)

    assert refused.value.field == field
    assert words in str(refused.value)


@pytest.mark.parametrize("document", [PROVIDER, RFC2136])
def test_secrets_are_in_no_text_that_is_shown(document: dict[str, Any]) -> None:
    settings = read_dns_settings(document)

    shown = f"{redacted(settings)} {settings!r} {settings}"

    assert "t0p-secret" not in shown
    assert "c2VjcmV0" not in shown


def test_an_option_with_an_unknown_name_counts_as_a_secret() -> None:
    options: dict[str, str | bool] = {"zone_id": "z1", "new_option": "who knows"}

    shown = redacted(ProviderSettings(provider="x", options=options))

    assert shown["options"] == {"zone_id": "z1", "new_option": HIDDEN}


def test_a_url_with_a_password_counts_as_a_secret() -> None:
    options: dict[str, str | bool] = {"pdns_server": "http://me:word@192.0.2.1"}

    shown = redacted(ProviderSettings(provider="powerdns", options=options))

    assert shown["options"] == {"pdns_server": HIDDEN}


@pytest.mark.parametrize("document", [PROVIDER, RFC2136, HOOK])
def test_settings_that_are_sent_back_as_they_were_shown_keep_their_secrets(
    document: dict[str, Any],
) -> None:
    settings = read_dns_settings(document)

    sent_back = json.loads(msgspec.json.encode(redacted(settings) | {"ttl": 300}))

    assert document_of(read_dns_settings(restored(sent_back, former=settings))) == (
        document_of(settings) | {"ttl": 300}
    )


POWERDNS = {
    "type": "provider",
    "provider": "powerdns",
    "options": {"auth_token": "t0p-secret", "pdns_server": "https://dns.example"},
}


@pytest.mark.parametrize(
    ("former", "sent"),
    [
        (PROVIDER, {**PROVIDER, "provider": "gandi", "options": {"auth_token": HIDDEN}}),
        (PROVIDER, {**PROVIDER, "options": {"auth_token": HIDDEN, "zone_id": "z2"}}),
        (
            POWERDNS,
            {**POWERDNS, "options": {"auth_token": HIDDEN, "pdns_server": "https://evil.example"}},
        ),
        (RFC2136, {**RFC2136, "key_name": "k2", "key_secret": HIDDEN}),
        (HOOK, {**RFC2136, "key_secret": HIDDEN}),
        (PROVIDER, {**PROVIDER, "options": {"auth_key": HIDDEN}}),
        (PROVIDER, {**PROVIDER, "options": [HIDDEN]}),
    ],
)
def test_secrets_are_not_put_into_settings_for_somebody_else(
    former: dict[str, Any], sent: dict[str, Any]
) -> None:
    document = restored(sent, former=read_dns_settings(former))

    assert "t0p-secret" not in str(document)
    with pytest.raises(DnsSettingsError):
        read_dns_settings(document)


def test_the_shown_options_have_no_name_of_a_secret() -> None:
    suspicious = ("token", "secret", "pass", "psw", "api_key", "2fa", "totp")

    assert not [name for name in SHOWN_OPTIONS for word in suspicious if word in name]


@pytest.mark.parametrize(
    ("text", "nameserver"),
    [
        ("192.0.2.1", ("192.0.2.1", 53)),
        ("192.0.2.1:5353", ("192.0.2.1", 5353)),
        ("2001:DB8::1", ("2001:db8::1", 53)),
        ("[2001:db8::1]:65535", ("2001:db8::1", 65_535)),
    ],
)
def test_a_name_server_is_read_with_or_without_a_port(
    text: str, nameserver: tuple[str, int]
) -> None:
    assert read_nameserver(text) == nameserver


@pytest.mark.parametrize(
    "text",
    [
        "",
        "localhost",
        "192.0.2",
        "192.0.2.1:",
        "192.0.2.1:65536",
        "192.0.2.1:-1",
        "192.0.2.1:\u0665",
        "[192.0.2.1]:53",
        "[::1]",
        "[::1",
        "::1]:53",
        "[::1]:",
        "192.0.2.1:53:53",
        " 192.0.2.1",
    ],
)
def test_what_is_no_name_server_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no address of a name server"):
        read_nameserver(text)


@given(st.ip_addresses(), st.integers(1, 65_535))
def test_every_address_with_every_port_is_read(address: Any, port: int) -> None:
    text = f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"

    assert read_nameserver(text) == (str(address), port)


@given(st.text(st.sampled_from("0123456789abcdef.:[]% ")))
def test_any_text_is_a_name_server_or_refused(text: str) -> None:
    with suppress(ValueError):
        address, port = read_nameserver(text)
        assert ip_address(address)
        assert 0 < port < 65_536
