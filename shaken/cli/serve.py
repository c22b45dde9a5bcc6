"""`shaken serve`: the service itself."""

import errno
import logging
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import click

from shaken.cli.options import PRIVATE_UMASK, config_option, data_dir_option, read_config
from shaken.client import ClientError
from shaken.config import Address, Config, ConfigError
from shaken.demo import Demo, demo_config, prepare_demo, sign_demo_call
from shaken.first_admin import ensure_admin
from shaken.home import Home, HomeError
from shaken.service import StartError, not_started, prepare
from shaken.supervisor import Supervisor, listen, sip_sockets
from shaken.worker import Sockets
from trust.store.database import StoreError


@click.command()
@config_option
@data_dir_option
@click.option(
    "--workers",
    type=click.IntRange(1, 256),
    default=1,
    show_default=True,
    help="Processes that share the listening ports; one for each core is a good number.",
)
@click.option(
    "--demo",
    is_flag=True,
    help="Make a demo tenant, trunk, lab certificate and credentials; sign and verify one call.",
)
@click.option("--check", is_flag=True, help="Say whether the configuration is good, and end.")
def serve(
    config_file: Path | None,
    data_dir: Path,
    workers: int,
    demo: bool,  # noqa: FBT001 - click's way
    check: bool,  # noqa: FBT001 - click's way
) -> None:
    """Run the service until SIGTERM or Ctrl-C.

    Every setting of shaken.toml can also stand in the environment, as SHAKEN_SECTION__NAME:
    SHAKEN_HTTP__ADDRESS=0.0.0.0:8080 listens on all addresses.
    """
    os.umask(PRIVATE_UMASK)
    try:
        config = _config(config_file, demo=demo)
        if check:
            click.echo("the configuration is good")
            return
        _log_to_stderr(config)
        code = _run(config, data_dir, workers, demo=demo)
    except (ConfigError, HomeError, StartError, StoreError) as error:
        told = not_started(error) if isinstance(error, StoreError) else error
        click.echo(f"shaken: {told}", err=True)
        is_passing = isinstance(told, StartError) and told.is_passing
        raise SystemExit(1 if is_passing else 2) from error
    raise SystemExit(code)


def _run(config: Config, data_dir: Path, workers: int, *, demo: bool) -> int:
    # The ports come first: where one is taken, nothing has been made or changed yet.
    sockets = Sockets(
        http=listen(Address.parse(config.http.address), section="http"),
        https=listen(Address.parse(config.https.address), section="https")
        if config.https.address
        else None,
        challenges=listen(
            Address.parse(config.acme.http_address), section="acme", name="http_address"
        )
        if config.acme.http_address
        else None,
        sip=sip_sockets(config.sip, workers=workers),
    )
    home = Home(config, data_dir)
    home.make_folder()
    with home.in_use():
        return _run_in(home, sockets, workers, demo=demo)


def _run_in(home: Home, sockets: Sockets, workers: int, *, demo: bool) -> int:
    config, data_dir = home.config, home.folder
    prepared = prepare(config, data_dir)
    now = int(time.time())
    try:
        if demo:
            on_ready = _tell_demo(config, prepare_demo(prepared, data_dir, now=now))
        else:
            on_ready = _announce(config, ensure_admin(prepared, data_dir, now=now))
    except OSError as error:
        is_passing = error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EIO}
        raise StartError(f"cannot write to {data_dir}: {error}", is_passing=is_passing) from error
    supervisor = Supervisor(prepared, sockets, workers=workers)
    try:
        return supervisor.run(on_ready=on_ready)
    except ClientError as error:
        raise StartError(str(error)) from error


def _tell_demo(config: Config, demo: Demo) -> Callable[[], None]:
    def tell() -> None:
        for line in sign_demo_call(demo):
            click.echo(line)
        click.echo(f"{_serves(config)}; Ctrl-C ends it")

    return tell


def _announce(config: Config, admin: Path | None) -> Callable[[], None]:
    def tell() -> None:
        # A log that cannot be written keeps no call from being signed.
        with suppress(OSError):
            if admin is not None:
                click.echo(f"the first admin credential is in {admin}; keep its secret", err=True)
            click.echo(_serves(config), err=True)

    return tell


def _serves(config: Config) -> str:
    secure = f" and https://{config.https.address}" if config.https.address else ""
    listed = (("UDP", config.sip.udp), ("TCP", config.sip.tcp), ("TLS", config.sip.tls))
    sip = [f"{address} ({name})" for name, addresses in listed for address in addresses]
    spoken = f" and SIP on {', '.join(sip)}" if sip else ""
    return f"shaken serves on http://{config.http.address}{secure}{spoken}"


def _config(file: Path | None, *, demo: bool) -> Config:
    return read_config(file, fit=demo_config) if demo else read_config(file)


def _log_to_stderr(config: Config) -> None:
    lines = logging.Formatter(
        "%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s[%(process)d] %(message)s",
        datefmt="%Y-%m-%dT%H:%M:%S",
    )
    lines.converter = time.gmtime
    handler = logging.StreamHandler()
    handler.setFormatter(lines)
    logging.basicConfig(level=config.log.level, handlers=[handler])
    # Alembic tells of each migration looked at; what it did is in the tables.
    logging.getLogger("alembic").setLevel(logging.WARNING)
