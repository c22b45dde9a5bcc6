"""Bodies of requests as aiohttp receives them: bounded, in time, and read as a route takes them."""

import asyncio
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import msgspec
from aiohttp import ClientPayloadError, MultipartReader, StreamReader, web
from aiohttp.helpers import parse_mimetype
from aiohttp.http import HttpProcessingError

from shaken.api.forms import FORM_TYPE, MAX_PARTS, Part, document_of, not_a_form
from shaken.api.problems import Problem, from_validation, invalid
from shaken.api.routes import Route
from shaken.api.stir import is_compressed
from shaken.strictjson import JsonError, parse_object

MAX_API_BODY = 1024 * 1024
"""Bytes of a request to the administration API: twice the largest PEM text, escaped."""

BODY_SECONDS = 20
"""How long a body may take to arrive."""

MAX_PART_HEADERS = 8
"""Header lines of one part of a form; clients send two or three."""


class Arrivals:
    """Bodies that clients are about to send: a worker that ends waits for them."""

    def __init__(self) -> None:
        self._bodies = 0
        self._none = asyncio.Event()
        self._none.set()

    @contextmanager
    def one(self) -> Iterator[None]:
        """Count a body while it is read."""
        self._bodies += 1
        self._none.clear()
        try:
            yield
        finally:
            self._bodies -= 1
            if not self._bodies:
                self._none.set()

    async def over(self, *, seconds: float) -> None:
        """Wait until no body is on its way, at most so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._none.wait()


ARRIVALS = web.AppKey("arrivals", Arrivals)


async def small_body(request: web.Request) -> bytes | None:
    """Read a body whose announced length is known to be small; None: it is late."""
    content = request.content
    # It mostly came in one piece with the headers, and is there without waiting.
    if content.is_eof():
        return content.read_nowait()
    try:
        return await whole_body(request)
    except TimeoutError:
        return None


async def whole_body(request: web.Request) -> bytes:
    """Read a body. Raises TimeoutError when it is late, HTTPBadRequest when it breaks off."""
    try:
        with request.app[ARRIVALS].one():
            async with asyncio.timeout(BODY_SECONDS):
                return await request.read()
    except (ConnectionError, ClientPayloadError, HttpProcessingError) as error:
        # The client went away or sent chunks that are none: nothing of ours failed.
        raise web.HTTPBadRequest(text="the body did not come whole") from error


async def body_of(route: Route, request: web.Request) -> Any:  # noqa: ANN401 - of route.takes
    """Read what a request to a route of the administration holds. Raises Problem."""
    if route.takes is None:
        return None
    is_form = route.form is not None and request.content_type == FORM_TYPE
    if request.content_type != "application/json" and not is_form:
        kinds = "application/json" if route.form is None else f"application/json or {FORM_TYPE}"
        raise Problem(415, "unsupported-media-type", f"send Content-Type: {kinds}")
    if is_compressed(request.headers):
        raise Problem(
            415, "unsupported-media-type", "send the body as it is, without Content-Encoding"
        )
    try:
        body = await whole_body(request)
        if route.form is not None and is_form:
            document = document_of(await parts_of(request, body), route.form)
        else:
            document = parse_object(body)
        _refuse_nul(document)
        return msgspec.convert(document, route.takes)
    except TimeoutError as error:
        raise Problem(408, "too-slow", f"send the body within {BODY_SECONDS} s") from error
    except web.HTTPBadRequest as error:
        raise Problem(400, "incomplete", "the body did not come whole; send it again") from error
    except web.HTTPRequestEntityTooLarge as error:
        raise Problem(413, "too-large", f"send at most {MAX_API_BODY} bytes") from error
    except JsonError as error:
        raise Problem(
            400, "not-json", f"the body is not JSON that is read here: {error}"
        ) from error
    except msgspec.ValidationError as error:
        raise from_validation(error) from error


async def parts_of(request: web.Request, body: bytes) -> list[Part]:
    """Cut a form into its parts. The body is whole already: its length was bounded."""
    content = StreamReader(request.protocol, limit=MAX_API_BODY)
    content.feed_data(body)
    content.feed_eof()
    parts: list[Part] = []
    try:
        with warnings.catch_warnings():
            # They repeat words of the request; a name that cannot be read is missed anyway.
            warnings.simplefilter("ignore", RuntimeWarning)
            reader = MultipartReader(request.headers, content, max_headers=MAX_PART_HEADERS)
            _refuse_preamble(request, body)
            while (part := await reader.next()) is not None:
                if isinstance(part, MultipartReader) or len(parts) == MAX_PARTS:
                    raise not_a_form(f"send at most {MAX_PARTS} parts, and none within others")
                coding = part.headers.get("Content-Transfer-Encoding", "binary")
                parts.append(Part(part.name, coding, bytes(await part.read())))
    except (ValueError, RuntimeError, HttpProcessingError) as error:
        raise not_a_form("it is not written as RFC 7578 says") from error
    return parts


def _refuse_preamble(request: web.Request, body: bytes) -> None:
    """Refuse a form with text before its first part: a reader looks at each line of it.

    RFC 2046 §5.1.1 allows such text, and no client sends more of it than one line end.
    """
    boundary = parse_mimetype(request.headers["Content-Type"]).parameters["boundary"]
    delimiter = f"--{boundary}".encode()
    first = body.removeprefix(b"\r\n").partition(b"\n")[0].rstrip()
    if first not in {delimiter, delimiter + b"--"}:
        raise not_a_form("it is to begin with the boundary that its Content-Type says")


def _refuse_nul(document: dict[str, Any]) -> None:
    """Refuse text with NUL, which PostgreSQL cannot hold and programs in C end at."""
    for name, value in document.items():
        if _holds_nul(value):
            raise invalid(ascii(name)[1:-1], "the text holds a NUL character")


def _holds_nul(value: object) -> bool:
    """Look into JSON, whose depth is bounded (`shaken.strictjson`)."""
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(map(_holds_nul, value.values())) or any(map(_holds_nul, value))
    return isinstance(value, list) and any(map(_holds_nul, value))
