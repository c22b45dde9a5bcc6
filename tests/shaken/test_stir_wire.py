"""Connections that begin with the STIR routes: what is answered at once, what goes to the library.

Transport and library are stand-ins that write down what is done to them; real clients and the real
library are in tests/system/test_shape_of_http.py.
"""

import asyncio
from collections.abc import Iterator
from http import HTTPStatus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shaken.api.stir import HEADERS, StirAnswer
from shaken.api.stir_wire import SWEEP_SECONDS, StirWire, response
from tests.shaken.wires import PEER, Bench, Line

BODY = b'{"signingRequest": {}}'


def request(
    *lines: str, target: str = "/stir/v1/signing", version: str = "1.1", body: bytes = BODY
) -> bytes:
    head = [f"POST {target} HTTP/{version}", "Host: a", f"Content-Length: {len(body)}", *lines]
    return "\r\n".join([*head, "", ""]).encode("utf-8", "surrogateescape") + body


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.close()


def test_a_whole_request_is_answered_here(bench: Bench) -> None:
    wire, line = bench.connect()

    wire.data_received(request("Authorization: Bearer x", target="/stir/v1/signing?tenant=a%2Eb"))
    bench.turn()

    (asked,) = bench.asked
    assert (asked.method, asked.path, asked.query) == ("POST", "/stir/v1/signing", "tenant=a%2Eb")
    assert (bench.remotes, asked.body) == ([PEER], BODY)
    assert asked.headers["Authorization"] == "Bearer x"
    (sent,) = line.written
    assert sent.startswith(b"HTTP/1.1 200 OK\r\nX-Number: 1\r\nContent-Length: 2\r\nDate: ")
    assert sent.endswith(b" GMT\r\n\r\n{}")
    assert bench.libraries == []


def test_white_space_around_a_value_is_no_part_of_it(bench: Bench) -> None:
    wire, _ = bench.connect()

    wire.data_received(request("X-RequestID: \t a b \t "))
    bench.turn()

    assert bench.asked[0].headers["X-RequestID"] == "a b"


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_that_the_routes_look_for_is_found_however_it_is_written(
    bench: Bench, name: str
) -> None:
    wire, _ = bench.connect()

    for written in (name, name.lower(), name.upper()):
        text = request().replace(b"Host: a\r\n", b"").replace(b"Content-Length", b"content-length")
        if name != "Content-Length":
            text = text.replace(b"\r\n", f"\r\n{written}: a\r\n".encode(), 1)
        wire.data_received(text)
        bench.turn()

    assert [name in asked.headers for asked in bench.asked] == [True] * 3


def test_a_connection_is_used_for_many_requests(bench: Bench) -> None:
    wire, line = bench.connect()

    for number in range(1, 6):
        wire.data_received(request(f"X-RequestID: {number}"))
        bench.turn()

    assert [asked.headers["X-RequestID"] for asked in bench.asked] == ["1", "2", "3", "4", "5"]
    assert len(line.written) == 5


def test_requests_that_came_together_are_answered_side_by_side(bench: Bench) -> None:
    one, first = bench.connect()
    other, second = bench.connect()

    one.data_received(request("X-RequestID: 1"))
    other.data_received(request("X-RequestID: 2"))
    bench.turn()

    assert bench.stages == ["1 begins", "2 begins", "1 ends", "2 ends"]
    assert (len(first.written), len(second.written)) == (1, 1)


def test_a_request_that_comes_before_the_one_before_is_answered_comes_after_it(
    bench: Bench,
) -> None:
    wire, line = bench.connect()

    wire.data_received(request("X-RequestID: 1"))
    wire.data_received(request("X-RequestID: 2"))
    bench.turn()

    assert bench.stages == ["1 begins", "1 ends", "2 begins", "2 ends"]
    assert [b"X-Number: 1" in line.written[0], b"X-Number: 2" in line.written[1]] == [True, True]


def test_pieces_that_come_before_a_slow_answer_are_answered_after_it(bench: Bench) -> None:
    wire, line = bench.connect()
    bench.slow = True

    wire.data_received(request("X-RequestID: 1"))
    wire.data_received(request("X-RequestID: 2"))
    wire.data_received(request("X-RequestID: 3")[:20])
    bench.turn()
    assert (len(bench.asked), line.written, bench.libraries) == (1, [], [])
    bench.coming[0].set_result(StirAnswer(200, {"X-Number": "1"}, b"{}"))
    bench.turn()

    assert b"X-Number: 1" in line.written[0]
    (library,) = bench.libraries
    assert library.received == [request("X-RequestID: 2") + request("X-RequestID: 3")[:20]]
    assert line.reading


def test_a_slow_answer_that_is_asked_for_at_the_end_is_waited_for(bench: Bench) -> None:
    wire, line = bench.connect()
    bench.slow = True

    wire.data_received(request())
    over = bench.loop.create_task(bench.wires.over(seconds=5))
    bench.turn()
    assert not over.done()
    bench.coming[0].set_result(bench.made())
    bench.loop.run_until_complete(over)
    bench.turn()

    assert len(line.written) == 1


def test_a_failure_closes_its_connection_and_no_other(bench: Bench) -> None:
    wires = [bench.connect() for _ in range(3)]

    for number, (wire, _) in enumerate(wires):
        wire.data_received(request("X-RequestID: fails" if number == 1 else "X-RequestID: 1"))
    bench.turn()

    assert [len(line.written) for _, line in wires] == [1, 0, 1]
    assert [line.closed for _, line in wires] == [False, True, False]
    (failure,) = bench.failed
    bench.failed.clear()
    assert "exception" in failure


def test_what_was_asked_is_answered_when_the_listener_closes(bench: Bench) -> None:
    wire, line = bench.connect()

    wire.data_received(request())
    bench.wires.close()

    assert len(line.written) == 1
    assert line.closed


ELSEWHERE = {
    "another route": b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n",
    "another method": request().replace(b"POST", b"PUT"),
    "a longer path": request(target="/stir/v1/signing/more"),
    "a path written otherwise": request(target="/stir/v1/signin%67"),
    "a whole URL": request(target="http://a/stir/v1/signing"),
    "a fragment": request(target="/stir/v1/signing#tenant"),
    "a part of a request": request()[:-1],
    "a part of a head": request()[:30],
    "two requests": request() + request(),
    "a request and a part of the next": request() + request()[:20],
    "an old version": request(version="1.0"),
    "an old version that stays": request("Connection: keep-alive", version="1.0"),
    "the last request": request("Connection: close"),
    "a client that asks first": request("Expect: 100-continue"),
    "chunks": request("Transfer-Encoding: chunked"),
    "another protocol": request("Connection: Upgrade", "Upgrade: h2c"),
    "a header twice": request("Authorization: Bearer x", "authorization: Bearer y"),
    "two lengths": request("Content-Length: 5"),
    "a NUL in a header": request("X-Bad: \0"),
    "a line that is no header": request("no colon"),
    "a large body": request(body=b"x" * 10_000),
    "no HTTP": b"\x16\x03\x01\x00\xc8",
}


@pytest.mark.parametrize("case", ELSEWHERE)
def test_all_else_goes_to_the_library_untouched(bench: Bench, case: str) -> None:
    wire, line = bench.connect()

    wire.data_received(ELSEWHERE[case])
    bench.turn()

    (library,) = bench.libraries
    assert line.protocol is library
    assert library.transport is line
    assert library.received == [ELSEWHERE[case]]
    assert (line.written, bench.asked) == ([], [])


def test_an_answer_that_is_ready_goes_before_what_the_library_sends(bench: Bench) -> None:
    wire, line = bench.connect()

    wire.data_received(request())
    wire.data_received(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")

    assert len(line.written) == 1
    assert bench.libraries[0].sent_before == 1


@given(st.binary(max_size=200) | st.integers(0, len(request())).map(lambda end: request()[:end]))
def test_no_piece_is_lost_or_answered_twice(piece: bytes) -> None:
    bench = Bench()
    wire, line = bench.connect()

    wire.data_received(piece)
    bench.turn()

    answered = len(line.written)
    handed = [library.received for library in bench.libraries]
    assert (answered, handed) in [(1, []), (0, [[piece]])]
    assert (answered == 1) == (piece == request())
    bench.close()


def test_a_client_that_does_not_read_its_answers_is_not_heard(bench: Bench) -> None:
    wire, line = bench.connect()

    wire.pause_writing()
    assert not line.reading

    wire.resume_writing()
    assert line.reading


def test_idle_connections_are_closed_and_others_stay(bench: Bench) -> None:
    silent, idle = bench.connect()[1], bench.connect()
    busy = bench.connect()
    idle[0].data_received(request())
    bench.turn()

    bench.now += 60
    busy[0].data_received(request())
    bench.now += 20
    bench.wires.close_idle()

    assert (silent.closed, idle[1].closed, busy[1].closed) == (True, True, False)


def test_a_client_that_never_reads_its_answers_is_cut_off(bench: Bench) -> None:
    gone, unread = bench.connect(), bench.connect()
    for wire, _ in (gone, unread):
        wire.data_received(request())
    bench.turn()
    unread[0].pause_writing()

    bench.now += 80
    bench.wires.close_idle()
    gone[0].connection_lost(None)  # what was written has left
    bench.now += SWEEP_SECONDS
    bench.wires.close_idle()

    assert [line.closed for _, line in (gone, unread)] == [True, True]
    assert [line.aborted for _, line in (gone, unread)] == [False, True]


def test_the_end_sends_what_is_ready_and_closes_what_is_here(bench: Bench) -> None:
    wire, line = bench.connect()
    gone, lost = bench.connect()
    other, theirs = bench.connect()
    gone.connection_lost(None)
    other.data_received(b"GET / HTTP/1.1\r\n\r\n")
    wire.data_received(request())

    bench.wires.close()

    assert len(line.written) == 1
    assert (line.closed, lost.closed, theirs.closed) == (True, False, False)


# Answers that take a while


def ask_slowly(bench: Bench) -> tuple[StirWire, Line, asyncio.Future[StirAnswer]]:
    """Send a request whose answer is not there yet."""
    bench.slow = True
    wire, line = bench.connect()
    wire.data_received(request(target="/stir/v1/verification"))
    bench.turn()
    return wire, line, bench.coming[-1]


def test_nothing_is_read_until_an_answer_that_takes_a_while_is_sent(bench: Bench) -> None:
    wire, line, coming = ask_slowly(bench)
    assert bench.asked[0].path == "/stir/v1/verification"
    assert (line.written, line.reading, bench.libraries) == ([], False, [])

    coming.set_result(bench.made())
    bench.turn()

    (sent,) = line.written
    assert sent.startswith(b"HTTP/1.1 200 OK\r\nX-Number: 1\r\n")
    assert line.reading

    bench.slow = False
    wire.data_received(request())
    bench.turn()
    assert len(line.written) == 2


def test_who_waits_keeps_nobody_else_waiting(bench: Bench) -> None:
    _, slow, _ = ask_slowly(bench)
    bench.slow = False
    wire, line = bench.connect()

    wire.data_received(request())
    bench.turn()

    assert (len(line.written), len(slow.written)) == (1, 0)


def test_a_client_that_is_gone_is_not_answered(bench: Bench) -> None:
    wire, line, coming = ask_slowly(bench)
    line.close()
    wire.connection_lost(None)

    coming.set_result(bench.made())
    bench.turn()

    assert line.written == []
    assert not line.reading


def test_a_client_that_does_not_read_is_not_heard_after_its_answer(bench: Bench) -> None:
    wire, line, coming = ask_slowly(bench)
    wire.pause_writing()

    coming.set_result(bench.made())
    bench.turn()
    assert (len(line.written), line.reading) == (1, False)

    wire.resume_writing()
    assert line.reading


def test_a_client_that_reads_again_is_not_heard_before_its_answer(bench: Bench) -> None:
    wire, line, coming = ask_slowly(bench)

    wire.pause_writing()
    wire.resume_writing()
    assert not line.reading

    coming.set_result(bench.made())
    bench.turn()
    assert line.reading


def test_a_connection_that_waits_is_not_idle(bench: Bench) -> None:
    _, line, coming = ask_slowly(bench)
    bench.now += 1000
    bench.wires.close_idle()
    assert not line.closed

    coming.set_result(bench.made())
    bench.turn()
    bench.wires.close_idle()
    assert not line.closed

    bench.now += 76
    bench.wires.close_idle()
    assert line.closed


def test_the_end_waits_for_answers_that_take_a_while(bench: Bench) -> None:
    _, line, coming = ask_slowly(bench)
    bench.loop.call_soon(coming.set_result, bench.made())

    bench.loop.run_until_complete(bench.wires.over(seconds=60))
    bench.wires.close()

    assert len(line.written) == 1
    assert line.closed


def test_the_end_waits_no_longer_than_it_may(bench: Bench) -> None:
    _, line, coming = ask_slowly(bench)

    bench.loop.run_until_complete(bench.wires.over(seconds=0.01))
    bench.wires.close()
    coming.set_result(bench.made())
    bench.turn()

    assert line.closed
    assert line.written == []


def test_the_end_waits_for_nothing_when_nothing_is_asked(bench: Bench) -> None:
    bench.loop.run_until_complete(bench.wires.over(seconds=60))


def test_an_answer_that_is_given_up_closes_the_connection(bench: Bench) -> None:
    _, line, coming = ask_slowly(bench)

    coming.cancel()
    bench.turn()

    assert line.closed
    assert line.written == []


@pytest.mark.parametrize("status", [200, 400, 401, 403, 411, 413, 415, 429, 500])
def test_a_response_has_its_phrase_and_its_length(status: int) -> None:
    sent = response(StirAnswer(status, {"A": "b"}, b"12345"), now=0)

    assert (
        sent
        == (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nA: b\r\nContent-Length: 5\r\n"
            "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\n12345"
        ).encode()
    )
