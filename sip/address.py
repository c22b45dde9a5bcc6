"""The value of From, To, Contact, P-Asserted-Identity and the like (RFC 3261 §20.10).

An `Address` is a display name, a URI and the header field's parameters. The URI stays text, since
any scheme may stand there; `sip.uri` reads those that lead to a telephone.
"""

import re
from functools import lru_cache
from typing import NamedTuple

from sip.grammar import (
    IS_URI,
    MAX_KEPT_LENGTH,
    QUOTED_TEXT,
    SCHEME,
    SWS,
    TOKEN,
    HeaderError,
    Parameters,
    find_parameter,
    format_parameters,
    quote,
    read_parameters,
    unquote,
)

KEPT_ADDRESSES = 1024
"""Values that are not read again; where a tag stands, each is another one."""

# name-addr    = [ display-name ] LAQUOT addr-spec RAQUOT
# display-name = *(token LWS) / quoted-string
# A name without quotes may hold what is no token here, as PBXs send it (a full stop, brackets,
# letters outside ASCII), but nothing that ends it in a list.
_NAME_ADDR = re.compile(
    rf'{SWS}(?:"({QUOTED_TEXT})"{SWS}|([^"<>,;]*+))<({SCHEME}[^\s<>"]++)>', re.DOTALL
)

# The same as nearly all of it is written.
_USUAL = re.compile(rf'(?:"([^"\\]*+)" )?<({SCHEME}[^\s<>"]++)>(?:;tag=({TOKEN}))?')

# addr-spec = SIP-URI / SIPS-URI / absoluteURI
# "If the URI contains a comma, question mark or semicolon, the URI MUST be enclosed in angle
# brackets" (RFC 3261 §20), so a semicolon begins the header field's parameters.
_ADDR_SPEC = re.compile(rf'{SWS}({SCHEME}[^\s<>",;?]++)')


class Address(NamedTuple):
    """A URI with the name and the parameters that a header field gives it.

    `display_name` is without quotes and escapes, None where there is none; bytes that are no UTF-8
    are U+FFFD in it. `uri` is without angle brackets. Names of parameters are in lower case.
    """

    display_name: str | None
    uri: str
    parameters: Parameters = ()

    @property
    def tag(self) -> str | None:
        """The tag of a From or To (RFC 3261 §19.3)."""
        return find_parameter(self.parameters, "tag")

    def __str__(self) -> str:
        """Write the value as it stands in a message, the URI always in angle brackets.

        Raises HeaderError when a part may not stand there.
        """
        if IS_URI.fullmatch(self.uri) is None:
            raise HeaderError("an address needs a URI")
        name = "" if self.display_name is None else f"{quote(self.display_name)} "
        return f"{name}<{self.uri}>{format_parameters(self.parameters)}"


def parse_address(value: str) -> Address:
    """Parse one value of a From, To, Contact, P-Asserted-Identity, Diversion or Route header field.

    Raises HeaderError for anything else, the `*` of a Contact among it.
    """
    usual = _USUAL.fullmatch(value)
    if usual is not None and value.isascii():
        name, uri, tag = usual.groups()
        return Address(name, uri, () if tag is None else (("tag", tag),))
    match = _NAME_ADDR.match(value)
    if match is not None:
        quoted, plain, uri = match.groups()
        name = plain.strip(" \t") or None if quoted is None else unquote(quoted)
        if name is not None and not name.isascii():
            name = name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    else:
        match = _ADDR_SPEC.match(value)
        if match is None:
            raise HeaderError("there is no URI, or one that is not in angle brackets")
        name, uri = None, match[1]
    return Address(name, uri, read_parameters(value, match.end()))


def address_at_hand(value: str) -> Address:
    """Do the same for a header field that is alike in many messages: it is read once."""
    return _kept(value) if len(value) <= MAX_KEPT_LENGTH else parse_address(value)


_kept = lru_cache(maxsize=KEPT_ADDRESSES)(parse_address)
