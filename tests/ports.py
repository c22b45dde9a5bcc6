"""Ports of loopback for programs that take them a moment later."""

import itertools
import random
import socket
from pathlib import Path

_LOWEST, _USUAL_END = 15_000, 32_768

_OWN_CHOICE = Path("/proc/sys/net/ipv4/ip_local_port_range")
"""From which port on the kernel itself chooses, for whoever connects."""


def _sequence() -> "itertools.cycle[int]":
    end = int(_OWN_CHOICE.read_text().split()[0])
    ports = range(_LOWEST, end if end > _LOWEST + 1000 else _USUAL_END)
    begin = random.choice(ports)  # noqa: S311 - other runs on this machine begin elsewhere
    return itertools.cycle([*range(begin, ports.stop), *range(ports.start, begin)])


_ports = _sequence()


def free_port(*addresses: str) -> int:
    """Find a port that nobody has at these addresses (127.0.0.1), neither for UDP nor for TCP.

    None is found a second time, and none is one that the kernel may give to a client meanwhile.
    """
    wanted = addresses or ("127.0.0.1",)
    return next(port for port in _ports if all(_is_free(each, port) for each in wanted))


def _is_free(address: str, port: int) -> bool:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(type=kind) as probe:
            try:
                probe.bind((address, port))
            except OSError:
                return False
    return True
