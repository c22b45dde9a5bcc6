"""IP networks in settings: read, with what would never match refused; who is within. Pure."""

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network

_MAPPED = IPv6Network("::ffff:0:0/96")
"""IPv4 addresses as IPv6 writes them (RFC 4291 §2.5.5.2)."""


def read_network(text: str) -> Network:
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


def within(networks: tuple[Network, ...], peer: str) -> bool:
    """Say whether a peer's IP address lies in one of the networks; no networks: anywhere."""
    if not networks:
        return True
    try:
        address = ip_address(peer)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return any((mapped or address) in network for network in networks)
