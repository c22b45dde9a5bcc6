from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip.framing import MAX_HEAD_LENGTH, Framer, FramingError, KeepAlive, Message
from sip.parsing import MAX_MESSAGE_LENGTH
from tests.sip.messages import request

PING = b"\r\n\r\n"


def message(body: bytes = b"") -> bytes:
    head = request().serialise().replace(b"Content-Length: 0", b"Content-Length: %d" % len(body))
    return head + body


def events(framer: Framer, *pieces: bytes) -> list[Message | KeepAlive]:
    found = []
    for piece in pieces:
        framer.receive(piece)
        while (event := framer.next_event()) is not None:
            found.append(event)
    return found


def test_messages_are_cut_by_their_content_length() -> None:
    first, second = message(b"\r\n\r\nabc"), message()

    assert events(Framer(), first + second) == [Message(first), Message(second)]


@given(
    kinds=st.lists(st.sampled_from(["message", "body", "ping", "break"]), max_size=6),
    cuts=st.lists(st.integers(0, 3000), max_size=8),
)
def test_how_the_stream_arrives_changes_nothing(kinds: list[str], cuts: list[int]) -> None:
    content = {"message": message(), "body": message(b"x\r\n\r\n"), "ping": PING, "break": b"\r\n"}
    stream = b"".join(content[kind] for kind in kinds)
    places = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    pieces = [stream[a:b] for a, b in pairwise(places)]

    assert events(Framer(), *pieces) == events(Framer(), stream)


def test_two_line_ends_are_a_ping_one_is_nothing() -> None:
    framer = Framer()

    assert events(framer, PING, b"\r\n", b"\r\n", b"\r\n" + message()) == [
        KeepAlive.PING,
        KeepAlive.PING,
        Message(message()),
    ]
    assert not framer.is_waiting


def test_a_message_that_has_begun_is_waited_for_a_line_end_is_not() -> None:
    framer = Framer()
    framer.receive(b"\r\n")
    assert framer.next_event() is None
    assert not framer.is_waiting
    framer.receive(b"INV")
    assert framer.next_event() is None
    assert framer.is_waiting


def test_a_folded_or_compact_content_length_is_read() -> None:
    body = b"12345"
    for line in (b"l: 5", b"CONTENT-LENGTH  :\r\n 5", b"L:5"):
        data = message().replace(b"Content-Length: 0", line) + body
        assert events(Framer(), data) == [Message(data)]


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (message().replace(b"Content-Length: 0\r\n", b""), 400),
        (message().replace(b"Content-Length: 0", b"Content-Length: -1"), 400),
        (message().replace(b"Content-Length: 0", b"Content-Length: 0\r\nl: 0"), 400),
        (message().replace(b"Content-Length: 0", b"Content-Length: 99999"), 513),
        (message().replace(b"Content-Length: 0", b"Content-Length: " + b"9" * 30), 400),
        (b"x" * (MAX_HEAD_LENGTH + 1), 513),
        (message().replace(b"Max-", b"X: " + b"x" * MAX_HEAD_LENGTH + b"\r\nMax-"), 513),
    ],
)
def test_a_stream_that_cannot_be_cut_is_at_its_end(data: bytes, status: int) -> None:
    framer = Framer()
    framer.receive(data)

    with pytest.raises(FramingError) as caught:
        framer.next_event()

    assert caught.value.status == status
    assert len(caught.value.head) <= MAX_HEAD_LENGTH
    assert not framer.is_waiting


def test_what_is_refused_is_refused_before_its_body_comes() -> None:
    framer = Framer()
    head = message().replace(b"Content-Length: 0", b"Content-Length: %d")
    room = MAX_MESSAGE_LENGTH - len(head % 10000)

    framer.receive(head % room)
    assert framer.next_event() is None
    framer = Framer()
    framer.receive(head % (room + 1))
    with pytest.raises(FramingError):
        framer.next_event()
