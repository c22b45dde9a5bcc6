"""A running demo service and those who call it."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.system.caller import Caller
from tests.system.inbound import Carrier
from tests.system.process import Service, read_demo, running
from tests.system.repository import publishing
from tests.system.site import Site
from trust.authority import Authority


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


@pytest.fixture(scope="module")
def carrier(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Carrier]:
    """Another provider, with its repository."""
    with a_carrier(tmp_path_factory.mktemp("web")) as made:
        yield made


@pytest.fixture
def own_carrier(tmp_path: Path) -> Iterator[Carrier]:
    """One whose repository the test stops or releases."""
    with a_carrier(tmp_path) as made:
        yield made


@contextmanager
def a_carrier(folder: Path) -> Iterator[Carrier]:
    """Run another provider's repository."""
    now = datetime.now(UTC)
    root = Authority.create("Another root", now=now)
    authority = root.intermediate("Another CA", now=now)
    issued = authority.issue_sti(spc="4321", now=now)
    with publishing(authority, folder) as repository:
        yield Carrier(root, authority, issued, repository)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A PBX, a carrier, and a Kamailio between them."""
    return Site.in_(tmp_path / "site")
