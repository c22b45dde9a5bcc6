"""Pebble, and stores whose orders it gets."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.trust.acme.bench import Bench, open_bench
from tests.trust.acme.pebble import Pebble, running_pebble


@pytest.fixture(scope="session")
def pebble(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pebble]:
    """One Pebble for many tests."""
    folder = tmp_path_factory.mktemp("pebble")
    with running_pebble(folder, PEBBLE_ALTERNATE_ROOTS="2", PEBBLE_CHAIN_LENGTH="2") as started:
        yield started


@pytest.fixture
def bench(tmp_path: Path, pebble: Pebble) -> Iterator[Bench]:
    """A new store, set up for Pebble."""
    opened = open_bench(tmp_path, pebble)
    yield opened
    opened.database.close()
