"""How a trunk's PBX is answered by SIP redirect: the settings of a trunk, and who calls from where.

Pure. `shaken.redirect` answers by them.
"""

import logging
from collections.abc import Iterable, Iterator
from enum import StrEnum
from functools import lru_cache
from socket import AF_INET, AF_INET6, inet_pton
from typing import Annotated, Generic, TypeVar

import msgspec
from msgspec import Meta

from shaken.networks import read_network
from sip.uri import UriError, parse_uri

MAX_KNOWN_ADDRESSES = 10_000
"""Addresses whose trunks are kept at hand; of what is beyond, the networks are looked through."""


MAX_READ_NETWORKS = 100_000
"""Networks that are kept read, so that a change of one trunk has none of the others read again."""

WIDEST = {4: 8, 6: 16}
"""Bits of prefix that a source has at least, by version of IP: with fewer everybody is known."""

_log = logging.getLogger(__name__)


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


class VerstatForm(StrEnum):
    """Where in P-Asserted-Identity a verdict stands (3GPP TS 24.229 §7.2A.20)."""

    NUMBER = "number"
    """With the number, in the user part: `sip:+1…;verstat=…@host`."""
    URI = "uri"
    """Behind the host, where some PBXs look for it: `sip:+1…@host;verstat=…`."""


class Redirection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The settings of a trunk whose PBX asks by SIP.

    It is known by `sources`, the networks that its requests come from; with `by_host` also by a
    Request-URI whose host is the tenant's address, which anybody can write. `status` is the
    response code; `contact` is the host, with a port or without, that takes the place of the
    Request-URI's in the Contact (empty: the Request-URI stays); `divert` signs a `div` PASSporT
    (RFC 8946) for a call that was diverted; `verstat_suffix` puts the attestation behind a verdict,
    as in `TN-Validation-Passed-A`.
    """

    sources: Annotated[tuple[Annotated[str, Meta(max_length=64)], ...], Meta(max_length=100)] = ()
    by_host: bool = False
    status: Annotated[int, Meta(ge=300, le=302)] = 302
    form: HeaderForm = HeaderForm.HEADERS
    origin: OriginFrom = OriginFrom.ASSERTED
    destination: DestinationFrom = DestinationFrom.TO
    contact: Annotated[str, Meta(max_length=260)] = ""
    divert: bool = False
    verstat: VerstatForm = VerstatForm.NUMBER
    verstat_suffix: bool = False

    def check(self) -> None:
        """Raise ValueError naming the setting that is wrong."""
        if self.status == 301:
            raise ValueError("status is 302 or 300: a 301 would be remembered by the PBX")
        for text in self.sources:
            try:
                _network(text)
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
            for version, length, first in dict.fromkeys(_readable(sources)):
                level = self._networks.setdefault((version, length), {})
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
        version = 6 if ":" in address else 4
        try:
            # Of the standard library's ways the quickest: a stranger's address is never at hand.
            packed = inet_pton(AF_INET if version == 4 else AF_INET6, address)
        except (OSError, ValueError):
            return ()
        number, bits = int.from_bytes(packed, "big"), 8 * len(packed)
        for each, length in self._levels:
            if each == version:
                first = number >> (bits - length) << (bits - length)
                found = self._networks[version, length].get(first)
                if found is not None:
                    return found
        return ()


def _readable(sources: Iterable[str]) -> Iterator[tuple[int, int, int]]:
    """Read networks; one that cannot be, as another version wrote it, is said and left out."""
    for text in sources:
        try:
            yield _network(text)
        except ValueError as error:
            _log.error("a source of a trunk is not known here: %s", error)


@lru_cache(maxsize=MAX_READ_NETWORKS)
def _network(text: str) -> tuple[int, int, int]:
    """Read a network: its version of IP, the bits of its prefix, its first address.

    Raises ValueError.
    """
    network = read_network(text)
    least = WIDEST[network.version]
    if network.prefixlen < least:
        raise ValueError(f"{network} is too wide, its prefix has {least} bits at least")
    return network.version, network.prefixlen, int(network.network_address)
