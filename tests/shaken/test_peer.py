"""Who is at the other end of a plain connection, of our own TLS, and behind proxies."""

from collections.abc import Mapping
from ipaddress import ip_network

import pytest

from shaken.api.peer import Peer, Tls, peer_of

LOOPBACK, PBX, PROXY = "127.0.0.1", "192.0.2.10", "198.51.100.1"
TRUSTED = (ip_network(f"{PROXY}/32"),)
CLIENT, OWN = Tls("5" * 64), Tls(None)
HTTPS = {"X-Forwarded-For": PBX, "X-Forwarded-Proto": "https"}
HTTP = {**HTTPS, "X-Forwarded-Proto": "http"}

CASES: dict[str, tuple[str, Mapping[str, str], Tls | None, Peer]] = {
    "plain": (PBX, {}, None, Peer(PBX, confidential=False)),
    "plain from this machine": (LOOPBACK, {}, None, Peer(LOOPBACK, confidential=True)),
    "our own TLS": (PBX, {}, OWN, Peer(PBX, confidential=True)),
    "our own TLS with a certificate": (
        PBX,
        {},
        CLIENT,
        Peer(PBX, confidential=True, client_spki=CLIENT.client_spki),
    ),
    "a proxy that says https": (PROXY, HTTPS, None, Peer(PBX, confidential=True)),
    "a proxy that says http over TLS": (PROXY, HTTP, OWN, Peer(PBX, confidential=False)),
    "a proxy's own certificate": (PROXY, HTTPS, CLIENT, Peer(PBX, confidential=True)),
    "a proxy that nobody declared, in plain": (
        LOOPBACK,
        HTTPS,
        None,
        Peer(LOOPBACK, confidential=False),
    ),
    "a proxy that nobody declared, over TLS": (
        LOOPBACK,
        {"Via": "1.1 proxy"},
        CLIENT,
        Peer(LOOPBACK, confidential=False),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_other_end_is_told(case: str) -> None:
    remote, headers, tls, expected = CASES[case]

    assert peer_of(remote, headers, TRUSTED, tls=tls) == expected
