"""A running demo service and those who call it."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.system.caller import Caller
from tests.system.process import Service, read_demo, running


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """One worker with the demo's tenant, trunk, certificate and credentials."""
    with running(tmp_path, "--demo") as started:
        yield started


@pytest.fixture
def demo(service: Service) -> dict[str, Any]:
    """What `demo.json` holds."""
    return read_demo(service.data)


@pytest.fixture
def admin(service: Service, demo: dict[str, Any]) -> Caller:
    """The demo's administrator."""
    return Caller(service.url, demo["admin"]["secret"])


@pytest.fixture
def signer(service: Service, demo: dict[str, Any]) -> Caller:
    """The demo's signer, of trunk `demo`."""
    return Caller(service.url, demo["signer"]["secret"])


@pytest.fixture(scope="session")
def now() -> datetime:
    """The time at which certificates of the tests are issued."""
    return datetime.now(UTC)
