"""A command of `shaken` that is killed at any moment after it has begun to work."""

import random
import subprocess
import sys
import time
from pathlib import Path

from tests.system.process import DEADLINE_SECONDS, environment

# Everything is imported before the command begins, so that no kill is wasted on that.
PROGRAM = """
import sys
import shaken.cli.backup, shaken.cli.keys
from shaken.cli import main
from trust.store import database, rotation

rotation.BATCH, database._COPY_PAGES = 10, 10
print("ready", flush=True)
sys.stdin.readline()
main(sys.argv[1:])
"""


class Command:
    """A command that waits to begin. `run` lets it end, `kill` does not."""

    def __init__(self, *arguments: str | Path, folder: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *map(str, arguments)],
            cwd=folder,
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n", self._process.communicate()

    def run(self) -> float:
        """Let it end, which must go well, and return how long it took."""
        began = time.monotonic()
        said = self._process.communicate("go\n", timeout=DEADLINE_SECONDS)
        assert self._process.returncode == 0, said
        return time.monotonic() - began

    def kill(self, *, within: float) -> bool:
        """Kill it at a random moment; say whether it was killed before its end."""
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        time.sleep(random.uniform(0, within))  # noqa: S311 - no secret
        self._process.kill()
        self._process.communicate()
        assert self._process.returncode in {0, -9}
        return self._process.returncode == -9
