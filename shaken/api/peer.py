"""Who is at the other end, when proxies may stand between (RFC 7239's older headers).

`X-Forwarded-*` headers are believed from proxies that the configuration declares trusted only:
anybody can send them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address

from shaken.networks import Network, within

_FORWARDED = frozenset({"forwarded", "x-forwarded-for", "x-forwarded-proto", "x-real-ip", "via"})

_WITH_PORT = re.compile(r"(?:\[([^]]+)\]|([^:]+))(?::[0-9]{1,5})?")
"""An address as some proxies write it (RFC 7239 §6): in brackets, before a port."""

UNKNOWN = "unknown"
"""A client whose address its proxy does not tell (RFC 7239 §6.2): it is in no network."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A client's IP address or UNKNOWN, and whether others can read what passes between us.

    `client_spki` is the SHA-256 (hex) of the key of the certificate that it showed in TLS.
    """

    address: str
    confidential: bool
    client_spki: str | None = None

    @property
    def is_local(self) -> bool:
        """Whether it is a program on this machine, and no proxy carries it that nobody declared."""
        return self.confidential and _is_loopback(self.address)


@dataclass(frozen=True, slots=True)
class Tls:
    """A connection to the service's own HTTPS listener; `client_spki` as in `Peer`."""

    client_spki: str | None


def peer_of(
    remote: str,
    headers: Mapping[str, str],
    trusted: tuple[Network, ...],
    *,
    tls: Tls | None = None,
) -> Peer:
    """Tell the client from the connection's address and the headers of trusted proxies.

    `tls` None: the connection is plain. What a proxy shows in TLS is its own certificate, never
    its clients'.
    """
    is_forwarded = any(name.lower() in _FORWARDED for name in headers)
    if not trusted or not within(trusted, remote):
        # A proxy that nobody declared carries strangers from anywhere.
        if is_forwarded:
            return Peer(remote, confidential=False)
        if tls is not None:
            return Peer(remote, confidential=True, client_spki=tls.client_spki)
        return Peer(remote, _is_loopback(remote))
    client = UNKNOWN if is_forwarded else remote
    for hop in reversed(_lines(headers, "x-forwarded-for").split(",")):
        if hop := hop.strip():
            client = _address_of(hop)
            if not within(trusted, client):
                break
    proto = _lines(headers, "x-forwarded-proto").strip().lower()
    return Peer(client, proto == "https" or (not proto and _is_loopback(client)))


def came_by_https(
    remote: str, headers: Mapping[str, str], trusted: tuple[Network, ...], *, tls: Tls | None
) -> bool:
    """Say whether the client speaks https, to this service or to a trusted proxy that says so."""
    if trusted and within(trusted, remote):
        return _lines(headers, "x-forwarded-proto").strip().lower() == "https"
    return tls is not None


def _lines(headers: Mapping[str, str], wanted: str) -> str:
    """Join all lines of a header (RFC 9110 §5.3): a proxy may add its own below the client's."""
    return ",".join(text for name, text in headers.items() if name.lower() == wanted)


def _address_of(hop: str) -> str:
    """Return the IP address that a proxy says it has a request from, without its port."""
    written = _WITH_PORT.fullmatch(hop)
    try:
        return str(ip_address(written[1] or written[2] if written else hop))
    except ValueError:
        return UNKNOWN


def _is_loopback(address: str) -> bool:
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return bool((mapped or parsed).is_loopback)
