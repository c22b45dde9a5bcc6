"""`shaken keys`: the master key, shown by its id and exchanged while the service runs."""

from collections.abc import Sequence
from pathlib import Path

import click

from shaken import rotation
from shaken.cli.options import config_option, data_dir_option, explained, progress, read_config
from shaken.cli.telling import telling
from shaken.home import Home
from trust.keys import MasterKey


@click.group()
def keys() -> None:
    """Show and change the master key that seals all private keys.

    Keys are named by their ids; the keys themselves are never shown.
    """


@keys.command()
@config_option
@data_dir_option
def show(config_file: Path | None, data_dir: Path) -> None:
    """Show which master keys are at hand, and which the database needs."""
    with explained():
        home = Home(read_config(config_file), data_dir)
        state = rotation.look(home)
    at_hand = {key.id for key in state.keys}
    missing = "" if state.bound_to in at_hand else ", not at hand"
    click.echo(f"at hand   {_ids(state.keys)}")
    click.echo(f"in use    {state.bound_to or 'a key without a name'}{missing}")
    for name, count in sorted(state.named.items(), key=str):
        click.echo(f"private keys sealed with {name or 'a key that they do not name'}: {count}")


@keys.command()
@config_option
@data_dir_option
def begin(config_file: Path | None, data_dir: Path) -> None:
    """Put a new key into the master key file, where nothing needs it yet.

    Only for several services that share a database: copy the file to each of them, then run
    `shaken keys rotate` on one, then `shaken keys finish` on each.
    """
    with explained():
        home = Home(read_config(config_file), data_dir)
        current, *former = rotation.begin(home)
    click.echo(f"{home.key_place} holds {current.id}, which is new, and {_ids(former)}")
    click.echo("copy it to each service of this database, then run `shaken keys rotate` on one")


@keys.command()
@config_option
@data_dir_option
@click.option(
    "--keep-old", is_flag=True, help="Leave the former key in its file until `shaken keys finish`."
)
def rotate(
    config_file: Path | None,
    data_dir: Path,
    keep_old: bool,  # noqa: FBT001 - click's way
) -> None:
    """Change the master key while the service runs.

    When it was killed, run it again: it goes on. Private keys stay what they are, sealed anew.
    """
    with explained():
        home = Home(read_config(config_file), data_dir)
        done = rotation.rotate(home, keep_old=keep_old, tell=progress("sealed anew"))
    if done.ended_earlier:
        otherwise = "an earlier rotation is complete now, and no other was made"
    else:
        otherwise = "the rotation is complete; do not repeat it"
    with telling(otherwise):
        _tell_rotation(home, done)


def _tell_rotation(home: Home, done: rotation.Rotated) -> None:
    if done.ended_earlier:
        click.echo(
            f"an earlier rotation to {done.current.id} was complete but for its last step, which"
            " is done now: there is no other master key than before"
        )
    else:
        click.echo(
            f"{done.current.id} is the master key now; private keys sealed anew: {done.resealed}"
        )
    if home.config.keys.former_master_key:
        _tell_setting()
    elif done.kept:
        click.echo(f"{home.key_place} still holds {_ids(done.former)} until `shaken keys finish`")
    _tell_copies(home, done.former)
    if done.ended_earlier:
        click.echo("for another master key, run this again")


@keys.command()
@config_option
@data_dir_option
def finish(config_file: Path | None, data_dir: Path) -> None:
    """Take the former key out of the master key file, once nothing needs it."""
    with explained():
        home = Home(read_config(config_file), data_dir)
        former = rotation.finish(home)
    if not former:
        click.echo("there is no former key: nothing to finish")
    elif home.config.keys.former_master_key:
        _tell_setting()
    else:
        click.echo(f"{home.key_place} does not hold {_ids(former)} any more")


def _tell_setting() -> None:
    click.echo(
        "nothing needs [keys] former_master_key (SHAKEN_KEYS__FORMER_MASTER_KEY) any more:"
        " take it out before the next start"
    )


def _tell_copies(home: Home, former: Sequence[MasterKey]) -> None:
    click.echo(f"keep a new copy of {home.key_place} where secrets are kept")
    click.echo(f"make a new backup: those from before open only with a copy of {_ids(former)}")


def _ids(found: Sequence[MasterKey]) -> str:
    return ", ".join(key.id for key in found)
