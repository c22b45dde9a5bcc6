"""What tests of fetching arrange: an authority of real time, a repository, a fetcher."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from shaken.x5u.fetch import Fetcher
from tests.shaken.x5u.web import Web, fetching, serving
from trust.authority import Authority


@pytest.fixture(scope="session")
def authority() -> Authority:
    """An authority whose certificates are valid by the clock of the machine, as TLS asks."""
    now = datetime.now(UTC)
    return Authority.create("Web root", now=now).intermediate("Web CA", now=now)


@pytest.fixture(scope="session")
def chain_pem(authority: Authority) -> str:
    """An STI certificate and its intermediate."""
    return authority.issue_sti(spc="1234", now=datetime.now(UTC)).chain_pem


@pytest.fixture
async def repository(authority: Authority, tmp_path: Path) -> AsyncIterator[Web]:
    """A repository on loopback."""
    async with serving(authority, tmp_path) as started:
        yield started


@pytest.fixture
async def fetcher(authority: Authority) -> AsyncIterator[Fetcher]:
    """A fetcher as labs set it: private addresses and any port are allowed."""
    async with fetching(authority) as started:
        yield started
