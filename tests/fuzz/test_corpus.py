"""The corpora of the fuzzer, replayed without it: what once broke stays mended."""

import time
from pathlib import Path

import pytest

from tests.fuzz.target import CORPUS, MAX_FILES, MAX_INPUT, MAX_SECONDS, chosen, folder_of
from tests.fuzz.targets import TARGETS

FILES = [file for name in TARGETS for file in sorted(folder_of(name).iterdir())]
BROKEN = [file for file in FILES if not chosen(file)]


def in_time(name: str, data: bytes) -> None:
    begin = time.thread_time()
    TARGETS[name](data)
    assert time.thread_time() - begin < MAX_SECONDS


@pytest.mark.parametrize("file", BROKEN, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_what_once_broke_a_target_does_so_no_more(file: Path) -> None:
    in_time(file.parent.name, file.read_bytes())


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_holds_for_its_corpus(name: str) -> None:
    for file in folder_of(name).iterdir():
        if chosen(file):
            in_time(name, file.read_bytes())


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_holds_for_its_seeds(name: str) -> None:
    seeds = list(TARGETS[name].seeds())

    assert seeds
    for seed in seeds:
        in_time(name, seed)


def test_each_corpus_is_that_of_a_target_and_small() -> None:
    assert {folder.name for folder in CORPUS.iterdir()} == set(TARGETS)
    for name in TARGETS:
        files = [file for file in folder_of(name).iterdir() if chosen(file)]
        assert 0 < len(files) <= MAX_FILES, name
        assert all(file.stat().st_size <= MAX_INPUT for file in folder_of(name).iterdir()), name
