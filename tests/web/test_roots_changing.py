"""Trusted roots are deleted, disabled, enabled, put back and reset by the pages."""

import re
from contextlib import closing

from shaken import roots as changes
from shaken.audit import AuditedChange
from tests.web.root_pages import (
    CHANGE,
    LIST,
    RESET,
    authority,
    confirm,
    notice,
    sti,
    text_of,
    tls,
    wish,
)
from tests.web.scenery import ACME, ALICE, Service
from tests.web.visitor import signed_in
from trust.roots import Purpose, Root, read_root
from trust.store import roots as stored

# Deleting and the like


async def test_what_relies_on_a_root_is_said_before_it_is_deleted(service: Service) -> None:
    visitor, root = await signed_in(service, ALICE), sti(service)["STI-PA Root 2025"]

    asked = await wish(visitor, "delete", root)
    unsure = await confirm(visitor, asked)

    for words in ("Delete STI-PA Root 2025?", "No root would be left", f"SHAKEN 1234 of {ACME}"):
        assert words in text_of(asked)
    assert unsure.status == 409
    assert "Say that you know" in unsure.text
    assert sti(service) == {"STI-PA Root 2025": root}
    done = await confirm(visitor, unsure, force="yes")
    assert done.location == f"{LIST}?purpose=sti"
    assert await notice(visitor, done) == "STI-PA Root 2025 is deleted."
    assert not sti(service)


async def test_several_are_deleted_disabled_enabled_and_put_back(service: Service) -> None:
    visitor = await signed_in(service, ALICE)
    chosen = [tls(service)[name] for name in ("ISRG Root X1", "ISRG Root X2")]

    async def do(what: str) -> tuple[str, list[Root]]:
        asked = await wish(visitor, what, *chosen)
        told = await notice(visitor, await confirm(visitor, asked))
        return told, [tls(service)[name] for name in ("ISRG Root X1", "ISRG Root X2")]

    told, now = await do("disable")
    assert (told, [root.disabled for root in now]) == ("2 roots disabled.", [True, True])
    told, now = await do("enable")
    assert (told, now) == ("2 roots enabled.", chosen)
    told, now = await do("delete")
    assert (told, [root.deleted for root in now]) == ("2 roots deleted.", [True, True])
    told, now = await do("restore")
    assert (told, now) == ("2 roots put back.", chosen)


async def test_one_that_stays_shows_itself_afterwards(service: Service) -> None:
    visitor, root = await signed_in(service, ALICE), tls(service)["ISRG Root X1"]

    done = await confirm(visitor, await wish(visitor, "delete", root))

    assert done.location == f"{LIST}/tls/{root.id}"
    text = text_of(await visitor.get(done.location))
    assert "ISRG Root X1 is deleted." in text
    assert "Put back …" in text
    assert "Deleted by alice" in text


async def test_what_cannot_be_done_with_some_is_left_out(service: Service) -> None:
    visitor = await signed_in(service, ALICE)
    first, second = (tls(service)[name] for name in ("ISRG Root X1", "ISRG Root X2"))
    await service.change(lambda change: changes.remove(change, first))

    asked = await wish(visitor, "delete", first, second)
    done = await confirm(visitor, asked)

    assert "Delete ISRG Root X2?" in asked.text
    assert "1 other root stays as it is" in text_of(asked)
    assert await notice(visitor, done) == "ISRG Root X2 is deleted."
    again = await wish(visitor, "delete", first, second)
    assert "Nothing was changed" in await notice(visitor, again)


async def test_a_list_offers_what_can_be_done_with_what_it_shows(service: Service) -> None:
    visitor, root = await signed_in(service, ALICE), tls(service)["ISRG Root X1"]
    await service.change(lambda change: changes.remove(change, root))

    async def offered(search: str) -> list[str]:
        text = (await visitor.get(f"{LIST}?purpose=tls&search={search}")).text
        return re.findall(r'name="what" value="(\w+)"', text)

    assert await offered("isrg+root+x1") == ["restore"]
    assert await offered("isrg+root+x2") == ["delete", "disable"]
    assert await offered("isrg") == ["delete", "disable", "restore"]


async def test_nothing_selected_and_nothing_meant_change_nothing(service: Service) -> None:
    visitor, root = await signed_in(service, ALICE), tls(service)["ISRG Root X1"]

    for fields in ({"what": "delete"}, {"what": "nonsense", "id": root.id}):
        done = await visitor.post(CHANGE, {"purpose": "tls", **fields})
        assert await notice(visitor, done) == "Nothing was selected, so nothing was changed."
    gone = await visitor.post(CHANGE, {"what": "delete", "id": "0" * 64})
    assert gone.status == 404
    assert "Nothing was changed" in gone.text


async def test_of_several_all_are_changed_or_none(service: Service) -> None:
    visitor = await signed_in(service, ALICE)
    new = read_root(authority(service).root_pem, Purpose.TLS)
    await service.change(lambda change: changes.add(change, new))
    both = [tls(service)[name] for name in ("ISRG Root X1", "New Root")]
    asked = await wish(visitor, "disable", *both)
    with (
        closing(service.prepared.open_database()) as database,
        database.changing() as change,
    ):
        stored.remove(change, both[1])

    done = await confirm(visitor, asked)
    await service.snapshots.refresh()

    assert done.status == 404
    assert not tls(service)["ISRG Root X1"].disabled


# Reset


async def arrange(service: Service) -> None:
    """Change the list of TLS in each way."""
    kept = tls(service)
    new = read_root(authority(service).root_pem, Purpose.TLS)

    def make(change: AuditedChange) -> None:
        changes.remove(change, kept["ISRG Root X1"])
        changes.set_disabled(change, kept["ISRG Root X2"], disabled=True)
        changes.add(change, new)
        changes.add(change, read_root(kept["GTS Root R1"].pem, Purpose.TLS))

    await service.change(make)


async def test_a_reset_changes_what_its_preview_says(service: Service) -> None:
    visitor, before = await signed_in(service, ALICE), tls(service)
    await arrange(service)

    preview = await visitor.get(f"{RESET}?purpose=tls&added=remove")
    done = await confirm(visitor, preview)

    text = text_of(preview)
    for words in (
        "Come back 1 root They were deleted, and are trusted again. ISRG Root X1",
        "Go 1 root Nobody ships them, and they are trusted no more. New Root",
        "Are enabled 1 root They were disabled, and are trusted again. ISRG Root X2",
        "Are no longer yours 1 root",
    ):
        assert words in text
    assert await notice(visitor, done) == (
        "The list is reset: 1 came back, 1 went, 1 enabled, 1 no longer yours."
    )
    assert tls(service) == before
    assert "Nothing would change" in (await visitor.get(f"{RESET}?purpose=tls")).text


async def test_a_reset_keeps_what_was_added_unless_it_is_to_go(service: Service) -> None:
    visitor = await signed_in(service, ALICE)
    await arrange(service)

    preview = await visitor.get(f"{RESET}?purpose=tls")
    await confirm(visitor, preview)

    assert "New Root" not in preview.text
    assert tls(service)["New Root"].added
    assert tls(service)["GTS Root R1"].added
    assert not tls(service)["ISRG Root X1"].deleted


async def test_a_reset_says_what_relies_on_what_goes(service: Service) -> None:
    visitor = await signed_in(service, ALICE)

    preview = await visitor.get(f"{RESET}?purpose=sti&added=remove")

    assert f"SHAKEN 1234 of {ACME}" in text_of(preview)


async def test_a_list_that_was_changed_meanwhile_is_not_reset(service: Service) -> None:
    visitor = await signed_in(service, ALICE)
    await arrange(service)
    preview = await visitor.get(f"{RESET}?purpose=tls")
    other = tls(service)["GTS Root R4"]
    await service.change(lambda change: changes.remove(change, other))

    again = await confirm(visitor, preview)

    assert again.status == 409
    assert "was changed meanwhile" in again.text
    assert "Come back</span> 2 roots" in again.text
    assert tls(service)["GTS Root R4"].deleted
    assert (await confirm(visitor, again)).status == 303
    assert not tls(service)["GTS Root R4"].deleted
