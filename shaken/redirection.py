"""How a trunk's PBX is answered by SIP redirect: the settings of a trunk, and who calls from where.

Pure. `shaken.redirect` answers by them.
"""

from collections.abc import Iterable
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Annotated, Generic, TypeVar

import msgspec
from msgspec import Meta

from sip.uri import UriError, parse_uri

MAX_KNOWN_ADDRESSES = 10_000
"""Addresses whose trunks are kept at hand; of what is beyond, the networks are looked through."""


class HeaderForm(StrEnum):
    """Where in a redirect the headers stand that the PBX is to put into its own INVITE."""

    HEADERS = "headers"
    """In the response itself."""
    CONTACT = "contact"
    """In the URI of its Contact, escaped (RFC 3261 §19.1.1)."""


class OriginFrom(StrEnum):
    """Which header says who calls (RFC 8224 §4.1)."""

    ASSERTED = "asserted"
    """P-Asserted-Identity, and From where there is none."""
    FROM = "from"


class DestinationFrom(StrEnum):
    """What says who is called (RFC 8224 §4.1)."""

    TO = "to"
    REQUEST_URI = "request-uri"


class Redirection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The settings of a trunk whose PBX asks by SIP; without `sources` it cannot.

    `sources` are the networks its INVITEs come from; `status` is the response code; `contact` is
    the host, with a port or without, that takes the place of the Request-URI's in the Contact
    (empty: the Request-URI stays); `divert` signs a `div` PASSporT (RFC 8946) for a call that has
    an Identity and was diverted.
    """

    sources: Annotated[tuple[Annotated[str, Meta(max_length=64)], ...], Meta(max_length=100)] = ()
    status: Annotated[int, Meta(ge=300, le=302)] = 302
    form: HeaderForm = HeaderForm.HEADERS
    origin: OriginFrom = OriginFrom.ASSERTED
    destination: DestinationFrom = DestinationFrom.TO
    contact: Annotated[str, Meta(max_length=260)] = ""
    divert: bool = False

    def check(self) -> None:
        """Raise ValueError naming the setting that is wrong."""
        if self.status == 301:
            raise ValueError("status is 302 or 300: a 301 would be remembered by the PBX")
        for text in self.sources:
            try:
                ip_network(text)
            except ValueError as error:
                raise ValueError(f"sources: {error}; a network reads 192.0.2.0/24") from error
        try:
            parse_uri(f"sip:{self.contact or 'host'}")
        except UriError as error:
            raise ValueError(f"contact: {error}; a host reads carrier.example.com:5060") from error
        if set(self.contact) & set("@;?"):
            raise ValueError("contact is a host, with a port or without")


NO_REDIRECTION = Redirection()
"""What holds for a trunk that says nothing."""

T = TypeVar("T")


class SourceIndex(Generic[T]):
    """Who calls from an address: the owners of the narrowest network that holds it. Immutable.

    A look-up costs one step for each length of prefix in use, however many networks there are.
    """

    def __init__(self, owners: Iterable[tuple[Iterable[str], T]]) -> None:
        self._networks: dict[tuple[int, int], dict[int, tuple[T, ...]]] = {}
        self._at_hand: dict[str, tuple[T, ...]] = {}
        for sources, owner in owners:
            for text in dict.fromkeys(sources):
                network: IPv4Network | IPv6Network = ip_network(text)
                level = self._networks.setdefault((network.version, network.prefixlen), {})
                first = int(network.network_address)
                level[first] = (*level.get(first, ()), owner)
        # The narrowest come first.
        self._levels = sorted(self._networks, reverse=True)

    def at(self, address: str) -> tuple[T, ...]:
        """Return who calls from an IP address; nobody, for a text that is none."""
        known = self._at_hand.get(address)
        if known is not None:
            return known
        found = self._look_up(address)
        if found and len(self._at_hand) < MAX_KNOWN_ADDRESSES:
            self._at_hand[address] = found
        return found

    def _look_up(self, address: str) -> tuple[T, ...]:
        try:
            parsed = ip_address(address)
        except ValueError:
            return ()
        number, bits = int(parsed), parsed.max_prefixlen
        for version, length in self._levels:
            if version == parsed.version:
                first = number >> (bits - length) << (bits - length)
                found = self._networks[version, length].get(first)
                if found is not None:
                    return found
        return ()
