"""What a SIP server spends at most, and for whom."""

from dataclasses import dataclass
from ipaddress import IPv6Network


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of one server, that is of one process."""

    transactions: int = 100_000
    """Requests remembered: 10,000 calls a second, each for the 5 seconds of timer I, twice."""
    transaction_bytes: int = 128 * 1024 * 1024
    """Bytes of responses remembered until their ACK comes."""
    answer_seconds: float = 10.0
    """How long a handler may take; callers give an INVITE up after 32 seconds (timer B)."""
    closing_seconds: float = 5.0
    """How long answers may take that are under way when the server closes; the others are 503."""
    strangers_per_second: float = 200.0
    """Messages and keep-alives from unknown sources that are looked at; what exceeds it is dropped
    unread."""
    connections: int = 1000
    """Connections open at once, of TCP and TLS together."""
    connections_per_address: int = 100
    """Of these, from one address: SBCs open a handful."""
    messages_per_second: float = 20_000.0
    """Messages and keep-alives of one connection, INVITE and ACK of 10,000 calls; what exceeds it
    waits in the sender's queue."""
    idle_seconds: float = 900.0
    """A connection without any message for so long is closed: RFC 5626 §4.4.1 has clients ping it
    within 840 seconds."""
    partial_seconds: float = 15.0
    """How long a message may take from its first byte to its last, and a stranger to begin one."""
    handshake_seconds: float = 10.0
    """How long a TLS handshake may take."""
    unsent_bytes: int = 1024 * 1024
    """Answers that wait for a peer to read them; one that does not is cut off."""

    @property
    def stranger_connections(self) -> int:
        """How many of the connections strangers share: with these they shut out nobody else."""
        return max(1, self.connections // 4)


def place_of_stranger(address: str) -> str:
    """Name what the connections of a stranger at an IP address are counted by.

    For IPv6 that is the network of a site: who has one has 2**64 addresses.
    """
    return str(IPv6Network((address, 64), strict=False)) if ":" in address else address
