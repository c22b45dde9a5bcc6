"""Trusted roots are added by the pages: each is understood by itself, shown, then trusted."""

from datetime import UTC, datetime
from html import unescape

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from shaken import roots as changes
from tests.web.root_pages import (
    LIST,
    authority,
    confirm,
    hand_in,
    notice,
    sti,
    text_of,
    tls,
)
from tests.web.scenery import ALICE, Service
from tests.web.visitor import signed_in
from trust.roots import MAX_ROOTS, Purpose, read_root


async def test_what_is_handed_in_is_shown_then_trusted(service: Service) -> None:
    visitor, new = await signed_in(service, ALICE), authority(service)

    preview = await hand_in(visitor, {"material": new.root_pem})

    assert preview.status == 200
    for words in ("New Root", "Will be added", "Elliptic curve P-256", "Nothing is stored yet"):
        assert words in text_of(preview)
    assert "New Root" not in sti(service)
    done = await confirm(visitor, preview, step="store")
    root = sti(service)["New Root"]
    assert done.location == f"{LIST}/sti/{root.id}"
    assert await notice(visitor, done) == "New Root is added, and trusted now."
    assert root.added
    history = text_of(await visitor.get(f"{LIST}/sti/{root.id}"))
    assert "Added by alice" in history


async def test_each_of_several_is_understood_by_itself(service: Service) -> None:
    visitor = await signed_in(service, ALICE)
    first, second = authority(service, "First"), authority(service, "Second")
    there = sti(service)["STI-PA Root 2025"]
    leaf = service.scenery.spare.certificate.leaf.public_bytes(Encoding.PEM).decode()
    material = [
        first.root_pem,
        there.pem,
        leaf,
        first.root_pem,
        second.root_pem.replace("M", "?", 1),
    ]
    der = second.certificate.public_bytes(Encoding.DER)

    preview = await hand_in(
        visitor, {"material": "\n".join(material)}, (der, b"-----BEGIN X-----\n")
    )

    text = text_of(preview)
    for words in (
        "1. First Will be added",
        "2. STI-PA Root 2025 Already there It is in the list as one of yours.",
        "3. SHAKEN 9999 Refused The certificate is not that of a certification authority",
        "4. First Twice It is the same as number 1.",
        "5. Not read Refused Block 5 (CERTIFICATE) is damaged",
        "6. Second Will be added",
        "7. Not read Refused Block 7 (X) is cut off",
    ):
        assert words in text
    done = await confirm(visitor, preview, step="store")
    assert done.location == f"{LIST}?purpose=sti"
    assert await notice(visitor, done) == "2 roots are added, and trusted now."
    assert {"First", "Second"} <= set(sti(service))


async def test_only_what_is_ticked_is_added(service: Service) -> None:
    visitor = await signed_in(service, ALICE)
    first, second = authority(service, "First"), authority(service, "Second")
    material = first.root_pem + second.root_pem
    only = read_root(first.root_pem, Purpose.STI).id

    none = await hand_in(visitor, {"material": material, "step": "store"})
    done = await hand_in(visitor, {"material": material, "step": "store", "id": only})

    assert none.status == 422
    assert "Tick at least one root" in none.text
    assert done.status == 303
    assert "First" in sti(service)
    assert "Second" not in sti(service)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        ("expired", "It has expired"),
        ("intermediate", "It did not sign itself It is issued by CN=New Root"),
    ],
)
async def test_what_is_unwise_is_said_before_it_is_trusted(
    service: Service, make: str, words: str
) -> None:
    visitor = await signed_in(service, ALICE)
    new = authority(service, ago=40 if make == "expired" else 0)
    below = new.intermediate("Below", now=datetime.fromtimestamp(service.clock(), UTC))
    pem = new.root_pem if make == "expired" else below.certificate_pem

    preview = await hand_in(visitor, {"material": pem})

    assert words in text_of(preview)
    assert (await confirm(visitor, preview, step="store")).status == 303


@pytest.mark.parametrize(
    ("how", "words", "becomes"),
    [
        ("shipped", "Will be yours", {"added": True}),
        ("deleted", "Comes back It was deleted here.", {"added": True, "deleted": False}),
        ("disabled", "It was disabled, and is trusted again.", {"disabled": False}),
    ],
)
async def test_what_becomes_of_a_shipped_root_is_said(
    service: Service, how: str, words: str, becomes: dict[str, bool]
) -> None:
    visitor, root = await signed_in(service, ALICE), tls(service)["ISRG Root X1"]
    if how == "deleted":
        await service.change(lambda change: changes.remove(change, root))
    elif how == "disabled":
        await service.change(lambda change: changes.set_disabled(change, root, disabled=True))

    preview = await hand_in(visitor, {"purpose": "tls", "material": root.pem})
    await confirm(visitor, preview, step="store")

    assert words in text_of(preview)
    now = tls(service)["ISRG Root X1"]
    assert {name: getattr(now, name) for name in becomes} == becomes


BROKEN = {
    "nothing": ("", "material", "Paste the certificate of an authority"),
    "no PEM": ("hello", "material", "no PEM block"),
    "a cut one": ("-----BEGIN CERTIFICATE-----\nMIIB", "material", "is cut off"),
    "too many": ("-----BEGIN X-----\n" * (MAX_ROOTS + 1), "material", "at most 300 roots"),
    "too much": ("x" * 810 * 1024, "material", "more than 800 KiB"),
}


@pytest.mark.parametrize("case", BROKEN)
async def test_an_error_stands_at_its_field_and_keeps_what_was_typed(
    service: Service, case: str
) -> None:
    visitor, (material, field, words) = await signed_in(service, ALICE), BROKEN[case]

    seen = await hand_in(visitor, {"material": material})

    assert seen.status == 422
    assert f'id="{field}-error"' in seen.text
    assert words in text_of(seen)
    assert material.strip() in unescape(seen.text)


@pytest.mark.parametrize("content", [b"\x00\x01garbage", b"x" * 300_000])
async def test_a_file_that_is_none_is_said_and_the_text_is_kept(
    service: Service, content: bytes
) -> None:
    visitor, new = await signed_in(service, ALICE), authority(service)

    seen = await hand_in(visitor, {"material": new.root_pem}, (content,))

    assert seen.status == 422
    assert 'id="files-error"' in seen.text
    assert new.root_pem.strip() in unescape(seen.text)


async def test_a_private_key_is_neither_kept_nor_shown(service: Service) -> None:
    visitor, spare = await signed_in(service, ALICE), service.scenery.spare
    new = authority(service)

    seen = await hand_in(visitor, {"material": new.root_pem + spare.key_pem})

    assert seen.status == 422
    assert "There was a private key in it" in seen.text
    assert new.root_pem.strip() in unescape(seen.text)
    assert not any(line in seen.text for line in spare.key_pem.splitlines()[1:-1])


async def test_what_was_handed_in_can_be_changed(service: Service) -> None:
    visitor, new = await signed_in(service, ALICE), authority(service)
    preview = await hand_in(visitor, {"purpose": "tls", "material": new.root_pem})

    form = await confirm(visitor, preview, step="mend")

    assert form.status == 200
    assert new.root_pem.strip() in unescape(form.text)
    assert '<option value="tls" selected>' in form.text


async def test_a_root_that_somebody_added_meanwhile_is_no_error(service: Service) -> None:
    visitor, new = await signed_in(service, ALICE), authority(service)
    preview = await hand_in(visitor, {"material": new.root_pem})
    await service.change(lambda change: changes.add(change, read_root(new.root_pem, Purpose.STI)))

    done = await confirm(visitor, preview, step="store")

    assert "there already" in await notice(visitor, done)
    assert sti(service)["New Root"].added
