"""What tests of the admin pages arrange: a store with a bit of everything, a service over it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.web.browser import launched
from tests.web.scenery import Scenery, Service, make_scenery, serving


@pytest.fixture(scope="session")
def scenery(tmp_path_factory: pytest.TempPathFactory) -> Scenery:
    """The store that each service begins with."""
    return make_scenery(tmp_path_factory.mktemp("scenery"))


@pytest.fixture
async def service(scenery: Scenery, tmp_path: Path) -> AsyncIterator[Service]:
    """A service on this machine, without a proxy."""
    async with serving(scenery, tmp_path / "data") as started:
        yield started


@pytest.fixture
async def proxied(scenery: Scenery, tmp_path: Path) -> AsyncIterator[Service]:
    """A service behind a proxy on this machine that is trusted."""
    async with serving(scenery, tmp_path / "data", trusted=("127.0.0.1",)) as started:
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """A browser for all tests of this module."""
    async with launched() as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module")
async def served(scenery: Scenery, tmp_path: Path) -> AsyncIterator[Service]:
    """A service in the browser's loop."""
    async with serving(scenery, tmp_path / "data") as started:
        yield started
