"""The host of a listener, on which the agent runs, and what a person sees of a run."""

import stat
from datetime import UTC, datetime
from pathlib import Path

from click.testing import CliRunner, Result

from shaken.cli import main
from tests.shaken.deploy.listener_service import ListenerService

NAME = "pbx.example.com"
MOMENT = datetime.now(UTC)
SECRET = "shk_x"


class Host:
    """A listener's host: a folder for its files, and the agent."""

    def __init__(self, folder: Path, service: ListenerService) -> None:
        self.folder = folder
        self.service = service
        self.out, self.key = folder / "pbx.pem", folder / "pbx.key"
        self.log = folder / "log"
        self.log.touch()

    def deploy(self, *options: str | Path, name: str = NAME, secret: str = SECRET) -> Result:
        words = ["deploy", "--server-name", name, "--url", self.service.url, *map(str, options)]
        return CliRunner().invoke(main, words, env={"SHAKEN_TOKEN": secret})

    def script(self, name: str, text: str) -> str:
        """Make a command that adds its name to the log, then runs a shell script."""
        file = self.folder / f"{name}.sh"
        file.write_text(f"echo {name} >> {self.log}\n{text}\n")
        return f"sh {file}"

    def ran(self) -> list[str]:
        """List which commands have run."""
        return self.log.read_text().split()

    def left(self) -> set[str]:
        """List what is in the folder beside the files and what the test made."""
        return {
            each.name
            for each in self.folder.iterdir()
            if each not in {self.out, self.key, self.log} and each.suffix != ".sh"
        }


def mode(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


def complaint(run: Result) -> str:
    """Return the one line of a run that failed."""
    assert run.exit_code == 1, run.output
    (line,) = run.stderr.splitlines()
    assert line.startswith("Error: ")
    return line.removeprefix("Error: ")


def complaint_after_output(run: Result) -> str:
    """Return the one line on standard error of a run that also did something."""
    assert run.exit_code == 1, run.output
    (line,) = run.stderr.splitlines()
    return line
