"""The admin pages of the real service: any worker knows who has signed in, the demo says how."""

import re
from collections.abc import Iterator
from http.client import HTTPConnection
from urllib.parse import urlencode

import pytest

from tests.system.process import Service, read_demo, running

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A demo with several workers."""
    with running(tmp_path_factory.mktemp("pages"), "--demo", "--workers", "3") as started:
        yield started


def ask(
    service: Service, method: str, path: str, body: str = "", **headers: str
) -> tuple[int, dict[str, str], str]:
    """Send a request over a connection of its own: any worker may take it."""
    connection = HTTPConnection("127.0.0.1", service.port, timeout=30)
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, dict(answer.getheaders()), text


def sign_in(service: Service) -> str:
    """Sign in with what the demo printed, and return the cookie."""
    found = re.search(r"/admin: sign in as (\S+) with (\S+)", service.stdout.read_text())
    assert found
    body = urlencode({"name": found[1], "secret": found[2]})
    status, headers, text = ask(service, "POST", "/admin/sign-in", body, **FORM)
    assert status == 303, text
    return headers["Set-Cookie"].partition(";")[0]


def test_every_worker_knows_who_has_signed_in(service: Service) -> None:
    cookie = sign_in(service)

    statuses = {ask(service, "GET", "/admin", Cookie=cookie)[0] for _ in range(30)}

    assert statuses == {200}


def test_a_session_is_over_everywhere_when_its_person_signs_out(service: Service) -> None:
    cookie = sign_in(service)
    _, _, text = ask(service, "GET", "/admin", Cookie=cookie)
    token = re.search(r'name="csrf" value="([0-9a-f]+)"', text)
    assert token

    body = urlencode({"csrf": token[1]})
    assert ask(service, "POST", "/admin/sign-out", body, Cookie=cookie, **FORM)[0] == 303

    assert {ask(service, "GET", "/admin", Cookie=cookie)[0] for _ in range(30)} == {303}


def test_the_demo_shows_its_certificate_and_its_call(service: Service) -> None:
    cookie = sign_in(service)

    _, _, overview = ask(service, "GET", "/admin", Cookie=cookie)
    _, _, listed = ask(service, "GET", "/admin/certificates", Cookie=cookie)

    assert "All is well" in overview
    assert read_demo(service.data)["tenant"] in overview
    assert "SHAKEN" in listed


def test_the_log_holds_no_token_and_no_secret(service: Service) -> None:
    cookie = sign_in(service)

    said = service.stderr.read_text()

    assert "signed in" in said
    assert cookie.partition("=")[2] not in said
    assert read_demo(service.data)["admin"]["secret"] not in said
