"""Tenants' addresses, whose networks a peer is in, and what a trunk's direction allows."""

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shaken.networks import Network, within
from shaken.tenants import Direction, Tenant, Work


@pytest.mark.parametrize(
    ("networks", "peer", "inside"),
    [
        ([], "198.51.100.7", True),
        ([], "not an address", True),
        (["192.0.2.0/24"], "192.0.2.0", True),
        (["192.0.2.0/24"], "192.0.2.255", True),
        (["192.0.2.0/24"], "192.0.1.255", False),
        (["192.0.2.0/24"], "192.0.3.0", False),
        (["192.0.2.7/32"], "192.0.2.7", True),
        (["192.0.2.7/32"], "192.0.2.8", False),
        (["192.0.2.0/24", "198.51.100.0/24"], "198.51.100.7", True),
        (["0.0.0.0/0"], "203.0.113.9", True),
        (["0.0.0.0/0"], "2001:db8::1", False),
        (["192.0.2.0/24"], "::ffff:192.0.2.7", True),
        (["192.0.2.0/24"], "::ffff:c000:207", True),
        (["192.0.2.0/24"], "::ffff:198.51.100.7", False),
        (["192.0.2.0/24"], "::192.0.2.7", False),
        (["::ffff:0:0/96"], "192.0.2.7", False),
        (["2001:db8::/32"], "2001:db8::1", True),
        (["2001:db8::/32"], "2001:DB8:0:0::1", True),
        (["2001:db8::/32"], "2001:db9::1", False),
        (["2001:db8::/32"], "192.0.2.7", False),
        (["fe80::/10"], "fe80::1%eth0", True),
        (["192.0.2.0/24"], "", False),
        (["192.0.2.0/24"], "unix:", False),
        (["192.0.2.0/24"], "192.0.2.7:5060", False),
        (["192.0.2.0/24"], "192.0.2.07", False),
        (["192.0.2.0/24"], "192.0.2", False),
    ],
)
def test_a_peer_lies_within_networks(networks: list[str], peer: str, *, inside: bool) -> None:
    assert within(tuple(ip_network(text) for text in networks), peer) is inside


NETWORK: Network = ip_network("192.0.2.0/24")


@given(st.text(st.characters(exclude_categories=())) | st.ip_addresses().map(str))
def test_any_text_lies_within_a_network_or_not(peer: str) -> None:
    assert within((NETWORK,), peer) in {True, False}


def test_a_tenant_is_known_by_its_address_and_its_aliases(tenant: Tenant) -> None:
    assert tenant.addresses == ("pbx.example.com", "sip.example.com")


@pytest.mark.parametrize(
    ("direction", "without_identity", "with_identity"),
    [
        (Direction.SIGN, Work.SIGN, Work.SIGN),
        (Direction.VERIFY, Work.VERIFY, Work.VERIFY),
        (Direction.AUTO, Work.SIGN, Work.VERIFY),
    ],
)
def test_only_an_auto_trunk_tells_calls_apart_by_their_identity(
    direction: Direction, without_identity: Work, with_identity: Work
) -> None:
    assert direction.work(presents=False) is without_identity
    assert direction.work(presents=True) is with_identity


@pytest.mark.parametrize("direction", Direction)
@pytest.mark.parametrize("work", Work)
def test_a_direction_allows_what_it_may_do_with_some_call(direction: Direction, work: Work) -> None:
    done = [direction.work(presents=each) for each in (False, True)]

    assert direction.allows(work) is (work in done)
