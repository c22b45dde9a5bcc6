"""`make fuzz`: looks for inputs that break what reads strangers' bytes, for a bounded time.

Each target of the table runs in a process of its own, guided by coverage, from its seeds and its
corpus. What breaks it is saved in the corpus, where each test run meets it from then on.
"""

import importlib.util
import re
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha1
from pathlib import Path

import click

from tests.fuzz.target import MAX_FILES, MAX_INPUT, MAX_SECONDS, chosen, folder_of, warn_as_tests_do
from tests.fuzz.targets import TARGETS

MAX_MEGABYTES = 1024
"""Memory of a process that fuzzes; the largest target takes a fifth."""

SHOWN_EVERY = 5
"""Seconds between two lines about a target."""

SHOWN_LINES = 60
"""Lines of a failed process's last words."""

_PROGRESS = re.compile(r"#(?P<runs>\d+)\s.*\bcov: (?P<coverage>\d+) ft: .*corp: (?P<corpus>\d+)/")
_NOISE = re.compile(r"(INFO|WARNING): |#\d+\s")


@dataclass(frozen=True)
class Progress:
    """How far a target came: inputs tried, branches reached, inputs that reach them."""

    runs: int
    coverage: int
    corpus: int

    def __str__(self) -> str:
        return f"{self.runs:>10,} runs   coverage {self.coverage:>5,}   corpus {self.corpus:>4}"


def progress_of(line: str) -> Progress | None:
    """Read a line of libFuzzer's; None: it is about something else."""
    found = _PROGRESS.match(line)
    return None if found is None else Progress(*map(int, found.group("runs", "coverage", "corpus")))


@click.command(
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=f"Targets: {', '.join(TARGETS)}.",
)
@click.argument("names", metavar="[TARGET]...", nargs=-1)
@click.option(
    "--seconds", type=click.IntRange(1), default=20, show_default=True, help="Time of each target."
)
@click.option("--keep", is_flag=True, help="Keep in the corpus what reached new code.")
def main(names: tuple[str, ...], *, seconds: int, keep: bool) -> None:
    """Fuzz the targets, all of them if none is named, one after the other."""
    if importlib.util.find_spec("atheris") is None:
        raise click.ClickException(
            "fuzzing needs Atheris, which there is for Linux with Python 3.11 to 3.13;"
            ' everywhere else `make test ARGS="tests/fuzz"` replays what was found'
        )
    warn_as_tests_do()
    if unknown := set(names) - TARGETS.keys():
        raise click.ClickException(
            f"no target {', '.join(unknown)}; there are {', '.join(TARGETS)}"
        )
    broken = [name for name in names or TARGETS if not fuzz(name, seconds=seconds, keep=keep)]
    if broken:
        raise click.ClickException(f"broken: {', '.join(broken)}")


def fuzz(name: str, *, seconds: int, keep: bool) -> bool:
    """Run one target; say whether it held."""
    folder = folder_of(name)
    folder.mkdir(parents=True, exist_ok=True)
    before = set(folder.iterdir())
    with tempfile.TemporaryDirectory() as scratch:
        found, seeds = Path(scratch, "found"), Path(scratch, "seeds")
        found.mkdir()
        _write(seeds, TARGETS[name].seeds())
        flags = (f"-max_total_time={seconds}", f"-artifact_prefix={folder}/")
        held = _run(name, [*flags, *map(str, (found, folder, seeds))])
        for input_ in sorted(set(folder.iterdir()) - before):
            shown = input_.relative_to(Path.cwd()) if input_.is_relative_to(Path.cwd()) else input_
            click.echo(f"{name}: broken by {shown}; see it again with")
            click.echo(f'    make test ARGS="tests/fuzz -k {input_.name}"')
        if held and keep:
            _keep(name, found, seeds, Path(scratch, "kept"))
    return held


def _run(name: str, flags: Iterable[str]) -> bool:
    """Run the engine, and show how it goes; say whether it ended well."""
    started = shown = time.monotonic()
    last: Progress | None = None
    words: deque[str] = deque(maxlen=SHOWN_LINES)
    with subprocess.Popen(
        _engine(name, flags),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            last = progress_of(line) or last
            if not _NOISE.match(line):
                words.append(line)
            if last is not None and time.monotonic() - shown >= SHOWN_EVERY:
                shown = time.monotonic()
                click.echo(_line(name, last, shown - started))
    if process.returncode != 0:
        click.echo("".join(words))
    if last is not None:
        click.echo(_line(name, last, time.monotonic() - started) + "   done")
    return process.returncode == 0


def _line(name: str, progress: Progress, seconds: float) -> str:
    return f"{name:<22}{progress}   {seconds:4.0f} s"


def _engine(name: str, flags: Iterable[str]) -> list[str]:
    limits = (
        f"-max_len={MAX_INPUT}",
        f"-timeout={MAX_SECONDS}",
        f"-rss_limit_mb={MAX_MEGABYTES}",
    )
    return [sys.executable, "-m", "tests.fuzz.engine", name, *limits, *flags]


def _keep(name: str, found: Path, seeds: Path, kept: Path) -> None:
    """Choose anew which inputs the corpus needs beside the seeds and what was put there by name."""
    folder = folder_of(name)
    chosen_before = [file for file in folder.iterdir() if chosen(file)]
    _write(seeds, (file.read_bytes() for file in folder.iterdir() if not chosen(file)))
    kept.mkdir()
    _write(kept, (file.read_bytes() for file in chosen_before))
    at_hand = {file.name for file in seeds.iterdir()}
    merge = subprocess.run(
        _engine(name, ["-merge=1", *map(str, (seeds, kept, found))]),
        capture_output=True,
        check=False,
    )
    if merge.returncode != 0:
        raise click.ClickException(f"{name}: the corpus cannot be merged: {merge.stderr[-500:]!a}")
    new = [file for file in seeds.iterdir() if file.name not in at_hand]
    smallest = sorted(new, key=lambda file: file.stat().st_size)[:MAX_FILES]
    for file in chosen_before:
        file.unlink()
    _write(folder, (file.read_bytes() for file in smallest))
    click.echo(f"{name}: kept {len(smallest)} of {len(new)} inputs that reach something")


def _write(folder: Path, inputs: Iterable[bytes]) -> None:
    folder.mkdir(exist_ok=True)
    for content in inputs:
        (folder / sha1(content, usedforsecurity=False).hexdigest()).write_bytes(content)


if __name__ == "__main__":
    main()
