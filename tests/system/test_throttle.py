"""Failed authentications against a real service: slowed by source, for nobody else."""

from collections.abc import Iterator

import pytest

from shaken.throttle import FAILURES, WINDOW_SECONDS
from tests.system.caller import Answer, Caller
from tests.system.process import Service, read_demo, running


@pytest.fixture
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One worker behind a proxy on this machine, so that requests may come from anywhere."""
    settings = {"SHAKEN_HTTP__TRUSTED_PROXIES": "127.0.0.1"}
    with running(tmp_path_factory.mktemp("slow"), "--demo", settings=settings) as started:
        yield started


@pytest.fixture
def guesser(service: Service) -> Caller:
    """Somebody who knows no secret."""
    return Caller(service.url, "shk_wrong").saying(X_Forwarded_For="203.0.113.9")


def statuses(caller: Caller, times: int) -> list[int]:
    """Ask the administration and the signing route in turn."""
    return [
        (caller.get("/api/v1/tenants") if number % 2 else caller.sign()).status
        for number in range(times)
    ]


def wait_of(answer: Answer) -> int:
    return int(answer.headers["retry-after"])


def test_whoever_fails_too_often_is_told_to_wait_on_every_route(guesser: Caller) -> None:
    assert statuses(guesser, FAILURES) == [401] * FAILURES

    administration, signing = guesser.get("/api/v1/tenants"), guesser.sign()

    assert (administration.status, signing.status) == (429, 429)
    assert administration.headers["content-type"] == "application/problem+json"
    assert administration.json()["type"] == "too-many-failures"
    assert signing.json()["requestError"]["policyException"]["messageId"] == "POL4290"
    assert signing.json()["error"] == "Too Many Requests"
    assert 1 <= wait_of(signing) <= WINDOW_SECONDS
    assert 1 <= wait_of(administration) <= WINDOW_SECONDS


def test_a_pbx_with_a_right_secret_signs_from_the_same_address(
    service: Service, guesser: Caller
) -> None:
    pbx = guesser.having(read_demo(service.data)["signer"]["secret"])
    statuses(guesser, FAILURES * 2)

    assert pbx.sign().status == 200
    assert guesser.sign().status == 429


def test_others_are_told_as_ever(guesser: Caller) -> None:
    statuses(guesser, FAILURES * 2)

    assert guesser.saying(X_Forwarded_For="203.0.113.10").sign().status == 401
    assert guesser.having(None).sign().status == 401


def test_an_ipv6_network_is_one_source(guesser: Caller) -> None:
    for number in range(FAILURES):
        assert guesser.saying(X_Forwarded_For=f"2001:db8::{number}").sign().status == 401

    assert guesser.saying(X_Forwarded_For="2001:db8::ffff:1").sign().status == 429
    assert guesser.saying(X_Forwarded_For="2001:db8:0:1::").sign().status == 401


def test_what_anybody_may_read_stays_open(guesser: Caller) -> None:
    statuses(guesser, FAILURES * 2)

    assert guesser.get("/healthz").status == 200
    assert guesser.get("/openapi.json").status == 200


def test_the_log_names_the_source_once(service: Service, guesser: Caller) -> None:
    statuses(guesser, FAILURES * 3)

    said = [line for line in service.stderr.read_text().splitlines() if "203.0.113.9" in line]
    assert len(said) == 1
    assert "too many failed authentications" in said[0]
