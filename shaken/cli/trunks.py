"""Administration of a running service: trunks, and what they do with calls that come in."""

from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar

import click

from shaken.cli.administration import Printer, client_options, given_settings, merged_settings
from shaken.client import Client, segment

P = ParamSpec("P")
R = TypeVar("R")

UNSET = "default"
"""What is given to have a setting of the policy as if it had never been given."""


class Seconds(click.ParamType["int | str"]):
    """A number of seconds in a range, or `default`."""

    name = "seconds"

    def __init__(self, least: int, most: int) -> None:
        self._range = click.IntRange(least, most)

    def convert(
        self,
        value: Any,  # noqa: ANN401 - click's way
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> int | str:
        """Read the value of an option."""
        return UNSET if value == UNSET else self._range.convert(value, param, ctx)


_REACTION = click.Choice(["flag", "ignore", "reject"])

_TRUNK_SETTINGS = (
    click.option("--attest", type=click.Choice(["A", "B", "C"])),
    click.option("--foreign-attest", type=click.Choice(["A", "B", "C", "refuse"])),
    click.option("--origid", help="UUID; left out: made once and kept."),
    click.option("--direction", type=click.Choice(["sign", "verify", "auto"])),
    click.option("--network", "networks", multiple=True, help="192.0.2.0/24; repeatable."),
    click.option("--country", help="ISO 3166 code that reads national numbers, as in US."),
    click.option("--answer", type=click.Choice(["both", "atis", "3gpp"])),
    click.option(
        "--identity-required/--no-identity-required",
        default=None,
        help="Reject calls without an Identity header (428).",
    ),
    click.option(
        "--anonymous", type=click.Choice(["accept", "reject"]), help="Callers without a number."
    ),
    click.option(
        "--minimum-attest",
        type=click.Choice(["A", "B", "C", UNSET]),
        help="Reject calls with less (608).",
    ),
    click.option("--on-stale", "stale", type=_REACTION, help="What is too old (403)."),
    click.option(
        "--on-unreachable",
        "unreachable",
        type=_REACTION,
        help="Where the certificate cannot be had (436).",
    ),
    click.option("--on-unfit", "unfit", type=_REACTION, help="Certificates that are bad (437)."),
    click.option(
        "--on-invalid", "invalid", type=_REACTION, help="Signatures or claims that are wrong (438)."
    ),
    click.option(
        "--verify-freshness",
        "freshness",
        type=Seconds(1, 86400),
        help="Seconds that a call's iat may be old; default: the service's.",
    ),
    click.option(
        "--verify-skew",
        "skew",
        type=Seconds(0, 3600),
        help="Seconds that it may be ahead; default: the service's.",
    ),
    click.option(
        "--replays",
        type=click.Choice(["off", "report", "fail", UNSET]),
        help="What another call had before; default: as the service does.",
    ),
    click.option(
        "--sip-source",
        "sources",
        multiple=True,
        help="Network that INVITEs come from, as in 192.0.2.7 or 192.0.2.0/24; repeatable.",
    ),
    click.option(
        "--sip-by-host/--no-sip-by-host",
        "by_host",
        default=None,
        help="Know it also by its tenant's address as the Request-URI's host, from anywhere.",
    ),
    click.option(
        "--sip-status", "status", type=click.Choice(["302", "300"]), help="Code of a redirect."
    ),
    click.option(
        "--sip-form",
        "form",
        type=click.Choice(["headers", "contact"]),
        help="Where a redirect's headers stand: in it, or in the URI of its Contact.",
    ),
    click.option(
        "--sip-origin",
        "origin",
        type=click.Choice(["asserted", "from"]),
        help="Who calls: by P-Asserted-Identity, else From; or by From alone.",
    ),
    click.option(
        "--sip-destination",
        "destination",
        type=click.Choice(["to", "request-uri"]),
        help="Who is called: by To, or by the Request-URI.",
    ),
    click.option(
        "--sip-contact", "contact", help="Host of a redirect's Contact; empty: as in the INVITE."
    ),
    click.option(
        "--sip-divert/--no-sip-divert",
        "divert",
        default=None,
        help="Sign a div PASSporT for a call that is diverted.",
    ),
    click.option(
        "--sip-verstat",
        "verstat",
        type=click.Choice(["number", "uri"]),
        help="Where a verdict stands: with the number, or behind the host.",
    ),
    click.option(
        "--sip-verstat-suffix/--no-sip-verstat-suffix",
        "verstat_suffix",
        default=None,
        help="Put the attestation behind a verdict, as in TN-Validation-Passed-A.",
    ),
)

_POLICY = (
    "identity_required",
    "anonymous",
    "minimum_attest",
    "stale",
    "unreachable",
    "unfit",
    "invalid",
    "freshness",
    "skew",
    "replays",
)
"""The settings that are members of `verification`."""


_REDIRECTION = (
    "sources",
    "by_host",
    "status",
    "form",
    "origin",
    "destination",
    "contact",
    "divert",
    "verstat",
    "verstat_suffix",
)
"""The settings that are members of `sip`."""


def _trunk_settings(command: Callable[P, R]) -> Callable[P, R]:
    for option in reversed(_TRUNK_SETTINGS):
        command = option(command)
    return command


def _gathered(settings: Mapping[str, object], before: Mapping[str, Any]) -> dict[str, object]:
    """Gather the settings of the policy and of SIP under the API's names, over those of before."""
    policy = {name: settings[name] for name in _POLICY if settings[name] is not None}
    sip = given_settings(**{name: settings[name] for name in _REDIRECTION})
    inner = (*_POLICY, *_REDIRECTION)
    gathered = {name: value for name, value in settings.items() if name not in inner}
    if policy:
        given = {name: None if value == UNSET else value for name, value in policy.items()}
        gathered["verification"] = {**before.get("verification", {}), **given}
    if "status" in sip:
        sip["status"] = int(str(sip["status"]))
    if sip:
        gathered["sip"] = {**before.get("sip", {}), **sip}
    return gathered


@click.group()
def trunks() -> None:
    """Trunks: a PBX's lines into the service."""


@trunks.command("list")
@client_options
def list_trunks(client: Client, printer: Printer) -> None:
    """List trunks."""
    columns = ("name", "tenant", "attest", "foreign_attest", "direction", "networks")
    printer.records(client.items("/api/v1/trunks", {}), columns)


@trunks.command("create")
@click.argument("name")
@click.option("--tenant", required=True, help="Address of its tenant.")
@_trunk_settings
@client_options
def create_trunk(client: Client, printer: Printer, name: str, **settings: object) -> None:
    """Add a trunk to a tenant."""
    body = given_settings(name=name, **_gathered(settings, {}))
    printer.record(client.call("POST", "/api/v1/trunks", body))


@trunks.command("show")
@click.argument("name")
@client_options
def show_trunk(client: Client, printer: Printer, name: str) -> None:
    """Show one trunk."""
    printer.record(client.call("GET", f"/api/v1/trunks/{segment(name)}"))


@trunks.command("update")
@click.argument("name")
@_trunk_settings
@client_options
def update_trunk(client: Client, printer: Printer, name: str, **settings: object) -> None:
    """Change some settings of a trunk.

    Networks that are given replace the old ones; `--network ""` allows all, `--sip-source ""` none.
    """
    path = f"/api/v1/trunks/{segment(name)}"
    before = client.call("GET", path)
    printer.record(client.call("PUT", path, merged_settings(before, _gathered(settings, before))))


@trunks.command("delete")
@click.argument("name")
@client_options
def delete_trunk(client: Client, printer: Printer, name: str) -> None:
    """Delete a trunk that no credential is for any more."""
    client.call("DELETE", f"/api/v1/trunks/{segment(name)}")
    printer.done(f"deleted {name}")
