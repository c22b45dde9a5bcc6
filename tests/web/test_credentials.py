"""Credentials on pages: a secret is shown once, scopes hold, errors keep what was typed."""

import re

import pytest

from tests.clients import client_id
from tests.web.scenery import ACME, ALICE, BOUND, GLOBEX, MACHINE, VICTOR, Service
from tests.web.visitor import signed_in
from trust.store.database import StoreError
from trust.store.failure import Failure

NEW = "/admin/new/credential"


async def test_a_secret_is_shown_once_and_works(service: Service) -> None:
    visitor = await signed_in(service, ALICE)

    made = await visitor.post(NEW, {"name": "desk", "role": "viewer", "networks": "127.0.0.0/8"})

    found = re.search(r'id="secret" value="(shk_[^"]+)"', made.text)
    assert found, made.text
    assert made.headers["Cache-Control"] == "no-store"
    listed = await visitor.get("/admin/credentials?search=desk")
    assert "127.0.0.0/8" in listed.text
    assert found[1] not in listed.text
    headers = {"Authorization": f"Bearer {found[1]}"}
    assert (await visitor.ask("GET", "/api/v1/tenants", headers=headers)).status == 200


async def test_an_error_names_its_field_and_keeps_what_was_typed(service: Service) -> None:
    visitor = await signed_in(service, ALICE)
    cases = [
        ("name", {"name": "no blank", "role": "viewer"}),
        ("name", {"name": MACHINE, "role": "viewer"}),
        ("tenant", {"name": "x", "role": "viewer", "tenant": "nowhere.example.com"}),
        ("trunk", {"name": "x", "role": "signer", "trunk": "nowhere"}),
        ("networks", {"name": "x", "role": "signer", "networks": "10.0.0.0/99"}),
        ("client_certificate", {"name": "x", "role": "signer", "client_certificate": "no PEM"}),
    ]
    for field, form in cases:
        seen = await visitor.post(NEW, form)
        assert seen.status == 422, form
        assert f'id="{field}-error"' in seen.text, form
        assert form[field] in seen.text, form


async def test_an_admin_of_a_tenant_sees_and_makes_its_own_only(service: Service) -> None:
    visitor = await signed_in(service, BOUND)

    assert MACHINE not in (await visitor.get("/admin/credentials")).text
    revoke = f"/admin/credentials/{MACHINE}/revoke"
    assert (await visitor.get(revoke)).status == 404
    assert (await visitor.post(revoke, {})).status == 404
    seen = await visitor.post(NEW, {"name": "x", "role": "signer", "tenant": GLOBEX})
    assert seen.status == 422
    await visitor.post(NEW, {"name": "own", "role": "signer"})
    assert ACME in (await visitor.get("/admin/credentials?search=own")).text


async def test_a_revoked_credential_is_gone(service: Service) -> None:
    visitor = await signed_in(service, ALICE)

    seen = await visitor.post(f"/admin/credentials/{VICTOR}/revoke", {})

    assert seen.status == 303
    listed = await visitor.get("/admin/credentials")
    assert "is revoked" in listed.text
    assert f"credentials/{VICTOR}/" not in listed.text


async def test_a_credential_is_bound_to_a_client_certificate(service: Service) -> None:
    visitor = await signed_in(service, ALICE)
    form = {"name": "by-tls", "role": "signer", "trunk": "main"}

    made = await visitor.post(NEW, {**form, "client_certificate": client_id().pem})

    assert made.status == 200, made.text
    assert service.snapshots.current.credential_rows.rows["by-tls"].client_spki is not None
    assert "client certificate" in (await visitor.get("/admin/trunks/main")).text


async def test_a_private_key_does_not_come_back(service: Service) -> None:
    visitor = await signed_in(service, ALICE)
    client = client_id()
    form = {"name": "by-tls", "role": "signer", "client_certificate": client.pem + client.key_pem}

    seen = await visitor.post(NEW, form)

    assert seen.status == 422
    assert 'id="client_certificate-error"' in seen.text
    assert "BEGIN CERTIFICATE" in seen.text
    assert "PRIVATE KEY" not in seen.text


async def test_a_full_disk_is_told_as_one_by_page_and_api(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise StoreError("database or disk is full", failure=Failure.FULL)

    visitor = await signed_in(service, ALICE)
    made = await visitor.post(NEW, {"name": "desk", "role": "admin", "networks": "127.0.0.0/8"})
    found = re.search(r'id="secret" value="(shk_[^"]+)"', made.text)
    assert found, made.text
    headers = {"Authorization": f"Bearer {found[1]}"}
    monkeypatch.setattr("shaken.audit.add_entries", fail)

    page = await visitor.post(NEW, {"name": "other", "role": "viewer"})
    api = await visitor.ask("DELETE", f"/api/v1/credentials/{MACHINE}", headers=headers)

    assert (page.status, api.status) == (503, 503)
    assert "disk is full. Nothing was changed; free space on it." in page.text
    assert "disk is full, and nothing was changed: free space on it" in api.text
