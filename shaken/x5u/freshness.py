"""How long a fetched file may be kept (RFC 9111 §4.2, §5.2.2), within bounds of our own. Pure."""

import re
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

from shaken.x5u.exchange import Validators

MIN_SECONDS = 60.0
"""A file is kept this long whatever its repository says: one that says `no-cache` would be fetched
for each call, and set-up would wait for somebody's web server."""

DEFAULT_SECONDS = 3600.0
"""For a repository that says nothing. A replaced certificate has another URL, by custom."""

MAX_SECONDS = 86400.0
"""A file that was withdrawn is forgotten after a day, whatever was said of it."""

MAX_VALIDATOR = 256
"""Characters of an ETag or date that is sent back; no server's is longer."""

MAX_DIRECTIVES = 1024
"""Characters of a Cache-Control that are looked at; servers send some fifty."""

_SECONDS = re.compile(r"[0-9]+")
_GREATEST = 2**31
"""What stands for more seconds than fit into ten digits (RFC 9111 §1.2.2)."""


def lifetime(headers: Mapping[str, str], *, now: float) -> float:
    """Return for how many seconds from `now` on a file is fresh; headers by names in lower case."""
    return min(max(_said(headers, now), MIN_SECONDS), MAX_SECONDS)


def may_be_stored(headers: Mapping[str, str]) -> bool:
    """Say whether a file may be written down (RFC 9111 §5.2.2.5)."""
    return "no-store" not in _directives(headers)


def validators(headers: Mapping[str, str]) -> Validators:
    """Return what the file's state is named by, as far as it can be sent back."""
    return Validators(_sendable(headers.get("etag")), _sendable(headers.get("last-modified")))


def _said(headers: Mapping[str, str], now: float) -> float:
    directives = _directives(headers)
    if "no-store" in directives or "no-cache" in directives:
        return 0
    for name in ("s-maxage", "max-age"):
        if name in directives:
            return _seconds(directives[name]) - _seconds(headers.get("age", ""))
    if "expires" not in headers:
        return DEFAULT_SECONDS
    expires = _moment(headers["expires"])
    # RFC 9111 §5.3: what is no date, "0" above all, lies in the past.
    if expires is None:
        return 0
    date = _moment(headers.get("date", ""))
    return expires - (now if date is None else date) - _seconds(headers.get("age", ""))


def _directives(headers: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for directive in headers.get("cache-control", "")[:MAX_DIRECTIVES].split(","):
        name, _, value = directive.partition("=")
        found.setdefault(name.strip().lower(), value.strip().strip('"'))
    return found


def _seconds(text: str) -> int:
    digits = text.strip()
    if not _SECONDS.fullmatch(digits):
        return 0
    return int(digits) if len(digits) <= 10 else _GREATEST


def _moment(text: str) -> float | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    try:
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def _sendable(text: str | None) -> str | None:
    if text is None or len(text) > MAX_VALIDATOR or not (text.isascii() and text.isprintable()):
        return None
    return text or None
