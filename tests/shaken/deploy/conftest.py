"""A host beside a stand-in for the service, and two certificates for its name."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.shaken.deploy.host import MOMENT, NAME, Host
from tests.shaken.deploy.listener_service import ListenerService, serving
from trust.authority import Authority, Issued


@pytest.fixture(scope="module")
def ca() -> Authority:
    """An authority below a root of its own."""
    return Authority.create("Root", now=MOMENT).intermediate("Intermediate", now=MOMENT)


@pytest.fixture(scope="module")
def first(ca: Authority) -> Issued:
    return ca.issue_server([NAME], now=MOMENT)


@pytest.fixture(scope="module")
def second(ca: Authority) -> Issued:
    return ca.issue_server([NAME], now=MOMENT)


@pytest.fixture
def service() -> Iterator[ListenerService]:
    with serving() as started:
        yield started


@pytest.fixture
def host(tmp_path: Path, service: ListenerService, first: Issued) -> Host:
    service.offer(NAME, first)
    return Host(tmp_path, service)
