"""Records at a provider: lexicon against a real PowerDNS, and what goes wrong on the way."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote_plus

import pytest
import requests

from tests.trust.acme.nameservers import PowerDns
from trust.acme.challenges import PublicationError, Publisher, TxtRecord
from trust.acme.dns import lexicon_process
from trust.acme.dns.lexicon_process import Job, perform
from trust.acme.dns.provider import BUNDLED_SUFFIXES, ProviderWriter
from trust.acme.dns.publishers import check_settings, publisher_for
from trust.acme.dns.settings import ProviderSettings

ZONE = "provider.test"
NAME = f"_acme-challenge.{ZONE}"
SHARED = f"_acme-challenge.shared.{ZONE}"
WILDCARD, BASE = TxtRecord(NAME, "-of-the-wildcard"), TxtRecord(NAME, "of_the_base_name")


@pytest.fixture(scope="module")
def provider(power: PowerDns) -> PowerDns:
    power.make_zone(ZONE, {SHARED: "what somebody else wrote"})
    return power


def settings_for(power: PowerDns, **changes: Any) -> ProviderSettings:
    settings = {
        "provider": "powerdns",
        "options": {"pdns_server": power.api, "auth_token": power.key},
        "resolvers": (str(power.dns),),
        "nameservers": (str(power.dns),),
    }
    return ProviderSettings(**settings | changes)


@pytest.fixture
def publisher(provider: PowerDns) -> Publisher:
    settings = settings_for(provider)
    check_settings(settings)
    return publisher_for(settings)


def test_values_of_one_name_stand_beside_each_other(
    provider: PowerDns, publisher: Publisher
) -> None:
    publisher.publish([WILDCARD, BASE])
    assert provider.dns.texts(NAME) == {WILDCARD.value, BASE.value}
    publisher.await_propagation([WILDCARD, BASE])

    publisher.withdraw([WILDCARD])
    assert provider.dns.texts(NAME) == {BASE.value}

    publisher.withdraw([WILDCARD, BASE])
    assert provider.dns.texts(NAME) == set()


def test_what_somebody_else_wrote_stays_however_often_it_is_done(
    provider: PowerDns, publisher: Publisher
) -> None:
    record = TxtRecord(SHARED, "ours")

    publisher.publish([record])
    publisher.publish([record])
    assert provider.dns.texts(SHARED) == {"ours", "what somebody else wrote"}

    publisher.withdraw([record])
    publisher.withdraw([record])
    assert provider.dns.texts(SHARED) == {"what somebody else wrote"}


def test_threads_that_write_the_same_name_take_turns() -> None:
    with meeting_place() as (url, met):
        options: dict[str, str | bool] = {"pdns_server": url, "auth_token": "t"}
        writer = ProviderWriter(ProviderSettings(provider="powerdns", options=options))

        with ThreadPoolExecutor(2) as threads:
            calls = [threads.submit(writer.add, ZONE, [record]) for record in (WILDCARD, BASE)]

    assert all("502" in str(call.exception()) for call in calls)
    assert met == [False, False]


def test_the_time_to_live_is_that_of_the_settings(provider: PowerDns) -> None:
    record = TxtRecord(f"_acme-challenge.ttl.{ZONE}", "v")

    publisher_for(settings_for(provider, ttl=77)).publish([record])

    zone = requests.get(
        f"{provider.api}/api/v1/servers/localhost/zones/{ZONE}.",
        headers={"X-API-Key": provider.key},
        timeout=10,
    ).json()
    assert [each["ttl"] for each in zone["rrsets"] if each["name"] == f"{record.name}."] == [77]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"auth_token": "not-the-key"},
            f"powerdns does not publish records of {ZONE}: 401 Client Error: Unauthorized",
        ),
        ({"pdns_server": "http://127.0.0.1:1"}, "ConnectionError: .*Connection refused"),
        ({"pdns_server_id": "other"}, "404 Client Error: Not Found"),
    ],
)
def test_what_a_provider_answers_is_said_without_its_secret(
    provider: PowerDns, changes: dict[str, str], words: str
) -> None:
    options = {"pdns_server": provider.api, "auth_token": provider.key} | changes
    publisher = publisher_for(settings_for(provider, options=options))

    with pytest.raises(PublicationError, match=words) as failed:
        publisher.publish([BASE])

    assert options["auth_token"] not in str(failed.value)


def test_a_zone_that_the_provider_does_not_have_is_an_error(provider: PowerDns) -> None:
    publisher = publisher_for(settings_for(provider, zone="other.test", delegate=False))

    with pytest.raises(PublicationError, match=r"does not withdraw records of other\.test: 404"):
        publisher.withdraw([TxtRecord("_acme-challenge.other.test", "v")])


def test_a_provider_that_never_answers_is_not_waited_for_long(provider: PowerDns) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        options = {"pdns_server": url, "auth_token": "t"}
        writer = ProviderWriter(settings_for(provider, options=options), seconds=lambda _: 2)

        with pytest.raises(PublicationError, match=r"provider\.test: it did not end within 2 s$"):
            writer.add(ZONE, [BASE])


def test_the_process_ends_itself_when_nobody_else_does() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        job = job_for({"pdns_server": url, "auth_token": "t"}) | {"seconds": 1}

        run = subprocess.run(
            [sys.executable, "-m", "trust.acme.dns.lexicon_process"],
            input=json.dumps(job).encode(),
            env=os.environ | BUNDLED_SUFFIXES,
            check=False,
        )

    assert run.returncode == -signal.SIGALRM


def test_nothing_but_the_provider_is_asked(
    provider: PowerDns, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))  # where a list of suffixes would be kept
    with recording_proxy() as (url, asked):
        for name in ("https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY"):
            monkeypatch.setenv(name, url)

        monkeypatch.setenv("no_proxy", "127.0.0.1")
        publisher_for(settings_for(provider)).publish([BASE])
        assert asked == []
        assert list(tmp_path.iterdir()) == []

        # The proxy is one that is used: it is asked for what is not excepted.
        monkeypatch.setenv("no_proxy", "192.0.2.1")
        monkeypatch.setenv("NO_PROXY", "192.0.2.1")
        with pytest.raises(PublicationError, match="502"):
            publisher_for(settings_for(provider)).publish([BASE])
        assert asked == [f"{provider.api}/api/v1/servers/localhost/zones/{ZONE}."]


def job_for(options: dict[str, Any], *, verb: str = "publish") -> dict[str, Any]:
    return {
        "provider": "powerdns",
        "options": options,
        "zone": ZONE,
        "ttl": 60,
        "verb": verb,
        "records": [[NAME, "first"], [NAME, "second"]],
        "seconds": 60,
    }


class Operations:
    """A provider's client that fails, or has what it should not have."""

    def __init__(self, *, has: set[str] | None, error: Exception | None) -> None:
        self.has = has
        self.error = error

    def __call__(self, _: object) -> "Operations":
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        pass

    def _change(self) -> bool:
        if self.error is not None:
            raise self.error
        return False

    def create_record(self, *_: object) -> bool:
        return self._change()

    def delete_record(self, **_: object) -> bool:
        return self._change()

    def list_records(self, rtype: str, name: str) -> list[dict[str, str]]:
        assert (rtype, name) == ("TXT", NAME)
        if self.has is None:
            raise RuntimeError
        return [{"content": f'"{text}"'} for text in self.has]


REFUSES = ValueError("the provider says no")


@pytest.mark.parametrize(
    ("verb", "has", "error", "failures"),
    [
        # Some refuse to create what is there, or to delete what is not.
        ("publish", {"first", "second"}, REFUSES, []),
        ("publish", {"first", "second"}, None, []),
        ("publish", {"first"}, REFUSES, ["ValueError: the provider says no"]),
        ("publish", None, REFUSES, ["ValueError: the provider says no"]),
        ("publish", set(), None, [f"ValueError: {NAME}: the record was not created"]),
        ("withdraw", {"other"}, REFUSES, []),
        ("withdraw", {"first"}, REFUSES, ["ValueError: the provider says no"]),
        ("withdraw", None, REFUSES, ["ValueError: the provider says no"]),
        ("withdraw", set(), None, []),
    ],
)
def test_what_a_provider_refuses_counts_only_if_it_is_not_so_already(
    monkeypatch: pytest.MonkeyPatch,
    verb: Any,
    has: set[str] | None,
    error: Exception | None,
    failures: list[str],
) -> None:
    monkeypatch.setattr(lexicon_process, "Client", Operations(has=has, error=error))
    job = job_for({}) | {"verb": verb, "records": [(NAME, "first"), (NAME, "second")]}

    assert perform(Job(**job)) == failures


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            requests.ConnectionError("https://api.example/zones/s3cret%20%2Fkey/records failed"),
            "ConnectionError: https://api.example/zones/********/records failed",
        ),
        (
            requests.HTTPError("404 for url: https://api.example/x?session=abc&x=1 (really)"),
            "HTTPError: 404 for url: https://api.example/x?… (really)",
        ),
        (
            ValueError("the key s3cret /key\nof me@example.com"),
            "the key ******** of me@example.com",
        ),
        (ValueError("x" * 2000), "x" * 100),
    ],
)
def test_an_error_shows_no_secret_in_any_spelling(
    monkeypatch: pytest.MonkeyPatch, error: Exception, words: str
) -> None:
    monkeypatch.setattr(lexicon_process, "Client", Operations(has=None, error=error))
    options = {"auth_token": "s3cret /key", "auth_username": "me@example.com"}
    job = job_for(options) | {"records": [(NAME, "first")]}

    (failure,) = perform(Job(**job))

    assert words in failure
    assert len(failure) <= 1000


def test_an_error_shows_no_secret_that_needs_escaping(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = 'a"b\\c?d e'
    error = ValueError(f"{secret} {secret!r} {json.dumps(secret)} {quote_plus(secret)}")
    monkeypatch.setattr(lexicon_process, "Client", Operations(has=None, error=error))
    job = job_for({"auth_token": secret}) | {"records": [(NAME, "first")]}

    (failure,) = perform(Job(**job))

    assert failure == """ValueError: ******** '********' "********" ********"""


def test_a_provider_that_cannot_be_logged_in_to_is_an_error(
    provider: PowerDns, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in BUNDLED_SUFFIXES.items():
        monkeypatch.setenv(name, value)
    job = job_for({"pdns_server": provider.api, "auth_token": "wrong"}) | {"records": []}

    (failure,) = perform(Job(**job))

    assert failure.startswith("401 Client Error: Unauthorized")


@contextmanager
def recording_proxy() -> Iterator[tuple[str, list[str]]]:
    """A proxy that refuses all; yields its URL, and what it is asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def refuse(self) -> None:
            asked.append(self.path)
            self.send_error(502)

        do_GET = do_PATCH = do_CONNECT = refuse  # noqa: N815 - as the library calls them

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def meeting_place() -> Iterator[tuple[str, list[bool]]]:
    """A provider that fails; yields its URL, and of each call whether another came with it."""
    met: list[bool] = []
    both = threading.Barrier(2)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            try:
                both.wait(2)
                met.append(True)
            except threading.BrokenBarrierError:
                met.append(False)
                both.reset()
            self.send_error(502)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", met
        finally:
            server.shutdown()
            thread.join()
