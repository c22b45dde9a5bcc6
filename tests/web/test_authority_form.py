"""The form of the authority: what is wrong is said, and what nobody touched stays as it is."""

from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shaken.web.authority_form import AuthoritySecrets, read
from shaken.web.forms import Submitted
from tests.web.authority import (
    MAC_KEY,
    OWN,
    PAGE,
    PROVIDER,
    TOKEN,
    TSIG_SECRET,
    UPDATES,
    filled_in,
    have,
    look,
    store,
    stored,
)
from tests.web.scenery import ALICE, Service
from tests.web.visitor import signed_in
from trust.acme.dns.settings import SHOWN_OPTIONS
from trust.acme.settings import DIRECTORIES, AcmeSettings, Binding
from trust.request import KeyType


@pytest.mark.parametrize(
    ("fields", "field", "said"),
    [
        ({"authority": "other"}, "directory_url", "Give the address of the authority's directory"),
        ({"authority": "other", "directory_url": "http://x"}, "directory_url", "https URL"),
        ({"contact": "no address"}, "contact", "plain mail addresses"),
        ({"contact": "a@b.example\n" * 11}, "contact", "10"),
        ({"eab_kid": "kid"}, "eab_hmac_key", "Give the MAC key"),
        ({"eab_hmac_key": MAC_KEY}, "eab_kid", "Give the key id"),
        ({"eab_kid": "kid", "eab_hmac_key": "no base64!"}, "eab_hmac_key", "base64url"),
        ({"key_type": "p-521"}, "key_type", "offered"),
        ({"dns_names": "no name!"}, "dns_names", "no name!"),
        ({"dns_type": "provider"}, "dns_provider", "missing"),
        ({**PROVIDER, "dns_provider": "cloudfare"}, "dns_provider", "did you mean cloudflare"),
        ({**PROVIDER, "dns_options": "what = ever"}, "dns_options", "no such option"),
        ({**PROVIDER, "dns_options": "auth_token"}, "dns_options", "give the secret itself"),
        ({**PROVIDER, "dns_options": "Pasted: secret"}, "dns_options", "name = value"),
        ({**PROVIDER, "dns_ttl": "soon"}, "dns_ttl", "Write a number"),
        ({**PROVIDER, "dns_ttl": "0"}, "dns_ttl", "1"),
        ({**UPDATES, "dns_key_secret": ""}, "dns_key_secret", "Give the secret of this key"),
        ({**UPDATES, "dns_key_secret": "no base64"}, "dns_key_secret", "no base64"),
        ({**UPDATES, "dns_server": ""}, "dns_server", "missing"),
        ({**UPDATES, "dns_resolvers": "resolver"}, "dns_resolvers", "no address"),
        ({"dns_type": "hook", "dns_command": "/bin/sh"}, "dns_command", "[acme] hooks"),
        ({"dns_type": "hook", "dns_command": "sh"}, "dns_command", "whole path"),
    ],
)
async def test_what_is_wrong_is_said_at_its_field_and_what_was_typed_stays(
    service: Service, fields: dict[str, str], field: str, said: str
) -> None:
    visitor = await signed_in(service, ALICE)

    seen = await look(visitor, **{"profile": "typed-before", **fields})

    text = unescape(seen.text)
    assert seen.status == 422
    assert f'href="#{field}"' in text
    assert f'id="{field}"' in text
    assert said in text.partition('role="alert"')[2].partition("</ul>")[0]
    assert 'value="typed-before"' in text
    assert stored(service) is None


async def test_what_may_be_a_secret_without_a_name_is_not_shown_again(service: Service) -> None:
    visitor = await signed_in(service, ALICE)

    seen = await look(visitor, **{**PROVIDER, "dns_options": "Bearer s3cr3t!"})

    assert seen.status == 422
    assert "s3cr3t" not in seen.text


async def test_a_form_that_changes_nothing_says_so(service: Service) -> None:
    visitor = await signed_in(service, ALICE)
    await store(visitor, **UPDATES)

    seen = await look(visitor, **{**UPDATES, "dns_key_secret": ""})

    assert "Nothing would change" in seen.text
    assert 'value="store"' not in seen.text


@pytest.mark.parametrize(
    "settings",
    [
        AcmeSettings(OWN, ("a@example.com",), binding=Binding("kid", MAC_KEY), profile="p"),
        AcmeSettings(
            DIRECTORIES["letsencrypt"],
            terms_agreed=True,
            key_type=KeyType.RSA_4096,
            key_reuse=True,
            self_check=False,
            preferred_chain="ISRG Root X1",
            dns_names=tuple(
                f"*.n{number:03}.{'long-' * 6}name.example.com" for number in range(900)
            ),
            dns={
                "type": "rfc2136",
                "server": "192.0.2.1",
                "port": 5353,
                "key_name": "acme",
                "key_algorithm": "hmac-sha224",
                "key_secret": TSIG_SECRET,
                "zone": "example.com",
                "ttl": 60,
                "nameservers": ["192.0.2.2"],
                "delegate": False,
            },
        ),
        AcmeSettings(
            OWN,
            dns={
                "type": "provider",
                "provider": "gandi",
                "options": {"auth_token": TOKEN, "api_protocol": "rest", "auth_flag": True},
            },
        ),
        AcmeSettings(OWN, dns={"type": "hook", "command": ["/bin/hook", "--zone", "x"]}),
    ],
    ids=["eab", "rfc2136", "provider", "hook"],
)
async def test_a_form_that_is_sent_as_it_came_changes_nothing(
    service: Service, settings: AcmeSettings
) -> None:
    visitor = await signed_in(service, ALICE)
    await have(service, settings)

    sent = filled_in(await visitor.get(PAGE))
    seen = await visitor.post(PAGE, {**sent, "step": "look"})

    assert seen.status == 200, unescape(seen.text)
    assert "Nothing would change" in seen.text


@given(
    st.from_regex(r"[a-z0-9_]{1,20}", fullmatch=True).filter(
        lambda name: name not in SHOWN_OPTIONS
    ),
    st.from_regex(r"\S{6,40}", fullmatch=True),
    st.sampled_from(["=", " = ", " ="]),
)
def test_no_value_of_a_secret_option_stays_in_the_field(
    name: str, value: str, between: str
) -> None:
    form = Submitted((("dns_options", f"zone_id = 1\r\n{name}{between}{value}"),))

    typed, secrets = read(form, AuthoritySecrets(), now=0)

    assert typed["dns_options"] == f"zone_id = 1\n{name} = ********"
    assert secrets.options == {name: value}
    assert value not in repr(secrets)
