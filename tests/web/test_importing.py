"""Importing by the pages: preview, confirmation, errors that keep what was typed, never a key."""

import base64
import re
from datetime import UTC, datetime
from html import unescape
from io import BytesIO
from typing import Any

import pytest
from aiohttp import FormData
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
)
from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_key_and_certificates

from shaken.importing import Importer, NotOfTenant
from shaken.web.drafts import Secrets, seal, unseal
from shaken.web.sessions import IDLE_SECONDS, Session
from tests.web.scenery import ACME, ALICE, BOUND, GLOBEX, INITECH, Service
from tests.web.visitor import Seen, Visitor, signed_in
from trust.authority import Authority, Issued
from trust.keys import MasterKey

PATH = "/admin/certificates/import"


async def send(visitor: Visitor, fields: dict[str, str], files: tuple[bytes, ...] = ()) -> Seen:
    """Send the form as browsers do."""
    form = FormData({"csrf": (await visitor.get("/admin")).csrf, **fields})
    for number, content in enumerate(files):
        form.add_field("files", BytesIO(content), filename=f"file{number}")
    if not files:
        form.add_field("files", b"", filename="")
    return await visitor.ask("POST", PATH, data=form)


def fields_of(seen: Seen) -> dict[str, str]:
    """Read the hidden fields of a preview."""
    found = re.findall(r'<input type="hidden" name="([a-z0-9]+)" value="([^"]*)">', seen.text)
    return {name: unescape(value) for name, value in found if name != "csrf"}


def leaf_pem(issued: Issued) -> bytes:
    return issued.certificate.leaf.public_bytes(Encoding.PEM)


def key_texts(issued: Issued) -> list[str]:
    """List the lines of a key that must be seen nowhere."""
    return issued.key_pem.splitlines()[1:-1]


async def test_what_is_handed_in_is_shown_then_stored(service: Service) -> None:
    visitor, spare = await signed_in(service, ALICE), service.scenery.spare
    identity = spare.certificate.fingerprint

    preview = await send(
        visitor, {"kind": "sti", "material": spare.key_pem + spare.chain_pem, "tenant": ACME}
    )

    assert preview.status == 200
    for words in ("SHAKEN 9999", "Fits the certificate", ACME, "Nothing is stored yet"):
        assert words in preview.text
    assert identity not in service.snapshots.current.certificates
    assert not any(line in preview.text for line in key_texts(spare))

    done = await send(visitor, {**fields_of(preview), "step": "store"})

    assert done.location == f"/admin/certificates/{identity}"
    assert "SHAKEN 9999 is imported" in (await visitor.get(done.location)).text
    row = service.snapshots.current.certificates[identity]
    assert row.tenant == ACME
    assert row.sealed_key is not None


@pytest.mark.parametrize("how", ["pem", "two files", "der", "pkcs12", "pkcs12 with passphrase"])
async def test_files_are_taken_as_texts_are(service: Service, how: str) -> None:
    visitor, spare = await signed_in(service, ALICE), service.scenery.spare
    leaf, *above = spare.certificate.chain
    fields = {"kind": "sti"}
    files: tuple[bytes, ...]
    match how:
        case "pem":
            files = ((spare.chain_pem + spare.key_pem).encode("utf-8-sig"),)
        case "two files":
            files = (spare.chain_pem.encode(), spare.key_pem.encode())
        case "der":
            files = (leaf.public_bytes(Encoding.DER), above[0].public_bytes(Encoding.DER))
            fields["material"] = spare.key_pem
        case _:
            words = b" open sesame " if "passphrase" in how else None
            encryption = BestAvailableEncryption(words) if words else NoEncryption()
            key = spare.private_key
            files = (serialize_key_and_certificates(b"a", key, leaf, above, encryption),)
            fields["passphrase"] = (words or b"").decode()

    preview = await send(visitor, fields, files)
    done = await send(visitor, {**fields_of(preview), "step": "store"})

    assert done.status == 303, done.text
    assert spare.certificate.fingerprint in service.snapshots.current.certificates


def broken(service: Service) -> dict[str, tuple[dict[str, str], tuple[bytes, ...], str, str]]:
    """List forms with something wrong: which field, and what is said."""
    spare, other = service.scenery.spare, service.scenery.spare_server
    good = spare.chain_pem + spare.key_pem
    return {
        "nothing": ({}, (), "material", "Paste the certificate"),
        "no PEM": ({"material": "hello"}, (), "material", "no PEM block"),
        "another key": (
            {"material": spare.chain_pem + other.key_pem},
            (),
            "material",
            "belongs to none of the certificates",
        ),
        "no tenant": (
            {"material": good, "tenant": "no.example.com"},
            (),
            "tenant",
            "No tenant has this address",
        ),
        "no address": ({"material": good, "tenant": "a b"}, (), "tenant", ""),
        "bad x5u": ({"material": good, "x5u": "http://a"}, (), "x5u", ""),
        "a file of something": ({}, (b"\x00\x01garbage",), "files", "PKCS#12"),
        "a large file": ({}, (b"x" * 300_000,), "material", "256 KiB"),
        "a server's as STI": ({"material": other.chain_pem + other.key_pem}, (), "material", ""),
    }


@pytest.mark.parametrize(
    "case",
    [
        "nothing",
        "no PEM",
        "another key",
        "no tenant",
        "no address",
        "bad x5u",
        "a file of something",
        "a large file",
        "a server's as STI",
    ],
)
async def test_an_error_stands_at_its_field_and_keeps_what_was_typed(
    service: Service, case: str
) -> None:
    visitor = await signed_in(service, ALICE)
    fields, files, field, words = broken(service)[case]

    seen = await send(visitor, {"kind": "sti", **fields}, files)

    assert seen.status == 422
    assert f'id="{field}-error"' in seen.text
    assert words in unescape(seen.text)
    for name in ("tenant", "x5u"):
        if name in fields:
            assert f'value="{fields[name]}"' in seen.text
    certificates = re.findall("-----BEGIN CERTIFICATE-----", fields.get("material", ""))
    assert seen.text.count("-----BEGIN CERTIFICATE-----") == len(certificates)
    assert "PRIVATE KEY-----" not in seen.text


async def test_a_key_is_kept_over_an_error_and_never_shown(service: Service) -> None:
    visitor, spare = await signed_in(service, ALICE), service.scenery.spare
    wrong = await send(
        visitor,
        {"kind": "sti", "material": spare.chain_pem + spare.key_pem, "tenant": "no.example.com"},
    )
    assert "Kept for you, encrypted: the private key" in wrong.text
    kept = fields_of(wrong)["kept"]
    box = base64.urlsafe_b64decode(kept)
    assert not any(line in wrong.text or line.encode() in box for line in key_texts(spare))

    preview = await send(
        visitor, {"kind": "sti", "material": spare.chain_pem, "kept": kept, "tenant": ACME}
    )

    assert "Fits the certificate" in preview.text


async def test_a_key_without_its_end_is_not_shown_either(service: Service) -> None:
    visitor, spare = await signed_in(service, ALICE), service.scenery.spare
    cut = spare.key_pem.rpartition("-----END")[0]

    seen = await send(visitor, {"kind": "sti", "material": spare.chain_pem + cut})

    assert seen.status == 422
    assert not any(line in seen.text for line in key_texts(spare))


async def test_the_preview_leads_back_to_the_form(service: Service) -> None:
    visitor, spare = await signed_in(service, ALICE), service.scenery.spare
    preview = await send(visitor, {"kind": "sti", "material": spare.chain_pem + spare.key_pem})

    seen = await send(visitor, {**fields_of(preview), "step": "mend"})

    assert seen.status == 200
    assert leaf_pem(spare).decode().strip() in seen.text.replace("\r", "")
    assert "Kept for you, encrypted: the private key" in seen.text


async def test_what_is_here_already_is_replaced_only_when_asked(service: Service) -> None:
    visitor, spare = await signed_in(service, ALICE), service.scenery.spare
    fields = {"kind": "sti", "material": spare.chain_pem + spare.key_pem}
    preview = await send(visitor, fields)
    await send(visitor, {**fields_of(preview), "step": "store"})

    again = await send(visitor, fields)
    ticked = await send(visitor, {**fields, "replace": "yes"})

    assert again.status == 422
    assert "This certificate is here already" in again.text
    assert ticked.status == 200


async def test_the_only_certificate_of_a_tenant_does_not_go_over_to_another(
    service: Service,
) -> None:
    visitor, spare = await signed_in(service, ALICE), service.scenery.spare
    fields = {"kind": "sti", "material": spare.chain_pem + spare.key_pem}
    preview = await send(visitor, {**fields, "tenant": INITECH})
    await send(visitor, {**fields_of(preview), "step": "store"})

    seen = await send(visitor, {**fields, "tenant": ACME, "replace": "yes"})

    assert seen.status == 422
    assert 'id="tenant-error"' in seen.text
    assert f"It is the only certificate that {INITECH} signs with" in unescape(seen.text)


async def test_a_wrong_order_is_put_right_and_said(service: Service) -> None:
    visitor, spare = await signed_in(service, ALICE), service.scenery.spare
    leaf, *above = spare.certificate.chain
    turned = "".join(one.public_bytes(Encoding.PEM).decode() for one in (*above, leaf))

    preview = await send(visitor, {"kind": "sti", "material": turned + spare.key_pem})

    assert preview.status == 200
    assert "Put right" in preview.text


async def test_a_tenants_admin_imports_for_that_tenant_only(service: Service) -> None:
    visitor, spare = await signed_in(service, BOUND), service.scenery.spare
    fields = {"kind": "sti", "material": spare.chain_pem + spare.key_pem}

    for_other = await send(visitor, {**fields, "tenant": GLOBEX})
    preview = await send(visitor, fields)
    done = await send(visitor, {**fields_of(preview), "step": "store"})

    assert for_other.status == 422
    assert done.status == 303
    row = service.snapshots.current.certificates[spare.certificate.fingerprint]
    assert row.tenant == ACME


async def test_what_is_not_for_the_tenant_after_all_is_said_at_its_field(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise NotOfTenant

    monkeypatch.setattr(Importer, "add", refuse)
    visitor, spare = await signed_in(service, BOUND), service.scenery.spare

    seen = await send(visitor, {"kind": "sti", "material": spare.chain_pem + spare.key_pem})

    assert seen.status == 422
    assert "This certificate is not for your tenant." in unescape(seen.text)


async def test_warnings_are_in_the_preview(service: Service) -> None:
    visitor = await signed_in(service, ALICE)
    unknown = Authority.create("Nobody's root", now=datetime.now(UTC))
    issued = unknown.issue_sti(spc="1", now=datetime.now(UTC))

    preview = await send(visitor, {"kind": "sti", "material": issued.chain_pem + issued.key_pem})

    assert "add its root to the trusted roots" in unescape(preview.text)
    assert "Nobody's root" in unescape(preview.text)


SESSION = Session("token", "alice")
SECRETS = Secrets(at=100, keys="a key", pkcs12=b"\0\xff", passphrase="words")


@pytest.mark.parametrize(
    ("session", "change", "later", "opens"),
    [
        (SESSION, "", 0, "yes"),
        (SESSION, "", IDLE_SECONDS - 1, "yes"),
        (SESSION, "", IDLE_SECONDS, "no"),
        (SESSION, "", -1, "no"),
        (Session("other", "alice"), "", 0, "no"),
        (SESSION, "é", 0, "no"),
        (SESSION, "AAAA", 0, "no"),
    ],
)
def test_secrets_open_for_their_session_and_for_a_while(
    session: Session, change: str, later: int, opens: str
) -> None:
    master = MasterKey.generate()
    box = seal(SECRETS, SESSION, master)

    found = unseal(change + box, session, master, now=SECRETS.at + later)

    assert found == (SECRETS if opens == "yes" else Secrets())
    assert "key" not in repr(SECRETS)
    assert seal(Secrets(at=5), SESSION, master) == ""


def test_another_master_key_opens_no_secrets() -> None:
    box: Any = seal(SECRETS, SESSION, MasterKey.generate())

    assert unseal(box, SESSION, MasterKey.generate(), now=SECRETS.at) == Secrets()
