"""IP networks in settings: read, with what would never match refused. Pure."""

from ipaddress import IPv4Network, IPv6Network, ip_network

_MAPPED = IPv6Network("::ffff:0:0/96")
"""IPv4 addresses as IPv6 writes them (RFC 4291 §2.5.5.2)."""


def read_network(text: str) -> IPv4Network | IPv6Network:
    """Read `192.0.2.0/24`, `192.0.2.7` or `2001:db8::/32`.

    Raises ValueError, also for IPv4 in IPv6's spelling: whoever comes from there is known by
    IPv4's.
    """
    network = ip_network(text)
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        first = int(network.network_address) & 0xFFFF_FFFF
        plain = IPv4Network((first, network.prefixlen - _MAPPED.prefixlen))
        raise ValueError(f"{text} is IPv4 in IPv6's spelling; write {plain}")
    return network
