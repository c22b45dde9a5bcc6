"""Administration of a running service: trusted roots."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar
from urllib.parse import urlencode

import click

from shaken.cli.administration import Printer, client_options
from shaken.cli.offline import READABLE, read_file
from shaken.client import Client, segment

P = ParamSpec("P")
R = TypeVar("R")

_PURPOSES = click.Choice(["tls", "sti"])


def _which_root(command: Callable[P, R]) -> Callable[P, R]:
    """Add what names one root."""
    command = click.option(
        "--purpose", type=_PURPOSES, help="Needed for a root that is there for both."
    )(command)
    return click.argument("root_id", metavar="ID")(command)


@click.group()
def roots() -> None:
    """Trusted roots: for TLS servers, and for certificates that sign calls."""


@roots.command("list")
@click.option("--purpose", type=_PURPOSES, help="Only those trusted for this.")
@client_options
def list_roots(client: Client, printer: Printer, purpose: str | None) -> None:
    """List trusted roots."""
    columns = ("id", "purpose", "subject", "not_after", "status", "shipped", "added", "disabled")
    wanted = {} if purpose is None else {"purpose": purpose}
    printer.records(client.items("/api/v1/roots", wanted), columns)


@roots.command("add")
@click.argument("certificate", type=READABLE)
@click.option("--purpose", type=_PURPOSES, required=True, help="What it is trusted for.")
@client_options
def add_root(client: Client, printer: Printer, certificate: Path, purpose: str) -> None:
    """Trust the authority whose certificate a PEM file holds."""
    body = {"purpose": purpose, "certificate": read_file(certificate)}
    printer.record(client.call("POST", "/api/v1/roots", body))


@roots.command("show")
@_which_root
@client_options
def show_root(client: Client, printer: Printer, root_id: str, purpose: str | None) -> None:
    """Show one root."""
    printer.record(client.call("GET", _path(root_id, purpose)))


@roots.command("disable")
@_which_root
@client_options
def disable_root(client: Client, printer: Printer, root_id: str, purpose: str | None) -> None:
    """Trust a root no more, and keep it in the list."""
    printer.record(client.call("PUT", _path(root_id, purpose), {"disabled": True}))


@roots.command("enable")
@_which_root
@client_options
def enable_root(client: Client, printer: Printer, root_id: str, purpose: str | None) -> None:
    """Trust a disabled root again."""
    printer.record(client.call("PUT", _path(root_id, purpose), {"disabled": False}))


@roots.command("delete")
@_which_root
@client_options
def delete_root(client: Client, printer: Printer, root_id: str, purpose: str | None) -> None:
    """Delete a root; one that is shipped stays deleted until a reset."""
    client.call("DELETE", _path(root_id, purpose))
    printer.done(f"deleted {root_id}")


@roots.command("reset")
@click.option("--purpose", type=_PURPOSES, required=True, help="Which list.")
@click.option("--remove-added", is_flag=True, help="Also remove the roots that admins added.")
@client_options
def reset_roots(client: Client, printer: Printer, purpose: str, *, remove_added: bool) -> None:
    """Restore the list to what is shipped, and print what that changed.

    Deleted roots come back, disabled ones are enabled.
    """
    body = {"purpose": purpose, "keep_added": not remove_added}
    changed: dict[str, list[dict[str, Any]]] = client.call("POST", "/api/v1/roots/reset", body)
    items = ({"change": what, **root} for what, found in changed.items() for root in found)
    printer.records(items, ("change", "id", "subject"))


def _path(root_id: str, purpose: str | None) -> str:
    query = "" if purpose is None else f"?{urlencode({'purpose': purpose})}"
    return f"/api/v1/roots/{segment(root_id)}{query}"
