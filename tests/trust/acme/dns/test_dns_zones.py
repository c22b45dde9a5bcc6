"""Where a record is kept: behind aliases, in which zone, on which servers."""

import dns.resolver
import pytest

from tests.trust.acme.dns.conftest import World
from trust.acme.challenges import PublicationError
from trust.acme.dns.zones import MAX_ALIASES, NameServer, alias_target, servers_of, zone_of
from trust.acme.lookup import DnsResolver


@pytest.fixture
def resolver(world: World) -> DnsResolver:
    return DnsResolver([(world.primary.address, world.primary.port)], seconds=5)


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("_acme-challenge.pbx.example.test", "pbx.acme.test"),
        ("_acme-challenge.example.test", "_acme-challenge.example.test"),
        ("_acme-challenge.shared.example.test", "_acme-challenge.shared.example.test"),
        ("_acme-challenge.any.wild.example.test", "wild.acme.test"),
        (f"chain{12 - MAX_ALIASES}.example.test", "chain12.example.test"),
    ],
)
def test_aliases_are_followed_to_where_a_record_is_kept(
    resolver: DnsResolver, name: str, target: str
) -> None:
    assert alias_target(name, resolver) == target


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "_acme-challenge.circle.example.test",
            (
                "the CNAMEs lead in a circle: _acme-challenge.circle.example.test →"
                " circle1.example.test → circle2.example.test → circle1.example.test"
            ),
        ),
        (f"chain{11 - MAX_ALIASES}.example.test", f"more than {MAX_ALIASES} CNAMEs follow"),
        ("odd.example.test", "the CNAME of odd.example.test cannot be followed: not a name"),
        ("a.nobodys.test", "the CNAME records of a.nobodys.test could not be looked up"),
    ],
)
def test_aliases_that_lead_nowhere_are_an_error(
    resolver: DnsResolver, name: str, words: str
) -> None:
    with pytest.raises(PublicationError, match=words):
        alias_target(name, resolver)


@pytest.mark.parametrize(
    ("name", "zone"),
    [
        ("example.test", "example.test"),
        ("_acme-challenge.example.test", "example.test"),
        ("_acme-challenge.not.there.yet.example.test", "example.test"),
        ("pbx.acme.test", "acme.test"),
        # The name above has an SOA record by an alias, which makes it no zone.
        ("_acme-challenge.apex.example.test", "example.test"),
    ],
)
def test_the_zone_of_a_name_is_found_by_its_soa_record(
    resolver: DnsResolver, name: str, zone: str
) -> None:
    assert zone_of(name, resolver) == zone


def test_a_name_in_no_zone_is_an_error(world: World) -> None:
    class Nothing(DnsResolver):
        def answer(self, _: str, kind: str) -> dns.resolver.Answer:
            return super().answer("ns1.example.test", kind)

    nothing = Nothing([(world.primary.address, world.primary.port)])

    with pytest.raises(PublicationError, match=r"^no zone holds a\.b: neither it nor"):
        zone_of("a.b", nothing)


def test_a_zone_has_each_address_of_each_of_its_name_servers(resolver: DnsResolver) -> None:
    assert servers_of("example.test", resolver, port=53) == (
        NameServer("ns1.example.test", "127.0.0.1", 53),
        NameServer("ns2.example.test", "127.0.0.2", 53),
    )
    assert servers_of("double.test", resolver, port=5353) == (
        NameServer("two.example.test", "::1", 5353),
        NameServer("two.example.test", "127.0.0.1", 5353),
    )


@pytest.mark.parametrize(
    ("zone", "words"),
    [
        ("lost.test", r"lost\.test cannot be found: nowhere\.example\.test does not exist"),
        ("www.example.test", r"www\.example\.test cannot be found: it has no name servers"),
    ],
)
def test_a_zone_whose_name_servers_cannot_be_found_is_an_error(
    resolver: DnsResolver, zone: str, words: str
) -> None:
    with pytest.raises(PublicationError, match=f"^the name servers of {words}"):
        servers_of(zone, resolver, port=53)


def test_a_name_server_is_said_with_its_name_if_it_has_one() -> None:
    assert str(NameServer("ns.example", "192.0.2.1", 53)) == "ns.example (192.0.2.1)"
    assert str(NameServer("", "192.0.2.1", 53)) == "192.0.2.1"
