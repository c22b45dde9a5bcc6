"""Who has signed in: sessions of browsers, known to every worker, ended by time and by revocation.

The browser keeps a random token, the store its digest: a copy of the database signs nobody in. A
session ends with its credential, by the database's own rule.
"""

import hmac
import secrets
from dataclasses import dataclass, field
from hashlib import sha256

from shaken.store import sessions as stored
from shaken.store.sessions import StoredSession
from trust.store.database import Database

TOKEN_BYTES = 32
"""256 random bits."""

MAX_TOKEN = 64
"""Characters of a cookie that are looked at; a token has 43."""

IDLE_SECONDS = 30 * 60
"""A session that nobody uses for so long ends."""

LIFETIME_SECONDS = 12 * 3600
"""A session ends so long after it began, used or not: a working day."""

TOUCH_SECONDS = 60
"""How exactly is known when a session was last used: not each page is worth a write."""

MAX_SESSIONS = 20
"""Sessions of one credential; with one more, the one that was used longest ago ends."""

MAX_NOTICES = 8
"""Notices that wait for the next page."""


@dataclass(frozen=True)
class Session:
    """A signed-in browser. `credential` is the name of its credential."""

    token: str = field(repr=False)
    credential: str
    notices: tuple[str, ...] = ()

    @property
    def csrf(self) -> str:
        """What each form of this session holds: only a page of ours can know it."""
        return hmac.digest(self.token.encode(), b"form", "sha256").hex()

    def made(self, csrf: str) -> bool:
        """Say whether a form is one of this session's own; takes the same time for any text."""
        return hmac.compare_digest(self.csrf.encode(), csrf.encode("utf-8", "surrogatepass"))


class Sessions:
    """The sessions in the store. Methods wait for the database and raise StoreError."""

    def __init__(self, database: Database) -> None:
        """Take the store."""
        self._database = database

    def begin(self, credential: str, *, now: int) -> Session:
        """Begin a session of a credential; sessions that are over are removed."""
        session = Session(secrets.token_urlsafe(TOKEN_BYTES), credential)
        with self._database.recording() as connection:
            stored.remove_old_sessions(
                connection, seen_before=now - IDLE_SECONDS, began_before=now - LIFETIME_SECONDS
            )
            row = StoredSession(_digest(session.token), credential, began_at=now, seen_at=now)
            stored.add_session(connection, row)
            stored.keep_newest(connection, credential, count=MAX_SESSIONS)
        return session

    def find(self, token: str, *, now: int) -> Session | None:
        """Find the session of a token, and note that it is used; None: there is none any more."""
        if not token or len(token) > MAX_TOKEN:
            return None
        digest = _digest(token)
        with self._database.reading() as connection:
            row = stored.get_session(connection, digest)
        if row is None or not is_live(row, now=now):
            return None
        if now - row.seen_at >= TOUCH_SECONDS:
            with self._database.recording() as connection:
                stored.mark_seen(connection, digest, now=now)
        return Session(token, row.credential, row.notices)

    def end(self, session: Session) -> None:
        """End a session: its token is good for nothing."""
        with self._database.recording() as connection:
            stored.remove_session(connection, _digest(session.token))

    def tell(self, session: Session, notice: str) -> None:
        """Keep a notice for the next page of a session."""
        self._set_notices(session, (*session.notices, notice)[-MAX_NOTICES:])

    def shown(self, session: Session) -> None:
        """Forget the notices of a session: a page has shown them."""
        self._set_notices(session, ())

    def _set_notices(self, session: Session, notices: tuple[str, ...]) -> None:
        with self._database.recording() as connection:
            stored.set_notices(connection, _digest(session.token), notices)


def is_live(row: StoredSession, *, now: int) -> bool:
    """Say whether a session is neither idle for too long nor too old."""
    return now - row.seen_at < IDLE_SECONDS and now - row.began_at < LIFETIME_SECONDS


def _digest(token: str) -> bytes:
    return sha256(token.encode("utf-8", "surrogatepass")).digest()
