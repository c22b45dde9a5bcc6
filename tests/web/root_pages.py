"""What tests of trusted roots share: authorities, what lists show, forms as they are sent."""

import re
from datetime import UTC, datetime, timedelta
from html import unescape
from io import BytesIO

from aiohttp import FormData

from shaken.snapshot import Snapshot
from tests.web.scenery import Service
from tests.web.visitor import Seen, Visitor
from trust.authority import Authority
from trust.roots import Purpose, Root

LIST, ADD = "/admin/roots", "/admin/roots/add"
CHANGE, RESET = "/admin/roots/change", "/admin/roots/reset"


def authority(service: Service, name: str = "New Root", *, ago: int = 0) -> Authority:
    """Make an authority that nobody knows yet, so many days ago, for 30 days."""
    moment = datetime.fromtimestamp(service.clock(), UTC) - timedelta(days=ago)
    return Authority.create(name, now=moment, lifetime=timedelta(days=30))


def count(service: Service) -> int:
    """Count the roots for TLS; some have the same name."""
    rows = service.snapshots.current.root_rows.rows.values()
    return sum(root.purpose is Purpose.TLS for root in rows)


def of(snapshot: Snapshot, purpose: Purpose) -> dict[str, Root]:
    """List what is kept of a purpose by common name."""
    rows = [root for root in snapshot.root_rows.rows.values() if root.purpose is purpose]
    return {root.subject.partition(",")[0].removeprefix("CN="): root for root in rows}


def sti(service: Service) -> dict[str, Root]:
    return of(service.snapshots.current, Purpose.STI)


def tls(service: Service) -> dict[str, Root]:
    return of(service.snapshots.current, Purpose.TLS)


def text_of(seen: Seen) -> str:
    """Return what a page says, without its tags."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", seen.text)).split())


async def names(visitor: Visitor, query: str) -> list[str]:
    """List the roots that a list shows."""
    text = (await visitor.get(f"{LIST}?{query}")).text
    parts = text.split('<span class="hidden">Download ')[1:]
    return [unescape(part.partition("<")[0]) for part in parts]


async def hand_in(visitor: Visitor, fields: dict[str, str], files: tuple[bytes, ...] = ()) -> Seen:
    """Send the form for adding as browsers do."""
    form = FormData({"csrf": (await visitor.get("/admin")).csrf, "purpose": "sti", **fields})
    for number, content in enumerate(files):
        form.add_field("files", BytesIO(content), filename=f"file{number}")
    return await visitor.ask("POST", ADD, data=form)


async def confirm(visitor: Visitor, preview: Seen, **more: str) -> Seen:
    """Send the form of a page that asks for confirmation, as it stands."""
    hidden = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', preview.text)
    ticked = re.findall(
        r'<input type="checkbox" name="(id)" value="([^"]*)" checked>', preview.text
    )
    fields = [(name, unescape(value)) for name, value in hidden + ticked if name != "csrf"]
    found = re.search(r'<form method="post" action="(/admin/roots/\w+)"', preview.text)
    assert found, "this page asks for nothing"
    return await visitor.post(found[1], [*fields, *more.items()])


async def wish(visitor: Visitor, what: str, *roots: Root) -> Seen:
    """Ask for something to be done with roots."""
    fields = [("what", what), ("purpose", roots[0].purpose.value)]
    return await visitor.post(CHANGE, [*fields, *(("id", root.id) for root in roots)])


async def notice(visitor: Visitor, done: Seen) -> str:
    """Follow a redirect, and return what is told there."""
    assert done.status == 303, done.text
    found = re.search(
        r'role="status">(.*?)</p>', (await visitor.get(done.location)).text, re.DOTALL
    )
    assert found, "nothing is told"
    return unescape(re.sub(r"<[^>]*>", "", found[1])).strip()
