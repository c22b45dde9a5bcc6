"""PBXs that ask by SIP over UDP: INVITE, final response, ACK, each call from one of many addresses.

A process of its own on another core than the service: sipp takes longer for a call than the service
does.
"""

import itertools
import multiprocessing
import os
import random
import select
import socket
import statistics
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection

from benchmarks.dataset import trunk_address
from benchmarks.load import SERVICE_CORE

WINDOW = 64
"""Calls under way at once where as many as possible are made."""
LOST_SECONDS = 1.0
"""A call unanswered for so long is counted as lost."""

_IP_PKTINFO = 8
"""Linux's, which Python 3.11 does not name (linux/in.h)."""

_INVITE = (
    "INVITE sip:+12355551212@carrier.example.com SIP/2.0\r\n"
    "Via: SIP/2.0/UDP {address};branch=z9hG4bK{name};rport\r\n"
    "Max-Forwards: 70\r\n"
    'From: "Bench" <sip:+12155550100@pbx.example.com>;tag={name}\r\n'
    "To: <sip:+12355551212@carrier.example.com>\r\n"
    "Call-ID: {name}\r\n"
    "CSeq: 1 {method}\r\n"
    "Contact: <sip:+12155550100@{address}>\r\n"
    "P-Asserted-Identity: <tel:+12155550100>\r\n"
    "Content-Type: application/sdp\r\n"
    "Content-Length: 135\r\n\r\n"
    "v=0\r\no=pbx 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
    "m=audio 6000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na=ptime:20\r\na=sendrecv\r\n"
)


@dataclass(frozen=True)
class Calls:
    """What a run measured: calls a second, and latencies in milliseconds."""

    rate: float
    median: float
    p99: float
    lost: int


def calls(port: int, *, trunks: int, seconds: float, rate: float | None = None) -> Calls:
    """Make calls for some seconds, as many as answered or so many a second."""
    ours, theirs = multiprocessing.Pipe()
    processes = multiprocessing.get_context("spawn")
    caller = processes.Process(target=_call, args=(theirs, port, trunks, seconds, rate))
    caller.start()
    try:
        made: Calls = ours.recv()
        return made
    finally:
        caller.join()


@contextmanager
def flood(port: int, *, rate: float) -> Iterator[None]:
    """Have strangers send so many INVITEs a second."""
    processes = multiprocessing.get_context("spawn")
    flooder = processes.Process(target=_flood, args=(port, rate), daemon=True)
    flooder.start()
    try:
        yield
    finally:
        flooder.terminate()
        flooder.join()


def _elsewhere() -> None:
    others = set(range(os.cpu_count() or 1)) - {SERVICE_CORE}
    os.sched_setaffinity(0, others or {SERVICE_CORE})


def _message(method: str, address: str, name: str) -> bytes:
    text = _INVITE.format(address=address, name=name, method=method)
    if method == "INVITE":
        return text.encode()
    head = text[: text.index("\r\n\r\n")].replace("INVITE", method, 1)
    return head.replace("Content-Length: 135", "Content-Length: 0").encode() + b"\r\n\r\n"


def _call(result: Connection, port: int, trunks: int, seconds: float, rate: float | None) -> None:
    _elsewhere()
    callers = _Callers(port, trunks)
    begun = time.perf_counter()
    end, due = begun + seconds, begun
    while (now := time.perf_counter()) < end:
        if rate is None:
            callers.begin(WINDOW - len(callers.under_way))
        else:
            wanted = int((now - due) * rate)
            due += wanted / rate
            callers.begin(wanted)
        callers.take_answers()
    marks = statistics.quantiles(callers.took, n=100)
    rate = len(callers.took) / seconds
    result.send(Calls(rate, marks[49] * 1000, marks[98] * 1000, callers.lost))


class _Callers:
    """The PBXs of all trunks behind one socket, and the calls that are under way.

    One socket however many trunks: the service's core delivers what it sends on loopback, and
    would be charged with the sockets of each.
    """

    def __init__(self, port: int, trunks: int) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("0.0.0.0", 0))
        self._socket.settimeout(0)
        self._service = ("127.0.0.1", port)
        own_port = self._socket.getsockname()[1]
        self._all = [
            (_from(trunk_address(index)), f"{trunk_address(index)}:{own_port}")
            for index in range(trunks)
        ]
        self._names = map(str, itertools.count(int(time.time() * 1e6)))
        self.under_way: dict[str, tuple[int, float]] = {}
        self.took: list[float] = []
        self.lost = 0

    def begin(self, count: int) -> None:
        """Begin so many calls, each from any of the trunks."""
        for _ in range(count):
            index = random.randrange(len(self._all))
            name = next(self._names)
            self.under_way[name] = index, time.perf_counter()
            self._send("INVITE", index, name)

    def take_answers(self) -> None:
        """Take what has come, and acknowledge it. Raises RuntimeError for any other answer."""
        select.select([self._socket], [], [], 0.001)
        for answer in _received(self._socket):
            if answer.startswith(b"SIP/2.0 1"):
                continue
            if not answer.startswith(b"SIP/2.0 302"):
                raise RuntimeError(f"a call was answered {answer[:300]!r}")
            name = answer.partition(b"Call-ID: ")[2].partition(b"\r\n")[0].decode()
            if (call := self.under_way.pop(name, None)) is not None:
                index, sent = call
                self.took.append(time.perf_counter() - sent)
                self._send("ACK", index, name)
        for name, (_, sent) in self.under_way.items():
            if time.perf_counter() - sent > LOST_SECONDS:
                del self.under_way[name]
                self.lost += 1
            break

    def _send(self, method: str, index: int, name: str) -> None:
        source, address = self._all[index]
        self._socket.sendmsg([_message(method, address, name)], source, 0, self._service)


def _from(address: str) -> list[tuple[int, int, bytes]]:
    """Say whence a datagram is to be sent (ip(7), in_pktinfo)."""
    return [(socket.IPPROTO_IP, _IP_PKTINFO, struct.pack("=I4s4x", 0, socket.inet_aton(address)))]


def _received(caller: socket.socket) -> Iterator[bytes]:
    while True:
        try:
            yield caller.recv(65536)
        except BlockingIOError:
            return


def _flood(port: int, rate: float) -> None:
    _elsewhere()
    stranger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    stranger.bind(("127.200.0.1", 0))
    stranger.connect(("127.0.0.1", port))
    message = _message("INVITE", "127.200.0.1", "flood")
    due = time.perf_counter()
    while True:
        now = time.perf_counter()
        for _ in range(int((now - due) * rate)):
            stranger.send(message)
            due += 1 / rate
        time.sleep(0.001)
