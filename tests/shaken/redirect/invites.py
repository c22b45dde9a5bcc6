"""INVITEs as PBXs send them."""

from sip.message import Request
from sip.reception import Source

ORIG, DEST = "12155550100", "12155559999"
FROM = f"<sip:+{ORIG}@pbx.example.com;user=phone>"
TO = f"<sip:+{DEST}@sip.example.com;user=phone>"
PBX = Source("UDP", "192.0.2.10", 5060)


def invite(
    *more: tuple[str, str],
    uri: str = f"sip:+{DEST}@sip.example.com;user=phone",
    caller: str = FROM,
    called: str = TO,
    method: str = "INVITE",
    call_id: str = "call-1",
) -> Request:
    """Make the request of the usual call with more header fields."""
    headers = (
        ("Via", "SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK1"),
        ("From", f"{caller};tag=1"),
        ("To", called),
        ("Call-ID", call_id),
        ("CSeq", f"1 {method}"),
        *more,
    )
    return Request(method, uri, headers)
