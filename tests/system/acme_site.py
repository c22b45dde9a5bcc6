"""A service beside a real ACME authority, for tests of what it obtains by itself."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from shaken.credentials import Role
from tests.ports import free_port
from tests.system.caller import Caller
from tests.system.process import Service, run_shaken, running, seed_credential, until
from tests.trust.acme.pebble import Pebble

ORDERS = "/api/v1/acme/orders"


@dataclass(frozen=True)
class Site:
    """A service with two workers, and the authority that it uses."""

    service: Service
    pebble: Pebble
    admin: Caller
    https_port: int
    http_port: int
    hook: Path
    """The one program that the settings may name."""

    def presented(self, name: str) -> str:
        """Return the fingerprint of what the HTTPS listener presents for a name."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with (
            socket.create_connection(("127.0.0.1", self.https_port), timeout=30) as connection,
            context.wrap_socket(connection, server_hostname=name) as secured,
        ):
            return sha256(secured.getpeercert(binary_form=True) or b"").hexdigest()

    def await_presented(self, name: str, certificate: str) -> None:
        """Wait until a certificate is in use."""
        for _ in until(f"{certificate} is presented"):
            if self.presented(name) == certificate:
                return

    def orders(self) -> dict[str, dict[str, Any]]:
        """List the orders by their first name."""
        return {each["names"][0]: each for each in self.admin.get(ORDERS).json()["items"]}

    def issued(self, name: str, *, after: str | None = None) -> dict[str, Any]:
        """Wait until there is another certificate for a name than `after`; return its order."""
        for _ in until(f"a certificate for {name}"):
            found = self.orders().get(name)
            if found and found["state"] == "issued" and found["certificate"] != after:
                return found
            assert not (found and found["failures"]), found
        raise AssertionError

    def set_up(self) -> None:
        """Trust the authority's TLS, and agree to its terms."""
        root = {"purpose": "tls", "certificate": self.pebble.roots_file.read_text()}
        assert self.admin.post("/api/v1/roots", root).status == 201
        done = self.command(
            "acme", "settings", "set", "--directory", self.pebble.directory, "--agree-terms"
        )
        assert done.returncode == 0, done.stderr

    def command(self, *arguments: str) -> Any:
        """Run a command against the service."""
        return run_shaken(
            *arguments,
            folder=self.service.data,
            SHAKEN_URL=self.service.url,
            SHAKEN_TOKEN=self.admin.secret or "",
        )


@contextmanager
def a_site(
    folder: Path,
    pebble: Pebble,
    http_port: int,
    hook: Path,
    *,
    secret: str | None = None,
    http_address: str | None = None,
) -> Iterator[Site]:
    """Run a service whose listener for challenges is where the authority looks.

    `secret` is that of an administrator where there is a store already. With an empty
    `http_address` there is no such listener.
    """
    secret = secret or seed_credential(folder / "data", role=Role.ADMIN)
    https_port = free_port()
    settings = {
        "SHAKEN_HTTPS__ADDRESS": f"127.0.0.1:{https_port}",
        "SHAKEN_ACME__HTTP_ADDRESS": (
            f"127.0.0.1:{http_port}" if http_address is None else http_address
        ),
        "SHAKEN_ACME__AUTHORITY_PORT": str(http_port),
        "SHAKEN_ACME__RESOLVERS": f"127.0.0.1:{pebble.resolver_port}",
        "SHAKEN_ACME__HOOKS": str(hook),
    }
    with running(folder, "--workers", "2", settings=settings) as service:
        yield Site(service, pebble, Caller(service.url, secret), https_port, http_port, hook)
