"""Who has signed in: sessions of browsers, known to every worker, ended by time and by revocation.

The browser keeps a random token, the store its digest: a copy of the database signs nobody in. A
session ends with its credential, by the database's own rule.
"""

import hmac
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from sqlalchemy import Connection

from shaken.audit import SYSTEM, Action, Actor, record_deed
from shaken.credentials import Credential
from shaken.store import sessions as stored
from shaken.store.sessions import Notice, StoredSession
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
"""Notices of one session that wait for their pages."""

NOTICE_SECONDS = 10 * 60
"""How long a notice waits: later it would tell of what was done long ago."""


@dataclass(frozen=True)
class Session:
    """A signed-in browser. `credential` is the name of its credential."""

    token: str = field(repr=False)
    credential: str
    notices: tuple[Notice, ...] = ()

    @property
    def csrf(self) -> str:
        """What each form of this session holds: only a page of ours can know it."""
        return hmac.digest(self.token.encode(), b"form", "sha256").hex()

    def told_at(self, path: str, *, now: int) -> tuple[Notice, ...]:
        """Return the notices that the page at a path shows, at `now` in Unix seconds."""
        return tuple(
            notice
            for notice in self.notices
            if notice.path == path and now - notice.at < NOTICE_SECONDS
        )

    def made(self, csrf: str) -> bool:
        """Say whether a form is one of this session's own; takes the same time for any text."""
        return hmac.compare_digest(self.csrf.encode(), csrf.encode("utf-8", "surrogatepass"))


class Sessions:
    """The sessions in the store. Methods wait for the database and raise StoreError."""

    def __init__(self, database: Database) -> None:
        """Take the store."""
        self._database = database

    def begin(self, who: Credential, *, peer: str, now: int) -> Session:
        """Begin a session of a credential; sessions that are over are removed."""
        credential = who.name
        session = Session(secrets.token_urlsafe(TOKEN_BYTES), credential)
        with self._database.recording() as connection:
            stored.remove_old_sessions(
                connection, seen_before=now - IDLE_SECONDS, began_before=now - LIFETIME_SECONDS
            )
            row = StoredSession(_digest(session.token), credential, began_at=now, seen_at=now)
            stored.add_session(connection, row)
            stored.keep_newest(connection, credential, count=MAX_SESSIONS)
            _tell(connection, Action.SESSION_BEGIN, who, peer=peer, now=now)
        return session

    def find(self, token: str, *, now: int) -> Session | None:
        """Find the session of a token, and note that it is used; None: there is none any more."""
        found = self._read(token, now=now)
        if found is None:
            return None
        if now - found.seen_at >= TOUCH_SECONDS:
            with self._database.recording() as connection:
                stored.mark_seen(connection, found.digest, now=now)
        return Session(token, found.credential, found.notices)

    def glance(self, token: str, *, now: int) -> Session | None:
        """Find the session of a token for a page that loads itself anew: nobody uses it."""
        found = self._read(token, now=now)
        return None if found is None else Session(token, found.credential)

    def _read(self, token: str, *, now: int) -> StoredSession | None:
        if not token or len(token) > MAX_TOKEN:
            return None
        with self._database.reading() as connection:
            row = stored.get_session(connection, _digest(token))
        return row if row is not None and is_live(row, now=now) else None

    def end(self, session: Session, who: Credential, *, peer: str, now: int) -> None:
        """End a session: its token is good for nothing."""
        with self._database.recording() as connection:
            if stored.remove_session(connection, _digest(session.token)):
                _tell(connection, Action.SESSION_END, who, peer=peer, now=now)

    def refused(self, told: Mapping[str, object], *, now: int) -> None:
        """Write into the audit that sign-ins were refused."""
        with self._database.recording() as connection:
            record_deed(
                connection,
                SYSTEM,
                Action.SESSION_REFUSE,
                "sign-in",
                tenant=None,
                now=now,
                detail=told,
            )

    def tell(self, session: Session, notice: Notice) -> None:
        """Keep a notice for its page."""
        with self._database.recording() as connection:
            stored.add_notice(connection, _digest(session.token), notice, most=MAX_NOTICES)

    def shown(self, session: Session, notices: Collection[Notice]) -> None:
        """Forget notices of a session: a page has shown them."""
        with self._database.recording() as connection:
            stored.remove_notices(connection, _digest(session.token), notices)


def is_live(row: StoredSession, *, now: int) -> bool:
    """Say whether a session is neither idle for too long nor too old."""
    return now - row.seen_at < IDLE_SECONDS and now - row.began_at < LIFETIME_SECONDS


def _tell(connection: Connection, action: Action, who: Credential, *, peer: str, now: int) -> None:
    actor = Actor(who.name, peer)
    record_deed(connection, actor, action, who.name, tenant=who.tenant, now=now)


def _digest(token: str) -> bytes:
    return sha256(token.encode("utf-8", "surrogatepass")).digest()
