"""The SIP listeners of a worker: the sockets that the supervisor bound, and what answers them.

UDP has a socket for each worker (SO_REUSEPORT): the kernel chooses by the peer's address and port,
so that retransmissions reach the worker that remembers the answer. The supervisor holds all of
them open, so the choice stays the same while a worker is restarted, and what comes meanwhile waits
in its socket. TCP and TLS sockets are shared by all workers.
"""

from dataclasses import dataclass
from socket import socket
from ssl import SSLContext

from shaken.redirect.handler import Redirect
from sip.server import Limits, SipServer


@dataclass(frozen=True)
class SipSockets:
    """Bound sockets: of UDP those of one worker each, in the workers' order."""

    udp: tuple[tuple[socket, ...], ...] = ()
    tcp: tuple[socket, ...] = ()
    tls: tuple[socket, ...] = ()

    def __bool__(self) -> bool:
        return bool(any(self.udp) or self.tcp or self.tls)

    def of_worker(self, slot: int) -> tuple[socket, ...]:
        """Return the UDP sockets of one worker, by its place among them from 0."""
        return self.udp[slot] if slot < len(self.udp) else ()

    def close(self) -> None:
        """Close them in this process."""
        for each in (*(sock for group in self.udp for sock in group), *self.tcp, *self.tls):
            each.close()


def sip_server(
    redirect: Redirect, sockets: SipSockets, *, slot: int, tls_context: SSLContext | None
) -> SipServer:
    """Build a worker's server; `tls_context` is needed where there are TLS sockets."""
    return SipServer(
        redirect.answer,
        udp=sockets.of_worker(slot),
        tcp=sockets.tcp,
        tls=sockets.tls,
        tls_context=tls_context,
        limits=Limits(),
        is_known=redirect.is_known,
    )
