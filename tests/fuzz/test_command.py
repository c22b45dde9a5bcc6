"""The command behind `make fuzz`, as far as it goes without Atheris."""

import importlib.util

import pytest
from click.testing import CliRunner

from tests.fuzz.__main__ import Progress, main, progress_of
from tests.fuzz.targets import TARGETS

PULSE = "#262144	pulse  cov: 25 ft: 109 corp: 12/477b lim: 2314 exec/s: 87381 rss: 101Mb"


def test_a_line_of_the_engine_says_how_far_it_is() -> None:
    assert progress_of(PULSE) == Progress(runs=262144, coverage=25, corpus=12)
    assert str(progress_of(PULSE)).split() == ["262,144", "runs", "coverage", "25", "corpus", "12"]


@pytest.mark.parametrize("line", ["", "INFO: Seed: 1", "#2	INITED exec/s: 0 rss: 39Mb"])
def test_other_lines_say_nothing_of_it(line: str) -> None:
    assert progress_of(line) is None


def test_help_names_the_targets() -> None:
    said = CliRunner().invoke(main, ["--help"], max_content_width=10_000).output

    assert all(name in said for name in TARGETS)


def test_an_unknown_target_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: object())

    result = CliRunner().invoke(main, ["sdp"])

    assert result.exit_code == 1
    assert "no target sdp; there are identity, uri," in result.output


def test_a_platform_without_atheris_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)

    result = CliRunner().invoke(main, [])

    assert result.exit_code == 1
    assert "Linux with Python 3.11 to 3.13" in result.output
    assert 'make test ARGS="tests/fuzz"' in result.output
