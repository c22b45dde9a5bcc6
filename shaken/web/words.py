"""How templates write times, numbers and plurals. Pure; the reader's zone is the script's part."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

MINUTE, HOUR, DAY = 60, 3600, 86400

NAMES = frozenset({"alg", "attest", "dest", "iat", "info", "opt", "orig", "origid", "ppt", "time"})
"""Claims, parameters and fields, which are written in small letters everywhere."""


def moment(value: int | datetime) -> datetime:
    """Take Unix seconds or an aware time, as things hold either."""
    return datetime.fromtimestamp(value, UTC) if isinstance(value, int) else value.astimezone(UTC)


def machine_time(value: int | datetime) -> str:
    """Write a time for the `datetime` attribute: RFC 3339 UTC."""
    return f"{moment(value):%Y-%m-%dT%H:%M:%SZ}"


def utc(value: int | datetime) -> str:
    """Write a time to the second."""
    return f"{moment(value):%Y-%m-%d %H:%M:%S} UTC"


def shown_time(value: int | datetime) -> str:
    """Write a time for readers without script."""
    at = moment(value)
    return f"{at.day} {at:%b %Y, %H:%M} UTC"


def shown_date(value: int | datetime) -> str:
    """Write a day for readers without script."""
    at = moment(value)
    return f"{at.day} {at:%b %Y}"


def short_time(value: int | datetime, unit: str) -> str:
    """Write a time below a chart: its `day`, or its `hour`."""
    at = moment(value)
    return f"{at.day} {at:%b}" if unit == "day" else f"{at:%H:%M}"


def distance(value: int | datetime, now: int) -> str:
    """Say how far a time is from now: `in 12 days`, `3 hours ago`."""
    seconds = int(moment(value).timestamp()) - now
    words = span(abs(seconds))
    if words is None:
        return "now"
    return f"in {words}" if seconds > 0 else f"{words} ago"


def span(seconds: int) -> str | None:
    """Say how long something is, in its largest unit, two years in days; None: not a minute."""
    for unit, length in (("day", DAY), ("hour", HOUR), ("minute", MINUTE)):
        if seconds >= length:
            return plural(seconds // length, unit)
    return None


def number(count: int) -> str:
    """Write a number with thin spaces between thousands."""
    return f"{count:,}".replace(",", "\u202f")


def plural(count: int, noun: str) -> str:
    """Write a count with its noun: `1 day`, `2 days`."""
    return f"{number(count)} {noun}" if count == 1 else f"{number(count)} {noun}s"


def sentence(text: str) -> str:
    """Write words as a sentence; the name of a claim or field at its beginning stays as it is."""
    named = text.partition(" ")[0] in NAMES
    return f"{text[:1] if named else text[:1].upper()}{text[1:].rstrip('.')}."


FILTERS: Mapping[str, Callable[..., str]] = {
    "machine_time": machine_time,
    "utc": utc,
    "shown_time": shown_time,
    "shown_date": shown_date,
    "short_time": short_time,
    "distance": distance,
    "number": number,
    "plural": plural,
}
"""What templates call these."""
