"""Redirections that the self-check follows as an authority does, and those that it reports."""

import pytest

from tests.trust.acme.reachability.peers import Page, Web, raw_server
from tests.trust.acme.reachability.probe import PATH, THE_CHALLENGE, Ask, faults, serve
from trust.acme.reachability import MAX_REDIRECTS, Fault


def test_redirections_are_followed_to_other_names_and_https(ask: Ask, web: Web, https: Web) -> None:
    serve(web, "good.test", Page(b"", 301, "/elsewhere?a=b"))
    serve(web, "good.test", Page(b"", 302, f"https://good.test:{https.port}/x"), "/elsewhere?a=b")
    serve(https, "good.test", Page(b"", 307, f"http://OTHER.test:{web.port}"), "/x")
    serve(web, "other.test", Page(b"", 308, "//good.test:" + str(web.port) + "/end"), "/")
    serve(web, "good.test", THE_CHALLENGE, "/end")

    assert ask("good.test").good


def test_a_redirection_without_a_port_goes_to_the_usual_one(ask: Ask, web: Web, https: Web) -> None:
    serve(web, "good.test", Page(b"", 301, "https://good.test/secure"))
    serve(https, "good.test", THE_CHALLENGE, "/secure")

    assert ask("good.test").good


def test_a_redirection_goes_to_an_address_that_answers(ask: Ask, web: Web) -> None:
    serve(web, "good.test", Page(b"", 301, f"http://both.test:{web.port}{PATH}"))
    serve(web, "both.test", THE_CHALLENGE)

    assert ask("good.test").good


@pytest.mark.parametrize(
    ("location", "words"),
    [
        (PATH, f"to http://good.test:PORT{PATH[:36]}"),
        (None, "to '', which is no URL"),
        ("http://[::1", "to 'http://[::1', which is no URL"),
        ("http://good.test:99999/", "which is no URL"),
        ("/a b", "which is no URL"),
        ("/" + "a" * 2000, "which is no URL"),
        ("ftp://good.test/", "to 'ftp://good.test/'; authorities follow to http and https only"),
        ("http://good.test:22/", "authorities follow to the ports PORT and HTTPS only"),
        ("http://127.0.0.1/", "authorities follow to names, not to addresses"),
        ("http://[::1]/", "authorities follow to names, not to addresses"),
        ("http://under_score.test/", "whose host is no DNS name"),
        ("https:///x", "whose host is no DNS name"),
        ("/\xe9", "to '/?', which is no URL"),
        ("http://nobody.test/", "to nobody.test: nobody.test does not exist in the DNS"),
        ("http://private.test/", "which has no address that the authority can reach"),
        ("http://empty.test/", "which has no address that the authority can reach"),
        ("https://six.test/", "to https://six.test:HTTPS/: the connection is refused"),
        ("https://good.test:PORT/", "to https://good.test:PORT/: no TLS connection"),
    ],
)
def test_redirections_that_lead_nowhere_are_said(
    ask: Ask, web: Web, https: Web, location: str | None, words: str
) -> None:
    def placed(text: str) -> str:
        return text.replace("PORT", str(web.port)).replace("HTTPS", str(https.port))

    serve(web, "good.test", Page(b"", 302, location if location is None else placed(location)))

    found = ask("good.test", reaches=lambda address: address.is_loopback)

    assert faults(found) == [Fault.REDIRECT]
    assert placed(words) in found.words
    assert "leave /.well-known/acme-challenge/ out of redirections" in found.words


def test_redirections_are_followed_ten_times_and_not_more(ask: Ask, web: Web) -> None:
    serve(web, "good.test", Page(b"", 302, "/1"))
    for number in range(1, MAX_REDIRECTS):
        serve(web, "good.test", Page(b"", 302, f"/{number + 1}"), f"/{number}")
    serve(web, "good.test", THE_CHALLENGE, "/10")
    followed = ask("good.test")
    serve(web, "good.test", Page(b"", 302, "/11"), "/10")
    too_often = ask("good.test")

    assert (followed.good, faults(too_often)) == (True, [Fault.REDIRECT])
    assert "redirects more than 10 times" in too_often.words


def test_redirections_share_the_time_of_their_address(ask: Ask, web: Web) -> None:
    with raw_server() as silent:
        serve(web, "good.test", Page(b"", 302, f"http://other.test:{silent}/"))
        found = ask("good.test", https_port=silent, seconds=0.3)

    assert faults(found) == [Fault.REDIRECT]
    assert "no answer within" in found.words
