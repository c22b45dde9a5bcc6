"""Verification goes on while repositories hang or are down, over restarts, and in each worker."""

import socket
import sqlite3
import threading
import time
from contextlib import closing
from http.client import HTTPConnection
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.system.caller import Caller
from tests.system.inbound import (
    BRISK,
    LAB,
    PATH,
    Carrier,
    Pending,
    ask,
    callee_of,
    identity,
    request,
    verdict,
)
from tests.system.process import Service, running, until

WAYS = pytest.mark.parametrize("slow_way", [False, True], ids=["short way", "HTTP library"])
PATIENT = {**LAB, "SHAKEN_FETCH__SECONDS": "30", "SHAKEN_VERIFICATION__SECONDS": "30"}


@WAYS
def test_calls_whose_certificates_are_at_hand_do_not_wait_for_a_repository_that_hangs(
    own_carrier: Carrier, tmp_path: Path, *, slow_way: bool
) -> None:
    carrier = own_carrier
    with running(tmp_path, "--demo", settings=PATIENT) as service:
        callee = callee_of(service, carrier.authority)
        known = carrier.publish()
        ask(callee.verifier, identity(carrier.issued, known))
        url = carrier.repository.hangs("/hanging.pem", carrier.issued.chain_pem)
        hanging = Pending(callee.verifier, identity(carrier.issued, url), slow_way=slow_way)
        carrier.repository.wait_for("/hanging.pem")

        verdicts = [ask(callee.verifier, identity(carrier.issued, known)) for _ in range(20)]

        assert not hanging.is_answered()
        assert {each["verstat"] for each in verdicts} == {"TN-Validation-Passed"}
        carrier.repository.release()
        assert hanging.answer()["verstat"] == "TN-Validation-Passed"


@WAYS
def test_a_verification_that_waits_is_answered_when_the_service_is_ended(
    own_carrier: Carrier, tmp_path: Path, *, slow_way: bool
) -> None:
    carrier = own_carrier
    settings = {**PATIENT, "SHAKEN_VERIFICATION__SECONDS": "2"}
    with running(tmp_path, "--demo", settings=settings) as service:
        callee = callee_of(service, carrier.authority)
        url = carrier.repository.hangs("/hanging.pem", carrier.issued.chain_pem)
        hanging = Pending(callee.verifier, identity(carrier.issued, url), slow_way=slow_way)
        carrier.repository.wait_for("/hanging.pem")
        ending = threading.Thread(target=service.end)
        ending.start()
        for _ in until("the service takes no more calls"):
            if not service.listens():
                break
        assert not hanging.is_answered()

        found = hanging.answer()

        ending.join()
        assert found["reasoncode"] == 436
        assert found["reasondesc"] == f"the certificate did not come within 2 s from {url}"


def age(service: Service, url: str, *, seconds: int) -> None:
    """Let the kept file of a URL have been fetched and have ended long ago."""
    with closing(sqlite3.connect(service.data / "shaken.sqlite")) as connection, connection:
        connection.execute(
            "UPDATE fetched_certificates SET fetched_at = ?, expires_at = ? WHERE url = ?",
            (time.time() - seconds - 60, time.time() - seconds, url),
        )


def test_what_was_fetched_outlives_a_restart_while_the_repository_is_down(
    own_carrier: Carrier, tmp_path: Path
) -> None:
    carrier = own_carrier
    url = carrier.publish()
    with running(tmp_path, "--demo", settings=BRISK) as service:
        ask(callee_of(service, carrier.authority).verifier, identity(carrier.issued, url))
    carrier.repository.stop()

    with running(tmp_path, "--demo", port=service.port, settings=BRISK) as again:
        callee = callee_of(again, carrier.authority, known=True)
        fresh = ask(callee.verifier, identity(carrier.issued, url))
    age(again, url, seconds=10)
    with running(tmp_path, "--demo", port=service.port, settings=BRISK) as again:
        callee = callee_of(again, carrier.authority, known=True)
        stale = ask(callee.verifier, identity(carrier.issued, url))
    age(again, url, seconds=2 * 86400)
    with running(tmp_path, "--demo", port=service.port, settings=BRISK) as again:
        callee = callee_of(again, carrier.authority, known=True)
        too_old = ask(callee.verifier, identity(carrier.issued, url))

    assert (fresh["verstat"], fresh.get("stale")) == ("TN-Validation-Passed", None)
    assert (stale["verstat"], stale.get("stale")) == ("TN-Validation-Passed", True)
    assert too_old["reasoncode"] == 436
    assert "the host cannot be reached" in too_old["reasondesc"]


def test_a_revocation_list_outlives_a_restart_while_its_host_is_down(
    own_carrier: Carrier, tmp_path: Path
) -> None:
    carrier = own_carrier
    issued, url, crl_url = carrier.revoked("revoked")
    needed = {**BRISK, "SHAKEN_VERIFICATION__REVOCATION": "hard"}
    with running(tmp_path, "--demo", settings=needed) as service:
        first = ask(callee_of(service, carrier.authority).verifier, identity(issued, url))
    assert carrier.repository.asked.count(urlsplit(crl_url).path) == 1
    carrier.repository.stop()

    with running(tmp_path, "--demo", port=service.port, settings=needed) as again:
        callee = callee_of(again, carrier.authority, known=True)
        second = ask(callee.verifier, identity(issued, url))

    assert first["reasondesc"] == second["reasondesc"]
    assert second["reasondesc"].startswith('"CN=SHAKEN 6666,O=SHAKEN lab" was revoked on ')


FEW = {
    **LAB,
    "SHAKEN_FETCH__CONNECTIONS": "4",
    "SHAKEN_FETCH__CONNECTIONS_PER_HOST": "2",
    "SHAKEN_FETCH__SECONDS": "30",
    "SHAKEN_VERIFICATION__SECONDS": "30",
}
"""Settings of a service that has few connections and much patience."""


def test_a_host_that_hangs_keeps_no_certificate_of_others_from_coming(
    own_carrier: Carrier, tmp_path: Path
) -> None:
    carrier = own_carrier
    with (
        running(tmp_path, "--demo", settings=FEW) as service,
        socket.create_server(("127.0.1.1", 0), backlog=64) as hanging,
    ):
        callee = callee_of(service, carrier.authority)
        base = f"https://127.0.1.1:{hanging.getsockname()[1]}"
        calls = [
            Pending(callee.verifier, identity(carrier.issued, f"{base}/{number}.pem"))
            for number in range(30)
        ]
        for _ in until("all but two calls are answered"):
            if sum(call.is_answered() for call in calls) >= 28:
                break

        found = ask(callee.verifier, identity(carrier.issued, carrier.publish("/first-seen.pem")))

        assert found["verstat"] == "TN-Validation-Passed"
        at_once = sum(call.is_answered() for call in calls)
        hanging.close()
        told = [call.answer() for call in calls]

    assert at_once == 28
    assert {each["reasoncode"] for each in told} == {436}
    slow = "127.0.1.1 is slow: 2 fetches from it are under way"
    assert sum(slow in each["reasondesc"] for each in told) == 28


def test_a_host_that_hung_is_not_waited_for_by_each_call(
    own_carrier: Carrier, tmp_path: Path
) -> None:
    carrier = own_carrier
    settings = {**LAB, "SHAKEN_FETCH__SECONDS": "1"}
    with (
        running(tmp_path, "--demo", settings=settings) as service,
        socket.create_server(("127.0.1.1", 0), backlog=64) as hanging,
    ):
        callee = callee_of(service, carrier.authority)
        base = f"https://127.0.1.1:{hanging.getsockname()[1]}"
        told = [
            ask(callee.verifier, identity(carrier.issued, f"{base}/{number}.pem"))["reasondesc"]
            for number in range(4)
        ]

        known = ask(callee.verifier, identity(carrier.issued, carrier.publish()))

    assert ["there was no whole answer within 1 s" in each for each in told] == [
        True,
        True,
        False,
        False,
    ]
    assert all("127.0.1.1 is slow: 2 fetches in a row got no answer" in each for each in told[2:])
    assert known["verstat"] == "TN-Validation-Passed"


def test_a_repository_that_flaps_is_noticed_by_the_word_stale_only(
    own_carrier: Carrier, tmp_path: Path
) -> None:
    carrier = own_carrier
    url = carrier.publish()
    with running(tmp_path, "--demo", settings=BRISK) as service:
        ask(callee_of(service, carrier.authority).verifier, identity(carrier.issued, url))
    age(service, url, seconds=10)
    carrier.repository.fails("/a.pem")
    with running(tmp_path, "--demo", port=service.port, settings=BRISK) as again:
        callee = callee_of(again, carrier.authority, known=True)
        down = ask(callee.verifier, identity(carrier.issued, url))
    carrier.publish()
    with running(tmp_path, "--demo", port=service.port, settings=BRISK) as again:
        callee = callee_of(again, carrier.authority, known=True)
        up = ask(callee.verifier, identity(carrier.issued, url))

    assert (down["verstat"], down.get("stale")) == ("TN-Validation-Passed", True)
    assert (up["verstat"], up.get("stale")) == ("TN-Validation-Passed", None)


def test_a_replay_is_found_by_the_worker_that_did_not_see_the_first_call(
    carrier: Carrier, tmp_path: Path
) -> None:
    with running(tmp_path, "--demo", "--workers", "2", settings=LAB) as service:
        callee = callee_of(service, carrier.authority)
        first, second = a_connection_to_each(callee.verifier)
        tries = count()
        for _ in until("both workers trust the new roots"):
            # Each time another URL: what failed is remembered for a while.
            header = identity(carrier.issued, carrier.publish(f"/{next(tries)}.pem"))
            found = [asked_over(callee.verifier, each, header) for each in (first, second)]
            if all(each["verstat"] == "TN-Validation-Passed" for each in found):
                break
        header = identity(carrier.issued, carrier.publish())

        new = asked_over(callee.verifier, first, header, callId="one")
        replay = asked_over(callee.verifier, second, header, callId="another")
        again = asked_over(callee.verifier, second, header, callId="one")

        first.close()
        second.close()
    assert [each["verstat"] for each in (new, replay, again)] == ["TN-Validation-Passed"] * 3
    assert [each.get("replayed") for each in (new, replay, again)] == [None, True, None]


def asked_over(
    verifier: Caller, connection: HTTPConnection, header: str, **members: object
) -> dict[str, Any]:
    return verdict(verifier.call("POST", PATH, request(header, **members), over=connection))


def a_connection_to_each(verifier: Caller) -> tuple[HTTPConnection, HTTPConnection]:
    """Open connections until each of two workers has one."""
    found: dict[str, HTTPConnection] = {}
    for _ in until("a connection to each worker"):
        batch = [verifier.connect() for _ in range(4)]
        for connection in batch:
            connection.connect()
        for connection in batch:
            worker = verifier.call("POST", PATH, request(None), over=connection).worker
            if found.setdefault(worker, connection) is not connection:
                connection.close()
        if len(found) == 2:
            break
    first, second = found.values()
    return first, second
