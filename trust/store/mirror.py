"""Copies of tables in memory that follow the store by reading only what changed.

A table that can be followed has a `revision` column, written with each change of a row.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

from sqlalchemy import Column, Connection, Row, select

CHUNK = 500
"""Keys asked for in one query: databases bound the number of parameters."""

T = TypeVar("T")


@dataclass(frozen=True)
class Mirror(Generic[T]):
    """A table's rows by key at one moment. Immutable: `follow` returns the next moment's."""

    key: Column[Any]
    columns: Sequence[Column[Any]]
    read: Callable[[Row[Any]], T]
    rows: Mapping[str, T] = field(default_factory=dict)
    revisions: Mapping[str, int] = field(default_factory=dict)

    def follow(self, connection: Connection) -> "Mirror[T]":
        """Return the table as it is now, reading only rows written since this copy."""
        if not self.revisions:
            return self._first(connection)
        current: dict[str, int] = dict(
            connection.execute(select(self.key, self.key.table.c.revision)).all()
        )
        if current == self.revisions:
            return self
        rows = {key: value for key, value in self.rows.items() if key in current}
        for row in self._changed(connection, current):
            rows[row[0]] = self.read(row)
        return replace(self, rows=rows, revisions=current)

    def _first(self, connection: Connection) -> "Mirror[T]":
        """Return the table as it is now, read whole and at once."""
        query = select(self.key, self.key.table.c.revision, *self.columns)
        found = connection.execute(query).all()
        if not found:
            return self
        rows = {row[0]: self.read(row) for row in found}
        return replace(self, rows=rows, revisions={row[0]: row[1] for row in found})

    def _changed(self, connection: Connection, current: Mapping[str, int]) -> Iterator[Row[Any]]:
        """Read the rows that were written since this copy."""
        query = select(self.key, *self.columns)
        changed = [key for key, revision in current.items() if self.revisions.get(key) != revision]
        for start in range(0, len(changed), CHUNK):
            asked = self.key.in_(changed[start : start + CHUNK])
            yield from connection.execute(query.where(asked)).all()
