"""Signed and verified calls on record: what a traceback looks for, however many there are."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Connection, event, insert, text

from shaken.concealment import NumberHash
from shaken.credentials import Role
from shaken.store.calls import (
    MAX_RECORDED,
    PROBED_SPANS,
    SCANNED_SPANS,
    CallFilter,
    CallRecord,
    add_calls,
    destinations_of,
    destinations_text,
    find_calls,
    forget_calls,
)
from shaken.store.tables import BLOCK_ROWS, SPAN_ROWS, calls
from tests.shaken.world import EVERYBODY, World
from trust.store.database import Database

CALLS = "/api/v1/calls"
OWN, OTHER = "own.example.com", "other.example.com"
THEIRS = "https://sti.example.net/their.pem"
NOON = int(datetime(2040, 6, 1, 12, tzinfo=UTC).timestamp())


def signed(request_id: str, **more: Any) -> CallRecord:
    record = CallRecord(
        at=NOON,
        credential="pbx",
        tenant=OWN,
        trunk="own-trunk",
        orig="12155550100",
        dest="12155559999",
        attest="A",
        origid="de305d54-75b4-431b-adb2-eb6b9e546014",
        certificate="f" * 64,
        request_id=request_id,
    )
    return record._replace(**more)


def verified(request_id: str, **more: Any) -> CallRecord:
    verdict = {
        "kind": "verified",
        "verstat": "TN-Validation-Failed",
        "code": 438,
        "action": "accept",
        "reason": "the signature was altered",
        "attest": "",
        "origid": "",
        "certificate": THEIRS,
    }
    return signed(request_id, **{**verdict, **more})


RECORDS = [
    signed("1", at=NOON - 7200),
    signed("2", at=NOON - 3600, orig="12155550101", dest="12155550100"),
    verified("3", orig="442079460000", dest="12155550199"),
    verified("4", tenant=OTHER, trunk=None, verstat="No-TN-Validation", code=None, certificate=""),
    signed("5", at=NOON + 60, orig="13", dest="441,12155550100,sip:bob@example.com"),
    verified("6", at=NOON + 60, orig="anonymous", dest="1215555", verstat="TN-Validation-Passed"),
]


@pytest.fixture
def world_with_calls(world: World) -> World:
    """A service with some calls of two tenants on record."""
    with world.database.recording() as connection:
        connection.execute(text("DELETE FROM calls"))
    add_calls(world.database, RECORDS)
    return world


async def listed(world: World, query: str, *, tenant: str | None = EVERYBODY) -> list[str]:
    secret = world.template.secrets[Role.VIEWER, tenant]
    answer = await world.ask("GET", f"{CALLS}{query}", secret=secret)
    assert answer.status == 200, answer
    return [item["request_id"] for item in answer.json()["items"]]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", "654321"),
        ("?number=%2B1%20(215)%20555-0100", "5421"),
        ("?number=12155550100&kind=signed", "521"),
        ("?number=12155550199", "3"),
        ("?number=441", "5"),
        ("?number=44", ""),
        ("?number=121555", ""),
        ("?kind=verified", "643"),
        ("?verstat=TN-Validation-Passed", "6"),
        ("?code=438", "63"),
        (f"?certificate={'f' * 64}", "521"),
        (f"?certificate={THEIRS}", "63"),
        (f"?tenant={OTHER}", "4"),
        ("?tenant=nobody.example.com", ""),
        ("?since=2040-06-01T12:00:00Z", "6543"),
        ("?until=2040-06-01T12:00:00Z", "21"),
        ("?since=2040-06-01T11:00:00Z&until=2040-06-01T12:01:00Z", "432"),
        ("?number=12155550100&until=2040-06-01T11:00:00Z", "1"),
        ("?since=2041-01-01T00:00:00Z", ""),
    ],
)
async def test_a_filter_finds(world_with_calls: World, query: str, expected: str) -> None:
    assert "".join(await listed(world_with_calls, query)) == expected


async def test_a_tenant_sees_its_own_calls_whatever_it_asks_for(world_with_calls: World) -> None:
    for query in ("", f"?tenant={OTHER}"):
        assert await listed(world_with_calls, query, tenant=OWN) == ["6", "5", "3", "2", "1"]


async def test_a_record_says_who_asked_what_was_said_and_what_was_found(
    world_with_calls: World,
) -> None:
    page = (await world_with_calls.admin("GET", f"{CALLS}?number=441")).json()
    negative = (await world_with_calls.admin("GET", f"{CALLS}?number=442079460000")).json()

    assert page == {
        "items": [
            {
                "at": "2040-06-01T12:01:00Z",
                "kind": "signed",
                "tenant": OWN,
                "trunk": "own-trunk",
                "credential": "pbx",
                "orig": "13",
                "dest": ["441", "12155550100", "sip:bob@example.com"],
                "attest": "A",
                "origid": "de305d54-75b4-431b-adb2-eb6b9e546014",
                "certificate": "f" * 64,
                "request_id": "5",
                "verstat": None,
                "code": None,
                "action": None,
                "reason": None,
            }
        ],
        "next": None,
    }
    (item,) = negative["items"]
    assert (item["attest"], item["origid"], item["certificate"]) == (None, None, THEIRS)
    assert (item["verstat"], item["code"], item["action"], item["reason"]) == (
        "TN-Validation-Failed",
        438,
        "accept",
        "the signature was altered",
    )


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("number=bob", "number"),
        ("number=", "number"),
        ("number=1234567890123456", "number"),
        ("kind=sent", "kind"),
        ("verstat=passed", "verstat"),
        ("code=x", "code"),
        ("code=43", "code"),
        ("code=4380", "code"),
        ("tenant=a..b", "tenant"),
        ("certificate=", "certificate"),
        ("since=yesterday", "since"),
        ("until=2040-06-01", "until"),
        ("limit=0", "limit"),
        ("after=x", "after"),
    ],
)
async def test_a_wrong_filter_is_named(world: World, query: str, field: str) -> None:
    answer = await world.admin("GET", f"{CALLS}?{query}")

    assert answer.status == 400
    assert answer.json()["errors"][0]["field"] == field


async def test_pages_are_stable_while_calls_are_made(world_with_calls: World) -> None:
    found: list[str] = []
    after = ""
    for number in range(10):
        page = (await world_with_calls.admin("GET", f"{CALLS}?limit=2{after}")).json()
        found += [item["request_id"] for item in page["items"]]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
        add_calls(world_with_calls.database, [signed(f"new {number}")])

    assert found == ["6", "5", "4", "3", "2", "1"]


# Many calls


def place(database: Database, at_sequences: dict[int, CallRecord]) -> None:
    """Write records as if so many others had been written between them."""
    rows = [{"sequence": number, **each._asdict()} for number, each in at_sequences.items()]
    with database.recording() as connection:
        connection.execute(insert(calls), rows)


def found_ids(database: Database, wanted: CallFilter, limit: int = 100) -> list[str]:
    """Follow the pages to their end."""
    found: list[str] = []
    before = None
    with database.reading() as connection:
        while True:
            page = find_calls(connection, wanted, before=before, limit=limit)
            assert len(page.records) <= limit
            found += [record.request_id for record in page.records]
            if page.next is None:
                return found
            assert before is None or page.next < before
            before = page.next


EDGES = [
    1,
    BLOCK_ROWS - 1,
    BLOCK_ROWS,
    SPAN_ROWS - 1,
    SPAN_ROWS,
    7 * SPAN_ROWS + 5,
    (SCANNED_SPANS + 9) * SPAN_ROWS,
]


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
@pytest.mark.parametrize(
    "wanted",
    [
        CallFilter(),
        CallFilter(number=("12155550100",)),
        CallFilter(number=("12155559999", "nobody")),
        CallFilter(tenant=OWN),
        CallFilter(since=NOON, until=NOON + 1),
        CallFilter(number=("12155550100",), since=NOON),
    ],
)
def test_no_call_is_lost_between_blocks_spans_and_pages(
    database: Database, wanted: CallFilter, limit: int
) -> None:
    place(database, {number: signed(str(number)) for number in EDGES})

    assert found_ids(database, wanted, limit) == [str(number) for number in reversed(EDGES)]


def test_a_search_without_a_number_goes_so_far_and_says_where_to_go_on(database: Database) -> None:
    spans = range(SCANNED_SPANS + 2)
    place(database, {span * SPAN_ROWS + 1: signed(str(span)) for span in spans})
    place(database, {2: signed("wanted", tenant=OTHER)})

    with database.reading() as connection:
        first = find_calls(connection, CallFilter(tenant=OTHER), before=None, limit=10)
        second = find_calls(connection, CallFilter(tenant=OTHER), before=first.next, limit=10)

    assert (first.records, first.next) == ((), 2 * SPAN_ROWS)
    assert ([each.request_id for each in second.records], second.next) == (["wanted"], None)


def test_a_search_for_a_number_goes_back_far_at_once(database: Database) -> None:
    place(database, {1: signed("oldest"), (PROBED_SPANS - 1) * SPAN_ROWS: signed("x", orig="1")})

    with database.reading() as connection:
        page = find_calls(connection, CallFilter(number=("12155550100",)), before=None, limit=10)

    assert ([each.request_id for each in page.records], page.next) == (["oldest"], None)


def test_a_search_for_a_time_passes_over_what_is_of_another(database: Database) -> None:
    spans = range(3 * SCANNED_SPANS)
    place(database, {n * SPAN_ROWS + 1: signed(str(n), at=NOON + 60 * n) for n in spans})

    with database.reading() as connection:
        page = find_calls(connection, CallFilter(until=NOON + 60), before=None, limit=10)

    assert ([each.request_id for each in page.records], page.next) == (["0"], None)


def plans(database: Database, wanted: CallFilter) -> list[str]:
    """Return what the database does to answer, step by step."""
    asked: list[tuple[str, Any]] = []

    def note(_c: object, _k: object, statement: str, parameters: Any, *_: object) -> None:
        asked.append((statement, parameters))

    with database.reading() as connection:
        event.listen(connection, "before_cursor_execute", note)
        find_calls(connection, wanted, before=None, limit=10)
        event.remove(connection, "before_cursor_execute", note)
        return [step for statement in asked for step in _plan(connection, *statement)]


def _plan(connection: Connection, statement: str, parameters: Any) -> Iterator[str]:
    for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters):
        yield row.detail


@pytest.mark.parametrize(
    "wanted",
    [
        CallFilter(number=("12155550100",)),
        CallFilter(number=("12155550100", "hmac:0"), tenant=OWN, code=438, since=1, until=NOON + 1),
    ],
)
def test_a_search_for_a_number_reads_no_row_of_other_numbers(
    database: Database, wanted: CallFilter
) -> None:
    place(database, {number: signed(str(number)) for number in EDGES})

    steps = plans(database, wanted)

    assert [step for step in steps if step.startswith("SCAN calls")] == []
    assert any("ix_calls_block_orig (block=? AND orig=?)" in step for step in steps)
    assert any("ix_calls_block_dest (block=? AND dest=?)" in step for step in steps)


# Destinations


@pytest.mark.parametrize(
    ("called", "expected"),
    [
        (["12155550100"], ("12155550100",)),
        (["1", "sip:a@b.example"], ("1", "sip:a@b.example")),
        (["sip:a,b@c.example", "1"], ("sip:a%2Cb@c.example", "1")),
        (["sip:a,b@c.example"], ("sip:a%2Cb@c.example",)),
    ],
)
def test_destinations_on_record_are_told_apart(
    called: Sequence[str], expected: tuple[str, ...]
) -> None:
    assert destinations_of(destinations_text(called)) == expected


@pytest.mark.parametrize("length", [MAX_RECORDED, MAX_RECORDED + 1, 10_000])
def test_destinations_on_record_are_whole_and_bounded(length: int) -> None:
    numbers = [str(10**9 + each) for each in range(length // 11 + 1)]
    alone = destinations_text(["1" * length])

    kept = destinations_of(destinations_text(numbers))

    assert list(kept) == numbers[: (MAX_RECORDED + 1) // 11]
    assert len(alone) == MAX_RECORDED


def test_each_of_several_destinations_is_found_until_its_call_is_forgotten(
    database: Database,
) -> None:
    batch = [signed(str(n), dest=f"{n},500" if n % 2 else str(n)) for n in range(450)]
    add_calls(database, batch)

    assert found_ids(database, CallFilter(number=("500",))) == [
        str(n) for n in reversed(range(450)) if n % 2
    ]
    assert found_ids(database, CallFilter(number=("7",))) == ["7"]
    forget_calls(database, before=NOON + 1, limit=448)
    assert found_ids(database, CallFilter(number=("500",))) == ["449"]
    with database.reading() as connection:
        left = connection.execute(text("SELECT count(*) FROM call_destinations")).scalar_one()
    assert left == 2


@pytest.mark.parametrize("count", [1, 7, 8, 247, 449])
def test_each_record_is_written_once_and_in_order_however_many_come(
    database: Database, count: int
) -> None:
    names = [f"call {number}" for number in range(count)]

    add_calls(database, [signed(name) for name in names])

    assert found_ids(database, CallFilter(), limit=count + 1) == names[::-1]


def test_verified_calls_are_forgotten_like_signed_ones(database: Database) -> None:
    add_calls(database, [verified("old", at=NOON - 1), signed("older", at=NOON - 2), verified("3")])

    assert forget_calls(database, before=NOON, limit=10) == 2

    assert found_ids(database, CallFilter()) == ["3"]


# Hashed numbers


def test_a_number_is_found_in_clear_text_and_hashed(database: Database) -> None:
    numbers = NumberHash(b"k" * 32)
    record = signed("hashed", dest="12155550199,441")
    add_calls(database, [signed("plain"), numbers.conceal(record)])

    for number, expected in (
        ("12155550100", ["hashed", "plain"]),
        ("441", ["hashed"]),
        ("12155559999", ["plain"]),
    ):
        forms = (number, numbers.hashed(number))
        assert found_ids(database, CallFilter(number=forms)) == expected
