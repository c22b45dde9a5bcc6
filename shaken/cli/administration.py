"""Administration of a running service: certificates, tenants, credentials."""

import base64
import json
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import click

from shaken.cli.connection import connection_options
from shaken.cli.lazy import LazyGroup
from shaken.cli.offline import READABLE, read_file
from shaken.cli.telling import telling
from shaken.client import Client, segment
from shaken.whole_files import write_over

P = ParamSpec("P")
R = TypeVar("R")


def client_options(command: Callable[P, R]) -> Callable[..., R]:
    """Add the options of a connection and `--json`."""

    @connection_options
    @click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
    @wraps(command)
    def wrapped(*args: Any, as_json: bool, **kwargs: Any) -> R:  # noqa: ANN401 - click's way
        return command(*args, printer=Printer(as_json=as_json), **kwargs)  # type: ignore[arg-type]

    return wrapped


class Printer:
    """Prints records, for a person or for a script."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json

    def records(self, items: Iterable[dict[str, Any]], columns: Sequence[str]) -> None:
        """Print a list: a table of some columns, or all as JSON."""
        found = list(items)
        if self._as_json:
            click.echo(json.dumps(found, indent=2))
            return
        rows = [columns, *([_shown(item.get(name)) for name in columns] for item in found)]
        widths = [max(len(row[index]) for row in rows) for index in range(len(columns))]
        for row in rows:
            padded = (text.ljust(width) for text, width in zip(row, widths, strict=True))
            click.echo("  ".join(padded).rstrip())

    def record(self, item: dict[str, Any]) -> None:
        """Print one record; for a person, texts of several lines stand below."""
        if self._as_json:
            click.echo(json.dumps(item, indent=2))
            return
        below = {name: text for name, text in item.items() if "\n" in str(text)}
        width = max(len(name) for name in item)
        for name, value in item.items():
            if name not in below:
                click.echo(f"{name.ljust(width)}  {_shown(value)}")
        for text in below.values():
            click.echo(text, nl=False)

    def done(self, what: str) -> None:
        """Say what was done where there is no record to print."""
        if not self._as_json:
            click.echo(what)


def _shown(value: object) -> str:
    if value is None or value == []:
        return "-"
    if isinstance(value, list):
        return ", ".join(_shown(each) for each in value)
    if isinstance(value, dict):
        told = {name: each for name, each in value.items() if each or type(each) is int}
        return " ".join(f"{name}={_shown(each)}" for name, each in told.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def given_settings(**values: object) -> dict[str, object]:
    """Keep what was given, with the API's names. A list given as one empty text is empty."""
    given: dict[str, object] = {}
    for name, value in values.items():
        if isinstance(value, tuple):
            if value:
                given[name] = [] if value == ("",) else list(value)
        elif value is not None:
            given[name] = value
    return given


_DOWNLOADS = {"pem": "pem", "der": "der", "pkcs7": "der?chain=true"}
"""Formats of a download, and where the API has them."""


@click.group(
    cls=LazyGroup,
    lazy={
        "renew": ("shaken.cli.acme", "renew"),
        "request": ("shaken.cli.requests", "request"),
        "requests": ("shaken.cli.requests", "requests"),
    },
)
def certificates() -> None:
    """Certificates that the service keeps."""


@certificates.command("list")
@click.option("--kind", type=click.Choice(["system", "domain", "sti"]))
@click.option("--tenant", help="Only those assigned to this tenant.")
@click.option("--name", help="Only those that name this address.")
@click.option("--expires-before", help="RFC 3339 time, as in 2030-01-01T00:00:00Z.")
@client_options
def list_certificates(client: Client, printer: Printer, **query: str | None) -> None:
    """List certificates."""
    wanted = {name: value for name, value in query.items() if value is not None}
    columns = ("id", "kind", "subject", "tenant", "not_after", "status")
    printer.records(client.items("/api/v1/certificates", wanted), columns)


@certificates.command("import")
@click.argument("certificate", type=READABLE)
@click.option(
    "--kind", type=click.Choice(["system", "domain", "sti"]), default="sti", show_default=True
)
@click.option("--pkcs12", is_flag=True, help="The file is PKCS#12 (.p12, .pfx).")
@click.option("--replace", is_flag=True, help="Take over a better chain, or the missing key.")
@click.option("--key", type=READABLE, help="PEM; left out: the key is in the same file.")
@click.option("--passphrase", envvar="SHAKEN_PASSPHRASE", help="Opens an encrypted key.")
@click.option("--tenant", help="Address of the tenant that signs with it.")
@click.option("--x5u", help="URL where verifiers find it; left out: this service's own.")
@client_options
def import_certificate(
    client: Client,
    printer: Printer,
    certificate: Path,
    kind: str,
    key: Path | None,
    *,
    pkcs12: bool,
    replace: bool,
    **settings: str | None,
) -> None:
    """Import a PEM file: leaf, intermediates and key, in any order; or a PKCS#12 file.

    A certificate that was asked for with `request` comes without its key, and finds it here.
    A domain certificate is assigned to the tenant it names; a system certificate may have
    wildcards and several names.
    """
    content = (
        {"pkcs12": base64.b64encode(certificate.read_bytes()).decode("ascii")}
        if pkcs12
        else {"certificate": read_file(certificate)}
    )
    body = given_settings(
        kind=kind, private_key=None if key is None else read_file(key), **content, **settings
    )
    query = "?replace=true" if replace else ""
    printer.record(client.call("POST", f"/api/v1/certificates{query}", body))


@certificates.command("show")
@click.argument("certificate_id", metavar="ID")
@click.option("--pem", is_flag=True, help="Print the chain instead.")
@client_options
def show_certificate(client: Client, printer: Printer, certificate_id: str, *, pem: bool) -> None:
    """Show one certificate."""
    path = f"/api/v1/certificates/{segment(certificate_id)}"
    record = client.call("GET", path)
    if pem:
        click.echo(client.fetch(f"{path}/pem"), nl=False)
    else:
        printer.record(record)


@certificates.command("download")
@click.argument("certificate_id", metavar="ID")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Left out: print.")
@click.option(
    "--format",
    "form",
    type=click.Choice(list(_DOWNLOADS)),
    default="pem",
    show_default=True,
    help="The chain in PEM, the leaf in DER, or the chain as PKCS#7.",
)
@client_options
def download_certificate(
    client: Client, printer: Printer, certificate_id: str, out: Path | None, form: str
) -> None:
    """Download a certificate with its intermediates, never its key."""
    path = f"/api/v1/certificates/{segment(certificate_id)}/{_DOWNLOADS[form]}"
    content = client.fetch(path)
    if out is None:
        click.echo(content, nl=False)
        return
    try:
        write_over(out, content)
    except OSError as error:
        raise click.ClickException(f"cannot write {out}: {error.strerror}") from error
    printer.done(f"wrote {out}")


@certificates.command("delete")
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@click.option("--force", is_flag=True, help="Also where a tenant or the system is left without.")
@client_options
def delete_certificates(
    client: Client, printer: Printer, ids: tuple[str, ...], *, force: bool
) -> None:
    """Delete certificates and their keys, all of them or none.

    For one that the service keeps renewed, another is ordered. If you want none, `shaken
    acme stop ORDER` first.
    """
    query, base = "?force=true" if force else "", "/api/v1/certificates"
    sources = {client.call("GET", f"{base}/{segment(each)}")["source"] for each in ids}
    client.call("POST", f"{base}/delete{query}", {"ids": list(ids)})
    anew = "; what the service keeps renewed is ordered anew" if "acme" in sources else ""
    printer.done(f"deleted {', '.join(ids)}{anew}")


@click.group()
def tenants() -> None:
    """Tenants, by their DNS addresses."""


_TENANT_SETTINGS = (
    click.option("--alias", "aliases", multiple=True, help="Another address; repeatable."),
    click.option(
        "--number",
        "numbers",
        multiple=True,
        help="+12155550100, +12155550200-+12155550299 or +1215777*; repeatable.",
    ),
    click.option("--fallback", type=click.Choice(["first", "none"])),
    click.option(
        "--managed/--not-managed",
        default=None,
        help="Obtain certificates for its addresses by ACME, and keep them renewed.",
    ),
)


def _tenant_settings(command: Callable[P, R]) -> Callable[P, R]:
    for option in reversed(_TENANT_SETTINGS):
        command = option(command)
    return command


@tenants.command("list")
@client_options
def list_tenants(client: Client, printer: Printer) -> None:
    """List tenants."""
    columns = ("address", "aliases", "numbers", "fallback", "managed")
    printer.records(client.items("/api/v1/tenants", {}), columns)


@tenants.command("create")
@click.argument("address")
@_tenant_settings
@client_options
def create_tenant(client: Client, printer: Printer, address: str, **settings: object) -> None:
    """Add a tenant."""
    body = given_settings(address=address, **settings)
    printer.record(client.call("POST", "/api/v1/tenants", body))


@tenants.command("show")
@click.argument("address")
@client_options
def show_tenant(client: Client, printer: Printer, address: str) -> None:
    """Show one tenant."""
    printer.record(client.call("GET", f"/api/v1/tenants/{segment(address)}"))


@tenants.command("update")
@click.argument("address")
@_tenant_settings
@client_options
def update_tenant(client: Client, printer: Printer, address: str, **settings: object) -> None:
    """Change some settings of a tenant.

    A list that is given replaces the old one; `--alias ""` and `--number ""` empty them.
    """
    path = f"/api/v1/tenants/{segment(address)}"
    printer.record(client.call("PUT", path, merged_settings(client.call("GET", path), settings)))


@tenants.command("delete")
@click.argument("address")
@client_options
def delete_tenant(client: Client, printer: Printer, address: str) -> None:
    """Delete a tenant that nothing belongs to any more."""
    client.call("DELETE", f"/api/v1/tenants/{segment(address)}")
    printer.done(f"deleted {address}")


@click.group()
def credentials() -> None:
    """Credentials: who may do what."""


@credentials.command("create")
@click.argument("name")
@click.option(
    "--role",
    required=True,
    type=click.Choice(["admin", "viewer", "signer", "verifier", "listener"]),
)
@click.option("--tenant", help="Bind it to this tenant.")
@click.option("--trunk", help="Bind it to this trunk, whose settings fill in requests.")
@click.option("--network", "networks", multiple=True, help="192.0.2.0/24; repeatable.")
@click.option(
    "--client-certificate",
    "certificate_file",
    type=READABLE,
    help="Bind it to the key of this client certificate (PEM), which clients show in TLS.",
)
@client_options
def create_credential(
    client: Client,
    printer: Printer,
    name: str,
    certificate_file: Path | None,
    **settings: object,
) -> None:
    """Make a credential. Its secret is printed, once: keep it."""
    certificate = None if certificate_file is None else read_file(certificate_file)
    body = given_settings(name=name, client_certificate=certificate, **settings)
    made = client.call("POST", "/api/v1/credentials", body)
    with telling(
        f"credential {name} was made, its secret is lost: `shaken credentials revoke {name}` and"
        " make another"
    ):
        printer.record(made)


@credentials.command("list")
@client_options
def list_credentials(client: Client, printer: Printer) -> None:
    """List credentials, without secrets."""
    columns = ("name", "role", "tenant", "trunk", "networks", "client_spki")
    printer.records(client.items("/api/v1/credentials", {}), columns)


@credentials.command("revoke")
@click.argument("name")
@client_options
def revoke_credential(client: Client, printer: Printer, name: str) -> None:
    """Revoke a credential; it works nowhere any more within a second."""
    client.call("DELETE", f"/api/v1/credentials/{segment(name)}")
    printer.done(f"revoked {name}")


def merged_settings(record: dict[str, Any], settings: dict[str, object]) -> dict[str, object]:
    """Lay the settings that were given over a record; its name stands in the path."""
    kept = {name: record[name] for name in record if name not in {"name", "address"}}
    return {**kept, **given_settings(**settings)}
