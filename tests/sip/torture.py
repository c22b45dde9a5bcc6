"""The messages of RFC 4475, as bytes; `tests/vectors/rfc4475/README.md` says how they are kept."""

import re
from pathlib import Path

_FOLDER = Path(__file__).parents[1] / "vectors" / "rfc4475"
_ESCAPE = re.compile(rb"\\(?:\\|x([0-9a-f]{2}))")


def torture(name: str) -> bytes:
    text = (_FOLDER / f"{name}.txt").read_bytes().replace(b"\n", b"\r\n")
    return _ESCAPE.sub(lambda match: bytes.fromhex(match[1].decode()) if match[1] else b"\\", text)


NAMES = tuple(sorted(path.stem for path in _FOLDER.glob("*.txt")))
