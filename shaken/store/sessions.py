"""Sessions of the admin pages in the store: digests of tokens, never a token.

No snapshot holds them, so that beginning and ending one tells no worker of a change.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, or_, select, update

from shaken.store.tables import sessions


@dataclass(frozen=True, slots=True)
class StoredSession:
    """A session's row. Times are Unix seconds; `notices` wait to be shown once."""

    digest: bytes
    credential: str
    began_at: int
    seen_at: int
    notices: tuple[str, ...] = ()


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
    return StoredSession(row.digest, row.credential, row.began_at, row.seen_at, tuple(row.notices))


def mark_seen(connection: Connection, digest: bytes, *, now: int) -> None:
    """Write that a session was used."""
    connection.execute(update(sessions).where(sessions.c.digest == digest).values(seen_at=now))


def set_notices(connection: Connection, digest: bytes, notices: Sequence[str]) -> None:
    """Write what is to be shown with the next page."""
    values = {"notices": list(notices)}
    connection.execute(update(sessions).where(sessions.c.digest == digest).values(values))


def remove_session(connection: Connection, digest: bytes) -> None:
    """End a session."""
    connection.execute(delete(sessions).where(sessions.c.digest == digest))


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
