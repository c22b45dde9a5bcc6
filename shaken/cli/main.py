"""The `shaken` command: its groups, and how errors end it."""

import click

from shaken.cli.administration import certificates, credentials, tenants, trunks
from shaken.cli.offline import inspect, lab_ca, sign, verify
from shaken.cli.serve import serve


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="shaken")
def main() -> None:
    """STIR/SHAKEN signing and trust service for PBXs and SBCs.

    Run it with `shaken serve`. Debug signatures with `sign`, `verify` and `inspect`, without a
    service. Administer a running service with the other commands.
    """


for command in (serve, sign, verify, inspect, lab_ca, certificates, tenants, trunks, credentials):
    main.add_command(command)
