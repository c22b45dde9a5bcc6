"""Administration of a running service: certificates that it obtains and renews by itself."""

import json
import time
from pathlib import Path
from typing import Any

import click

from shaken.cli.administration import Printer, client_options
from shaken.cli.offline import READABLE, read_file
from shaken.client import Client, ClientError, segment
from trust.acme.settings import SettingsError, directory_url

_SETTINGS = "/api/v1/acme/settings"
_ACCOUNT = "/api/v1/acme/account"
_ORDERS = "/api/v1/acme/orders"

LOOK_SECONDS = 1.0
"""How often it is looked how far something is that is waited for."""

_OF_ONE_AUTHORITY = frozenset({"terms_agreed", "profile", "preferred_chain"})
"""Settings that mean nothing to another authority."""

_CLEARED: dict[str, tuple[str, Any]] = {
    "contact": ("contact", []),
    "dns-names": ("dns_names", []),
    "dns": ("dns", None),
    "eab": ("eab", None),
    "preferred-chain": ("preferred_chain", None),
    "profile": ("profile", None),
}
"""What `--unset` may name, and what is sent then."""

_COLUMNS = ("id", "names", "state", "not_after", "next_try", "words")


@click.group()
def acme() -> None:
    """Certificates from Let's Encrypt or another ACME authority, which renew themselves."""


@acme.group()
def settings() -> None:
    """Which authority certificates come from, and how names are proven to it."""


@settings.command("show")
@client_options
def show_settings(client: Client, printer: Printer) -> None:
    """Show the settings, without secrets."""
    printer.record(client.call("GET", _SETTINGS))


@settings.command("set")
@click.option("--directory", help="letsencrypt, letsencrypt-staging, or a directory's https URL.")
@click.option("--contact", multiple=True, help="Mail address for the authority; repeatable.")
@click.option(
    "--agree-terms/--no-agree-terms",
    "terms_agreed",
    default=None,
    help="Agree to the authority's terms of service.",
)
@click.option("--eab-kid", help="Key identifier of an external account, where one is needed.")
@click.option("--eab-key-file", type=READABLE, help="File with the MAC key of that account.")
@click.option(
    "--key-type", type=click.Choice(["p-256", "p-384", "rsa-2048", "rsa-4096"]), help="Of new keys."
)
@click.option("--preferred-chain", help="Common name of the issuer at the end of the chain.")
@click.option("--profile", help="Profile of certificates, where the authority has several.")
@click.option("--key-reuse/--new-keys", default=None, help="Whether renewals keep the key.")
@click.option(
    "--self-check/--no-self-check",
    default=None,
    help="Look for each challenge from here first; off where names do not lead here from inside.",
)
@click.option(
    "--dns-name",
    "dns_names",
    multiple=True,
    help='Names proven by DNS: a name, "*.example.com", or "*"; repeatable.',
)
@click.option(
    "--dns-file", type=READABLE, help="JSON file that says how DNS records are published."
)
@click.option(
    "--unset",
    multiple=True,
    type=click.Choice(list(_CLEARED)),
    help="Have a setting as if it had never been given; repeatable.",
)
@client_options
def set_settings(
    client: Client,
    printer: Printer,
    eab_kid: str | None,
    eab_key_file: Path | None,
    dns_file: Path | None,
    unset: tuple[str, ...],
    **given: Any,  # noqa: ANN401 - click's way
) -> None:
    """Change the settings that are given; the others stay."""
    if (eab_kid is None) != (eab_key_file is None):
        raise click.UsageError("--eab-kid and --eab-key-file go together")
    before = client.send("GET", _SETTINGS)
    if before.status not in {200, 404}:
        raise ClientError(before.words())
    body = before.json() if before.status == 200 else {}
    body = {name: value for name, value in body.items() if name not in {"eab_kid", "dns"}}
    directory = given.pop("directory")
    changed = {name: value for name, value in given.items() if value not in {None, ()}}
    body.update({name: list(v) if isinstance(v, tuple) else v for name, v in changed.items()})
    if directory is not None:
        try:
            url = directory_url(directory)
        except SettingsError as error:
            raise click.UsageError(f"--directory: {error}") from error
        if body.get("directory_url") not in {None, url}:
            # Terms, external account and profile are those of the authority of before.
            body = {name: v for name, v in body.items() if name not in _OF_ONE_AUTHORITY}
            body.update({name: v for name, v in changed.items() if name in _OF_ONE_AUTHORITY})
            body["eab"] = None
        body["directory_url"] = url
    body.update(_CLEARED[name] for name in unset)
    if "directory_url" not in body:
        raise click.UsageError("--directory is needed the first time, as in letsencrypt-staging")
    if eab_kid is not None and eab_key_file is not None:
        body["eab"] = {"kid": eab_kid, "hmac_key": read_file(eab_key_file).strip()}
    if dns_file is not None:
        try:
            body["dns"] = json.loads(read_file(dns_file))
        except ValueError as error:
            raise click.UsageError(f"--dns-file: {error}") from error
    printer.record(client.call("PUT", _SETTINGS, body))


@acme.group()
def account() -> None:
    """See to the account at the authority: its key, its end, another one."""


@account.command("show")
@client_options
def show_account(client: Client, printer: Printer) -> None:
    """Show the account, and how far what was asked of it is."""
    printer.record(client.call("GET", _ACCOUNT))


@account.command("rollover")
@client_options
def roll_account_over(client: Client, printer: Printer) -> None:
    """Give the account a new key."""
    client.call("POST", f"{_ACCOUNT}/rollover")
    printer.record(_carried_out(client))


@account.command("deactivate")
@click.confirmation_option(
    prompt="The account cannot be taken back, and revokes no certificate any more. Go on?"
)
@client_options
def deactivate_account(client: Client, printer: Printer) -> None:
    """Give the account up for ever; its certificates stay valid."""
    client.call("POST", f"{_ACCOUNT}/deactivate")
    printer.record(_carried_out(client))


@account.command("start-over")
@click.option("--lost", is_flag=True, help="Also in place of one that is not deactivated.")
@client_options
def start_account_over(client: Client, printer: Printer, *, lost: bool) -> None:
    """Have another account made with the next order, in place of a deactivated one."""
    client.call("POST", f"{_ACCOUNT}/start-over", {"lost": lost})
    printer.done("another account is made with the next order")


@acme.command("order")
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option(
    "--kind", type=click.Choice(["domain", "system"]), default="domain", show_default=True
)
@click.option("--tenant", help="Address of the tenant that the certificate is for.")
@click.option("--force", is_flag=True, help="Also for names that are no tenant's address.")
@click.option("--wait", is_flag=True, help="Wait until it is issued; exit code 1 when it fails.")
@client_options
def order(
    client: Client,
    printer: Printer,
    names: tuple[str, ...],
    kind: str,
    tenant: str | None,
    *,
    force: bool,
    wait: bool,
) -> None:
    """Obtain one certificate for these names, and keep it renewed."""
    body: dict[str, Any] = {"names": list(names), "kind": kind, "force": force}
    if tenant is not None:
        body["tenant"] = tenant
    record = client.call("POST", _ORDERS, body)
    if wait and record["state"] != "issued":
        record = _settled(client, record)
    printer.record(record)
    if wait and record["state"] != "issued":
        raise SystemExit(1)


@acme.command("orders")
@click.option("--tenant", help="Only this tenant's.")
@click.option("--state", help="Only those in this state, as in failed.")
@client_options
def list_orders(client: Client, printer: Printer, **wanted: str | None) -> None:
    """List what is obtained and kept renewed, and how it stands."""
    query = {name: text for name, text in wanted.items() if text is not None}
    printer.records(client.items(_ORDERS, query), _COLUMNS)


@acme.command("show")
@click.argument("order_id", metavar="ID")
@client_options
def show_order(client: Client, printer: Printer, order_id: str) -> None:
    """Show one order: how far it is, and what the authority said."""
    printer.record(client.call("GET", f"{_ORDERS}/{segment(order_id)}"))


@acme.command("stop")
@click.argument("order_id", metavar="ID")
@client_options
def stop_order(client: Client, printer: Printer, order_id: str) -> None:
    """Stop renewing: the certificate stays until it expires."""
    client.call("DELETE", f"{_ORDERS}/{segment(order_id)}")
    printer.done(f"{order_id} is managed no more; its certificate stays, and is not revoked")


@click.command("renew")
@click.argument("certificate_id", metavar="ID")
@click.option(
    "--revoke",
    type=click.Choice(["key-compromise", "superseded", "cessation-of-operation", "unspecified"]),
    help="Revoke the former one once it is replaced, for this reason.",
)
@click.option("--wait", is_flag=True, help="Wait for the new one; exit code 1 when it fails.")
@client_options
def renew(
    client: Client, printer: Printer, certificate_id: str, revoke: str | None, *, wait: bool
) -> None:
    """Replace a certificate that the service obtained by a new one, now."""
    path = f"/api/v1/certificates/{segment(certificate_id)}/renew"
    record = client.call("POST", path, {} if revoke is None else {"revoke": revoke})
    if wait:
        record = _settled(client, record)
    printer.record(record)
    if wait and record["certificate"] == certificate_id.lower():
        raise SystemExit(1)


def _settled(client: Client, record: dict[str, Any]) -> dict[str, Any]:
    """Wait until an order has another certificate, or none comes soon; tell of each step.

    None comes soon once it fails, has to wait because it failed before, or is stopped.
    """
    first, told = record, ""
    while True:
        if record["words"] != told or record["state"] != first["state"]:
            told = record["words"]
            click.echo(f"{record['state']}: {told}", err=True)
        if record["certificate"] not in {None, first["certificate"]}:
            return record
        if record["failures"] is not None and record["failures"] != first["failures"]:
            return record
        settled = record["state"] in {"failed", "issued"}
        put_off = settled and record["next_try"] != first["next_try"]
        if put_off or not record["managed"]:
            return record
        time.sleep(LOOK_SECONDS)
        record = client.call("GET", f"{_ORDERS}/{segment(record['id'])}")


def _carried_out(client: Client) -> dict[str, Any]:
    """Wait until what was asked of the account is done; exit code 1 when that failed."""
    while True:
        record: dict[str, Any] = client.call("GET", _ACCOUNT)
        if record["failure"] is not None:
            raise ClientError(record["failure"]["detail"])
        if record["wish"] is None:
            return record
        time.sleep(LOOK_SECONDS)
