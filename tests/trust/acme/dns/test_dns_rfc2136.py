"""Dynamic updates of a real DNS server, and of servers that answer what they should not."""

import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import dns.message
import dns.rcode
import pytest

from tests.trust.acme.dns.conftest import World
from tests.trust.acme.nameservers import KEY_NAME, OTHER_KEY_NAME
from trust.acme.challenges import PublicationError, TxtRecord
from trust.acme.dns.publishers import check_settings, publisher_for
from trust.acme.dns.rfc2136 import Rfc2136Writer
from trust.acme.dns.settings import Rfc2136Settings
from trust.acme.lookup import DnsResolver

NAME = "_acme-challenge.example.test"
WILDCARD = TxtRecord(NAME, "-of-the-wildcard")
BASE = TxtRecord(NAME, "of_the_base_name")


def writer(settings: Rfc2136Settings, world: World) -> Rfc2136Writer:
    resolver = DnsResolver([(world.primary.address, world.primary.port)])
    return Rfc2136Writer(settings, resolver=resolver)


def test_values_of_one_name_stand_beside_each_other(world: World) -> None:
    publisher = publisher_for(world.settings())

    publisher.publish([WILDCARD, BASE])
    assert world.primary.texts(NAME) == {WILDCARD.value, BASE.value}

    publisher.withdraw([WILDCARD])
    assert world.primary.texts(NAME) == {BASE.value}

    publisher.withdraw([BASE])
    assert world.primary.texts(NAME) == set()


def test_publishing_and_withdrawing_again_changes_nothing(world: World) -> None:
    publisher = publisher_for(world.settings())

    publisher.publish([WILDCARD])
    publisher.publish([WILDCARD, BASE, BASE])
    assert world.primary.texts(NAME) == {WILDCARD.value, BASE.value}

    publisher.withdraw([WILDCARD, BASE])
    publisher.withdraw([WILDCARD, BASE])
    assert world.primary.texts(NAME) == set()


def test_what_somebody_else_wrote_stays(world: World) -> None:
    name = "_acme-challenge.shared.example.test"
    publisher = publisher_for(world.settings())

    publisher.publish([TxtRecord(name, "ours")])
    assert world.primary.texts(name) == {"ours", "what somebody else wrote"}

    publisher.withdraw([TxtRecord(name, "ours")])
    assert world.primary.texts(name) == {"what somebody else wrote"}


def test_a_server_that_is_named_is_looked_up_and_each_of_its_addresses_tried(
    world: World,
) -> None:
    # Its IPv6 address comes first, where nobody listens.
    settings = world.settings(server="two.example.test.")
    name = "_acme-challenge.named.example.test"

    publisher_for(settings).publish([TxtRecord(name, "v")])

    assert world.primary.texts(name) == {"v"}


@pytest.mark.parametrize(
    ("changes", "zone", "words"),
    [
        (
            {"key_name": OTHER_KEY_NAME},
            "example.test",
            (
                f"it has no key {OTHER_KEY_NAME} with hmac-sha256,"
                " or lets it change nothing in this zone (BADKEY)"
            ),
        ),
        (
            {"key_name": "nobody"},
            "example.test",
            (
                "it has no key nobody with hmac-sha256,"
                " or lets it change nothing in this zone (BADKEY)"
            ),
        ),
        (
            {"key_algorithm": "hmac-sha512"},
            "example.test",
            (
                f"it has no key {KEY_NAME} with hmac-sha512,"
                " or lets it change nothing in this zone (BADKEY)"
            ),
        ),
        (
            {"key_secret": "c29tZXRoaW5nIGVsc2U="},
            "example.test",
            f"the secret of the key {KEY_NAME} is not the one it has (BADSIG)",
        ),
        (
            {},
            "elsewhere.test",
            "it is not the primary of this zone; name that one, or the right `zone` (NOTAUTH)",
        ),
        (
            {"server": "nobody.example.test"},
            "example.test",
            "nobody.example.test does not exist in the DNS",
        ),
        (
            {"server": "textual.example.test"},
            "example.test",
            "the name server textual.example.test has no address",
        ),
        (
            {"server": "127.0.0.3"},
            "example.test",
            "127.0.0.3 cannot be reached: Connection refused",
        ),
    ],
)
def test_why_a_server_does_not_update_is_said(
    world: World, changes: dict[str, object], zone: str, words: str
) -> None:
    settings = world.settings(**changes)

    with pytest.raises(PublicationError) as failed:
        writer(settings, world).add(zone, [TxtRecord(f"x.{zone}", "v")])

    assert str(failed.value).endswith(words)
    assert settings.key_secret not in str(failed.value)


def test_clocks_that_differ_are_said(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    yesterday = SimpleNamespace(time=lambda: time.time() - 86_400)
    monkeypatch.setattr(dns.message, "time", yesterday)

    with pytest.raises(PublicationError, match="its clock and the one of this machine differ"):
        writer(world.settings(), world).add("example.test", [BASE])


def test_a_failed_update_changes_no_record_of_its_zone(world: World) -> None:
    outside = TxtRecord("_acme-challenge.elsewhere.test", "v")
    inside = TxtRecord("_acme-challenge.whole.example.test", "v")

    with pytest.raises(PublicationError, match="a name is not in this zone"):
        writer(world.settings(), world).add("example.test", [inside, outside])

    assert world.primary.texts(inside.name) == set()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda query: _response(query, dns.rcode.NOERROR), "its answer is not signed"),
        (lambda query: _response(query, dns.rcode.SERVFAIL), "it failed; its log says why"),
        (
            lambda query: _response(query, dns.rcode.REFUSED),
            f"its rules do not let the key {KEY_NAME} change TXT records there (REFUSED)",
        ),
        (lambda _: dns.message.make_query("a", "A").to_wire(), "it gives no usable answer"),
        (lambda query: _response(query, dns.rcode.NOTIMP), "it does no dynamic updates (NOTIMP)"),
        (lambda query: _response(query, dns.rcode.YXRRSET), "it answers YXRRSET"),
        (lambda _: b"\0" * 12, "it gives no usable answer"),
        (lambda _: b"", "127.0.0.1 closes the connection"),
    ],
)
def test_a_server_that_answers_wrongly_is_said(
    world: World, answer: Callable[[dns.message.Message], bytes], words: str
) -> None:
    with answering(answer) as port:
        settings = world.settings(port=port)

        with pytest.raises(PublicationError) as failed:
            writer(settings, world).add("example.test", [BASE])

    assert words in str(failed.value)


def test_a_server_that_does_not_answer_is_not_waited_for_long(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trust.acme.dns.rfc2136.UPDATE_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = world.settings(port=silent.getsockname()[1])

        with pytest.raises(PublicationError, match=r"127\.0\.0\.1 does not answer within 0\.2 s$"):
            writer(settings, world).add("example.test", [BASE])


def test_nothing_of_the_machine_is_looked_at_for_updates(world: World) -> None:
    check_settings(world.settings())


def _response(query: dns.message.Message, code: dns.rcode.Rcode) -> bytes:
    response = dns.message.make_response(query)
    response.set_rcode(code)
    return response.to_wire()


@contextmanager
def answering(answer: Callable[[dns.message.Message], bytes]) -> Iterator[int]:
    """Answer whatever is asked over TCP; nothing: close. Yields the port."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            length = int.from_bytes(self.rfile.read(2))
            wire = self.rfile.read(length)
            query = dns.message.from_wire(wire, keyring=False)
            said = answer(query)
            if said:
                self.wfile.write(len(said).to_bytes(2) + said)

    with socketserver.TCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()
