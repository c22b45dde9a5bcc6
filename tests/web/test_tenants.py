"""Tenants on pages: what the API does, with words; errors keep what was typed."""

from tests.web.scenery import ACME, ALICE, BOUND, GLOBEX, INITECH, VICTOR, Service
from tests.web.visitor import signed_in

LIST = "/admin/tenants"
NEW = f"{LIST}/new"


async def test_a_tenant_is_added_found_changed_and_deleted(service: Service) -> None:
    visitor = await signed_in(service, ALICE)
    form = {"address": "hooli.example.com", "fallback": "none", "numbers": "+12155550300"}

    made = await visitor.post(NEW, form)
    assert made.status == 303, made.text
    assert made.location == f"{LIST}/hooli.example.com"
    listed = await visitor.get(f"{LIST}?search=5550300")
    assert "hooli.example.com" in listed.text
    assert GLOBEX not in listed.text

    changed = {"aliases": "a.hooli.example.com\nb.hooli.example.com", "fallback": "first"}
    assert (await visitor.post(made.location, changed)).status == 303
    tenant = service.snapshots.current.tenant_rows.rows["hooli.example.com"]
    assert tenant.aliases == ("a.hooli.example.com", "b.hooli.example.com")
    assert tenant.numbers == ()

    assert (await visitor.post(f"{made.location}/delete", {})).status == 303
    assert (await visitor.get(made.location)).status == 404


async def test_an_error_names_its_field_and_keeps_what_was_typed(service: Service) -> None:
    visitor = await signed_in(service, ALICE)
    cases = [
        ("address", {"address": "not an address", "fallback": "first"}),
        ("address", {"address": ACME, "fallback": "first"}),
        ("aliases", {"address": "x.example.com", "fallback": "first", "aliases": ACME}),
        ("numbers", {"address": "x.example.com", "fallback": "first", "numbers": "+12x"}),
    ]
    for field, form in cases:
        seen = await visitor.post(NEW, form)
        assert seen.status == 422, form
        assert f'id="{field}-error"' in seen.text, form
        assert form[field] in seen.text, form


async def test_what_belongs_to_a_tenant_keeps_it_from_being_deleted(service: Service) -> None:
    visitor = await signed_in(service, ALICE)

    asked = await visitor.get(f"{LIST}/{ACME}/delete")
    assert "1 trunk" in asked.text
    assert (await visitor.post(f"{LIST}/{ACME}/delete", {})).status == 409
    assert "Nothing belongs to it" in (await visitor.get(f"{LIST}/{INITECH}/delete")).text
    assert ACME in service.snapshots.current.tenant_rows.rows


async def test_a_tenants_admin_sees_its_own_only_and_changes_nothing(service: Service) -> None:
    visitor = await signed_in(service, BOUND)

    assert GLOBEX not in (await visitor.get(LIST)).text
    assert (await visitor.get(f"{LIST}/{GLOBEX}")).status == 404
    seen = await visitor.get(f"{LIST}/{ACME}")
    assert "<textarea" not in seen.text
    for path in (NEW, f"{LIST}/{ACME}", f"{LIST}/{ACME}/delete"):
        form = {"address": "x.example.com", "fallback": "first"}
        assert (await visitor.post(path, form)).status == 403, path


async def test_a_viewer_sees_a_tenant_without_a_form(service: Service) -> None:
    visitor = await signed_in(service, VICTOR)

    assert "<textarea" not in (await visitor.get(f"{LIST}/{ACME}")).text
