"""Addresses from resolvers: what is answered, and what cannot be said."""

from ipaddress import ip_address

import dns.resolver
import pytest

from tests.trust.acme.reachability.peers import clumsy_dns
from trust.acme.lookup import DnsResolver, LookupFailed


def test_addresses_are_listed_ipv6_first(resolver: DnsResolver) -> None:
    found = resolver.addresses("both.test")

    assert found == (ip_address("::1"), ip_address("127.0.0.1"))


def test_a_name_server_that_fails_for_ipv6_does_not_hide_an_ipv4_address() -> None:
    with clumsy_dns("A") as port:
        found = DnsResolver([("127.0.0.1", port)], seconds=5).addresses("a.test")

    assert found == (ip_address("192.0.2.1"),)


def test_a_name_server_that_fails_is_an_error() -> None:
    with (
        clumsy_dns("TXT") as port,
        pytest.raises(LookupFailed, match=r"^the A records of a\.test could not be looked up: "),
    ):
        DnsResolver([("127.0.0.1", port)], seconds=0.5).addresses("a.test")


def test_a_resolver_that_does_not_answer_is_an_error() -> None:
    silent = DnsResolver([("127.0.0.1", 1)], seconds=0.2)

    with pytest.raises(LookupFailed, match="could not be looked up"):
        silent.addresses("a.test")


def test_the_machines_own_resolvers_are_asked_where_none_are_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read: list[object] = []

    def reads(resolver: dns.resolver.Resolver, path: object) -> None:
        read.append(path)
        resolver.nameservers = []

    monkeypatch.setattr(dns.resolver.Resolver, "read_resolv_conf", reads)

    with pytest.raises(LookupFailed):
        DnsResolver(seconds=0.2).addresses("a.test")
    assert set(read) == {"/etc/resolv.conf"}
