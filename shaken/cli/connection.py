"""How the commands that call a running service find it, and show who they are."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import click

from shaken.cli.offline import READABLE
from shaken.client import Client, ClientError

P = ParamSpec("P")
R = TypeVar("R")


def connection_options(command: Callable[P, R]) -> Callable[..., R]:
    """Add `--url`, `--token`, `--token-file`, `--ca`; end with one line when it is refused."""

    @click.option(
        "--url",
        envvar="SHAKEN_URL",
        default="http://127.0.0.1:8080",
        show_default=True,
        help="Base URL of the service; also SHAKEN_URL.",
    )
    @click.option(
        "--token",
        envvar="SHAKEN_TOKEN",
        help="Secret of a credential whose role allows it; also SHAKEN_TOKEN.",
    )
    @click.option("--token-file", type=READABLE, help="File that holds the secret instead.")
    @click.option(
        "--ca",
        type=READABLE,
        envvar="SHAKEN_CA",
        help="PEM roots to trust beside the system's, for an https URL; also SHAKEN_CA.",
    )
    @wraps(command)
    def wrapped(
        *args: Any,  # noqa: ANN401 - click's way
        url: str,
        token: str | None,
        token_file: Path | None,
        ca: Path | None,
        **kwargs: Any,  # noqa: ANN401
    ) -> R:
        secret = token if token_file is None else _read_secret(token_file)
        if not secret:
            raise click.UsageError("Give a secret: SHAKEN_TOKEN, --token-file FILE or --token.")
        try:
            return command(*args, client=Client(url, secret, ca), **kwargs)  # type: ignore[arg-type]
        except ClientError as error:
            raise click.ClickException(str(error)) from error

    return wrapped


def _read_secret(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise click.ClickException(f"{file} holds no secret: {error}") from error
