"""The start: what several services make at the same time, and what an error of the store means."""

import multiprocessing
from pathlib import Path

import pytest

from shaken.config import Config
from shaken.service import not_started, prepare
from trust.store.database import Database, StoreError
from trust.store.failure import Failure
from trust.store.master_key import is_bound


@pytest.mark.parametrize(
    ("failure", "is_passing", "hint"),
    [
        (Failure.BUSY, True, "another program holds it"),
        (Failure.FULL, True, "make room"),
        (Failure.INPUT_OUTPUT, True, "disk"),
        (Failure.DAMAGED, False, "shaken restore"),
        (None, False, "--data-dir"),
    ],
)
def test_an_error_of_the_store_says_what_to_do_and_whether_it_may_pass(
    failure: Failure | None, hint: str, *, is_passing: bool
) -> None:
    told = not_started(StoreError("it failed", failure=failure))

    assert told.is_passing == is_passing
    assert hint in str(told)


def test_services_that_start_together_on_a_new_folder_all_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    processes = multiprocessing.get_context("fork")
    together = processes.Barrier(2)

    def is_bound_for_both(database: Database) -> bool:
        answer = is_bound(database)
        together.wait(20)
        return answer

    monkeypatch.setattr("shaken.service.master_key.is_bound", is_bound_for_both)
    both = [processes.Process(target=prepare, args=(Config(), tmp_path)) for _ in range(2)]

    for each in both:
        each.start()
    for each in both:
        each.join(60)

    assert [each.exitcode for each in both] == [0, 0]


def test_a_new_database_beside_a_master_key_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    prepare(Config(), tmp_path)
    prepare(Config(), tmp_path)
    assert "the database is new" not in caplog.text
    for file in tmp_path.glob("shaken.sqlite*"):
        file.unlink()

    prepare(Config(), tmp_path)

    (said,) = [each for each in caplog.records if "the database is new" in each.message]
    assert said.levelname == "ERROR"
    assert f"move {tmp_path / 'master.key'} away" in said.message
