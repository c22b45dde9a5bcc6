"""The service's own TLS listeners: what they present, and whom they know by a client certificate.

The rules of choice are those of every TLS listener (`trust.selection`), read from the snapshot;
chain and key are read from the store when a name is first asked for. What is spoken inside of TLS
is the business of the protocol that the listener is started with.
"""

import asyncio
import logging
import socket
import ssl
import sys
import time
from asyncio import AbstractServer, BaseProtocol
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from shaken.snapshot import Snapshot
from shaken.store.credentials import client_certificates
from trust.clients import ClientRoots
from trust.keys import MasterKeys
from trust.selection import TlsCandidate
from trust.store import certificates as stored
from trust.store.database import Database, StoreError
from trust.tls import Material, Presentable, PresentError, TlsContexts, open_material

CLIENT_ROOTS = "client-certificates"
"""The folder of registered client certificates, in the data folder."""

HANDSHAKE_SECONDS = 10.0
"""How long a client may take for the handshake: those that say nothing hold a connection."""

CLOSE_SECONDS = 5.0
"""How long a client may take to say goodbye."""

_log = logging.getLogger(__name__)


class Presenter:
    """Presents certificates of the store in handshakes. `follow` the snapshots, `close` at last."""

    def __init__(
        self,
        database: Database,
        master: MasterKeys,
        snapshot: Snapshot,
        *,
        client_roots: Path | None,
    ) -> None:
        """Take what chains and keys are read from.

        The database is closed at the end, and nobody else may use it: it is read within
        handshakes, which must not wait. `client_roots` is the folder for registered client
        certificates; None: clients are not asked for one. Raises OSError when it cannot be made;
        certificates that cannot be put there come when the snapshot is followed.
        """
        self._database = database
        self._master = master
        self._snapshot = snapshot
        self._client_roots = None if client_roots is None else ClientRoots(client_roots)
        self._expired: set[str] = set()
        self._registered: frozenset[tuple[str, int]] = frozenset()
        self._contexts = TlsContexts(self, client_roots=client_roots)
        # A thread of its own: no handler that waits for the store keeps a client from being known.
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="client-roots")
        try:
            self._register(snapshot)
        except (StoreError, OSError) as error:
            _log.error("client certificates are not known yet: %s", error)
        self._contexts.keep(snapshot.certificate_rows.revisions)

    async def follow(self, snapshot: Snapshot) -> None:
        """Present what is in this snapshot from now on, and know its client certificates.

        Raises StoreError or OSError when new ones are not known yet: follow it again.
        """
        self._snapshot = snapshot
        loop = asyncio.get_running_loop()
        try:
            if await loop.run_in_executor(self._executor, self._register, snapshot):
                self._contexts.forget()
        finally:
            self._contexts.keep(snapshot.certificate_rows.revisions)

    def context(self) -> ssl.SSLContext:
        """Make the context that a listener is opened with."""
        return self._contexts.listener()

    def close(self) -> None:
        """Present no more."""
        self._database.close()

    def choose(self, server_name: str | None) -> Iterator[Presentable]:
        """Choose by the rules of every TLS listener, the best first."""
        revisions = self._snapshot.certificate_rows.revisions
        now = int(time.time())
        for choice in self._snapshot.tls.in_turn(server_name, now=now):
            if choice.candidate.not_after < now:
                self._tell_of_expired(choice.candidate)
            yield Presentable(choice.candidate.id, revisions[choice.candidate.id])

    def _tell_of_expired(self, candidate: TlsCandidate) -> None:
        """Say, once for each certificate, that clients will refuse what is presented."""
        if candidate.id not in self._expired:
            self._expired.add(candidate.id)
            _log.warning(
                "certificate %s for %s has expired and is presented all the same: renew it, or"
                " import another; where it is deleted, a wildcard may stand in",
                candidate.id,
                ", ".join(candidate.names),
            )

    def load(self, certificate_id: str) -> Material:
        """Read chain and key from the store. Raises PresentError."""
        row = self._snapshot.certificates[certificate_id]
        try:
            with self._database.reading() as connection:
                chain = stored.chain_pem(connection, certificate_id)
        except StoreError as error:
            raise PresentError(str(error)) from error
        if chain is None or row.sealed_key is None:
            raise PresentError("it has just been deleted")
        return open_material(self._master, chain, row.sealed_key, record=certificate_id)

    def _register(self, snapshot: Snapshot) -> bool:
        """Make the client certificates of new credentials trust anchors; say whether any came.

        Raises StoreError, OSError.
        """
        if self._client_roots is None:
            return False
        credentials = snapshot.credential_rows
        bound = frozenset(
            (entry.name, credentials.revisions[entry.name])
            for entry in snapshot.credentials.with_certificate
        )
        new = sorted(name for name, _ in bound - self._registered)
        if not new:
            self._registered = bound
            return False
        with self._database.reading() as connection:
            for text in client_certificates(connection, new):
                self._client_roots.hold(text)
        self._registered = bound
        return True


class HttpsListener:
    """The socket of HTTPS, and what it presents. `start`, then `close`."""

    def __init__(self, listener: socket.socket, presenter: Presenter) -> None:
        """Take the socket, and what presents certificates on it."""
        self._listener = listener
        self._presenter = presenter
        self._server: AbstractServer | None = None

    async def start(self, protocol: Callable[[], BaseProtocol]) -> None:
        """Accept connections; each gets a protocol of its own."""
        self._server = await asyncio.get_running_loop().create_server(
            protocol,
            sock=self._listener,
            ssl=self._presenter.context(),
            ssl_handshake_timeout=HANDSHAKE_SECONDS,
            ssl_shutdown_timeout=CLOSE_SECONDS,
        )

    def close(self) -> None:
        """Accept no more connections; those that are open stay."""
        if self._server is not None:
            self._server.close()


def quiet(
    hook: "Callable[[sys.UnraisableHookArgs], object]",
) -> "Callable[[sys.UnraisableHookArgs], object]":
    """Wrap a `sys.unraisablehook`: say nothing of server names that are not ASCII.

    Python's ssl refuses the handshake and reports them there, with a traceback for each; anybody
    can send them.
    """

    def report(args: "sys.UnraisableHookArgs") -> object:
        if isinstance(args.exc_value, UnicodeDecodeError) and isinstance(args.object, bytes):
            return None
        return hook(args)

    return report
