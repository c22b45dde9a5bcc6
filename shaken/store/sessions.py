"""Sessions of the admin pages in the store: digests of tokens, never a token.

No snapshot holds them, so that beginning and ending one tells no worker of a change.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import Connection, delete, insert, or_, select, update

from shaken.store.tables import sessions


class Notice(NamedTuple):
    """What one page tells once: the path of the page, the words, and since when (Unix seconds)."""

    path: str
    words: str
    at: int


@dataclass(frozen=True, slots=True)
class StoredSession:
    """A session's row. Times are Unix seconds; `notices` wait to be shown once."""

    digest: bytes
    credential: str
    began_at: int
    seen_at: int
    notices: tuple[Notice, ...] = ()


def add_session(connection: Connection, session: StoredSession) -> None:
    """Write a new session. Its credential must be in the store."""
    row = {
        "digest": session.digest,
        "credential": session.credential,
        "began_at": session.began_at,
        "seen_at": session.seen_at,
        "notices": list(session.notices),
    }
    connection.execute(insert(sessions), row)


def get_session(connection: Connection, digest: bytes) -> StoredSession | None:
    """Read one session."""
    row = connection.execute(select(sessions).where(sessions.c.digest == digest)).one_or_none()
    if row is None:
        return None
    notices = _read_notices(row.notices)
    return StoredSession(row.digest, row.credential, row.began_at, row.seen_at, notices)


def mark_seen(connection: Connection, digest: bytes, *, now: int) -> None:
    """Write that a session was used."""
    connection.execute(update(sessions).where(sessions.c.digest == digest).values(seen_at=now))


def add_notice(connection: Connection, digest: bytes, notice: Notice, *, most: int) -> None:
    """Keep a notice for its page; of more than `most` the oldest go."""
    _set_notices(connection, digest, [*_notices(connection, digest), notice][-most:])


def remove_notices(connection: Connection, digest: bytes, told: Collection[Notice]) -> None:
    """Forget notices that were shown; those that came meanwhile stay."""
    left = [notice for notice in _notices(connection, digest) if notice not in told]
    _set_notices(connection, digest, left)


def _notices(connection: Connection, digest: bytes) -> tuple[Notice, ...]:
    """Read the notices of a session, and let nobody else write them until the transaction ends."""
    query = select(sessions.c.notices).where(sessions.c.digest == digest).with_for_update()
    return _read_notices(connection.execute(query).scalar_one_or_none() or [])


def _read_notices(stored: Sequence[object]) -> tuple[Notice, ...]:
    """Read notices; those that name no page, of an earlier version, are left out."""
    return tuple(Notice(*each) for each in stored if isinstance(each, list))


def _set_notices(connection: Connection, digest: bytes, notices: Sequence[Notice]) -> None:
    values = {"notices": [list(notice) for notice in notices]}
    connection.execute(update(sessions).where(sessions.c.digest == digest).values(values))


def remove_session(connection: Connection, digest: bytes) -> bool:
    """End a session; say whether there was one."""
    return connection.execute(delete(sessions).where(sessions.c.digest == digest)).rowcount == 1


def remove_old_sessions(connection: Connection, *, seen_before: int, began_before: int) -> None:
    """Remove sessions that were last used, or began, before a time."""
    old = or_(sessions.c.seen_at < seen_before, sessions.c.began_at < began_before)
    connection.execute(delete(sessions).where(old))


def keep_newest(connection: Connection, credential: str, *, count: int) -> None:
    """Remove all sessions of a credential but those that were used last."""
    of_credential = sessions.c.credential == credential
    newest = (
        select(sessions.c.digest)
        .where(of_credential)
        .order_by(sessions.c.seen_at.desc(), sessions.c.began_at.desc())
        .limit(count)
    )
    connection.execute(delete(sessions).where(of_credential, sessions.c.digest.not_in(newest)))
