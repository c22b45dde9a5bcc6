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
    "a proxy that names no client": (
        PROXY,
        {"X-Forwarded-Proto": "https"},
        None,
        Peer("unknown", confidential=True),
    ),
    "a proxy that names its client with a port": (
        PROXY,
        {**HTTPS, "X-Forwarded-For": f"{PBX}:51234"},
        None,
        Peer(PBX, confidential=True),
    ),
    "proxies with ports before a client with one": (
        PROXY,
        {**HTTPS, "X-Forwarded-For": f"203.0.113.1, [2001:db8::1]:443, {PROXY}:80"},
        None,
        Peer("2001:db8::1", confidential=True),
    ),
    "a client in brackets": (
        PROXY,
        {**HTTPS, "X-Forwarded-For": "[2001:db8::1]"},
        None,
        Peer("2001:db8::1", confidential=True),
    ),
    "a client in IPv6": (
        PROXY,
        {**HTTPS, "X-Forwarded-For": "2001:db8::1"},
        None,
        Peer("2001:db8::1", confidential=True),
    ),
    "a client that its proxy hides": (
        PROXY,
        {**HTTPS, "X-Forwarded-For": f"{PBX}, _hidden"},
        None,
        Peer("unknown", confidential=True),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_other_end_is_told(case: str) -> None:
    remote, headers, tls, expected = CASES[case]

    assert peer_of(remote, headers, TRUSTED, tls=tls) == expected


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Real-IP": PBX},
        {"X-Real-IP": PBX, "X-Forwarded-Proto": "https"},
        {"X-Forwarded-Proto": "https"},
        {"Forwarded": f"for={PBX};proto=http"},
        {"Via": "1.1 proxy"},
        {"X-Forwarded-For": " , ", "X-Forwarded-Proto": "https"},
        {"X-Forwarded-For": "unknown", "X-Forwarded-Proto": "https"},
    ],
)
def test_nobody_is_local_whom_a_trusted_proxy_on_this_machine_carries_without_a_name(
    headers: Mapping[str, str],
) -> None:
    peer = peer_of(LOOPBACK, headers, (ip_network(LOOPBACK),))

    assert not peer.is_local
    assert peer.confidential == ("X-Forwarded-Proto" in headers)


def test_a_trusted_proxy_that_carries_nobody_is_a_program_of_this_machine() -> None:
    assert peer_of(LOOPBACK, {}, (ip_network(LOOPBACK),)).is_local
