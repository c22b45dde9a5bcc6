"""Copies of tables that follow the store by reading only what changed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import BigInteger, Column, MetaData, Row, Table, Text, delete, insert, update

from trust.store.database import HISTORY, Database
from trust.store.mirror import CHUNK, Mirror

things = Table(
    "things",
    MetaData(),
    Column("name", Text, primary_key=True),
    Column("colour", Text, nullable=False),
    Column("revision", BigInteger, nullable=False),
)


class Thing:
    """A row's value, told from others by its identity."""

    def __init__(self, colour: str) -> None:
        self.colour = colour


def read_thing(row: Row[Any]) -> Thing:
    return Thing(row.colour)


EMPTY: Mirror[Thing] = Mirror(things.c.name, (things.c.colour,), read_thing)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(f"sqlite:///{tmp_path}/store.sqlite")
    opened.migrate([HISTORY])
    with opened.recording() as connection:
        things.metadata.create_all(connection)
    yield opened
    opened.close()


def put(database: Database, **colours: str) -> None:
    with database.changing() as change:
        for name, colour in colours.items():
            row = {"name": name, "colour": colour, "revision": change.revision}
            done = change.connection.execute(
                update(things).where(things.c.name == name).values(row)
            )
            if done.rowcount == 0:
                change.connection.execute(insert(things), row)


def remove(database: Database, name: str) -> None:
    with database.changing() as change:
        change.connection.execute(delete(things).where(things.c.name == name))


def follow(database: Database, mirror: Mirror[Thing]) -> Mirror[Thing]:
    with database.reading() as connection:
        return mirror.follow(connection)


def colours(mirror: Mirror[Thing]) -> dict[str, str]:
    return {name: thing.colour for name, thing in mirror.rows.items()}


def test_an_empty_copy_reads_all_rows(database: Database) -> None:
    put(database, apple="red", sky="blue")

    assert colours(follow(database, EMPTY)) == {"apple": "red", "sky": "blue"}


def test_a_copy_of_an_empty_table_is_empty(database: Database) -> None:
    assert follow(database, EMPTY).rows == {}


def test_without_a_change_the_copy_stays_the_same_object(database: Database) -> None:
    put(database, apple="red")
    before = follow(database, EMPTY)

    assert follow(database, before) is before


def test_only_changed_rows_are_read_again(database: Database) -> None:
    put(database, apple="red", sky="blue")
    before = follow(database, EMPTY)
    put(database, apple="green")

    after = follow(database, before)

    assert colours(after) == {"apple": "green", "sky": "blue"}
    assert after.rows["sky"] is before.rows["sky"]
    assert after.rows["apple"] is not before.rows["apple"]


def test_new_rows_come_to_the_copy(database: Database) -> None:
    put(database, apple="red")
    before = follow(database, EMPTY)
    put(database, sky="blue")

    after = follow(database, before)

    assert colours(after) == {"apple": "red", "sky": "blue"}
    assert after.rows["apple"] is before.rows["apple"]


def test_removed_rows_vanish_from_the_copy(database: Database) -> None:
    put(database, apple="red", sky="blue")
    before = follow(database, EMPTY)
    remove(database, "apple")

    after = follow(database, before)

    assert colours(after) == {"sky": "blue"}
    assert after.rows["sky"] is before.rows["sky"]
    assert "apple" not in after.revisions


def test_a_row_that_was_removed_and_made_again_is_read_again(database: Database) -> None:
    put(database, apple="red")
    before = follow(database, EMPTY)
    remove(database, "apple")
    put(database, apple="green")

    assert colours(follow(database, before)) == {"apple": "green"}


def test_a_copy_stays_as_it_was_when_the_next_one_is_made(database: Database) -> None:
    put(database, apple="red", sky="blue")
    before = follow(database, EMPTY)
    put(database, apple="green")
    remove(database, "sky")

    follow(database, before)

    assert colours(before) == {"apple": "red", "sky": "blue"}
    assert EMPTY.rows == {}


@pytest.mark.parametrize("count", [CHUNK, CHUNK + 1, 2 * CHUNK + 1])
def test_any_number_of_rows_may_change_at_once(database: Database, count: int) -> None:
    names = [f"n{number}" for number in range(count)]
    put(database, **dict.fromkeys(names, "red"))

    assert colours(follow(database, EMPTY)) == dict.fromkeys(names, "red")
