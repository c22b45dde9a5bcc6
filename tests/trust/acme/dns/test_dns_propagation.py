"""Waiting until each name server has a record: as values, and with real servers."""

import errno
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import dns.flags
import dns.message
import dns.query
import pytest

from tests.trust.acme.dns.conftest import Time, World
from trust.acme.challenges import PublicationError, TxtRecord
from trust.acme.dns.propagation import (
    LONGEST_PAUSE,
    QUERY_SECONDS,
    Answer,
    NoRoute,
    Propagation,
    Unanswered,
    ask,
)
from trust.acme.dns.publishers import publisher_for
from trust.acme.dns.zones import NameServer

NAME = "_acme-challenge.example.test"
FIRST, SECOND = TxtRecord(NAME, "first"), TxtRecord(NAME, "second")
NS1, NS2, NS3 = (NameServer(f"ns{n}.test", f"192.0.2.{n}", 53) for n in (1, 2, 3))

NOTHING = Answer(frozenset(), "has no TXT record there")
BOTH = Answer(frozenset({"first", "second"}), "has 'first', 'second'")


@dataclass
class Scene:
    """Name servers as a test says, in a time that passes only when somebody waits or asks."""

    says: dict[NameServer, Callable[[float], Answer]]
    seconds: float = 60.0
    cost: float = 0.0
    now: float = 1000.0
    pauses: list[float] = field(default_factory=list)
    asked: list[tuple[NameServer, str, float]] = field(default_factory=list)

    def await_all(self, *records: TxtRecord) -> None:
        propagation = Propagation(self.seconds, self.ask, lambda: self.now, self.wait)
        propagation.await_all({record: list(self.says) for record in records})

    def ask(self, server: NameServer, name: str, *, seconds: float) -> Answer:
        self.asked.append((server, name, seconds))
        self.now += min(self.cost, seconds)
        return self.says[server](self.now - 1000.0)

    def wait(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


def always(answer: Answer) -> Callable[[float], Answer]:
    return lambda _: answer


def after(seconds: float) -> Callable[[float], Answer]:
    return lambda passed: BOTH if passed >= seconds else NOTHING


def fails(error: Unanswered) -> Callable[[float], Answer]:
    def says(_: float) -> Answer:
        raise error

    return says


def test_nobody_waits_where_all_have_the_records() -> None:
    scene = Scene({NS1: always(BOTH), NS2: always(BOTH)})

    scene.await_all(FIRST, SECOND)

    assert scene.pauses == []


def test_the_slowest_server_is_waited_for_and_the_others_are_not_asked_again() -> None:
    scene = Scene({NS1: always(BOTH), NS2: after(5)})

    scene.await_all(FIRST)

    assert scene.pauses == [1, 2, 4]
    assert [server for server, _, _ in scene.asked] == [NS1, NS2, NS2, NS2, NS2]


def test_pauses_grow_to_a_limit_and_end_with_the_time() -> None:
    scene = Scene({NS1: always(NOTHING)}, seconds=40)

    with pytest.raises(PublicationError):
        scene.await_all(FIRST)

    assert scene.pauses == [1, 2, 4, 8, LONGEST_PAUSE, LONGEST_PAUSE, 5]


def test_a_record_that_comes_in_the_last_moment_is_seen() -> None:
    Scene({NS1: after(40)}, seconds=40).await_all(FIRST)


def test_what_each_server_says_instead_is_in_the_error() -> None:
    one = Answer(frozenset({"first"}), "has 'first'")
    scene = Scene({NS1: always(one), NS2: always(BOTH), NS3: always(NOTHING)}, seconds=2)

    with pytest.raises(PublicationError) as failed:
        scene.await_all(FIRST, SECOND)

    assert str(failed.value) == (
        f"after 2 s not every name server has {NAME} 'first', 'second':"
        " ns3.test (192.0.2.3) has no TXT record there, ns1.test (192.0.2.1) has 'first'"
    )


def test_a_server_that_does_not_answer_is_asked_once_in_a_round() -> None:
    scene = Scene({NS1: fails(Unanswered("does not answer"))}, seconds=1, cost=QUERY_SECONDS)

    with pytest.raises(PublicationError, match=r"ns1\.test \(192\.0\.2\.1\) does not answer"):
        scene.await_all(FIRST, SECOND)

    assert len(scene.asked) == 1


def test_slow_servers_do_not_stretch_the_time() -> None:
    slow = {
        NameServer("", f"192.0.2.{n}", 53): fails(Unanswered("does not answer")) for n in range(50)
    }
    scene = Scene(slow, seconds=20, cost=QUERY_SECONDS)

    with pytest.raises(PublicationError, match=r"192\.0\.2\.4 does not answer, and 45 more$"):
        scene.await_all(FIRST)

    assert scene.now - 1000 <= 20 + QUERY_SECONDS
    assert all(0 < seconds <= QUERY_SECONDS for _, _, seconds in scene.asked)


def test_a_server_without_a_route_is_passed_over() -> None:
    scene = Scene({NS1: fails(NoRoute("cannot be asked: no route")), NS2: after(5)})

    scene.await_all(FIRST, SECOND)

    assert [server for server, _, _ in scene.asked].count(NS1) == 1


def test_servers_of_which_none_has_a_route_are_an_error() -> None:
    cut_off = fails(NoRoute("cannot be asked: Network is unreachable"))
    scene = Scene({NS1: cut_off, NS2: cut_off}, seconds=1)

    with pytest.raises(PublicationError, match="Network is unreachable"):
        scene.await_all(FIRST)


def test_no_record_needs_no_server() -> None:
    Scene({NS1: always(NOTHING)}).await_all()


def test_the_second_server_is_waited_for(world: World) -> None:
    record = TxtRecord("_acme-challenge.late.example.test", "late")
    elsewhere = world.settings(server=world.secondary.address)
    second = publisher_for(elsewhere)
    pauses: list[float] = []

    def wait(seconds: float) -> None:
        pauses.append(seconds)
        second.publish([record])

    publisher = publisher_for(
        world.settings(propagation_seconds=60), authority_port=world.primary.port, wait=wait
    )
    publisher.publish([record])

    publisher.await_propagation([record])

    assert pauses == [1.0]
    assert world.secondary.texts(record.name) == {"late"}


def test_a_second_server_that_knows_nothing_is_said(world: World, passing: Time) -> None:
    record = TxtRecord("_acme-challenge.never.example.test", "never")
    publisher = publisher_for(
        world.settings(),
        authority_port=world.primary.port,
        clock=passing.clock,
        wait=passing.wait,
    )
    publisher.publish([record])

    with pytest.raises(PublicationError) as failed:
        publisher.await_propagation([record])

    assert str(failed.value) == (
        "after 1 s not every name server has _acme-challenge.never.example.test 'never':"
        " ns2.example.test (127.0.0.2) says that the name does not exist"
    )


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("_acme-challenge.shared.example.test", "has 'what somebody else wrote'"),
        ("_acme-challenge.pbx.example.test", "has an alias (CNAME) there, to pbx.acme.test."),
        ("ns1.example.test", "has no TXT record there"),
        ("nobody.example.test", "says that the name does not exist"),
        ("nobodys.test", "answers REFUSED"),
        ("a.child.example.test", "is not authoritative for the name"),
    ],
)
def test_what_a_real_server_has_is_said(world: World, name: str, words: str) -> None:
    server = NameServer("", world.primary.address, world.primary.port)

    assert ask(server, name, seconds=5).words == words


def test_an_answer_that_is_too_long_for_udp_is_read_over_tcp(world: World) -> None:
    server = NameServer("", world.primary.address, world.primary.port)

    answer = ask(server, "long.example.test", seconds=5)

    assert answer.texts == {f"{number:0200}" for number in range(20)}
    assert answer.words.endswith("and 15 more")


def test_a_text_in_several_strings_is_one_text(world: World) -> None:
    server = NameServer("", world.primary.address, world.primary.port)

    assert ask(server, "pieces.example.test", seconds=5).texts == {"onetwo"}


def test_a_server_that_does_not_answer_is_said() -> None:
    with pytest.raises(Unanswered, match=r"^does not answer$"):
        ask(NameServer("", "127.0.0.3", 1), NAME, seconds=0.1)


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENETUNREACH, NoRoute),
        (errno.EADDRNOTAVAIL, NoRoute),
        (errno.EAFNOSUPPORT, NoRoute),
        (errno.EHOSTUNREACH, Unanswered),
    ],
)
def test_a_question_that_does_not_leave_this_machine_is_told_apart(
    monkeypatch: pytest.MonkeyPatch, number: int, kind: type[Unanswered]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, "it says why")

    monkeypatch.setattr(dns.query, "udp_with_fallback", fail)

    with pytest.raises(Unanswered, match=r"^cannot be asked: it says why$") as failed:
        ask(NS1, NAME, seconds=1)

    assert type(failed.value) is kind


def test_an_answer_that_breaks_off_over_tcp_is_no_answer() -> None:
    with (
        truncating() as (port, _),
        pytest.raises(Unanswered, match=r"^gives no usable answer$"),
    ):
        ask(NameServer("", "127.0.0.1", port), NAME, seconds=5)


def test_a_server_is_asked_for_what_it_has_itself() -> None:
    with truncating() as (port, asked), pytest.raises(Unanswered):
        ask(NameServer("", "127.0.0.1", port), NAME, seconds=5)

    assert [query.flags & dns.flags.RD for query in asked] == [0]


@contextmanager
def truncating() -> Iterator[tuple[int, list[dns.message.Message]]]:
    """Answer over UDP that the answer is too long, and close connections.

    Yields the port and what is asked.
    """
    asked: list[dns.message.Message] = []

    class Udp(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            data, answering = self.request
            asked.append(query := dns.message.from_wire(data))
            response = dns.message.make_response(query)
            response.flags |= dns.flags.TC
            answering.sendto(response.to_wire(), self.client_address)

    with (
        socketserver.TCPServer(("127.0.0.1", 0), socketserver.BaseRequestHandler) as tcp,
        socketserver.UDPServer(tcp.server_address, Udp) as udp,
    ):
        servers = (tcp, udp)
        threads = [threading.Thread(target=each.serve_forever, args=(0.02,)) for each in servers]
        for thread in threads:
            thread.start()
        try:
            yield tcp.server_address[1], asked
        finally:
            for each in servers:
                each.shutdown()
            for thread in threads:
                thread.join()
