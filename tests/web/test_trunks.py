"""Trunks on pages: each setting is shown in words and kept, errors keep what was typed."""

import re
from html import unescape

import msgspec
import pytest

from shaken.audit import Action, AuditedChange
from shaken.credentials import Credential, Role, digest_of, new_secret
from shaken.facts import trunk_record
from shaken.redirection import Redirection
from shaken.store.credentials import add_credential
from shaken.tenants import Trunk
from shaken.web.trunk_settings import SETTINGS
from tests.web.scenery import ACME, ALICE, BOUND, GLOBEX, VICTOR, Service
from tests.web.visitor import signed_in

LIST, NEW = "/admin/trunks", "/admin/new/trunk"
ONE, EDIT = f"{LIST}/main", f"{LIST}/main/edit"
FORM = {
    "attest": "B",
    "foreign_attest": "B",
    "direction": "auto",
    "answer": "both",
    "verification.anonymous": "accept",
    "verification.stale": "flag",
    "verification.unreachable": "flag",
    "verification.unfit": "flag",
    "verification.invalid": "reject",
    "verification.freshness": "30",
    "sip.status": "302",
    "sip.form": "headers",
    "sip.origin": "asserted",
    "sip.destination": "to",
    "sip.verstat": "number",
}
SIP = {
    "sip.sources": "192.0.2.0/24\n2001:db8::/32",
    "sip.by_host": "yes",
    "sip.status": "300",
    "sip.form": "contact",
    "sip.origin": "from",
    "sip.destination": "request-uri",
    "sip.contact": "carrier.example.com:5060",
    "sip.divert": "yes",
    "sip.verstat": "uri",
    "sip.verstat_suffix": "yes",
    "networks": "192.0.2.0/24",
}


def stored(service: Service, name: str = "main") -> Trunk:
    return service.snapshots.current.trunk_rows.rows[name]


INPUT = re.compile(r'<input type="text" value="([^"]*)"[^>]* name="([^"]+)"')
SELECT = re.compile(r'<select id="[^"]+" name="([^"]+)".*?>(.*?)</select>')
TEXTAREA = re.compile(r'<textarea[^>]* name="([^"]+)"[^>]*>\n(.*?)</textarea>', re.DOTALL)
BOX = re.compile(r'<input type="checkbox"[^>]* name="([^"]+)" value="yes" checked')


def fields_of(text: str) -> dict[str, str]:
    """Read the form of a page as a browser would send it again."""
    fields = {name: unescape(value) for value, name in INPUT.findall(text)}
    fields |= {name: unescape(value) for name, value in TEXTAREA.findall(text)}
    fields |= dict.fromkeys(BOX.findall(text), "yes")
    for name, options in SELECT.findall(text):
        chosen = re.search(r'value="([^"]*)" selected', options)
        fields[name] = chosen[1] if chosen else ""
    return fields


async def test_a_trunk_is_added_changed_and_deleted(service: Service) -> None:
    visitor = await signed_in(service, ALICE)

    made = await visitor.post(NEW, {**FORM, "name": "west", "tenant": GLOBEX})
    assert made.status == 303, made.text
    before = stored(service, "west")
    assert before.verification.freshness == 30

    changed = await visitor.post(f"{LIST}/west/edit", {**FORM, "attest": "C", "country": "US"})
    assert changed.status == 303, changed.text
    after = stored(service, "west")
    assert (after.attest.default.value, after.country) == ("C", "US")
    assert (after.origid, after.sip) == (before.origid, before.sip)

    assert (await visitor.post(f"{LIST}/west/delete", {})).status == 303
    assert (await visitor.get(f"{LIST}/west")).status == 404


async def test_each_setting_of_sip_redirect_is_changed(service: Service) -> None:
    visitor = await signed_in(service, ALICE)

    sent = await visitor.post(EDIT, {**FORM, **SIP})

    assert sent.status == 303, sent.text
    told = msgspec.to_builtins(stored(service).sip)
    assert told == {
        "sources": ("192.0.2.0/24", "2001:db8::/32"),
        "by_host": True,
        "status": 300,
        "form": "contact",
        "origin": "from",
        "destination": "request-uri",
        "contact": "carrier.example.com:5060",
        "divert": True,
        "verstat": "uri",
        "verstat_suffix": True,
    }


async def test_a_form_that_is_sent_as_it_is_shown_changes_no_setting(service: Service) -> None:
    visitor = await signed_in(service, ALICE)
    assert (await visitor.post(EDIT, {**FORM, **SIP, "country": "US"})).status == 303
    before = stored(service)

    sent = await visitor.post(EDIT, fields_of((await visitor.get(EDIT)).text))

    assert sent.status == 303, sent.text
    assert stored(service) == before


async def test_every_setting_that_a_trunk_has_is_on_the_form(service: Service) -> None:
    document = msgspec.to_builtins(trunk_record(stored(service)))
    names = {name for name, value in document.items() if not isinstance(value, dict)}
    for group in ("verification", "sip"):
        names |= {f"{group}.{name}" for name in document[group]}

    assert {each.name for each in SETTINGS} == names - {"name", "tenant"}


@pytest.mark.parametrize("who", [ALICE, VICTOR])
async def test_a_trunk_is_told_in_words(service: Service, who: str) -> None:
    admin = await signed_in(service, ALICE)
    assert (await admin.post(EDIT, {**FORM, **SIP})).status == 303
    visitor = await signed_in(service, who)

    seen = await visitor.get(ONE)

    for words in (
        "300 Multiple Choices",
        "carrier.example.com:5060",
        "2001:db8::/32",
        "From alone",
        "rejected with 438",
        "30 seconds",
        "15 seconds, as the service has it",
    ):
        assert words in unescape(seen.text), words
    shown = re.sub(r"<[^>]+>", " ", seen.text)
    for name in SETTINGS:
        if "_" in name.name or "." in name.name:
            assert name.name not in shown, name.name
    assert "Redirection(" not in shown
    assert "<textarea" not in seen.text


@pytest.mark.parametrize(
    ("field", "text", "words"),
    [
        ("country", "XQ", "ISO 3166"),
        ("networks", "10.0.0.0/8\n\n10.0.0.0/99", "Line 3"),
        ("verification.freshness", "soon", "whole number"),
        ("verification.freshness", "0", "1 at least"),
        ("verification.skew", "9999", "3600 at most"),
        ("sip.sources", "192.0.2.1\nnowhere", "Line 2"),
        ("sip.sources", "0.0.0.0/1", "too wide"),
        ("sip.contact", "a host", "a host reads"),
        ("sip.by_host", "yes", "which networks"),
        ("origid", "main", "UUID"),
    ],
)
async def test_an_error_names_its_field_and_keeps_what_was_typed(
    service: Service, field: str, text: str, words: str
) -> None:
    visitor = await signed_in(service, ALICE)
    typed = {**FORM, "sip.divert": "yes", field: text}

    seen = await visitor.post(EDIT, typed)

    assert seen.status == 422
    error = re.search(rf'id="{field}-error">(.*?)</p>', seen.text, re.DOTALL)
    assert error, field
    assert words in error[1]
    assert "Expected" not in seen.text
    kept = fields_of(seen.text)
    assert {name: kept.get(name, "") for name in typed} == typed
    assert "<details open" in seen.text or not field.startswith("sip")


async def test_a_tenants_admin_adds_no_trunk_to_another(service: Service) -> None:
    visitor = await signed_in(service, BOUND)

    seen = await visitor.post(NEW, {**FORM, "name": "west", "tenant": GLOBEX})

    assert seen.status == 422
    assert 'id="tenant-error"' in seen.text


async def test_a_tenants_admin_is_told_who_gives_sources(service: Service) -> None:
    visitor = await signed_in(service, BOUND)

    seen = await visitor.post(EDIT, {**FORM, "sip.sources": "192.0.2.1"})

    assert seen.status == 422
    assert 'id="sip.sources-error"' in seen.text
    assert stored(service).sip == Redirection()


async def test_a_trunk_shows_who_asks_for_it(service: Service) -> None:
    def add(change: AuditedChange) -> None:
        credential = Credential(
            "pbx-by-tls", Role.SIGNER, digest_of(new_secret()), ACME, "main", (), "ab" * 32
        )
        add_credential(change, credential, now=0, client_certificate="PEM")
        change.audit(Action.CREDENTIAL_CREATE, credential.name, tenant=ACME)

    await service.change(add)
    visitor = await signed_in(service, VICTOR)

    seen = await visitor.get(ONE)

    assert "pbx-by-tls" in seen.text
    assert "client certificate" in seen.text


@pytest.mark.parametrize("name", ["new", "edit", "delete", "csv"])
async def test_whatever_its_name_a_thing_has_its_page(service: Service, name: str) -> None:
    visitor = await signed_in(service, ALICE)
    tenant = await visitor.post("/admin/new/tenant", {"address": name, "fallback": "first"})
    trunk = await visitor.post(NEW, {**FORM, "name": name, "tenant": name})
    credential = {"name": name, "role": "signer", "trunk": name}
    assert (await visitor.post("/admin/new/credential", credential)).status == 200

    for made in (tenant, trunk):
        assert made.status == 303, made.text
        for path in (made.location, f"{made.location}/delete"):
            assert f">{name}" in (await visitor.get(path)).text, path
    assert (await visitor.get(f"{LIST}/{name}/edit")).status == 200
    assert (await visitor.post(f"/admin/credentials/{name}/revoke", {})).status == 303
    assert (await visitor.post(f"{LIST}/{name}/delete", {})).status == 303
    assert (await visitor.post(f"{tenant.location}/delete", {})).status == 303
