"""From where is fetched: rules on URLs (ATIS-1000074 §5.3.1) and addresses (RFC 6890).

Callers name the URLs of certificates, and anybody can call. So a URL is held to a form that no two
parsers read differently, and the address behind it to those that the Internet reaches. Pure: who
resolves and connects asks `is_public` of the very address that it connects to (`shaken.x5u`).
Others fetch our own chains, whose URLs are made and read here too.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Annotated, TypeAlias
from urllib.parse import SplitResult, urlsplit

import msgspec

from trust.names import DnsNameError, dns_name

Address: TypeAlias = IPv4Address | IPv6Address

MAX_URL = 2048
"""Characters of a URL; what carriers sign with has some 100, and most software ends at 2,000."""

PORTS = frozenset({443, 8443})
"""Ports that an x5u may name (ATIS-1000074 §5.3.1)."""

HTTP_PORT = 80

# absoluteURI of RFC 3261 §25.1, which an Identity header holds, and the "#" that is refused later.
_URL_CHARACTERS = re.compile(r"(?:[A-Za-z0-9;/?:@&=+$,\-_.!~*'()\[\]#]|%[0-9A-Fa-f]{2})*")

CHAIN_PATH = "/certificates/{fingerprint}.pem"
"""Where below its public URL the service publishes the chain of each STI certificate."""

_CHAIN = re.compile("([0-9a-f]{64})".join(map(re.escape, CHAIN_PATH.split("{fingerprint}"))))

COMMON_SECOND_LEVELS = frozenset(
    {"ac", "co", "com", "edu", "go", "gob", "gov", "mil", "ne", "net", "or", "org"}
)
"""Labels under a country's own that registries, not owners, have names below: as in co.uk."""

SITE_PREFIXES = {4: 24, 6: 48}
"""Bits of an address that its owner has not chosen, by IP version: less is not routed."""

# What a resolver may take for an IPv4 address in one of its old forms: 127.1, 0x7f000001, 017.0.0.1
_NUMERIC = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")

_REFUSED_V4 = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # shared by carriers' NATs; metadata of one cloud, too
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # a public address that is a virtual machine's own host in one cloud
        "169.254.0.0/16",  # link-local; metadata of most clouds
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments; metadata of one cloud
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays, deprecated
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarking
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and the broadcast address
    )
)
"""The special-purpose blocks of IPv4 (RFC 6890 and IANA's registry) that no repository is in."""

_UNICAST_V6 = IPv6Network("2000::/3")
"""What is assigned of IPv6. Loopback, unspecified, mapped, compatible, local (metadata in
`fd00:ec2::254` too), link-local and multicast addresses, and segment routing, lie outside."""

_REFUSED_V6 = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # protocol assignments: Teredo, benchmarking, ORCHID
        "2001:db8::/32",  # documentation
        "3fff::/20",  # documentation
    )
)
"""The special-purpose blocks within `2000::/3` (RFC 6890 and IANA's registry)."""

_SIX_TO_FOUR = IPv6Network("2002::/16")
_NAT64 = IPv6Network("64:ff9b::/96")


class AddressRefused(ValueError):  # noqa: N818 - the URL is in order, its address is refused
    """A URL's host is written as an address that is not public."""

    def __init__(self, host: str) -> None:
        super().__init__(
            f"{host[:64]} is at an address that is not fetched from: a private one, or another"
            " special one of RFC 6890"
        )


@dataclass(frozen=True, slots=True)
class UrlPolicy:
    """What a URL may be beside https on ports 443 and 8443, at a public address.

    `allow_http` also allows port 80; each member relaxes its own rule only.
    """

    allow_http: bool = False
    allow_any_port: bool = False
    allow_query: bool = False
    allow_private: bool = False


class FetchSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[fetch]`: certificates and revocation lists that are fetched to verify calls."""

    allow_http: bool = False
    """Whether an `x5u` may be plain http: for labs. Revocation lists may always be."""
    allow_any_port: bool = False
    """Whether URLs may name other ports than 443 and 8443: for labs."""
    allow_query: bool = False
    """Whether URLs may have a query: for labs."""
    allow_private: bool = False
    """Whether loopback, private and other special addresses are connected to: for labs, never
    where strangers can call."""
    seconds: Annotated[float, msgspec.Meta(ge=0.1, le=30)] = 4.0
    """How long a fetch may take in all, with its redirects."""
    connections: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 256
    """Connections at a time."""
    connections_per_host: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 16
    """Connections to one host at a time, look-ups of its name included."""
    certificates: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 10_000
    """Repositories' files that a worker keeps in memory."""
    stale_seconds: Annotated[int, msgspec.Meta(ge=0, le=7 * 86400)] = 86400
    """How long after its time a certificate is used while its repository is down."""

    def policy(self) -> UrlPolicy:
        """Return what URLs of certificates are held to."""
        return UrlPolicy(
            allow_http=self.allow_http,
            allow_any_port=self.allow_any_port,
            allow_query=self.allow_query,
            allow_private=self.allow_private,
        )


def is_public(address: Address) -> bool:
    """Say whether an address is one that the Internet reaches: no special-purpose one (RFC 6890).

    An IPv4 address that 6to4 (RFC 3056) or NAT64 (RFC 6052) embeds must be public itself; a mapped
    one is refused, public or not, since it means a socket that was told to speak IPv4.
    """
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _REFUSED_V4)
    if address.scope_id is not None:
        return False
    if address in _NAT64:
        return is_public(IPv4Address(int(address) & 0xFFFFFFFF))
    if address in _SIX_TO_FOUR:
        return is_public(IPv4Address(int(address) >> 80 & 0xFFFFFFFF))
    return address in _UNICAST_V6 and not any(address in network for network in _REFUSED_V6)


def check_url(url: str, policy: UrlPolicy) -> SplitResult:
    """Return the parts of a URL that may be fetched from. Raises ValueError with what is wrong.

    A host is a DNS name in A-labels, whose addresses are for who connects to judge, or an address
    in its usual form, a public one (else AddressRefused).
    """
    if len(url) > MAX_URL:
        raise ValueError(f"a URL has at most {MAX_URL} characters")
    if not _URL_CHARACTERS.fullmatch(url):
        raise ValueError(
            'a URL is printable ASCII; a space and any of <>"{}|\\^` and a lone % must be written'
            " percent-encoded, as in %20"
        )
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"not a URL: {error}") from error
    if parts.scheme not in ({"https", "http"} if policy.allow_http else {"https"}):
        raise ValueError(_HTTPS_ONLY)
    if parts.username is not None or "#" in url or ("?" in url and not policy.allow_query):
        raise ValueError("it must have no user name, query or fragment (ATIS-1000074)")
    _check_host(parts, policy)
    allowed = PORTS | {HTTP_PORT} if policy.allow_http else PORTS
    if not policy.allow_any_port and port is not None and port not in allowed:
        raise ValueError("its port must be 443 or 8443 (ATIS-1000074)")
    return parts


def check_x5u(url: str, *, lab: bool) -> None:
    """Raise ValueError unless carriers would fetch this URL (ATIS-1000074 §5.3.1).

    `lab` allows plain http and any port. An address as host is for who connects to judge.
    """
    check_url(url, UrlPolicy(allow_http=lab, allow_any_port=lab, allow_private=True))


def chain_url(public_url: str, certificate_id: str) -> str | None:
    """Return where the chain of an STI certificate is published; None: there is no public URL."""
    base = public_url.rstrip("/")
    return f"{base}{CHAIN_PATH.format(fingerprint=certificate_id)}" if base else None


def chain_id(public_url: str, url: str) -> str | None:
    """Return the id of the certificate whose chain `chain_url` puts at a URL; None: no such URL."""
    base = public_url.rstrip("/")
    found = _CHAIN.fullmatch(url, len(base)) if base and url.startswith(base) else None
    return found[1] if found else None


def address_of(host: str) -> Address | None:
    """Return the address that a host is written as, without brackets; None: it is a name."""
    try:
        return ip_address(host)
    except ValueError:
        return None


def site_of(host: str) -> str:
    """Return whose a host is, as near as its name tells: `example.com` of `a.b.example.com`.

    Who owns a domain has names below it for nothing, and who owns a network addresses. It is a
    guess (there is no telling `example.com` from a hoster's `cloud.example`) that only ever puts
    too many hosts together, so it is of use for bounds.
    """
    address = address_of(host)
    if address is not None:
        network = IPv4Network if address.version == 4 else IPv6Network
        return str(network((int(address), SITE_PREFIXES[address.version]), strict=False))
    labels = host.lower().removesuffix(".").split(".")
    country = len(labels[-1]) == 2
    known = country and len(labels) > 2 and labels[-2] in COMMON_SECOND_LEVELS
    return ".".join(labels[-3 if known else -2 :])


_HTTPS_ONLY = "verifiers fetch certificates from https URLs only, as in https://sti.example.com"


def _check_host(parts: SplitResult, policy: UrlPolicy) -> None:
    host = parts.hostname
    if not host:
        raise ValueError(_HTTPS_ONLY)
    address = address_of(host)
    if parts.netloc.startswith("["):
        if not isinstance(address, IPv6Address) or address.scope_id is not None:
            raise ValueError(f"not a URL: {host[:64]!a} is no IPv6 address")
    elif address is None:
        _check_name(host)
    if address is not None and not policy.allow_private and not is_public(address):
        raise AddressRefused(host)


def _check_name(host: str) -> None:
    wrong = f"not a URL: {host[:64]!a} is no DNS name"
    name = host.removesuffix(".")
    if _NUMERIC.fullmatch(name.rpartition(".")[2]):
        raise ValueError(f"{wrong}, and no address in its usual form")
    try:
        spelled = dns_name(name)
    except DnsNameError:
        raise ValueError(wrong) from None
    if spelled != name:
        raise ValueError(wrong)
