"""Administration of a running service: which calls were signed and verified."""

from itertools import islice

import click

from shaken.cli.administration import Printer, client_options
from shaken.client import Client


@click.group()
def calls() -> None:
    """Signed and verified calls on record."""


@calls.command("list")
@click.option("--number", help="Only from or to this number, as in +12155550100.")
@click.option("--kind", type=click.Choice(["signed", "verified"]))
@click.option(
    "--verstat",
    type=click.Choice(["TN-Validation-Passed", "TN-Validation-Failed", "No-TN-Validation"]),
)
@click.option("--code", type=click.IntRange(100, 699), help="Only with this SIP code, as in 438.")
@click.option("--tenant", help="Only this tenant's.")
@click.option("--certificate", help="Only with this one: the id of our own, another's URL.")
@click.option("--since", help="RFC 3339 time, as in 2030-01-01T00:00:00Z.")
@click.option("--until", help="RFC 3339 time; calls of then are left out.")
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True)
@client_options
def list_calls(client: Client, printer: Printer, limit: int, **query: str | int | None) -> None:
    """List calls, the newest first. --json also shows who asked, and the verdict's reason."""
    wanted = {name: str(value) for name, value in query.items() if value is not None}
    columns = ("at", "kind", "tenant", "orig", "dest", "attest", "verstat", "code", "certificate")
    printer.records(islice(client.items("/api/v1/calls", wanted), limit), columns)
