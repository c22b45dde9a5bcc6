"""Requests for the tests of transactions and of the server."""

from sip.message import HeaderFields, Request, Response
from sip.parsing import MalformedMessageError
from sip.response import respond


def request(
    method: str = "INVITE",
    *,
    branch: str | None = "z9hG4bK-1",
    sent_by: str = "192.0.2.1:5060",
    transport: str = "UDP",
    to: str = "<sip:+12155550199@sbc.example.com>",
    call_id: str = "call-1@pbx.example.com",
    number: int = 1,
    rport: str = ";rport",
    headers: HeaderFields = (),
) -> Request:
    """A request as a PBX sends it; with the same arguments an ACK or CANCEL is its INVITE's."""
    identifier = "" if branch is None else f";branch={branch}"
    return Request(
        method,
        "sip:+12155550199@sbc.example.com",
        (
            ("Via", f"SIP/2.0/{transport} {sent_by}{identifier}{rport}"),
            ("Max-Forwards", "70"),
            ("From", '"Alice" <sip:+12155550100@pbx.example.com>;tag=from-1'),
            ("To", to),
            ("Call-ID", call_id),
            ("CSeq", f"{number} {method}"),
            *headers,
        ),
    )


def refusal(error: MalformedMessageError, *, to_tag: str) -> Response | None:
    """The answer to a malformed request, None: there is none."""
    if error.request is None:
        return None
    return respond(error.request, error.status, to_tag=to_tag, reason=str(error))
