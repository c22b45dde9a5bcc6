"""Fuzzed: where is fetched from, and what comes back."""

from ipaddress import IPv6Network, ip_address
from urllib.parse import SplitResult

from cryptography.hazmat.primitives.serialization import Encoding
from yarl import URL

from shaken.addresses import Address, AddressRefused, UrlPolicy, address_of, check_url, is_public
from shaken.x5u.content import (
    MAX_CERTIFICATES,
    Chain,
    holds_private_key,
    read_certificates,
    read_crl,
)
from shaken.x5u.exchange import FetchError
from shaken.x5u.freshness import (
    MAX_SECONDS,
    MAX_VALIDATOR,
    MIN_SECONDS,
    lifetime,
    may_be_stored,
    validators,
)
from shaken.x5u.guard import Guard
from tests.fuzz.target import Target, Targets, text_of
from tests.fuzz.trust_targets import calm, certificate_of, crl_holds, crls, file_of
from trust.crl import CrlIndex

NOW = 1_780_315_200.0  # Mon, 01 Jun 2026 12:00:00 GMT

_SIX_TO_FOUR = IPv6Network("2002::/16")


# URLs and addresses


def _policy(choice: int) -> UrlPolicy:
    return UrlPolicy(
        allow_http=bool(choice & 1),
        allow_any_port=bool(choice & 2),
        allow_query=bool(choice & 4),
        allow_private=bool(choice & 8),
    )


def _url(data: bytes) -> SplitResult:
    return check_url(text_of(data[1:]), _policy(data[0] if data else 0))


def _url_holds(data: bytes, parts: SplitResult) -> None:
    text, policy = text_of(data[1:]), _policy(data[0])
    # What is connected to is what another parser reads, that of the HTTP client.
    asked = URL(text)
    assert asked.raw_host is not None
    assert parts.hostname is not None
    address = address_of(asked.raw_host)
    assert address == address_of(parts.hostname)
    assert address is not None or asked.raw_host == parts.hostname
    usual = {"https": 443, "http": 80}[parts.scheme]
    assert asked.port == (usual if parts.port is None else parts.port)
    assert asked.scheme == parts.scheme
    assert asked.raw_user is None
    assert asked.raw_password is None
    assert not asked.raw_fragment
    assert policy.allow_query or not asked.raw_query_string
    assert policy.allow_private or address is None or is_public(address)


def _address(data: bytes) -> Address | None:
    if len(data) in {4, 16}:
        return ip_address(data)
    return address_of(text_of(data))


def _address_holds(_: bytes, address: Address | None) -> None:
    guard = Guard(allow_private=False)
    if address is None:
        assert not guard.allows(address)
        return
    public = guard.allows(address)
    # The standard library's list leaves the embedded addresses of 6to4 alone.
    assert not public or address.is_global or address in _SIX_TO_FOUR
    assert not (public and (address.is_multicast or address.is_loopback or address.is_link_local))
    try:
        guard.check_peer((str(address), 443))
    except FetchError:
        assert not public
    else:
        assert public


# How long a file is kept


def _headers(data: bytes) -> dict[str, str]:
    pairs = (line.partition(":") for line in text_of(data).split("\n"))
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _freshness_holds(_: bytes, headers: dict[str, str]) -> None:
    seconds = lifetime(headers, now=NOW)
    assert MIN_SECONDS <= seconds <= MAX_SECONDS
    if not may_be_stored(headers):
        assert seconds == MIN_SECONDS
    known = validators(headers)
    for text in (known.etag, known.last_modified):
        assert text is None or (text.isascii() and text.isprintable() and text)
        assert len(text or "") <= MAX_VALIDATOR


# Files


def _certificates_hold(body: bytes, chain: Chain) -> None:
    assert not holds_private_key(body)
    assert 1 <= len(chain) <= MAX_CERTIFICATES
    assert len(set(chain)) == len(chain)
    for certificate in chain:
        calm(certificate)
    # What goes to the shelf comes back as it was.
    text = b"".join(certificate.public_bytes(Encoding.PEM) for certificate in chain)
    assert read_certificates(text) == chain


def _crl_holds(_: bytes, index: CrlIndex) -> None:
    again = read_crl(index.crl.public_bytes(Encoding.DER))
    assert again.entries == index.entries
    crl_holds(index)


FETCH_TARGETS: Targets = {
    "url": Target(
        read=_url,
        refusals=(ValueError, AddressRefused),
        holds=_url_holds,
        seeds=lambda: (
            b"\x00https://sti.example.com/a.pem",
            b"\x00https://8.8.8.8:8443/%41;b",
            b"\x0fHTTP://[2001:db8::1]:8080/a?b=c#d",
            b"\x02https://user:pass@xn--bcher-kva.example.:4443//x",
            b"\x08https://127.0.0.1/",
            b"\x00https://0x7f.1/",
        ),
    ),
    "address": Target(
        read=_address,
        holds=_address_holds,
        seeds=lambda: (
            b"8.8.8.8",
            b"\x7f\x00\x00\x01",
            b"64:ff9b::8.8.8.8",
            b"2002:7f00:1::1",
            b"fe80::1%eth0",
            b"2606:4700::1111",
        ),
    ),
    "freshness": Target(
        read=_headers,
        holds=_freshness_holds,
        seeds=lambda: (
            b'cache-control: public, max-age=7200, s-maxage="600"\nage: 200\netag: "a"',
            b"expires: Mon, 01 Jun 2026 14:00:00 GMT\ndate: Mon, 01 Jun 2026 12:00:00 GMT",
            b"cache-control: no-store, no-cache\nlast-modified: Mon, 01 Jun 2026 14:00:00 +0100",
            b"expires: 0",
        ),
    ),
    "x5u_certificates": Target(
        read=read_certificates,
        refusals=(FetchError,),
        holds=_certificates_hold,
        seeds=lambda: (
            file_of("trust/sti/leaf.pem") + file_of("trust/sti/sub.pem"),
            certificate_of("leaf").public_bytes(Encoding.DER),
            certificate_of("peer").public_bytes(Encoding.DER),
            file_of("certificates/files/key-p-256-sec1.pem"),
        ),
    ),
    "x5u_crl": Target(
        read=read_crl,
        refusals=(FetchError,),
        holds=_crl_holds,
        seeds=crls,
    ),
}
