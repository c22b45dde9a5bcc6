"""`shaken deploy`: what a TLS listener presents, in the files it reads."""

import grp
import os
import signal
import sys
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

import click

from shaken.cli.connection import connection_options
from shaken.client import Client
from shaken.deploy.agent import Agent, DeployError, Target
from shaken.deploy.command import Command
from shaken.deploy.files import Place
from shaken.deploy.following import Following
from shaken.deploy.offer import Offer, OfferError, Source
from trust.names import DnsNameError, dns_name

PLACEHOLDER = "{name}"
"""Stands for the server name in paths."""

COMMAND_SECONDS = 60
"""How long a check or a reload may take, unless more is allowed."""


class ServerName(click.ParamType[str]):
    """A DNS name, in its one spelling."""

    name = "NAME"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Read it, or end with what is wrong."""
        try:
            return dns_name(value)
        except DnsNameError as error:
            self.fail(f"{error}; give the name that clients ask for", param, ctx)


class Mode(click.ParamType[int]):
    """A mode of files that hold a key, in octal."""

    name = "MODE"

    def convert(
        self, value: str | int, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Read it, or end with what is wrong."""
        try:
            mode = int(str(value), 8)
        except ValueError:
            mode = 0
        if mode & 0o400 and not mode & ~0o660:
            return mode
        return self.fail("0600 and 0640 are usual; nobody else may read a key", param, ctx)


class Group(click.ParamType[int]):
    """A group of this host, as its number."""

    name = "GROUP"

    def convert(
        self, value: str | int, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Find it, or end with what is wrong."""
        try:
            return grp.getgrnam(str(value)).gr_gid
        except KeyError:
            self.fail(f"this host has no group {value!a}", param, ctx)


@click.command()
@click.option(
    "--server-name",
    "names",
    type=ServerName(),
    required=True,
    multiple=True,
    help="Name that clients ask for; repeatable, then {name} stands for it in FILE.",
)
@click.option("--out", required=True, metavar="FILE", help="The chain; without --key also the key.")
@click.option("--key", metavar="FILE", help="The key, in a file of its own.")
@click.option("--check", metavar="COMMAND", help="If it fails, the old files are put back.")
@click.option("--reload", metavar="COMMAND", help="Makes the listener read files that changed.")
@click.option("--watch", is_flag=True, help="Stay, and follow each change.")
@click.option("--mode", type=Mode(), help="Of the files; left out: as they are, new ones 0600.")
@click.option("--group", type=Group(), help="Of the files; left out: as they are.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=1, max=3600),
    default=COMMAND_SECONDS,
    show_default=True,
    help="Seconds that --check and --reload may take each.",
)
@connection_options
def deploy(
    client: Client,
    names: tuple[str, ...],
    out: str,
    key: str | None,
    check: str | None,
    reload: str | None,
    mode: int | None,
    group: int | None,
    timeout: float,
    *,
    watch: bool,
) -> None:
    """Write the certificate and key that a TLS listener presents, and have them read.

    For a listener's host; the secret is that of a credential of role listener. Files are replaced
    whole, only when they differ, and a chain never stands beside another's key. COMMAND is split
    into words as a shell does it, but run without one.
    """
    _check_transport(client)
    targets = [
        Target(
            name, Place(_path(out, name), None if key is None else _path(key, name), mode, group)
        )
        for name in dict.fromkeys(names)
    ]
    files = [name for target in targets for name in target.place.names]
    if len(set(files)) < len(files):
        raise click.UsageError(
            f"Each needs a file of its own: write {PLACEHOLDER} into --out and --key, which stands"
            " for the server name, and no path twice."
        )
    agent = Agent(
        targets=targets,
        check=_command("--check", check, timeout),
        reload=_command("--reload", reload, timeout),
        environment=os.environ,
        say=_say,
    )
    if watch:
        _follow(Source(client), agent)
    else:
        _deploy_once(Source(client), agent)


def _deploy_once(source: Source, agent: Agent) -> None:
    """Deploy what is offered for as many names as possible; end with 1 unless for all."""
    offers: dict[Target, Offer] = {}
    failed = False
    for target in agent.targets:
        try:
            news = source.ask(target.name)
        except OfferError as error:
            _complain(f"{target.name}: {error}" if len(agent.targets) > 1 else str(error))
            failed = True
        else:
            offers.update({} if news is None else {target: news.offer})
    agent.warn(offers)
    try:
        changed = agent.deploy(offers)
    except DeployError as error:
        raise click.ClickException(str(error)) from error
    for target, offer in offers.items():
        if target not in changed:
            _say(f"{target.name}: {target.place.out} is up to date: {offer.described()}")
    if failed:
        sys.exit(1)


def _follow(source: Source, agent: Agent) -> None:
    following = Following(source, agent, complain=_complain)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: following.end())
    _say(f"following {', '.join(target.name for target in agent.targets)}")
    following.run()
    _say("ended")


def _check_transport(client: Client) -> None:
    """Refuse to show a secret, and to ask for a key, where others can read along."""
    try:
        parts = urlsplit(client.url)
        host = parts.hostname or ""
        usable = host and parts.scheme in {"http", "https"}
    except ValueError:
        usable = False
    if not usable:
        raise click.UsageError(f"{client.url!a} is no URL of a service, as in https://host:8443")
    try:
        local = ip_address(host).is_loopback
    except ValueError:
        local = host == "localhost"
    if parts.scheme == "http" and not local:
        raise click.UsageError(
            f"Keys do not travel over plain HTTP: write https://{host} (and --ca FILE where its"
            " certificate is from an authority of your own)."
        )


def _path(template: str, name: str) -> Path:
    # Not resolved: what a link led to stays, the link itself is replaced.
    return Path(template.replace(PLACEHOLDER, name)).absolute()


def _command(option: str, text: str | None, seconds: float) -> Command | None:
    try:
        return None if text is None else Command.parse(text, seconds=seconds)
    except ValueError as error:
        raise click.UsageError(f"{option}: {error}.") from error


def _say(line: str) -> None:
    click.echo(line)


def _complain(line: str) -> None:
    click.echo(f"Error: {line}", err=True)
