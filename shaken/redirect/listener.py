"""The SIP listeners of a worker: the sockets that the supervisor bound, and what answers them.

UDP has a socket for each worker (SO_REUSEPORT): the kernel chooses by the peer's address and port,
so that retransmissions reach the worker that remembers the answer. The supervisor holds all of
them open, so the choice stays the same while a worker is restarted, and what comes meanwhile waits
in its socket. What a worker remembered ends with it: a call that it had answered, and whose INVITE
comes again, is signed or verified anew. TCP and TLS sockets are shared by all workers; a
connection stays with the worker that took it, and ends with it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from socket import socket
from ssl import SSLContext

from shaken.config import Config
from shaken.redirect.handler import Redirect
from sip.server import Limits, SipServer

ROOM_SECONDS = 2.0
"""What an answer may take beside its fetches."""

MAX_ANSWER_SECONDS = 30.0
"""When an answer comes too late: callers give an INVITE up after 32 (RFC 3261, timer B)."""


@dataclass(frozen=True)
class SipSockets:
    """Bound sockets: of UDP those of one worker each, in the workers' order."""

    udp: tuple[tuple[socket, ...], ...] = ()
    tcp: tuple[socket, ...] = ()
    tls: tuple[socket, ...] = ()

    def __bool__(self) -> bool:
        return bool(any(self.udp) or self.tcp or self.tls)

    def take(self, slot: int) -> tuple[socket, ...]:
        """Return the UDP sockets of one worker, by its place among them from 0.

        Those of the others are closed in this process: their ports are free when they end.
        """
        for place, group in enumerate(self.udp):
            if place != slot:
                _close(group)
        return self.udp[slot] if slot < len(self.udp) else ()

    def close(self) -> None:
        """Close them in this process."""
        for group in (*self.udp, self.tcp, self.tls):
            _close(group)


def _close(sockets: Iterable[socket]) -> None:
    for each in sockets:
        each.close()


def limits_of(config: Config) -> Limits:
    """Return what a worker's server spends at most."""
    settings = config.sip
    return Limits(
        connections=settings.connections,
        connections_per_address=settings.connections_per_address,
        idle_seconds=settings.idle_seconds,
        transactions=settings.transactions,
        strangers_per_second=settings.strangers_per_second,
        # A verification waits for the certificate, then for the lists.
        answer_seconds=min(2 * config.verification.seconds + ROOM_SECONDS, MAX_ANSWER_SECONDS),
    )


def sip_server(
    redirect: Redirect,
    sockets: SipSockets,
    *,
    slot: int,
    tls_context: SSLContext | None,
    limits: Limits,
) -> SipServer:
    """Build a worker's server; `tls_context` is needed where there are TLS sockets."""
    return SipServer(
        redirect.answer,
        udp=sockets.take(slot),
        tcp=sockets.tcp,
        tls=sockets.tls,
        tls_context=tls_context,
        limits=limits,
        is_known=redirect.is_known,
        is_sure=redirect.is_sure,
    )
