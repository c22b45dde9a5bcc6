"""Trunks on pages: each setting is kept, errors keep what was typed, scopes hold."""

from dataclasses import replace

from shaken.audit import Action, AuditedChange
from shaken.redirection import Redirection
from shaken.store.tenants import replace_trunk
from tests.web.scenery import ALICE, BOUND, GLOBEX, Service
from tests.web.visitor import signed_in

LIST = "/admin/trunks"
FORM = {
    "attest": "B",
    "foreign_attest": "B",
    "direction": "auto",
    "answer": "both",
    "anonymous": "accept",
    "stale": "flag",
    "unreachable": "flag",
    "unfit": "flag",
    "invalid": "reject",
    "freshness": "30",
}


async def test_a_trunk_is_added_changed_and_deleted(service: Service) -> None:
    visitor = await signed_in(service, ALICE)

    made = await visitor.post(f"{LIST}/new", {**FORM, "name": "west", "tenant": GLOBEX})
    assert made.status == 303, made.text
    before = service.snapshots.current.trunk_rows.rows["west"]
    assert before.verification.freshness == 30

    changed = await visitor.post(f"{LIST}/west", {**FORM, "attest": "C", "country": "US"})
    assert changed.status == 303, changed.text
    after = service.snapshots.current.trunk_rows.rows["west"]
    assert (after.attest.default.value, after.country) == ("C", "US")
    assert (after.origid, after.sip) == (before.origid, before.sip)

    assert (await visitor.post(f"{LIST}/west/delete", {})).status == 303
    assert (await visitor.get(f"{LIST}/west")).status == 404


async def test_an_error_names_its_field_and_keeps_what_was_typed(service: Service) -> None:
    visitor = await signed_in(service, ALICE)
    for field, text in [("country", "XQ"), ("networks", "10.0.0.0/99"), ("freshness", "soon")]:
        seen = await visitor.post(f"{LIST}/main", {**FORM, field: text})
        assert seen.status == 422, field
        assert f'id="{field}-error"' in seen.text, field
        assert text in seen.text, field


async def test_a_tenants_admin_adds_no_trunk_to_another(service: Service) -> None:
    visitor = await signed_in(service, BOUND)

    seen = await visitor.post(f"{LIST}/new", {**FORM, "name": "west", "tenant": GLOBEX})

    assert seen.status == 422
    assert 'id="tenant-error"' in seen.text


async def test_what_the_form_does_not_show_stays_as_it_is(service: Service) -> None:
    trunk = service.snapshots.current.trunk_rows.rows["main"]
    kept = replace(trunk, sip=Redirection(status=300, divert=True))

    def redirect(change: AuditedChange) -> None:
        replace_trunk(change, kept)
        change.audit(Action.TRUNK_UPDATE, kept.name, tenant=kept.tenant)

    await service.change(redirect)
    visitor = await signed_in(service, ALICE)

    assert (await visitor.post(f"{LIST}/main", FORM)).status == 303

    after = service.snapshots.current.trunk_rows.rows["main"]
    assert (after.sip, after.origid) == (kept.sip, kept.origid)
    assert after.verification.freshness == 30
