"""Renewal information (RFC 9773): names of certificates, windows, an authority that has it."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from josepy.errors import Error as JoseError

from tests.trust.acme.acme2certifier import running_acme2certifier
from tests.trust.acme.bench import Bench, open_bench
from trust.acme import order as orders
from trust.acme.events import Issued, Renewed
from trust.acme.order import State
from trust.acme.renewal_information import certificate_id, read_information

EXAMPLE = """-----BEGIN CERTIFICATE-----
MIIBQzCB66ADAgECAgUAh2VDITAKBggqhkjOPQQDAjAVMRMwEQYDVQQDEwpFeGFt
cGxlIENBMCIYDzAwMDEwMTAxMDAwMDAwWhgPMDAwMTAxMDEwMDAwMDBaMBYxFDAS
BgNVBAMTC2V4YW1wbGUuY29tMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEeBZu
7cbpAYNXZLbbh8rNIzuOoqOOtmxA1v7cRm//AwyMwWxyHz4zfwmBhcSrf47NUAFf
qzLQ2PPQxdTXREYEnKMjMCEwHwYDVR0jBBgwFoAUaYhba4dGQEHhs3uEe6CuLN4B
yNQwCgYIKoZIzj0EAwIDRwAwRAIge09+S5TZAlw5tgtiVvuERV6cT4mfutXIlwTb
+FYN/8oCIClDsqBklhB9KAelFiYt9+6FDj3z4KGVelYM5MdsO3pK
-----END CERTIFICATE-----
"""
"""The certificate of RFC 9773, Appendix A."""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    """An acme2certifier."""
    with running_acme2certifier(tmp_path_factory.mktemp("acme2certifier")) as started:
        yield started


@pytest.fixture
def bench(tmp_path: Path, authority: object) -> Iterator[Bench]:
    """A new store, set up for acme2certifier."""
    opened = open_bench(tmp_path, authority)  # type: ignore[arg-type]
    yield opened
    opened.database.close()


@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
def test_a_certificate_is_named_as_the_rfc_names_it() -> None:
    """RFC 9773 §4.1, whose serial number needs a leading zero."""
    certificate = x509.load_pem_x509_certificate(EXAMPLE.encode())

    assert certificate_id(certificate) == "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"


def test_a_window_is_read() -> None:
    """The answer of RFC 9773 §4.2."""
    answer = {
        "suggestedWindow": {"start": "2025-01-02T04:00:00Z", "end": "2025-01-03T04:00:00Z"},
        "explanationURL": "https://acme.example.com/docs/ari",
    }

    read = read_information(answer, retry_after=None)

    assert read is not None
    assert read.start == datetime(2025, 1, 2, 4, tzinfo=UTC)
    assert read.end - read.start == timedelta(days=1)
    assert read.explanation == "https://acme.example.com/docs/ari"


def test_a_window_that_ends_before_it_begins_is_none() -> None:
    window = {"start": "2025-01-03T04:00:00Z", "end": "2025-01-02T04:00:00Z"}

    assert read_information({"suggestedWindow": window}, retry_after=None) is None


def test_what_is_no_renewal_information_is_refused() -> None:
    for answer in ({}, {"suggestedWindow": {"start": "soon", "end": "later"}}):
        with pytest.raises((JoseError, ValueError)):
            read_information(answer, retry_after=None)


def test_the_window_is_kept_and_says_when_to_renew(bench: Bench) -> None:
    identity = bench.order("pbx.example.com")
    bench.run()
    order = bench.stored(identity)
    assert order.failures is None
    assert order.window is not None
    assert order.certified is not None
    assert order.certified.not_before < order.window.start < order.certified.not_after
    assert order.next_try == order.window.start
    assert order.next_inquiry is not None
    assert order.next_inquiry > bench.now

    bench.ahead = orders.moment(order.window.start) - datetime.now(UTC) + timedelta(hours=1)
    bench.run()

    assert [type(event) for event in bench.events] == [Issued, Renewed]


def test_an_authority_that_is_down_when_it_is_asked_costs_a_certificate_nothing(
    bench: Bench,
) -> None:
    identity = bench.order("pbx.example.com")
    bench.run()
    before = bench.stored(identity)
    up = bench.pebble
    bench.pebble = replace(up, roots="/dev/null")
    bench.ahead = timedelta(hours=25)

    bench.run()

    order = bench.stored(identity)
    assert (order.state, order.failures, order.window) == (State.ISSUED, None, before.window)
    assert order.next_inquiry is not None
    assert bench.now < order.next_inquiry <= bench.now + 6 * 3600
    assert [type(event) for event in bench.events] == [Issued]

    bench.pebble = up
    bench.ahead = timedelta(hours=32)
    bench.run()
    asked = bench.stored(identity).next_inquiry
    assert asked is not None
    assert asked > bench.now + 12 * 3600  # as the authority says, which answers again
