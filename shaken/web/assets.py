"""Style, script and icon of the pages: read once, each under an address that changes with it."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files

from shaken.web.routes import BASE

MEDIA_TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
"""Types of what is served, by the ending of a file's name."""

CACHING = "public, max-age=31536000, immutable"
"""The address names the content by its digest, so that it never changes."""


@dataclass(frozen=True)
class Asset:
    """A file: where it is, what it is."""

    path: str
    media_type: str
    content: bytes


def load_assets() -> Mapping[str, Asset]:
    """Read all files by name."""
    found = {}
    for file in files("shaken.web").joinpath("static").iterdir():
        stem, _, ending = file.name.rpartition(".")
        if ending in MEDIA_TYPES:
            content = file.read_bytes()
            digest = sha256(content).hexdigest()[:16]
            path = f"{BASE}/static/{stem}-{digest}.{ending}"
            found[file.name] = Asset(path, MEDIA_TYPES[ending], content)
    return found
