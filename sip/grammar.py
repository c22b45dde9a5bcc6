"""What header fields are made of (RFC 3261 §25.1): tokens, quoted strings, parameters, lists.

Pieces of regular expressions under the names of the RFC, and the three things that are done with
them: cut a list at its commas, read parameters, write parameters. White space is blanks and tabs
here: folds are undone before (`sip.parsing`). All of it takes time proportional to the text.

Possessive quantifiers stand behind single characters only: where a repeated group fails half-way,
Python 3.11.2 does not go back to where the group began.
"""

# ruff: noqa: ERA001 (the grammar quoted in comments looks like code)

import re

# token = 1*(alphanum / "-" / "." / "!" / "%" / "*" / "_" / "+" / "`" / "'" / "~" )
TOKEN = r"[A-Za-z0-9\-.!%*_+`'~]++"  # noqa: S105

# LWS = [*WSP CRLF] 1*WSP
# SWS = [LWS]
LWS = r"[ \t]++"
SWS = r"[ \t]*+"

# quoted-string = SWS DQUOTE *(qdtext / quoted-pair ) DQUOTE
# quoted-pair   = "\" (%x00-09 / %x0B-0C / %x0E-7F)
# The text between the quotes, not yet unescaped.
QUOTED_TEXT = r'[^"\\]*+(?:\\.[^"\\]*+)*'

# absoluteURI = scheme ":" ( hier-part / opaque-part )
# scheme      = ALPHA *( ALPHA / DIGIT / "+" / "-" / "." )
# What follows the scheme is left to who knows the scheme.
SCHEME = r"[A-Za-z][A-Za-z0-9+.\-]*+:"

# host = hostname / IPv4address / IPv6reference
# "_" is in many names inside container networks.
HOST = r"(?:\[[0-9A-Fa-f:.]++\]|[A-Za-z0-9_.\-]++)"

IS_TOKEN = re.compile(TOKEN)
_QUOTED_PAIR = re.compile(r"\\(.)", re.DOTALL)
_TO_ESCAPE = re.compile(r'(["\\])')

# A control character belongs into a header field as the second half of a quoted-pair only, and a
# line break not even there. Of surrogates only those that stand for a byte (PEP 383) can be sent.
_UNSENDABLE = r"\ud800-\udc7f\udd00-\udfff"
IS_URI = re.compile(rf'{SCHEME}[^\s<>"\x00-\x1f\x7f{_UNSENDABLE}]++')
_CONTROL = re.compile(rf"[\x00-\x08\x0a-\x1f\x7f{_UNSENDABLE}]")
_STRAY_CONTROL = re.compile(rf"[\r\n{_UNSENDABLE}]|(?<!\\)[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")

# What is left of a text without these is looked at: the quickest way to see that nothing is.
_PLAIN = bytes(range(0x20, 0x7F)) + b"\t"

# One element of a list: commas between quotes or angle brackets are its own.
_ELEMENT = re.compile(rf'(?:[^,"<]++|"{QUOTED_TEXT}"|<[^<>]*+>)*', re.DOTALL)

# generic-param = token [ EQUAL gen-value ]
# gen-value     = token / host / quoted-string
# A plain value is whatever cannot be mistaken for something else: PBXs send "/", "@" and ":" in it.
# They also send an empty value, and ";" without a parameter behind it.
PLAIN_VALUE = r'[^\s;,"<>=]++(?:=[^\s;,"<>]*+)?'
_PARAMETER = re.compile(
    rf"{SWS};[; \t]*+"
    rf'(?:({TOKEN}){SWS}(?:={SWS}(?:"({QUOTED_TEXT})"|({PLAIN_VALUE})|))?)?',
    re.DOTALL,
)
# As nearly all parameters are: without white space, quotes, or a "=" in a value.
_PLAIN_PARAMETERS = re.compile(rf'(?:;{TOKEN}(?:=[^\s;,"<>=]++)?)*')

# What is written as it is; a name without a value is looked at for itself.
_PLAIN_PAIR = re.compile(rf';{TOKEN}=[^\s;,"<>=\\\x00-\x1f\x7f{_UNSENDABLE}]++')

MAX_KEPT_LENGTH = 256
"""Characters of a value that is kept once it was read: nobody fills a cache with long ones."""

Parameters = tuple[tuple[str, str | None], ...]


class HeaderError(ValueError):
    """A header field breaks its grammar; the message is a sentence that repeats none of it."""


def has_stray_control(text: str) -> bool:
    """Say whether a value holds a line break, or a control character outside a quoted-pair."""
    strange = text.encode().translate(None, _PLAIN) if text.isascii() else not text.isprintable()
    return bool(strange) and _STRAY_CONTROL.search(text) is not None


def split_list(text: str) -> tuple[str, ...]:
    """Cut a field value at its commas (RFC 3261 §7.3.1), but not at quoted or bracketed ones.

    The values come without white space around them. Raises HeaderError for an empty value, a
    quote or an angle bracket without its end.
    """
    if "," not in text:
        values = [text.strip(" \t")]
    else:
        values = []
        position = 0
        while True:
            element = _ELEMENT.match(text, position)
            position = len(text) if element is None else element.end()
            values.append(element[0].strip(" \t") if element is not None else "")
            if position == len(text):
                break
            if text[position] != ",":
                raise HeaderError("a quote or angle bracket has no end")
            position += 1
    if "" in values:
        raise HeaderError("a list has an empty value")
    return tuple(values)


def read_parameters(text: str, position: int = 0) -> Parameters:
    """Read the `;name=value` pairs that fill `text` from `position` to its end.

    Names come in lower case, values without quotes and escapes; None is a name without a value, be
    there a `=` or not. Empty parameters are passed over.

    Raises HeaderError when anything else is there, or a name is there twice.
    """
    pairs: list[tuple[str, str | None]] = []
    end = len(text)
    if _PLAIN_PARAMETERS.fullmatch(text, position) is not None:
        for pair in text[position:].split(";")[1:]:
            name, equal, value = pair.partition("=")
            pairs.append((name.lower(), value if equal else None))
        position = end
    while position < end:
        parameter = _PARAMETER.match(text, position)
        if parameter is None:
            if text[position:].strip(" \t"):
                raise HeaderError("there is something else where parameters are expected")
            break
        position = parameter.end()
        name, quoted, plain = parameter.groups()
        if name is None:
            continue
        pairs.append((name.lower(), plain if quoted is None else unquote(quoted)))
    if len(pairs) > 1 and len({name for name, _ in pairs}) != len(pairs):
        raise HeaderError("a parameter is there twice")
    return tuple(pairs)


def format_parameters(parameters: Parameters) -> str:
    """Write parameters, with quotes where a value needs them.

    Raises HeaderError for what cannot be a name, or a value that holds a control character.
    """
    pieces: list[str] = []
    for name, value in parameters:
        piece = f";{name}" if value is None else f";{name}={value}"
        if value is None or _PLAIN_PAIR.fullmatch(piece) is None:
            if IS_TOKEN.fullmatch(name) is None:
                raise HeaderError("the name of a parameter is a token")
            if value is not None:
                piece = f";{name}={quote(value)}"
        pieces.append(piece)
    return "".join(pieces)


def find_parameter(parameters: Parameters, name: str) -> str | None:
    """Find a parameter's value by its name in lower case; None too when it stands without one."""
    for candidate, value in parameters:
        if candidate == name:
            return value
    return None


def unquote(text: str) -> str:
    """Undo the quoted-pairs of a text that stood between quotes."""
    return _QUOTED_PAIR.sub(r"\1", text) if "\\" in text else text


def quote(text: str) -> str:
    """Put a text between quotes. Raises HeaderError when it holds a control character."""
    if _CONTROL.search(text) is not None:
        raise HeaderError("a quoted string may not hold control characters")
    escaped = _TO_ESCAPE.sub(r"\\\1", text)
    return f'"{escaped}"'
