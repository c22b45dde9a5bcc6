"""The authority that certificates come from: chosen in a form, looked at, and put to use."""

import re
from html import unescape

import pytest

from tests.web.authority import (
    ACCOUNT,
    FORM,
    MAC_KEY,
    OWN,
    PAGE,
    PROVIDER,
    SECRETS,
    TOKEN,
    TSIG_SECRET,
    UPDATES,
    fields_of,
    have,
    look,
    store,
    stored,
)
from tests.web.scenery import ALICE, BOUND, VICTOR, Service
from tests.web.visitor import signed_in
from trust.acme.settings import DIRECTORIES, AcmeSettings, Binding


async def test_the_empty_page_says_what_an_authority_is_and_begins_with_staging(
    service: Service,
) -> None:
    visitor = await signed_in(service, ALICE)

    text = (await visitor.get(PAGE)).text

    assert "No authority is chosen yet" in text
    assert '<option value="letsencrypt-staging" selected>' in text
    assert 'id="self_check" name="self_check" value="yes" checked' in text


async def test_nothing_is_changed_before_it_is_confirmed(service: Service) -> None:
    visitor = await signed_in(service, ALICE)

    seen = await look(visitor)

    assert "Is this what you mean?" in seen.text
    assert "You agree to the terms of service" in seen.text
    assert stored(service) is None


async def test_a_form_that_is_confirmed_is_stored_as_the_api_stores_it(service: Service) -> None:
    visitor = await signed_in(service, ALICE)

    done = await store(visitor, **ACCOUNT, **UPDATES, profile="shortlived", key_reuse="yes")

    assert (done.status, done.location) == (303, PAGE)
    assert stored(service) == AcmeSettings(
        directory_url=DIRECTORIES["letsencrypt"],
        contact=("noc@example.com", "admin@example.com"),
        terms_agreed=True,
        binding=Binding("kid-1", MAC_KEY),
        profile="shortlived",
        key_reuse=True,
        dns_names=("*.internal.example.com",),
        dns={
            "type": "rfc2136",
            "server": "192.0.2.53",
            "port": 53,
            "key_name": "acme",
            "key_algorithm": "hmac-sha256",
            "key_secret": TSIG_SECRET,
            "zone": None,
            "ttl": 120,
            "propagation_seconds": 120,
            "resolvers": ["192.0.2.1", "192.0.2.2:5353"],
            "nameservers": [],
            "delegate": True,
        },
    )


@pytest.mark.parametrize("more", [ACCOUNT, UPDATES, PROVIDER], ids=["eab", "rfc2136", "provider"])
async def test_no_secret_is_in_any_page(service: Service, more: dict[str, str]) -> None:
    visitor = await signed_in(service, ALICE)

    looked = await look(visitor, **more)
    mended = await visitor.post(PAGE, {**fields_of(looked), "step": "mend"})
    wrong = await look(visitor, **more, contact="no address")
    await store(visitor, **more)
    after = await visitor.get(PAGE)
    audit = await visitor.get("/admin/audit")

    assert (looked.status, mended.status, wrong.status) == (200, 200, 422)
    for seen in (looked, mended, wrong, after, audit):
        assert not any(secret in unescape(seen.text) for secret in SECRETS)
    assert "Kept for you, encrypted" in mended.text
    assert "Kept for you, encrypted" in wrong.text


@pytest.mark.parametrize("more", [ACCOUNT, UPDATES, PROVIDER], ids=["eab", "rfc2136", "provider"])
async def test_secrets_that_are_left_empty_stay_as_they_are(
    service: Service, more: dict[str, str]
) -> None:
    visitor = await signed_in(service, ALICE)
    await store(visitor, **more)
    before = stored(service)
    shown = (await visitor.get(PAGE)).text
    emptied = {**more, "eab_hmac_key": "", "dns_key_secret": ""}
    if "dns_options" in more:
        assert "auth_token = ********" in shown
        emptied["dns_options"] = "auth_token =\r\nzone_id = 0123"

    done = await store(visitor, **emptied, dns_ttl="300")

    after = stored(service)
    assert done.status == 303
    assert before is not None
    assert after is not None
    assert after.binding == before.binding
    for name in ("key_secret", "options"):
        assert after.dns.get(name) == before.dns.get(name)
    assert after.dns.get("ttl") == (300 if after.dns else None)


async def test_a_secret_typed_before_a_mistake_need_not_be_typed_again(service: Service) -> None:
    visitor = await signed_in(service, ALICE)

    wrong = await look(visitor, **ACCOUNT, **PROVIDER, contact="no address")
    kept = fields_of(wrong)["kept"]
    seen = await look(
        visitor,
        kept=kept,
        eab_kid="kid-1",
        **{**PROVIDER, "dns_options": "auth_token = ********\r\nzone_id = 0123"},
    )
    await visitor.post(PAGE, {**fields_of(seen), "step": "store"})

    after = stored(service)
    assert after is not None
    assert after.binding == Binding("kid-1", MAC_KEY)
    assert after.dns["options"] == {"auth_token": TOKEN, "zone_id": "0123"}


async def test_a_box_of_secrets_is_of_no_use_to_another_session(service: Service) -> None:
    alice, other = await signed_in(service, ALICE), await signed_in(service, ALICE)
    kept = fields_of(await look(alice, **ACCOUNT, contact="no address"))["kept"]

    seen = await look(other, kept=kept, eab_kid="kid-1")

    assert seen.status == 422
    assert "Give the MAC key that belongs to this key id." in seen.text


async def test_another_authority_means_another_account_and_says_so(service: Service) -> None:
    visitor = await signed_in(service, ALICE)
    await store(visitor, profile="shortlived")

    seen = await look(visitor, authority="other", directory_url=OWN, profile="shortlived")

    text = unescape(seen.text)
    assert "Another account" in text
    assert "The first order makes one there." in text
    assert "1 certificate will come from there" in text
    assert "The profile may be unknown there" in text
    assert "You agree to the terms of service" in text
    assert "ca.internal.example" in text


async def test_the_mac_key_of_one_authority_is_not_used_at_another(service: Service) -> None:
    visitor = await signed_in(service, ALICE)
    await store(visitor, **ACCOUNT)

    seen = await look(visitor, authority="other", directory_url=OWN, eab_kid="kid-1")

    assert seen.status == 422
    assert "belongs to the authority so far" in seen.text


async def test_without_the_terms_it_is_said_that_nothing_is_ordered(service: Service) -> None:
    visitor = await signed_in(service, ALICE)

    seen = await look(visitor, terms_agreed="")

    assert "Nothing is ordered" in seen.text
    assert "not agreed to" in seen.text


async def test_what_goes_is_said_too(service: Service) -> None:
    visitor = await signed_in(service, ALICE)
    await store(visitor, **ACCOUNT, **UPDATES)

    seen = await look(visitor, self_check="", dns_names="*.internal.example.com")

    text = unescape(seen.text)
    assert "Wildcards are not renewed any more" in text
    assert "Names cannot be proven" in text
    assert "Mistakes reach the authority" in text
    assert re.search(r"External account</th><td[^>]*>kid-1</td><td[^>]*>none</td>", text)


async def test_a_new_secret_is_told_of_as_such(service: Service) -> None:
    visitor = await signed_in(service, ALICE)
    await store(visitor, **ACCOUNT)

    seen = await look(visitor, eab_kid="kid-1", eab_hmac_key="YW5vdGhlcg")

    assert "MAC key of the external account" in seen.text
    assert "another one, not shown" in seen.text
    assert "Contact" not in seen.text


async def test_what_another_admin_changed_meanwhile_is_not_overwritten_unseen(
    service: Service,
) -> None:
    visitor = await signed_in(service, ALICE)
    looked = await look(visitor)
    theirs = AcmeSettings(OWN, terms_agreed=True)
    await have(service, theirs)

    seen = await visitor.post(PAGE, {**fields_of(looked), "step": "store"})

    assert seen.status == 200
    assert "Somebody has changed the settings meanwhile" in seen.text
    assert stored(service) == theirs
    assert (await visitor.post(PAGE, {**fields_of(seen), "step": "store"})).status == 303


async def test_a_program_that_is_allowed_no_more_keeps_no_other_setting_from_changing(
    service: Service,
) -> None:
    visitor = await signed_in(service, ALICE)
    hook = {"type": "hook", "command": ["/usr/local/bin/gone"]}
    await have(service, AcmeSettings(DIRECTORIES["letsencrypt"], terms_agreed=True, dns=hook))

    done = await store(visitor, dns_type="hook", dns_command="/usr/local/bin/gone", profile="short")

    after = stored(service)
    assert done.status == 303
    assert after is not None
    assert (after.profile, after.dns) == ("short", hook)


async def test_a_viewer_sees_the_settings_and_no_form(service: Service) -> None:
    alice, victor = await signed_in(service, ALICE), await signed_in(service, VICTOR)
    await store(alice, **ACCOUNT, **PROVIDER)

    text = (await victor.get(PAGE)).text

    assert "kid-1" in text
    assert "set, not shown" in text
    assert f'action="{PAGE}"' not in text
    assert (await victor.post(PAGE, FORM)).status == 403


async def test_people_of_one_tenant_neither_see_nor_change_it(service: Service) -> None:
    visitor = await signed_in(service, BOUND)

    assert (await visitor.get(PAGE)).status == 403
    assert (await visitor.post(PAGE, FORM)).status == 403
    assert PAGE not in (await visitor.get("/admin/renewals")).text
