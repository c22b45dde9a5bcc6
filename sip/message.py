"""Requests and responses as values (RFC 3261 §7).

A message is its start line, its header fields in their order, and its body. Header fields are split
from each other once; what one means is read when somebody asks for it. `sip.parsing` makes messages
of bytes, `serialise` makes bytes of them. A message looks at its own parts when it is made, so
that nothing that goes out holds a line break of somebody else's.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from sip.address import Address, parse_address
from sip.grammar import IS_TOKEN, IS_URI, HeaderError, has_stray_control, split_list
from sip.via import Via, parse_via

MAX_CSEQ = 2**31 - 1
"""Highest sequence number (RFC 3261 §8.1.1.5)."""

HeaderFields = tuple[tuple[str, str], ...]

_COMPACT = {
    "a": "Accept-Contact",
    "b": "Referred-By",
    "c": "Content-Type",
    "d": "Request-Disposition",
    "e": "Content-Encoding",
    "f": "From",
    "i": "Call-ID",
    "j": "Reject-Contact",
    "k": "Supported",
    "l": "Content-Length",
    "m": "Contact",
    "n": "Identity-Info",
    "o": "Event",
    "r": "Refer-To",
    "s": "Subject",
    "t": "To",
    "u": "Allow-Events",
    "v": "Via",
    "x": "Session-Expires",
    "y": "Identity",
}
_COMMON = (
    "Accept",
    "Allow",
    "Attestation",
    "CSeq",
    "Content-Disposition",
    "Date",
    "Diversion",
    "Expires",
    "History-Info",
    "Max-Forwards",
    "Min-SE",
    "P-Asserted-Identity",
    "P-Attestation-Indicator",
    "P-Charging-Vector",
    "P-Origination-ID",
    "Privacy",
    "Reason",
    "Record-Route",
    "Remote-Party-ID",
    "Require",
    "Route",
    "Server",
    "Timestamp",
    "User-Agent",
    "Warning",
)
_SPELLINGS = _COMPACT | {name.lower(): name for name in (*_COMPACT.values(), *_COMMON)}
# The usual spellings are found without changing their case first.
_SPELLINGS |= {name: name for name in _SPELLINGS.values()}
_SENT_AS_THEY_ARE = frozenset(_SPELLINGS) - {"Content-Length", "content-length", "l"}

_CSEQ = re.compile(r"([0-9]{1,10})[ \t]+(\S+)")
_CALL_ID = re.compile(r"[!-~]+")


class CSeq(NamedTuple):
    """A request's number within its call, and its method (RFC 3261 §20.16)."""

    number: int
    method: str


@dataclass(frozen=True)
class _Message:
    """What requests and responses share: header fields and a body."""

    headers: HeaderFields
    body: bytes

    @cached_property
    def _index(self) -> dict[str, list[str]]:
        index: dict[str, list[str]] = {}
        for name, value in self.headers:
            index.setdefault(name.lower(), []).append(value)
        return index

    def header(self, name: str) -> str | None:
        """Find the first header field of a name, in any case; None when there is none."""
        values = self._index.get(name.lower())
        return None if values is None else values[0]

    def lines(self, name: str) -> tuple[str, ...]:
        """Find all header fields of a name, in any case, each as it was sent."""
        return tuple(self._index.get(name.lower(), ()))

    def values(self, name: str) -> tuple[str, ...]:
        """Find all values of a header field that is a list (RFC 3261 §7.3.1).

        Raises HeaderError when one cannot be told from the next.
        """
        lines = self._index.get(name.lower(), ())
        return tuple(value for line in lines for value in split_list(line))

    def addresses(self, name: str) -> tuple[Address, ...]:
        """Find all addresses of a Contact, P-Asserted-Identity, Diversion and the like.

        Raises HeaderError when there is anything else.
        """
        return tuple(parse_address(value) for value in self.values(name))

    @cached_property
    def via(self) -> Via:
        """The topmost Via. Raises HeaderError when there is none that can be read."""
        return parse_via(split_list(self._only("Via", self._index.get("via", ())[:1]))[0])

    @cached_property
    def from_(self) -> Address:
        """Who the request is from. Raises HeaderError, also for a second one."""
        return parse_address(self._single("From"))

    @cached_property
    def to(self) -> Address:
        """Whom the request is for. Raises HeaderError, also for a second one."""
        return parse_address(self._single("To"))

    @cached_property
    def call_id(self) -> str:
        """The call's identifier. Raises HeaderError, also for a second one."""
        call_id = self._single("Call-ID")
        if _CALL_ID.fullmatch(call_id) is None:
            raise HeaderError("the Call-ID header field is no word")
        return call_id

    @cached_property
    def cseq(self) -> CSeq:
        """The request's number and method. Raises HeaderError, also for a second one."""
        match = _CSEQ.fullmatch(self._single("CSeq"))
        if match is None or IS_TOKEN.fullmatch(match[2]) is None:
            raise HeaderError("the CSeq header field is no number and method")
        number = int(match[1])
        if number > MAX_CSEQ:
            raise HeaderError("the CSeq header field has a number out of range")
        return CSeq(number, match[2])

    def _single(self, name: str) -> str:
        return self._only(name, self._index.get(name.lower(), ()))

    @staticmethod
    def _only(name: str, values: Iterable[str]) -> str:
        found = list(values)
        if not found:
            raise HeaderError(f"the {name} header field is missing")
        if len(found) > 1:
            raise HeaderError(f"the {name} header field is there twice")
        return found[0]


@dataclass(frozen=True, init=False)
class Request(_Message):
    """A request: method, Request-URI as text, header fields and body.

    Names of header fields are spelled out, never compact; those this package does not know stay as
    they were sent. Content-Length is not among them: it is written from the body. Bytes that are no
    UTF-8 stand in values as surrogates, and leave as they came.

    Raises HeaderError when a part may not stand in a message.
    """

    method: str
    uri: str

    def __init__(
        self, method: str, uri: str, headers: HeaderFields = (), body: bytes = b""
    ) -> None:
        # A message is put straight into its place: a redirect server makes ten thousand a second.
        own = self.__dict__
        own["method"], own["uri"], own["headers"], own["body"] = method, uri, headers, body
        if IS_TOKEN.fullmatch(method) is None:
            raise HeaderError("the method is no token")
        if IS_URI.fullmatch(uri) is None:
            raise HeaderError("the Request-URI is no URI")
        _check(headers)

    def with_via(self, via: Via) -> "Request":
        """Put another topmost Via in the place of the one that is there.

        Raises HeaderError when it may not stand in a message.
        """
        place = next(place for place, (name, _) in enumerate(self.headers) if name == "Via")
        others = split_list(self.headers[place][1])[1:]
        value = ", ".join((str(via), *others))
        headers = (*self.headers[:place], ("Via", value), *self.headers[place + 1 :])
        request = object.__new__(Request)
        # What was read of the other header fields is read no second time.
        index = {**self._index, "via": [value, *self._index["via"][1:]]}
        request.__dict__.update(self.__dict__, headers=headers, via=via, _index=index)
        return request

    def serialise(self) -> bytes:
        """Write the message as it goes over the wire."""
        return _serialise(f"{self.method} {self.uri} SIP/2.0", self)


@dataclass(frozen=True, init=False)
class Response(_Message):
    """A response: status code, reason phrase, header fields and body, as those of a `Request`.

    Raises HeaderError when a part may not stand in a message.
    """

    status: int
    reason: str

    def __init__(
        self, status: int, reason: str, headers: HeaderFields = (), body: bytes = b""
    ) -> None:
        own = self.__dict__
        own["status"], own["reason"], own["headers"], own["body"] = status, reason, headers, body
        if not 100 <= status <= 699:
            raise HeaderError("a status code is between 100 and 699")
        if has_stray_control(reason):
            raise HeaderError("the reason phrase holds a control character")
        _check(headers)

    def serialise(self) -> bytes:
        """Write the message as it goes over the wire."""
        return _serialise(f"SIP/2.0 {self.status} {self.reason}", self)


def header_name(name: str) -> str:
    """Spell a header field's name as the RFCs do; one that is not known stays as it is.

    White space behind it goes. Raises HeaderError when it is no token.
    """
    known = _SPELLINGS.get(name)
    if known is not None:
        return known
    name = name.rstrip(" \t")
    known = _SPELLINGS.get(name.lower())
    if known is not None:
        return known
    if IS_TOKEN.fullmatch(name) is None:
        raise HeaderError("the name of a header field is no token")
    return name


def _check(headers: HeaderFields) -> None:
    """Raise HeaderError when a header field could be taken for something else."""
    for name, _ in headers:
        if name in _SENT_AS_THEY_ARE:
            continue
        if IS_TOKEN.fullmatch(name) is None:
            raise HeaderError("the name of a header field is no token")
        if name.lower() in ("content-length", "l"):
            raise HeaderError("Content-Length is written from the body")
    if has_stray_control(" ".join([value for _, value in headers])):
        raise HeaderError("a header field holds a line break or control character")


def _serialise(start_line: str, message: _Message) -> bytes:
    lines = [start_line]
    lines += [f"{name}: {value}" for name, value in message.headers]
    lines.append(f"Content-Length: {len(message.body)}\r\n\r\n")
    return "\r\n".join(lines).encode("utf-8", "surrogateescape") + message.body
