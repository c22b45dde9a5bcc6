"""Secrets between one form and the next: the browser carries them, sealed under the master key.

They are for one purpose and one session only. So any worker goes on with a form, the store holds
nothing unfinished, and no secret stands in a page.
"""

import base64
import binascii

from shaken.web.sessions import Session
from trust.keys import MasterKeyError, MasterKeys, SealError


def seal(content: bytes, purpose: str, session: Session, master: MasterKeys) -> str:
    """Close a box that this session's next form brings back. Raises MasterKeyError."""
    box = master.current.seal(content, record=_record(purpose, session))
    return base64.urlsafe_b64encode(box).decode("ascii")


def unseal(text: str, purpose: str, session: Session, master: MasterKeys) -> bytes | None:
    """Open the box of a form; None: there is none, or it is none of this purpose and session."""
    if not text:
        return None
    try:
        box = base64.urlsafe_b64decode(text.encode("ascii"))
        return master.unseal(box, record=_record(purpose, session))
    except (ValueError, binascii.Error, SealError, MasterKeyError):
        return None


def _record(purpose: str, session: Session) -> str:
    return f"{purpose}:{session.csrf}"
