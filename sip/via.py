"""The Via header field (RFC 3261 §20.42): which way a request came, and a response goes.

`parse_via` reads one value; `mend` makes a field that cannot be read fit for a response. `stamp`
notes in the topmost value where a request really came from (RFC 3261 §18.2.1, RFC 3581 §4),
`response_port` reads where its response goes.
"""

import re
from functools import lru_cache
from typing import NamedTuple

from sip.grammar import (
    HOST,
    LWS,
    MAX_KEPT_LENGTH,
    PLAIN_VALUE,
    SWS,
    TOKEN,
    HeaderError,
    Parameters,
    format_parameters,
    read_parameters,
    split_list,
)

# via-parm          = sent-protocol LWS sent-by *( SEMI via-params )
# sent-protocol     = protocol-name SLASH protocol-version SLASH transport
# sent-by           = host [ COLON port ]
# Any version is read, so that a message of another one gets its 505.
_VIA = re.compile(
    rf"{SWS}[Ss][Ii][Pp]{SWS}/{SWS}({TOKEN}){SWS}/{SWS}({TOKEN}){LWS}({HOST}){SWS}"
    rf"(?::{SWS}([0-9]{{1,5}}))?"
)

# As nearly all are written, and nothing may stand in them that may not be sent.
_USUAL = re.compile(
    rf"SIP/2\.0/(UDP|TCP|TLS) ({HOST})(?::([0-9]{{1,5}}))?"
    rf";(?:branch=({TOKEN});rport|rport;branch=({TOKEN}))"
)
_RPORT: tuple[str, None] = ("rport", None)

# Sought where not all of a value can be read.
_PARAMETER = re.compile(rf";{SWS}({TOKEN}){SWS}(?:={SWS}({PLAIN_VALUE}))?")

MAGIC_COOKIE = "z9hG4bK"
"""What a branch begins with that is unique in space and time (RFC 3261 §8.1.1.7)."""

KEPT_VIAS = 1024
"""Values that are not read again: an ACK has that of its INVITE."""

_DEFAULT_PORTS = {"TLS": 5061}
_DEFAULT_PORT = 5060


class Via(NamedTuple):
    """One value: the sender's transport in upper case, its host and port, and parameters.

    `host` holds the brackets of an IPv6 reference; `port` is None where none is given.
    """

    version: str
    transport: str
    host: str
    port: int | None
    parameters: Parameters = ()

    @property
    def branch(self) -> str | None:
        """The transaction's identifier, or None."""
        for name, value in self.parameters:
            if name == "branch":
                return value
        return None

    @property
    def asks_for_port(self) -> bool:
        """Whether the sender wants its answer at the port it sent from: `rport` (RFC 3581 §3)."""
        for name, _ in self.parameters:  # noqa: SIM110 (in half the time, for each request)
            if name == "rport":
                return True
        return False

    def __str__(self) -> str:
        """Write the value as it stands in a message."""
        port = "" if self.port is None else f":{self.port}"
        parameters = format_parameters(self.parameters)
        return f"SIP/{self.version}/{self.transport} {self.host}{port}{parameters}"


def parse_via(value: str) -> Via:
    """Parse one value of a Via header field. Raises HeaderError for anything else."""
    return _kept(value) if len(value) <= MAX_KEPT_LENGTH else _read(value)


def _read(value: str) -> Via:
    usual = _USUAL.fullmatch(value)
    if usual is not None:
        transport, host, digits, first, last = usual.groups()
        pairs = (_RPORT, ("branch", last)) if first is None else (("branch", first), _RPORT)
        return Via("2.0", transport, host, _port(digits), pairs)
    match = _VIA.match(value)
    if match is None:
        raise HeaderError("the Via header field names no transport and host")
    version, transport, host, digits = match.groups()
    parameters = read_parameters(value, match.end())
    return Via(version, transport.upper(), host, _port(digits), parameters)


_kept = lru_cache(maxsize=KEPT_VIAS)(_read)


def mend(value: str) -> str:
    """Write a Via header field so that its topmost value can be read; one that can stays as it is.

    Of the others that value keeps what its response needs: where it goes, `branch` and `rport`. The
    values behind it stay where they can be told apart. Raises HeaderError when no transport and
    host is named, or a port that is none.
    """
    try:
        topmost, *others = split_list(value)
    except HeaderError:
        topmost, others = value.partition(",")[0], []
    else:
        try:
            parse_via(topmost)
        except HeaderError:
            pass
        else:
            return value
    match = _VIA.match(topmost)
    if match is None:
        raise HeaderError("the Via header field names no transport and host")
    version, transport, host, digits = match.groups()
    found: dict[str, str | None] = {}
    for name, given in _PARAMETER.findall(topmost, match.end()):
        if name.lower() in ("branch", "rport"):
            found.setdefault(name.lower(), given or None)
    if "rport" in found:
        found["rport"] = None
    via = Via(version, transport.upper(), host, _port(digits), tuple(found.items()))
    return ", ".join((str(via), *others))


def stamp_value(value: str, via: Via, *, address: str, port: int) -> tuple[str, Via]:
    """Note in a Via header field, whose topmost value was read as `via`, what `stamp` notes.

    Returns the field's value, and its topmost one as it reads now: `via` itself where there is
    nothing to note. Raises HeaderError when that may not stand in a message.
    """
    stamped = stamp(via, address=address, port=port)
    if stamped is via:
        return value, via
    if _USUAL.fullmatch(value) is not None:
        return f"{value.replace(';rport', f';rport={port}')};received={address}", stamped
    _, *others = split_list(value)
    return ", ".join((str(stamped), *others)), stamped


def _port(digits: str | None) -> int | None:
    if digits is None:
        return None
    port = int(digits)
    if not 1 <= port <= 65535:
        raise HeaderError("the Via header field has a port out of range")
    return port


def stamp(via: Via, *, address: str, port: int) -> Via:
    """Note where a request came from: `received` and, where asked for, `rport`.

    `address` is an IP address without brackets. What the sender itself says in `received` goes.
    """
    given = via.parameters
    noted = [
        (name, str(port) if name == "rport" else value)
        for name, value in given
        if name != "received"
    ]
    if via.asks_for_port or via.host.strip("[]") != address:
        noted.append(("received", address))
    elif len(noted) == len(given):
        return via
    return Via(via.version, via.transport, via.host, via.port, tuple(noted))


def response_port(via: Via, *, source_port: int) -> int:
    """Say to which port of a request's source address its response goes over UDP.

    RFC 3261 §18.2.2: that of `sent-by`, or the default one; RFC 3581 §4: the source port where
    `rport` asks for it. The address is always the one the request came from: `maddr` would let a
    sender aim answers at somebody else, and is not followed.
    """
    if via.asks_for_port:
        return source_port
    if via.port is not None:
        return via.port
    return _DEFAULT_PORTS.get(via.transport, _DEFAULT_PORT)
