"""Fetched files in the store, a table a kind. Workers write what they fetch; the newest stays."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields

from sqlalchemy import Connection, Row, Table, bindparam, delete, insert, select, update

from trust.store.database import Database


@dataclass(frozen=True, slots=True)
class FetchedRow:
    """A file as it was fetched; `content` is PEM. Times are Unix seconds."""

    url: str
    content: str
    fetched_at: float
    expires_at: float
    etag: str | None
    last_modified: str | None


def get_fetched(connection: Connection, table: Table, url: str) -> FetchedRow | None:
    """Read what was fetched from a URL."""
    query = table.select().where(table.c.url == url)
    row = connection.execute(query).one_or_none()
    return None if row is None else _row(row)


def newest_fetched(connection: Connection, table: Table, *, limit: int) -> Sequence[FetchedRow]:
    """Read at most so many rows, those that were fetched last first."""
    query = table.select().order_by(table.c.fetched_at.desc(), table.c.url).limit(limit)
    return [_row(row) for row in connection.execute(query)]


def put_fetched(
    database: Database,
    table: Table,
    rows: Sequence[FetchedRow],
    *,
    forgotten: Collection[str] = (),
) -> None:
    """Write what was fetched and remove what is no more, in one transaction. Raises StoreError.

    A row that another worker fetched later stays.
    """
    with database.recording() as connection:
        if forgotten:
            gone = delete(table).where(table.c.url == bindparam("gone"))
            connection.execute(gone, [{"gone": url} for url in forgotten])
        urls = [row.url for row in rows]
        query = select(table.c.url, table.c.fetched_at).where(table.c.url.in_(urls))
        known = {url: at for url, at in connection.execute(query)}  # noqa: C416 - rows, no pairs
        new = [_values(row) for row in rows if row.url not in known]
        newer = [
            _values(row) for row in rows if row.fetched_at > known.get(row.url, row.fetched_at)
        ]
        if new:
            connection.execute(insert(table), new)
        if newer:
            changed = update(table).where(table.c.url == bindparam("changed"))
            connection.execute(changed, [{"changed": row["url"], **row} for row in newer])


def trim_fetched(database: Database, table: Table, *, expired_before: float, keep: int) -> None:
    """Remove what expired before a time, and all but the `keep` newest rows. Raises StoreError."""
    newest = select(table.c.url).order_by(table.c.fetched_at.desc()).limit(keep)
    with database.recording() as connection:
        connection.execute(delete(table).where(table.c.expires_at < expired_before))
        connection.execute(delete(table).where(table.c.url.not_in(newest)))


_COLUMNS = tuple(field.name for field in fields(FetchedRow))


def _row(row: Row[tuple[object, ...]]) -> FetchedRow:
    return FetchedRow(*(getattr(row, name) for name in _COLUMNS))


def _values(row: FetchedRow) -> dict[str, object]:
    return {name: getattr(row, name) for name in _COLUMNS}
