"""A service without demo, one for each module, and its first administrator."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from shaken.credentials import Role
from tests.shaken.api_admin.arranging import PUBLIC_URL
from tests.system.caller import Caller
from tests.system.process import Service, running, seed_credential
from trust.authority import Authority


@pytest.fixture(scope="session")
def moment() -> datetime:
    """The time at which certificates of the tests are issued: the service looks at the clock."""
    return datetime.now(UTC)


@pytest.fixture(scope="session")
def sti_ca(moment: datetime) -> Authority:
    """An authority below a root of its own."""
    root = Authority.create("Lab STI Root", now=moment)
    return root.intermediate("Lab STI Intermediate", now=moment)


@pytest.fixture(scope="module")
def seeded(
    tmp_path_factory: pytest.TempPathFactory, sti_ca: Authority
) -> Iterator[tuple[Service, str]]:
    """A running service that trusts the tests' authority, and the secret of its only credential."""
    folder = tmp_path_factory.mktemp("service")
    secret = seed_credential(folder / "data", role=Role.ADMIN, name="root")
    settings = {"SHAKEN_PUBLIC_URL": PUBLIC_URL, "SHAKEN_HTTP__TRUSTED_PROXIES": "127.0.0.1"}
    with running(folder, settings=settings) as service:
        for purpose in ("tls", "sti"):
            root = {"purpose": purpose, "certificate": sti_ca.root_pem}
            assert Caller(service.url, secret).post("/api/v1/roots", root).status == 201
        yield service, secret


@pytest.fixture(scope="module")
def service(seeded: tuple[Service, str]) -> Service:
    """A running service."""
    return seeded[0]


@pytest.fixture(scope="module")
def admin(seeded: tuple[Service, str]) -> Caller:
    """An administrator of all tenants."""
    service, secret = seeded
    return Caller(service.url, secret)
