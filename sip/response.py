"""The response to a request (RFC 3261 §8.2.6): what is copied, what is added."""

import hashlib
from contextlib import suppress

from sip.grammar import HeaderError, has_stray_control
from sip.message import HeaderFields, Request, Response

REASON_PHRASES = {
    100: "Trying",
    200: "OK",
    300: "Multiple Choices",
    302: "Moved Temporarily",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    415: "Unsupported Media Type",
    416: "Unsupported URI Scheme",
    420: "Bad Extension",
    428: "Use Identity Header",
    436: "Bad Identity Info",
    437: "Unsupported Credential",
    438: "Invalid Identity Header",
    480: "Temporarily Unavailable",
    481: "Call/Transaction Does Not Exist",
    483: "Too Many Hops",
    487: "Request Terminated",
    500: "Server Internal Error",
    501: "Not Implemented",
    503: "Service Unavailable",
    505: "Version Not Supported",
    513: "Message Too Large",
    603: "Decline",
    607: "Unwanted",
    608: "Rejected",
}

_EMPTY = "; \t"
"""What a To without a tag may end with, and no parameter before another."""

_TAG_BYTES = 8  # RFC 3261 §19.3 asks for 32 bits of randomness


def respond(
    request: Request,
    status: int,
    *,
    to_tag: str,
    reason: str | None = None,
    headers: HeaderFields = (),
    body: bytes = b"",
) -> Response:
    """Build the response to a request (RFC 3261 §8.2.6).

    Via, From, To, Call-ID and CSeq are those of the request; `to_tag` is added to a To that has no
    tag, but not to a 100 (§8.2.6.2). `headers` follow. Without `reason` the phrase is the usual.

    Raises HeaderError when a header field, the tag or the phrase may not stand in a message.
    """
    copied = request.fields("Via", "From", "To", "Call-ID", "CSeq")
    if status == 100:
        copied += request.fields("Timestamp")
    elif not _has_tag(request):
        if has_stray_control(to_tag):
            raise HeaderError("a tag holds a line break or control character")
        copied = tuple(
            [
                (name, f"{_untagged(request, value)};tag={to_tag}" if name == "To" else value)
                for name, value in copied
            ]
        )
    phrase = REASON_PHRASES.get(status, "") if reason is None else reason
    return Response.repeating(copied, status, phrase, tuple(headers), body)


def stateless_tag(request: Request, *, secret: bytes) -> str:
    """Make the To tag that a request and its retransmissions get without being remembered.

    RFC 3261 §8.2.7: "the tag MUST be calculated [...] such that the same tag will be generated for
    the same request". It differs from call to call as the Call-ID, the From and the topmost Via do.
    `secret` (up to 64 bytes) keeps others from knowing it beforehand.
    """
    told = f"{request.header('Call-ID')}\0{request.header('From')}\0{request.header('Via')}"
    text = told.encode("utf-8", "surrogateescape")
    return hashlib.blake2b(text, key=secret, digest_size=_TAG_BYTES).hexdigest()


def _has_tag(request: Request) -> bool:
    """Whether the To has a tag with a value; one that cannot be read has none."""
    try:
        return bool(request.to.parameters) and request.to.tag is not None
    except HeaderError:
        return False


def _untagged(request: Request, value: str) -> str:
    """Return a To that has no tag, ready for one: without empty parameters, and a tag's name."""
    value = value.rstrip(_EMPTY)
    with suppress(HeaderError):
        to = request.to
        if any(name == "tag" for name, _ in to.parameters):
            others = tuple(each for each in to.parameters if each[0] != "tag")
            return str(to._replace(parameters=others))
    return value
