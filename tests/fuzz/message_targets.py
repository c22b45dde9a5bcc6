"""Fuzzed: SIP messages, streams of them, and the values of their header fields."""

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeVar

from sip.address import Address, parse_address
from sip.framing import Framer, FramingError, Message
from sip.grammar import HeaderError, Parameters, split_list
from sip.message import Request, Response
from sip.parsing import MalformedMessageError, is_response, parse
from sip.via import Via, parse_via, stamp
from tests.fuzz.target import Target, Targets, fit_to_show, text_of
from tests.fuzz.trust_targets import refused_at_most
from tests.sip.messages import refusal
from tests.sip.torture import NAMES, torture

TAG = "tag"
"""The To tag of answers."""

MAX_HEAD, MAX_MESSAGE = 256, 512
"""Limits of the fuzzed stream, in bytes: within reach of its inputs."""

Value = TypeVar("Value", Address, Via)

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


# Messages


def _message(data: bytes) -> Request | Response | MalformedMessageError:
    try:
        return parse(data)
    except MalformedMessageError as error:
        return error


def _message_holds(data: bytes, read: Request | Response | MalformedMessageError) -> None:
    if isinstance(read, MalformedMessageError):
        fit_to_show(str(read))
        _answer_holds(data, read)
        return
    assert isinstance(read, Response) == is_response(data)
    assert parse(read.serialise()) == read
    assert read.body in data
    for name in {name for name, _ in read.headers}:
        assert read.lines(name)[0] == read.header(name.upper())
        refused_at_most(partial(read.values, name), HeaderError)
        refused_at_most(partial(read.addresses, name), HeaderError)
    if isinstance(read, Request):
        stamped = read.stamped(address="192.0.2.1", port=5060)
        assert stamped.via == stamp(read.via, address="192.0.2.1", port=5060)
        assert parse(stamped.serialise()) == stamped
        assert _lower_vias(stamped) == _lower_vias(read)


def _answer_holds(data: bytes, error: MalformedMessageError) -> None:
    """Assert that what is answered to a malformed request is its answer, and no worse than it."""
    answer = refusal(error, to_tag=TAG)
    if answer is None:
        return
    assert not is_response(data)
    assert error.request is not None
    assert answer.status == error.status
    assert answer.serialise().startswith(f"SIP/2.0 {error.status} {error}\r\n".encode())
    for name in ("Via", "From", "Call-ID", "CSeq"):
        assert answer.lines(name) == error.request.lines(name)
    assert answer.via == error.request.via
    assert _has_address(answer) == _has_address(error.request)


def _has_address(message: Request | Response) -> bool:
    """Say whether To can be read."""
    try:
        return bool(message.to.uri)
    except HeaderError:
        return False


def _lower_vias(request: Request) -> list[str]:
    """Return all values of Via but the topmost."""
    first, *others = request.lines("Via")
    return [*split_list(first)[1:], *others]


def _messages() -> Iterator[bytes]:
    yield from map(torture, NAMES)
    fields = (
        b"Via: SIP/2.0/UDP a;branch=z9hG4bK1;rport, SIP/2.0/TCP [::1]:5061;branch=z9hG4bK2",
        b"t: <sip:a>;TAG=2\r\nf: K\xf6ln <sip:b@c>;tag=1\r\ni: 1\r\nCSeq: 2 INVITE",
        b'y: a.b.c;info=<https://d/e,f>;note="\\"\xff", a.b.d;info=<https://d>',
    )
    head = b"\r\n".join((b"INVITE sip:a SIP/2.0", *fields))
    yield head + b"\r\nl: 2\r\n\r\nab"
    yield head + b"\r\nl: 3\r\n\r\nab"
    yield head.replace(b"INVITE sip:a SIP/2.0", b"SIP/2.0 302 Gr\xfc\xdfe") + b"\r\n\r\n"


# Streams


def _stream(data: bytes) -> None:
    """Cut a stream at once and in pieces: the same must come of it."""
    size, content = (data[0] or 1, data[1:]) if data else (1, b"")
    pieces = [content[place : place + size] for place in range(0, len(content), size)]
    at_once, in_pieces = _events([content]), _events(pieces)
    assert at_once == in_pieces
    for event in at_once:
        if isinstance(event, Message):
            assert event.data in content
            assert len(event.data) <= MAX_MESSAGE
            refused_at_most(partial(parse, event.data), MalformedMessageError)


def _events(pieces: list[bytes]) -> list[object]:
    """Return what a stream yields; an error is told by its words, and is the last."""
    framer = Framer(max_head=MAX_HEAD, max_message=MAX_MESSAGE)
    events: list[object] = []
    for piece in pieces:
        framer.receive(piece)
        try:
            while (event := framer.next_event()) is not None:
                events.append(event)
        except FramingError as error:
            return [*events, _end(framer, error)]
    return [*events, framer.is_waiting]


def _end(framer: Framer, error: FramingError) -> tuple[str, int]:
    fit_to_show(str(error))
    assert len(error.head) <= MAX_HEAD
    assert not framer.is_waiting
    assert framer.next_event() is None
    return str(error), error.status


def _streams() -> Iterator[bytes]:
    head = b"OPTIONS sip:a SIP/2.0\r\nv: SIP/2.0/TCP a;branch=z9hG4bK1\r\nt: <sip:a>\r\n"
    rest = b"f: <sip:b>;tag=1\r\ni: 1\r\nCSeq: 1 OPTIONS\r\n"
    whole = head + rest + b"l: 3\r\n\r\nabc"
    yield b"\x07" + whole + b"\r\n\r\n" + whole
    yield b"\x01\r\n\r\n\r\n" + whole
    yield b"\x40" + head + b"Content-Length : 1\r\n 2\r\n\r\n"
    yield b"\x20" + head + b"l: 1\r\nl: 1\r\n\r\n"
    yield b"\x20" + head + b"l: 9999999999\r\n\r\n"
    yield b"\x0b" + head + rest + b"x: " + b"y" * MAX_HEAD
    yield from (b"\x30" + torture(name)[:MAX_MESSAGE] for name in NAMES)


# Values of header fields


def _address(data: bytes) -> Address:
    return parse_address(text_of(data))


def _address_holds(_: bytes, address: Address) -> None:
    words = (address.display_name or "") + address.uri + _words(address.parameters)
    _written_holds(address, words, parse_address)


def _via(data: bytes) -> Via:
    return parse_via(text_of(data))


def _via_holds(_: bytes, via: Via) -> None:
    _written_holds(via, _words(via.parameters), parse_via)


def _written_holds(value: Value, words: str, read: Callable[[str], Value]) -> None:
    """Assert that a value is read again as it was written; only control characters prevent it."""
    try:
        text = str(value)
    except HeaderError:
        assert _CONTROL.search(words)
        return
    assert read(text) == value
    assert split_list(text) == (text,)


def _words(parameters: Parameters) -> str:
    return "".join(value or "" for _, value in parameters)


def _list(data: bytes) -> tuple[str, ...]:
    return split_list(text_of(data))


def _list_holds(data: bytes, values: tuple[str, ...]) -> None:
    assert all(values)
    assert all(value in text_of(data) for value in values)
    assert split_list(",".join(values)) == values
    assert split_list(" ,\t".join(values)) == values


def _lines(*names: str) -> Iterator[bytes]:
    """Return the values of header fields, as the messages of RFC 4475 have them."""
    for name in NAMES:
        for line in re.sub(rb"\r\n[ \t]+", b" ", torture(name)).split(b"\r\n"):
            field, colon, value = line.partition(b":")
            if colon and field.strip(b" \t").lower().decode("latin-1") in names:
                yield value.strip(b" \t")


MESSAGE_TARGETS: Targets = {
    "sip_message": Target(read=_message, holds=_message_holds, seeds=_messages),
    "sip_stream": Target(read=_stream, seeds=_streams),
    "sip_address": Target(
        read=_address,
        refusals=(HeaderError,),
        holds=_address_holds,
        seeds=lambda: _lines("from", "f", "to", "t", "contact", "m", "route"),
    ),
    "via": Target(
        read=_via, refusals=(HeaderError,), holds=_via_holds, seeds=lambda: _lines("via", "v")
    ),
    "header_list": Target(
        read=_list,
        refusals=(HeaderError,),
        holds=_list_holds,
        seeds=lambda: _lines("via", "v", "contact", "m", "route", "accept", "warning", "subject"),
    ),
}
