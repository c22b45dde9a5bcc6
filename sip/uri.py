"""SIP, SIPS and tel URIs (RFC 3261 §19.1, RFC 3966): parse and format.

`parse_uri` turns text from a message or a person into a `SipUri` or `TelUri`; `str()` turns them
back. What PBXs make of empty variables (`;` with nothing behind it, `;transport=`, port 0) is read,
and never written. Both check their parts when made, so that no value of theirs, wherever it comes
from, can put foreign matter (a line break, a second parameter) into a message. Parts stay
percent-encoded as written. What a user part means, a name or a number, is left to callers.
"""

# ruff: noqa: ERA001 (the grammar quoted in comments looks like code)

import ipaddress
import re
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import unquote

MAX_URI_LENGTH = 2048
"""Longest URI parsed, in characters: longer ones come from attackers, not from telephones."""

KEPT_URIS = 1024
"""URIs that are not read again: a call names each of its own several times."""

_SHOWN_LENGTH = 32  # of a refused text, in an error's message

# RFC 3261 §25.1:
#   unreserved = alphanum / mark
#   mark       = "-" / "_" / "." / "!" / "~" / "*" / "'" / "(" / ")"
#   escaped    = "%" HEXDIG HEXDIG
_UNRESERVED = r"A-Za-z0-9\-_.!~*'()"
_ESCAPED = r"%[0-9A-Fa-f]{2}"

# user            = 1*( unreserved / escaped / user-unreserved )
# user-unreserved = "&" / "=" / "+" / "$" / "," / ";" / "?" / "/"
# "#" must be escaped by the RFC, but PBXs send service codes (*31#) with it raw, and it cannot be
# mistaken for anything else here.
_USER = re.compile(rf"(?:[{_UNRESERVED}&=+$,;?/#]|{_ESCAPED})+")

# password = *( unreserved / escaped / "&" / "=" / "+" / "$" / "," )
_PASSWORD = re.compile(rf"(?:[{_UNRESERVED}&=+$,]|{_ESCAPED})*")

# hostname    = *( domainlabel "." ) toplabel [ "." ]
# domainlabel = alphanum / alphanum *( alphanum / "-" ) alphanum
# toplabel    = ALPHA / ALPHA *( alphanum / "-" ) alphanum
# "_" is no part of a host name either, but of many names inside container networks, which also may
# begin with a digit: a letter or "_" behind it tells them from addresses. 63 characters in a label
# are DNS's limit (RFC 1035 §2.3.4).
_LABEL_REST = r"(?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?"
_HOSTNAME = re.compile(
    rf"(?:[A-Za-z0-9_]{_LABEL_REST}\.)*"
    rf"(?:[A-Za-z]|[0-9](?=[0-9-]*+[A-Za-z_])){_LABEL_REST}\.?"
)

# IPv6reference = "[" IPv6address "]"
# Only what may be in an address is shown to `ipaddress`, which also takes zones ("%eth0").
_IPV6_REFERENCE = re.compile(r"\[([0-9A-Fa-f:.]{2,45})\]")

# port = 1*DIGIT
# More than five digits are no port, and 0 is as none.
_PORT = re.compile(r"[0-9]{1,5}")

# other-param      = pname [ "=" pvalue ]
# pname            = 1*paramchar
# pvalue           = 1*paramchar
# paramchar        = param-unreserved / unreserved / escaped
# param-unreserved = "[" / "]" / "/" / ":" / "&" / "+" / "$"
# A "=" in a value, as base64 ends with, cannot be mistaken for anything else.
_PARAMETER_NAME = re.compile(rf"(?:[{_UNRESERVED}\[\]/:&+$]|{_ESCAPED})+")
_PARAMETER_VALUE = re.compile(rf"(?:[{_UNRESERVED}\[\]/:&+$=]|{_ESCAPED})+")

# header         = hname "=" hvalue
# hname          = 1*( hnv-unreserved / unreserved / escaped )
# hvalue         = *( hnv-unreserved / unreserved / escaped )
# hnv-unreserved = "[" / "]" / "/" / "?" / ":" / "+" / "$"
_HEADER_NAME = re.compile(rf"(?:[{_UNRESERVED}\[\]/?:+$]|{_ESCAPED})+")
_HEADER_VALUE = re.compile(rf"(?:[{_UNRESERVED}\[\]/?:+$]|{_ESCAPED})*")

# RFC 3966 §3:
#   global-number-digits = "+" *phonedigit DIGIT *phonedigit
#   local-number-digits  = *phonedigit-hex (HEXDIG / "*" / "#") *phonedigit-hex
#   phonedigit           = DIGIT / [ visual-separator ]
#   phonedigit-hex       = HEXDIG / "*" / "#" / [ visual-separator ]
#   visual-separator     = "-" / "." / "(" / ")"
_TEL_NUMBER = re.compile(
    r"\+[-.()]*[0-9][0-9\-.()]*"
    r"|[-.()]*[0-9A-Fa-f*#][0-9A-Fa-f*#\-.()]*"
)

#   pname = 1*( alphanum / "-" )
_TEL_PARAMETER_NAME = re.compile(r"[A-Za-z0-9-]+")

_NOT_PRINTABLE = re.compile(r"[^!-~]")

Parameters = tuple[tuple[str, str | None], ...]
Headers = tuple[tuple[str, str], ...]


# RFC 5031 §4:
#   URN-service       = "URN:service:" service-identifier
#   service-identifier= service-name *( "." service-name )
ANONYMOUS_URI = "sip:anonymous@anonymous.invalid"
"""What stands in From for a caller who is not named (RFC 3323 §4.1.1.3)."""

_ANONYMOUS = re.compile(
    r"(?i)(?:sips?:)?(?:anonymous|unavailable|restricted)?(?:@[^;?]*)?(?:[;?].*)?"
)
_NOBODYS_HOST = re.compile(r"(?i)(?:.*\.)?invalid\.?")
_SERVICE_URN = re.compile(r"(?i)urn:service:[a-z0-9][a-z0-9.-]{0,126}")

_PHONE_CONTEXT = "phone-context"
_GLOBAL_NUMBER = re.compile(r"\+[-.()]*[0-9][0-9\-.()]*")
_TELEPHONE_USER = re.compile(r"\+?[0-9*#().-]+")


class UriError(ValueError):
    """A text is no SIP, SIPS or tel URI; the message is a short sentence that says why."""


@dataclass(frozen=True, slots=True)
class SipUri:
    """A SIP or SIPS URI (RFC 3261 §19.1), its parts percent-encoded as on the wire.

    `host` holds the brackets of an IPv6 reference. Parameter names are in lower case, since they
    are compared without it; a parameter without `=` has the value None.

    Raises UriError when a part breaks the grammar.
    """

    scheme: str
    user: str | None
    password: str | None = field(repr=False)
    host: str
    port: int | None
    parameters: Parameters = ()
    headers: Headers = ()

    def __post_init__(self) -> None:
        if self.scheme not in ("sip", "sips"):
            raise UriError("the scheme of a SIP URI is sip or sips")
        if self.user is not None:
            _check(_USER, self.user, "user")
        if self.password is not None:
            if self.user is None:
                raise UriError("a URI has no password without a user")
            if _PASSWORD.fullmatch(self.password) is None:
                raise UriError("the password of the URI holds characters it may not")
        if not _is_host(self.host):
            raise UriError(f"{_shown(self.host)} is neither a host name nor an IP address")
        if self.port is not None and not 1 <= self.port <= 65535:
            raise UriError("the port of a URI is between 1 and 65535")
        _check_parameters(self.parameters, _PARAMETER_NAME)
        for name, value in self.headers:
            _check(_HEADER_NAME, name, "header name")
            _check(_HEADER_VALUE, value, "header value")

    def __str__(self) -> str:
        """Format the URI as it stands in a message."""
        user = "" if self.user is None else self.user
        password = "" if self.password is None else f":{self.password}"
        at = "" if self.user is None else "@"
        port = "" if self.port is None else f":{self.port}"
        headers = "&".join(f"{name}={value}" for name, value in self.headers)
        return (
            f"{self.scheme}:{user}{password}{at}{self.host}{port}"
            f"{_format_parameters(self.parameters)}{'?' if headers else ''}{headers}"
        )


@dataclass(frozen=True, slots=True)
class TelUri:
    """A tel URI (RFC 3966): a number with its `+` and separators as written, and parameters.

    Parameter names are in lower case. A local number may lack the `phone-context` the RFC asks for,
    because PBXs leave it out.

    Raises UriError when a part breaks the grammar.
    """

    number: str
    parameters: Parameters = ()

    def __post_init__(self) -> None:
        _check(_TEL_NUMBER, self.number, "number")
        _check_parameters(self.parameters, _TEL_PARAMETER_NAME)

    def __str__(self) -> str:
        """Format the URI as it stands in a message."""
        return f"tel:{self.number}{_format_parameters(self.parameters)}"


@lru_cache(maxsize=KEPT_URIS)
def parse_uri(text: str) -> SipUri | TelUri:
    """Parse a SIP, SIPS or tel URI without angle brackets around it.

    Raises UriError for anything else, and for more than `MAX_URI_LENGTH` characters.
    """
    if len(text) > MAX_URI_LENGTH:
        raise UriError(f"a URI has at most {MAX_URI_LENGTH} characters")
    stranger = _NOT_PRINTABLE.search(text)
    if stranger is not None:
        raise UriError(f"a URI may not hold {stranger[0]!a}")
    scheme, _, rest = text.partition(":")
    scheme = scheme.lower()
    if scheme == "tel":
        number, semicolon, parameters = rest.partition(";")
        return TelUri(number, _parse_parameters(semicolon + parameters))
    if scheme in ("sip", "sips"):
        return _parse_sip(scheme, rest)
    raise UriError("a URI starts with sip:, sips: or tel:")


def telephone_number(text: str) -> str | None:
    """Return the telephone number a URI stands for, as written, or None (RFC 8224 §8.3).

    That is the number of a tel URI, and the user part of a SIP URI with `user=phone`, without the
    parameters it may have of its own. Raises UriError as `parse_uri` does.
    """
    uri = parse_uri(text)
    if isinstance(uri, TelUri):
        return uri.number
    is_phone = any(
        name == "user" and (value or "").lower() == "phone" for name, value in uri.parameters
    )
    user = "" if uri.user is None else uri.user.partition(";")[0]
    # PBXs put user=phone behind names of people too.
    return user if is_phone and _TELEPHONE_USER.fullmatch(user) else None


def phone_context(text: str) -> str | None:
    """Return how the global numbers begin that a URI's number is local to (RFC 3966 §5.1.5).

    That is a `phone-context` of a tel URI, or in the user part of a SIP URI, that begins with `+`,
    as in `+44`. None: there is none, or one that is a domain name and says nothing of numbers.
    Raises UriError as `parse_uri` does, where there may be one.
    """
    if _PHONE_CONTEXT not in text.lower():  # of nearly all
        return None
    uri = parse_uri(text)
    parameters = uri.parameters
    if isinstance(uri, SipUri):
        _, semicolon, rest = (uri.user or "").partition(";")
        parameters = _parse_parameters(semicolon + rest)
    for name, value in parameters:
        if name == _PHONE_CONTEXT:
            context = unquote(value or "")
            return context if _GLOBAL_NUMBER.fullmatch(context) else None
    return None


def service_urn(text: str) -> str | None:
    """Return the URN of a service (RFC 5031) in lower case, None: the text is none."""
    return text.lower() if _SERVICE_URN.fullmatch(text) else None


def is_anonymous(text: str) -> bool:
    """Say whether a URI, or the bare user part of one, stands for a caller who is not named.

    So does no text at all (RFC 3323 §4.1.1.3, RFC 3325), a SIP URI of a host alone, and one whose
    host is below `.invalid`, where nobody can be (RFC 2606 §2), unless it has a telephone number.
    """
    if _ANONYMOUS.fullmatch(text) is not None:
        return True
    if "@" in text and "invalid" not in text.lower():  # nearly all
        return False
    try:
        uri = parse_uri(text)
    except UriError:
        return False
    if not isinstance(uri, SipUri):
        return False
    if uri.user is None:
        return True
    number = unquote(uri.user.partition(";")[0])
    return not _TELEPHONE_USER.fullmatch(number) and bool(_NOBODYS_HOST.fullmatch(uri.host))


def canonical_uri(text: str) -> str:
    """Spell a URI as PASSporTs compare it (RFC 8224 §8.5).

    Scheme and host are in lower case and a port is kept where given; the user part, or the number
    of a tel URI, stays as it is; password, parameters and headers are dropped.

    Raises UriError as `parse_uri` does.
    """
    uri = parse_uri(text)
    if isinstance(uri, TelUri):
        return str(TelUri(uri.number))
    return str(SipUri(uri.scheme, uri.user, None, uri.host.lower(), uri.port))


def _parse_sip(scheme: str, rest: str) -> SipUri:
    """Cut what follows the scheme of a SIP URI into its parts; `SipUri` judges them.

    Only the user part may hold ";" and "?" of its own, and nothing but its end is a raw "@".
    """
    userinfo, at, rest = rest.rpartition("@")
    user, colon, password = userinfo.partition(":")
    rest, question, headers = rest.partition("?")
    hostport, semicolon, parameters = rest.partition(";")
    host, port = _parse_hostport(hostport)
    return SipUri(
        scheme=scheme,
        user=user if at else None,
        password=password if colon else None,
        host=host,
        port=port,
        parameters=_parse_parameters(semicolon + parameters),
        headers=_parse_headers(question + headers),
    )


def _parse_hostport(text: str) -> tuple[str, int | None]:
    """Cut "host:port", where an IPv6 reference holds colons of its own."""
    bracket = text.rfind("]")
    colon = text.find(":", bracket + 1)
    if colon < 0:
        return text, None
    port = text[colon + 1 :]
    if _PORT.fullmatch(port) is None:
        raise UriError(f"{_shown(port)} is not a port")
    return text[:colon], int(port) or None


def _parse_parameters(text: str) -> Parameters:
    """Cut ";name=value;name" into pairs, of each name the first; an empty value is as none."""
    if not text:
        return ()
    pairs: dict[str, str | None] = {}
    for parameter in text.split(";"):
        if parameter:
            name, _, value = parameter.partition("=")
            pairs.setdefault(name.lower(), value or None)
    return tuple(pairs.items())


def _parse_headers(text: str) -> Headers:
    """Cut "?name=value&name=value" into pairs; what is none is passed over.

    Whom a URI names is known without it, and History-Info has `?Reason=SIP;cause=302` unescaped.
    """
    if not text:
        return ()
    pairs: list[tuple[str, str]] = []
    for header in text[1:].split("&"):
        name, equal, value = header.partition("=")
        if equal and _HEADER_NAME.fullmatch(name) and _HEADER_VALUE.fullmatch(value):
            pairs.append((name, value))
    return tuple(pairs)


def _format_parameters(parameters: Parameters) -> str:
    return "".join(
        f";{name}" if value is None else f";{name}={value}" for name, value in parameters
    )


def _check_parameters(parameters: Parameters, name_rule: re.Pattern[str]) -> None:
    """Raise UriError for a parameter out of the grammar, or one that is there twice."""
    names = [name for name, _ in parameters]
    for name, value in parameters:
        _check(name_rule, name, "parameter name")
        if name != name.lower():
            raise UriError("the names of URI parameters are kept in lower case")
        if value is not None:
            _check(_PARAMETER_VALUE, value, "parameter value")
    if len(set(names)) != len(names):
        raise UriError("a parameter of the URI is there twice")


def _check(rule: re.Pattern[str], text: str, part: str) -> None:
    if rule.fullmatch(text) is None:
        raise UriError(f"{_shown(text)} is not a {part} of a URI")


def _is_host(text: str) -> bool:
    if _HOSTNAME.fullmatch(text) is not None:
        return True
    reference = _IPV6_REFERENCE.fullmatch(text)
    try:
        if reference is not None:
            ipaddress.IPv6Address(reference[1])
        else:
            ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True


def _shown(text: str) -> str:
    """Quote the start of a refused text so that it is safe to print."""
    return ascii(text[:_SHOWN_LENGTH])
