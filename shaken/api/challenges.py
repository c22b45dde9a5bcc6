"""`/.well-known/acme-challenge/{token}`: what proves to an authority that a name is ours.

Any worker or node answers, whoever placed the order (RFC 8555 §8.3).
"""

import re

from shaken.api.problems import not_found
from shaken.api.routes import ApiCall, Reply, Route
from trust.store import acme_tokens

_TOKEN = re.compile(r"[A-Za-z0-9_-]{16,200}")


def answer(call: ApiCall) -> Reply:
    """Give the key authorization of a token that an authority was told to look for."""
    token = call.path["token"]
    if not _TOKEN.fullmatch(token):
        raise not_found("challenge")
    with call.resources.database.reading() as connection:
        found = acme_tokens.find(connection, token, now=call.now)
    if found is None:
        raise not_found("challenge")
    return Reply(found.encode("ascii"), {"Cache-Control": "no-store"})


ROUTES = (
    Route(
        "GET",
        "/.well-known/acme-challenge/{token}",
        None,
        answer,
        "Answer an ACME authority (http-01)",
        media_type="application/octet-stream",
    ),
)
