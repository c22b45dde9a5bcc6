"""Requests over HTTP at a steady rate, and how long their answers take.

wrk asks as fast as it is answered: then all latencies are those of its own queue. A process of its
own on another core than the service asks here, evenly, on connections that stay open.
"""

import multiprocessing
import os
import select
import socket
import statistics
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from urllib.parse import urlsplit

from benchmarks.load import CONNECTIONS, SERVICE_CORE

_MAX_ANSWER = 65536


def p99_at(url: str, secret: str, bodies: Sequence[bytes], *, rate: float, seconds: float) -> float:
    """Post each of the bodies in turn, so many a second; return what 99 % stay below, in ms.

    Raises RuntimeError when a request was refused.
    """
    ours, theirs = multiprocessing.Pipe()
    requests = [_request(url, secret, body) for body in bodies]
    processes = multiprocessing.get_context("spawn")
    address = urlsplit(url)
    caller = processes.Process(
        target=_ask, args=(theirs, (address.hostname, address.port), requests, rate, seconds)
    )
    caller.start()
    theirs.close()
    try:
        took: list[float]
        refusal: bytes
        took, refusal = ours.recv()
    finally:
        caller.join()
    if refusal:
        raise RuntimeError(f"a request was answered {refusal!r}")
    return statistics.quantiles(took, n=100)[98] * 1000


def _request(url: str, secret: str, body: bytes) -> bytes:
    address = urlsplit(url)
    head = (
        f"POST {address.path} HTTP/1.1\r\nHost: {address.netloc}\r\n"
        f"Authorization: Bearer {secret}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _ask(
    result: Connection,
    address: tuple[str, int],
    requests: Sequence[bytes],
    rate: float,
    seconds: float,
) -> None:
    os.sched_setaffinity(0, set(range(os.cpu_count() or 1)) - {SERVICE_CORE} or {SERVICE_CORE})
    idle = [socket.create_connection(address) for _ in range(CONNECTIONS)]
    sockets = {each.fileno(): each for each in idle}
    poll = select.epoll()
    for number in sockets:
        poll.register(number, select.EPOLLIN)
    due_at: dict[int, float] = {}
    took: list[float] = []
    begun = time.perf_counter()
    asked, end = 0, begun + seconds
    while (now := time.perf_counter()) < end or due_at:
        # A request that is due while all connections wait begins to wait itself.
        while idle and now < end and (due := begun + asked / rate) <= now:
            connection = idle.pop()
            due_at[connection.fileno()] = due
            connection.sendall(requests[asked % len(requests)])
            asked += 1
        for number, _ in poll.poll(0.001):
            answer = sockets[number].recv(_MAX_ANSWER)
            if not answer.startswith(b"HTTP/1.1 200"):
                result.send((took, answer[:300] or b"nothing"))
                return
            took.append(time.perf_counter() - due_at.pop(number))
            idle.append(sockets[number])
    result.send((took, b""))
