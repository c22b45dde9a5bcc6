"""The way into the STIR routes, whoever has read the request: who asks, by what snapshot, and when.

An adapter knows the other end of its socket. Here is told which client stands behind it, and it is
told in no other place.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from shaken.api.peer import Tls, peer_of
from shaken.api.stir import StirAnswer, StirApi, StirRequest
from shaken.networks import Network
from shaken.snapshot import Snapshot
from sip.stages import Stages


class CurrentSnapshot(Protocol):
    """Where requests read the state of the store."""

    @property
    def current(self) -> Snapshot:
        """The latest snapshot."""


class StirDoor:
    """Answers requests to `/stir/` as they came over a connection. One for a worker."""

    def __init__(
        self,
        api: StirApi,
        snapshots: CurrentSnapshot,
        trusted: tuple[Network, ...],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take what answers, the state it answers by, and the proxies that speak for others."""
        self._api = api
        self._snapshots = snapshots
        self._trusted = trusted
        self._clock = clock

    def answer(
        self, request: StirRequest, *, remote: str, client_spki: str | None
    ) -> Stages[StirAnswer | Awaitable[StirAnswer]]:
        """Answer a request. Raises nothing, nor does what is awaited.

        `remote` is the address of the connection's other end, '' where nobody knows it, and
        `client_spki` the SHA-256 (hex) of the key of the certificate that it showed in TLS.
        """
        peer = remote
        if self._trusted or client_spki is not None:
            tls = None if client_spki is None else Tls(client_spki)
            client = peer_of(remote, request.headers, self._trusted, tls=tls)
            peer, client_spki = client.address, client.client_spki
        return self._api.answer(
            request,
            peer=peer,
            client_spki=client_spki,
            snapshot=self._snapshots.current,
            now=int(self._clock()),
        )
