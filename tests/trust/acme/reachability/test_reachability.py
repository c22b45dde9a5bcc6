"""The self-check of http-01 against a real DNS server and real web servers on the loopback."""

from ipaddress import IPv4Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ports import free_port
from tests.trust.acme.reachability.peers import Page, Web, raw_server
from tests.trust.acme.reachability.probe import (
    KEY_AUTHORIZATION,
    PATH,
    THE_CHALLENGE,
    TOKEN,
    Ask,
    faults,
    serve,
)
from trust.acme.caa import Issuer
from trust.acme.fetch import Answer, Failure, GetError, Target, get
from trust.acme.lookup import Address, CaaRecord, DnsResolver
from trust.acme.reachability import MAX_ADDRESSES, Challenge, Fault, Reachability, Vantage, check


@pytest.mark.parametrize("name", ["good.test", "alias.test"])
@pytest.mark.parametrize("end", [b"", b"\r\n", b" \n"], ids=["bare", "a line", "white space"])
def test_a_challenge_that_is_there_is_good(ask: Ask, web: Web, name: str, end: bytes) -> None:
    serve(web, name, Page(KEY_AUTHORIZATION.encode() + end))

    found = ask(name)

    assert found == Reachability(name)
    assert (found.good, found.words) == (True, f"nothing speaks against asking for {name}")
    assert web.asked == [(f"{name}:{web.port}", PATH)]


def test_each_address_is_asked(ask: Ask, web: Web) -> None:
    serve(web, "both.test", THE_CHALLENGE)
    with Web(web.pages).serving("::1", web.port) as on_six:
        found = ask("both.test")

    assert found.good
    assert (len(web.asked), len(on_six.asked)) == (1, 1)


@pytest.mark.parametrize(
    ("name", "fault", "words"),
    [
        (
            "nobody.test",
            Fault.NO_SUCH_NAME,
            (
                "nobody.test does not exist in the DNS: add an A or AAAA record with the address of"
                " this service"
            ),
        ),
        (
            "empty.test",
            Fault.NO_ADDRESS,
            "empty.test has no A or AAAA record: add one with the address of this service",
        ),
        (
            "name.example",
            Fault.LOOKUP_FAILED,
            (
                "the A records of name.example could not be looked up: All nameservers failed to"
                " answer the query name.example. IN A: Server Do53:127.0.0.1@"
            ),
        ),
    ],
)
def test_what_the_dns_lacks_is_said(ask: Ask, name: str, fault: Fault, words: str) -> None:
    found = ask(name)

    assert (found.good, faults(found)) == (False, [fault])
    assert found.words.startswith(words)


def test_addresses_that_a_public_authority_cannot_reach_are_not_connected_to(ask: Ask) -> None:
    found = ask("private.test", reaches=lambda address: address.is_global)

    assert faults(found) == [Fault.PRIVATE_ADDRESS] * 2
    assert [str(problem.address) for problem in found.problems] == ["fd00::1", "10.1.2.3"]
    assert found.problems[1].words == (
        "private.test has the address 10.1.2.3, which a public authority cannot reach: put the"
        " public address of this service there, or prove the name by dns-01"
    )


def test_a_private_address_beside_one_that_is_reached_is_a_note(ask: Ask, web: Web) -> None:
    serve(web, "both.test", THE_CHALLENGE)

    found = ask("both.test", reaches=lambda address: address.version == 4)

    assert found.good
    assert found.notes == (
        "both.test also has the address ::1, which a public authority cannot reach",
    )


def test_a_port_that_is_closed_is_said(ask: Ask) -> None:
    port = free_port()

    found = ask("good.test", http_port=port)

    assert faults(found) == [Fault.REFUSED]
    assert found.words.startswith(
        f"good.test at 127.0.0.1 port {port} refuses connections: let this service listen on that"
        " port, or what stands before it forward the port (behind a router"
    )


def test_a_server_that_does_not_answer_is_said(ask: Ask) -> None:
    with raw_server() as port:
        found = ask("good.test", http_port=port, seconds=0.3)

    assert faults(found) == [Fault.TIMEOUT]
    assert "as a firewall does that drops connections: open the port" in found.words


@pytest.mark.parametrize("banner", [b"SSH-2.0-OpenSSH_9.2\r\n", b"\x16\x03\x01\x02\x00", b"\0" * 9])
def test_a_server_of_something_else_is_said(ask: Ask, banner: bytes) -> None:
    with raw_server(banner) as port:
        found = ask("good.test", http_port=port)

    assert faults(found) == [Fault.NOT_HTTP]
    assert "something else than a web server uses the port" in found.words


def test_an_aaaa_record_that_leads_nowhere_beside_an_a_that_answers_is_said(
    ask: Ask, web: Web
) -> None:
    serve(web, "both.test", THE_CHALLENGE)

    found = ask("both.test")

    assert faults(found) == [Fault.REFUSED]
    assert str(found.problems[0].address) == "::1"
    assert found.words.endswith(
        "; 127.0.0.1 answers as it should, but authorities try IPv6 first: let the service answer"
        " there too, or remove the AAAA record"
    )


def test_an_a_record_that_leads_nowhere_beside_another_is_said(ask: Ask, web: Web) -> None:
    serve(web, "two.test", THE_CHALLENGE)

    found = ask("two.test")

    assert [str(problem.address) for problem in found.problems] == ["127.0.0.2"]
    assert "127.0.0.1 answers as it should, but an authority may take any address" in found.words


def test_not_more_addresses_are_asked_than_the_bound(ask: Ask) -> None:
    assert len(ask("many.test").problems) == MAX_ADDRESSES == 8


@pytest.mark.parametrize(
    ("page", "fault", "words"),
    [
        pytest.param(
            Page(b"<h1>Not Found</h1>", 404),
            Fault.NOT_FOUND,
            "another web server (Server: nginx/1.22.1) answers"
            " http://good.test:PORT/.well-known/acme-challenge/ at 127.0.0.1 and does not know the"
            " challenge (404): let it forward /.well-known/acme-challenge/ to this service, or"
            " correct the record if 127.0.0.1 is another machine",
            id="404",
        ),
        pytest.param(
            Page(b"", 403),
            Fault.STATUS,
            "the web server (Server: nginx/1.22.1) that answers"
            " http://good.test:PORT/.well-known/acme-challenge/ at 127.0.0.1 refuses the challenge"
            " (status 403): ",
            id="403",
        ),
        pytest.param(
            Page(THE_CHALLENGE.body, 206), Fault.STATUS, "the web server", id="not quite 200"
        ),
        pytest.param(Page(b"", 303, PATH + "x"), Fault.STATUS, "the web server", id="see other"),
        pytest.param(
            Page(b"<html>\n\x1b[31m\xffIt works!" + b"x" * 10_000),
            Fault.OTHER_CONTENT,
            "another web server (Server: nginx/1.22.1) answers"
            " http://good.test:PORT/.well-known/acme-challenge/ at 127.0.0.1 with something else"
            f" (its answer begins with '<html>??[31m?It works!{'x' * 42}'): let it forward",
            id="a page",
        ),
        pytest.param(
            Page(), Fault.OTHER_CONTENT, "another web server (Server: nginx/1.22.1)", id="empty"
        ),
        pytest.param(
            Page(f"{TOKEN}.of-somebody-else".encode()),
            Fault.OTHER_CONTENT,
            "another ACME client (Server: nginx/1.22.1) answers"
            " http://good.test:PORT/.well-known/acme-challenge/ at 127.0.0.1, for an account of its"
            " own: let it forward",
            id="another account",
        ),
        pytest.param(
            Page(KEY_AUTHORIZATION.encode() + b"x"),
            Fault.OTHER_CONTENT,
            "another ACME client",
            id="more than it",
        ),
    ],
)
def test_another_answer_than_the_challenge_is_said(
    ask: Ask, web: Web, page: Page, fault: Fault, words: str
) -> None:
    serve(web, "good.test", page)

    found = ask("good.test")

    assert faults(found) == [fault]
    assert found.words.startswith(words.replace("PORT", str(web.port)))
    assert KEY_AUTHORIZATION not in found.words
    assert len(found.words) < 500


def test_a_server_is_quoted_in_printable_characters_only(ask: Ask, web: Web) -> None:
    web.server = "ngi\x1b]0;nx\x07" + "x" * 100

    assert f"(Server: ngi?]0;nx?{'x' * 54})" in ask("good.test").words


def test_a_web_server_of_other_names_is_said(ask: Ask, web: Web) -> None:
    serve(web, "other.test", THE_CHALLENGE)

    assert faults(ask("good.test")) == [Fault.NOT_FOUND]


def test_caa_records_that_forbid_the_authority_are_said_beside_the_rest(ask: Ask, web: Web) -> None:
    found = ask("forbidden.test")

    assert faults(found) == [Fault.NOT_FOUND, Fault.CAA]
    assert found.problems[1].words == (
        'the CAA records of forbidden.test (0 issue "ca.example") do not let letsencrypt.org'
        ' certify this name by http-01 for this account: add the record 0 issue "letsencrypt.org"'
        " to forbidden.test, or take another authority"
    )
    assert web.asked


def test_an_address_that_this_machine_has_no_way_to_is_no_problem_but_a_note(
    resolver: DnsResolver, web: Web
) -> None:
    def get_without_ipv6(target: Target, *, seconds: float) -> Answer:
        if target.address.version == 6:
            raise GetError(Failure.NO_ROUTE, "Network is unreachable")
        return get(target, seconds=seconds)

    serve(web, "both.test", Page(b"", 302, f"http://six.test:{web.port}/"))
    vantage = Vantage(lambda _: True, Issuer(frozenset(), None, "http-01"), web.port, web.port)
    challenge = Challenge("both.test", TOKEN, KEY_AUTHORIZATION)

    found = check(challenge, vantage=vantage, resolver=resolver, get=get_without_ipv6)

    assert found.good
    assert found.words == (
        "nothing speaks against asking for both.test; ::1 could not be checked from here: Network"
        " is unreachable; 127.0.0.1 could not be checked from here: Network is unreachable"
    )


class Names:
    """A resolver for which each name has one address."""

    def addresses(self, name: str) -> tuple[Address, ...]:  # noqa: ARG002 - the protocol's
        return (ip_address("192.0.2.1"),)

    def caa(self, name: str) -> tuple[CaaRecord, ...]:  # noqa: ARG002 - the protocol's
        return ()


def test_an_address_without_a_route_from_the_network_is_a_problem() -> None:
    def unreachable(target: Target, *, seconds: float) -> Answer:
        assert (target.url, target.address) == (f"http://a.test{PATH}", IPv4Address("192.0.2.1"))
        assert 9 < seconds <= 10
        raise GetError(Failure.UNREACHABLE, "No route to host")

    vantage = Vantage(lambda _: True, Issuer(frozenset(), None, "http-01"))
    challenge = Challenge("a.test", TOKEN, KEY_AUTHORIZATION)

    found = check(challenge, vantage=vantage, resolver=Names(), get=unreachable)

    assert found.words == (
        "a.test at 192.0.2.1 port 80 cannot be reached: No route to host; correct the record, or"
        " the route"
    )


@given(
    status=st.sampled_from([200, 301, 302, 307, 308, 404]),
    server=st.none() | st.text(),
    location=st.none() | st.text() | st.from_regex(r"(https?:)?//[!-~]*", fullmatch=True),
    body=st.binary(),
)
def test_whatever_a_stranger_answers_comes_to_words_of_bounded_length(
    status: int, server: str | None, location: str | None, body: bytes
) -> None:
    vantage = Vantage(lambda _: True, Issuer(frozenset(), None, "http-01"))
    challenge = Challenge("a.test", TOKEN, KEY_AUTHORIZATION)

    def stranger(target: Target, *, seconds: float) -> Answer:
        assert target.url.isascii()
        assert seconds > 0
        return Answer(status, server, location, body)

    found = check(challenge, vantage=vantage, resolver=Names(), get=stranger)

    assert not found.good
    assert found.words.isprintable()
    assert found.words.isascii()
    assert len(found.words) < 600
