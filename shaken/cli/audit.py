"""Administration of a running service: who changed what."""

from itertools import islice

import click

from shaken.cli.administration import Printer, client_options
from shaken.client import Client


@click.group()
def audit() -> None:
    """Audit of changes: who made them, when, from where."""


@audit.command("list")
@click.option("--actor", help="Only what this credential did; system: the service itself.")
@click.option("--action", help="Only this, as in certificate.import.")
@click.option("--subject", help="Only what was done to this id or name.")
@click.option("--since", help="RFC 3339 time, as in 2030-01-01T00:00:00Z.")
@click.option("--until", help="RFC 3339 time; what was done then is left out.")
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True)
@client_options
def list_audit(client: Client, printer: Printer, limit: int, **query: str | None) -> None:
    """List changes, the newest first. --json also shows what differs."""
    wanted = {name: value for name, value in query.items() if value is not None}
    columns = ("at", "actor", "peer", "action", "subject", "tenant")
    printer.records(islice(client.items("/api/v1/audit", wanted), limit), columns)
