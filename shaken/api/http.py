"""The adapter between aiohttp and the API: no handler knows an HTTP library.

It finds out who calls, lets `bodies` read a bounded body, holds the roles, runs the handler and
sends the answer. What a request means is the handlers' business. STIR requests that `stir_wire`
does not read are read here; both ways lead to `stir_door`.
"""

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import msgspec
from aiohttp import web
from aiohttp.http import HttpProcessingError

from shaken.api import challenges
from shaken.api.authenticator import Authenticator, Stranger
from shaken.api.bodies import ARRIVALS, MAX_API_BODY, Arrivals, body_of, small_body
from shaken.api.dialplan import SIGN_PATH, VERIFY_PATH
from shaken.api.dialplan_route import DialplanRoute
from shaken.api.peer import Peer, Tls, peer_of
from shaken.api.problems import CONTENT_TYPE, Problem, store_unavailable, unauthorized
from shaken.api.routes import ApiCall, Reply, Resources, Route, refuse_nul
from shaken.api.stir import (
    MAX_BODY,
    SIGNING_PATH,
    VERIFICATION_PATH,
    StirAnswer,
    StirRequest,
    body_length,
)
from shaken.api.stir_door import CurrentSnapshot, StirDoor
from shaken.api.table import TABLE
from shaken.credentials import Credential
from shaken.networks import Network
from shaken.snapshot import Snapshot
from sip.stages import at_once
from trust.store.database import StoreError
from trust.tls import client_spki

MAX_WAIT_SECONDS = 300
"""How long an answer is held for a client that waits for a change."""

_WAIT = re.compile(r"(?:^|[,;\s])wait=([0-9]{1,6})(?:$|[,;\s])")

_NO_CONTENT_TYPE = frozenset({204, 304})
_log = logging.getLogger(__name__)

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class SnapshotSource(CurrentSnapshot, Protocol):
    """Where requests read the state of the store, and learn of its changes."""

    async def take_over(self) -> None:
        """Take a change into the snapshot before its answer is sent. Never fails."""

    async def changed(self, seen: Snapshot, *, seconds: float) -> None:
        """Wait until there is another snapshot than the one seen, at most so long."""


class GarbageFilter(logging.Filter):
    """Keeps what is no HTTP out of the log: anybody can send it, and secrets may stand in it."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let through all but complaints about how a request is written."""
        return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


class HttpApi:
    """The routes of the service as an aiohttp application."""

    def __init__(
        self,
        *,
        resources: Resources,
        authenticator: Authenticator,
        door: StirDoor,
        snapshots: SnapshotSource,
        trusted_proxies: tuple[Network, ...],
        document: Mapping[str, Any],
        faces: Sequence[Callable[[web.Application], None]] = (),
    ) -> None:
        """Take what handlers work with, what knows who calls, and who may speak for others.

        `document` describes the routes (OpenAPI 3.1); `faces` add routes that are none of theirs.
        """
        self._resources = resources
        self._authenticator = authenticator
        self._door = door
        self._snapshots = snapshots
        self._trusted = trusted_proxies
        self._faces = faces
        self._openapi = msgspec.json.encode(document)

    def application(self) -> web.Application:
        """Build the application."""
        app = web.Application(client_max_size=MAX_API_BODY)
        app[ARRIVALS] = Arrivals()
        app.router.add_route("*", SIGNING_PATH, self._serve_stir)
        app.router.add_route("*", VERIFICATION_PATH, self._serve_stir)
        app.router.add_route("*", "/stir", self._serve_stir)
        app.router.add_route("*", "/stir/{rest:.*}", self._serve_stir)
        dialplan = DialplanRoute(self._door, tls_of)
        for path in (SIGN_PATH, VERIFY_PATH):
            app.router.add_route("*", path, dialplan.serve)
        app.router.add_get("/openapi.json", self._answer_openapi)
        self._add(app, TABLE)
        for add_routes in self._faces:
            add_routes(app)
        app.router.add_route("*", "/{rest:.*}", self._answer_unknown)
        return app

    def challenges(self) -> web.Application:
        """Build what the listener for authorities serves: challenges of ACME, nothing else."""
        app = web.Application(client_max_size=MAX_API_BODY)
        self._add(app, challenges.ROUTES)
        app.router.add_route("*", "/{rest:.*}", self._answer_nothing)
        return app

    def _add(self, app: web.Application, routes: Sequence[Route]) -> None:
        for path in dict.fromkeys(route.path for route in routes):
            resource = app.router.add_resource(path)
            methods = {r.method: self._handler(r) for r in routes if r.path == path}
            if "GET" in methods:
                methods["HEAD"] = methods["GET"]
            for method, handler in methods.items():
                resource.add_route(method, handler)
            resource.add_route("*", self._wrong_method(sorted(methods)))

    async def _serve_stir(self, request: web.Request) -> web.Response:
        headers = request.headers
        body = await small_body(request) if 0 < body_length(headers) <= MAX_BODY else b""
        url = request.rel_url
        tls = tls_of(request)
        asked = StirRequest(
            method=request.method,
            path=url.raw_path,
            query=url.raw_query_string,
            headers=headers,
            body=body,
        )
        answer = at_once(
            self._door.answer(
                asked,
                remote=request.remote or "",
                client_spki=tls.client_spki if tls else None,
            )
        )
        if not isinstance(answer, StirAnswer):
            answer = await answer
        return web.Response(status=answer.status, headers=answer.headers, body=answer.body)

    async def _answer_openapi(self, _: web.Request) -> web.Response:
        return web.Response(body=self._openapi, content_type="application/json")

    def _handler(self, route: Route) -> _Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            try:
                return await self._run(route, request)
            except Problem as problem:
                return _problem(problem)
            except StoreError as error:
                _log.error("%s %s: %s", request.method, request.path, error)
                return _problem(store_unavailable(error))
            except Exception:
                _log.exception("%s %s failed", request.method, request.path)
                return _problem(
                    Problem(500, "internal-error", "the service failed; its log says more")
                )

        return handle

    async def _run(self, route: Route, request: web.Request) -> web.StreamResponse:
        peer = self._peer(request)
        self._authorize(route, request, peer)
        if route.secret and not peer.confidential:
            raise Problem(
                403,
                "insecure-transport",
                "keys and secrets do not travel over plain HTTP: use https (a proxy in front is"
                " declared in [http] trusted_proxies), or call from the machine itself",
            )
        refuse_nul(request.match_info, request.query)
        body = await body_of(route, request)
        # Asked again: while the body arrived the credential may have been revoked.
        who = self._authorize(route, request, peer)
        call = ApiCall(
            resources=self._resources,
            snapshot=self._snapshots.current,
            now=int(time.time()),
            who=who,
            peer=peer.address,
            path=request.match_info,
            query=request.query,
            body=body,
        )
        reply = await asyncio.to_thread(route.handler, call)
        if route.waits:
            reply = await self._wait_for_change(route, request, call, reply)
        if route.changes:
            name = who.name if who else "nobody"
            _log.info("%s from %s: %s %s", name, peer.address, request.method, request.path)
            await self._snapshots.take_over()
        return _response(route, reply, request)

    async def _wait_for_change(
        self, route: Route, request: web.Request, call: ApiCall, reply: Reply
    ) -> Reply:
        """Hold the answer to a client that has this state, as long as it prefers."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + preferred_wait(request.headers.get("Prefer", ""))
        while _has(request, reply) and (left := deadline - loop.time()) > 0:
            await self._snapshots.changed(call.snapshot, seconds=left)
            if self._snapshots.current is call.snapshot:
                break
            # Asked again: what changed may be this very credential.
            who = self._authorize(route, request, self._peer(request))
            call = replace(call, who=who, snapshot=self._snapshots.current, now=int(time.time()))
            reply = await asyncio.to_thread(route.handler, call)
        return reply

    def _authorize(self, route: Route, request: web.Request, peer: Peer) -> Credential | None:
        """Hold the roles; return who calls. Raises Problem."""
        if route.role is None or (route.local and peer.is_local):
            return None
        who = self._who(request, self._snapshots.current, peer)
        if not route.permits(who.role):
            raise Problem(403, "forbidden", "this credential's role does not allow it")
        return who

    def _who(self, request: web.Request, snapshot: Snapshot, peer: Peer) -> Credential:
        try:
            return self._authenticator.authenticate(
                snapshot.credentials,
                request.headers.get("Authorization"),
                peer=peer.address,
                client_spki=peer.client_spki,
                now=int(time.time()),
            )
        except Stranger as stranger:
            raise unauthorized(str(stranger), stranger.retry_after) from stranger

    def _peer(self, request: web.Request) -> Peer:
        return peer_of(request.remote or "", request.headers, self._trusted, tls=tls_of(request))

    def _wrong_method(self, allowed: Sequence[str]) -> _Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            problem = Problem(405, "method-not-allowed", f"send {' or '.join(allowed)}")
            return self._refuse(request, problem, Allow=", ".join(allowed))

        return handle

    async def _answer_unknown(self, request: web.Request) -> web.StreamResponse:
        return self._refuse(
            request, Problem(404, "not-found", "there is no such resource; see /openapi.json")
        )

    async def _answer_nothing(self, _: web.Request) -> web.StreamResponse:
        """Answer on the listener for authorities, which asks nobody for a secret."""
        return _problem(Problem(404, "not-found", "only challenges are answered here"))

    def _refuse(self, request: web.Request, problem: Problem, **headers: str) -> web.Response:
        """Answer with a problem; to strangers, all of the administration looks the same."""
        if request.path.startswith("/api/"):
            try:
                self._who(request, self._snapshots.current, self._peer(request))
            except Problem as stranger:
                return _problem(stranger)
        return _problem(problem, **headers)


def tls_of(request: web.Request) -> Tls | None:
    """Say what is known of the TLS that the request came over; None: it came in plain."""
    transport = request.transport
    connection = None if transport is None else transport.get_extra_info("ssl_object")
    return None if connection is None else Tls(client_spki(connection))


def preferred_wait(prefer: str) -> int:
    """Return the seconds of `wait=N` in a Prefer header (RFC 7240 §4.3), bounded; 0 without."""
    found = _WAIT.search(prefer)
    return min(int(found[1]), MAX_WAIT_SECONDS) if found else 0


def _has(request: web.Request, reply: Reply) -> bool:
    """Say whether the client has this state already (RFC 9110 §13.1.2); "*" is any."""
    return reply.etag is not None and any(
        known.value in {reply.etag, "*"} for known in request.if_none_match or ()
    )


def _response(route: Route, reply: Reply, request: web.Request) -> web.Response:
    status, headers = reply.status or route.status, dict(reply.headers)
    if reply.etag is not None:
        headers["ETag"] = f'"{reply.etag}"'
        if _has(request, reply):
            status = 304
    if status in _NO_CONTENT_TYPE:
        return web.Response(status=status, headers=headers)
    if isinstance(reply.value, bytes):
        body, kind = reply.value, reply.media_type or route.media_type
    else:
        body, kind = msgspec.json.encode(reply.value), "application/json"
    return web.Response(status=status, headers=headers, body=body, content_type=kind)


def _problem(problem: Problem, **headers: str) -> web.Response:
    if problem.status == 401:
        headers["WWW-Authenticate"] = 'Bearer, Basic realm="shaken", charset="UTF-8"'
    if problem.retry_after is not None:
        headers["Retry-After"] = str(problem.retry_after)
    return web.Response(
        status=problem.status, headers=headers, body=problem.body(), content_type=CONTENT_TYPE
    )
