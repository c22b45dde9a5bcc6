"""Publishers put together from settings: aliases, zones, the servers that must have a record."""

import pytest

from tests.trust.acme.dns.conftest import Time, World
from trust.acme.challenges import PublicationError, TxtRecord
from trust.acme.dns.publishers import publisher_for

DELEGATED = TxtRecord("_acme-challenge.pbx.example.test", "delegated")
TARGET = "pbx.acme.test"


def test_a_record_is_kept_where_the_alias_of_its_name_leads(world: World) -> None:
    publisher = publisher_for(world.settings(), authority_port=world.primary.port)

    publisher.publish([DELEGATED])
    assert world.primary.texts(TARGET) == {"delegated"}
    # Only the first server has the zone of the target: nobody waits for the second.
    publisher.await_propagation([DELEGATED])

    publisher.withdraw([DELEGATED])
    assert world.primary.texts(TARGET) == set()


def test_an_alias_is_not_followed_where_delegation_is_off(world: World, passing: Time) -> None:
    publisher = publisher_for(
        world.settings(delegate=False),
        authority_port=world.primary.port,
        clock=passing.clock,
        wait=passing.wait,
    )

    publisher.publish([DELEGATED])

    assert world.primary.texts(TARGET) == set()
    with pytest.raises(PublicationError, match=r"has an alias \(CNAME\) there, to pbx\.acme\.test"):
        publisher.await_propagation([DELEGATED])


def test_named_servers_take_the_place_of_those_of_the_zone(world: World) -> None:
    record = TxtRecord("_acme-challenge.hidden.example.test", "hidden")
    publisher = publisher_for(world.settings(nameservers=(str(world.primary),)))
    publisher.publish([record])

    publisher.await_propagation([record])


def test_a_zone_that_is_given_is_not_looked_up(world: World) -> None:
    name = "_acme-challenge.given.example.test"
    settings = world.settings(zone="Example.Test.", delegate=False, resolvers=("127.0.0.3:1",))

    publisher_for(settings).publish([TxtRecord(name, "given")])

    assert world.primary.texts(name) == {"given"}


def test_a_name_outside_of_the_zone_that_is_given_is_an_error(world: World) -> None:
    publisher = publisher_for(world.settings(zone="example.test"))

    with pytest.raises(
        PublicationError, match=r"^pbx\.acme\.test is not in the zone example\.test"
    ):
        publisher.publish([DELEGATED])


def test_names_of_several_zones_go_each_to_its_own(world: World) -> None:
    record = TxtRecord("_acme-challenge.several.example.test", "v")
    publisher = publisher_for(world.settings())

    publisher.publish([record, DELEGATED])

    assert world.primary.texts(record.name) == {"v"}
    assert world.primary.texts(TARGET) == {"delegated"}
    publisher.withdraw([record, DELEGATED])
    assert world.primary.texts(record.name) == set()
    assert world.primary.texts(TARGET) == set()


def test_each_failure_is_said_and_the_rest_is_done(world: World) -> None:
    good = TxtRecord("_acme-challenge.good.example.test", "v")
    publisher = publisher_for(world.settings())

    with pytest.raises(PublicationError) as failed:
        publisher.publish(
            [
                TxtRecord("_acme-challenge.circle.example.test", "v"),
                TxtRecord("*.example.test", "v"),
                TxtRecord(good.name, 'v" "w'),
                good,
            ]
        )

    assert "the CNAMEs lead in a circle" in str(failed.value)
    assert "not a name of letters" in str(failed.value)
    assert "not a challenge in base64url" in str(failed.value)
    assert world.primary.texts(good.name) == {"v"}


def test_a_resolver_that_knows_nothing_is_said(world: World) -> None:
    publisher = publisher_for(world.settings())

    with pytest.raises(PublicationError, match="could not be looked up"):
        publisher.publish([TxtRecord("_acme-challenge.nobodys.test", "v")])
