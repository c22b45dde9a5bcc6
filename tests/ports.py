"""Ports of loopback for programs that take them a moment later."""

import itertools
import random
import socket
from pathlib import Path

_LOWEST, _USUAL_END = 15_000, 32_768
_TRIED = 1_000

_OWN_CHOICE = Path("/proc/sys/net/ipv4/ip_local_port_range")
"""From which port on the kernel itself chooses, for whoever connects."""


def _sequence() -> "itertools.cycle[int]":
    end = int(_OWN_CHOICE.read_text().split()[0])
    ports = range(_LOWEST, end if end > _LOWEST + 1000 else _USUAL_END)
    begin = random.choice(ports)  # noqa: S311 - other runs on this machine begin elsewhere
    return itertools.cycle([*range(begin, ports.stop), *range(ports.start, begin)])


_ports = _sequence()


def free_port(*addresses: str) -> int:
    """Find a port that nobody has at these IPv4 addresses (127.0.0.1), for UDP and for TCP.

    A process finds none a second time before thousands of others, and where the machine's settings
    leave room below them, none of those that the kernel gives to clients.
    """
    wanted = addresses or ("127.0.0.1",)
    for port in itertools.islice(_ports, _TRIED):
        if all(_is_free(each, port) for each in wanted):
            return port
    raise AssertionError(f"no port is free at {' and '.join(wanted)}")


def _is_free(address: str, port: int) -> bool:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(type=kind) as probe:
            try:
                probe.bind((address, port))
            except OSError:
                return False
    return True
