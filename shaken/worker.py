"""One worker: what a process runs on the listening sockets until it is told to stop.

It builds the routes on what `shaken.service` prepared, serves, and finishes what is begun.
"""

import asyncio
import contextlib
import gc
import logging
import secrets
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from ipaddress import ip_network

import uvloop
from aiohttp import web

from shaken import open_files
from shaken.api.authenticator import Authenticator
from shaken.api.bodies import ARRIVALS
from shaken.api.challenge_listener import ChallengeListener
from shaken.api.http import GarbageFilter, HttpApi
from shaken.api.openapi import openapi_document
from shaken.api.routes import Resources
from shaken.api.stir import SIGNING_PATH, VERIFICATION_PATH, StirApi
from shaken.api.stir_door import StirDoor
from shaken.api.stir_signing import Signing
from shaken.api.stir_verification import Verification
from shaken.api.stir_wire import StirWires
from shaken.api.table import TABLE
from shaken.call_recorder import CallRecorder
from shaken.config import ClientCertificates, Config, NumbersOnRecord
from shaken.https import CLIENT_ROOTS, HttpsListener, Presenter, quiet
from shaken.inbound import Inbound
from shaken.pens import Pens
from shaken.redirect.handler import Redirect
from shaken.redirect.listener import SipSockets, limits_of, sip_server
from shaken.renewer import Renewer
from shaken.replay import ReplayMemory
from shaken.service import Prepared, pens_for, signer_for
from shaken.signing import Signer
from shaken.snapshot import Snapshot, take_snapshot
from shaken.snapshots import SnapshotFollower
from shaken.throttle import FailureThrottle
from shaken.web.pages import AdminPages
from shaken.web.routes import CallDesk
from sip.server import SipServer
from trust.store.database import Database, StoreError

DRAIN_SECONDS = 15
"""How long requests in flight may take after the worker was told to stop."""

ARRIVAL_SECONDS = 10
"""How much of this time clients have to send the rest of what they began to send."""

BACKLOG = 1024
"""Connections that wait to be accepted."""

KEEP_ALIVE_SECONDS = 75
"""How long an idle connection is kept: SIP servers' HTTP clients reuse theirs."""

SWITCH_SECONDS = 0.0005
"""How long a thread that works, such as the one that writes records, holds up calls: Python's own
5 ms are felt in each of a call's system calls."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sockets:
    """Listening sockets, which all workers share; of SIP over UDP each has its own."""

    http: socket.socket
    https: socket.socket | None
    challenges: socket.socket | None = None
    """Where authorities look for challenges of ACME, and nothing else is."""
    sip: SipSockets = field(default_factory=SipSockets)

    def close(self) -> None:
        """Close them in this process."""
        for each in (self.http, self.https, self.challenges):
            if each is not None:
                each.close()
        self.sip.close()


def serve(
    prepared: Prepared,
    sockets: Sockets,
    *,
    slot: int,
    lifeline: int,
    on_ready: Callable[[], None],
) -> None:
    """Run one worker on the listening sockets, then finish what is begun.

    `slot` is its place among the workers, from 0, and that of the one that takes its place.
    It ends on SIGTERM, on SIGINT, and when `lifeline` (a pipe's end) can be read: the supervisor
    is gone. Raises StoreError when the store cannot be read at start.
    """
    # While ten thousand tenants are read nothing is garbage; `_serve` turns it on again.
    gc.disable()
    sys.setswitchinterval(SWITCH_SECONDS)
    uvloop.run(_serve(prepared, sockets, slot, lifeline, on_ready))


async def _serve(
    prepared: Prepared, sockets: Sockets, slot: int, lifeline: int, on_ready: Callable[[], None]
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_reader(lifeline, stop.set)
    config = prepared.config
    database = prepared.open_database()
    pens = pens_for(prepared)
    signer = signer_for(prepared, pens)
    recorder = _recorder(prepared, database, slot)
    snapshot = take_snapshot(database)
    presenters = _presenters(prepared, sockets, snapshot)
    follower = SnapshotFollower(database, snapshot, on_change=_after_change(pens, presenters))
    agent = f"shaken/{version('shaken')}"
    inbound = Inbound(
        config, database, lambda: follower.current, ReplayMemory(prepared.seen), agent=agent
    )
    api, door = _routes(
        prepared,
        database,
        pens=pens,
        signer=signer,
        recorder=recorder,
        follower=follower,
        inbound=inbound,
    )
    _warn_when_not_ready(config, pens, follower)
    recorder.start()
    renewer = Renewer(config, database, prepared.master, agent=agent, is_steady=prepared.is_steady)
    renewer.start()
    await inbound.start()
    background = [asyncio.create_task(each) for each in (follower.run(), open_files.watch())]
    redirect = Redirect(
        signer,
        inbound.verifier,
        recorder.add,
        lambda: follower.current,
        secret=secrets.token_bytes(32),
    )
    tls_context = presenters["sip"].context() if "sip" in presenters else None
    server = sip_server(
        redirect, sockets.sip, slot=slot, tls_context=tls_context, limits=limits_of(config)
    )
    async with _listening(api, door, sockets, presenters.get("https"), server):
        # What was loaded stays: the collector need not look at ten thousand tenants each time,
        # not even now for the little that is garbage among it.
        gc.freeze()
        gc.set_threshold(20_000, 20, 50)
        gc.enable()
        on_ready()
        await stop.wait()
        loop.remove_reader(lifeline)
        follower.release()
    await inbound.close()
    for task in background:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    await asyncio.to_thread(recorder.close)
    await asyncio.to_thread(renewer.close)
    for presenter in presenters.values():
        presenter.close()
    database.close()


def _after_change(
    pens: Pens, presenters: Mapping[str, Presenter]
) -> Callable[[Snapshot], Awaitable[None]]:
    """Return what those who work by a snapshot do when there is a new one."""

    async def follow(snapshot: Snapshot) -> None:
        pens.forget_all_but(snapshot.certificates)
        failures = []
        for presenter in presenters.values():
            try:
                await presenter.follow(snapshot)
            except (StoreError, OSError) as error:
                failures.append(error)
        if failures:  # of one, which keeps no other from following
            raise failures[0]

    return follow


def _routes(
    prepared: Prepared,
    database: Database,
    *,
    pens: Pens,
    signer: Signer,
    recorder: CallRecorder,
    follower: SnapshotFollower,
    inbound: Inbound,
) -> tuple[HttpApi, StirDoor]:
    """Build the routes on what they work with, and the door to those that answer calls."""
    config = prepared.config
    authenticator = Authenticator(FailureThrottle())
    signing = Signing(signer, recorder.add)
    stir = StirApi(
        {
            SIGNING_PATH: signing.route,
            VERIFICATION_PATH: Verification(inbound.verifier, recorder.add).route,
        },
        authenticator=authenticator,
    )
    resources = Resources(config, database, prepared.master, pens, prepared.numbers, prepared.tally)
    trusted = tuple(ip_network(text) for text in config.http.trusted_proxies)
    document = openapi_document(TABLE, version=version("shaken"))
    pages = AdminPages(
        resources=resources,
        authenticator=authenticator,
        snapshots=follower,
        desk=CallDesk(signing, inbound.verifier, inbound.certificates),
        trusted_proxies=trusted,
        document=document,
    )
    door = StirDoor(stir, follower, trusted)
    api = HttpApi(
        resources=resources,
        authenticator=authenticator,
        door=door,
        snapshots=follower,
        trusted_proxies=trusted,
        document=document,
        faces=(pages.mount,),
    )
    return api, door


def _recorder(prepared: Prepared, database: Database, slot: int) -> CallRecorder:
    settings, numbers = prepared.config.records, prepared.numbers
    conceal = None
    if settings.numbers is NumbersOnRecord.HASHED:
        if numbers is None:
            raise RuntimeError("the key of numbers on record is made before workers start")
        conceal = numbers.conceal
    return CallRecorder(
        database,
        capacity=settings.queue,
        keep_seconds=settings.keep_days * 86400,
        tally=prepared.tally.row(slot),
        conceal=conceal,
        is_steady=prepared.is_steady,
    )


@asynccontextmanager
async def _listening(
    api: HttpApi,
    door: StirDoor,
    sockets: Sockets,
    presenter: Presenter | None,
    sip: SipServer,
) -> AsyncIterator[None]:
    """Serve the routes, and SIP; at the end accept no more, and answer what was asked."""
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
    await runner.setup()
    challenges = None
    if sockets.challenges is not None:
        challenges = ChallengeListener(api.challenges(), sockets.challenges, backlog=BACKLOG)
        await challenges.start()
    loop = asyncio.get_running_loop()
    wires = StirWires(door, _library(runner), loop=loop, keep_alive_seconds=KEEP_ALIVE_SECONDS)
    server = await loop.create_server(wires, sock=sockets.http, backlog=BACKLOG)
    secure = None
    if sockets.https is not None and presenter is not None:
        secure = HttpsListener(sockets.https, presenter)
        await secure.start(wires)
    async with sip:
        yield
    server.close()
    if secure is not None:
        secure.close()
    # From `cleanup` on, aiohttp throws away what still arrives, also of bodies it waits for.
    await application[ARRIVALS].over(seconds=ARRIVAL_SECONDS)
    await wires.over(seconds=DRAIN_SECONDS - ARRIVAL_SECONDS)
    wires.close()
    await runner.cleanup()
    if challenges is not None:
        await challenges.close()


def _library(runner: web.AppRunner) -> Callable[[], asyncio.Protocol]:
    """Return what makes aiohttp's protocols, for connections that go to it."""
    if runner.server is None:
        raise RuntimeError("the runner is set up before connections come")
    return runner.server


def _presenters(prepared: Prepared, sockets: Sockets, snapshot: Snapshot) -> dict[str, Presenter]:
    """Build what presents certificates over `https` and over `sip`, where that is spoken in TLS.

    Each has a database that nobody else keeps busy.
    """
    config = prepared.config
    asked = {}
    if sockets.https is not None:
        asked["https"] = config.https.client_certificates
    if sockets.sip.tls:
        asked["sip"] = config.sip.client_certificates
    if asked:
        sys.unraisablehook = quiet(sys.unraisablehook)
    roots = prepared.folder / CLIENT_ROOTS
    return {
        name: Presenter(
            prepared.open_database(),
            prepared.master,
            snapshot,
            client_roots=roots if wanted is ClientCertificates.OPTIONAL else None,
        )
        for name, wanted in asked.items()
    }


def _warn_when_not_ready(config: Config, pens: Pens, follower: SnapshotFollower) -> None:
    why_not = pens.why_not_ready(follower.current, now=int(time.time()))
    if why_not is not None:
        _log.warning("no call can be signed yet: %s", why_not)
    if not config.public_url:
        _log.warning(
            "public_url is not set: certificates imported without their own x5u cannot sign;"
            " set it to the https URL of this service as carriers reach it"
        )
