"""The Identity header field (RFC 8224 §4): parse and format its value.

A value is a PASSporT with the place of its certificate and, at choice, its algorithm and type; a
message may carry several. `parse_each` reads what others send, each PASSporT by itself,
`parse_identities` all of a field or nothing; `str()` of an `Identity` is what is sent. What the
PASSporT says, and whether to believe it, is left to callers.
"""

# ruff: noqa: ERA001 (the grammar quoted in comments looks like code)

import re
from collections.abc import Sequence
from functools import lru_cache

import msgspec

MAX_FIELD_LENGTH = 16 * 1024
"""Longest field value parsed, in characters: a PASSporT with rich call data takes two thousand."""

MAX_PER_FIELD = 16
"""Most PASSporTs in one field value: national rules know of five diversions beside the first."""

MAX_KEPT = 512
"""Characters of parameters that are kept once they were read; strangers write them."""

KEPT = 10_000
"""Of these texts: a signer's parameters are the same in each of its calls."""

_SHOWN_LENGTH = 32  # of a refused text, in an error's message

# RFC 8224 §4, as corrected by erratum 6499:
#   Identity               = "Identity" HCOLON signed-identity-digest SEMI
#                            ident-info *( SEMI ident-info-params )
#   signed-identity-digest = 1*(base64url-char / ".")
#   base64url-char         = ALPHA / DIGIT / "-" / "_"
#   ident-info             = "info" EQUAL ident-info-uri
#   ident-info-uri         = LAQUOT absoluteURI RAQUOT
#   ident-info-params      = ident-info-alg / ident-type / ident-info-extension
#   ident-info-alg         = "alg" EQUAL token
#   ident-type             = "ppt" EQUAL token
#   ident-info-extension   = generic-param
# `info` is taken at any place among the parameters, `alg` and `ppt` also in quotes, and several
# values may stand behind each other, with commas (RFC 3261 §7.3.1): all of it is sent in practice.
_DIGEST = r"[A-Za-z0-9_.-]+"

# RFC 3261 §25.1:
#   token       = 1*(alphanum / "-" / "." / "!" / "%" / "*" / "_" / "+" / "`" / "'" / "~" )
_TOKEN = r"[A-Za-z0-9\-.!%*_+`'~]+"  # noqa: S105

#   absoluteURI = scheme ":" ( hier-part / opaque-part )
#   scheme      = ALPHA *( ALPHA / DIGIT / "+" / "-" / "." )
#   uric        = reserved / unreserved / escaped
# The two parts are not told apart: either is made of uric. The brackets of an IPv6 address are
# those of RFC 3986.
_ABSOLUTE_URI = re.compile(
    r"[A-Za-z][A-Za-z0-9+.-]*:"
    r"(?:[A-Za-z0-9;/?:@&=+$,\-_.!~*'()\[\]]|%[0-9A-Fa-f]{2})+"
)

#   generic-param = token [ EQUAL gen-value ]
#   gen-value     = token / host / quoted-string
# A host is a token too, but for an IPv6 reference.
_PLAIN_VALUE = rf"{_TOKEN}|\[[0-9A-Fa-f:.]+\]"

#   quoted-string = SWS DQUOTE *(qdtext / quoted-pair ) DQUOTE
#   qdtext        = LWS / %x21 / %x23-5B / %x5D-7E / UTF8-NONASCII
#   quoted-pair   = "\" (%x00-09 / %x0B-0C / %x0E-7F)
# Control characters are refused in pairs as well: nobody sends them for an honest reason.
_QUOTED_TEXT = re.compile(r"[\t -~\u00a0-\ud7ff\ue000-\U0010ffff]*")
_QUOTED_PAIR = re.compile(r"\\(.)", re.DOTALL)

#   LWS   = [*WSP CRLF] 1*WSP
#   SWS   = [LWS]
#   SEMI  = SWS ";" SWS
#   EQUAL = SWS "=" SWS
# Folds are undone first, so that white space is blanks and tabs from then on. Each rule takes the
# white space behind it, so that the next one never looks at it again.
_FOLD = re.compile(r"\r\n[ \t]+")
_SWS = r"[ \t]*"
_SIGNED_IDENTITY_DIGEST = re.compile(rf"{_SWS}({_DIGEST}){_SWS}")
_PARAMETER = re.compile(
    rf";{_SWS}(?P<name>{_TOKEN}){_SWS}"
    rf"(?:={_SWS}(?:"
    r"<(?P<uri>[^<>]*)>"
    r'|"(?P<quoted>(?:[^"\\]|\\.)*)"'
    rf"|(?P<plain>{_PLAIN_VALUE})"
    rf"){_SWS})?",
    re.DOTALL,
)

# Where an identity that breaks the grammar ends all the same: at the next comma that stands neither
# in brackets nor in quotes.
_EXTENT = re.compile(r'(?:[^,<"]+|<[^<>]*>|"(?:[^"\\]|\\.)*")*', re.DOTALL)

_HEADER_NAME = re.compile(r"\A[ \t\r\n]*(?:Identity|y)[ \t]*:", re.IGNORECASE | re.ASCII)

# Another header field of a message; "https:" at the beginning of a line is a wrapped URI's.
_OTHER_NAME = re.compile(r"(?!h?t?t?ps?:)[A-Za-z0-9-]+[ \t]*:(?!//)")

# JSON in base64url, or the two dots of a compact form.
_BEGINS = re.compile(r"ey[A-Za-z0-9_-]*\.|\.\.")

_RULE_OF_DIGEST = re.compile(_DIGEST)
_RULE_OF_TOKEN = re.compile(_TOKEN)
_RULE_OF_PLAIN_VALUE = re.compile(_PLAIN_VALUE)

_OWN_PARAMETERS = frozenset({"info", "alg", "ppt"})

Extensions = tuple[tuple[str, str | None], ...]


class IdentityError(ValueError):
    """A text is no Identity field value; the message is a short sentence that says why."""


class InfoError(IdentityError):
    """It says nowhere usable where its certificate is: `info` is missing, there twice, no URI."""


class Identity(msgspec.Struct, frozen=True):
    """One Identity field value: a PASSporT and what its sender says about it.

    `token` is the PASSporT as sent, `info` the URI of its certificate without angle brackets, `alg`
    and `ppt` are None when the sender leaves them out. `extensions` are the parameters RFC 8224
    does not name, in the order sent: names in lower case, since they are compared without it, and
    values without quotes, or None where there is no `=`.

    Raises IdentityError when a part breaks the grammar, so that no value, wherever it comes from,
    can put foreign matter into a message.
    """

    token: str
    info: str
    alg: str | None = None
    ppt: str | None = None
    extensions: Extensions = ()

    def __post_init__(self) -> None:
        if _RULE_OF_DIGEST.fullmatch(self.token) is None:
            raise IdentityError(f"{_shown(self.token)} is not a PASSporT")
        length = len(self.info) + len(self.alg or "") + len(self.ppt or "")
        is_usual = length <= MAX_KEPT and not self.extensions
        check = _check_once if is_usual else _check_parameters
        check(self.info, self.alg, self.ppt, self.extensions)

    @property
    def is_compact(self) -> bool:
        """Whether the PASSporT is in compact form, its signature only (RFC 8225 §7)."""
        return self.token.startswith("..")

    def __str__(self) -> str:
        """Format the value in the order and spelling carriers send: info, alg, ppt, the others."""
        alg = "" if self.alg is None else f";alg={self.alg}"
        ppt = "" if self.ppt is None else f";ppt={self.ppt}"
        extensions = "".join(_format_extension(name, value) for name, value in self.extensions)
        return f"{self.token};info=<{self.info}>{alg}{ppt}{extensions}"


def parse_identities(value: str) -> tuple[Identity, ...]:
    """Parse one Identity field value, which holds one or more PASSporTs (RFC 8224 §4).

    `value` is what stands behind the colon, folded or not. Returns the identities in their order,
    always at least one.

    Raises IdentityError for anything else, and for more than `MAX_FIELD_LENGTH` characters or
    `MAX_PER_FIELD` PASSporTs. Takes time proportional to the text, whatever it holds.
    """
    identities = []
    for each in parse_each(value):
        if isinstance(each, IdentityError):
            raise each
        identities.append(each)
    return tuple(identities)


def parse_each(value: str) -> tuple[Identity | IdentityError, ...]:
    """Parse one Identity field value, so that a mistake in one of its PASSporTs spoils no other.

    Returns, in their order, each identity or why it is none. Behind one whose brackets or quotes
    are left open nobody can tell where the next begins: the rest of the value belongs to it. A
    value of more than `MAX_FIELD_LENGTH` characters or `MAX_PER_FIELD` PASSporTs is one mistake.
    Takes time proportional to the text, whatever it holds.
    """
    if len(value) > MAX_FIELD_LENGTH:
        return (IdentityError(f"an Identity value has at most {MAX_FIELD_LENGTH} characters"),)
    usual = _usual(value)
    return _each_of(value) if usual is None else (usual,)


def _usual(value: str) -> Identity | None:
    """Read a value that is one PASSporT and parameters that are at hand; None: it is not."""
    token, _, parameters = value.partition(";")
    like = _with_parameters(parameters) if len(parameters) <= MAX_KEPT else None
    if like is None:
        return None
    try:
        return Identity(token, like.info, like.alg, like.ppt, like.extensions)
    except IdentityError:
        return None


@lru_cache(maxsize=KEPT)
def _with_parameters(parameters: str) -> Identity | None:
    """Return some identity with these parameters; None: there is a mistake, or another behind."""
    found = _each_of(f"x;{parameters}")
    return found[0] if len(found) == 1 and isinstance(found[0], Identity) else None


def _each_of(value: str) -> tuple[Identity | IdentityError, ...]:
    text = _FOLD.sub(" ", value)
    found: list[Identity | IdentityError] = []
    position = 0
    while len(found) < MAX_PER_FIELD:
        start = position
        try:
            identity, position = _parse_identity(text, start)
            found.append(identity)
        except IdentityError as error:
            found.append(error)
            position = _end_of(text, start)
        if position == len(text):
            return tuple(found)
        position += len(",")
    return (IdentityError(f"an Identity value holds at most {MAX_PER_FIELD} PASSporTs"),)


def strip_header_name(line: str) -> str:
    """Drop `Identity:` or its compact form `y:`, and the space around a line a person pasted.

    A line without the name only loses the space around it. Never raises.
    """
    return _HEADER_NAME.sub("", line, count=1).strip(" \t\r\n")


def pasted_values(text: str) -> tuple[str, ...]:
    """Read the Identity values in a text that a person pasted, each in one line, without its name.

    That is a value or several, each behind `Identity:` or not, folded or wrapped anywhere, or a
    whole message, whose other header fields are passed over. What is no value comes as it is, to
    be refused by who reads it. Never raises.
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    are_named = any(map(_HEADER_NAME.match, lines))
    found = _named_values(lines) if are_named else _bare_values(lines)
    return tuple(value for parts in found if (value := "".join(parts)))


def _named_values(lines: Sequence[str]) -> list[list[str]]:
    """Read the values behind `Identity:`, each up to the next header field or an empty line."""
    found: list[list[str]] = []
    inside = False
    for line in lines:
        if _HEADER_NAME.match(line):
            found.append([])
            inside = True
        elif not line.strip() or _OTHER_NAME.match(line):
            inside = False
        if inside:
            found[-1].append(strip_header_name(line))
    return found


def _bare_values(lines: Sequence[str]) -> list[list[str]]:
    """Read values without names: one begins where a token does, behind one that has parameters."""
    found: list[list[str]] = []
    ended, has_parameters = True, False
    for line in lines:
        text = line.strip()
        if ended or (has_parameters and _BEGINS.match(text)):
            found.append([])
            has_parameters = False
        found[-1].append(text)
        ended, has_parameters = not text, has_parameters or ";" in text
    return found


def _parse_identity(text: str, position: int) -> tuple[Identity, int]:
    """Parse the identity that starts at `position`; returns it and where its end or comma is."""
    digest = _SIGNED_IDENTITY_DIGEST.match(text, position)
    if digest is None:
        raise IdentityError(
            f"there is no PASSporT at character {position + 1} of the Identity value"
        )
    position = digest.end()
    own: dict[str, str | None] = {}
    extensions: list[tuple[str, str | None]] = []
    while parameter := _PARAMETER.match(text, position):
        position = parameter.end()
        name, value = _read_parameter(parameter)
        if name not in _OWN_PARAMETERS:
            extensions.append((name, value))
        elif name in own:
            raise _error_of(name)(f"the {name} parameter of the Identity value is there twice")
        else:
            own[name] = value
    if position < len(text) and text[position] != ",":
        raise IdentityError(
            f"unexpected {text[position]!a} at character {position + 1} of the Identity value"
        )
    info = own.get("info")
    if info is None:
        raise InfoError("the Identity value has no info parameter, the URI of a certificate")
    identity = Identity(digest[1], info, own.get("alg"), own.get("ppt"), tuple(extensions))
    return identity, position


def _end_of(text: str, start: int) -> int:
    """Return where the comma behind a spoilt identity is, or the end of the text."""
    extent = _EXTENT.match(text, start)
    end = len(text) if extent is None else extent.end()
    return end if text[end : end + 1] == "," else len(text)


def _read_parameter(parameter: re.Match[str]) -> tuple[str, str | None]:
    """Take name and value from a matched parameter; the name comes in lower case."""
    name = parameter["name"].lower()
    uri, quoted, plain = parameter["uri"], parameter["quoted"], parameter["plain"]
    if name == "info" and uri is None:
        raise InfoError("the info parameter of an Identity value is a URI in angle brackets")
    if name != "info" and uri is not None:
        raise IdentityError("only the info parameter of an Identity value takes angle brackets")
    value = plain if quoted is None else _QUOTED_PAIR.sub(r"\1", quoted)
    if name in _OWN_PARAMETERS and uri is None and value is None:
        raise IdentityError(f"the {name} parameter of the Identity value needs a value")
    return name, value if uri is None else uri


def _error_of(name: str) -> type[IdentityError]:
    return InfoError if name == "info" else IdentityError


def _check_parameters(info: str, alg: str | None, ppt: str | None, extensions: Extensions) -> None:
    """Hold parameters to the grammar. Raises IdentityError."""
    if _ABSOLUTE_URI.fullmatch(info) is None:
        raise InfoError(f"{_shown(info)} is not a URI for the info parameter")
    if alg is not None and _RULE_OF_TOKEN.fullmatch(alg) is None:
        raise IdentityError(f"{_shown(alg)} is not a value for the alg parameter")
    if ppt is not None and _RULE_OF_TOKEN.fullmatch(ppt) is None:
        raise IdentityError(f"{_shown(ppt)} is not a value for the ppt parameter")
    for name, value in extensions:
        _check_extension(name, value)


_check_once = lru_cache(maxsize=KEPT)(_check_parameters)
"""The same; what passed is not looked at again."""


def _check_extension(name: str, value: str | None) -> None:
    if _RULE_OF_TOKEN.fullmatch(name) is None:
        raise IdentityError(f"{_shown(name)} is not a name for a parameter")
    if name != name.lower():
        raise IdentityError("the names of Identity parameters are kept in lower case")
    if name in _OWN_PARAMETERS:
        raise IdentityError(f"the {name} parameter is not an extension")
    if value is not None and _QUOTED_TEXT.fullmatch(value) is None:
        raise IdentityError(f"the {name[:_SHOWN_LENGTH]} parameter holds a control character")


def _format_extension(name: str, value: str | None) -> str:
    if value is None:
        return f";{name}"
    if _RULE_OF_PLAIN_VALUE.fullmatch(value) is not None:
        return f";{name}={value}"
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f';{name}="{escaped}"'


def _shown(text: str) -> str:
    """Quote the start of a refused text so that it is safe to print."""
    return ascii(text[:_SHOWN_LENGTH])
