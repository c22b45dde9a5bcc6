"""`/dialplan/v1/` as aiohttp serves it. What is asked and said is `shaken.api.dialplan`'s."""

from collections.abc import Callable

from aiohttp import web

from shaken.api.bodies import small_body
from shaken.api.dialplan import (
    DialplanError,
    StirMessage,
    error_line,
    line_of,
    read_parameters,
)
from shaken.api.peer import Tls
from shaken.api.stir import MAX_BODY, StirAnswer, StirRequest, body_length, is_compressed
from shaken.api.stir_door import StirDoor
from sip.stages import at_once

_PASSED_ON = ("X-RequestID", "X-Certificate", "WWW-Authenticate", "Retry-After")
"""Headers of the STIR routes that clients of these get too."""


class DialplanRoute:
    """Asks a STIR route for a dial plan, and writes what that says as one line."""

    def __init__(
        self,
        door: StirDoor,
        tls_of: Callable[[web.Request], Tls | None],
    ) -> None:
        """Take the way to the STIR routes, and what tells of a connection's TLS."""
        self._door = door
        self._tls_of = tls_of

    async def serve(self, request: web.Request) -> web.Response:
        """Answer a request."""
        url = request.rel_url
        try:
            body = await _body(request)
            kind = request.headers.get("Content-Type", "")
            message = read_parameters(url.path, request.method, url.raw_query_string, body, kind)
        except DialplanError as error:
            return web.Response(status=error.status, text=error_line(str(error)))
        answer = await self._ask(request, message)
        headers = {each: answer.headers[each] for each in _PASSED_ON if each in answer.headers}
        status, line = line_of(url.path, answer)
        return web.Response(status=status, headers=headers, text=line)

    async def _ask(self, request: web.Request, message: StirMessage) -> StirAnswer:
        headers = request.headers.copy()
        headers["Content-Type"] = headers["Accept"] = "application/json"
        headers["Content-Length"] = str(len(message.body))
        headers.popall("Content-Encoding", None)  # of the form, if any; this body is another
        tls = self._tls_of(request)
        asked = StirRequest(
            method="POST",
            path=message.path,
            query=message.query,
            headers=headers,
            body=message.body,
        )
        answer = at_once(
            self._door.answer(
                asked,
                remote=request.remote or "",
                client_spki=tls.client_spki if tls else None,
            )
        )
        return answer if isinstance(answer, StirAnswer) else await answer


async def _body(request: web.Request) -> bytes:
    """Read a form. Raises DialplanError."""
    if not request.can_read_body:
        return b""
    length = body_length(request.headers)
    if length == 0:
        raise DialplanError(411, "send the form with a Content-Length")
    if length > MAX_BODY:
        raise DialplanError(413, f"the form is larger than {MAX_BODY} bytes")
    if is_compressed(request.headers):
        raise DialplanError(415, "send the form as it is, without Content-Encoding")
    body = await small_body(request)
    if body is None:
        raise DialplanError(408, "the form did not arrive in time")
    return body
