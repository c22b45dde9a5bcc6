"""Requests and responses as values (RFC 3261 §7).

A message is its start line, its header fields in their order, and its body. Header fields are split
from each other once; what one means is read when somebody asks for it. `sip.parsing` makes messages
of bytes, `serialise` makes bytes of them. A message looks at its own parts when it is made, so
that nothing that goes out holds a line break of somebody else's.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Generic, NamedTuple, TypeVar

from sip.address import Address, address_at_hand, parse_address
from sip.grammar import (
    IS_TOKEN,
    IS_URI,
    MAX_KEPT_LENGTH,
    TOKEN,
    HeaderError,
    has_stray_control,
    split_list,
)
from sip.via import Via, parse_via, stamp_value

MAX_CSEQ = 2**31 - 1
"""Highest sequence number (RFC 3261 §8.1.1.5)."""

KEPT_CSEQS = 1024
"""Values that are not read again: most calls begin with the same one."""

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
    "Priority",
    "Privacy",
    "Reason",
    "Record-Route",
    "Remote-Party-ID",
    "Require",
    "Resource-Priority",
    "Route",
    "Server",
    "Timestamp",
    "User-Agent",
    "Warning",
)
SPELLINGS = _COMPACT | {name.lower(): name for name in (*_COMPACT.values(), *_COMMON)}
# The usual spellings are found without changing their case first.
SPELLINGS |= {name: name for name in SPELLINGS.values()}
"""Names of header fields as they are often written, to how the RFCs spell them."""

_SENT_AS_THEY_ARE = frozenset(SPELLINGS) - {"Content-Length", "content-length", "l"}

_CSEQ = re.compile(rf"([0-9]{{1,10}})[ \t]+({TOKEN})")
_CALL_ID = re.compile(r"[!-~]+")


class CSeq(NamedTuple):
    """A request's number within its call, and its method (RFC 3261 §20.16)."""

    number: int
    method: str


T = TypeVar("T")


class _Once(Generic[T]):
    """A property that is read once. That of `functools` takes a lock for it in Python 3.11."""

    def __init__(self, read: Callable[[Any], T]) -> None:
        self._read = read
        self._name = read.__name__
        self.__doc__ = read.__doc__

    def __get__(self, message: "_Message", owner: type["_Message"]) -> T:
        value = message.__dict__[self._name] = self._read(message)
        return value


@dataclass(frozen=True)
class _Message:
    """What requests and responses share: header fields and a body."""

    headers: HeaderFields
    body: bytes

    @_Once
    def _index(self) -> dict[str, tuple[str, ...]]:
        index: dict[str, tuple[str, ...]] = {}
        for name, value in self.headers:
            key = SPELLINGS.get(name) or lookup_name(name)
            index[key] = (*index[key], value) if key in index else (value,)
        return index

    def header(self, name: str) -> str | None:
        """Find the first header field of a name, in any case; None when there is none."""
        values = self._index.get(SPELLINGS.get(name) or lookup_name(name))
        return None if values is None else values[0]

    def fields(self, *names: str) -> HeaderFields:
        """Find all header fields of some names, in any case, in the order of the names."""
        index = self._index
        found: list[tuple[str, str]] = []
        for name in names:
            for value in index.get(SPELLINGS.get(name) or lookup_name(name), ()):
                found.append((name, value))  # noqa: PERF401 (a second list costs more)
        return tuple(found)

    def lines(self, name: str) -> tuple[str, ...]:
        """Find all header fields of a name, in any case, each as it was sent."""
        return self._index.get(SPELLINGS.get(name) or lookup_name(name), ())

    def values(self, name: str) -> tuple[str, ...]:
        """Find all values of a header field that is a list (RFC 3261 §7.3.1).

        An empty one, as PBXs make of an empty variable, has none. Raises HeaderError when one value
        cannot be told from the next.
        """
        return tuple([value for line in self.lines(name) if line for value in split_list(line)])

    def addresses(self, name: str) -> tuple[Address, ...]:
        """Find all addresses of a Contact, P-Asserted-Identity, Diversion and the like.

        Raises HeaderError when there is anything else.
        """
        return tuple([address_at_hand(value) for value in self.values(name)])

    def readable_addresses(self, name: str) -> tuple[Address, ...]:
        """Find all addresses of a header field, and pass over what is none.

        Raises HeaderError when one value cannot be told from the next.
        """
        found: list[Address] = []
        for value in self.values(name):
            try:
                found.append(address_at_hand(value))
            except HeaderError:
                continue
        return tuple(found)

    @_Once
    def via(self) -> Via:
        """Read the topmost Via. Raises HeaderError when there is none that can be read."""
        values = self._index.get("Via")
        if values is None:
            raise HeaderError("the Via header field is missing")
        return parse_via(split_list(values[0])[0])

    @_Once
    def from_(self) -> Address:
        """Read who the request is from. Raises HeaderError, also for a second one."""
        return parse_address(self._single("From"))

    @_Once
    def to(self) -> Address:
        """Read whom the request is for. Raises HeaderError, also for a second one."""
        return address_at_hand(self._single("To"))

    @_Once
    def call_id(self) -> str:
        """Read the call's identifier. Raises HeaderError, also for a second one."""
        call_id = self._single("Call-ID")
        if _CALL_ID.fullmatch(call_id) is None:
            raise HeaderError("the Call-ID header field is no word")
        return call_id

    @_Once
    def cseq(self) -> CSeq:
        """Read the request's number and method. Raises HeaderError, also for a second one."""
        value = self._single("CSeq")
        return _kept_cseq(value) if len(value) <= MAX_KEPT_LENGTH else _read_cseq(value)

    def _single(self, name: str) -> str:
        values = self._index.get(name)
        if values is None:
            raise HeaderError(f"the {name} header field is missing")
        if len(values) > 1:
            raise HeaderError(f"the {name} header field is there twice")
        return values[0]


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
        _check_start(method, uri)
        _check(headers)

    @staticmethod
    def of_wire(
        method: str,
        uri: str,
        headers: HeaderFields,
        index: dict[str, tuple[str, ...]],
        body: bytes,
    ) -> "Request":
        """Make a request of header fields that were looked at when they were read.

        `index` holds their values by name, as it is looked up. Raises HeaderError as the others.
        """
        request = object.__new__(Request)
        own = request.__dict__
        own["method"], own["uri"], own["headers"], own["body"] = method, uri, headers, body
        own["_index"] = index
        _check_start(method, uri)
        return request

    def stamped(self, *, address: str, port: int) -> "Request":
        """Note in the topmost Via where the request came from, as `sip.via.stamp` does.

        Raises HeaderError when the Via may not stand in a message.
        """
        index = self._index
        first, *later = index["Via"]
        value, via = stamp_value(first, self.via, address=address, port=port)
        if via is self.via:
            return self
        place = self.headers.index(("Via", first))
        request = object.__new__(Request)
        # What was read of the other header fields is read no second time.
        own = request.__dict__
        own.update(self.__dict__)
        own["headers"] = (*self.headers[:place], ("Via", value), *self.headers[place + 1 :])
        own["_index"], own["via"] = {**index, "Via": (value, *later)}, via
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

    @staticmethod
    def repeating(
        copied: HeaderFields, status: int, reason: str, headers: HeaderFields, body: bytes
    ) -> "Response":
        """Make a response that begins with header fields of a request, which were looked at there.

        Raises HeaderError as the others.
        """
        response = Response(status, reason, headers, body)
        response.__dict__["headers"] = copied + headers
        return response

    def serialise(self) -> bytes:
        """Write the message as it goes over the wire."""
        return _serialise(f"SIP/2.0 {self.status} {self.reason}", self)


def header_name(name: str) -> str:
    """Spell a header field's name as the RFCs do; one that is not known stays as it is.

    White space behind it goes. Raises HeaderError when it is no token.
    """
    known = SPELLINGS.get(name)
    if known is not None:
        return known
    name = name.rstrip(" \t")
    known = SPELLINGS.get(name.lower())
    if known is not None:
        return known
    if IS_TOKEN.fullmatch(name) is None:
        raise HeaderError("the name of a header field is no token")
    return name


def lookup_name(name: str) -> str:
    """Spell a name as it is looked up: one that is not known in lower case."""
    name = name.lower()
    return SPELLINGS.get(name, name)


def _check_start(method: str, uri: str) -> None:
    if IS_TOKEN.fullmatch(method) is None:
        raise HeaderError("the method is no token")
    if IS_URI.fullmatch(uri) is None:
        raise HeaderError("the Request-URI is no URI")


def _read_cseq(value: str) -> CSeq:
    match = _CSEQ.fullmatch(value)
    if match is None:
        raise HeaderError("the CSeq header field is no number and method")
    number = int(match[1])
    if number > MAX_CSEQ:
        raise HeaderError("the CSeq header field has a number out of range")
    return CSeq(number, match[2])


_kept_cseq = lru_cache(maxsize=KEPT_CSEQS)(_read_cseq)


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
