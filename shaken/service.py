"""Composition root: from configuration to a running service.

`prepare` makes the data folder, the database, the master key and the shipped roots ready, once,
before any worker; `serve` is one worker: it builds all objects from what was prepared and runs
until it is told to stop. Nothing else in the project builds these objects.
"""

import asyncio
import contextlib
import gc
import logging
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from ipaddress import ip_network
from pathlib import Path

import uvloop
from aiohttp import web

from shaken.api.authenticator import Authenticator
from shaken.api.http import ARRIVALS, GarbageFilter, HttpApi
from shaken.api.roots import facts_of
from shaken.api.routes import Resources
from shaken.api.stir import StirApi
from shaken.api.stir_wire import StirWires
from shaken.audit import SYSTEM, Action, CallRecorder, Unchanged, changing
from shaken.builtin import ensure_builtin
from shaken.config import ClientCertificates, Config
from shaken.home import Home, HomeError
from shaken.https import CLIENT_ROOTS, HttpsListener, quiet
from shaken.signing import Signer, SigningPolicy
from shaken.snapshot import Snapshot, take_snapshot
from shaken.snapshots import SnapshotFollower
from shaken.store import HISTORIES
from shaken.throttle import FailureThrottle
from sip.number import is_country
from trust.bundle import Bundle, BundleError, installed_bundle
from trust.keyring import KeyRing, create_master_key
from trust.keys import MasterKeyError, MasterKeys
from trust.roots import Edition, Plan, Purpose
from trust.store import master_key, roots
from trust.store.database import Database, StoreError
from trust.store.sealed import not_at_hand

DRAIN_SECONDS = 15
"""How long requests in flight may take after the worker was told to stop."""

ARRIVAL_SECONDS = 10
"""How much of this time clients have to send the rest of what they began to send."""

BACKLOG = 1024
"""Connections that wait to be accepted."""

KEEP_ALIVE_SECONDS = 75
"""How long an idle connection is kept: SIP servers' HTTP clients reuse theirs."""

_log = logging.getLogger(__name__)


class StartError(Exception):
    """The service cannot start; the message says why and what to do, in one line."""


@dataclass(frozen=True)
class Sockets:
    """Listening sockets, which all workers share."""

    http: socket.socket
    https: socket.socket | None

    def close(self) -> None:
        """Close them in this process."""
        self.http.close()
        if self.https is not None:
            self.https.close()


@dataclass(frozen=True)
class Prepared:
    """What workers are built from."""

    config: Config
    database_url: str
    master: MasterKeys
    folder: Path
    """The data folder."""

    def open_database(self) -> Database:
        """Open the database. Raises StoreError."""
        return Database(self.database_url)


def prepare(config: Config, data_dir: Path) -> Prepared:
    """Make folder, database, master key and shipped roots ready. Raises StartError."""
    home = Home(config, data_dir)
    try:
        home.make_folder()
        database = Database(home.database_url)
        try:
            master = _ready_store(home, database)
        finally:
            database.close()
    except StoreError as error:
        raise StartError(
            f"{error}; [database] url or --data-dir may name another database"
        ) from error
    except (HomeError, MasterKeyError, BundleError) as error:
        raise StartError(str(error)) from error
    _load_numbering_plans()
    return Prepared(config, home.database_url, master, home.folder)


def _ready_store(home: Home, database: Database) -> KeyRing:
    """Bring tables, master key and shipped roots up to date; return the master keys.

    The keys come first: a store that they do not open is left as it is.
    """
    bound = master_key.is_bound(database)
    keys = _master_keys(home, bound=bound)
    if bound:
        master_key.check(database, keys)
    database.migrate(HISTORIES)
    if bound:
        _tell_of_missing_keys(database, keys)
    else:
        with changing(database, SYSTEM, now=int(time.time())) as change:
            master_key.bind(change, keys.current)
            change.audit(Action.MASTER_KEY_BIND, "master-key", tenant=None)
    _follow_certifi(database, installed_bundle())
    ensure_builtin(database, keys, now=int(time.time()))
    return keys


def _load_numbering_plans() -> None:
    """Load the countries' numbering plans now, not within the first call that has need of them."""
    is_country("US")


def signer_for(prepared: Prepared) -> Signer:
    """Build what signs."""
    settings = prepared.config.signing
    policy = SigningPolicy(
        fallback=settings.fallback, freshness=settings.freshness, skew=settings.skew
    )
    return Signer(prepared.master, public_url=prepared.config.public_url, policy=policy)


def serve(
    prepared: Prepared, sockets: Sockets, *, lifeline: int, on_ready: Callable[[], None]
) -> None:
    """Run one worker on the listening sockets, then finish what is begun.

    It ends on SIGTERM, on SIGINT, and when `lifeline` (a pipe's end) can be read: the supervisor
    is gone. Raises StoreError when the store cannot be read at start.
    """
    uvloop.run(_serve(prepared, sockets, lifeline, on_ready))


async def _serve(
    prepared: Prepared, sockets: Sockets, lifeline: int, on_ready: Callable[[], None]
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_reader(lifeline, stop.set)
    config = prepared.config
    database = prepared.open_database()
    signer = signer_for(prepared)
    recorder = CallRecorder(
        database, capacity=config.records.queue, keep_seconds=config.records.keep_days * 86400
    )
    snapshot = take_snapshot(database)
    secure = None
    if sockets.https is not None:
        secure = _https_listener(prepared, sockets.https, snapshot)

    def follow(snapshot: Snapshot) -> None:
        signer.forget_all_but(snapshot.certificates)
        if secure is not None:
            secure.follow(snapshot)

    follower = SnapshotFollower(database, snapshot, on_change=follow)
    authenticator = Authenticator(FailureThrottle())
    api = HttpApi(
        resources=Resources(config, database, prepared.master, signer),
        authenticator=authenticator,
        stir=StirApi(signer, authenticator=authenticator, record=recorder.add),
        snapshots=follower,
        trusted_proxies=tuple(ip_network(text) for text in config.http.trusted_proxies),
        version=version("shaken"),
    )
    application = api.application()
    logging.getLogger("aiohttp.server").addFilter(GarbageFilter())
    runner = web.AppRunner(
        application,
        access_log=None,
        # No client has reason to compress a kilobyte, and what does not unpack cannot blow up.
        auto_decompress=False,
        shutdown_timeout=DRAIN_SECONDS - ARRIVAL_SECONDS,
        keepalive_timeout=KEEP_ALIVE_SECONDS,
    )
    _warn_when_not_ready(config, signer, follower)
    recorder.start()
    following = asyncio.create_task(follower.run())
    await runner.setup()
    wires = StirWires(
        api.answer_stir, _library(runner), loop=loop, keep_alive_seconds=KEEP_ALIVE_SECONDS
    )
    server = await loop.create_server(wires, sock=sockets.http, backlog=BACKLOG)
    if secure is not None:
        await secure.start(wires)
    # What was loaded stays: the collector need not look at ten thousand tenants again and again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    on_ready()
    await stop.wait()
    loop.remove_reader(lifeline)
    server.close()
    if secure is not None:
        secure.close()
    follower.release()
    # From `cleanup` on, aiohttp throws away what still arrives, also of bodies it waits for.
    await application[ARRIVALS].over(seconds=ARRIVAL_SECONDS)
    wires.close()
    await runner.cleanup()
    following.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await following
    await asyncio.to_thread(recorder.close)
    database.close()


def _library(runner: web.AppRunner) -> Callable[[], asyncio.Protocol]:
    """Return what makes aiohttp's protocols, for connections that go to it."""
    if runner.server is None:
        raise RuntimeError("the runner is set up before connections come")
    return runner.server


def _https_listener(
    prepared: Prepared, listener: socket.socket, snapshot: Snapshot
) -> HttpsListener:
    """Build what presents certificates, with a database that nobody else keeps busy."""
    asked = prepared.config.https.client_certificates is ClientCertificates.OPTIONAL
    sys.unraisablehook = quiet(sys.unraisablehook)
    return HttpsListener(
        listener,
        prepared.open_database(),
        prepared.master,
        snapshot,
        client_roots=prepared.folder / CLIENT_ROOTS if asked else None,
    )


def _warn_when_not_ready(config: Config, signer: Signer, follower: SnapshotFollower) -> None:
    why_not = signer.why_not_ready(follower.current, now=int(time.time()))
    if why_not is not None:
        _log.warning("no call can be signed yet: %s", why_not)
    if not config.public_url:
        _log.warning(
            "public_url is not set: certificates imported without their own x5u cannot sign;"
            " set it to the https URL of this service as carriers reach it"
        )


def _master_keys(home: Home, *, bound: bool) -> KeyRing:
    """Find the master keys, or make one for a store that has none. Raises MasterKeyError."""
    if not bound and not home.config.keys.master_key and not home.key_file.exists():
        create_master_key(home.key_file)
    return home.keys()


def _tell_of_missing_keys(database: Database, keys: MasterKeys) -> None:
    """Say which private keys open under no master key at hand."""
    with database.reading() as connection:
        for name, count in not_at_hand(connection, keys).items():
            _log.error(
                "%d private keys need the master key %s, which is not at hand: their"
                " certificates do not sign",
                count,
                name or "of before",
            )


def _follow_certifi(database: Database, bundle: Bundle) -> None:
    """Let the TLS roots follow the installed certifi's. Raises BundleError, StoreError."""
    with database.reading() as connection:
        if not bundle.edition.replaces(roots.applied_edition(connection, Purpose.TLS)):
            return
    shipped = bundle.roots()
    with changing(database, SYSTEM, now=int(time.time())) as change:
        applied = roots.applied_edition(change.connection, Purpose.TLS)
        if not bundle.edition.replaces(applied):
            raise Unchanged  # Of nodes that start together, another was first.
        plan = roots.follow(change, Purpose.TLS, shipped)
        roots.remember_edition(change, Purpose.TLS, bundle.edition)
        facts = {"edition": bundle.edition.version, **facts_of(plan)}
        change.audit(Action.ROOTS_FOLLOW, Purpose.TLS.value, tenant=None, after=facts)
        _tell_of_roots(applied, bundle.edition, plan)


def _tell_of_roots(before: Edition | None, now: Edition, plan: Plan) -> None:
    """Say what a new edition of the shipped roots changed; that a new store has them is no news."""
    if before is None:
        return
    _log.info(
        "the TLS roots follow certifi from %s to %s: %d added, %d removed",
        before.version,
        now.version,
        len(plan.added),
        len(plan.removed),
    )
    for done, changed in (("added", plan.added), ("removed", plan.removed)):
        for root in changed:
            _log.info("%s root %s: %s", done, root.id, root.subject)
