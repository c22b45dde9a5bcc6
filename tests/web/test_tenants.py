"""Tenants on pages: what the API does, with words; errors keep what was typed."""

import re
from html import unescape

from tests.web.scenery import ACME, ALICE, BOUND, GLOBEX, INITECH, VICTOR, Service
from tests.web.visitor import signed_in

LIST = "/admin/tenants"
NEW = "/admin/new/tenant"


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


async def test_each_bad_line_of_numbers_is_told(service: Service) -> None:
    visitor = await signed_in(service, ALICE)
    typed = "+12155550100\n\n12x\n+12155550300-+12155550200\n+1215*\nabc"
    form = {"address": "x.example.com", "fallback": "first", "numbers": typed}

    seen = await visitor.post(NEW, form)

    assert seen.status == 422
    found = re.search(r'id="numbers-error">.*?</svg>(.*?)</p>', seen.text, re.DOTALL)
    assert found
    assert "Lines 3 (12x) and 6 (abc): write a number as" in found[1]
    assert "Line 4 (+12155550300-+12155550200): a range runs upwards" in found[1]
    assert typed in unescape(seen.text)


async def test_numbers_are_taken_as_people_write_them(service: Service) -> None:
    visitor = await signed_in(service, ALICE)
    typed = (
        "+1 (215) 555 0100\n +1.215.555.0200 \u2013 +1.215.555.0299 \n+44\u00a020*\n+12155550100"
    )
    form = {"address": "x.example.com", "fallback": "first", "numbers": typed}

    assert (await visitor.post(NEW, form)).status == 303

    tenant = service.snapshots.current.tenant_rows.rows["x.example.com"]
    assert [str(rule) for rule in tenant.numbers] == [
        "+12155550100",
        "+12155550200-+12155550299",
        "+4420*",
    ]


async def test_a_bad_alias_is_told_with_its_line(service: Service) -> None:
    visitor = await signed_in(service, ALICE)
    form = {"address": "x.example.com", "fallback": "first", "aliases": "y.example.com\nnot one"}

    seen = await visitor.post(NEW, form)

    assert seen.status == 422
    assert "Line 2 (not one)" in seen.text


async def test_long_lists_of_numbers_are_counted_and_folded(service: Service) -> None:
    admin = await signed_in(service, ALICE)
    numbers = "\n".join(f"+1215555{each:04}" for each in range(200))
    form = {"address": "x.example.com", "fallback": "first", "numbers": numbers}
    assert (await admin.post(NEW, form)).status == 303
    visitor = await signed_in(service, VICTOR)

    seen = await visitor.get(f"{LIST}/x.example.com")

    assert "200 entries" in seen.text
    assert "<details>" in seen.text
    assert "+12155550199" in unescape(seen.text)


async def test_what_belongs_to_a_tenant_keeps_it_from_being_deleted(service: Service) -> None:
    visitor = await signed_in(service, ALICE)

    asked = await visitor.get(f"{LIST}/{ACME}/delete")
    assert "1 trunk" in asked.text
    assert (await visitor.post(f"{LIST}/{ACME}/delete", {})).status == 409
    assert "Nothing belongs to it" in (await visitor.get(f"{LIST}/{INITECH}/delete")).text
    assert ACME in service.snapshots.current.tenant_rows.rows


async def test_a_tenant_that_is_renewed_is_told_to_be_renewed_no_more_before_it_is_deleted(
    service: Service,
) -> None:
    visitor = await signed_in(service, ALICE)

    globex = (await visitor.get(f"{LIST}/{GLOBEX}/delete")).text

    assert "renew them no more" in globex
    assert f"/admin/renewals?tenant={GLOBEX}" in globex
    assert "renew them no more" not in (await visitor.get(f"{LIST}/{ACME}/delete")).text


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
