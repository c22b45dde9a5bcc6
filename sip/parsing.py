"""Bytes to messages (RFC 3261 §7), and what to answer when they are none.

`parse` takes one whole message: a datagram, or what `sip.framing` cut out of a stream. It undoes
folds, spells compact names out, and looks at the header fields that every message needs; all others
are read on demand. `MalformedMessageError` says what is wrong, and holds what can be answered.

Line ends are CR LF, nothing else: what a neighbour could take for a line end is refused.
"""

import re

from sip.grammar import IS_TOKEN, HeaderError, has_stray_control
from sip.message import (
    SPELLINGS,
    HeaderFields,
    Request,
    Response,
    header_name,
    lookup_name,
)
from sip.via import Via, mend, parse_via

MAX_MESSAGE_LENGTH = 65535
"""Longest message parsed, in bytes: UDP carries no longer one, and §18.1.1 asks for these."""

MAX_HEADER_FIELDS = 256
"""Most header fields in a message: 70 hops leave a Via and a Record-Route each, and some room."""

# The white space before it is taken off what stands there: sought here, in a run of blanks that no
# line break ends, it would be sought anew at each of them.
_FOLD = re.compile(r"\r\n[ \t]+")
_LENGTH = re.compile(r"[0-9]{1,10}")
_VERSION = re.compile(r"SIP/([0-9]+\.[0-9]+)", re.IGNORECASE)
_STATUS_LINE = re.compile(r"SIP/2\.0 ([1-6][0-9]{2})(?: (.*))?", re.IGNORECASE | re.DOTALL)
_ACK = re.compile(rb"ACK [^\s]+ SIP/2\.0\r\nVia: ([^\r\n,]+)\r\n(?![ \t])")
_IS_RESPONSE = re.compile(rb"(?:\r\n)*SIP/", re.IGNORECASE)

_SALVAGED = ("Via", "From", "To", "Call-ID", "CSeq")


class MalformedMessageError(ValueError):
    """Bytes are no SIP message; the text is a short sentence that repeats nothing of them.

    `status` is the code to answer with. `request` is what could be read of a request, enough for
    `respond`, and None when nothing can be answered: the header fields that a response repeats are
    not there, or it is a response, or an ACK.
    """

    def __init__(self, sentence: str, *, status: int, request: Request | None) -> None:
        super().__init__(sentence)
        self.status = status
        self.request = request


class _SyntaxError(Exception):
    """What is wrong and which status says so, before it is known whether it can be answered."""

    def __init__(self, sentence: str, status: int = 400) -> None:
        super().__init__(sentence)
        self.status = status


def via_of_ack(data: bytes) -> Via | None:
    """Read the topmost Via of an ACK that is written as nearly all are: Via first, and no list.

    None: it is no such ACK, which says nothing against it. For who needs no more of it: half of
    the requests of a redirect server are ACKs.
    """
    match = _ACK.match(data)
    if match is None:
        return None
    try:
        via = parse_via(match[1].decode("ascii"))
    except (HeaderError, UnicodeDecodeError):
        return None
    return via if via.version == "2.0" else None


def is_response(data: bytes) -> bool:
    """Say at a glance whether bytes would be a response: a server never answers one."""
    return _IS_RESPONSE.match(data) is not None


def parse(data: bytes) -> Request | Response:
    """Parse one message. Line breaks before it are passed over, bytes behind its body dropped.

    A message without Content-Length ends with the bytes (RFC 3261 §18.3). Via, From, To, Call-ID
    and CSeq can be read from what is returned without an error.

    Raises MalformedMessageError for anything else.
    """
    start = 0
    while data.startswith(b"\r\n", start):
        start += 2
    end = data.find(b"\r\n\r\n", start)
    head = data[start : end if end >= 0 else len(data)].decode("utf-8", "surrogateescape")
    if "\r\n " in head or "\r\n\t" in head:
        *folded, last = _FOLD.split(head)
        head = " ".join([*(part.rstrip(" \t") for part in folded), last])
    lines = head.split("\r\n")
    try:
        _check_extent(data, end)
        headers, index, length = _read_headers(lines)
        body = _cut_body(data, end + 4, length)
        message = _make(lines[0], headers, index, body)
        _check_mandatory(message)
    except _SyntaxError as error:
        raise MalformedMessageError(
            str(error), status=error.status, request=_salvage(lines)
        ) from None
    except HeaderError as error:
        sentence = str(error)
        sentence = sentence[0].upper() + sentence[1:]
        raise MalformedMessageError(sentence, status=400, request=_salvage(lines)) from error
    return message


def _check_extent(data: bytes, end: int) -> None:
    if len(data) > MAX_MESSAGE_LENGTH:
        raise _SyntaxError("Message Too Large", 513)
    if end < 0:
        raise _SyntaxError("The header section has no end")


def _read_headers(
    lines: list[str],
) -> tuple[HeaderFields, dict[str, tuple[str, ...]], int | None]:
    """Read the header fields behind the start line, and take Content-Length out of them.

    Returns them in their order, and their values by name.
    """
    if len(lines) > MAX_HEADER_FIELDS + 1:
        raise _SyntaxError("Too many header fields", 513)
    headers: list[tuple[str, str]] = []
    index: dict[str, tuple[str, ...]] = {}
    lengths: list[str] = []
    for line in lines[1:]:
        written, colon, value = line.partition(":")
        if not colon:
            raise _SyntaxError("A header field has no colon")
        value = value.strip(" \t")
        name = key = SPELLINGS.get(written, "")
        if not name:
            name = header_name(written)
            key = lookup_name(name)
        if name == "Content-Length":
            lengths.append(value)
            continue
        headers.append((name, value))
        index[key] = (*index[key], value) if key in index else (value,)
    if has_stray_control(" ".join(lines[1:])):
        raise HeaderError("a header field holds a line break or control character")
    if not lengths:
        return tuple(headers), index, None
    if len(lengths) > 1:
        raise _SyntaxError("The Content-Length header field is there twice")
    if _LENGTH.fullmatch(lengths[0]) is None:
        raise _SyntaxError("The Content-Length header field is no number")
    return tuple(headers), index, int(lengths[0])


def _cut_body(data: bytes, start: int, length: int | None) -> bytes:
    if length is None:
        return data[start:]
    if length > len(data) - start:
        raise _SyntaxError("The body is shorter than Content-Length says")
    return data[start : start + length]


def _make(
    start_line: str, headers: HeaderFields, index: dict[str, tuple[str, ...]], body: bytes
) -> Request | Response:
    if start_line[:4].upper() == "SIP/":
        status = _STATUS_LINE.fullmatch(start_line)
        if status is None:
            raise _SyntaxError("The status line is no version, code and phrase")
        return Response(int(status[1]), status[2] or "", headers, body)
    parts = start_line.split(" ")
    if len(parts) != 3:
        raise _SyntaxError("The request line is no method, URI and version between single spaces")
    method, uri, version = parts
    if version != "SIP/2.0":
        number = _VERSION.fullmatch(version)
        if number is None:
            raise _SyntaxError("The request line ends with no version")
        if number[1] != "2.0":
            raise _SyntaxError("Version Not Supported", 505)
    return Request.of_wire(method, uri, headers, index, body)


def _check_mandatory(message: Request | Response) -> None:
    """Read what every message needs (RFC 3261 §8.1.1), which raises HeaderError when it cannot."""
    via = message.via
    if via.version != "2.0":
        raise _SyntaxError("Version Not Supported", 505)
    _ = message.from_, message.to, message.call_id
    method = message.cseq.method
    if isinstance(message, Request) and method != message.method:
        raise _SyntaxError("The CSeq header field has another method than the request line")


def _salvage(lines: list[str]) -> Request | None:
    """Keep what a response repeats of a request that is malformed elsewhere, if all of it is there.

    The topmost Via must name a transport and a host, since it says where the response goes.
    """
    method = lines[0].partition(" ")[0]
    if IS_TOKEN.fullmatch(method) is None or method == "ACK" or method.upper() == "SIP":
        return None
    found: dict[str, list[tuple[str, str]]] = {name: [] for name in _SALVAGED}
    for line in lines[1 : MAX_HEADER_FIELDS + 1]:
        name, _, value = line.partition(":")
        try:
            name = header_name(name)
        except HeaderError:
            continue
        if name in found and (name == "Via" or not found[name]):
            found[name].append((name, value.strip(" \t")))
    if not all(found.values()):
        return None
    try:
        found["Via"][0] = ("Via", mend(found["Via"][0][1]))
        headers = tuple(header for name in _SALVAGED for header in found[name])
        request = Request(method, "sip:malformed.invalid", headers)
        _ = request.via
    except HeaderError:
        return None
    return request
