"""Which requests belong to one server transaction (RFC 3261 §17.2.3)."""

from typing import NamedTuple

from sip.message import Request
from sip.via import MAGIC_COOKIE, Via

BranchKey = str
"""What is the same in all requests of a transaction (RFC 3261 §17.2.3), with blanks between.

The address that sent the request is added to what the RFC names, so that nobody gets the answer to
another one's request by knowing its branch. The branch, which may hold blanks itself, comes last.
"""


class OldKey(NamedTuple):
    """The same for a sender of RFC 2543, whose branches say nothing; an ACK's To is not in it."""

    peer: str
    uri: str
    from_tag: str | None
    call_id: str
    number: int
    host: str
    port: int | None
    branch: str | None
    to_tag: str | None
    method: str


Key = BranchKey | OldKey


def branch_key(via: Via, peer: str, method: str) -> BranchKey | None:
    """Make the key of a request from its topmost Via, None: its branch says nothing."""
    branch = via.branch
    if branch is None or not branch.startswith(MAGIC_COOKIE) or branch == MAGIC_COOKIE:
        return None
    return f"{peer} {method} {via.host.lower()} {via.port} {branch}"


def key_of(request: Request, peer: str, *, method: str | None = None) -> Key:
    """Make the key of a request; an ACK's is its INVITE's. `method` stands in for the request's."""
    via = request.via
    method = method or request.method
    if method == "ACK":
        method = "INVITE"
    key = branch_key(via, peer, method)
    return key or OldKey(
        peer,
        request.uri,
        request.from_.tag,
        request.call_id,
        request.cseq.number,
        via.host.lower(),
        via.port,
        via.branch,
        # An ACK's is that of the response, its INVITE's another one.
        None if method == "INVITE" else request.to.tag,
        method,
    )
