"""Administration of a running service: certificate requests, whose keys stay in the service."""

from pathlib import Path
from typing import Any

import click

from shaken.cli.administration import Printer, client_options
from shaken.client import Client, segment
from shaken.whole_files import write_new

_BASE = "/api/v1/certificates/requests"
_KINDS = click.Choice(["system", "domain", "sti"])


@click.command("request")
@click.option("--kind", type=_KINDS, default="sti", show_default=True)
@click.option("--name", "names", multiple=True, help="Host name (system, domain); repeatable.")
@click.option("--spc", help="Service provider code (sti).")
@click.option(
    "--tn",
    "tns",
    multiple=True,
    help="+12155550100 or +12155550200-+12155550299 (sti); repeatable.",
)
@click.option("--tenant", help="Address of the tenant that the certificate is for.")
@click.option(
    "--key-type",
    type=click.Choice(["p-256", "p-384", "rsa-2048", "rsa-3072", "rsa-4096"]),
    help="Left out: p-256, which STI certificates need.",
)
@click.option("--organization", help="Organization in the subject.")
@click.option("--country", help="Country in the subject, as in US.")
@click.option("--out", type=click.Path(path_type=Path), help="Write the request to this new file.")
@client_options
def request(client: Client, printer: Printer, out: Path | None, **settings: Any) -> None:  # noqa: ANN401 - click's way
    """Make a key, which stays in the service, and the request (CSR) that goes to the CA.

    Import what the CA returns without a key: it finds its own.
    """
    if out is not None and out.exists():
        raise click.UsageError(f"--out: {out} exists and is not overwritten")
    record = client.call("POST", _BASE, {name: text for name, text in settings.items() if text})
    if out is None:
        printer.record(record)
        return
    try:
        write_new(out, record["csr"].encode("ascii"))
    except OSError as error:
        raise click.ClickException(
            f"the request {record['id']} is made, but cannot be written to {out}:"
            f" {error.strerror}; `shaken certificates requests show ID --csr` prints it"
        ) from error
    printer.record({name: shown for name, shown in record.items() if name != "csr"})


@click.group()
def requests() -> None:
    """Look at requests that wait for their certificates, or delete them."""


@requests.command("list")
@click.option("--kind", type=_KINDS)
@click.option("--tenant", help="Only this tenant's.")
@client_options
def list_requests(client: Client, printer: Printer, **wanted: str | None) -> None:
    """List requests."""
    columns = ("id", "kind", "subject", "names", "tenant", "key_type", "created_at")
    query = {name: text for name, text in wanted.items() if text is not None}
    printer.records(client.items(_BASE, query), columns)


@requests.command("show")
@click.argument("request_id", metavar="ID")
@click.option("--csr", is_flag=True, help="Print the request for the CA alone.")
@client_options
def show_request(client: Client, printer: Printer, request_id: str, *, csr: bool) -> None:
    """Show one request."""
    record = client.call("GET", f"{_BASE}/{segment(request_id)}")
    if csr:
        click.echo(record["csr"], nl=False)
    else:
        printer.record(record)


@requests.command("delete")
@click.argument("request_id", metavar="ID")
@client_options
def delete_request(client: Client, printer: Printer, request_id: str) -> None:
    """Delete a request and destroy its key: a certificate for it can be used no more."""
    client.call("DELETE", f"{_BASE}/{segment(request_id)}")
    printer.done(f"deleted {request_id}; its private key is destroyed")
