"""`shaken backup` and `shaken restore`: the database in one file, and back."""

import time
from pathlib import Path

import click

from shaken.backup import Contents, back_up
from shaken.backup import restore as restore_backup
from shaken.cli.options import config_option, data_dir_option, explained, progress, read_config
from shaken.home import Home

_FILE = click.Path(path_type=Path)


@click.command()
@click.argument("file", type=_FILE)
@config_option
@data_dir_option
@click.option("--force", is_flag=True, help="Overwrite a backup of the same name.")
def backup(
    file: Path,
    config_file: Path | None,
    data_dir: Path,
    force: bool,  # noqa: FBT001 - click's way
) -> None:
    """Copy the database to FILE while the service runs.

    Private keys are in it in encrypted form only. The master key that opens them is not: keep it
    in another place.
    """
    with explained():
        home = Home(read_config(config_file), data_dir)
        made = back_up(home, file, overwrite=force, tell=progress("copied"))
    click.echo(f"{file} is whole: {_told(made.contents)}")
    keys = made.contents.keys
    which = f" {' and '.join(keys)}" if keys else ""
    click.echo(f"the master key{which} is NOT in it: keep a copy of {home.key_place} elsewhere")
    if len(keys) > 1:
        click.echo("it needs both keys: a rotation is under way; back up again when it is done")
    if not made.opens:
        click.echo("warning: the master key at hand does not open all of its keys", err=True)


@click.command()
@click.argument("file", type=_FILE)
@config_option
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder for the database; empty but for the master key, or made if missing.",
)
@click.option(
    "--force",
    is_flag=True,
    help="Also into a folder that is not empty (its database is kept under another name), and"
    " though some keys need a master key that is lost.",
)
def restore(
    file: Path,
    config_file: Path | None,
    data_dir: Path,
    force: bool,  # noqa: FBT001 - click's way
) -> None:
    """Put the backup FILE into a data folder that no service uses.

    Put the master key there first: a backup that it does not open is refused.
    """
    with explained():
        home = Home(read_config(config_file), data_dir)
        tell = progress("restored")
        done = restore_backup(home, file, force=force, now=int(time.time()), tell=tell)
    if done.kept is not None:
        click.echo(f"the database before it is kept as {done.kept}")
    click.echo(f"restored: {_told(done.contents)}")
    click.echo(f"start the service with --data-dir {data_dir}")


def _told(contents: Contents) -> str:
    size = contents.size / 1_000_000
    count = contents.certificates
    certificates = "1 certificate" if count == 1 else f"{count} certificates"
    return f"{certificates}, revision {contents.revision}, {size:.1f} MB"
