"""Whatever reads a request, the STIR routes are told of the client, by the present snapshot."""

from collections.abc import Awaitable
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Any

import pytest

from shaken.api.authenticator import Authenticator
from shaken.api.stir import SIGNING_PATH, StirAnswer, StirApi, StirRequest
from shaken.api.stir_door import StirDoor
from shaken.networks import Network
from shaken.snapshot import Snapshot, take_snapshot
from shaken.throttle import FailureThrottle
from sip.stages import Stages
from tests.signing import answered
from trust.store.database import Database

PBX, PROXY, KEY = "192.0.2.10", "198.51.100.1", "5" * 64
TRUSTED = (ip_network(f"{PROXY}/32"),)
FORWARDED = {"X-Forwarded-For": PBX}


class Overheard(StirApi):
    """Remembers what it was told beside the request."""

    def __init__(self) -> None:
        super().__init__({}, authenticator=Authenticator(FailureThrottle()))
        self.told: list[dict[str, Any]] = []

    def answer(
        self, request: StirRequest, **told: Any
    ) -> Stages[StirAnswer | Awaitable[StirAnswer]]:
        self.told.append(told)
        return super().answer(request, **told)


@dataclass
class Follower:
    """Holds the snapshot that is the latest."""

    current: Snapshot
    api: Overheard = field(default_factory=Overheard)

    def asked(
        self,
        headers: dict[str, str],
        *,
        remote: str,
        client_spki: str | None = None,
        trusted: tuple[Network, ...] = TRUSTED,
    ) -> dict[str, Any]:
        """Send a request through a door; return what the routes were told."""
        door = StirDoor(self.api, self, trusted, clock=lambda: 1000.9)
        request = StirRequest("POST", SIGNING_PATH, "", headers, b"{}")
        answered(door.answer(request, remote=remote, client_spki=client_spki))
        return self.api.told[-1]


@pytest.fixture
def follower(database: Database) -> Follower:
    return Follower(take_snapshot(database))


@pytest.mark.parametrize(
    ("remote", "headers", "client_spki", "trusted", "peer", "key"),
    [
        (PBX, {}, None, (), PBX, None),
        ("", {}, None, (), "", None),
        (PBX, {}, KEY, (), PBX, KEY),
        (PROXY, FORWARDED, None, (), PROXY, None),
        (PROXY, FORWARDED, KEY, (), PROXY, None),
        (PBX, {}, None, TRUSTED, PBX, None),
        (PBX, {}, KEY, TRUSTED, PBX, KEY),
        (PROXY, FORWARDED, None, TRUSTED, PBX, None),
        (PROXY, FORWARDED, KEY, TRUSTED, PBX, None),
    ],
)
def test_the_client_is_the_other_end_or_whom_a_trusted_proxy_names(
    follower: Follower,
    remote: str,
    headers: dict[str, str],
    client_spki: str | None,
    *,
    trusted: tuple[Network, ...],
    peer: str,
    key: str | None,
) -> None:
    told = follower.asked(headers, remote=remote, client_spki=client_spki, trusted=trusted)

    assert (told["peer"], told["client_spki"]) == (peer, key)


def test_each_request_is_answered_by_the_latest_snapshot(
    follower: Follower, database: Database
) -> None:
    first = follower.asked({}, remote=PBX)["snapshot"]
    follower.current = take_snapshot(database)

    second = follower.asked({}, remote=PBX)

    assert second["snapshot"] is follower.current
    assert second["snapshot"] is not first
    assert second["now"] == 1000
