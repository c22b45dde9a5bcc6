"""The adapter between aiohttp and the pages: no handler knows an HTTP library.

It finds out who has signed in, holds roles and CSRF tokens, reads a bounded form, runs the handler
and makes HTML of what it gives. What a page says is the handlers' business.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlencode, urlsplit

import aiohttp_jinja2
from aiohttp import web
from jinja2 import FileSystemLoader, StrictUndefined

from shaken.api.authenticator import Authenticator, Stranger
from shaken.api.http import SnapshotSource, tls_of
from shaken.api.peer import Peer, came_by_https, peer_of
from shaken.api.problems import Problem
from shaken.api.routes import Resources, refuse_nul
from shaken.credentials import Credential
from shaken.networks import Network
from shaken.store.sessions import Notice
from shaken.web.assets import CACHING, load_assets
from shaken.web.form_bodies import MAX_SMALL, read_form
from shaken.web.forms import Submitted
from shaken.web.reference import PATH as REFERENCE
from shaken.web.reference import reference
from shaken.web.refusal_reporter import RefusalReporter
from shaken.web.routes import (
    BASE,
    REFRESHED,
    Answer,
    CallDesk,
    Download,
    Page,
    PageCall,
    Redirect,
    View,
    own_path,
)
from shaken.web.security import (
    COOKIE,
    HEADERS,
    NO_STORE,
    SECURE_COOKIE,
    foreign_form,
    hold_role,
    hold_transport,
    is_led_here,
)
from shaken.web.sessions import Session, Sessions
from shaken.web.signing_in import (
    PEOPLE,
    SIGN_IN,
    SIGN_OUT,
    SignInRate,
    authorization_of,
    is_welcome,
    not_for_people,
    refused,
    sign_in_page,
    too_often,
)
from shaken.web.site import NAVIGATION, PAGES, UNKNOWN
from shaken.web.words import FILTERS
from trust.store.database import StoreError
from trust.store.failure import Failure

_log = logging.getLogger(__name__)

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class AdminPages:
    """The pages, added to the service's application by `mount`."""

    def __init__(
        self,
        *,
        resources: Resources,
        authenticator: Authenticator,
        snapshots: SnapshotSource,
        desk: CallDesk,
        trusted_proxies: tuple[Network, ...],
        document: Mapping[str, Any],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take what the API has too, so that both know the same and slow down the same.

        `desk` is what signs and verifies calls; `document` describes the API (OpenAPI 3.1).
        """
        self._resources = resources
        self._desk = desk
        self._authenticator = authenticator
        self._snapshots = snapshots
        self._trusted = trusted_proxies
        self._clock = clock
        self._sessions = Sessions(resources.database)
        self._sign_ins = SignInRate()
        self._refusals = RefusalReporter(self._sessions, clock)
        assets = load_assets()
        self._assets = {asset.path: asset for asset in assets.values()}
        self._asset_paths = {name: asset.path for name, asset in assets.items()}
        self.pages = PAGES
        self._reference = reference(document)
        self._reference_page = ""

    def mount(self, app: web.Application) -> None:
        """Add the pages' routes to an application."""
        app.cleanup_ctx.append(self._refusals.running)
        aiohttp_jinja2.setup(
            app,
            loader=FileSystemLoader(Path(__file__).parent / "templates"),
            filters=FILTERS,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        app.router.add_get(f"{BASE}/static/{{name}}", self._answer_asset)
        app.router.add_get(REFERENCE, self._answer_reference)
        app.router.add_get(SIGN_IN, self._guarded(self._ask_to_sign_in))
        app.router.add_post(SIGN_IN, self._guarded(self._sign_in))
        app.router.add_post(SIGN_OUT, self._guarded(self._sign_out))
        for path in dict.fromkeys(page.path for page in self.pages):
            resource = app.router.add_resource(path)
            for page in self.pages:
                if page.path == path:
                    resource.add_route(page.method, self._handler(page))
                    if page.method == "GET":
                        resource.add_route("HEAD", self._handler(page))
        app.router.add_route("*", f"{BASE}/{{rest:.*}}", self._handler(UNKNOWN))

    def _handler(self, page: Page) -> _Handler:
        async def handle(request: web.Request, peer: Peer) -> web.Response:
            return await self._run(page, request, peer)

        return self._guarded(handle)

    def _guarded(self, answer: Callable[[web.Request, Peer], Awaitable[web.Response]]) -> _Handler:
        """Return a handler whose errors are pages, and whose answers have the headers of all."""

        async def handle(request: web.Request) -> web.StreamResponse:
            try:
                peer = self._peer(request)
                hold_transport(request.method, request.headers, peer)
                response = await answer(request, peer)
            except Problem as problem:
                response = self._error(request, problem)
            except StoreError as error:
                _log.error("%s %s: %s", request.method, request.path, error)
                detail = "The database does not answer. Nothing was changed; try again in a moment."
                if error.failure is Failure.FULL:
                    detail = "The database's disk is full. Nothing was changed; free space on it."
                response = self._error(request, Problem(503, "store-unavailable", detail))
            except Exception:
                _log.exception("%s %s failed", request.method, request.path)
                detail = "The service failed to make this page. Its log says more."
                response = self._error(request, Problem(500, "internal-error", detail))
            response.headers.update(HEADERS)
            response.headers.setdefault("Cache-Control", NO_STORE)
            return response

        return handle

    async def _run(self, page: Page, request: web.Request, peer: Peer) -> web.Response:
        now = int(self._clock())
        find = self._sessions.glance if REFRESHED in request.query else self._sessions.find
        session = await asyncio.to_thread(find, self._token(request), now=now)
        who = None if session is None else self._credential(session, peer)
        if session is None or who is None:
            return self._to_sign_in(request)
        hold_role(page, who)
        refuse_nul(request.match_info, request.query)
        form = Submitted()
        if request.method == "POST":
            form = await read_form(request)
            if not session.made(form.text("csrf")):
                raise foreign_form()
            # Asked again: while the form arrived the credential may have been revoked.
            who = self._credential(session, peer)
            if who is None:
                return self._to_sign_in(request)
            hold_role(page, who)
        call = PageCall(
            resources=self._resources,
            snapshot=self._snapshots.current,
            now=now,
            who=who,
            peer=peer.address,
            path=request.match_info,
            query=request.query,
            body=form,
            session=session,
            desk=self._desk,
        )
        answer = await asyncio.to_thread(page.handler, call)
        if not isinstance(answer, View | Redirect | Download):
            answer = await answer()
        if request.method == "POST":
            _log.info("%s from %s: POST %s", who.name, peer.address, request.path)
            await self._snapshots.take_over()
        return await asyncio.to_thread(self._response, request, call, answer)

    def _response(self, request: web.Request, call: PageCall, answer: Answer) -> web.Response:
        match answer:
            case Redirect():
                if answer.notice is not None:
                    told = Notice(unquote(urlsplit(answer.path).path), answer.notice, call.now)
                    tell = partial(self._sessions.tell, call.session, told)
                    _after_the_fact("a notice of the admin pages", tell)
                return _see_other(answer.path)
            case Download():
                named = {"Content-Disposition": f'attachment; filename="{answer.name}"'}
                return web.Response(
                    body=answer.content, content_type=answer.media_type, headers=named
                )
            case View():
                notices = call.session.told_at(request.path, now=call.now)
                response = self._html(request, answer, call, notices)
                if notices and request.method != "HEAD":
                    shown = partial(self._sessions.shown, call.session, notices)
                    _after_the_fact("that a notice was shown", shown)
                return response

    def _html(
        self,
        request: web.Request,
        view: View,
        call: PageCall | None = None,
        notices: Sequence[Notice] = (),
    ) -> web.Response:
        """Make HTML of a view; without a call, of a page for whoever has not signed in."""
        context = {
            "assets": self._asset_paths,
            "base": BASE,
            "call": call,
            "navigation": NAVIGATION,
            "notices": [notice.words for notice in notices],
            "now": int(self._clock()),
            "path": request.path,
            **view.context,
        }
        text = aiohttp_jinja2.render_string(view.template, request, context)
        return web.Response(text=text, status=view.status, content_type="text/html")

    async def _ask_to_sign_in(self, request: web.Request, peer: Peer) -> web.Response:
        session = await self._session(request, int(self._clock()))
        if session is not None and self._credential(session, peer) is not None:
            return _see_other(own_path(request.query.get("next", BASE)))
        return self._html(request, sign_in_page(request.query))

    async def _sign_in(self, request: web.Request, peer: Peer) -> web.Response:
        form, now = await read_form(request, most=MAX_SMALL), int(self._clock())
        try:
            who = self._authenticator.authenticate(
                self._snapshots.current.credentials,
                authorization_of(form),
                peer=peer.address,
                client_spki=peer.client_spki,
                now=now,
            )
        except Stranger as stranger:
            await self._refusals.refused(peer.address, self._named(form))
            response = self._html(request, refused(form, retry_after=stranger.retry_after))
            if stranger.retry_after is not None:
                response.headers["Retry-After"] = str(stranger.retry_after)
            return response
        if who.role not in PEOPLE:
            await self._refusals.refused(peer.address, who.name)
            return self._html(request, not_for_people(form, who))
        if not self._sign_ins.take(who.name, now=now):
            return self._html(request, too_often(form))
        before = await self._session(request, now)
        if before is not None:
            await self._end(before, peer, now)
        session = await asyncio.to_thread(self._sessions.begin, who, peer=peer.address, now=now)
        _log.info("%s from %s signed in", who.name, peer.address)
        response = _see_other(own_path(form.text("next")))
        https = self._https(request)
        response.set_cookie(
            SECURE_COOKIE if https else COOKIE,
            session.token,
            path="/" if https else BASE,
            secure=https,
            httponly=True,
            samesite="Strict",
        )
        return response

    def _named(self, form: Submitted) -> str | None:
        """Return the name in a form if it is a credential's; a secret is typed there, too."""
        name = form.text("name")
        return name if name in self._snapshots.current.credential_rows.rows else None

    async def _sign_out(self, request: web.Request, peer: Peer) -> web.Response:
        session = await self._session(request, int(self._clock()))
        if session is not None:
            if not session.made((await read_form(request, most=MAX_SMALL)).text("csrf")):
                raise foreign_form()
            await self._end(session, peer, int(self._clock()))
            _log.info("%s from %s signed out", session.credential, peer.address)
        response = _see_other(f"{SIGN_IN}?why=out")
        https = self._https(request)
        # A browser takes no cookie of a secure name, not even its end, without this attribute.
        path = "/" if https else BASE
        response.del_cookie(SECURE_COOKIE if https else COOKIE, path=path, secure=https)
        return response

    async def _end(self, session: Session, peer: Peer, now: int) -> None:
        """End a session; with its credential it has ended already."""
        who = self._snapshots.current.credential_rows.rows.get(session.credential)
        if who is not None:
            await asyncio.to_thread(self._sessions.end, session, who, peer=peer.address, now=now)

    async def _answer_asset(self, request: web.Request) -> web.StreamResponse:
        asset = self._assets.get(request.path)
        if asset is None:
            raise web.HTTPNotFound
        headers = {"Cache-Control": CACHING, "X-Content-Type-Options": "nosniff"}
        return web.Response(body=asset.content, content_type=asset.media_type, headers=headers)

    async def _answer_reference(self, request: web.Request) -> web.StreamResponse:
        # Nothing in it depends on who asks, and anybody may.
        if not self._reference_page:
            made = await asyncio.to_thread(self._html, request, self._reference)
            self._reference_page = made.text or ""
        response = web.Response(text=self._reference_page, content_type="text/html")
        response.headers.update(HEADERS)
        return response

    def _error(self, request: web.Request, problem: Problem) -> web.Response:
        title = HTTPStatus(problem.status).phrase
        return self._html(
            request,
            View("error.html", {"title": title, "detail": problem.detail}, problem.status),
        )

    def _to_sign_in(self, request: web.Request) -> web.Response:
        """Send somebody to the form; what was to be done is not, since nobody known asked."""
        if is_led_here(request.method, request.headers) and not self._token(request):
            return self._html(request, View("again.html", {"next": request.path_qs}))
        query: dict[str, str] = {}
        wanted = str(request.rel_url.without_query_params(REFRESHED))
        if request.method in {"GET", "HEAD"} and wanted != BASE:
            query["next"] = wanted
        if self._token(request):
            query["why"] = "ended"
        return _see_other(f"{SIGN_IN}?{urlencode(query)}" if query else SIGN_IN)

    async def _session(self, request: web.Request, now: int) -> Session | None:
        token = self._token(request)
        if not token:
            return None
        return await asyncio.to_thread(self._sessions.find, token, now=now)

    def _token(self, request: web.Request) -> str:
        return request.cookies.get(SECURE_COOKIE if self._https(request) else COOKIE, "")

    def _credential(self, session: Session, peer: Peer) -> Credential | None:
        """Find whose session it is, if its credential still opens the pages to who comes."""
        who = self._snapshots.current.credential_rows.rows.get(session.credential)
        return who if who is not None and is_welcome(who, peer) else None

    def _peer(self, request: web.Request) -> Peer:
        return peer_of(request.remote or "", request.headers, self._trusted, tls=tls_of(request))

    def _https(self, request: web.Request) -> bool:
        tls = tls_of(request)
        return came_by_https(request.remote or "", request.headers, self._trusted, tls=tls)


def _after_the_fact(what: str, write: Callable[[], None]) -> None:
    """Write what tells of something; a store that fails now makes no error of what was done.

    It may be a page with a secret, which is shown once.
    """
    try:
        write()
    except StoreError as error:
        _log.error("%s is not written: %s", what, error)


def _see_other(path: str) -> web.Response:
    return web.Response(status=303, headers={"Location": path})
