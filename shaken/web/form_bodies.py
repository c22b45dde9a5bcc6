"""Forms as aiohttp receives them: bounded, in time, read to their fields."""

from aiohttp import web

from shaken.api.bodies import BODY_SECONDS, parts_of, whole_body
from shaken.api.problems import Problem
from shaken.web.forms import MULTIPART, URLENCODED, Submitted, read_parts, read_urlencoded

FILE_FIELDS = frozenset({"files"})
"""Fields of forms that hold files."""

MAX_FORM = 1000 * 1024
"""Bytes of a form: less than the application reads, twice the largest files of an import."""

MAX_SMALL = 16 * 1024
"""Bytes of a form for signing in: it is read before it is known who sends it."""


async def read_form(request: web.Request, *, most: int = MAX_FORM) -> Submitted:
    """Read the form of a request, of `most` bytes, in bounded time. Raises Problem.

    Parts are taken of large forms only, which are for those who may change something: what cuts
    them up goes through them line by line, while calls wait.
    """
    taken = {URLENCODED, MULTIPART} if most == MAX_FORM else {URLENCODED}
    if request.content_type not in taken:
        raise Problem(415, "unsupported-media-type", "A form is expected.")
    length = request.content_length  # browsers know it of each form
    if length is None or length > most:
        raise Problem(
            413, "too-large", f"This is too much at once. Send at most {most // 1024} KiB."
        )
    try:
        body = await whole_body(request)
        if request.content_type == MULTIPART:
            return read_parts(await parts_of(request, body), files=FILE_FIELDS)
        return read_urlencoded(body)
    except TimeoutError as error:
        detail = f"The form did not arrive within {BODY_SECONDS} seconds. Send it again."
        raise Problem(408, "too-slow", detail) from error
    except web.HTTPBadRequest as error:
        raise Problem(400, "incomplete", "The form did not come whole. Send it again.") from error
