"""Which requests belong to one server transaction (RFC 3261 §17.2.3)."""

from typing import NamedTuple

from sip.message import Request
from sip.via import MAGIC_COOKIE


class BranchKey(NamedTuple):
    """What is the same in all requests of a transaction (RFC 3261 §17.2.3).

    The address that sent the request is added to what the RFC names, so that nobody gets the answer
    to another one's request by knowing its branch.
    """

    peer: str
    branch: str
    host: str
    port: int | None
    method: str


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


def key_of(request: Request, peer: str, *, method: str | None = None) -> Key:
    """Make the key of a request; an ACK's is its INVITE's. `method` stands in for the request's."""
    via = request.via
    branch = via.branch
    method = method or request.method
    if method == "ACK":
        method = "INVITE"
    if branch is not None and branch.startswith(MAGIC_COOKIE) and branch != MAGIC_COOKIE:
        return BranchKey(peer, branch, via.host.lower(), via.port, method)
    return OldKey(
        peer,
        request.uri,
        request.from_.tag,
        request.call_id,
        request.cseq.number,
        via.host.lower(),
        via.port,
        branch,
        # An ACK's is that of the response, its INVITE's another one.
        None if method == "INVITE" else request.to.tag,
        method,
    )
