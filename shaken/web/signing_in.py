"""Signing in: which credentials are people's, what the form says, what its page answers."""

import base64
from collections import deque
from collections.abc import Mapping

from shaken.api.peer import Peer
from shaken.credentials import Credential, Role
from shaken.networks import within
from shaken.web.forms import Submitted
from shaken.web.routes import BASE, View, own_path

SIGN_IN, SIGN_OUT = f"{BASE}/sign-in", f"{BASE}/sign-out"

PEOPLE = frozenset({Role.ADMIN, Role.VIEWER})
"""Roles that may sign in; those of machines see no page."""

MAX_NAME = 200
"""Characters of a name that the page repeats."""

MAX_SIGN_INS, SIGN_IN_SECONDS = 30, 10 * 60
"""How often a credential signs in within so many seconds, at most, at one worker."""

REASONS: Mapping[str, str] = {
    "ended": "Your session is over. Nothing was changed since; sign in to go on.",
    "out": "You are signed out.",
}
"""Why somebody is asked to sign in, by the word in the address."""


def authorization_of(form: Submitted) -> str:
    """Return what a form presents as an Authorization header has it (RFC 7617)."""
    pair = f"{form.text('name')}:{form.text('secret')}"
    encoded = base64.b64encode(pair.encode("utf-8", "surrogatepass"))
    return f"Basic {encoded.decode('ascii')}"


def is_welcome(who: Credential, peer: Peer) -> bool:
    """Say whether a credential still opens the pages to who comes from there."""
    if who.role not in PEOPLE or not within(who.networks, peer.address):
        return False
    return who.client_spki in {None, peer.client_spki}


def sign_in_page(query: Mapping[str, str]) -> View:
    """Ask for name and secret; the address may say why, and what page is next."""
    context = {
        "next": own_path(query.get("next", BASE)),
        "reason": REASONS.get(query.get("why", "")),
        "name": "",
        "error": None,
    }
    return View("sign-in.html", context)


def refused(form: Submitted, *, retry_after: int | None) -> View:
    """Say that name and secret do not fit; `retry_after` is for how many seconds to wait."""
    if retry_after is not None:
        error = (
            "Too many wrong secrets came from your address. Check yours; the right one is taken at"
            f" once, others again in {retry_after} seconds."
        )
        return _again(form, error, status=429)
    return _again(form, "This name and secret do not belong together. Check both.", status=403)


def not_for_people(form: Submitted, who: Credential) -> View:
    """Say that a credential is a machine's."""
    error = (
        f"This credential is for machines (its role is {who.role.value}). Sign in with one whose"
        " role is admin or viewer."
    )
    return _again(form, error, status=403)


def too_often(form: Submitted) -> View:
    """Say that a credential has signed in more often than a person does."""
    error = (
        f"This credential has signed in {MAX_SIGN_INS} times within"
        f" {SIGN_IN_SECONDS // 60} minutes. Wait a while, or go on in a session that is open."
    )
    return _again(form, error, status=429)


class SignInRate:
    """How often each credential signs in, at one worker. Use from one thread; the clock is given.

    Each time leaves an entry in the audit, which nobody may fill.
    """

    def __init__(self) -> None:
        """Begin with nobody."""
        self._times: dict[str, deque[int]] = {}

    def take(self, credential: str, *, now: int) -> bool:
        """Say whether it may sign in at `now`, in Unix seconds, and count it if so."""
        for name in [each for each, times in self._times.items() if _is_past(times[-1], now)]:
            del self._times[name]
        times = self._times.setdefault(credential, deque(maxlen=MAX_SIGN_INS))
        if len(times) == MAX_SIGN_INS and not _is_past(times[0], now):
            return False
        times.append(now)
        return True


def _is_past(time: int, now: int) -> bool:
    return not 0 <= now - time < SIGN_IN_SECONDS


def _again(form: Submitted, error: str, *, status: int) -> View:
    context = {
        "next": own_path(form.text("next")),
        "reason": None,
        "name": form.text("name")[:MAX_NAME],
        "error": error,
    }
    return View("sign-in.html", context, status)
