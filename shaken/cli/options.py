"""What the commands that work on a service's own files have in common."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from shaken.backup import BackupError
from shaken.config import Config, ConfigError, load_config
from shaken.home import HomeError
from shaken.rotation import RotationError
from trust.keys import MasterKeyError
from trust.store.database import StoreError

PRIVATE_UMASK = 0o077
"""What the service writes is for its own user only."""

DEFAULT_CONFIG = Path("shaken.toml")

PROGRESS_SECONDS = 2.0
"""How often a long piece of work says how far it is."""

config_option = click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    help="Settings file; without it ./shaken.toml is read if it exists.",
)

data_dir_option = click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    default=Path("data"),
    show_default=True,
    help="Folder of the embedded database and the master key; `serve` makes it if missing.",
)


def read_config(
    file: Path | None, *, fit: Callable[[Config], Config] = lambda config: config
) -> Config:
    """Read the settings, from ./shaken.toml where no file is named. Raises ConfigError.

    `fit` is what is done with them before they are judged.
    """
    if file is None and DEFAULT_CONFIG.exists():
        file = DEFAULT_CONFIG
    return load_config(file, os.environ, fit=fit)


@contextmanager
def explained() -> Iterator[None]:
    """Write for the own user only, and end with one line when something cannot be done."""
    os.umask(PRIVATE_UMASK)
    try:
        yield
    except OSError as error:
        where = error.filename or "the data folder"
        raise click.ClickException(f"cannot use {where}: {error.strerror or error}") from error
    except (
        BackupError,
        ConfigError,
        HomeError,
        MasterKeyError,
        RotationError,
        StoreError,
    ) as error:
        raise click.ClickException(str(error)) from error


def progress(what: str) -> Callable[[int, int], None]:
    """Return what says on standard error how far work is, every few seconds."""
    said = time.monotonic()

    def tell(done: int, total: int) -> None:
        nonlocal said
        if time.monotonic() - said >= PROGRESS_SECONDS and total:
            said = time.monotonic()
            click.echo(f"{what}: {100 * done // total} %", file=sys.stderr)

    return tell
